//! Pairs of rows of one window.

use super::join::JoinOf;
use super::window_aggregate::{window_fields, window_time};
use super::{Operator, Output, late, schema_of};
use crate::error::Problem;
use crate::flow::{FlowType, StateBound};
use crate::window::Window;

/// Pairs rows of both sides that lie in one window and are equal in what is compared; they leave when
/// the window is final.
///
/// The columns are those of the pair, `window_start` and `window_end`. A session is of both sides
/// together: their rows of a key that lie less than the gap apart.
#[derive(Clone, Debug)]
pub struct WindowJoin {
    /// Whose rows leave, and what is compared.
    pub of: JoinOf,
    /// The windows.
    pub window: Window,
}

impl Operator for WindowJoin {
    fn kind(&self) -> &'static str {
        "join"
    }

    fn describe(&self) -> String {
        format!("{}; {}", self.of, self.window)
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        self.window.check()?;
        let mut rows = self.of.rows(inputs[0], inputs[1])?;
        let mut fields = self.of.fields(inputs[0], inputs[1])?;
        // Of rows that come from a window already, its edges are columns: they stay what they are.
        let new =
            window_fields().into_iter().filter(|field| rows.schema.index_of(field.name()).is_err());
        fields.extend(new);
        rows.schema = schema_of(fields)?;
        rows.time = Some(window_time());
        let windows = self.window.size().map(|_| self.window.windows_of_a_row().saturating_add(1));
        Ok(Output {
            late: late(inputs[0]),
            late_right: late(inputs[1]),
            state: StateBound::Windows { key: self.of.key(), windows },
            ..Output::stateless(rows)
        })
    }
}
