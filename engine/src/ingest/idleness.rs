//! When a partition has nothing to wait for, so that it need not hold the others back.
//!
//! A partition is idle once it has brought no valid record for `idle_after`, and its position has
//! then passed an end that the log reported *after* that time had gone by. What it passes on the
//! way may be records that cannot be read, tombstones or transaction markers: none of them moves
//! event time, so none of them is waited for.
//!
//! A clock alone never decides. A partition that is behind has not passed the end; one that is
//! paused, or whose process slept, was not looked at meanwhile, and that time does not count. An
//! answer of the log ages, so a partition whose broker has gone away stops being idle.

use std::time::Duration;

use strandline_operators::record::Offset;

/// How much of the time between two looks at a partition counts as silence, at most. A worker
/// that has nothing to do looks at its partitions once an epoch; one that looks later was asleep.
const SILENCE_PER_LOOK_MAX: Duration = Duration::from_secs(2);
/// How often the end of a partition that is idle is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long an end counts after it was asked for.
const ANSWER_COUNTS_FOR: Duration = Duration::from_secs(5);

/// How silent a partition is. All times are of one monotonic clock.
#[derive(Debug)]
pub(super) struct Idleness {
    idle_after: Duration,
    /// How long it has brought no valid record, as far as it was looked at.
    silent: Duration,
    looked_at: Duration,
    /// When an end was asked for that it has not passed.
    asked_at: Option<Duration>,
    /// When the newest end was asked for that it has passed without a valid record.
    passed: Option<Duration>,
}

/// What one look at a partition came to.
#[derive(Copy, Clone, Debug)]
pub(super) struct Look {
    /// Whether there was a valid record.
    pub(super) is_valid: bool,
    /// Everything before it was read.
    pub(super) position: Offset,
    /// The answer of the log to the last question for the end.
    pub(super) asked_end: Option<Offset>,
}

impl Idleness {
    /// Of a partition that is read from `now` on.
    pub(super) fn new(idle_after: Duration, now: Duration) -> Idleness {
        let silent = Duration::ZERO;
        Idleness { idle_after, silent, looked_at: now, asked_at: None, passed: None }
    }

    /// It was not looked at, because it has to wait for others.
    pub(super) fn pause(&mut self, now: Duration) {
        self.looked_at = now;
    }

    /// Takes note of a look at it. Says whether the end is to be asked for.
    pub(super) fn look(&mut self, look: Look, now: Duration) -> bool {
        let since = now.saturating_sub(std::mem::replace(&mut self.looked_at, now));
        if look.is_valid {
            *self = Idleness::new(self.idle_after, now);
            return false;
        }
        self.silent += since.min(SILENCE_PER_LOOK_MAX);
        if self.asked_at.is_some() && look.asked_end.is_some_and(|end| end <= look.position) {
            self.passed = self.asked_at.take();
        }
        let asks = self.idle_after <= self.silent
            && self.asked_at.is_none_or(|at| at + ANSWER_COUNTS_FOR <= now)
            && self.passed.is_none_or(|at| at + ASK_AGAIN_AFTER <= now);
        if asks {
            self.asked_at = Some(now);
        }
        asks
    }

    /// Whether it is idle now.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.passed.is_some_and(|at| now.saturating_sub(at) <= ANSWER_COUNTS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_AFTER: Duration = Duration::from_secs(5);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A partition, and a log that answers at once, or does not.
    struct Tried {
        idleness: Idleness,
        now: Duration,
        position: u64,
        end: u64,
        asked_end: Option<Offset>,
        answers: bool,
    }

    impl Tried {
        fn new() -> Tried {
            let (now, idleness) = (Duration::ZERO, Idleness::new(IDLE_AFTER, Duration::ZERO));
            Tried { idleness, now, position: 0, end: 0, asked_end: None, answers: true }
        }

        fn look(&mut self, is_valid: bool) {
            let (position, asked_end) = (Offset(self.position), self.asked_end);
            if self.idleness.look(Look { is_valid, position, asked_end }, self.now) {
                self.asked_end = self.answers.then_some(Offset(self.end));
            }
        }

        /// Looks once a second.
        fn wait(&mut self, long: u64) {
            for _ in 0..long {
                self.now += seconds(1);
                self.look(false);
            }
        }

        fn is_idle(&self) -> bool {
            self.idleness.is_idle(self.now)
        }
    }

    #[test]
    fn a_partition_is_idle_when_it_is_silent_and_has_passed_an_end_that_was_asked_for_then() {
        let mut tried = Tried::new();
        tried.wait(5);
        assert!(!tried.is_idle(), "the end was asked for, and there was no answer yet");
        tried.wait(1);
        assert!(tried.is_idle());
        tried.wait(100);
        assert!(tried.is_idle());
        tried.look(true);
        assert!(!tried.is_idle());
        tried.wait(5);
        assert!(!tried.is_idle());
    }

    #[test]
    fn an_end_that_was_reported_earlier_does_not_count() {
        let mut tried = Tried::new();
        tried.asked_end = Some(Offset(0));
        tried.answers = false;
        tried.wait(4);
        tried.idleness.look(
            Look { is_valid: false, position: Offset(0), asked_end: tried.asked_end },
            tried.now,
        );
        assert!(!tried.is_idle());
        tried.wait(100);
        assert!(!tried.is_idle(), "the log did not answer the question that counts");
    }

    #[test]
    fn records_that_cannot_be_read_do_not_keep_a_partition_from_being_idle() {
        let mut tried = Tried::new();
        for _ in 0..20 {
            tried.now += seconds(1);
            tried.end += 10;
            // It is never at the end when it is looked at, but it gets to where that was.
            tried.position = tried.end - 1;
            tried.look(false);
        }
        assert!(tried.is_idle());
    }

    #[test]
    fn a_partition_that_is_behind_is_never_idle() {
        let mut tried = Tried::new();
        tried.end = 1_000_000;
        for _ in 0..1000 {
            tried.position += 100;
            tried.wait(1);
            assert!(!tried.is_idle());
        }
    }

    #[test]
    fn time_in_which_a_partition_is_paused_does_not_count() {
        let mut tried = Tried::new();
        for _ in 0..100 {
            tried.now += seconds(1);
            tried.idleness.pause(tried.now);
        }
        tried.wait(5);
        assert!(!tried.is_idle());
        tried.wait(1);
        assert!(tried.is_idle());
    }

    #[test]
    fn a_partition_whose_process_slept_is_not_idle() {
        let mut tried = Tried::new();
        tried.wait(2);
        tried.now += seconds(3600);
        tried.look(false);
        assert!(!tried.is_idle());
        tried.wait(2);
        assert!(tried.is_idle(), "2 s before, 2 s of the sleep, 1 s after, and an answer");
        tried.now += seconds(3600);
        assert!(!tried.is_idle(), "what the log said before the sleep does not count");
        tried.end = 1;
        tried.look(false);
        tried.wait(10);
        assert!(!tried.is_idle(), "something came while it slept");
    }

    #[test]
    fn a_partition_whose_log_does_not_answer_any_more_stops_being_idle() {
        let mut tried = Tried::new();
        tried.wait(10);
        assert!(tried.is_idle());
        (tried.answers, tried.asked_end) = (false, None);
        tried.wait(7);
        assert!(!tried.is_idle());
        tried.answers = true;
        tried.wait(7);
        assert!(tried.is_idle());
    }
}
