//! Hidden files that are not what was written, at the commit and at a start.

use std::path::Path;

use super::bench::hidden;
use super::*;
use crate::outputs::Staged;

/// Starts over from the cut of epoch 1, which lists `staged`.
fn start_again(out: &Path, staged: Vec<Staged>) -> Bench {
    let mut bench = Bench::continuing(out, true, Arc::default(), None);
    bench.recover_as(2, Some(1), staged);
    bench.run();
    bench
}

/// A cut that lists a hidden file with three rows, of a process that has died.
fn a_hidden_file(out: &Path) -> Vec<Staged> {
    let bench = Bench::with_a_hidden_file(out);
    let staged = bench.sealed(1).unwrap().outputs.staged;
    assert_eq!((staged.len(), hidden(out).len()), (1, 1));
    staged
}

fn failure(bench: &Bench) -> String {
    bench.failure.take().expect("it fails").to_string()
}

#[test]
fn a_missing_file_at_the_commit_ends_the_job() {
    let out = there();
    let mut bench = Bench::with_a_hidden_file(out.path());
    fs::remove_file(&hidden(out.path())[0]).unwrap();
    bench.send(MailboxItem::Commit { epoch: 1 });
    assert_eq!(bench.run(), Step::Done);
    let error = failure(&bench);
    assert!(error.contains(".staged/parquet/000000000001-strandline-"), "{error}");
    assert!(error.contains("is missing, and 3 rows of parquet/"), "{error}");
    assert!(error.contains("bring it back") && !error.contains('\n'), "{error}");
}

#[test]
fn a_missing_short_or_rotten_file_ends_a_start_before_anything_is_shown() {
    type Damage = fn(&Path);
    let damages: [(Damage, &str); 3] = [
        (|file| fs::remove_file(file).unwrap(), "is missing"),
        (
            |file| {
                let bytes = fs::read(file).unwrap();
                fs::write(file, &bytes[1..]).unwrap();
            },
            "bytes instead of",
        ),
        (
            |file| {
                let mut bytes = fs::read(file).unwrap();
                bytes[10] ^= 1;
                fs::write(file, bytes).unwrap();
            },
            "checksum",
        ),
    ];
    for (damage, expected) in damages {
        let out = there();
        let staged = a_hidden_file(out.path());
        damage(&hidden(out.path())[0]);
        let left = hidden(out.path()).len();
        let bench = start_again(out.path(), staged);
        let error = failure(&bench);
        assert!(error.contains(expected) && error.contains("3 rows of parquet/"), "{error}");
        assert!(error.contains(&staged_path(out.path())), "{error}");
        assert_eq!(visible(out.path()), (vec![], left), "{expected}");
    }
}

fn staged_path(out: &Path) -> String {
    out.join(".staged/parquet/").display().to_string()
}

#[test]
fn a_file_that_is_brought_back_is_shown() {
    let out = there();
    let staged = a_hidden_file(out.path());
    let file = hidden(out.path()).remove(0);
    let copy = out.path().join("copy");
    fs::rename(&file, &copy).unwrap();
    assert!(failure(&start_again(out.path(), staged.clone())).contains("is missing"));
    fs::rename(copy, file).unwrap();
    assert!(!start_again(out.path(), staged).failure.happened());
    assert_eq!(visible(out.path()), (vec![0, 1, 2], 0));
}

/// Whoever reads the files may move them away. The newest checkpoint may still list them.
#[test]
fn a_file_that_was_taken_away_after_it_was_shown_is_no_error() {
    let out = there();
    let mut bench = Bench::with_a_hidden_file(out.path());
    let staged = bench.sealed(1).unwrap().outputs.staged;
    bench.send(MailboxItem::Commit { epoch: 1 });
    bench.run();
    drop(bench);
    fs::remove_dir_all(out.path().join("parquet")).unwrap();
    let bench = start_again(out.path(), staged);
    assert!(!bench.failure.happened(), "{:?}", bench.failure.take());
    let said = bench.said.lock().unwrap().clone();
    assert!(said.len() == 1 && said[0].contains("another program has removed it"), "{said:?}");
}

