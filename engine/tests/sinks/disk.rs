//! Disks that take nothing for a while.

use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strandline_engine::outputs::Output as _;
use strandline_engine::store::Operation;

use crate::bench::{Bench, count, some_rows};

#[test]
fn a_read_only_disk_is_said_once_and_nothing_is_lost() {
    let failing = Arc::new(AtomicBool::new(true));
    let bench = Bench::failing(Operation::CreateFile, ErrorKind::ReadOnlyFilesystem, &failing);
    let mut files = bench.rows_files();
    for _ in 0..3 {
        files.write(&some_rows(2)).unwrap();
        files.roll().unwrap_err();
    }
    let condition = files.condition();
    assert!(condition.trouble.is_some() && condition.waiting == 6);
    assert_eq!(bench.heard.lines(1).len(), 1);
    assert!(bench.heard.lines(1)[0].contains("remount it"), "{:?}", bench.heard.lines(1));

    failing.store(false, Ordering::SeqCst);
    assert_eq!(files.roll().unwrap().rows, 6);
    assert!(files.condition().trouble.is_none());
    assert_eq!(bench.heard.lines(2).len(), 2);
    assert_eq!(count(&bench.read("parquet")), 6);
}

#[test]
fn a_file_in_the_place_of_a_folder_is_named_and_may_be_moved_away() {
    let bench = Bench::new();
    fs::create_dir(bench.there.path().join("parquet")).unwrap();
    let in_the_way = bench.there.path().join("parquet/date=1970-01-01");
    fs::write(&in_the_way, "").unwrap();
    let mut files = bench.rows_files();
    files.write(&some_rows(1)).unwrap();
    let error = files.roll().unwrap_err().to_string();
    let expected = format!("{} is not a directory: move it away", in_the_way.display());
    assert!(error.starts_with(&expected), "{error}");

    fs::remove_file(&in_the_way).unwrap();
    files.roll().unwrap();
    assert_eq!(count(&bench.read("parquet")), 1);
}
