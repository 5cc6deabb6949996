//! The first rows of windows against all rows, sorted.

use proptest::prelude::*;
use strandline_plan::expr::{col, lit};
use strandline_plan::operator::{Order, Rank, Top as Node, ascending, descending};
use strandline_plan::window::Window;

use super::records::*;
use super::window_aggregates::{assert_late, windows_of};
use super::*;

/// The order of rows by `x`, null last.
fn rank_of(x: Option<i64>, is_descending: bool) -> (bool, i64) {
    let x_or = x.unwrap_or(0);
    (x.is_none(), if is_descending { -x_or } else { x_or })
}

/// By nothing, by `x` in one direction or the other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Time,
    Least,
    Greatest,
}

proptest! {
    #[test]
    fn the_first_rows_of_each_window_are_kept(
        window in windows(),
        by in prop::sample::select(vec![By::Time, By::Least, By::Greatest]),
        rank in prop::sample::select(vec![Rank::Rows, Rank::Ties, Rank::Dense]),
        limit in 1_u32..4,
        last in any::<bool>(),
        steps in steps(1),
        workers in 1_usize..4,
    ) {
        let order: Vec<Order> = match by {
            By::Time => vec![],
            By::Least => vec![ascending(col("x"))],
            By::Greatest => vec![descending(col("x"))],
        };
        let node = Node {
            window, key: vec!["k".into()], order, limit, rank,
            rank_column: Some("rank".into()), last,
        };
        let make = || -> Box<dyn Stateful> {
            Box::new(Top::new(&node, &flow(true), sources()).unwrap())
        };
        let mut workers = Workers::new(workers, vec![by_k()], &make);
        let read = run(&mut workers, &steps);
        let mut wanted = Vec::new();
        for key in [None, Some('a'), Some('b'), Some('c')] {
            let of_key: Vec<Read> = read.iter().filter(|r| r.record.key == key).cloned().collect();
            for (_, end, mut read) in windows_of(&window, &of_key) {
                let order = |r: &Read| match by {
                    By::Time => (false, r.record.time),
                    By::Least => rank_of(r.record.x, false),
                    By::Greatest => rank_of(r.record.x, true),
                };
                let place = |r: &Read| (r.record.time, r.record.partition, r.offset);
                read.sort_by_key(|r| (order(r), place(r)));
                if last {
                    read.reverse();
                }
                let mut before = 0;
                for (dense, equal) in read.chunk_by(|a, b| order(a) == order(b)).enumerate() {
                    for (i, r) in equal.iter().enumerate() {
                        let number = match rank {
                            Rank::Rows => before + i + 1,
                            Rank::Ties => before + 1,
                            Rank::Dense => dense + 1,
                        };
                        if number <= limit as usize {
                            let k = key.map_or("-".into(), String::from);
                            let x = r.record.x.map_or("-".into(), |x| x.to_string());
                            wanted.push(format!("{k} {x} {number} @{}", end - 1));
                        }
                    }
                    before += equal.len();
                }
            }
        }
        wanted.sort();
        prop_assert_eq!(workers.texts(), wanted);
        assert_late(&workers, &window, &read);
    }
}

#[test]
fn a_row_whose_order_cannot_be_computed_is_told() {
    let node = Node {
        window: Window::tumbling(std::time::Duration::from_millis(10)),
        key: vec![],
        order: vec![ascending(lit(1_i64) / col("x"))],
        limit: 5,
        rank: Rank::Rows,
        rank_column: None,
        last: false,
    };
    let make =
        || -> Box<dyn Stateful> { Box::new(Top::new(&node, &flow(true), sources()).unwrap()) };
    let mut workers = Workers::new(1, vec![key_of(&[])], &make);
    let read = [(1, 0), (0, 1)].map(|(x, offset)| {
        let record = Record { input: 0, partition: 0, time: 3, key: None, x: Some(x) };
        Read { record, offset, watermark: 0 }
    });
    workers.apply(0, &batch(&read));
    workers.end();
    assert_eq!(workers.texts(), ["- 1 @9"]);
    let place = "(one, partition 0, offset 1)";
    let error = format!("- 0 the key or the order: division by zero {place}");
    assert_eq!(texts(&workers.errors), [error]);
    assert_eq!(workers.counts, Counts { read: 2, failed: 1, given: 1, ..Counts::default() });
}