/// A cut that is made before an older one is committed lists the same file. Its commit shows nothing.
#[test]
fn a_file_that_a_later_cut_lists_too_may_be_removed_once_it_was_shown() {
    for (committed, survives) in [(&[1, 2][..], true), (&[1], true), (&[], false)] {
        let out = there();
        let mut bench = Bench::with_a_hidden_file(out.path());
        bench.cut(2, true);
        bench.run();
        let staged = bench.sealed(2).unwrap().outputs.staged;
        assert_eq!(staged.len(), 1);
        for epoch in committed {
            bench.send(MailboxItem::Commit { epoch: *epoch });
            bench.run();
        }
        drop(bench);
        let folder = if survives { "parquet" } else { ".staged/parquet" };
        fs::remove_dir_all(out.path().join(folder)).unwrap();
        let mut bench = Bench::continuing(out.path(), true, Arc::default(), None);
        bench.recover_as(2, Some(2), staged);
        bench.run();
        assert_eq!(!bench.failure.happened(), survives, "after the commits of {committed:?}");
    }
}

#[test]
fn a_file_that_cannot_be_looked_at_is_not_missing() {
    let out = there();
    let mut bench = Bench::with_a_hidden_file(out.path());
    let staged = bench.sealed(1).unwrap().outputs.staged;
    bench.looks_fail.store(true, Ordering::SeqCst);
    bench.send(MailboxItem::Commit { epoch: 1 });
    bench.later();
    assert!(!bench.failure.happened(), "it is tried again");
    bench.looks_fail.store(false, Ordering::SeqCst);
    drop(bench);

    let mut bench = Bench::continuing(out.path(), true, Arc::default(), None);
    bench.looks_fail.store(true, Ordering::SeqCst);
    bench.recover_as(2, Some(1), staged);
    bench.later();
    assert!(!bench.failure.happened() && visible(out.path()).0.is_empty());
    bench.looks_fail.store(false, Ordering::SeqCst);
    bench.later();
    assert_eq!(visible(out.path()), (vec![0, 1, 2], 0));
}

/// Earlier versions hid files in the folders that readers open.
#[test]
fn a_hidden_file_of_the_first_format_is_shown() {
    let out = there();
    let mut staged = a_hidden_file(out.path());
    let date = out.path().join("parquet/date=1970-01-01");
    fs::create_dir_all(&date).unwrap();
    let former = ".strandline-staged-0123456789abcdef-7";
    fs::rename(&hidden(out.path())[0], date.join(former)).unwrap();
    fs::write(date.join(".strandline-staged-0123456789abcdef-8"), "never committed").unwrap();
    staged[0] = Staged { hidden: former.into(), size: None, checksum: None, ..staged[0].clone() };
    assert!(!start_again(out.path(), staged).failure.happened());
    assert_eq!(visible(out.path()), (vec![0, 1, 2], 0));
}

#[test]
fn what_is_left_over_is_told_by_its_job_and_claim() {
    let out = there();
    drop(Bench::with_a_hidden_file(out.path()));
    let uncommitted = hidden(out.path()).remove(0);
    let name = uncommitted.file_name().unwrap().to_str().unwrap().to_owned();
    let beside = |name: String| {
        let path = uncommitted.with_file_name(name);
        fs::copy(&uncommitted, &path).unwrap();
        path
    };
    let other_job = beside(name.replace(JOB, "0000000000009-00000002"));
    let successor = beside(name.replace("000000000001-", "000000000003-"));
    let without_checkpoints = beside(name.replace("000000000001-", "000000000000-"));
    start_again(out.path(), Vec::new());
    assert!(!uncommitted.exists(), "its claim is smaller than that of the start");
    assert!(!without_checkpoints.exists(), "no checkpoint counts on it");
    assert!(other_job.exists(), "a checkpoint of that job may count on it");
    assert!(successor.exists(), "its process has taken over");
}
