//! Variances and standard deviations, exact until they are rounded once, at the end.
//!
//! The variance of n numbers is `(n·Σx² − (Σx)²) / n²`. With floats this formula is known to lose all
//! digits; here both sums are integers, so nothing is lost, and neither the order of rows nor how
//! groups are combined matters. Integers and decimals are counted in units of their last digit, floats
//! in multiples of 2^-64 as in [`ExactSum`](crate::aggregate::ExactSum). What does not fit in 256
//! bits is added up in integers of any length.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_buffer::i256;
use arrow_schema::{ArrowError, DataType};
use num_bigint::{BigInt, BigUint};
use serde::{Deserialize, Serialize};

use super::Contributions;
use super::decimal::Wide;
use super::float::{Unbounded, each_float};
use super::integer::each_integer;
use super::state::Fold;
use crate::aggregate::sum::Float;
use crate::aggregate::wide_sum::round;

/// Binary places after the point of floats that fit in the fixed part, and of the least float.
const PLACES: i32 = 64;
const LEAST_PLACE: i32 = 1074;

/// Bits of a quotient that are enough to round it: more than twice those of a float.
const QUOTIENT_BITS: u64 = 128;

/// How many numbers, their sum and the sum of their squares.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Moments {
    count: u64,
    unbounded: Unbounded,
    sum: Wide,
    squares: Wide,
    /// What does not fit there, in a unit of its own.
    more: Option<Box<More>>,
}

/// Sums of any length.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "[Vec<u8>; 2]", into = "[Vec<u8>; 2]")]
struct More {
    sum: BigInt,
    squares: BigInt,
}

impl From<[Vec<u8>; 2]> for More {
    fn from([sum, squares]: [Vec<u8>; 2]) -> Self {
        let of = |bytes: Vec<u8>| BigInt::from_signed_bytes_le(&bytes);
        Self { sum: of(sum), squares: of(squares) }
    }
}

impl From<More> for [Vec<u8>; 2] {
    fn from(more: More) -> Self {
        [more.sum.to_signed_bytes_le(), more.squares.to_signed_bytes_le()]
    }
}

/// Computes a variance or a standard deviation.
pub(super) struct Spread {
    /// Divides by the number of values less one.
    pub(super) of_sample: bool,
    /// Gives the square root.
    pub(super) root: bool,
    /// The type of the argument.
    pub(super) argument: DataType,
}

impl Spread {
    fn is_float(&self) -> bool {
        self.argument.is_floating()
    }

    /// How many more binary places the unit of [`More`] has than that of the fixed part.
    fn more_places(&self) -> u32 {
        if self.is_float() { (LEAST_PLACE - PLACES).cast_unsigned() } else { 0 }
    }

    fn add_integer(&self, state: &mut Moments, value: i128) {
        let value = i256::from_i128(value);
        state.sum.0 = state.sum.0.wrapping_add(value);
        self.add_squares(state, value.wrapping_mul(value));
    }

    fn add_squares(&self, state: &mut Moments, squares: i256) {
        match state.squares.0.checked_add(squares) {
            Some(sum) => state.squares.0 = sum,
            None => {
                let places = 2 * self.more_places();
                let full = std::mem::replace(&mut state.squares.0, squares);
                state.more.get_or_insert_default().squares += big(full) << places;
            }
        }
    }

    fn add_float(&self, state: &mut Moments, value: f64) {
        let Float { negative, significand, exponent } = Float::of(value);
        if significand == 0 {
            return;
        }
        let zeros = significand.trailing_zeros();
        let (digits, exponent) = (significand >> zeros, exponent + zeros.cast_signed());
        let bits = u64::BITS - digits.leading_zeros();
        match u32::try_from(exponent + PLACES) {
            Ok(shift) if shift + bits < i128::BITS => {
                let magnitude = i128::from(digits) << shift;
                self.add_integer(state, if negative { -magnitude } else { magnitude });
            }
            _ => {
                let magnitude = BigInt::from(digits) << (exponent + LEAST_PLACE).cast_unsigned();
                let more = state.more.get_or_insert_default();
                more.squares += &magnitude * &magnitude;
                more.sum += if negative { -magnitude } else { magnitude };
            }
        }
    }

