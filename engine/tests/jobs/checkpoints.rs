//! Runs that go on where others ended.
#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use strandline_engine::checkpoint::manifest::{Manifest, with_checksum};
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::checkpoint::{CheckpointError, Checkpoints};
use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobError, JobOptions, Stop, Summary};
use strandline_engine::report::Report;
use strandline_engine::sink::{FileOutputs, ParquetCodec, Roll, RunId};
use strandline_engine::source::Source;
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::store::Directory;
use strandline_engine::table::Table;
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::{Average, Count, Max, Min};
use strandline_operators::decode::{JsonFields, Metrics};
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::Tumbling;
use tempfile::TempDir;

/// Count, average, least and greatest.
pub(crate) type Measured = (u64, Option<f64>, Option<f64>, Option<f64>);
/// Key, start of the window, count, bits of the average.
pub(crate) type PlainRow = (String, i64, i64, Option<u64>);

pub(crate) const PARTITIONS: u32 = 3;
pub(crate) const RECORDS: u64 = 3_000;
/// Runs that are to end, or not to begin, do so in a small part of this.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

fn record(number: u64) -> (Partition, EventTime, Vec<u8>) {
    let partition = Partition(u32::try_from(number).unwrap() % PARTITIONS);
    // Twenty records a second; some come late by less than the watermark, few by more.
    let late_ms = match number % 97 {
        0 => 9_000,
        n => n * 20,
    };
    let time = 1_730_638_570_000 + number as i64 * 50 - late_ms as i64;
    let value = number as f64 * 0.1 - 3.0;
    let text = match number % 211 {
        7 => "not JSON".to_owned(),
        _ => format!(r#"{{"id":"key-{}","ts":{time},"value":{value}}}"#, number % 7),
    };
    (partition, EventTime::from_millis(time), text.into_bytes())
}

/// Records `from..to` of the topic.
pub(crate) fn append(log: &SimulatedLog, numbers: std::ops::Range<u64>) {
    for (partition, _, payload) in numbers.map(record) {
        log.append(partition, None, Some(payload));
    }
}

/// A directory for outputs and one for checkpoints.
pub(crate) struct Place {
    there: TempDir,
    said: Arc<Mutex<Vec<String>>>,
    options: JobOptions,
    fresh: bool,
}

impl Place {
    pub(crate) fn new() -> Place {
        let options = JobOptions {
            watermark: Duration::from_secs(5),
            epoch_every: Duration::from_millis(5),
            publish_every: Duration::from_millis(20),
            idle_after: Duration::from_secs(3600),
            ..JobOptions::new(Tumbling::of(Duration::from_secs(10)).unwrap())
        };
        Place { there: tempfile::tempdir().unwrap(), said: Arc::default(), options, fresh: false }
    }

    fn out(&self) -> PathBuf {
        self.there.path().join("out")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.there.path().join("checkpoints")
    }

    pub(crate) fn run(
        &self,
        log: &impl Source,
        workers: usize,
        stop: &Stop,
    ) -> Result<Summary, JobError> {
        let view = view();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.run_showing(log, workers, stop, &view));
            let clock = Clock::system();
            while !running.is_finished() {
                if clock.elapsed() > ENDS_WITHIN {
                    stop.request();
                    panic!("it reads on: {:?}", running.join());
                }
                view.newer_than(view.latest().number, Duration::from_millis(5));
            }
            running.join().unwrap()
        })
    }

    fn run_showing(
        &self,
        log: &impl Source,
        workers: usize,
        stop: &Stop,
        view: &View,
    ) -> Result<Summary, JobError> {
        let clock = Clock::system();
        let said = Arc::clone(&self.said);
        // Each run also says what its first dead letter is.
        let report = Report::new(move |line| {
            if !line.contains("is a dead letter") {
                said.lock().unwrap().push(line.to_owned());
            }
        });
        let outputs = FileOutputs {
            out: Directory::local(self.out()),
            run: RunId::fresh(&clock),
            roll: Roll { rows: 30, ..Roll::default() },
            codec: ParquetCodec::default(),
            clock: clock.clone(),
            report: report.clone(),
            table: table(),
            topic: "t".into(),
            windows: self.options.windows,
        };
        let checkpoints = Checkpoints {
            blobs: Arc::new(ObjectBlobs::local(self.checkpoints()).unwrap()),
            every: Duration::from_millis(5),
            keep: 3,
            fresh: self.fresh,
            start: RunId::fresh(&clock),
            shape: [].into(),
            outputs: None,
        };
        let metric = |message: &Metrics<1>| message.get(0);
        Job::new(
            log.clone(),
            JsonFields::new("id", "ts", ["value"]),
            (Count, Average(metric), Min(metric), Max(metric)),
            Arc::new(table()),
            outputs,
            self.options,
        )
        .with_checkpoints(Some(checkpoints))
        .with_report(report)
        .run(timely::Config::process(workers), &clock, view, stop)
    }

    /// Runs until this many records have been read, and stops in order.
    pub(crate) fn run_until(&self, log: &SimulatedLog, workers: usize, records: u64) -> Summary {
        let (stop, view) = (Stop::default(), view());
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.run_showing(log, workers, &stop, &view));
            let clock = Clock::system();
            while view.latest().ledger.read < records {
                assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", view.latest());
                assert!(!running.is_finished(), "{:?}", running.join());
                view.newer_than(view.latest().number, Duration::from_millis(50));
            }
            stop.request();
            let summary = running.join().unwrap().unwrap();
            let of_run = view.latest().ledger_of_run();
            assert!(of_run.balances());
            assert_eq!(of_run.read, summary.ledger.read - summary.read_before);
            summary
        })
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn rows(&self) -> BTreeSet<PlainRow> {
        rows_in([&*self.out()])
    }

    /// The number of the newest manifest.
    fn newest(&self) -> u64 {
        let newest = self.manifests().pop().unwrap();
        Manifest::number_of(newest.file_name().unwrap().to_str().unwrap()).unwrap()
    }

    fn manifests(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.checkpoints())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("manifest-"))
            .collect();
        files.sort();
        files
    }
}

