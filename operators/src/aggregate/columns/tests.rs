//! Each aggregate against a reading of it that looks at one value at a time, over any batches and any
//! way of combining slots.

mod order;
mod values;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::TimeUnit;
use arrow_select::take::take;
use proptest::prelude::*;
use strandline_plan::aggregate::Aggregate;
use strandline_plan::expr::col;

use super::*;
use crate::batch::Times;

/// How rows become one result: in which order, in which batches, and what is combined with what.
#[derive(Clone, Debug)]
struct Course {
    /// Orders rows.
    shuffle: Vec<u32>,
    /// The slot that a row goes to, before all are combined.
    parts: Vec<u8>,
    /// Rows of a batch.
    batch: usize,
    /// Whether partial results are stored and taken back.
    stored: bool,
}

const PARTS: u8 = 4;

fn courses() -> impl Strategy<Value = Course> {
    let shuffle = prop::collection::vec(any::<u32>(), 64);
    let parts = prop::collection::vec(0..PARTS, 64);
    (shuffle, parts, 1_usize..20, any::<bool>())
        .prop_map(|(shuffle, parts, batch, stored)| Course { shuffle, parts, batch, stored })
}

impl Course {
    fn straight() -> Self {
        Self { shuffle: vec![0; 64], parts: vec![0; 64], batch: 64, stored: false }
    }

    /// The result of all rows in the column `x` (and of a filter in `p`), as an array of one value,
    /// and whether it did not fit.
    fn run(
        &self,
        aggregate: &Aggregate,
        x: &ArrayRef,
        p: Option<&BooleanArray>,
    ) -> (ArrayRef, bool) {
        let p = p.cloned().unwrap_or_else(|| BooleanArray::from(vec![true; x.len()]));
        let columns: [(&str, ArrayRef); 2] = [("x", Arc::clone(x)), ("p", Arc::new(p))];
        let rows = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        let times = Times::new(vec![0; x.len()], TimeUnit::Millisecond);
        let all = Batch::new(rows.clone(), Some(times), None);
        let mut order: Vec<u32> = (0..u32::try_from(x.len()).unwrap()).collect();
        order.sort_by_key(|row| self.shuffle[*row as usize]);

        let bound = [aggregate.bind(&rows.schema()).unwrap()];
        let mut aggregates = Aggregates::new(&bound, &rows.schema()).unwrap();
        // Slots that were used before are empty.
        let used = aggregates.slot();
        aggregates.add(&all, &vec![used; all.len()]).unwrap();
        aggregates.free(used);
        let slots: Vec<u32> = (0..PARTS).map(|_| aggregates.slot()).collect();
        for rows in order.chunks(self.batch) {
            let to: Vec<u32> =
                rows.iter().map(|row| slots[usize::from(self.parts[*row as usize])]).collect();
            let failed = aggregates.add(&all.take(rows), &to).unwrap();
            assert!(failed.iter().all(Failed::is_empty));
        }
        if self.stored {
            let saved = aggregates.save(&slots);
            aggregates = Aggregates::new(&bound, &rows.schema()).unwrap();
            let back: Vec<u32> = (0..PARTS).map(|_| aggregates.slot()).collect();
            aggregates.load(&back, &saved).unwrap();
        }
        let pairs: Vec<(u32, u32)> = slots[1..].iter().map(|slot| (*slot, slots[0])).collect();
        aggregates.combine(&pairs);
        let results = aggregates.results(&slots[..1]).unwrap();
        assert_eq!(*results.columns[0].data_type(), bound[0].data_type);
        (Arc::clone(&results.columns[0]), !results.unfit.is_empty())
    }
}

/// The result of an aggregate of a column, whichever way it is computed.
fn result(aggregate: &Aggregate, x: &ArrayRef) -> ArrayRef {
    let (result, unfit) = Course::straight().run(aggregate, x, None);
    assert!(!unfit);
    result
}

/// Those rows of a column for which a mask is true and that are not null: what contributes.
fn contributing(x: &ArrayRef, p: &BooleanArray) -> ArrayRef {
    let rows = (0..x.len()).filter(|row| !x.is_null(*row) && p.is_valid(*row) && p.value(*row));
    let rows: UInt32Array = rows.map(|row| u32::try_from(row).unwrap()).collect();
    take(x, &rows, None).unwrap()
}

#[test]
fn an_argument_that_cannot_be_computed_does_not_contribute_and_is_told() {
    let x: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![6, 0, 2, 0]));
    let p: ArrayRef = Arc::new(BooleanArray::from(vec![true, true, true, false]));
    let rows = RecordBatch::try_from_iter([("x", x), ("p", p)]).unwrap();
    let quotients = strandline_plan::expr::lit(12_i64) / col("x");
    let schema = rows.schema();
    let bound = [
        strandline_plan::aggregate::sum(quotients).filter(col("p")).bind(&schema).unwrap(),
        strandline_plan::aggregate::count().bind(&schema).unwrap(),
    ];
    let mut aggregates = Aggregates::new(&bound, &schema).unwrap();
    let slot = aggregates.slot();
    let failed = aggregates.add(&Batch::new(rows, None, None), &[slot; 4]).unwrap();
    // The last row is dropped by the filter, so what it holds does not matter.
    assert_eq!(failed[0].to_string(), "row 1: division by zero");
    assert!(failed[1].is_empty());
    let results = aggregates.results(&[slot]).unwrap();
    assert_eq!(results.columns[0].as_ref(), &arrow_array::Int64Array::from(vec![8]));
    assert_eq!(results.columns[1].as_ref(), &arrow_array::Int64Array::from(vec![4]));
}

#[test]
fn what_was_stored_by_other_aggregates_is_refused() {
    let schema = arrow_schema::Schema::new(vec![arrow_schema::Field::new(
        "x",
        arrow_schema::DataType::Int64,
        true,
    )]);
    let of = |aggregates: &[Aggregate]| {
        let bound: Vec<_> = aggregates.iter().map(|a| a.bind(&schema).unwrap()).collect();
        Aggregates::new(&bound, &schema).unwrap()
    };
    use strandline_plan::aggregate::{count, max};
    let (mut two, mut one) = (of(&[count(), max(col("x"))]), of(&[count()]));
    let slot = two.slot();
    let saved = two.save(&[slot]);
    let other = one.slot();
    assert!(one.load(&[other], &saved).unwrap_err().contains("2 aggregates were stored"));
    let more = two.slot();
    let problem = two.load(&[slot, more], &saved).unwrap_err();
    assert!(problem.contains("1 states of an aggregate were stored for 2 groups"), "{problem}");
    assert!(two.load(&[slot], &[vec![], vec![]]).unwrap_err().contains("cannot be read"));
}
