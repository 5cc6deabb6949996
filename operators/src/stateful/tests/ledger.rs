//! Every row that an operator is given is in a window, late, failed or outside: none vanishes.

use std::time::Duration;

use strandline_plan::aggregate::{count, max, sum};
use strandline_plan::expr::{NamedExpr, col, lit};
use strandline_plan::operator::{Overflow, WindowAggregate as Node};
use strandline_plan::window::Window;

use super::records::*;
use super::window_aggregates::make;
use super::*;

fn read(time: i64, key: char, x: i64, watermark: i64) -> Read {
    let record = Record { input: 0, partition: 1, time, key: Some(key), x: Some(x) };
    Read { record, offset: 7, watermark }
}

fn node(window: Window, aggregates: Vec<strandline_plan::aggregate::NamedAggregate>) -> Node {
    Node { window, key: vec!["k".into()], aggregates, overflow: Overflow::Null }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_late_row_leaves_with_its_place_and_the_watermark_that_decided() {
    let node = node(Window::sliding(millis(4), millis(2)), vec![count().into()]);
    let make = || make(&node, true);
    let mut workers = Workers::new(1, vec![by_k()], &make);
    // In [0, 4) and [2, 6): late for none, for the first, for both.
    workers.apply(0, &batch(&[read(3, 'a', 1, 3), read(3, 'a', 2, 4), read(3, 'a', 3, 6)]));
    workers.end();
    assert_eq!(workers.texts(), ["a 0 4 1 @3", "a 2 6 2 @5"]);
    assert_eq!(texts(&workers.late), ["a 3 one 1 7 6"]);
    let counts = Counts { read: 3, late: 1, partly_late: 1, given: 2, ..Counts::default() };
    assert_eq!(workers.counts, counts);
}

#[test]
fn a_row_between_windows_is_outside() {
    let node = node(Window::sliding(millis(2), millis(5)), vec![count().into()]);
    let make = || make(&node, true);
    let mut workers = Workers::new(1, vec![by_k()], &make);
    workers.apply(0, &batch(&[read(1, 'a', 1, 0), read(2, 'a', 1, 0), read(4, 'a', 1, 9)]));
    workers.end();
    assert_eq!(workers.texts(), ["a 0 2 1 @1"]);
    assert_eq!(workers.counts, Counts { read: 3, outside: 2, given: 1, ..Counts::default() });
}

#[test]
fn what_cannot_be_computed_is_told_with_its_window_and_place() {
    for window in [Window::tumbling(millis(10)), Window::session(millis(10))] {
        let key = (lit(10_i64) / (col("x") - lit(1_i64))).named("ten");
        let of_x = sum(lit(12_i64) / col("x")).named("twelfth");
        let node = Node { key: vec![key], ..node(window, vec![count().into(), of_x]) };
        let make = || make(&node, true);
        let mut workers = Workers::new(1, vec![key_of(&[])], &make);
        workers.apply(0, &batch(&[read(0, 'a', 3, 0), read(0, 'a', 1, 0), read(0, 'a', 0, 0)]));
        workers.end();
        assert_eq!(workers.texts(), ["-10 0 10 1 - @9", "5 0 10 1 4 @9"]);
        let place = "(one, partition 1, offset 7)";
        assert_eq!(
            texts(&workers.errors),
            [
                format!("- 0 10 - - the key: division by zero {place}"),
                format!("-10 0 10 - - `sum(12 / x)`: division by zero {place}"),
            ]
        );
        assert_eq!(workers.counts, Counts { read: 3, failed: 1, given: 2, ..Counts::default() });
    }
}

#[test]
fn a_result_that_does_not_fit_is_null_and_told_or_stops_the_job() {
    let aggregates = || vec![sum(col("x")).into(), max(col("x")).into()];
    let null = node(Window::tumbling(millis(10)), aggregates());
    let rows = batch(&[read(0, 'a', i64::MAX, 0), read(0, 'a', 1, 0), read(0, 'b', 1, 0)]);
    let make_null = || make(&null, true);
    let mut workers = Workers::new(1, vec![by_k()], &make_null);
    workers.apply(0, &rows);
    workers.end();
    let greatest = i64::MAX;
    assert_eq!(workers.texts(), [format!("a 0 10 - {greatest} @9"), "b 0 10 1 1 @9".into()]);
    let error = format!("a 0 10 - {greatest} `sum(x)` does not fit BIGINT");
    assert_eq!(texts(&workers.errors), [error]);

    let stop = Node { overflow: Overflow::Stop, ..null.clone() };
    let mut operator = make(&stop, true);
    let mut out = Output::default();
    operator.apply(0, rows, &mut out);
    operator.advance(Progress::of(&[EventTime::MAX]), &mut out);
    assert!(out.take_stop().unwrap().contains("`sum(x)` does not fit BIGINT"));
}

#[test]
fn another_version_of_state_is_refused() {
    let node = node(Window::tumbling(millis(10)), vec![count().into()]);
    let mut operator = make(&node, true);
    operator.apply(0, batch(&[read(0, 'a', 1, 0)]), &mut Output::default());
    let mut parts = operator.snapshot();
    parts[0].bytes[0] += 1;
    let problem = make(&node, true).restore(parts[0].clone()).unwrap_err();
    assert!(problem.contains("is not of version 1"), "{problem}");
    parts[0].bytes.truncate(1);
    parts[0].bytes[0] -= 1;
    let problem = make(&node, true).restore(parts[0].clone()).unwrap_err();
    assert!(problem.contains("cannot be read"), "{problem}");
}

#[test]
fn keys_of_any_columns_are_one_key() {
    let key = vec![NamedExpr::from("k"), (col("x") % lit(2_i64)).named("odd")];
    let node = Node { key, ..node(Window::tumbling(millis(10)), vec![count().into()]) };
    let make = || make(&node, true);
    let by = key_of(&[col("k"), col("x") % lit(2_i64)]);
    let mut workers = Workers::new(3, vec![by], &make);
    let rows = [(1, 'a'), (3, 'a'), (2, 'a'), (2, 'b')].map(|(x, key)| read(0, key, x, 0));
    workers.apply(0, &batch(&rows));
    workers.cut(2);
    workers.end();
    assert_eq!(workers.texts(), ["a 0 0 10 1 @9", "a 1 0 10 2 @9", "b 0 0 10 1 @9"]);
}
