//! Worker 0's part besides working: it turns epochs, asks for cuts and live rows, and sees to it that
//! a run ends. Which worker reads what is the [`assigner`](super::assigner)'s to say, and what is shown
//! the [`publisher`](super::publisher)'s.
//!
//! This is driven between steps of the worker, not by an operator, because it is where the clock
//! is looked at: operators never do.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{Cut, Pulse};
use timely::dataflow::operators::core::probe::Handle as ProbeHandle;

use crate::board::Board;
use crate::checkpoint::manifest::CutRecord;
use crate::clock::Clock;
use crate::condition::{JobCondition, Phase};
use crate::epoch::assigner::Assigner;
use crate::epoch::broadcast::BroadcastInput;
use crate::epoch::checkpointer::Checkpointer;
use crate::epoch::control::{Order, Turn};
use crate::epoch::coordinator::Coordinator;
use crate::epoch::cuts::Imbalance;
use crate::epoch::publisher::{Progress, Publisher, Shown};
use crate::error::JobError;
use crate::job_options::JobOptions;
use crate::monitor::observer::{Observer, Patience};
use crate::notice::Notice;
use crate::reason_words::ReasonWords;
use crate::report::Report;
use crate::source::{PartitionStart, Plan, TopicIdentity};
use crate::stop::Stop;
use crate::summary::Summary;
use crate::table::Table;
use crate::telemetry::Telemetry;
use crate::view::View;

/// Epochs that may be incomplete at once.
const EPOCHS_IN_FLIGHT_MAX: u64 = 2;
/// The part of `max_drift` that a lift brings event time forward by, at least, if turning epochs
/// early for it is worthwhile.
const LIFT_WORTHWHILE: u32 = 8;
/// How long a stop may take until the outputs have everything.
const STOP_LIMIT: Duration = Duration::from_secs(4);
/// How long after a stop began it is still waited for the last manifest, which spares the next start
/// other processes' places.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// How long after a pulse a view is published: what workers that are not busy take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(10);

/// Where the leader speaks into the dataflow.
pub(crate) struct Inputs {
    pub(crate) turns: BroadcastInput<Turn>,
    pub(crate) pulses: BroadcastInput<Pulse>,
    pub(crate) cuts: BroadcastInput<Cut>,
    /// What holds of the job, for the other processes.
    pub(crate) conditions: BroadcastInput<Vec<JobCondition>>,
}

pub(crate) struct LeaderOptions {
    pub(crate) table: Arc<Table>,
    pub(crate) reason_words: ReasonWords,
    pub(crate) topic: String,
    pub(crate) job: JobOptions,
    pub(crate) workers: usize,
    pub(crate) local_workers: usize,
    /// The last epoch of a run that is finished, if this start only shows what it left hidden.
    pub(crate) finished: Option<u64>,
}

impl LeaderOptions {
    fn processes(&self) -> usize {
        self.workers / self.local_workers.max(1)
    }
}

/// What the leader leads by.
pub(crate) struct LeaderParts {
    pub(crate) inputs: Inputs,
    /// Where cuts become checkpoints, if they do.
    pub(crate) checkpointer: Option<Checkpointer>,
    pub(crate) coordinator: Coordinator,
    pub(crate) board: Board,
    /// What the outputs have been handed.
    pub(crate) written: ProbeHandle<Time>,
    pub(crate) view: View,
    pub(crate) clock: Clock,
    pub(crate) stop: Stop,
    pub(crate) telemetry: Telemetry,
    pub(crate) report: Report,
}

