//! Windows over event time.

use std::fmt;
use std::time::Duration;

use crate::error::Problem;

/// Which stretches of event time rows are collected in.
///
/// ```
/// use std::time::Duration;
/// use strandline_plan::window::Window;
///
/// let ten = Duration::from_secs(10);
/// assert_eq!(Window::tumbling(ten).to_string(), "tumbling 10s");
/// assert_eq!(Window::sliding(ten, Duration::from_secs(2)).to_string(), "sliding 10s by 2s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// `[k·size + offset, (k + 1)·size + offset)` for each integer k: every row is in one.
    Tumbling {
        /// Its length.
        size: Duration,
        /// By how much edges are moved from 1970-01-01 00:00 UTC.
        offset: Duration,
    },
    /// `[k·slide + offset, k·slide + size + offset)`: a row is in `size / slide` of them.
    Sliding {
        /// Its length.
        size: Duration,
        /// From one beginning to the next.
        slide: Duration,
        /// By how much beginnings are moved.
        offset: Duration,
    },
    /// Windows that begin together every `size`, and end `step` later, `2·step` later and so on.
    Cumulative {
        /// The length of the longest.
        size: Duration,
        /// From one end to the next.
        step: Duration,
        /// By how much beginnings are moved.
        offset: Duration,
    },
    /// Rows of a key that lie less than `gap` apart, one after the other: `[first, last + gap)`.
    Session {
        /// The silence that ends it.
        gap: Duration,
    },
}

/// How many windows a row may be in: what is beyond costs memory for each key.
pub const WINDOWS_OF_A_ROW_MAX: u128 = 10_000;

impl Window {
    /// Windows of this length, one after the other.
    pub fn tumbling(size: Duration) -> Self {
        Self::Tumbling { size, offset: Duration::ZERO }
    }

    /// Windows of this length, one beginning every `slide`.
    pub fn sliding(size: Duration, slide: Duration) -> Self {
        Self::Sliding { size, slide, offset: Duration::ZERO }
    }

    /// Windows that begin together every `size`, and of which one ends every `step`.
    pub fn cumulative(size: Duration, step: Duration) -> Self {
        Self::Cumulative { size, step, offset: Duration::ZERO }
    }

    /// A window for each stretch of a key's rows without a silence of `gap`.
    pub fn session(gap: Duration) -> Self {
        Self::Session { gap }
    }

    /// The same windows, moved by `offset`. Sessions are where their rows are, and stay.
    #[must_use]
    pub fn with_offset(mut self, moved_by: Duration) -> Self {
        match &mut self {
            Self::Tumbling { offset, .. }
            | Self::Sliding { offset, .. }
            | Self::Cumulative { offset, .. } => *offset = moved_by,
            Self::Session { .. } => {}
        }
        self
    }

    /// How many of them a row is in, at most; 1 for a session.
    pub fn windows_of_a_row(&self) -> u64 {
        let (long, short) = match *self {
            Self::Tumbling { .. } | Self::Session { .. } => return 1,
            Self::Sliding { size, slide, .. } => (size, slide),
            Self::Cumulative { size, step, .. } => (size, step),
        };
        let windows = long.as_millis().div_ceil(short.as_millis().max(1));
        u64::try_from(windows).unwrap_or(u64::MAX).max(1)
    }

    /// The time from the beginning of a window to its end, at most; None for a session.
    pub fn size(&self) -> Option<Duration> {
        match *self {
            Self::Tumbling { size, .. }
            | Self::Sliding { size, .. }
            | Self::Cumulative { size, .. } => Some(size),
            Self::Session { .. } => None,
        }
    }

    /// # Errors
    ///
    /// If its lengths make no windows: what would.
    pub fn check(&self) -> Result<(), Problem> {
        let lengths: &[(&str, Duration)] = &match *self {
            Self::Tumbling { size, .. } => vec![("size", size)],
            Self::Sliding { size, slide, .. } => vec![("size", size), ("slide", slide)],
            Self::Cumulative { size, step, .. } => vec![("size", size), ("step", step)],
            Self::Session { gap } => vec![("gap", gap)],
        };
        for (name, length) in lengths {
            if length.is_zero() || length.subsec_nanos() % 1_000_000 != 0 {
                return Err(Problem::new(format!(
                    "the {name} of a window is a whole number of milliseconds, at least one, not {length:?}"
                )));
            }
            if i64::try_from(length.as_millis()).is_err() {
                return Err(Problem::new(format!(
                    "a {name} of {length:?} is longer than time is counted"
                )));
            }
        }
        let (size, offset) = match *self {
            Self::Tumbling { size, offset }
            | Self::Sliding { size, offset, .. }
            | Self::Cumulative { size, offset, .. } => (size, offset),
            Self::Session { .. } => return Ok(()),
        };
        if offset >= size || offset.subsec_nanos() % 1_000_000 != 0 {
            return Err(Problem::new(format!(
                "an offset is a whole number of milliseconds, less than the window's {size:?}, not {offset:?}"
            )));
        }
        if let Self::Cumulative { size, step, .. } = *self
            && size.as_millis() % step.as_millis() != 0
        {
            return Err(Problem::new(format!(
                "the size of cumulative windows is a multiple of their step, and {size:?} is none of {step:?}"
            )));
        }
        if u128::from(self.windows_of_a_row()) > WINDOWS_OF_A_ROW_MAX {
            return Err(Problem::new(format!(
                "a row would be in {} windows; up to {WINDOWS_OF_A_ROW_MAX} are possible, so make them shorter or rarer",
                self.windows_of_a_row()
            )));
        }
        Ok(())
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = match *self {
            Self::Tumbling { size, offset } => {
                write!(f, "tumbling {size:?}")?;
                offset
            }
            Self::Sliding { size, slide, offset } => {
                write!(f, "sliding {size:?} by {slide:?}")?;
                offset
            }
            Self::Cumulative { size, step, offset } => {
                write!(f, "cumulative {size:?} by {step:?}")?;
                offset
            }
            Self::Session { gap } => return write!(f, "session gap {gap:?}"),
        };
        if offset.is_zero() { Ok(()) } else { write!(f, ", offset {offset:?}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_row_is_in_as_many_windows_as_begin_before_one_ends() {
        assert_eq!(Window::tumbling(s(10)).windows_of_a_row(), 1);
        assert_eq!(Window::sliding(s(10), s(2)).windows_of_a_row(), 5);
        assert_eq!(Window::sliding(s(10), s(3)).windows_of_a_row(), 4);
        assert_eq!(Window::sliding(s(2), s(10)).windows_of_a_row(), 1);
        assert_eq!(Window::cumulative(s(60), s(10)).windows_of_a_row(), 6);
    }

    #[test]
    fn windows_without_a_length_are_refused() {
        let refused = |window: Window| window.check().unwrap_err().to_string();
        assert!(refused(Window::tumbling(s(0))).contains("at least one"));
        assert!(refused(Window::tumbling(Duration::from_micros(1500))).contains("milliseconds"));
        assert!(refused(Window::sliding(s(10), s(0))).contains("the slide of a window"));
        assert!(refused(Window::tumbling(s(u64::MAX))).contains("longer than time is counted"));
        assert!(refused(Window::tumbling(s(10)).with_offset(s(10))).contains("an offset is"));
        assert!(refused(Window::cumulative(s(10), s(3))).contains("is none of 3s"));
        assert!(refused(Window::sliding(s(86_400), s(1))).contains("86400 windows"));
        assert!(Window::sliding(s(10), s(3)).with_offset(s(9)).check().is_ok());
    }
}
