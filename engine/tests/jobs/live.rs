//! A job that runs on: idle partitions, new partitions, live rows, stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobOptions, Stop};
use strandline_engine::outputs::{OpenOutputs, Output, Outputs, Trouble, Visibility};
use strandline_engine::source::altered::{Alteration, AlteredLog, ReaderAlteration};
use strandline_engine::source::simulated::{SimulatedLog, SimulatedReader};
use strandline_engine::source::{
    PartitionStart, Progress, Reader, SourceError, TopicIdentity, Wake,
};
use strandline_engine::table::{Cell, Table};
use strandline_engine::view::{PartitionState, PartitionView, Phase, WaitsFor};
use strandline_operators::decode::{DeadReason, Decode, Decoded};
use strandline_operators::record::{Message, Offset, Partition};
use strandline_operators::time::EventTime;

use crate::toy::{Count, Kept, Running, Words, new_view, options, text};

const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn a_window_closes_when_every_partition_has_passed_it() {
    let log = SimulatedLog::new("toy", 2);
    let mut options = options();
    options.idle_after = NEVER;
    let running = Running::start(log.clone(), 2, options);
    text(&log, 0, "a 1000");
    text(&log, 0, "a 15000"); // watermark 10 000: partition 0 is past the first window
    text(&log, 1, "b 14999"); // watermark 9 999: partition 1 is not
    let seen =
        running.wait("both were read", |s| s.ledger.windowed == 3 && !s.open_windows.is_empty());
    assert_eq!(seen.final_rows, 0);
    assert_eq!(seen.open_windows[0].waits_for, WaitsFor::Partition(Partition(1)));
    assert_eq!(seen.watermark, Some(EventTime::from_millis(9_999)));
    text(&log, 1, "b 15000");
    running.wait("the first window closed", |s| s.final_rows == 1);
    let (kept, summary) = running.stop();
    assert_eq!(kept.plain_rows(), [("a".to_owned(), 0, 1, vec![(0, 0, 0, 1)])].into());
    let summary = summary.unwrap();
    assert_eq!((summary.open_windows, summary.finished), (1, false));
    assert!(summary.ledger.balances());
}

#[test]
fn late_is_decided_by_its_own_partition() {
    let log = SimulatedLog::new("toy", 2);
    let mut options = options();
    options.idle_after = NEVER;
    let running = Running::start(log.clone(), 2, options);
    text(&log, 0, "fast 100000");
    text(&log, 0, "fast 9999"); // late: partition 0 has passed its window
    text(&log, 1, "slow 9999"); // not late, though partition 0 is far ahead
    running.wait("all were read", |s| s.ledger.read == 3);
    let (kept, summary) = running.stop();
    let ledger = summary.unwrap().ledger;
    assert_eq!((ledger.windowed, ledger.late), (2, 1));
    assert_eq!(kept.rejected_codes(), [((0, 1), "late")].into());
}

#[test]
fn an_idle_partition_stops_holding_the_others_back_and_can_wake() {
    let log = SimulatedLog::new("toy", 3);
    let running = Running::start(log.clone(), 2, options());
    text(&log, 0, "a 1000");
    text(&log, 0, "a 16000");
    text(&log, 1, "b 2000"); // holds the first window open, until it is idle
    // Partition 2 never has a record. Partition 0 has to stay active, or time stands still.
    let mut now = 16_000;
    let mut snapshot = running.view.latest();
    let clock = Clock::system();
    while snapshot.final_rows < 2 {
        assert!(clock.elapsed() < Duration::from_secs(20), "{snapshot:#?}");
        now += 1;
        text(&log, 0, &format!("a {now}"));
        snapshot = running.view.newer_than(snapshot.number, Duration::from_millis(50));
    }
    running.wait("the floor of the idle one is known", |s| {
        let idle = &s.partitions[1];
        idle.state == PartitionState::Idle && EventTime::from_millis(10_000) <= idle.watermark
    });
    // It wakes behind its floor: late for the closed window, in time for the next.
    text(&log, 1, "b 9999");
    text(&log, 1, "b 12000");
    running.wait("the late one is counted", |s| s.ledger.late == 1);
    let (kept, summary) = running.stop();
    assert!(kept.rejected_codes().contains_key(&(1, 1)));
    assert!(summary.unwrap().ledger.balances());
}

