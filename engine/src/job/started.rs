//! A job that has been started: what its workers share, and what each of them does.
//!
//! [`Job::run`] gives each worker a thread of its own. Whoever wants to decide which worker makes
//! the next step, as a simulation does, starts the job with [`Job::start`], builds a [`JobWorker`]
//! on each worker, and drives them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::time::Time;
use strandline_operators::window::{KeyGroup, MergeWindows, PaneState, Unmerged, WindowInputs};
use timely::dataflow::operators::core::{Inspect, Probe};
use timely::dataflow::operators::vec::Broadcast;
use timely::worker::Worker;

use super::begin::{Beginning, CheckpointBeginning};
use super::{Job, JobError, Place, Stop, Summary};
use crate::board::Board;
use crate::checkpoint::manifest::{Manifest, Pending};
use crate::checkpoint::places::Restoration;
use crate::checkpoint::reading::read_sections;
use crate::clock::Clock;
use crate::commit::durable::{Outgoing, Standing, durable};
use crate::commit::protocol::LeaderCommand;
use crate::commit::{
    self, CommitterCheckpoints, CommitterHandle, CommitterOptions, CommitterOutputs, Mailbox,
    MailboxItem,
};
use crate::condition::JobCondition;
use crate::epoch::broadcast::BroadcastInput;
use crate::epoch::checkpointer::Checkpointer;
use crate::epoch::control::Leave;
use crate::epoch::coordinator::Coordinator;
use crate::epoch::leader::{Inputs, Leader, LeaderOptions, LeaderParts};
use crate::failure::Failure;
use crate::finals::share;
use crate::ingest::{IngestOptions, ingest};
use crate::monitor::others::Teller;
use crate::outputs::{Outputs, Visibility};
use crate::peers::{GoAhead, Met};
use crate::reason_words::ReasonWords;
use crate::run_id::RunId;
use crate::source::{PartitionStart, Plan, Source};
use crate::table::Cells;
use crate::telemetry::Telemetry;
use crate::view::View;

/// A job whose workers may begin. All workers of a process share it.
pub struct Started<S, D, A: Aggregate<D::Value>, W>
where
    D: Decode,
{
    pub(super) job: Job<S, D, A, W>,
    pub(super) failure: Failure,
    place: Place,
    clock: Clock,
    view: View,
    stop: Stop,
    telemetry: Telemetry,
    /// What its workers have sent and is not merged: where they are all, and where there are others.
    unmerged: Unmerged,
    unmerged_by_epochs: Unmerged,
    /// What only worker 0 has; it takes it.
    lead: Mutex<Option<Lead>>,
    /// What the run continues, in the process that leads.
    continued: Option<Arc<Manifest>>,
    /// Why the run is refused although it does what it can.
    refused: Mutex<Option<JobError>>,
    committer: Mutex<Option<CommitterHandle>>,
}

/// Where the leader begins.
struct Lead {
    plan: Plan,
    discovered: Option<Receiver<Vec<PartitionStart>>>,
    checkpoint: Option<(Manifest, Restoration)>,
    /// Whether the run that is continued is finished: nothing is read.
    finished: bool,
}

