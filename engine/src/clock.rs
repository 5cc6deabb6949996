//! Every look at the time goes through a [`Clock`], so that a test or a simulation can move it.

use chrono::DateTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use strandline_operators::time::EventTime;

/// A clock: cheap to clone, shared by all threads of a job.
///
/// ```
/// use std::time::Duration;
/// use strandline_engine::clock::Clock;
/// use strandline_operators::time::EventTime;
///
/// let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(1_000));
/// hand.advance(Duration::from_secs(2));
/// assert_eq!(clock.elapsed(), Duration::from_secs(2));
/// assert_eq!(clock.wall(), EventTime::from_millis(3_000));
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Face);

#[derive(Clone, Debug)]
enum Face {
    System { started: Instant },
    ByHand { started: EventTime, hand: ClockHand },
}

/// Moves a clock that was made by [`Clock::set_by_hand`].
#[derive(Clone, Debug, Default)]
pub struct ClockHand {
    elapsed_ms: Arc<AtomicU64>,
}

impl ClockHand {
    /// Moves the clock forward; parts of a millisecond are dropped.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock {
    /// The computer's clock; [`elapsed`](Self::elapsed) counts from now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Clock {
        Clock(Face::System { started: Instant::now() })
    }

    /// A clock that stands at `started` until its hand is moved.
    pub fn set_by_hand(started: EventTime) -> (Clock, ClockHand) {
        let hand = ClockHand::default();
        (Clock(Face::ByHand { started, hand: hand.clone() }), hand)
    }

    /// Monotonic time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Face::System { started } => started.elapsed(),
            Face::ByHand { hand, .. } => {
                Duration::from_millis(hand.elapsed_ms.load(Ordering::SeqCst))
            }
        }
    }

    /// Civil time. It can jump; nothing that decides about rows looks at it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> EventTime {
        match &self.0 {
            Face::System { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                EventTime::from_millis(0) + since
            }
            Face::ByHand { started, .. } => *started + self.elapsed(),
        }
    }
}

/// A moment as text, such as `2026-01-31 12:00:00 UTC`; `None` for what is none.
pub fn date_time(time: EventTime) -> Option<String> {
    let is_time = time != EventTime::MIN && time != EventTime::MAX;
    let time = DateTime::from_timestamp_millis(time.as_millis()).filter(|_| is_time)?;
    Some(time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}
