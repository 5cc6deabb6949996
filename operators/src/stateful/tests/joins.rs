//! Joins against all pairs of the whole input.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{Field, Schema, TimeUnit};
use proptest::prelude::*;
use strandline_plan::expr::col;
use strandline_plan::flow::{FlowType, TimeColumn};
use strandline_plan::operator::{
    AsOfJoin as AsOfNode, Bound, IntervalJoin as IntervalNode, JoinKind, JoinOf, JoinOn,
    WindowJoin as WindowNode, after, before,
};
use strandline_plan::types::{UTC, timestamp};
use strandline_plan::window::Window;

use super::records::*;
use super::window_aggregates::{assert_late, windows_of};
use super::*;
use crate::batch::Times;

fn kinds() -> impl Strategy<Value = JoinKind> {
    use JoinKind::{Anti, Full, Inner, Left, Right, Semi};
    prop::sample::select(vec![Inner, Left, Right, Full, Semi, Anti])
}

fn of(kind: JoinKind) -> JoinOf {
    JoinOf { kind, on: vec![JoinOn::from("k")], prefix: "r_".into() }
}

fn text(read: &Read) -> String {
    let (k, x) = (read.record.key, read.record.x);
    let k = k.map_or("-".to_owned(), String::from);
    format!("{k} {}", x.map_or("-".to_owned(), |x| x.to_string()))
}

/// What leaves a join of some rows, where `pairs` says which belong together: left or right row, as
/// text. `rest` is what follows the columns of a row or pair.
fn joined<'a>(
    kind: JoinKind,
    left: &'a [Read],
    right: &'a [Read],
    pairs: impl Fn(&Read, &Read) -> bool,
    rest: impl Fn(Option<&Read>, Option<&Read>) -> String,
) -> Vec<String> {
    let mut rows = Vec::new();
    let is_pair =
        |l: &Read, r: &Read| l.record.key.is_some() && l.record.key == r.record.key && pairs(l, r);
    for l in left {
        let of_l: Vec<&Read> = right.iter().filter(|r| is_pair(l, r)).collect();
        let rest_of_l = || rest(Some(l), None);
        match kind {
            JoinKind::Semi if !of_l.is_empty() => rows.push(format!("{}{}", text(l), rest_of_l())),
            JoinKind::Anti if of_l.is_empty() => rows.push(format!("{}{}", text(l), rest_of_l())),
            JoinKind::Semi | JoinKind::Anti => {}
            kind if of_l.is_empty() && kind.keeps_left() => {
                rows.push(format!("{} - -{}", text(l), rest_of_l()));
            }
            _ => rows.extend(
                of_l.iter().map(|r| format!("{} {}{}", text(l), text(r), rest(Some(l), Some(r)))),
            ),
        }
    }
    if kind.keeps_right() {
        for r in right.iter().filter(|r| !left.iter().any(|l| is_pair(l, r))) {
            rows.push(format!("- - {}{}", text(r), rest(None, Some(r))));
        }
    }
    rows
}

fn sides(read: &[Read]) -> [Vec<Read>; 2] {
    [0, 1].map(|input| read.iter().filter(|r| r.record.input == input).cloned().collect())
}

/// Those that are not late by their own time.
fn accepted(read: &[Read]) -> [Vec<Read>; 2] {
    sides(read).map(|side| side.into_iter().filter(|r| r.record.time >= r.watermark).collect())
}

fn ms(millis: i64) -> Bound {
    let length = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { before(length) } else { after(length) }
}

