//! `/metrics`, for programs.

use std::path::Path;

use strandline_engine::view::Snapshot;

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
    let snapshot = snapshot_with_everything();
    holds_golden("metrics.prometheus", scrape(snapshot.clone(), "text/plain").text());
    let open_metrics = scrape(snapshot, "application/openmetrics-text");
    holds_golden("metrics.openmetrics", open_metrics.text());
}

#[test]
fn before_the_first_record_there_is_no_watermark_to_tell() {
    let fleet = Fleet { is_empty: true, ..Fleet::new(8) };
    let answer = scrape(fleet.snapshot(0), "text/plain");
    holds_golden("metrics_empty.prometheus", answer.text());
    assert!(!answer.text().contains("watermark"));
    assert_eq!(START.as_millis() % 1000, 0);
}
