//! The sides of a join: the keys of its rows, their bytes, and those that are late.

use std::sync::Arc;

use arrow_row::Rows;
use arrow_schema::TimeUnit;
use strandline_plan::expr::TypedExpr;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Output as NodeOutput;
use strandline_plan::operator::JoinOf;

use super::Output;
use super::grouping::MakeError;
use super::lateness::Fate;
use super::rejected::{LateRows, SourceNames};
use crate::batch::{Batch, Times};
use crate::expr::EvaluateError;
use crate::key::{Key, Keys};
use crate::row_format::RowFormat;
use crate::time::EventTime;

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

/// Both sides of a join, and how their times are compared.
pub(crate) struct Sides {
    /// The left one, the right one.
    pub(crate) both: [Side; 2],
    pub(crate) unit: TimeUnit,
    /// So many units are a millisecond.
    pub(crate) per_millis: i64,
}

impl Sides {
    /// Of a join of such flows, and what leaves it.
    pub(crate) fn new(
        join: &JoinOf,
        output: &NodeOutput,
        left: &FlowType,
        right: &FlowType,
        sources: SourceNames,
    ) -> Result<Self, MakeError> {
        let on = join.bind(left, right)?;
        let (of_left, of_right) = (on.iter().map(|on| &on.left), on.iter().map(|on| &on.right));
        let unit = unit_of_both(left, right);
        Ok(Self {
            both: [
                Side::new(0, of_left, left, output.late.as_ref(), SourceNames::clone(&sources))?,
                Side::new(1, of_right, right, output.late_right.as_ref(), sources)?,
            ],
            unit,
            per_millis: Times::new([], unit).per_millis(),
        })
    }
}

/// The unit in which times of both sides are compared: the finer one, at least milliseconds.
fn unit_of_both(left: &FlowType, right: &FlowType) -> TimeUnit {
    let rank = |unit: &TimeUnit| match unit {
        TimeUnit::Second | TimeUnit::Millisecond => 0,
        TimeUnit::Microsecond => 1,
        TimeUnit::Nanosecond => 2,
    };
    let units = [left, right].into_iter().filter_map(|flow| Some(flow.time.as_ref()?.unit));
    match units.max_by_key(rank) {
        Some(TimeUnit::Second) | None => TimeUnit::Millisecond,
        Some(unit) => unit,
    }
}

/// A time of progress in units of which a millisecond has so many.
pub(crate) fn units(time: EventTime, per_millis: i64) -> i64 {
    time.as_millis().saturating_mul(per_millis)
}

impl Side {
    fn new<'a>(
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
