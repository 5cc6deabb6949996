//! What has to hold at every moment of a run.
//!
//! What is left at the end is held against the oracle's rows; here is what the journal of what
//! became durable is held against, in its order:
//!
//! - a checkpoint is written when all that it needs has been stored, and that stays as long as it
//!   is the newest;
//! - from one checkpoint to the next, no epoch, offset, watermark, floor or count falls, and a
//!   checkpoint of the same epoch holds the same;
//! - its ledger balances, and counts exactly the records before its offsets;
//! - nobody says that something is committed that is in no checkpoint, or in one that came too late,
//!   by a process that another one had taken over from;
//! - a file becomes visible when a checkpoint that names it has been written, and not before;
//! - nothing that a checkpoint needs which may still be continued is removed: neither its blobs nor
//!   the files that it lists, hidden or visible, on whatever disk;
//! - a file that is visible is never removed, unless somebody asked for that, and not before it is known
//!   that the job can run;
//! - `latest.json` is a complete document at every moment, and the rows that it calls final are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use strandline_engine::checkpoint::manifest::{CutRecord, Manifest, PartitionCut};

use super::blobs::MemoryBlobs;
use super::disk::MemoryDisk;
use super::latest::Documents;
use super::outside::Happened;
use super::plan::Mode;
use crate::oracle::{LoggedRecord, Outcome};

/// The file that shows the newest window.
const LATEST_JSON: &str = "latest.json";

/// What a record is, by the log alone.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Fate {
    Windowed,
    Late,
    Dead,
}

/// Checks a run as it goes on.
#[derive(Debug)]
pub struct Laws {
    blobs: MemoryBlobs,
    out: PathBuf,
    /// By partition: the offset of each record, and what it is.
    records: Vec<Vec<(u64, Option<Fate>)>>,
    /// Whether exactly those are late that are so by the watermark of their partition.
    exact: bool,
    newest: Option<Manifest>,
    /// Blobs that were stored.
    stored: BTreeSet<String>,
    /// Partitions and offsets of checkpoints that counted when they were written.
    positions: BTreeSet<Vec<(u32, u64)>>,
    /// Files that a checkpoint has named.
    named: BTreeSet<PathBuf>,
    checkpoints: u64,
    /// Files that became visible.
    shown: u64,
    /// What the checkpoints need that were the newest when they were written, by number.
    needed: BTreeMap<u64, Vec<Arc<str>>>,
    /// What the start does that goes on.
    mode: Mode,
    /// How many starts were asked to begin a job anew and have not been seen to. The first manifest of one that
    /// died may be stored after it: such a request was still under way.
    unbegun: usize,
    /// Whether a job begins anew, and has no cut yet.
    begins_anew: bool,
    /// Whether one has had its first cut since that was last asked.
    begun_anew: bool,
    /// The numbers of disks on which `latest.json` may be torn: the power has gone since it was
    /// written.
    torn: BTreeSet<usize>,
    /// What is judged of `latest.json`: rows by window.
    documents: Option<Documents>,
}

impl Laws {
    /// The laws of a job that reads `records`, writes to `out` and keeps its checkpoints in `blobs`.
    /// Where `expected` is known, records are counted by what it says of them; `exact` says whether
    /// that holds for late ones to the last.
    pub fn new(
        records: &[Vec<LoggedRecord>],
        expected: Option<&Outcome>,
        exact: bool,
        out: &Path,
        blobs: &MemoryBlobs,
    ) -> Laws {
        let fate = |place: (u32, u64)| {
            let expected = expected?;
            Some(if expected.late.contains_key(&place) {
                Fate::Late
            } else if expected.dead.contains_key(&place) {
                Fate::Dead
            } else {
                Fate::Windowed
            })
        };
        let records = (0..)
            .zip(records)
            .map(|(partition, records)| {
                let offsets = records.iter().map(|record| record.offset);
                offsets.map(|offset| (offset, fate((partition, offset)))).collect()
            })
            .collect();
        Laws {
            blobs: blobs.clone(),
            out: out.to_owned(),
            records,
            exact,
            newest: None,
            stored: BTreeSet::new(),
            positions: BTreeSet::new(),
            named: BTreeSet::new(),
            checkpoints: 0,
            shown: 0,
            needed: BTreeMap::new(),
            mode: Mode::Continue,
            unbegun: 0,
            begins_anew: false,
            begun_anew: false,
            torn: BTreeSet::new(),
            documents: expected.filter(|_| exact).map(Documents::new),
        }
    }

