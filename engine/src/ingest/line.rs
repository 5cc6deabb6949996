//! One partition as its source sees it: where it is, how far in event time, what became of its
//! records.

use std::time::Duration;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::{DeadReason, Decode, Decoded};
use strandline_operators::record::{Message, Offset, Partition};
use strandline_operators::rejected::{Rejected, Rejection};
use strandline_operators::time::EventTime;
use strandline_operators::watermark::PartitionWatermark;
use strandline_operators::window::Fold;

use super::IngestOptions;
use super::idleness::{Idleness, Look};
use super::time_check::TimeCheck;
use crate::checkpoint::manifest::PartitionCut;
use crate::clock::Clock;
use crate::epoch::control::Ack;
use crate::ledger::Ledger;
use crate::notice::Notice;
use crate::partition::{PartitionState, Unreadable};
use crate::source::{PartitionStart, Progress, Reader, SourceError};

/// What is done with every message, whichever its partition.
pub(super) struct Intake<D: Decode, A: Aggregate<D::Value>> {
    pub(super) options: IngestOptions,
    pub(super) decoder: D,
    pub(super) fold: Fold<D::Value, A>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) notices: Vec<Notice>,
    /// The reasons for dead letters that a person was told of.
    pub(super) told_reasons: [bool; DeadReason::ALL.len()],
}

/// The moment at which a worker looks at its partitions: one for all of them, so that those that
/// fell silent together become idle together.
#[derive(Copy, Clone, Debug)]
pub(super) struct Now {
    elapsed: Duration,
    wall: EventTime,
}

impl Now {
    pub(super) fn of(clock: &Clock) -> Now {
        Now { elapsed: clock.elapsed(), wall: clock.wall() }
    }

    /// By the clock on the wall.
    pub(super) fn wall(self) -> EventTime {
        self.wall
    }

    /// By the monotonic clock.
    pub(super) fn elapsed(self) -> Duration {
        self.elapsed
    }
}

/// A partition that this worker reads.
pub(super) struct Line {
    pub(super) partition: Partition,
    pub(super) watermark: PartitionWatermark,
    pub(super) progress: Progress,
    ledger: Ledger,
    skipped: u64,
    untimed: u64,
    /// The event time of its first valid record in this run.
    origin: Option<EventTime>,
    idleness: Idleness,
    times: TimeCheck,
    /// Records read before this run.
    read_before: u64,
    last_record_at: Option<EventTime>,
    last_readable_at: Option<EventTime>,
    /// The first dead letter since.
    first_unreadable: Option<Unreadable>,
    /// Bytes of the payloads that were read in this run.
    bytes_read: u64,
    /// The end that it is read to, if one was fixed at the start: then it is never idle.
    bounded_end: Option<Offset>,
    is_paused: bool,
}

impl Line {
    /// A partition that is new and begins at `floor`, or that goes on where an earlier run `kept`
    /// it.
    pub(super) fn new(
        start: PartitionStart,
        kept: Option<PartitionCut>,
        floor: EventTime,
        options: &IngestOptions,
        now: Now,
    ) -> Line {
        let position = start.next_offset;
        let delay = options.watermark;
        let kept = kept.unwrap_or_else(|| PartitionCut::begin(start, floor));
        Line {
            partition: start.partition,
            watermark: PartitionWatermark::restored(delay, kept.floor, kept.max_event_time),
            bounded_end: start.end,
            progress: Progress {
                messages: 0,
                skipped: 0,
                position,
                end: start.end,
                asked_end: None,
                at_end: false,
                finished: start.end.is_some_and(|end| end <= position),
            },
            ledger: kept.ledger,
            skipped: kept.skipped,
            untimed: kept.untimed,
            origin: None,
            times: TimeCheck::new(start.end.is_some()),
            read_before: kept.ledger.read,
            idleness: Idleness::new(options.idle_after, now.elapsed),
            last_record_at: None,
            last_readable_at: None,
            first_unreadable: None,
            bytes_read: 0,
            is_paused: false,
        }
    }

