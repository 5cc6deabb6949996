//! One side of a join: the keys of its rows, their bytes, and those that are late.

use std::sync::Arc;

use arrow_row::Rows;
use strandline_plan::expr::TypedExpr;
use strandline_plan::flow::FlowType;

use super::Output;
use super::grouping::{Fate, MakeError};
use super::rejected::{LateRows, SourceNames};
use crate::batch::Batch;
use crate::expr::EvaluateError;
use crate::key::{Key, Keys};
use crate::row_format::RowFormat;

/// A row that is kept.
pub(crate) type Row = Arc<[u8]>;

/// What is known of a side.
pub(crate) struct Side {
    input: usize,
    key: Key,
    format: RowFormat,
    late: LateRows,
}

/// A batch of a side, ready to be joined.
pub(crate) struct Prepared {
    keys: Keys,
    rows: Rows,
}

impl Side {
    pub(crate) fn new<'a>(
        input: usize,
        on: impl IntoIterator<Item = &'a TypedExpr>,
        flow: &FlowType,
        late: Option<&FlowType>,
        sources: SourceNames,
    ) -> Result<Self, MakeError> {
        let types = flow.schema.fields().iter().map(|field| field.data_type());
        let format = RowFormat::new(types).map_err(EvaluateError::from)?;
        let late = LateRows::new(late.map(|late| Arc::clone(&late.schema)), sources);
        Ok(Self { input, key: Key::new(on)?, format, late })
    }

    pub(crate) fn prepare(&self, batch: &Batch) -> Result<Prepared, EvaluateError> {
        let keys = self.key.of(batch.rows())?;
        Ok(Prepared { keys, rows: self.format.encode(batch.rows().columns())? })
    }

    /// Leaves out what is late, or in no window.
    pub(crate) fn leave_out<P>(
        &self,
        batch: &Batch,
        fates: &[Fate<P>],
        out: &mut Output,
    ) -> Result<(), EvaluateError> {
        let late: Vec<bool> = fates.iter().map(|fate| matches!(fate, Fate::Late)).collect();
        if late.contains(&true) {
            out.leave_out_late(self.input, self.late.of(&batch.filter(&late.into()))?);
        }
        let outside = fates.iter().filter(|fate| matches!(fate, Fate::Outside)).count();
        out.leave_out_outside(outside as u64);
        Ok(())
    }

    /// The columns of rows that were kept.
    pub(crate) fn format(&self) -> &RowFormat {
        &self.format
    }
}

impl Prepared {
    /// The bytes of a row's key.
    pub(crate) fn key(&self, row: usize) -> &[u8] {
        self.keys.bytes(row)
    }

    /// Whether a row may be equal to another: null is equal to nothing. What could not be computed is
    /// null here.
    pub(crate) fn can_match(&self, row: usize) -> bool {
        !self.keys.has_null(row)
    }

    pub(crate) fn row(&self, row: usize) -> Row {
        self.rows.row(row).data().into()
    }
}
