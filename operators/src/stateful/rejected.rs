//! Rows that are left out, with the columns that say where they come from and why.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_schema::{ArrowError, SchemaRef};
use strandline_plan::types::UTC;

use crate::batch::{Batch, Origin};

/// The names of all sources of a plan, by their numbers.
pub type SourceNames = Arc<[String]>;

/// Makes rows of the late output.
#[derive(Clone, Debug)]
pub(crate) struct LateRows {
    /// The columns of the input, and those of the plan's `reject`.
    schema: Option<SchemaRef>,
    sources: SourceNames,
}

impl LateRows {
    /// With the columns of the late output, if there is one.
    pub(crate) fn new(schema: Option<SchemaRef>, sources: SourceNames) -> Self {
        Self { schema, sources }
    }

    /// Rows of the input as rows of the late output.
    ///
    /// # Errors
    ///
    /// If they are of another schema.
    pub(crate) fn of(&self, batch: &Batch) -> Result<Batch, ArrowError> {
        let (Some(schema), Some(origin)) = (&self.schema, batch.origin()) else {
            return Ok(batch.clone());
        };
        let mut sources = StringBuilder::new();
        let mut partitions = Vec::with_capacity(origin.len());
        for (rows, (source, partition)) in origin.partitions.iter() {
            for _ in rows {
                sources.append_value(self.name(source));
                partitions.push(i32::try_from(partition.0).unwrap_or(i32::MAX));
            }
        }
        let offsets = origin.offsets.iter().map(|offset| offset.0.cast_signed());
        let watermarks = origin.watermarks.iter();
        let watermarks = watermarks.flat_map(|(rows, at)| rows.map(move |_| at.as_millis()));
        let added: [ArrayRef; 4] = [
            Arc::new(sources.finish()),
            Arc::new(Int32Array::from(partitions)),
            Arc::new(Int64Array::from_iter_values(offsets)),
            Arc::new(TimestampMillisecondArray::from_iter_values(watermarks).with_timezone(UTC)),
        ];
        let columns = batch.rows().columns().iter().cloned().chain(added).collect();
        Ok(Batch::new(RecordBatch::try_new(Arc::clone(schema), columns)?, None, None))
    }

    /// Where a row comes from, in words: ` (iot, partition 3, offset 17)`.
    pub(crate) fn place(&self, origin: Option<&Origin>, row: usize) -> String {
        origin.map_or_else(String::new, |origin| {
            let ((source, partition), offset) = (origin.partitions.get(row), origin.offsets[row]);
            let source = self.name(source);
            format!(" ({source}, partition {}, offset {})", partition.0, offset.0)
        })
    }

    fn name(&self, source: u32) -> &str {
        self.sources.get(source as usize).map_or("", String::as_str)
    }
}

/// Rows of the error output: those of a batch, each with a reason.
///
/// # Errors
///
/// If they are of another schema.
pub(crate) fn with_reasons(
    schema: &SchemaRef,
    rows: &RecordBatch,
    reasons: Vec<String>,
) -> Result<Batch, ArrowError> {
    let reasons: ArrayRef = Arc::new(StringArray::from(reasons));
    let columns = rows.columns().iter().cloned().chain([reasons]).collect();
    Ok(Batch::new(RecordBatch::try_new(Arc::clone(schema), columns)?, None, None))
}
