//! Decimals: integers with a point in them.

use std::cmp::Ordering;

use arrow_array::PrimitiveArray;
use arrow_array::types::Decimal128Type;
use arrow_buffer::i256;
use arrow_schema::DataType;
use strandline_plan::expr::BinaryOperator;

use super::column::Column;
use super::failed::{BY_ZERO, Failed, OVERFLOW};
use super::operands::Operands;
use super::rows::{primitives, some};

/// `10^exponent`; None where it has more than 38 digits.
pub(super) fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// Whether a value has at most so many digits.
pub(super) fn fits(value: i128, digits: u8) -> bool {
    power_of_ten(u32::from(digits)).is_some_and(|limit| value.unsigned_abs() < limit.unsigned_abs())
}

/// The quotient rounded to the nearest integer, halves away from zero. The divisor is not zero.
pub(super) fn divide_rounded(value: i128, divisor: i128) -> Option<i128> {
    let (quotient, rest) = (value.checked_div(divisor)?, value.checked_rem(divisor)?);
    // Twice the rest may not fit; what is missing to the divisor always does.
    let up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    let away = if (value < 0) == (divisor < 0) { 1 } else { -1 };
    if up { quotient.checked_add(away) } else { Some(quotient) }
}

/// The same number with another count of digits behind the point; None where it does not fit.
pub(super) fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    let more = i32::from(to) - i32::from(from);
    let factor = power_of_ten(more.unsigned_abs());
    match more.cmp(&0) {
        Ordering::Equal => Some(value),
        Ordering::Greater if value == 0 => Some(0),
        Ordering::Greater => value.checked_mul(factor?),
        Ordering::Less => factor.map_or(Some(0), |factor| divide_rounded(value, factor)),
    }
}

/// `left operator right` with so many digits and so many of them behind the point.
pub(super) fn arithmetic(
    operands: &Operands<'_>,
    operator: BinaryOperator,
    (digits, scale): (u8, i8),
    failed: &mut Failed,
) -> PrimitiveArray<Decimal128Type> {
    let (a_scale, b_scale) = (scale_of(operands.left), scale_of(operands.right));
    let (left, right) = (operands.left.decimals(), operands.right.decimals());
    primitives(operands.rows, failed, |row| {
        let (a, b) = (some!(left.get(row)), some!(right.get(row)));
        let both = || Some((rescale(a, a_scale, scale)?, rescale(b, b_scale, scale)?));
        let value = match operator {
            BinaryOperator::Add => both().and_then(|(a, b)| a.checked_add(b)),
            BinaryOperator::Subtract => both().and_then(|(a, b)| a.checked_sub(b)),
            // The plan gave it the scale of the exact product.
            BinaryOperator::Multiply => a.checked_mul(b),
            _ if b == 0 => return Err(BY_ZERO),
            // Of decimals the plan gives a quotient at least six digits behind the point: these are
            // integers of which no type of integers holds both, and divided as all integers are.
            BinaryOperator::Divide if scale == 0 => a.checked_div(b),
            BinaryOperator::Divide => {
                quotient(a, b, i32::from(scale) + i32::from(b_scale) - i32::from(a_scale))
            }
            _ => remainder(a, a_scale, b, b_scale),
        };
        value.filter(|value| fits(*value, digits)).map(Some).ok_or(OVERFLOW)
    })
}

