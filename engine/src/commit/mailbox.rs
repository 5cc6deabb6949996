//! What lies between the workers of a process and its committer: items in, news out.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use strandline_operators::rejected::Rejected;
use strandline_operators::time::EventTime;
use strandline_operators::window::{KeyGroup, PaneState, Snapshot};
use timely::scheduling::activate::SyncActivator;

use crate::background::{Background, Bell, GiveWay};
use crate::checkpoint::manifest::{Manifest, ProcessCut};
use crate::checkpoint::places::Restoration;
use crate::checkpoint::section::Encoded;
use crate::commit::opaque::OpaqueRows;
use crate::commit::protocol::Sealed;
use crate::outputs::Condition;
use crate::stop::Stop;

/// Memory of rows between the workers and the committer, bytes. One item may exceed it.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// How often a worker that waits for room looks whether the job has been stopped.
const STOPPED_POLL: Duration = Duration::from_millis(50);

/// What a committer is told.
pub(crate) enum MailboxItem {
    /// Final rows of an epoch.
    Rows { epoch: u64, rows: OpaqueRows },
    /// Late records and dead letters of an epoch.
    Rejected { epoch: u64, records: Vec<Rejected> },
    /// What a worker holds at the end of an epoch.
    State { epoch: u64, part: CutState },
    /// A worker, counted in its process, has handed over everything of the epochs before this.
    Passed { worker: usize, epoch: u64 },
    /// What a start has to show, and the number of its claim. Until this has come, nothing is
    /// written.
    Recover(Restoration, u64),
    /// Make this manifest durable.
    Put(Box<Manifest>),
    /// The manifest of the cut of this epoch is durable: show it.
    Commit { epoch: u64 },
}

/// What a worker holds at a cut, whatever that is: how it is encoded, which is left to whoever stores it.
pub(crate) struct CutState {
    /// Whether nothing is to follow the cut in this run: outputs complete their files.
    pub(crate) closing: bool,
    /// Windows that end at or before this are closed, there.
    pub(crate) closed_before: EventTime,
    /// Takes its time, and is called once.
    pub(crate) encode: Box<dyn FnOnce() -> BTreeMap<KeyGroup, Encoded> + Send>,
}

impl CutState {
    /// Of windows. Costs nothing yet.
    pub(crate) fn of<P: Serialize + Send + 'static>(snapshot: Snapshot<P>) -> CutState {
        let Snapshot { closing, closed_before, panes, .. } = snapshot;
        CutState { closing, closed_before, encode: Box::new(move || by_group(panes)) }
    }
}

/// The panes of each key group, encoded.
fn by_group<P: Serialize>(panes: Vec<PaneState<P>>) -> BTreeMap<KeyGroup, Encoded> {
    let mut groups: BTreeMap<KeyGroup, Encoded> = BTreeMap::new();
    for pane in panes {
        groups.entry(KeyGroup::of(&pane.key)).or_default().push(&pane);
    }
    groups
}

impl MailboxItem {
    /// The memory that it takes, roughly.
    fn bytes(&self) -> usize {
        match self {
            MailboxItem::Rows { rows, .. } => rows.bytes(),
            MailboxItem::Rejected { records, .. } => bytes_of_rejected(records),
            _ => 0,
        }
    }

    /// Whether it says what to do, rather than what has come: it waits for nothing and passes what
    /// has.
    fn is_command(&self) -> bool {
        matches!(self, MailboxItem::Recover(..) | MailboxItem::Put(_) | MailboxItem::Commit { .. })
    }
}

/// The memory that rejected records take, roughly.
pub(crate) fn bytes_of_rejected(records: &[Rejected]) -> usize {
    let payload = |record: &Rejected| record.payload.as_ref().map_or(0, Vec::len);
    size_of_val(records) + records.iter().map(payload).sum::<usize>()
}

/// How a run of the committer ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything that was handed over becomes durable and visible.
    Complete,
    /// What is not durable is forgotten: it will be computed again.
    Forget,
}

/// Both sides share it.
pub(crate) struct Mailbox {
    inner: Arc<Inner>,
}

