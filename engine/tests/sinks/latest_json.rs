//! `OUT/latest.json`.

use std::fs;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use strandline_engine::background::{Background, Bell, Join, Spawn, Task};
use strandline_engine::clock::Clock;
use strandline_engine::sink::{Existing, LatestJson, SinkError, SinkOptions};
use strandline_engine::store::Operation;
use strandline_engine::view::View;

use crate::bench::{Bench, snapshot, until};

fn latest(bench: &Bench) -> Option<Value> {
    let bytes = fs::read(bench.there.path().join("latest.json")).ok()?;
    Some(serde_json::from_slice(&bytes).expect("a reader finds one whole document"))
}

fn latest_in_flight(bench: &Bench) -> Option<u64> {
    latest(bench)?["in_flight"].as_u64()
}

fn spawn_latest(bench: &Bench, view: &View, publish_every: Duration) -> LatestJson {
    let SinkOptions { out, report, .. } = &bench.options;
    LatestJson::spawn(out, view, publish_every, &Clock::system(), report, Existing::Append).unwrap()
}

#[test]
fn latest_json_follows_the_view_from_the_first_snapshot_to_the_last() {
    let bench = Bench::new();
    let view = View::new(snapshot(0, 0));
    let sink = spawn_latest(&bench, &view, Duration::from_millis(1));
    until("the first was not written", || latest_in_flight(&bench) == Some(0));
    for number in 1..20 {
        view.publish(snapshot(number, number));
        until("it was not replaced", || latest_in_flight(&bench) == Some(number));
    }
    view.publish(snapshot(20, 20));
    sink.close().unwrap();
    assert_eq!(latest(&bench), Some(snapshot(20, 20).to_json()));
    sink.close().unwrap();
    assert_eq!(fs::read_dir(bench.there.path()).unwrap().count(), 1);
}

#[test]
fn latest_json_is_replaced_at_most_once_in_publish_every() {
    let bench = Bench::new();
    let view = View::new(snapshot(0, 0));
    let sink = spawn_latest(&bench, &view, Duration::from_secs(3600));
    until("the first was not written", || latest_in_flight(&bench) == Some(0));
    // Another one shows that there was time to write.
    let witness = Bench::new();
    let _quick = spawn_latest(&witness, &view, Duration::from_millis(1));
    for number in 1..10 {
        view.publish(snapshot(number, number));
        until("there was no time to write", || latest_in_flight(&witness) == Some(number));
        assert_eq!(latest_in_flight(&bench), Some(0));
    }
    // Only the end does not wait for an hour.
    sink.close().unwrap();
    assert_eq!(latest_in_flight(&bench), Some(9));
}

/// Runs no task: a disk that never answers.
struct Stuck;

impl Spawn for Stuck {
    fn spawn(&self, _: &str, _: Bell, _: Box<dyn Task>) -> io::Result<Box<dyn Join>> {
        Ok(Box::new(Stuck))
    }
}

impl Join for Stuck {
    fn is_done(&self) -> bool {
        false
    }

    fn join(self: Box<Self>) -> bool {
        unreachable!("it would be waited for without a limit")
    }
}

#[test]
fn a_disk_that_does_not_answer_holds_up_no_end_of_a_job_that_failed() {
    let bench = Bench::new();
    let SinkOptions { out, report, .. } = &bench.options;
    let (view, every, clock) = (View::new(snapshot(0, 0)), Duration::from_secs(1), Clock::system());
    let stuck = Background::by(Stuck);
    let sink =
        LatestJson::spawn_by(&stuck, out, &view, every, &clock, report, Existing::Append).unwrap();
    sink.abandon(Duration::from_millis(20));
    drop(sink);
    assert_eq!(latest(&bench), None);
}

#[test]
fn a_job_that_failed_says_so_in_latest_json() {
    let bench = Bench::new();
    let view = View::new(snapshot(0, 0));
    let sink = spawn_latest(&bench, &view, Duration::from_secs(3600));
    until("the first was not written", || latest_in_flight(&bench) == Some(0));
    view.publish(snapshot(1, 1));
    sink.abandon(Duration::from_secs(60));
    assert_eq!(latest_in_flight(&bench), Some(1));
}

#[test]
fn latest_json_is_tried_again_after_a_failure_that_was_said_once() {
    let failing = Arc::new(AtomicBool::new(true));
    let bench = Bench::failing(Operation::Write, ErrorKind::StorageFull, &failing);
    let view = View::new(snapshot(0, 0));
    let sink = spawn_latest(&bench, &view, Duration::from_millis(1));
    let said = bench.heard.lines(1);
    assert!(said[0].contains("latest.json") && said[0].contains("free some space"), "{said:?}");
    failing.store(false, Ordering::SeqCst);
    until("it was not tried again", || latest_in_flight(&bench) == Some(0));
    assert!(bench.heard.lines(2)[1].contains("written again"));

    failing.store(true, Ordering::SeqCst);
    view.publish(snapshot(1, 1));
    let error = sink.close().unwrap_err();
    assert!(matches!(error, SinkError::Latest { .. }), "{error}");
    assert_eq!(latest_in_flight(&bench), Some(0));
}
