//! Devices whose clocks are wrong, and how a job gets over them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_engine::checkpoint::Checkpoints;
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobOptions, Stop, Summary};
use strandline_engine::report::Report;
use strandline_engine::sink::RunId;
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::table::Table;
use strandline_engine::view::Snapshot;
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use tempfile::TempDir;

use crate::toy::{Count, Kept, Running, Words, new_view, options};

const DAY: Duration = Duration::from_secs(86_400);
const NOW: EventTime = EventTime::from_millis(1_730_638_570_000);

/// A record with a Kafka timestamp of its own.
fn record(log: &SimulatedLog, partition: u32, key: &str, time: EventTime, timestamp: EventTime) {
    let text = format!("{key} {}", time.as_millis());
    log.append(Partition(partition), Some(timestamp), Some(text.into_bytes()));
}

#[test]
fn a_device_whose_clock_stays_at_1970_holds_nothing_back_beyond_max_past() {
    let log = SimulatedLog::new("toy", 2);
    let options = JobOptions { max_past: Some(DAY), ..options() };
    let running = Running::start(log.clone(), 2, options);
    let (mut time, clock) = (NOW, Clock::system());
    let mut snapshot = running.view.latest();
    while snapshot.final_rows < 3 {
        assert!(clock.elapsed() < Duration::from_secs(20), "{snapshot:#?}");
        // More than a partition may be ahead of others.
        time = time + Duration::from_secs(30);
        record(&log, 0, "right", time, time);
        record(&log, 1, "wrong", EventTime::from_millis(17_000), time);
        snapshot = running.view.newer_than(snapshot.number, Duration::from_millis(20));
    }
    let (kept, summary) = running.stop();
    assert!(kept.rejected_codes().values().all(|code| *code == "past"));
    assert!(summary.unwrap().ledger.balances());
}

/// Runs of one job that go on where the one before was stopped.
struct Runs {
    there: TempDir,
    log: SimulatedLog,
    said: Arc<Mutex<Vec<String>>>,
}

impl Runs {
    fn run_until(
        &self,
        lowered: BTreeMap<Partition, EventTime>,
        condition: impl Fn(&Snapshot) -> bool,
    ) -> (Kept, Summary) {
        let (clock, kept, view, stop) =
            (Clock::system(), Kept::default(), new_view(), Stop::default());
        let said = Arc::clone(&self.said);
        let checkpoints = Checkpoints {
            blobs: Arc::new(ObjectBlobs::local(self.there.path().join("checkpoints")).unwrap()),
            every: Duration::from_millis(20),
            keep: 3,
            fresh: false,
            start: RunId::fresh(&clock),
            shape: [].into(),
            outputs: None,
        };
        let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
        let options = JobOptions { idle_after: DAY, ..options() };
        let job = Job::new(self.log.clone(), Words, Count, table, kept.clone(), options)
            .with_checkpoints(Some(checkpoints))
            .with_lowered_event_times(lowered)
            .with_report(Report::new(move |line| said.lock().unwrap().push(line.to_owned())));
        let summary = std::thread::scope(|scope| {
            let run = scope.spawn(|| job.run(timely::Config::process(2), &clock, &view, &stop));
            let mut snapshot = view.latest();
            while !condition(&snapshot) {
                assert!(!run.is_finished() && clock.elapsed() < Duration::from_secs(20));
                snapshot = view.newer_than(snapshot.number, Duration::from_millis(50));
            }
            stop.request();
            run.join().unwrap().unwrap()
        });
        (kept, summary)
    }

    /// How many records of the key "right" final rows count.
    fn right(kept: &Kept) -> u64 {
        kept.plain_rows().iter().filter(|row| row.0 == "right").map(|row| row.2).sum()
    }
}

/// A wrong clock has set both times, and everything that the partition brings then is late. It is put
/// right at the next start, and what comes then counts; what was closed stays closed.
#[test]
fn a_partition_that_a_wrong_clock_has_dragged_ahead_is_put_right_at_a_start() {
    let there = tempfile::tempdir().unwrap();
    let log = SimulatedLog::new("toy", 2);
    let runs = Runs { there, log: log.clone(), said: Arc::default() };
    let second = |second: u64| NOW + Duration::from_secs(second);
    let far = NOW + DAY * 365;
    record(&log, 0, "right", second(1), second(1));
    record(&log, 1, "other", second(16), second(16));
    record(&log, 0, "wrong", far, far);
    record(&log, 0, "right", second(2), second(2)); // late
    // The watermark of partition 1 closes the first window.
    let (_, summary) = runs.run_until(BTreeMap::new(), |s| s.final_rows == 1 && s.ledger.read == 4);
    assert_eq!(summary.ledger.late, 1);

    // In the window that is closed, and in later ones. The time given is before what was closed.
    record(&log, 0, "right", second(3), second(3));
    record(&log, 0, "right", second(12), second(12));
    record(&log, 0, "right", second(13), second(13));
    let lowered = BTreeMap::from([(Partition(0), second(0)), (Partition(7), second(0))]);
    let (_, summary) = runs.run_until(lowered, |s| s.ledger.read == 7);
    assert_eq!((summary.ledger.late, summary.ledger.windowed), (2, 5));
    let said = runs.said.lock().unwrap().join("\n");
    assert!(said.contains("partition 0: its greatest event time was 2025-11-03"), "{said}");
    assert!(said.contains("does not know partition 7"), "{said}");

    // Without the option at the next start.
    record(&log, 0, "right", second(26), second(26));
    record(&log, 1, "other", second(26), second(26));
    let (kept, summary) = runs.run_until(BTreeMap::new(), |s| s.final_rows == 3);
    assert_eq!((Runs::right(&kept), summary.ledger.late), (2, 2));
    assert!(summary.ledger.balances());
}

#[test]
fn that_workers_stand_empty_beside_new_partitions_is_said_once() {
    let log = SimulatedLog::new("toy", 1);
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let (heard, stop, view) = (Arc::clone(&said), Stop::default(), new_view());
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let job = Job::new(log.clone(), Words, Count, table, Kept::default(), options())
        .with_report(Report::new(move |line| heard.lock().unwrap().push(line.to_owned())));
    let clock = Clock::system();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| job.run(timely::Config::process(3), &clock, &view, &stop));
        for partitions in 1..=3 {
            let mut snapshot = view.latest();
            while snapshot.partitions.len() < partitions {
                assert!(!run.is_finished() && clock.elapsed() < Duration::from_secs(20));
                snapshot = view.newer_than(snapshot.number, Duration::from_millis(50));
            }
            log.add_partition();
        }
        stop.request();
        run.join().unwrap().unwrap();
    });
    let said = said.lock().unwrap();
    let about: Vec<&String> =
        said.iter().filter(|line| line.contains("restart to spread")).collect();
    assert_eq!(about.len(), 1, "{said:?}");
    assert!(about[0].contains("partition 1") && about[0].contains("2 of 3 workers"), "{about:?}");
}
