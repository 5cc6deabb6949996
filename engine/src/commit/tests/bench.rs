//! A committer that a test steps by hand, with blobs in memory and a disk that can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::rejected::{Rejected, Rejection};
use strandline_operators::time::EventTime;
use strandline_operators::window::{PaneState, Row, Snapshot, Tumbling, Window};

use crate::background::{Join, Spawn};
use crate::checkpoint::blobs::{BlobEntry, BlobError};
use crate::checkpoint::catalog::STATE_PREFIX;
use crate::checkpoint::manifest::{CutRecord, FORMAT, ProcessCut};
use crate::checkpoint::places::Restoration;
use crate::clock::ClockHand;
use crate::commit::*;
use crate::outputs::{OutputCut, Outputs, Staged, Visibility};
use crate::sink::{FileOutputs, ParquetCodec, Roll};
use crate::source::TopicIdentity;
use crate::store::{Directory, FaultyDisk, LocalDisk, Operation};
use crate::table::Table;
use crate::telemetry::Telemetry;

pub(super) type Out = (u64,);

/// Blobs in memory; `failing`: nothing is put.
#[derive(Debug, Default)]
pub(super) struct Memory {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What was read of blobs, piece by piece.
    pub(super) reads: Mutex<Vec<(String, Range<u64>)>>,
    pub(super) failing: AtomicBool,
    /// The next put succeeds, and says that it failed.
    pub(super) lying: AtomicBool,
    /// No blob but manifests can be removed.
    pub(super) sticky: AtomicBool,
}

impl Blobs for Memory {
    fn place(&self) -> String {
        "memory".into()
    }
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), BlobError> {
        let failed = || BlobError::Failed { place: self.place(), reason: "no space".into() };
        if self.failing.load(Ordering::SeqCst) {
            return Err(failed());
        }
        let mut blobs = self.blobs.lock().unwrap();
        if blobs.contains_key(name) {
            return Err(BlobError::Taken { place: self.place(), name: name.into() });
        }
        blobs.insert(name.into(), bytes.into());
        if self.lying.swap(false, Ordering::SeqCst) { Err(failed()) } else { Ok(()) }
    }
    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError> {
        let absent = || BlobError::Absent { place: self.place(), name: name.into() };
        self.blobs.lock().unwrap().get(name).cloned().ok_or_else(absent)
    }
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.reads.lock().unwrap().push((name.to_owned(), range.clone()));
        Ok(self.get(name)?[range.start as usize..range.end as usize].to_vec())
    }
    fn list(&self) -> Result<Vec<BlobEntry>, BlobError> {
        let blobs = self.blobs.lock().unwrap();
        let entry = |(name, bytes): (&String, &Vec<u8>)| BlobEntry {
            name: name.clone(),
            bytes: bytes.len() as u64,
        };
        Ok(blobs.iter().map(entry).collect())
    }
    fn removed(&self, names: &BTreeSet<Arc<str>>) -> Result<BTreeSet<Arc<str>>, BlobError> {
        let blobs = self.blobs.lock().unwrap();
        Ok(names.iter().filter(|name| !blobs.contains_key(&***name)).cloned().collect())
    }
    fn delete(&self, name: &str) -> Result<(), BlobError> {
        if self.sticky.load(Ordering::SeqCst) && name.starts_with(STATE_PREFIX) {
            return Err(BlobError::Failed { place: self.place(), reason: "not now".into() });
        }
        self.blobs.lock().unwrap().remove(name);
        Ok(())
    }
}

/// A test hands items over and steps the committer on one thread: nobody waits for room.
struct ByHand;

impl Spawn for ByHand {
    fn spawn(&self, _: &str, _: Bell, _: Box<dyn Task>) -> io::Result<Box<dyn Join>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn queue_bytes_max(&self) -> Option<usize> {
        Some(usize::MAX)
    }
}

