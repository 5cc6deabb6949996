//! Snapshots of a running job: its only outward face.
//!
//! The job publishes plain data; whoever looks (the page, the status line, `latest.json`) takes
//! the newest [`Snapshot`] and can neither hold up nor change a worker. Nor can whoever follows the
//! final rows ([`View::follow`]).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::Window;

use crate::background::Bell;
pub use crate::clock::date_time;
pub use crate::condition::Phase;
use crate::condition::{ConditionKind, Conditions, JobCondition};
use crate::feed::Feed;
pub use crate::feed::{FEED_ROWS_MAX, FinalRow, Follower, Heard};
pub use crate::ledger::Ledger;
use crate::monitor::observer;
pub use crate::partition::{PartitionState, PartitionView, Unreadable};
use crate::reason_words::ReasonWords;
use crate::table::{CellRow, Table};
use crate::telemetry::Telemetry;

/// The window that is shown, with its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowView {
    /// The window.
    pub window: Window,
    /// Whether its rows are final.
    pub is_final: bool,
    /// Its rows, sorted by key.
    pub rows: Vec<CellRow>,
}

/// What keeps a window open.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// This partition, whose watermark is furthest behind the window's end.
    Partition(Partition),
    /// A record: all partitions are idle, so that event time does not advance.
    Record,
    /// Nothing: it becomes final within moments.
    Nothing,
}

/// A window that is not final yet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// The window.
    pub window: Window,
    /// How many keys have a row in it.
    pub keys: u64,
    /// What keeps it open.
    pub waits_for: WaitsFor,
}

/// A running job at one moment: plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Counts snapshots; a reader that has seen this number has seen it all.
    pub number: u64,
    /// When it was taken, civil time.
    pub at: EventTime,
    /// Whether the job runs.
    pub phase: Phase,
    /// In what condition the job is.
    pub conditions: Conditions,
    /// The topic read.
    pub topic: String,
    /// The names of the columns.
    pub table: Arc<Table>,
    /// What the reasons for dead letters mean.
    pub reason_words: ReasonWords,
    /// The window to show, once there is one.
    pub window: Option<Arc<WindowView>>,
    /// The frontier watermark: the least partition watermark. `None` while it is unknown, and
    /// after the end of a bounded run.
    pub watermark: Option<EventTime>,
    /// The ledger of the last complete epoch; it balances.
    pub ledger: Ledger,
    /// The epoch that the ledger belongs to.
    pub epoch: u64,
    /// Records that were read after that epoch.
    pub in_flight: u64,
    /// Final rows so far.
    pub final_rows: u64,
    /// How many of these there were when this run began.
    pub final_rows_before: u64,
    /// With checkpoints: the rows of windows that end at or before this are in one. They are not lost, nor
    /// do they change; their file becomes visible when it is complete, up to the interval of rolling
    /// later.
    pub committed_before: Option<EventTime>,
    /// Records read a second, over the last seconds.
    pub records_per_second: f64,
    /// The partitions, by number.
    pub partitions: Vec<PartitionView>,
    /// The windows that are open, the oldest first; at most
    /// [`OPEN_WINDOWS_MAX`] of them.
    pub open_windows: Vec<OpenWindow>,
    /// How many windows are open.
    pub open_windows_count: u64,
    /// How many rows all open windows have.
    pub open_rows: u64,
}

/// See [`Snapshot::lag`].
pub(crate) fn lag(partitions: &[PartitionView]) -> Option<u64> {
    if partitions.is_empty() {
        return None;
    }
    partitions.iter().map(PartitionView::lag).sum()
}

/// How many open windows a snapshot lists.
pub const OPEN_WINDOWS_MAX: usize = 100;

impl Snapshot {
    /// What a job shows before it has read anything.
    pub fn empty(topic: &str, table: Arc<Table>, at: EventTime) -> Snapshot {
        Snapshot {
            number: 0,
            at,
            phase: Phase::Running,
            conditions: Conditions::of(vec![JobCondition::plain(ConditionKind::Starting, at)]),
            topic: topic.to_owned(),
            table,
            reason_words: ReasonWords::default(),
            window: None,
            watermark: None,
            ledger: Ledger::default(),
            epoch: 0,
            in_flight: 0,
            final_rows: 0,
            final_rows_before: 0,
            committed_before: None,
            records_per_second: 0.0,
            partitions: Vec::new(),
            open_windows: Vec::new(),
            open_windows_count: 0,
            open_rows: 0,
        }
    }

