//! What a manifest cannot say, whatever its checksum: counts that contradict each other, an epoch that
//! nothing can follow.
//!
//! A manifest with such values was not written by a job. Taken at its word, it would lose rows or read
//! records again without a word. So it is damaged, and an older one counts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{CutRecord, OutputCut, PartitionCut};
use crate::ledger::Ledger;

/// The greatest epoch of a cut. Those after it have to have numbers, too; at a million epochs a second
/// it is reached in a hundred thousand years.
const EPOCH_MAX: u64 = 1 << 62;

/// How much a cut holds, counted when it is written: what is missing from a list does not show in it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    partitions: u64,
    /// The sum of their next offsets.
    next_offsets: u64,
    read: u64,
    processes: u64,
    state_records: u64,
    staged_rows: u64,
    pending_rows: u64,
}

impl Totals {
    /// Those of `cut`. Sums that no job reaches wrap around.
    pub(super) fn of(cut: &CutRecord) -> Totals {
        let (partitions, processes) = (&cut.partitions, &cut.processes);
        let state = processes.iter().flat_map(|process| &process.state);
        let outputs = || processes.iter().map(|process| &process.outputs);
        Totals {
            partitions: partitions.len() as u64,
            next_offsets: sum(partitions.iter().map(|partition| partition.next_offset.0)),
            read: sum(partitions.iter().map(|partition| partition.ledger.read)),
            processes: processes.len() as u64,
            state_records: sum(state.map(|(_, section)| section.records)),
            staged_rows: sum(outputs().map(staged_rows)),
            pending_rows: sum(outputs().map(pending_rows)),
        }
    }

    /// Looks whether `cut` holds what was counted when it was written.
    pub(super) fn check(&self, cut: &CutRecord) -> Result<(), String> {
        let found = Totals::of(cut);
        for (what, counted, found) in [
            ("partitions", self.partitions, found.partitions),
            ("as the sum of next offsets", self.next_offsets, found.next_offsets),
            ("records read", self.read, found.read),
            ("processes", self.processes, found.processes),
            ("panes of windows", self.state_records, found.state_records),
            ("rows in hidden files", self.staged_rows, found.staged_rows),
            ("rows that wait for their file", self.pending_rows, found.pending_rows),
        ] {
            if counted != found {
                return contradiction(&format!("it counts {counted} {what}, and lists {found}"));
            }
        }
        Ok(())
    }
}

/// Looks whether a job can have written this cut. Versions that did not count what they stored are held
/// to this alone.
pub(super) fn check(cut: &CutRecord) -> Result<(), String> {
    if cut.epoch > EPOCH_MAX {
        return contradiction(&format!("its epoch is {}, and none can follow", cut.epoch));
    }
    if cut.processes.is_empty() {
        return contradiction("it has a cut, and no process that stored it");
    }
    let mut processes = BTreeSet::new();
    if let Some(twice) = cut.processes.iter().find(|part| !processes.insert(part.process)) {
        return contradiction(&format!("it lists process {} twice", twice.process));
    }
    let mut partitions = BTreeSet::new();
    let (mut windowed, mut rejected) = (0_u64, 0_u64);
    for partition in &cut.partitions {
        if !partitions.insert(partition.partition) {
            return contradiction(&format!("it lists partition {} twice", partition.partition.0));
        }
        check_partition(partition)?;
        windowed = windowed.saturating_add(partition.ledger.windowed);
        let rejected_here = partition.ledger.late.saturating_add(partition.ledger.dead_letters());
        rejected = rejected.saturating_add(rejected_here);
    }
    if added(cut.partitions.iter().map(|partition| partition.ledger.read)).is_none() {
        return contradiction("it has read more records than can be counted");
    }
    let of_run = added(cut.processes.iter().map(|process| process.final_rows));
    let kept = cut.processes.iter().map(|process| &process.outputs);
    let kept = added(kept.flat_map(|cut| [staged_rows(cut), pending_rows(cut)]));
    let rows_max = cut.final_rows.saturating_add(rejected);
    let state = cut.processes.iter().any(|process| !process.state.is_empty());
    if cut.final_rows > windowed {
        let rows = cut.final_rows;
        contradiction(&format!("it has {rows} final rows of {windowed} records in windows"))
    } else if state && windowed == 0 {
        contradiction("windows are open, and no record was read into one")
    } else if of_run.is_none_or(|rows| rows > cut.final_rows) {
        let rows = cut.final_rows;
        contradiction(&format!("it has {rows} final rows, and its processes have more"))
    } else if kept.is_none_or(|kept| kept > rows_max) {
        contradiction(&format!("it has {rows_max} rows in all, and more that are not visible yet"))
    } else {
        Ok(())
    }
}

fn check_partition(cut: &PartitionCut) -> Result<(), String> {
    let PartitionCut { partition, next_offset, ledger, skipped, .. } = cut;
    let Ledger { read, .. } = ledger;
    if !ledger.balances() {
        return contradiction(&format!(
            "of partition {}, {read} records were read, and windows, late records and dead letters \
             are not as many",
            partition.0
        ));
    }
    let passed = read.checked_add(*skipped);
    if passed.is_none_or(|passed| passed > next_offset.0) {
        return contradiction(&format!(
            "partition {} was read up to offset {}, and {read} records and {skipped} empty offsets \
             of it",
            partition.0, next_offset.0
        ));
    }
    Ok(())
}

fn staged_rows(cut: &OutputCut) -> u64 {
    sum(cut.staged.iter().map(|staged| staged.rows))
}

fn pending_rows(cut: &OutputCut) -> u64 {
    let sections = cut.pending.iter().flat_map(|pending| &pending.rows);
    sum(sections.map(|section| section.records))
}

fn sum(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::wrapping_add)
}

/// `None`: more than a number can say.
fn added(numbers: impl IntoIterator<Item = u64>) -> Option<u64> {
    numbers.into_iter().try_fold(0, u64::checked_add)
}

fn contradiction(what: &str) -> Result<(), String> {
    Err(format!("it contradicts itself: {what}"))
}
