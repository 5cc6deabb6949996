//! Moments and days as people write them, in UTC.

use std::fmt::Write;

use arrow_schema::TimeUnit;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::failed::Reason;

/// Days before 1970 in chrono's count, which begins with year 1.
const DAYS_TO_1970: i32 = 719_163;

pub(super) const OUTSIDE: Reason = Reason::Borrowed("the time is outside the calendar");
const NO_TIME: Reason = Reason::Borrowed("the text is no time");
const NO_DATE: Reason = Reason::Borrowed("the text is no date");

/// How many of a unit are in a second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The date and time of a moment; they go from year -262143 to 262142.
pub(super) fn date_time(value: i64, unit: TimeUnit) -> Result<NaiveDateTime, Reason> {
    let per_second = per_second(unit);
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let nanos = u32::try_from(nanos).map_err(|_| OUTSIDE)?;
    let moment = DateTime::from_timestamp(value.div_euclid(per_second), nanos).ok_or(OUTSIDE)?;
    Ok(moment.naive_utc())
}

/// The moment at a date and time; what is finer than the unit is cut off.
pub(super) fn moment(time: NaiveDateTime, unit: TimeUnit) -> Result<i64, Reason> {
    let time = time.and_utc();
    let nanos = i64::from(time.timestamp_subsec_nanos());
    let per_second = per_second(unit);
    let value = i128::from(time.timestamp()) * i128::from(per_second)
        + i128::from(nanos / (1_000_000_000 / per_second));
    i64::try_from(value).map_err(|_| Reason::Borrowed("the time does not fit its type"))
}

/// The date of a day counted from 1970.
pub(super) fn date(days: i32) -> Result<NaiveDate, Reason> {
    days.checked_add(DAYS_TO_1970).and_then(NaiveDate::from_num_days_from_ce_opt).ok_or(OUTSIDE)
}

/// Days from 1970 to a date.
pub(super) fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - DAYS_TO_1970
}

/// `2026-01-31T12:00:00.000Z`, with the digits of the unit. Years beyond 9999 have a sign.
pub(super) fn write_moment(
    value: i64,
    unit: TimeUnit,
    digits: TimeUnit,
    text: &mut String,
) -> Result<(), Reason> {
    let time = date_time(value, unit)?;
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    // Writing to a text cannot fail.
    let _ = write!(text, "{}T{hour:02}:{minute:02}:{second:02}", time.date());
    let nanos = time.nanosecond();
    let _ = match digits {
        TimeUnit::Second => Ok(()),
        TimeUnit::Millisecond => write!(text, ".{:03}", nanos / 1_000_000),
        TimeUnit::Microsecond => write!(text, ".{:06}", nanos / 1_000),
        TimeUnit::Nanosecond => write!(text, ".{nanos:09}"),
    };
    text.push('Z');
    Ok(())
}

/// The moment that a text names: a date, or a date and a time with a `T` or a space between them; in
/// UTC, if it ends without an offset.
pub(super) fn parse_moment(text: &str, unit: TimeUnit) -> Result<i64, Reason> {
    let text = text.trim().as_bytes();
    let (date, rest) = split_date(text).ok_or(NO_TIME)?;
    let (time, offset_minutes) = match rest {
        [] => (NaiveTime::MIN, 0),
        [b'T' | b't' | b' ', rest @ ..] => split_time(rest).ok_or(NO_TIME)?,
        _ => return Err(NO_TIME),
    };
    let offset = chrono::TimeDelta::minutes(offset_minutes);
    moment(date.and_time(time).checked_sub_signed(offset).ok_or(OUTSIDE)?, unit)
}

/// The date that a text names: `2026-01-31`.
pub(super) fn parse_date(text: &str) -> Result<NaiveDate, Reason> {
    match split_date(text.trim().as_bytes()) {
        Some((date, [])) => Ok(date),
        _ => Err(NO_DATE),
    }
}

fn split_date(text: &[u8]) -> Option<(NaiveDate, &[u8])> {
    let (year, text) = digits(text, 4)?;
    let (month, text) = digits(text.strip_prefix(b"-")?, 2)?;
    let (day, text) = digits(text.strip_prefix(b"-")?, 2)?;
    Some((NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?, text))
}

