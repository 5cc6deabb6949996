//! `/metrics`, for programs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use strandline_engine::telemetry::{CheckpointMeasures, KafkaMeasures, OutputMeasures};
use strandline_engine::view::{Snapshot, View};

use crate::client::{Answer, ask, get};
use crate::fleet::{Fleet, START, hostile_keys};
use crate::serve;

fn scrape(snapshot: Snapshot, accept: &str) -> Answer {
    let (dashboard, _view) = serve(snapshot);
    ask(dashboard.local_addr(), "GET", "/metrics", &[("Accept", accept)])
}

#[test]
fn json_is_the_document_of_the_snapshot() {
    for keys in [hostile_keys(), Vec::new()] {
        let fleet = Fleet { keys, ..Fleet::new(0) };
        let snapshot = fleet.snapshot(3);
        // As text: reading numbers back rounds them.
        assert_eq!(scrape(snapshot.clone(), "*/*").text(), snapshot.to_json().to_string());
    }
}

#[test]
fn json_holds_all_rows_however_many() {
    let (dashboard, _view) = serve(Fleet::new(10_000).snapshot(1));
    let document = get(dashboard.local_addr(), "/metrics").json();
    assert_eq!(document["devices"].as_array().unwrap().len(), 10_000);
}

/// Whoever compares the page with `/metrics` has to know that both tell of the same moment.
#[test]
fn the_snapshot_is_named_in_every_format() {
    let (dashboard, view) = serve(Fleet::new(2).snapshot(41));
    view.publish(Fleet::new(2).snapshot(42));
    let address = dashboard.local_addr();
    for accept in ["application/json", "text/plain", "application/openmetrics-text"] {
        let answer = ask(address, "GET", "/metrics", &[("Accept", accept)]);
        assert_eq!(answer.header("Strandline-Snapshot"), Some("42"), "{accept}");
    }
    let shown = get(address, "/api/view");
    assert_eq!(shown.header("Strandline-Snapshot"), Some("42"));
    assert_eq!(shown.json()["snapshot"], 42);
    assert!(get(address, "/").text().contains("data-snapshot=\"42\""));
}

#[test]
fn the_format_is_negotiated() {
    let asked = [
        ("application/json", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
        ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text; version=1.0.0, text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (
            "application/openmetrics-text;q=0.4, text/plain;q=0.5",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
    ];
    for (accept, content_type) in asked {
        let answer = scrape(Fleet::new(2).snapshot(1), accept);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("Content-Type"), Some(content_type), "{accept}");
        assert_eq!(answer.header("Vary"), Some("accept"));
    }
}

/// `UPDATE=1 cargo test -p strandline-dashboard` writes the golden files anew.
#[expect(clippy::disallowed_methods, reason = "a test's golden files are not a job's")]
fn holds_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let golden = golden.as_str();
    assert!(golden == text, "{name} differs from what is written now:\n{text}");
}

/// A topic that needs escaping, a ledger with a hole, a partition without a time.
fn snapshot_with_everything() -> Snapshot {
    let fleet = Fleet { lost: 2, ..Fleet::new(8) };
    let mut snapshot = fleet.snapshot(12);
    snapshot.topic = "a\"quoted\\topic\nof two lines".to_owned();
    snapshot.partitions[1].watermark = strandline_operators::time::EventTime::MIN;
    snapshot.partitions[1].max_event_time = None;
    snapshot.partitions[1].skipped = 5;
    snapshot
}

#[test]
fn prometheus_format() {
    for (name, accept) in [
        ("metrics.prometheus", "text/plain"),
        ("metrics.openmetrics", "application/openmetrics-text"),
    ] {
        holds_golden(name, &without_process(scrape_everything(accept).text()));
    }
}

/// The answer with every family that there is.
pub(crate) fn scrape_everything(accept: &str) -> Answer {
    let (dashboard, view) = serve(snapshot_with_everything());
    measure_everything(&view);
    ask(dashboard.local_addr(), "GET", "/metrics", &[("Accept", accept)])
}