    /// Records between the positions and the ends of all partitions, if these are known: of no
    /// partitions, nothing is.
    pub fn lag(&self) -> Option<u64> {
        lag(&self.partitions)
    }

    /// The ledger of this run alone: where it continues an earlier one, without what that had read.
    pub fn ledger_of_run(&self) -> Ledger {
        let mut before = Ledger::default();
        self.partitions.iter().for_each(|view| before.add(&view.ledger_before));
        self.ledger.since(&before)
    }

    /// The partition that the watermark waits for: the one with the least watermark among those
    /// that hold it at all, the lowest number among equals.
    pub fn holding_back(&self) -> Option<Partition> {
        observer::holding_back(&self.partitions).map(|view| view.partition)
    }

    /// The document of `latest.json` and `/metrics`, to be written out. Times are epoch
    /// milliseconds. Nothing is copied: with a hundred thousand rows a tree of values would take
    /// several times the memory of the text.
    pub fn document(&self) -> impl Serialize {
        Document(self)
    }

    /// The [`document`](Self::document) as a value.
    pub fn to_json(&self) -> Value {
        // A map of strings, numbers and nulls is a value.
        serde_json::to_value(self.document()).unwrap_or_default()
    }
}

struct Document<'a>(&'a Snapshot);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Document(snapshot) = *self;
        let window = snapshot.window.as_ref().map(|view| {
            json!({
                "start": view.window.start.as_millis(),
                "end": view.window.end.as_millis(),
            })
        });
        let ledger = json!({
            "read": snapshot.ledger.read,
            "windowed": snapshot.ledger.windowed,
            "late": snapshot.ledger.late,
            "dead_letters": snapshot.ledger.dead_letters(),
        });
        let is_final = snapshot.window.as_ref().is_some_and(|view| view.is_final);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("conditions", &snapshot.conditions)?;
        map.serialize_entry("window", &window)?;
        map.serialize_entry("final", &is_final)?;
        if let Some(committed) = snapshot.committed_before {
            let window = snapshot.window.as_ref();
            let is_committed = window.is_some_and(|view| view.window.end <= committed);
            map.serialize_entry("committed", &is_committed)?;
        }
        map.serialize_entry("watermark", &snapshot.watermark.map(EventTime::as_millis))?;
        map.serialize_entry("ledger", &ledger)?;
        map.serialize_entry("in_flight", &snapshot.in_flight)?;
        map.serialize_entry("epoch", &snapshot.epoch)?;
        map.serialize_entry(&snapshot.table.rows, &Rows(snapshot))?;
        map.end()
    }
}

struct Rows<'a>(&'a Snapshot);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.0.window.iter().flat_map(|view| &view.rows);
        serializer.collect_seq(rows.map(|row| NamedRow { table: &self.0.table, row }))
    }
}

struct NamedRow<'a> {
    table: &'a Table,
    row: &'a CellRow,
}

impl Serialize for NamedRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.row.cells.len()))?;
        map.serialize_entry(&self.table.key, &*self.row.key)?;
        for ((name, _), cell) in self.table.columns.iter().zip(&self.row.cells) {
            map.serialize_entry(name, cell)?;
        }
        map.end()
    }
}

/// Where the newest snapshot stands, and where final rows can be followed. Cheap to clone; all clones
/// show the same job.
#[derive(Clone, Debug)]
pub struct View {
    shown: Arc<Shown>,
    telemetry: Telemetry,
    feed: Feed,
}

#[derive(Debug)]
struct Shown {
    newest: Mutex<Newest>,
    changed: Condvar,
    /// Of the tasks that show it.
    bells: Mutex<Vec<Bell>>,
}

#[derive(Debug)]
struct Newest {
    snapshot: Arc<Snapshot>,
    /// The conditions of what was published last, without those that were raised.
    published: Vec<JobCondition>,
    /// Whether these are what the process that leads tells, with what is raised elsewhere.
    is_told: bool,
}

