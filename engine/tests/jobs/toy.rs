//! A toy topic for tests of the engine: text messages `key time`, counted, with a naive reference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobError, JobOptions, Stop, Summary};
use strandline_engine::outputs::{OpenOutputs, Output, Outputs, Trouble, Visibility};
use strandline_engine::report::Report;
use strandline_engine::source::Source;
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::table::Table;
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::{DeadReason, Decode, Decoded};
use strandline_operators::record::Partition;
use strandline_operators::rejected::Rejected;
use strandline_operators::time::EventTime;
use strandline_operators::window::{Row, Tumbling};

/// Reads `key time`.
#[derive(Clone, Debug)]
pub(crate) struct Words;

impl Decode for Words {
    type Value = ();

    fn decode<'a>(&'a mut self, payload: &'a [u8]) -> Result<Decoded<'a, ()>, DeadReason> {
        let text = std::str::from_utf8(payload).map_err(|_| DeadReason::NotJson)?;
        let (key, time) = text.split_once(' ').ok_or(DeadReason::MissingTime)?;
        let time = time.parse().map_err(|_| DeadReason::BadTime)?;
        Ok(Decoded { key: key.into(), time: EventTime::from_millis(time), value: () })
    }
}

/// Counts.
#[derive(Clone, Debug)]
pub(crate) struct Count;

impl Aggregate<()> for Count {
    type Partial = u64;
    type Output = (u64,);
    fn lift(&self, (): &()) -> u64 {
        1
    }
    fn combine(&self, into: &mut u64, other: &u64) {
        *into += other;
    }
    fn lower(&self, partial: &u64) -> (u64,) {
        (*partial,)
    }
}

/// Keeps what it is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) rows: Arc<Mutex<Vec<Row<(u64,)>>>>,
    pub(crate) rejected: Arc<Mutex<Vec<Rejected>>>,
    /// The lines for a person.
    pub(crate) said: Arc<Mutex<Vec<String>>>,
}

struct Keep<R>(Arc<Mutex<Vec<R>>>);

impl<R: Clone + Send + 'static> Output<R> for Keep<R> {
    fn write(&mut self, records: &[R]) -> Result<(), Trouble> {
        self.0.lock().unwrap().extend_from_slice(records);
        Ok(())
    }
}

impl Outputs<(u64,)> for Kept {
    fn open(&self, _process: usize, _visibility: Visibility) -> OpenOutputs<(u64,)> {
        OpenOutputs {
            final_rows: Box::new(Keep(Arc::clone(&self.rows))),
            rejected: Box::new(Keep(Arc::clone(&self.rejected))),
        }
    }
}

/// (key, start, count, spans)
pub(crate) type PlainRow = (String, i64, u64, Vec<(u32, u64, u64, u64)>);

impl Kept {
    pub(crate) fn plain_rows(&self) -> BTreeSet<PlainRow> {
        let rows = self.rows.lock().unwrap();
        let set: BTreeSet<PlainRow> = rows
            .iter()
            .map(|row| {
                let spans = row.spans.iter();
                let spans =
                    spans.map(|s| (s.partition.0, s.first.0, s.last.0, s.records)).collect();
                (row.key.to_string(), row.window.start.as_millis(), row.output.0, spans)
            })
            .collect();
        assert_eq!(set.len(), rows.len(), "no row twice");
        set
    }

    pub(crate) fn rejected_codes(&self) -> BTreeMap<(u32, u64), &'static str> {
        let rejected = self.rejected.lock().unwrap();
        let map: BTreeMap<_, _> =
            rejected.iter().map(|r| ((r.partition.0, r.offset.0), r.rejection.code())).collect();
        assert_eq!(map.len(), rejected.len(), "no rejected record twice");
        map
    }
}

pub(crate) const WINDOW: Duration = Duration::from_secs(10);

pub(crate) fn options() -> JobOptions {
    JobOptions {
        watermark: Duration::from_secs(5),
        epoch_every: Duration::from_millis(20),
        publish_every: Duration::from_millis(20),
        discover_every: Duration::from_millis(20),
        idle_after: Duration::from_millis(100),
        ..JobOptions::new(Tumbling::of(WINDOW).unwrap())
    }
}

pub(crate) fn text(log: &SimulatedLog, partition: u32, text: &str) {
    log.append(Partition(partition), None, Some(text.as_bytes().to_vec()));
}

pub(crate) fn new_view() -> View {
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    View::new(Snapshot::empty("toy", table, EventTime::from_millis(0)))
}

pub(crate) fn run<S: Source>(
    source: S,
    workers: usize,
    options: JobOptions,
    kept: &Kept,
    view: &View,
    stop: &Stop,
) -> Result<Summary, JobError> {
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let outputs = kept.clone();
    let said = Arc::clone(&kept.said);
    let report = Report::new(move |line| said.lock().unwrap().push(line.to_owned()));
    let job = Job::new(source, Words, Count, table, outputs, options).with_report(report);
    job.run(timely::Config::process(workers), &Clock::system(), view, stop)
}

/// Runs a job in the background until it is stopped.
pub(crate) struct Running {
    pub(crate) kept: Kept,
    pub(crate) view: View,
    stop: Stop,
    thread: std::thread::JoinHandle<Result<Summary, JobError>>,
}

impl Running {
    pub(crate) fn start<S: Source>(source: S, workers: usize, options: JobOptions) -> Running {
        let (kept, view, stop) = (Kept::default(), new_view(), Stop::default());
        let (k, v, s) = (kept.clone(), view.clone(), stop.clone());
        let thread = std::thread::spawn(move || run(source, workers, options, &k, &v, &s));
        Running { kept, view, stop, thread }
    }

    /// Waits until a snapshot satisfies `condition`, for at most 20 s.
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let clock = Clock::system();
        let mut snapshot = self.view.latest();
        while !condition(&snapshot) {
            assert!(clock.elapsed() < Duration::from_secs(20), "{what}: {snapshot:#?}");
            snapshot = self.view.newer_than(snapshot.number, Duration::from_millis(100));
        }
        snapshot
    }

    pub(crate) fn stop(self) -> (Kept, Result<Summary, JobError>) {
        self.stop.request();
        (self.kept, self.thread.join().unwrap())
    }
}
