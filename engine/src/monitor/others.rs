//! How the processes of a job learn of each other's conditions, so that all of them show the same.
//!
//! A process tells worker 0 what its parts have raised, when that has changed: at the latest when the
//! next epoch begins. The leader tells all what holds of the job, when that has changed.

use serde::{Deserialize, Serialize};

use crate::condition::JobCondition;
use crate::telemetry::Telemetry;

/// Everything that the parts of a job in one process, which does not lead, have raised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Raised {
    pub(crate) process: usize,
    pub(crate) conditions: Vec<JobCondition>,
}

/// Tells what is raised in a process.
#[derive(Debug)]
pub(crate) struct Teller {
    process: usize,
    telemetry: Telemetry,
    /// How many changes there were when this told last.
    told: u64,
}

impl Teller {
    pub(crate) fn new(process: usize, telemetry: Telemetry) -> Teller {
        Teller { process, telemetry, told: 0 }
    }

    /// What is raised, if that has changed since this was asked last. Takes no lock if not.
    pub(crate) fn news(&mut self) -> Option<Raised> {
        // Before what is raised is looked at: a change after that is told the next time.
        let changes = self.telemetry.changes();
        if std::mem::replace(&mut self.told, changes) == changes {
            return None;
        }
        Some(Raised { process: self.process, conditions: self.telemetry.all_raised() })
    }
}

#[cfg(test)]
mod tests {
    use strandline_operators::time::EventTime;

    use super::*;
    use crate::condition::ConditionKind;

    #[test]
    fn what_is_raised_is_told_once_with_the_process_that_it_is_about() {
        let telemetry = Telemetry::default();
        telemetry.set_process(2);
        let mut teller = Teller::new(2, telemetry.clone());
        assert!(teller.news().is_none());
        let (kind, at) = (ConditionKind::WaitingForKafka, EventTime::from_millis(0));
        for _ in 0..2 {
            telemetry.raise(kind, "", "no answer", at);
        }
        let told = teller.news().unwrap();
        assert_eq!((told.process, told.conditions.len()), (2, 1));
        let text = "waiting for Kafka since 1970-01-01 00:00:00 UTC, process 2: no answer";
        assert_eq!(told.conditions[0].to_string(), text);
        assert!(teller.news().is_none());
        telemetry.clear(kind, "");
        assert!(teller.news().unwrap().conditions.is_empty());
    }
}
