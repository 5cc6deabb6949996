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
//! so a row is kept twice at most, and small intervals do not make small files.

mod complete_file;
mod open_file;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parquet::file::properties::WriterProperties;

use self::complete_file::{HiddenFile, Place, WaitingFile};
use self::open_file::{OpenFile, OpenFiles};
use super::layout::Layout;
use super::names::{DateFolder, FileName, NotOurs};
use super::output_dir::STAGING;
use super::recovery::{self, Shown};
use super::{Committed, FileFault, LostFile, SinkOptions};
use crate::checkpoint::manifest::{OutputCut, Pending, Staged};
use crate::checkpoint::section::BlobWriter;
use crate::clock::Clock;
use crate::outputs::{Condition, Output, OutputError, Recovery, Trouble, Visibility};
use crate::report::Report;
use crate::store::{Directory, StoreError};
use crate::telemetry::OutputMeasures;

/// When a file is rolled: whatever comes first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// The age of its first row. Zero: after each write.
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
/// Memory of rows that may wait for the disk before no more are taken, bytes.
const WAITING_BYTES_MAX: usize = 128 << 20;
/// Memory of complete files whose bytes are on the disk and whose hidden names are not synced yet,
/// bytes: one sync is enough for all of them, at a checkpoint at the latest.
const UNSYNCED_BYTES_MAX: usize = 8 << 20;
/// How long after a failure the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
    directory: Directory,
    /// Where its files are while they are hidden.
    staging: Directory,
    visibility: Visibility,
    next_name: FileName,
    /// The number of the first manifest of this start; zero without checkpoints.
    claim: u64,
    roll: Roll,
    clock: Clock,
    report: Report,
    open: OpenFiles<L>,
    /// Complete files in memory.
    waiting: VecDeque<WaitingFile>,
    /// Complete files that wait for their checkpoint.
    hidden: Vec<HiddenFile>,
    /// Files of this epoch and before have been shown, which is not noted yet.
    unnoted: Option<u64>,
    failure: Option<Failure>,
    committed: Committed,
    /// Rows of complete files that are not visible.
    complete_rows: u64,
    /// Since when complete files wait, by the clock.
    waiting_since: Option<Duration>,
    /// How often the disk began to refuse files, and how often it was tried again.
    failures: u64,
    retries: u64,
}

/// What a disk takes, or not: that files are written says nothing of whether they can be shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Step {
    Write,
    Show,
}

/// The disk does not take files just now.
struct Failure {
    step: Step,
    cause: Arc<StoreError>,
    /// By the clock.
    retry_at: Duration,
}