/// A committer of two workers that a test steps, on a disk that can fail.
pub(super) struct Bench {
    pub(super) committer: Committer,
    pub(super) mailbox: Mailbox,
    pub(super) blobs: Arc<Memory>,
    pub(super) hand: ClockHand,
    pub(super) said: Arc<Mutex<Vec<String>>>,
    pub(super) failure: Failure,
    pub(super) stop: Stop,
    pub(super) disk_fails: Arc<AtomicBool>,
    pub(super) renames_fail: Arc<AtomicBool>,
    /// Nothing can be looked at.
    pub(super) looks_fail: Arc<AtomicBool>,
}

pub(super) const JOB: &str = "0000000000001-00000002";

impl Bench {
    pub(super) fn new(out: &Path, checkpoints: bool) -> Bench {
        let bench = Bench::continuing(out, checkpoints, Arc::default(), None);
        if checkpoints {
            bench.recover(None, Vec::new());
        }
        bench
    }

    /// One of whose first cut a file is durable and hidden, with rows of keys 0 to 2.
    pub(super) fn with_a_hidden_file(out: &Path) -> Bench {
        let mut bench = Bench::new(out, true);
        bench.rows(1, 0..3);
        bench.cut(1, true);
        bench.run();
        bench
    }

    pub(super) fn continuing(
        out: &Path,
        checkpoints: bool,
        blobs: Arc<Memory>,
        continued: Option<&Manifest>,
    ) -> Bench {
        let disk_fails = Arc::new(AtomicBool::new(false));
        let renames_fail = Arc::new(AtomicBool::new(false));
        let looks_fail = Arc::new(AtomicBool::new(false));
        let (writes, renames) = (Arc::clone(&disk_fails), Arc::clone(&renames_fail));
        let looks = Arc::clone(&looks_fail);
        let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
            let fails = match operation {
                Operation::Write => writes.load(Ordering::SeqCst),
                Operation::Rename => renames.load(Ordering::SeqCst),
                Operation::Kind | Operation::Read if looks.load(Ordering::SeqCst) => {
                    return Some(ErrorKind::Other);
                }
                _ => false,
            };
            fails.then_some(ErrorKind::StorageFull)
        });
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&said);
        let report = Report::new(move |line| lines.lock().unwrap().push(line.to_owned()));
        let outputs = FileOutputs {
            out: Directory::on(Arc::new(disk), out),
            run: JOB.parse().unwrap(),
            roll: Roll { every: Duration::from_secs(60), ..Roll::default() },
            codec: ParquetCodec::default(),
            clock: clock.clone(),
            report: report.clone(),
            table: Table::new::<Out>("key", "rows", &["count"]),
            topic: "t".into(),
            windows: Tumbling::of(Duration::from_secs(10)).unwrap(),
        };
        let visibility =
            if checkpoints { Visibility::WithCheckpoints } else { Visibility::AsTheyCome };
        let (failure, stop) = (Failure::default(), Stop::default());
        let options = CommitterOptions {
            process: 0,
            workers: 2,
            outputs: CommitterOutputs::of(Outputs::<Out>::open(&outputs, 0, visibility)),
            checkpoints: checkpoints.then(|| CommitterCheckpoints {
                blobs: Arc::clone(&blobs) as Arc<dyn Blobs>,
                pending: continued.map(pending_of).unwrap_or_default(),
                place: None,
                retention: Some(Retention::default()),
            }),
            clock,
            report,
            failure: failure.clone(),
            stop: stop.clone(),
            telemetry: Telemetry::default(),
        };
        let committer = Committer::new(options, Bell::default(), &Background::by(ByHand));
        let mailbox = committer.mailbox.clone();
        Bench {
            committer,
            mailbox,
            blobs,
            hand,
            said,
            failure,
            stop,
            disk_fails,
            renames_fail,
            looks_fail,
        }
    }

    pub(super) fn recover(&self, epoch: Option<u64>, staged: Vec<Staged>) {
        self.recover_as(1, epoch, staged);
    }

    /// Lets it begin as the start whose first manifest has the number `claim`.
    pub(super) fn recover_as(&self, claim: u64, epoch: Option<u64>, staged: Vec<Staged>) {
        let cut = |epoch| CutRecord {
            epoch,
            finished: false,
            closed_before: EventTime::MIN,
            final_rows: 0,
            partitions: Vec::new(),
            processes: vec![ProcessCut {
                outputs: OutputCut { staged, pending: Vec::new() },
                ..ProcessCut::default()
            }],
        };
        let manifest = Manifest {
            format: FORMAT,
            number: claim,
            job: JOB.into(),
            start: JOB.into(),
            written_at: EventTime::from_millis(0),
            shape: BTreeMap::new(),
            topic: TopicIdentity::named("t"),
            outputs: None,
            cut: epoch.map(cut),
        };
        self.send(MailboxItem::Recover(Restoration::of(&manifest), claim));
    }

    pub(super) fn send(&self, command: MailboxItem) {
        self.mailbox.send(command).unwrap();
    }

    /// Hands over rows of keys `from..to`.
    pub(super) fn rows(&self, epoch: u64, keys: Range<u64>) {
        let window = Window { start: EventTime::from_millis(0), end: EventTime::from_millis(1) };
        let row = |key: u64| Row {
            key: key.to_string().into(),
            window,
            output: (key,),
            spans: Default::default(),
        };
        let rows = OpaqueRows::of(Arc::new(keys.map(row).collect()));
        self.send(MailboxItem::Rows { epoch, rows });
    }

    pub(super) fn state(&self, epoch: u64, closing: bool, key: &str) {
        let pane = PaneState {
            key: key.into(),
            start: EventTime::from_millis(0),
            partial: 7,
            spans: Default::default(),
        };
        let (closed_before, panes) = (EventTime::MIN, vec![pane]);
        let snapshot = Snapshot { epoch, closing, closed_before, panes };
        self.send(MailboxItem::State { epoch, part: CutState::of(snapshot) });
    }

    pub(super) fn passed(&self, worker: usize, epoch: u64) {
        self.send(MailboxItem::Passed { worker, epoch });
    }

    /// Hands over a whole cut of both workers.
    pub(super) fn cut(&self, epoch: u64, closing: bool) {
        self.state(epoch, closing, "a");
        self.state(epoch, closing, "b");
        self.passed(0, epoch + 1);
        self.passed(1, epoch + 1);
    }

    pub(super) fn run(&mut self) -> Step {
        for _ in 0..1000 {
            match self.committer.step() {
                Step::Again => {}
                step => return step,
            }
        }
        panic!("it does not come to rest");
    }

    pub(super) fn later(&mut self) -> Step {
        self.hand.advance(RETRY_AFTER);
        self.run()
    }

    pub(super) fn sealed(&self, epoch: u64) -> Option<ProcessCut> {
        self.mailbox.take_sealed(epoch).and_then(|sealed| sealed.part)
    }
}

