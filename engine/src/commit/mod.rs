//! One task a process that makes everything durable: rows, state, manifests.
//!
//! Encoding, compressing, syncing and waiting for disks are off the workers, which only hand
//! things over ([`mailbox`]). Workers are in different epochs at the same moment, so the committer steps
//! through epochs as the window operator does: what belongs to a later epoch is set aside until
//! every worker of the process has passed the current one. At a cut it
//!
//! 1. lets the outputs make complete files durable, hidden;
//! 2. writes a blob with the state of the process's workers, by key group, and one with the rows
//!    that wait for their file;
//! 3. announces the cut as sealed.
//!
//! The coordinator's process writes the manifest when all processes have sealed theirs, and after
//! that the outputs show their files. A store or disk that does not take something is said once,
//! and tried again: nothing is lost, and nothing is shown before its time.

mod cut;
pub(crate) mod durable;
pub(crate) mod mailbox;
pub(crate) mod protocol;
mod recovery;
mod told;
mod unable;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use strandline_operators::rejected::Rejected;
use strandline_operators::window::{LAST_EPOCH, Snapshot};

use self::cut::Sealing;
use self::mailbox::{Ending, Fate, bytes_of_rejected, bytes_of_rows};
pub(crate) use self::mailbox::{Lost, Mailbox, MailboxItem};
use self::told::Told;
use self::unable::Unable;
use crate::background::{Background, Bell, Join, Step, Task};
use crate::checkpoint::blobs::Blobs;
use crate::checkpoint::catalog::Retention;
use crate::checkpoint::manifest::{Manifest, OutputIdentity};
use crate::clock::Clock;
use crate::error::JobError;
use crate::failure::Failure;
use crate::finals::SharedRows;
use crate::outputs::{Condition, OpenOutputs, OutputError, Pending, Recovery, Trouble};
use crate::report::Report;
use crate::stop::Stop;
use crate::telemetry::{Measures, Telemetry};

/// How long after a failure a store is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Memory of rows of later epochs that are set aside, bytes, before no more items are taken while
/// the current epoch cannot be sealed.
const ASIDE_BYTES_MAX: usize = 16 << 20;
/// How long the committer may take to complete everything once the job was stopped, and how long to end
/// without that: with the stop itself, not more than a stop may take.
const COMPLETE_WITHIN: Duration = Duration::from_millis(4_500);
const FORGET_WITHIN: Duration = Duration::from_millis(500);
/// How often whoever waits for its end looks.
const JOIN_POLL: Duration = Duration::from_millis(2);
/// How long the committer sleeps at most while rows wait: a clock that is moved by hand wakes nobody.
const TICK_MAX: Duration = Duration::from_secs(1);

/// What a committer works with.
pub(crate) struct CommitterOptions<O> {
    pub(crate) process: usize,
    /// Workers of this process.
    pub(crate) workers: usize,
    pub(crate) outputs: OpenOutputs<O>,
    /// Where checkpoints go, if there are any.
    pub(crate) checkpoints: Option<CommitterCheckpoints>,
    pub(crate) clock: Clock,
    pub(crate) report: Report,
    pub(crate) failure: Failure,
    pub(crate) stop: Stop,
    pub(crate) telemetry: Telemetry,
}

/// What a committer needs for checkpoints.
pub(crate) struct CommitterCheckpoints {
    pub(crate) blobs: Arc<dyn Blobs>,
    /// Rows that waited for their file in the cut that the run continues, where this process takes
    /// them back.
    pub(crate) pending: VecDeque<Pending>,
    /// Where the outputs of this process are, if that can be told.
    pub(crate) place: Option<OutputIdentity>,
    /// Only where manifests are written.
    pub(crate) retention: Option<Retention>,
}

/// A committer at work.
pub(crate) struct CommitterHandle<P, O> {
    mailbox: Mailbox<P, O>,
    task: Box<dyn Join>,
    lost: Arc<std::sync::Mutex<Option<Lost>>>,
}

impl<P, O> CommitterHandle<P, O> {
    pub(crate) fn mailbox(&self) -> &Mailbox<P, O> {
        &self.mailbox
    }

    /// Makes everything durable and visible that was handed over, and ends. While that is not
    /// possible, tries until the job is stopped. One that hangs in a disk or a store is then left
    /// behind.
    ///
    /// # Errors
    ///
    /// What is lost.
    pub(crate) fn complete(self) -> Result<(), Lost> {
        self.mailbox.end(Ending::Complete);
        let mailbox = self.mailbox.clone();
        self.join(COMPLETE_WITHIN, || mailbox.stop_is_requested())
    }

