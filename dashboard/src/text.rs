//! How counts, times and durations are written on the page. All times are UTC.
//!
//! `assets/text.js` writes the same for what changes while the page is open; a browser test holds
//! the two together.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime};
use strandline_engine::table::Cell;
use strandline_operators::time::EventTime;

/// What stands where there is no value.
pub(crate) const NOTHING: &str = "–";

/// Digits after the point of a float.
const DECIMALS: usize = 2;

/// From this magnitude on, floats are written with an exponent.
const EXPONENT_FROM: f64 = 1e9;

/// `1234567` as `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if 0 < index && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 device`, `2,000 devices`.
pub(crate) fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(value), if value == 1 { one } else { many })
}

/// A float with two decimals, or with an exponent where it is very large.
pub(crate) fn decimal(value: f64) -> String {
    if !value.is_finite() {
        NOTHING.to_owned()
    } else if EXPONENT_FROM <= value.abs() {
        format!("{value:.3e}")
    } else {
        format!("{value:.DECIMALS$}")
    }
}

/// A rate: one decimal while it is small.
pub(crate) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second < 0.0 {
        NOTHING.to_owned()
    } else if per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        grouped(&format!("{per_second:.0}"))
    }
}

/// A cell.
pub(crate) fn cell(cell: Cell) -> String {
    match cell {
        Cell::Int(value) if value < 0 => format!("-{}", count(value.unsigned_abs())),
        Cell::Int(value) => count(value.unsigned_abs()),
        Cell::Float(None) => NOTHING.to_owned(),
        Cell::Float(Some(value)) => decimal(value),
    }
}

/// The two greatest units of a duration: `42 s`, `1 min 2 s`, `3 h 4 min`, `5 d 6 h`.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let (great, great_unit, small, small_unit) = match () {
        () if seconds < 60 => return format!("{seconds} s"),
        () if seconds < 3600 => (minutes, "min", seconds % 60, "s"),
        () if seconds < 86_400 => (hours, "h", minutes % 60, "min"),
        () => (days, "d", hours % 24, "h"),
    };
    if small == 0 {
        format!("{} {great_unit}", count(great))
    } else {
        format!("{} {great_unit} {small} {small_unit}", count(great))
    }
}

fn civil(time: EventTime) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_millis(time.as_millis()).map(|time| time.naive_utc())
}

/// The date: `2026-03-01`.
pub(crate) fn date(time: EventTime) -> String {
    civil(time).map_or_else(|| NOTHING.to_owned(), |time| time.format("%Y-%m-%d").to_string())
}

/// The time of day: `12:00:10`, with milliseconds where it has some.
pub(crate) fn clock(time: EventTime) -> String {
    let format = if time.as_millis().rem_euclid(1000) == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
    civil(time).map_or_else(|| NOTHING.to_owned(), |time| time.format(format).to_string())
}

/// The time of day without parts of a second: for what moves.
pub(crate) fn clock_to_the_second(time: EventTime) -> String {
    civil(time).map_or_else(|| NOTHING.to_owned(), |time| time.format("%H:%M:%S").to_string())
}

/// A window: `12:00:00 – 12:00:10`, with the end's date where that is another.
pub(crate) fn window(start: EventTime, end: EventTime) -> String {
    if date(start) == date(end) {
        format!("{} – {}", clock(start), clock(end))
    } else {
        format!("{} – {} {}", clock(start), date(end), clock(end))
    }
}

/// A text with a capital at its beginning.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A key as it can be seen: control characters, which a page would swallow, become their pictures,
/// and so do the spaces of a key that has nothing else.
pub(crate) fn visible(key: &str) -> Cow<'_, str> {
    let is_blank = key.trim().is_empty();
    let is_swallowed = |c: char| c.is_ascii_control() || (c == ' ' && is_blank);
    if !key.contains(is_swallowed) {
        return Cow::Borrowed(key);
    }
    let picture = |c| match c {
        '\u{7f}' => '\u{2421}',
        c if is_swallowed(c) => char::from_u32(0x2400 + u32::from(c)).unwrap_or(c),
        c => c,
    };
    Cow::Owned(key.chars().map(picture).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        let written = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "device", "devices"), "1 device");
        assert_eq!(counted(0, "device", "devices"), "0 devices");
        assert_eq!(cell(Cell::Int(-1234)), "-1,234");
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let written = [999, 59_999, 60_000, 62_000, 3_600_000, 7_440_000, 453_600_000];
        let expected = ["0 s", "59 s", "1 min", "1 min 2 s", "1 h", "2 h 4 min", "5 d 6 h"];
        assert_eq!(written.map(duration), expected);
        assert_eq!(duration(u64::MAX), "213,503,982,334 d 14 h");
    }

    #[test]
    fn a_window_over_midnight_names_both_dates() {
        let (evening, night) = (1_772_409_590_000, 1_772_409_600_000);
        let window = window(EventTime::from_millis(evening), EventTime::from_millis(night));
        assert_eq!(window, "23:59:50 – 2026-03-02 00:00:00");
        assert_eq!(clock(EventTime::from_millis(evening + 250)), "23:59:50.250");
        assert_eq!(clock(EventTime::from_millis(-250)), "23:59:59.750");
        assert_eq!(date(EventTime::MAX), NOTHING);
    }

    #[test]
    fn floats_have_two_decimals_and_never_hundreds_of_digits() {
        assert_eq!(
            [24.7, -0.5, 1e9, 1e300].map(decimal),
            ["24.70", "-0.50", "1.000e9", "1.000e300"]
        );
        assert_eq!([0.0, 3.25, 31.7, 12_345.6].map(rate), ["0.0", "3.2", "32", "12,346"]);
        assert_eq!(rate(f64::NAN), NOTHING);
    }

    #[test]
    fn control_characters_can_be_seen() {
        assert_eq!(visible("a\0b\n\u{7f}"), "a\u{2400}b\u{240a}\u{2421}");
        assert_eq!(visible("  "), "\u{2420}\u{2420}");
        assert!(matches!(visible("device é"), Cow::Borrowed(_)));
    }
}
