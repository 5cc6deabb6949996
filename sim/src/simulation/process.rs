//! One process of a start of the job, with its workers and tasks.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use strandline_engine::checkpoint::blobs::Blobs;
use strandline_engine::checkpoint::manifest::OutputIdentity;
use strandline_engine::checkpoint::{Checkpoints, catalog, own_place, places};
use strandline_engine::clock::Clock;
use strandline_engine::job::{
    Job, JobError, JobOptions, NextStep, Place, Started as StartedJob, Stop, Summary,
};
use strandline_engine::outputs::{OpenOutputs, Outputs, Trouble, Visibility};
use strandline_engine::report::Report;
use strandline_engine::sink::{
    Existing, FileOutputs, LatestJson, ParquetCodec, Roll, RunId, check, identify, identity,
    prepare, show_staged,
};
use strandline_engine::source::{PartitionStart, Source};
use strandline_engine::store::{Directory, Disk};
use strandline_engine::table::{Cells, Table};
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::time::EventTime;
use strandline_operators::window::PlacementSeed;
use timely::worker::Worker;

use super::blobs::MemoryBlobs;
use super::outside::{Outside, ProcessId};
use super::plan::{Mode, Plan};
use super::scheduler::{Scheduler, Work};
use super::topic::{SimulatedTopic, Topic};

/// `--out`.
pub(super) const OUT: &str = "out";
/// The civil time at which runs begin, give or take an hour: 2024-11-03.
const WALL_MS: i64 = 1_730_638_800_000;
/// Stands for never.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// What a process is started with.
pub(super) struct Setup<D, A> {
    pub(super) id: ProcessId,
    /// Its number in the job.
    pub(super) process: usize,
    pub(super) workers: usize,
    pub(super) mode: Mode,
    pub(super) bounded: bool,
    /// Milliseconds after the time at which all runs begin.
    pub(super) wall_ms: u64,
    pub(super) stop: Stop,
    pub(super) meeting: Meeting,
    pub(super) plan: Plan,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) blobs: MemoryBlobs,
    pub(super) scheduler: Scheduler,
    pub(super) topic: Topic,
    pub(super) outside: Outside,
    pub(super) decoder: D,
    pub(super) aggregate: A,
    pub(super) table: Table,
    pub(super) options: JobOptions,
    pub(super) topic_name: String,
}

/// A process that has been started.
pub(super) struct Process {
    /// Until its workers are started.
    before: Option<(Open, Discovery)>,
    /// Tells it that another process of the job is gone.
    pub(super) peer_gone: TellPeer,
    /// Whether it has failed.
    pub(super) has_failed: Box<dyn Fn() -> bool + Send + Sync>,
    workers: usize,
    left: Arc<Mutex<Left>>,
    end: Box<dyn FnOnce(Option<Summary>) -> Result<Summary, JobError> + Send>,
}

/// Tells a process which other one is gone, and how.
type TellPeer = Box<dyn Fn(usize, &str) + Send + Sync>;

/// What the workers of a process do.
pub(super) type Open = Box<dyn Fn(&mut Worker) -> Work + Send + Sync>;

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
    /// Another process of the job was gone.
    Followed(String),
    Badly(String),
}

impl Process {
    /// What its workers do, and who tells it of new partitions: to be taken once.
    pub(super) fn take_work(&mut self) -> Option<(Open, Discovery)> {
        self.before.take()
    }

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
            Err(error @ JobError::PeerGone { .. }) => Ended::Followed(error.to_string()),
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

/// What a program does before its job has workers, in the order in which it does it.
pub(super) fn start<D, A>(setup: Setup<D, A>) -> Result<Process, String>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let Setup { id, process, workers, mode, bounded, stop, plan, outside, .. } = setup;
    let leads = process == 0;
    let wall = EventTime::from_millis(WALL_MS) + Duration::from_millis(setup.wall_ms);
    let clock = setup.scheduler.clock(wall);
    let run = RunId::new(wall, id.0);
    let out = Directory::on(setup.disk, OUT);
    let blobs = setup.blobs.seen_by(id);
    let fresh = matches!(mode, Mode::Replace | Mode::Append | Mode::Misspelt);

