//! Files of rows that grow in memory, one a date, and become visible when they are full or old
//! enough.
//!
//! A file is encoded and compressed as its rows come, into memory, and is written, synced and
//! renamed in one go when it is rolled. That a disk is full or read-only is therefore never a loss:
//! the bytes are still there, and are written again, under a new hidden name, when that has been
//! mended. It costs what the format costs anyway: Parquet keeps a row group in memory until it is
//! complete.
//!
//! What bounds open files is their memory, not their number: rows that are spread over very many
//! dates wait, sorted by date, and become one file a date rather than one a row. So a date with few
//! rows has to cost little more than these: its encoder is made when there is enough to encode.
//!
//! With checkpoints, a complete file is durable and hidden (`seal`) before the checkpoint, and
//! visible (`commit`) after it. While it is hidden it holds no descriptor. Rows that are not enough
//! for a file wait, in the checkpoint too: each checkpoint holds those that came since the one before,
//! so a row is kept twice at most, and small intervals do not make small files, until the rows of a file
//! are in [many](SECTIONS_MAX) checkpoints.

//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | `open_file` | rows that are added to files, in memory |
//! | `complete_file`, `complete_files` | from there to visible names |
//! | `health` | whether the disk takes them, and what the user hears |
//! | here | when a file is complete, and when it is brought further |
//!
//! None of the three knows another one.

mod complete_file;
mod complete_files;
mod health;
mod open_file;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parquet::file::properties::WriterProperties;

use self::complete_files::CompleteFiles;
use self::health::{Health, Step};
use self::open_file::{OpenFile, OpenFiles};
use super::layout::Layout;
use super::names::{DateFolder, NotOurs};
use super::recovery::Unrecovered;
use super::{Committed, SinkOptions};
use crate::checkpoint::manifest::{OutputCut, Pending};
use crate::checkpoint::section::BlobWriter;
use crate::clock::Clock;
use crate::outputs::{Condition, Output, OutputError, Recovery, Trouble, Visibility};
use crate::report::Report;
use crate::store::StoreError;
use crate::telemetry::OutputMeasures;

/// When a file is rolled: whatever comes first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// The age of its first row. Zero: after each write. With checkpoints, sooner where its rows have come
    /// before 256 of them.
    pub every: Duration,
    /// Bytes, after compression, that the open files of a writer have together, and with
    /// checkpoints their rows since the last one before it; the greatest of them is rolled.
    pub bytes: usize,
    /// Rows.
    pub rows: u64,
}

impl Default for Roll {
    /// A minute, 64 MiB, a million rows.
    fn default() -> Roll {
        Roll { every: Duration::from_secs(60), bytes: 64 << 20, rows: 1 << 20 }
    }
}

/// Files that are rolled by age within [`Roll::every`], a number of files. Where rows are spread over
/// more dates, files wait as many times longer as there are more of them.
const ROLLED_BY_AGE_MAX: usize = 64;
/// Parts in which checkpoints keep the rows of an open file. Each checkpoint after one with new rows adds
/// one, and lists them all.
const SECTIONS_MAX: usize = 256;
/// Memory of rows that may wait for the disk before no more are taken, bytes.
const WAITING_BYTES_MAX: usize = 128 << 20;
/// Memory of complete files whose bytes are on the disk and whose hidden names are not synced yet,
/// bytes: one sync is enough for all of them, at a checkpoint at the latest.
const UNSYNCED_BYTES_MAX: usize = 8 << 20;

/// The files of one output: they do what they are told and look at the clock, but wait for
/// nothing.
///
/// Rows that were written are kept until they are durable, through errors of the disk. Dropped
/// before, they are forgotten.
pub struct RollingFiles<L: Layout> {
    layout: L,
    properties: WriterProperties,
    /// The folder in `OUT`.
    output: Arc<str>,
    visibility: Visibility,
    roll: Roll,
    clock: Clock,
    report: Report,
    open: OpenFiles<L>,
    complete: CompleteFiles,
    health: Health,
}