#[test]
fn where_all_partitions_are_idle_an_open_window_waits_for_a_record() {
    let log = SimulatedLog::new("toy", 2);
    let running = Running::start(log.clone(), 2, options());
    text(&log, 0, "a 1000");
    let seen = running.wait("all are idle", |s| {
        let is_idle = |view: &PartitionView| view.state == PartitionState::Idle;
        s.ledger.read == 1 && s.partitions.iter().all(is_idle) && !s.open_windows.is_empty()
    });
    running.stop().1.unwrap();
    assert_eq!(seen.open_windows[0].waits_for, WaitsFor::Record);
}

/// It may bring tombstones and what is no record, and ever more of it.
#[test]
fn a_partition_with_only_unreadable_records_holds_no_window_open() {
    let log = SimulatedLog::new("toy", 2);
    let running = Running::start(log.clone(), 2, options());
    let (mut now, clock) = (1_000, Clock::system());
    let mut snapshot = running.view.latest();
    while snapshot.final_rows < 2 {
        assert!(clock.elapsed() < Duration::from_secs(20), "{snapshot:#?}");
        now += 100;
        text(&log, 0, &format!("a {now}"));
        text(&log, 1, "no record");
        log.append(Partition(1), None, None);
        snapshot = running.view.newer_than(snapshot.number, Duration::from_millis(20));
    }
    let seen = running.wait("it is idle", |s| s.partitions[1].state == PartitionState::Idle);
    assert!(seen.partitions[1].ledger.dead_letters() == seen.partitions[1].ledger.read);
    // What can be read after all is late for what was closed meanwhile.
    text(&log, 1, "b 1000");
    running.wait("the late one is counted", |s| s.ledger.late == 1);
    assert!(running.stop().1.unwrap().ledger.balances());
}

/// What is looked at of a log: how often partitions are read.
#[derive(Clone, Debug)]
struct Watched {
    reads: Arc<AtomicU64>,
    /// Its partitions never end where they are read to: as if a transaction were open.
    is_unfinished: bool,
    /// What a reader was told that it reads.
    expected: Option<TopicIdentity>,
}

impl Watched {
    fn of(log: SimulatedLog, is_unfinished: bool) -> AlteredLog<Watched> {
        let alteration = Watched { reads: Arc::default(), is_unfinished, expected: None };
        AlteredLog { log, alteration }
    }
}

impl Alteration for Watched {
    type OfReader = Watched;

    fn of_reader(&self, _: &Wake) -> Watched {
        self.clone()
    }
}

impl ReaderAlteration for Watched {
    fn expect(&mut self, topic: &TopicIdentity) {
        self.expected = Some(topic.clone());
    }

    fn assigning(&mut self, _: PartitionStart) {
        let expected = self.expected.as_ref();
        assert_eq!(expected, Some(&TopicIdentity::named("toy")), "every worker is told");
    }

    fn read(
        &mut self,
        reader: &mut SimulatedReader,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let progress = reader.read(partition, limit, visit)?;
        if self.is_unfinished {
            let next = |end: Option<Offset>| end.map(Offset::next);
            let (end, asked_end) = (next(progress.end), next(progress.asked_end));
            return Ok(Progress { end, asked_end, at_end: false, ..progress });
        }
        Ok(progress)
    }

    fn end(&mut self, reader: &mut SimulatedReader, partition: Partition) -> Option<Offset> {
        let end = reader.end(partition);
        if self.is_unfinished { end.map(Offset::next) } else { end }
    }
}

/// Partial results wait for what is on its way, but not for ever.
#[test]
fn what_was_read_is_shown_though_the_log_has_more_that_does_not_come() {
    let log = SimulatedLog::new("toy", 1);
    let mut options = options();
    options.idle_after = NEVER;
    let running = Running::start(Watched::of(log.clone(), true), 2, options);
    text(&log, 0, "a 1000");
    let seen =
        running.wait("it is shown", |s| s.window.as_ref().is_some_and(|w| !w.rows.is_empty()));
    assert_eq!(seen.window.as_ref().unwrap().rows[0].cells, [Cell::Int(1)]);
    assert_eq!(seen.partitions[0].lag(), Some(1));
    text(&log, 0, "a 15000");
    running.wait("the window closed", |s| s.final_rows == 1);
    let (kept, _) = running.stop();
    assert_eq!(kept.plain_rows(), [("a".to_owned(), 0, 1, vec![(0, 0, 0, 1)])].into());
}

