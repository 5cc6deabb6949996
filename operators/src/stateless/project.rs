//! Columns computed from those of a row.

use std::sync::Arc;

use arrow_arith::boolean::not;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::filter::filter;
use strandline_plan::error::Problem;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::Project as Node;

use super::filter::leave_out_failed;
use super::{Stateless, Ways};
use crate::batch::Batch;
use crate::expr::{EvaluateError, Evaluator, Failed};
use crate::stateful::MakeError;

/// Makes a row's columns anew. A row of which a column cannot be computed is left out.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use strandline_operators::batch::Batch;
/// use strandline_operators::stateless::{Project, Stateless, Ways};
/// use strandline_plan::expr::{col, lit};
/// use strandline_plan::flow::{FlowType, Mode};
/// use strandline_plan::operator::Project as Node;
///
/// let x: Arc<dyn Array> = Arc::new(Int64Array::from(vec![1, 5]));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let (of_log, reproducible, bounded) = (true, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let input = FlowType { schema, mode, time: None, of_log, reproducible, bounded };
/// let node = Node { columns: vec![(col("x") + lit(1_i64)).named("y")], keep: true };
/// let project = Project::new(&node, &input)?;
/// let mut out = Ways::default();
/// project.apply(0, Batch::new(rows, None, None), &mut out);
/// let given = &out.take_rows()[0].1;
/// assert_eq!(given.rows().column(1).as_ref(), &Int64Array::from(vec![2, 6]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Project {
    columns: Vec<Evaluator>,
    schema: SchemaRef,
    errors: SchemaRef,
}

impl Project {
    /// Of a node of a plan, which reads rows of such a flow.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flow.
    pub fn new(node: &Node, input: &FlowType) -> Result<Self, MakeError> {
        let output = node.check(&[input])?;
        let columns = node.over(&input.schema).into_iter().map(|column| {
            Ok(Evaluator::new(&column.expr.bind(&input.schema).map_err(Problem::from)?)?)
        });
        let errors = output.errors.as_ref().unwrap_or(&output.rows);
        Ok(Self {
            columns: columns.collect::<Result<_, MakeError>>()?,
            schema: Arc::clone(&output.rows.schema),
            errors: Arc::clone(&errors.schema),
        })
    }

    fn try_apply(&self, batch: &Batch, out: &mut Ways) -> Result<(), EvaluateError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        let mut failed = Failed::default();
        for column in &self.columns {
            let evaluated = column.evaluate(batch.rows())?;
            failed.add_all(evaluated.failed, |row| row);
            columns.push(evaluated.column);
        }
        let failed = failed.in_order();
        leave_out_failed(batch, &failed, &self.errors, out)?;
        if failed.is_empty() {
            out.give(0, batch.with_rows(RecordBatch::try_new(Arc::clone(&self.schema), columns)?));
            return Ok(());
        }
        let computed = not(&failed.mask(batch.len()))?;
        for column in &mut columns {
            *column = filter(column, &computed)?;
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        out.give(0, batch.filter(&computed).with_rows(rows));
        Ok(())
    }
}

impl Stateless for Project {
    fn apply(&self, _input: usize, batch: Batch, out: &mut Ways) {
        self.try_apply(&batch, out).unwrap_or_else(|error| out.stop(error));
    }
}
