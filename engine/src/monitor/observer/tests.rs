use std::sync::{Arc, Mutex};

use strandline_operators::decode::JsonFields;
use strandline_operators::record::Offset;

use super::*;
use crate::ledger::Ledger;
use crate::partition::Unreadable;

const PATIENCE: Patience = Patience {
    idle_after: Duration::from_secs(5),
    epoch_every: Duration::from_secs(1),
    checkpoint_every: Duration::from_secs(5),
    look_every: Duration::from_millis(250),
};

fn partition(number: u32, state: PartitionState, watermark_ms: i64) -> PartitionView {
    PartitionView {
        partition: Partition(number),
        worker: 0,
        position: Offset(0),
        end: Some(Offset(0)),
        max_event_time: None,
        watermark: EventTime::from_millis(watermark_ms),
        state,
        last_record_at: None,
        last_readable_at: None,
        first_unreadable: None,
        bytes_read: 0,
        ledger: Ledger::default(),
        ledger_before: Ledger::default(),
        skipped: 0,
        skipped_before: 0,
        untimed: 0,
    }
}

/// A job that is observed once a second.
struct Job {
    observer: Observer,
    said: Arc<Mutex<Vec<String>>>,
    second: u64,
    partitions: Vec<PartitionView>,
    lag: Option<u64>,
    records_per_second: f64,
    epoch: u64,
    cannot_read: bool,
    checkpoints: Option<u64>,
    phase: Phase,
    newest_key: Option<SmolStr>,
    words: ReasonWords,
}

impl Job {
    fn of(partitions: Vec<PartitionView>) -> Job {
        let said = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&said);
        let report = Report::new(move |line| hears.lock().unwrap().push(line.to_owned()));
        Job {
            observer: Observer::new(PATIENCE, report, Ledger::default()),
            words: ReasonWords::of(&JsonFields::new("device_id", "ts", [])),
            said,
            second: 0,
            partitions,
            lag: Some(0),
            records_per_second: 0.0,
            epoch: 0,
            cannot_read: false,
            checkpoints: None,
            phase: Phase::Running,
            newest_key: None,
        }
    }

    /// The conditions a second later.
    fn next(&mut self) -> Vec<JobCondition> {
        self.second += 1;
        let seen = Seen {
            now: Duration::from_secs(self.second),
            wall: EventTime::from_millis(1000 * i64::try_from(self.second).unwrap()),
            phase: self.phase,
            partitions: &self.partitions,
            lag: self.lag,
            records_per_second: self.records_per_second,
            complete_epoch: Some(self.epoch),
            open_windows: 3,
            cannot_read: self.cannot_read,
            worst_raised: self.cannot_read.then_some(ConditionKind::WaitingForKafka),
            newest_key: self.newest_key.clone(),
            checkpoints: self.checkpoints,
            reason_words: &self.words,
        };
        self.observer.observe(&seen)
    }

    fn kinds(&mut self) -> Vec<ConditionKind> {
        self.next().into_iter().map(|condition| condition.kind).collect()
    }
}

#[test]
fn a_partition_whose_watermark_stands_while_another_is_ahead_holds_back() {
    let mut job = Job::of(vec![
        partition(0, PartitionState::Active, 17_000),
        partition(1, PartitionState::Paused, 90_000),
    ]);
    for _ in 0..10 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
    job.epoch += 1;
    let held = job.next().remove(1);
    assert_eq!((held.kind, &*held.subject), (ConditionKind::HeldBack, "0"));
    assert_eq!(
        held.detail,
        "by partition 0: its watermark stands at 1970-01-01 00:00:17 UTC; 1 partition is not read \
         until it has come closer"
    );
    job.partitions[0].watermark = EventTime::from_millis(18_000);
    assert_eq!(job.kinds(), [ConditionKind::Running]);
    let said = job.said.lock().unwrap();
    assert_eq!(held.since, EventTime::from_millis(1000), "when its watermark was seen there first");
    let over = format!("no longer held back, after 11 s: {}", held.detail);
    assert_eq!(*said, [held.to_string(), over]);
}

/// A process that got no processor time has not seen that nothing moved.
#[test]
fn nothing_is_blamed_for_time_that_went_by_unwatched() {
    let mut job = Job::of(vec![
        partition(0, PartitionState::Active, 17_000),
        partition(1, PartitionState::Paused, 90_000),
    ]);
    job.checkpoints = Some(7);
    for number in 0..60 {
        assert_eq!(job.kinds(), [ConditionKind::Running]);
        if number % 4 == 3 {
            job.second += 3600;
            // It has not moved when it is looked at again, and does a moment later.
            assert_eq!(job.kinds(), [ConditionKind::Running]);
            job.partitions[0].watermark = EventTime::from_millis(18_000 + number);
            (job.epoch, job.checkpoints) = (job.epoch + 1, job.checkpoints.map(|count| count + 1));
        }
    }
    assert!(job.said.lock().unwrap().is_empty(), "nothing was said, and nothing taken back");
}

