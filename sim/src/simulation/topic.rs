//! The topic of a run: partitions that are written while the job reads, and readers that get
//! little at a time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strandline_engine::source::altered::{Alteration, AlteredLog, ReaderAlteration};
use strandline_engine::source::simulated::{SimulatedLog, SimulatedReader};
use strandline_engine::source::{
    PartitionStart, Plan, Progress, Reader, Source, SourceError, Wake,
};
use strandline_operators::record::{Message, Offset, Partition};
use strandline_operators::time::EventTime;

use super::outside::{Happened, Outside, ProcessId};
use crate::oracle::LoggedRecord;
use crate::random::SplitMix64;

/// One in so many appends changes which partitions are written, and how fast.
const PACE_CHANGES_ONE_IN: u64 = 16;

/// A topic that outlives the processes that read it. Clones are the same one.
#[derive(Clone)]
pub struct Topic(Arc<Mutex<State>>);

struct State {
    log: SimulatedLog,
    /// All that will be written.
    records: Vec<Vec<LoggedRecord>>,
    /// How many of each partition's records have been written.
    written: Vec<usize>,
    /// How fast each partition is written, just now; 0 for one that is silent.
    pace: Vec<u64>,
    /// So many partitions are there by now.
    existing: usize,
    random: SplitMix64,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic")
    }
}

impl Topic {
    /// A topic to which `records` will be written. Of its partitions the last `added_later` do not
    /// exist at first.
    pub fn new(
        name: &str,
        records: Vec<Vec<LoggedRecord>>,
        added_later: usize,
        seed: u64,
    ) -> Topic {
        let existing = records.len().saturating_sub(added_later).max(1).min(records.len());
        let partitions = u32::try_from(existing).unwrap_or(u32::MAX);
        Topic(Arc::new(Mutex::new(State {
            log: SimulatedLog::new(name, partitions),
            written: vec![0; records.len()],
            pace: vec![1; records.len()],
            existing,
            records,
            random: SplitMix64::stream(seed, 0x746f_7069_6300_0000),
        })))
    }

    /// What is read of it: to the ends of this moment, or as it grows.
    pub fn source(
        &self,
        bounded: bool,
        reads: Reads,
        outside: &Outside,
        process: ProcessId,
    ) -> SimulatedTopic {
        let mut state = self.lock();
        let log = state.log.clone();
        let random = SplitMix64::new(state.random.next_u64());
        let alteration = OfProcess {
            reads,
            random: Arc::new(Mutex::new(random)),
            outside: outside.clone(),
            process,
            is_misspelt: false,
        };
        AlteredLog { log: if bounded { log.bounded() } else { log }, alteration }
    }

    /// Writes a few records, or adds a partition. Whether there was anything to write.
    pub fn write_some(&self) -> bool {
        let state = &mut *self.lock();
        if state.random.below(PACE_CHANGES_ONE_IN) == 0 {
            for pace in &mut state.pace {
                *pace = [0, 1, 1, 8][state.random.below(4) as usize];
            }
        }
        state.add_partition_if_due();
        let existing = state.existing;
        let waiting: Vec<usize> =
            (0..existing).filter(|p| state.written[*p] < state.records[*p].len()).collect();
        if waiting.is_empty() {
            return state.add_partition();
        }
        let total: u64 = waiting.iter().map(|p| state.pace[*p]).sum();
        let mut drawn = state.random.below(total);
        let mut chosen = waiting[0];
        for partition in waiting {
            if drawn < state.pace[partition] {
                chosen = partition;
                break;
            }
            drawn -= state.pace[partition];
        }
        let burst = 1 + state.random.below(4);
        for _ in 0..burst {
            state.write_one(chosen);
        }
        true
    }

    /// Writes everything that has not been written.
    pub fn write_rest(&self) {
        let state = &mut *self.lock();
        while state.add_partition() {}
        for partition in 0..state.records.len() {
            while state.write_one(partition) {}
        }
    }

    /// Retention passes what is to be read: of some partition, what is before some record that has been
    /// written is gone.
    pub fn lose_some(&self, random: &mut SplitMix64) {
        let state = self.lock();
        let partition = random.below(state.existing as u64) as usize;
        let written = &state.records[partition][..state.written[partition]];
        if written.is_empty() {
            return;
        }
        let low = written[random.below(written.len() as u64) as usize].offset + 1;
        state.log.begin_at(Partition(u32::try_from(partition).unwrap_or(u32::MAX)), Offset(low));
    }

    /// What was lost is there again, from a copy.
    pub fn bring_back(&self) {
        let state = self.lock();
        for partition in 0..state.existing {
            let partition = Partition(u32::try_from(partition).unwrap_or(u32::MAX));
            state.log.begin_at(partition, Offset(0));
        }
    }

    /// All that will be written, by partition.
    pub fn records(&self) -> Vec<Vec<LoggedRecord>> {
        self.lock().records.clone()
    }