    /// Ends, and forgets what is not durable.
    pub(crate) fn forget(self) {
        self.mailbox.end(Ending::Forget);
        // What is lost is computed again.
        let _ = self.join(FORGET_WITHIN, || true);
    }

    /// Waits until the task is done; once it `hurries`, no longer than `limit`.
    fn join(self, limit: Duration, hurries: impl Fn() -> bool) -> Result<(), Lost> {
        let (clock, mut since) = (Clock::system(), None);
        while !self.task.is_done() {
            if hurries() {
                let since = *since.get_or_insert_with(|| clock.elapsed());
                if limit <= clock.elapsed().saturating_sub(since) {
                    return Err(self.mailbox.lost_by("a disk or a store does not answer"));
                }
            }
            std::thread::park_timeout(JOIN_POLL);
        }
        if !self.task.join() {
            return Err(Lost {
                cause: "the task that writes outputs panicked".into(),
                rows: 0,
                fate: Fate::Lost,
            });
        }
        let mut lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lost.take().map_or(Ok(()), Err)
    }
}

/// Starts the committer of a process.
///
/// # Errors
///
/// If there is no thread for it.
pub(crate) fn start<P, O>(
    options: CommitterOptions<O>,
    background: &Background,
) -> io::Result<CommitterHandle<P, O>>
where
    P: Serialize + Send + 'static,
    O: Send + Sync + 'static,
{
    let bell = Bell::default();
    let committer = Committer::new(options, bell.clone(), background);
    let (mailbox, lost) = (committer.mailbox.clone(), Arc::clone(&committer.lost));
    let name = format!("committer {}", committer.options.process);
    let task = background.spawn(&name, bell, committer)?;
    Ok(CommitterHandle { mailbox, task, lost })
}

/// Records that belong to an epoch.
enum Records<O> {
    Rows(SharedRows<O>),
    Rejected(Vec<Rejected>),
}

impl<O> Records<O> {
    fn bytes(&self) -> usize {
        match self {
            Records::Rows(rows) => bytes_of_rows(rows),
            Records::Rejected(records) => bytes_of_rejected(records),
        }
    }
}

struct Committer<P, O> {
    options: CommitterOptions<O>,
    mailbox: Mailbox<P, O>,
    lost: Arc<std::sync::Mutex<Option<Lost>>>,
    /// Of each worker, the least epoch that it may still hand something over for.
    passed: Vec<u64>,
    /// What is written belongs to this epoch.
    current: u64,
    aside: BTreeMap<u64, Vec<Records<O>>>,
    aside_bytes: usize,
    /// What the workers hold at cuts, as it comes.
    snapshots: BTreeMap<u64, Vec<Snapshot<P>>>,
    /// The cut that is on its way to the store.
    sealing: Option<Sealing>,
    recovery: Option<Recovery>,
    recovered: bool,
    /// The number with which this run began.
    claim: u64,
    puts: VecDeque<Box<Manifest>>,
    /// Another process has taken over: nothing of this one counts any more.
    fenced: bool,
    /// The cut that is to be shown.
    commit: Option<u64>,
    /// Since this process started.
    final_rows: u64,
    /// By the clock: when what failed is tried again.
    retry_at: Option<Duration>,
    /// Whether the current epoch cannot be left just now.
    blocked: bool,
    /// An output cannot show what it was told to show, for good: the failure says so.
    broken: bool,
    /// Why the store does not take something, while it does not: the user has been told.
    store_trouble: Option<Trouble>,
    /// What is told of troubles and amounts.
    told: Told,
}

impl<P: Serialize + Send + 'static, O: Send + Sync + 'static> Task for Committer<P, O> {
    fn step(&mut self) -> Step {
        let ending = self.mailbox.ending();
        if ending == Some(Ending::Forget) {
            return Step::Done;
        }
        let now = self.options.clock.elapsed();
        if self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = None;
            self.work();
        }
        if self.broken {
            return Step::Done;
        }
        // Commands pass rows: what is full can always be committed.
        let took = self.take_command() || (self.has_room() && self.take_letter());
        self.show();
        if took {
            return Step::Again;
        }
        if ending == Some(Ending::Complete) {
            if self.try_to_end() {
                return Step::Done;
            }
            if self.has_room() && !self.mailbox.is_empty() {
                return Step::Again;
            }
        }
        self.tick();
        let retry_in = self.retry_at.map(|at| at.saturating_sub(now));
        let OpenOutputs { final_rows, rejected } = &self.options.outputs;
        let due = [retry_in, final_rows.due_in(), rejected.due_in()].into_iter().flatten().min();
        Step::Wait(due.map(|due| due.min(TICK_MAX)))
    }
}

