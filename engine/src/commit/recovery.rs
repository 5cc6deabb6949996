//! What a run that continues does before it writes anything.

use std::collections::HashMap;
use std::sync::Arc;

use strandline_operators::window::LAST_EPOCH;

use super::mailbox::Fate;
use super::{Committer, CommitterCheckpoints, CommitterOutputs, Lost, Unable};
use crate::checkpoint::CheckpointError;
use crate::checkpoint::blobs::{BlobError, Blobs};
use crate::checkpoint::reading::read_sections;
use crate::error::JobError;
use crate::outputs::Pending;

impl Committer {
    /// Shows what was committed before the start and removes what was not.
    pub(super) fn recover(&mut self) -> Result<(), Unable> {
        let Some(recovery) = &self.recovery else { return Ok(()) };
        if self.recovered {
            return Ok(());
        }
        let CommitterOutputs { final_rows, rejected } = &mut self.options.outputs;
        final_rows.recover(recovery).and_then(|()| rejected.recover(recovery))?;
        if let Some(checkpoints) = &mut self.options.checkpoints {
            let CommitterCheckpoints { blobs, pending, .. } = checkpoints;
            while let Some(next) = pending.front() {
                let restored = rows_of(&**blobs, next).map(|rows| {
                    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
                    let restored = final_rows.restore(next, rows.clone());
                    restored.and_then(|()| rejected.restore(next, rows))
                });
                let damage = match restored {
                    Ok(Ok(())) => None,
                    Ok(Err(trouble)) => Some(trouble.to_string()),
                    Err(CheckpointError::Blobs(error @ BlobError::Failed { .. })) => {
                        return Err(error.into());
                    }
                    Err(error) => Some(error.to_string()),
                };
                if let Some(cause) = damage {
                    // It was verified, so no retry mends it.
                    let (rows, fate) = (0, Fate::ComputedAgain);
                    let lost = Lost { cause, rows, fate };
                    self.options.failure.report(JobError::Output(Box::new(lost)));
                }
                pending.pop_front();
            }
        }
        self.recovered = true;
        if let Some(epoch) = recovery.epoch {
            self.mailbox.announce_shown(epoch);
        }
        // After the end of a bounded run nothing more is written.
        self.begin(recovery.epoch.map_or(0, |epoch| epoch.min(LAST_EPOCH - 2) + 1));
        Ok(())
    }
}

/// The rows that waited for a file when the cut was made: of each section, its bytes.
fn rows_of(blobs: &dyn Blobs, pending: &Pending) -> Result<Vec<Vec<u8>>, CheckpointError> {
    let mut read = HashMap::new();
    read_sections(blobs, &pending.rows, |section, bytes| {
        read.insert((Arc::clone(&section.blob), section.start), bytes.to_vec());
        Ok(())
    })?;
    let rows = pending.rows.iter().map(|section| (Arc::clone(&section.blob), section.start));
    Ok(rows.map(|place| read.remove(&place).unwrap_or_default()).collect())
}
