//! Reading partitions: the operator that holds the capability at the watermark.
//!
//! Decoding, the partition's watermark and the decision what is late belong to the operator that
//! reads, because they decide how far its capability may advance, and lowering a capability is the
//! only way in which event time advances. Payloads are parsed where the client put them; from here
//! on there are only events.
//!
//! A worker holds one capability for all its partitions: at the epoch it is in, and at the least
//! of their watermarks, rounded down to a quantum. A worker without unfinished partitions holds no
//! event time back.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strandline_operators::decode::{DeadReason, Decode, Decoded};
use strandline_operators::record::{Events, Message, Partition, Rejected, Rejection};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::watermark::PartitionWatermark;
use strandline_operators::window::Tumbling;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::{Handle as ProbeHandle, Probe};
use timely::dataflow::{Scope, Stream, StreamVec};
use timely::progress::Antichain;
use timely::progress::operate::FrontierInterest;

use crate::clock::Clock;
use crate::control::{Ack, Order, Turn};
use crate::failure::Failure;
use crate::source::{PartitionStart, Progress, Reader, Source, Wake};
use crate::view::{Ledger, PartitionState};

/// Most messages that are read of a partition before the others have their turn.
const MESSAGES_PER_READ: usize = 1024;
/// How long a worker whose partitions all wait for others sleeps before it looks again.
const DRIFT_RETRY: Duration = Duration::from_millis(5);

/// How a source treats event time.
#[derive(Copy, Clone, Debug)]
pub(crate) struct IngestOptions {
    pub(crate) windows: Tumbling,
    /// How far a partition's watermark is behind its greatest event time.
    pub(crate) watermark: Duration,
    /// How far a record's event time may be after the log's timestamp.
    pub(crate) max_future: Duration,
    /// How long a partition at its end is silent before it is idle.
    pub(crate) idle_after: Duration,
    /// How far a partition may run ahead of the frontier.
    pub(crate) max_drift: Duration,
}

/// What comes out of the sources of all workers.
pub(crate) struct Ingested<'s, V: 'static> {
    pub(crate) events: Stream<'s, Time, Events<V>>,
    pub(crate) rejected: StreamVec<'s, Time, Rejected>,
    pub(crate) acks: StreamVec<'s, Time, Ack>,
}

/// Counts what the workers of one process have read, for what is shown between epochs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<AtomicU64>);

impl Meter {
    fn count(&self, records: u64) {
        self.0.fetch_add(records, Ordering::Relaxed);
    }

