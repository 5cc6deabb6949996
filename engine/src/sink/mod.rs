//! Durable outputs: what is under `OUT` when a job has run, and at any moment while it runs.
//!
//! ```text
//! OUT/latest.json                                  the newest window, replaced as a whole
//! OUT/parquet/date=2024-11-03/strandline-….parquet       final rows, by the window's start
//! OUT/late/date=2024-11-03/strandline-….parquet          late records, likewise
//! OUT/dead_letters/date=2024-11-03/strandline-….parquet  unreadable records, by the log's time
//! ```
//!
//! Whatever is visible is complete, and no reader has to know of the writer. Writers
//! ([`FinalRowsWriter`], [`RejectedWriter`]) are threads, which workers may share, so that no
//! worker waits for a disk as long as the disk keeps up; files are rolled by size and age, so that
//! there are few. A disk that is full or read-only is said once and tried again: rows wait, up to a
//! bound, and then the job waits.

mod files;
mod latest_json;
mod layout;
mod names;
mod output_dir;
mod parquet;
mod rejected;
mod rolling;
mod writer;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use files::{FileOutputs, FilesCommitted};
pub use latest_json::LatestJson;
pub use layout::Layout;
pub use names::{DateFolder, NotOurs, RunId};
pub use output_dir::{Existing, OutputDirError, has_rows, prepare};
pub use parquet::{FinalRowColumns, FinalRows, FinalRowsWriter};
pub use rejected::{RejectedColumns, RejectedRecords, RejectedWriter};
pub use rolling::Roll;
pub use writer::RollingWriter;

use crate::clock::Clock;
use crate::store::{Directory, StoreError};

/// What the writers of a run have in common.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// `OUT`.
    pub out: Directory,
    /// This start of this process.
    pub run: RunId,
    /// Whose rows these are, for the names of files: the worker, counted over all processes, or the
    /// process where its workers share writers. No two may write with the same `run` and number.
    pub worker: usize,
    /// When files are rolled.
    pub roll: Roll,
    /// What their age is measured by.
    pub clock: Clock,
    /// Who hears of a disk that takes nothing.
    pub report: Report,
    /// Ends waiting for a disk that takes nothing.
    pub stopped: Stopped,
}

/// Says something to the user: one line, what is wrong and what to do.
#[derive(Clone)]
pub struct Report(Arc<dyn Fn(&str) + Send + Sync>);

impl Report {
    /// Says it by calling `say`, from any thread.
    pub fn new(say: impl Fn(&str) + Send + Sync + 'static) -> Report {
        Report(Arc::new(say))
    }

    /// Says it to nobody.
    pub fn silent() -> Report {
        Report::new(|_| {})
    }

    fn say(&self, line: &str) {
        (self.0)(line);
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}

/// Knows whether the job has been asked to stop, or has failed.
#[derive(Clone)]
pub struct Stopped(Arc<dyn Fn() -> bool + Send + Sync>);

impl Stopped {
    /// Finds out by calling `is_requested`, from any thread, again and again while one waits.
    pub fn new(is_requested: impl Fn() -> bool + Send + Sync + 'static) -> Stopped {
        Stopped(Arc::new(is_requested))
    }

    /// Never.
    pub fn never() -> Stopped {
        Stopped::new(|| false)
    }

    fn is_requested(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopped")
    }
}

/// What a writer has made durable and visible.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// Why rows are not durable.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The disk does not take them just now; they are kept.
    #[error("{cause} ({rows} rows wait in memory until then)")]
    Waiting {
        /// What is in the way.
        cause: Arc<StoreError>,
        /// How many rows wait.
        rows: u64,
    },
    /// The job was stopped while the disk did not take them.
    #[error("{cause} ({rows} rows were not written and are lost)")]
    Lost {
        /// What is in the way.
        cause: Arc<StoreError>,
        /// How many rows those are.
        rows: u64,
    },
    /// `latest.json` does not show the end of the run.
    #[error(transparent)]
    Latest(Arc<StoreError>),
    /// The writer was closed, or its thread panicked: a bug.
    #[error("the writer of {} has ended and takes no more rows", .path.display())]
    Ended {
        /// Where it wrote.
        path: PathBuf,
    },
    /// The thread could not be started.
    #[error("a sink's thread could not be started: {0}; allow this process more threads")]
    NoThread(Arc<io::Error>),
}
