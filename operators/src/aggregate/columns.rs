//! Aggregates of a plan, over columns whose types are known at run time.
//!
//! [`Aggregates`] keeps the partial results of many groups, each under a number, its *slot*. Rows are
//! added a column at a time: one loop an aggregate, over the slots of a batch's rows. As everywhere
//! here, adding rows and combining slots is exact or does not depend on the order, so neither batches
//! nor workers nor restarts change a result.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::{Array, Float64Array, RecordBatch};
//! use strandline_operators::aggregate::columns::Aggregates;
//! use strandline_operators::batch::Batch;
//! use strandline_plan::aggregate::{avg, max};
//! use strandline_plan::expr::col;
//!
//! let x: Arc<dyn Array> = Arc::new(Float64Array::from(vec![0.1, 0.1, 0.1, 7.0]));
//! let rows = RecordBatch::try_from_iter([("x", x)])?;
//! let bound = [avg(col("x")).bind(&rows.schema())?, max(col("x")).bind(&rows.schema())?];
//! let mut aggregates = Aggregates::new(&bound, &rows.schema())?;
//! let (a, b) = (aggregates.slot(), aggregates.slot());
//! aggregates.add(&Batch::new(rows, None, None), &[a, a, a, b])?;
//! let results = aggregates.results(&[a, b])?;
//! assert_eq!(results.columns[0].as_ref(), &Float64Array::from(vec![0.1, 7.0]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod boolean;
mod count;
mod decimal;
mod distinct;
mod extreme;
mod float;
mod hyper_log_log;
mod integer;
mod make;
mod moments;
mod positional;
mod quantile;
mod state;
#[cfg(test)]
mod tests;
mod top;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_buffer::BooleanBuffer;
use arrow_schema::Schema;
use strandline_plan::aggregate::TypedAggregate;

use self::state::Accumulator;
use crate::batch::Batch;
use crate::expr::{Condition, EvaluateError, Evaluator, Failed};
use crate::row_order::{Ordered, RowOrder};

/// The partial results of several aggregates, for many groups of rows.
pub struct Aggregates {
    aggregates: Vec<Aggregate>,
    /// Orders rows where an aggregate depends on that.
    order: Option<RowOrder>,
    /// How many slots there are, used or free.
    slots: u32,
    free: Vec<u32>,
}

struct Aggregate {
    argument: Option<Evaluator>,
    filter: Option<Condition>,
    accumulator: Box<dyn Accumulator>,
}

/// Which rows are added, and to what.
pub(crate) struct Contributions<'a> {
    /// The slot of each row of the batch.
    slots: &'a [u32],
    /// The rows that contribute; all if there is none.
    mask: Option<BooleanBuffer>,
    /// The order of rows, if the aggregate asked for it.
    order: Option<&'a Ordered>,
}

impl Contributions<'_> {
    /// Each row that contributes, with its slot.
    #[inline]
    fn each(&self, mut add: impl FnMut(usize, usize)) {
        match &self.mask {
            None => {
                for (row, slot) in self.slots.iter().enumerate() {
                    add(row, *slot as usize);
                }
            }
            Some(mask) => {
                for row in mask.set_indices() {
                    add(row, self.slots[row] as usize);
                }
            }
        }
    }
}

/// The results of some slots.
#[derive(Debug)]
pub struct Results {
    /// A column for each aggregate.
    pub columns: Vec<ArrayRef>,
    /// The results that do not fit their type, and are null: the aggregate and the row of each.
    pub unfit: Vec<(usize, usize)>,
}

impl Aggregates {
    /// None of them has seen a row. `schema` is that of the rows.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::new`].
    pub fn new(aggregates: &[TypedAggregate], schema: &Schema) -> Result<Self, EvaluateError> {
        let mut order = None;
        let aggregates = aggregates.iter().map(|aggregate| {
            if make::depends_on_order(&aggregate.function) && order.is_none() {
                order = Some(RowOrder::new(schema)?);
            }
            Ok(Aggregate {
                argument: aggregate.argument.as_ref().map(Evaluator::new).transpose()?,
                filter: aggregate.filter.as_ref().map(Condition::new).transpose()?,
                accumulator: make::accumulator(aggregate)?,
            })
        });
        let aggregates = aggregates.collect::<Result<_, EvaluateError>>()?;
        Ok(Self { aggregates, order, slots: 0, free: Vec::new() })
    }

    /// An empty slot.
    ///
    /// # Panics
    ///
    /// If there are 2^32 already.
    pub fn slot(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = self.slots;
        self.slots = slot.checked_add(1).expect("fewer than 2^32 slots fit in memory");
        for aggregate in &mut self.aggregates {
            aggregate.accumulator.grow(self.slots as usize);
        }
        slot
    }

