//! Each row with what was true at its time.

use std::time::Duration;

use super::join::{JoinKind, JoinOf};
use super::{Operator, Output, late};
use crate::error::Problem;
use crate::flow::{FlowType, StateBound};

/// Pairs each left row with the newest right row at or before its time that is equal in what is
/// compared.
///
/// A left row waits until the right side's event time has passed its own. Of each key, one right row
/// is kept beside those that are newer than what the left side has reached.
#[derive(Clone, Debug)]
pub struct AsOfJoin {
    /// Whose rows leave ([`JoinKind::Inner`] or [`JoinKind::Left`]), and what is compared.
    pub of: JoinOf,
    /// How much older the right row may be, if not any time.
    pub tolerance: Option<Duration>,
}

impl Operator for AsOfJoin {
    fn kind(&self) -> &'static str {
        "join"
    }

    fn describe(&self) -> String {
        let tolerance = self.tolerance.map(|length| format!(", at most {length:?} older"));
        format!("{} as of left{}", self.of, tolerance.unwrap_or_default())
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        if !matches!(self.of.kind, JoinKind::Inner | JoinKind::Left) {
            return Err(Problem::new(format!(
                "an as-of join is inner or left, not {}: it looks for what was true at the time of a left row",
                self.of.kind
            )));
        }
        let rows = self.of.rows(inputs[0], inputs[1])?;
        let state = match self.tolerance {
            Some(span) => StateBound::UntilOtherSide { span: Some(span) },
            None => StateBound::Keys { key: self.of.key() },
        };
        Ok(Output {
            late: late(inputs[0]),
            late_right: late(inputs[1]),
            state,
            ..Output::stateless(rows)
        })
    }
}
