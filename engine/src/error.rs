//! Why a job ends before its time: one error for all of its parts, whichever of them reports it.

use std::error::Error;
use std::time::Duration;

use strandline_operators::record::Partition;

use crate::checkpoint::CheckpointError;
use crate::ledger::Ledger;
use crate::source::SourceError;

/// Why a job ended before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The source cannot go on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An output cannot go on.
    #[error("{0}")]
    Output(Box<dyn Error + Send + Sync>),
    /// A checkpoint cannot be continued, or not be kept.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The workers could not be started, or not be connected.
    #[error("the workers could not be started: {0}")]
    Start(String),
    /// The address at which this process waits for the others cannot be had.
    #[error(
        "process {process} cannot listen at {address}: {error}; {}, or name another address of this \
         computer in --hostfile, alike for all processes",
        if *.is_taken { "end the program that has it" } else { "check that it is one of this computer's" }
    )]
    CannotListen {
        /// Which.
        process: usize,
        /// Where.
        address: String,
        /// Whether another program has it, so that it may be free later.
        is_taken: bool,
        /// What the system says.
        error: String,
    },
    /// The processes of the job have not been told the same.
    #[error(
        "the processes of a job have to get the same options: {differences}; start all of them \
         again with the same"
    )]
    OtherOptions {
        /// What differs, and where.
        differences: String,
    },
    /// Another process of the job ended without a goodbye: it failed, it was killed, or the network
    /// between is gone.
    #[error(
        "process {process} is gone: {reason}; its own last line says why, if it was not killed"
    )]
    PeerGone {
        /// Which.
        process: usize,
        /// How that was noticed.
        reason: String,
    },
    /// The directory of outputs of a process cannot be had as it is: nothing was begun.
    #[error("process {process} cannot put its rows where it is to: {reason}")]
    PlaceRefused {
        /// Which.
        process: usize,
        /// What is in the way, and what to do.
        reason: String,
        /// Whether that may pass by itself: another job that ends.
        may_pass: bool,
    },
    /// A worker panicked: a bug.
    #[error("worker {worker} panicked: {message}")]
    Panicked {
        /// Which.
        worker: usize,
        /// What it said.
        message: String,
    },
    /// A cut in which a record is in no place, or in two: a bug. It does not become a checkpoint.
    #[error(
        "the ledger of epoch {epoch} does not balance: of partition {}, {} records were read, and \
         {} windowed + {} late + {} dead letters are {}; the job stops before this is committed{}",
        .partition.0,
        .ledger.read,
        .ledger.windowed,
        .ledger.late,
        .ledger.dead_letters(),
        .ledger.windowed + .ledger.late + .ledger.dead_letters(),
        if *.committed { ", and older checkpoints stay; please report it" } else { "" }
    )]
    Unbalanced {
        /// The epoch of the cut.
        epoch: u64,
        /// The first partition of which it does not balance.
        partition: Partition,
        /// Its ledger.
        ledger: Box<Ledger>,
        /// Whether there are checkpoints.
        committed: bool,
    },
    /// The outputs did not take everything in time after a stop.
    #[error(
        "stopped, but the outputs were not complete within {} s{}",
        .limit.as_secs(),
        if *.continues { "; the next start goes on from the last checkpoint" } else { "" }
    )]
    StopTimedOut {
        /// How long it was waited for.
        limit: Duration,
        /// Whether a checkpoint brings back what is not complete.
        continues: bool,
    },
}
