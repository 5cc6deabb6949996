//! What a run that goes on from a cut takes from it, and which cut is not committed.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use strandline_engine::checkpoint::blobs::{BlobEntry, BlobError, Blobs};
use strandline_engine::checkpoint::manifest::{CutRecord, Manifest};
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::checkpoint::{Checkpoints, catalog};
use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobError, Stop, Summary};
use strandline_engine::sink::RunId;
use strandline_engine::source::altered::{Alteration, AlteredLog, ReaderAlteration};
use strandline_engine::source::simulated::{SimulatedLog, SimulatedReader};
use strandline_engine::source::{PartitionStart, Plan, Reader, Source, SourceError, Wake};
use strandline_engine::table::Table;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;

use crate::checkpoints::{PARTITIONS, Place, RECORDS, append, undisturbed};
use crate::toy::{Count, Kept, Words, new_view, options, text};

/// A log of which much comes at the very moment at which its reader leaves its first epoch.
#[derive(Clone)]
struct Rush(SimulatedLog, Arc<AtomicBool>);

impl Alteration for Rush {
    type OfReader = Rush;

    fn of_reader(&self, _: &Wake) -> Rush {
        self.clone()
    }
}

impl ReaderAlteration for Rush {
    fn end(&mut self, reader: &mut SimulatedReader, partition: Partition) -> Option<Offset> {
        // It is asked for the end for the acknowledgement of an epoch.
        if !self.1.swap(true, Ordering::SeqCst) {
            // More than is read at once: so they are not sent before their window is over.
            (0..3_000).for_each(|_| text(&self.0, 0, "a 105000"));
        }
        reader.end(partition)
    }
}

fn run<S: Source>(
    source: S,
    blobs: Arc<dyn Blobs>,
    kept: &Kept,
    ends: impl Fn(&Kept) -> bool,
) -> Result<Summary, JobError> {
    let (clock, view, stop) = (Clock::system(), new_view(), Stop::default());
    let checkpoints = Checkpoints {
        blobs,
        every: Duration::ZERO,
        keep: 1_000,
        fresh: false,
        start: RunId::fresh(&clock),
        shape: [].into(),
        outputs: None,
    };
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let job = Job::new(source, Words, Count, table, kept.clone(), options())
        .with_checkpoints(Some(checkpoints));
    std::thread::scope(|scope| {
        let run = scope.spawn(|| job.run(timely::Config::process(1), &clock, &view, &stop));
        while !ends(kept) && !run.is_finished() {
            assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", view.latest());
            view.newer_than(view.latest().number, Duration::from_millis(20));
        }
        stop.request();
        run.join().unwrap()
    })
}

/// Windows close in the epoch that a cut is of by what was read in the next one: the cut knows the
/// partitions' watermarks as they were before. So where a partition begins that no cut knows is not
/// said by the watermarks, but by what was closed.
#[test]
fn a_partition_that_no_cut_knows_begins_at_what_was_closed_not_at_the_watermarks() {
    let there = tempfile::tempdir().unwrap();
    let blobs: Arc<dyn Blobs> = Arc::new(ObjectBlobs::local(there.path()).unwrap());
    let log = SimulatedLog::new("toy", 1);
    text(&log, 0, "a 15000");
    let before = Kept::default();
    let rush = Rush(log.clone(), Arc::default());
    let rush = AlteredLog { log: log.clone(), alteration: rush };
    let has_rows = |kept: &Kept| !kept.rows.lock().unwrap().is_empty();
    run(rush, Arc::clone(&blobs), &before, has_rows).unwrap();
    // A partition is found, and the process is killed before there is a second cut.
    let mut first: Option<CutRecord> = None;
    for listed in catalog::list(&*blobs).unwrap() {
        match (&first, listed.manifest.unwrap().cut) {
            (Some(_), _) => blobs.delete(&Manifest::name(listed.number)).unwrap(),
            (None, cut) => first = cut,
        }
    }
    let first = first.unwrap();
    assert_eq!((first.final_rows, first.partitions[0].next_offset), (1, Offset(1)));
    assert_eq!(first.partitions[0].watermark, EventTime::from_millis(10_000));
    assert_eq!(first.closed_before, EventTime::from_millis(100_000));

    let new = log.add_partition();
    text(&log, new.0, "a 16000");
    let after = Kept::default();
    let summary = run(log.bounded(), blobs, &after, |_| false).unwrap();
    assert!(summary.finished && summary.ledger.balances());
    assert_eq!(after.rejected_codes(), [((new.0, 0), "late")].into());
    let windows = [before, after].map(|kept| kept.plain_rows());
    let windows = windows.iter().flatten().map(|row| (&*row.0, row.1));
    assert_eq!(windows.collect::<Vec<_>>(), [("a", 10_000), ("a", 100_000)], "each once");
}