    /// The result of some numbers; an error where it is beyond all floats.
    fn result(&self, state: &Moments) -> Result<Option<f64>, ()> {
        let n = state.count;
        let divisor = if self.of_sample { n.saturating_sub(1) } else { n };
        if divisor == 0 {
            return Ok(None);
        }
        if state.unbounded.sum().is_some() {
            return Ok(Some(f64::NAN));
        }
        let (mut sum, mut squares) = (big(state.sum.0), big(state.squares.0));
        let mut places = if self.is_float() { PLACES } else { 0 };
        if let Some(more) = &state.more {
            sum = (sum << self.more_places()) + &more.sum;
            squares = (squares << (2 * self.more_places())) + &more.squares;
            places += self.more_places().cast_signed();
        }
        let above = squares * n - &sum * &sum;
        let mut below = BigUint::from(n) * divisor;
        if let DataType::Decimal128(_, scale) = self.argument {
            below *= BigUint::from(10_u32).pow(2 * u32::from(scale.unsigned_abs()));
        }
        match rounded(above.magnitude(), &below, -2 * places, self.root) {
            value if value.is_finite() => Ok(Some(value)),
            _ => Err(()),
        }
    }
}

impl Fold for Spread {
    type State = Moments;

    fn add(
        &self,
        states: &mut [Moments],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        match &self.argument {
            DataType::Float32 | DataType::Float64 => each_float(column, rows, |slot, value| {
                let state = &mut states[slot];
                state.count += 1;
                if value.is_finite() {
                    self.add_float(state, value);
                } else {
                    state.unbounded.note(value);
                }
            }),
            DataType::Decimal128(..) => {
                let values = column.as_primitive::<Decimal128Type>().values();
                rows.each(|row, slot| {
                    states[slot].count += 1;
                    self.add_integer(&mut states[slot], values[row]);
                });
            }
            _ => each_integer(column, rows, |slot, value| {
                states[slot].count += 1;
                self.add_integer(&mut states[slot], value);
            }),
        }
        Ok(())
    }

    fn combine(&self, into: &mut Moments, other: &Moments) {
        into.count += other.count;
        into.unbounded.combine(other.unbounded);
        into.sum.0 = into.sum.0.wrapping_add(other.sum.0);
        self.add_squares(into, other.squares.0);
        if let Some(more) = &other.more {
            let into = into.more.get_or_insert_default();
            into.sum += &more.sum;
            into.squares += &more.squares;
        }
    }

    fn results(&self, states: &[&Moments], unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        let values = states.iter().enumerate().map(|(row, state)| {
            self.result(state).unwrap_or_else(|()| {
                unfit.push(row);
                None
            })
        });
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn heap(&self, state: &Moments) -> usize {
        let bytes = |number: &BigInt| usize::try_from(number.bits() / 8).unwrap_or(usize::MAX);
        state.more.as_ref().map_or(0, |more| bytes(&more.sum) + bytes(&more.squares))
    }
}

fn big(number: i256) -> BigInt {
    BigInt::from_signed_bytes_le(&number.to_le_bytes())
}

/// `above / below * 2^exponent`, or the square root of it, as the nearest float. The exponent is even.
fn rounded(above: &BigUint, below: &BigUint, exponent: i32, root: bool) -> f64 {
    // So many bits that the quotient, or its root, has enough; an even number, for the root.
    let wanted = QUOTIENT_BITS * if root { 2 } else { 1 };
    let shift = (below.bits() + wanted).saturating_sub(above.bits()).next_multiple_of(2);
    let dividend = above << shift;
    let (mut number, mut exponent) = (&dividend / below, i64::from(exponent) - shift.cast_signed());
    let mut more = &number * below != dividend;
    if root {
        let quotient = number;
        number = quotient.sqrt();
        more |= &number * &number != quotient;
        exponent /= 2;
    }
    if number.bits() == 0 {
        return 0.0;
    }
    let dropped = number.bits().saturating_sub(QUOTIENT_BITS - 1);
    let highest = &number >> dropped;
    more |= &highest << dropped != number;
    exponent += dropped.cast_signed();
    let top = exponent + highest.bits().cast_signed();
    if top > i64::from(f64::MAX_EXP) {
        return f64::INFINITY;
    }
    // Less than half of the least float.
    if top < i64::from(-LEAST_PLACE) {
        return 0.0;
    }
    let value = round(false, u128_of(&highest), i32::try_from(exponent).unwrap_or(0), more);
    // What is rounded up from just below is beyond all floats too.
    let ones = BigUint::from((1_u64 << 54) - 1);
    let beyond = top == i64::from(f64::MAX_EXP) && highest >> (QUOTIENT_BITS - 1 - 54) == ones;
    if beyond { f64::INFINITY } else { value }
}

fn u128_of(number: &BigUint) -> u128 {
    let digits = number.to_u64_digits();
    let digit = |i: usize| u128::from(digits.get(i).copied().unwrap_or(0));
    digit(1) << 64 | digit(0)
}
