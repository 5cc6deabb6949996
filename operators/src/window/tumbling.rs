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
    size: Duration,
}

impl Tumbling {
    /// Windows of `size`: whole milliseconds, at least one, at most 2^53; `None` otherwise.
    pub fn of(size: Duration) -> Option<Tumbling> {
        let whole = size.subsec_nanos().is_multiple_of(1_000_000);
        let millis = size.as_millis();
        (whole && 0 < millis && millis <= 1 << 53).then_some(Tumbling { size })
    }

    /// The length of a window.
    pub fn size(self) -> Duration {
        self.size
    }

    /// The window that holds `time`.
    #[inline]
    pub fn window_at(self, time: EventTime) -> Window {
        let start = time.floor_to(self.size);
        Window { start, end: start + self.size }
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
        const QUANTUM_MS_MAX: u128 = 10_000;
        let (mut a, mut b) = (self.size.as_millis(), QUANTUM_MS_MAX);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Duration::from_millis(u64::try_from(a).unwrap_or(1))
    }
}
