//! The main job over simulated topics against the oracle: a naive batch computation that shares no
//! code with the operators.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobOptions, Stop, Summary};
use strandline_engine::report::Report;
use strandline_engine::sink::{Existing, FileOutputs, ParquetCodec, Roll, RunId, prepare};
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::store::Directory;
use strandline_engine::table::Table;
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::{Average, Count, Max, Min};
use strandline_operators::decode::{JsonFields, Metrics};
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::Tumbling;
use strandline_sim::judge::{Found, MAIN_JOB};
use strandline_sim::log::{LogOptions, simulated_log};
use strandline_sim::oracle::{LoggedRecord, OracleOptions, Outcome, outcome};

type MainRow = (u64, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

fn topic(log: &[Vec<LoggedRecord>]) -> SimulatedLog {
    let topic = SimulatedLog::new("iot-metrics", u32::try_from(log.len()).unwrap()).bounded();
    for (partition, records) in (0..).zip(log) {
        let mut next = 0;
        for record in records {
            let timestamp = record.timestamp_ms.map(EventTime::from_millis);
            let gap = record.offset - next;
            topic.append_after_gap(Partition(partition), gap, timestamp, record.payload.clone());
            next = record.offset + 1;
        }
    }
    topic
}

fn run(topic: SimulatedLog, workers: usize, out: &Path) -> Summary {
    let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
    let names: Vec<&str> = MAIN_JOB.iter().map(|(name, _)| *name).collect();
    let table = Arc::new(Table::new::<MainRow>("device_id", "devices", &names));
    let clock = Clock::system();
    let first = Snapshot::empty("iot-metrics", Arc::clone(&table), clock.wall());
    let directory = Directory::local(out);
    prepare(&directory, Existing::Refuse, Some(&first.to_json())).unwrap();
    let outputs = FileOutputs {
        out: directory,
        run: RunId::fresh(&clock),
        roll: Roll { rows: 200, ..Roll::default() },
        codec: ParquetCodec::default(),
        clock: clock.clone(),
        report: Report::silent(),
        table: Table::clone(&table),
        topic: "iot-metrics".to_owned(),
        windows,
    };
    let metric = |index| move |message: &Metrics<3>| message.get(index);
    let job = Job::new(
        topic,
        JsonFields::new("device_id", "ts", ["temperature", "humidity", "battery"]),
        (Count, Average(metric(0)), Average(metric(1)), Min(metric(2)), Max(metric(2))),
        table,
        outputs,
        JobOptions {
            epoch_every: Duration::from_millis(3),
            publish_every: Duration::from_millis(10),
            ..JobOptions::new(windows)
        },
    );
    let (config, view) = (timely::Config::process(workers), View::new(first));
    let summary = job.run(config, &clock, &view, &Stop::default()).unwrap();
    assert!(view.latest().ledger.balances());
    summary
}

fn check(expected: &Outcome, found: &Found, summary: &Summary, label: &str) {
    found.compare(expected, &MAIN_JOB).unwrap_or_else(|wrong| panic!("{label}: {wrong}"));
    let ledger = &summary.ledger;
    let (e, read) = (&expected.ledger, ledger.read);
    assert_eq!(
        (read, ledger.windowed, ledger.late, ledger.dead_letters()),
        (e.read, e.windowed, e.late, e.dead_letters),
        "{label}"
    );
    assert!(ledger.balances() && summary.finished, "{label}");
    assert_eq!(summary.final_rows, expected.rows.len() as u64, "{label}");
}

/// Every number of workers gives the oracle's rows, and the same bits as every other.
fn rows_are_the_oracles(seed: u64, partitions: u32, messages: u64, options: &LogOptions) {
    let log = simulated_log(seed, partitions, messages, options).unwrap();
    let expected = outcome(&log, &OracleOptions::default());
    assert!(0 < expected.ledger.late && 0 < expected.ledger.dead_letters, "a log with everything");
    let mut first: Option<Found> = None;
    for workers in [1, 2, 3, 4, 8] {
        let label = format!("seed {seed}, {partitions} partitions, {workers} workers");
        let out = tempfile::tempdir().unwrap();
        let summary = run(topic(&log), workers, out.path());
        let found = Found::read(out.path(), &MAIN_JOB).unwrap();
        check(&expected, &found, &summary, &label);
        for ((partition, offset), record) in found.late.iter().chain(&found.dead) {
            let records = &log[usize::try_from(*partition).unwrap()];
            let logged = records.iter().find(|r| r.offset.cast_signed() == *offset).unwrap();
            assert_eq!(record.payload, logged.payload, "{label}: the original bytes");
            assert_eq!(record.timestamp_ms, logged.timestamp_ms, "{label}");
        }
        let found = Found { files: 0, ..found };
        let bits = |found: &Found| -> BTreeSet<(i64, String, Vec<Option<u64>>)> {
            let rows = found.rows.values();
            rows.map(|row| {
                let bits = row.values.iter().map(|value| value.map(f64::to_bits)).collect();
                (row.window_start_ms, row.key.clone(), bits)
            })
            .collect()
        };
        match &first {
            None => first = Some(found),
            Some(first) => {
                assert_eq!(bits(first), bits(&found), "{label}: equal to the last bit");
                assert_eq!(first, &found, "{label}");
            }
        }
    }
}

#[test]
fn rows_are_the_oracles_for_one_to_sixteen_partitions() {
    for (seed, partitions) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 16)] {
        rows_are_the_oracles(seed, partitions, 12_000, &LogOptions::default());
    }
}

#[test]
fn rows_are_the_oracles_where_partitions_are_empty() {
    let options = LogOptions { empty_partitions: 3, ..LogOptions::default() };
    rows_are_the_oracles(11, 6, 12_000, &options);
}

#[test]
fn rows_are_the_oracles_for_many_devices_that_move() {
    let mut options = LogOptions { moving_devices: 200, moves_every: 3, ..LogOptions::default() };
    options.fleet.devices = 300;
    rows_are_the_oracles(12, 4, 20_000, &options);
}
