//! Which files there are, and when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strandline_engine::sink::{RunId, SinkError};

use crate::bench::{Bench, count, some_rows, until};

#[test]
fn without_rows_there_is_no_file() {
    let bench = Bench::new();
    let writer = bench.rows_writer();
    writer.write(Vec::new()).unwrap();
    writer.roll().unwrap();
    assert_eq!(writer.close().unwrap().files, 0);
    assert!(!bench.there.path().join("parquet").exists());
}

#[test]
fn a_roll_returns_when_everything_is_visible() {
    let bench = Bench::new();
    let writer = bench.rows_writer();
    for rows in 1..=5 {
        writer.write(some_rows(1)).unwrap();
        assert_eq!(writer.roll().unwrap().rows, rows);
        assert_eq!(count(&bench.read("parquet")) as u64, rows);
        assert_eq!(writer.committed().rows, rows);
    }
}

#[test]
fn old_rows_become_visible_without_another_call() {
    let bench = Bench::new();
    let writer = bench.rows_writer();
    writer.write(some_rows(3)).unwrap();
    until("the file was not rolled by age", || {
        // Again and again: the age counts from when the thread takes the rows.
        bench.hand.advance(Duration::from_secs(60));
        writer.committed().rows == 3
    });
    assert_eq!(count(&bench.read("parquet")), 3);
}

#[test]
fn runs_append_to_one_another_and_replace_nothing() {
    let mut bench = Bench::new();
    for restart in 1..=5 {
        bench.options.run = RunId::fresh(&bench.options.clock);
        for worker in 0..2 {
            bench.options.worker = worker;
            let writer = bench.rows_writer();
            writer.write(some_rows(1)).unwrap();
            writer.roll().unwrap();
            writer.write(some_rows(1)).unwrap();
            writer.close().unwrap();
        }
        assert_eq!(bench.files("parquet").len(), restart * 4);
    }
    assert_eq!(count(&bench.read("parquet")), 20);
}

#[test]
fn a_writer_that_is_dropped_without_closing_leaves_only_what_was_committed() {
    let bench = Bench::new();
    let writer = bench.rows_writer();
    writer.write(some_rows(2)).unwrap();
    writer.roll().unwrap();
    writer.write(some_rows(3)).unwrap();
    drop(writer);
    assert_eq!(count(&bench.read("parquet")), 2);
}

#[test]
fn a_closed_writer_takes_no_rows() {
    let bench = Bench::new();
    let writer = bench.rows_writer();
    writer.close().unwrap();
    assert!(matches!(writer.write(some_rows(1)), Err(SinkError::Ended { .. })));
    assert!(matches!(writer.roll(), Err(SinkError::Ended { .. })));
    assert_eq!(writer.close().unwrap().rows, 0);
}

/// Reads all the time what is there, as another process would.
#[test]
fn a_reader_never_sees_a_partial_file() {
    let mut bench = Bench::new();
    bench.options.roll.rows = 500;
    let writer = bench.rows_writer();
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
            writer.write(some_rows(500)).unwrap();
        }
        writer.close().unwrap();
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert_eq!(count(&bench.read("parquet")), 20_000);
    assert!(0 < reads);
}