pub(crate) struct Leader {
    options: LeaderOptions,
    /// `None` once there is nothing more to say: the dataflow may end.
    inputs: Option<Inputs>,
    /// `None` where cuts do not become checkpoints; also when the last one has.
    checkpointer: Option<Checkpointer>,
    committed_before: Option<EventTime>,
    topic: TopicIdentity,
    assigner: Assigner,
    closed_before: EventTime,
    /// Records that were read of all partitions before this run.
    read_before_run: u64,
    at_start: bool,
    /// Whether the run ends where the partitions ended at the start.
    bounded: bool,
    coordinator: Coordinator,
    board: Board,
    /// What the outputs have been handed.
    written: ProbeHandle<Time>,
    publisher: Publisher,
    clock: Clock,
    stop: Stop,
    epoch: u64,
    next_turn_at: Duration,
    /// Before that, no turn is made for a lift alone.
    lift_at: Duration,
    /// The floor of the last lift for which a turn was wanted.
    lifted_to: EventTime,
    next_pulse_at: Duration,
    /// When what the last pulse asked for is published, if it has not been.
    publish_at: Option<Duration>,
    stopping: Stopping,
    /// Whether everything is visible of a run that was finished before.
    shown_again: bool,
    report: Report,
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
    /// Reads what is planned and what is `discovered` besides, and goes on from what is `kept`.
    pub(crate) fn new(
        options: LeaderOptions,
        parts: LeaderParts,
        plan: Plan,
        discovered: Option<Receiver<Vec<PartitionStart>>>,
        kept: Option<&CutRecord>,
    ) -> Leader {
        let LeaderParts { inputs, checkpointer, coordinator, board, written, .. } = parts;
        let LeaderParts { view, clock, stop, telemetry, report, .. } = parts;
        let now = clock.elapsed();
        let patience = Patience {
            idle_after: options.job.idle_after,
            epoch_every: options.job.epoch_every,
            checkpoint_every: checkpointer.as_ref().map_or(Duration::ZERO, Checkpointer::every),
            look_every: options.job.publish_every,
        };
        let before = kept.map(CutRecord::ledger).unwrap_or_default();
        let observer = Observer::new(patience, report.clone(), before);
        let shown = Shown {
            topic: options.topic.clone(),
            table: Arc::clone(&options.table),
            reason_words: options.reason_words.clone(),
            local_workers: options.local_workers,
            final_rows_before: kept.map_or(0, |kept| kept.final_rows),
        };
        let bounded = plan.partitions.iter().all(|start| start.end.is_some());
        let workers = (options.workers, options.local_workers);
        let assigner = Assigner::new(workers, plan.partitions, discovered, kept, report.clone());
        Leader {
            options,
            inputs: Some(inputs),
            committed_before: checkpointer.as_ref().map(Checkpointer::committed_before),
            checkpointer,
            closed_before: kept.map_or(EventTime::MIN, |kept| kept.closed_before),
            read_before_run: before.read,
            at_start: true,
            bounded,
            topic: plan.topic,
            assigner,
            coordinator,
            board,
            written,
            publisher: Publisher::new(shown, view, clock.clone(), telemetry, observer),
            clock,
            stop,
            report,
            epoch: kept.map_or(0, |kept| kept.epoch),
            next_turn_at: now,
            lift_at: now,
            lifted_to: EventTime::MIN,
            next_pulse_at: now,
            publish_at: None,
            stopping: Stopping::No,
            shown_again: false,
        }
    }

