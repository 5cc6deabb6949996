//! What a committer tells of itself while it works: which outputs wait and for what, whether the store
//! takes checkpoints, how much waits.

use std::time::Duration;

use super::{Committer, CommitterOutputs};
use crate::condition::ConditionKind;
use crate::outputs::Trouble;

/// How often amounts are told, at most.
const MEASURE_EVERY: Duration = Duration::from_millis(250);

/// The subjects of the condition that an output waits.
const FINAL_ROWS: &str = "final rows";
const REJECTED: &str = "late records and dead letters";

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    final_rows: bool,
    rejected: bool,
    store: bool,
    /// By the clock: when amounts are told again.
    measure_at: Duration,
}

impl Committer {
    /// Tells what has changed.
    pub(super) fn tell(&mut self) {
        let CommitterOutputs { final_rows, rejected } = &self.options.outputs;
        let (finals, others) = (final_rows.condition().trouble, rejected.condition().trouble);
        let output = ConditionKind::OutputWaits;
        let mut told = std::mem::take(&mut self.told);
        self.tell_trouble(output, FINAL_ROWS, finals.as_ref(), &mut told.final_rows);
        self.tell_trouble(output, REJECTED, others.as_ref(), &mut told.rejected);
        let store = ConditionKind::CheckpointingSuspended;
        self.tell_trouble(store, "", self.store_trouble.as_ref(), &mut told.store);
        let now = self.options.clock.elapsed();
        if told.measure_at <= now {
            told.measure_at = now.saturating_add(MEASURE_EVERY);
            let CommitterOutputs { final_rows, rejected } = &self.options.outputs;
            let outputs = final_rows.measures().into_iter().chain(rejected.measures());
            let outputs = outputs.collect();
            self.options.telemetry.measure(|measures| measures.outputs = outputs);
        }
        self.told = told;
    }

    fn tell_trouble(
        &self,
        kind: ConditionKind,
        subject: &str,
        trouble: Option<&Trouble>,
        told: &mut bool,
    ) {
        let telemetry = &self.options.telemetry;
        match trouble {
            Some(trouble) => {
                telemetry.raise(kind, subject, &trouble.to_string(), self.options.clock.wall());
                *told = true;
            }
            None if *told => {
                telemetry.clear(kind, subject);
                *told = false;
            }
            None => {}
        }
    }
}