/// One device whose clock stays at 1970.
#[test]
fn who_holds_back_is_named_with_the_key_and_the_way_out() {
    let mut job = Job::of(vec![
        partition(0, PartitionState::Active, 17_000),
        partition(1, PartitionState::Paused, 1_730_638_574_000),
    ]);
    job.partitions[0].max_event_time = Some(EventTime::from_millis(17_000));
    job.newest_key = Some("sensor-7".into());
    job.second = 1_730_638_574;
    for _ in 0..11 {
        job.epoch += 1;
        job.next();
    }
    let said = job.said.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["partition 0", "1970-01-01 00:00:17", "`sensor-7`", "--max-past"] {
        assert!(said[0].contains(part), "{part}: {}", said[0]);
    }
}

/// One device whose clock was set to 1970, and goes on from there.
#[test]
fn who_keeps_pace_with_the_clock_years_behind_it_holds_back() {
    let mut job = Job::of(vec![
        partition(0, PartitionState::Active, 17_000),
        partition(1, PartitionState::Paused, 1_730_638_574_000),
    ]);
    job.second = 1_730_638_574;
    let advance = |job: &mut Job, by: i64| {
        let at = EventTime::from_millis(job.partitions[0].watermark.as_millis() + by);
        job.partitions[0].watermark = at;
        job.partitions[0].max_event_time = Some(at);
        job.epoch += 1;
        job.kinds()
    };
    for _ in 0..10 {
        assert_eq!(advance(&mut job, 1000), [ConditionKind::Running]);
    }
    assert_eq!(advance(&mut job, 1000), [ConditionKind::Running, ConditionKind::HeldBack]);
    assert_eq!(advance(&mut job, 1000), [ConditionKind::Running, ConditionKind::HeldBack]);
    // What reads a backlog is years behind too, and comes closer.
    for _ in 0..30 {
        assert_eq!(advance(&mut job, 60_000), [ConditionKind::Running]);
    }
}

#[test]
fn no_partition_is_blamed_while_none_can_be_read() {
    let mut job = Job::of(vec![
        partition(0, PartitionState::Active, 17_000),
        partition(1, PartitionState::Active, 18_000),
    ]);
    job.cannot_read = true;
    for _ in 0..60 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
    job.cannot_read = false;
    for _ in 0..10 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
    job.epoch += 1;
    assert_eq!(job.kinds(), [ConditionKind::Running, ConditionKind::HeldBack]);
}

#[test]
fn a_silent_partition_that_nothing_waits_for_holds_nothing_back() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 17_000)]);
    for _ in 0..60 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
    // Records come, and event time does not advance all the same.
    job.partitions[0].ledger.read = 100;
    job.epoch += 1;
    assert_eq!(job.kinds(), [ConditionKind::Running, ConditionKind::HeldBack]);
}

#[test]
fn partitions_that_are_all_idle_wait_for_records_alone() {
    let mut job = Job::of(vec![
        partition(0, PartitionState::Idle, 17_000),
        partition(1, PartitionState::Finished, 90_000),
    ]);
    for _ in 0..30 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::AllIdle]);
    }
    assert!(job.next()[0].detail.ends_with("; 3 open windows wait for that"));
    assert_eq!(job.next()[0].since, EventTime::from_millis(1000));
}

#[test]
fn an_epoch_that_is_not_completed_is_a_stall() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 0)]);
    for _ in 0..11 {
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
    assert_eq!(job.kinds(), [ConditionKind::Running, ConditionKind::Stalled]);
    job.epoch += 1;
    assert_eq!(job.kinds(), [ConditionKind::Running]);
}

#[test]
fn checkpoints_that_are_not_completed_are_suspended() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 0)]);
    job.checkpoints = Some(7);
    for _ in 0..30 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
    job.epoch += 1;
    assert_eq!(job.kinds(), [ConditionKind::Running, ConditionKind::CheckpointingSuspended]);
    job.checkpoints = Some(8);
    job.epoch += 1;
    assert_eq!(job.kinds(), [ConditionKind::Running]);
}

#[test]
fn a_backlog_is_caught_up_with_in_the_time_that_is_estimated() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 0)]);
    job.records_per_second = 1000.0;
    for lag in [100_000, 99_000, 98_000] {
        (job.lag, job.epoch) = (Some(lag), job.epoch + 1);
        assert_eq!(job.kinds(), [ConditionKind::CatchingUp]);
    }
    job.lag = Some(97_000);
    assert_eq!(job.next()[0].detail, "97000 records behind, about 97 s left");
    job.lag = Some(3000);
    assert_eq!(job.kinds(), [ConditionKind::CatchingUp]);
    job.lag = Some(1900);
    assert_eq!(job.kinds(), [ConditionKind::Running]);
    // It does not begin again at once.
    job.lag = Some(4000);
    assert_eq!(job.kinds(), [ConditionKind::Running]);
    // What is not known is no backlog.
    job.lag = None;
    assert_eq!(job.kinds(), [ConditionKind::Running]);
}

