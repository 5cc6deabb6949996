//! Tumbling windows: window `k` of size `s` is `[k*s, (k+1)*s)`.

use std::time::Duration;

use super::Window;
use crate::time::EventTime;

/// Tumbling windows of one size: every point of event time is in exactly one.
///
/// ```
/// use std::time::Duration;
/// use strandline_operators::time::EventTime;
/// use strandline_operators::window::Tumbling;
///
/// let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
/// let window = windows.window_at(EventTime::from_millis(-1)); // before 1970: Euclidean division
/// assert_eq!((window.start.as_millis(), window.end.as_millis()), (-10_000, 0));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Tumbling {
    // Not as durations: a window is looked for whenever the one before is not the right one.
    size_ms: i64,
    quantum_ms: i64,
}

/// The longest quantum.
const QUANTUM_MS_MAX: i64 = 10_000;

impl Tumbling {
    /// Windows of `size`: whole milliseconds, at least one, at most 2^53; `None` otherwise.
    pub fn of(size: Duration) -> Option<Tumbling> {
        let whole = size.subsec_nanos().is_multiple_of(1_000_000);
        let millis = size.as_millis();
        let size_ms =
            i64::try_from(millis).ok().filter(|size| whole && (1..=1 << 53).contains(size))?;
        let (mut quantum_ms, mut rest) = (size_ms, QUANTUM_MS_MAX);
        while rest != 0 {
            (quantum_ms, rest) = (rest, quantum_ms % rest);
        }
        Some(Tumbling { size_ms, quantum_ms })
    }

    /// The length of a window.
    pub fn size(self) -> Duration {
        Duration::from_millis(self.size_ms.unsigned_abs())
    }

    /// The window that holds `time`.
    #[inline]
    pub fn window_at(self, time: EventTime) -> Window {
        let start = time.floor_to_millis(self.size_ms);
        Window { start, end: start.plus_millis(self.size_ms) }
    }

    /// Whether it is an odd one: the windows before and after it are not.
    pub(super) fn is_odd(self, window: Window) -> bool {
        window.start.as_millis().div_euclid(self.size_ms) % 2 != 0
    }

    /// Whether a record of `time` is late where the watermark of its partition is `watermark`:
    /// whether its window was over.
    #[inline]
    pub fn is_late(self, time: EventTime, watermark: EventTime) -> bool {
        // A window ends after every time in it, so most records need no division.
        time < watermark && self.window_at(time).end <= watermark
    }

    /// The step in which a capability needs to move so that no window closes later than it could:
    /// a divisor of every window edge, and not so long that drift control goes blind.
    pub fn quantum(self) -> Duration {
        Duration::from_millis(self.quantum_ms.unsigned_abs())
    }

    /// The greatest multiple of the [quantum](Self::quantum) that is not after `time`; the ends of the
    /// range stay.
    pub fn quantum_at(self, time: EventTime) -> EventTime {
        time.floor_to_millis(self.quantum_ms)
    }
}