impl Clone for Mailbox {
    fn clone(&self) -> Self {
        Mailbox { inner: Arc::clone(&self.inner) }
    }
}

struct Inner {
    state: Mutex<State>,
    /// There is more room, or the committer is gone.
    room: Condvar,
    bell: Bell,
    stop: Stop,
    /// Who runs the committer while a worker waits for room.
    background: Background,
    queue_bytes_max: usize,
    /// Whether rows that are not written are computed again.
    checkpoints: bool,
}

struct State {
    commands: VecDeque<MailboxItem>,
    /// All other items, in their order.
    queue: VecDeque<MailboxItem>,
    queued_bytes: usize,
    condition: Condition,
    /// The cuts that are durable here; `None` for one that was given up.
    /// What is kept of cuts, until worker 0 takes it; nothing of those that were given up.
    sealed: BTreeMap<u64, Option<ProcessCut>>,
    /// The epoch of the newest of them: they are sealed one after the other.
    sealed_until: Option<u64>,
    /// The newest manifest that is durable.
    put: Option<(u64, u64)>,
    /// The epoch up to which all files are visible here.
    shown: Option<u64>,
    ending: Option<Ending>,
    gone: bool,
    workers: Vec<SyncActivator>,
}

/// Rows that were handed over are not visible, because the job was stopped.
#[derive(Debug, thiserror::Error)]
#[error("{cause} ({rows} rows were not {fate})")]
pub(crate) struct Lost {
    pub(super) cause: String,
    pub(super) rows: u64,
    pub(super) fate: Fate,
}

/// What becomes of rows that are not visible at the end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// A checkpoint brings them back.
    ComputedAgain,
    /// They are durable and in a checkpoint, under hidden names.
    ShownLater,
}

impl Fate {
    /// Of what no file holds.
    pub(super) fn of_unwritten(has_checkpoints: bool) -> Fate {
        if has_checkpoints { Fate::ComputedAgain } else { Fate::Lost }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Lost => "written and are lost",
            Fate::ComputedAgain => "written; the next start computes them again",
            Fate::ShownLater => "made visible; the next start does that",
        })
    }
}

