//! A job: a source, a decoder, windows with an aggregate, outputs; and how to run it.

mod begin;
mod started;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::window::Tumbling;

pub use self::started::{JobWorker, Started};
use crate::background::Background;
use crate::checkpoint::{CheckpointError, Checkpoints};
use crate::clock::Clock;
use crate::outputs::Outputs;
use crate::report::Report;
use crate::source::{PartitionStart, Source, SourceError};
use crate::table::{Cells, Table};
use crate::view::{Ledger, View};

/// How a job treats time. [`JobOptions::new`] gives the defaults.
#[derive(Copy, Clone, Debug)]
pub struct JobOptions {
    /// The windows.
    pub windows: Tumbling,
    /// How far a partition's watermark is behind its greatest event time: a minute.
    pub watermark: Duration,
    /// How far an event time may be after the log's timestamp: an hour.
    pub max_future: Duration,
    /// How long a partition at its end is silent before it stops holding the others back: 5 s.
    pub idle_after: Duration,
    /// How far, in event time, a partition may run ahead of the frontier: a minute, or two windows
    /// if that is more. It bounds the windows that are open while a backlog is read.
    pub max_drift: Duration,
    /// How often a new epoch begins: a second.
    pub epoch_every: Duration,
    /// How often what is live is published, at most: 250 ms.
    pub publish_every: Duration,
    /// How often the source is asked for new partitions: 10 s.
    pub discover_every: Duration,
}

impl JobOptions {
    /// The defaults for `windows`.
    pub fn new(windows: Tumbling) -> JobOptions {
        JobOptions {
            windows,
            watermark: Duration::from_secs(60),
            max_future: Duration::from_secs(3600),
            idle_after: Duration::from_secs(5),
            max_drift: Duration::from_secs(60).max(windows.size().saturating_mul(2)),
            epoch_every: Duration::from_secs(1),
            publish_every: Duration::from_millis(250),
            discover_every: Duration::from_secs(10),
        }
    }
}

/// Asks a running job to stop in order; cheap to clone, usable from any thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

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
    /// A worker panicked: a bug.
    #[error("worker {worker} panicked: {message}")]
    Panicked {
        /// Which.
        worker: usize,
        /// What it said.
        message: String,
    },
    /// The outputs did not take everything in time after a stop.
    #[error("stopped, but the outputs were not complete within {} s", .0.as_secs())]
    StopTimedOut(Duration),
}

/// What a run came to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Where every record went.
    pub ledger: Ledger,
    /// Records that were read before this run, which it continued.
    pub read_before: u64,
    /// Final rows.
    pub final_rows: u64,
    /// Windows that were open when the run was stopped; 0 at the end of a bounded run.
    pub open_windows: u64,
    /// Whether the run read everything it was to read.
    pub finished: bool,
    /// Whether a later start continues this run where it ended.
    pub continues: bool,
}

/// A job, ready to run.
#[derive(Debug)]
pub struct Job<S, D, A, W> {
    source: S,
    decoder: D,
    aggregate: A,
    table: Arc<Table>,
    outputs: W,
    options: JobOptions,
    checkpoints: Option<Checkpoints>,
    background: Background,
    report: Report,
}

impl<S, D, A, W> Job<S, D, A, W>
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells + Send> + Send + Sync,
    W: Outputs<A::Output>,
{
    /// A job that reads `source`, decodes its records by `decoder`, computes `aggregate` for each
    /// key and window, and gives the rows to `outputs`; `table` has the names of the results.
    pub fn new(
        source: S,
        decoder: D,
        aggregate: A,
        table: Arc<Table>,
        outputs: W,
        options: JobOptions,
    ) -> Job<S, D, A, W> {
        Job {
            source,
            decoder,
            aggregate,
            table,
            outputs,
            options,
            checkpoints: None,
            background: Background::threads(),
            report: Report::to_stderr(),
        }
    }

    /// With checkpoints. Without them, a run that ends before its time cannot be continued.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Option<Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// Who does the work off the workers: threads, unless this says otherwise.
    #[must_use]
    pub fn with_background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// Who hears what is to be said to the user: the standard error stream, unless this says
    /// otherwise.
    #[must_use]
    pub fn with_report(mut self, report: Report) -> Self {
        self.report = report;
        self
    }

    /// Runs the job on the workers of `config` until it has read everything (where all partitions
    /// have ends), or `stop` is requested, or something fails. Blocks. `view` shows it meanwhile.
    ///
    /// When this returns a summary, everything that belongs to it is durable and visible in the
    /// outputs.
    ///
    /// # Errors
    ///
    /// The first thing that made it impossible to go on.
    pub fn run(
        self,
        config: timely::Config,
        clock: &Clock,
        view: &View,
        stop: &Stop,
    ) -> Result<Summary, JobError> {
        let place = match &config.communication {
            timely::CommunicationConfig::Cluster { process, threads, .. } => {
                Place { process: *process, threads: *threads }
            }
            timely::CommunicationConfig::Process(threads)
            | timely::CommunicationConfig::ProcessBinary(threads) => {
                Place { process: 0, threads: *threads }
            }
            timely::CommunicationConfig::Thread => Place { process: 0, threads: 1 },
        };
        let discover_every = self.options.discover_every;
        let mut started = self.start(place, clock, view, stop)?;
        let discovery = started
            .known_partitions()
            .map(|known| Discovery::start(&started.job.source, known, discover_every));
        let _discovery = discovery.map(|(discovered, thread)| {
            started.discover_by(discovered);
            thread
        });
        let started = Arc::new(started);
        let on_workers = Arc::clone(&started);
        let guards = timely::execute(config, move |worker| on_workers.work(worker));
        let mut summary = None;
        match guards {
            Ok(guards) => {
                for result in guards.join() {
                    match result {
                        Ok(result) => summary = summary.or(result),
                        Err(message) => started.failure.report(JobError::Start(message)),
                    }
                }
            }
            Err(message) => started.failure.report(JobError::Start(message)),
        }
        started.end(summary)
    }
}

/// Where a process stands in a job.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number; 0 leads.
    pub process: usize,
    /// Its workers.
    pub threads: usize,
}

/// Asks the source for new partitions now and then, on a thread of its own.
struct Discovery {
    // Dropped first: that ends the thread's wait.
    stop: Option<SyncSender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Discovery {
    fn start<S: Source>(
        source: &S,
        known: usize,
        every: Duration,
    ) -> (Receiver<Vec<PartitionStart>>, Discovery) {
        let (stop, stopped) = sync_channel::<()>(0);
        let (found, discovered) = sync_channel(1);
        let source = source.clone();
        let thread = std::thread::spawn(move || {
            let mut known = u32::try_from(known).unwrap_or(u32::MAX);
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                // A log that does not answer now is asked again later.
                let Ok(new) = source.discover(known) else { continue };
                if let Some(last) = new.iter().map(|start| start.partition.0).max() {
                    known = last + 1;
                    if found.send(new).is_err() {
                        break;
                    }
                }
            }
        });
        (discovered, Discovery { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and the job is over.
            drop(thread.join());
        }
    }
}
