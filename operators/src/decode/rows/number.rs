//! What the text of a number means where no digit may be lost. `text` is always a number by JSON's
//! grammar.

use crate::decode::number::Parts;

/// Why a value is not one of its column.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is of another type.
    Type,
    /// It is of the right type, and below what the column holds.
    Below,
    /// It is of the right type, and above what the column holds, or has more digits than are kept.
    Above,
}

/// The number times ten to `scale`, if that is integral: `Ok(None)` where it is not, and
/// [`Unfit::Above`] or [`Unfit::Below`] beyond 128 bits. Linear in the length of the text, however large its exponent is.
pub(super) fn exact(text: &str, scale: u8) -> Result<Option<i128>, Unfit> {
    let Parts { negative, integer, fraction, exponent } = Parts::of(text);
    // The number is `digits * 10^power`, where `digits` does not end with a zero (or is 0).
    let mut digits: u128 = 0;
    let mut zeros: usize = 0;
    for digit in integer.bytes().chain(fraction.bytes()) {
        if digit == b'0' {
            zeros += 1;
        } else {
            digits = times_ten_to(digits, zeros + 1).saturating_add(u128::from(digit - b'0'));
            zeros = 0;
        }
    }
    if digits == 0 {
        return Ok(Some(0));
    }
    let power = exponent.saturating_add(signed(zeros)).saturating_sub(signed(fraction.len()));
    let Ok(power) = usize::try_from(power.saturating_add(i64::from(scale))) else {
        return Ok(None);
    };
    let magnitude = magnitude(times_ten_to(digits, power), negative)?;
    Ok(Some(if negative { -magnitude } else { magnitude }))
}

/// The number times ten to `power`, rounded down; [`Unfit::Above`] or [`Unfit::Below`] beyond 128 bits. Linear in the
/// length of the text.
pub(super) fn rounded_down(text: &str, power: i32) -> Result<i128, Unfit> {
    let Parts { negative, integer, fraction, exponent } = Parts::of(text);
    // How many of the digits are before the point when it has been moved; beyond them are zeros.
    let before = exponent.saturating_add(i64::from(power)).saturating_add(signed(integer.len()));
    let before = usize::try_from(before.max(0)).unwrap_or(usize::MAX);
    let (mut value, mut is_cut, mut count): (u128, bool, usize) = (0, false, 0);
    for digit in integer.bytes().chain(fraction.bytes()).map(|digit| digit - b'0') {
        if count < before {
            value = value.saturating_mul(10).saturating_add(u128::from(digit));
        } else {
            is_cut |= digit != 0;
        }
        count += 1;
    }
    let magnitude = magnitude(times_ten_to(value, before.saturating_sub(count)), negative)?;
    Ok(if negative { -magnitude - i128::from(is_cut) } else { magnitude })
}

fn magnitude(value: u128, negative: bool) -> Result<i128, Unfit> {
    i128::try_from(value).map_err(|_| if negative { Unfit::Below } else { Unfit::Above })
}

/// `digits * 10^power`, or the greatest `u128`.
fn times_ten_to(digits: u128, power: usize) -> u128 {
    if digits == 0 {
        return 0;
    }
    let ten_to = u32::try_from(power).ok().and_then(|power| 10_u128.checked_pow(power));
    ten_to.map_or(u128::MAX, |ten_to| digits.saturating_mul(ten_to))
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_exactly_in_whatever_notation() {
        for (text, scale, expected) in [
            ("0", 0, Ok(Some(0))),
            ("-0.0e99999999999999999999", 0, Ok(Some(0))),
            ("-12", 0, Ok(Some(-12))),
            ("12.50", 2, Ok(Some(1250))),
            ("12.505", 2, Ok(None)),
            ("1.25e1", 1, Ok(Some(125))),
            ("1.25e1", 0, Ok(None)),
            ("1e-40", 38, Ok(None)),
            ("170141183460469231731687303715884105727", 0, Ok(Some(i128::MAX))),
            ("170141183460469231731687303715884105728", 0, Err(Unfit::Above)),
            ("1e39", 0, Err(Unfit::Above)),
            ("-1e39", 0, Err(Unfit::Below)),
            ("1e99999999999999999999", 0, Err(Unfit::Above)),
            ("1e-99999999999999999999", 0, Ok(None)),
        ] {
            assert_eq!(exact(text, scale), expected, "{text} {scale}");
        }
    }

    #[test]
    fn what_is_rounded_is_rounded_down_before_1970_too() {
        for (text, power, expected) in [
            ("1.9999", 3, Ok(1999)),
            ("-1.9999", 3, Ok(-2000)),
            ("-1.999", 3, Ok(-1999)),
            ("-1", -3, Ok(-1)),
            ("-1000", -3, Ok(-1)),
            ("-0.0", -3, Ok(0)),
            ("5e2", 1, Ok(5000)),
            ("1e-9", 0, Ok(0)),
            ("-1e-99999999999999999999", 0, Ok(-1)),
            ("1e38", 3, Err(Unfit::Above)),
        ] {
            assert_eq!(rounded_down(text, power), expected, "{text} {power}");
        }
    }
}
