//! The values of the first and of the last row by event time.

use std::cmp::Ordering;

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, DataType};
use serde::{Deserialize, Serialize};

use super::Contributions;
use super::extreme::values_or_null;
use super::state::Fold;
use crate::row_format::RowFormat;
use crate::row_order::Place;

/// The value of the first (or last) row that has one.
pub(super) struct Positional {
    last: bool,
    format: RowFormat,
}

/// A value, and where its row is.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Found {
    place: Place,
    value: Box<[u8]>,
}

impl Positional {
    pub(super) fn new(last: bool, data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(Self { last, format: RowFormat::new([data_type])? })
    }

    fn wanted(&self) -> Ordering {
        if self.last { Ordering::Greater } else { Ordering::Less }
    }
}

impl Fold for Positional {
    type State = Option<Found>;

    fn add(
        &self,
        states: &mut [Self::State],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let (Some(column), Some(order)) = (column, rows.order) else { return Ok(()) };
        let values = self.format.encode(std::slice::from_ref(column))?;
        let wanted = self.wanted();
        rows.each(|row, slot| {
            let state = &mut states[slot];
            // Most rows are decided by their time, without the rest of their place.
            let by_time = match state {
                Some(found) => order.time(row).cmp(&found.place.time),
                None => wanted,
            };
            if by_time != wanted && by_time != Ordering::Equal {
                return;
            }
            let place = order.place(row);
            if state.as_ref().is_none_or(|found| place.cmp(&found.place) == wanted) {
                *state = Some(Found { place, value: values.row(row).data().into() });
            }
        });
        Ok(())
    }

    fn combine(&self, into: &mut Self::State, other: &Self::State) {
        if let Some(other) = other
            && into.as_ref().is_none_or(|into| other.place.cmp(&into.place) == self.wanted())
        {
            *into = Some(other.clone());
        }
    }

    fn results(
        &self,
        states: &[&Self::State],
        _unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError> {
        let values: Vec<_> =
            states.iter().map(|state| state.as_ref().map(|found| &*found.value)).collect();
        values_or_null(&self.format, &values)
    }

    fn heap(&self, state: &Self::State) -> usize {
        state.as_ref().map_or(0, |found| found.value.len())
    }
}
