//! Quantiles to one percent of the value, from a sketch that does not depend on the order of rows.
//!
//! The sketch is DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch
//! with relative-error guarantees", VLDB 2019): it counts values in buckets whose width is
//! proportional to the value. Buckets are the exponent of a float and the first bits of its
//! significand, so that finding one needs no logarithm, whose last bits differ between machines. No
//! buckets are ever joined: values of one sign that lie between 1 and 10^9 have at most some 2000.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::{ArrowError, DataType};

use super::Contributions;
use super::float::each_float;
use super::integer::each_integer;
use super::state::Fold;

/// Bits of the significand that tell buckets apart. A bucket is at most 1/64 of its value wide, and
/// its middle at most 1/128 of the value away from what is in it.
const BITS: u32 = 6;

/// How many values are in each bucket.
type Buckets = BTreeMap<i32, u64>;

/// The value below which a part of the values lies.
pub(super) struct Quantile {
    /// From 0 to 1.
    pub(super) part: f64,
    /// The type of the argument.
    pub(super) argument: DataType,
}

/// The bucket of a value, in the order of values: 0 for zero, then by exponent and first bits. NaN is
/// in the last.
fn bucket(value: f64) -> i32 {
    let value = if value.is_nan() { f64::NAN } else { value };
    if value == 0.0 {
        return 0;
    }
    let place = value.abs().to_bits() >> (f64::MANTISSA_DIGITS - 1 - BITS);
    let place = i32::try_from(place).unwrap_or(i32::MAX - 1) + 1;
    if value < 0.0 { -place } else { place }
}

/// A value that is at most one percent from all in a bucket.
fn value(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let edge = |place: u32| f64::from_bits(u64::from(place) << (f64::MANTISSA_DIGITS - 1 - BITS));
    let place = bucket.unsigned_abs() - 1;
    let (low, high) = (edge(place), edge(place + 1));
    let middle = if high.is_finite() { low + (high - low) / 2.0 } else { low };
    if bucket < 0 { -middle } else { middle }
}

impl Fold for Quantile {
    type State = Buckets;

    fn add(
        &self,
        states: &mut [Buckets],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let mut add = |slot: usize, value| *states[slot].entry(bucket(value)).or_default() += 1;
        match &self.argument {
            DataType::Float32 | DataType::Float64 => each_float(column, rows, add),
            DataType::Decimal128(_, scale) => {
                let values = column.as_primitive::<Decimal128Type>().values();
                let unit = 10_f64.powi(i32::from(*scale));
                rows.each(|row, slot| add(slot, approximate(values[row]) / unit));
            }
            _ => each_integer(column, rows, |slot, value| add(slot, approximate(value))),
        }
        Ok(())
    }

    fn combine(&self, into: &mut Buckets, other: &Buckets) {
        for (bucket, count) in other {
            *into.entry(*bucket).or_default() += count;
        }
    }

    fn results(
        &self,
        states: &[&Buckets],
        _unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError> {
        let of = |buckets: &&Buckets| {
            let rank = rank(self.part, buckets.values().sum());
            let mut below = 0;
            let found = buckets.iter().find(|(_, count)| {
                below += **count;
                below >= rank
            });
            found.map(|(bucket, _)| value(*bucket))
        };
        Ok(Arc::new(states.iter().map(of).collect::<Float64Array>()))
    }

    fn heap(&self, state: &Buckets) -> usize {
        state.len() * size_of::<(i32, u64)>() * 2
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percent is enough")]
fn approximate(value: i128) -> f64 {
    value as f64
}

/// Which of so many values, in their order, from 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of 2^53 values is approximate"
)]
fn rank(part: f64, count: u64) -> u64 {
    ((part * count as f64).ceil() as u64).clamp(1, count.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_is_within_a_percent_of_what_is_in_it(
            number in prop::num::f64::NORMAL | prop::num::f64::ZERO,
        ) {
            let near = value(bucket(number));
            prop_assert!((near - number).abs() <= number.abs() * 0.01, "{number} as {near}");
        }

        #[test]
        fn buckets_are_in_the_order_of_values(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a < b);
            prop_assert!(bucket(a) <= bucket(b));
        }
    }

    #[test]
    fn what_is_no_number_is_in_the_last_buckets() {
        assert_eq!(value(bucket(f64::INFINITY)), f64::INFINITY);
        assert_eq!(value(bucket(f64::NEG_INFINITY)), f64::NEG_INFINITY);
        assert!(value(bucket(-f64::NAN)).is_nan());
        assert!(bucket(f64::NAN) > bucket(f64::INFINITY));
    }

    #[test]
    fn the_part_of_values_is_counted_from_the_least() {
        assert_eq!([0.0, 0.5, 0.51, 1.0].map(|part| rank(part, 4)), [1, 2, 3, 4]);
    }
}