impl<L: Layout> RollingFiles<L> {
    /// Files in the folder `output` of `OUT`.
    pub(super) fn new(options: &SinkOptions, output: &str, layout: L) -> Self {
        let properties = WriterProperties::builder().set_compression(options.codec.compression());
        RollingFiles {
            properties: layout.tune(properties).build(),
            layout,
            output: output.into(),
            visibility: options.visibility,
            roll: options.roll,
            clock: options.clock.clone(),
            report: options.report.clone(),
            open: OpenFiles::new(),
            complete: CompleteFiles::new(options, output),
            health: Health::new(&options.clock, &options.report),
        }
    }

    /// Makes all rows visible, whatever their age.
    ///
    /// # Errors
    ///
    /// What stands in the way: the rows are kept and tried again.
    pub fn roll(&mut self) -> Result<Committed, Arc<StoreError>> {
        while let Some(file) = self.open.take_first() {
            self.finish_file(file);
        }
        // What stands in the way has been noted.
        let _ = self.show();
        let failure = self.health.failure();
        failure.map_or(Ok(self.committed()), |failure| Err(Arc::clone(&failure.cause)))
    }

    /// What is visible.
    pub fn committed(&self) -> Committed {
        self.complete.committed()
    }

    /// The memory of rows that are not on the disk.
    fn bytes(&self) -> usize {
        self.complete.waiting_bytes() + self.open.bytes()
    }

    /// Rows that are not visible yet.
    fn rows(&self) -> u64 {
        self.complete.rows() + self.open.rows()
    }

    /// Writes some records: those of one call may be in one file.
    pub(super) fn write_all<'a>(&mut self, records: impl IntoIterator<Item = &'a L::Record>)
    where
        L::Record: 'a,
    {
        let roll_at = self.clock.elapsed().saturating_add(self.roll.every);
        for record in records {
            self.add(record, roll_at);
        }
        self.complete_greatest();
        self.tick();
    }

    /// Adds a record to the file of its date, which is rolled at `roll_at` if it is new.
    fn add(&mut self, record: &L::Record, roll_at: Duration) {
        let (layout, properties) = (&self.layout, &self.properties);
        let is_stored = self.visibility == Visibility::WithCheckpoints;
        let rows_max = self.roll.rows;
        let folder = layout.folder(record);
        let (is_full, is_encoded) = self.open.change(layout, folder, roll_at, |file| {
            if is_stored {
                file.unsaved.push(record);
            }
            file.append(layout, record);
            let (is_full, is_due) = (file.rows >= rows_max, file.is_due());
            if is_due && !is_full {
                file.encode(layout, properties);
            }
            (is_full, is_due)
        });
        if is_full {
            self.complete(folder);
        } else if is_encoded {
            self.complete_greatest();
        }
    }

    /// When the next file is old enough. Where there are many, they wait longer.
    fn next_roll_at(&self) -> Option<(Duration, DateFolder)> {
        let (roll_at, folder) = self.open.oldest()?;
        let times = self.open.len().div_ceil(ROLLED_BY_AGE_MAX).saturating_sub(1);
        let longer = self.roll.every.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
        Some((roll_at.saturating_add(longer), folder))
    }

    /// Completes the files that are old enough.
    fn complete_old(&mut self) {
        let now = self.clock.elapsed();
        while let Some((roll_at, folder)) = self.next_roll_at()
            && roll_at <= now
        {
            self.complete(folder);
        }
    }

    /// Completes the greatest of the open files for as long as they are too great together.
    fn complete_greatest(&mut self) {
        while self.open.bytes() >= self.roll.bytes
            && let Some(greatest) = self.open.greatest()
        {
            self.complete(greatest);
        }
    }

    /// Completes the files whose rows are in too many parts of checkpoints.
    fn complete_scattered(&mut self) {
        let is_scattered = |file: &&OpenFile<L>| file.saved.len() >= SECTIONS_MAX;
        let folders: Vec<DateFolder> =
            self.open.iter().filter(is_scattered).map(|file| file.folder).collect();
        folders.into_iter().for_each(|folder| self.complete(folder));
    }

    /// Completes an open file, and brings it to the disk if that takes files.
    fn complete(&mut self, folder: DateFolder) {
        if let Some(file) = self.open.take(folder) {
            self.finish_file(file);
        }
        if self.health.failure().is_none() {
            self.bring();
        }
    }

    fn finish_file(&mut self, mut file: OpenFile<L>) {
        file.encode(&self.layout, &self.properties);
        let Some(writer) = file.writer else { return };
        let bytes = writer.into_inner().expect("encoding into memory cannot fail");
        self.complete.add(file.folder, file.rows, bytes, self.clock.elapsed());
    }

    /// Brings complete files as far as they may go now.
    fn bring(&mut self) {
        let brought = match self.visibility {
            Visibility::AsTheyCome => self.show(),
            Visibility::WithCheckpoints => self.hide(UNSYNCED_BYTES_MAX),
        };
        // What stands in the way has been noted.
        drop(brought);
    }

    /// Makes complete files durable, hidden; see [`CompleteFiles::hide`].
    fn hide(&mut self, unsynced_bytes_max: usize) -> Result<(), Trouble> {
        // That nothing is to be done does not say that the disk takes files again.
        if !self.complete.are_waiting() {
            return Ok(());
        }
        let hidden = self.complete.hide(unsynced_bytes_max);
        self.note(Step::Write, hidden)
    }

    /// Without checkpoints: makes complete files visible.
    fn show(&mut self) -> Result<(), Trouble> {
        let shown = self.complete.show();
        self.note(Step::Show, shown)
    }

    fn note(&mut self, step: Step, result: Result<(), StoreError>) -> Result<(), Trouble> {
        let rows = self.rows();
        self.health.note(step, result, &self.complete.directory, rows)
    }
}

