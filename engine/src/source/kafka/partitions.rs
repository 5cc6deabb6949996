//! The partitions of one worker, whichever way their messages come: which were assigned, where each of
//! them is, and what a read came to. A [`Backend`] gets at the messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strandline_operators::record::{Message, Offset, Partition};

use crate::source::kafka::connection::Connection;
use crate::source::kafka::cursor::Cursor;
use crate::source::kafka::out_of_range::OutOfRange;
use crate::source::kafka::watch::{HeardEnd, Question};
use crate::source::{PartitionStart, Progress, SourceError, Wake};

/// How long a transaction may be open before a person is told that a partition waits behind it.
const TRANSACTION_OPEN_FOR: Duration = Duration::from_secs(10);

/// A way to get at the messages of partitions.
pub(super) trait Backend: Default {
    /// What it keeps of a partition that is being read.
    type Reading;
    /// What may be the matter with a partition for a while.
    type Trouble: Copy + PartialEq;

    /// Begins to read a partition.
    fn start(
        &mut self,
        start: PartitionStart,
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<Self::Reading, SourceError>;

    /// Hands at most `limit` messages to `visit`, and says how many.
    fn read(
        &mut self,
        assigned: &mut Assigned<Self>,
        limit: usize,
        visit: impl FnMut(Message<'_>),
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<usize, SourceError>;

    /// Does what cannot wait until something is read again: all partitions may have to wait for others.
    fn tend(&self) {}
}

/// A partition that was assigned.
pub(super) struct Assigned<W: Backend> {
    pub(super) partition: Partition,
    pub(super) cursor: Cursor,
    /// `None` when there is nothing more to read.
    pub(super) reading: Option<W::Reading>,
    /// The high watermark, as last heard with messages.
    pub(super) high: Option<Offset>,
    /// The high watermark, where it is known when that was heard.
    pub(super) heard: Option<HeardEnd>,
    /// Since when it waits behind a transaction, and whether that was said.
    behind_transaction: Option<(Duration, bool)>,
    /// Whether it counts at this moment that the log said that there is nothing more.
    pub(super) ends_now: bool,
    pub(super) out_of_range: OutOfRange,
    /// The trouble that was reported last, so that it is reported once.
    pub(super) reported: Option<W::Trouble>,
    /// Where it ends, as it was asked for last.
    asked_end: AskedEnd,
}

/// The answer to the question where a partition ends.
#[derive(Copy, Clone, Debug)]
enum AskedEnd {
    NotAsked,
    /// By this question, which was not answered yet.
    Asked(Question),
    Answered(Offset),
}

impl<W: Backend> Assigned<W> {
    /// Says when the partition has waited for long behind an open transaction, and when it has ended.
    fn look_for_transaction(&mut self, messages: usize, connection: &Connection) {
        if messages > 0 || !self.cursor.waits_before(self.high) {
            if let Some((_, true)) = self.behind_transaction.take() {
                connection.say_transaction_ended(self.partition);
            }
            return;
        }
        let now = connection.watch.now();
        let (since, is_said) = self.behind_transaction.get_or_insert((now, false));
        if !*is_said && TRANSACTION_OPEN_FOR <= now.saturating_sub(*since) {
            *is_said = true;
            let high = self.high.unwrap_or_default();
            connection.say_behind_transaction(self.partition, self.cursor.position(), high);
        }
    }

    fn asked_end(&mut self, connection: &Connection) -> Option<Offset> {
        if let AskedEnd::Asked(question) = self.asked_end
            && let Some(end) = connection.watch.answer(self.partition, question)
        {
            self.asked_end = AskedEnd::Answered(end);
        }
        match self.asked_end {
            AskedEnd::Answered(end) => Some(end),
            AskedEnd::NotAsked | AskedEnd::Asked(_) => None,
        }
    }
}

/// The partitions of one reader.
pub(super) struct Partitions<W: Backend> {
    pub(super) connection: Arc<Connection>,
    wake: Wake,
    way: W,
    assigned: BTreeMap<Partition, Assigned<W>>,
}

impl<W: Backend> Partitions<W> {
    pub(super) fn new(connection: Arc<Connection>, wake: Wake) -> Partitions<W> {
        Partitions { connection, wake, way: W::default(), assigned: BTreeMap::new() }
    }

    pub(super) fn assign(&mut self, start: PartitionStart) -> Result<(), SourceError> {
        let partition = start.partition;
        if self.assigned.contains_key(&partition) {
            let reason = format!("partition {} was assigned twice to one reader", partition.0);
            return Err(self.connection.failed(reason));
        }
        let cursor = Cursor::new(start.next_offset, start.end);
        let reading = match cursor.finished() {
            true => None,
            false => Some(self.way.start(start, &self.connection, &self.wake)?),
        };
        let out_of_range = OutOfRange::default();
        let (high, ends_now, reported) = (None, false, None);
        let asked_end = AskedEnd::NotAsked;
        self.connection.watch(&self.wake);
        let assigned = Assigned {
            partition,
            cursor,
            reading,
            high,
            heard: None,
            behind_transaction: None,
            ends_now,
            out_of_range,
            reported,
            asked_end,
        };
        self.assigned.insert(partition, assigned);
        Ok(())
    }

    pub(super) fn ask_end(&mut self, partition: Partition) -> Result<(), SourceError> {
        let Some(assigned) = self.assigned.get_mut(&partition) else {
            let reason = format!("partition {} is not assigned to this reader", partition.0);
            return Err(self.connection.failed(reason));
        };
        assigned.asked_end = AskedEnd::Asked(self.connection.watch.ask_end(partition, &self.wake));
        Ok(())
    }

    pub(super) fn end(&self, partition: Partition) -> Option<Offset> {
        self.way.tend();
        let assigned = self.assigned.get(&partition)?;
        let end = self.connection.watch.end(partition, assigned.heard)?;
        Some(end.max(assigned.cursor.position()))
    }

    pub(super) fn read(
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
        let messages = self.way.read(assigned, limit, visit, &self.connection, &self.wake)?;
        if 0 < messages {
            assigned.reported = None;
            assigned.out_of_range.is_over();
        }
        if assigned.cursor.finished() {
            assigned.reading = None; // What comes after the end is not even fetched.
        }
        assigned.look_for_transaction(messages, &self.connection);
        let asked_end = assigned.asked_end(&self.connection);
        let position = assigned.cursor.position();
        Ok(Progress {
            messages,
            skipped: assigned.cursor.take_skipped(),
            position,
            end: assigned.high.map(|high| high.max(position)),
            asked_end,
            at_end: assigned.ends_now && assigned.cursor.at_end(assigned.high),
            finished: assigned.cursor.finished(),
        })
    }
}

impl<W: Backend> std::fmt::Debug for Partitions<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partitions")
            .field("topic", &self.connection.settings.topic)
            .field("partitions", &self.assigned.keys().map(|p| p.0).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
