//! The rows that leave a join: pairs, and rows of one side alone.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow_schema::{SchemaRef, TimeUnit};
use arrow_select::take::take;
use arrow_select::zip::zip;
use strandline_plan::flow::FlowType;
use strandline_plan::operator::{JoinOf, WINDOW_END, WINDOW_START};

use super::Output;
use super::join_side::Row;
use super::result_rows::{BATCH_ROWS_MAX, edges};
use crate::batch::{Batch, Times};
use crate::expr::EvaluateError;
use crate::row_format::RowFormat;

/// How pairs become rows.
pub(crate) struct PairFormat {
    schema: SchemaRef,
    /// The columns of the right side that leave, and those that are one with a column of the left.
    right_columns: Vec<usize>,
    merged: Vec<(usize, usize)>,
    /// Whether the window's edges are columns of their own.
    edges: [bool; 2],
    /// The unit in which event time is counted, and how many of the join's own units it has.
    unit: TimeUnit,
    own_units: i64,
}

/// Pairs that leave together.
#[derive(Default)]
pub(crate) struct Pairs {
    left: Chosen,
    right: Chosen,
    times: Vec<i64>,
    windows: Vec<(i64, i64)>,
}

/// Rows of a side, and which of them is in each pair.
#[derive(Default)]
struct Chosen {
    rows: Vec<Row>,
    of_pair: Vec<Option<u32>>,
}

impl Chosen {
    fn push(&mut self, row: Option<&Row>) {
        let index = row.map(|row| {
            // Neighbours often have one side in common.
            if self.rows.last().is_none_or(|last| !Arc::ptr_eq(last, row)) {
                self.rows.push(Arc::clone(row));
            }
            self.rows.len() as u32 - 1
        });
        self.of_pair.push(index);
    }

    fn columns(&self, format: &RowFormat) -> Result<Vec<ArrayRef>, EvaluateError> {
        let columns = format.decode(self.rows.iter().map(|row| &**row))?;
        let places = UInt32Array::from(self.of_pair.clone());
        let column = |column: ArrayRef| match column.is_empty() {
            true => Ok(new_null_array(column.data_type(), self.of_pair.len())),
            false => Ok(take(&column, &places, None)?),
        };
        columns.into_iter().map(column).collect()
    }
}

impl PairFormat {
    /// Of a join of these sides that gives such rows. Its own times are counted in `own`.
    pub(crate) fn new(
        of: &JoinOf,
        left: &FlowType,
        right: &FlowType,
        rows: &FlowType,
        own: TimeUnit,
    ) -> Self {
        let has_right = of.kind.has_right();
        let right_columns = of.right_columns(right).map(|(index, _)| index);
        let right_columns: Vec<usize> = right_columns.filter(|_| has_right).collect();
        let merged =
            if of.kind.keeps_right() { of.merged_columns(left, right) } else { Vec::new() };
        let columns = left.schema.fields().len() + right_columns.len();
        let of_window = |name: &str| {
            rows.schema.fields().iter().skip(columns).any(|field| field.name() == name)
        };
        let unit = rows.time.as_ref().map_or(TimeUnit::Millisecond, |time| time.unit);
        let second = |unit| match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000_i64,
        };
        Self {
            schema: Arc::clone(&rows.schema),
            right_columns,
            merged,
            edges: [of_window(WINDOW_START), of_window(WINDOW_END)],
            unit,
            own_units: (second(own) / second(unit)).max(1),
        }
    }

    /// Gives all pairs, and forgets them.
    pub(crate) fn give(
        &self,
        pairs: &mut Pairs,
        left: &RowFormat,
        right: &RowFormat,
        out: &mut Output,
    ) -> Result<(), EvaluateError> {
        let pairs = std::mem::take(pairs);
        if pairs.times.is_empty() {
            return Ok(());
        }
        let mut columns = pairs.left.columns(left)?;
        if !self.right_columns.is_empty() || !self.merged.is_empty() {
            let of_right = pairs.right.columns(right)?;
            let has_left: BooleanArray =
                pairs.left.of_pair.iter().map(|place| Some(place.is_some())).collect();
            for (l, r) in &self.merged {
                columns[*l] = zip(&has_left, &columns[*l], &of_right[*r])?;
            }
            columns.extend(self.right_columns.iter().map(|index| Arc::clone(&of_right[*index])));
        }
        let of_window = edges(pairs.windows.iter().copied()).into_iter().zip(self.edges);
        columns.extend(of_window.filter(|(_, leaves)| *leaves).map(|(column, _)| column));
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let times: Vec<i64> =
            pairs.times.iter().map(|time| time.div_euclid(self.own_units)).collect();
        out.give(Batch::new(rows, Some(Times::new(times, self.unit)), None));
        Ok(())
    }
}

impl Pairs {
    /// Adds a pair, or a row of one side.
    pub(crate) fn push(&mut self, left: Option<&Row>, right: Option<&Row>, time: i64) {
        self.push_of_window(left, right, time, (0, 0));
    }

    /// The same, of a window.
    pub(crate) fn push_of_window(
        &mut self,
        left: Option<&Row>,
        right: Option<&Row>,
        time: i64,
        window: (i64, i64),
    ) {
        self.left.push(left);
        self.right.push(right);
        self.times.push(time);
        self.windows.push(window);
    }

    /// Whether there are so many that they had better leave.
    pub(crate) fn is_full(&self) -> bool {
        self.times.len() >= BATCH_ROWS_MAX
    }
}