#[test]
fn the_lag_of_a_partition_that_waits_for_others_grows_with_its_log() {
    let log = SimulatedLog::new("toy", 2);
    let running = Running::start(log.clone(), 2, JobOptions { idle_after: NEVER, ..options() });
    text(&log, 1, "behind 1000");
    text(&log, 0, "ahead 900000");
    running.wait("it waits", |s| {
        s.partitions.first().is_some_and(|ahead| ahead.state == PartitionState::Paused)
    });
    for _ in 0..7 {
        text(&log, 0, "ahead 900001");
    }
    let seen = running.wait("they are counted", |s| s.partitions[0].lag() == Some(7));
    assert_eq!(seen.ledger.read, 2, "and not read");
    running.stop().1.unwrap();
}

/// A partition may run ahead of the others by a minute, and idle ones are lifted between epochs.
#[test]
fn a_long_past_beside_an_idle_partition_is_read_without_waiting_for_the_next_epoch() {
    let log = SimulatedLog::new("toy", 2);
    let records = 40 * 1024;
    for second in 0..records {
        text(&log, 0, &format!("a {}", second * 1_000));
    }
    let options = JobOptions { epoch_every: Duration::from_secs(1), ..options() };
    let running = Running::start(log, 2, options);
    running.wait("all were read", |s| s.ledger.read + s.in_flight == records);
    let (_, summary) = running.stop();
    let ledger = summary.unwrap().ledger;
    assert_eq!((ledger.read, ledger.late), (records, 0));
}

/// One partition has run ahead by more than any lift can bring it, because another goes with the
/// clock. That there is an idle one too does not make epochs turn faster, nor is it looked for
/// that time to come.
#[test]
fn while_one_waits_for_the_clock_epochs_and_reads_are_few() {
    let log = SimulatedLog::new("toy", 3);
    let options = JobOptions { epoch_every: Duration::from_millis(200), ..options() };
    let watched = Watched::of(log.clone(), false);
    let reads = Arc::clone(&watched.alteration.reads);
    let running = Running::start(watched, 1, options);
    text(&log, 0, "fast 1000");
    // More than is read of it at once.
    for _ in 0..3_000 {
        text(&log, 0, "fast 3600000");
    }
    text(&log, 1, "idle 1000");
    let (clock, mut sent) = (Clock::system(), 0);
    let mut send_until = |until: Duration| {
        while clock.elapsed() < until {
            sent += 1;
            text(&log, 2, &format!("steady {}", 1_000 + sent));
            // Out of step with timers of whole milliseconds, which would be met by these.
            thread::park_timeout(Duration::from_micros(3_700));
        }
        (sent, reads.load(Ordering::Relaxed))
    };
    let (sent_before, read_before) = send_until(Duration::from_secs(2));
    let begin = running.view.latest();
    let state = |partition: usize| begin.partitions[partition].state;
    assert_eq!(
        [0, 1, 2].map(state),
        [PartitionState::Paused, PartitionState::Idle, PartitionState::Active]
    );
    let (sent, read) = send_until(Duration::from_secs(4));
    // Ten are due; for each of them there may be two more.
    let turned = running.view.latest().epoch - begin.epoch;
    assert!((5..=40).contains(&turned), "{turned} epochs in 2 s");
    // Two partitions, for each record and once more to find that there is nothing; and for turns.
    let (sent, read) = (sent - sent_before, read - read_before);
    assert!(read <= 6 * sent + 400, "{read} reads for {sent} records");
    let (_, summary) = running.stop();
    assert!(summary.unwrap().ledger.balances());
}

