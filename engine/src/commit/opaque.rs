//! Final rows without the type of what they hold. Only the output that writes them knows it again: the
//! committer, its mailbox, the checkpointer and the leader know no type of a pipeline.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use strandline_operators::rejected::Rejected;
use strandline_operators::window::Row;

use crate::checkpoint::section::BlobWriter;
use crate::finals::SharedRows;
use crate::outputs::{
    Condition, OpenOutputs, Output, OutputCut, OutputError, Pending, Recovery, Trouble,
};
use crate::telemetry::OutputMeasures;

/// Final rows of one window.
pub(crate) struct OpaqueRows {
    rows: Arc<dyn Any + Send + Sync>,
    count: u64,
    bytes: usize,
}

impl OpaqueRows {
    /// Of rows of this type, which are shared with whoever else has them. O(rows), for their memory.
    pub(crate) fn of<O: Send + Sync + 'static>(rows: SharedRows<O>) -> OpaqueRows {
        let keys = rows.iter().map(|row| row.key.len()).sum::<usize>();
        let (count, bytes) = (rows.len() as u64, size_of_val(rows.as_slice()) + keys);
        OpaqueRows { rows, count, bytes }
    }

    /// How many rows they are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The memory that they take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The outputs of a process, as the committer has them.
pub(crate) struct CommitterOutputs {
    pub(super) final_rows: Box<dyn Output<OpaqueRows>>,
    pub(super) rejected: Box<dyn Output<Rejected>>,
}

impl CommitterOutputs {
    /// Those that a job has opened.
    pub(crate) fn of<O: 'static>(outputs: OpenOutputs<O>) -> CommitterOutputs {
        let OpenOutputs { final_rows, rejected } = outputs;
        CommitterOutputs { final_rows: Box::new(Opaque(final_rows)), rejected }
    }
}

/// An output of rows of a type, for rows whose type is not known.
struct Opaque<O>(Box<dyn Output<Row<O>>>);

impl<O: 'static> Output<OpaqueRows> for Opaque<O> {
    fn write(&mut self, batches: &[OpaqueRows]) -> Result<(), Trouble> {
        batches.iter().try_for_each(|batch| {
            let rows = batch.rows.downcast_ref::<Vec<Row<O>>>();
            self.0.write(rows.expect("rows and outputs are of one job"))
        })
    }

    fn tick(&mut self) {
        self.0.tick();
    }

    fn due_in(&self) -> Option<Duration> {
        self.0.due_in()
    }

    fn condition(&self) -> Condition {
        self.0.condition()
    }

    fn measures(&self) -> Vec<(String, OutputMeasures)> {
        self.0.measures()
    }

    fn enter(&mut self, epoch: u64) {
        self.0.enter(epoch);
    }

    fn stored_in(&self) -> BTreeSet<Arc<str>> {
        self.0.stored_in()
    }

    fn store_anew(&mut self, gone: &BTreeSet<Arc<str>>) -> u64 {
        self.0.store_anew(gone)
    }

    fn seal(&mut self, closing: bool) -> Result<(), Trouble> {
        self.0.seal(closing)
    }

    fn list(&mut self, epoch: u64, blob: &mut BlobWriter) -> OutputCut {
        self.0.list(epoch, blob)
    }

    fn commit(&mut self, epoch: u64) -> Result<(), OutputError> {
        self.0.commit(epoch)
    }

    fn recover(&mut self, recovery: &Recovery) -> Result<(), OutputError> {
        self.0.recover(recovery)
    }

    fn restore(&mut self, pending: &Pending, rows: Vec<&[u8]>) -> Result<(), Trouble> {
        self.0.restore(pending, rows)
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        self.0.finish()
    }
}