pub(super) fn scale_of(column: &Column) -> i8 {
    match column.array().data_type() {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

/// `a * 10^shift / b`, rounded.
fn quotient(a: i128, b: i128, shift: i32) -> Option<i128> {
    let factor = power_of_ten(shift.unsigned_abs());
    if shift >= 0
        && let Some(scaled) = factor.and_then(|factor| a.checked_mul(factor))
    {
        return divide_rounded(scaled, b);
    }
    let ten = i256::from_i128(10);
    let factor = ten.checked_pow(shift.unsigned_abs())?;
    let (a, b) = (i256::from_i128(a), i256::from_i128(b));
    let (a, b) = if shift >= 0 { (a.checked_mul(factor)?, b) } else { (a, b.checked_mul(factor)?) };
    let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    let (rest, divisor) = (rest.wrapping_abs(), b.wrapping_abs());
    let away = i256::from_i128(if a.is_negative() == b.is_negative() { 1 } else { -1 });
    let quotient = match rest >= divisor.wrapping_sub(rest) {
        true => quotient.checked_add(away)?,
        false => quotient,
    };
    quotient.to_i128()
}

/// `a % b` at the finer of both scales, with the sign of `a`.
fn remainder(a: i128, a_scale: i8, b: i128, b_scale: i8) -> Option<i128> {
    let scale = a_scale.max(b_scale);
    if let (Some(a), Some(b)) = (rescale(a, a_scale, scale), rescale(b, b_scale, scale)) {
        return a.checked_rem(b);
    }
    let wide = |value, from: i8| {
        let shift = u32::from(scale.abs_diff(from));
        i256::from_i128(value).checked_mul(i256::from_i128(10).checked_pow(shift)?)
    };
    wide(a, a_scale)?.checked_rem(wide(b, b_scale)?)?.to_i128()
}

/// A decimal as it is written: all digits of its scale.
pub(super) fn write(value: i128, scale: i8, text: &mut String) {
    use std::fmt::Write;
    let scale = usize::try_from(scale).unwrap_or(0);
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale == 0 { "" } else { "." };
    // Writing to a text cannot fail.
    let _ = write!(text, "{sign}{whole}{point}{fraction}");
}

/// The decimal of a text such as `-12.50` or `1.25e3`, rounded to `scale`.
///
/// None if the text is no number, or it does not fit.
pub(super) fn parse(text: &str, digits: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut all = whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !all.all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Of the digits, those in front of this place stay, and the one at it rounds.
    let behind = i64::from(exponent) + i64::from(scale);
    let place = i64::try_from(whole.len()).ok()?.checked_add(behind)?;
    let mut value: i128 = 0;
    let mut given = whole.bytes().chain(fraction.bytes());
    for _ in 0..place.max(0) {
        let Some(digit) = given.next() else {
            // Zeros up to the point.
            let missing = place - i64::try_from(whole.len() + fraction.len()).ok()?;
            if value != 0 {
                value = value.checked_mul(power_of_ten(u32::try_from(missing).ok()?)?)?;
            }
            break;
        };
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if place >= 0 && given.next().is_some_and(|digit| digit >= b'5') {
        value += 1;
    }
    let value = if negative { -value } else { value };
    fits(value, digits).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!(divide_rounded(5, 2), Some(3));
        assert_eq!(divide_rounded(-5, 2), Some(-3));
        assert_eq!(divide_rounded(5, -2), Some(-3));
        assert_eq!(divide_rounded(4, 3), Some(1));
        assert_eq!(rescale(125, 2, 1), Some(13));
        assert_eq!(rescale(-125, 2, 1), Some(-13));
        assert_eq!(rescale(i128::MAX, 0, 1), None);
        assert_eq!(rescale(i128::MAX, 39, 0), Some(0));
    }

    #[test]
    fn a_decimal_is_read_from_what_is_a_number() {
        let read = |text| parse(text, 6, 2);
        assert_eq!(read("12.5"), Some(1250));
        assert_eq!(read("-0.005"), Some(-1));
        assert_eq!(read("0.0049"), Some(0));
        assert_eq!(read("+.5"), Some(50));
        assert_eq!(read("5."), Some(500));
        assert_eq!(read("1.25e2"), Some(12500));
        assert_eq!(read("125e-3"), Some(13));
        assert_eq!(read("1e-9"), Some(0));
        assert_eq!(read("0e99999"), Some(0));
        assert_eq!(read("9999.99"), Some(999_999));
        for text in ["9999.995", "10000", "1e9", "", ".", "-", "1.2.3", "1_0", "e5", "0x1", "٣"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_decimal_is_written_with_all_digits_of_its_scale() {
        let written = |value, scale| {
            let mut text = String::new();
            write(value, scale, &mut text);
            text
        };
        assert_eq!(written(-5, 2), "-0.05");
        assert_eq!(written(1250, 2), "12.50");
        assert_eq!(written(7, 0), "7");
        assert_eq!(written(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
    }

    #[test]
    fn a_quotient_that_needs_more_bits_is_exact_too() {
        let large = power_of_ten(37).unwrap();
        assert_eq!(quotient(large, large, 20), power_of_ten(20));
        assert_eq!(quotient(large, 3, -37), Some(0));
        assert_eq!(quotient(2 * large, 3, -37), Some(1));
        assert_eq!(quotient(large, 1, 38), None);
        assert_eq!(remainder(large, 0, 7, 38), Some(6));
    }
}