impl<S, D, A, W> Job<S, D, A, W>
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
    W: Outputs<A::Output>,
{
    /// Finds out where to begin, which in the process that leads asks the log and the checkpoints,
    /// and opens the outputs.
    ///
    /// # Errors
    ///
    /// What makes it impossible to begin.
    pub fn start(
        self,
        place: Place,
        clock: &Clock,
        view: &View,
        stop: &Stop,
    ) -> Result<Started<S, D, A, W>, JobError> {
        self.start_among(place, None, clock, view, stop)
    }

    /// The same where the others have been met: they begin when the process that leads says so.
    pub(super) fn start_among(
        self,
        place: Place,
        mut others: Option<&mut Met>,
        clock: &Clock,
        view: &View,
        stop: &Stop,
    ) -> Result<Started<S, D, A, W>, JobError> {
        let leads = place.process == 0;
        if !leads {
            view.telemetry().set_process(place.process);
        }
        if let Some(others) = &mut others {
            self.agree_on_places(leads, others, stop)?;
        }
        let beginning = if leads { Some(self.begin(clock, view, stop)?) } else { None };
        let (mut lead, mut continued, mut retention) = (None, None, None);
        let mut refused = None;
        if let Some(Beginning { plan, checkpoint, finished, then }) = beginning {
            refused = then;
            let mut words = None;
            if let Some(found) = checkpoint {
                let CheckpointBeginning { claim, restoration, .. } = found;
                words = Some((claim, restoration));
                (continued, retention) = (found.continued, Some(found.retention));
            }
            lead = Some(Lead { plan, discovered: None, checkpoint: words, finished });
        }
        let claim = lead.as_ref().and_then(|lead| lead.checkpoint.as_ref());
        let go_ahead = leads.then(|| GoAhead {
            is_anew: continued.as_ref().is_none_or(|manifest| manifest.cut.is_none()),
            job: claim.and_then(|(claim, _)| claim.job.parse().ok()),
        });
        self.prepare_outputs(go_ahead, others, stop)?;
        let visibility = match self.checkpoints {
            Some(_) => Visibility::WithCheckpoints,
            None => Visibility::AsTheyCome,
        };
        let failure = Failure::default();
        let options = CommitterOptions {
            process: place.process,
            workers: place.threads,
            outputs: CommitterOutputs::of(self.outputs.open(place.process, visibility)),
            checkpoints: self.checkpoints.as_ref().map(|checkpoints| CommitterCheckpoints {
                blobs: Arc::clone(&checkpoints.blobs),
                pending: continued.as_deref().map(pending).unwrap_or_default(),
                place: checkpoints.outputs.clone(),
                retention,
            }),
            clock: clock.clone(),
            report: self.report.clone(),
            failure: failure.clone(),
            stop: stop.clone(),
            telemetry: view.telemetry().clone(),
        };
        let committer = commit::start(options, &self.background)
            .map_err(|error| JobError::Start(error.to_string()))?;
        Ok(Started {
            job: self,
            failure,
            place,
            clock: clock.clone(),
            view: view.clone(),
            stop: stop.clone(),
            telemetry: view.telemetry().clone(),
            unmerged: Unmerged::counted(),
            unmerged_by_epochs: Unmerged::counted_by_epochs(),
            lead: Mutex::new(lead),
            continued,
            refused: Mutex::new(refused),
            committer: Mutex::new(Some(committer)),
        })
    }

    /// Takes the places of outputs, before a checkpoint is claimed.
    fn agree_on_places(&self, leads: bool, others: &mut Met, stop: &Stop) -> Result<(), JobError> {
        if leads {
            return others.hear_places(stop);
        }
        let taken = self.outputs.take_place(&others.runs);
        others.tell_place(&taken)?;
        // The process that leads says it to all.
        if taken.is_err() { others.hear(stop).map(drop) } else { Ok(()) }
    }

    /// Makes the places of outputs ready. `go_ahead`: what the process that leads tells the others,
    /// in that process.
    fn prepare_outputs(
        &self,
        go_ahead: Option<GoAhead>,
        others: Option<&mut Met>,
        stop: &Stop,
    ) -> Result<(), JobError> {
        let mut runs = others.as_ref().map_or_else(|| self.own_runs(), |met| met.runs.clone());
        let prepare = |runs: &[RunId]| {
            let prepared = self.outputs.prepare(runs);
            prepared.map_err(|trouble| JobError::Output(trouble.to_string().into()))
        };
        match (go_ahead, others) {
            (Some(go_ahead), others) => {
                // Before the others write: they may share the place.
                runs.extend(go_ahead.job);
                prepare(&runs)?;
                others.map_or(Ok(()), |others| others.tell(&go_ahead))
            }
            (None, Some(others)) => {
                let GoAhead { is_anew, job } = others.hear(stop)?;
                runs.extend(job);
                if is_anew { prepare(&runs) } else { Ok(()) }
            }
            (None, None) => Ok(()),
        }
    }
}