impl<L: Layout> Output<L::Record> for RollingFiles<L> {
    fn write(&mut self, records: &[L::Record]) -> Result<(), Trouble> {
        self.write_all(records);
        Ok(())
    }

    fn tick(&mut self) {
        let now = self.clock.elapsed();
        if self.health.failure().is_none_or(|failure| failure.retry_at <= now) {
            self.bring();
        }
        // While the disk takes nothing, open files grow rather than become many. With checkpoints,
        // a file that is old enough can wait for the next one, without which it is not visible.
        if self.health.failure().is_none() && self.visibility == Visibility::AsTheyCome {
            self.complete_old();
        }
    }

    fn due_in(&self) -> Option<Duration> {
        let due_at = match (self.health.failure(), self.visibility) {
            (Some(failure), _) => Some(failure.retry_at),
            (None, Visibility::AsTheyCome) => self.next_roll_at().map(|(roll_at, _)| roll_at),
            (None, Visibility::WithCheckpoints) => None,
        };
        due_at.map(|due_at| due_at.saturating_sub(self.clock.elapsed()))
    }

    fn condition(&self) -> Condition {
        let Some(failure) = self.health.failure() else { return Condition::default() };
        Condition {
            trouble: Some(Arc::clone(&failure.cause) as Trouble),
            is_full: WAITING_BYTES_MAX <= self.bytes(),
            waiting: self.rows(),
        }
    }

    fn measures(&self) -> Vec<(String, OutputMeasures)> {
        // An open file is to be rolled a fixed time after its first row has come.
        let first_row = self.open.oldest().map(|(roll_at, _)| roll_at);
        let first_row = first_row.map(|roll_at| roll_at.saturating_sub(self.roll.every));
        let oldest = first_row.into_iter().chain(self.complete.since()).min();
        let age = |since| self.clock.elapsed().saturating_sub(since);
        let measures = OutputMeasures {
            rows_waiting: self.rows(),
            bytes_waiting: self.bytes() as u64,
            oldest_waiting_since: oldest.map(|since| self.clock.wall() - age(since)),
            failures: self.health.failures,
            retries: self.health.retries,
        };
        vec![(self.output.to_string(), measures)]
    }

