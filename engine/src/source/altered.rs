//! A log in memory that is as another one, except for what an [`Alteration`] says: for tests of what a
//! log may do that few do.
//!
//! What an alteration does not mention is passed on, here and nowhere else: so a method that a
//! [`Source`] or [`Reader`] gets cannot be forgotten in one of the sources of the tests.

use strandline_operators::record::{Message, Offset, Partition};

use crate::source::simulated::{SimulatedLog, SimulatedReader};
use crate::source::{PartitionStart, Plan, Progress, Reader, Source, SourceError};
use crate::source::{TopicIdentity, Wake};

/// In what a log differs from the one behind it.
pub trait Alteration: Clone + Send + Sync + 'static {
    /// In what a reader differs; `()` if it does not.
    type OfReader: ReaderAlteration;

    /// What a new reader of the log alters.
    fn of_reader(&self, wake: &Wake) -> Self::OfReader;

    /// See [`Source::plan`].
    ///
    /// # Errors
    ///
    /// As there.
    fn plan(
        &self,
        log: &SimulatedLog,
        kept: &[PartitionStart],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, SourceError> {
        log.plan(kept, stopped)
    }

    /// See [`Source::committed`].
    fn committed(&self, _positions: &[(Partition, Offset)]) {}
}

/// In what a reader differs from the one behind it.
pub trait ReaderAlteration: 'static {
    /// See [`Reader::expect`].
    fn expect(&mut self, _topic: &TopicIdentity) {}

    /// A partition is about to be [assigned](Reader::assign).
    fn assigning(&mut self, _start: PartitionStart) {}

    /// See [`Reader::read`].
    ///
    /// # Errors
    ///
    /// As there.
    fn read(
        &mut self,
        reader: &mut SimulatedReader,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        reader.read(partition, limit, visit)
    }

    /// The end of a partition is about to be [asked for](Reader::ask_end).
    fn asking_end(&mut self, _partition: Partition) {}

    /// See [`Reader::end`].
    fn end(&mut self, reader: &mut SimulatedReader, partition: Partition) -> Option<Offset> {
        reader.end(partition)
    }
}

impl ReaderAlteration for () {}

/// A log with an alteration.
#[derive(Clone, Debug)]
pub struct AlteredLog<A> {
    /// The log behind it.
    pub log: SimulatedLog,
    /// In what this one differs.
    pub alteration: A,
}

impl<A: Alteration> Source for AlteredLog<A> {
    type Reader = AlteredReader<A::OfReader>;

    fn topic(&self) -> &str {
        self.log.topic()
    }

    fn plan(
        &self,
        kept: &[PartitionStart],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, SourceError> {
        self.alteration.plan(&self.log, kept, stopped)
    }

    fn is_bounded(&self) -> bool {
        self.log.is_bounded()
    }

    fn committed(&self, positions: &[(Partition, Offset)]) {
        self.log.committed(positions);
        self.alteration.committed(positions);
    }

    fn discover(&self, known: u32) -> Result<Vec<PartitionStart>, SourceError> {
        self.log.discover(known)
    }

    fn reader(&self, wake: Wake) -> Result<Self::Reader, SourceError> {
        let alteration = self.alteration.of_reader(&wake);
        Ok(AlteredReader { reader: self.log.reader(wake)?, alteration })
    }
}

/// Reads an [`AlteredLog`].
#[derive(Debug)]
pub struct AlteredReader<R> {
    reader: SimulatedReader,
    alteration: R,
}

impl<R: ReaderAlteration> Reader for AlteredReader<R> {
    fn expect(&mut self, topic: &TopicIdentity) {
        self.reader.expect(topic);
        self.alteration.expect(topic);
    }

    fn assign(&mut self, start: PartitionStart) -> Result<(), SourceError> {
        self.alteration.assigning(start);
        self.reader.assign(start)
    }

    fn read(
        &mut self,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        self.alteration.read(&mut self.reader, partition, limit, visit)
    }

    fn ask_end(&mut self, partition: Partition) -> Result<(), SourceError> {
        self.alteration.asking_end(partition);
        self.reader.ask_end(partition)
    }

    fn end(&mut self, partition: Partition) -> Option<Offset> {
        self.alteration.end(&mut self.reader, partition)
    }
}