    /// Does what is due, and says how long the worker may sleep if nothing else wakes it.
    pub(crate) fn lead(&mut self) -> Result<Duration, JobError> {
        let now = self.clock.elapsed();
        self.publisher.note_leader(now);
        if self.coordinator.has_ended() {
            self.inputs = None;
        }
        if self.options.processes() > 1 {
            let others = self.inputs.as_mut().map(|inputs| &mut inputs.conditions);
            self.publisher.exchange_conditions(&self.coordinator, others);
        }
        if let Some(checkpointer) = &mut self.checkpointer
            && checkpointer.keep(&self.coordinator, self.clock.wall(), now)
        {
            // The last manifest of a run that has come to its end.
            self.checkpointer = None;
        }
        if let Some(checkpointer) = &self.checkpointer {
            self.committed_before = Some(checkpointer.committed_before());
        } else if self.committed_before.is_some() {
            self.committed_before = Some(EventTime::MAX);
        }
        if let Some(Imbalance { epoch, partition, ledger }) = self.coordinator.imbalance() {
            let committed = self.committed_before.is_some();
            return Err(JobError::Unbalanced {
                epoch,
                partition,
                ledger: Box::new(ledger),
                committed,
            });
        }
        if let Some(epoch) = self.options.finished {
            return Ok(self.lead_showing(epoch, now));
        }
        self.lead_stop(now)?;
        let due = self.next_turn_at <= now
            || self.wants_turn(now)
            || self.coordinator.is_laden(self.epoch);
        if due && self.stopping == Stopping::No && self.may_turn() {
            self.turn(Order::Read, now);
            self.next_turn_at = now.saturating_add(self.options.job.epoch_every);
        }
        self.publisher.measure(&self.coordinator, now);
        self.tell_notices();
        if self.publish_at.is_some_and(|at| at <= now) {
            self.publish_at = None;
            self.publish(self.phase());
            // Publishing many rows takes its time; it may not take more than a small part of it.
            // The windows take about as long to give live rows as the board to take them.
            let cost = self.clock.elapsed().saturating_sub(now) + self.board.take_live_cost() * 2;
            self.next_pulse_at = self.next_pulse_at.max(now + cost * 20);
        }
        if self.next_pulse_at <= now {
            let every = self.options.job.publish_every;
            self.pulse();
            // With the answers, not with those to the pulse before.
            self.publish_at.get_or_insert(now + ANSWERS_WITHIN.min(every / 2));
            self.next_pulse_at = now.saturating_add(every);
        }
        // What a step has to bring about first is looked at again after that step.
        let turns = self.stopping == Stopping::No && self.may_turn();
        let due = [Some(self.next_pulse_at), self.publish_at, turns.then_some(self.next_turn_at)];
        let next = due.into_iter().flatten().min().unwrap_or(self.next_pulse_at);
        Ok(next.saturating_sub(now))
    }

    /// Leads a run that was finished before: it ends when all processes have shown what was left
    /// hidden, up to `epoch`.
    fn lead_showing(&mut self, epoch: u64, now: Duration) -> Duration {
        let all_shown = self.coordinator.have_shown(0..self.options.processes(), epoch);
        if self.stopping == Stopping::No && (all_shown || self.stop.is_requested()) {
            self.stopping = Stopping::Leaving;
            self.shown_again = all_shown;
            self.turn(Order::Leave, now);
        }
        self.options.job.publish_every
    }

    /// The last snapshot and what the run came to.
    pub(crate) fn conclude(mut self) -> Summary {
        let finished = self.coordinator.has_ended() || self.shown_again;
        self.tell_notices();
        self.board.choose(EventTime::MAX, true);
        self.publish(if finished { Phase::Finished } else { Phase::Stopping });
        Summary {
            ledger: self.coordinator.ledger(),
            read_before: self.read_before_run,
            final_rows: self.board.final_rows(),
            open_windows: self.board.open_windows().len() as u64,
            finished,
            continues: !finished && self.committed_before.is_some(),
        }
    }

    fn publish(&mut self, phase: Phase) {
        let progress = Progress {
            phase,
            checkpoints: self.checkpointer.as_ref().map(Checkpointer::completed),
            committed_before: self.committed_before,
            read_before: self.assigner.read_before(),
        };
        self.publisher.publish(&self.coordinator, &self.board, progress);
    }

