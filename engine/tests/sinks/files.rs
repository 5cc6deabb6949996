//! Which files there are, and when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strandline_engine::outputs::{OpenOutputs, Output as _, Outputs as _};
use strandline_engine::sink::{FileOutputs, Roll, RunId};
use strandline_operators::decode::DeadReason;
use strandline_operators::rejected::Rejection;
use strandline_operators::window::Tumbling;

use crate::bench::{Bench, Output, count, rejected, some_rows, table};

#[test]
fn without_rows_there_is_no_file() {
    let bench = Bench::new();
    let mut files = bench.rows_files();
    files.write(&[]).unwrap();
    assert_eq!(files.roll().unwrap().files, 0);
    assert!(!bench.there.path().join("parquet").exists());
}

#[test]
fn a_roll_returns_when_everything_is_visible() {
    let bench = Bench::new();
    let mut files = bench.rows_files();
    for rows in 1..=5 {
        files.write(&some_rows(1)).unwrap();
        assert_eq!(files.roll().unwrap().rows, rows);
        assert_eq!(count(&bench.read("parquet")) as u64, rows);
        assert_eq!(files.committed().rows, rows);
    }
}

#[test]
fn what_is_written_at_once_is_in_one_file_of_each_kind() {
    let bench = Bench::new();
    let options = bench.options.clone();
    let outputs = FileOutputs {
        out: options.out,
        run: options.run,
        roll: Roll { every: Duration::ZERO, ..options.roll },
        codec: options.codec,
        clock: options.clock,
        report: options.report,
        table: table(),
        topic: "t".into(),
        windows: Tumbling::of(Duration::from_secs(10)).unwrap(),
    };
    let OpenOutputs { rejected: mut files, .. }: OpenOutputs<Output> =
        outputs.open(0, options.visibility);
    let kinds = [Rejection::Late, Rejection::Dead(DeadReason::Empty), Rejection::Late];
    let records: Vec<_> =
        (0..).zip(kinds).map(|(offset, kind)| rejected(offset, kind, None)).collect();
    files.write(&records).unwrap();
    for (folder, records) in [("late", 2), ("dead_letters", 1)] {
        assert_eq!((bench.files(folder).len(), count(&bench.read(folder))), (1, records));
    }
}

#[test]
fn old_rows_become_visible_by_a_tick() {
    let bench = Bench::new();
    let mut files = bench.rows_files();
    files.write(&some_rows(3)).unwrap();
    assert_eq!(files.due_in(), Some(Duration::from_secs(60)));
    bench.hand.advance(Duration::from_secs(60));
    files.tick();
    assert_eq!(count(&bench.read("parquet")), 3);
}

#[test]
fn runs_append_to_one_another_and_replace_nothing() {
    let mut bench = Bench::new();
    for restart in 1..=5 {
        bench.options.run = RunId::fresh(&bench.options.clock);
        for process in 0..2 {
            bench.options.process = process;
            let mut files = bench.rows_files();
            files.write(&some_rows(1)).unwrap();
            files.roll().unwrap();
            files.write(&some_rows(1)).unwrap();
            files.roll().unwrap();
        }
        assert_eq!(bench.files("parquet").len(), restart * 4);
    }
    assert_eq!(count(&bench.read("parquet")), 20);
}

#[test]
fn what_is_dropped_leaves_only_what_was_rolled() {
    let bench = Bench::new();
    let mut files = bench.rows_files();
    files.write(&some_rows(2)).unwrap();
    files.roll().unwrap();
    files.write(&some_rows(3)).unwrap();
    drop(files);
    assert_eq!(count(&bench.read("parquet")), 2);
}

/// Reads all the time what is there, as another process would.
#[test]
fn a_reader_never_sees_a_partial_file() {
    let mut bench = Bench::new();
    bench.options.roll.rows = 500;
    let mut files = bench.rows_files();
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut reads, mut before) = (0, 0);
            while !done.load(Ordering::SeqCst) {
                let rows = count(&bench.read("parquet"));
                assert!(before <= rows && rows.is_multiple_of(500), "{rows} rows");
                reads += usize::from(before < rows);
                before = rows;
            }
            reads
        });
        for _ in 0..40 {
            files.write(&some_rows(500)).unwrap();
        }
        files.roll().unwrap();
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert_eq!(count(&bench.read("parquet")), 20_000);
    assert!(0 < reads);
}
