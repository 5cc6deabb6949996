//! What becomes of rows, and that what belongs to a row stays with it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Date32Array, Int32Array, Int64Array, ListArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use strandline_plan::expr::{NamedExpr, col, lit};
use strandline_plan::flow::{FlowType, Mode, TimeColumn};
use strandline_plan::operator as plan;
use strandline_plan::types::timestamp;

use super::*;
use crate::batch::{Origin, Times};
use crate::build::{Built, build};
use crate::record::{Offset, Partition};
use crate::time::EventTime;

fn flow(fields: Vec<Field>, unit: TimeUnit) -> FlowType {
    FlowType {
        schema: Arc::new(Schema::new(fields)),
        mode: Mode::Append,
        time: Some(TimeColumn { column: None, unit }),
        of_log: true,
        reproducible: true,
        bounded: true,
    }
}

/// Rows of `x` and of lists `l`.
fn readings() -> FlowType {
    let list = DataType::new_list(DataType::Int32, true);
    let fields = vec![Field::new("x", DataType::Int64, true), Field::new("l", list, true)];
    flow(fields, TimeUnit::Millisecond)
}

type List = Option<Vec<Option<i32>>>;

/// Each row's offset is its number, its time ten times that, its watermark five times.
fn batch(numbers: std::ops::Range<usize>, x: &[Option<i64>], l: &[List]) -> Batch {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(l[numbers.clone()].to_vec());
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(x[numbers.clone()].to_vec())), Arc::new(lists)];
    let rows = RecordBatch::try_new(readings().schema, columns).unwrap();
    let mut origin = Origin::default();
    for n in numbers.clone() {
        let partition = Partition(u32::try_from(n % 3).unwrap());
        origin.push(0, partition, Offset(n as u64), EventTime::from_millis(5 * n as i64));
    }
    let times: Vec<i64> = numbers.map(|n| 10 * n as i64).collect();
    Batch::new(rows, Some(Times::new(times, TimeUnit::Millisecond)), Some(origin))
}

fn make(node: &dyn strandline_plan::node::Operator, inputs: &[&FlowType]) -> Box<dyn Stateless> {
    match build(node, inputs, Arc::from([])).unwrap() {
        Built::Stateless(operator) => operator,
        Built::Stateful { .. } => unreachable!("it keeps no rows"),
    }
}

/// The offset of each row on a way, where time and watermark are those of the offset still.
fn offsets(rows: &[(usize, Batch)], way: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    for (_, batch) in rows.iter().filter(|(of, _)| *of == way) {
        let origin = batch.origin().unwrap();
        for row in 0..batch.len() {
            let offset = origin.offsets[row];
            let n = offset.0.cast_signed();
            assert_eq!(batch.times().unwrap().exact()[row], 10 * n);
            assert_eq!(origin.watermarks.get(row).as_millis(), 5 * n);
            assert_eq!(i64::from(origin.partitions.get(row).1.0), n % 3);
            offsets.push(offset.0);
        }
    }
    offsets
}

/// What an operator makes of rows that come in two batches.
fn run(operator: &dyn Stateless, x: &[Option<i64>], l: &[List], split: usize) -> Ways {
    let mut out = Ways::default();
    for numbers in [0..split, split..x.len()] {
        let batch = batch(numbers, x, l);
        out.note_read(batch.len() as u64);
        operator.apply(0, batch, &mut out);
    }
    assert_eq!(out.take_stop(), None);
    let counts = out.counts;
    assert_eq!(counts.read, counts.passed + counts.dropped + counts.failed, "{counts:?}");
    assert_eq!(counts.failed, out.errors.iter().map(Batch::len).sum::<usize>() as u64);
    assert_eq!(counts.given, out.rows.iter().map(|(_, rows)| rows.len()).sum::<usize>() as u64);
    out
}