/// The rows in these directories of outputs.
pub(crate) fn rows_in<'a>(outs: impl IntoIterator<Item = &'a Path>) -> BTreeSet<PlainRow> {
    let mut rows = BTreeSet::new();
    for out in outs {
        for file in parquet_files(&out.join("parquet")) {
            let file = fs::File::open(file).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
            for batch in reader.map(Result::unwrap) {
                let column = |name| batch.column_by_name(name).unwrap();
                let start = column("window_start").as_primitive::<TimestampMillisecondType>();
                let average = column("average").as_primitive::<Float64Type>();
                for index in 0..batch.num_rows() {
                    let row = (
                        column("id").as_string::<i32>().value(index).to_owned(),
                        start.value(index),
                        column("count").as_primitive::<Int64Type>().value(index),
                        Some(average.value(index).to_bits()),
                    );
                    assert!(rows.insert(row.clone()), "twice: {row:?}");
                }
            }
        }
    }
    rows
}

pub(crate) fn table() -> Table {
    Table::new::<Measured>("id", "rows", &["count", "average", "least", "greatest"])
}

pub(crate) fn view() -> View {
    View::new(Snapshot::empty("t", Arc::new(table()), EventTime::from_millis(0)))
}

pub(crate) fn parquet_files(path: &Path) -> Vec<PathBuf> {
    let Ok(folders) = fs::read_dir(path) else { return Vec::new() };
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    files.filter(|f| f.extension().is_some_and(|extension| extension == "parquet")).collect()
}

/// What a run that nothing disturbs gives.
pub(crate) fn undisturbed() -> (Summary, BTreeSet<PlainRow>) {
    let place = Place::new();
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..RECORDS);
    let summary = place.run(&log.bounded(), 2, &Stop::default()).unwrap();
    assert!(summary.finished && 0 < summary.ledger.late && 0 < summary.ledger.dead_letters());
    let rows = place.rows();
    assert_eq!(rows.len() as u64, summary.final_rows);
    (summary, rows)
}