impl Newest {
    /// What holds, with what is raised here now.
    fn conditions(&self, telemetry: &Telemetry) -> Conditions {
        joined(&self.published, telemetry.all_raised(), self.is_told)
    }
}

impl View {
    /// A view that shows `first` until something newer is published.
    pub fn new(first: Snapshot) -> View {
        let published = first.conditions.all().to_vec();
        let newest = Mutex::new(Newest { snapshot: Arc::new(first), published, is_told: false });
        let shown = Arc::new(Shown { newest, changed: Condvar::new(), bells: Mutex::default() });
        let telemetry = Telemetry::default();
        let (there, raising) = (Arc::downgrade(&shown), telemetry.clone());
        // Not for as long as the telemetry lives: whoever reports may outlive the view.
        let raising = move || {
            if let Some(shown) = there.upgrade() {
                shown.publish_raised(&raising);
            }
        };
        telemetry.on_change(raising);
        View { shown, telemetry, feed: Feed::default() }
    }

    /// Where the parts of the job report to: what they raise is part of what is shown.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The newest snapshot.
    pub fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shown.lock().snapshot)
    }

    /// Replaces the snapshot and wakes whoever waits for it. Its number becomes greater than that of
    /// the one before, and what parts of the job have raised joins its conditions, which are those that whoever
    /// publishes knows of without them.
    pub fn publish(&self, mut snapshot: Snapshot) {
        let mut newest = self.shown.lock();
        snapshot.number = snapshot.number.max(newest.snapshot.number + 1);
        newest.published = snapshot.conditions.all().to_vec();
        newest.is_told = false;
        snapshot.conditions = newest.conditions(&self.telemetry);
        newest.snapshot = Arc::new(snapshot);
        drop(newest);
        self.shown.tell();
    }

    /// Shows, in a process that does not lead, in what condition the job is, as the process that leads
    /// says. Of itself a process knows better.
    pub(crate) fn show_conditions(&self, mut told: Vec<JobCondition>) {
        let own = self.telemetry.process();
        told.retain(|condition| condition.process.is_none() || condition.process != own);
        let mut newest = self.shown.lock();
        (newest.published, newest.is_told) = (told, true);
        drop(newest);
        self.shown.publish_raised(&self.telemetry);
    }

    /// Rings `bell` whenever a snapshot is published: for a task, which may not wait.
    pub fn ring_when_published(&self, bell: &Bell) {
        self.shown.bells().push(bell.clone());
    }

    /// Waits until there is a snapshot other than `seen`, or until `limit` has passed; the newest
    /// one either way.
    pub fn newer_than(&self, seen: u64, limit: Duration) -> Arc<Snapshot> {
        let guard = self.shown.lock();
        let (guard, _) = self
            .shown
            .changed
            .wait_timeout_while(guard, limit, |newest| newest.snapshot.number == seen)
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&guard.snapshot)
    }

    /// Follows the final rows from now on: each is pushed in the moment in which it becomes final,
    /// whatever the window shown and however rarely snapshots are published.
    pub fn follow(&self) -> Follower {
        self.feed.follow()
    }

    /// Where the job pushes final rows.
    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the newest snapshot once more, with what is raised now.
    fn publish_raised(&self, telemetry: &Telemetry) {
        let mut newest = self.lock();
        let conditions = newest.conditions(telemetry);
        if conditions == newest.snapshot.conditions {
            return;
        }
        let number = newest.snapshot.number + 1;
        newest.snapshot =
            Arc::new(Snapshot { number, conditions, ..Snapshot::clone(&newest.snapshot) });
        drop(newest);
        self.tell();
    }

    fn bells(&self) -> MutexGuard<'_, Vec<Bell>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for a snapshot.
    fn tell(&self) {
        self.changed.notify_all();
        self.bells().iter().for_each(Bell::ring);
    }
}