/// A store that does not come back from storing the state of a cut.
#[derive(Debug)]
struct Hangs(ObjectBlobs, Arc<AtomicBool>);

impl Blobs for Hangs {
    fn place(&self) -> String {
        self.0.place()
    }
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), BlobError> {
        while name.starts_with("cut-") {
            self.1.store(true, Ordering::SeqCst);
            std::thread::park();
        }
        self.0.put_new(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError> {
        self.0.get(name)
    }
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.0.get_range(name, range)
    }
    fn list(&self) -> Result<Vec<BlobEntry>, BlobError> {
        self.0.list()
    }
    fn delete(&self, name: &str) -> Result<(), BlobError> {
        self.0.delete(name)
    }
}

#[test]
fn a_store_that_hangs_holds_up_no_stop() {
    let there = tempfile::tempdir().unwrap();
    let hangs = Arc::new(AtomicBool::new(false));
    let blobs = Hangs(ObjectBlobs::local(there.path()).unwrap(), Arc::clone(&hangs));
    let log = SimulatedLog::new("toy", 1);
    text(&log, 0, "a 15000");
    let stopped_at = OnceLock::new();
    let clock = Clock::system();
    let result = run(log, Arc::new(blobs), &Kept::default(), |_| {
        let hangs = hangs.load(Ordering::SeqCst);
        hangs && stopped_at.set(clock.elapsed()).is_ok()
    });
    assert!(matches!(result, Err(JobError::StopTimedOut { .. })), "{result:?}");
    // Five seconds, on a machine that has time.
    let took = clock.elapsed() - *stopped_at.get().unwrap();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A source that has a partition read twice: some records are in two places.
#[derive(Clone)]
struct Twice;

impl Alteration for Twice {
    type OfReader = ();

    fn of_reader(&self, _: &Wake) {}

    fn plan(
        &self,
        log: &SimulatedLog,
        kept: &[PartitionStart],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, SourceError> {
        let mut plan = log.plan(kept, stopped)?;
        plan.partitions.push(PartitionStart { next_offset: Offset(0), ..plan.partitions[1] });
        Ok(plan)
    }
}

#[test]
fn a_cut_whose_ledger_does_not_balance_stops_the_job_before_it_is_committed() {
    let (expected, rows) = undisturbed();
    let place = Place::new();
    let log = SimulatedLog::new("t", PARTITIONS);
    append(&log, 0..1_500);
    place.run_until(&log, 2, 1_500);
    append(&log, 1_500..RECORDS);
    let log = log.bounded();
    let blobs = ObjectBlobs::local(place.checkpoints()).unwrap();
    let cuts = || {
        let all = catalog::list(&blobs).unwrap();
        let cuts: Vec<CutRecord> =
            all.into_iter().filter_map(|listed| listed.manifest.unwrap().cut).collect();
        cuts
    };
    let (cuts_before, rows_before) = (cuts(), place.rows());
    let twice = AlteredLog { log: log.clone(), alteration: Twice };
    let error = place.run(&twice, 2, &Stop::default()).unwrap_err();
    let JobError::Unbalanced { partition, committed, .. } = &error else { panic!("{error}") };
    assert_eq!((*partition, *committed), (Partition(1), true));
    let said = error.to_string();
    assert!(said.contains("of partition 1,") && said.contains("older checkpoints stay"), "{said}");
    // Its claim repeats the last cut; nothing else was added, and nothing shown.
    assert!(cuts().iter().all(|cut| cuts_before.contains(cut)));
    assert_eq!(cuts().last(), cuts_before.last());
    assert_eq!(place.rows(), rows_before);

    let summary = place.run(&log, 2, &Stop::default()).unwrap();
    assert_eq!((summary.ledger, place.rows()), (expected.ledger, rows));
}