impl Mailbox {
    pub(super) fn new(
        bell: Bell,
        stop: Stop,
        background: Background,
        checkpoints: bool,
    ) -> Mailbox {
        let state = State {
            commands: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            condition: Condition::default(),
            sealed: BTreeMap::new(),
            sealed_until: None,
            put: None,
            shown: None,
            ending: None,
            gone: false,
            workers: Vec::new(),
        };
        let (state, room) = (Mutex::new(state), Condvar::new());
        let queue_bytes_max = background.queue_bytes_max().unwrap_or(QUEUE_BYTES_MAX);
        let inner = Inner { state, room, bell, stop, background, queue_bytes_max, checkpoints };
        Mailbox { inner: Arc::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- the workers' side ---

    /// Calls `activator` when there is news.
    pub(crate) fn wake_on_news(&self, activator: SyncActivator) {
        self.lock().workers.push(activator);
    }

    /// Puts an item into the mailbox. One with rows waits while there is no room for more: a disk that is slower
    /// than the rows holds up the worker, and so the reading, rather than filling the memory.
    ///
    /// # Errors
    ///
    /// The job was stopped while there is no room because of some trouble.
    pub(crate) fn send(&self, item: MailboxItem) -> Result<(), Lost> {
        let bytes = item.bytes();
        let mut state = self.lock();
        while bytes > 0 && self.inner.queue_bytes_max <= state.queued_bytes && !state.gone {
            if let Some(trouble) = &state.condition.trouble
                && state.condition.is_full
                && self.inner.stop.is_requested()
            {
                let (cause, rows) = (trouble.to_string(), state.condition.waiting);
                let fate = Fate::of_unwritten(self.inner.checkpoints);
                return Err(Lost { cause, rows, fate });
            }
            state = self.wait_for_room(state)?;
        }
        if !state.gone {
            state.queued_bytes += bytes;
            match item.is_command() {
                true => state.commands.push_back(item),
                false => state.queue.push_back(item),
            }
        }
        drop(state);
        self.inner.bell.ring();
        Ok(())
    }

    /// Waits for room, for a moment: whoever does looks again.
    fn wait_for_room<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, Lost> {
        drop(state);
        match self.inner.background.give_way() {
            GiveWay::Given => Ok(self.lock()),
            GiveWay::Ended => {
                let fate = Fate::of_unwritten(self.inner.checkpoints);
                Err(Lost { cause: "the process has ended".into(), rows: 0, fate })
            }
            GiveWay::NotNeeded => {
                let room = &self.inner.room;
                let waited = room.wait_timeout(self.lock(), STOPPED_POLL);
                Ok(waited.unwrap_or_else(PoisonError::into_inner).0)
            }
        }
    }

    /// Whether the cut of `epoch` is durable, or was given up.
    pub(crate) fn is_sealed(&self, epoch: u64) -> bool {
        self.lock().sealed_until.is_some_and(|until| epoch <= until)
    }

    /// What the process keeps of the cut of `epoch`, once that is durable or was given up: for one
    /// worker, and once.
    pub(crate) fn take_sealed(&self, epoch: u64) -> Option<Sealed> {
        self.lock().sealed.remove(&epoch).map(|part| Sealed { epoch, part })
    }

    /// The number and the epoch of the newest manifest that this committer has made durable.
    pub(crate) fn put(&self) -> Option<(u64, u64)> {
        self.lock().put
    }

    /// The epoch up to which all files of this process are visible.
    pub(crate) fn shown(&self) -> Option<u64> {
        self.lock().shown
    }

    /// What is lost, because of `cause`, of what was handed over.
    pub(super) fn lost_by(&self, cause: &str) -> Lost {
        let fate = Fate::of_unwritten(self.inner.checkpoints);
        Lost { cause: cause.to_owned(), rows: self.lock().condition.waiting, fate }
    }

    pub(super) fn end(&self, ending: Ending) {
        self.lock().ending = Some(ending);
        self.inner.bell.ring();
    }

    // --- the committer's side ---

    /// The next command.
    pub(super) fn take_command(&self) -> Option<MailboxItem> {
        self.lock().commands.pop_front()
    }

    /// The next item that is no command.
    pub(super) fn take(&self) -> Option<MailboxItem> {
        let mut state = self.lock();
        let item = state.queue.pop_front()?;
        state.queued_bytes -= item.bytes();
        drop(state);
        self.inner.room.notify_all();
        Some(item)
    }

    /// Whether there is no item.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.queue.is_empty() && state.commands.is_empty()
    }

    /// Whether it is to end, and how.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.lock().ending
    }

    /// Whether the job has been asked to stop.
    pub(super) fn stop_is_requested(&self) -> bool {
        self.inner.stop.is_requested()
    }

    pub(super) fn show(&self, condition: Condition) {
        self.lock().condition = condition;
    }

    pub(super) fn announce_sealed(&self, epoch: u64, cut: Option<ProcessCut>) {
        let mut state = self.lock();
        debug_assert!(state.sealed_until < Some(epoch), "cuts are sealed one after the other");
        state.sealed.insert(epoch, cut);
        state.sealed_until = Some(epoch);
        state.wake();
    }

    pub(super) fn announce_put(&self, number: u64, epoch: u64) {
        let mut state = self.lock();
        state.put = Some((number, epoch));
        state.wake();
    }

    pub(super) fn announce_shown(&self, epoch: u64) {
        let mut state = self.lock();
        state.shown = state.shown.max(Some(epoch));
        state.wake();
    }

    /// There is no committer any more.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.gone = true;
        state.queue.clear();
        state.commands.clear();
        state.queued_bytes = 0;
        state.wake();
        drop(state);
        self.inner.room.notify_all();
    }
}

impl State {
    fn wake(&self) {
        for worker in &self.workers {
            // A worker that is gone needs no waking.
            let _ = worker.activate();
        }
    }
}