#[test]
fn when_all_are_idle_time_stands_still() {
    let log = SimulatedLog::new("toy", 2);
    text(&log, 0, "a 1000");
    // Not so far ahead that it would have to wait for the other: then it would not be idle.
    text(&log, 1, "b 50000");
    let running = Running::start(log.clone(), 1, options());
    let idle = |s: &strandline_engine::view::Snapshot| {
        s.partitions.len() == 2 && s.partitions.iter().all(|p| p.state == PartitionState::Idle)
    };
    let seen = running.wait("all idle", idle);
    let later = running.wait("some epochs later", |s| seen.epoch + 5 < s.epoch);
    assert_eq!(later.final_rows, 0);
    assert_eq!(later.watermark, Some(EventTime::from_millis(-4_000)));
    running.stop().1.unwrap();
}

#[test]
fn a_partition_added_while_running_is_read_from_its_beginning() {
    let log = SimulatedLog::new("toy", 1);
    let running = Running::start(log.clone(), 3, options());
    text(&log, 0, "a 1000");
    running.wait("the first was read", |s| s.ledger.windowed == 1);
    let new = log.add_partition();
    text(&log, new.0, "b 1000");
    text(&log, new.0, "b 2000");
    let seen = running.wait("the new ones were read", |s| s.ledger.windowed == 3);
    assert_eq!(seen.partitions.len(), 2);
    // Only a worker that reads a partition can take one more.
    assert_eq!(seen.partitions[0].worker, seen.partitions[1].worker);
    running.stop().1.unwrap();
}

/// Event time did not wait for it: what it brings for closed windows is late, and that is said beforehand.
#[test]
fn a_partition_added_behind_closed_windows_is_named_with_the_time_from_which_it_counts() {
    let log = SimulatedLog::new("toy", 1);
    let running = Running::start(log.clone(), 2, JobOptions { idle_after: NEVER, ..options() });
    text(&log, 0, "a 1000");
    text(&log, 0, "a 28000"); // watermark 23 000: two windows are closed
    running.wait("the first window closed", |s| s.final_rows == 1);
    assert!(running.kept.said.lock().unwrap().is_empty(), "there from the start");
    let new = log.add_partition();
    text(&log, new.0, "b 19999");
    text(&log, new.0, "b 20000");
    let seen = running.wait("the new ones were read", |s| s.ledger.read == 4);
    let found = &seen.partitions[1].ledger;
    assert_eq!((found.read, found.late, found.windowed), (2, 1, 1));
    let (kept, summary) = running.stop();
    assert!(summary.unwrap().ledger.balances());
    assert_eq!(kept.rejected_codes(), [((1, 0), "late")].into());
    let said = kept.said.lock().unwrap();
    let line = said.iter().find(|line| line.starts_with("partition 1 is new, found at ")).unwrap();
    assert!(line.contains("count from event time 1970-01-01 00:00:20 UTC on"), "{line}");
}

#[test]
fn live_rows_show_the_newest_window_that_holds_the_fleet() {
    let log = SimulatedLog::new("toy", 2);
    for key in ["a", "b", "c", "d"] {
        for (partition, time) in [(0, 3_000), (1, 12_000), (0, 14_000)] {
            text(&log, partition, &format!("{key} {time}"));
        }
    }
    text(&log, 0, "fast-clock 99000");
    let running = Running::start(log.clone(), 2, JobOptions { idle_after: NEVER, ..options() });
    let count = |cells: &[Cell]| cells.to_vec();
    let seen = running.wait("the second window is shown", |s| {
        s.window.as_ref().is_some_and(|view| {
            view.rows.len() == 4 && view.rows.iter().all(|row| count(&row.cells) == [Cell::Int(2)])
        })
    });
    let view = seen.window.as_ref().unwrap();
    assert_eq!(view.window.start, EventTime::from_millis(10_000));
    assert!(!view.is_final);
    let keys: Vec<&str> = view.rows.iter().map(|row| &*row.key).collect();
    assert_eq!(keys, ["a", "b", "c", "d"], "sorted by key");
    text(&log, 1, "a 13000");
    running.wait("a changed row is published", |s| {
        s.window.as_ref().is_some_and(|view| view.rows[0].cells == [Cell::Int(3)])
    });
    running.stop().1.unwrap();
}