    /// A start begins.
    pub fn begin_start(&mut self, mode: Mode) {
        self.mode = mode;
        self.unbegun += usize::from(matches!(mode, Mode::Replace | Mode::Append));
    }

    /// The newest checkpoint has been written in the first format, which does not say so much.
    pub fn forget_places(&mut self) {
        let newest = self.newest.iter_mut();
        for process in newest.flat_map(|newest| &mut newest.cut).flat_map(|cut| &mut cut.processes)
        {
            process.place = None;
        }
    }

    /// A start is over.
    pub fn end_start(&mut self) {
        self.mode = Mode::Continue;
    }

    /// Whether a job has begun anew, and had its first cut, since this was last asked.
    pub fn has_begun_anew(&mut self) -> bool {
        std::mem::take(&mut self.begun_anew)
    }

    /// The power has gone.
    pub fn power_lost(&mut self, disks: usize) {
        self.torn.extend(0..disks);
    }

    /// The newest checkpoint that was written.
    pub fn newest(&self) -> Option<&Manifest> {
        self.newest.as_ref()
    }

    /// Checkpoints with a cut of their own, and files that became visible.
    pub fn counts(&self) -> (u64, u64) {
        (self.checkpoints, self.shown)
    }

    /// Checks what happened since the last time.
    ///
    /// # Errors
    ///
    /// The first law that was broken, in a line.
    pub fn check(&mut self, journal: Vec<Happened>, disks: &[MemoryDisk]) -> Result<(), String> {
        for happened in journal {
            match happened {
                Happened::Stored { name, bytes } => {
                    self.stored.insert(name.clone());
                    if let Some(number) = Manifest::number_of(&name) {
                        let manifest = Manifest::from_bytes(number, &bytes)
                            .map_err(|error| format!("{name} is not readable: {error}"))?;
                        self.manifest(manifest).map_err(|error| format!("{name}: {error}"))?;
                    }
                }
                Happened::Deleted { name } => self.deleted(&name)?,
                Happened::Renamed { disk, to, .. } => self.renamed(disk, &to)?,
                Happened::Removed { path, process, .. } => {
                    self.removed(&path).map_err(|error| format!("{process}: {error}"))?;
                }
                Happened::Committed { process, positions } => {
                    if !self.positions.contains(&positions) {
                        return Err(format!(
                            "{process} says that {positions:?} is committed, and no checkpoint \
                             that counts says so"
                        ));
                    }
                }
            }
        }
        self.all_is_there(disks)?;
        self.latest_is_complete(disks)
    }

    /// Whether everything is there that a checkpoint needs which may be continued.
    fn all_is_there(&self, disks: &[MemoryDisk]) -> Result<(), String> {
        let blobs = self.blobs.names();
        for (number, needed) in &self.needed {
            let is_kept = blobs.contains(&Manifest::name(*number));
            if let Some(gone) = needed.iter().find(|blob| is_kept && !blobs.contains(&***blob)) {
                return Err(format!("{gone} is gone, and manifest {number} still needs it"));
            }
        }
        let Some(newest) = &self.newest else { return Ok(()) };
        let staged = newest.cut.iter().flat_map(|cut| &cut.processes);
        let mut staged = staged.flat_map(|process| &process.outputs.staged).peekable();
        if staged.peek().is_none() || self.mode == Mode::Replace {
            return Ok(());
        }
        let files: BTreeSet<String> = disks.iter().flat_map(MemoryDisk::file_names).collect();
        let gone = staged.find(|file| !files.contains(&file.hidden) && !files.contains(&file.name));
        match gone {
            Some(file) => Err(format!(
                "{} is gone, hidden and visible, and manifest {} lists it",
                file.name, newest.number
            )),
            None => Ok(()),
        }
    }

    /// A blob was removed.
    fn deleted(&mut self, name: &str) -> Result<(), String> {
        if matches!(self.mode, Mode::Misspelt | Mode::NewerFormat) {
            return Err(format!("{name} was removed by a start that cannot go on"));
        }
        if let Some(number) = Manifest::number_of(name) {
            self.needed.remove(&number);
        }
        Ok(())
    }