impl<P: Serialize + Send + 'static, O: Send + Sync + 'static> Committer<P, O> {
    fn new(options: CommitterOptions<O>, bell: Bell, background: &Background) -> Committer<P, O> {
        let (stop, kept) = (options.stop.clone(), options.checkpoints.is_some());
        Committer {
            passed: vec![0; options.workers],
            current: 0,
            aside: BTreeMap::new(),
            aside_bytes: 0,
            snapshots: BTreeMap::new(),
            sealing: None,
            recovery: None,
            recovered: !kept,
            claim: 0,
            puts: VecDeque::new(),
            fenced: false,
            commit: None,
            final_rows: 0,
            retry_at: None,
            blocked: false,
            broken: false,
            store_trouble: None,
            told: Told::default(),
            mailbox: Mailbox::new(bell, stop, background.clone(), kept),
            lost: Arc::default(),
            options,
        }
    }

    /// Does what waits for a disk or a store, as far as they let it.
    fn work(&mut self) {
        let advanced = self.recover().and_then(|()| self.advance());
        self.blocked = advanced.is_err();
        let tried = [advanced, self.put(), self.show_committed()];
        let failed = tried.into_iter().filter_map(Result::err);
        if let Some(trouble) = failed.reduce(Unable::worse) {
            self.retry_at = Some(self.options.clock.elapsed().saturating_add(RETRY_AFTER));
            match trouble {
                // Outputs speak for themselves.
                Unable::Output => {}
                Unable::Store(error) => {
                    let measure = |measures: &mut Measures| measures.checkpoints.failures += 1;
                    self.options.telemetry.measure(measure);
                    if self.store_trouble.is_none() {
                        self.options.report.say(&format!(
                            "no checkpoint can be kept just now: {error}; it is tried again"
                        ));
                        self.store_trouble = Some(Arc::new(error));
                    }
                }
                Unable::Final(trouble) => {
                    self.broken = true;
                    let error = OutputError::Final(trouble);
                    self.options.failure.report(JobError::Output(Box::new(error)));
                }
            }
        } else if self.store_trouble.take().is_some() {
            self.options.report.say("checkpoints are kept again");
        }
    }

    /// Whether more items may be taken.
    fn has_room(&self) -> bool {
        let OpenOutputs { final_rows, rejected } = &self.options.outputs;
        let full = final_rows.condition().is_full || rejected.condition().is_full;
        !full && !self.aside_is_full()
    }

    /// Whether too much is set aside because the current epoch cannot be left.
    fn aside_is_full(&self) -> bool {
        self.blocked && ASIDE_BYTES_MAX <= self.aside_bytes
    }

    fn take_command(&mut self) -> bool {
        let Some(command) = self.mailbox.take_command() else { return false };
        self.open(command);
        // What else is tried again then does not mind.
        self.retry_at = None;
        true
    }

    fn take_letter(&mut self) -> bool {
        let Some(item) = self.mailbox.take() else { return false };
        self.open(item);
        true
    }

    fn open(&mut self, item: MailboxItem<P, O>) {
        match item {
            MailboxItem::Rows { epoch, rows } => self.accept(epoch, Records::Rows(rows)),
            MailboxItem::Rejected { epoch, records } => {
                self.accept(epoch, Records::Rejected(records));
            }
            MailboxItem::State(snapshot) => {
                self.snapshots.entry(snapshot.epoch).or_default().push(snapshot);
            }
            MailboxItem::Passed { worker, epoch } => self.passed[worker] = epoch,
            MailboxItem::Recover(restoration, claim) => {
                self.claim = claim;
                let checkpoints = self.options.checkpoints.as_ref();
                let here = checkpoints.and_then(|checkpoints| checkpoints.place.as_ref());
                self.recovery = Some(restoration.at(self.options.process, here));
            }
            MailboxItem::Put(manifest) => self.puts.push_back(manifest),
            MailboxItem::Commit { epoch } => self.commit = Some(epoch),
        }
    }

    /// Writes what belongs to the current epoch, and sets aside what belongs to a later one.
    fn accept(&mut self, epoch: u64, records: Records<O>) {
        let at_once = self.options.checkpoints.is_none();
        if at_once || (self.recovered && epoch <= self.current && self.sealing.is_none()) {
            self.write(records);
        } else {
            self.aside_bytes += records.bytes();
            self.aside.entry(epoch).or_default().push(records);
        }
    }

    fn write(&mut self, records: Records<O>) {
        let outputs = &mut self.options.outputs;
        let written = match records {
            Records::Rows(rows) => {
                self.final_rows += rows.len() as u64;
                outputs.final_rows.write(&rows)
            }
            Records::Rejected(records) => outputs.rejected.write(&records),
        };
        if let Err(trouble) = written {
            self.options.failure.report(JobError::Output(trouble.to_string().into()));
        }
    }

