//! Nodes of a plan in a dataflow of several workers: build, exchange, run.

use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use strandline_plan::aggregate::{count, sum};
use strandline_plan::expr::{col, lit};
use strandline_plan::flow::{FlowType, Mode, TimeColumn};
use strandline_plan::operator as plan;
use strandline_plan::window::Window;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::core::UnorderedInput;

use super::*;
use crate::batch::{Batch, Times};
use crate::stateful::exchange::by_key;
use crate::stateful::frame::{self, Control};
use crate::stateless::run::{BatchCounts, run};
use crate::time::Time;

fn flow() -> FlowType {
    FlowType {
        schema: Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)])),
        mode: Mode::Append,
        time: Some(TimeColumn { column: None, unit: TimeUnit::Millisecond }),
        of_log: false,
        reproducible: true,
        bounded: true,
    }
}

fn batch(numbers: impl Iterator<Item = i64>) -> Batch {
    let numbers: Vec<i64> = numbers.collect();
    let x: ArrayRef = Arc::new(Int64Array::from(numbers.clone()));
    let rows = RecordBatch::try_new(flow().schema, vec![x]).unwrap();
    Batch::new(rows, Some(Times::new(numbers, TimeUnit::Millisecond)), None)
}

/// What came of the numbers from 0 to 99, which each of so many workers reads: `x`'s last digit,
/// beginning of the window, how many, their sum; and the counts of the filter.
fn rows_of(workers: usize) -> (Vec<[i64; 4]>, u64, u64) {
    let (rows_sender, rows) = mpsc::channel();
    let (counts_sender, counts) = mpsc::channel::<BatchCounts>();
    let senders = std::sync::Mutex::new((rows_sender, counts_sender));
    let config = timely::Config::process(workers);
    let guards = timely::execute(config, move |worker| {
        let (rows_sender, counts_sender) = senders.lock().unwrap().clone();
        let peers = worker.peers();
        let (mut input, capability) = worker.dataflow::<Time, _, _>(|scope| {
            let ((input, capability), batches) =
                scope.new_unordered_input::<CapacityContainerBuilder<Vec<Batch>>>();
            let filter = plan::Filter { condition: col("x").lt(lit(90_i64)) };
            let Ok(Built::Stateless(filter)) = build(&filter, &[&flow()], Arc::from([])) else {
                unreachable!("a filter keeps no rows")
            };
            let stop: Rc<dyn Fn(String)> = Rc::new(|problem| unreachable!("{problem}"));
            let filtered = run("Filter", scope, vec![batches], filter, Rc::clone(&stop));
            let send = counts_sender;
            filtered.counts.inspect(move |counts| send.send(*counts).unwrap());
            let node = plan::WindowAggregate {
                window: Window::tumbling(Duration::from_millis(50)),
                key: vec![(col("x") % lit(10_i64)).named("digit")],
                aggregates: vec![count().into(), sum(col("x")).into()],
                overflow: plan::Overflow::Null,
            };
            let built = build(&node, &[&flow()], Arc::from([])).unwrap();
            let Built::Stateful { operator, mut keys } = built else {
                unreachable!("a window keeps rows")
            };
            let [ways] = <[_; 1]>::try_from(filtered.ways).ok().unwrap();
            let exchanged = by_key(ways, keys.remove(0), peers, Rc::clone(&stop));
            let cuts = timely::dataflow::operators::generic::operator::empty(scope);
            let restored = timely::dataflow::operators::generic::operator::empty(scope);
            let control = Control { cuts, restored, stop };
            let streams = frame::run("Window", scope, vec![exchanged], control, operator);
            streams.rows.inspect(move |batch| {
                let columns = batch.rows().columns();
                let number =
                    |i: usize, row: usize| columns[i].as_primitive::<Int64Type>().value(row);
                let start = columns[1].as_primitive::<TimestampMillisecondType>();
                for row in 0..batch.len() {
                    let cells = [number(0, row), start.value(row), number(3, row), number(4, row)];
                    rows_sender.send(cells).unwrap();
                }
            });
            (input, capability)
        });
        for from in (0..100).step_by(20) {
            input.activate().session_with_builder(&capability).give(batch(from..from + 20));
            worker.step();
        }
        drop(capability);
        while worker.step() {}
    });
    guards.unwrap().join().into_iter().for_each(|joined| joined.unwrap());
    let mut rows: Vec<[i64; 4]> = rows.iter().collect();
    rows.sort_unstable();
    let (mut read, mut dropped) = (0, 0);
    for BatchCounts { counts, .. } in counts {
        read += counts.read;
        dropped += counts.dropped;
    }
    (rows, read, dropped)
}

#[test]
fn any_number_of_workers_gives_the_rows_of_all_that_they_read() {
    for workers in [1, 2, 3] {
        let n = workers as i64;
        let mut wanted = Vec::new();
        for digit in 0..10 {
            for start in [0, 50] {
                let of = (start..(start + 50).min(90)).filter(|x| x % 10 == digit);
                let (count, sum) = (of.clone().count() as i64, of.sum::<i64>());
                wanted.push([digit, start, n * count, n * sum]);
            }
        }
        let (rows, read, dropped) = rows_of(workers);
        assert_eq!(rows, wanted);
        assert_eq!((read, dropped), (100 * workers as u64, 10 * workers as u64));
    }
}

#[test]
fn a_node_of_a_programs_own_is_not_computed_here() {
    #[derive(Debug)]
    struct Own;
    impl Operator for Own {
        fn kind(&self) -> &'static str {
            "own"
        }
        fn describe(&self) -> String {
            String::new()
        }
        fn check(&self, inputs: &[&FlowType]) -> Result<strandline_plan::node::Output, Problem> {
            Ok(strandline_plan::node::Output::stateless(inputs[0].clone()))
        }
    }
    let error = build(&Own, &[&flow()], Arc::from([])).err().unwrap().to_string();
    assert!(error.contains("nothing computes a node of the kind `own`"), "{error}");
    let filter = plan::Filter { condition: lit(true) };
    let error = build(&filter, &[], Arc::from([])).err().unwrap().to_string();
    assert!(error.contains("a filter reads 1 flows"), "{error}");
}
