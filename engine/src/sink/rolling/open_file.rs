//! A file that rows are added to, in memory.

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

/// A file that rows are added to. Its encoder is made when there is enough to encode, so that a
/// date with a few rows costs little.
pub(super) struct OpenFile<L: Layout> {
    pub(super) folder: DateFolder,
    columns: L::Columns,
    columns_rows: usize,
    columns_bytes: usize,
    pub(super) writer: Option<ArrowWriter<Vec<u8>>>,
    pub(super) rows: u64,
    /// By the clock.
    pub(super) roll_at: Duration,
    pub(super) last_write: u64,
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
            rows: 0,
            roll_at,
            last_write: 0,
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
    }

    /// Whether its rows are enough to be encoded. They have to be before they are more: a column
    /// holds 2 GiB of text at most.
    pub(super) fn is_due(&self) -> bool {
        ENCODED_ROWS <= self.columns_rows || ENCODED_BYTES <= self.columns_bytes
    }

    /// The memory that its rows take, roughly: compressed, as far as they are, and with checkpoints
    /// once more those since the last one.
    pub(super) fn bytes(&self) -> usize {
        let encoded = |writer: &ArrowWriter<_>| writer.bytes_written() + writer.in_progress_size();
        self.unsaved.len_bytes() + self.columns_bytes + self.writer.as_ref().map_or(0, encoded)
    }
}