    /// Gives a slot back; it is empty when it is given again.
    pub fn free(&mut self, slot: u32) {
        for aggregate in &mut self.aggregates {
            aggregate.accumulator.clear(slot as usize);
        }
        self.free.push(slot);
    }

    /// Adds each row of a batch to its slot. Gives, for each aggregate, the rows whose argument or
    /// filter could not be computed: they do not contribute to it.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::evaluate`].
    ///
    /// # Panics
    ///
    /// If there are not as many slots as rows, or one of them was not given.
    pub fn add(&mut self, batch: &Batch, slots: &[u32]) -> Result<Vec<Failed>, EvaluateError> {
        assert_eq!(batch.len(), slots.len(), "a slot for each row");
        let ordered = match &self.order {
            Some(order) => Some(order.of(batch)?),
            None => None,
        };
        let add = |aggregate: &mut Aggregate| -> Result<Failed, EvaluateError> {
            let mut failed = Failed::default();
            let mut mask = None;
            if let Some(filter) = &aggregate.filter {
                let filter = filter.mask(batch.rows())?;
                failed.add_all(filter.failed, |row| row);
                mask = Some(filter.passes.values().clone());
            }
            let mut column = None;
            if let Some(argument) = &aggregate.argument {
                let evaluated = argument.evaluate(batch.rows())?;
                // What the filter drops is not needed, and does not fail.
                let passes = |row: usize| mask.as_ref().is_none_or(|mask| mask.value(row));
                for failure in evaluated.failed.iter().filter(|failure| passes(failure.row)) {
                    failed.add(failure.row, failure.reason.clone());
                }
                if let Some(nulls) = evaluated.column.logical_nulls() {
                    mask = Some(match mask {
                        Some(mask) => &mask & nulls.inner(),
                        None => nulls.into_inner(),
                    });
                }
                column = Some(evaluated.column);
            }
            let rows = Contributions { slots, mask, order: ordered.as_ref() };
            aggregate.accumulator.add(&rows, column.as_ref())?;
            Ok(failed.in_order())
        };
        self.aggregates.iter_mut().map(add).collect()
    }

    /// Adds slots to others: of each pair the first to the second, in this order. The first stays as
    /// it is.
    ///
    /// # Panics
    ///
    /// If both are the same, or one was not given.
    pub fn combine(&mut self, pairs: &[(u32, u32)]) {
        for aggregate in &mut self.aggregates {
            aggregate.accumulator.combine(pairs);
        }
    }

    /// What rows hold of these slots.
    ///
    /// # Errors
    ///
    /// If a column does not fit in an array: texts of more than 2 GiB.
    pub fn results(&self, slots: &[u32]) -> Result<Results, EvaluateError> {
        let mut results = Results { columns: Vec::new(), unfit: Vec::new() };
        for (i, aggregate) in self.aggregates.iter().enumerate() {
            let mut unfit = Vec::new();
            results.columns.push(aggregate.accumulator.results(slots, &mut unfit)?);
            results.unfit.extend(unfit.into_iter().map(|row| (i, row)));
        }
        Ok(results)
    }

    /// The partial results of these slots, to be kept or sent: of each aggregate, all slots.
    pub fn save(&self, slots: &[u32]) -> Vec<Vec<u8>> {
        self.aggregates.iter().map(|aggregate| aggregate.accumulator.save(slots)).collect()
    }

    /// Adds what was saved of as many slots to these.
    ///
    /// # Errors
    ///
    /// If it was not saved by the same aggregates: what is wrong.
    pub fn load(&mut self, slots: &[u32], saved: &[Vec<u8>]) -> Result<(), String> {
        if saved.len() != self.aggregates.len() {
            let (found, wanted) = (saved.len(), self.aggregates.len());
            return Err(format!("{found} aggregates were stored, and the plan has {wanted}"));
        }
        for (aggregate, saved) in self.aggregates.iter_mut().zip(saved) {
            aggregate.accumulator.load(slots, saved)?;
        }
        Ok(())
    }

    /// How many slots are in use.
    pub fn used(&self) -> usize {
        self.slots as usize - self.free.len()
    }

    /// About how much memory all of it takes, bytes.
    pub fn size(&self) -> usize {
        self.aggregates.iter().map(|aggregate| aggregate.accumulator.size()).sum()
    }
}

/// True and false of a column, without its nulls.
fn booleans(column: &ArrayRef) -> &BooleanBuffer {
    column.as_boolean().values()
}
