#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use strandline_operators::time::EventTime;
use strandline_operators::window::{Row, Window};
use tempfile::TempDir;

use super::health::RETRY_AFTER;
use super::open_file::OPEN_FILE_BYTES;
use super::*;
use crate::clock::ClockHand;
use crate::sink::{FinalRows, ParquetCodec, RunId};
use crate::store::{Directory, Disk, DiskFile, Entry, EntryKind, FaultyDisk, LocalDisk, Operation};
use crate::table::Table;

const DAY_MS: i64 = 86_400_000;

fn row(day: i64) -> Row<(u64,)> {
    let start = EventTime::from_millis(day * DAY_MS);
    let window = Window { start, end: start + Duration::from_secs(10) };
    Row { key: "key".into(), window, output: (1,), spans: Default::default() }
}

/// Files in a directory of their own, on a disk that fails when it is told to, by a clock that
/// stands.
struct Bench {
    files: RollingFiles<FinalRows<(u64,)>>,
    there: TempDir,
    hand: ClockHand,
    said: Arc<Mutex<Vec<String>>>,
    failing: Arc<AtomicBool>,
}

impl Bench {
    fn new(roll: Roll) -> Bench {
        let failing = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&failing);
        let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
            let fails = operation == Operation::Write && fails.load(Ordering::SeqCst);
            fails.then_some(ErrorKind::StorageFull)
        });
        Bench { failing, ..Bench::on(disk, roll) }
    }

    fn on(disk: impl Disk, roll: Roll) -> Bench {
        let there = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&said);
        let options = SinkOptions {
            out: Directory::on(Arc::new(disk), there.path()),
            run: RunId::new(EventTime::from_millis(1), 2),
            process: 3,
            visibility: Visibility::AsTheyCome,
            roll,
            codec: ParquetCodec::default(),
            clock,
            report: Report::new(move |line| lines.lock().unwrap().push(line.to_owned())),
        };
        let layout = FinalRows::new(&Table::new::<(u64,)>("key", "rows", &["count"]));
        let files = RollingFiles::new(&options, "rows", layout);
        Bench { files, there, hand, said, failing: Arc::default() }
    }

    fn write(&mut self, days: &[i64]) {
        let rows: Vec<_> = days.iter().map(|day| row(*day)).collect();
        self.files.write(&rows).unwrap();
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn visible(&self) -> Vec<(String, usize)> {
        visible(&self.there.path().join("rows"))
    }
}

/// The files that are visible, as `folder` and number of rows. Each must be readable.
fn visible(path: &Path) -> Vec<(String, usize)> {
    let mut files = Vec::new();
    let Ok(folders) = fs::read_dir(path) else { return files };
    for folder in folders.map(Result::unwrap) {
        for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            if file.file_name().to_str().unwrap().starts_with('.') {
                continue;
            }
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(File::open(file.path()).unwrap()).unwrap();
            let rows = reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
            files.push((folder.file_name().into_string().unwrap(), rows));
        }
    }
    files.sort();
    files
}

fn by_age(seconds: u64) -> Roll {
    Roll { every: Duration::from_secs(seconds), ..Roll::default() }
}

#[test]
fn a_file_is_visible_when_its_first_row_is_old_enough() {
    let mut bench = Bench::new(by_age(60));
    assert_eq!(bench.files.due_in(), None);
    bench.write(&[0]);
    bench.hand.advance(Duration::from_secs(40));
    bench.write(&[0, 1]);
    assert_eq!(bench.files.due_in(), Some(Duration::from_secs(20)));
    bench.hand.advance(Duration::from_millis(19_999));
    bench.files.tick();
    assert_eq!(bench.visible(), []);

    bench.hand.advance(Duration::from_millis(1));
    bench.files.tick();
    assert_eq!(bench.visible(), [("date=1970-01-01".to_owned(), 2)]);
    assert_eq!(bench.files.rows(), 1);
    assert_eq!(bench.files.due_in(), Some(Duration::from_secs(40)));
}

#[test]
fn rolling_every_zero_makes_each_write_visible() {
    let mut bench = Bench::new(by_age(0));
    bench.write(&[0, 0]);
    bench.write(&[0]);
    let day = "date=1970-01-01".to_owned();
    assert_eq!(bench.visible(), [(day.clone(), 1), (day, 2)]);
}

#[test]
fn a_file_is_visible_when_it_has_rows_enough() {
    let mut bench = Bench::new(Roll { rows: 3, ..by_age(60) });
    bench.write(&[0, 0, 1, 0, 0]);
    assert_eq!(bench.visible(), [("date=1970-01-01".to_owned(), 3)]);
    assert_eq!(bench.files.rows(), 2);
}

#[test]
fn the_greatest_file_is_visible_when_all_are_too_great_together() {
    let row_bytes = FinalRows::<(u64,)>::bytes(&row(0));
    let bytes = 3 * OPEN_FILE_BYTES + 39 * row_bytes;
    let mut bench = Bench::new(Roll { bytes, ..by_age(60) });
    bench.write(&[0; 10]);
    bench.write(&[1; 20]);
    assert_eq!(bench.visible(), []);
    bench.write(&[2; 9]);
    assert_eq!(bench.visible(), [("date=1970-01-02".to_owned(), 20)]);
}