proptest! {
    #[test]
    fn a_window_join_pairs_the_rows_of_each_window(
        window in windows(), kind in kinds(), steps in steps(2), workers in 1_usize..4,
    ) {
        let node = WindowNode { of: of(kind), window };
        let make = || -> Box<dyn Stateful> {
            Box::new(WindowJoin::new(&node, &flow(true), &flow(true), sources()).unwrap())
        };
        let mut workers = Workers::new(workers, vec![by_k(), by_k()], &make);
        let read = run(&mut workers, &steps);
        let mut wanted = Vec::new();
        for key in [None, Some('a'), Some('b'), Some('c')] {
            let of_key: Vec<Read> = read.iter().filter(|r| r.record.key == key).cloned().collect();
            for (start, end, read) in windows_of(&window, &of_key) {
                let [left, right] = sides(&read);
                let rest = |_: Option<&Read>, _: Option<&Read>| format!(" {start} {end} @{}", end - 1);
                wanted.extend(joined(kind, &left, &right, |_, _| true, rest));
            }
        }
        wanted.sort();
        prop_assert_eq!(workers.texts(), wanted);
        assert_late(&workers, &window, &read);
    }

    #[test]
    fn an_interval_join_pairs_rows_within_the_bounds(
        (from, to) in (-8_i64..8, 0_i64..10).prop_map(|(from, length)| (from, from + length)),
        kind in kinds(), steps in steps(2), workers in 1_usize..4,
    ) {
        let node = IntervalNode { of: of(kind), from: ms(from), to: ms(to) };
        let make = || -> Box<dyn Stateful> {
            Box::new(IntervalJoin::new(&node, &flow(true), &flow(true), sources()).unwrap())
        };
        let mut workers = Workers::new(workers, vec![by_k(), by_k()], &make);
        let read = run(&mut workers, &steps);
        let [left, right] = accepted(&read);
        let within = |l: &Read, r: &Read| (from..=to).contains(&(r.record.time - l.record.time));
        let at = |l: Option<&Read>, r: Option<&Read>| format!(" @{}", l.or(r).unwrap().record.time);
        let mut wanted = joined(kind, &left, &right, within, at);
        wanted.sort();
        prop_assert_eq!(workers.texts(), wanted);
        let late = read.len() - left.len() - right.len();
        prop_assert_eq!(workers.counts.late, late as u64);
        prop_assert_eq!(workers.late.iter().map(Batch::len).sum::<usize>(), late);
    }

    #[test]
    fn an_as_of_join_finds_the_newest_row(
        tolerance in prop::option::of(0_u64..12), keeps_left in any::<bool>(),
        steps in steps(2), workers in 1_usize..4,
    ) {
        let kind = if keeps_left { JoinKind::Left } else { JoinKind::Inner };
        let node = AsOfNode { of: of(kind), tolerance: tolerance.map(Duration::from_millis) };
        let make = || -> Box<dyn Stateful> {
            Box::new(AsOfJoin::new(&node, &flow(true), &flow(true), sources()).unwrap())
        };
        let mut workers = Workers::new(workers, vec![by_k(), by_k()], &make);
        let read = run_to_the_end_but_one(&mut workers, &steps);
        let [left, right] = accepted(&read);
        let mut wanted = Vec::new();
        for l in &left {
            let newest = right.iter().filter(|r| {
                let age = l.record.time - r.record.time;
                l.record.key.is_some() && l.record.key == r.record.key && age >= 0
                    && tolerance.is_none_or(|tolerance| age <= tolerance as i64)
            });
            let place = |r: &&Read| (r.record.time, r.record.partition, r.offset);
            match newest.max_by_key(place) {
                Some(r) => wanted.push(format!("{} {} @{}", text(l), text(r), l.record.time)),
                None if keeps_left => wanted.push(format!("{} - - @{}", text(l), l.record.time)),
                None => {}
            }
        }
        wanted.sort();
        prop_assert_eq!(workers.texts(), wanted);
        // At the end one row a key is kept, or none that is older than the tolerance.
        let keys = right.iter().filter_map(|r| r.record.key).collect::<std::collections::BTreeSet<_>>();
        let kept: u64 = workers.operators.iter().map(|o| o.size().rows).sum();
        prop_assert_eq!(kept, if tolerance.is_some() { 0 } else { keys.len() as u64 });
    }
}

