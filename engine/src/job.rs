//! A job: a source, a decoder, windows with an aggregate, outputs; and how to run it.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::time::Time;
use strandline_operators::window::{Tumbling, WindowAggregate, WindowInputs};
use timely::dataflow::operators::core::{Concat, Probe};
use timely::dataflow::operators::vec::Broadcast;
use timely::worker::Worker;

use crate::board::Board;
use crate::clock::Clock;
use crate::coordinator::Coordinator;
use crate::failure::Failure;
use crate::ingest::{IngestOptions, Meter, ingest};
use crate::leader::{Leader, LeaderOptions, Say};
use crate::outputs::{Outputs, write_to};
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
    /// Final rows.
    pub final_rows: u64,
    /// Windows that were open when the run was stopped; 0 at the end of a bounded run.
    pub open_windows: u64,
    /// Whether the run read everything it was to read.
    pub finished: bool,
}

/// A job, ready to run.
#[derive(Debug)]
pub struct Job<S, D, A, W> {
    /// What is read.
    pub source: S,
    /// How records are decoded.
    pub decoder: D,
    /// What is computed in a window.
    pub aggregate: A,
    /// The names of the results.
    pub table: Arc<Table>,
    /// Where results go.
    pub outputs: W,
    /// How time is treated.
    pub options: JobOptions,
}

impl<S, D, A, W> Job<S, D, A, W>
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Output: Cells> + Send + Sync,
    W: Outputs<A::Output>,
{
    /// Runs the job on the workers of `config` until it has read everything (where all partitions have
    /// ends), or
    /// `stop` is requested, or something fails. Blocks. `view` shows it meanwhile.
    ///
    /// When this returns, every sink has been handed all that belongs to it; making it durable is
    /// theirs.
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
        let (process, threads) = match &config.communication {
            timely::CommunicationConfig::Cluster { process, threads, .. } => (*process, *threads),
            timely::CommunicationConfig::Process(threads)
            | timely::CommunicationConfig::ProcessBinary(threads) => (0, *threads),
            timely::CommunicationConfig::Thread => (0, 1),
        };
        let leads = process == 0;
        let plan = if leads { self.source.plan(&|| stop.is_requested())? } else { Vec::new() };
        let bounded = plan.iter().all(|start| start.end.is_some());
        let discovery = (leads && !bounded)
            .then(|| Discovery::start(&self.source, plan.len(), self.options.discover_every));
        let (discovered, _discovery) = discovery.unzip();

        let failure = Failure::default();
        let meter = Meter::default();
        let once = Mutex::new(Some((plan, discovered)));
        let (job, workers_failure) = (self, failure.clone());
        let (clock, view, stop) = (clock.clone(), view.clone(), stop.clone());
        let guards = timely::execute(config, move |worker| {
            let index = worker.index();
            let lead = (index == 0).then(|| {
                once.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
            });
            let work = std::panic::AssertUnwindSafe(|| {
                job.work(worker, threads, lead, &clock, &view, &stop, &meter, &workers_failure)
            });
            let result = std::panic::catch_unwind(work).unwrap_or_else(|panic| {
                let message = panic_message(&*panic);
                workers_failure.report(JobError::Panicked { worker: index, message });
                None
            });
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
            result
        })
        .map_err(JobError::Start)?;
        let mut summary = None;
        for result in guards.join() {
            match result {
                Ok(result) => summary = summary.or(result),
                Err(message) => failure.report(JobError::Start(message)),
            }
        }
        match failure.take() {
            Some(error) => Err(error),
            None => Ok(summary.unwrap_or_default()),
        }
    }

    /// What one worker does: builds the dataflow and steps it until there is no more to do.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a worker shares")]
    fn work(
        &self,
        worker: &mut Worker,
        threads: usize,
        lead: Option<Lead>,
        clock: &Clock,
        view: &View,
        stop: &Stop,
        meter: &Meter,
        failure: &Failure,
    ) -> Option<Summary> {
        failure.register_worker();
        let options = self.options;
        let index = worker.index();
        let leaves = Rc::new(Cell::new(false));
        let coordinator = Coordinator::new(options.watermark);
        let board = Board::new(options.windows);

        let (turns, pulses, written) = worker.dataflow_named::<Time, _, _>("Strandline", |scope| {
            let (turns, turn_stream) = Say::open(scope);
            let (pulses, pulse_stream) = Say::open(scope);
            let ingested = ingest(
                scope,
                turn_stream.broadcast(),
                &self.source,
                self.decoder.clone(),
                IngestOptions {
                    windows: options.windows,
                    watermark: options.watermark,
                    max_future: options.max_future,
                    idle_after: options.idle_after,
                    max_drift: options.max_drift,
                },
                clock.clone(),
                failure.clone(),
                meter.clone(),
                Rc::clone(&leaves),
                stop.clone(),
            );
            let windowed = ingested.events.window(
                options.windows,
                self.aggregate.clone(),
                WindowInputs { pulses: pulse_stream.broadcast(), ..WindowInputs::none(scope) },
            );
            coordinator.listen(ingested.reports, windowed.counts);
            board.listen(windowed.live, windowed.finals.clone());
            let finals = self.outputs.final_rows(index);
            let rejected = self.outputs.rejected(index);
            let (written, _) = write_to(windowed.finals, "FinalRows", finals, failure.clone())
                .concat(write_to(ingested.rejected, "Rejected", rejected, failure.clone()))
                .probe();
            (turns, pulses, written)
        });

        let mut leader = lead.map(|(plan, discovered)| {
            Leader::new(
                LeaderOptions {
                    table: Arc::clone(&self.table),
                    topic: self.source.topic().to_owned(),
                    job: options,
                    workers: worker.peers(),
                    local_workers: threads,
                },
                turns,
                pulses,
                plan,
                discovered,
                coordinator,
                board,
                written,
                view.clone(),
                clock.clone(),
                stop.clone(),
                meter.clone(),
            )
        });
        while worker.has_dataflows() && !leaves.get() && !failure.happened() {
            let wait = match &mut leader {
                Some(leader) => match leader.lead() {
                    Ok(wait) => Some(wait),
                    Err(error) => {
                        failure.report(error);
                        break;
                    }
                },
                None => None,
            };
            worker.step_or_park(wait);
        }
        if failure.happened() {
            failure.wake_workers();
            return None;
        }
        leader.map(Leader::conclude)
    }
}

/// What only worker 0 has: where to begin, and news of partitions.
type Lead = (Vec<PartitionStart>, Option<Receiver<Vec<PartitionStart>>>);

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

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
