//! Reading partitions: the operator that holds the capability at the watermark.
//!
//! Decoding, the partition's watermark and the decision what is late belong to the operator that
//! reads, because they decide how far its capability may advance, and lowering a capability is the
//! only way in which event time advances. Payloads are parsed where the client put them, and each
//! record is folded into its window right there; from here on there are only partial results.
//! They are sent before the capability moves past their window, and all of them before it moves to
//! another epoch, when they are many, and when there is nothing more to read.
//!
//! A worker holds one capability for all its partitions: at the epoch it is in, and at the least
//! of their watermarks, rounded down to a quantum. A worker without unfinished partitions holds no
//! event time back.

mod idleness;
mod line;
mod pace;
mod time_check;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::{DeadReason, Decode};
use strandline_operators::rejected::Rejected;
use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{Fold, MergeInput, PlacementSeed, Tumbling, Unmerged};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::progress::Antichain;
use timely::progress::operate::FrontierInterest;

use self::line::{Intake, Line, Now};
use self::pace::Pace;
use crate::clock::Clock;
use crate::commit::mailbox::bytes_of_rejected;
use crate::epoch::control::{Assignment, Leave, Order, Report, Turn};
use crate::failure::Failure;
use crate::monitor::others::Teller;
use crate::notice::Notice;
use crate::partition::PartitionState;
use crate::source::{Reader, Source, Wake};
use crate::stop::Stop;
use crate::telemetry::Telemetry;

/// Most messages that are read of a partition before the others have their turn.
const MESSAGES_PER_READ: usize = 1024;
/// Bytes of payloads after which a round of reading ends, and what was rejected is handed on: it is copied.
const BYTES_PER_ROUND: u64 = 16 << 20;
/// Messages after such a pause are sent on at once: another look would find nothing to fold them
/// with, and costs a job that has little to do a third of its steps.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// How a source treats event time.
#[derive(Copy, Clone, Debug)]
pub(crate) struct IngestOptions {
    pub(crate) windows: Tumbling,
    /// How far a partition's watermark is behind its greatest event time.
    pub(crate) watermark: Duration,
    /// How far a record's event time may be after the log's timestamp.
    pub(crate) max_future: Duration,
    /// How far a record's event time may be before the log's timestamp.
    pub(crate) max_past: Option<Duration>,
    /// Whether `max_future` is also compared with the clock, where the sender has set the timestamp.
    pub(crate) future_by_clock: bool,
    /// How long a partition at its end is silent before it is idle.
    pub(crate) idle_after: Duration,
    /// How far a partition may run ahead of the frontier.
    pub(crate) max_drift: Duration,
    /// Where keys lie in memory.
    pub(crate) placement: PlacementSeed,
    /// Bytes between workers that are not merged yet, beyond which nothing is read.
    pub(crate) unmerged_bytes_max: u64,
}

/// What comes out of the sources of all workers.
pub(crate) struct Ingested<'s, V: Clone + 'static, P: Clone + 'static> {
    /// Partial results, to be merged.
    pub(crate) merge_inputs: StreamVec<'s, Time, MergeInput<V, P>>,
    pub(crate) rejected: StreamVec<'s, Time, Rejected>,
    pub(crate) reports: StreamVec<'s, Time, Report>,
}

