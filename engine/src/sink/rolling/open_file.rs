//! Files that rows are added to, in memory.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::checkpoint::section::{Encoded, Section};
use crate::sink::layout::Layout;
use crate::sink::names::DateFolder;

/// Rows that are encoded at once, a number of rows.
const ENCODED_ROWS: usize = 8192;
/// Rows are encoded at once when they take this much memory, bytes: payloads may be long.
const ENCODED_BYTES: usize = 1 << 20;
/// Memory that an open file takes besides its rows, bytes, roughly: its columns and where it is found.
pub(super) const OPEN_FILE_BYTES: usize = 2 << 10;

/// A file that rows are added to. Its encoder is made when there is enough to encode, so that a
/// date with a few rows costs little.
pub(super) struct OpenFile<L: Layout> {
    pub(super) folder: DateFolder,
    columns: L::Columns,
    columns_rows: usize,
    columns_bytes: usize,
    pub(super) writer: Option<ArrowWriter<Vec<u8>>>,
    /// The memory of what is encoded, bytes.
    writer_bytes: usize,
    pub(super) rows: u64,
    /// By the clock.
    pub(super) roll_at: Duration,
    /// With checkpoints: its rows since the last one.
    pub(super) unsaved: Encoded,
    /// With checkpoints: where its other rows are kept.
    pub(super) saved: Vec<Section>,
}

impl<L: Layout> OpenFile<L> {
    pub(super) fn new(layout: &L, folder: DateFolder, roll_at: Duration) -> OpenFile<L> {
        OpenFile {
            folder,
            columns: layout.columns(),
            columns_rows: 0,
            columns_bytes: 0,
            writer: None,
            writer_bytes: 0,
            rows: 0,
            roll_at,
            unsaved: Encoded::default(),
            saved: Vec::new(),
        }
    }

    pub(super) fn append(&mut self, layout: &L, record: &L::Record) {
        layout.append(&mut self.columns, record);
        self.columns_rows += 1;
        self.columns_bytes += L::bytes(record);
        self.rows += 1;
    }

    pub(super) fn encode(&mut self, layout: &L, properties: &WriterProperties) {
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
        self.writer_bytes = writer.bytes_written() + writer.in_progress_size();
    }

    /// Whether its rows are enough to be encoded. They have to be before they are more: a column
    /// holds 2 GiB of text at most.
    pub(super) fn is_due(&self) -> bool {
        ENCODED_ROWS <= self.columns_rows || ENCODED_BYTES <= self.columns_bytes
    }

    /// The blobs in which its rows are kept.
    pub(super) fn stored_in(&self) -> impl Iterator<Item = Arc<str>> {
        self.saved.iter().map(|section| Arc::clone(&section.blob))
    }

    /// The memory that it takes, roughly: its rows compressed, as far as they are, and with
    /// checkpoints once more those since the last one.
    fn bytes(&self) -> usize {
        OPEN_FILE_BYTES + self.unsaved.len_bytes() + self.columns_bytes + self.writer_bytes
    }
}

/// The open files of a writer, one a date, sorted by date. There may be very many with a row or two:
/// what bounds them is their memory.
pub(super) struct OpenFiles<L: Layout> {
    files: BTreeMap<DateFolder, OpenFile<L>>,
    /// When they are to be rolled.
    ages: BTreeSet<(Duration, DateFolder)>,
    bytes: usize,
    rows: u64,
}

impl<L: Layout> OpenFiles<L> {
    pub(super) fn new() -> OpenFiles<L> {
        OpenFiles { files: BTreeMap::new(), ages: BTreeSet::new(), bytes: 0, rows: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OpenFile<L>> {
        self.files.values()
    }

    /// The memory that they take together, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Changes the file of a date; one that is new is rolled at `roll_at`.
    pub(super) fn change<R>(
        &mut self,
        layout: &L,
        folder: DateFolder,
        roll_at: Duration,
        change: impl FnOnce(&mut OpenFile<L>) -> R,
    ) -> R {
        let file = match self.files.entry(folder) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let file = entry.insert(OpenFile::new(layout, folder, roll_at));
                self.bytes += file.bytes();
                self.ages.insert((roll_at, folder));
                file
            }
        };
        let (bytes, rows) = (file.bytes(), file.rows);
        let result = change(file);
        self.bytes = self.bytes - bytes + file.bytes();
        self.rows = self.rows - rows + file.rows;
        result
    }

    /// Changes all of them, by date.
    pub(super) fn change_all<R>(
        &mut self,
        mut change: impl FnMut(&mut OpenFile<L>) -> R,
    ) -> Vec<R> {
        let results = self.files.values_mut().map(&mut change).collect();
        self.bytes = self.files.values().map(OpenFile::bytes).sum();
        results
    }

    pub(super) fn take(&mut self, folder: DateFolder) -> Option<OpenFile<L>> {
        let file = self.files.remove(&folder)?;
        self.ages.remove(&(file.roll_at, folder));
        self.bytes -= file.bytes();
        self.rows -= file.rows;
        Some(file)
    }

    pub(super) fn take_first(&mut self) -> Option<OpenFile<L>> {
        let folder = *self.files.first_key_value()?.0;
        self.take(folder)
    }

    /// The file that takes the most memory.
    pub(super) fn greatest(&self) -> Option<DateFolder> {
        self.files.values().max_by_key(|file| file.bytes()).map(|file| file.folder)
    }

    /// The file that is to be rolled first, and when.
    pub(super) fn oldest(&self) -> Option<(Duration, DateFolder)> {
        self.ages.first().copied()
    }
}