impl<S, D, A, W> Started<S, D, A, W>
where
    S: Source,
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
    W: Outputs<A::Output>,
{
    /// How many partitions there are, where more may be found while the job runs.
    pub fn known_partitions(&self) -> Option<usize> {
        let lead = self.lead.lock().unwrap_or_else(PoisonError::into_inner);
        let lead = lead.as_ref()?;
        if lead.finished {
            return None;
        }
        let partitions = &lead.plan.partitions;
        let bounded = partitions.iter().all(|start| start.end.is_some());
        (!bounded).then_some(partitions.len())
    }

    /// Hears of new partitions.
    pub fn discover_by(&mut self, discovered: Receiver<Vec<PartitionStart>>) {
        let lead = self.lead.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(lead) = lead {
            lead.discovered = Some(discovered);
        }
    }

    /// Another process of the job is gone: that ends this one too. [`Job::run`] hears of it by itself;
    /// this is for whoever drives the workers.
    pub fn peer_gone(&self, process: usize, reason: &str) {
        self.failure.report(JobError::PeerGone { process, reason: reason.to_owned() });
    }

    /// Whether it has failed: whoever drives the workers of the other processes tells them.
    pub fn has_failed(&self) -> bool {
        self.failure.happened()
    }

    /// What a worker with a thread of its own does: everything, until there is no more to do.
    pub(super) fn work(&self, worker: &mut Worker) -> Option<Summary> {
        let index = worker.index();
        let work = std::panic::AssertUnwindSafe(|| {
            let mut work = self.build(worker);
            while let NextStep::Within(wait) = work.lead(worker) {
                worker.step_or_park(wait);
            }
            work.conclude(worker)
        });
        std::panic::catch_unwind(work).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            self.failure.report(JobError::Panicked { worker: index, message });
            None
        })
    }

    /// Builds the dataflow on a worker.
    pub fn build(&self, worker: &mut Worker) -> JobWorker {
        self.failure.register_worker();
        let options = self.job.options;
        let index = worker.index();
        let processes = worker.peers() / self.place.threads;
        let lead = (index == 0)
            .then(|| self.lead.lock().unwrap_or_else(PoisonError::into_inner).take())
            .flatten();
        let continued = self.continued.as_ref().and_then(|manifest| manifest.cut.as_ref());
        let leaves = Rc::new(Cell::new(None));
        let coordinator = Coordinator::new(options.watermark, worker.peers(), continued);
        let board = Board::new(options.windows, continued, self.view.feed().clone());
        let mailbox = {
            let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
            committer.as_ref().expect("the committer outlives the workers").mailbox().clone()
        };

        let (inputs, words, mut restored, written) =
            worker.dataflow_named::<Time, _, _>("Strandline", |scope| {
                let (turns, turn_stream) = BroadcastInput::open(scope);
                let (pulses, pulse_stream) = BroadcastInput::open(scope);
                let (cuts, cut_stream) = BroadcastInput::open(scope);
                let (words, word_stream) = BroadcastInput::open(scope);
                let (restored, restored_stream) = BroadcastInput::open(scope);
                let (conditions, condition_stream) = BroadcastInput::open(scope);
                // One worker speaks and listens for its process, if that does not lead.
                let (process, threads) = (self.place.process, self.place.threads);
                let speaks = process > 0 && index == process * threads;
                let teller = speaks.then(|| Teller::new(process, self.view.telemetry().clone()));
                let shown = speaks.then(|| self.view.clone());
                condition_stream.broadcast().inspect(move |told: &Vec<JobCondition>| {
                    if let Some(view) = &shown {
                        view.show_conditions(told.clone());
                    }
                });
                let unmerged = match scope.peers() == self.place.threads {
                    true => self.unmerged.clone(),
                    false => self.unmerged_by_epochs.clone(),
                };
                let ingested = ingest(
                    scope,
                    turn_stream.broadcast(),
                    &self.job.source,
                    self.job.decoder.clone(),
                    self.job.aggregate.clone(),
                    IngestOptions {
                        windows: options.windows,
                        watermark: options.watermark,
                        max_future: options.max_future,
                        max_past: options.max_past,
                        future_by_clock: options.future_by_clock,
                        idle_after: options.idle_after,
                        max_drift: options.max_drift,
                        placement: self.job.placement,
                        unmerged_bytes_max: options.unmerged_bytes_max,
                    },
                    self.clock.clone(),
                    self.failure.clone(),
                    self.telemetry.clone(),
                    unmerged.clone(),
                    Rc::clone(&leaves),
                    self.stop.clone(),
                    teller,
                );
                let inputs = WindowInputs {
                    pulses: pulse_stream.broadcast(),
                    cuts: cut_stream.broadcast(),
                    restored: restored_stream,
                    placement: self.job.placement,
                    unmerged: unmerged.clone(),
                };
                let aggregate = self.job.aggregate.clone();
                let windowed =
                    ingested.merge_inputs.merge_windows(options.windows, aggregate, inputs);
                let finals = share(windowed.finals);
                let outgoing = Outgoing {
                    finals: finals.clone(),
                    rejected: ingested.rejected,
                    snapshots: windowed.snapshots,
                    words: word_stream.broadcast(),
                };
                board.listen(windowed.live, finals, &self.clock);
                let standing = Standing {
                    process: self.place.process,
                    processes,
                    worker: index - self.place.process * self.place.threads,
                    checkpoints: self.job.checkpoints.is_some(),
                };
                let (sealed, shown) =
                    durable(scope, outgoing, standing, mailbox.clone(), self.failure.clone());
                let (written, sealed) = sealed.probe();
                coordinator.listen(ingested.reports, windowed.counts, sealed, shown);
                (Inputs { turns, pulses, cuts, conditions }, words, restored, written)
            });
        self.restore(index, &mut restored);
        drop(restored);

        let leader = lead.map(|lead| {
            let mut finished = None;
            let checkpointer = lead.checkpoint.zip(self.job.checkpoints.as_ref()).map(
                |((claim, restoration), checkpoints)| {
                    finished = restoration.epoch().filter(|_| lead.finished);
                    let recover = LeaderCommand::Recover(restoration, claim.number);
                    let source = self.job.source.clone();
                    Checkpointer::new(
                        checkpoints.every,
                        self.clock.elapsed(),
                        mailbox.clone(),
                        words,
                        claim,
                        recover,
                        Box::new(move |positions| source.committed(positions)),
                        self.view.telemetry().clone(),
                    )
                },
            );
            Leader::new(
                LeaderOptions {
                    table: Arc::clone(&self.job.table),
                    reason_words: ReasonWords::of(&self.job.decoder),
                    topic: self.job.source.topic().to_owned(),
                    job: options,
                    workers: worker.peers(),
                    local_workers: self.place.threads,
                    finished,
                },
                LeaderParts {
                    inputs,
                    checkpointer,
                    coordinator,
                    board,
                    written,
                    view: self.view.clone(),
                    clock: self.clock.clone(),
                    stop: self.stop.clone(),
                    telemetry: self.telemetry.clone(),
                    report: self.job.report.clone(),
                },
                lead.plan,
                lead.discovered,
                continued,
            )
        });
        JobWorker { leader, leaves, mailbox, failure: self.failure.clone() }
    }

    /// Brings back this worker's share of what the run continues.
    fn restore(&self, worker: usize, restored: &mut BroadcastInput<PaneState<A::Partial>>) {
        let (Some(manifest), Some(checkpoints)) = (&self.continued, &self.job.checkpoints) else {
            return;
        };
        let processes = manifest.cut.iter().flat_map(|cut| &cut.processes);
        let mine = processes
            .flat_map(|process| &process.state)
            .filter(|(group, _)| KeyGroup::worker(*group, self.place.threads) == worker)
            .map(|(_, section)| section);
        let read = read_sections(&*checkpoints.blobs, mine, |section, bytes| {
            restored.send_all(section.decode::<PaneState<A::Partial>>(bytes)?);
            Ok(())
        });
        if let Err(error) = read {
            self.failure.report(JobError::Checkpoint(error));
        }
    }

    /// Ends the job when its workers have: `summary` is what worker 0 concluded.
    ///
    /// # Errors
    ///
    /// The first thing that failed.
    pub fn end(&self, summary: Option<Summary>) -> Result<Summary, JobError> {
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failed = self.failure.happened();
        if let Some(committer) = committer {
            if failed && self.job.checkpoints.is_some() {
                committer.forget();
            } else {
                if failed {
                    // What was handed over is written, if the disk takes it now.
                    self.stop.request();
                }
                if let Err(lost) = committer.complete() {
                    self.failure.report(JobError::Output(Box::new(lost)));
                }
            }
        }
        match self.failure.take() {
            Some(error) => Err(error),
            None => match self.refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(error) => Err(error),
                None => Ok(summary.unwrap_or_default()),
            },
        }
    }
}

