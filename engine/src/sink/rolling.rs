//! Files of rows that grow in memory, one a date, and become visible when they are full or old
//! enough.
//!
//! A file is encoded and compressed as its rows come, into memory, and is written, synced and
//! renamed in one go when it is rolled. That a disk is full or read-only is therefore never a loss:
//! the bytes are still there, and are written again, under a new hidden name, when that has been
//! mended. It costs what the format costs anyway: Parquet keeps a row group in memory until it is
//! complete.
//!
//! With checkpoints, a complete file is durable and hidden (`seal`) before the checkpoint, and
//! visible (`commit`) after it. Rows that are not enough for a file wait, in the checkpoint too:
//! each checkpoint holds those that came since the one before, so a row is kept twice at most, and
//! small intervals do not make small files.

mod open_file;
mod waiting_file;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use self::open_file::OpenFile;
use self::waiting_file::WaitingFile;
use super::layout::Layout;
use super::names::{DateFolder, FileName, NotOurs};
use super::{Committed, SinkOptions, output_dir};
use crate::checkpoint::manifest::{OutputCut, Pending, Staged};
use crate::checkpoint::section::BlobWriter;
use crate::clock::Clock;
use crate::outputs::{Condition, Output, Recovery, Trouble, Visibility};
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

/// Open files of a writer, a number of files: rows of more dates roll the one that has been left
/// alone the longest.
const OPEN_FILES_MAX: usize = 64;
/// Complete files that may wait for the disk before no more rows are taken, a number of files.
const WAITING_FILES_MAX: usize = 256;
/// Memory of rows that may wait for the disk before no more are taken, bytes.
const WAITING_BYTES_MAX: usize = 128 << 20;
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
    visibility: Visibility,
    next_name: FileName,
    roll: Roll,
    clock: Clock,
    report: Report,
    open: Vec<OpenFile<L>>,
    waiting: VecDeque<WaitingFile>,
    failure: Option<Failure>,
    committed: Committed,
    /// Since when complete files wait, by the clock.
    waiting_since: Option<Duration>,
    /// How often the disk began to refuse files, and how often it was tried again.
    failures: u64,
    retries: u64,
    /// Counts writes, to find the file that has been left alone the longest.
    writes: u64,
}

/// The disk does not take files just now.
struct Failure {
    cause: Arc<StoreError>,
    /// By the clock.
    retry_at: Duration,
}

impl<L: Layout> RollingFiles<L> {
    /// Files in the folder `output` of `OUT`.
    pub(super) fn new(options: &SinkOptions, output: &str, layout: L) -> Self {
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
        let SinkOptions { run, process, .. } = *options;
        RollingFiles {
            properties: layout.tune(properties).build(),
            layout,
            output: output.into(),
            directory: options.out.subdirectory(output).expect("a plain name"),
            visibility: options.visibility,
            next_name: FileName { run, process, epoch: 0, sequence: 0 },
            roll: options.roll,
            clock: options.clock.clone(),
            report: options.report.clone(),
            open: Vec::new(),
            waiting: VecDeque::new(),
            failure: None,
            committed: Committed::default(),
            waiting_since: None,
            failures: 0,
            retries: 0,
            writes: 0,
        }
    }

    /// Makes all rows visible, whatever their age.
    ///
    /// # Errors
    ///
    /// What stands in the way: the rows are kept and tried again.
    pub fn roll(&mut self) -> Result<Committed, Arc<StoreError>> {
        while let Some(file) = self.open.pop() {
            self.finish_file(file);
        }
        self.show_waiting();
        self.failure.as_ref().map_or(Ok(self.committed), |failure| Err(Arc::clone(&failure.cause)))
    }

    /// What is visible.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// Rows that are not visible yet.
    fn rows(&self) -> u64 {
        let waiting: u64 = self.waiting.iter().map(|file| file.rows).sum();
        waiting + self.open.iter().map(|file| file.rows).sum::<u64>()
    }