#[test]
fn rows_of_many_dates_become_a_file_a_date() {
    let mut bench = Bench::new(by_age(60));
    for n in 0..2000 {
        bench.write(&[n % 400]);
    }
    assert_eq!(bench.visible(), []);
    bench.files.roll().unwrap();
    let rows: Vec<usize> = bench.visible().into_iter().map(|(_, rows)| rows).collect();
    assert_eq!(rows, [5; 400]);
}

/// What a date costs while it waits for its rows bounds how many may.
#[test]
fn a_date_with_few_rows_costs_little_memory() {
    let mut bench = Bench::new(by_age(60));
    // All days from 1970 to 2026.
    for day in 0..20_454 {
        bench.write(&[day]);
    }
    assert_eq!(bench.visible(), []);
    assert_eq!(bench.files.open.len(), 20_454);
}

#[test]
fn rows_of_more_dates_than_fit_into_memory_are_some_in_each_file() {
    let row_bytes = FinalRows::<(u64,)>::bytes(&row(0));
    // Room for all dates with six rows each.
    let bytes = 200 * (OPEN_FILE_BYTES + 6 * row_bytes);
    let mut bench = Bench::new(Roll { bytes, ..by_age(60) });
    for n in 0..200 * 24 {
        bench.write(&[(n * 73) % 200]);
    }
    bench.files.roll().unwrap();
    let visible = bench.visible();
    assert_eq!(visible.iter().map(|(_, rows)| rows).sum::<usize>(), 200 * 24);
    assert!(visible.len() < 200 * 8, "{} files", visible.len());
}

#[test]
fn where_there_are_many_dates_files_wait_longer() {
    let mut bench = Bench::new(by_age(60));
    let many = i64::try_from(ROLLED_BY_AGE_MAX).unwrap() + 1;
    bench.write(&(0..many).collect::<Vec<_>>());
    bench.hand.advance(Duration::from_secs(60));
    bench.files.tick();
    assert_eq!(bench.visible(), []);
    assert_eq!(bench.files.due_in(), Some(Duration::from_secs(60)));
    bench.hand.advance(Duration::from_secs(60));
    bench.files.tick();
    assert_eq!(bench.visible().len(), ROLLED_BY_AGE_MAX + 1);
}

/// A disk that counts the files that are open.
#[derive(Clone, Debug, Default)]
struct CountingDisk(Arc<OpenCount>);

#[derive(Debug, Default)]
struct OpenCount {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug)]
struct CountedFile(Box<dyn DiskFile>, Arc<OpenCount>);

impl Disk for CountingDisk {
    fn create_file(&self, path: &Path) -> std::io::Result<Box<dyn DiskFile>> {
        let file = LocalDisk.create_file(path)?;
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        Ok(Box::new(CountedFile(file, Arc::clone(&self.0))))
    }
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        LocalDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> std::io::Result<Vec<Entry>> {
        LocalDisk.list(path)
    }
    fn kind(&self, path: &Path) -> std::io::Result<EntryKind> {
        LocalDisk.kind(path)
    }
    fn in_use(&self, path: &Path) -> std::io::Result<bool> {
        LocalDisk.in_use(path)
    }
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        LocalDisk.read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        LocalDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        LocalDisk.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> std::io::Result<()> {
        LocalDisk.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        LocalDisk.sync_dir(path)
    }
}

impl std::io::Write for CountedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for CountedFile {
    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }
}

