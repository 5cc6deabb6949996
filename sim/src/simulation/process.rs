//! One start of the job: a process with its workers and tasks.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_engine::checkpoint::Checkpoints;
use strandline_engine::job::{
    Job, JobError, JobOptions, Place, Started as StartedJob, Stop, Summary,
};
use strandline_engine::report::Report;
use strandline_engine::sink::{Existing, FileOutputs, Roll, RunId, prepare};
use strandline_engine::source::{PartitionStart, Source};
use strandline_engine::store::Directory;
use strandline_engine::table::Cells;
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::time::EventTime;
use strandline_operators::window::PlacementSeed;
use timely::WorkerConfig;
use timely::worker::ProgressMode;
use timely::worker::Worker;

use super::outside::ProcessId;
use super::plan::{Plan, Start};
use super::run::{OUT, World};
use super::scheduler::Work;
use super::topic::SimulatedTopic;

/// The civil time at which runs begin, give or take an hour: 2024-11-03.
const WALL_MS: i64 = 1_730_638_800_000;
/// Stands for never.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// A process that has been started.
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) stop: Stop,
    workers: usize,
    left: Arc<Mutex<Left>>,
    end: Box<dyn FnOnce(Option<Summary>) -> Result<Summary, JobError>>,
}

/// The workers that have left, and what the first one said.
#[derive(Default)]
struct Left {
    workers: usize,
    summary: Option<Summary>,
}

/// How a process has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It has not.
    Not,
    Well(Summary),
    /// It was asked to stop, and was not done with that in time: the clocks leap.
    Late,
    Badly(String),
}

impl Process {
    /// How it has ended. Lets its tasks end, if all its workers have left.
    pub(super) fn ended(self) -> Ended {
        let (workers, summary) = {
            let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            (left.workers, left.summary)
        };
        if workers < self.workers {
            return Ended::Not;
        }
        match (self.end)(summary) {
            Ok(summary) => Ended::Well(summary),
            Err(JobError::StopTimedOut { .. }) => Ended::Late,
            Err(error) => Ended::Badly(error.to_string()),
        }
    }
}

/// Tells a process of new partitions.
#[derive(Debug)]
pub(super) struct Discovery {
    source: SimulatedTopic,
    known: u32,
    found: SyncSender<Vec<PartitionStart>>,
}

impl Discovery {
    /// Looks for new partitions. Whether anybody wants to hear of them.
    pub(super) fn look(&mut self) -> bool {
        let Ok(new) = self.source.discover(self.known) else { return true };
        let Some(last) = new.iter().map(|start| start.partition.0).max() else { return true };
        match self.found.try_send(new) {
            Ok(()) => {
                self.known = last + 1;
                true
            }
            Err(TrySendError::Full(_)) => true,
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Starts the job in a new process.
pub(super) fn start<D, A>(
    world: &World<'_, D, A>,
    id: ProcessId,
    start: &Start,
    bounded: bool,
    wall_ms: u64,
) -> Result<(Process, Discovery), String>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let (plan, simulation) = (world.plan, world.simulation);
    let wall = EventTime::from_millis(WALL_MS) + Duration::from_millis(wall_ms);
    let clock = world.scheduler.clock(wall);
    let run = RunId::new(wall, id.0);
    let out = Directory::on(world.disk.seen_by(id), OUT);
    prepare(&out, Existing::Continue, None).map_err(|error| error.to_string())?;

    let trace = world.outside.trace();
    let report = Report::new(move |line| trace.line(format_args!("  {id} says: {line}")));
    let table = Arc::new(simulation.table.clone());
    let first = Snapshot::empty(&simulation.topic, Arc::clone(&table), wall);
    let outputs = FileOutputs {
        out,
        run,
        roll: Roll { every: plan.roll_every, rows: plan.roll_rows, ..Roll::default() },
        clock: clock.clone(),
        report: report.clone(),
        table: simulation.table.clone(),
        topic: simulation.topic.clone(),
        windows: simulation.options.windows,
    };
    let checkpoints = Checkpoints {
        blobs: world.blobs.seen_by(id),
        every: plan.checkpoint_every,
        keep: plan.keep,
        fresh: false,
        start: run,
        shape: BTreeMap::new(),
        outputs: None,
    };
    let source = world.topic.source(bounded, plan.reads, &world.outside, id);
    let (found, discovered) = sync_channel(1);
    let job = Job::new(
        source.clone(),
        simulation.decoder.clone(),
        simulation.aggregate.clone(),
        table,
        outputs,
        options(simulation.options, plan),
    )
    .with_placement(PlacementSeed::default())
    .with_checkpoints(Some(checkpoints))
    .with_background(world.scheduler.background(id))
    .with_report(report);

    let (view, stop) = (View::new(first), Stop::default());
    let place = Place { process: 0, threads: start.workers };
    let mut started = job.start(place, &clock, &view, &stop).map_err(|error| error.to_string())?;
    let known = started.known_partitions();
    if known.is_some() {
        started.discover_by(discovered);
    }
    let known = known.and_then(|known| u32::try_from(known).ok()).unwrap_or(u32::MAX);
    let discovery = Discovery { source, known, found };

    let started = Arc::new(started);
    let left = Arc::new(Mutex::new(Left::default()));
    let (on_workers, leaving) = (Arc::clone(&started), Arc::clone(&left));
    let open = move |worker: &mut Worker| work(&on_workers, &leaving, worker);
    let mode = if start.eager { ProgressMode::Eager } else { ProgressMode::Demand };
    let config = WorkerConfig::default().progress_mode(mode);
    world.scheduler.start(id, start.workers, config, open)?;
    let end = Box::new(move |summary| started.end(summary));
    Ok((Process { id, stop, workers: start.workers, left, end }, discovery))
}

/// What a worker does.
fn work<S, D, A, W>(
    started: &Arc<StartedJob<S, D, A, W>>,
    left: &Arc<Mutex<Left>>,
    worker: &mut Worker,
) -> Work
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
    W: strandline_engine::outputs::Outputs<A::Output>,
{
    let mut job = Some(started.build(worker));
    let left = Arc::clone(left);
    Box::new(move |worker| {
        let Some(on_worker) = &mut job else { return false };
        if on_worker.lead(worker).is_some() {
            worker.step();
            return true;
        }
        let summary = job.take().and_then(|on_worker| on_worker.conclude(worker));
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        left.workers += 1;
        left.summary = left.summary.or(summary);
        false
    })
}

/// The job's options, with the intervals that the plan wants.
fn options(options: JobOptions, plan: &Plan) -> JobOptions {
    JobOptions {
        idle_after: plan.idle_after.unwrap_or(NEVER),
        max_drift: plan.max_drift(options),
        epoch_every: plan.epoch_every,
        publish_every: 2 * plan.epoch_every,
        discover_every: NEVER,
        ..options
    }
}
