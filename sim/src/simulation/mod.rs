//! A whole job in a deterministic simulation: crashed anywhere, and held against what it must do.
//!
//! The operators, the checkpoints, the outputs are the real ones. What is around them is
//! simulated: who runs when ([`scheduler`]), the time, the log ([`topic`]), the disk ([`disk`]),
//! the store of checkpoints ([`blobs`]). All chance comes from one seed, so a run that goes wrong
//! can be looked at again, step for step, as often as one likes.
//!
//! A run is a sequence of starts of the job, each with its own number of workers. A start is
//! killed between two steps, or dies in the middle of a write, a rename, a request, perhaps with
//! the power; or it is stopped in order; or it stands still until another one has taken its place,
//! and comes back. Meanwhile operations fail, disks are full, answers are lost. The last start is
//! left alone: it has to read everything and to finish. [`Plan`] says what a seed
//! decides, [`laws`] what is checked on the way. At the end
//!
//! - every row that must be there is there, once, with the same values; so are late records and
//!   dead letters (the job's own oracle says which);
//! - the ledger balances;
//! - nothing is left over of the starts that crashed.
//!
//! Which mistakes it is known to find, and how to run it, stands in `SIMULATION.md`.
//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | [`main_job`] | the main job over a topic drawn from the seed |
//! | [`plan`] | what a seed decides |
//! | [`topic`] | partitions that are written while the job reads |
//! | [`outside`] | what outlives a process: every operation on it counts, may fail, may be the last |
//! | [`disk`] | a disk that loses what was not synced |
//! | [`blobs`] | a store of blobs whose answers get lost |
//! | [`scheduler`] | all workers and tasks, one step at a time |
//! | [`laws`] | what holds at every moment |
//! | [`trace`] | what happened, line by line |
//!
//! # Your own job
//!
//! A [`Simulation`] takes any decoder and any aggregate. If there is no oracle for it, the run is
//! held against one of the same job that nothing disturbs:
//!
//! ```
//! use std::time::Duration;
//!
//! use strandline_engine::job::JobOptions;
//! use strandline_engine::table::Table;
//! use strandline_operators::aggregate::Count;
//! use strandline_operators::decode::JsonFields;
//! use strandline_operators::window::Tumbling;
//! use strandline_sim::oracle::LoggedRecord;
//! use strandline_sim::simulation::trace::Trace;
//! use strandline_sim::simulation::{Expectation, Simulation};
//!
//! let record = |offset: u64| LoggedRecord {
//!     offset,
//!     timestamp_ms: None,
//!     payload: Some(format!(r#"{{"page":"home","at":{}}}"#, 100 * offset).into_bytes()),
//! };
//! for seed in 0..5 {
//!     let simulation = Simulation {
//!         seed,
//!         decoder: JsonFields::new("page", "at", []),
//!         aggregate: (Count,),
//!         table: Table::new::<(u64,)>("page", "pages", &["views"]),
//!         options: JobOptions::new(Tumbling::of(Duration::from_secs(1)).unwrap()),
//!         topic: "views".to_owned(),
//!         records: vec![(0..60).map(record).collect()],
//!         expectation: Expectation::Undisturbed,
//!     };
//!     let trace = Trace::default();
//!     if let Err(failure) = simulation.run(&trace) {
//!         panic!("seed {seed}: {failure}\n{}", trace.last(50));
//!     }
//! }
//! ```
//!
//! A dataflow that is no job at all, of timely's own operators, can be put under the
//! [`scheduler`] as well, with or without the [`disk`].

pub mod blobs;
pub mod disk;
pub mod laws;
pub mod outside;
pub mod plan;
pub mod scheduler;
pub mod topic;
pub mod trace;

mod group;
mod latest;
mod main_job;
mod process;
mod run;

use std::fmt;
use std::sync::Arc;

use strandline_engine::job::JobOptions;
use strandline_engine::table::{Cells, Table};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

pub use main_job::{MainAggregate, MainRow, main_job};

use self::plan::Plan;
use self::trace::Trace;
use crate::judge::Found;
use crate::oracle::{LoggedRecord, Outcome};

/// A job, its topic, and the seed of what happens to it.
#[derive(Clone, Debug)]
pub struct Simulation<D, A> {
    /// What all chance comes from.
    pub seed: u64,
    /// How records are decoded.
    pub decoder: D,
    /// What is computed in a window.
    pub aggregate: A,
    /// The names of the results.
    pub table: Table,
    /// How the job treats time. The intervals by the clock are replaced by the seed's.
    pub options: JobOptions,
    /// The topic's name.
    pub topic: String,
    /// The topic, by partition.
    pub records: Vec<Vec<LoggedRecord>>,
    /// What the outputs have to be.
    pub expectation: Expectation,
}

/// Judges outputs; the flag says whether which records are late is a function of the topic alone
/// (it is not where partitions were idle, or came while the job ran).
pub type Judge = Arc<dyn Fn(&Found, bool) -> Result<(), String> + Send + Sync>;

/// What outputs are held against.
#[derive(Clone)]
pub enum Expectation {
    /// What an independent computation says.
    Oracle {
        /// By the topic alone.
        expected: Box<Outcome>,
        /// Says what is wrong with the outputs, in a line.
        judge: Judge,
    },
    /// The outputs of the same job that nothing disturbs. Topics then all exist at the start, and
    /// no partition becomes idle.
    Undisturbed,
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expectation::Oracle { .. } => "Oracle",
            Expectation::Undisturbed => "Undisturbed",
        })
    }
}

/// A law was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// What a run was like.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Starts of a process.
    pub starts: u64,
    /// Of those, how many were killed, or died of an operation.
    pub crashes: u64,
    /// How often the power went.
    pub power_losses: u64,
    /// Starts that ended with an error, which a fault excuses.
    pub errors: u64,
    /// Moves of the scheduler.
    pub moves: u64,
    /// Operations on the disk and on blobs.
    pub operations: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Records of the topic.
    pub records: u64,
    /// Final rows.
    pub rows: u64,
    /// Files in which they are, and those of late records and dead letters.
    pub files: u64,
}

impl Report {
    /// Adds another run.
    pub fn add(&mut self, other: &Report) {
        self.starts += other.starts;
        self.crashes += other.crashes;
        self.power_losses += other.power_losses;
        self.errors += other.errors;
        self.moves += other.moves;
        self.operations += other.operations;
        self.checkpoints += other.checkpoints;
        self.records += other.records;
        self.rows += other.rows;
        self.files += other.files;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { starts, crashes, power_losses, errors, moves, operations, .. } = self;
        let Report { checkpoints, records, rows, files, .. } = self;
        write!(
            f,
            "{records} records, {rows} rows in {files} files, {starts} starts, {crashes} crashes, \
             {power_losses} power losses, {errors} errors, {checkpoints} checkpoints, {operations} \
             operations, {moves} moves"
        )
    }
}

impl<D, A> Simulation<D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// Runs the job as its seed wants it, and writes down in `trace` what happened.
    ///
    /// # Errors
    ///
    /// The first law that was broken, in a line.
    pub fn run(&self, trace: &Trace) -> Result<Report, Failure> {
        self.run_plan(&Plan::of(self.seed), trace)
    }

    /// Runs the job by a plan that need not be the seed's.
    ///
    /// # Errors
    ///
    /// The first law that was broken, in a line.
    pub fn run_plan(&self, plan: &Plan, trace: &Trace) -> Result<Report, Failure> {
        run::play(self, plan, trace).map_err(Failure)
    }
}
