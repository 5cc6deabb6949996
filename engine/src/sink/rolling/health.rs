//! Whether the disk takes the files of an output: when it is tried again, and what the user hears.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::outputs::Trouble;
use crate::report::Report;
use crate::store::{Directory, StoreError};

/// How long after a failure the disk is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a disk takes, or not: that files are written says nothing of whether they can be shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write,
    Show,
}

/// The disk does not take files just now.
pub(super) struct Failure {
    /// The first step that failed.
    step: Step,
    pub(super) cause: Arc<StoreError>,
    /// By the clock.
    pub(super) retry_at: Duration,
}

pub(super) struct Health {
    clock: Clock,
    report: Report,
    failure: Option<Failure>,
    /// How often the disk began to refuse files, and how often it was tried again.
    pub(super) failures: u64,
    pub(super) retries: u64,
}

impl Health {
    /// Of a disk that has refused nothing yet.
    pub(super) fn new(clock: &Clock, report: &Report) -> Health {
        let (clock, report) = (clock.clone(), report.clone());
        Health { clock, report, failure: None, failures: 0, retries: 0 }
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Takes note of what came of a step in `directory` while so many rows are not visible, and says it
    /// when that changes.
    ///
    /// # Errors
    ///
    /// If the step failed.
    pub(super) fn note(
        &mut self,
        step: Step,
        result: Result<(), StoreError>,
        directory: &Directory,
        rows: u64,
    ) -> Result<(), Trouble> {
        match (result, self.failure.take()) {
            (Ok(()), None) => Ok(()),
            // Another step has failed, and has not been tried again.
            (Ok(()), Some(before)) if before.step != step => {
                self.failure = Some(before);
                Ok(())
            }
            (Ok(()), Some(_)) => {
                let directory = directory.path().display();
                self.report.say(&format!("{directory}: written again, no row was lost"));
                Ok(())
            }
            (Err(cause), before) => {
                self.retries += u64::from(before.is_some());
                if before.is_none() {
                    self.failures += 1;
                    self.report.say(&format!("{cause} ({rows} rows wait in memory until then)"));
                }
                let retry_at = self.clock.elapsed().saturating_add(RETRY_AFTER);
                let cause = Arc::new(cause);
                let step = before.map_or(step, |before| before.step);
                self.failure = Some(Failure { step, cause: Arc::clone(&cause), retry_at });
                Err(cause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use strandline_operators::time::EventTime;

    use super::*;
    use crate::clock::ClockHand;

    /// The health of a disk, its clock, and what was said of it.
    struct Patient {
        health: Health,
        hand: ClockHand,
        said: Arc<Mutex<Vec<String>>>,
    }

    impl Patient {
        fn new() -> Patient {
            let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
            let said = Arc::new(Mutex::new(Vec::new()));
            let lines = Arc::clone(&said);
            let report = Report::new(move |line| lines.lock().unwrap().push(line.to_owned()));
            Patient { health: Health::new(&clock, &report), hand, said }
        }

        fn note(&mut self, step: Step, goes_well: bool) {
            let path = PathBuf::from("rows/file");
            let result = if goes_well { Ok(()) } else { Err(StoreError::Vanished { path }) };
            let noted = self.health.note(step, result, &Directory::local("rows"), 7);
            assert_eq!(noted.is_ok(), goes_well);
        }

        fn is_well(&self) -> bool {
            self.health.failure().is_none()
        }

        fn said(&self) -> usize {
            self.said.lock().unwrap().len()
        }
    }

    #[test]
    fn what_one_step_refuses_is_not_over_when_the_other_one_goes_well() {
        for (fails, other) in [(Step::Write, Step::Show), (Step::Show, Step::Write)] {
            let mut disk = Patient::new();
            disk.note(fails, false);
            disk.note(other, true);
            assert!(!disk.is_well() && disk.said() == 1, "{other:?} says nothing of {fails:?}");
            disk.note(fails, true);
            assert!(disk.is_well() && disk.said() == 2);
            assert!(disk.said.lock().unwrap()[1].contains("no row was lost"));
        }
    }

    #[test]
    fn a_disk_that_refuses_both_steps_refuses_until_the_first_goes_well() {
        let mut disk = Patient::new();
        disk.note(Step::Write, false);
        disk.note(Step::Show, false);
        disk.note(Step::Show, true);
        assert!(!disk.is_well());
        disk.note(Step::Write, true);
        assert!(disk.is_well());
    }

    #[test]
    fn a_failure_is_said_once_and_each_other_one_is_a_retry_later() {
        let mut disk = Patient::new();
        for tries in 0..3 {
            disk.note(Step::Write, false);
            assert_eq!((disk.health.failures, disk.health.retries), (1, tries));
            let retry_at = disk.health.failure().unwrap().retry_at;
            assert_eq!(retry_at, RETRY_AFTER * (u32::try_from(tries).unwrap() + 1));
            disk.hand.advance(RETRY_AFTER);
        }
        assert_eq!(disk.said(), 1);
        assert!(disk.said.lock().unwrap()[0].contains("7 rows wait in memory"));
    }
}