fn rows() -> impl Strategy<Value = (Vec<Option<i64>>, Vec<List>, usize)> {
    let list = prop::option::weighted(0.8, prop::collection::vec(prop::option::of(0..9_i32), 0..4));
    let row = (prop::option::weighted(0.8, -2_i64..4), list);
    (prop::collection::vec(row, 0..20), any::<prop::sample::Index>()).prop_map(|(rows, split)| {
        let split = split.index(rows.len() + 1);
        let (x, l) = rows.into_iter().unzip();
        (x, l, split)
    })
}

proptest! {
    /// Twelve divided by `x` cannot be computed where `x` is zero.
    #[test]
    fn a_filter_keeps_what_is_true_and_tells_what_cannot_be_computed((x, l, split) in rows()) {
        let node = plan::Filter { condition: (lit(12_i64) / col("x")).gt(lit(3_i64)) };
        let mut out = run(&*make(&node, &[&readings()]), &x, &l, split);
        let of = |is: &dyn Fn(i64) -> bool| -> Vec<u64> {
            (0..x.len()).filter(|n| x[*n].is_some_and(is)).map(|n| n as u64).collect()
        };
        prop_assert_eq!(offsets(&out.take_rows(), 0), of(&|x| x > 0 && 12 / x > 3));
        prop_assert_eq!(out.counts.failed as usize, of(&|x| x == 0).len());
    }

    #[test]
    fn a_projection_keeps_the_rows_that_it_can_compute((x, l, split) in rows()) {
        let node = plan::Project {
            columns: vec![(lit(12_i64) / col("x")).named("q"), NamedExpr::from("x")],
            keep: false,
        };
        let mut out = run(&*make(&node, &[&readings()]), &x, &l, split);
        let rows = out.take_rows();
        let kept: Vec<usize> = (0..x.len()).filter(|n| x[*n] != Some(0)).collect();
        prop_assert_eq!(offsets(&rows, 0), kept.iter().map(|n| *n as u64).collect::<Vec<_>>());
        let quotients = rows.iter().flat_map(|(_, b)| b.rows().column(0).as_primitive::<Int64Type>().iter());
        let wanted = kept.iter().map(|n| x[*n].map(|x| 12 / x));
        prop_assert_eq!(quotients.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
        for errors in out.take_errors() {
            prop_assert_eq!(errors.rows().column(2).as_string::<i32>().value(0), "division by zero");
        }
    }

    #[test]
    fn a_row_goes_the_way_of_the_first_true_condition((x, l, split) in rows()) {
        let node = plan::Route {
            conditions: vec![col("x").gt(lit(2_i64)), (lit(12_i64) / col("x")).lt(lit(0_i64))],
        };
        let mut out = run(&*make(&node, &[&readings()]), &x, &l, split);
        let rows = out.take_rows();
        let way = |x: Option<i64>| match x {
            Some(x) if x > 2 => Some(0),
            Some(0) => None,
            Some(x) if x < 0 => Some(1),
            _ => Some(2),
        };
        for number in 0..3 {
            let wanted: Vec<u64> =
                (0..x.len()).filter(|n| way(x[*n]) == Some(number)).map(|n| n as u64).collect();
            prop_assert_eq!(offsets(&rows, number), wanted);
        }
    }

    #[test]
    fn each_item_of_a_list_is_a_row((x, l, split) in rows()) {
        let node = plan::Unnest { column: "l".into() };
        let mut out = run(&*make(&node, &[&readings()]), &x, &l, split);
        let rows = out.take_rows();
        let mut wanted = Vec::new();
        for (n, list) in l.iter().enumerate() {
            for (i, item) in list.iter().flatten().enumerate() {
                wanted.push((n as u64, i as u32, *item));
            }
        }
        let found: Vec<_> = rows.iter().flat_map(|(_, batch)| {
            let (origin, items) = (batch.origin().unwrap(), batch.rows().column(1).as_primitive::<Int32Type>());
            (0..batch.len()).map(move |row| {
                let item = items.is_valid(row).then(|| items.value(row));
                (origin.offsets[row].0, origin.indices.get(row), item)
            })
        }).collect();
        prop_assert_eq!(found, wanted);
        offsets(&rows, 0);
    }
}

#[test]
fn a_row_that_has_its_way_is_not_asked_again() {
    let node = plan::Route {
        conditions: vec![col("x").eq(lit(0_i64)), (lit(12_i64) / col("x")).gt(lit(3_i64))],
    };
    let x = [Some(0), Some(3), Some(6)];
    let mut out = run(&*make(&node, &[&readings()]), &x, &[None, None, None], 0);
    let rows = out.take_rows();
    assert_eq!([0, 1, 2].map(|way| offsets(&rows, way)), [[0], [1], [2]]);
    assert_eq!(out.counts.failed, 0);
}

#[test]
fn a_list_that_is_null_has_no_items_even_where_it_has_a_place_among_them() {
    let items = Int32Array::from(vec![1, 2, 3]);
    let nulls = arrow_buffer::NullBuffer::from(vec![false, true]);
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([2, 1]);
    let field = Arc::new(Field::new_list_field(DataType::Int32, true));
    let lists = ListArray::new(field, offsets, Arc::new(items), Some(nulls));
    let x: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
    let rows = RecordBatch::try_new(readings().schema, vec![x, Arc::new(lists)]).unwrap();
    let mut out = Ways::default();
    let node = plan::Unnest { column: "l".into() };
    make(&node, &[&readings()]).apply(0, Batch::new(rows, None, None), &mut out);
    let rows = out.take_rows();
    assert_eq!(rows[0].1.rows().column(0).as_ref(), &Int64Array::from(vec![8]));
    assert_eq!(rows[0].1.rows().column(1).as_ref(), &Int32Array::from(vec![3]));
}

#[test]
fn a_union_gives_all_rows_in_the_types_that_they_have_in_common() {
    let narrow = flow(vec![Field::new("x", DataType::Int32, false)], TimeUnit::Second);
    let wide = flow(vec![Field::new("x", DataType::Float64, true)], TimeUnit::Microsecond);
    let operator = make(&plan::Union, &[&narrow, &wide]);
    let one: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let rows = RecordBatch::try_new(narrow.schema, vec![one]).unwrap();
    let mut out = Ways::default();
    let times = Times::new([3, 4], TimeUnit::Second);
    operator.apply(0, Batch::new(rows, Some(times), None), &mut out);
    let rows = out.take_rows();
    let given = &rows[0].1;
    assert_eq!(given.rows().column(0).as_primitive::<Float64Type>().values(), &[1.0, 2.0]);
    assert_eq!(given.times().unwrap().exact(), [3_000_000, 4_000_000]);
}

#[test]
fn what_a_finer_unit_cannot_hold_is_told() {
    let days = flow(vec![Field::new("at", DataType::Date32, false)], TimeUnit::Second);
    let nanos = timestamp(TimeUnit::Nanosecond);
    let other = flow(vec![Field::new("at", nanos, false)], TimeUnit::Nanosecond);
    let operator = make(&plan::Union, &[&days, &other]);
    let at: ArrayRef = Arc::new(Date32Array::from(vec![1, 1, 1_000_000]));
    let rows = RecordBatch::try_new(days.schema, vec![at]).unwrap();
    let mut out = Ways::default();
    let times = Times::new([0, i64::MAX / 1_000_000, 0], TimeUnit::Second);
    operator.apply(0, Batch::new(rows, Some(times), None), &mut out);
    assert_eq!(out.take_rows()[0].1.len(), 1);
    let errors = out.take_errors();
    assert_eq!((errors[0].len(), out.counts.failed), (2, 2));
    let reasons = errors[0].rows().column(1).as_string::<i32>();
    assert!(reasons.value(0).contains("the event time does not fit"), "{}", reasons.value(0));
}
