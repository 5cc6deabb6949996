//! Rows for which a condition is true.

use super::{Operator, Output, errors};
use crate::error::Problem;
use crate::expr::Expr;
use crate::flow::FlowType;
use crate::pipeline::Flow;

/// Keeps the rows for which a condition is true; drops those for which it is false or null.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The condition.
    pub condition: Expr,
}

impl Operator for Filter {
    fn kind(&self) -> &'static str {
        "filter"
    }

    fn describe(&self) -> String {
        self.condition.to_string()
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        self.condition.bind_condition(&inputs[0].schema)?;
        Ok(Output { errors: Some(errors(inputs[0])), ..Output::stateless(inputs[0].clone()) })
    }
}

impl Flow {
    /// Keeps the rows for which a condition is true.
    ///
    /// A row for which it cannot be computed (a number that overflows) goes to
    /// [`errors`](Flow::errors).
    #[must_use]
    pub fn filter(&self, condition: Expr) -> Flow {
        self.then(Filter { condition })
    }
}