/// `12:30`, `12:30:00`, `12:30:00.123`, each with an offset from UTC or without one.
fn split_time(text: &[u8]) -> Option<(NaiveTime, i64)> {
    let (hour, text) = digits(text, 2)?;
    let (minute, text) = digits(text.strip_prefix(b":")?, 2)?;
    let (second, text) = match text {
        [b':', text @ ..] => digits(text, 2)?,
        _ => (0, text),
    };
    let (nanos, text) = match text {
        [b'.', text @ ..] => {
            let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, text) = text.split_at_checked(count).filter(|_| count > 0)?;
            let padded = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
            (padded.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0')), text)
        }
        _ => (0, text),
    };
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?;
    let (sign, text) = match text {
        [] | [b'Z' | b'z'] => return Some((time, 0)),
        [b'+', text @ ..] => (1, text),
        [b'-', text @ ..] => (-1, text),
        _ => return None,
    };
    let (hours, text) = digits(text, 2)?;
    let minutes = match text {
        [] => 0,
        _ => match digits(text.strip_prefix(b":").unwrap_or(text), 2)? {
            (minutes, []) => minutes,
            _ => return None,
        },
    };
    (hours < 24 && minutes < 60).then_some((time, sign * i64::from(hours * 60 + minutes)))
}

fn digits(text: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    digits
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| (digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: TimeUnit = TimeUnit::Millisecond;

    fn written(value: i64, unit: TimeUnit) -> String {
        let mut text = String::new();
        write_moment(value, unit, unit, &mut text).unwrap();
        text
    }

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        for text in
            ["2026-01-31T12:30:05.123Z", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]
        {
            assert_eq!(written(parse_moment(text, MS).unwrap(), MS), text);
        }
        assert_eq!(written(-1, TimeUnit::Nanosecond), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(written(-1, TimeUnit::Second), "1969-12-31T23:59:59Z");
        assert_eq!(written(253_402_300_800, TimeUnit::Second), "+10000-01-01T00:00:00Z");
    }

    #[test]
    fn what_a_time_may_leave_out() {
        let read = |text| written(parse_moment(text, MS).unwrap(), MS);
        assert_eq!(read("2024-02-29"), "2024-02-29T00:00:00.000Z");
        assert_eq!(read(" 2024-02-29 23:59 "), "2024-02-29T23:59:00.000Z");
        assert_eq!(read("2024-02-29t00:00:00.1239z"), "2024-02-29T00:00:00.123Z");
        assert_eq!(read("2024-03-01T01:30:00+02:00"), "2024-02-29T23:30:00.000Z");
        assert_eq!(read("2024-02-29T23:30:00-0200"), "2024-03-01T01:30:00.000Z");
        assert_eq!(read("2024-02-29T23:30:00-02"), "2024-03-01T01:30:00.000Z");
        // What is before 1970 is cut towards the past, too.
        assert_eq!(read("1969-12-31T23:59:59.9999"), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2023-02-29",
            "2024-2-29",
            "2024-02-29T",
            "2024-02-29T24:00",
            "2024-02-29T12",
            "2024-02-29T12:00:00.",
            "2024-02-29T12:00:00+24:00",
            "2024-02-29T12:00:00Zulu",
            "2024-02-29T12:00:00+02:0",
            "12024-02-29",
            "२०२४-०२-२९",
            "now",
            "2024-02-29T12:00:60",
        ] {
            assert!(parse_moment(text, MS).is_err(), "{text}");
        }
        assert!(parse_date("2024-02-29T00:00").is_err());
        assert_eq!(days(parse_date("1970-01-01").unwrap()), 0);
        assert_eq!(date(-1).unwrap().to_string(), "1969-12-31");
        assert!(date(i32::MAX).is_err());
        assert!(date_time(i64::MAX, MS).is_err());
        assert!(parse_moment("9999-12-31", TimeUnit::Nanosecond).is_err());
    }
}
