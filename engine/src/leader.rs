//! Worker 0's part besides working: it turns epochs, asks for live rows, publishes the view, and
//! sees to it that a run ends.
//!
//! This is driven between steps of the worker, not by an operator, because it is where the clock
//! is looked at: operators never do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::Pulse;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::ActivateCapability;
use timely::dataflow::operators::core::UnorderedHandle;
use timely::dataflow::operators::core::UnorderedInput;
use timely::dataflow::operators::core::probe::Handle as ProbeHandle;
use timely::dataflow::{Scope, StreamVec};

use crate::board::Board;
use crate::clock::Clock;
use crate::control::{Assignment, Order, Turn};
use crate::coordinator::Coordinator;
use crate::ingest::Meter;
use crate::job::{JobError, JobOptions, Stop, Summary};
use crate::source::PartitionStart;
use crate::table::Table;
use crate::view::{OPEN_WINDOWS_MAX, OpenWindow, Phase, Snapshot, View};

/// Epochs that may be incomplete at once.
const EPOCHS_IN_FLIGHT_MAX: u64 = 2;
/// How long a stop may take until the outputs have everything.
const STOP_LIMIT: Duration = Duration::from_secs(4);
/// Over how many epochs the rate of records is averaged.
const RATE_EPOCHS: usize = 3;

/// A way into the dataflow for what holds no data back.
pub(crate) struct Say<D: Clone + 'static> {
    handle: UnorderedHandle<Time, CapacityContainerBuilder<Vec<D>>>,
    capability: ActivateCapability<Time>,
}

impl<D: Clone + 'static> Say<D> {
    /// Opens it in `scope`. The stream ends when every worker has dropped its handle.
    pub(crate) fn open(scope: Scope<'_, Time>) -> (Say<D>, StreamVec<'_, Time, D>) {
        let ((handle, capability), stream) = scope.new_unordered_input();
        (Say { handle, capability }, stream)
    }

    fn say(&mut self, word: D) {
        self.handle.activate().session(&self.capability).give(word);
    }
}

pub(crate) struct LeaderOptions {
    pub(crate) table: Arc<Table>,
    pub(crate) topic: String,
    pub(crate) job: JobOptions,
    pub(crate) workers: usize,
    pub(crate) local_workers: usize,
}

pub(crate) struct Leader {
    options: LeaderOptions,
    /// `None` once there is nothing more to say: the dataflow may end.
    inputs: Option<(Say<Turn>, Say<Pulse>)>,
    /// Partitions that no worker has been told to read.
    unassigned: Vec<PartitionStart>,
    /// Whether the run ends where the partitions ended at the start.
    bounded: bool,
    discovered: Option<Receiver<Vec<PartitionStart>>>,
    /// How many partitions each worker reads.
    partitions_of: Vec<usize>,
    coordinator: Coordinator,
    board: Board,
    /// What the outputs have been handed.
    written: ProbeHandle<Time>,
    view: View,
    clock: Clock,
    stop: Stop,
    meter: Meter,
    epoch: u64,
    next_turn_at: Duration,
    next_pulse_at: Duration,
    stopping: Stopping,
    /// Records read, and when: at the last complete epochs.
    rates: VecDeque<(Duration, u64)>,
    seen_complete: Option<u64>,
    published: u64,
}

/// How far an orderly stop has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    /// The sources rest; everything of the epochs up to this one is to be written.
    Completing {
        epoch: u64,
        since: Duration,
    },
    /// The workers have been told to leave.
    Leaving,
}

impl Leader {
    #[expect(clippy::too_many_arguments, reason = "each is one thing that it leads by")]
    pub(crate) fn new(
        options: LeaderOptions,
        turns: Say<Turn>,
        pulses: Say<Pulse>,
        plan: Vec<PartitionStart>,
        discovered: Option<Receiver<Vec<PartitionStart>>>,
        coordinator: Coordinator,
        board: Board,
        written: ProbeHandle<Time>,
        view: View,
        clock: Clock,
        stop: Stop,
        meter: Meter,
    ) -> Leader {
        let now = clock.elapsed();
        let workers = options.workers;
        Leader {
            options,
            inputs: Some((turns, pulses)),
            bounded: plan.iter().all(|start| start.end.is_some()),
            unassigned: plan,
            discovered,
            partitions_of: vec![0; workers],
            coordinator,
            board,
            written,
            view,
            clock,
            stop,
            meter,
            epoch: 0,
            next_turn_at: now,
            next_pulse_at: now,
            stopping: Stopping::No,
            rates: VecDeque::new(),
            seen_complete: None,
            published: 0,
        }
    }

    /// Does what is due, and says how long the worker may sleep if nothing else wakes it.
    pub(crate) fn lead(&mut self) -> Result<Duration, JobError> {
        let now = self.clock.elapsed();
        if self.coordinator.has_ended() {
            self.inputs = None;
        }
        self.lead_stop(now)?;
        if self.next_turn_at <= now && self.stopping == Stopping::No && self.may_turn() {
            self.turn(Order::Read);
            self.next_turn_at = now + self.options.job.epoch_every;
        }
        self.measure(now);
        if self.next_pulse_at <= now {
            self.publish(self.phase());
            self.pulse();
            // Publishing many rows takes its time; it may not take more than a small part of it.
            let cost = self.clock.elapsed().saturating_sub(now);
            self.next_pulse_at = now + self.options.job.publish_every.max(cost * 20);
        }
        // What a step has to bring about first is looked at again after that step.
        let turns = self.stopping == Stopping::No && self.may_turn();
        let next =
            if turns { self.next_turn_at.min(self.next_pulse_at) } else { self.next_pulse_at };
        Ok(next.saturating_sub(now))
    }

