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
