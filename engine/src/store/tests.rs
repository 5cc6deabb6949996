#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

fn names(directory: &Directory) -> Vec<String> {
    directory.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

/// A disk on which `operation` fails with `kind`.
fn broken(operation: Operation, kind: ErrorKind) -> Arc<dyn Disk> {
    Arc::new(FaultyDisk::new(LocalDisk, move |op, _| (op == operation).then_some(kind)))
}

#[test]
fn no_name_leads_out_of_a_directory() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path().join("inside"));
    for name in ["", ".", "..", "../outside", "a/b", "/etc", "a\\b", "a\0b"] {
        assert!(matches!(directory.subdirectory(name), Err(StoreError::Name { .. })), "{name:?}");
        assert!(matches!(directory.read(name), Err(StoreError::Name { .. })), "{name:?}");
        assert!(matches!(directory.stage(name), Err(StoreError::Name { .. })), "{name:?}");
        assert!(matches!(directory.replace(name, b""), Err(StoreError::Name { .. })), "{name:?}");
        assert!(matches!(directory.remove_file(name), Err(StoreError::Name { .. })), "{name:?}");
    }
    assert_eq!(fs::read_dir(there.path()).unwrap().count(), 0);
}

#[test]
fn replacing_leaves_one_file_and_nothing_hidden() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path().join("a/b"));
    directory.replace("latest.json", b"1").unwrap();
    directory.replace("latest.json", b"two").unwrap();
    assert_eq!(names(&directory), ["latest.json"]);
    assert_eq!(directory.read("latest.json").unwrap(), b"two");
}

/// What a power failure would show, and no test can: the order of what reaches the medium.
#[test]
fn bytes_are_synced_before_the_name_and_the_name_before_anything_is_reported() {
    let there = tempfile::tempdir().unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&done);
    let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
        seen.lock().unwrap().push(operation);
        None
    });
    Directory::on(Arc::new(disk), there.path().join("new")).replace("a", b"bytes").unwrap();
    use Operation::{CreateDir, CreateFile, Rename, Sync, SyncDir, Write};
    let expected = [CreateDir, SyncDir, CreateFile, Write, Sync, Rename, SyncDir];
    assert_eq!(*done.lock().unwrap(), expected);
}

#[test]
fn what_is_dropped_unfinished_is_removed_and_what_is_sealed_stays_hidden() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path());
    let mut staged = directory.stage("a").unwrap();
    staged.append(b"bytes").unwrap();
    assert_eq!(names(&directory).len(), 1);
    assert!(names(&directory)[0].starts_with(STAGED_PREFIX));
    drop(staged);
    assert!(names(&directory).is_empty());

    let sealed = directory.stage("a").unwrap().seal().unwrap();
    let hidden = sealed.hidden_name();
    drop(sealed);
    assert_eq!(names(&directory), std::slice::from_ref(&hidden));
    // Whoever was promised it makes it visible, once or again.
    for _ in 0..2 {
        assert!(directory.show(&hidden, "a").unwrap());
        assert_eq!(names(&directory), ["a"]);
    }
    directory.remove_file("a").unwrap();
    assert!(!directory.show(&hidden, "a").unwrap(), "somebody has taken it away");
}

#[test]
fn a_file_that_exists_is_not_staged_again() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path());
    directory.replace("a", b"first").unwrap();
    let error = directory.stage("a").unwrap_err();
    assert!(matches!(&error, StoreError::Exists { .. }), "{error}");
}

#[test]
fn committing_twice_is_committing_once() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path());
    let mut sealed = directory.stage("a").unwrap().seal().unwrap();
    sealed.commit().unwrap();
    sealed.commit().unwrap();
    drop(sealed);
    assert_eq!(names(&directory), ["a"]);
}

#[test]
fn a_commit_whose_last_sync_failed_is_visible_once_and_can_be_repeated() {
    let there = tempfile::tempdir().unwrap();
    let failures = Arc::new(AtomicUsize::new(1));
    let left = Arc::clone(&failures);
    let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
        let fails = operation == Operation::SyncDir && 0 < left.load(Ordering::SeqCst);
        fails.then(|| left.fetch_sub(1, Ordering::SeqCst)).map(|_| ErrorKind::Other)
    });
    let directory = Directory::on(Arc::new(disk), there.path());
    directory.create().unwrap_err();
    let mut sealed = directory.stage("a").unwrap().seal().unwrap();
    failures.store(1, Ordering::SeqCst);
    sealed.commit().unwrap_err();
    assert_eq!(names(&directory), ["a"]);
    sealed.commit().unwrap();
    drop(sealed);
    assert_eq!(names(&directory), ["a"]);
}

#[test]
fn a_staged_file_that_vanished_says_so() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path());
    let mut sealed = directory.stage("a").unwrap().seal().unwrap();
    directory.remove_file(&names(&directory)[0]).unwrap();
    assert!(matches!(sealed.commit(), Err(StoreError::Vanished { .. })));
}

