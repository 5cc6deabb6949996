//! Checkpoints: what makes results exact across crashes.
//!
//! A checkpoint is a consistent cut of the whole job, found by the frontier: when no element of it
//! is in an epoch or before, everything that belongs to the epoch has arrived everywhere. The way
//! of a cut:
//!
//! 1. The leader asks for it when it turns the epoch. Each source acknowledges where it was; each
//!    window operator copies its state out; final and rejected rows carry their epoch.
//! 2. On each worker, `durable` holds a capability of the epoch. The process's
//!    committer (`committer`) makes rows and state durable, without showing them, and then the
//!    capability is given up.
//! 3. So when the coordinator's frontier has passed the epoch, everything is durable, and a
//!    [`manifest`] is written that says where everything is: that is the checkpoint.
//! 4. The outputs show what belongs to it.
//!
//! Nobody waits for anybody in this: sources go on reading in the next epoch. Whoever starts later
//! reads the newest manifest that verifies ([`catalog`]), lets the outputs finish step 4, and goes
//! on from there.
//!
//! Where checkpoints are kept is behind [`blobs`]: a directory or an object store ([`object`]).

pub mod blobs;
pub mod catalog;
pub mod lock;
pub mod manifest;
pub mod object;
pub mod own_place;
pub mod places;
pub mod reading;
pub mod recovery;
pub mod section;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use blobs::{BlobError, Blobs};
use lock::LockError;
use manifest::OutputIdentity;
use strandline_operators::record::{Offset, Partition};

use crate::run_id::RunId;

/// How a job keeps checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// Where.
    pub blobs: Arc<dyn Blobs>,
    /// How often one is made.
    pub every: Duration,
    /// How many are kept.
    pub keep: usize,
    /// Whether to begin anew although there is one.
    pub fresh: bool,
    /// Which start of which process this is. A job that begins anew is called by it.
    pub start: RunId,
    /// What the job computes besides what its parts say of themselves, by name: a checkpoint with
    /// other values is refused.
    pub shape: BTreeMap<String, String>,
    /// Where the rows of this process go, if that can be told: manifests say it.
    pub outputs: Option<OutputIdentity>,
}

/// Why a checkpoint cannot be read, written or continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A manifest or a blob is not what was written.
    #[error("{name} is damaged: {what}")]
    Damaged {
        /// Which.
        name: String,
        /// How that shows.
        what: String,
    },
    /// A newer version wrote it. That is no damage: nothing that it names may be removed.
    #[error(
        "{name} was written by a newer version (its format is {format}, and this version knows up \
         to {}): start that version, or name another directory with --checkpoint",
        manifest::FORMAT
    )]
    NewerFormat {
        /// Which.
        name: String,
        /// Its format.
        format: u32,
    },
    /// There are checkpoints, and none of them can be read.
    #[error(
        "{place} holds checkpoints, but none that can be read ({newest}): bring it back from a \
         copy, or start over with --fresh"
    )]
    NoneVerifies {
        /// The store.
        place: String,
        /// What is wrong with the newest.
        newest: String,
    },
    /// It belongs to another job.
    #[error(
        "{place} belongs to another job: {differences}; name another directory with --checkpoint, \
         or start over with --fresh"
    )]
    OtherJob {
        /// The store.
        place: String,
        /// What differs.
        differences: String,
    },
    /// Another program has removed what the next checkpoint needs and nobody holds any more.
    #[error(
        "{place}: {blob} was removed by another program, and checkpoint {number} would need it; the job \
         stops before that is written: bring the directory back from a copy and start again, or start \
         over with --fresh; let nothing else clean up in there"
    )]
    BlobRemoved {
        /// The store.
        place: String,
        /// The number of the checkpoint that is not written.
        number: u64,
        /// What is gone.
        blob: String,
    },
    /// It keeps rows for an output that this job does not have.
    #[error(
        "{place}: checkpoint {number} keeps {rows} rows that this job cannot write: {why}; start the \
         version that wrote it, or remove that manifest, so that the checkpoint before it counts, or \
         start over with --fresh"
    )]
    UnknownRows {
        /// The store.
        place: String,
        /// The number of the checkpoint.
        number: u64,
        /// How many.
        rows: u64,
        /// What is not known.
        why: String,
    },
    /// The rows of a process are in another directory.
    #[error(
        "{place}: checkpoint {number} says that the --out of process {process} is place {id} at {}, \
         and {} {}: mount its volume, or point --out to where it is; or run `strandline checkpoints \
         recover {place} --out DIR` there, or leave it behind with --abandon-place {id}; or name \
         another directory with --checkpoint, or start over with --fresh",
        .then.path,
        .now.path,
        match &.now.id {
            Some(id) => format!("is place {id}"),
            None => "holds no .strandline-id (it is absent, new or was emptied)".to_owned(),
        },
        id = .then.id.as_deref().unwrap_or_default(),
    )]
    OtherOutputs {
        /// The store.
        place: String,
        /// The number of the checkpoint.
        number: u64,
        /// Which process.
        process: usize,
        /// Where they were.
        then: Box<OutputIdentity>,
        /// Where those of this run would be.
        now: Box<OutputIdentity>,
    },
    /// The job has read everything it was to read.
    #[error(
        "{place}: this bounded run is finished; its summary is given again with --bounded; start it \
         over with --fresh, or name another directory with --checkpoint"
    )]
    Finished {
        /// The store.
        place: String,
    },
    /// Its rows may be hidden in a place of which nobody has been heard.
    #[error(
        "{place}: checkpoint {number} names {files} files ({rows} rows) of process {process} in \
         {path}, place {id}, and no process of this start has that place as its --out: give it to \
         one, or run `strandline checkpoints recover {place} --out {path}` where it is, or give \
         these rows up with --abandon-place {id}"
    )]
    PlaceMissing {
        /// The store.
        place: String,
        /// The number of the checkpoint.
        number: u64,
        /// Which process put them there.
        process: usize,
        /// Where the place was then.
        path: String,
        /// What is written in it.
        id: String,
        /// Files.
        files: usize,
        /// Rows of these.
        rows: u64,
    },
    /// A bounded run was interrupted, and is not continued as one.
    #[error(
        "{place} belongs to a bounded run that was interrupted: continue it with --bounded, to the \
         same ends, or name another directory with --checkpoint, or start over with --fresh"
    )]
    OtherMode {
        /// The store.
        place: String,
    },
    /// The log ends before the checkpoint.
    #[error(
        "{place}: partition {} of topic `{topic}` ends at offset {}, and the run {what} {}: the log \
         was cut back, or is another one; bring it back, or start over with --fresh",
        .partition.0, .end.0, .offset.0
    )]
    LogCutBack {
        /// The store.
        place: String,
        /// The topic.
        topic: String,
        /// Which partition.
        partition: Partition,
        /// Where the log ends.
        end: Offset,
        /// What the checkpoint says.
        what: &'static str,
        /// Of which offset.
        offset: Offset,
    },
    /// Another process continues this job.
    #[error("{place}: another process has taken over this job (number {number} is not ours)")]
    TakenOver {
        /// The store.
        place: String,
        /// The number of the manifest that it wrote.
        number: u64,
    },
    /// The store does not do it.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
}
