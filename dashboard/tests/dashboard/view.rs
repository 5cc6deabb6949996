//! `/api/view`: what the page polls.

use serde_json::{Value, json};
use strandline_engine::condition::{ConditionKind, Conditions, JobCondition};
use strandline_engine::view::{PartitionState, Phase, Snapshot, Unreadable, WaitsFor};
use strandline_operators::decode::DeadReason;
use strandline_operators::record::Offset;
use strandline_operators::time::EventTime;

use crate::client::get;
use crate::fleet::{Fleet, hostile_keys};
use crate::serve;

fn shown(snapshot: Snapshot, query: &str) -> Value {
    let (dashboard, _view) = serve(snapshot);
    get(dashboard.local_addr(), &format!("/api/view{query}")).json()
}

#[test]
fn it_says_what_metrics_says() {
    let snapshot = Fleet::new(8).snapshot(5);
    // Through text, as what is compared with it: reading numbers back rounds them.
    let document: Value = serde_json::from_str(&snapshot.to_json().to_string()).unwrap();
    let shown = shown(snapshot, "");
    for name in ["window", "final", "watermark", "in_flight", "epoch"] {
        assert_eq!(shown[name], document[name], "{name}");
    }
    for name in ["read", "windowed", "late", "dead_letters"] {
        assert_eq!(shown["ledger"][name], document["ledger"][name], "{name}");
    }
    let columns = ["count", "avg_temperature", "avg_humidity", "min_battery", "max_battery"];
    let rows: Vec<Value> = document["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["device_id"], columns.map(|column| &row[column])]))
        .collect();
    assert_eq!(shown["rows"]["shown"], Value::Array(rows));
}

#[test]
fn an_answer_stays_small_however_many_there_are() {
    let fleet = Fleet { partitions: 3000, ..Fleet::new(100_000) };
    let (dashboard, _view) = serve(fleet.snapshot(1));
    let address = dashboard.local_addr();
    for path in ["/api/view", "/api/view?limit=100000", "/api/view?find=e&page=77", "/"] {
        let bytes = get(address, path).body.len();
        assert!(bytes < 150_000, "{path}: {bytes}");
    }
    let shown = get(address, "/api/view?page=2").json();
    assert_eq!(shown["rows"]["note"], "51–100 of 100,000 devices");
    assert_eq!(shown["partitions_count"], 3000);
    assert_eq!(shown["partitions"].as_array().unwrap().len(), 100);
    let holding =
        shown["partitions"].as_array().unwrap().iter().find(|one| one["holds_back"] == true);
    assert_eq!(holding.unwrap()["partition"], 2998);
}

#[test]
fn rows_are_found_by_part_of_their_key() {
    let snapshot = Fleet::new(100).snapshot(1);
    let found = shown(snapshot.clone(), "?find=LAMP&limit=5");
    assert_eq!(found["rows"]["note"], "1–5 of 12 that match, of 100 devices");
    assert_eq!(found["rows"]["shown"][0][0], "lamp-006");
    let none = shown(snapshot, "?find=nobody");
    assert_eq!(none["rows"]["note"], "0 that match, of 100 devices");
}

#[test]
fn any_key_comes_through_as_it_is() {
    let fleet = Fleet { keys: hostile_keys(), ..Fleet::new(0) };
    let shown = shown(fleet.snapshot(1), "");
    let keys: Vec<&str> =
        shown["rows"]["shown"].as_array().unwrap().iter().map(|r| r[0].as_str().unwrap()).collect();
    assert_eq!(keys, hostile_keys());
}

#[test]
fn the_partition_that_holds_the_watermark_is_named() {
    let mut snapshot = Fleet::new(8).snapshot(1);
    assert_eq!(shown(snapshot.clone(), "")["watermark_note"], "waits for partition 3");

    // One that is silent holds nothing, however far behind it is.
    snapshot.partitions[2].watermark = EventTime::from_millis(0);
    assert_eq!(shown(snapshot.clone(), "")["watermark_note"], "waits for partition 3");

    // One from which nothing has been read holds everything.
    snapshot.partitions[1].watermark = EventTime::MIN;
    let document = shown(snapshot.clone(), "");
    assert_eq!(document["watermark_note"], "waits for partition 1");
    assert_eq!(document["partitions"][1]["watermark"], Value::Null);
    assert_eq!(document["partitions"][1]["state_note"], "holds the watermark");

    for partition in &mut snapshot.partitions {
        partition.state = PartitionState::Idle;
    }
    let note = &shown(snapshot.clone(), "")["watermark_note"];
    assert_eq!(note, "all partitions are idle");
    snapshot.partitions.clear();
    assert_eq!(shown(snapshot, "")["watermark_note"], "no partition is being read yet");
}

#[test]
fn an_open_window_says_what_it_waits_for() {
    let mut snapshot = Fleet::new(8).snapshot(1);
    snapshot.open_windows[1].waits_for = WaitsFor::Nothing;
    snapshot.open_windows[3].waits_for = WaitsFor::Record;
    let open = &shown(snapshot.clone(), "")["open_windows"];
    assert_eq!(open[0]["waits_for"], "partition 3, 5 s to go");
    assert_eq!(open[1]["waits_for"], "nothing: it is closing");
    assert_eq!(open[2]["waits_for"], "partition 3, 25 s to go");
    assert_eq!(open[3]["waits_for"], "a record: all partitions are idle");
    let unreadable = JobCondition::plain(ConditionKind::NothingCanBeRead, snapshot.at);
    snapshot.conditions = Conditions::of(vec![unreadable]);
    let open = &shown(snapshot, "")["open_windows"];
    assert_eq!(open[3]["waits_for"], "a record that can be read");
}

#[test]
fn a_lag_is_unknown_while_there_are_no_partitions() {
    let mut snapshot = Fleet::new(8).snapshot(1);
    assert!(shown(snapshot.clone(), "")["lag"].is_u64());
    snapshot.partitions.clear();
    assert_eq!(shown(snapshot, "")["lag"], Value::Null);
}

#[test]
fn a_ledger_that_does_not_balance_is_an_alarm() {
    let alarm = |change: fn(&mut Snapshot)| {
        let mut snapshot = Fleet::new(8).snapshot(1);
        change(&mut snapshot);
        shown(snapshot, "")["ledger"]["alarm"].clone()
    };
    assert_eq!(alarm(|_| {}), Value::Null);
    assert_eq!(alarm(|s| s.ledger.windowed -= 3), "Does not balance: 3 records lost");
    assert_eq!(alarm(|s| s.ledger.late += 1), "Does not balance: 1 record too many");
    assert_eq!(alarm(|s| s.in_flight = 1000), Value::Null);
}

#[test]
fn dead_letters_are_told_by_reason() {
    let reasons = &shown(Fleet::new(8).snapshot(1), "")["ledger"]["reasons"];
    let expected = [
        ("not_json", "not a JSON object", 24),
        ("bad_time", "`ts` is not a whole number of milliseconds since 1970", 10),
    ];
    let expected = expected
        .map(|(code, words, count)| json!({ "code": code, "words": words, "count": count }));
    assert_eq!(*reasons, json!(expected));
}

#[test]
fn while_there_are_no_rows_it_says_why() {
    let notice = |change: fn(&mut Snapshot)| {
        let mut snapshot = Fleet { is_empty: true, ..Fleet::new(8) }.snapshot(0);
        change(&mut snapshot);
        shown(snapshot, "")["notice"].clone()
    };
    assert_eq!(notice(|_| {}), "Waiting for the first record");
    assert_eq!(notice(|s| s.in_flight = 1), "Records arrive; the first window is about to show");
    let all_dead = |snapshot: &mut Snapshot| {
        snapshot.ledger.read = 2000;
        snapshot.ledger.dead[0] = 2000;
    };
    assert_eq!(
        notice(all_dead),
        "Waiting for a readable record: 2,000 records so far, every one a dead letter"
    );
    let finished = |snapshot: &mut Snapshot| snapshot.phase = Phase::Finished;
    assert_eq!(notice(finished), "The run is finished, and no window has a row");
    assert_eq!(shown(Fleet::new(8).snapshot(1), "")["notice"], Value::Null);
}

#[test]
fn a_bounded_run_ends_with_everything_final() {
    let fleet = Fleet { phase: Phase::Finished, is_final: true, ..Fleet::new(8) };
    let shown = shown(fleet.snapshot(1), "");
    assert_eq!(shown["phase"], "finished");
    assert_eq!(shown["watermark"], Value::Null);
    assert_eq!(shown["watermark_note"], "everything is final");
}

#[test]
fn numbers_move_only_while_records_are_read() {
    let mut snapshot = Fleet::new(8).snapshot(1);
    let note = |snapshot: &Snapshot| shown(snapshot.clone(), "")["window_note"].clone();
    assert_eq!(note(&snapshot), "still open: these numbers move");
    for kind in [ConditionKind::AllIdle, ConditionKind::WaitingForKafka] {
        snapshot.conditions = Conditions::of(vec![JobCondition::plain(kind, snapshot.at)]);
        assert_eq!(note(&snapshot), "still open: these numbers move when records are read again");
    }
    snapshot.window = None;
    assert_eq!(note(&snapshot), "");
}

#[test]
fn the_state_of_a_partition_says_what_is_known_of_it() {
    let mut snapshot = Fleet::new(8).snapshot(1);
    let state = |snapshot: &Snapshot, partition: usize| {
        let partition = &shown(snapshot.clone(), "")["partitions"][partition];
        (partition["state"].clone(), partition["state_note"].clone())
    };
    assert_eq!(state(&snapshot, 2), (json!("idle"), json!("holds nothing back")));
    let reason = DeadReason::NotJson;
    snapshot.partitions[2].first_unreadable = Some(Unreadable { offset: Offset(0), reason });
    assert_eq!(state(&snapshot, 2), (json!("idle"), json!("brings nothing that can be read")));
    snapshot.partitions[0].end = None;
    assert_eq!(state(&snapshot, 0).0, json!("active"));
    let away = JobCondition::plain(ConditionKind::WaitingForKafka, snapshot.at);
    snapshot.conditions = Conditions::of(vec![away]);
    assert_eq!(state(&snapshot, 0), (json!("unknown"), json!("Kafka does not answer")));
    assert_eq!(state(&snapshot, 1).0, json!("active"), "its broker answers");
}