fn measure_everything(view: &View) {
    view.telemetry().measure(|measures| {
        measures.kafka = KafkaMeasures {
            is_connected: Some(true),
            errors: 3,
            throttled: Duration::from_millis(1500),
            bytes_in_flight: 65_536,
        };
        measures.checkpoints = CheckpointMeasures {
            completed: 7,
            failures: 1,
            removal_failures: 2,
            last_completed_at: Some(START),
            last_duration: Some(Duration::from_millis(125)),
            last_state_bytes: 4096,
        };
        let output = OutputMeasures {
            rows_waiting: 5,
            bytes_waiting: 600,
            oldest_waiting_since: Some(START),
            failures: 2,
            retries: 4,
        };
        measures.outputs = [("parquet", output), ("late", OutputMeasures::default())]
            .map(|(name, output)| (name.to_owned(), output))
            .into();
    });
}

/// What differs from one look to the next is left out.
fn without_process(text: &str) -> String {
    let is_stable = |line: &&str| !line.contains("process_") || line.starts_with("# HELP");
    text.lines().filter(is_stable).map(|line| format!("{line}\n")).collect()
}

/// The families of an answer with their types.
pub(crate) fn families(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let pair = |line: &str| line.split_once(' ').map(|(name, kind)| (name.into(), kind.into()));
    types.filter_map(pair).collect()
}

/// A table that says less or more than the program is worse than none.
#[expect(clippy::disallowed_methods, reason = "the book is not a job's")]
#[test]
fn every_metric_is_listed_in_the_book_and_every_one_listed_exists() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/src/metrics.md");
    let book = std::fs::read_to_string(path).unwrap();
    let rows = book.lines().filter(|line| line.starts_with("| `"));
    let listed = rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
        let (name, kind) = (cells.nth(1).unwrap(), cells.next().unwrap());
        (name.to_owned(), kind.to_owned())
    });
    let listed: BTreeMap<String, String> = listed.collect();
    assert_eq!(families(scrape_everything("text/plain").text()), listed);
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    for snapshot in [snapshot_with_everything(), Fleet::new(8).snapshot(3)] {
        let (dashboard, view) = serve(snapshot);
        measure_everything(&view);
        let text = get(dashboard.local_addr(), "/metrics?format=prometheus");
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is needed: it is in Debian's package prometheus");
        promtool.stdin.take().unwrap().write_all(&text.body).unwrap();
        let said = promtool.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && words.is_empty(), "{words}");
    }
}

#[test]
fn before_the_first_record_there_is_no_watermark_to_tell() {
    let fleet = Fleet { is_empty: true, ..Fleet::new(8) };
    let answer = scrape(fleet.snapshot(0), "text/plain");
    holds_golden("metrics_empty.prometheus", &without_process(answer.text()));
    assert!(!answer.text().contains("watermark_timestamp"));
    assert_eq!(START.as_millis() % 1000, 0);
}

#[test]
fn counters_are_those_of_this_run_and_gauges_those_of_the_job() {
    let mut snapshot = Fleet::new(2).snapshot(1);
    let view = &mut snapshot.partitions[0];
    view.ledger_before = view.ledger;
    (view.skipped, view.skipped_before) = (7, 5);
    (snapshot.final_rows, snapshot.final_rows_before) = (100, 90);
    let (total, rest) = (snapshot.ledger, snapshot.ledger.since(&snapshot.partitions[0].ledger));
    let (dashboard, _view) = serve(snapshot);
    let text = get(dashboard.local_addr(), "/metrics?format=prometheus").text().to_owned();
    for line in [
        format!("strandline_records_read_total {}", rest.read),
        format!("strandline_records_windowed_total {}", rest.windowed),
        format!("strandline_dead_letters_total{{reason=\"not_json\"}} {}", rest.dead[1]),
        format!("strandline_job_records_read {}", total.read),
        format!("strandline_job_dead_letters {}", total.dead_letters()),
        "strandline_final_rows_total 10".to_owned(),
        "strandline_job_final_rows 100".to_owned(),
        "strandline_partition_records_read_total{topic=\"greenhouse-metrics\",partition=\"0\"} 0".to_owned(),
        "strandline_partition_offsets_skipped_total{topic=\"greenhouse-metrics\",partition=\"0\"} 2".to_owned(),
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
    assert_ne!(total.read, rest.read);
}
