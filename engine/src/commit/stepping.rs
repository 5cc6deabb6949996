//! Stepping through epochs, as every operator with state does ([`Epochs`]): what belongs to a later
//! epoch than the current one is kept until all workers of the process have passed that.
//!
//! [`Epochs`]: strandline_operators::epochs::Epochs

use strandline_operators::rejected::Rejected;
use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::LAST_EPOCH;

use super::mailbox::{CutState, bytes_of_rejected};
use super::opaque::OpaqueRows;
use super::{Committer, Unable};
use crate::error::JobError;

/// Memory of rows of later epochs that are set aside, bytes, before no more items are taken while
/// the current epoch cannot be sealed.
const ASIDE_BYTES_MAX: usize = 16 << 20;
/// What belongs to an epoch.
pub(super) enum Item {
    Rows(OpaqueRows),
    Rejected(Vec<Rejected>),
    /// What a worker holds at the end of it.
    State(CutState),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Item::Rows(rows) => rows.bytes(),
            Item::Rejected(records) => bytes_of_rejected(records),
            Item::State(_) => 0,
        }
    }
}

impl Committer {
    /// Whether too much is set aside because the current epoch cannot be left. While it is the workers
    /// that have not passed it, items are taken on, or what they say would never be heard: then
    /// the sources stop, for what they reject counts as [unmerged] until its epoch is complete.
    ///
    /// [unmerged]: strandline_operators::window::Unmerged
    pub(super) fn aside_is_full(&self) -> bool {
        self.blocked && ASIDE_BYTES_MAX <= self.aside_bytes
    }

    /// Applies what belongs to the current epoch, and sets aside what belongs to a later one. Before the
    /// committer has recovered, everything is set aside.
    pub(super) fn accept(&mut self, epoch: u64, item: Item) {
        if self.options.checkpoints.is_none() {
            return self.apply(item);
        }
        // A run that continues may still say something in the epoch that it continues from: that belongs
        // to its first one, because the cut of the other is made.
        let epoch = if self.recovered { epoch.max(self.first) } else { epoch };
        let time = Time::new(epoch, EventTime::MAX);
        if self.recovered && !self.epochs.is_later(time) {
            return self.apply(item);
        }
        self.aside_bytes += item.bytes();
        match self.recovered {
            true => self.epochs.keep(time, item),
            false => self.unrecovered.push((epoch, item)),
        }
    }

    fn apply(&mut self, item: Item) {
        let outputs = &mut self.options.outputs;
        let written = match item {
            Item::Rows(rows) => {
                self.final_rows += rows.count();
                outputs.final_rows.write(&[rows])
            }
            Item::Rejected(records) => outputs.rejected.write(&records),
            Item::State(part) => {
                self.parts.push(part);
                return;
            }
        };
        if let Err(trouble) = written {
            self.options.failure.report(JobError::Output(trouble.to_string().into()));
        }
    }

    /// Begins with `epoch`, now that nothing of earlier runs is in the way, and with what has come
    /// meanwhile.
    pub(super) fn begin(&mut self, epoch: u64) {
        self.first = epoch;
        if epoch > self.epochs.current() {
            self.enter(epoch);
        }
        self.aside_bytes = 0;
        for (epoch, item) in std::mem::take(&mut self.unrecovered) {
            self.accept(epoch, item);
        }
    }

    /// Makes `epoch` the current one, and applies what was set aside for it.
    fn enter(&mut self, epoch: u64) {
        // The last epoch is one of the frontier only; outputs count on.
        let numbered = if epoch == LAST_EPOCH { self.epochs.current() + 1 } else { epoch };
        self.options.outputs.final_rows.enter(numbered);
        self.options.outputs.rejected.enter(numbered);
        for item in self.epochs.enter(epoch) {
            self.aside_bytes -= item.bytes();
            self.apply(item);
        }
    }

    /// Steps through the epochs that all workers have passed, and seals the cuts among them.
    pub(super) fn advance(&mut self) -> Result<(), Unable> {
        if self.options.checkpoints.is_none() || !self.recovered {
            return Ok(());
        }
        let passed = self.passed.iter().copied().min().unwrap_or(0);
        loop {
            let current = self.epochs.current();
            if let Some(sealing) = &self.sealing {
                assert_eq!(sealing.epoch, current, "a cut is of the current epoch");
                self.store_sealing()?;
            } else if current < passed || passed == LAST_EPOCH {
                if self.seal_current()? {
                    continue;
                }
            } else {
                return Ok(());
            }
            if current == LAST_EPOCH {
                return Ok(());
            }
            self.enter(self.epochs.next(passed).unwrap_or(LAST_EPOCH));
        }
    }
}
