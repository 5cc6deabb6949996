//! What the parts of a job report of themselves while it runs: conditions and measures.
//!
//! A part that notices that it cannot go on raises a condition, and clears it when it can. What was
//! raised is part of the [`Snapshot`](crate::view::Snapshot) from that moment on, also while no
//! worker publishes one. Reporting never waits for anybody.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use strandline_operators::time::EventTime;

use crate::condition::{ConditionKind, JobCondition};

/// Where the parts of a job in one process report to. Cheap to clone; clones share everything.
#[derive(Clone, Default)]
pub struct Telemetry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    raised: Mutex<Vec<JobCondition>>,
    /// What was raised in other processes; only the one that leads hears of it.
    elsewhere: Mutex<BTreeMap<usize, Vec<JobCondition>>>,
    /// Which process this is, if it does not lead.
    process: OnceLock<usize>,
    /// How many times something was raised or cleared.
    changes: AtomicU64,
    measures: Mutex<Measures>,
    records_read: AtomicU64,
    bytes_read: AtomicU64,
    /// When the leader was seen last, by the clock, milliseconds and one; 0 before.
    leader_seen: AtomicU64,
    /// Is called when something was raised or cleared.
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Measures of the parts of a job in this process, as they are at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// Records read by the workers of this process in this run.
    pub records_read: u64,
    /// Bytes of the payloads of these.
    pub bytes_read: u64,
    /// The log that is read, where it reports.
    pub kafka: KafkaMeasures,
    /// The checkpoints of this process.
    pub checkpoints: CheckpointMeasures,
    /// The outputs of this process, by name.
    pub outputs: BTreeMap<String, OutputMeasures>,
}

/// How the log is reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KafkaMeasures {
    /// Whether the cluster answers; `None` before the first answer.
    pub is_connected: Option<bool>,
    /// Errors that a client or a connection has met, whether or not a later try succeeded.
    pub errors: u64,
    /// How long brokers have asked to wait, in all. The client tells it once in some seconds.
    pub throttled: Duration,
    /// Bytes of messages that wait between Kafka and the workers. Of the client these are its queues, and
    /// it tells them once in some seconds.
    pub bytes_in_flight: u64,
}

/// How checkpoints come about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointMeasures {
    /// Completed in this run. Only the process that leads counts them.
    pub completed: u64,
    /// Tries to write to the store that failed, in this process.
    pub failures: u64,
    /// Tries to remove an old checkpoint, or a part of one, that failed, in this process.
    pub removal_failures: u64,
    /// When the last one was completed.
    pub last_completed_at: Option<EventTime>,
    /// From the request of the last one until it was durable.
    pub last_duration: Option<Duration>,
    /// What the last one holds of the state, in bytes.
    pub last_state_bytes: u64,
}

/// How an output is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputMeasures {
    /// Rows that it was given and that are not visible.
    pub rows_waiting: u64,
    /// Memory that these take, in bytes, roughly.
    pub bytes_waiting: u64,
    /// When the oldest of these came.
    pub oldest_waiting_since: Option<EventTime>,
    /// How often it began to fail.
    pub failures: u64,
    /// How often it tried again.
    pub retries: u64,
}

impl Telemetry {
    /// From now on, `kind` holds of `subject`. If it holds already, only the details change.
    pub fn raise(&self, kind: ConditionKind, subject: &str, detail: &str, at: EventTime) {
        let mut raised = self.raised();
        let is_this = |raised: &&mut JobCondition| raised.kind == kind && raised.subject == subject;
        match raised.iter_mut().find(is_this) {
            Some(same) if same.detail == detail => return,
            Some(same) => detail.clone_into(&mut same.detail),
            None => {
                let (subject, detail) = (subject.to_owned(), detail.to_owned());
                raised.push(JobCondition { kind, subject, process: None, since: at, detail });
            }
        }
        drop(raised);
        self.tell();
    }

    /// `kind` holds of `subject` no longer. Costs next to nothing if it did not.
    pub fn clear(&self, kind: ConditionKind, subject: &str) {
        let mut raised = self.raised();
        let before = raised.len();
        raised.retain(|raised| raised.kind != kind || raised.subject != subject);
        let is_other = raised.len() != before;
        drop(raised);
        if is_other {
            self.tell();
        }
    }

    /// Changes the measures. `change` must be short: others wait.
    pub fn measure(&self, change: impl FnOnce(&mut Measures)) {
        change(&mut self.0.measures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The measures as they are.
    pub fn measures(&self) -> Measures {
        let measures = self.0.measures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (records_read, bytes_read) = (&self.0.records_read, &self.0.bytes_read);
        Measures {
            records_read: records_read.load(Ordering::Relaxed),
            bytes_read: bytes_read.load(Ordering::Relaxed),
            ..measures
        }
    }

    /// Some records were read. It takes no lock.
    pub(crate) fn count_read(&self, records: u64, bytes: u64) {
        self.0.records_read.fetch_add(records, Ordering::Relaxed);
        self.0.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The worker that leads has come round.
    pub(crate) fn note_leader(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1);
        self.0.leader_seen.store(millis + 1, Ordering::Relaxed);
    }

    /// When it last has, if it ever has.
    pub(crate) fn leader_seen(&self) -> Option<Duration> {
        self.0.leader_seen.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    /// Records read so far.
    pub(crate) fn records_read(&self) -> u64 {
        self.0.records_read.load(Ordering::Relaxed)
    }

    /// Whether a part of the job, in whichever process, has reported that records cannot be read just
    /// now.
    pub(crate) fn cannot_read(&self) -> bool {
        let kinds = [ConditionKind::WaitingForKafka, ConditionKind::WaitsBehindTransaction];
        self.all_raised().iter().any(|raised| kinds.contains(&raised.kind))
    }

    /// Everything that was raised and not cleared, also in other processes, as far as this one hears of
    /// them.
    pub(crate) fn all_raised(&self) -> Vec<JobCondition> {
        let mut all = self.raised().clone();
        all.iter_mut().for_each(|raised| raised.process = self.process());
        all.extend(self.elsewhere().values().flatten().cloned());
        all
    }

    /// This process does not lead its job: what is raised in it says so.
    pub(crate) fn set_process(&self, process: usize) {
        // It does not change while a job runs.
        let _ = self.0.process.set(process);
    }

    /// Which process this is, if it does not lead.
    pub(crate) fn process(&self) -> Option<usize> {
        self.0.process.get().copied()
    }

    /// How many times something was raised or cleared here.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    /// This is everything that holds in another process.
    pub(crate) fn hear(&self, process: usize, conditions: Vec<JobCondition>) {
        self.elsewhere().insert(process, conditions);
        self.tell();
    }

    /// Has `changed` called when something is raised or cleared: of several, the first counts.
    pub(crate) fn on_change(&self, changed: impl Fn() + Send + Sync + 'static) {
        // There is one view.
        let _ = self.0.changed.set(Box::new(changed));
    }

    fn tell(&self) {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        if let Some(changed) = self.0.changed.get() {
            changed();
        }
    }

    fn elsewhere(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<JobCondition>>> {
        self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raised(&self) -> MutexGuard<'_, Vec<JobCondition>> {
        self.0.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Telemetry").field(&self.measures()).finish()
    }
}