#[test]
fn a_run_goes_on_where_another_was_stopped_also_with_other_workers() {
    let (expected, rows) = undisturbed();
    let place = Place::new();
    let log = SimulatedLog::new("t", PARTITIONS);
    for (workers, until) in [(3, 700), (1, 1_500), (4, 1_500), (2, 2_900)] {
        append(&log, log_length(&log)..until);
        let summary = place.run_until(&log, workers, until);
        assert!(summary.continues && !summary.finished);
        assert_eq!(summary.ledger.read, until);
        assert!(summary.ledger.balances() && 0 < summary.open_windows, "{summary:?}");
        assert_eq!(place.rows().len() as u64, summary.final_rows, "a stop completes the files");
    }
    append(&log, 2_900..RECORDS);
    let summary = place.run(&log.bounded(), 2, &Stop::default()).unwrap();
    assert_eq!(summary.ledger, expected.ledger);
    assert_eq!((summary.read_before, summary.final_rows), (2_900, expected.final_rows));
    assert_eq!(place.rows(), rows);
    assert_eq!(place.said(), [""; 0]);
}

/// A job of two workers that was stopped each time when it had read so many records.
fn stopped_at(lengths: &[u64]) -> (Place, SimulatedLog) {
    let (place, log) = (Place::new(), SimulatedLog::new("t", PARTITIONS));
    for length in lengths {
        append(&log, log_length(&log)..*length);
        place.run_until(&log, 2, *length);
    }
    (place, log)
}

/// How many records were appended.
fn log_length(log: &SimulatedLog) -> u64 {
    let starts = log.clone().bounded().plan(&[], &|| false).unwrap().partitions;
    starts.iter().map(|start| start.end.unwrap().0).sum()
}

#[test]
fn a_finished_run_shows_what_is_hidden_and_says_what_it_came_to_again() {
    let mut place = Place::new();
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..RECORDS);
    let log = log.bounded();
    let first = place.run(&log, 2, &Stop::default()).unwrap();
    let rows = place.rows();
    // It was killed before its last files were shown.
    let newest =
        Manifest::from_bytes(place.newest(), &fs::read(place.manifests().pop().unwrap()).unwrap());
    let staged = newest.unwrap().cut.unwrap().processes.remove(0).outputs.staged;
    assert!(!staged.is_empty());
    for file in &staged {
        let folder = place.out().join(&*file.output).join(&file.folder);
        let staging = place.out().join(".staged").join(&*file.output);
        fs::rename(folder.join(&file.name), staging.join(&file.hidden)).unwrap();
    }
    assert!(place.rows().len() < rows.len());
    for workers in [3, 1] {
        let again = place.run(&log, workers, &Stop::default()).unwrap();
        assert_eq!(again, Summary { read_before: RECORDS, ..first });
        assert_eq!(place.rows(), rows);
    }
    let said = place.said();
    assert!(said.len() == 2 && said[0].contains("is finished"), "{said:?}");
    assert!(said[0].contains("--fresh"), "{said:?}");

    // Not as a live one.
    let live = SimulatedLog::new("t", PARTITIONS);
    let error = place.run(&live, 2, &Stop::default()).unwrap_err();
    assert!(matches!(error, JobError::Checkpoint(CheckpointError::Finished { .. })), "{error}");
    assert!(error.to_string().contains("--bounded"), "{error}");

    fs::remove_dir_all(place.out()).unwrap();
    place.fresh = true;
    place.run(&log, 1, &Stop::default()).unwrap();
    assert_eq!(place.rows(), rows);
    let said = place.said();
    assert!(said.last().unwrap().contains("starting over"), "{said:?}");
    assert!(said.last().unwrap().contains("3000 records read"), "{said:?}");
}

