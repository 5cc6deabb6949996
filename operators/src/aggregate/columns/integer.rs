//! Sums and averages of integers and durations, in 128 bits: 2^64 of any of them fit.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, Float64Array, PrimitiveArray};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use serde::{Deserialize, Serialize};

use super::Contributions;
use super::state::Fold;
use crate::aggregate::sum::quotient;

/// A sum, and of how many.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Sum {
    sum: i128,
    count: u64,
}

/// What a result is made of it.
#[derive(Clone, Copy)]
pub(super) enum Give {
    Sum,
    Average,
}

/// Adds up integers or durations of one type.
pub(super) struct Integers {
    pub(super) give: Give,
    /// Of the result: an integer of 64 bits, a float or a duration.
    pub(super) data_type: DataType,
}

/// Whether values of the type are integers, or counted as such.
pub(super) fn is_integral(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Duration(_))
}

/// Shows the value of each row that contributes.
pub(super) fn each_integer(
    column: &ArrayRef,
    rows: &Contributions<'_>,
    mut see: impl FnMut(usize, i128),
) {
    fn each<T: ArrowPrimitiveType<Native: Into<i128>>>(
        column: &ArrayRef,
        rows: &Contributions<'_>,
        see: &mut impl FnMut(usize, i128),
    ) {
        let values = column.as_primitive::<T>().values();
        rows.each(|row, slot| see(slot, values[row].into()));
    }
    let see = &mut see;
    match column.data_type() {
        DataType::Int8 => each::<Int8Type>(column, rows, see),
        DataType::Int16 => each::<Int16Type>(column, rows, see),
        DataType::Int32 => each::<Int32Type>(column, rows, see),
        DataType::Int64 => each::<Int64Type>(column, rows, see),
        DataType::UInt8 => each::<UInt8Type>(column, rows, see),
        DataType::UInt16 => each::<UInt16Type>(column, rows, see),
        DataType::UInt32 => each::<UInt32Type>(column, rows, see),
        DataType::UInt64 => each::<UInt64Type>(column, rows, see),
        DataType::Duration(TimeUnit::Second) => each::<DurationSecondType>(column, rows, see),
        DataType::Duration(TimeUnit::Millisecond) => {
            each::<DurationMillisecondType>(column, rows, see);
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            each::<DurationMicrosecondType>(column, rows, see);
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            each::<DurationNanosecondType>(column, rows, see);
        }
        other => unreachable!("{other} is no integer, and aggregates are made by type"),
    }
}

impl Fold for Integers {
    type State = Sum;

    fn add(
        &self,
        states: &mut [Sum],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        each_integer(column, rows, |slot, value| {
            let state = &mut states[slot];
            state.sum += value;
            state.count += 1;
        });
        Ok(())
    }

    fn combine(&self, into: &mut Sum, other: &Sum) {
        into.sum += other.sum;
        into.count += other.count;
    }

    fn results(&self, states: &[&Sum], unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        let whole = |state: &&Sum| match (self.give, state.count) {
            (_, 0) => None,
            (Give::Sum, _) => Some(state.sum),
            (Give::Average, count) => Some(rounded(state.sum, i128::from(count))),
        };
        Ok(match &self.data_type {
            DataType::Float64 => {
                Arc::new(states.iter().map(|state| average(state)).collect::<Float64Array>())
            }
            DataType::UInt64 => fitting::<UInt64Type>(states.iter().map(whole), unfit),
            DataType::Duration(unit) => {
                let of = states.iter().map(whole);
                match unit {
                    TimeUnit::Second => fitting::<DurationSecondType>(of, unfit),
                    TimeUnit::Millisecond => fitting::<DurationMillisecondType>(of, unfit),
                    TimeUnit::Microsecond => fitting::<DurationMicrosecondType>(of, unfit),
                    TimeUnit::Nanosecond => fitting::<DurationNanosecondType>(of, unfit),
                }
            }
            _ => fitting::<Int64Type>(states.iter().map(whole), unfit),
        })
    }
}

/// The average as the nearest float.
fn average(state: &Sum) -> Option<f64> {
    let Sum { sum, count } = *state;
    (count > 0).then(|| quotient(sum < 0, sum.unsigned_abs(), 0, count))
}

/// The quotient as the nearest integer, halves away from zero.
fn rounded(sum: i128, count: i128) -> i128 {
    let (quotient, rest) = (sum / count, sum % count);
    if rest.abs() >= count - rest.abs() { quotient + sum.signum() } else { quotient }
}

fn fitting<T: ArrowPrimitiveType<Native: TryFrom<i128>>>(
    values: impl Iterator<Item = Option<i128>>,
    unfit: &mut Vec<usize>,
) -> ArrayRef {
    let values = values.enumerate().map(|(row, value)| {
        let fitting = T::Native::try_from(value?).ok();
        if fitting.is_none() {
            unfit.push(row);
        }
        fitting
    });
    Arc::new(values.collect::<PrimitiveArray<T>>())
}