impl<L: Layout> RollingFiles<L> {
    /// Files in the folder `output` of `OUT`.
    pub(super) fn new(options: &SinkOptions, output: &str, layout: L) -> Self {
        let properties = WriterProperties::builder().set_compression(options.codec.compression());
        let SinkOptions { run, process, .. } = *options;
        let staging = options.out.subdirectory(STAGING).expect("a plain name");
        RollingFiles {
            properties: layout.tune(properties).build(),
            layout,
            output: output.into(),
            directory: options.out.subdirectory(output).expect("a plain name"),
            staging: staging.subdirectory(output).expect("a plain name"),
            visibility: options.visibility,
            next_name: FileName { run, process, epoch: 0, sequence: 0 },
            claim: 0,
            roll: options.roll,
            clock: options.clock.clone(),
            report: options.report.clone(),
            open: OpenFiles::new(),
            waiting: VecDeque::new(),
            hidden: Vec::new(),
            unnoted: None,
            failure: None,
            committed: Committed::default(),
            complete_rows: 0,
            waiting_since: None,
            failures: 0,
            retries: 0,
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
        self.show_waiting();
        self.failure.as_ref().map_or(Ok(self.committed), |failure| Err(Arc::clone(&failure.cause)))
    }

    /// What is visible.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// The memory of complete files.
    fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|file| file.bytes.len()).sum()
    }

    /// Rows that are not visible yet.
    fn rows(&self) -> u64 {
        self.complete_rows + self.open.rows()
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

    /// Completes an open file, and brings it to the disk if that takes files.
    fn complete(&mut self, folder: DateFolder) {
        if let Some(file) = self.open.take(folder) {
            self.finish_file(file);
        }
        if self.failure.is_none() {
            self.bring_waiting();
        }
    }

    fn finish_file(&mut self, mut file: OpenFile<L>) {
        file.encode(&self.layout, &self.properties);
        let Some(writer) = file.writer else { return };
        let bytes = writer.into_inner().expect("encoding into memory cannot fail");
        let name = self.take_name();
        self.waiting_since.get_or_insert_with(|| self.clock.elapsed());
        self.complete_rows += file.rows;
        self.waiting.push_back(WaitingFile::new(file.folder, name, file.rows, bytes));
    }

    fn take_name(&mut self) -> FileName {
        let name = self.next_name;
        self.next_name.sequence += 1;
        name
    }

    /// Brings complete files as far as they may go now.
    fn bring_waiting(&mut self) {
        match self.visibility {
            Visibility::AsTheyCome => self.show_waiting(),
            // What stands in the way has been noted.
            Visibility::WithCheckpoints => drop(self.hide_waiting(UNSYNCED_BYTES_MAX)),
        }
    }

    /// Makes complete files durable, hidden. Their names need not be yet while the files are fewer
    /// than `unsynced_bytes_max` together: their bytes stay in memory so long.
    fn hide_waiting(&mut self, unsynced_bytes_max: usize) -> Result<(), Trouble> {
        // That nothing is to be done does not say that the disk takes files again.
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut failure = self.for_each_waiting(WaitingFile::hide).1;
        if failure.is_none() && self.waiting_bytes() >= unsynced_bytes_max {
            match self.staging.sync() {
                Ok(()) => {
                    let sealed = self.waiting.drain(..).filter_map(WaitingFile::into_hidden);
                    self.hidden.extend(sealed);
                }
                Err(error) => failure = Some(error),
            }
        }
        self.note(Step::Write, failure)
    }

    /// Without checkpoints: makes complete files visible.
    fn show_waiting(&mut self) {
        let (shown, failure) = self.for_each_waiting(WaitingFile::show);
        // Those that could not be shown are tried again.
        for (index, file) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if shown.contains(&index) {
                self.count_shown(file.rows, file.bytes.len() as u64);
            } else {
                self.waiting.push_back(file);
            }
        }
        // What stands in the way has been noted.
        drop(self.note(Step::Show, failure));
    }

    /// Tries to `bring` each complete file further. Gives the places of those that it went well for,
    /// and the first failure.
    fn for_each_waiting(
        &mut self,
        bring: impl Fn(&mut WaitingFile, &Place<'_>) -> Result<(), StoreError>,
    ) -> (BTreeSet<usize>, Option<StoreError>) {
        let place = Place { staging: &self.staging, directory: &self.directory, claim: self.claim };
        let (mut done, mut failure) = (BTreeSet::new(), None);
        for (index, file) in self.waiting.iter_mut().enumerate() {
            let mut brought = bring(file, &place);
            while let Err(StoreError::Exists { .. }) = brought {
                // Of a run with the same id. Nothing is ever replaced.
                file.name = self.next_name;
                self.next_name.sequence += 1;
                brought = bring(file, &place);
            }
            match brought {
                Ok(()) => drop(done.insert(index)),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        (done, failure)
    }

    /// Makes hidden files visible that the cut of `epoch` lists.
    fn show_hidden(&mut self, epoch: u64) -> Result<(), OutputError> {
        let is_due = |file: &HiddenFile| file.listed_in.is_some_and(|listed| listed <= epoch);
        let due: Vec<HiddenFile> = self.hidden.extract_if(.., |file| is_due(file)).collect();
        // With one sync for all of them. Whatever stands in the way of one is met again below.
        let folders = due.iter().map(|file| file.folder.to_string()).collect();
        let _ = self.directory.create_each(&folders);
        let (mut failure, mut lost, mut left) = (None, None, Vec::new());
        let mut moved: BTreeMap<DateFolder, Vec<HiddenFile>> = BTreeMap::new();
        for file in due {
            let folder = self.directory.subdirectory(&file.folder.to_string());
            let is_there = folder.and_then(|folder| {
                self.staging.move_to(&file.hidden, &folder, &file.name.to_string())
            });
            match is_there {
                Ok(true) => moved.entry(file.folder).or_default().push(file),
                Ok(false) => {
                    lost.get_or_insert(LostFile {
                        path: self.staging.path().join(&file.hidden),
                        output: Arc::clone(&self.output),
                        rows: file.rows,
                        fault: FileFault::Missing,
                    });
                    left.push(file);
                }
                Err(error) => {
                    failure.get_or_insert(error);
                    left.push(file);
                }
            }
        }
        for (folder, mut files) in moved {
            let folder = self.directory.subdirectory(&folder.to_string());
            match folder.and_then(|folder| folder.sync()) {
                Ok(()) => {
                    files.iter().for_each(|file| self.count_shown(file.rows, file.size));
                    self.unnoted = Some(epoch);
                }
                // They are visible; it is tried again whether that is on the medium.
                Err(error) => {
                    failure.get_or_insert(error);
                    left.append(&mut files);
                }
            }
        }
        self.hidden.append(&mut left);
        if failure.is_none()
            && lost.is_none()
            && let Some(epoch) = self.unnoted
        {
            match self.shown(epoch).note(&self.staging, self.next_name.process) {
                Ok(()) => self.unnoted = None,
                Err(error) => failure = Some(error),
            }
        }
        let shown = self.note(Step::Show, failure);
        match lost {
            Some(lost) => Err(OutputError::Final(Arc::new(lost))),
            None => shown.map_err(OutputError::Retry),
        }
    }

    /// Counts a file that has become visible.
    fn count_shown(&mut self, rows: u64, bytes: u64) {
        self.committed.rows += rows;
        self.committed.files += 1;
        self.committed.bytes += bytes;
        self.complete_rows -= rows;
        if self.complete_rows == 0 {
            self.waiting_since = None;
        }
    }

    fn shown(&self, epoch: u64) -> Shown {
        Shown { job: self.next_name.run, epoch }
    }

    /// Takes note of how the disk is, and says it when that changes.
    fn note(&mut self, step: Step, failure: Option<StoreError>) -> Result<(), Trouble> {
        let retry_at = self.clock.elapsed().saturating_add(RETRY_AFTER);
        match (failure, self.failure.take()) {
            (None, None) => Ok(()),
            // Another step has failed, and has not been tried again.
            (None, Some(before)) if before.step != step => {
                self.failure = Some(before);
                Ok(())
            }
            (None, Some(_)) => {
                let directory = self.directory.path().display();
                self.report.say(&format!("{directory}: written again, no row was lost"));
                Ok(())
            }
            (Some(cause), before) => {
                self.retries += u64::from(before.is_some());
                if before.is_none() {
                    self.failures += 1;
                    let rows = self.rows();
                    self.report.say(&format!("{cause} ({rows} rows wait in memory until then)"));
                }
                let cause = Arc::new(cause);
                let step = before.map_or(step, |before| before.step);
                self.failure = Some(Failure { step, cause: Arc::clone(&cause), retry_at });
                Err(cause)
            }
        }
    }
}

impl<L: Layout> Output<L::Record> for RollingFiles<L> {
    fn write(&mut self, records: &[L::Record]) -> Result<(), Trouble> {
        self.write_all(records);
        Ok(())
    }

    fn tick(&mut self) {
        let now = self.clock.elapsed();
        if self.failure.as_ref().is_none_or(|failure| failure.retry_at <= now) {
            self.bring_waiting();
        }
        // While the disk takes nothing, open files grow rather than become many. With checkpoints,
        // a file that is old enough can wait for the next one, without which it is not visible.
        if self.failure.is_none() && self.visibility == Visibility::AsTheyCome {
            self.complete_old();
        }
    }

    fn due_in(&self) -> Option<Duration> {
        let due_at = match (&self.failure, self.visibility) {
            (Some(failure), _) => Some(failure.retry_at),
            (None, Visibility::AsTheyCome) => self.next_roll_at().map(|(roll_at, _)| roll_at),
            (None, Visibility::WithCheckpoints) => None,
        };
        due_at.map(|due_at| due_at.saturating_sub(self.clock.elapsed()))
    }

    fn condition(&self) -> Condition {
        let Some(failure) = &self.failure else { return Condition::default() };
        // Hidden files take no memory: nothing waits for them.
        let fits = self.waiting_bytes() + self.open.bytes() < WAITING_BYTES_MAX;
        Condition {
            trouble: Some(Arc::clone(&failure.cause) as Trouble),
            is_full: !fits,
            waiting: self.rows(),
        }
    }

    fn measures(&self) -> Vec<(String, OutputMeasures)> {
        // An open file is to be rolled a fixed time after its first row has come.
        let first_row = self.open.oldest().map(|(roll_at, _)| roll_at);
        let first_row = first_row.map(|roll_at| roll_at.saturating_sub(self.roll.every));
        let oldest = first_row.into_iter().chain(self.waiting_since).min();
        let age = |since| self.clock.elapsed().saturating_sub(since);
        let measures = OutputMeasures {
            rows_waiting: self.rows(),
            bytes_waiting: (self.waiting_bytes() + self.open.bytes()) as u64,
            oldest_waiting_since: oldest.map(|since| self.clock.wall() - age(since)),
            failures: self.failures,
            retries: self.retries,
        };
        vec![(self.output.to_string(), measures)]
    }

    fn enter(&mut self, epoch: u64) {
        self.next_name.epoch = epoch;
    }

    fn seal(&mut self, closing: bool) -> Result<(), Trouble> {
        if closing {
            while let Some(file) = self.open.take_first() {
                self.finish_file(file);
            }
        } else {
            self.complete_old();
        }
        self.hide_waiting(0)
    }

    fn list(&mut self, epoch: u64, blob: &mut BlobWriter) -> OutputCut {
        let staged = self.hidden.iter_mut().map(|file| {
            file.listed_in.get_or_insert(epoch);
            Staged {
                output: Arc::clone(&self.output),
                folder: file.folder.to_string(),
                hidden: file.hidden.clone(),
                name: file.name.to_string(),
                rows: file.rows,
                size: Some(file.size),
                checksum: Some(file.checksum),
            }
        });
        let staged = staged.collect();
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
        OutputCut { staged, pending }
    }

    fn commit(&mut self, epoch: u64) -> Result<(), OutputError> {
        self.show_hidden(epoch)
    }

    fn recover(&mut self, recovery: &Recovery) -> Result<(), OutputError> {
        self.next_name.run = recovery.job;
        self.claim = recovery.claim;
        let files = recovery::Files {
            output: &self.output,
            directory: &self.directory,
            staging: &self.staging,
        };
        let failure = match files.recover(recovery, self.next_name.process, &self.report) {
            Ok(()) => None,
            Err(recovery::Unrecovered::Store(error)) => Some(error),
            Err(recovery::Unrecovered::Lost(lost)) => {
                return Err(OutputError::Final(Arc::new(lost)));
            }
        };
        self.note(Step::Show, failure).map_err(OutputError::Retry)
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