    /// Records read so far by the workers of this process.
    pub(crate) fn records(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads the partitions that `turns` assigns to this worker. `leaves` becomes true when the worker
/// is told to leave.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a source needs")]
pub(crate) fn ingest<'s, S: Source, D: Decode>(
    scope: Scope<'s, Time>,
    turns: StreamVec<'s, Time, Turn>,
    source: &S,
    decoder: D,
    options: IngestOptions,
    clock: Clock,
    failure: Failure,
    meter: Meter,
    leaves: Rc<Cell<bool>>,
) -> Ingested<'s, D::Value> {
    let mut builder = OperatorBuilder::new("Ingest".to_owned(), scope);
    // The coordinator's word holds no data back: the source holds capabilities of its own.
    let mut turns = builder.new_input(turns, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let nowhere = [(0, Antichain::new())];
    let (events, events_stream) = builder.new_output_connection(nowhere.clone());
    let (rejected, rejected_stream) = builder.new_output_connection(nowhere.clone());
    let (acks, acks_stream) = builder.new_output_connection(nowhere);

    let address = builder.operator_info().address;
    let worker = scope.index();
    let activator = scope.activator_for(Rc::clone(&address));
    let wake_up = scope.worker().sync_activator_for(address.to_vec());
    // An error says that the worker is gone: then there is no one to wake.
    let wake = Wake::new(move || {
        let _ = wake_up.activate();
    });
    let reader = source.reader(wake);
    let frontier = ProbeHandle::<Time>::new();
    let probe = frontier.clone();

    builder.build(move |capabilities| {
        let [data, rejects, ack] =
            <[Capability<Time>; 3]>::try_from(capabilities).expect("one for each output");
        let mut held = Some(Held { data, rejects, ack });
        let mut events_out = OutputBuilder::<_, NoopBuilder<_>>::from(events);
        let mut rejected_out = OutputBuilder::from(rejected);
        let mut acks_out = OutputBuilder::from(acks);
        let mut batch = Events::default();
        let mut lines: Vec<Line> = Vec::new();
        let mut order = Order::Read;
        let mut started = false;
        let mut bounded = false;
        let mut intake = Intake { options, decoder, rejected: Vec::new() };
        let mut reader = match reader {
            Ok(reader) => Some(reader),
            Err(error) => {
                failure.report(error);
                None
            }
        };
        move |_| {
            let mut news = Vec::new();
            turns.for_each(|_, turns| news.append(turns));
            if news.iter().any(|turn| turn.order == Order::Leave) {
                leaves.set(true);
            }
            let (Some(capabilities), Some(log)) = (&mut held, &mut reader) else { return };
            let mut acks = acks_out.activate();

            for turn in news {
                acks.session(&capabilities.ack).give_iterator(
                    lines
                        .iter()
                        .map(|line| line.ack(worker, capabilities.epoch(), &options, &clock)),
                );
                capabilities.enter(turn.epoch);
                for line in &mut lines {
                    if let Some(floor) = turn.floor
                        && line.state(&options, &clock) == PartitionState::Idle
                    {
                        line.watermark.lift(floor);
                    }
                }
                // A partition that is new begins at the floor of the others, and never before what
                // this worker has promised not to send any more.
                let floor =
                    turn.floor.unwrap_or(EventTime::MIN).max(capabilities.data.time().event);
                for assignment in turn.assign.iter().filter(|a| a.worker == worker) {
                    match log.assign(assignment.start) {
                        Ok(()) => lines.push(Line::new(assignment.start, floor, &options, &clock)),
                        Err(error) => return failure.report(error),
                    }
                }
                started = true;
                bounded = turn.bounded;
                order = turn.order;
            }
            if !started || order != Order::Read {
                return;
            }

            let frontier = probe.with_frontier(|frontier| frontier.iter().map(|t| t.event).min());
            let (mut more, mut waiting) = (false, false);
            for line in &mut lines {
                if line.progress.finished {
                    continue;
                }
                line.paused = line.is_ahead(frontier, &options);
                if line.paused {
                    waiting = true;
                    continue;
                }
                let read = log.read(line.partition, MESSAGES_PER_READ, |message| {
                    line.take(message, &mut intake, &mut batch);
                });
                match read {
                    Ok(progress) => {
                        more |= 0 < progress.messages;
                        line.advance(progress, &clock);
                        meter.count(progress.messages as u64);
                    }
                    Err(error) => return failure.report(error),
                }
            }
            if !batch.is_empty() {
                events_out
                    .activate()
                    .session_with_builder(&capabilities.data)
                    .give_container(&mut batch);
                batch.clear();
            }
            if !intake.rejected.is_empty() {
                let mut output = rejected_out.activate();
                output.session(&capabilities.rejects).give_iterator(intake.rejected.drain(..));
            }

            let unfinished = lines.iter().filter(|line| !line.progress.finished);
            let watermark = unfinished.map(|line| line.watermark.value()).min();
            capabilities
                .advance(watermark.unwrap_or(EventTime::MAX).floor_to(options.windows.quantum()));
            if bounded && lines.iter().all(|line| line.progress.finished) {
                // The last word: it stands for all later epochs.
                acks.session(&capabilities.ack).give_iterator(
                    lines
                        .iter()
                        .map(|line| line.ack(worker, capabilities.epoch(), &options, &clock)),
                );
                held = None;
                reader = None;
            } else if more {
                activator.activate();
            } else if waiting {
                activator.activate_after(DRIFT_RETRY);
            }
        }
    });
    Ingested {
        events: events_stream.probe_with(&frontier),
        rejected: rejected_stream,
        acks: acks_stream,
    }
}

/// The source's capabilities, one for each output.
struct Held {
    data: Capability<Time>,
    rejects: Capability<Time>,
    ack: Capability<Time>,
}

impl Held {
    fn epoch(&self) -> u64 {
        self.data.time().epoch
    }

    fn enter(&mut self, epoch: u64) {
        self.data.downgrade(&Time::new(epoch, self.data.time().event));
        // What was rejected, and what is acknowledged, belongs to an epoch and to no event time.
        self.rejects.downgrade(&Time::new(epoch, EventTime::MAX));
        self.ack.downgrade(&Time::new(epoch, EventTime::MAX));
    }

    fn advance(&mut self, watermark: EventTime) {
        let time = *self.data.time();
        if time.event < watermark {
            self.data.downgrade(&Time::new(time.epoch, watermark));
        }
    }
}

/// What is done with every message, whichever its partition.
struct Intake<D> {
    options: IngestOptions,
    decoder: D,
    rejected: Vec<Rejected>,
}

/// A partition that this worker reads.
struct Line {
    partition: Partition,
    watermark: PartitionWatermark,
    progress: Progress,
    ledger: Ledger,
    skipped: u64,
    untimed: u64,
    /// The event time of its first valid record in this run.
    origin: Option<EventTime>,
    /// When it last brought a record, or else when it was assigned.
    silent_since: Duration,
    last_record_at: Option<EventTime>,
    /// Whether it is read to an end that was fixed at the start: then it is never idle.
    bounded: bool,
    paused: bool,
}

impl Line {
    fn new(
        start: PartitionStart,
        floor: EventTime,
        options: &IngestOptions,
        clock: &Clock,
    ) -> Line {
        let position = start.next_offset;
        Line {
            partition: start.partition,
            watermark: PartitionWatermark::new(options.watermark, floor),
            progress: Progress {
                messages: 0,
                skipped: 0,
                position,
                end: start.end.unwrap_or(position),
                at_end: false,
                finished: start.end.is_some_and(|end| end <= position),
            },
            ledger: Ledger::default(),
            skipped: 0,
            untimed: 0,
            origin: None,
            silent_since: clock.elapsed(),
            last_record_at: None,
            bounded: start.end.is_some(),
            paused: false,
        }
    }