#[test]
fn a_stop_hands_over_what_is_complete_and_closes_nothing_else() {
    let log = SimulatedLog::new("toy", 4);
    let running = Running::start(log.clone(), 4, options());
    for partition in 0..4 {
        for time in (0..20_000).step_by(10) {
            text(&log, partition, &format!("key-{partition} {time}"));
        }
    }
    let view = running.view.clone();
    running.wait("some were read", |s| 0 < s.ledger.read);
    let (kept, summary) = running.stop();
    let summary = summary.unwrap();
    assert!(!summary.finished && summary.ledger.balances());
    assert_eq!(kept.plain_rows().len() as u64, summary.final_rows);
    let in_final: u64 = kept.plain_rows().iter().map(|row| row.2).sum();
    assert!(in_final <= summary.ledger.windowed);
    assert!(0 < summary.open_windows);
    assert_eq!(view.latest().phase, Phase::Stopping);
    assert_eq!(view.latest().open_windows_count, summary.open_windows);
}

#[test]
fn the_ledger_of_every_snapshot_balances() {
    let log = SimulatedLog::new("toy", 3);
    let running = Running::start(log.clone(), 3, options());
    let mut seen = 0;
    for i in 0..3_000 {
        text(&log, i % 3, &format!("key {}", i * 7));
        if i % 5 == 0 {
            text(&log, i % 3, "nonsense");
        }
        let snapshot = running.view.latest();
        assert!(snapshot.ledger.balances(), "{snapshot:#?}");
        seen = seen.max(snapshot.ledger.read);
    }
    running.wait("all were read", |s| s.ledger.read == 3_600 && s.ledger.balances());
    running.stop().1.unwrap();
}

/// Takes records by calling the function.
struct Call<F>(F);

impl<R, F: FnMut(&[R]) -> Result<(), Trouble> + Send + 'static> Output<R> for Call<F> {
    fn write(&mut self, records: &[R]) -> Result<(), Trouble> {
        (self.0)(records)
    }
}

/// Fails when it is given a row.
pub(crate) struct Broken;

impl Outputs<(u64,)> for Broken {
    fn open(&self, _process: usize, _visibility: Visibility) -> OpenOutputs<(u64,)> {
        OpenOutputs {
            final_rows: Box::new(Call(|_: &[_]| Err(Arc::from(Box::from("the table is gone"))))),
            rejected: Box::new(Call(|_: &[_]| Ok(()))),
        }
    }
}

#[test]
fn an_output_that_cannot_go_on_ends_the_job_with_its_cause() {
    let log = SimulatedLog::new("toy", 4);
    for partition in 0..4 {
        text(&log, partition, "a 1000");
        text(&log, partition, "a 50000");
    }
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let (decoder, aggregate, options) = (Words, Count, options());
    let job = Job::new(log, decoder, aggregate, table, Broken, options);
    let config = timely::Config::process(3);
    let error = job.run(config, &Clock::system(), &new_view(), &Stop::default()).unwrap_err();
    assert_eq!(error.to_string(), "the table is gone");
}

/// Panics at a certain word.
#[derive(Clone)]
struct Brittle;

impl Decode for Brittle {
    type Value = ();
    fn decode<'a>(&'a mut self, payload: &'a [u8]) -> Result<Decoded<'a, ()>, DeadReason> {
        assert!(payload != b"bug 1", "brittle");
        Words.decode(payload).map(|Decoded { time, .. }| Decoded {
            key: "a".into(),
            time,
            value: (),
        })
    }
}

#[test]
fn a_panic_on_one_worker_ends_the_job_with_its_cause() {
    let log = SimulatedLog::new("toy", 3);
    text(&log, 0, "a 1000");
    text(&log, 2, "bug 1");
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let (decoder, aggregate, options) = (Brittle, Count, options());
    let job = Job::new(log, decoder, aggregate, table, Kept::default(), options);
    let config = timely::Config::process(3);
    let error = job.run(config, &Clock::system(), &new_view(), &Stop::default()).unwrap_err();
    assert_eq!(error.to_string(), "worker 2 panicked: brittle");
}