#[test]
fn a_left_row_waits_until_no_right_row_of_its_time_can_come() {
    let node = AsOfNode { of: of(JoinKind::Inner), tolerance: None };
    let make = || -> Box<dyn Stateful> {
        Box::new(AsOfJoin::new(&node, &flow(true), &flow(true), sources()).unwrap())
    };
    let mut workers = Workers::new(1, vec![by_k(), by_k()], &make);
    let row = |input, time, x, offset| {
        let record = Record { input, partition: 0, time, key: Some('a'), x: Some(x) };
        batch(&[Read { record, offset, watermark: 0 }])
    };
    workers.apply(1, &row(1, 90, 1, 0));
    workers.apply(0, &row(0, 100, 0, 0));
    workers.advance(0, EventTime::from_millis(150));
    workers.advance(1, EventTime::from_millis(100));
    assert_eq!(workers.texts(), Vec::<String>::new());
    assert_eq!(workers.operators[0].earliest(), EventTime::from_millis(100));
    // Of two right rows of one time, the last by its place is the newest.
    workers.apply(1, &row(1, 100, 3, 2));
    workers.apply(1, &row(1, 100, 2, 1));
    workers.advance(1, EventTime::from_millis(101));
    assert_eq!(workers.texts(), ["a 0 a 3 @100"]);
    // Both sides have passed the first rows: one is kept.
    assert_eq!(workers.operators[0].size().rows, 1);
}

/// As-of joins keep a row of each key for ever, so their state is not empty at the end.
fn run_to_the_end_but_one(workers: &mut Workers<'_>, steps: &[Step]) -> Vec<Read> {
    take(workers, steps, |workers| {
        (0..2).for_each(|input| workers.advance(input, EventTime::MAX));
    })
}

#[test]
fn a_pair_leaves_at_once_and_a_row_without_one_when_the_other_side_has_passed() {
    let node = IntervalNode { of: of(JoinKind::Full), from: ms(0), to: ms(10) };
    let make = || -> Box<dyn Stateful> {
        Box::new(IntervalJoin::new(&node, &flow(true), &flow(true), sources()).unwrap())
    };
    let mut workers = Workers::new(1, vec![by_k(), by_k()], &make);
    let row = |input, time, key| {
        let record = Record { input, partition: 0, time, key: Some(key), x: Some(time) };
        batch(&[Read { record, offset: 0, watermark: 0 }])
    };
    workers.apply(0, &row(0, 100, 'a'));
    workers.apply(0, &row(0, 100, 'b'));
    workers.apply(1, &row(1, 105, 'a'));
    workers.apply(1, &row(1, 99, 'c'));
    assert_eq!(workers.texts(), ["a 100 a 105 @100"]);
    workers.advance(1, EventTime::from_millis(110));
    workers.advance(0, EventTime::from_millis(99));
    assert_eq!(workers.texts(), ["a 100 a 105 @100"]);
    assert_eq!(workers.operators[0].earliest(), EventTime::from_millis(99));
    workers.advance(1, EventTime::from_millis(111));
    assert_eq!(workers.texts(), ["a 100 a 105 @100", "b 100 - - @100"]);
    workers.advance(0, EventTime::from_millis(100));
    assert_eq!(workers.texts(), ["- - c 99 @99", "a 100 a 105 @100", "b 100 - - @100"]);
    // The right row that has had a pair is kept until no left row can be its own any more.
    assert_eq!(workers.operators[0].size().rows, 1);
    workers.advance(0, EventTime::from_millis(106));
    assert_eq!(workers.operators[0].size().rows, 0);
}

