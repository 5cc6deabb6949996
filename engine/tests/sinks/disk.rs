//! Disks that take nothing for a while.

use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use strandline_engine::sink::{RejectedWriter, SinkError, Stopped};
use strandline_engine::store::Operation;
use strandline_operators::decode::DeadReason;
use strandline_operators::record::Rejection;

use crate::bench::{Bench, count, rejected, some_rows, until};

#[test]
fn a_read_only_disk_is_said_once_and_nothing_is_lost() {
    let failing = Arc::new(AtomicBool::new(true));
    let bench = Bench::failing(Operation::CreateFile, ErrorKind::ReadOnlyFilesystem, &failing);
    let writer = bench.rows_writer();
    for _ in 0..3 {
        writer.write(some_rows(2)).unwrap();
        let error = writer.roll().unwrap_err();
        assert!(matches!(error, SinkError::Waiting { .. }), "{error}");
    }
    assert!(writer.failure().is_some());
    assert_eq!(bench.heard.lines(1).len(), 1);
    assert!(bench.heard.lines(1)[0].contains("remount it"), "{:?}", bench.heard.lines(1));

    failing.store(false, Ordering::SeqCst);
    assert_eq!(writer.roll().unwrap().rows, 6);
    assert!(writer.failure().is_none());
    assert_eq!(bench.heard.lines(2).len(), 2);
    writer.close().unwrap();
    assert_eq!(count(&bench.read("parquet")), 6);
}

#[test]
fn a_file_in_the_place_of_a_folder_is_named_and_may_be_moved_away() {
    let bench = Bench::new();
    fs::create_dir(bench.there.path().join("parquet")).unwrap();
    let in_the_way = bench.there.path().join("parquet/date=1970-01-01");
    fs::write(&in_the_way, "").unwrap();
    let writer = bench.rows_writer();
    writer.write(some_rows(1)).unwrap();
    let error = writer.roll().unwrap_err().to_string();
    let expected = format!("{} is not a directory: move it away", in_the_way.display());
    assert!(error.starts_with(&expected), "{error}");

    fs::remove_file(&in_the_way).unwrap();
    writer.close().unwrap();
    assert_eq!(count(&bench.read("parquet")), 1);
}

#[test]
fn closing_waits_for_a_full_disk_to_be_mended() {
    let failing = Arc::new(AtomicBool::new(true));
    let bench = Bench::failing(Operation::Write, ErrorKind::StorageFull, &failing);
    let writer = bench.rows_writer();
    writer.write(some_rows(5)).unwrap();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| writer.close());
        assert!(bench.heard.lines(1)[0].contains("free some space"));
        let closes_early = closing.is_finished();
        let write = writer.write(some_rows(1));
        failing.store(false, Ordering::SeqCst);
        assert!(!closes_early);
        assert!(matches!(write, Err(SinkError::Ended { .. })));
        assert_eq!(closing.join().unwrap().unwrap().rows, 5);
    });
    assert_eq!(count(&bench.read("parquet")), 5);
}

#[test]
fn closing_a_stopped_job_on_a_full_disk_says_what_is_lost() {
    let failing = Arc::new(AtomicBool::new(true));
    let mut bench = Bench::failing(Operation::Write, ErrorKind::StorageFull, &failing);
    let stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopped);
    bench.options.stopped = Stopped::new(move || asked.load(Ordering::SeqCst));
    let writer = bench.rows_writer();
    writer.write(some_rows(5)).unwrap();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| writer.close());
        bench.heard.lines(1);
        stopped.store(true, Ordering::SeqCst);
        let error = closing.join().unwrap().unwrap_err();
        assert!(matches!(error, SinkError::Lost { rows: 5, .. }), "{error}");
        assert!(error.to_string().contains("5 rows were not written"), "{error}");
    });
    assert_eq!(bench.files("parquet").len(), 0);
    let hidden = fs::read_dir(bench.there.path().join("parquet/date=1970-01-01")).unwrap();
    assert_eq!(hidden.count(), 0, "nothing half-written is left");
}

/// Bytes that do not compress, so that memory fills up.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes / 8).map(next).flat_map(u64::to_le_bytes).collect()
}

/// Rows of a mebibyte that a disk which takes nothing leaves in memory and in the queue.
const HELD_UP_AT: std::ops::Range<u64> = 140..150;

/// Writes rows of a mebibyte until the writer is held up, then stops the job, then mends the disk.
/// Returns how many rows were taken.
fn hold_up(bench: &mut Bench, failing: &AtomicBool) -> (RejectedWriter, u64) {
    let stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopped);
    bench.options.stopped = Stopped::new(move || asked.load(Ordering::SeqCst));
    let writer = RejectedWriter::dead_letters(&bench.options, "t").unwrap();
    let payload = noise(1 << 20);
    let written = Mutex::new(0);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 0..400 {
                let record = rejected(n, Rejection::Dead(DeadReason::NotJson), Some(&payload));
                writer.write(vec![record])?;
                *written.lock().unwrap() += 1;
            }
            Ok::<_, SinkError>(())
        });
        until("rows were not taken", || HELD_UP_AT.start <= *written.lock().unwrap());
        assert!(matches!(writer.roll(), Err(SinkError::Waiting { .. })));
        assert!(!writing.is_finished());
        stopped.store(true, Ordering::SeqCst);
        let error = writing.join().unwrap().unwrap_err();
        assert!(matches!(error, SinkError::Lost { rows: 1, .. }), "{error}");
    });
    let written = written.into_inner().unwrap();
    assert!(HELD_UP_AT.contains(&written), "{written} MiB were taken");
    assert_eq!(bench.heard.lines(1).len(), 1);
    failing.store(false, Ordering::SeqCst);
    (writer, written)
}

#[test]
fn a_writer_that_was_held_up_goes_on_when_the_disk_does() {
    let failing = Arc::new(AtomicBool::new(true));
    let mut bench = Bench::failing(Operation::Write, ErrorKind::StorageFull, &failing);
    let (writer, written) = hold_up(&mut bench, &failing);
    assert_eq!(writer.roll().unwrap().rows, written);
    writer.write(vec![rejected(0, Rejection::Late, None)]).unwrap();
    assert_eq!(writer.close().unwrap().rows, written + 1);
    assert_eq!(count(&bench.read("dead_letters")) as u64, written + 1);
}

#[test]
fn closing_a_writer_that_was_held_up_loses_nothing_that_was_taken() {
    let failing = Arc::new(AtomicBool::new(true));
    let mut bench = Bench::failing(Operation::Write, ErrorKind::StorageFull, &failing);
    let (writer, written) = hold_up(&mut bench, &failing);
    assert_eq!(writer.close().unwrap().rows, written);
}