#[test]
fn a_lag_that_grows_has_no_end() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 0)]);
    for lag in [100_000, 101_000] {
        job.lag = Some(lag);
        let detail = job.next().remove(0).detail;
        assert_eq!(detail, format!("{lag} records behind, the lag does not shrink"));
    }
}

#[test]
fn a_job_that_stops_is_not_blamed() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 0)]);
    job.phase = Phase::Stopping;
    for _ in 0..60 {
        assert_eq!(job.kinds(), [ConditionKind::Stopping]);
    }
    job.phase = Phase::Finished;
    assert_eq!(job.kinds(), [ConditionKind::Finished]);
}

/// Of options that say never, where nothing ever moves.
#[test]
fn patience_without_an_end_finds_no_trouble_and_overflows_nothing() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 0)]);
    let (idle_after, epoch_every, checkpoint_every) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let look_every = Duration::MAX;
    let patience = Patience { idle_after, epoch_every, checkpoint_every, look_every };
    job.observer = Observer::new(patience, Report::silent(), Ledger::default());
    job.checkpoints = Some(0);
    for _ in 0..100 {
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
}

/// A partition that is idle because nothing that it brings can be read.
fn unreadable(number: u32, missing_key: u64, not_json: u64) -> PartitionView {
    let mut view = partition(number, PartitionState::Idle, 0);
    view.ledger.read = missing_key + not_json;
    (view.ledger.dead[2], view.ledger.dead[1]) = (missing_key, not_json);
    view.first_unreadable = Some(Unreadable { offset: Offset(17), reason: DeadReason::MissingKey });
    view
}

#[test]
fn nothing_can_be_read_where_all_that_comes_are_dead_letters() {
    let mut job = Job::of(vec![unreadable(3, 1, 0)]);
    for second in 0..10 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::AllIdle], "{second} s");
    }
    job.epoch += 1;
    let found = job.next();
    assert_eq!(found[0].kind, ConditionKind::Running, "it does not wait for records");
    let [_, condition] = &*found else { panic!("{found:?}") };
    assert_eq!(condition.kind, ConditionKind::NothingCanBeRead);
    assert_eq!(condition.since, EventTime::from_millis(1000), "when the first came");
    assert_eq!(
        condition.detail,
        "1 record came, and is a dead letter: missing_key (no field `device_id`); the first of \
         partition 3 is at offset 17; the command `doctor` shows one"
    );
    job.partitions = vec![unreadable(3, 4, 8)];
    let detail = job.next().remove(1).detail;
    let why = "8 not_json (not a JSON object), 4 missing_key (no field `device_id`); the first";
    assert!(detail.starts_with("12 records came, and all are dead letters: "), "{detail}");
    assert!(detail.contains(why), "{detail}");
    assert_eq!(job.said.lock().unwrap().len(), 1, "it is logged once");
    job.partitions[0].ledger.read += 1;
    assert_eq!(job.kinds(), [ConditionKind::AllIdle]);
    let said = job.said.lock().unwrap().clone();
    assert!(said[1].starts_with("records can be read again"), "{said:?}");
}

#[test]
fn a_stream_of_which_a_part_cannot_be_read_is_as_it_is_without() {
    let mut job = Job::of(vec![unreadable(0, 5, 0), partition(1, PartitionState::Active, 0)]);
    for _ in 0..60 {
        job.epoch += 1;
        job.partitions[0].ledger.read += 9;
        job.partitions[0].ledger.dead[2] += 9;
        // Every few seconds one can be read.
        if job.epoch.is_multiple_of(8) {
            job.partitions[1].ledger.read += 1;
            job.partitions[1].watermark = EventTime::from_millis(1000 * job.epoch as i64);
        }
        assert_eq!(job.kinds(), [ConditionKind::Running]);
    }
    // The last records before a pause.
    job.partitions[1].state = PartitionState::Idle;
    job.partitions[1].ledger.read += 1;
    job.kinds();
    job.partitions[0].ledger.read += 9;
    job.partitions[0].ledger.dead[2] += 9;
    for _ in 0..60 {
        job.epoch += 1;
        assert_eq!(job.kinds(), [ConditionKind::AllIdle]);
    }
    job.partitions[0].ledger.read += 1;
    job.partitions[0].ledger.dead[2] += 1;
    assert_eq!(job.kinds(), [ConditionKind::Running, ConditionKind::NothingCanBeRead]);
}

#[test]
fn a_job_runs_since_an_outage_was_over() {
    let mut job = Job::of(vec![partition(0, PartitionState::Active, 0)]);
    for (cannot_read, since) in
        [(false, 1), (false, 1), (true, 3), (true, 4), (false, 4), (false, 4)]
    {
        job.cannot_read = cannot_read;
        job.epoch += 1;
        let found = job.next();
        assert_eq!(found[0].kind, ConditionKind::Running);
        assert_eq!(found[0].since, EventTime::from_millis(1000 * since), "second {}", job.second);
    }
}