    /// Records that have not been written.
    pub fn left(&self) -> usize {
        let state = self.lock();
        let total: usize = state.records.iter().map(Vec::len).sum();
        total - state.written.iter().sum::<usize>()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Later partitions come when a part of the others has been written.
    fn add_partition_if_due(&mut self) {
        let written: usize = self.written.iter().sum();
        let total: usize = self.records[..self.existing].iter().map(Vec::len).sum();
        if self.existing < self.records.len() && total < 2 * written {
            self.add_partition();
        }
    }

    fn add_partition(&mut self) -> bool {
        let is_missing = self.existing < self.records.len();
        if is_missing {
            self.log.add_partition();
            self.existing += 1;
        }
        is_missing
    }

    fn write_one(&mut self, partition: usize) -> bool {
        let index = self.written[partition];
        let Some(record) = self.records[partition].get(index) else { return false };
        let next = index.checked_sub(1).map_or(0, |last| self.records[partition][last].offset + 1);
        let number = Partition(u32::try_from(partition).unwrap_or(u32::MAX));
        self.log.append_after_gap(
            number,
            record.offset - next,
            record.timestamp_ms.map(EventTime::from_millis),
            record.payload.clone(),
        );
        self.written[partition] += 1;
        true
    }
}

/// How much a reader gets at a time.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Reads {
    /// The share of reads that bring nothing although there is something.
    pub empty_share: f64,
    /// Most messages of a read, a number of messages.
    pub messages_max: usize,
}

/// A topic as one process reads it.
pub type SimulatedTopic = AlteredLog<OfProcess>;

/// How a process finds the topic.
#[derive(Clone)]
pub struct OfProcess {
    reads: Reads,
    random: Arc<Mutex<SplitMix64>>,
    outside: Outside,
    process: ProcessId,
    /// Whether there is no topic of that name.
    pub is_misspelt: bool,
}

impl fmt::Debug for OfProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfProcess").field("reads", &self.reads).finish_non_exhaustive()
    }
}

impl Alteration for OfProcess {
    type OfReader = LittleAtATime;

    fn of_reader(&self, wake: &Wake) -> LittleAtATime {
        LittleAtATime {
            wake: wake.clone(),
            reads: self.reads,
            random: Arc::clone(&self.random),
            last: Vec::new(),
        }
    }

    fn plan(
        &self,
        log: &SimulatedLog,
        kept: &[PartitionStart],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, SourceError> {
        if self.is_misspelt {
            let (topic, bootstrap) = (log.topic().to_owned(), "simulation".to_owned());
            return Err(SourceError::TopicAbsent { topic, bootstrap });
        }
        log.plan(kept, stopped)
    }

    fn committed(&self, positions: &[(Partition, Offset)]) {
        let positions = positions.iter().map(|(partition, offset)| (partition.0, offset.0));
        let positions = positions.collect();
        if !self.outside.is_dead(self.process) {
            self.outside.happened(Happened::Committed { process: self.process, positions });
        }
    }
}

/// Reads little at a time, or nothing.
#[derive(Debug)]
pub struct LittleAtATime {
    wake: Wake,
    reads: Reads,
    random: Arc<Mutex<SplitMix64>>,
    last: Vec<(Partition, Progress)>,
}

impl ReaderAlteration for LittleAtATime {
    fn read(
        &mut self,
        reader: &mut SimulatedReader,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let brings_nothing = random.happens(self.reads.empty_share);
        let most = 1 + random.below(self.reads.messages_max.max(1) as u64) as usize;
        drop(random);
        let last = self.last.iter_mut().find(|(p, _)| *p == partition);
        if brings_nothing && let Some((_, last)) = last {
            // A log that did not answer: nothing is known of its end.
            self.wake.wake();
            return Ok(Progress { messages: 0, skipped: 0, at_end: false, ..*last });
        }
        let progress = reader.read(partition, limit.min(most), visit)?;
        if !progress.at_end {
            self.wake.wake();
        }
        match last {
            Some((_, last)) => *last = progress,
            None => self.last.push((partition, progress)),
        }
        Ok(progress)
    }

    fn asking_end(&mut self, partition: Partition) {
        if let Some((_, last)) = self.last.iter_mut().find(|(p, _)| *p == partition) {
            last.asked_end = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::Trace;
    use super::*;

    fn records(counts: &[usize]) -> Vec<Vec<LoggedRecord>> {
        let record = |offset: usize| LoggedRecord {
            offset: 2 * offset as u64,
            timestamp_ms: None,
            payload: Some(vec![1]),
        };
        counts.iter().map(|count| (0..*count).map(record).collect()).collect()
    }

    #[test]
    fn everything_is_written_and_read_in_order() {
        for seed in 0..20 {
            let topic = Topic::new("t", records(&[30, 0, 50]), 1, seed);
            let outside = Outside::new(seed, Trace::default());
            let reads = Reads { empty_share: 0.3, messages_max: 3 };
            let source = topic.source(false, reads, &outside, ProcessId(0));
            let mut reader = source.reader(Wake::new(|| ())).unwrap();
            assert_eq!(source.plan(&[], &|| false).unwrap().partitions.len(), 2);
            while topic.write_some() {}
            assert_eq!(topic.left(), 0);
            for start in source.plan(&[], &|| false).unwrap().partitions {
                reader.assign(start).unwrap();
            }
            for (partition, count) in [(0, 30), (1, 0), (2, 50)] {
                let mut offsets = Vec::new();
                while offsets.len() < count {
                    let read = |message: Message<'_>| offsets.push(message.offset.0);
                    reader.read(Partition(partition), 100, read).unwrap();
                }
                assert!(offsets.iter().copied().eq((0..count as u64).map(|o| 2 * o)));
            }
        }
    }
}
