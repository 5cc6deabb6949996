//! Rows onto one of several ways, by conditions.

use super::{Operator, Output, errors};
use crate::error::Problem;
use crate::expr::Expr;
use crate::flow::FlowType;
use crate::pipeline::Flow;

/// Sends each row the way of the first condition that is true, or else the last way, which has none.
#[derive(Clone, Debug)]
pub struct Route {
    /// The conditions, in the order in which they are asked.
    pub conditions: Vec<Expr>,
}

impl Operator for Route {
    fn kind(&self) -> &'static str {
        "route"
    }

    fn describe(&self) -> String {
        self.conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        for condition in &self.conditions {
            condition.bind_condition(&inputs[0].schema)?;
        }
        let rows = Output::stateless(inputs[0].clone());
        Ok(Output { branches: self.conditions.len(), errors: Some(errors(inputs[0])), ..rows })
    }
}

impl Flow {
    /// A flow for each condition, and one more for the rows for which none is true. A row goes to the
    /// first whose condition is true.
    ///
    /// ```
    /// use strandline_plan::expr::{col, lit};
    /// # use strandline_plan::pipeline::Flow;
    /// # fn f(readings: Flow) {
    /// let ways = readings.route([
    ///     col("temperature").gt(lit(30.0)),
    ///     col("temperature").lt(lit(5.0)),
    /// ]);
    /// let (hot, cold, others) = (&ways[0], &ways[1], &ways[2]);
    /// # }
    /// ```
    #[must_use]
    pub fn route(&self, conditions: impl IntoIterator<Item = Expr>) -> Vec<Flow> {
        let conditions: Vec<_> = conditions.into_iter().collect();
        let ways = conditions.len() + 1;
        let routed = self.then(Route { conditions });
        (0..ways).map(|way| routed.branch(way)).collect()
    }
}
