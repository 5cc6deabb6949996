//! The outputs of a hostile topic, for `scripts/check-readers`: whatever senders do, other programs can
//! read the files.
#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobOptions, Stop};
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

/// Where the outputs go, if a script wants to look at them: a folder for each codec.
const OUT: &str = "STRANDLINE_READERS_OUT";
/// 2024-11-03.
const NOW_MS: i64 = 1_730_638_574_123;
/// The last millisecond of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;

/// Kafka timestamps as senders set them: in other units, negative, at and beyond the ends of what
/// readers know.
const LOG_TIMES_MS: [Option<i64>; 16] = [
    None,
    Some(0),
    Some(NOW_MS),
    Some(NOW_MS / 1000),
    Some(NOW_MS * 1000),
    Some(NOW_MS * 1_000_000),
    Some(-1),
    Some(-86_400_000),
    Some(-62_135_596_800_000),
    Some(-62_167_219_200_001),
    Some(9_223_372_036_854),
    Some(9_223_372_036_855),
    Some(LAST_MS),
    Some(LAST_MS + 1),
    Some(i64::MIN),
    Some(i64::MAX),
];

/// Keys that somebody may take for something else, as in JSON.
const KEYS: [&str; 12] = [
    "a device",
    r"\u0000",
    r"a\u0000b",
    r"\n\r\t",
    r#"\"quoted\", 'so'"#,
    "NaN",
    "null",
    "-0",
    "2024-11-03",
    "\u{1f4a5}\u{202e}",
    "<script>alert(1)</script>",
    "/../..",
];

/// Values at the ends of what a float holds.
const VALUES: [&str; 7] =
    ["1.7976931348623157e308", "-1e308", "5e-324", "-0.0", "0", "null", "1e15"];

/// A topic of two partitions; how many records of it are windowed, late, dead.
fn hostile() -> (SimulatedLog, [u64; 3]) {
    let log = SimulatedLog::new("hostile\u{1f4a5}", 3);
    let time = |millis: Option<i64>| millis.map(EventTime::from_millis);
    let append = |partition, at: Option<i64>, payload: Option<Vec<u8>>| {
        log.append(Partition(partition), time(at), payload);
    };
    let record = |key: &str, ts: i64, value: &str| {
        Some(format!(r#"{{"id":"{key}","ts":{ts},"value":{value}}}"#).into_bytes())
    };
    let (mut windowed, mut late, mut dead) = (0, 0, 0);
    for key in KEYS {
        for value in VALUES {
            append(0, Some(NOW_MS), record(key, NOW_MS, value));
            windowed += 1;
        }
    }
    append(0, Some(NOW_MS), record(&"k".repeat(256), NOW_MS, "1"));
    windowed += 1;
    for at in LOG_TIMES_MS {
        // Late, by any number of years, whenever the log says that it came.
        for ts in [0, 1, NOW_MS / 1000, NOW_MS - 400 * 86_400_000, NOW_MS - 3_600_000] {
            // Before 1970 the log would be the later one.
            if at.is_none_or(|at| ts <= at.saturating_add(3_600_000)) {
                append(0, at, record("late", ts, "1"));
                late += 1;
            }
        }
        let unreadable: [Option<&[u8]>; 5] = [
            None,
            Some(b""),
            Some(b"\xff\xfe\x00not JSON"),
            Some(br#"{"id":"a","ts":9223372036854775807}"#),
            Some(br#"{"id":"a","ts":-1}"#),
        ];
        for payload in unreadable {
            append(0, at, payload.map(<[u8]>::to_vec));
            dead += 1;
        }
    }
    append(0, Some(NOW_MS), Some(vec![b'x'; 3 << 20]));
    dead += 1;
    // The first and the last moment that there are.
    append(1, Some(0), record("first", 0, "1"));
    append(2, Some(LAST_MS), record("last", LAST_MS, "1"));
    windowed += 2;
    (log, [windowed, late, dead])
}

fn run(out: &Path, codec: ParquetCodec) {
    let (log, [windowed, late, dead]) = hostile();
    let clock = Clock::system();
    let windows = Tumbling::of(std::time::Duration::from_secs(10)).unwrap();
    let columns = ["count", "average", "least", "greatest"];
    let table = Table::new::<(u64, Option<f64>, Option<f64>, Option<f64>)>("id", "ids", &columns);
    let table = Arc::new(table);
    let report = Report::new(|line| println!("{line}"));
    let directory = Directory::local(out);
    prepare(&directory, Existing::Replace, None).unwrap();
    let outputs = FileOutputs {
        out: directory,
        run: RunId::fresh(&clock),
        roll: Roll::default(),
        codec,
        clock: clock.clone(),
        report: report.clone(),
        table: Table::clone(&table),
        topic: "hostile\u{1f4a5}".into(),
        windows,
    };
    let metric = |message: &Metrics<1>| message.get(0);
    let decoder = JsonFields::new("id", "ts", ["value"]);
    let aggregates = (Count, Average(metric), Min(metric), Max(metric));
    let view = View::new(Snapshot::empty("t", Arc::clone(&table), clock.wall()));
    let options = JobOptions::new(windows);
    let summary = Job::new(log.bounded(), decoder, aggregates, table, outputs, options)
        .with_report(report)
        .run(timely::Config::process(2), &clock, &view, &Stop::default())
        .unwrap();
    let ledger = &summary.ledger;
    let found = [ledger.windowed, ledger.late, ledger.dead_letters()];
    assert_eq!(found, [windowed, late, dead], "{ledger:?}");
    let expected =
        BTreeMap::from([("parquet", summary.final_rows), ("late", late), ("dead_letters", dead)]);
    std::fs::write(out.join("expected.json"), serde_json::to_vec(&expected).unwrap()).unwrap();
}

#[test]
fn outputs_of_a_hostile_topic() {
    let there = tempfile::tempdir().unwrap();
    let place = std::env::var_os(OUT).map_or_else(|| there.path().to_owned(), PathBuf::from);
    for codec in ParquetCodec::ALL {
        let out = place.join(codec.name());
        run(&out, codec);
        for output in ["parquet", "late", "dead_letters"] {
            for date in std::fs::read_dir(out.join(output)).unwrap().map(Result::unwrap) {
                let date = date.file_name().into_string().unwrap();
                // Four digits, from 1970 on: what every reader takes for a date.
                let year = date.strip_prefix("date=").and_then(|date| date.get(..4)).unwrap();
                assert!((1970..=9999).contains(&year.parse::<u32>().unwrap()), "{date}");
            }
        }
    }
}