    let newest = catalog::newest(&*blobs).map_err(|error| text(&error))?;
    let continued = newest.filter(|manifest| !fresh && manifest.cut.is_some());
    if let Some(manifest) = &continued {
        let here = identity(&out).map_err(|error| text(&error))?;
        own_place::check(&*blobs, manifest, process, &here, &[]).map_err(|error| text(&error))?;
    }
    let continues = leads && continued.is_some();
    let existing = match mode {
        _ if continues || !leads => Existing::Continue,
        Mode::Replace | Mode::Misspelt => Existing::Replace,
        Mode::Append => Existing::Append,
        Mode::Continue | Mode::NewerFormat | Mode::OlderFormat => Existing::Refuse,
    };
    let table = Arc::new(setup.table.clone());
    let first = Snapshot::empty(&setup.topic_name, Arc::clone(&table), wall);
    let latest = first.to_json();
    // What an earlier run left is removed when the job can run, and not before.
    let later = leads && existing != Existing::Continue;
    match later {
        true => check(&out, existing),
        false => prepare(&out, existing, leads.then_some(&latest)),
    }
    .map_err(|error| text(&error))?;
    let here = identify(&out, run).map_err(|error| text(&error))?;
    setup.meeting.come(process, here.clone());
    let mut places = Vec::new();
    if leads {
        // It has met the others before it looks where to begin.
        places = loop {
            match setup.meeting.others() {
                Some(others) => break others,
                None if setup.scheduler.give_way() => {}
                None => return Err("it ended before it had met the others".to_owned()),
            }
        };
    }

    let trace = outside.trace();
    let report = Report::new(move |line| trace.line(format_args!("  {id} says: {line}")));
    let outputs = FileOutputs {
        out: out.clone(),
        run,
        roll: Roll { every: plan.roll_every, rows: plan.roll_rows, ..Roll::default() },
        codec: ParquetCodec::default(),
        clock: clock.clone(),
        report: report.clone(),
        table: setup.table,
        topic: setup.topic_name,
        windows: setup.options.windows,
    };
    let outputs = DeferredOutputs { files: outputs, prepare: later.then_some((existing, latest)) };
    let background = setup.scheduler.background(id, plan.queue_bytes_max);
    let view = View::new(first);
    let latest_json = leads
        .then(|| {
            let every = plan.epoch_every;
            LatestJson::spawn_by(&background, &out, &view, every, &clock, &report, existing)
        })
        .transpose()
        .map_err(|error| text(&error))?;
    let checkpoints = Checkpoints {
        blobs,
        every: plan.checkpoint_every,
        keep: plan.keep,
        fresh,
        start: run,
        shape: BTreeMap::new(),
        outputs: Some(here),
    };
    let mut source = setup.topic.source(bounded, plan.reads, &outside, id);
    source.alteration.is_misspelt = mode == Mode::Misspelt;
    let job_options = options(setup.options, &plan);
    let job = Job::new(source.clone(), setup.decoder, setup.aggregate, table, outputs, job_options)
        .with_placement(PlacementSeed::default())
        .with_checkpoints(Some(checkpoints))
        .with_places(places)
        .with_background(background)
        .with_report(report);
    let place = Place { process, threads: workers };
    let started = started(job, place, &clock, &view, &stop, source)?;
    let (job, discovery) = started;
    let left = Arc::new(Mutex::new(Left::default()));
    let (on_workers, leaving) = (Arc::clone(&job), Arc::clone(&left));
    let (ending, asked, told) = (Arc::clone(&job), Arc::clone(&job), job);
    Ok(Process {
        before: Some((
            Box::new(move |worker: &mut Worker| work(&on_workers, &leaving, worker)),
            discovery,
        )),
        peer_gone: Box::new(move |process, reason| told.peer_gone(process, reason)),
        has_failed: Box::new(move || asked.has_failed()),
        workers,
        left,
        end: Box::new(move |summary| {
            let result = ending.end(summary);
            let closed = latest_json.map_or(Ok(()), |latest| latest.close());
            // The first error is the cause.
            result.and_then(|summary| {
                closed.map(|()| summary).map_err(|error| JobError::Output(Box::new(error)))
            })
        }),
    })
}