/// The rows that wait for their file.
fn pending_of(manifest: &Manifest) -> VecDeque<Pending> {
    let cut = manifest.cut.iter().flat_map(|cut| &cut.processes);
    cut.flat_map(|process| process.outputs.pending.clone()).collect()
}

/// The rows that are visible, and how many files are hidden.
pub(super) fn visible(out: &Path) -> (Vec<u64>, usize) {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    let hidden = hidden(out).len();
    let mut rows = Vec::new();
    let Ok(entries) = fs::read_dir(out.join("parquet/date=1970-01-01")) else {
        return (rows, hidden);
    };
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        assert!(!name.starts_with('.'), "{name} is where readers look");
        let file = fs::File::open(entry.path()).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
        for batch in reader.unwrap().build().unwrap().map(Result::unwrap) {
            let counts = batch.column_by_name("count").unwrap().as_primitive::<Int64Type>();
            rows.extend(counts.values().iter().map(|count| *count as u64));
        }
    }
    rows.sort_unstable();
    (rows, hidden)
}

/// The hidden files of final rows.
pub(super) fn hidden(out: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(out.join(".staged/parquet")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|staged| staged == "staged")).collect()
}

/// A record that is late, with a payload of so many bytes.
pub(super) fn late(offset: u64, payload_bytes: usize) -> Rejected {
    Rejected {
        partition: Partition(0),
        offset: Offset(offset),
        log_timestamp: None,
        event_time: None,
        rejection: Rejection::Late,
        payload: Some(vec![b'x'; payload_bytes]),
    }
}
