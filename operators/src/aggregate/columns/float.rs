//! Sums and averages of floats, exact until they are rounded once, at the end.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::{ArrowError, DataType};
use serde::{Deserialize, Serialize};

use super::Contributions;
use super::integer::Give;
use super::state::Fold;
use crate::aggregate::ExactSum;

/// Which values have been seen that are no finite numbers.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Unbounded(u8);

impl Unbounded {
    const NAN: u8 = 1;
    const POSITIVE: u8 = 2;
    const NEGATIVE: u8 = 4;

    /// Takes note of a value that is not finite.
    #[cold]
    pub(super) fn note(&mut self, value: f64) {
        self.0 |= match value {
            f64::INFINITY => Self::POSITIVE,
            f64::NEG_INFINITY => Self::NEGATIVE,
            _ => Self::NAN,
        };
    }

    pub(super) fn combine(&mut self, other: Unbounded) {
        self.0 |= other.0;
    }

    /// What they add up to, whatever else is added, by IEEE 754.
    pub(super) fn sum(self) -> Option<f64> {
        match self.0 {
            0 => None,
            Self::POSITIVE => Some(f64::INFINITY),
            Self::NEGATIVE => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }
}

/// A sum, and of how many.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Sum {
    sum: ExactSum,
    count: u64,
    unbounded: Unbounded,
}

/// Adds up floats.
pub(super) struct Floats {
    pub(super) give: Give,
}

/// Shows the value of each row that contributes.
pub(super) fn each_float(
    column: &ArrayRef,
    rows: &Contributions<'_>,
    mut see: impl FnMut(usize, f64),
) {
    if column.data_type() == &DataType::Float32 {
        let values = column.as_primitive::<Float32Type>().values();
        rows.each(|row, slot| see(slot, f64::from(values[row])));
    } else {
        let values = column.as_primitive::<Float64Type>().values();
        rows.each(|row, slot| see(slot, values[row]));
    }
}

impl Fold for Floats {
    type State = Sum;

    fn add(
        &self,
        states: &mut [Sum],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        each_float(column, rows, |slot, value| {
            let state = &mut states[slot];
            state.count += 1;
            if value.is_finite() {
                state.sum.add(value);
            } else {
                state.unbounded.note(value);
            }
        });
        Ok(())
    }

    fn combine(&self, into: &mut Sum, other: &Sum) {
        into.sum.combine(&other.sum);
        into.count += other.count;
        into.unbounded.combine(other.unbounded);
    }

    fn results(&self, states: &[&Sum], unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        let values = states.iter().enumerate().map(|(row, state)| {
            if state.count == 0 {
                return None;
            }
            let value = match (state.unbounded.sum(), self.give) {
                (Some(value), _) => Some(value),
                (None, Give::Sum) => state.sum.total(),
                (None, Give::Average) => state.sum.divided_by(state.count),
            };
            if value.is_none() {
                unfit.push(row);
            }
            value
        });
        Ok(Arc::new(values.collect::<Float64Array>()))
    }
}
