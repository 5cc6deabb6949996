//! Aggregates of windows against a reading of all records at once.

use strandline_plan::aggregate::{count, last, sum};
use strandline_plan::expr::{NamedExpr, col};
use strandline_plan::operator::{Overflow, WindowAggregate as Node};
use strandline_plan::window::Window;

use proptest::prelude::*;

use super::records::*;
use super::*;
use crate::stateful::edges;

fn node(window: Window, key: &[&str]) -> Node {
    Node {
        window,
        key: key.iter().map(|column| NamedExpr::from(*column)).collect(),
        aggregates: vec![count().into(), sum(col("x")).into(), last(col("x")).into()],
        overflow: Overflow::Null,
    }
}

pub(super) fn make(node: &Node, of_log: bool) -> Box<dyn Stateful> {
    match node.window {
        Window::Session { .. } => {
            Box::new(SessionAggregate::new(node, &flow(of_log), sources()).unwrap())
        }
        _ => Box::new(WindowAggregate::new(node, &flow(of_log), sources()).unwrap()),
    }
}

/// The windows that each record counts in: those that were not over by its own partition.
pub(super) fn windows_of(window: &Window, read: &[Read]) -> Vec<(i64, i64, Vec<Read>)> {
    if let Window::Session { gap } = window {
        let gap = i64::try_from(gap.as_millis()).unwrap();
        let mut accepted: Vec<Read> =
            read.iter().filter(|r| r.record.time >= r.watermark).cloned().collect();
        accepted.sort_by_key(|r| r.record.time);
        let sessions = accepted.chunk_by(|a, b| b.record.time - a.record.time < gap);
        return sessions
            .map(|s| (s[0].record.time, s.last().unwrap().record.time + gap, s.to_vec()))
            .collect();
    }
    let in_window = |(start, end): (i64, i64)| {
        let counts = |r: &&Read| start <= r.record.time && r.record.time < end && end > r.watermark;
        (start, end, read.iter().filter(counts).cloned().collect())
    };
    edges::tests::all(window).into_iter().map(in_window).collect()
}

/// All windows of a key's records, as text.
fn rows_of(window: &Window, key: Option<String>, read: &[Read]) -> Vec<String> {
    let rows = windows_of(window, read).into_iter().filter(|(_, _, read)| !read.is_empty());
    rows.map(|(start, end, read)| {
        let values = || read.iter().filter_map(|r| r.record.x);
        let place = |r: &&Read| (r.record.time, r.record.partition, r.offset);
        let last = read.iter().filter(|r| r.record.x.is_some()).max_by_key(place);
        let text = |value: Option<i64>| value.map_or("-".into(), |value| value.to_string());
        let sum = text(values().next().map(|_| values().sum()));
        let last = text(last.and_then(|r| r.record.x));
        let key = key.as_ref().map(|key| format!("{key} ")).unwrap_or_default();
        format!("{key}{start} {end} {} {sum} {last} @{}", read.len(), end - 1)
    })
    .collect()
}

fn is_late(window: &Window, r: &Read) -> bool {
    match window {
        Window::Session { .. } => r.record.time < r.watermark,
        window => {
            let mut of = edges::tests::all(window)
                .into_iter()
                .filter(|(start, end)| *start <= r.record.time && r.record.time < *end)
                .peekable();
            of.peek().is_some() && of.all(|(_, end)| end <= r.watermark)
        }
    }
}

/// Late and in no window are exactly those that should be, and they have left on their output.
pub(super) fn assert_late(workers: &Workers<'_>, window: &Window, read: &[Read]) {
    let late = read.iter().filter(|r| is_late(window, r)).count() as u64;
    assert_eq!(workers.counts.late, late);
    assert_eq!(workers.late.iter().map(Batch::len).sum::<usize>() as u64, late);
    assert_eq!(workers.counts.read, read.len() as u64);
    let in_none = |r: &&Read| {
        let contains = |(start, end): (i64, i64)| start <= r.record.time && r.record.time < end;
        !edges::tests::all(window).into_iter().any(contains)
    };
    let is_session = matches!(window, Window::Session { .. });
    let outside = if is_session { 0 } else { read.iter().filter(in_none).count() as u64 };
    assert_eq!(workers.counts.outside, outside);
}