    fn tell_notices(&self) {
        for notice in self.coordinator.take_notices() {
            match notice {
                Notice::DeadLetter { .. } => self.report.news(&notice.to_string()),
                _ => self.report.say(&notice.to_string()),
            }
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

    /// Whether a turn would lift idle partitions that hold back one that has run ahead. Without a
    /// turn for it, event time would move on by what a partition may run ahead each time that an
    /// epoch is over: replaying a month beside an idle partition would take half a day.
    fn wants_turn(&self, now: Duration) -> bool {
        let may_lift = self.lift_at <= now && self.coordinator.may_lift(self.epoch);
        may_lift && self.coordinator.wants_turn()
    }

    /// Takes note of a lift to `floor` for which a turn was wanted. One that brought little is not
    /// followed by another before the next epoch is due: the partition that has run ahead waits for
    /// somebody who goes with the clock, and turning epochs faster would not help it.
    fn note_lift(&mut self, floor: EventTime, now: Duration) {
        if floor < self.lifted_to + self.options.job.max_drift / LIFT_WORTHWHILE {
            self.lift_at = now.saturating_add(self.options.job.epoch_every);
        }
        self.lifted_to = self.lifted_to.max(floor);
    }

    fn turn(&mut self, order: Order, now: Duration) {
        let floor = self.coordinator.floor(self.epoch);
        let assign = match order {
            Order::Read => self.assigner.assign(self.at_start),
            Order::Rest | Order::Leave => Vec::new(),
        };
        let topic = (!assign.is_empty()).then(|| self.topic.clone());
        let (bounded, closed_before) = (self.bounded, self.closed_before);
        let Some(inputs) = &mut self.inputs else { return };
        let left = self.epoch;
        if let Some(checkpointer) = &mut self.checkpointer
            && !self.at_start
            && checkpointer.asks_for_cut(&self.coordinator, left, order, now)
        {
            inputs.cuts.send(Cut { epoch: left, closing: order != Order::Read });
        }
        self.epoch += 1;
        self.at_start = false;
        // Only after the last cut of the epoch has been asked for.
        inputs.cuts.pass(self.epoch);
        let epoch = self.epoch;
        let committed = self.checkpointer.as_ref().and_then(Checkpointer::committed_epoch);
        let complete_before = self.coordinator.complete_epoch().map_or(0, |epoch| epoch + 1);
        let turn = Turn {
            epoch,
            floor,
            assign,
            topic,
            closed_before,
            bounded,
            order,
            complete_before,
            committed,
        };
        inputs.turns.send(turn);
        if self.coordinator.turned()
            && let Some(floor) = floor
        {
            self.note_lift(floor, now);
        }
    }

    fn pulse(&mut self) {
        let begun_by = self.clock.wall() - self.options.job.publish_every;
        let show = self.board.choose(begun_by, self.coordinator.all_finished());
        let Some(inputs) = &mut self.inputs else { return };
        inputs.pulses.send(Pulse { show });
    }

    /// Steps through an orderly stop: rest, let the outputs have everything, leave.
    fn lead_stop(&mut self, now: Duration) -> Result<(), JobError> {
        let asked = self.stop.is_requested() || self.coordinator.stop_asked();
        match self.stopping {
            Stopping::No if asked && !self.at_start => {
                self.stopping = Stopping::Completing { epoch: self.epoch, since: now };
                self.turn(Order::Rest, now);
                self.next_pulse_at = now;
            }
            Stopping::Completing { epoch, since } => {
                let settled = self
                    .checkpointer
                    .as_ref()
                    .is_none_or(|checkpointer| checkpointer.is_settled(epoch));
                let passed = self.coordinator.complete_epoch().is_some_and(|e| epoch <= e)
                    && self.written.with_frontier(|f| f.iter().all(|time| epoch < time.epoch));
                // By itself, when all processes have shown their files.
                let ends = self.coordinator.has_ended() && self.checkpointer.is_none();
                let others = 1..self.options.processes();
                let shown = self.checkpointer.as_ref().is_none_or(|checkpointer| {
                    let epoch = checkpointer.committed_epoch();
                    epoch.is_none_or(|epoch| self.coordinator.have_shown(others, epoch))
                });
                let all_done = passed && settled && shown && !ends;
                if all_done
                    && (self.checkpointer.as_mut().is_none_or(Checkpointer::settle)
                        || since + SETTLE_MAX < now)
                {
                    self.stopping = Stopping::Leaving;
                    self.turn(Order::Leave, now);
                } else if since + STOP_LIMIT < now {
                    let continues = self.committed_before.is_some();
                    return Err(JobError::StopTimedOut { limit: STOP_LIMIT, continues });
                }
            }
            _ => {}
        }
        Ok(())
    }
}
