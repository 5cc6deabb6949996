//! The rows that leave a window: key, edges and results.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampMillisecondArray, UInt32Array, new_null_array};
use arrow_schema::{SchemaRef, TimeUnit};
use arrow_select::take::take_record_batch;
use strandline_plan::operator::Overflow;
use strandline_plan::types::UTC;

use super::Output;
use super::rejected::with_reasons;
use crate::aggregate::columns::Aggregates;
use crate::batch::{Batch, Times};
use crate::expr::EvaluateError;
use crate::key::{Key, KeyTable};

/// Rows of a batch that leaves a window.
pub(crate) const BATCH_ROWS_MAX: usize = 4096;

/// A window of a key: what becomes a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Result {
    pub(crate) key: u32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) slot: u32,
}

/// Makes rows of results.
pub(crate) struct ResultRows {
    /// Key, `window_start`, `window_end`, aggregates.
    schema: SchemaRef,
    /// The same and a reason.
    errors: SchemaRef,
    /// What the plan calls each aggregate: `sum(x)`.
    texts: Vec<String>,
    overflow: Overflow,
}

impl ResultRows {
    pub(crate) fn new(
        schema: SchemaRef,
        errors: SchemaRef,
        texts: Vec<String>,
        overflow: Overflow,
    ) -> Self {
        Self { schema, errors, texts, overflow }
    }

    /// Gives a row for each result.
    pub(crate) fn give(
        &self,
        results: &[Result],
        key: &Key,
        keys: &KeyTable,
        aggregates: &Aggregates,
        out: &mut Output,
    ) -> std::result::Result<(), EvaluateError> {
        for results in results.chunks(BATCH_ROWS_MAX) {
            let mut columns = key.columns(results.iter().map(|result| keys.bytes(result.key)))?;
            columns.extend(edges(results.iter().map(|result| (result.start, result.end))));
            let slots: Vec<u32> = results.iter().map(|result| result.slot).collect();
            let values = aggregates.results(&slots)?;
            columns.extend(values.columns);
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
            self.overflow(&values.unfit, &rows, out)?;
            let times: Vec<i64> =
                results.iter().map(|result| result.end.saturating_sub(1)).collect();
            out.give(Batch::new(rows, Some(Times::new(times, TimeUnit::Millisecond)), None));
        }
        Ok(())
    }

    /// Results that do not fit their type: of each the aggregate and the row.
    fn overflow(
        &self,
        unfit: &[(usize, usize)],
        rows: &RecordBatch,
        out: &mut Output,
    ) -> std::result::Result<(), EvaluateError> {
        if unfit.is_empty() {
            return Ok(());
        }
        let reason = |aggregate: usize| {
            let field =
                self.schema.field(self.schema.fields().len() - self.texts.len() + aggregate);
            let of = strandline_plan::types::name(field.data_type());
            format!("`{}` does not fit {of}", self.texts[aggregate])
        };
        if self.overflow == Overflow::Stop {
            let aggregate = unfit[0].0;
            out.stop(format!(
                "{}, and the plan says to stop; sum up a wider type, or let such results be null (`Overflow::Null`)",
                reason(aggregate)
            ));
            return Ok(());
        }
        let places = UInt32Array::from_iter_values(unfit.iter().map(|(_, row)| *row as u32));
        let reasons = unfit.iter().map(|(aggregate, _)| reason(*aggregate)).collect();
        let rows = take_record_batch(rows, &places)?;
        out.also_failed(with_reasons(&self.errors, &rows, reasons)?);
        Ok(())
    }

    /// A row of the error output for each record that could not be computed: its key, its window, no
    /// results.
    pub(crate) fn failed(
        &self,
        key: &[ArrayRef],
        windows: &[(i64, i64)],
        reasons: Vec<String>,
    ) -> std::result::Result<Batch, EvaluateError> {
        let mut columns = key.to_vec();
        columns.extend(edges(windows.iter().copied()));
        let results = &self.schema.fields()[columns.len()..];
        columns
            .extend(results.iter().map(|field| new_null_array(field.data_type(), windows.len())));
        let fields = self.errors.fields().iter().take(columns.len()).cloned().collect::<Vec<_>>();
        let schema = Arc::new(arrow_schema::Schema::new(fields));
        let rows = RecordBatch::try_new(schema, columns)?;
        Ok(with_reasons(&self.errors, &rows, reasons)?)
    }

    /// What the plan calls an aggregate.
    pub(crate) fn text(&self, aggregate: usize) -> &str {
        &self.texts[aggregate]
    }
}

/// The columns `window_start` and `window_end`.
pub(crate) fn edges(windows: impl Iterator<Item = (i64, i64)> + Clone) -> [ArrayRef; 2] {
    let column = |times: TimestampMillisecondArray| Arc::new(times.with_timezone(UTC)) as ArrayRef;
    [
        column(TimestampMillisecondArray::from_iter_values(
            windows.clone().map(|(start, _)| start),
        )),
        column(TimestampMillisecondArray::from_iter_values(windows.map(|(_, end)| end))),
    ]
}