type SimulatedJob<D, A> = Job<SimulatedTopic, D, A, DeferredOutputs>;
type StartedProcess<D, A> = Arc<StartedJob<SimulatedTopic, D, A, DeferredOutputs>>;

/// Outputs whose place is made ready when the job can run, as a program has them.
struct DeferredOutputs {
    files: FileOutputs,
    /// What to do about rows of an earlier run, and the first `latest.json`.
    prepare: Option<(Existing, Value)>,
}

impl<O> Outputs<O> for DeferredOutputs
where
    FileOutputs: Outputs<O>,
{
    fn prepare(&self, _runs: &[RunId]) -> Result<(), Trouble> {
        let Some((existing, latest)) = &self.prepare else { return Ok(()) };
        prepare(&self.files.out, *existing, Some(latest))
            .map_err(|error| Arc::new(error) as Trouble)
    }

    fn open(&self, process: usize, visibility: Visibility) -> OpenOutputs<O> {
        self.files.open(process, visibility)
    }
}

/// Where the processes of a start say where their outputs are. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Meeting(Arc<Mutex<Vec<Option<OutputIdentity>>>>);

impl Meeting {
    /// Of so many processes.
    pub(super) fn of(processes: usize) -> Meeting {
        Meeting(Arc::new(Mutex::new(vec![None; processes])))
    }

    fn come(&self, process: usize, here: OutputIdentity) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[process] = Some(here);
    }

    /// Where the outputs of the others are, once all have come.
    fn others(&self) -> Option<Vec<OutputIdentity>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Option<Vec<OutputIdentity>> = all.iter().cloned().collect();
        Some(all?.split_off(1))
    }
}

/// Starts the job, and hears of new partitions.
fn started<D, A>(
    job: SimulatedJob<D, A>,
    place: Place,
    clock: &Clock,
    view: &View,
    stop: &Stop,
    source: SimulatedTopic,
) -> Result<(StartedProcess<D, A>, Discovery), String>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let mut started = job.start(place, clock, view, stop).map_err(|error| error.to_string())?;
    let (found, discovered) = sync_channel(1);
    let known = started.known_partitions();
    if known.is_some() {
        started.discover_by(discovered);
    }
    let known = known.and_then(|known| u32::try_from(known).ok()).unwrap_or(u32::MAX);
    Ok((Arc::new(started), Discovery { source, known, found }))
}

/// What `checkpoints recover --out` does.
pub(super) fn recover_place(out: &Directory, blobs: &dyn Blobs) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let newest = catalog::find(blobs).map_err(|error| text(&error))?.newest;
    let newest = newest.ok_or("there is no checkpoint")?;
    let here = identity(out).map_err(|error| text(&error))?;
    let recovery = places::recovery_at(&newest, &here);
    let gone = show_staged(out, &recovery).map_err(|error| text(&error))?;
    if let Some(gone) = gone.first() {
        return Err(format!("{} is missing or damaged", gone.name));
    }
    places::report_shown(blobs, &newest, &here).map_err(|error| text(&error))
}

/// What a worker does.
fn work<D, A>(started: &StartedProcess<D, A>, left: &Arc<Mutex<Left>>, worker: &mut Worker) -> Work
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let mut job = Some(started.build(worker));
    let left = Arc::clone(left);
    Box::new(move |worker| {
        let Some(on_worker) = &mut job else { return false };
        if let NextStep::Within(_) = on_worker.lead(worker) {
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
        unmerged_bytes_max: plan.unmerged_bytes_max.unwrap_or(options.unmerged_bytes_max),
        epoch_every: plan.epoch_every,
        publish_every: 2 * plan.epoch_every,
        discover_every: NEVER,
        ..options
    }
}