/// How a worker goes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// It is stepped, and sleeps before that for so long at most if nothing wakes it; without a limit,
    /// until something does.
    Within(Option<Duration>),
    /// There is nothing more to do.
    Never,
}

/// What one worker does.
pub struct JobWorker {
    leader: Option<Leader>,
    leaves: Rc<Cell<Option<Leave>>>,
    mailbox: Mailbox,
    failure: Failure,
}

impl std::fmt::Debug for JobWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobWorker").field("leads", &self.leader.is_some()).finish_non_exhaustive()
    }
}

impl JobWorker {
    /// Does what is due besides stepping the worker, before each step.
    pub fn lead(&mut self, worker: &mut Worker) -> NextStep {
        if !worker.has_dataflows() || self.leaves.get().is_some() || self.failure.happened() {
            return NextStep::Never;
        }
        let Some(leader) = &mut self.leader else { return NextStep::Within(None) };
        match leader.lead() {
            Ok(wait) => NextStep::Within(Some(wait)),
            Err(error) => {
                self.failure.report(error);
                NextStep::Never
            }
        }
    }

    /// Takes the dataflow down. Worker 0 says what the run came to, if it did not fail.
    pub fn conclude(self, worker: &mut Worker) -> Option<Summary> {
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
        if self.failure.happened() {
            self.failure.wake_workers();
            return None;
        }
        if let Some(Leave { committed: Some(epoch) }) = self.leaves.get()
            && let Err(lost) = self.mailbox.send(MailboxItem::Commit { epoch })
        {
            self.failure.report(JobError::Output(Box::new(lost)));
        }
        self.leader.map(Leader::conclude)
    }
}

/// The rows that waited for their file in a cut.
fn pending(manifest: &Manifest) -> VecDeque<Pending> {
    let processes = manifest.cut.iter().flat_map(|cut| &cut.processes);
    processes.flat_map(|process| process.outputs.pending.clone()).collect()
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
