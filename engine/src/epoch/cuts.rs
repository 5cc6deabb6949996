//! What becomes of the cuts that were asked for, until they are durable.
//!
//! A cut is made of two parts that are heard of apart: where the partitions are, known when its epoch is
//! complete, and what the processes have sealed. When the frontier that follows the disks has passed a
//! cut, all of it has been heard of, and its record is complete. One whose ledger does not balance is no
//! cut, and there is none after it.

use std::collections::{BTreeMap, VecDeque};

use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::LAST_EPOCH;

use crate::checkpoint::manifest::{CutRecord, PartitionCut, ProcessCut};
use crate::commit::protocol::Sealed;
use crate::ledger::Ledger;

/// Records of a partition that are in no place, or in two.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imbalance {
    pub(crate) epoch: u64,
    pub(crate) partition: Partition,
    pub(crate) ledger: Ledger,
}

/// The cuts that are not durable yet, and those that have become it.
#[derive(Debug)]
pub(super) struct Cuts {
    /// Workers of the whole job.
    workers: usize,
    /// Final rows before this run.
    rows_before: u64,
    /// What was closed by the last cut: a run that goes on from it closes nothing at first.
    closed_before: EventTime,
    /// The cuts that were asked for, with the partitions once they are known.
    expected: BTreeMap<u64, Option<Vec<PartitionCut>>>,
    /// What processes have sealed.
    sealed: BTreeMap<u64, Vec<Sealed>>,
    /// Cuts that are durable and that nobody has taken.
    durable: VecDeque<CutRecord>,
    /// The last cut that is dealt with.
    over: Option<u64>,
    /// A cut whose ledger does not balance, once there is one.
    imbalance: Option<Imbalance>,
}

impl Cuts {
    /// Goes on from the cut that an earlier run kept, if that is continued.
    pub(super) fn new(workers: usize, kept: Option<&CutRecord>) -> Cuts {
        Cuts {
            workers,
            rows_before: kept.map_or(0, |kept| kept.final_rows),
            closed_before: kept.map_or(EventTime::MIN, |kept| kept.closed_before),
            expected: BTreeMap::new(),
            sealed: BTreeMap::new(),
            durable: VecDeque::new(),
            over: None,
            imbalance: None,
        }
    }

    /// The cut at the end of this epoch is asked for.
    pub(super) fn expect(&mut self, epoch: u64) {
        self.expected.insert(epoch, None);
    }

