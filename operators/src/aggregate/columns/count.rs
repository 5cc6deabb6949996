//! How many rows contribute.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::ArrowError;

use super::Contributions;
use super::state::Fold;

/// Counts rows, or those that have the argument.
pub(super) struct Count;

impl Fold for Count {
    type State = u64;

    fn add(
        &self,
        states: &mut [u64],
        rows: &Contributions<'_>,
        _column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        rows.each(|_, slot| states[slot] += 1);
        Ok(())
    }

    fn combine(&self, into: &mut u64, other: &u64) {
        *into += other;
    }

    fn results(&self, states: &[&u64], _unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        Ok(counts(states.iter().map(|count| **count)))
    }
}

/// A column of counts.
pub(super) fn counts(counts: impl IntoIterator<Item = u64>) -> ArrayRef {
    // Nobody counts to 2^63.
    Arc::new(Int64Array::from_iter_values(counts.into_iter().map(u64::cast_signed)))
}
