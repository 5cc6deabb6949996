//! What a run that continues does before it writes anything.

use std::sync::Arc;

use serde::Serialize;

use super::desk::Fate;
use super::{Lost, Scribe, Unable};
use crate::job::JobError;
use crate::outputs::{OpenOutputs, Trouble};

impl<P: Serialize + Send + 'static, O: Send + Sync + 'static> Scribe<P, O> {
    /// Shows what was committed before the start and removes what was not.
    pub(super) fn recover(&mut self) -> Result<(), Unable> {
        let Some(recovery) = &self.recovery else { return Ok(()) };
        if self.recovered {
            return Ok(());
        }
        let OpenOutputs { final_rows, rejected } = &mut self.options.outputs;
        final_rows.recover(recovery).and_then(|()| rejected.recover(recovery))?;
        let continued = self.options.checkpoints.as_ref().and_then(|c| c.continued.clone());
        if let Some(loaded) = continued {
            let cut = loaded.manifest.cut.iter().flat_map(|cut| &cut.processes);
            for pending in cut.flat_map(|process| &process.outputs.pending) {
                let rows = pending.rows.iter().map(|section| {
                    let blob = loaded.blob(&section.blob);
                    section.of(blob).map_err(|error| Arc::new(error) as Trouble)
                });
                let rows = rows.collect::<Result<Vec<_>, _>>();
                let restored = rows.and_then(|rows| {
                    final_rows.restore(pending, rows.clone())?;
                    rejected.restore(pending, rows)
                });
                if let Err(error) = restored {
                    // It was verified, so no retry mends it.
                    self.options.failure.report(JobError::Output(Box::new(Lost {
                        cause: error.to_string(),
                        rows: 0,
                        fate: Fate::ComputedAgain,
                    })));
                }
            }
        }
        if let Some(checkpoints) = &mut self.options.checkpoints {
            checkpoints.continued = None;
        }
        self.recovered = true;
        self.current = recovery.epoch.map_or(0, |epoch| epoch + 1);
        self.enter(self.current);
        Ok(())
    }
}
