//! Reads the partitions of one worker from what was fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use strandline_operators::record::{Message, Offset, Partition};
use strandline_operators::time::EventTime;

use super::batch::{self, BatchError, HEADER_BYTES, Header, Records};
use super::codec::Codec;
use super::fetch::words;
use super::leaders;
use super::options::DirectOptions;
use super::queue::{Batches, Fetched, Fetching, Shared, Trouble};
use super::transactions::Aborted;
use crate::source::kafka::connection::Connection;
use crate::source::kafka::cursor::{Cursor, Step};
use crate::source::kafka::out_of_range::OutOfRange;
use crate::source::{PartitionStart, Progress, Reader, SourceError, Wake};

/// Reads partitions of a topic; its threads are started when the first is assigned.
pub(in crate::source::kafka) struct DirectReader {
    connection: Arc<Connection>,
    wake: Wake,
    shared: Option<Arc<Shared>>,
    assigned: BTreeMap<Partition, Assigned>,
}

struct Assigned {
    partition: Partition,
    cursor: Cursor,
    /// What is being read.
    answer: Option<Answer>,
    /// Records of a batch that was compressed.
    unpacked: Vec<u8>,
    /// The high watermark, as last heard.
    high: Option<Offset>,
    /// The trouble that was reported last, so that it is reported once.
    reported: Option<ResponseError>,
    out_of_range: OutOfRange,
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

impl DirectReader {
    pub(in crate::source::kafka) fn new(connection: Arc<Connection>, wake: Wake) -> DirectReader {
        let (shared, assigned) = (None, BTreeMap::new());
        DirectReader { connection, wake, shared, assigned }
    }

    fn shared(&mut self) -> Result<Arc<Shared>, SourceError> {
        if let Some(shared) = &self.shared {
            return Ok(Arc::clone(shared));
        }
        let connection = &self.connection;
        let options = DirectOptions::new(&connection.settings, connection.partitions())?;
        let shared = Shared::new(Arc::clone(connection), options, self.wake.clone());
        leaders::spawn(&shared)
            .map_err(|error| connection.failed(format!("no thread to fetch with: {error}")))?;
        Ok(Arc::clone(self.shared.insert(shared)))
    }
}

impl Reader for DirectReader {
    fn assign(&mut self, start: PartitionStart) -> Result<(), SourceError> {
        let partition = start.partition;
        if self.assigned.contains_key(&partition) {
            let reason = format!("partition {} was assigned twice to one reader", partition.0);
            return Err(self.connection.failed(reason));
        }
        let cursor = Cursor::new(start.next_offset, start.end);
        if !cursor.finished() {
            let shared = self.shared()?;
            let fetching = Fetching::new(start.next_offset, start.end);
            shared.state().partitions.insert(partition, fetching);
            shared.notify();
        }
        let assigned = Assigned {
            partition,
            cursor,
            answer: None,
            unpacked: Vec::new(),
            high: None,
            reported: None,
            out_of_range: OutOfRange::default(),
        };
        self.assigned.insert(partition, assigned);
        Ok(())
    }

    fn read(
        &mut self,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        if let Some(error) = self.connection.verdict() {
            return Err(error);
        }
        let Some(assigned) = self.assigned.get_mut(&partition) else {
            let reason = format!("partition {} is not assigned to this reader", partition.0);
            return Err(self.connection.failed(reason));
        };
        let mut messages = 0;
        if let Some(shared) = &self.shared {
            messages = assigned.read(shared, limit, visit)?;
        }
        let position = assigned.cursor.position();
        Ok(Progress {
            messages,
            skipped: assigned.cursor.take_skipped(),
            position,
            end: assigned.high.unwrap_or(position).max(position),
            at_end: assigned.cursor.at_end(assigned.high),
            finished: assigned.cursor.finished(),
        })
    }
}

impl Assigned {
    /// Hands at most `limit` messages to `visit`, and says how many.
    fn read(
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
        while messages < limit && !self.cursor.finished() {
            if self.answer.is_none() && !self.take(shared)? {
                break;
            }
            messages += self.read_answer(connection, limit - messages, &mut visit)?;
        }
        if 0 < messages {
            self.reported = None;
            self.out_of_range.is_over();
        }
        if self.cursor.finished() {
            self.answer = None;
        }
        if let Some(fetching) = shared.state().partitions.get(&self.partition) {
            self.high = fetching.high.or(self.high);
        }
        Ok(messages)
    }

    fn restart(&mut self, shared: &Shared, from: Offset) {
        self.answer = None;
        if let Some(fetching) = shared.state().partitions.get_mut(&self.partition) {
            fetching.restart(from);
        }
        shared.notify();
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
                self.answer = Some(Answer::new(batches));
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
            Fetched::Trouble(Trouble::Passing(error)) => {
                connection.inquire(&shared.wake);
                if self.reported.replace(error) != Some(error) {
                    connection.say_passing(self.partition, &words(error));
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
        let Some(answer) = &mut self.answer else { return Ok(0) };
        let low = answer.low;
        let broken =
            |error: BatchError| connection.failed(format!("partition {}: {error}", partition.0));
        let mut messages = 0;
        while messages < limit {
            if answer.batch.is_none() && !answer.next_batch(&mut self.unpacked).map_err(broken)? {
                // No message lies before the answer's end that was not handed over.
                let ended = match answer.ends {
                    true => self.cursor.end_of_partition(answer.next, || low),
                    false => self.cursor.pass(answer.next, || low),
                };
                self.answer = None;
                ended.map_err(|loss| connection.lost(partition, loss))?;
                return Ok(messages);
            }
            let Some(batch) = &mut answer.batch else { continue };
            let bytes = match batch.end {
                Some(end) => &answer.bytes[..end],
                None => &self.unpacked[..],
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

impl Drop for DirectReader {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.close();
        }
    }
}

impl std::fmt::Debug for DirectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectReader")
            .field("topic", &self.connection.settings.topic)
            .field("partitions", &self.assigned.keys().map(|p| p.0).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
