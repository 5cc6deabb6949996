//! The time that somebody has watched: what goes by between two looks counts up to a bound.
//!
//! A process that got no processor time, or whose computer slept, has seen nothing meanwhile. Whoever
//! goes by the clock then takes what it finds for something that has stood all the while, says so, and
//! takes it back a moment later.

use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(crate) struct WatchedTime {
    between_looks_max: Duration,
    last_look: Option<Duration>,
    watched: Duration,
}

impl WatchedTime {
    /// Between two looks, no more than `between_looks_max` counts.
    pub(crate) fn new(between_looks_max: Duration) -> WatchedTime {
        WatchedTime { between_looks_max, last_look: None, watched: Duration::ZERO }
    }

    /// How long it has been watched, at a look at `now` by the clock.
    pub(crate) fn look(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.last_look.replace(now).unwrap_or(now));
        self.watched = self.watched.saturating_add(passed.min(self.between_looks_max));
        self.watched
    }
}

/// A value that should change, and since when it has not, by the [`WatchedTime`].
#[derive(Debug)]
pub(crate) struct Standing<T> {
    pub(crate) value: T,
    pub(crate) since: Duration,
}

impl<T: PartialEq> Standing<T> {
    /// How long it has been the same.
    pub(crate) fn for_how_long(
        slot: &mut Option<Standing<T>>,
        value: T,
        watched: Duration,
    ) -> Duration {
        match slot {
            Some(standing) if standing.value == value => watched.saturating_sub(standing.since),
            _ => {
                *slot = Some(Standing { value, since: watched });
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_by_unwatched_does_not_count() {
        let mut watched = WatchedTime::new(Duration::from_secs(2));
        for (now, expected) in [(5, 0), (6, 1), (8, 3), (3600, 5), (3601, 6), (3601, 6)] {
            let now = Duration::from_secs(now);
            assert_eq!(watched.look(now), Duration::from_secs(expected), "{now:?}");
        }
    }
}
