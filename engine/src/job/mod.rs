//! A job: a source, a decoder, windows with an aggregate, outputs; and how to run it.

mod begin;
mod outlook;
mod started;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::PlacementSeed;
use timely::worker::Worker;

pub use self::outlook::Outlook;
pub use self::started::{JobWorker, NextStep, Started};
use crate::background::Background;
use crate::checkpoint::Checkpoints;
use crate::checkpoint::manifest::OutputIdentity;
use crate::clock::Clock;
use crate::condition::{ConditionKind, Conditions, JobCondition};
pub use crate::error::JobError;
use crate::failure::Failure;
pub use crate::job_options::JobOptions;
use crate::monitor::watchdog::Watchdog;
use crate::outputs::Outputs;
use crate::peers::{self, Meeting, Met, Terms};
use crate::report::Report;
use crate::run_id::RunId;
use crate::source::{PartitionStart, Source};
pub use crate::stop::Stop;
pub use crate::summary::Summary;
use crate::table::{Cells, Table};
use crate::view::{Snapshot, View};

/// How long after a failure a worker may take to end. One that takes longer waits for something
/// that does not come, and is left behind.
const ENDING_MAX: Duration = Duration::from_secs(5);
/// How often whoever waits for the workers looks for a failure.
const FAILURE_POLL: Duration = Duration::from_millis(100);

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
    terms: Terms,
    /// Where the outputs of the other processes are, by their numbers from 1, as far as they say.
    places: Vec<Option<OutputIdentity>>,
    /// The ids of places that are given up.
    abandoned: Vec<String>,
    background: Background,
    report: Report,
    placement: PlacementSeed,
    lowered: BTreeMap<Partition, EventTime>,
    /// Whether it is known what is read of records, and computed of them.
    knows_records: bool,
}

