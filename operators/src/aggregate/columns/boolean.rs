//! Whether all, or any, are true.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::ArrowError;

use super::state::Fold;
use super::{Contributions, booleans};

/// Whether all (or any) are true; null where none contributed.
pub(super) struct Logical {
    /// The value that decides, once it is seen: false for AND, true for OR.
    pub(super) decisive: bool,
}

impl Fold for Logical {
    type State = Option<bool>;

    fn add(
        &self,
        states: &mut [Option<bool>],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let values = booleans(column);
        rows.each(|row, slot| self.combine(&mut states[slot], &Some(values.value(row))));
        Ok(())
    }

    fn combine(&self, into: &mut Option<bool>, other: &Option<bool>) {
        if *other == Some(self.decisive) || into.is_none() {
            *into = *other;
        }
    }

    fn results(
        &self,
        states: &[&Option<bool>],
        _unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(states.iter().map(|state| **state).collect::<BooleanArray>()))
    }
}
