//! What the text of a JSON number means, as a time and as a metric.
//!
//! Both paths of the decoder ask here whenever a number is not of the most usual form. `text` is
//! always a number by JSON's grammar; that was checked before.

use crate::decode::DeadReason;
use crate::time::EventTime;

/// The last time that is accepted: 9999-12-31T23:59:59.999Z, in milliseconds since 1970. Beyond
/// it, civil dates take a fifth digit, which many readers of the outputs do not know.
pub(super) const TIME_MS_MAX: u64 = 253_402_300_799_999;

/// The number as milliseconds since 1970, exactly: no rounding on the way. Linear in the length of
/// the text, however large its exponent is.
pub(super) fn time(text: &str) -> Result<EventTime, DeadReason> {
    let Parts { negative, integer, fraction, exponent } = Parts::of(text);

    // The number is `digits * 10^power`, where `digits` does not end with a zero (or is 0).
    let mut digits: u64 = 0;
    let mut zeros: usize = 0;
    for digit in integer.bytes().chain(fraction.bytes()) {
        if digit == b'0' {
            zeros += 1;
        } else {
            digits = times_ten_to(digits, zeros + 1).saturating_add(u64::from(digit - b'0'));
            zeros = 0;
        }
    }
    if digits == 0 {
        return Ok(EventTime::from_millis(0));
    }
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let power = exponent.saturating_add(signed(zeros)).saturating_sub(signed(fraction.len()));
    let Ok(power) = usize::try_from(power) else {
        return Err(DeadReason::BadTime); // It is not integral.
    };
    if negative {
        return Err(DeadReason::BadTime);
    }
    match i64::try_from(times_ten_to(digits, power)) {
        Ok(millis) if millis.cast_unsigned() <= TIME_MS_MAX => Ok(EventTime::from_millis(millis)),
        _ => Err(DeadReason::Future),
    }
}

/// The number times ten to `exponent` as milliseconds since 1970, rounded down. Linear in the length
/// of the text.
pub(super) fn time_in(text: &str, exponent: i32) -> Result<EventTime, DeadReason> {
    let Parts { negative, integer, fraction, exponent: own_exponent } = Parts::of(text);
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    // How many of the digits are before the point when it has been moved; beyond them are zeros.
    let before =
        own_exponent.saturating_add(i64::from(exponent)).saturating_add(signed(integer.len()));
    let before = usize::try_from(before.max(0)).unwrap_or(usize::MAX);
    let (mut value, mut is_zero, mut count): (u64, bool, usize) = (0, true, 0);
    for digit in integer.bytes().chain(fraction.bytes()).map(|digit| digit - b'0') {
        if count < before {
            value = value.saturating_mul(10).saturating_add(u64::from(digit));
        }
        is_zero &= digit == 0;
        count += 1;
    }
    if negative && !is_zero {
        return Err(DeadReason::BadTime); // Rounded down, it is before 1970.
    }
    match i64::try_from(times_ten_to(value, before.saturating_sub(count))) {
        Ok(millis) if millis.cast_unsigned() <= TIME_MS_MAX => Ok(EventTime::from_millis(millis)),
        _ => Err(DeadReason::Future),
    }
}

/// The number as a 64-bit float, correctly rounded; what is too small for one is zero.
pub(super) fn metric(text: &str) -> Result<f64, DeadReason> {
    // The standard library reads a superset of JSON's numbers, and rounds correctly.
    let value: f64 = text.parse().map_err(|_| DeadReason::BadMetric)?;
    if value.is_finite() { Ok(value) } else { Err(DeadReason::NotFinite) }
}

/// What a number is made of.
pub(super) struct Parts<'a> {
    pub(super) negative: bool,
    /// The digits before the point.
    pub(super) integer: &'a str,
    /// Those behind it.
    pub(super) fraction: &'a str,
    /// So far from zero that it overflows, its distance no longer matters.
    pub(super) exponent: i64,
}

impl<'a> Parts<'a> {
    /// Of a number by JSON's grammar.
    pub(super) fn of(text: &'a str) -> Parts<'a> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, text),
        };
        let (decimal, exponent) = match text.split_once(['e', 'E']) {
            Some((decimal, exponent)) => (decimal, saturating_exponent(exponent)),
            None => (text, 0),
        };
        let (integer, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        Parts { negative, integer, fraction, exponent }
    }
}

/// `digits * 10^power`, or the greatest `u64`.
fn times_ten_to(digits: u64, power: usize) -> u64 {
    if digits == 0 {
        return 0;
    }
    let ten_to = u32::try_from(power).ok().and_then(|power| 10_u64.checked_pow(power));
    ten_to.map_or(u64::MAX, |ten_to| digits.saturating_mul(ten_to))
}

/// The exponent's value; so far from zero that it overflows, its distance no longer matters.
fn saturating_exponent(text: &str) -> i64 {
    let magnitude = text.trim_start_matches(['+', '-']).bytes().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if text.starts_with('-') { -magnitude } else { magnitude }
}