impl<S, D, A, W> Job<S, D, A, W>
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
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
            terms: Terms::new(),
            places: Vec::new(),
            abandoned: Vec::new(),
            background: Background::threads(),
            report: Report::to_stderr(),
            placement: PlacementSeed::from_random(RandomState::new().hash_one(0)),
            lowered: BTreeMap::new(),
            knows_records: true,
        }
    }

    /// With checkpoints. Without them, a run that ends before its time cannot be continued.
    #[must_use]
    pub fn with_checkpoints(mut self, checkpoints: Option<Checkpoints>) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// What else has to be the same in all processes of the job, by name, besides what its parts say
    /// of themselves. Processes that differ do not begin.
    #[must_use]
    pub fn with_terms(mut self, terms: BTreeMap<String, String>) -> Self {
        self.terms = terms;
        self
    }

    /// Where the outputs of the other processes are, by their numbers from 1, for a job whose processes
    /// have not [met](Job::run): a start is refused while files may be hidden in a place that no process
    /// has.
    #[must_use]
    pub fn with_places(mut self, places: Vec<OutputIdentity>) -> Self {
        self.places = places.into_iter().map(Some).collect();
        self
    }

    /// Where the outputs of this process are: its checkpoints say it.
    #[must_use]
    pub fn with_own_place(mut self, place: OutputIdentity) -> Self {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.outputs = Some(place);
        }
        self
    }

    /// For whoever knows nothing of the records and of what is computed of them, and only asks for an
    /// [`outlook`](Job::outlook): what a checkpoint says of these is not compared.
    #[must_use]
    pub fn with_unknown_records(mut self) -> Self {
        self.knows_records = false;
        self
    }

    /// The ids of places that are given up: no start waits for their files any more.
    #[must_use]
    pub fn with_abandoned_places(mut self, ids: Vec<String>) -> Self {
        self.abandoned = ids;
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

    /// Where keys lie in memory: as a seed says that nobody can guess, unless this says otherwise. No
    /// result depends on it.
    #[must_use]
    pub fn with_placement(mut self, placement: PlacementSeed) -> Self {
        self.placement = placement;
        self
    }

    /// Lowers the greatest event times of partitions, which a wrong clock has dragged ahead, to these
    /// times, where a checkpoint is continued. No window that is closed is opened again.
    #[must_use]
    pub fn with_lowered_event_times(mut self, lowered: BTreeMap<Partition, EventTime>) -> Self {
        self.lowered = lowered;
        self
    }

    /// Runs the job on the workers of `config` until it has read everything (where all partitions
    /// have ends), or `stop` is requested, or something fails. Blocks. `view` shows it meanwhile.
    ///
    /// When this returns a summary, everything that belongs to it is durable and visible in the
    /// outputs.
    ///
    /// A failure of a job of several processes is noticed by the others when this process ends:
    /// it should, after an error. Until then its workers are kept, and its connections.
    ///
    /// # Errors
    ///
    /// The first thing that made it impossible to go on. A failure ends all workers; one that does
    /// not end within 5 s is left behind.
    pub fn run(
        mut self,
        mut config: timely::Config,
        clock: &Clock,
        view: &View,
        stop: &Stop,
    ) -> Result<Summary, JobError> {
        // A worker that has nothing to do leaves the processor to the threads that fetch.
        config.worker = config.worker.idle_spin(Duration::ZERO);
        let _end = EndOfFeed(view);
        let (place, addresses) = match &config.communication {
            timely::CommunicationConfig::Cluster { process, threads, addresses, .. } => {
                (Place { process: *process, threads: *threads }, Some(addresses.clone()))
            }
            timely::CommunicationConfig::Process(threads)
            | timely::CommunicationConfig::ProcessBinary(threads) => {
                (Place { process: 0, threads: *threads }, None)
            }
            timely::CommunicationConfig::Thread => (Place { process: 0, threads: 1 }, None),
        };
        let has_peers = addresses.is_some();
        // Before a checkpoint is claimed, and before anything is read.
        let mut met = match addresses {
            Some(addresses) => {
                let terms = self.terms_of_processes(place.threads);
                let (addresses, report) = (&*addresses, &self.report);
                let process = place.process;
                let telemetry = view.telemetry();
                let (place, runs) = (self.own_place(), self.own_runs());
                let meeting =
                    Meeting { process, addresses, terms, place, runs, stop, report, telemetry };
                Some(meeting.hold()?)
            }
            None => None,
        };
        if let Some(met) = &mut met {
            self.places = std::mem::take(&mut met.places);
        }
        if place.process != 0 {
            // Before it waits for the process that leads.
            show_follower(place.process, clock, view);
        }
        let discover_every = self.options.discover_every;
        let mut started = self.start_among(place, met.as_mut(), clock, view, stop)?;
        let discovery = started
            .known_partitions()
            .map(|known| Discovery::start(&started.job.source, known, discover_every))
            .transpose()?;
        let _discovery = discovery.map(|(discovered, discovery)| {
            started.discover_by(discovered);
            discovery
        });
        if has_peers {
            peers::watch(&started.failure);
        }
        let leads = place.process == 0;
        let _watchdog =
            leads.then(|| Watchdog::start(view.telemetry(), clock, &started.job.report));
        let started = Arc::new(started);
        let on_workers = Arc::clone(&started);
        let (ended, ends) = sync_channel(place.threads);
        let allocators = match met {
            Some(Met { sockets, .. }) => peers::allocators(sockets, place.process, place.threads)
                .map_err(|error| error.to_string()),
            None => config.communication.try_build(),
        };
        let work = move |worker: &mut Worker| {
            let result = on_workers.work(worker);
            let failed = on_workers.failure.happened();
            // If it took too long, nobody hears it.
            let _ = ended.send(result);
            if failed && has_peers {
                peers::stay();
            }
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
        };
        let guards = allocators.and_then(|(allocators, others)| {
            timely::execute::execute_from(allocators, others, config.worker, work)
        });
        let mut summary = None;
        match guards {
            Ok(guards) => {
                let (concluded, all) = conclusion(&ends, place.threads, &started.failure);
                summary = concluded;
                if !all || (has_peers && started.failure.happened()) {
                    // They do not end, or stay on purpose.
                    std::mem::forget(guards);
                } else if let Err(message) = peers::join(guards) {
                    started.failure.report(JobError::Start(message));
                }
            }
            Err(message) => started.failure.report(JobError::Start(message)),
        }
        let ended = started.end(summary);
        if let Ok(summary) = &ended
            && !summary.finished
        {
            view.telemetry().raise(ConditionKind::Stopped, "", STOPPED, clock.wall());
        }
        ended
    }

    /// Where the outputs of this process are, if it keeps checkpoints.
    fn own_place(&self) -> Option<OutputIdentity> {
        self.checkpoints.as_ref().and_then(|kept| kept.outputs.clone())
    }

    /// What the files of this process may be named after.
    fn own_runs(&self) -> Vec<RunId> {
        let start = self.checkpoints.as_ref().map(|kept| kept.start);
        self.outputs.run().into_iter().chain(start).collect()
    }
}

