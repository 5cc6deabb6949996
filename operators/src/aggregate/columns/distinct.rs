//! How many different values there are, exactly.

use std::collections::BTreeSet;

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, DataType};

use super::Contributions;
use super::count::counts;
use super::state::Fold;
use crate::row_format::{RowFormat, equal_floats_alike};

/// Keeps each value once.
pub(super) struct Distinct(RowFormat);

impl Distinct {
    pub(super) fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(Self(RowFormat::new([data_type])?))
    }
}

impl Fold for Distinct {
    type State = BTreeSet<Box<[u8]>>;

    fn add(
        &self,
        states: &mut [Self::State],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let values = self.0.encode(&[equal_floats_alike(column)])?;
        rows.each(|row, slot| {
            let value = values.row(row).data();
            if !states[slot].contains(value) {
                states[slot].insert(value.into());
            }
        });
        Ok(())
    }

    fn combine(&self, into: &mut Self::State, other: &Self::State) {
        into.extend(other.iter().cloned());
    }

    fn results(
        &self,
        states: &[&Self::State],
        _unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError> {
        Ok(counts(states.iter().map(|values| values.len() as u64)))
    }

    fn heap(&self, state: &Self::State) -> usize {
        // A value has its bytes, its place in the tree and what the allocator adds.
        state.iter().map(|value| value.len() + 32).sum()
    }
}
