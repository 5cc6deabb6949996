//! Sums and averages of decimals, in 256 bits: 2^64 of any of them fit.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, Decimal128Array};
use arrow_buffer::i256;
use arrow_schema::{ArrowError, DataType};
use serde::{Deserialize, Serialize};
use strandline_plan::types::DECIMAL_DIGITS_MAX;

use super::Contributions;
use super::integer::Give;
use super::state::Fold;

/// An integer of 256 bits that can be stored.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u128, i128)", into = "(u128, i128)")]
pub(super) struct Wide(pub(super) i256);

impl From<(u128, i128)> for Wide {
    fn from((low, high): (u128, i128)) -> Self {
        Self(i256::from_parts(low, high))
    }
}

impl From<Wide> for (u128, i128) {
    fn from(wide: Wide) -> Self {
        wide.0.to_parts()
    }
}

/// A sum, in units of the scale, and of how many.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Sum {
    sum: Wide,
    count: u64,
}

/// Adds up decimals of one type.
pub(super) struct Decimals {
    pub(super) give: Give,
    /// Digits after the point of what is added up.
    pub(super) scale: i8,
    /// Of the result: a decimal.
    pub(super) data_type: DataType,
}

impl Fold for Decimals {
    type State = Sum;

    fn add(
        &self,
        states: &mut [Sum],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let values = column.as_primitive::<Decimal128Type>().values();
        rows.each(|row, slot| {
            let state = &mut states[slot];
            state.sum.0 = state.sum.0.wrapping_add(i256::from_i128(values[row]));
            state.count += 1;
        });
        Ok(())
    }

    fn combine(&self, into: &mut Sum, other: &Sum) {
        into.sum.0 = into.sum.0.wrapping_add(other.sum.0);
        into.count += other.count;
    }

    fn results(&self, states: &[&Sum], unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        let scale = match self.data_type {
            DataType::Decimal128(_, scale) => scale,
            _ => self.scale,
        };
        let finer = i256::from_i128(10_i128.pow(u32::from(scale.abs_diff(self.scale))));
        let bound = 10_i128.pow(u32::from(DECIMAL_DIGITS_MAX));
        let values = states.iter().enumerate().map(|(row, state)| {
            let value = match (self.give, state.count) {
                (_, 0) => return None,
                (Give::Sum, _) => state.sum.0,
                // Up to 191 bits of a sum, and 20 more of six digits.
                (Give::Average, count) => {
                    rounded(state.sum.0.wrapping_mul(finer), i256::from_i128(count.into()))
                }
            };
            let fitting = value.to_i128().filter(|value| (1 - bound..bound).contains(value));
            if fitting.is_none() {
                unfit.push(row);
            }
            fitting
        });
        let column: Decimal128Array = values.collect();
        Ok(Arc::new(column.with_data_type(self.data_type.clone())))
    }
}

/// The quotient as the nearest integer, halves away from zero.
fn rounded(sum: i256, count: i256) -> i256 {
    let (quotient, rest) = (sum.wrapping_div(count), sum.wrapping_rem(count).wrapping_abs());
    if rest >= count.wrapping_sub(rest) { quotient.wrapping_add(sum.signum()) } else { quotient }
}
