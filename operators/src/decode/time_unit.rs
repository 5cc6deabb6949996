//! In what a record says its time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// In what a record says its event time.
///
/// Event time is whole milliseconds. What is finer is rounded down, before and after 1970 alike.
///
/// ```
/// use strandline_operators::decode::{Decode, JsonFields, TimeUnit};
///
/// let decoder = JsonFields::new("id", "at", []);
/// let mut decoder = decoder.in_time_unit("s".parse().unwrap()).unwrap();
/// let decoded = decoder.decode(br#"{"id":"a","at":1730638574.1239}"#).unwrap();
/// assert_eq!(decoded.time.as_millis(), 1730638574123);
/// assert_eq!(TimeUnit::default(), TimeUnit::Milliseconds);
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds since 1970: a number, which may have a fraction.
    Seconds,
    /// Milliseconds since 1970: an integral number.
    #[default]
    Milliseconds,
    /// Microseconds since 1970: a number, which may have a fraction.
    Microseconds,
    /// Nanoseconds since 1970: a number, which may have a fraction.
    Nanoseconds,
    /// A date and time with an offset, as RFC 3339 writes it: a string.
    Rfc3339,
}

impl TimeUnit {
    /// All of them.
    pub const ALL: [TimeUnit; 5] = [
        TimeUnit::Seconds,
        TimeUnit::Milliseconds,
        TimeUnit::Microseconds,
        TimeUnit::Nanoseconds,
        TimeUnit::Rfc3339,
    ];

    /// The name that options and checkpoints have for it.
    pub fn code(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "s",
            TimeUnit::Milliseconds => "ms",
            TimeUnit::Microseconds => "us",
            TimeUnit::Nanoseconds => "ns",
            TimeUnit::Rfc3339 => "rfc3339",
        }
    }

    /// The name in prose.
    pub fn words(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "seconds since 1970",
            TimeUnit::Milliseconds => "milliseconds since 1970",
            TimeUnit::Microseconds => "microseconds since 1970",
            TimeUnit::Nanoseconds => "nanoseconds since 1970",
            TimeUnit::Rfc3339 => "RFC 3339 text",
        }
    }

    /// A number in this unit times ten to this is in milliseconds; `None` where it is no number.
    pub(super) fn exponent(self) -> Option<i32> {
        match self {
            TimeUnit::Seconds => Some(3),
            TimeUnit::Milliseconds => Some(0),
            TimeUnit::Microseconds => Some(-3),
            TimeUnit::Nanoseconds => Some(-6),
            TimeUnit::Rfc3339 => None,
        }
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// It is none of the names of [`TimeUnit`]s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a unit of time: s, ms, us, ns or rfc3339")]
pub struct NoTimeUnit;

impl FromStr for TimeUnit {
    type Err = NoTimeUnit;

    fn from_str(text: &str) -> Result<TimeUnit, NoTimeUnit> {
        TimeUnit::ALL.into_iter().find(|unit| unit.code() == text).ok_or(NoTimeUnit)
    }
}