    /// A file was removed.
    fn removed(&self, path: &Path) -> Result<(), String> {
        match self.mode {
            Mode::Replace => Ok(()),
            _ if !self.is_rows(path) => Ok(()),
            mode => Err(format!("{} was visible, and is removed: {mode:?}", path.display())),
        }
    }

    fn is_rows(&self, path: &Path) -> bool {
        let is_rows = path.extension().is_some_and(|extension| extension == "parquet");
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        is_rows && !is_hidden && path.starts_with(&self.out)
    }

    /// Whether `latest.json` is a complete document, wherever there is one.
    fn latest_is_complete(&self, disks: &[MemoryDisk]) -> Result<(), String> {
        for (number, disk) in disks.iter().enumerate() {
            let path = self.out.join(LATEST_JSON);
            let Ok(bytes) = disk.seen_from_above().read(&path) else { continue };
            let wrong = |error: String| format!("{LATEST_JSON} on disk {number}: {error}");
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(document) => {
                    let documents = self.documents.as_ref();
                    documents.map_or(Ok(()), |all| all.check(&document)).map_err(wrong)?;
                }
                Err(_) if self.torn.contains(&number) => {}
                Err(error) => return Err(wrong(error.to_string())),
            }
        }
        Ok(())
    }

    fn renamed(&mut self, disk: usize, to: &Path) -> Result<(), String> {
        if to.file_name().is_some_and(|name| name == LATEST_JSON) {
            self.torn.remove(&disk);
        }
        if !self.is_rows(to) {
            return Ok(());
        }
        self.shown += 1;
        if self.named.contains(to) {
            return Ok(());
        }
        Err(format!("{} became visible, and no checkpoint has named it", to.display()))
    }

    fn manifest(&mut self, manifest: Manifest) -> Result<(), String> {
        if let Some(before) = &self.newest
            && manifest.number <= before.number
        {
            // A request that was late: nobody takes it for the newest.
            return Ok(());
        }
        if let Some(blob) = manifest.blobs().iter().find(|blob| !self.stored.contains(&***blob)) {
            return Err(format!("it needs {blob}, which has not been stored"));
        }
        let newest = self.newest.as_ref();
        let is_new = newest.is_some_and(|newest| newest.job != manifest.job);
        if is_new {
            self.unbegun = self
                .unbegun
                .checked_sub(1)
                .ok_or_else(|| format!("job {} begins, and nobody asked for that", manifest.job))?;
        }
        self.begins_anew |= is_new;
        if manifest.cut.is_some() && std::mem::take(&mut self.begins_anew) {
            self.begun_anew = true;
        }
        let before = newest.filter(|_| !is_new).and_then(|newest| newest.cut.as_ref());
        match (before, &manifest.cut) {
            (Some(_), None) => return Err("it has no cut, and the one before has".to_owned()),
            (Some(before), Some(cut)) => compare(before, cut)?,
            _ => {}
        }
        if let Some(cut) = &manifest.cut {
            self.cut(cut)?;
            let position = |part: &PartitionCut| (part.partition.0, part.next_offset.0);
            self.positions.insert(cut.partitions.iter().map(position).collect());
            self.checkpoints += u64::from(before.is_none_or(|before| before.epoch < cut.epoch));
            for staged in cut.processes.iter().flat_map(|process| &process.outputs.staged) {
                let folder = self.out.join(&*staged.output).join(&staged.folder);
                self.named.insert(folder.join(&staged.name));
            }
        }
        self.needed.insert(manifest.number, manifest.blobs());
        self.newest = Some(manifest);
        Ok(())
    }

    /// What a cut says of the records before its offsets.
    fn cut(&self, cut: &CutRecord) -> Result<(), String> {
        for part in &cut.partitions {
            let partition = part.partition.0;
            let records = self.records.get(partition as usize);
            let records = records.ok_or_else(|| format!("there is no partition {partition}"))?;
            let (next, ledger) = (part.next_offset.0, &part.ledger);
            let before = &records[..records.partition_point(|(offset, _)| *offset < next)];
            let place = format!("partition {partition} before offset {next}");
            if !ledger.balances() {
                return Err(format!("{place}: the ledger does not balance: {ledger:?}"));
            }
            if ledger.read != before.len() as u64 {
                return Err(format!("{place}: {} records, not {}", ledger.read, before.len()));
            }
            let of = |fate| before.iter().filter(|(_, f)| *f == Some(fate)).count() as u64;
            let (windowed, late, dead) = (of(Fate::Windowed), of(Fate::Late), of(Fate::Dead));
            let is_known = before.iter().all(|(_, fate)| fate.is_some());
            if is_known && ledger.dead_letters() != dead {
                return Err(format!("{place}: {} dead letters, not {dead}", ledger.dead_letters()));
            }
            let is_right = if self.exact { ledger.late == late } else { late <= ledger.late };
            if is_known && !is_right {
                return Err(format!("{place}: {} late, not {late}", ledger.late));
            }
            if is_known && self.exact && ledger.windowed != windowed {
                return Err(format!("{place}: {} windowed, not {windowed}", ledger.windowed));
            }
        }
        if cut.finished {
            for (partition, records) in (0..).zip(&self.records) {
                let next = cut.partitions.iter().find(|part| part.partition.0 == partition);
                let next = next.map_or(0, |part| part.next_offset.0);
                if records.last().is_some_and(|(offset, _)| next <= *offset) {
                    return Err(format!("finished, but partition {partition} is not at its end"));
                }
            }
        }
        Ok(())
    }
}

