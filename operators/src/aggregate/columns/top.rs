//! The greatest values.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, new_empty_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field};

use super::Contributions;
use super::state::Fold;
use crate::row_format::{RowFormat, nans_alike};

/// Keeps so many of the greatest values, each as often as it came.
pub(super) struct Top {
    limit: usize,
    format: RowFormat,
    item: DataType,
}

impl Top {
    pub(super) fn new(limit: u32, item: &DataType) -> Result<Self, ArrowError> {
        let format = RowFormat::new([item])?;
        Ok(Self { limit: limit as usize, format, item: item.clone() })
    }

    fn push(&self, state: &mut Vec<Box<[u8]>>, value: &[u8]) {
        if state.len() == self.limit {
            if state.last().is_some_and(|least| value <= &**least) {
                return;
            }
            state.pop();
        }
        let place = state.partition_point(|greater| &**greater >= value);
        state.insert(place, value.into());
    }
}

impl Fold for Top {
    /// From the greatest to the least.
    type State = Vec<Box<[u8]>>;

    fn add(
        &self,
        states: &mut [Self::State],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let values = self.format.encode(&[nans_alike(column)])?;
        rows.each(|row, slot| self.push(&mut states[slot], values.row(row).data()));
        Ok(())
    }

    fn combine(&self, into: &mut Self::State, other: &Self::State) {
        other.iter().for_each(|value| self.push(into, value));
    }

    fn results(
        &self,
        states: &[&Self::State],
        _unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError> {
        let all: Vec<&[u8]> = states.iter().flat_map(|state| state.iter().map(|v| &**v)).collect();
        let items = match all.is_empty() {
            true => new_empty_array(&self.item),
            false => self.format.decode(all)?.remove(0),
        };
        let lengths = OffsetBuffer::from_lengths(states.iter().map(|state| state.len()));
        let nulls = NullBuffer::from_iter(states.iter().map(|state| !state.is_empty()));
        let field = Arc::new(Field::new_list_field(self.item.clone(), true));
        Ok(Arc::new(ListArray::try_new(field, lengths, items, Some(nulls))?))
    }

    fn heap(&self, state: &Self::State) -> usize {
        state.iter().map(|value| value.len() + size_of::<Box<[u8]>>()).sum()
    }
}
