//! Reading from what was fetched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use strandline_operators::record::{Message, Offset};
use strandline_operators::time::EventTime;

use super::batch::{self, BatchError, HEADER_BYTES, Header, Records};
use super::codec::Codec;
use super::leaders;
use super::options::DirectOptions;
use super::packed::{Large, More, PIECE_BYTES, Packed};
use super::queue::{Batches, Fetched, Fetching, Passing, Shared, Trouble};
use super::transactions::Aborted;
use crate::clock::Clock;
use crate::source::kafka::budget::{BYTES_PER_READ, handed_over};
use crate::source::kafka::connection::Connection;
use crate::source::kafka::cursor::Step;
use crate::source::kafka::partitions::{Assigned, Backend};
use crate::source::{PartitionStart, SourceError, Wake};

/// Fetches by Kafka's protocol; its threads are started when the first partition is assigned.
#[derive(Default)]
pub(in crate::source::kafka) struct DirectBackend {
    shared: Option<Arc<Shared>>,
}

/// What is being read of a partition.
#[derive(Default)]
pub(in crate::source::kafka) struct Reading {
    answer: Option<Answer>,
    /// Records of a batch that was compressed, or a piece of them.
    unpacked: Vec<u8>,
    /// Bytes that it keeps unpacked, with what unpacks them, until it is read again.
    kept: Kept,
}

/// Bytes of one partition in what a reader's partitions keep together.
#[derive(Default)]
struct Kept {
    bytes: usize,
    all: Option<Arc<AtomicUsize>>,
}

impl Kept {
    /// It keeps so many now, if all of them keep no more than `max` then; says whether it does.
    fn set(&mut self, bytes: usize, max: usize) -> bool {
        let Some(all) = &self.all else { return true };
        let others = all.fetch_sub(self.bytes, Ordering::Relaxed) - self.bytes;
        self.bytes = if others.saturating_add(bytes) <= max { bytes } else { 0 };
        all.fetch_add(self.bytes, Ordering::Relaxed);
        self.bytes == bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}

/// Batches of one answer, and how far they have been read.
struct Answer {
    bytes: Bytes,
    at: usize,
    batch: Option<Batch>,
    aborted: Aborted,
    next: Offset,
    low: Option<Offset>,
    ends: bool,
}

/// The batch that is being read.
struct Batch {
    records: Records,
    /// Where it ends in the answer.
    end: usize,
    /// `None` if it is not compressed.
    packed: Option<Packed>,
}

/// Why a walk over records has ended.
enum Stop {
    /// Enough was read.
    Enough,
    /// There is no further record in the batch.
    BatchEnds,
    /// The next record is not whole.
    NotWhole(BatchError),
}

impl DirectBackend {
    fn shared(
        &mut self,
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<Arc<Shared>, SourceError> {
        if let Some(shared) = &self.shared {
            return Ok(Arc::clone(shared));
        }
        let options = DirectOptions::new(&connection.settings, connection.partitions())?;
        let shared = Shared::new(Arc::clone(connection), options, wake.clone(), Clock::system());
        leaders::spawn(&shared)
            .map_err(|error| connection.failed(format!("no thread to fetch with: {error}")))?;
        Ok(Arc::clone(self.shared.insert(shared)))
    }
}

impl Backend for DirectBackend {
    type Reading = Reading;
    type Trouble = Passing;