/// Whether two cuts are the same, but for the files of places where they have been shown, and for places
/// that no process has any more and that have nothing to show.
fn is_same(before: &CutRecord, after: &CutRecord) -> bool {
    let without_places = |cut: &CutRecord| {
        let mut cut = cut.clone();
        for process in &mut cut.processes {
            process.outputs.staged.clear();
            process.place = None;
        }
        cut
    };
    let files = |cut: &CutRecord| {
        let all = cut.processes.iter().flat_map(|process| process.outputs.staged.clone());
        all.map(|file| file.name).collect::<BTreeSet<String>>()
    };
    let mut processes = before.processes.iter().zip(&after.processes);
    let places_are_same = processes.all(|(before, after)| {
        let is_left = after.place.is_none() && after.outputs.staged.is_empty();
        before.place == after.place || is_left
    });
    without_places(before) == without_places(after)
        && files(after).is_subset(&files(before))
        && places_are_same
}

/// From one cut to the next nothing falls.
fn compare(before: &CutRecord, after: &CutRecord) -> Result<(), String> {
    if after.epoch < before.epoch {
        return Err(format!("epoch {} after epoch {}", after.epoch, before.epoch));
    }
    // The end of a bounded run has no epoch of its own.
    let is_end = after.finished && !before.finished;
    if before.epoch == after.epoch && !is_same(before, after) && !is_end {
        return Err(format!("two cuts of epoch {}", after.epoch));
    }
    if before.finished && !after.finished {
        return Err("the job goes on after it has finished".to_owned());
    }
    if after.final_rows < before.final_rows {
        return Err(format!("{} final rows after {}", after.final_rows, before.final_rows));
    }
    if after.closed_before < before.closed_before {
        let (new, old) = (after.closed_before, before.closed_before);
        return Err(format!("windows are closed before {new:?}, and were before {old:?}"));
    }
    for old in &before.partitions {
        let new = after.partitions.iter().find(|part| part.partition == old.partition);
        let partition = old.partition.0;
        let new = new.ok_or_else(|| format!("partition {partition} has been forgotten"))?;
        let falls = |what: &str| Err(format!("partition {partition}: {what} falls"));
        let numbers = |part: &PartitionCut| {
            let ledger = &part.ledger;
            [part.next_offset.0, ledger.read, ledger.windowed, ledger.late, ledger.dead_letters()]
        };
        if numbers(old).iter().zip(numbers(new)).any(|(old, new)| new < *old) {
            return falls("an offset or a count");
        }
        if new.watermark < old.watermark {
            return falls("the watermark");
        }
        if new.floor < old.floor {
            return falls("the floor");
        }
        if new.max_event_time < old.max_event_time {
            return falls("the greatest event time");
        }
    }
    Ok(())
}
