//! The exact sum of any finite floats, and its quotient by a count.
//!
//! Every finite 64-bit float is a whole multiple of 2^-1074, so a sum of them is one too: a big
//! integer, kept in limbs of 32 bits. Nothing is rounded before the end, so the order of additions
//! does not matter and no sum overflows, which is what rows are compared with.

use std::collections::BTreeMap;

/// The exponent of the unit that sums are counted in.
const UNIT_EXPONENT: i32 = -1074;
const LIMB_BITS: u32 = 32;
/// Limbs below the unit that a quotient is carried to before it is rounded.
const FRACTION_LIMBS: i32 = 4;

/// A sum of floats, exact.
///
/// ```
/// use strandline_sim::oracle::ExactSum;
///
/// let mut sum = ExactSum::default();
/// [1e308, 1e308, 0.1, -1e308, -1e308].into_iter().for_each(|value| sum.add(value));
/// assert_eq!(sum.average(1), 0.1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    /// Signed limbs by their place; those that are not there are zero. A limb is not normalised:
    /// it may be larger than 32 bits until the end.
    limbs: BTreeMap<u32, i128>,
}

impl ExactSum {
    /// Adds a value.
    ///
    /// # Panics
    ///
    /// If it is not finite.
    pub fn add(&mut self, value: f64) {
        assert!(value.is_finite(), "only finite values have a sum");
        let bits = value.to_bits();
        let biased = (bits >> 52 & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        // Subnormal numbers have the exponent of the least normal ones, and no implicit bit.
        let (mantissa, shift) =
            if biased == 0 { (fraction, 0) } else { (fraction | 1 << 52, biased - 1) };
        let shifted = i128::from(mantissa) << (shift % LIMB_BITS);
        let signed = if value.is_sign_negative() { -shifted } else { shifted };
        // 85 bits on one limb: there is room for 2^42 of them.
        *self.limbs.entry(shift / LIMB_BITS).or_default() += signed;
    }

    /// The sum divided by `count`, rounded once, to the nearest float; a result that is subnormal
    /// may be rounded twice.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn average(&self, count: u64) -> f64 {
        assert!(0 < count, "an average is of something");
        let (negative, magnitude) = self.normalised();

        // Long division by hand, from the highest limb, some limbs past the end.
        let mut remainder: u128 = 0;
        let mut quotient: Vec<(i32, u32)> = Vec::new();
        for place in (-FRACTION_LIMBS..magnitude.len() as i32).rev() {
            let limb = usize::try_from(place).map_or(0, |place| magnitude[place]);
            remainder = remainder << LIMB_BITS | u128::from(limb);
            quotient.push((place, (remainder / u128::from(count)) as u32));
            remainder %= u128::from(count);
        }

        // The three highest limbs hold at least 65 significant bits; what lies below them, and
        // the remainder, only decides ties.
        let first = quotient.iter().position(|(_, limb)| *limb != 0);
        let Some(first) = first else { return 0.0 };
        let mut high: u128 = 0;
        let mut lowest_place = 0;
        let mut below = remainder != 0;
        for (i, (place, limb)) in quotient[first..].iter().enumerate() {
            if i < 3 {
                high = high << LIMB_BITS | u128::from(*limb);
                lowest_place = *place;
            } else {
                below |= *limb != 0;
            }
        }
        let rounded = (high << 1 | u128::from(below)) as f64;
        let exponent = UNIT_EXPONENT + lowest_place * LIMB_BITS as i32 - 1;
        let value = times_two_to(rounded, exponent).min(f64::MAX);
        if negative { -value } else { value }
    }

    /// Whether the sum is negative, and the limbs of its magnitude, the lowest first.
    fn normalised(&self) -> (bool, Vec<u32>) {
        let carried = |sign: i128| -> Option<Vec<u32>> {
            let places = self.limbs.last_key_value().map_or(0, |(place, _)| place + 6);
            let mut carry: i128 = 0;
            let mut limbs = Vec::new();
            for place in 0..places {
                carry += sign * self.limbs.get(&place).copied().unwrap_or(0);
                limbs.push(carry as u32);
                carry >>= LIMB_BITS;
            }
            // What is carried out at the top is the sign: 0, or -1 in two's complement.
            (carry == 0).then_some(limbs)
        };
        match carried(1) {
            Some(limbs) => (false, limbs),
            None => (true, carried(-1).unwrap_or_default()),
        }
    }
}

/// `value * 2^exponent`, in steps that a float can hold.
fn times_two_to(mut value: f64, mut exponent: i32) -> f64 {
    const STEP: i32 = 512;
    while exponent < -STEP {
        value *= 2_f64.powi(-STEP);
        exponent += STEP;
    }
    while STEP < exponent {
        value *= 2_f64.powi(STEP);
        exponent -= STEP;
    }
    value * 2_f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn average(values: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum.average(values.len() as u64)
    }

    #[test]
    fn averages_by_hand() {
        assert_eq!(average(&[1.0]), 1.0);
        assert_eq!(average(&[1.0, 2.0]), 1.5);
        assert_eq!(average(&[-1.0, -2.0, 1.5]), -0.5);
        assert_eq!(average(&[1.0, 0.0, 0.0]), 1.0 / 3.0);
        assert_eq!(average(&[24.7, 24.8]), 24.75);
        assert_eq!(average(&[0.0, -0.0]), 0.0);
        assert_eq!(ExactSum::default().average(5), 0.0);
    }

    /// In floats the first sum is 0 and the second infinite.
    #[test]
    fn neither_cancellation_nor_overflow_loses_anything() {
        assert_eq!(average(&[1e300, 1.0, -1e300, 0.0]), 0.25);
        assert_eq!(average(&[f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(average(&[f64::MIN, f64::MIN, f64::MIN]), f64::MIN);
        assert_eq!(average(&[f64::MAX, -f64::MAX, 5e-324, 5e-324]), 5e-324 / 2.0);
        assert_eq!(average(&[5e-324, 5e-324, 5e-324]), 5e-324);
        assert_eq!(average(&[9_007_199_254_740_993.0, -1.0, 3.0]), 9_007_199_254_740_994.0 / 3.0);
    }

    /// Halfway cases go to the even neighbour, and anything below the half decides.
    #[test]
    fn the_result_is_rounded_once() {
        let one_ulp = f64::EPSILON;
        assert_eq!(average(&[1.0, 1.0 + one_ulp]), 1.0);
        assert_eq!(average(&[1.0 + one_ulp, 1.0 + 2.0 * one_ulp]), 1.0 + 2.0 * one_ulp);
        let mut sum = ExactSum::default();
        [1.0, 1.0 + one_ulp, 5e-324].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.average(2), 1.0 + one_ulp);
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same(mut values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, 1..20)) {
            let forwards = average(&values);
            values.reverse();
            prop_assert_eq!(forwards.to_bits(), average(&values).to_bits());
        }

        #[test]
        fn of_one_value_it_is_that_value(value in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            prop_assert_eq!(average(&[value]), value);
            prop_assert_eq!(average(&[value, value, value]), value);
        }

        /// Whole tenths: the average is known in integers.
        #[test]
        fn of_small_integers_it_is_the_quotient(values in prop::collection::vec(-1_000_i32..1_000, 1..50)) {
            let sum: i32 = values.iter().sum();
            let floats: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            prop_assert_eq!(average(&floats), f64::from(sum) / values.len() as f64);
        }
    }
}
