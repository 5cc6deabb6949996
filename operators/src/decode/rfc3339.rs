//! Times as RFC 3339 writes them: `2026-11-30T09:00:00.123+01:00`.

use crate::decode::DeadReason;
use crate::decode::number::TIME_MS_MAX;
use crate::time::EventTime;

const DAY_SECONDS: i64 = 86_400;

/// Reads a date and time with an offset: what is finer than a millisecond is rounded down. The `T`
/// may be a space, and letters may be small, as the RFC allows. A leap second, which is one at the
/// end of a day in UTC, is the first second of the next day.
pub(super) fn time(text: &[u8]) -> Result<EventTime, DeadReason> {
    let (seconds, nanos) = moment(text).ok_or(DeadReason::BadTime)?;
    let millis = seconds * 1_000 + nanos / 1_000_000;
    match u64::try_from(millis) {
        Ok(since_1970) if since_1970 <= TIME_MS_MAX => Ok(EventTime::from_millis(millis)),
        Ok(_) => Err(DeadReason::Future),
        Err(_) => Err(DeadReason::BadTime),
    }
}

/// A date and time with an offset as seconds since 1970, and nanoseconds after them: what is finer is
/// rounded down.
pub(super) fn moment(text: &[u8]) -> Option<(i64, i64)> {
    let mut rest = text;
    parse(&mut rest).filter(|_| rest.is_empty())
}

/// A date without a time, as days since 1970.
#[cfg(feature = "batch")]
pub(super) fn date(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    days(&mut rest).filter(|_| rest.is_empty())
}

fn parse(rest: &mut &[u8]) -> Option<(i64, i64)> {
    let days = days(rest)?;
    byte(rest, b"Tt ")?;
    let hour = digits(rest, 2)?;
    byte(rest, b":")?;
    let minute = digits(rest, 2)?;
    byte(rest, b":")?;
    let second = digits(rest, 2)?;
    let nanos = if byte(rest, b".").is_some() { fraction(rest)? } else { 0 };
    let offset_minutes = offset(rest)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minutes = hour * 60 + minute - offset_minutes;
    let seconds = days * DAY_SECONDS + minutes * 60 + second;
    if second == 60 && seconds.rem_euclid(DAY_SECONDS) != 0 {
        return None;
    }
    Some((seconds, nanos))
}

/// A date, as days since 1970.
fn days(rest: &mut &[u8]) -> Option<i64> {
    let year = digits(rest, 4)?;
    byte(rest, b"-")?;
    let month = digits(rest, 2)?;
    byte(rest, b"-")?;
    let day = digits(rest, 2)?;
    let exists = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    exists.then(|| days_since_1970(year, month, day))
}

/// `Z`, or hours and minutes before or after UTC, in minutes.
fn offset(rest: &mut &[u8]) -> Option<i64> {
    let sign = match byte(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = digits(rest, 2)?;
    byte(rest, b":")?;
    let minutes = digits(rest, 2)?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

/// At least one digit behind the point, as whole nanoseconds.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (all, after) = rest.split_at(count);
    *rest = after;
    let digit = |place: usize| all.get(place).map_or(0, |digit| i64::from(digit - b'0'));
    (count > 0).then(|| (0..9).fold(0, |nanos, place| nanos * 10 + digit(place)))
}

/// Exactly so many digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (digits, after) = rest.split_at_checked(count)?;
    let add = |value: i64, digit: &u8| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    };
    let value = digits.iter().try_fold(0, add)?;
    *rest = after;
    Some(value)
}

/// One of these bytes.
fn byte(rest: &mut &[u8], of: &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    if !of.contains(first) {
        return None;
    }
    *rest = after;
    Some(*first)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that the day that not
/// every year has is the last of its year (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_FROM_YEAR_0_TO_1970: i64 = 719_468;
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - DAYS_FROM_YEAR_0_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<i64, DeadReason> {
        time(text.as_bytes()).map(EventTime::as_millis)
    }

    /// The examples of the RFC, section 5.8, and edges.
    #[test]
    fn a_date_and_time_with_an_offset_is_read() {
        for (text, millis) in [
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1996-12-19T16:39:57-08:00", 851_042_397_000),
            ("1990-12-31T23:59:60Z", 662_688_000_000),
            ("1990-12-31T15:59:60-08:00", 662_688_000_000),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130),
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00.0009z", 0),
            ("1970-01-01 01:00:00+01:00", 0),
            ("2000-02-29T00:00:00.123456789Z", 951_782_400_123),
            ("2024-11-03T12:56:14.1239+00:00", 1_730_638_574_123),
            ("2024-11-03T12:56:14-00:00", 1_730_638_574_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            let expected = if millis < 0 { Err(DeadReason::BadTime) } else { Ok(millis) };
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_that_does_not_exist_or_is_written_otherwise_is_not_read() {
        for text in [
            "",
            "2026-11-30",
            "2026-11-30T09:00:00",
            "2026-11-30T09:00Z",
            "2026-11-30T09:00:00.Z",
            "2026-11-30T09:00:00,5Z",
            "2026-11-30T24:00:00Z",
            "2026-11-30T09:60:00Z",
            "2026-11-30T09:00:61Z",
            "2026-11-30T09:00:60Z",
            "2026-11-31T09:00:00Z",
            "2026-02-29T09:00:00Z",
            "1900-02-29T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "2026-00-01T09:00:00Z",
            "2026-01-00T09:00:00Z",
            "2026-11-30T09:00:00+24:00",
            "2026-11-30T09:00:00+0100",
            "2026-11-30T09:00:00+01",
            "2026-11-30T09:00:00Z ",
            " 2026-11-30T09:00:00Z",
            "2026-11-30T09:00:00ZZ",
            "+026-11-30T09:00:00Z",
            "20261130T090000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-11-30T09:00:00.\u{0663}Z",
        ] {
            assert_eq!(read(text), Err(DeadReason::BadTime), "{text}");
        }
    }

    #[test]
    fn a_time_after_the_year_9999_in_utc_is_in_the_future() {
        assert_eq!(read("9999-12-31T23:59:59-00:01"), Err(DeadReason::Future));
        assert_eq!(read("9999-12-31T23:59:60Z"), Err(DeadReason::Future));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = days_since_1970(1969, 12, 31);
        assert_eq!(expected, -1);
        for year in 1970..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    expected += 1;
                    assert_eq!(days_since_1970(year, month, day), expected);
                }
            }
        }
    }
}
