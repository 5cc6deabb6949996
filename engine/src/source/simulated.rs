//! A log in memory, for tests, benches and simulations: partitions that are appended to at will.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use strandline_operators::record::{Message, Offset, Partition, TimestampType};
use strandline_operators::time::EventTime;

use super::{PartitionStart, Plan, Progress, Reader, Source, SourceError, TopicIdentity, Wake};

/// A topic in memory. Clones share it.
///
/// ```
/// use strandline_engine::source::simulated::SimulatedLog;
/// use strandline_engine::source::{Reader, Source, Wake};
/// use strandline_operators::record::Partition;
///
/// let log = SimulatedLog::new("numbers", 2);
/// log.append(Partition(1), None, Some(b"{}".to_vec()));
/// let mut reader = log.reader(Wake::new(|| ())).unwrap();
/// for start in log.plan(&[], &|| false).unwrap().partitions {
///     reader.assign(start).unwrap();
/// }
/// let progress = reader.read(Partition(1), 10, |message| assert_eq!(message.offset.0, 0)).unwrap();
/// assert!(progress.messages == 1 && progress.at_end);
/// ```
#[derive(Clone, Debug)]
pub struct SimulatedLog {
    topic: Arc<str>,
    bounded: bool,
    timestamp_type: TimestampType,
    partitions: Arc<RwLock<State>>,
}

#[derive(Debug, Default)]
struct State {
    partitions: Vec<StoredPartition>,
    readers: Vec<Wake>,
}

/// The payloads of a partition lie one after the other, as in a log on a disk: whoever reads them
/// in order does not wait for memory.
#[derive(Clone, Debug, Default)]
struct StoredPartition {
    messages: Vec<StoredMessage>,
    payloads: Vec<u8>,
    /// What is before this cannot be read.
    low: Offset,
}

/// A message as the log keeps it.
#[derive(Clone, Debug)]
struct StoredMessage {
    offset: Offset,
    timestamp: Option<EventTime>,
    /// Where its bytes are among the partition's payloads.
    payload: Option<Range<usize>>,
}

impl StoredPartition {
    fn append(&mut self, gap: u64, timestamp: Option<EventTime>, payload: Option<&[u8]>) -> Offset {
        let offset = Offset(self.end().0 + gap);
        let payload = payload.map(|payload| {
            let start = self.payloads.len();
            self.payloads.extend_from_slice(payload);
            start..self.payloads.len()
        });
        self.messages.push(StoredMessage { offset, timestamp, payload });
        offset
    }

    fn end(&self) -> Offset {
        self.messages.last().map_or(Offset(0), |message| message.offset.next())
    }
}

impl SimulatedLog {
    /// A topic with so many empty partitions.
    pub fn new(topic: &str, partitions: u32) -> SimulatedLog {
        let state = State {
            partitions: vec![StoredPartition::default(); partitions as usize],
            readers: Vec::new(),
        };
        SimulatedLog {
            topic: topic.into(),
            bounded: false,
            timestamp_type: TimestampType::CreateTime,
            partitions: Arc::new(RwLock::new(state)),
        }
    }

    /// The same topic, to be read to the ends that it has when the job starts.
    #[must_use]
    pub fn bounded(mut self) -> SimulatedLog {
        self.bounded = true;
        self
    }

    /// The same topic, whose log says that it has set the timestamps of messages itself.
    #[must_use]
    pub fn with_append_times(mut self) -> SimulatedLog {
        self.timestamp_type = TimestampType::LogAppendTime;
        self
    }

    /// Appends a message.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn append(
        &self,
        partition: Partition,
        timestamp: Option<EventTime>,
        payload: Option<Vec<u8>>,
    ) -> Offset {
        self.append_after_gap(partition, 0, timestamp, payload)
    }

    /// Appends a message after so many offsets that hold none, as transaction markers and
    /// compaction leave them.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn append_after_gap(
        &self,
        partition: Partition,
        gap: u64,
        timestamp: Option<EventTime>,
        payload: Option<Vec<u8>>,
    ) -> Offset {
        let mut state = self.state_mut();
        let partition = &mut state.partitions[partition.0 as usize];
        let offset = partition.append(gap, timestamp, payload.as_deref());
        for reader in &state.readers {
            reader.wake();
        }
        offset
    }

    /// Retention has passed `low`: whoever is to read what is before it, hears that it is gone. A lower
    /// offset brings it back, as a copy would.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn begin_at(&self, partition: Partition, low: Offset) {
        let mut state = self.state_mut();
        state.partitions[partition.0 as usize].low = low;
        for reader in &state.readers {
            reader.wake();
        }
    }

    /// Adds an empty partition.
    pub fn add_partition(&self) -> Partition {
        let mut state = self.state_mut();
        state.partitions.push(StoredPartition::default());
        partition_number(state.partitions.len() - 1)
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn starts(&self, from: usize) -> Vec<PartitionStart> {
        let state = self.state();
        let starts = state.partitions.iter().enumerate().skip(from);
        starts
            .map(|(number, partition)| PartitionStart {
                partition: partition_number(number),
                next_offset: Offset(0),
                end: self.bounded.then(|| partition.end()),
            })
            .collect()
    }
}

