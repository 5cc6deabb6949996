//! What the tests of the sinks have in common: an `OUT`, rows, and a reader of Parquet folders.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use strandline_engine::clock::{Clock, ClockHand};
use strandline_engine::outputs::Visibility;
use strandline_engine::report::Report;
use strandline_engine::sink::{FinalRowsFiles, ParquetCodec, Roll, RunId, SinkOptions};
use strandline_engine::store::{Directory, FaultyDisk, LocalDisk, Operation};
use strandline_engine::table::Table;
use strandline_engine::view::Snapshot;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::rejected::{Rejected, Rejection};
use strandline_operators::time::EventTime;
use strandline_operators::window::{Row, Span, Spans, Window};
use tempfile::TempDir;

/// How long a condition is waited for.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) type Output = (u64, Option<f64>);
pub(crate) type RowsFiles = FinalRowsFiles<Output>;

pub(crate) fn table() -> Table {
    Table::new::<Output>("device_id", "devices", &["count", "avg_temperature"])
}

pub(crate) fn row(
    key: &str,
    start_ms: i64,
    output: Output,
    spans: &[(u32, u64, u64)],
) -> Row<Output> {
    let start = EventTime::from_millis(start_ms);
    let span = |&(partition, first, last): &(u32, u64, u64)| Span {
        partition: Partition(partition),
        first: Offset(first),
        last: Offset(last),
        records: 1,
    };
    Row {
        key: key.into(),
        window: Window { start, end: start + Duration::from_secs(10) },
        output,
        spans: spans.iter().map(span).collect::<Spans>(),
    }
}

pub(crate) fn some_rows(count: usize) -> Vec<Row<Output>> {
    (0..count).map(|n| row("a key", 0, (n as u64, None), &[(0, 1, 2)])).collect()
}

pub(crate) fn rejected(offset: u64, rejection: Rejection, payload: Option<&[u8]>) -> Rejected {
    Rejected {
        partition: Partition(7),
        offset: Offset(offset),
        log_timestamp: None,
        event_time: None,
        rejection,
        payload: payload.map(<[u8]>::to_vec),
    }
}

/// An `OUT` of its own, with a clock that stands.
pub(crate) struct Bench {
    pub(crate) there: TempDir,
    pub(crate) options: SinkOptions,
    pub(crate) hand: ClockHand,
    pub(crate) heard: Heard,
}

/// What was said to the user.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Heard {
    pub(crate) fn report(&self) -> Report {
        let heard = self.clone();
        Report::new(move |line| {
            heard.0.0.lock().unwrap().push(line.to_owned());
            heard.0.1.notify_all();
        })
    }

    /// Waits until `count` lines have been said.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        let lines = self.0.0.lock().unwrap();
        let few = |lines: &mut Vec<String>| lines.len() < count;
        let (lines, waited) = self.0.1.wait_timeout_while(lines, LIMIT, few).unwrap();
        assert!(!waited.timed_out(), "heard only {lines:?}");
        lines.clone()
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let there = tempfile::tempdir().unwrap();
        let out = Directory::local(there.path());
        Bench::with(there, out)
    }

    /// On a disk on which `operation` fails while `failing`.
    pub(crate) fn failing(
        operation: Operation,
        kind: ErrorKind,
        failing: &Arc<AtomicBool>,
    ) -> Bench {
        let there = tempfile::tempdir().unwrap();
        let failing = Arc::clone(failing);
        let disk = FaultyDisk::new(LocalDisk, move |asked, _| {
            (asked == operation && failing.load(Ordering::SeqCst)).then_some(kind)
        });
        let out = Directory::on(Arc::new(disk), there.path());
        Bench::with(there, out)
    }

    pub(crate) fn with(there: TempDir, out: Directory) -> Bench {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(1_730_638_574_123));
        let heard = Heard::default();
        let options = SinkOptions {
            out,
            run: RunId::fresh(&clock),
            process: 0,
            visibility: Visibility::AsTheyCome,
            roll: Roll::default(),
            codec: ParquetCodec::default(),
            clock,
            report: heard.report(),
        };
        Bench { there, options, hand, heard }
    }

    pub(crate) fn rows_files(&self) -> RowsFiles {
        FinalRowsFiles::open(&self.options, &table())
    }

    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        files(&self.there.path().join(folder))
    }

    pub(crate) fn read(&self, folder: &str) -> Vec<RecordBatch> {
        self.files(folder).iter().flat_map(|file| read(file)).collect()
    }
}

/// What a reader of Parquet folders sees below `path`: not what is hidden.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(path) else { return found };
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if !name.starts_with('.') && name.ends_with(".parquet") {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

pub(crate) fn read(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

pub(crate) fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// The names of folders and their files' numbers of rows.
pub(crate) fn by_folder(bench: &Bench, folder: &str) -> Vec<(String, usize)> {
    let parent = |file: &Path| file.parent().unwrap().file_name().unwrap().to_owned();
    let files = bench.files(folder);
    files.iter().map(|f| (parent(f).into_string().unwrap(), count(&read(f)))).collect()
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::yield_now();
    }
}

/// A snapshot that differs from others by one number.
pub(crate) fn snapshot(number: u64, in_flight: u64) -> Snapshot {
    let empty = Snapshot::empty("topic", Arc::new(table()), EventTime::from_millis(0));
    Snapshot { number, in_flight, ..empty }
}
