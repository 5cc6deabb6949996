//! Files of rows that grow in memory, one a date, and become visible when they are full or old
//! enough.
//!
//! A file is encoded and compressed as its rows come, into memory, and is written, synced and
//! renamed in one go when it is rolled. That a disk is full or read-only is therefore never a loss:
//! the bytes are still there, and are written again, under a new hidden name, when that has been
//! mended. It costs what the format costs anyway: Parquet keeps a row group in memory until it is
//! complete.
//!
//! Whoever commits by a manifest takes the two steps of [`WaitingFile`] apart: `seal` (durable,
//! hidden) before the manifest, `commit` (visible) after it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::layout::Layout;
use super::names::{DateFolder, FileName};
use super::{Committed, Report, SinkError, SinkOptions};
use crate::clock::Clock;
use crate::store::{Directory, SealedFile, StoreError};

/// When a file is rolled: whatever comes first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// The age of its first row. Zero: after each write.
    pub every: Duration,
    /// Bytes, after compression, that the open files of a writer have together; the greatest of
    /// them is rolled.
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
/// Rows that are encoded at once, a number of rows.
const ENCODED_ROWS: usize = 8192;
/// Rows are encoded at once when they take this much memory, bytes: payloads may be long.
const ENCODED_BYTES: usize = 1 << 20;
/// Complete files that may wait for the disk before no more rows are taken, a number of files.
const WAITING_FILES_MAX: usize = 256;
/// Memory of rows that may wait for the disk before no more are taken, bytes.
const WAITING_BYTES_MAX: usize = 128 << 20;
/// How long after a failure the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The files of one writer. Does what it is told and looks at the clock, but waits for nothing:
/// what belongs on a thread of its own is called from there.
pub(super) struct RollingFiles<L: Layout> {
    layout: L,
    properties: WriterProperties,
    directory: Directory,
    next_name: FileName,
    roll: Roll,
    clock: Clock,
    report: Report,
    open: Vec<OpenFile<L>>,
    waiting: VecDeque<WaitingFile>,
    failure: Option<Failure>,
    committed: Committed,
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
    /// Files in `directory`.
    pub(super) fn new(options: &SinkOptions, directory: Directory, layout: L) -> Self {
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
        RollingFiles {
            properties: layout.tune(properties).build(),
            layout,
            directory,
            next_name: FileName { run: options.run, worker: options.worker, sequence: 0 },
            roll: options.roll,
            clock: options.clock.clone(),
            report: options.report.clone(),
            open: Vec::new(),
            waiting: VecDeque::new(),
            failure: None,
            committed: Committed::default(),
            writes: 0,
        }
    }

    /// Takes rows over, and makes visible what is full or old.
    pub(super) fn write(&mut self, records: &[L::Record]) {
        self.writes += 1;
        for record in records {
            let index = self.open_file(self.layout.folder(record));
            let file = &mut self.open[index];
            file.last_write = self.writes;
            file.append(&self.layout, record);
            if self.roll.rows <= file.rows {
                self.complete(index);
            } else if ENCODED_ROWS <= file.columns_rows || ENCODED_BYTES <= file.columns_bytes {
                file.encode(&self.layout, &self.properties);
                self.complete_greatest();
            }
        }
        self.complete_greatest();
        self.tick();
    }

    /// Does what is due by the clock.
    pub(super) fn tick(&mut self) {
        let now = self.clock.elapsed();
        if self.failure.as_ref().is_none_or(|failure| failure.retry_at <= now) {
            self.commit_waiting();
        }
        if self.failure.is_none() {
            // While the disk takes nothing, open files grow rather than become many.
            while let Some(old) = self.open.iter().position(|file| self.roll_at(file) <= now) {
                self.complete(old);
            }
        }
    }