/// What was published, with what parts of the job have raised: who raises something knows more about
/// it than who only sees its effect, which what is told is free of. Nothing troubles a job that has
/// finished.
fn joined(published: &[JobCondition], raised: Vec<JobCondition>, is_told: bool) -> Conditions {
    let is_finished = published.iter().any(|one| one.kind == ConditionKind::Finished);
    let mut all = raised;
    all.retain(|one| !is_finished || one.kind == ConditionKind::Failed);
    let kinds: Vec<ConditionKind> = all.iter().map(|one| one.kind).collect();
    all.extend(published.iter().filter(|one| is_told || !kinds.contains(&one.kind)).cloned());
    let worst = all.iter().map(|one| one.kind).min();
    all.retain(|one| worst.is_none_or(|worst| !one.kind.is_hidden_by(worst)));
    Conditions::of(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let table = Table::new::<(u64,)>("key", "rows", &["count"]);
        View::new(Snapshot::empty("topic", table.into(), EventTime::from_millis(0)))
    }

    #[test]
    fn what_is_raised_is_shown_at_once_and_until_it_is_cleared() {
        let view = view();
        let (first, telemetry) = (view.latest(), view.telemetry().clone());
        let (kind, at) = (ConditionKind::WaitingForKafka, EventTime::from_millis(1000));
        telemetry.raise(kind, "", "Connection refused", at);
        let shown = view.latest();
        assert_eq!((shown.number, shown.conditions.headline().kind), (1, kind));
        assert_eq!(shown.conditions.headline().since, at);
        // Whatever is published meanwhile.
        view.publish(Snapshot::clone(&first));
        assert_eq!(view.latest().number, 2);
        assert_eq!(view.latest().conditions.all().len(), 2);
        telemetry.raise(kind, "", "No route", EventTime::from_millis(9000));
        assert_eq!(view.latest().conditions.headline().since, at);
        assert_eq!(view.latest().conditions.headline().detail, "No route");
        telemetry.clear(kind, "");
        assert_eq!(view.latest().conditions.headline().kind, ConditionKind::Starting);
    }

    #[test]
    fn a_part_of_the_job_knows_more_than_who_watches_it() {
        let view = view();
        let (kind, at) = (ConditionKind::CheckpointingSuspended, EventTime::from_millis(0));
        let seen = Conditions::of(vec![
            JobCondition::plain(ConditionKind::Running, at),
            JobCondition::plain(kind, at),
        ]);
        view.telemetry().raise(kind, "", "No space left on device", at);
        view.publish(Snapshot { conditions: seen, ..Snapshot::clone(&view.latest()) });
        let shown = view.latest();
        assert_eq!(shown.conditions.all().len(), 1, "{:?}", shown.conditions);
        assert_eq!(shown.conditions.headline().detail, "No space left on device");
        let finished = vec![JobCondition::plain(ConditionKind::Finished, at)];
        view.publish(Snapshot { conditions: Conditions::of(finished), ..Snapshot::clone(&shown) });
        assert_eq!(view.latest().conditions.headline().kind, ConditionKind::Finished);
    }
    #[test]
    fn all_processes_show_the_same_whatever_is_raised_in_which() {
        let (leader, follower) = (view(), view());
        follower.telemetry().set_process(1);
        let at = EventTime::from_millis(0);
        let running = vec![JobCondition::plain(ConditionKind::Running, at)];
        leader.publish(Snapshot {
            conditions: Conditions::of(running),
            ..Snapshot::clone(&leader.latest())
        });
        let exchange = || {
            leader.telemetry().hear(1, follower.telemetry().all_raised());
            follower.show_conditions(leader.latest().conditions.all().to_vec());
            assert_eq!(leader.latest().conditions, follower.latest().conditions);
            leader.latest().conditions.clone()
        };
        assert_eq!(exchange().headline().kind, ConditionKind::Running);
        let kafka = ConditionKind::WaitingForKafka;
        follower.telemetry().raise(kafka, "", "no answer", at);
        assert_eq!(follower.latest().conditions.headline().process, Some(1), "it need not be told");
        let both = exchange();
        assert_eq!((both.all().len(), both.headline().process), (1, Some(1)));
        assert!(leader.telemetry().cannot_read(), "no partition is to blame for that");
        leader.telemetry().raise(kafka, "", "no answer", at);
        let both = exchange();
        let processes: Vec<_> = both.all().iter().map(|one| one.process).collect();
        assert_eq!(processes, [None, Some(1)]);
        follower.telemetry().clear(kafka, "");
        assert_eq!(exchange().all().len(), 1);
        leader.telemetry().clear(kafka, "");
        assert_eq!(exchange().headline().kind, ConditionKind::Running);
    }
}