    fn enter(&mut self, epoch: u64) {
        self.complete.next_name.epoch = epoch;
    }

    fn stored_in(&self) -> BTreeSet<Arc<str>> {
        self.open.iter().flat_map(OpenFile::stored_in).collect()
    }

    /// Each becomes a file early: what is written there needs no blob.
    fn store_anew(&mut self, gone: &BTreeSet<Arc<str>>) -> u64 {
        let is_hit = |file: &&OpenFile<L>| file.stored_in().any(|blob| gone.contains(&blob));
        let folders: Vec<DateFolder> =
            self.open.iter().filter(is_hit).map(|file| file.folder).collect();
        let files = folders.into_iter().filter_map(|folder| self.open.take(folder));
        let files: Vec<OpenFile<L>> = files.collect();
        let rows = files.iter().map(|file| file.rows).sum();
        files.into_iter().for_each(|file| self.finish_file(file));
        rows
    }

    fn seal(&mut self, closing: bool) -> Result<(), Trouble> {
        if closing {
            while let Some(file) = self.open.take_first() {
                self.finish_file(file);
            }
        } else {
            self.complete_old();
            self.complete_scattered();
        }
        self.hide(0)
    }

    fn list(&mut self, epoch: u64, blob: &mut BlobWriter) -> OutputCut {
        let now = self.clock.elapsed();
        let (output, roll_every) = (&self.output, self.roll.every);
        let pending = self.open.change_all(|file| {
            let unsaved = std::mem::take(&mut file.unsaved);
            if !unsaved.is_empty() {
                file.saved.push(blob.section(&unsaved));
            }
            let age = now.saturating_add(roll_every).saturating_sub(file.roll_at);
            Pending {
                output: Arc::clone(output),
                folder: file.folder.to_string(),
                age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                rows: file.saved.clone(),
            }
        });
        OutputCut { staged: self.complete.list(epoch), pending }
    }

    fn commit(&mut self, epoch: u64) -> Result<(), OutputError> {
        let (shown, lost) = self.complete.show_listed(epoch);
        let shown = self.note(Step::Show, shown);
        match lost {
            Some(lost) => Err(OutputError::Final(Arc::new(lost))),
            None => shown.map_err(OutputError::Retry),
        }
    }

    fn recover(&mut self, recovery: &Recovery) -> Result<(), OutputError> {
        let recovered = match self.complete.recover(recovery, &self.report) {
            Ok(()) => Ok(()),
            Err(Unrecovered::Store(error)) => Err(error),
            Err(Unrecovered::Lost(lost)) => return Err(OutputError::Final(Arc::new(lost))),
        };
        self.note(Step::Show, recovered).map_err(OutputError::Retry)
    }

    fn restore(&mut self, pending: &Pending, rows: Vec<&[u8]>) -> Result<(), Trouble> {
        if pending.output != self.output {
            return Ok(());
        }
        let folder: DateFolder =
            pending.folder.parse().map_err(|error: NotOurs| Arc::new(error) as Trouble)?;
        let age = Duration::from_millis(pending.age_ms);
        let roll_at = self.clock.elapsed().saturating_add(self.roll.every).saturating_sub(age);
        let (layout, properties) = (&self.layout, &self.properties);
        for (section, bytes) in pending.rows.iter().zip(rows) {
            let records =
                section.decode::<L::Record>(bytes).map_err(|error| Arc::new(error) as Trouble)?;
            self.open.change(layout, folder, roll_at, |file| {
                for record in &records {
                    file.append(layout, record);
                    if file.is_due() {
                        file.encode(layout, properties);
                    }
                }
                file.saved.push(section.clone());
            });
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        self.roll().map(|_| ()).map_err(|cause| cause as Trouble)
    }
}

#[cfg(test)]
mod tests;
