//! What tells one job from all others: the id that its files and its checkpoints carry.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strandline_operators::time::EventTime;

use crate::clock::Clock;

/// One job, told apart from all others: a start of a process, or, with checkpoints, all starts that
/// continue one another.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct RunId {
    started_ms: u64,
    random: u32,
}

impl RunId {
    /// Of a process that starts now.
    pub fn fresh(clock: &Clock) -> RunId {
        // The one source of randomness in the standard library: each state has keys of its own.
        let random = RandomState::new().build_hasher().finish();
        RunId::new(clock.wall(), (random >> 32) as u32)
    }

    /// Of a process that started at `started`, which is not before 1970; `random` tells apart those
    /// that started in the same millisecond. For runs that must be repeatable.
    pub fn new(started: EventTime, random: u32) -> RunId {
        RunId { started_ms: u64::try_from(started.as_millis()).unwrap_or(0), random }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:013}-{:08x}", self.started_ms, self.random)
    }
}

/// A text that is not the id of a job.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a job")]
pub struct NotARunId;

impl FromStr for RunId {
    type Err = NotARunId;

    fn from_str(name: &str) -> Result<RunId, NotARunId> {
        let not_ours = |_: std::num::ParseIntError| NotARunId;
        let (started, random) = name.split_once('-').ok_or(NotARunId)?;
        let run = RunId {
            started_ms: started.parse().map_err(not_ours)?,
            random: u32::from_str_radix(random, 16).map_err(not_ours)?,
        };
        // One spelling only.
        if run.to_string() == name { Ok(run) } else { Err(NotARunId) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_starts_in_the_same_millisecond_differ() {
        let (clock, _) = Clock::set_by_hand(EventTime::from_millis(1));
        assert_ne!(RunId::fresh(&clock), RunId::fresh(&clock));
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(started: i64, random: u32) {
            let run = RunId::new(EventTime::from_millis(started), random);
            prop_assert_eq!(run.to_string().parse(), Ok(run));
        }
    }
}
