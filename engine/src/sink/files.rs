//! The file outputs of one process, as the sinks of its workers.

use std::error::Error;
use std::sync::Arc;

use strandline_operators::record::{Rejected, Rejection};
use strandline_operators::window::{Row, Tumbling};

use super::{Committed, FinalRowsWriter, RejectedWriter, SinkError, SinkOptions};
use crate::outputs::{Outputs, Sink};
use crate::table::{Cells, Table};

/// `OUT/parquet`, `OUT/late` and `OUT/dead_letters`. The workers of a process share one writer for
/// each, so that a roll is one file, not one a worker. Clones write to the same files.
#[derive(Debug)]
pub struct FileOutputs<O: Cells + Send + 'static> {
    final_rows: Arc<FinalRowsWriter<O>>,
    late: Arc<RejectedWriter>,
    dead_letters: Arc<RejectedWriter>,
}

impl<O: Cells + Send + 'static> Clone for FileOutputs<O> {
    fn clone(&self) -> Self {
        FileOutputs {
            final_rows: Arc::clone(&self.final_rows),
            late: Arc::clone(&self.late),
            dead_letters: Arc::clone(&self.dead_letters),
        }
    }
}

/// What the file outputs of a run have made durable and visible.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesCommitted {
    /// Final rows.
    pub final_rows: Committed,
    /// Late records.
    pub late: Committed,
    /// Records that could not be read.
    pub dead_letters: Committed,
}

impl<O: Cells + Send + 'static> FileOutputs<O> {
    /// Starts the writers.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoThread`].
    pub fn start(
        options: &SinkOptions,
        table: &Table,
        topic: &str,
        windows: Tumbling,
    ) -> Result<FileOutputs<O>, SinkError> {
        let window_start = move |time| windows.window_at(time).start;
        Ok(FileOutputs {
            final_rows: Arc::new(FinalRowsWriter::spawn(options, table)?),
            late: Arc::new(RejectedWriter::late(options, topic, window_start)?),
            dead_letters: Arc::new(RejectedWriter::dead_letters(options, topic)?),
        })
    }

    /// Makes everything durable and visible, and ends the writers.
    ///
    /// # Errors
    ///
    /// The first of them that could not: [`SinkError::Lost`] or [`SinkError::Ended`]. The others
    /// are closed all the same.
    pub fn close(&self) -> Result<FilesCommitted, SinkError> {
        let (final_rows, late, dead_letters) =
            (self.final_rows.close(), self.late.close(), self.dead_letters.close());
        Ok(FilesCommitted { final_rows: final_rows?, late: late?, dead_letters: dead_letters? })
    }
}

impl<O: Cells + Send + 'static> Outputs<O> for FileOutputs<O> {
    fn final_rows(&self, _worker: usize) -> Box<dyn Sink<Row<O>>> {
        let writer = Arc::clone(&self.final_rows);
        Box::new(move |rows| writer.write(rows).map_err(Into::into))
    }

    fn rejected(&self, _worker: usize) -> Box<dyn Sink<Rejected>> {
        let (late, dead_letters) = (Arc::clone(&self.late), Arc::clone(&self.dead_letters));
        Box::new(move |records: Vec<Rejected>| -> Result<(), Box<dyn Error + Send + Sync>> {
            let (is_late, is_dead) =
                records.into_iter().partition(|record| record.rejection == Rejection::Late);
            late.write(is_late)?;
            Ok(dead_letters.write(is_dead)?)
        })
    }
}
