//! Where the rows of a job go: the boundary between the dataflow and durable outputs.
//!
//! A process has one set of outputs, which one task drives (`committer`): an output
//! is never called from two sides, and never by a worker. There are two ways in which rows become
//! visible. Without checkpoints an output shows them as it likes. With checkpoints it shows what
//! belongs to a cut, and only when that is *committed*: it first makes everything durable without
//! showing it ([`seal`](Output::seal)), says what that is ([`list`](Output::list)), and shows it
//! when it hears that the manifest which lists it is durable ([`commit`](Output::commit)). After a
//! crash it hears which cut counts ([`recover`](Output::recover)).

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strandline_operators::rejected::Rejected;
use strandline_operators::window::Row;

pub use crate::checkpoint::manifest::{OutputCut, Pending, Staged};
pub use crate::checkpoint::recovery::Recovery;
use crate::checkpoint::section::BlobWriter;
use crate::run_id::RunId;
use crate::telemetry::OutputMeasures;

/// Why an output does not do something just now. One line that says what to do.
pub type Trouble = Arc<dyn Error + Send + Sync>;

/// Why an output does not show what it was told to show.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OutputError {
    /// Something stands in the way: it is told again.
    #[error(transparent)]
    Retry(Trouble),
    /// What no later try can mend: it ends the job.
    #[error(transparent)]
    Final(Trouble),
}

impl OutputError {
    /// Of several results the one that counts: what ends the job before what is tried again.
    ///
    /// # Errors
    ///
    /// If one of `results` is an error.
    pub fn worst(
        results: impl IntoIterator<Item = Result<(), OutputError>>,
    ) -> Result<(), OutputError> {
        let errors = results.into_iter().filter_map(Result::err);
        let worst = errors.reduce(|worst, error| match worst {
            OutputError::Final(_) => worst,
            OutputError::Retry(_) => error,
        });
        worst.map_or(Ok(()), Err)
    }
}

/// Why a process may not have the place of its outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceRefusal {
    /// In one line, and what to do.
    pub reason: String,
    /// Whether it may pass by itself: another job that ends.
    pub may_pass: bool,
}

/// How rows become visible.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// When the output finds it right.
    AsTheyCome,
    /// When the checkpoint that they belong to is durable.
    WithCheckpoints,
}

/// Opens the outputs of a job.
pub trait Outputs<O>: Send + Sync + 'static {
    /// What the files of this process are named after where no checkpoint says which job it is.
    fn run(&self) -> Option<RunId> {
        None
    }

    /// Takes the place of a process that does not lead, when all processes have met, and before anything
    /// is begun or removed anywhere. `runs`: what the files of this start are named after, which tells
    /// a process of this start that shares the place from one of another job. The process that leads
    /// has taken its place before.
    ///
    /// # Errors
    ///
    /// What refuses the start, in all processes.
    fn take_place(&self, _runs: &[RunId]) -> Result<(), PlaceRefusal> {
        Ok(())
    }

    /// Makes ready where the outputs are, before they are opened: when everything that can refuse the
    /// start has been asked. What is removed is removed here. The process that leads is the first;
    /// the others follow where the job begins anew, and not where it continues a checkpoint. `runs`:
    /// what the files of this start are named after. Another process that shares the place may have
    /// written some already: they are to stay.
    ///
    /// # Errors
    ///
    /// What stands in the way: the job does not start.
    fn prepare(&self, _runs: &[RunId]) -> Result<(), Trouble> {
        Ok(())
    }

    /// Why they cannot take back what a checkpoint keeps for the output of this name, in this folder of
    /// it; `None` if they can. A start is refused that would leave rows behind without a word.
    fn refuses(&self, _output: &str, _folder: &str) -> Option<String> {
        None
    }

    /// Opens those of this process, the number `process` of the job's.
    fn open(&self, process: usize, visibility: Visibility) -> OpenOutputs<O>;
}

/// The outputs of a process.
pub struct OpenOutputs<O> {
    /// For final rows.
    pub final_rows: Box<dyn Output<Row<O>>>,
    /// For late records and dead letters.
    pub rejected: Box<dyn Output<Rejected>>,
}

impl<O> std::fmt::Debug for OpenOutputs<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenOutputs")
    }
}

/// How an output is.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// What stands in the way, while something does: it has been reported to the user.
    pub trouble: Option<Trouble>,
    /// Whether so much waits because of that that no more should be written.
    pub is_full: bool,
    /// Rows that were written and are not durable.
    pub waiting: u64,
}

/// Keeps records of one kind. Whatever happens, records that were written are kept until they are
/// durable; a failure is told by [`condition`](Self::condition).
///
/// All methods but [`write`](Self::write) have a default that suits an output for which a record
/// is done with when it is written.
pub trait Output<R>: Send + 'static {
    /// Writes some records. They are lent: there may be others who read them.
    ///
    /// # Errors
    ///
    /// What no later try can mend: it ends the job.
    fn write(&mut self, records: &[R]) -> Result<(), Trouble>;

    /// Does what is due by the clock.
    fn tick(&mut self) {}

    /// How long it is until something is due; `None` if nothing is before the next write.
    fn due_in(&self) -> Option<Duration> {
        None
    }

    /// How it is.
    fn condition(&self) -> Condition {
        Condition::default()
    }

    /// How much waits in it, by the names of its parts.
    fn measures(&self) -> Vec<(String, OutputMeasures)> {
        Vec::new()
    }

    /// Everything that was written up to now belongs to epochs before this one.
    fn enter(&mut self, _epoch: u64) {}

    /// The blobs of checkpoints that hold rows which the next cut would list again.
    fn stored_in(&self) -> BTreeSet<Arc<str>> {
        BTreeSet::new()
    }

    /// These blobs are gone: the rows in them are still here, and are sealed next. Gives how many rows
    /// that are.
    fn store_anew(&mut self, _gone: &BTreeSet<Arc<str>>) -> u64 {
        0
    }

    /// Makes durable what is complete, without showing it. `closing`: the run ends here, so
    /// everything is complete.
    ///
    /// # Errors
    ///
    /// What stands in the way. It is called again, until it succeeds, before anything else is
    /// written.
    fn seal(&mut self, _closing: bool) -> Result<(), Trouble> {
        Ok(())
    }

    /// Lists what is sealed and was not committed, as part of the cut of `epoch`, and puts what
    /// is not sealed into the checkpoint's blob.
    fn list(&mut self, _epoch: u64, _blob: &mut BlobWriter) -> OutputCut {
        OutputCut::default()
    }

    /// Shows what belongs to the cut of `epoch`.
    ///
    /// # Errors
    ///
    /// What stands in the way. Unless that is [final](OutputError::Final), it is called again, until
    /// it succeeds.
    fn commit(&mut self, _epoch: u64) -> Result<(), OutputError> {
        Ok(())
    }

    /// After the start, before anything is written: shows what belongs to the cut, if it is not
    /// shown yet, and removes what belongs to later ones.
    ///
    /// # Errors
    ///
    /// What stands in the way. Unless that is [final](OutputError::Final), it is called again, until
    /// it succeeds.
    fn recover(&mut self, _recovery: &Recovery) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes back rows that waited for their file when the cut was made: of each, its bytes.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    fn restore(&mut self, _pending: &Pending, _rows: Vec<&[u8]>) -> Result<(), Trouble> {
        Ok(())
    }

    /// Without checkpoints: makes everything durable and visible.
    ///
    /// # Errors
    ///
    /// What stands in the way. It may be called again.
    fn finish(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}