    /// The last snapshot and what the run came to.
    pub(crate) fn conclude(mut self) -> Summary {
        let finished = self.coordinator.has_ended();
        self.board.choose(EventTime::MAX, true);
        self.publish(if finished { Phase::Finished } else { Phase::Stopping });
        Summary {
            ledger: self.coordinator.ledger(),
            final_rows: self.board.final_rows(),
            open_windows: self.board.open_windows().len() as u64,
            finished,
        }
    }

    fn phase(&self) -> Phase {
        if self.stopping == Stopping::No { Phase::Running } else { Phase::Stopping }
    }

    /// At most a few epochs are incomplete, or an output that is slow would fall behind without
    /// bound.
    fn may_turn(&self) -> bool {
        let complete_before = self.coordinator.complete_epoch().map_or(0, |epoch| epoch + 1);
        self.epoch < complete_before + EPOCHS_IN_FLIGHT_MAX
    }

    fn turn(&mut self, order: Order) {
        let floor = self.coordinator.floor();
        let assign = if order == Order::Read { self.assign() } else { Vec::new() };
        let bounded = self.bounded;
        let Some((turns, _)) = &mut self.inputs else { return };
        self.epoch += 1;
        turns.say(Turn { epoch: self.epoch, floor, assign, bounded, order });
    }

    /// Which worker reads a new partition. At the start that is the partition's number modulo the
    /// number of workers. Later it is the one that reads the fewest, but at least one: a worker
    /// without any has let go of event time, and capabilities never go back.
    fn assign(&mut self) -> Vec<Assignment> {
        if let Some(discovered) = &self.discovered {
            self.unassigned.extend(discovered.try_iter().flatten());
        }
        let (at_start, workers) = (self.epoch == 0, self.options.workers);
        let partitions_of = &mut self.partitions_of;
        let mut assign = Vec::new();
        self.unassigned.retain(|start| {
            let worker = if at_start {
                Some(start.partition.0 as usize % workers)
            } else {
                let able = (0..workers).filter(|worker| 0 < partitions_of[*worker]);
                able.min_by_key(|worker| partitions_of[*worker])
            };
            if let Some(worker) = worker {
                partitions_of[worker] += 1;
                assign.push(Assignment { worker, start: *start });
            }
            worker.is_none()
        });
        assign
    }

    fn pulse(&mut self) {
        let begun_by = self.clock.wall() - self.options.job.publish_every;
        let show = self.board.choose(begun_by, self.coordinator.all_finished());
        let Some((_, pulses)) = &mut self.inputs else { return };
        pulses.say(Pulse { show });
    }

    /// Steps through an orderly stop: rest, let the outputs have everything, leave.
    fn lead_stop(&mut self, now: Duration) -> Result<(), JobError> {
        let asked = self.stop.is_requested() || self.coordinator.stop_asked();
        match self.stopping {
            Stopping::No if asked && 0 < self.epoch => {
                self.stopping = Stopping::Completing { epoch: self.epoch, since: now };
                self.turn(Order::Rest);
                self.next_pulse_at = now;
            }
            Stopping::Completing { epoch, since } => {
                let passed = self.coordinator.complete_epoch().is_some_and(|e| epoch <= e)
                    && self.written.with_frontier(|f| f.iter().all(|time| epoch < time.epoch));
                if passed || self.coordinator.has_ended() {
                    self.stopping = Stopping::Leaving;
                    self.turn(Order::Leave);
                } else if since + STOP_LIMIT < now {
                    return Err(JobError::StopTimedOut(STOP_LIMIT));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn measure(&mut self, now: Duration) {
        let complete = self.coordinator.complete_epoch();
        if complete != self.seen_complete {
            self.seen_complete = complete;
            self.rates.push_back((now, self.coordinator.ledger().read));
            while RATE_EPOCHS + 1 < self.rates.len() {
                self.rates.pop_front();
            }
        }
    }

    fn records_per_second(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.rates.front(), self.rates.back())
        else {
            return 0.0;
        };
        let seconds = to.saturating_sub(*from).as_secs_f64();
        if seconds == 0.0 { 0.0 } else { (after - before) as f64 / seconds }
    }

    fn publish(&mut self, phase: Phase) {
        let partitions = self.coordinator.partitions();
        let watermarks = self.coordinator.watermarks();
        let passed = Some(self.board.final_before())
            .filter(|passed| EventTime::MIN < *passed && *passed < EventTime::MAX);
        let watermark = watermarks.minimum().max(passed);
        let open = self.board.open_windows();
        let holder = watermarks.furthest_behind();
        let open_windows = open.iter().take(OPEN_WINDOWS_MAX).map(|open| OpenWindow {
            window: open.window,
            keys: open.keys,
            waits_for: holder.filter(|holder| {
                watermarks.get(*holder).is_some_and(|w| w.value() < open.window.end)
            }),
        });
        let local_read: u64 = partitions
            .iter()
            .filter(|partition| partition.worker < self.options.local_workers)
            .map(|partition| partition.ledger.read)
            .sum();
        self.published += 1;
        let snapshot = Snapshot {
            number: self.published,
            at: self.clock.wall(),
            phase,
            topic: self.options.topic.clone(),
            table: Arc::clone(&self.options.table),
            window: self.board.display(),
            watermark,
            ledger: self.coordinator.ledger(),
            epoch: self.coordinator.complete_epoch().unwrap_or(0),
            in_flight: self.meter.records().saturating_sub(local_read),
            final_rows: self.board.final_rows(),
            records_per_second: self.records_per_second(),
            open_windows: open_windows.collect(),
            open_windows_count: open.len() as u64,
            partitions,
        };
        self.view.publish(snapshot);
    }
}
