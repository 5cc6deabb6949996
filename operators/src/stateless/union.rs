//! The rows of several flows as one.

use std::sync::Arc;

use arrow_arith::boolean::not;
use arrow_array::RecordBatch;
use arrow_schema::{SchemaRef, TimeUnit};
use arrow_select::filter::filter_record_batch;
use strandline_plan::error::Problem;
use strandline_plan::expr::col;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::Union as Node;

use super::{Stateless, Ways};
use crate::batch::Batch;
use crate::expr::{EvaluateError, Evaluator, Failed};
use crate::stateful::MakeError;
use crate::stateful::rejected::with_reasons;

/// Gives all rows of all inputs, in the types that their columns have in common.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Array, Int32Array, Int64Array, RecordBatch};
/// use strandline_operators::batch::Batch;
/// use strandline_operators::stateless::{Stateless, Union, Ways};
/// use strandline_plan::flow::{FlowType, Mode};
/// use strandline_plan::operator::Union as Node;
///
/// let (x, wider): (Arc<dyn Array>, Arc<dyn Array>) =
///     (Arc::new(Int32Array::from(vec![1, 5])), Arc::new(Int64Array::from(vec![9])));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let others = RecordBatch::try_from_iter([("x", wider)])?;
/// let flow = |rows: &RecordBatch| {
///     let (of_log, reproducible, bounded) = (true, true, true);
///     let (schema, mode) = (rows.schema(), Mode::Append);
///     FlowType { schema, mode, time: None, of_log, reproducible, bounded }
/// };
/// let union = Union::new(&Node, &[&flow(&rows), &flow(&others)])?;
/// let mut out = Ways::default();
/// union.apply(0, Batch::new(rows, None, None), &mut out);
/// let given = &out.take_rows()[0].1;
/// assert_eq!(given.rows().column(0).as_ref(), &Int64Array::from(vec![1, 5]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Union {
    /// For each input, its columns in the common types; none where it has those already.
    inputs: Vec<Option<Vec<Evaluator>>>,
    schema: SchemaRef,
    errors: SchemaRef,
    /// How finely event time is counted, if the rows have one.
    unit: Option<TimeUnit>,
}

impl Union {
    /// Of a node of a plan, which reads rows of such flows.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flows.
    pub fn new(node: &Node, inputs: &[&FlowType]) -> Result<Self, MakeError> {
        let output = node.check(inputs)?;
        let schema = Arc::clone(&output.rows.schema);
        let of_input = |input: &&FlowType| {
            let same = input.schema.fields().iter().zip(schema.fields());
            if same.into_iter().all(|(one, other)| one.data_type() == other.data_type()) {
                return Ok(None);
            }
            let columns = schema.fields().iter().map(|field| {
                let column = col(field.name()).bind(&input.schema).map_err(Problem::from)?;
                Ok(Evaluator::new(&column.into_type(field.data_type()))?)
            });
            Ok(Some(columns.collect::<Result<Vec<_>, MakeError>>()?))
        };
        let errors = output.errors.as_ref().unwrap_or(&output.rows);
        Ok(Self {
            inputs: inputs.iter().map(of_input).collect::<Result<_, MakeError>>()?,
            errors: Arc::clone(&errors.schema),
            unit: output.rows.time.map(|time| time.unit),
            schema,
        })
    }

    fn try_apply(&self, input: usize, batch: Batch, out: &mut Ways) -> Result<(), EvaluateError> {
        let mut failed = Failed::default();
        let mut columns = batch.rows().columns().to_vec();
        if let Some(casts) = &self.inputs[input] {
            for (column, cast) in columns.iter_mut().zip(casts) {
                let evaluated = cast.evaluate(batch.rows())?;
                failed.add_all(evaluated.failed, |row| row);
                *column = evaluated.column;
            }
        }
        let mut batch = batch;
        if let (Some(unit), Some(times)) = (self.unit, batch.times()) {
            let finer = times.clone().counted_in(unit);
            for row in 0..batch.len() {
                if finer.millis(row) != times.millis(row) {
                    failed.add(row, "the event time does not fit the finer unit of another input");
                }
            }
            batch = batch.with_times(finer);
        }
        let failed = failed.in_order();
        if failed.is_empty() {
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
            out.give(0, batch.with_rows(rows));
            return Ok(());
        }
        // Without the reasons, the columns of the error output are those of the rows, and may be null.
        let nullable = self.errors.fields().iter().take(columns.len()).cloned().collect::<Vec<_>>();
        let all = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(nullable)), columns)?;
        let mask = failed.mask(batch.len());
        let reasons = failed.iter().map(|failure| failure.reason.to_string()).collect();
        let left_out = filter_record_batch(&all, &mask)?;
        out.leave_out_failed(with_reasons(&self.errors, &left_out, reasons)?);
        let fits = not(&mask)?;
        let columns = filter_record_batch(&all, &fits)?.columns().to_vec();
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        out.give(0, batch.filter(&fits).with_rows(rows));
        Ok(())
    }
}

impl Stateless for Union {
    fn apply(&self, input: usize, batch: Batch, out: &mut Ways) {
        self.try_apply(input, batch, out).unwrap_or_else(|error| out.stop(error));
    }
}