    /// Decides what becomes of one message.
    #[inline]
    fn take<D: Decode>(
        &mut self,
        message: Message<'_>,
        intake: &mut Intake<D>,
        batch: &mut Events<D::Value>,
    ) {
        self.ledger.read += 1;
        self.untimed += u64::from(message.timestamp.is_none());
        let Intake { options, decoder, rejected } = intake;
        let payload = message.payload.unwrap_or_default();
        match decoder.decode(payload) {
            Ok(Decoded { key, time, value }) if !is_future(time, message, options) => {
                self.watermark.observe(time);
                if self.origin.is_none() {
                    self.origin = Some(time);
                }
                if options.windows.is_late(time, self.watermark.value()) {
                    self.ledger.late += 1;
                    rejected.push(self.reject(message, Some(time), Rejection::Late));
                } else {
                    batch.push(key, time, self.partition, message.offset, value);
                }
            }
            Ok(_) => {
                rejected.push(self.bury(message, DeadReason::Future));
            }
            Err(reason) => rejected.push(self.bury(message, reason)),
        }
    }

    #[cold]
    fn bury(&mut self, message: Message<'_>, reason: DeadReason) -> Rejected {
        let index = DeadReason::ALL.iter().position(|known| *known == reason).unwrap_or(0);
        self.ledger.dead[index] += 1;
        self.reject(message, None, Rejection::Dead(reason))
    }

    #[cold]
    fn reject(
        &self,
        message: Message<'_>,
        event_time: Option<EventTime>,
        rejection: Rejection,
    ) -> Rejected {
        Rejected {
            partition: self.partition,
            offset: message.offset,
            log_timestamp: message.timestamp,
            event_time,
            rejection,
            payload: message.payload.map(<[u8]>::to_vec),
        }
    }

    /// Takes note of what a read came to.
    fn advance(&mut self, progress: Progress, clock: &Clock) {
        if 0 < progress.messages {
            self.silent_since = clock.elapsed();
            self.last_record_at = Some(clock.wall());
        }
        self.skipped += progress.skipped;
        self.progress = progress;
    }

    /// Whether it is so far ahead of the frontier that the others should catch up first. The
    /// slowest partition never is: the frontier is at most a quantum behind its watermark. While
    /// there is no frontier yet, because some partition has brought nothing, it may go as far from
    /// its own first record.
    fn is_ahead(&self, frontier: Option<EventTime>, options: &IngestOptions) -> bool {
        let Some(max) = self.watermark.max_event_time() else { return false };
        let reference = match frontier {
            None => return false,
            Some(EventTime::MIN) => self.origin.unwrap_or(max),
            Some(frontier) => frontier + options.watermark,
        };
        reference + options.max_drift.max(options.windows.quantum()) < max
    }

    fn state(&self, options: &IngestOptions, clock: &Clock) -> PartitionState {
        let silent = clock.elapsed().saturating_sub(self.silent_since);
        if self.progress.finished {
            PartitionState::Finished
        } else if !self.bounded && self.progress.at_end && options.idle_after <= silent {
            PartitionState::Idle
        } else if self.paused {
            PartitionState::Paused
        } else {
            PartitionState::Active
        }
    }

    fn ack(&self, worker: usize, epoch: u64, options: &IngestOptions, clock: &Clock) -> Ack {
        Ack {
            epoch,
            worker,
            partition: self.partition,
            next_offset: self.progress.position,
            end: self.progress.end,
            max_event_time: self.watermark.max_event_time(),
            floor: self.watermark.floor(),
            watermark: self.watermark.value(),
            state: self.state(options, clock),
            last_record_at: self.last_record_at,
            ledger: self.ledger,
            skipped: self.skipped,
            untimed: self.untimed,
        }
    }
}

/// Whether a record's time is further after the log's timestamp than is accepted. Comparing with
/// the log's timestamp, not with a clock, keeps this the same in a replay.
#[inline]
fn is_future(time: EventTime, message: Message<'_>, options: &IngestOptions) -> bool {
    message.timestamp.is_some_and(|logged| logged + options.max_future < time)
}
