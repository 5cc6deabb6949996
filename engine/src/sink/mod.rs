//! Durable outputs: what is under `OUT` when a job has run, and at any moment while it runs.
//!
//! ```text
//! OUT/latest.json                                  the newest window, replaced as a whole
//! OUT/parquet/date=2024-11-03/strandline-….parquet       final rows, by the window's start
//! OUT/late/date=2024-11-03/strandline-….parquet          late records, likewise
//! OUT/dead_letters/date=2024-11-03/strandline-….parquet  unreadable records, by the log's time
//! OUT/.staged/                                       files that are not visible yet
//! ```
//!
//! Whatever is visible is complete, and no reader has to know of the writer: nothing hidden is in
//! the folders that readers open. Files are rolled by
//! size and age, so that there are few. A disk that is full or read-only is said once and tried
//! again: rows wait, up to a bound, and then the job waits.

mod codec;
mod files;
mod latest_json;
mod layout;
mod names;
mod output_dir;
mod parquet;
mod recovery;
mod rejected;
mod rolling;
mod visible_epoch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::run_id::{NotARunId, RunId};
pub use codec::{ParquetCodec, UnknownCodec};
pub use files::FileOutputs;
pub use latest_json::LatestJson;
pub use layout::Layout;
pub use names::{DateFolder, NotOurs};
pub use output_dir::{
    Existing, FOLDERS, OutputDirError, check, has_rows, identify, identity, keep_identity, prepare,
    refuse_rows, remove_abandoned, remove_earlier,
};
pub use parquet::{FinalRowColumns, FinalRows, FinalRowsFiles};
pub use recovery::show_staged;
pub use rejected::{RejectedColumns, RejectedFiles, RejectedRecords};
pub use rolling::{Roll, RollingFiles};

use crate::clock::Clock;
use crate::outputs::Visibility;
use crate::report::Report;
use crate::store::{Directory, StoreError};

/// What the files of a process have in common.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// `OUT`.
    pub out: Directory,
    /// The job, for the names of files. No two processes may write with the same `run` and number.
    pub run: RunId,
    /// The number of the process.
    pub process: usize,
    /// How files become visible.
    pub visibility: Visibility,
    /// When files are rolled.
    pub roll: Roll,
    /// How they are compressed.
    pub codec: ParquetCodec,
    /// What their age is measured by.
    pub clock: Clock,
    /// Who hears of a disk that takes nothing.
    pub report: Report,
}

/// What is durable and visible.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// Why a file that a checkpoint names cannot become visible, for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} {fault}, and {rows} rows of {output}/ that a checkpoint counts on are in it: bring it back \
     from a copy, or start over with --fresh, which computes all rows again",
    .path.display()
)]
pub struct LostFile {
    /// The hidden file.
    pub path: PathBuf,
    /// The folder in `OUT` that it belongs to.
    pub output: Arc<str>,
    /// Its rows.
    pub rows: u64,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// What is wrong with a hidden file.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileFault {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It has another length than was written.
    #[error("has {found} bytes instead of {expected}")]
    Size {
        /// Its bytes.
        found: u64,
        /// Those that were written.
        expected: u64,
    },
    /// It has the right length and other bytes.
    #[error("is damaged (its checksum does not match)")]
    Checksum,
}

/// Why `latest.json` is not written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// It does not show the end of the run.
    #[error(transparent)]
    Latest(Arc<StoreError>),
    /// Its thread panicked: a bug.
    #[error("the writer of {} has ended", .path.display())]
    Ended {
        /// The file.
        path: PathBuf,
    },
    /// The thread could not be started.
    #[error("a sink's thread could not be started: {0}; allow this process more threads")]
    NoThread(Arc<io::Error>),
}