/// A bounded run of 2000 records that was interrupted when it had read 1500, as its manifest says it.
fn interrupted() -> (Place, SimulatedLog) {
    let place = Place::new();
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..1_500);
    place.run_until(&log, 1, 1_500);
    append(&log, 1_500..2_000);
    let ends = log.clone().bounded().plan(&[], &|| false).unwrap().partitions;
    let (number, path) = (place.newest(), place.manifests().pop().unwrap());
    let mut manifest = Manifest::from_bytes(number, &fs::read(&path).unwrap()).unwrap();
    for (cut, start) in manifest.cut.as_mut().unwrap().partitions.iter_mut().zip(ends) {
        assert_eq!(cut.partition, start.partition);
        cut.end = start.end;
    }
    fs::write(path, manifest.to_bytes()).unwrap();
    (place, log)
}

#[test]
fn a_bounded_run_that_was_interrupted_is_continued_bounded_to_the_same_ends() {
    let (place, log) = interrupted();
    let view = view();
    let error = place.run_showing(&log, 2, &Stop::default(), &view).unwrap_err();
    // What there is of it is shown from the start on, whatever the log says.
    let shown = view.latest();
    assert_eq!((shown.ledger.read, shown.ledger_of_run().read), (1_500, 0));
    assert_eq!((shown.lag(), shown.final_rows), (None, shown.final_rows_before));
    assert!(shown.final_rows > 0 && shown.partitions.len() == PARTITIONS as usize);
    let other_mode = matches!(error, JobError::Checkpoint(CheckpointError::OtherMode { .. }));
    assert!(other_mode && error.to_string().contains("--bounded"), "{error}");
    // Neither what came later nor a partition that was not there is read.
    append(&log, 2_000..2_300);
    let new = log.add_partition();
    log.append(new, None, Some(record(0).2));
    let summary = place.run(&log.bounded(), 2, &Stop::default()).unwrap();
    assert!(summary.finished);
    assert_eq!((summary.ledger.read, summary.read_before), (2_000, 1_500));
}

#[test]
fn a_bounded_run_on_a_log_that_was_cut_back_says_so() {
    let (place, _) = interrupted();
    for (records, what) in [(30, "has read up to"), (1_800, "is to read up to")] {
        let log = SimulatedLog::new("t", PARTITIONS);
        append(&log, 0..records);
        let error = place.run(&log.bounded(), 2, &Stop::default()).unwrap_err();
        let cut_back = matches!(error, JobError::Checkpoint(CheckpointError::LogCutBack { .. }));
        let text = error.to_string();
        assert!(cut_back && text.contains(what) && text.contains("--fresh"), "{error}");
        assert!(!text.contains('\n'), "{error}");
    }
}

#[test]
fn a_partition_whose_discovery_died_before_the_first_cut_meets_no_closed_window() {
    let (place, log) = stopped_at(&[1_500]);
    let before = place.rows();
    // It was found after the last cut, and the process died: no cut knows of it.
    let new = log.add_partition();
    for number in 0..300 {
        log.append(new, None, Some(record(number).2));
    }
    append(&log, 1_500..RECORDS);
    let summary = place.run(&log.bounded(), 2, &Stop::default()).unwrap();
    let rows = place.rows();
    let windows: BTreeSet<_> = rows.iter().map(|row| (&row.0, row.1)).collect();
    assert_eq!(windows.len(), rows.len(), "a window is final once");
    assert!(before.is_subset(&rows) && 250 < summary.ledger.late, "{summary:?}");
    let said = place.said();
    let named = |line: &String| {
        line.contains(&format!("partition {} is new", new.0))
            && line.contains("earlier ones are late")
    };
    assert!(said.iter().any(named), "{said:?}");
}

#[test]
fn another_job_is_refused_with_what_differs() {
    let (mut place, log) = stopped_at(&[RECORDS]);
    place.options.watermark = Duration::from_secs(6);
    let error = place.run(&log, 2, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("watermark 5s (here 6s)") && error.contains("--fresh"), "{error}");
    assert!(!error.contains('\n'), "{error}");
    let other = SimulatedLog::new("another", PARTITIONS);
    place.options.watermark = Duration::from_secs(5);
    let error = place.run(&other, 2, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("topic t (here another)"), "{error}");
    // What may differ does not matter.
    place.options.idle_after = Duration::from_secs(1);
    place.options.epoch_every = Duration::from_millis(7);
    place.run_until(&log, 3, RECORDS);
}

