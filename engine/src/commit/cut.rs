//! A cut on its way to the store: what it holds becomes blobs, and its manifest follows.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use strandline_operators::time::EventTime;

use super::mailbox::CutState;
use super::{Committer, CommitterOutputs, Unable};
use crate::checkpoint::catalog::{self, rows_name, state_name};
use crate::checkpoint::manifest::ProcessCut;
use crate::checkpoint::section::BlobWriter;
use crate::checkpoint::{CheckpointError, blobs};
use crate::error::JobError;
use crate::telemetry::Measures;

/// The cut of an epoch that is not stored yet.
pub(super) struct Sealing {
    pub(super) epoch: u64,
    cut: ProcessCut,
    /// Those that are not stored yet.
    blobs: VecDeque<(Arc<str>, Bytes)>,
}

impl Committer {
    /// Begins to seal the cut of the current epoch, if there is one to seal.
    pub(super) fn seal_current(&mut self) -> Result<bool, Unable> {
        let epoch = self.epochs.current();
        if self.parts.is_empty() {
            return Ok(false);
        }
        if self.parts.len() < self.options.workers {
            // The events ended before every worker had heard of it. The last cut follows.
            self.parts.clear();
            self.mailbox.announce_sealed(epoch, None);
            return Ok(false);
        }
        let closing = self.parts.iter().any(|part| part.closing);
        self.replace_removed()?;
        let CommitterOutputs { final_rows, rejected } = &mut self.options.outputs;
        final_rows.seal(closing)?;
        rejected.seal(closing)?;

        let process = self.options.process;
        let mut state = BlobWriter::new(&state_name(self.claim, epoch, process));
        let mut rows = BlobWriter::new(&rows_name(self.claim, epoch, process));
        let mut cut = ProcessCut {
            process,
            workers: self.options.workers,
            closed_by_all: EventTime::MAX,
            closed_by_some: EventTime::MIN,
            final_rows: self.final_rows,
            place: self.options.checkpoints.as_ref().and_then(|kept| kept.place.clone()),
            ..ProcessCut::default()
        };
        for CutState { closed_before, encode, .. } in self.parts.drain(..) {
            cut.closed_by_all = cut.closed_by_all.min(closed_before);
            cut.closed_by_some = cut.closed_by_some.max(closed_before);
            for (group, encoded) in encode() {
                cut.state.push((group, state.section(&encoded)));
            }
        }
        cut.state.sort_unstable_by_key(|(group, _)| *group);
        cut.outputs = final_rows.list(epoch, &mut rows);
        cut.outputs.append(rejected.list(epoch, &mut rows));
        let blobs = [state.finish(), rows.finish()].into_iter().flatten().collect();
        self.sealing = Some(Sealing { epoch, cut, blobs });
        Ok(true)
    }

    /// Rows that wait for their file are listed by each cut, in blobs that earlier ones have stored. Where
    /// another program has removed some, they are brought into files while they are still in memory.
    fn replace_removed(&mut self) -> Result<(), Unable> {
        let Some(checkpoints) = &self.options.checkpoints else { return Ok(()) };
        let CommitterOutputs { final_rows, rejected } = &mut self.options.outputs;
        let mut named = final_rows.stored_in();
        named.append(&mut rejected.stored_in());
        let gone = checkpoints.blobs.removed(&named)?;
        if let Some(blob) = gone.first() {
            let rows = final_rows.store_anew(&gone) + rejected.store_anew(&gone);
            self.options.report.say(&format!(
                "{}: {blob} was removed by another program; the {rows} rows of it and of files with it \
                 are written anew, and no row is lost; checkpoints before the next one cannot be \
                 continued; let nothing else clean up in there",
                checkpoints.blobs.place(),
            ));
        }
        Ok(())
    }

    /// Stores the blobs of the cut that is being sealed, and announces it.
    pub(super) fn store_sealing(&mut self) -> Result<(), Unable> {
        let (Some(sealing), Some(checkpoints)) = (&mut self.sealing, &self.options.checkpoints)
        else {
            return Ok(());
        };
        while let Some((name, bytes)) = sealing.blobs.front() {
            blobs::put(&*checkpoints.blobs, name, bytes)?;
            sealing.blobs.pop_front();
        }
        if let Some(Sealing { epoch, cut, .. }) = self.sealing.take() {
            self.mailbox.announce_sealed(epoch, Some(cut));
        }
        Ok(())
    }

    /// Makes manifests durable.
    pub(super) fn put(&mut self) -> Result<(), Unable> {
        let Some(checkpoints) = &mut self.options.checkpoints else { return Ok(()) };
        while let Some(manifest) = self.puts.front()
            && !self.fenced
        {
            match catalog::put_manifest(&*checkpoints.blobs, manifest) {
                Ok(()) => {}
                Err(CheckpointError::Blobs(error)) => return Err(error.into()),
                Err(error) => {
                    self.options.failure.report(JobError::Checkpoint(error));
                    // For good: the next number may be free all the same.
                    self.fenced = true;
                    return Ok(());
                }
            }
            let Some(manifest) = self.puts.pop_front() else { break };
            if let Some(retention) = &mut checkpoints.retention {
                retention.add(&manifest);
                let failures = retention.prune(&*checkpoints.blobs, &self.options.report);
                let measure = |measures: &mut Measures| {
                    measures.checkpoints.removal_failures += failures as u64;
                };
                self.options.telemetry.measure(measure);
            }
            let epoch = manifest.cut.as_ref().map_or(0, |cut| cut.epoch);
            self.mailbox.announce_put(manifest.number, epoch);
        }
        Ok(())
    }
}