    fn start(
        &mut self,
        start: PartitionStart,
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<Reading, SourceError> {
        let shared = self.shared(connection, wake)?;
        let fetching = Fetching::new(start.next_offset, start.end);
        shared.state().partitions.insert(start.partition, fetching);
        shared.notify();
        let kept = Kept { bytes: 0, all: Some(Arc::clone(&shared.unpacked_bytes)) };
        Ok(Reading { kept, ..Reading::default() })
    }

    fn read(
        &mut self,
        assigned: &mut Assigned<DirectBackend>,
        limit: usize,
        visit: impl FnMut(Message<'_>),
        _connection: &Arc<Connection>,
        _wake: &Wake,
    ) -> Result<usize, SourceError> {
        match &self.shared {
            Some(shared) => assigned.read_fetched(shared, limit, visit),
            None => Ok(0),
        }
    }
}

impl Assigned<DirectBackend> {
    fn read_fetched(
        &mut self,
        shared: &Arc<Shared>,
        limit: usize,
        mut visit: impl FnMut(Message<'_>),
    ) -> Result<usize, SourceError> {
        let position = self.cursor.position();
        let connection = &shared.connection;
        if self.out_of_range.settle(connection, self.partition, position, &shared.wake)? {
            self.restart(shared, position);
        }
        let (mut messages, mut left) = (0, BYTES_PER_READ);
        while messages < limit
            && 0 < left
            && !self.cursor.finished()
            && let Some(reading) = &self.reading
        {
            if reading.answer.is_none() && !self.take(shared)? {
                break;
            }
            messages += self.read_answer(shared, limit - messages, &mut left, &mut visit)?;
        }
        self.keep(shared.share.unpacked_bytes());
        if let Some(fetching) = shared.state().partitions.get_mut(&self.partition) {
            let now = shared.clock.elapsed();
            self.high = fetching.high.or(self.high);
            self.heard = fetching.heard.or(self.heard);
            self.ends_now = fetching.ends_now(now, &shared.options);
            if 0 < messages {
                fetching.read_at = Some(now);
            }
        }
        Ok(messages)
    }

    fn restart(&mut self, shared: &Shared, from: Offset) {
        self.hold(None);
        if let Some(fetching) = shared.state().partitions.get_mut(&self.partition) {
            fetching.restart(from);
        }
        shared.notify();
    }

    fn hold(&mut self, answer: Option<Answer>) {
        if let Some(reading) = &mut self.reading {
            reading.answer = answer;
        }
    }

    /// Takes the next answer out of the queue, if there is one.
    fn take(&mut self, shared: &Arc<Shared>) -> Result<bool, SourceError> {
        let mut state = shared.state();
        let Some(fetching) = state.partitions.get_mut(&self.partition) else { return Ok(false) };
        let Some(fetched) = fetching.take() else { return Ok(false) };
        if fetching.full && fetching.has_room(&shared.options) {
            fetching.full = false;
            shared.notify();
        }
        let too_much = shared.holds_too_much(&state);
        drop(state);
        let connection = &shared.connection;
        let number = self.partition.0;
        match fetched {
            Fetched::Batches(mut batches) => {
                if too_much {
                    batches.detach();
                }
                self.hold(Some(Answer::new(batches)));
            }
            Fetched::Trouble(Trouble::OutOfRange) => {
                self.out_of_range.heard(connection, self.partition, &shared.wake);
            }
            Fetched::Trouble(Trouble::CutBack(reason)) => {
                return Err(connection.cut_back(self.partition, &reason));
            }
            Fetched::Trouble(Trouble::Fatal(reason)) => {
                return Err(connection.failed(format!("partition {number}: {reason}")));
            }
            Fetched::Trouble(Trouble::Passing(passing)) => {
                connection.inquire(&shared.wake);
                if self.reported.replace(passing) != Some(passing) {
                    connection.say_passing(self.partition, &passing.words());
                }
            }
        }
        Ok(true)
    }

    /// Lets go of what is unpacked if it and what the reader's other partitions keep is more than
    /// `max` bytes.
    fn keep(&mut self, max: usize) {
        let Some(Reading { answer, unpacked, kept }) = &mut self.reading else { return };
        let batch = answer.as_mut().and_then(|answer| answer.batch.as_mut());
        let packed =
            batch.and_then(|Batch { records, packed, .. }| Some((records, packed.as_mut()?)));
        let decoder = packed.as_ref().map_or(0, |(_, packed)| packed.decoder_bytes());
        if !kept.set(unpacked.capacity() + decoder, max) {
            match packed {
                Some((records, packed)) => packed.suspend(records, unpacked),
                None => *unpacked = Vec::new(),
            }
        }
    }

    /// Reads on in the answer that was taken, if there is one: at most `limit` messages, and `left`
    /// bytes of payload or one message more.
    fn read_answer(
        &mut self,
        shared: &Shared,
        limit: usize,
        left: &mut usize,
        visit: &mut impl FnMut(Message<'_>),
    ) -> Result<usize, SourceError> {
        let (partition, connection) = (self.partition, &shared.connection);
        let Some(Reading { answer: held, unpacked, .. }) = &mut self.reading else { return Ok(0) };
        let Some(answer) = held else { return Ok(0) };
        let low = answer.low;
        let value_max = shared.share.message_bytes_max();
        let broken =
            |error: BatchError| connection.failed(format!("partition {}: {error}", partition.0));
        let mut messages = 0;
        // A message that is handed over in part.
        let mut large = None;
        // Whoever needs more than its share waits until nobody else does.
        let mut unpacks_much = None;
        loop {
            if answer.batch.is_none() && !answer.next_batch().map_err(broken)? {
                // No message lies before the answer's end that was not handed over.
                let ended = match answer.ends {
                    true => self.cursor.end_of_partition(answer.next, || low),
                    false => self.cursor.pass(answer.next, || low),
                };
                *held = None;
                ended.map_err(|loss| connection.lost(partition, loss))?;
                return Ok(messages);
            }
            let Some(Batch { records, end, packed }) = &mut answer.batch else { continue };
            if let Some(packed) = packed {
                let needed = packed.decoder_bytes() + PIECE_BYTES;
                if unpacks_much.is_none() && shared.share.unpacked_bytes() < needed {
                    unpacks_much = Some(shared.share.unpack_much());
                }
                packed.resume(records, unpacked).map_err(broken)?;
            }
            let bytes = match packed {
                None => &answer.bytes[..*end],
                Some(_) => &unpacked[..],
            };
            let stop = loop {
                if limit <= messages || *left == 0 || self.cursor.finished() {
                    break Stop::Enough;
                }
                // Messages are handed over in one place: with a second one, what takes them is no
                // longer inlined, which costs a seventh of the whole job (measured).
                let (offset, stamp, payload, cut_from) = match large.take() {
                    None => match records.next(bytes) {
                        Ok(Some(record)) => {
                            let (payload, cut_from) = handed_over(record.value, value_max);
                            (record.offset, record.timestamp, payload, cut_from)
                        }
                        Ok(None) => break Stop::BatchEnds,
                        Err(error) => break Stop::NotWhole(error),
                    },
                    Some(Large { offset, timestamp, value_bytes, kept }) => {
                        let cut_from = value_bytes.filter(|bytes| (kept as u64) < *bytes);
                        (offset, timestamp, value_bytes.map(|_| &bytes[..kept]), cut_from)
                    }
                };
                // A batch has no negative offsets.
                let offset = Offset(offset.cast_unsigned());
                let step = self
                    .cursor
                    .message(offset, || low)
                    .map_err(|loss| connection.lost(partition, loss))?;
                if step == Step::Deliver {
                    *left = left.saturating_sub(payload.map_or(0, <[u8]>::len));
                    visit(Message {
                        offset,
                        timestamp: timestamp(stamp),
                        timestamp_type: records.timestamp_type(),
                        payload,
                        cut_from,
                    });
                    messages += 1;
                }
            };
            match (stop, packed) {
                (Stop::Enough, _) => return Ok(messages),
                (Stop::BatchEnds, None) => answer.batch = None,
                (Stop::BatchEnds, Some(packed)) => {
                    if !packed.ends(records, unpacked).map_err(broken)? {
                        return Err(broken(records.malformed("bytes after the last of them")));
                    }
                    answer.batch = None;
                }
                (Stop::NotWhole(error), None) => return Err(broken(error)),
                (Stop::NotWhole(error), Some(packed)) => {
                    let span = records.span(unpacked).unwrap_or(0).min(value_max);
                    let needed = packed.decoder_bytes() + span.max(PIECE_BYTES);
                    if unpacks_much.is_none() && shared.share.unpacked_bytes() < needed {
                        unpacks_much = Some(shared.share.unpack_much());
                    }
                    let more = packed.more(records, unpacked, value_max, error).map_err(broken)?;
                    large = match more {
                        More::Large(large) => Some(large),
                        More::Whole => None,
                    };
                }
            }
        }
    }
}

fn timestamp(stamp: i64) -> Option<EventTime> {
    (stamp != -1).then(|| EventTime::from_millis(stamp))
}

impl Answer {
    fn new(batches: Batches) -> Answer {
        let Batches { bytes, next, low, ends, aborted, .. } = batches;
        Answer { bytes, at: 0, batch: None, aborted: Aborted::new(aborted), next, low, ends }
    }

    /// Goes to the next batch that holds messages; says whether there is one.
    fn next_batch(&mut self) -> Result<bool, BatchError> {
        while let Some(header) = Header::read(&self.bytes[self.at..])? {
            let (start, end) = (self.at + HEADER_BYTES, self.at + header.bytes);
            self.at = end;
            let aborted = self.aborted.covers(&header);
            if header.is_control() {
                let marker = header.records(start).next(&self.bytes[..end])?;
                if marker.is_some_and(|marker| batch::aborts(&marker)) {
                    self.aborted.end(header.producer);
                }
                continue;
            }
            if aborted {
                continue;
            }
            let codec = header.codec()?;
            self.batch = Some(match codec {
                Codec::None => Batch { records: header.records(start), end, packed: None },
                codec => {
                    let packed = Some(Packed::new(codec, self.bytes.slice(start..end)));
                    Batch { records: header.records(0), end, packed }
                }
            });
            return Ok(true);
        }
        Ok(false)
    }
}

impl Drop for DirectBackend {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.close();
        }
    }
}
