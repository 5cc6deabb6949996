//! Which worker reads which partition.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

use strandline_operators::record::Partition;

use crate::checkpoint::manifest::{CutRecord, PartitionCut};
use crate::epoch::control::Assignment;
use crate::report::Report;
use crate::source::PartitionStart;

/// Gives partitions to workers, once each.
pub(crate) struct Assigner {
    /// Partitions that no worker has been told to read.
    unassigned: Vec<PartitionStart>,
    /// What an earlier run kept of partitions.
    kept: BTreeMap<Partition, PartitionCut>,
    discovered: Option<Receiver<Vec<PartitionStart>>>,
    /// How many partitions each worker reads.
    partitions_of: Vec<usize>,
    local_workers: usize,
    /// Records that were read of the partitions of this process before this run.
    read_before: u64,
    /// Whether it was said that some workers read nothing.
    said_empty_workers: bool,
    report: Report,
}

impl Assigner {
    /// Of `workers`, `local_workers` are in this process. What is `discovered` is there besides
    /// `partitions`.
    pub(crate) fn new(
        (workers, local_workers): (usize, usize),
        partitions: Vec<PartitionStart>,
        discovered: Option<Receiver<Vec<PartitionStart>>>,
        kept: Option<&CutRecord>,
        report: Report,
    ) -> Assigner {
        let kept = kept.map(|kept| kept.partitions.clone()).unwrap_or_default();
        Assigner {
            unassigned: partitions,
            kept: kept.into_iter().map(|cut| (cut.partition, cut)).collect(),
            discovered,
            partitions_of: vec![0; workers],
            local_workers,
            read_before: 0,
            said_empty_workers: false,
            report,
        }
    }

    /// Records that were read of the partitions of this process before this run.
    pub(crate) fn read_before(&self) -> u64 {
        self.read_before
    }

    /// Which worker reads a new partition. At the start that is the partition's number modulo the
    /// number of workers. Later it is the one that reads the fewest, but at least one: a worker
    /// without any has let go of event time, and capabilities never go back.
    pub(crate) fn assign(&mut self, at_start: bool) -> Vec<Assignment> {
        if let Some(discovered) = &self.discovered {
            self.unassigned.extend(discovered.try_iter().flatten());
        }
        let (workers, local_workers) = (self.partitions_of.len(), self.local_workers);
        let (partitions_of, kept) = (&mut self.partitions_of, &mut self.kept);
        let mut assign = Vec::new();
        let mut read_before = 0;
        self.unassigned.retain(|start| {
            let worker = if at_start {
                Some(start.partition.0 as usize % workers)
            } else {
                let able = (0..workers).filter(|worker| 0 < partitions_of[*worker]);
                able.min_by_key(|worker| partitions_of[*worker])
            };
            if let Some(worker) = worker {
                partitions_of[worker] += 1;
                let kept = kept.remove(&start.partition);
                if worker < local_workers {
                    read_before += kept.as_ref().map_or(0, |kept| kept.ledger.read);
                }
                assign.push(Assignment { worker, start: *start, kept });
            }
            worker.is_none()
        });
        self.read_before += read_before;
        if !at_start && !assign.is_empty() {
            self.say_empty_workers(&assign);
        }
        assign
    }

    /// Says once that partitions that were found go to fewer workers than there are.
    fn say_empty_workers(&mut self, found: &[Assignment]) {
        let empty = self.partitions_of.iter().filter(|partitions| **partitions == 0).count();
        if empty == 0 || std::mem::replace(&mut self.said_empty_workers, true) {
            return;
        }
        let found: Vec<String> = found.iter().map(|a| a.start.partition.0.to_string()).collect();
        self.report.say(&format!(
            "partition {} was found and is read; {empty} of {} workers read none, and cannot take one \
             while the job runs: restart to spread the partitions",
            found.join(", "),
            self.partitions_of.len(),
        ));
    }
}