    /// Makes `epoch` the current one, and writes what was set aside for it and before.
    fn enter(&mut self, epoch: u64) {
        // The last epoch is one of the frontier only; outputs count on.
        let numbered = if epoch == LAST_EPOCH { self.current + 1 } else { epoch };
        self.options.outputs.final_rows.enter(numbered);
        self.options.outputs.rejected.enter(numbered);
        self.current = epoch;
        let later = match epoch.checked_add(1) {
            Some(next) => self.aside.split_off(&next),
            None => BTreeMap::new(),
        };
        for records in std::mem::replace(&mut self.aside, later).into_values().flatten() {
            self.aside_bytes -= records.bytes();
            self.write(records);
        }
    }

    /// Steps through the epochs that all workers have passed, and seals the cuts among them.
    fn advance(&mut self) -> Result<(), Unable> {
        if self.options.checkpoints.is_none() || !self.recovered {
            return Ok(());
        }
        let passed = self.passed.iter().copied().min().unwrap_or(0);
        loop {
            if let Some(sealing) = &self.sealing {
                let epoch = sealing.epoch;
                self.store_sealing()?;
                assert_eq!(epoch, self.current, "a cut is of the current epoch");
            } else if self.current < passed || passed == LAST_EPOCH {
                if self.seal_current()? {
                    continue;
                }
            } else {
                return Ok(());
            }
            if self.current == LAST_EPOCH {
                return Ok(());
            }
            let next = self.current + 1;
            let rows = self.aside.range(next..).next().map(|(epoch, _)| *epoch);
            let cut = self.snapshots.range(next..).next().map(|(epoch, _)| *epoch);
            let next = [rows, cut, Some(passed)].into_iter().flatten().min().unwrap_or(passed);
            self.enter(next);
        }
    }

    fn show_committed(&mut self) -> Result<(), Unable> {
        let Some(epoch) = self.commit else { return Ok(()) };
        let OpenOutputs { final_rows, rejected } = &mut self.options.outputs;
        OutputError::worst([final_rows.commit(epoch), rejected.commit(epoch)])?;
        self.commit = None;
        self.mailbox.announce_shown(epoch);
        Ok(())
    }

    fn tick(&mut self) {
        self.options.outputs.final_rows.tick();
        self.options.outputs.rejected.tick();
    }

    fn condition(&self) -> Condition {
        let OpenOutputs { final_rows, rejected } = &self.options.outputs;
        let (finals, rejected) = (final_rows.condition(), rejected.condition());
        Condition {
            trouble: finals.trouble.or(rejected.trouble).or_else(|| self.store_trouble.clone()),
            is_full: finals.is_full || rejected.is_full || self.aside_is_full(),
            waiting: finals.waiting + rejected.waiting,
        }
    }

    fn show(&mut self) {
        self.mailbox.show(self.condition());
        self.tell();
    }

    /// Completes everything. `false`: not yet.
    fn try_to_end(&mut self) -> bool {
        let unfinished = if self.options.checkpoints.is_some() {
            // Whatever is not committed is computed again by whoever continues.
            self.commit.is_some() || !self.mailbox.is_empty()
        } else {
            let OpenOutputs { final_rows, rejected } = &mut self.options.outputs;
            let (finals, rejected) = (final_rows.finish(), rejected.finish());
            finals.is_err() || rejected.is_err() || !self.mailbox.is_empty()
        };
        if !unfinished {
            return true;
        }
        if self.has_room() && !self.mailbox.is_empty() {
            return false;
        }
        self.retry_at.get_or_insert(self.options.clock.elapsed().saturating_add(RETRY_AFTER));
        if !self.mailbox.stop_is_requested() {
            return false;
        }
        let fate = match (self.options.checkpoints.is_some(), self.commit.is_some()) {
            (false, _) => Some(Fate::Lost),
            (true, true) => Some(Fate::ShownLater),
            (true, false) => None,
        };
        if let Some(fate) = fate {
            let Condition { trouble, waiting, .. } = self.condition();
            let cause = trouble.map_or_else(|| "the job was stopped".into(), |t| t.to_string());
            let lost = Lost { cause, rows: waiting, fate };
            *self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(lost);
        }
        true
    }
}

impl<P, O> Drop for Committer<P, O> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.options.failure.report(JobError::Output(Box::new(Lost {
                cause: "the task that writes outputs panicked".into(),
                rows: 0,
                fate: Fate::of_unwritten(self.options.checkpoints.is_some()),
            })));
        }
        self.mailbox.leave();
    }
}

#[cfg(test)]
mod tests;