    /// Decides what becomes of one message.
    #[inline]
    pub(super) fn take<D: Decode, A: Aggregate<D::Value>>(
        &mut self,
        message: Message<'_>,
        intake: &mut Intake<D, A>,
    ) {
        self.ledger.read += 1;
        self.untimed += u64::from(message.timestamp.is_none());
        if let Some(bytes) = message.cut_from {
            return self.bury_cut(message, bytes, intake);
        }
        let Intake { options, decoder, fold, rejected, notices, .. } = intake;
        let payload = message.payload.unwrap_or_default();
        let Decoded { key, time, value } = match decoder.decode(payload) {
            Ok(decoded) => decoded,
            Err(reason) => return self.bury(message, reason, intake),
        };
        if let Some(reason) = out_of_bounds(time, message, options) {
            return self.bury(message, reason, intake);
        }
        if self.times.ahead_after < time {
            let found = self.times.is_refused(self.partition, key, time, message, options);
            let (is_refused, notice) = found;
            notices.extend(notice);
            if is_refused {
                return self.bury(message, DeadReason::Future, intake);
            }
        }
        self.watermark.observe(time);
        if self.times.seeks_key {
            self.origin.get_or_insert(time);
            self.times.note(key, time, self.watermark.max_event_time(), message);
        }
        if options.windows.is_late(time, self.watermark.value()) {
            self.ledger.late += 1;
            rejected.push(self.reject(message, Some(time), Rejection::Late));
        } else {
            fold.fold(key, time, self.partition, message.offset, &value);
        }
    }

    #[cold]
    fn bury<D: Decode, A: Aggregate<D::Value>>(
        &mut self,
        message: Message<'_>,
        reason: DeadReason,
        intake: &mut Intake<D, A>,
    ) {
        let (partition, offset) = (self.partition, message.offset);
        let index = DeadReason::ALL.iter().position(|known| *known == reason).unwrap_or(0);
        self.ledger.dead[index] += 1;
        self.times.rejected(message, reason);
        self.first_unreadable.get_or_insert(Unreadable { offset, reason });
        if !std::mem::replace(&mut intake.told_reasons[index], true) {
            let words = intake.decoder.explain(reason);
            intake.notices.push(Notice::DeadLetter { partition, offset, reason, words });
        }
        intake.rejected.push(self.reject(message, None, Rejection::Dead(reason)));
    }

