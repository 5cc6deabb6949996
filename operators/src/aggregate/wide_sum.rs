//! A sum that is wide enough for every float: the fallback of [`ExactSum`](super::ExactSum).
//!
//! It is one integer that counts the least float, 2^-1074, and has room for 2^64 additions of the
//! greatest: a long accumulator, as U. Kulisch proposed for exact dot products.

use serde::{Deserialize, Serialize};

/// The exponent of the least float: what a [`WideSum`] counts.
const UNIT_EXPONENT: i32 = -1074;

/// 1074 bits below the point, 1024 above it, 64 for as many additions, a sign: 2163, rounded up.
const LIMBS: usize = 34;

/// A sum of floats as a signed integer in two's complement, the lowest limb first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub(super) struct WideSum {
    limbs: [u64; LIMBS],
}

impl Default for WideSum {
    fn default() -> WideSum {
        WideSum { limbs: [0; LIMBS] }
    }
}

impl From<WideSum> for Vec<u64> {
    fn from(sum: WideSum) -> Vec<u64> {
        sum.limbs.to_vec()
    }
}

impl TryFrom<Vec<u64>> for WideSum {
    type Error = String;
    fn try_from(limbs: Vec<u64>) -> Result<WideSum, String> {
        let found = limbs.len();
        let limbs = limbs.try_into().map_err(|_| {
            format!("the state of a sum has {LIMBS} limbs, but {found} were stored")
        })?;
        Ok(WideSum { limbs })
    }
}

impl WideSum {
    /// Adds `magnitude * 2^exponent`, or subtracts it. The exponent is not below that of the least
    /// float.
    pub(super) fn add(&mut self, negative: bool, magnitude: u128, exponent: i32) {
        debug_assert!(UNIT_EXPONENT <= exponent);
        let shift = (exponent - UNIT_EXPONENT).cast_unsigned();
        let (first, bits) = ((shift / 64) as usize, shift % 64);
        let carried = magnitude.checked_shr(128 - bits).unwrap_or(0);
        let shifted = magnitude << bits;
        let parts = [low_limb(shifted), high_limb(shifted), low_limb(carried)];
        let mut carry = false;
        for (index, limb) in self.limbs[first..].iter_mut().enumerate() {
            let part = match parts.get(index) {
                Some(part) => *part,
                None if carry => 0,
                None => return,
            };
            (*limb, carry) = if negative {
                let (difference, below) = limb.overflowing_sub(part);
                let (difference, below_too) = difference.overflowing_sub(u64::from(carry));
                (difference, below || below_too)
            } else {
                let (sum, above) = limb.overflowing_add(part);
                let (sum, above_too) = sum.overflowing_add(u64::from(carry));
                (sum, above || above_too)
            };
        }
    }

    /// Adds another sum.
    pub(super) fn combine(&mut self, other: &WideSum) {
        let mut carry = 0;
        for (limb, other) in self.limbs.iter_mut().zip(&other.limbs) {
            let sum = u128::from(*limb) + u128::from(*other) + carry;
            *limb = low_limb(sum);
            carry = sum >> 64;
        }
    }

    /// The sum divided by `count`, which is not 0, correctly rounded.
    pub(super) fn divided_by(&self, count: u64) -> f64 {
        let negative = self.limbs[LIMBS - 1] >> 63 == 1;
        // One limb more, below: the quotient's digits after the point decide how it is rounded.
        let mut quotient = [0; LIMBS + 1];
        quotient[1..].copy_from_slice(&self.limbs);
        if negative {
            let mut carry = true;
            for limb in &mut quotient[1..] {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        let mut rest = 0;
        for limb in quotient.iter_mut().rev() {
            let dividend = rest << 64 | u128::from(*limb);
            *limb = low_limb(dividend / u128::from(count));
            rest = dividend % u128::from(count);
        }
        // The two highest limbs have at least 65 digits, or are all of it.
        let highest = quotient.iter().rposition(|limb| *limb != 0).unwrap_or(0).max(1);
        let significand = u128::from(quotient[highest]) << 64 | u128::from(quotient[highest - 1]);
        let more = rest != 0 || quotient[..highest - 1].iter().any(|limb| *limb != 0);
        let limbs_below = i32::try_from(highest).unwrap_or(i32::MAX) - 2;
        round(negative, significand, UNIT_EXPONENT + 64 * limbs_below, more)
    }
}

/// `significand * 2^exponent`, and if `more` a little more than that but less than another
/// `2^exponent`, rounded to the nearest float, to the even one of two. The greatest float where it
/// is beyond that.
///
/// The significand has at least 55 digits, or `exponent` is so low that the nearest float is one of
/// those that are least apart.
pub(super) fn round(negative: bool, significand: u128, exponent: i32, more: bool) -> f64 {
    let digits = (u128::BITS - significand.leading_zeros()).cast_signed();
    // What the last digit of the result counts.
    let last = (exponent + digits - f64::MANTISSA_DIGITS.cast_signed()).max(UNIT_EXPONENT);
    let dropped = last - exponent;
    debug_assert!((1..128).contains(&dropped));
    let kept = low_limb(significand >> dropped);
    let below = significand & ((1 << dropped) - 1);
    let half = 1 << (dropped - 1);
    let up = half < below || (below == half && (more || kept & 1 == 1));
    let significand = kept + u64::from(up);
    // The significand's highest digit is not stored but adds one to the exponent's field; what it
    // overflows by adds one to it too, which is right.
    let field = u64::try_from(last - UNIT_EXPONENT).unwrap_or(0);
    let magnitude = if field <= 0x7FF { (field << 52) + significand } else { u64::MAX };
    let magnitude = f64::from_bits(magnitude.min(f64::MAX.to_bits()));
    if negative { -magnitude } else { magnitude }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low_limb(number: u128) -> u64 {
    number as u64
}

fn high_limb(number: u128) -> u64 {
    low_limb(number >> 64)
}