    /// The last epoch whose cut is asked for and not dealt with.
    pub(super) fn last_expected(&self) -> Option<u64> {
        self.expected.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// A process has sealed its part of a cut.
    pub(super) fn seal(&mut self, part: Sealed) {
        self.sealed.entry(part.epoch).or_default().push(part);
    }

    /// Whether of some cut before `epoch` it is not known where the partitions are.
    pub(super) fn is_unknown_before(&self, epoch: u64) -> bool {
        self.expected.range(..epoch).any(|(_, noted)| noted.is_none())
    }

    /// In the cuts before `epoch` of which that was not known, the partitions are there.
    pub(super) fn note_before(&mut self, epoch: u64, partitions: &[PartitionCut]) {
        for noted in self.expected.range_mut(..epoch).map(|(_, noted)| noted) {
            noted.get_or_insert_with(|| partitions.to_vec());
        }
    }

    /// Completes the cuts of the epochs before this.
    pub(super) fn complete(&mut self, before: u64) {
        let later = self.expected.split_off(&before);
        for (epoch, partitions) in std::mem::replace(&mut self.expected, later) {
            let parts = self.sealed.remove(&epoch).unwrap_or_default();
            if let Some(partitions) = partitions {
                self.complete_one(epoch, false, partitions, parts);
            }
            self.over = Some(epoch);
        }
    }

    /// Completes the cut at the end of the events, which nobody asks for, if it was sealed. `epoch` is
    /// the last one that there was.
    pub(super) fn complete_last(&mut self, epoch: u64, partitions: Vec<PartitionCut>) {
        if let Some(parts) = self.sealed.remove(&LAST_EPOCH) {
            self.complete_one(epoch, true, partitions, parts);
            self.over = Some(LAST_EPOCH);
        }
    }

    fn complete_one(
        &mut self,
        epoch: u64,
        finished: bool,
        partitions: Vec<PartitionCut>,
        parts: Vec<Sealed>,
    ) {
        let processes: Vec<ProcessCut> = parts.into_iter().filter_map(|part| part.part).collect();
        // Where the events ended before every worker had heard of the cut, some have given it up.
        if processes.iter().map(|process| process.workers).sum::<usize>() != self.workers {
            return;
        }
        let wrong = partitions.iter().find(|cut| !cut.ledger.balances());
        if let Some(PartitionCut { partition, ledger, .. }) = wrong {
            let (partition, ledger) = (*partition, *ledger);
            self.imbalance.get_or_insert(Imbalance { epoch, partition, ledger });
        }
        if self.imbalance.is_some() {
            return;
        }
        let rows: u64 = processes.iter().map(|process| process.final_rows).sum();
        let closed = processes.iter().map(|process| process.closed_by_some).max();
        self.closed_before = self.closed_before.max(closed.unwrap_or(EventTime::MIN));
        self.durable.push_back(CutRecord {
            epoch,
            finished,
            closed_before: self.closed_before,
            final_rows: self.rows_before + rows,
            partitions,
            processes,
        });
    }

    /// The next cut that is durable.
    pub(super) fn next_durable(&mut self) -> Option<CutRecord> {
        self.durable.pop_front()
    }

    /// Whether the cut of this epoch has either become durable or been given up.
    pub(super) fn is_over(&self, epoch: u64) -> bool {
        self.over.is_some_and(|last| epoch <= last)
    }

    /// A cut whose ledger does not balance. It does not become a checkpoint, and none after it.
    pub(super) fn imbalance(&self) -> Option<Imbalance> {
        self.imbalance
    }
}

#[cfg(test)]
mod tests {
    use strandline_operators::record::Offset;

    use super::*;
    use crate::source::PartitionStart;

    fn partition(number: u32, ledger: Ledger) -> PartitionCut {
        let partition = Partition(number);
        let start = PartitionStart { partition, next_offset: Offset(0), end: None };
        PartitionCut { ledger, ..PartitionCut::begin(start, EventTime::MIN) }
    }

    /// What one process has sealed.
    fn sealed(epoch: u64) -> Sealed {
        let part = ProcessCut { workers: 1, ..ProcessCut::default() };
        Sealed { epoch, part: Some(part) }
    }

    #[test]
    fn a_cut_whose_ledger_does_not_balance_is_never_committed_nor_is_one_after_it() {
        let mut cuts = Cuts::new(1, None);
        let complete = |cuts: &mut Cuts, epoch, partitions: &[PartitionCut]| {
            cuts.expect(epoch);
            cuts.note_before(epoch + 1, partitions);
            cuts.seal(sealed(epoch));
            cuts.complete(epoch + 1);
            assert!(cuts.is_over(epoch));
        };
        let whole = Ledger { read: 3, windowed: 2, late: 1, ..Ledger::default() };
        let broken = Ledger { windowed: 1, ..whole };
        complete(&mut cuts, 4, &[partition(0, whole), partition(1, whole)]);
        assert_eq!(cuts.imbalance(), None);
        assert_eq!(cuts.next_durable().unwrap().epoch, 4);
        // In total it would balance.
        let too_many = Ledger { windowed: 3, ..whole };
        complete(
            &mut cuts,
            5,
            &[partition(0, whole), partition(1, broken), partition(2, too_many)],
        );
        let expected = Imbalance { epoch: 5, partition: Partition(1), ledger: broken };
        assert_eq!(cuts.imbalance(), Some(expected));
        complete(&mut cuts, 6, &[partition(0, whole)]);
        assert_eq!(cuts.next_durable(), None);
        assert_eq!(cuts.imbalance(), Some(expected), "the first one is the cause");
    }
}