    /// Buries a message of which only the first part was handed over.
    #[cold]
    fn bury_cut<D: Decode, A: Aggregate<D::Value>>(
        &mut self,
        message: Message<'_>,
        bytes: u64,
        intake: &mut Intake<D, A>,
    ) {
        self.bury(message, DeadReason::TooLarge, intake);
        let note = format!("\n[cut here by strandline: the message has {bytes} bytes]");
        if let Some(buried) = intake.rejected.last_mut() {
            buried.payload.get_or_insert_default().extend_from_slice(note.as_bytes());
        }
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

    /// Reads on in it: at most `limit` messages. `intake` gets what becomes of them. Says how many
    /// bytes their payloads have.
    pub(super) fn read<D: Decode, A: Aggregate<D::Value>>(
        &mut self,
        log: &mut impl Reader,
        limit: usize,
        intake: &mut Intake<D, A>,
        now: Now,
    ) -> Result<u64, SourceError> {
        self.times.read_at(now.wall, &intake.options);
        let dead_before = self.ledger.dead_letters();
        let mut bytes = 0;
        let progress = log.read(self.partition, limit, |message| {
            bytes += message.payload.map_or(0, <[u8]>::len) as u64;
            self.take(message, intake);
        })?;
        let dead = self.ledger.dead_letters() - dead_before;
        if progress.messages > 0 {
            self.last_record_at = Some(now.wall);
        }
        if progress.messages as u64 > dead {
            self.last_readable_at = Some(now.wall);
            // To a reading, not to a record: what comes later in it than a valid record counts with that.
            self.first_unreadable = None;
        }
        self.skipped += progress.skipped;
        self.progress = progress;
        if self.times.has_sample() {
            let records = self.ledger.read - self.read_before;
            let newest = self.watermark.max_event_time();
            let is_at_end = !self.has_more_to_come();
            let decoder = &intake.decoder;
            let notice =
                self.times.settle_unit(self.partition, records, is_at_end, newest, decoder);
            intake.notices.extend(notice);
        }
        let look = Look {
            is_valid: progress.messages as u64 > dead,
            position: progress.position,
            asked_end: progress.asked_end,
        };
        let asks = self.idleness.look(look, now.elapsed);
        if asks && self.bounded_end.is_none() {
            log.ask_end(self.partition)?;
        }
        self.bytes_read += bytes;
        Ok(bytes)
    }

    /// Whether it has to wait: for the others, because it is ahead of them, or because this process
    /// `rests`. An idle one is looked at all the same while it rests, or it would hold everybody back for
    /// as long: when it brings something, it rests too.
    pub(super) fn waits(&mut self, is_ahead: bool, rests: bool, now: Now) -> bool {
        self.is_paused = is_ahead || rests && !self.is_idle(now);
        if self.is_paused {
            self.idleness.pause(now.elapsed);
        }
        self.is_paused
    }

    /// Whether it has nothing to wait for, whether it is read or not.
    fn is_idle(&self, now: Now) -> bool {
        self.bounded_end.is_none() && self.idleness.is_idle(now.elapsed)
    }

    /// Whether the log has more of it, as last heard, even if others have to catch up first.
    pub(super) fn has_more_to_come(&self) -> bool {
        !self.progress.finished && self.progress.end.is_some_and(|end| self.progress.position < end)
    }

    /// Whether it is so far ahead of the frontier that the others should catch up first. The
    /// slowest partition never is: the frontier is at most a quantum behind its watermark. While
    /// there is no frontier yet, because some partition has brought nothing, it may go as far from
    /// its own first record.
    pub(super) fn is_ahead(&self, frontier: Option<EventTime>, options: &IngestOptions) -> bool {
        let Some(max) = self.watermark.max_event_time() else { return false };
        let reference = match frontier {
            None => return false,
            Some(EventTime::MIN) => self.origin.unwrap_or(max),
            Some(frontier) => frontier + options.watermark,
        };
        reference + options.max_drift.max(options.windows.quantum()) < max
    }

    pub(super) fn state(&self, now: Now) -> PartitionState {
        if self.progress.finished {
            PartitionState::Finished
        } else if self.is_paused {
            PartitionState::Paused
        } else if self.is_idle(now) {
            PartitionState::Idle
        } else {
            PartitionState::Active
        }
    }

    /// `end`: where the partition ends, if that is known.
    pub(super) fn ack(&self, worker: usize, epoch: u64, end: Option<Offset>, now: Now) -> Ack {
        Ack {
            epoch,
            worker,
            cut: PartitionCut {
                partition: self.partition,
                next_offset: self.progress.position,
                end: self.bounded_end,
                max_event_time: self.watermark.max_event_time(),
                floor: self.watermark.floor(),
                watermark: self.watermark.value(),
                ledger: self.ledger,
                skipped: self.skipped,
                untimed: self.untimed,
            },
            end,
            state: self.state(now),
            last_record_at: self.last_record_at,
            last_readable_at: self.last_readable_at,
            first_unreadable: self.first_unreadable,
            bytes_read: self.bytes_read,
            newest_key: self.times.newest_key(),
        }
    }

    /// The epoch that was acknowledged is over.
    pub(super) fn enter_epoch(&mut self) {
        self.times.enter_epoch();
    }
}

/// Why a record's time is not accepted, if so. Comparing with the log's timestamp, not with a clock,
/// keeps this the same in a replay.
#[inline]
fn out_of_bounds(
    time: EventTime,
    message: Message<'_>,
    options: &IngestOptions,
) -> Option<DeadReason> {
    let logged = message.timestamp?;
    // Most records are logged after their time, and need no addition.
    if logged < time {
        (logged + options.max_future < time).then_some(DeadReason::Future)
    } else {
        let is_past = options.max_past.is_some_and(|max_past| time + max_past < logged);
        is_past.then_some(DeadReason::Past)
    }
}

#[cfg(test)]
mod tests;