impl Drop for CountedFile {
    fn drop(&mut self) {
        self.1.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_hidden_file_holds_no_descriptor() {
    let disk = CountingDisk::default();
    let mut bench = Bench::on(disk.clone(), by_age(60));
    bench.files.visibility = Visibility::WithCheckpoints;
    bench.write(&(0..300).collect::<Vec<_>>());
    bench.files.seal(true).unwrap();
    let hidden = fs::read_dir(bench.there.path().join(".staged/rows")).unwrap();
    assert_eq!(hidden.count(), 300);
    assert_eq!(disk.0.now.load(Ordering::SeqCst), 0);
    bench.files.list(1, &mut BlobWriter::new("b"));
    bench.files.commit(1).unwrap();
    assert_eq!(bench.visible().len(), 300);
    assert_eq!(disk.0.most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_full_disk_loses_nothing_is_said_once_and_is_over_when_it_is_over() {
    let mut bench = Bench::new(by_age(60));
    bench.failing.store(true, Ordering::SeqCst);
    bench.write(&[0, 0, 1]);
    let error = bench.files.roll().unwrap_err();
    assert!(matches!(&*error, StoreError::NoSpace { .. }), "{error}");
    for _ in 0..5 {
        bench.hand.advance(Duration::from_secs(70));
        bench.write(&[0]);
    }
    assert_eq!(bench.visible(), []);
    assert_eq!(bench.said().len(), 1);
    let said = &bench.said()[0];
    assert!(said.contains("free some space") && said.contains("3 rows wait"), "{said}");
    assert!(!said.contains('\n'), "{said}");

    bench.failing.store(false, Ordering::SeqCst);
    bench.files.tick();
    assert_eq!(bench.visible(), [], "it is not tried again before it is due");
    assert_eq!(bench.files.due_in(), Some(RETRY_AFTER));
    bench.hand.advance(RETRY_AFTER);
    bench.files.tick();
    let [first, second] = ["date=1970-01-01", "date=1970-01-02"].map(str::to_owned);
    assert_eq!(bench.visible(), [(first.clone(), 2), (first, 5), (second, 1)]);
    assert_eq!(bench.files.committed().rows, 8);
    assert_eq!(bench.said().len(), 2);
    assert!(bench.said()[1].contains("no row was lost"), "{:?}", bench.said());
}

#[test]
fn while_the_disk_takes_nothing_there_is_room_up_to_a_bound() {
    let mut bench = Bench::new(by_age(60));
    bench.failing.store(true, Ordering::SeqCst);
    bench.write(&(0..1000).collect::<Vec<_>>());
    bench.files.roll().unwrap_err();
    assert!(!bench.files.condition().is_full, "it is memory that counts, not how many files");
    let bytes = vec![0; WAITING_BYTES_MAX];
    bench.files.complete.add(DateFolder::default(), 1, bytes, Duration::ZERO);
    assert!(bench.files.condition().is_full);
}

#[test]
fn a_run_with_the_name_of_another_replaces_nothing() {
    let mut bench = Bench::new(by_age(60));
    bench.write(&[0]);
    bench.files.roll().unwrap();
    bench.files.complete.next_name.sequence = 0;
    bench.write(&[0, 0]);
    bench.files.roll().unwrap();
    let day = "date=1970-01-01".to_owned();
    assert_eq!(bench.visible(), [(day.clone(), 1), (day, 2)]);
    assert_eq!(bench.said().len(), 0);
}

/// Somebody tidies up hidden files just before the first rename.
#[test]
fn a_staged_file_that_vanished_is_written_again() {
    let first = AtomicBool::new(true);
    let disk = FaultyDisk::new(LocalDisk, move |operation, to| {
        if operation == Operation::Rename && first.swap(false, Ordering::SeqCst) {
            let out = to.ancestors().nth(3).unwrap();
            for file in fs::read_dir(out.join(".staged/rows")).unwrap() {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
        None
    });
    let mut bench = Bench::on(disk, by_age(60));
    bench.write(&[0, 0]);
    bench.files.roll().unwrap_err();
    assert_eq!(bench.files.roll().unwrap().rows, 2);
    assert_eq!(bench.visible(), [("date=1970-01-01".to_owned(), 2)]);
}

/// Lets the n-th operation fail, once, for every n: whatever failed, each row is there once.
#[test]
fn after_any_failure_each_row_is_visible_once() {
    for failing in 0.. {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let disk = FaultyDisk::new(LocalDisk, move |_, _| {
            let now = counted.fetch_add(1, Ordering::SeqCst) == failing;
            now.then_some(ErrorKind::Other)
        });
        let mut bench = Bench::on(disk, by_age(60));
        bench.write(&[0, 1, 0]);
        let first = bench.files.roll();
        let second = bench.files.roll().unwrap();
        let [early, late] = ["date=1970-01-01", "date=1970-01-02"].map(str::to_owned);
        assert_eq!(bench.visible(), [(early, 2), (late, 1)], "operation {failing}");
        assert_eq!((second.rows, second.files), (3, 2));
        if count.load(Ordering::SeqCst) <= failing {
            assert!(first.is_ok() && 15 < failing);
            break;
        }
    }
}

/// Stops the world after the n-th operation, for every n: what was reported as committed is
/// visible, a file is whole or absent, and the leftovers can be removed.
#[test]
fn a_crash_at_any_operation_leaves_whole_files() {
    for operations_until_crash in 0.. {
        let count = AtomicUsize::new(0);
        let disk = FaultyDisk::new(LocalDisk, move |_, _| {
            let dead = operations_until_crash <= count.fetch_add(1, Ordering::SeqCst);
            dead.then_some(ErrorKind::Other)
        });
        let Bench { mut files, there, .. } = Bench::on(disk, by_age(60));
        files.write(&[row(0), row(1), row(0)]).unwrap();
        let finished = files.roll().is_ok();
        let committed = files.committed();
        drop(files);

        let path = there.path().join("rows");
        let rows: usize = visible(&path).iter().map(|(_, rows)| rows).sum();
        assert!(committed.rows <= rows as u64 && rows <= 3);
        for (folder, rows) in visible(&path) {
            assert_eq!(rows, if folder == "date=1970-01-01" { 2 } else { 1 });
            assert_eq!(fs::read_dir(path.join(&folder)).unwrap().count(), 1, "{folder}");
        }
        let staging = Directory::local(there.path().join(".staged/rows"));
        crate::sink::output_dir::remove_hidden(&staging, |hidden| hidden.claim == 0).unwrap();
        assert_eq!(staging.list().unwrap(), []);
        if finished {
            assert_eq!(rows, 3);
            break;
        }
    }
}