#[test]
fn leftovers_of_the_dead_go_and_files_of_the_living_stay() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path());
    // A process that died holds no lock any more.
    fs::write(there.path().join(format!("{STAGED_PREFIX}0-0")), "half a fi").unwrap();
    fs::write(there.path().join(".hidden"), "not ours").unwrap();
    fs::create_dir(there.path().join(format!("{STAGED_PREFIX}directory"))).unwrap();
    let writing = directory.stage("a").unwrap();
    let mut sealed = directory.stage("b").unwrap().seal().unwrap();

    let sibling = Directory::local(there.path());
    assert_eq!(sibling.remove_leftovers().unwrap(), 1);
    assert_eq!(sibling.remove_leftovers().unwrap(), 0);

    writing.seal().unwrap().commit().unwrap();
    sealed.commit().unwrap();
    let names = names(&directory);
    assert_eq!(names.iter().filter(|name| !name.starts_with('.')).count(), 2, "{names:?}");
    assert_eq!(names.len(), 4, "{names:?}");
}

/// Stops the world after the n-th operation, for every n; then looks at it as a new process would.
#[test]
fn a_crash_at_any_operation_leaves_the_old_file_or_the_new_one() {
    let mut seen_old = false;
    for operations_until_crash in 0.. {
        let there = tempfile::tempdir().unwrap();
        Directory::local(there.path()).replace("a", b"old").unwrap();

        let count = AtomicUsize::new(0);
        let disk = FaultyDisk::new(LocalDisk, move |_, _| {
            let dead = operations_until_crash <= count.fetch_add(1, Ordering::SeqCst);
            dead.then_some(ErrorKind::Other)
        });
        let finished = Directory::on(Arc::new(disk), there.path()).replace("a", b"new").is_ok();

        let after = Directory::local(there.path());
        let content = after.read("a").unwrap();
        assert!(content == b"new" || (!finished && content == b"old"), "{content:?}");
        seen_old |= content == b"old";
        after.remove_leftovers().unwrap();
        assert_eq!(names(&after), ["a"]);
        if finished {
            assert!(seen_old && 5 < operations_until_crash);
            break;
        }
    }
}

#[test]
fn errors_are_one_line_with_the_path_and_what_to_do() {
    let there = tempfile::tempdir().unwrap();
    let out = there.path().join("out");
    for (operation, kind, what_to_do) in [
        // First, while it is missing.
        (Operation::CreateDir, ErrorKind::PermissionDenied, "give this user write access"),
        (Operation::CreateFile, ErrorKind::ReadOnlyFilesystem, "remount it"),
        (Operation::CreateFile, ErrorKind::PermissionDenied, "give this user write access"),
        (Operation::Write, ErrorKind::StorageFull, "free some space"),
        (Operation::Write, ErrorKind::QuotaExceeded, "free some space"),
        (Operation::CreateFile, ErrorKind::Other, "choose another directory"),
    ] {
        let directory = Directory::on(broken(operation, kind), &out);
        let error = directory.check_writable().unwrap_err().to_string();
        assert!(error.contains(&out.display().to_string()), "{error}");
        assert!(!error.contains(STAGED_PREFIX), "{error}");
        assert!(error.contains(what_to_do), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    Directory::local(&out).check_writable().unwrap();
    assert!(names(&Directory::local(&out)).is_empty());
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named() {
    let there = tempfile::tempdir().unwrap();
    let file = there.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("out"), file.join("deep/out")] {
        let error = Directory::local(path).check_writable().unwrap_err();
        assert!(matches!(&error, StoreError::NotADirectory { path } if *path == file), "{error}");
    }
    assert!(matches!(Directory::local(&file).list(), Err(StoreError::NotADirectory { .. })));
}

#[test]
fn a_directory_is_synced_in_the_one_above_also_if_another_process_made_it() {
    let there = tempfile::tempdir().unwrap();
    let path = there.path().join("a/b");
    let directory = Directory::on(broken(Operation::SyncDir, ErrorKind::Other), &path);
    directory.create().unwrap_err();
    fs::create_dir_all(&path).unwrap();
    directory.create().unwrap_err();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
        counted.fetch_add(usize::from(operation == Operation::SyncDir), Ordering::SeqCst);
        None
    });
    let directory = Directory::on(Arc::new(disk), &path);
    directory.create().unwrap();
    directory.create().unwrap();
    assert_eq!(syncs.load(Ordering::SeqCst), 1);
    // A directory that may be entered but not read cannot be synced, and need not be.
    Directory::on(broken(Operation::SyncDir, ErrorKind::PermissionDenied), &path).create().unwrap();
    assert!(path.is_dir());
}

#[test]
fn an_empty_directory_can_be_removed_and_a_full_one_stays() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path().join("a"));
    directory.remove_if_empty().unwrap();
    directory.replace("file", b"").unwrap();
    directory.remove_if_empty().unwrap();
    assert_eq!(names(&directory), ["file"]);
    directory.remove_file("file").unwrap();
    directory.remove_if_empty().unwrap();
    assert!(!there.path().join("a").exists());
}
