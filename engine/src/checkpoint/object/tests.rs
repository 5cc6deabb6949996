#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

use std::fs;
use std::sync::Barrier;

use super::*;
use crate::store::{FaultyDisk, LocalDisk, Operation, STAGED_PREFIX};
use bytes::Bytes;

fn local(directory: &FilePath) -> ObjectBlobs {
    ObjectBlobs::open(directory.to_str().unwrap()).unwrap()
}

fn entry(name: &str, bytes: u64) -> BlobEntry {
    BlobEntry { name: name.to_owned(), bytes }
}

fn is_absent(result: Result<Vec<u8>, BlobError>) -> bool {
    matches!(result, Err(BlobError::Absent { .. }))
}

fn reason(result: Result<impl std::fmt::Debug, BlobError>) -> String {
    match result.unwrap_err() {
        BlobError::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// What [`Blobs`] promises, of any store that is empty.
fn keeps_the_promises(blobs: &ObjectBlobs) {
    // Where nothing was ever stored.
    assert_eq!(blobs.list().unwrap(), []);
    assert!(is_absent(blobs.get("a")));
    assert!(is_absent(blobs.get_range("a", 0..0)));
    blobs.delete("a").unwrap();

    blobs.check_writable().unwrap();
    assert_eq!(blobs.list().unwrap(), []);

    blobs.put_new("b-2", b"0123456789".to_vec().into()).unwrap();
    blobs.put_new("a_1.x", Bytes::new()).unwrap();
    assert_eq!(blobs.list().unwrap(), [entry("a_1.x", 0), entry("b-2", 10)]);
    assert_eq!(blobs.get("a_1.x").unwrap(), b"");

    // A name that is taken stays as it is.
    let again = blobs.put_new("b-2", b"other".to_vec().into());
    let place = blobs.place();
    assert_eq!(again, Err(BlobError::Taken { place, name: "b-2".to_owned() }));
    assert_eq!(blobs.get("b-2").unwrap(), b"0123456789");

    for (range, bytes) in [(0..10, &b"0123456789"[..]), (3..5, b"34"), (10..10, b""), (4..4, b"")] {
        assert_eq!(blobs.get_range("b-2", range.clone()).unwrap(), bytes, "{range:?}");
    }
    for (start, end) in [(0, 11), (9, 12), (10, 11), (20, 30), (20, 20), (5, 4)] {
        let said = reason(blobs.get_range("b-2", Range { start, end }));
        assert!(said.contains("has 10 bytes") && said.contains("damaged"), "{said}");
    }

    for name in ["", ".", "..", ".lock", "a/b", "../a", "a#1", "a b", "ä", "a\0"] {
        for said in [
            reason(blobs.put_new(name, b"x".to_vec().into())),
            reason(blobs.get(name)),
            reason(blobs.get_range(name, 0..1)),
            reason(blobs.delete(name)),
        ] {
            assert!(said.contains("cannot name a blob"), "{name:?}: {said}");
        }
    }

    // Many at once, from many threads: one of them wins.
    let (threads, start) = (8_u8, Barrier::new(8));
    let winners: Vec<u8> = std::thread::scope(|scope| {
        let (blobs, start) = (&blobs, &start);
        let puts: Vec<_> = (0..threads)
            .map(|i| {
                scope.spawn(move || {
                    start.wait();
                    (i, blobs.put_new("contended", vec![i; 100_000].into()))
                })
            })
            .collect();
        let results = puts.into_iter().map(|put| put.join().unwrap());
        results
            .filter_map(|(i, result)| match result {
                Ok(()) => Some(i),
                Err(BlobError::Taken { .. }) => None,
                Err(error) => panic!("{error}"),
            })
            .collect()
    });
    assert_eq!(winners.len(), 1);
    assert_eq!(blobs.get("contended").unwrap(), vec![winners[0]; 100_000]);

    for BlobEntry { name, .. } in blobs.list().unwrap() {
        blobs.delete(&name).unwrap();
        blobs.delete(&name).unwrap();
    }
    assert_eq!(blobs.list().unwrap(), []);
}

#[test]
fn a_directory_keeps_the_promises() {
    let there = tempfile::tempdir().unwrap();
    let directory = there.path().join("a b/ä#1");
    keeps_the_promises(&local(&directory));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "nothing hidden is left");
}

#[test]
fn a_directory_is_made_when_something_is_stored() {
    let there = tempfile::tempdir().unwrap();
    let directory = there.path().join("a/checkpoints");
    let blobs = local(&directory);
    assert_eq!(blobs.directory(), Some(&*directory));
    assert_eq!(blobs.list().unwrap(), []);
    assert_eq!(blobs.remove_leftovers().unwrap(), 0);
    assert!(is_absent(blobs.get("a")));
    assert!(!there.path().join("a").exists());
    blobs.put_new("a", b"1".to_vec().into()).unwrap();
    assert_eq!(fs::read(directory.join("a")).unwrap(), b"1");
    // Not again, if somebody removes it: see below.
    fs::remove_dir_all(there.path().join("a")).unwrap();
    assert_eq!(blobs.list().unwrap(), []);
    assert!(is_absent(blobs.get("a")));
}

#[test]
fn what_others_put_there_is_not_listed() {
    let there = tempfile::tempdir().unwrap();
    let blobs = local(there.path());
    blobs.put_new("mine", b"1".to_vec().into()).unwrap();
    for foreign in [".lock", "mine#1", ".strandline-staged-1", "a b", "new\nline", "ä"] {
        fs::write(there.path().join(foreign), b"").unwrap();
    }
    fs::create_dir_all(there.path().join("directory")).unwrap();
    fs::write(there.path().join("directory/inside"), b"").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        fs::write(there.path().join(std::ffi::OsStr::from_bytes(b"\xff")), b"").unwrap();
        std::os::unix::fs::symlink(there.path(), there.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", there.path().join("dangling")).unwrap();
    }
    assert_eq!(blobs.list().unwrap(), [entry("mine", 1)]);
}

/// CIFS and some FUSE file systems answer so.
#[test]
fn a_file_system_that_refuses_to_sync_directories_keeps_checkpoints_and_it_is_noted() {
    let there = tempfile::tempdir().unwrap();
    let refuses = |operation, path: &FilePath| {
        (operation == Operation::SyncDir && path.ends_with("checkpoints"))
            .then_some(io::ErrorKind::InvalidInput)
    };
    let path = there.path().join("checkpoints");
    // As a mount point is.
    fs::create_dir(&path).unwrap();
    let disk = Arc::new(FaultyDisk::new(LocalDisk, refuses));
    let blobs = ObjectBlobs::within(Directory::on(disk, &path)).unwrap();
    assert!(!blobs.refuses_sync());
    blobs.check_writable().unwrap();
    assert!(blobs.refuses_sync(), "a start can say so");
    keeps_the_promises(&blobs);
}

/// What nobody can be sure of is not reported as done.
#[test]
fn a_directory_that_fails_to_be_synced_is_an_error_of_who_puts_and_of_who_finds_the_name_taken() {
    let there = tempfile::tempdir().unwrap();
    let path = there.path().to_owned();
    let fails = move |operation, at: &FilePath| {
        (operation == Operation::SyncDir && at == path).then_some(io::ErrorKind::Other)
    };
    let disk = Arc::new(FaultyDisk::new(LocalDisk, fails));
    let blobs = ObjectBlobs::within(Directory::on(disk, there.path())).unwrap();
    fs::write(there.path().join("a"), b"1").unwrap();
    assert!(reason(blobs.put_new("a", b"2".to_vec().into())).contains("cannot sync"));
    assert!(reason(blobs.put_new("b", b"2".to_vec().into())).contains("cannot sync"));
}

/// Of a process that is killed, a hidden file stays.
#[test]
fn a_blob_that_is_being_stored_is_not_seen_and_what_a_killed_process_left_goes() {
    let there = tempfile::tempdir().unwrap();
    let blobs = local(there.path());
    let names = || {
        let entries = fs::read_dir(there.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut staged = Vec::new();
    std::thread::scope(|scope| {
        let put = scope.spawn(|| blobs.put_new("large", vec![7; 64 << 20].into()));
        while !put.is_finished() {
            let listed = blobs.list().unwrap();
            assert!(listed.is_empty() || listed == [entry("large", 64 << 20)], "{listed:?}");
            staged.extend(names().into_iter().filter(|name| name != "large"));
        }
        put.join().unwrap().unwrap();
    });
    assert!(!staged.is_empty(), "it was too quick to be seen");
    assert!(staged.iter().all(|name| name.starts_with(STAGED_PREFIX)), "{staged:?}");

    fs::write(there.path().join(&staged[0]), b"half").unwrap();
    let staged_by_crate = ["manifest-00000000000000000001#3", "cut-1-2-3#12"];
    let of_others = ["cut-1#", "cut-1#2b", "not ours", "notes#1"];
    for name in staged_by_crate.iter().chain(&of_others) {
        fs::write(there.path().join(name), b"").unwrap();
    }
    assert_eq!(blobs.remove_leftovers().unwrap(), 3);
    let mut left = names();
    left.sort();
    assert_eq!(left, ["cut-1#", "cut-1#2b", "large", "not ours", "notes#1"]);
}

#[test]
fn what_is_no_directory_is_said() {
    let there = tempfile::tempdir().unwrap();
    let file = there.path().join("file");
    fs::write(&file, b"").unwrap();
    for place in [file.clone(), file.join("below")] {
        let blobs = local(&place);
        for said in [
            reason(blobs.put_new("a", b"1".to_vec().into())),
            reason(blobs.check_writable()),
            reason(blobs.get("a")),
            reason(blobs.list()),
        ] {
            assert!(said.contains("is not a directory: move it away"), "{said}");
        }
    }
}

#[test]
fn what_the_system_says_is_said_in_the_words_of_the_store() {
    let blobs = local(FilePath::new("checkpoints"));
    for (kind, words) in [
        (io::ErrorKind::StorageFull, "no space left to write checkpoints/a: free some space"),
        (io::ErrorKind::QuotaExceeded, "no space left to write checkpoints/a: free some space"),
        (io::ErrorKind::ReadOnlyFilesystem, "cannot write checkpoints/a: the file system is read-"),
        (io::ErrorKind::PermissionDenied, "permission denied for checkpoints/a: give this user"),
        (io::ErrorKind::TimedOut, "cannot write checkpoints/a: timed out; check that disk"),
    ] {
        let source = Box::new(io::Error::from(kind));
        let error = object_store::Error::Generic { store: "a disk", source };
        let said = blobs.failed("write", "a", &error).to_string();
        assert!(said.starts_with(&format!("checkpoints: {words}")), "{said}");
    }
}

#[test]
fn a_place_of_another_kind_is_refused() {
    for place in ["http://host/bucket", "gs://bucket", "file:///tmp"] {
        assert!(reason(ObjectBlobs::open(place)).contains("s3://BUCKET/PREFIX"), "{place}");
    }
    if cfg!(not(feature = "s3")) {
        assert!(reason(ObjectBlobs::open("s3://bucket/a")).contains("--features s3"));
    }
}

#[cfg(feature = "s3")]
mod s3;

/// A directory that comes back is the same; one in its place is another.
#[cfg(unix)]
#[test]
fn a_directory_that_was_removed_or_replaced_is_not_made_anew() {
    let there = tempfile::tempdir().unwrap();
    let (place, away) = (there.path().join("checkpoints"), there.path().join("away"));
    let blobs = local(&place);
    blobs.take().unwrap();
    blobs.put_new("rows-1", b"1".to_vec().into()).unwrap();
    let names = ["rows-1", "rows-2"].map(Arc::from).into();
    let refused = || {
        for said in [reason(blobs.put_new("rows-3", vec![].into())), reason(blobs.removed(&names))]
        {
            assert!(said.contains("bring it back") && !said.contains('\n'), "{said}");
        }
    };
    fs::rename(&place, &away).unwrap();
    refused();
    assert!(!place.exists());
    // The folder below a volume that is not mounted.
    fs::create_dir(&place).unwrap();
    refused();
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    fs::remove_dir(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    blobs.put_new("rows-3", vec![].into()).unwrap();
    assert_eq!(blobs.removed(&names).unwrap(), ["rows-2"].map(Arc::from).into());

    // Emptied, also of the lock: nobody else may begin there.
    for entry in fs::read_dir(&place).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_eq!(blobs.removed(&names).unwrap(), names);
    let error = local(&place).take().unwrap_err();
    assert!(matches!(error, LockError::Held { .. }), "{error}");
}

/// Those that do not hold the lock.
#[cfg(unix)]
#[test]
fn whoever_has_stored_something_stores_nothing_in_another_directory() {
    let there = tempfile::tempdir().unwrap();
    let place = there.path().join("checkpoints");
    let blobs = local(&place);
    blobs.put_new("rows-1", b"1".to_vec().into()).unwrap();
    fs::remove_dir_all(&place).unwrap();
    reason(blobs.put_new("rows-2", vec![].into()));
    assert!(!place.exists());
}