proptest! {
    #[test]
    fn rows_are_those_of_the_whole_input(window in windows(), steps in steps(1), workers in 1_usize..4) {
        let node = node(window, &["k"]);
        let make = || make(&node, true);
        let mut workers = Workers::new(workers, vec![by_k()], &make);
        let read = run(&mut workers, &steps);
        let mut wanted = Vec::new();
        for key in [None, Some('a'), Some('b'), Some('c')] {
            let of_key: Vec<Read> = read.iter().filter(|r| r.record.key == key).cloned().collect();
            let key = key.map_or("-".to_owned(), String::from);
            wanted.extend(rows_of(&window, Some(key), &of_key));
        }
        wanted.sort();
        prop_assert_eq!(workers.texts(), wanted);
        assert_late(&workers, &window, &read);
        prop_assert_eq!(workers.counts.given, workers.texts().len() as u64);
    }

    #[test]
    fn without_a_key_all_rows_are_one_group(window in windows(), steps in steps(1)) {
        let node = node(window, &[]);
        let make = || make(&node, true);
        let mut workers = Workers::new(2, vec![key_of(&[])], &make);
        let read = run(&mut workers, &steps);
        let mut wanted = rows_of(&window, None, &read);
        wanted.sort();
        prop_assert_eq!(workers.texts(), wanted);
    }

    /// What leaves a window is never late for the next.
    #[test]
    fn windows_over_windows_lose_nothing(
        window in windows(),
        size in 3_u64..20,
        steps in steps(1),
    ) {
        let inner = node(window, &["k"]);
        let between = given_by(&inner);
        let make_inner = || make(&inner, true);
        let mut workers = Workers::new(1, vec![by_k()], &make_inner);
        let outer = Node {
            aggregates: vec![sum(col("count")).into()],
            ..node(Window::tumbling(std::time::Duration::from_millis(size)), &["k"])
        };
        let mut operator = WindowAggregate::new(&outer, &between, sources()).unwrap();
        let mut out = Output::default();
        let mut passed = 0;
        let mut rows = Vec::new();
        let mut pass = |workers: &Workers<'_>, to: EventTime, out: &mut Output| {
            for batch in &workers.rows[passed..] {
                operator.apply(0, batch.clone(), out);
            }
            passed = workers.rows.len();
            operator.advance(Progress::of(&[to]), out);
            rows.extend(out.take_rows());
        };
        let mut watermarks = [i64::MIN; PARTITIONS];
        let mut kept = 0;
        for step in &steps {
            let Step::Records(records) = step else {
                let least = EventTime::from_millis(*watermarks.iter().min().unwrap());
                workers.advance(0, least);
                pass(&workers, workers.held[0], &mut out);
                continue;
            };
            for record in records {
                let watermark = &mut watermarks[record.partition];
                *watermark = (*watermark).max(record.time - DELAY);
                let read = Read { record: record.clone(), offset: kept, watermark: *watermark };
                kept += 1;
                workers.apply(0, &batch(&[read]));
            }
        }
        workers.end();
        pass(&workers, EventTime::MAX, &mut out);
        let total = |batches: &[Batch], column: usize| -> i64 {
            batches.iter().map(|b| b.rows().column(column).as_primitive::<Int64Type>().values().iter().sum::<i64>()).sum()
        };
        prop_assert_eq!(total(&rows, 3), total(&workers.rows, 3));
        prop_assert_eq!(out.take_counts().late, 0);
    }
}

/// The rows that leave a window.
fn given_by(node: &Node) -> strandline_plan::flow::FlowType {
    use strandline_plan::node::Operator;
    node.check(&[&flow(true)]).unwrap().rows
}
