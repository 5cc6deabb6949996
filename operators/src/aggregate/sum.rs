//! Exact sums of floats: nothing is rounded before the end.
//!
//! Adding floats rounds each time, so the result depends on the order of additions, and with it on
//! the number of workers. Here numbers are added as integers: as multiples of 2^-64, in an `i128`.
//! That covers what sensors send, and costs a shift and an addition. Every other finite float, and
//! a sum that outgrows the `i128`, goes into a [`WideSum`], which covers them all and is allocated
//! when it is first needed. The sum is the sum of both, so it is the same number whatever went
//! where, and what is read from it is a function of that number alone.

use serde::{Deserialize, Serialize};

use super::wide_sum::{WideSum, round};

/// Binary places after the point of the fixed-point part.
const PLACES: u32 = 64;

/// The exact sum of any finite floats, in any order: 24 bytes.
///
/// ```
/// use strandline_operators::aggregate::ExactSum;
///
/// let mut sum = ExactSum::default();
/// for number in [1e300, 0.5, -1e300, 1e-300, 0.25] {
///     sum.add(number);
/// }
/// assert_eq!(sum.divided_by(3), Some(0.25));
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExactSum {
    // The halves of an `i128`, which by itself would be aligned to 16 bytes.
    low: u64,
    high: i64,
    wide: Option<Box<WideSum>>,
}

impl ExactSum {
    /// Adds a number. One that is not finite is left out.
    #[inline]
    pub fn add(&mut self, number: f64) {
        let Float { negative, significand, exponent } = Float::of(number);
        // From 2^-12 to 2^63, a number is a multiple of 2^-64 whatever its digits. (A negative
        // shift is a great one here.)
        let shift = (exponent + PLACES.cast_signed()).cast_unsigned();
        if shift <= i128::BITS - 1 - Float::DIGITS {
            let magnitude = i128::from(significand) << shift;
            let term = if negative { -magnitude } else { magnitude };
            if let Some(sum) = self.fixed().checked_add(term) {
                self.set_fixed(sum);
                return;
            }
        }
        self.add_unusual(number);
    }

    /// Adds what another sum holds.
    #[inline]
    pub fn combine(&mut self, other: &ExactSum) {
        self.add_fixed(other.fixed());
        if let Some(wide) = &other.wide {
            self.wide().combine(wide);
        }
    }

    /// The sum divided by `count`, rounded to the nearest float, to the even one of two; the
    /// greatest or least float where it is beyond them. `None` for a count of 0.
    pub fn divided_by(&self, count: u64) -> Option<f64> {
        if count == 0 {
            return None;
        }
        if let Some(wide) = &self.wide {
            let mut total = (**wide).clone();
            total.add(self.fixed() < 0, self.fixed().unsigned_abs(), -PLACES.cast_signed());
            return Some(total.divided_by(count));
        }
        Some(quotient(self.fixed() < 0, self.fixed().unsigned_abs(), -PLACES.cast_signed(), count))
    }

    /// The sum, rounded to the nearest float, to the even one of two; None beyond the greatest and the
    /// least.
    pub fn total(&self) -> Option<f64> {
        // Half of what rounds to a float rounds to a float.
        let half = self.divided_by(2)?;
        if half.abs() > f64::MAX / 2.0 { None } else { self.divided_by(1) }
    }

    #[cold]
    #[inline(never)]
    fn add_unusual(&mut self, number: f64) {
        let Float { negative, significand, exponent } = Float::of(number);
        if significand == 0 || !number.is_finite() {
            return;
        }
        // Without the zeros that it ends with, it may be a multiple of 2^-64 all the same.
        let zeros = significand.trailing_zeros();
        let (digits, exponent) = (significand >> zeros, exponent + zeros.cast_signed());
        match u32::try_from(exponent + PLACES.cast_signed()) {
            Ok(shift) if shift + (u64::BITS - digits.leading_zeros()) < i128::BITS => {
                let magnitude = i128::from(digits) << shift;
                self.add_fixed(if negative { -magnitude } else { magnitude });
            }
            _ => self.wide().add(negative, u128::from(digits), exponent),
        }
    }

    #[inline]
    fn add_fixed(&mut self, term: i128) {
        match self.fixed().checked_add(term) {
            Some(sum) => self.set_fixed(sum),
            None => {
                let full = self.fixed();
                self.wide().add(full < 0, full.unsigned_abs(), -PLACES.cast_signed());
                self.set_fixed(term);
            }
        }
    }

    #[inline]
    fn fixed(&self) -> i128 {
        i128::from(self.high) << 64 | i128::from(self.low)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    fn set_fixed(&mut self, sum: i128) {
        self.low = sum as u64;
        self.high = (sum >> 64) as i64;
    }

    fn wide(&mut self) -> &mut WideSum {
        self.wide.get_or_insert_default()
    }
}

/// `magnitude * 2^exponent`, or less than zero, divided by `count`, which is not 0: the nearest float,
/// the even one of two.
pub(super) fn quotient(negative: bool, magnitude: u128, exponent: i32, count: u64) -> f64 {
    if magnitude == 0 {
        return 0.0;
    }
    // With its highest bit set, a quotient by less than 2^64 has at least 64 digits.
    let zeros = magnitude.leading_zeros();
    let dividend = magnitude << zeros;
    let quotient = dividend / u128::from(count);
    // One division: the two are not done together.
    let rest = dividend - quotient * u128::from(count);
    round(negative, quotient, exponent - zeros.cast_signed(), rest != 0)
}

/// A float as `significand * 2^exponent`, with its sign apart.
pub(super) struct Float {
    pub(super) negative: bool,
    pub(super) significand: u64,
    pub(super) exponent: i32,
}

impl Float {
    /// Binary digits of a normal number.
    const DIGITS: u32 = f64::MANTISSA_DIGITS;

    #[inline]
    pub(super) fn of(number: f64) -> Float {
        let bits = number.to_bits();
        let fraction = bits & ((1 << (Float::DIGITS - 1)) - 1);
        let biased = (bits >> (Float::DIGITS - 1) & 0x7FF) as i32;
        let (significand, exponent) = match biased {
            0 => (fraction, 1),
            _ => (fraction | 1 << (Float::DIGITS - 1), biased),
        };
        Float { negative: bits >> 63 == 1, significand, exponent: exponent - 1075 }
    }
}
