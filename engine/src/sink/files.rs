//! The file outputs of one process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use strandline_operators::rejected::{Rejected, Rejection};
use strandline_operators::window::Tumbling;

use super::{DateFolder, FOLDERS, FinalRowsFiles, ParquetCodec, RejectedFiles, Roll, SinkOptions};
use crate::checkpoint::section::BlobWriter;
use crate::clock::Clock;
use crate::outputs::{
    Condition, OpenOutputs, Output, OutputCut, OutputError, Outputs, Pending, Recovery, Trouble,
    Visibility,
};
use crate::report::Report;
use crate::run_id::RunId;
use crate::store::Directory;
use crate::table::{Cells, Table};
use crate::telemetry::OutputMeasures;

/// `OUT/parquet`, `OUT/late` and `OUT/dead_letters`. The workers of a process share them, so that a
/// roll is one file, not one a worker.
#[derive(Clone, Debug)]
pub struct FileOutputs {
    /// `OUT`.
    pub out: Directory,
    /// For the names of files, while the job has no checkpoint that says which it is.
    pub run: RunId,
    /// When files are rolled.
    pub roll: Roll,
    /// How they are compressed.
    pub codec: ParquetCodec,
    /// What their age is measured by.
    pub clock: Clock,
    /// Who hears of a disk that takes nothing.
    pub report: Report,
    /// The names of the columns.
    pub table: Table,
    /// The topic, for rejected records.
    pub topic: String,
    /// The windows: a late record is in the folder of the one that it missed.
    pub windows: Tumbling,
}

impl<O: Cells + serde::Serialize + serde::de::DeserializeOwned + 'static> Outputs<O>
    for FileOutputs
{
    fn run(&self) -> Option<RunId> {
        Some(self.run)
    }

    fn refuses(&self, output: &str, folder: &str) -> Option<String> {
        if !FOLDERS.contains(&output) {
            Some(format!("this version has no output `{}`", output.escape_debug()))
        } else if folder.parse::<DateFolder>().is_err() {
            let folder = folder.escape_debug();
            Some(format!("`{folder}` of {output}/ is no folder of a date"))
        } else {
            None
        }
    }

    fn open(&self, process: usize, visibility: Visibility) -> OpenOutputs<O> {
        let options = SinkOptions {
            out: self.out.clone(),
            run: self.run,
            process,
            visibility,
            roll: self.roll,
            codec: self.codec,
            clock: self.clock.clone(),
            report: self.report.clone(),
        };
        let windows = self.windows;
        let window_start = move |time| windows.window_at(time).start;
        OpenOutputs {
            final_rows: Box::new(FinalRowsFiles::<O>::open(&options, &self.table)),
            rejected: Box::new(Both {
                late: RejectedFiles::late(&options, &self.topic, window_start),
                dead_letters: RejectedFiles::dead_letters(&options, &self.topic),
            }),
        }
    }
}

/// Late records and dead letters.
struct Both {
    late: RejectedFiles,
    dead_letters: RejectedFiles,
}

impl Output<Rejected> for Both {
    fn write(&mut self, records: &[Rejected]) -> Result<(), Trouble> {
        let is_late = |record: &&Rejected| record.rejection == Rejection::Late;
        self.late.write_all(records.iter().filter(is_late));
        self.dead_letters.write_all(records.iter().filter(|record| !is_late(record)));
        Ok(())
    }

    fn tick(&mut self) {
        self.late.tick();
        self.dead_letters.tick();
    }

    fn due_in(&self) -> Option<Duration> {
        self.late.due_in().into_iter().chain(self.dead_letters.due_in()).min()
    }

    fn condition(&self) -> Condition {
        let (late, dead) = (self.late.condition(), self.dead_letters.condition());
        Condition {
            trouble: late.trouble.or(dead.trouble),
            is_full: late.is_full || dead.is_full,
            waiting: late.waiting + dead.waiting,
        }
    }

    fn measures(&self) -> Vec<(String, OutputMeasures)> {
        let mut measures = self.late.measures();
        measures.append(&mut self.dead_letters.measures());
        measures
    }

    fn enter(&mut self, epoch: u64) {
        self.late.enter(epoch);
        self.dead_letters.enter(epoch);
    }

    fn stored_in(&self) -> BTreeSet<Arc<str>> {
        let mut blobs = self.late.stored_in();
        blobs.append(&mut self.dead_letters.stored_in());
        blobs
    }

    fn store_anew(&mut self, gone: &BTreeSet<Arc<str>>) -> u64 {
        self.late.store_anew(gone) + self.dead_letters.store_anew(gone)
    }

    fn seal(&mut self, closing: bool) -> Result<(), Trouble> {
        self.late.seal(closing).and(self.dead_letters.seal(closing))
    }

    fn list(&mut self, epoch: u64, blob: &mut BlobWriter) -> OutputCut {
        let mut cut = self.late.list(epoch, blob);
        cut.append(self.dead_letters.list(epoch, blob));
        cut
    }

    fn commit(&mut self, epoch: u64) -> Result<(), OutputError> {
        let (late, dead) = (self.late.commit(epoch), self.dead_letters.commit(epoch));
        OutputError::worst([late, dead])
    }

    fn recover(&mut self, recovery: &Recovery) -> Result<(), OutputError> {
        let (late, dead) = (self.late.recover(recovery), self.dead_letters.recover(recovery));
        OutputError::worst([late, dead])
    }

    fn restore(&mut self, pending: &Pending, rows: Vec<&[u8]>) -> Result<(), Trouble> {
        self.late.restore(pending, rows.clone())?;
        self.dead_letters.restore(pending, rows)
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        self.late.finish().and(self.dead_letters.finish())
    }
}