    /// Writes some records: those of one call may be in one file.
    pub(super) fn write_all<'a>(&mut self, records: impl IntoIterator<Item = &'a L::Record>)
    where
        L::Record: 'a,
    {
        self.writes += 1;
        let roll_at = self.clock.elapsed().saturating_add(self.roll.every);
        for record in records {
            self.add(record, roll_at);
        }
        self.complete_greatest();
        self.tick();
    }

    /// Adds a record to the file of its date, which is rolled at `roll_at` if it is new.
    fn add(&mut self, record: &L::Record, roll_at: Duration) {
        let index = self.open_file(self.layout.folder(record), roll_at);
        let file = &mut self.open[index];
        file.last_write = self.writes;
        if self.visibility == Visibility::WithCheckpoints {
            file.unsaved.push(record);
        }
        file.append(&self.layout, record);
        if self.roll.rows <= file.rows {
            self.complete(index);
        } else if file.is_due() {
            file.encode(&self.layout, &self.properties);
            self.complete_greatest();
        }
    }

    /// Completes the files that are old enough.
    fn complete_old(&mut self) {
        let now = self.clock.elapsed();
        while let Some(old) = self.open.iter().position(|file| file.roll_at <= now) {
            self.complete(old);
        }
    }

    /// The index of the open file of a date; one that is new is rolled at `roll_at`.
    fn open_file(&mut self, folder: DateFolder, roll_at: Duration) -> usize {
        if let Some(index) = self.open.iter().position(|file| file.folder == folder) {
            return index;
        }
        if OPEN_FILES_MAX <= self.open.len() {
            let files = self.open.iter().enumerate();
            let oldest = files.min_by_key(|(_, file)| (file.last_write, file.roll_at));
            self.complete(oldest.map_or(0, |(index, _)| index));
        }
        self.open.push(OpenFile::new(&self.layout, folder, roll_at));
        self.open.len() - 1
    }

    /// Completes the greatest of the open files for as long as they are too great together.
    fn complete_greatest(&mut self) {
        while self.roll.bytes <= self.open.iter().map(OpenFile::bytes).sum() {
            let files = self.open.iter().enumerate();
            let Some((greatest, _)) = files.max_by_key(|(_, file)| file.bytes()) else { break };
            self.complete(greatest);
        }
    }

    /// Completes an open file, and brings it to the disk if that takes files.
    fn complete(&mut self, index: usize) {
        let file = self.open.swap_remove(index);
        self.finish_file(file);
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
            Visibility::WithCheckpoints => drop(self.seal_waiting()),
        }
    }

    fn seal_waiting(&mut self) -> Result<(), Trouble> {
        // That nothing is to be done does not say that the disk takes files again.
        if self.waiting.iter().all(WaitingFile::is_held) {
            return Ok(());
        }
        self.for_each_waiting(|file, directory| file.hold(directory).map(|()| false));
        self.outcome()
    }

    fn show_waiting(&mut self) {
        self.for_each_waiting(|file, directory| {
            file.seal(directory)?;
            file.commit().map(|()| true)
        });
    }

    /// Tries to `bring` each complete file further; those of which it says that they are visible
    /// are done with. The first failure is reported, and so is its end.
    fn for_each_waiting(
        &mut self,
        mut bring: impl FnMut(&mut WaitingFile, &Directory) -> Result<bool, StoreError>,
    ) {
        let mut first_failure = None;
        let mut left = self.waiting.len();
        while 0 < left
            && let Some(mut file) = self.waiting.pop_front()
        {
            match bring(&mut file, &self.directory) {
                Ok(true) => {
                    self.committed.rows += file.rows;
                    self.committed.files += 1;
                    self.committed.bytes += file.size;
                    left -= 1;
                }
                Ok(false) => {
                    self.waiting.push_back(file);
                    left -= 1;
                }
                // Of a run with the same id. Nothing is ever replaced.
                Err(StoreError::Exists { .. }) => {
                    file.name = self.take_name();
                    self.waiting.push_front(file);
                }
                Err(error) => {
                    first_failure.get_or_insert(error);
                    self.waiting.push_back(file);
                    left -= 1;
                }
            }
        }
        if self.waiting.is_empty() {
            self.waiting_since = None;
        }
        self.note(first_failure);
    }

    /// Takes note of how the disk is, and says it when that changes.
    fn note(&mut self, failure: Option<StoreError>) {
        let retry_at = self.clock.elapsed().saturating_add(RETRY_AFTER);
        match (failure, self.failure.take()) {
            (None, None) => {}
            (None, Some(_)) => {
                let directory = self.directory.path().display();
                self.report.say(&format!("{directory}: written again, no row was lost"));
            }
            (Some(cause), before) => {
                self.retries += u64::from(before.is_some());
                if before.is_none() {
                    self.failures += 1;
                    let rows = self.rows();
                    self.report.say(&format!("{cause} ({rows} rows wait in memory until then)"));
                }
                self.failure = Some(Failure { cause: Arc::new(cause), retry_at });
            }
        }
    }

    fn outcome(&self) -> Result<(), Trouble> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(Arc::clone(&failure.cause) as Trouble),
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
            (None, Visibility::AsTheyCome) => self.open.iter().map(|file| file.roll_at).min(),
            (None, Visibility::WithCheckpoints) => None,
        };
        due_at.map(|due_at| due_at.saturating_sub(self.clock.elapsed()))
    }

    fn condition(&self) -> Condition {
        let Some(failure) = &self.failure else { return Condition::default() };
        let waiting_bytes: usize = self.waiting.iter().map(|file| file.bytes.len()).sum();
        let open_bytes: usize = self.open.iter().map(OpenFile::bytes).sum();
        let fits = self.waiting.len() < WAITING_FILES_MAX
            && waiting_bytes + open_bytes < WAITING_BYTES_MAX;
        Condition {
            trouble: Some(Arc::clone(&failure.cause) as Trouble),
            is_full: !fits,
            waiting: self.rows(),
        }
    }

    fn measures(&self) -> Vec<(String, OutputMeasures)> {
        let waiting_bytes: usize = self.waiting.iter().map(|file| file.bytes.len()).sum();
        let open_bytes: usize = self.open.iter().map(OpenFile::bytes).sum();
        // An open file is rolled a fixed time after its first row has come.
        let first_row = |file: &OpenFile<L>| file.roll_at.saturating_sub(self.roll.every);
        let oldest = self.open.iter().map(first_row).chain(self.waiting_since).min();
        let age = |since| self.clock.elapsed().saturating_sub(since);
        let measures = OutputMeasures {
            rows_waiting: self.rows(),
            bytes_waiting: (waiting_bytes + open_bytes) as u64,
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
            while let Some(file) = self.open.pop() {
                self.finish_file(file);
            }
        } else {
            self.complete_old();
        }
        self.seal_waiting()
    }

    fn list(&mut self, epoch: u64, blob: &mut BlobWriter) -> OutputCut {
        let staged = self.waiting.iter_mut().filter_map(|file| {
            file.listed_in.get_or_insert(epoch);
            Some(Staged {
                output: Arc::clone(&self.output),
                folder: file.folder.to_string(),
                hidden: file.sealed.as_ref()?.hidden_name(),
                name: file.name.to_string(),
                rows: file.rows,
                size: Some(file.size),
                checksum: Some(file.checksum),
            })
        });
        let staged = staged.collect();
        let now = self.clock.elapsed();
        let pending = self.open.iter_mut().map(|file| {
            let unsaved = std::mem::take(&mut file.unsaved);
            if !unsaved.is_empty() {
                file.saved.push(blob.section(&unsaved));
            }
            let age = self.roll.every.saturating_sub(file.roll_at.saturating_sub(now));
            Pending {
                output: Arc::clone(&self.output),
                folder: file.folder.to_string(),
                age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                rows: file.saved.clone(),
            }
        });
        OutputCut { staged, pending: pending.collect() }
    }

    fn commit(&mut self, epoch: u64) -> Result<(), Trouble> {
        let mut gone = Vec::new();
        self.for_each_waiting(|file, directory| {
            if file.listed_in.is_none_or(|listed| epoch < listed) {
                return file.hold(directory).map(|()| false);
            }
            let vanished = match file.commit() {
                Err(StoreError::Vanished { .. }) => true,
                result => result.map(|()| file.sealed.is_none())?,
            };
            // Renamed by a try that was reported as failed, or by another process that has taken
            // over. Is that on the medium?
            if vanished && !file.is_shown(directory)? {
                gone.push((directory.path().join(file.folder.to_string()), file.rows));
            }
            Ok(true)
        });
        for (folder, rows) in gone {
            self.report.say(&format!(
                "{}: somebody has removed a hidden file before it could be shown; its {rows} rows \
                 are missing",
                folder.display()
            ));
        }
        self.outcome()
    }

    fn recover(&mut self, recovery: &Recovery) -> Result<(), Trouble> {
        self.next_name.run = recovery.job;
        let of_this = |staged: &&Staged| staged.output == self.output;
        let staged = recovery.staged.iter().filter(of_this);
        let elsewhere = recovery.elsewhere.iter().filter(of_this);
        match output_dir::recover(&self.directory, recovery, staged, elsewhere) {
            Ok(gone) => {
                for Staged { folder, name, rows, .. } in gone {
                    let path = self.directory.path().join(folder).join(name);
                    self.report.say(&format!(
                        "{} is not there, although its {rows} rows were written before this \
                         start: somebody has taken it away",
                        path.display()
                    ));
                }
                self.note(None);
            }
            Err(error) => self.note(Some(error)),
        }
        self.outcome()
    }

    fn restore(&mut self, pending: &Pending, rows: Vec<&[u8]>) -> Result<(), Trouble> {
        if pending.output != self.output {
            return Ok(());
        }
        let folder: DateFolder =
            pending.folder.parse().map_err(|error: NotOurs| Arc::new(error) as Trouble)?;
        let left = self.roll.every.saturating_sub(Duration::from_millis(pending.age_ms));
        let roll_at = self.clock.elapsed().saturating_add(left);
        let index = self.open_file(folder, roll_at);
        for (section, bytes) in pending.rows.iter().zip(rows) {
            let records =
                section.decode::<L::Record>(bytes).map_err(|error| Arc::new(error) as Trouble)?;
            let file = &mut self.open[index];
            for record in &records {
                file.append(&self.layout, record);
                if file.is_due() {
                    file.encode(&self.layout, &self.properties);
                }
            }
            file.encode(&self.layout, &self.properties);
            file.saved.push(section.clone());
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        self.roll().map(|_| ()).map_err(|cause| cause as Trouble)
    }
}

#[cfg(test)]
mod tests;
