//! Records of partitions, each of which has a watermark of its own.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema, TimeUnit};
use proptest::prelude::*;
use strandline_plan::expr::{Expr, col};
use strandline_plan::flow::{FlowType, Mode, TimeColumn};
use strandline_plan::window::Window;

use super::*;
use crate::batch::{Origin, Times};
use crate::record::{Offset, Partition};

/// How far a partition's watermark is behind its greatest time.
pub(super) const DELAY: i64 = 6;
pub(super) const PARTITIONS: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) input: usize,
    pub(super) partition: usize,
    pub(super) time: i64,
    pub(super) key: Option<char>,
    pub(super) x: Option<i64>,
}

/// A record with what is known when it is read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) record: Record,
    pub(super) offset: u64,
    /// That of its own partition.
    pub(super) watermark: i64,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Some records are read.
    Records(Vec<Record>),
    /// The frontier follows the watermarks.
    Advance,
    /// A cut, and a restart with so many workers.
    Cut(usize),
}

/// Steps over some inputs. Times move on with the steps, out of order.
pub(super) fn steps(inputs: usize) -> impl Strategy<Value = Vec<Step>> {
    let key = prop::option::weighted(0.9, prop::char::range('a', 'c'));
    let x = prop::option::weighted(0.9, -3_i64..4);
    let record = (0..inputs, 0..PARTITIONS, 0_i64..14, key, x)
        .prop_map(|(input, partition, time, key, x)| Record { input, partition, time, key, x });
    let step = prop_oneof![
        4 => prop::collection::vec(record, 1..5).prop_map(Step::Records),
        3 => Just(Step::Advance),
        1 => (1_usize..4).prop_map(Step::Cut),
    ];
    prop::collection::vec(step, 1..20).prop_map(|mut steps| {
        for (i, step) in steps.iter_mut().enumerate() {
            if let Step::Records(records) = step {
                let now = 2 * i64::try_from(i).unwrap();
                // A partition that is ahead of the other.
                records.iter_mut().for_each(|r| r.time += now + 5 * r.partition as i64 - 10);
            }
        }
        steps
    })
}

pub(super) fn windows() -> impl Strategy<Value = Window> {
    let millis = Duration::from_millis;
    prop_oneof![
        (1_u64..9, 0_u64..9).prop_map(move |(size, offset)| {
            Window::tumbling(millis(size)).with_offset(millis(offset % size))
        }),
        (1_u64..12, 1_u64..12, 0_u64..9).prop_map(move |(size, slide, offset)| {
            Window::sliding(millis(size), millis(slide)).with_offset(millis(offset % size))
        }),
        (1_u64..5, 1_u64..5, 0_u64..9).prop_map(move |(steps, step, offset)| {
            Window::cumulative(millis(steps * step), millis(step))
                .with_offset(millis(offset % (steps * step)))
        }),
        (1_u64..6).prop_map(move |gap| Window::session(millis(gap))),
    ]
}

/// Rows of `k` and `x`, with event time that is none of them.
pub(super) fn flow(of_log: bool) -> FlowType {
    let fields =
        vec![Field::new("k", DataType::Utf8, true), Field::new("x", DataType::Int64, true)];
    FlowType {
        schema: Arc::new(Schema::new(fields)),
        mode: Mode::Append,
        time: Some(TimeColumn { column: None, unit: TimeUnit::Millisecond }),
        of_log,
        reproducible: true,
        bounded: true,
    }
}

pub(super) fn key_of(columns: &[Expr]) -> Key {
    let schema = flow(true).schema;
    let bound: Vec<_> = columns.iter().map(|column| column.bind(&schema).unwrap()).collect();
    Key::new(&bound).unwrap()
}

pub(super) fn by_k() -> Key {
    key_of(&[col("k")])
}

/// Records as a batch of one input.
pub(super) fn batch(read: &[Read]) -> Batch {
    let k: StringArray = read.iter().map(|r| r.record.key.map(String::from)).collect();
    let x: Int64Array = read.iter().map(|r| r.record.x).collect();
    let rows = RecordBatch::try_new(flow(true).schema, vec![Arc::new(k), Arc::new(x)]).unwrap();
    let mut origin = Origin::default();
    for Read { record, offset, watermark } in read {
        let partition = Partition(u32::try_from(record.partition).unwrap());
        let source = u32::try_from(record.input).unwrap();
        origin.push(source, partition, Offset(*offset), EventTime::from_millis(*watermark));
    }
    let times: Vec<i64> = read.iter().map(|r| r.record.time).collect();
    Batch::new(rows, Some(Times::new(times, TimeUnit::Millisecond)), Some(origin))
}

pub(super) fn sources() -> SourceNames {
    Arc::from(["one".to_owned(), "two".to_owned()])
}

/// Takes the steps to the end, where nothing is kept, and gives all that was read.
pub(super) fn run(workers: &mut Workers<'_>, steps: &[Step]) -> Vec<Read> {
    let end = |workers: &mut Workers<'_>| workers.end();
    take(workers, steps, end)
}

/// Takes the steps, and gives all that was read.
pub(super) fn take(
    workers: &mut Workers<'_>,
    steps: &[Step],
    end: impl FnOnce(&mut Workers<'_>),
) -> Vec<Read> {
    let inputs = workers.keys.len();
    let mut watermarks = vec![[i64::MIN; PARTITIONS]; inputs];
    let mut all: Vec<Read> = Vec::new();
    for step in steps {
        match step {
            Step::Records(records) => {
                let mut read = Vec::new();
                for record in records {
                    let watermark = &mut watermarks[record.input][record.partition];
                    *watermark = (*watermark).max(record.time - DELAY);
                    let offset = (all.len() + read.len()) as u64;
                    read.push(Read { record: record.clone(), offset, watermark: *watermark });
                }
                for input in 0..inputs {
                    let of_input: Vec<Read> =
                        read.iter().filter(|r| r.record.input == input).cloned().collect();
                    if !of_input.is_empty() {
                        workers.apply(input, &batch(&of_input));
                    }
                }
                all.extend(read);
            }
            Step::Advance => {
                for (input, watermarks) in watermarks.iter().enumerate() {
                    let least = watermarks.iter().min().copied().unwrap();
                    workers.advance(input, EventTime::from_millis(least));
                }
            }
            Step::Cut(number) => workers.cut(*number),
        }
    }
    end(workers);
    all
}
