//! Durations as they are written on a command line: an integer and a unit.
//!
//! It is here for all programs, as [`command_line`](crate::command_line) is.

use std::time::Duration;

/// The longest duration, in milliseconds: anything longer than event time itself is a slip of the pen.
const MILLIS_MAX: u64 = 1 << 53;

/// Reads `250ms`, `10s`, `1m`, `2h`, `7d`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(strandline_sim::duration::parse("1m"), Ok(Duration::from_secs(60)));
/// assert!(strandline_sim::duration::parse("10").is_err());
/// ```
///
/// # Errors
///
/// One line that says how a duration is written.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text.strip_prefix('-').is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit())) {
        return Err("a duration cannot be negative".into());
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis_each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    if number.is_empty() || millis_each == 0 {
        return Err("a duration is an integer and one of ms s m h d, such as 250ms or 10s".into());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis_each))
        .filter(|millis| *millis <= MILLIS_MAX)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("that is too long: at most {}d", MILLIS_MAX / 86_400_000))
}

/// Writes a duration as [`parse`] reads it.
pub fn text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(each, _)| 0 < millis && millis.is_multiple_of(*each));
    let (each, name) = unit.unwrap_or((1, "ms"));
    format!("{}{name}", millis / each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_an_integer_and_a_unit() {
        for (written, millis) in
            [("0ms", 0), ("250ms", 250), ("10s", 10_000), ("1m", 60_000), ("2h", 7_200_000)]
        {
            assert_eq!(parse(written), Ok(Duration::from_millis(millis)), "{written}");
        }
        for nonsense in ["", "s", "10", "-1s", "1.5s", "10 s", "10S", "1w"] {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
        for too_long in ["9999999999d", "99999999999999999999s"] {
            let error = parse(too_long).unwrap_err();
            assert!(error.contains("too long"), "{too_long}: {error}");
        }
        assert!(parse("104249991d").is_ok(), "the greatest that is named");
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for written in ["0ms", "1ms", "1500ms", "90s", "1m", "1h", "7d"] {
            assert_eq!(text(parse(written).unwrap()), written);
        }
    }
}
