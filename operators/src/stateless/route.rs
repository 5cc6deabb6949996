//! Rows onto one of several ways, by conditions.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_schema::SchemaRef;
use strandline_plan::error::Problem;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::Route as Node;

use super::filter::leave_out_failed;
use super::{Stateless, Ways};
use crate::batch::Batch;
use crate::expr::{Condition, EvaluateError, Failed};
use crate::stateful::MakeError;

/// Sends each row the way of the first condition that is true, or else the last way. A row for which a
/// condition cannot be computed before one is true is left out.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use strandline_operators::batch::Batch;
/// use strandline_operators::stateless::{Route, Stateless, Ways};
/// use strandline_plan::expr::{col, lit};
/// use strandline_plan::flow::{FlowType, Mode};
/// use strandline_plan::operator::Route as Node;
///
/// let x: Arc<dyn Array> = Arc::new(Int64Array::from(vec![1, 5, 9]));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let (of_log, reproducible, bounded) = (true, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let input = FlowType { schema, mode, time: None, of_log, reproducible, bounded };
/// let route = Route::new(&Node { conditions: vec![col("x").gt(lit(4_i64))] }, &input)?;
/// let mut out = Ways::default();
/// route.apply(0, Batch::new(rows, None, None), &mut out);
/// let given = out.take_rows();
/// let ways: Vec<(usize, usize)> = given.iter().map(|(way, rows)| (*way, rows.len())).collect();
/// assert_eq!(ways, [(0, 2), (1, 1)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Route {
    conditions: Vec<Condition>,
    errors: SchemaRef,
}

impl Route {
    /// Of a node of a plan, which reads rows of such a flow.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flow.
    pub fn new(node: &Node, input: &FlowType) -> Result<Self, MakeError> {
        let output = node.check(&[input])?;
        let conditions = node.conditions.iter().map(|condition| {
            let bound = condition.bind_condition(&input.schema).map_err(Problem::from)?;
            Ok(Condition::new(&bound)?)
        });
        let errors = output.errors.as_ref().unwrap_or(&output.rows);
        let conditions = conditions.collect::<Result<_, MakeError>>()?;
        Ok(Self { conditions, errors: Arc::clone(&errors.schema) })
    }

    fn try_apply(&self, batch: &Batch, out: &mut Ways) -> Result<(), EvaluateError> {
        // The way of each row, once that is known.
        let mut ways: Vec<Option<usize>> = vec![None; batch.len()];
        let mut failed = Failed::default();
        let mut has_failed = vec![false; batch.len()];
        for (way, condition) in self.conditions.iter().enumerate() {
            let mask = condition.mask(batch.rows())?;
            for failure in mask.failed.iter() {
                let row = failure.row;
                if ways[row].is_none() && !has_failed[row] {
                    has_failed[row] = true;
                    failed.add(row, failure.reason.clone());
                }
            }
            for row in mask.passes.values().set_indices() {
                if !has_failed[row] {
                    ways[row].get_or_insert(way);
                }
            }
        }
        for way in 0..=self.conditions.len() {
            let goes = |(row, of): (usize, &Option<usize>)| {
                !has_failed[row] && of.unwrap_or(self.conditions.len()) == way
            };
            let goes: Vec<bool> = ways.iter().enumerate().map(goes).collect();
            out.give(way, batch.filter(&BooleanArray::from(goes)));
        }
        leave_out_failed(batch, &failed.in_order(), &self.errors, out)
    }
}

impl Stateless for Route {
    fn apply(&self, _input: usize, batch: Batch, out: &mut Ways) {
        self.try_apply(&batch, out).unwrap_or_else(|error| out.stop(error));
    }

    fn ways(&self) -> usize {
        self.conditions.len() + 1
    }
}
