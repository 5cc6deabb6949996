//! Reading from what was fetched.

use std::sync::Arc;

use bytes::Bytes;
use strandline_operators::record::{Message, Offset};
use strandline_operators::time::EventTime;

use super::batch::{self, BatchError, HEADER_BYTES, Header, Records};
use super::codec::Codec;
use super::leaders;
use super::options::DirectOptions;
use super::queue::{Batches, Fetched, Fetching, Passing, Shared, Trouble};
use super::transactions::Aborted;
use crate::clock::Clock;
use crate::source::kafka::connection::Connection;
use crate::source::kafka::cursor::Step;
use crate::source::kafka::reader::{Assigned, Way};
use crate::source::{PartitionStart, SourceError, Wake};

/// Bytes that a partition keeps for the records of the next batch that is compressed.
const UNPACKED_KEPT_MAX: usize = 8 << 20;

/// Fetches by Kafka's protocol; its threads are started when the first partition is assigned.
#[derive(Default)]
pub(in crate::source::kafka) struct DirectWay {
    shared: Option<Arc<Shared>>,
}

/// What is being read of a partition.
#[derive(Default)]
pub(in crate::source::kafka) struct Reading {
    answer: Option<Answer>,
    /// Records of a batch that was compressed.
    unpacked: Vec<u8>,
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
    /// Where it ends in the answer; `None` if its records were decompressed.
    end: Option<usize>,
}

impl DirectWay {
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

impl Way for DirectWay {
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
        Ok(Reading::default())
    }

    fn read(
        &mut self,
        assigned: &mut Assigned<DirectWay>,
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

impl Assigned<DirectWay> {
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
        let mut messages = 0;
        while messages < limit
            && !self.cursor.finished()
            && let Some(reading) = &self.reading
        {
            if reading.answer.is_none() && !self.take(shared)? {
                break;
            }
            messages += self.read_answer(connection, limit - messages, &mut visit)?;
        }
        if let Some(fetching) = shared.state().partitions.get_mut(&self.partition) {
            let now = shared.clock.elapsed();
            self.high = fetching.high.or(self.high);
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

    /// Reads on in the answer that was taken, if there is one.
    fn read_answer(
        &mut self,
        connection: &Connection,
        limit: usize,
        visit: &mut impl FnMut(Message<'_>),
    ) -> Result<usize, SourceError> {
        let partition = self.partition;
        let Some(Reading { answer: held, unpacked }) = &mut self.reading else { return Ok(0) };
        let Some(answer) = held else { return Ok(0) };
        let low = answer.low;
        let broken =
            |error: BatchError| connection.failed(format!("partition {}: {error}", partition.0));
        let mut messages = 0;
        while messages < limit {
            if answer.batch.is_none() && !answer.next_batch(unpacked).map_err(broken)? {
                // No message lies before the answer's end that was not handed over.
                let ended = match answer.ends {
                    true => self.cursor.end_of_partition(answer.next, || low),
                    false => self.cursor.pass(answer.next, || low),
                };
                *held = None;
                if UNPACKED_KEPT_MAX < unpacked.capacity() {
                    *unpacked = Vec::new();
                }
                ended.map_err(|loss| connection.lost(partition, loss))?;
                return Ok(messages);
            }
            let Some(batch) = &mut answer.batch else { continue };
            let bytes = match batch.end {
                Some(end) => &answer.bytes[..end],
                None => &unpacked[..],
            };
            while messages < limit {
                let Some(record) = batch.records.next(bytes).map_err(broken)? else {
                    answer.batch = None;
                    break;
                };
                // A batch has no negative offsets.
                let offset = Offset(record.offset.cast_unsigned());
                let step = self
                    .cursor
                    .message(offset, || low)
                    .map_err(|loss| connection.lost(partition, loss))?;
                if step == Step::Deliver {
                    let timestamp =
                        (record.timestamp != -1).then(|| EventTime::from_millis(record.timestamp));
                    visit(Message { offset, timestamp, payload: record.value });
                    messages += 1;
                }
            }
            if self.cursor.finished() {
                return Ok(messages);
            }
        }
        Ok(messages)
    }
}

impl Answer {
    fn new(batches: Batches) -> Answer {
        let Batches { bytes, next, low, ends, aborted, .. } = batches;
        Answer { bytes, at: 0, batch: None, aborted: Aborted::new(aborted), next, low, ends }
    }

    /// Goes to the next batch that holds messages; says whether there is one.
    fn next_batch(&mut self, unpacked: &mut Vec<u8>) -> Result<bool, BatchError> {
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
            self.batch = Some(if codec == Codec::None {
                Batch { records: header.records(start), end: Some(end) }
            } else {
                codec.decompress(&self.bytes[start..end], unpacked).map_err(|error| {
                    BatchError::Compression(header.base_offset, error.to_string())
                })?;
                Batch { records: header.records(0), end: None }
            });
            return Ok(true);
        }
        Ok(false)
    }
}

impl Drop for DirectWay {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.close();
        }
    }
}