#[test]
fn a_damaged_checkpoint_is_said_and_the_one_before_it_is_continued() {
    let (expected, rows) = undisturbed();
    let (place, log) = stopped_at(&[600, 1_200, 1_800]);
    // The newest two manifests are of one cut, or of neighbours: all of the last run go.
    let manifests = place.manifests();
    for manifest in &manifests[manifests.len() - 1..] {
        let mut bytes = fs::read(manifest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(manifest, bytes).unwrap();
    }
    append(&log, 1_800..RECORDS);
    let summary = place.run(&log.bounded(), 3, &Stop::default()).unwrap();
    assert_eq!((summary.ledger, place.rows()), (expected.ledger, rows));
    let said = place.said();
    assert!(said.len() == 1 && said[0].contains("is damaged"), "{said:?}");
    assert!(said[0].contains("going on from checkpoint"), "{said:?}");
}

#[test]
fn nothing_starts_from_the_beginning_because_checkpoints_are_damaged() {
    let (place, log) = stopped_at(&[RECORDS]);
    for manifest in place.manifests() {
        fs::write(manifest, "nonsense").unwrap();
    }
    let error = place.run(&log, 2, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("none that can be read") && error.contains("--fresh"), "{error}");
    for manifest in place.manifests() {
        fs::remove_file(manifest).unwrap();
    }
    let error = place.run(&log, 2, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("no manifest") && error.contains("--fresh"), "{error}");
}

/// The checkpoint that version 1 of the format wrote after `FIXTURE_READ` records.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoint-format-1")
}

const FIXTURE_READ: u64 = 1_000;

/// Makes the fixture. It is never made again: whoever changes the format keeps reading it, or
/// refuses it with a message that says what to do.
#[test]
#[ignore = "the fixture is there for good"]
fn make_the_fixture() {
    let place = Place::new();
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..FIXTURE_READ);
    place.run_until(&log, 2, FIXTURE_READ);
    fs::create_dir_all(fixture()).unwrap();
    let newest = place.manifests().pop().unwrap();
    let number = Manifest::number_of(newest.file_name().unwrap().to_str().unwrap()).unwrap();
    let manifest = Manifest::from_bytes(number, &fs::read(&newest).unwrap()).unwrap();
    fs::copy(&newest, fixture().join(newest.file_name().unwrap())).unwrap();
    for blob in manifest.blobs() {
        fs::copy(place.checkpoints().join(&*blob), fixture().join(&*blob)).unwrap();
    }
}

#[test]
fn a_checkpoint_of_the_first_format_is_continued() {
    let (expected, rows) = undisturbed();
    let place = Place::new();
    fs::create_dir_all(place.checkpoints()).unwrap();
    for entry in fs::read_dir(fixture()).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), place.checkpoints().join(entry.file_name())).unwrap();
    }
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..RECORDS);
    let summary = place.run(&log.bounded(), 3, &Stop::default()).unwrap();
    assert_eq!((summary.ledger, summary.read_before), (expected.ledger, FIXTURE_READ));
    assert_eq!(summary.final_rows, expected.final_rows);
    // The rows from before the fixture are not in its outputs.
    let found = place.rows();
    assert!(found.is_subset(&rows) && rows.len() / 2 < found.len(), "{} rows", found.len());
}