    /// How long it is until something is due; `None` if nothing is before the next write.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let due_at = match &self.failure {
            Some(failure) => Some(failure.retry_at),
            None => self.open.iter().map(|file| self.roll_at(file)).min(),
        };
        due_at.map(|due_at| due_at.saturating_sub(self.clock.elapsed()))
    }

    /// Makes all rows visible, whatever their age.
    ///
    /// # Errors
    ///
    /// [`SinkError::Waiting`]: the rows are kept and tried again.
    pub(super) fn roll(&mut self) -> Result<Committed, SinkError> {
        while let Some(file) = self.open.pop() {
            self.finish(file);
        }
        self.commit_waiting();
        match &self.failure {
            None => Ok(self.committed),
            Some(failure) => {
                let cause = Arc::clone(&failure.cause);
                Err(SinkError::Waiting { cause, rows: self.rows() })
            }
        }
    }

    /// Tries the disk again, now.
    pub(super) fn retry(&mut self) {
        self.commit_waiting();
    }

    /// Whether there is memory for more rows: always, while the disk takes files.
    pub(super) fn has_room(&self) -> bool {
        if self.failure.is_none() {
            return true;
        }
        let waiting: usize = self.waiting.iter().map(|file| file.bytes.len()).sum();
        let open: usize = self.open.iter().map(OpenFile::bytes).sum();
        self.waiting.len() < WAITING_FILES_MAX && waiting + open < WAITING_BYTES_MAX
    }

    /// Why the disk takes nothing, while it does not.
    pub(super) fn failure(&self) -> Option<&Arc<StoreError>> {
        self.failure.as_ref().map(|failure| &failure.cause)
    }

    /// What is visible.
    pub(super) fn committed(&self) -> Committed {
        self.committed
    }

    /// Rows that are not visible yet.
    pub(super) fn rows(&self) -> u64 {
        let waiting: u64 = self.waiting.iter().map(|file| file.rows).sum();
        waiting + self.open.iter().map(|file| file.rows).sum::<u64>()
    }

    fn roll_at(&self, file: &OpenFile<L>) -> Duration {
        file.opened_at.saturating_add(self.roll.every)
    }

    /// The index of the open file of a date.
    fn open_file(&mut self, folder: DateFolder) -> usize {
        if let Some(index) = self.open.iter().position(|file| file.folder == folder) {
            return index;
        }
        if OPEN_FILES_MAX <= self.open.len() {
            let files = self.open.iter().enumerate();
            let oldest = files.min_by_key(|(_, file)| (file.last_write, file.opened_at));
            self.complete(oldest.map_or(0, |(index, _)| index));
        }
        self.open.push(OpenFile::new(&self.layout, folder, self.clock.elapsed()));
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

    /// Completes an open file, and makes it visible if the disk takes files.
    fn complete(&mut self, index: usize) {
        let file = self.open.swap_remove(index);
        self.finish(file);
        if self.failure.is_none() {
            self.commit_waiting();
        }
    }

    fn finish(&mut self, mut file: OpenFile<L>) {
        file.encode(&self.layout, &self.properties);
        let Some(writer) = file.writer else { return };
        let bytes = writer.into_inner().expect("encoding into memory cannot fail");
        let name = self.take_name();
        let (folder, rows) = (file.folder, file.rows);
        self.waiting.push_back(WaitingFile { folder, name, rows, bytes, sealed: None });
    }

    fn take_name(&mut self) -> FileName {
        let name = self.next_name;
        self.next_name.sequence += 1;
        name
    }

    /// Tries to make each complete file visible. The first failure is reported, and so is its end.
    fn commit_waiting(&mut self) {
        let mut first_failure = None;
        let mut left = self.waiting.len();
        while 0 < left
            && let Some(mut file) = self.waiting.pop_front()
        {
            match file.seal(&self.directory).and_then(|()| file.commit()) {
                Ok(()) => {
                    self.committed.rows += file.rows;
                    self.committed.files += 1;
                    self.committed.bytes += file.bytes.len() as u64;
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
        let retry_at = self.clock.elapsed().saturating_add(RETRY_AFTER);
        match (first_failure, self.failure.take()) {
            (None, None) => {}
            (None, Some(_)) => {
                let directory = self.directory.path().display();
                self.report.say(&format!("{directory}: written again, no row was lost"));
            }
            (Some(cause), before) => {
                if before.is_none() {
                    let rows = self.rows();
                    self.report.say(&format!("{cause} ({rows} rows wait in memory until then)"));
                }
                self.failure = Some(Failure { cause: Arc::new(cause), retry_at });
            }
        }
    }
}

/// A file that rows are added to. Its encoder is made when there is enough to encode, so that a
/// date with a few rows costs little.
struct OpenFile<L: Layout> {
    folder: DateFolder,
    columns: L::Columns,
    columns_rows: usize,
    columns_bytes: usize,
    writer: Option<ArrowWriter<Vec<u8>>>,
    rows: u64,
    /// By the clock.
    opened_at: Duration,
    last_write: u64,
}

impl<L: Layout> OpenFile<L> {
    fn new(layout: &L, folder: DateFolder, opened_at: Duration) -> OpenFile<L> {
        OpenFile {
            folder,
            columns: layout.columns(),
            columns_rows: 0,
            columns_bytes: 0,
            writer: None,
            rows: 0,
            opened_at,
            last_write: 0,
        }
    }

    fn append(&mut self, layout: &L, record: &L::Record) {
        layout.append(&mut self.columns, record);
        self.columns_rows += 1;
        self.columns_bytes += L::bytes(record);
        self.rows += 1;
    }

    fn encode(&mut self, layout: &L, properties: &WriterProperties) {
        if self.columns_rows == 0 {
            return;
        }
        let batch = layout.finish(&mut self.columns);
        (self.columns_rows, self.columns_bytes) = (0, 0);
        let writer = self.writer.get_or_insert_with(|| {
            let schema = Arc::clone(layout.schema());
            ArrowWriter::try_new(Vec::new(), schema, Some(properties.clone()))
                .expect("Parquet has these types")
        });
        writer.write(&batch).expect("encoding into memory cannot fail");
    }

    /// The memory that its rows take, roughly: compressed, as far as they are.
    fn bytes(&self) -> usize {
        let encoded = |writer: &ArrowWriter<_>| writer.bytes_written() + writer.in_progress_size();
        self.columns_bytes + self.writer.as_ref().map_or(0, encoded)
    }
}

/// A complete file that is not visible yet.
struct WaitingFile {
    folder: DateFolder,
    name: FileName,
    rows: u64,
    bytes: Vec<u8>,
    sealed: Option<SealedFile>,
}

impl WaitingFile {
    /// Brings its bytes to the medium under a hidden name, if they are not there yet.
    fn seal(&mut self, directory: &Directory) -> Result<(), StoreError> {
        if self.sealed.is_none() {
            let folder = directory.subdirectory(&self.folder.to_string())?;
            let mut staged = folder.stage(&self.name.to_string())?;
            staged.append(&self.bytes)?;
            self.sealed = Some(staged.seal()?);
        }
        Ok(())
    }

    /// Makes it visible, once it has been sealed.
    fn commit(&mut self) -> Result<(), StoreError> {
        let Some(sealed) = &mut self.sealed else { return Ok(()) };
        let committed = sealed.commit();
        if let Err(StoreError::Vanished { .. }) = committed {
            self.sealed = None;
        }
        committed
    }
}

#[cfg(test)]
mod tests;
