//! Rows of very many dates: they need neither many descriptors nor a file each.
//!
//! Each job runs in a process of its own that may have 256 descriptors.
#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use strandline_engine::checkpoint::Checkpoints;
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobOptions, Stop};
use strandline_engine::report::Report;
use strandline_engine::sink::{FileOutputs, ParquetCodec, Roll, RunId};
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::store::Directory;
use strandline_engine::table::Table;
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Count;
use strandline_operators::decode::JsonFields;
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::Tumbling;

/// Tells the process that a test starts where its outputs go, and which job it runs.
const OUT: &str = "STRANDLINE_TEST_MANY_DATES_OUT";
const JOB: &str = "STRANDLINE_TEST_MANY_DATES_JOB";
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 2020-01-01.
const BEGIN_MS: i64 = 1_577_836_800_000;

fn append(log: &SimulatedLog, event_ms: i64, log_ms: i64, payload: Option<&str>) {
    let text = format!(r#"{{"id":"a device","ts":{event_ms}}}"#);
    let payload = payload.map_or(text, ToOwned::to_owned).into_bytes();
    log.append(Partition(0), Some(EventTime::from_millis(log_ms)), Some(payload));
}

/// What the job of this name reads.
fn log(job: &str) -> SimulatedLog {
    let log = SimulatedLog::new("t", 1);
    match job {
        // One device, a record an hour, for four years.
        "history" => (0..36_000).for_each(|hour| {
            let time = BEGIN_MS + hour * HOUR_MS;
            append(&log, time, time, None);
        }),
        // 2000 records that are late by up to 400 days, and as many that cannot be read, with as
        // many dates, one after the other.
        "late" => {
            let now = BEGIN_MS + 500 * DAY_MS;
            append(&log, now, now, None);
            for n in 0..2000 {
                let then = BEGIN_MS + (n % 400) * DAY_MS;
                append(&log, then, now, None);
                append(&log, then, then, Some("nonsense"));
            }
        }
        other => panic!("{other}"),
    }
    log.bounded()
}

/// Not a test by itself: [`run`] runs it in another process.
#[test]
fn job_with_few_descriptors() {
    let Some(out) = std::env::var_os(OUT) else { return };
    let (out, name) = (Path::new(&out), std::env::var(JOB).unwrap());
    let clock = Clock::system();
    let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
    let table = Arc::new(Table::new::<(u64,)>("id", "ids", &["count"]));
    let report = Report::new(|line| println!("{line}"));
    let outputs = FileOutputs {
        out: Directory::local(out),
        run: RunId::fresh(&clock),
        roll: Roll::default(),
        codec: ParquetCodec::default(),
        clock: clock.clone(),
        report: report.clone(),
        table: Table::clone(&table),
        topic: "t".into(),
        windows,
    };
    let (name, every) = name.split_once(' ').unwrap();
    let checkpoints = Checkpoints {
        blobs: Arc::new(ObjectBlobs::local(out.join("checkpoints")).unwrap()),
        every: Duration::from_millis(every.parse().unwrap()),
        keep: 3,
        fresh: false,
        start: RunId::fresh(&clock),
        shape: BTreeMap::new(),
        outputs: None,
    };
    let decoder = JsonFields::new("id", "ts", ["x"]);
    let view = View::new(Snapshot::empty("t", Arc::clone(&table), clock.wall()));
    let summary = Job::new(log(name), decoder, (Count,), table, outputs, JobOptions::new(windows))
        .with_checkpoints(Some(checkpoints))
        .with_report(report)
        .run(timely::Config::process(2), &clock, &view, &Stop::default())
        .unwrap();
    assert!(summary.finished);
}

/// Runs a job in a process with 256 descriptors, and gives the files of each output.
fn run(job: &str, checkpoint_every_ms: u32) -> BTreeMap<String, usize> {
    let out = tempfile::tempdir().unwrap();
    let begun = Clock::system();
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -n 256; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "many_dates::job_with_few_descriptors", "--nocapture"])
        .env(OUT, out.path())
        .env(JOB, format!("{job} {checkpoint_every_ms}"))
        .output()
        .unwrap();
    println!("{job} with a checkpoint every {checkpoint_every_ms} ms: {:?}", begun.elapsed());
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let said = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{}", said.0, said.1);
    assert!(!said.0.contains("open files"), "{}", said.0);
    let files = |output: &&str| (output.to_string(), files(&out.path().join(output)));
    ["parquet", "late", "dead_letters"].iter().map(files).collect()
}

fn files(path: &Path) -> usize {
    let Ok(folders) = std::fs::read_dir(path) else { return 0 };
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn a_history_of_four_years_needs_few_descriptors() {
    // A checkpoint a second, and none before the end.
    for every_ms in [1000, 600_000] {
        let files = run("history", every_ms);
        assert!((1500..1600).contains(&files["parquet"]), "{files:?}");
    }
}

#[test]
fn late_records_and_dead_letters_of_many_dates_become_a_file_a_date() {
    let files = run("late", 5000);
    let expected = [("dead_letters", 400), ("late", 400), ("parquet", 1)];
    assert_eq!(files, expected.map(|(output, files)| (output.to_owned(), files)).into());
}