/// What 0176609 left behind when it was killed after a manifest and before its renames: two files
/// are hidden, and rows of all three outputs wait for theirs.
fn killed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/killed-format-1")
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn a_killed_job_of_the_first_format_is_continued_with_the_same_rows() {
    let (expected, rows) = undisturbed();
    let place = Place::new();
    copy_all(&killed().join("checkpoints"), &place.checkpoints());
    copy_all(&killed().join("out"), &place.out());
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..RECORDS);
    let summary = place.run(&log.bounded(), 3, &Stop::default()).unwrap();
    assert_eq!((summary.ledger, summary.read_before), (expected.ledger, 1_000));
    assert_eq!((summary.final_rows, place.rows()), (expected.final_rows, rows));
    let rejected = |output| parquet_files(&place.out().join(output)).into_iter().map(count);
    assert_eq!(rejected("late").sum::<u64>(), expected.ledger.late);
    assert_eq!(rejected("dead_letters").sum::<u64>(), expected.ledger.dead_letters());
    assert_eq!(place.said(), [""; 0]);
    // From here on it is a job of this format.
    let newest = place.manifests().pop().unwrap();
    assert!(fs::read_to_string(newest).unwrap().starts_with(r#"{"format":2,"#));
}

/// The rows of a file.
fn count(file: PathBuf) -> u64 {
    let file = fs::File::open(file).unwrap();
    let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    metadata.metadata().file_metadata().num_rows() as u64
}

/// Replaces something that a manifest says.
fn rewrite(manifest: &Path, then: &str, now: &str) {
    let text = fs::read_to_string(manifest).unwrap();
    let json = text.split('\n').next().unwrap().replace(then, now);
    fs::write(manifest, with_checksum(&json)).unwrap();
}

#[test]
fn a_manifest_of_a_newer_format_is_refused_and_nothing_is_removed() {
    let (place, log) = stopped_at(&[800, 1_600]);
    // A newer version has gone on.
    rewrite(&place.manifests().pop().unwrap(), r#"{"format":2,"#, r#"{"format":3,"#);
    let before = (listed(&place.checkpoints()), listed(&place.out()));
    let error = place.run(&log, 2, &Stop::default()).unwrap_err();
    let newer = matches!(error, JobError::Checkpoint(CheckpointError::NewerFormat { .. }));
    assert!(newer && error.to_string().contains("start that version"), "{error}");
    assert_eq!((listed(&place.checkpoints()), listed(&place.out())), before);
}

#[test]
fn rows_for_an_output_or_a_folder_that_is_none_are_refused_and_nothing_is_removed() {
    for (then, now, said) in [
        (r#""output":"parquet""#, r#""output":"tables""#, "no output `tables`"),
        (r#""folder":"date="#, r#""folder":"day="#, "is no folder of a date"),
    ] {
        let (place, log) = stopped_at(&[800]);
        for manifest in place.manifests() {
            rewrite(&manifest, then, now);
        }
        let before = (listed(&place.checkpoints()), listed(&place.out()));
        let error = place.run(&log, 2, &Stop::default()).unwrap_err();
        let unknown = matches!(error, JobError::Checkpoint(CheckpointError::UnknownRows { .. }));
        let line = error.to_string();
        assert!(unknown && line.contains(said) && line.contains("--fresh"), "{line}");
        assert_eq!((listed(&place.checkpoints()), listed(&place.out())), before);
    }
}

/// All files, with their sizes.
fn listed(path: &Path) -> BTreeSet<(PathBuf, u64)> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(listed(&entry.path())),
            false => drop(files.insert((entry.path(), entry.metadata().unwrap().len()))),
        }
    }
    files
}

#[test]
fn a_damaged_manifest_pins_what_it_may_name() {
    let (place, log) = stopped_at(&[800, 1_600]);
    let newest = place.manifests().pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let number = Manifest::number_of(newest.file_name().unwrap().to_str().unwrap()).unwrap();
    let named = Manifest::from_bytes(number, &bytes).unwrap().blobs();
    assert!(!named.is_empty());
    bytes[9] ^= 1;
    fs::write(&newest, bytes).unwrap();
    // Whatever is done to bring it back, what it names is there.
    let stop = Stop::default();
    stop.request();
    let _ = place.run(&log, 2, &stop);
    for blob in named {
        assert!(place.checkpoints().join(&*blob).exists(), "{blob}");
    }
}