/// A left side with a column that says until when its rows match, counted in microseconds.
#[test]
fn the_latest_time_may_be_a_column_of_the_left_row() {
    let mut left = flow(false);
    let fields = vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("until", timestamp(TimeUnit::Microsecond), true),
    ];
    left.schema = Arc::new(Schema::new(fields));
    let node = IntervalNode {
        of: JoinOf { kind: JoinKind::Left, on: vec![JoinOn::from("k")], prefix: String::new() },
        from: ms(0),
        to: Bound::At(col("until")),
    };
    let mut join = IntervalJoin::new(&node, &left, &flow(false), sources()).unwrap();
    let untils = [Some(20_999), Some(9_000), None];
    let k: Arc<dyn Array> = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let until = TimestampMicrosecondArray::from(untils.to_vec()).with_timezone(UTC);
    let rows = RecordBatch::try_new(Arc::clone(&left.schema), vec![k, Arc::new(until)]).unwrap();
    let times = Times::new(vec![10; 3], TimeUnit::Millisecond);
    let mut out = Output::default();
    join.apply(0, Batch::new(rows, Some(times), None), &mut out);
    // Bounds that no time lies between are known at once.
    let alone: Vec<Batch> = out.take_rows();
    let cells = |batches: &[Batch]| -> Vec<(String, String)> {
        let rows = batches.iter().flat_map(|batch| {
            (0..batch.len()).map(move |row| {
                let columns = batch.rows().columns();
                (cell(&columns[0], row), cell(&columns[2], row))
            })
        });
        rows.collect()
    };
    assert_eq!(cells(&alone), [("b".into(), "-".into()), ("c".into(), "-".into())]);
    for (time, x) in [(20, 1), (21, 2)] {
        let record = Record { input: 1, partition: 0, time, key: Some('a'), x: Some(x) };
        join.apply(1, batch(&[Read { record, offset: 0, watermark: 0 }]), &mut out);
    }
    assert_eq!(cells(&out.take_rows()), [("a".into(), "1".into())]);
}

#[test]
fn a_column_that_is_compared_is_one_and_a_right_row_alone_gives_its_own() {
    let of = JoinOf {
        kind: JoinKind::Full,
        on: vec![JoinOn::from("k"), JoinOn::from("x")],
        prefix: String::new(),
    };
    let node = WindowNode { of, window: Window::tumbling(Duration::from_millis(10)) };
    let make = || -> Box<dyn Stateful> {
        Box::new(WindowJoin::new(&node, &flow(true), &flow(true), sources()).unwrap())
    };
    let by = || key_of(&[col("k"), col("x")]);
    let mut workers = Workers::new(2, vec![by(), by()], &make);
    for (input, key, x) in [(0, 'a', 1), (1, 'a', 1), (1, 'b', 2), (0, 'c', 3)] {
        let record = Record { input, partition: 0, time: 5, key: Some(key), x: Some(x) };
        workers.apply(input, &batch(&[Read { record, offset: 0, watermark: 0 }]));
    }
    workers.end();
    assert_eq!(workers.texts(), ["a 1 0 10 @9", "b 2 0 10 @9", "c 3 0 10 @9"]);
}

#[test]
fn times_of_both_sides_are_compared_in_the_finer_unit() {
    let in_unit = |unit| FlowType { time: Some(TimeColumn { column: None, unit }), ..flow(false) };
    let (left, right) = (in_unit(TimeUnit::Second), in_unit(TimeUnit::Microsecond));
    let node = IntervalNode { of: of(JoinKind::Right), from: ms(0), to: ms(1) };
    let mut join = IntervalJoin::new(&node, &left, &right, sources()).unwrap();
    let mut out = Output::default();
    let rows = |times: Vec<i64>, unit| {
        let read: Vec<Read> = times
            .iter()
            .map(|_| {
                let record = Record { input: 0, partition: 0, time: 0, key: Some('a'), x: None };
                Read { record, offset: 0, watermark: 0 }
            })
            .collect();
        Batch::new(batch(&read).rows().clone(), Some(Times::new(times, unit)), None)
    };
    join.apply(0, rows(vec![1], TimeUnit::Second), &mut out);
    join.apply(1, rows(vec![1_000_000, 1_001_000, 1_001_001], TimeUnit::Microsecond), &mut out);
    join.advance(Progress::of(&[EventTime::MAX; 2]), &mut out);
    let times: Vec<i64> =
        out.take_rows().iter().flat_map(|batch| batch.times().unwrap().exact().to_vec()).collect();
    // Pairs have the left row's time; the row alone its own, which a second cannot hold.
    assert_eq!(times, [1_000_000, 1_000_000, 1_001_001]);
}