fn partition_number(index: usize) -> Partition {
    Partition(u32::try_from(index).unwrap_or(u32::MAX))
}

impl Source for SimulatedLog {
    type Reader = SimulatedReader;

    fn topic(&self) -> &str {
        &self.topic
    }

    fn plan(
        &self,
        kept: &[PartitionStart],
        _stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, SourceError> {
        let mut partitions = self.starts(0);
        for start in &mut partitions {
            if let Some(kept) = kept.iter().find(|kept| kept.partition == start.partition) {
                start.next_offset = kept.next_offset;
            }
        }
        Ok(Plan { topic: TopicIdentity::named(&self.topic), partitions })
    }

    fn is_bounded(&self) -> bool {
        self.bounded
    }

    fn discover(&self, known: u32) -> Result<Vec<PartitionStart>, SourceError> {
        Ok(self.starts(known as usize))
    }

    fn reader(&self, wake: Wake) -> Result<SimulatedReader, SourceError> {
        self.state_mut().readers.push(wake.clone());
        let (positions, asked) = (BTreeMap::new(), BTreeMap::new());
        Ok(SimulatedReader { log: self.clone(), wake, positions, asked })
    }
}

/// Reads a [`SimulatedLog`].
#[derive(Debug)]
pub struct SimulatedReader {
    log: SimulatedLog,
    wake: Wake,
    positions: BTreeMap<Partition, PartitionStart>,
    /// The ends that were asked for.
    asked: BTreeMap<Partition, Offset>,
}

impl Reader for SimulatedReader {
    fn assign(&mut self, start: PartitionStart) -> Result<(), SourceError> {
        self.positions.insert(start.partition, start);
        Ok(())
    }

    fn read(
        &mut self,
        partition: Partition,
        limit: usize,
        mut visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        let state = self.log.state();
        let unassigned = || SourceError::Failed {
            topic: self.log.topic.to_string(),
            reason: format!("partition {} was not assigned", partition.0),
        };
        let position = self.positions.get_mut(&partition).ok_or_else(unassigned)?;
        let stored = &state.partitions[partition.0 as usize];
        let before = position.next_offset;
        let is_over = position.end.is_some_and(|end| end <= before);
        if before < stored.low && !is_over {
            return Err(SourceError::DataGone {
                topic: self.log.topic.to_string(),
                partition,
                expected: before,
                low: stored.low,
            });
        }
        let end = position.end.unwrap_or_else(|| stored.end());
        let first = stored.messages.partition_point(|message| message.offset < before);
        let wanted = stored.messages[first..].iter().take_while(|message| message.offset < end);
        let mut read = 0;
        for StoredMessage { offset, timestamp, payload } in wanted.take(limit) {
            let payload = payload.clone().map(|bytes| &stored.payloads[bytes]);
            let (offset, timestamp) = (*offset, *timestamp);
            let timestamp_type = self.log.timestamp_type;
            visit(Message { offset, timestamp, timestamp_type, payload, cut_from: None });
            position.next_offset = offset.next();
            read += 1;
        }
        let next = position.next_offset;
        Ok(Progress {
            messages: read,
            skipped: next.0 - before.0 - read as u64,
            position: next,
            end: Some(stored.end()),
            asked_end: self.asked.get(&partition).copied(),
            at_end: next == stored.end(),
            finished: self.log.bounded && end <= next,
        })
    }

    fn ask_end(&mut self, partition: Partition) -> Result<(), SourceError> {
        let end = self.log.state().partitions[partition.0 as usize].end();
        self.asked.insert(partition, end);
        self.wake.wake();
        Ok(())
    }

    fn end(&mut self, partition: Partition) -> Option<Offset> {
        self.log.state().partitions.get(partition.0 as usize).map(StoredPartition::end)
    }
}
