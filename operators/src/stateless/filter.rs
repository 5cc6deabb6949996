//! Rows for which a condition is true.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use strandline_plan::error::Problem;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::Filter as Node;

use super::{Stateless, Ways};
use crate::batch::Batch;
use crate::expr::{Condition, EvaluateError, Failed};
use crate::stateful::MakeError;
use crate::stateful::rejected::with_reasons;

/// Keeps the rows for which a condition is true; drops those for which it is false or null.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use strandline_operators::batch::Batch;
/// use strandline_operators::stateless::{Filter, Stateless, Ways};
/// use strandline_plan::expr::{col, lit};
/// use strandline_plan::flow::{FlowType, Mode};
/// use strandline_plan::operator::Filter as Node;
///
/// let x: Arc<dyn Array> = Arc::new(Int64Array::from(vec![1, 5, 9]));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let (of_log, reproducible, bounded) = (true, true, true);
/// let input = FlowType { schema, mode, time: None, of_log, reproducible, bounded };
/// let filter = Filter::new(&Node { condition: col("x").gt(lit(3_i64)) }, &input)?;
/// let mut out = Ways::default();
/// filter.apply(0, Batch::new(rows, None, None), &mut out);
/// assert_eq!(out.take_rows()[0].1.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Filter {
    condition: Condition,
    errors: SchemaRef,
}

impl Filter {
    /// Of a node of a plan, which reads rows of such a flow.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flow.
    pub fn new(node: &Node, input: &FlowType) -> Result<Self, MakeError> {
        let output = node.check(&[input])?;
        let condition = node.condition.bind_condition(&input.schema).map_err(Problem::from)?;
        let errors = output.errors.as_ref().unwrap_or(&output.rows);
        Ok(Self { condition: Condition::new(&condition)?, errors: Arc::clone(&errors.schema) })
    }

    fn try_apply(&self, batch: &Batch, out: &mut Ways) -> Result<(), EvaluateError> {
        let mask = self.condition.mask(batch.rows())?;
        let passed = batch.filter(&mask.passes);
        out.drop_rows((batch.len() - passed.len() - mask.failed.len()) as u64);
        out.give(0, passed);
        leave_out_failed(batch, &mask.failed, &self.errors, out)
    }
}

/// Leaves out the rows of a batch that could not be computed, each with its reason.
pub(super) fn leave_out_failed(
    batch: &Batch,
    failed: &Failed,
    errors: &SchemaRef,
    out: &mut Ways,
) -> Result<(), EvaluateError> {
    if !failed.is_empty() {
        let rows = batch.filter(&failed.mask(batch.len()));
        let reasons = failed.iter().map(|failure| failure.reason.to_string()).collect();
        out.leave_out_failed(with_reasons(errors, rows.rows(), reasons)?);
    }
    Ok(())
}

impl Stateless for Filter {
    fn apply(&self, _input: usize, batch: Batch, out: &mut Ways) {
        self.try_apply(&batch, out).unwrap_or_else(|error| out.stop(error));
    }
}
