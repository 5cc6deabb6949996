//! One task a process that makes everything durable: rows, state, manifests.
//!
//! Encoding, compressing, syncing and waiting for disks are off the workers, which only hand
//! things over ([`mailbox`]). State comes as parts whose encoding is left to do: nothing here knows what
//! a pipeline aggregates. Workers are in different epochs at the same moment, so the committer steps
//! through epochs (`stepping`). At a cut it
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
mod handle;
pub(crate) mod mailbox;
mod opaque;
pub(crate) mod protocol;
mod recovery;
mod stepping;
mod told;
mod unable;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use strandline_operators::epochs::Epochs;

use self::cut::Sealing;
pub(crate) use self::handle::{CommitterHandle, start};
use self::mailbox::{CutState, Ending, Fate};
pub(crate) use self::mailbox::{Lost, Mailbox, MailboxItem};
pub(crate) use self::opaque::{CommitterOutputs, OpaqueRows};
use self::stepping::Item;
use self::told::Told;
use self::unable::Unable;
use crate::background::{Background, Bell, Step, Task};
use crate::checkpoint::blobs::Blobs;
use crate::checkpoint::catalog::Retention;
use crate::checkpoint::manifest::{Manifest, OutputIdentity};
use crate::clock::Clock;
use crate::error::JobError;
use crate::failure::Failure;
use crate::outputs::{Condition, OutputError, Pending, Recovery, Trouble};
use crate::report::Report;
use crate::stop::Stop;
use crate::telemetry::{Measures, Telemetry};

/// How long after a failure a store is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long the committer sleeps at most while rows wait: a clock that is moved by hand wakes nobody.
const TICK_MAX: Duration = Duration::from_secs(1);

/// What a committer works with.
pub(crate) struct CommitterOptions {
    pub(crate) process: usize,
    /// Workers of this process.
    pub(crate) workers: usize,
    pub(crate) outputs: CommitterOutputs,
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

struct Committer {
    options: CommitterOptions,
    mailbox: Mailbox,
    lost: Arc<std::sync::Mutex<Option<Lost>>>,
    /// Of each worker, the least epoch that it may still hand something over for.
    passed: Vec<u64>,
    /// What is written belongs to the current one.
    epochs: Epochs<Item>,
    /// The first epoch of this run.
    first: u64,
    /// What came before it was recovered, with its epoch.
    unrecovered: Vec<(u64, Item)>,
    /// Memory of rows that are set aside, here or there.
    aside_bytes: usize,
    /// What the workers hold at the end of the current epoch, if that is a cut.
    parts: Vec<CutState>,
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

impl Task for Committer {
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
        let CommitterOutputs { final_rows, rejected } = &self.options.outputs;
        let due = [retry_in, final_rows.due_in(), rejected.due_in()].into_iter().flatten().min();
        Step::Wait(due.map(|due| due.min(TICK_MAX)))
    }
}

impl Committer {
    fn new(options: CommitterOptions, bell: Bell, background: &Background) -> Committer {
        let (stop, kept) = (options.stop.clone(), options.checkpoints.is_some());
        Committer {
            passed: vec![0; options.workers],
            epochs: Epochs::default(),
            first: 0,
            unrecovered: Vec::new(),
            aside_bytes: 0,
            parts: Vec::new(),
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
        let CommitterOutputs { final_rows, rejected } = &self.options.outputs;
        let full = final_rows.condition().is_full || rejected.condition().is_full;
        !full && !self.aside_is_full()
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

    fn open(&mut self, item: MailboxItem) {
        match item {
            MailboxItem::Rows { epoch, rows } => self.accept(epoch, Item::Rows(rows)),
            MailboxItem::Rejected { epoch, records } => {
                self.accept(epoch, Item::Rejected(records));
            }
            MailboxItem::State { epoch, part } => self.accept(epoch, Item::State(part)),
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

    fn show_committed(&mut self) -> Result<(), Unable> {
        let Some(epoch) = self.commit else { return Ok(()) };
        let CommitterOutputs { final_rows, rejected } = &mut self.options.outputs;
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
        let CommitterOutputs { final_rows, rejected } = &self.options.outputs;
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
            let CommitterOutputs { final_rows, rejected } = &mut self.options.outputs;
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

impl Drop for Committer {
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