#[test]
fn messages_without_a_timestamp_have_no_future_and_are_counted() {
    let log = SimulatedLog::new("toy", 1);
    let hour = 3_600_000;
    let logged = Some(EventTime::from_millis(1_000));
    for (timestamp, time) in
        [(logged, 1_000 + hour), (logged, 1_001 + hour), (None, 5 * hour), (logged, 1_002)]
    {
        log.append(Partition(0), timestamp, Some(format!("a {time}").into_bytes()));
    }
    let running = Running::start(log, 1, options());
    let seen = running.wait("all were read", |s| s.ledger.read == 4);
    assert_eq!(seen.partitions[0].untimed, 1);
    let (kept, summary) = running.stop();
    // The one without a timestamp moved the watermark, so that the last one is late.
    assert_eq!(kept.rejected_codes(), [((0, 1), "future"), ((0, 3), "late")].into());
    assert!(summary.unwrap().ledger.balances());
}

#[test]
fn a_new_partition_never_meets_a_closed_window() {
    let log = SimulatedLog::new("toy", 2);
    let mut options = options();
    options.idle_after = NEVER;
    let running = Running::start(log.clone(), 2, options);
    text(&log, 0, "ahead 105000"); // worker 0 holds event time 100 000
    text(&log, 1, "behind 15000"); // worker 1 holds 10 000: the floor of the moment
    running.wait("both were read", |s| s.ledger.windowed == 2);
    let new = log.add_partition();
    text(&log, new.0, "new 51000");
    let seen = running.wait("the new one was read", |s| s.ledger.read == 3);
    assert_eq!(seen.partitions[2].worker, 0, "the one with the fewest, the first of equals");
    text(&log, 1, "behind 105000"); // now everything before 100 000 closes
    running.wait("windows closed", |s| s.watermark == Some(EventTime::from_millis(100_000)));
    text(&log, new.0, "new 52000");
    running.wait("all were read", |s| s.ledger.read == 5);
    let (kept, summary) = running.stop();
    assert_eq!(kept.rejected_codes(), [((2, 0), "late"), ((2, 1), "late")].into());
    assert!(kept.plain_rows().iter().all(|row| row.0 != "new"));
    assert!(summary.unwrap().ledger.balances());
}

/// Says when it is given a record that could not be read.
struct Alarm(std::sync::mpsc::Sender<()>);

impl Outputs<(u64,)> for Alarm {
    fn open(&self, _process: usize, _visibility: Visibility) -> OpenOutputs<(u64,)> {
        let heard = self.0.clone();
        OpenOutputs {
            final_rows: Box::new(Call(|_: &[_]| Ok(()))),
            rejected: Box::new(Call(move |_: &[_]| {
                heard.send(()).unwrap();
                Ok(())
            })),
        }
    }
}

#[test]
fn a_worker_that_sleeps_wakes_for_a_record() {
    let log = SimulatedLog::new("toy", 2);
    let (sender, heard) = std::sync::mpsc::channel();
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    // Little else wakes a worker in this job.
    let second = Duration::from_secs(1);
    let options = JobOptions { publish_every: second, epoch_every: second, ..options() };
    let (source, outputs) = (log.clone(), Alarm(sender));
    let job = Job::new(source, Words, Count, table, outputs, options);
    let (view, stop) = (new_view(), Stop::default());
    let asked = stop.clone();
    let running = std::thread::spawn(move || {
        job.run(timely::Config::process(2), &Clock::system(), &view, &asked)
    });
    let clock = Clock::system();
    let mut waits: Vec<Duration> = (0..21)
        .map(|i| {
            std::thread::park_timeout(Duration::from_millis(10)); // the workers fall asleep
            let appended = clock.elapsed();
            text(&log, i % 2, "nonsense");
            heard.recv_timeout(Duration::from_secs(20)).unwrap();
            clock.elapsed() - appended
        })
        .collect();
    waits.sort_unstable();
    println!("from a record's append to its output: median {:?}", waits[waits.len() / 2]);
    // A millisecond on a quiet machine; a worker that nothing wakes takes half of `publish_every`.
    assert!(waits[waits.len() / 2] < second / 4, "{waits:?}");
    stop.request();
    assert_eq!(running.join().unwrap().unwrap().ledger.dead_letters(), 21);
}
