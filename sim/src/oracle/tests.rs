//! Every expectation here was computed by hand from the rules.

use super::*;
use crate::fleet::{Fleet, FleetOptions, Malformed};
use strandline_operators::decode::DeadReason;
use strandline_operators::time::EventTime;

const LONG_AGO: Option<i64> = Some(0);

fn options() -> OracleOptions {
    OracleOptions {
        metrics: vec!["t".to_owned(), "b".to_owned()],
        max_future: Duration::from_secs(3600),
        max_past: None,
        ..OracleOptions::default()
    }
}

fn partition(payloads: &[&str]) -> Vec<LoggedRecord> {
    (0..)
        .zip(payloads)
        .map(|(offset, payload)| LoggedRecord {
            offset,
            timestamp_ms: None,
            payload: Some(payload.as_bytes().to_vec()),
        })
        .collect()
}

fn record(key: &str, ts: i64, t: f64) -> String {
    format!(r#"{{"device_id":"{key}","ts":{ts},"t":{t}}}"#)
}

fn reason(payload: &str) -> Result<Sample, &'static str> {
    read(Some(payload.as_bytes()), None, &options())
}

fn accepted(payload: &str) -> Sample {
    reason(payload).unwrap()
}

#[test]
fn rows_hold_count_average_least_greatest_and_origin() {
    let log = [
        partition(&[
            r#"{"device_id":"a","ts":1000,"t":1,"b":-0.0}"#,
            r#"{"device_id":"a","ts":9999,"t":4,"b":0}"#,
            r#"{"device_id":"b","ts":3000}"#,
            r#"{"device_id":"a","ts":10000,"t":null,"b":7}"#,
        ]),
        partition(&["broken", r#"{"device_id":"a","ts":0,"t":-2}"#]),
    ];
    let outcome = outcome(&log, &options());
    let row = |key: &str, start, count, metrics, spans| OracleRow {
        key: key.to_owned(),
        window_start_ms: start,
        window_end_ms: start + 10_000,
        count,
        metrics,
        spans,
    };
    let metric = |contributing, average, min, max| OracleMetric {
        contributing,
        average: Some(average),
        min: Some(min),
        max: Some(max),
    };
    let none = OracleMetric { contributing: 0, average: None, min: None, max: None };
    let span = |partition, first, last, records| OracleSpan { partition, first, last, records };
    assert_eq!(
        outcome.rows,
        [
            row(
                "a",
                0,
                3,
                vec![metric(3, 1.0, -2.0, 4.0), metric(2, 0.0, 0.0, 0.0)],
                vec![span(0, 0, 1, 2), span(1, 1, 1, 1)]
            ),
            row("b", 0, 1, vec![none, none], vec![span(0, 2, 2, 1)]),
            row("a", 10_000, 1, vec![none, metric(1, 7.0, 7.0, 7.0)], vec![span(0, 3, 3, 1)]),
        ]
    );
    let [battery_min, battery_max] =
        [outcome.rows[0].metrics[1].min, outcome.rows[0].metrics[1].max];
    assert!(battery_min.unwrap().is_sign_negative(), "-0 is less than 0 in the total order");
    assert!(battery_max.unwrap().is_sign_positive());
    assert_eq!(outcome.dead, BTreeMap::from([((1, 0), "not_json")]));
    assert_eq!(outcome.ledger, OracleLedger { read: 6, windowed: 5, late: 0, dead_letters: 1 });
    assert_eq!(outcome.ledgers[1], OracleLedger { read: 2, windowed: 1, late: 0, dead_letters: 1 });
    assert_eq!(outcome.max_event_time_ms, [Some(10_000), Some(0)]);
}

/// A record is late exactly when its window's end is at or before the watermark of its own
/// partition at that moment.
#[test]
fn late_is_decided_to_the_millisecond_by_its_own_partition() {
    let log = [
        partition(&[
            &record("a", 69_999, 1.0), // watermark 9 999: the window 0..10 000 is open
            &record("a", 5_000, 1.0),
            &record("a", 70_000, 1.0), // watermark 10 000: it is over
            &record("a", 9_999, 1.0),
            &record("a", 10_000, 1.0), // the next one is not
            &record("a", 0, 1.0),
        ]),
        partition(&[&record("a", 5_000, 1.0)]), // the other partition's time stands still
        partition(&[]),
    ];
    let outcome = outcome(&log, &options());
    assert_eq!(outcome.late, BTreeMap::from([((0, 3), 9_999), ((0, 5), 0)]));
    let first = &outcome.rows[0];
    assert_eq!((first.window_start_ms, first.count), (0, 2));
    assert_eq!(outcome.ledger, OracleLedger { read: 7, windowed: 5, late: 2, dead_letters: 0 });
    assert_eq!(outcome.ledgers[2], OracleLedger::default());
    assert_eq!(outcome.max_event_time_ms, [Some(70_000), Some(5_000), None]);
}

/// A dead letter moves no watermark, whatever time it carries.
#[test]
fn dead_letters_do_not_move_the_watermark() {
    let mut records = partition(&[
        &record("a", 1_000, 1.0),
        &record("a", 3_600_001, 1.0),
        r#"{"device_id":"a","ts":900000,"t":"x"}"#,
        &record("a", 2_000, 1.0),
        &record("a", 3_600_000, 1.0),
        &record("a", 3_000, 1.0),
    ]);
    records.iter_mut().for_each(|record| record.timestamp_ms = LONG_AGO);
    let outcome = outcome(&[records], &options());
    assert_eq!(outcome.dead, BTreeMap::from([((0, 1), "future"), ((0, 2), "bad_metric")]));
    assert_eq!(outcome.late, BTreeMap::from([((0, 5), 3_000)]));
    assert_eq!(outcome.max_event_time_ms, [Some(3_600_000)]);
}

/// Flink's drop_late_tumbling: its watermark w says "nothing at or before w any more", so it is
/// ours of w + 1. Here a record of another key brings each of those watermarks about.
#[test]
fn flinks_late_element_of_a_tumbling_window_is_dropped() {
    let options =
        OracleOptions { window: Duration::from_secs(2), watermark: Duration::ZERO, ..options() };
    let log = [partition(&[
        &record("key2", 1_000, 1.0),
        &record("clock", 1_986, 1.0),
        &record("key2", 1_980, 1.0),
        &record("clock", 2_000, 1.0),
        &record("key2", 1_998, 1.0),
        &record("key2", 2_001, 1.0),
        &record("clock", 4_000, 1.0),
    ])];
    let outcome = outcome(&log, &options);
    let key2: Vec<(i64, u64)> = outcome
        .rows
        .iter()
        .filter(|row| row.key == "key2")
        .map(|row| (row.window_start_ms, row.count))
        .collect();
    assert_eq!(key2, [(0, 2), (2_000, 1)]);
    assert_eq!(outcome.late, BTreeMap::from([((0, 4), 1_998)]));
}

#[test]
fn a_watermark_before_all_time_makes_nothing_late() {
    let options = OracleOptions { watermark: Duration::MAX, ..options() };
    let log = [partition(&[&record("a", TIME_MS_MAX, 1.0), &record("a", 0, 1.0)])];
    assert_eq!(outcome(&log, &options).ledger.windowed, 2);
}

#[test]
fn times_in_every_spelling() {
    let ts = |text: &str| reason(&format!(r#"{{"device_id":"a","ts":{text}}}"#));
    for (text, ms) in [
        ("5", 5),
        ("5.0", 5),
        ("5e3", 5_000),
        ("-0", 0),
        ("-0.0e9", 0),
        ("253402300799999", TIME_MS_MAX),
    ] {
        assert_eq!(ts(text).map(|sample| sample.event_time_ms), Ok(ms), "{text}");
    }
    for text in ["-1", "0.5", "5.0000000000000000000001", "-1e999", "\"5\"", "true", "[]", "1e-999"]
    {
        assert_eq!(ts(text), Err("bad_time"), "{text}");
    }
    for text in ["253402300800000", "9223372036854775808", "1e999"] {
        assert_eq!(ts(text), Err("future"), "{text}");
    }
    assert_eq!(ts("null"), Err("missing_time"));
}

#[test]
fn the_future_begins_after_the_timestamp_and_what_is_allowed() {
    let at = |ts: i64, timestamp| {
        read(Some(record("a", ts, 1.0).as_bytes()), timestamp, &options()).map(|_| ())
    };
    assert_eq!(at(3_600_000, Some(0)), Ok(()));
    assert_eq!(at(3_600_001, Some(0)), Err("future"));
    assert_eq!(at(3_600_001, None), Ok(()), "without a timestamp there is no bound");
    assert_eq!(at(0, Some(-3_600_001)), Err("future"));
    assert_eq!(at(TIME_MS_MAX, Some(i64::MAX)), Ok(()));
}

#[test]
fn keys_are_strings_of_1_to_256_bytes_after_unescaping() {
    let key = |text: &str| reason(&format!(r#"{{"device_id":{text},"ts":5}}"#)).map(|s| s.key);
    assert_eq!(key(r#""device\u002d1""#), Ok("device-1".to_owned()));
    assert_eq!(key(r#""\u0000""#), Ok("\0".to_owned()));
    assert_eq!(key(&format!("\"{}\"", "ä".repeat(128))), Ok("ä".repeat(128)));
    assert_eq!(key(&format!("\"{}x\"", "ä".repeat(128))), Err("bad_key"));
    for text in ["\"\"", "5", "true", "{}", "[\"a\"]"] {
        assert_eq!(key(text), Err("bad_key"), "{text}");
    }
    assert_eq!(key("null"), Err("missing_key"));
}

#[test]
fn the_last_of_repeated_fields_counts_under_whatever_spelling() {
    let sample = accepted(
        r#"{"device_id":5,"ts":"x","t":{},"\u0064evice_id":"a","\u0074s":7,"t":2,"b":1,"b":null}"#,
    );
    assert_eq!(sample.key, "a");
    assert_eq!(sample.event_time_ms, 7);
    assert_eq!(sample.metrics, [Some(2.0), None]);
}

#[test]
fn metrics_are_numbers_null_or_absent() {
    let metric = |text: &str| {
        reason(&format!(r#"{{"device_id":"a","ts":5,"t":{text}}}"#)).map(|s| s.metrics[0])
    };
    assert_eq!(metric("1e308"), Ok(Some(1e308)));
    assert_eq!(metric("null"), Ok(None));
    for text in ["1e309", "-1e999"] {
        assert_eq!(metric(text), Err("not_finite"));
    }
    for text in ["\"1\"", "false", "[]", "{}"] {
        assert_eq!(metric(text), Err("bad_metric"));
    }
    assert_eq!(reason(r#"{"device_id":"a","ts":5,"t":1e999,"b":"x"}"#), Err("not_finite"));
    assert_eq!(reason(r#"{"device_id":"a","ts":5,"t":"x","b":1e999}"#), Err("bad_metric"));
}

#[test]
fn ignored_fields_are_json_all_the_same() {
    accepted(r#" {"device_id":"a","ts":5,"x":1e999,"y":[{"z":"\ud83c\udf0a"}]} "#);
    for field in [r#""x":NaN"#, r#""x":"\ud800""#, r#""\udc00":1"#, r#""x":01"#, "\"x\":\"\t\""] {
        assert_eq!(reason(&format!(r#"{{"device_id":"a","ts":5,{field}}}"#)), Err("not_json"));
    }
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"device_id":"a","ts":5,"x":{open}{close}}}"#)
    };
    accepted(&nested(127));
    assert_eq!(reason(&nested(128)), Err("not_json"), "the object is a level too");
}

#[test]
fn only_an_object_is_a_record() {
    assert_eq!(read(None, None, &options()), Err("empty"));
    assert_eq!(reason(""), Err("empty"));
    for payload in [" ", "[]", "null", "5", "\"a\"", "{", "{}{}"] {
        assert_eq!(reason(payload), Err("not_json"), "{payload}");
    }
    assert_eq!(reason("{}"), Err("missing_key"));
    assert_eq!(reason(r#"{"device_id":"a"}"#), Err("missing_time"));
}

#[test]
fn of_several_reasons_the_first_counts() {
    assert_eq!(reason(r#"{"device_id":5,"ts":"x","t":"x"}"#), Err("bad_key"));
    assert_eq!(reason(r#"{"device_id":"a","ts":"x","t":"x"}"#), Err("bad_time"));
    assert_eq!(reason(r#"{"device_id":"a","ts":1e99,"t":"x"}"#), Err("future"));
    let by_timestamp = r#"{"device_id":"a","ts":9999999,"t":"x"}"#;
    assert_eq!(read(Some(by_timestamp.as_bytes()), LONG_AGO, &options()), Err("bad_metric"));
}

/// The codes are those that the engine writes: the one place where the oracle's test looks there.
#[test]
fn every_malformed_message_is_dead_for_its_own_reason() {
    let codes: Vec<&str> = DeadReason::ALL.iter().map(|reason| reason.code()).collect();
    let mut seen = std::collections::HashSet::new();
    let fleet_options = FleetOptions {
        malformed_share: 1.0,
        malformed_cases: &Malformed::ALL,
        ..FleetOptions::default()
    };
    for start in [0, 1_730_638_574_123] {
        let start = EventTime::from_millis(start);
        let mut fleet = Fleet::new(fleet_options.clone(), start).unwrap();
        for _ in 0..2_000 {
            let sent = fleet.send().unwrap();
            let case = sent.malformed.unwrap();
            let timestamp = Some(sent.due.as_millis());
            let verdict = read(sent.payload, timestamp, &OracleOptions::default());
            assert_eq!(verdict, Err(case.reason_code()), "{case:?} {:?}", sent.payload);
            assert!(codes.contains(&case.reason_code()));
            seen.insert(case);
        }
    }
    assert_eq!(seen.len(), Malformed::ALL.len());
}

/// And every message that is not malformed is accepted, with the time that the fleet says.
#[test]
fn every_other_message_of_a_fleet_is_accepted() {
    let options = FleetOptions { fault_share: 0.2, ..FleetOptions::default() };
    let mut fleet = Fleet::new(options, EventTime::from_millis(1_730_638_574_123)).unwrap();
    for _ in 0..10_000 {
        let sent = fleet.send().unwrap();
        let verdict = read(sent.payload, Some(sent.due.as_millis()), &OracleOptions::default());
        match verdict {
            Ok(sample) => {
                assert_eq!(sample.key, sent.key);
                assert_eq!(sample.event_time_ms, sent.event_time.as_millis());
                assert!(sent.malformed.is_none());
            }
            Err(reason) => assert!(sent.malformed.is_some(), "{reason} {:?}", sent.payload),
        }
    }
}
