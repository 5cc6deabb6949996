//! Times: a point of event time, and the two-dimensional time that a dataflow counts progress in.
//!
//! The dataflow's timestamp is a *product*, `(epoch, event)`, ordered componentwise. The event
//! coordinate of a frontier is the watermark; the epoch coordinate is the checkpoint. Because the
//! order is partial, neither waits for the other: a source may be in a later epoch and still hold
//! an early event time. Timely's own `Product` does not implement `Refines<()>`, which the root of
//! a dataflow needs, so this is a type of its own.

use std::fmt;
use std::time::Duration;

use differential_dataflow::lattice::Lattice;
use serde::{Deserialize, Serialize};
use timely::order::PartialOrder;
use timely::progress::Timestamp;
use timely::progress::timestamp::{PathSummary, Refines};

/// A point of event time: milliseconds since 1970-01-01T00:00:00Z.
///
/// All arithmetic saturates: [`EventTime::MIN`] stands for "nothing is known yet", and
/// [`EventTime::MAX`] for "nothing more will come".
///
/// ```
/// use std::time::Duration;
/// use strandline_operators::time::EventTime;
///
/// let noon = EventTime::from_millis(43_200_000);
/// assert_eq!((noon - Duration::from_secs(60)).as_millis(), 43_140_000);
/// assert_eq!(EventTime::MIN - Duration::from_secs(60), EventTime::MIN);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(i64);

impl EventTime {
    /// Before every event.
    pub const MIN: EventTime = EventTime(i64::MIN);
    /// After every event.
    pub const MAX: EventTime = EventTime(i64::MAX);

    /// The time `millis` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        EventTime(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The greatest multiple of `quantum` that is not after `self`; the ends of the range stay.
    ///
    /// # Panics
    ///
    /// If `quantum` is shorter than a millisecond.
    pub fn floor_to(self, quantum: Duration) -> EventTime {
        let quantum = millis(quantum);
        assert!(0 < quantum, "a quantum is at least a millisecond");
        self.floor_to_millis(quantum)
    }

    /// The same with a positive number of milliseconds.
    #[inline]
    pub(crate) fn floor_to_millis(self, quantum: i64) -> EventTime {
        if self == EventTime::MAX {
            return self;
        }
        EventTime(self.0.checked_sub(self.0.rem_euclid(quantum)).unwrap_or(i64::MIN))
    }

    /// So many milliseconds later.
    #[inline]
    pub(crate) fn plus_millis(self, millis: i64) -> EventTime {
        EventTime(self.0.saturating_add(millis))
    }

    /// How far `self` is after `earlier`; zero if it is not.
    pub fn since(self, earlier: EventTime) -> Duration {
        let millis = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_millis(u64::try_from(millis.max(0)).unwrap_or(u64::MAX))
    }
}

/// Whole milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl std::ops::Add<Duration> for EventTime {
    type Output = EventTime;
    fn add(self, duration: Duration) -> EventTime {
        self.plus_millis(millis(duration))
    }
}

impl std::ops::Sub<Duration> for EventTime {
    type Output = EventTime;
    fn sub(self, duration: Duration) -> EventTime {
        EventTime(self.0.saturating_sub(millis(duration)))
    }
}

impl fmt::Debug for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EventTime::MIN => f.write_str("-inf"),
            EventTime::MAX => f.write_str("+inf"),
            EventTime(millis) => write!(f, "{millis}"),
        }
    }
}

/// The timestamp of a dataflow: `t1 <= t2` exactly if both coordinates are `<=`.
///
/// ```
/// use strandline_operators::time::{EventTime, Time};
/// use timely::order::PartialOrder;
///
/// let a = Time::new(1, EventTime::from_millis(10));
/// let b = Time::new(2, EventTime::from_millis(5));
/// assert!(!a.less_equal(&b) && !b.less_equal(&a)); // neither waits for the other
/// ```
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time {
    /// Which consistent cut this belongs to; counted from 0.
    pub epoch: u64,
    /// The watermark coordinate.
    pub event: EventTime,
}

impl Time {
    /// The time `(epoch, event)`.
    pub const fn new(epoch: u64, event: EventTime) -> Self {
        Time { epoch, event }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(e{}, {:?})", self.epoch, self.event)
    }
}

impl PartialOrder for Time {
    fn less_equal(&self, other: &Self) -> bool {
        self.epoch <= other.epoch && self.event <= other.event
    }
}

impl Timestamp for Time {
    // No operator moves a timestamp along its path, and no path is a cycle, so the only summary
    // is "unchanged".
    type Summary = ();
    fn minimum() -> Self {
        Time::new(0, EventTime::MIN)
    }
}

impl PathSummary<Time> for () {
    fn results_in(&self, time: &Time) -> Option<Time> {
        Some(*time)
    }
    fn followed_by(&self, (): &()) -> Option<()> {
        Some(())
    }
}

impl Refines<()> for Time {
    fn to_inner((): ()) -> Self {
        Time::minimum()
    }
    fn to_outer(self) {}
    fn summarize((): ()) {}
}

impl Lattice for Time {
    fn join(&self, other: &Self) -> Self {
        Time::new(self.epoch.max(other.epoch), self.event.max(other.event))
    }
    fn meet(&self, other: &Self) -> Self {
        Time::new(self.epoch.min(other.epoch), self.event.min(other.event))
    }
}