/// What is told of a job that was stopped and has ended.
const STOPPED: &str =
    "the outputs are complete; the next start resumes from its last checkpoint, if it keeps any";

/// What a process shows that does not lead, until it hears from the one that does.
fn show_follower(process: usize, clock: &Clock, view: &View) {
    let at = clock.wall();
    let condition = JobCondition {
        detail: format!("process {process} works for the job; process 0 shows it"),
        ..JobCondition::plain(ConditionKind::Running, at)
    };
    let conditions = Conditions::of(vec![condition]);
    view.publish(Snapshot { at, conditions, ..Snapshot::clone(&view.latest()) });
}

/// Tells whoever follows the final rows that there are no more, however a run ends.
struct EndOfFeed<'a>(&'a View);

impl Drop for EndOfFeed<'_> {
    fn drop(&mut self) {
        self.0.feed().end();
    }
}

/// Waits for the workers. Gives what worker 0 concluded, and whether all of them ended.
fn conclusion(
    ends: &Receiver<Option<Summary>>,
    workers: usize,
    failure: &Failure,
) -> (Option<Summary>, bool) {
    let (clock, mut failed_at) = (Clock::system(), None);
    let (mut summary, mut left) = (None, workers);
    while 0 < left {
        match ends.recv_timeout(FAILURE_POLL) {
            Ok(result) => {
                summary = summary.or(result);
                left -= 1;
            }
            Err(RecvTimeoutError::Timeout) if failure.happened() => {
                let now = clock.elapsed();
                if ENDING_MAX <= now.saturating_sub(*failed_at.get_or_insert(now)) {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Whoever joins them hears why.
            Err(RecvTimeoutError::Disconnected) => return (summary, true),
        }
    }
    (summary, left == 0)
}

/// Where a process stands in a job.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number; 0 leads.
    pub process: usize,
    /// Its workers.
    pub threads: usize,
}

/// Asks the source for new partitions now and then, on a thread of its own, until this is dropped.
/// Nobody waits for the thread: a log that does not answer would hold up the end of the job.
struct Discovery {
    _stop: SyncSender<()>,
}

impl Discovery {
    /// # Errors
    ///
    /// [`JobError::Start`] where there is no thread for it: new partitions would be left out for ever.
    fn start<S: Source>(
        source: &S,
        known: usize,
        every: Duration,
    ) -> Result<(Receiver<Vec<PartitionStart>>, Discovery), JobError> {
        let (stop, stopped) = sync_channel::<()>(0);
        let (found, discovered) = sync_channel(1);
        let source = source.clone();
        let look = move || {
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
        };
        std::thread::Builder::new().name("discovery".to_owned()).spawn(look).map_err(|error| {
            JobError::Start(format!("no thread to look for partitions: {error}"))
        })?;
        Ok((discovered, Discovery { _stop: stop }))
    }
}