/// Reads the partitions that `turns` assigns to this worker. `leaves` is set when the worker is
/// told to leave.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a source needs")]
pub(crate) fn ingest<'s, S: Source, D: Decode, A: Aggregate<D::Value>>(
    scope: Scope<'s, Time>,
    turns: StreamVec<'s, Time, Turn>,
    source: &S,
    decoder: D,
    aggregate: A,
    options: IngestOptions,
    clock: Clock,
    failure: Failure,
    telemetry: Telemetry,
    unmerged: Unmerged,
    leaves: Rc<Cell<Option<Leave>>>,
    stop: Stop,
    mut teller: Option<Teller>,
) -> Ingested<'s, D::Value, A::Partial> {
    let mut builder = OperatorBuilder::new("Ingest".to_owned(), scope);
    // The coordinator's word holds no data back: the source holds capabilities of its own.
    let mut turns = builder.new_input(turns, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let nowhere = [(0, Antichain::new())];
    let (merge_inputs, merge_inputs_stream) = builder.new_output_connection(nowhere.clone());
    let (rejected, rejected_stream) = builder.new_output_connection(nowhere.clone());
    let (reports, reports_stream) = builder.new_output_connection(nowhere);

    let address = builder.operator_info().address;
    let worker = scope.index();
    let activator = scope.activator_for(Rc::clone(&address));
    let wake_up = scope.worker().sync_activator_for(address.to_vec());
    // An error says that the worker is gone: then there is no one to wake.
    let wake = Wake::new(move || {
        let _ = wake_up.activate();
    });
    let awaited = wake.clone();
    unmerged.on_merged(move || awaited.wake());
    let reader = source.reader(wake);
    let pace = Pace::new();
    let (followed, follower) = (Rc::clone(&pace), scope.activator_for(Rc::clone(&address)));

    builder.build(move |capabilities| {
        let [data, rejects, ack] =
            <[Capability<Time>; 3]>::try_from(capabilities).expect("one for each output");
        let mut held = Some(Held { data, rejects, ack });
        let mut merge_inputs_out = OutputBuilder::from(merge_inputs);
        let mut rejected_out = OutputBuilder::from(rejected);
        let mut reports_out = OutputBuilder::from(reports);
        let mut lines: Vec<Line> = Vec::new();
        let mut order = Order::Read;
        let mut started = false;
        let mut bounded = false;
        let mut last_read = Duration::ZERO;
        // The partition that was read last: the next one is the first of the next round.
        let mut next_line = 0;
        // The epoch in which it was last said that a partition waits for the others.
        let mut waited_in = None;
        // Likewise, that much is not merged.
        let mut laden_in = None;
        let fold = Fold::new(worker, options.windows, aggregate);
        let fold = fold.with_placement(options.placement);
        let (rejected, notices) = (Vec::new(), Vec::new());
        let told_reasons = [false; DeadReason::ALL.len()];
        let mut intake = Intake { options, decoder, fold, rejected, notices, told_reasons };
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
            if let Some(turn) = news.iter().find(|turn| turn.order == Order::Leave) {
                leaves.set(Some(Leave { committed: turn.committed }));
            }
            let (Some(capabilities), Some(log)) = (&mut held, &mut reader) else { return };
            let mut reports = reports_out.activate();
            let mut merge_inputs = merge_inputs_out.activate();
            if let Some(raised) = teller.as_mut().and_then(Teller::news) {
                reports.session(&capabilities.ack).give(Report::Raised(raised));
            }

            // Of windows that are over at a time, or everything.
            let mut send = |capability: &Capability<Time>, fold: &mut Fold<_, A>, over| {
                let mut session = merge_inputs.session(capability);
                let mut bytes = 0;
                let mut give = |sent: MergeInput<_, _>| {
                    bytes += sent.bytes();
                    session.give(sent);
                };
                match over {
                    Some(watermark) => fold.flush_until(watermark, &mut give),
                    None => fold.flush(&mut give),
                }
                unmerged.sent(capability.time().epoch, bytes);
            };

            let mut reject = |capability: &Capability<Time>, rejected: &mut Vec<Rejected>| {
                if !rejected.is_empty() {
                    unmerged.rejected(capability.time().epoch, bytes_of_rejected(rejected));
                    let mut output = rejected_out.activate();
                    output.session(capability).give_iterator(rejected.drain(..));
                }
            };

            let now = Now::of(&clock);
            for turn in news {
                unmerged.complete_before(turn.complete_before);
                // First, because it is part of the cut: with the next epoch's capability, windows
                // close by it.
                for line in &mut lines {
                    let lifted = started && order == Order::Read;
                    let is_idle = lifted && line.state(now) == PartitionState::Idle;
                    let Some(floor) = turn.floor.filter(|_| is_idle) else { continue };
                    // That nothing has come was so when it was read, which may be an epoch ago.
                    match line.read(log, MESSAGES_PER_READ, &mut intake, now) {
                        Ok(bytes) => telemetry.count_read(line.progress.messages as u64, bytes),
                        Err(error) => return failure.report(error),
                    }
                    if line.state(now) == PartitionState::Idle {
                        line.watermark.lift(floor);
                    }
                }
                // What was read belongs to the epoch that is left.
                send(&capabilities.data, &mut intake.fold, None);
                reject(&capabilities.rejects, &mut intake.rejected);
                let epoch = capabilities.epoch();
                let acks =
                    lines.iter().map(|line| line.ack(worker, epoch, log.end(line.partition), now));
                let asked = stop.is_requested().then_some(Report::StopAsked);
                reports
                    .session(&capabilities.ack)
                    .give_iterator(acks.map(Report::Read).chain(asked));
                lines.iter_mut().for_each(Line::enter_epoch);
                capabilities.enter(turn.epoch);
                // A partition that is new begins at the floor of the others, and never before what
                // this worker has promised not to send any more, or what was closed before it.
                let floor = turn.floor.unwrap_or(EventTime::MIN);
                let floor = floor.max(capabilities.data.time().event).max(turn.closed_before);
                if let Some(topic) = &turn.topic {
                    log.expect(topic);
                }
                let mut new = Vec::new();
                for Assignment { worker: reader, start, kept } in turn.assign {
                    if reader != worker {
                        continue;
                    }
                    // Of a restart too: the topic may have grown while no job ran.
                    if kept.is_none() && (started || EventTime::MIN < floor) {
                        new.push(start.partition);
                    }
                    match log.assign(start) {
                        Ok(()) => lines.push(Line::new(start, kept, floor, &options, now)),
                        Err(error) => return failure.report(error),
                    }
                }
                if !new.is_empty() {
                    let counts_from =
                        (EventTime::MIN < floor).then(|| options.windows.window_at(floor).start);
                    intake.notices.push(Notice::NewPartitions {
                        partitions: new,
                        found_at: now.wall(),
                        counts_from,
                    });
                }
                started = true;
                bounded = turn.bounded;
                order = turn.order;
            }
            if !started || order != Order::Read {
                return;
            }

            let frontier = pace.frontier();
            let (mut more, mut waiting) = (false, false);
            // Workers that cannot keep up slow down who reads for them, and nothing else.
            let rests = unmerged.exceeds(options.unmerged_bytes_max);
            let mut left = lines.len();
            let mut bytes_read = 0;
            while left > 0 {
                left -= 1;
                if bytes_read >= BYTES_PER_ROUND {
                    more = true;
                    break;
                }
                next_line = (next_line + 1) % lines.len();
                let line = &mut lines[next_line];
                if line.progress.finished {
                    continue;
                }
                let is_ahead = line.is_ahead(frontier, &options);
                if line.waits(is_ahead, rests, now) {
                    waiting |= !rests;
                    continue;
                }
                match line.read(log, MESSAGES_PER_READ, &mut intake, now) {
                    Ok(bytes) => {
                        bytes_read += bytes;
                        telemetry.count_read(line.progress.messages as u64, bytes);
                    }
                    Err(error) => return failure.report(error),
                }
                more |= line.progress.messages > 0;
            }
            let epoch = capabilities.epoch();
            // What this epoch sent is let go when it is left. So is what earlier ones sent, once they
            // are complete: only a turn says that.
            let is_laden = unmerged.bytes_of(epoch) > options.unmerged_bytes_max / 2
                || (rests && unmerged.bytes_of_epochs() > 0);
            if is_laden && laden_in.replace(epoch) != Some(epoch) {
                reports.session(&capabilities.ack).give(Report::Laden);
            }
            if waiting && waited_in.replace(epoch) != Some(epoch) {
                reports.session(&capabilities.ack).give(Report::Waits);
            }
            reject(&capabilities.rejects, &mut intake.rejected);
            if !intake.notices.is_empty() {
                let notices = intake.notices.drain(..).map(Report::Noticed);
                reports.session(&capabilities.ack).give_iterator(notices);
            }

            let unfinished = lines.iter().filter(|line| !line.progress.finished);
            let watermark = unfinished.map(|line| line.watermark.value()).min();
            let watermark = options.windows.quantum_at(watermark.unwrap_or(EventTime::MAX));
            let mut after_pause = false;
            if more {
                let before = std::mem::replace(&mut last_read, now.elapsed());
                after_pause = PAUSE_MIN <= now.elapsed().saturating_sub(before);
            }
            // Where more is on its way, it is folded with what there is, which so waits until the
            // next turn at most. Otherwise nothing waits.
            let coming = lines.iter().any(Line::has_more_to_come);
            let is_all = !coming && (!more || after_pause);
            if is_all || intake.fold.is_full() {
                send(&capabilities.data, &mut intake.fold, None);
            } else if intake.fold.holds_until(watermark) {
                send(&capabilities.data, &mut intake.fold, Some(watermark));
            }
            capabilities.advance(watermark);
            if bounded && lines.iter().all(|line| line.progress.finished) {
                assert!(intake.fold.is_empty(), "every window was over");
                // The last word: it stands for all later epochs.
                let epoch = capabilities.epoch();
                let acks =
                    lines.iter().map(|line| line.ack(worker, epoch, log.end(line.partition), now));
                reports.session(&capabilities.ack).give_iterator(acks.map(Report::Read));
                held = None;
                reader = None;
            } else if more {
                activator.activate();
            } else if waiting {
                pace.wait();
            }
        }
    });
    Ingested {
        merge_inputs: followed.follow(merge_inputs_stream, follower),
        rejected: rejected_stream,
        reports: reports_stream,
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
