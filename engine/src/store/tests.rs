#![expect(clippy::disallowed_methods, reason = "looks at the files behind the store's back")]

use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
        assert!(matches!(directory.put_new(name, b""), Err(StoreError::Name { .. })), "{name:?}");
        let moved = directory.move_to("a", &directory, name);
        assert!(matches!(moved, Err(StoreError::Name { .. })), "{name:?}");
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
    // A sync for each directory above.
    let mut done = done.lock().unwrap();
    done.dedup();
    assert_eq!(*done, expected);
}

#[test]
fn a_file_that_is_put_and_moved_is_visible_once_however_often_it_is_moved() {
    let there = tempfile::tempdir().unwrap();
    let staging = Directory::local(there.path().join("staging"));
    let day = Directory::local(there.path().join("a/day"));
    staging.put_new("hidden", b"bytes").unwrap();
    assert!(!day.contains("a").unwrap());
    for _ in 0..2 {
        assert!(staging.move_to("hidden", &day, "a").unwrap());
        assert_eq!((names(&staging), names(&day)), (vec![], vec!["a".to_owned()]));
    }
    day.remove_file("a").unwrap();
    assert!(!staging.move_to("hidden", &day, "a").unwrap(), "it is neither here nor there");
}

#[test]
fn a_file_that_exists_is_not_put_again() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path());
    directory.put_new("a", b"first").unwrap();
    let error = directory.put_new("a", b"second").unwrap_err();
    assert!(matches!(&error, StoreError::Exists { .. }), "{error}");
    assert_eq!(directory.read("a").unwrap(), b"first");
}

#[test]
fn what_cannot_be_put_leaves_no_file() {
    for operation in [Operation::Write, Operation::Sync] {
        let there = tempfile::tempdir().unwrap();
        let directory = Directory::on(broken(operation, ErrorKind::StorageFull), there.path());
        let error = directory.put_new("a", b"bytes").unwrap_err();
        assert!(matches!(&error, StoreError::NoSpace { .. }), "{error}");
        assert!(names(&directory).is_empty());
    }
}

/// A link has led to another file system: nothing can be renamed to there.
#[test]
fn a_file_is_moved_to_another_file_system_too() {
    let there = tempfile::tempdir().unwrap();
    let (staging, day) = (there.path().join("staging"), there.path().join("day"));
    let to_day = day.clone();
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(LocalDisk, move |operation, path| {
        let crosses = operation == Operation::Rename && path == to_day.join("a");
        (crosses && fs::read_dir(&to_day).unwrap().next().is_none())
            .then_some(ErrorKind::CrossesDevices)
    }));
    let (staging, day) = (Directory::on(Arc::clone(&disk), staging), Directory::on(disk, day));
    staging.put_new("hidden", b"bytes").unwrap();
    assert!(staging.move_to("hidden", &day, "a").unwrap());
    assert_eq!((names(&staging), names(&day)), (vec![], vec!["a".to_owned()]));
    assert_eq!(day.read("a").unwrap(), b"bytes");
}

#[test]
fn what_cannot_be_looked_at_is_not_absent() {
    let there = tempfile::tempdir().unwrap();
    for operation in [Operation::Kind, Operation::Read] {
        let staging = Directory::on(broken(operation, ErrorKind::Other), there.path());
        let looked = match operation {
            Operation::Kind => {
                staging.move_to("a", &staging, "b").unwrap_err();
                staging.contains("a").map(drop)
            }
            _ => staging.read_if_there("a").map(drop),
        };
        assert!(matches!(looked, Err(StoreError::Other { .. })));
    }
}

/// CIFS and some FUSE file systems answer so.
#[test]
fn a_file_system_that_refuses_to_sync_directories_is_noted_and_everything_goes_on() {
    for kind in [ErrorKind::InvalidInput, ErrorKind::Unsupported] {
        let there = tempfile::tempdir().unwrap();
        let out = Directory::on(broken(Operation::SyncDir, kind), there.path().join("new"));
        assert!(!out.refuses_sync());
        out.replace("a", b"bytes").unwrap();
        out.put_new("b", b"bytes").unwrap();
        out.sync().unwrap();
        assert!(out.subdirectory("any").unwrap().refuses_sync(), "whoever shares the disk knows");
        assert_eq!(names(&out), ["a", "b"]);
    }
}

#[test]
fn leftovers_of_the_dead_go_and_files_of_the_living_stay() {
    let there = tempfile::tempdir().unwrap();
    let directory = Directory::local(there.path());
    // A process that died holds no lock any more.
    fs::write(there.path().join(format!("{STAGED_PREFIX}0-0")), "half a fi").unwrap();
    fs::write(there.path().join(".hidden"), "not ours").unwrap();
    fs::create_dir(there.path().join(format!("{STAGED_PREFIX}directory"))).unwrap();
    let mut writing = directory.staged_with("a", b"by").unwrap();

    let sibling = Directory::local(there.path());
    assert_eq!(sibling.remove_leftovers().unwrap(), 1);
    assert_eq!(sibling.remove_leftovers().unwrap(), 0);

    writing.append(b"tes").unwrap();
    writing.commit().unwrap();
    drop(directory.staged_with("b", b"never finished").unwrap());
    assert_eq!(directory.read("a").unwrap(), b"bytes");
    assert_eq!(names(&directory).len(), 3, "{:?}", names(&directory));
}

/// One process creates files, another one takes for leftovers what is not locked: whatever the
/// order of their steps, no file is lost that its process believes it has.
#[test]
fn a_file_that_is_being_created_is_never_taken_for_a_leftover() {
    let there = tempfile::tempdir().unwrap();
    let (writer, sibling) = (Directory::local(there.path()), Directory::local(there.path()));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // Somebody else's file may be gone between listing and locking it.
                let _ = sibling.remove_leftovers();
            }
        });
        let written: Result<Vec<()>, _> =
            (0..2000).map(|n: u32| writer.refresh("a", &n.to_le_bytes())).collect();
        done.store(true, Ordering::SeqCst);
        written.unwrap();
    });
    assert_eq!(names(&writer), ["a"]);
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

/// A disk that notes which directories are synced, and refuses those that `refuses` names.
fn noting_syncs(
    refuses: impl Fn(&Path) -> bool + Send + Sync + 'static,
) -> (Arc<dyn Disk>, Arc<Mutex<Vec<PathBuf>>>) {
    let synced = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&synced);
    let disk = FaultyDisk::new(LocalDisk, move |operation, path| {
        if operation != Operation::SyncDir {
            return None;
        }
        if refuses(path) {
            return Some(ErrorKind::PermissionDenied);
        }
        noted.lock().unwrap().push(path.to_owned());
        None
    });
    (Arc::new(disk), synced)
}

#[test]
fn a_directory_is_synced_in_the_one_above_also_if_another_process_made_it() {
    let there = tempfile::tempdir().unwrap();
    let path = there.path().join("a/b");
    let directory = Directory::on(broken(Operation::SyncDir, ErrorKind::Other), &path);
    directory.create().unwrap_err();
    fs::create_dir_all(&path).unwrap();
    directory.create().unwrap_err();
    // Whoever made it may have made those above it too, and have died before it could sync them.
    let (disk, synced) = noting_syncs(|_| false);
    let directory = Directory::on(disk, &path);
    directory.create().unwrap();
    let once = synced.lock().unwrap().clone();
    assert!(once.ends_with(&[there.path().to_owned(), there.path().join("a")]), "{once:?}");
    directory.create().unwrap();
    assert_eq!(*synced.lock().unwrap(), once);
    // A directory that may be entered but not read cannot be synced, and need not be.
    Directory::on(broken(Operation::SyncDir, ErrorKind::PermissionDenied), &path).create().unwrap();
    assert!(path.is_dir());
}

#[test]
fn a_directory_inside_that_could_not_be_synced_is_not_taken_for_durable() {
    let there = tempfile::tempdir().unwrap();
    let refused = Arc::new(AtomicBool::new(true));
    let (refuses, root) = (Arc::clone(&refused), there.path().to_owned());
    let (disk, synced) = noting_syncs(move |path| path == root && refuses.load(Ordering::SeqCst));
    let deep =
        Directory::on(disk, there.path()).subdirectory("a").unwrap().subdirectory("b").unwrap();
    let error = deep.create().unwrap_err();
    assert!(matches!(error, StoreError::Permission { .. }), "{error}");
    refused.store(false, Ordering::SeqCst);
    // Both are there now, and the outer one is still only in memory.
    deep.create().unwrap();
    assert!(synced.lock().unwrap().contains(&there.path().to_owned()));
}

#[test]
fn a_directory_that_was_made_here_is_synced_when_the_right_to_do_so_comes() {
    let there = tempfile::tempdir().unwrap();
    let refused = Arc::new(AtomicBool::new(true));
    let (refuses, above) = (Arc::clone(&refused), there.path().to_owned());
    let (disk, synced) = noting_syncs(move |path| path == above && refuses.load(Ordering::SeqCst));
    let directory = Directory::on(disk, there.path().join("out"));
    directory.create().unwrap();
    refused.store(false, Ordering::SeqCst);
    directory.create().unwrap();
    assert!(synced.lock().unwrap().contains(&there.path().to_owned()));
}

#[test]
fn a_directory_that_was_removed_and_is_made_again_is_synced_again() {
    let there = tempfile::tempdir().unwrap();
    let (disk, synced) = noting_syncs(|_| false);
    let directory = Directory::on(disk, there.path());
    let day = directory.subdirectory("day").unwrap();
    let above = || synced.lock().unwrap().iter().filter(|path| *path == there.path()).count();
    day.create().unwrap();
    assert_eq!(above(), 1);
    fs::remove_dir(day.path()).unwrap();
    day.create().unwrap();
    assert_eq!(above(), 2);
}

#[test]
fn what_is_above_and_was_made_by_others_says_nothing_about_the_outputs() {
    let there = tempfile::tempdir().unwrap();
    for kind in [ErrorKind::InvalidInput, ErrorKind::ReadOnlyFilesystem] {
        let above = there.path().parent().unwrap().to_owned();
        let disk = FaultyDisk::new(LocalDisk, move |operation, path| {
            (operation == Operation::SyncDir && path == above).then_some(kind)
        });
        let out = Directory::on(Arc::new(disk), there.path());
        out.check_writable().unwrap();
        assert!(!out.refuses_sync(), "{kind}");
    }
}

#[test]
fn many_directories_are_made_by_one_sync() {
    let there = tempfile::tempdir().unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let disk = FaultyDisk::new(LocalDisk, move |operation, _| {
        counted.fetch_add(usize::from(operation == Operation::SyncDir), Ordering::SeqCst);
        None
    });
    let directory = Directory::on(Arc::new(disk), there.path());
    directory.create().unwrap();
    let before = syncs.load(Ordering::SeqCst);
    let names_of = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    directory.create_each(&names_of(&["a", "b", "c"])).unwrap();
    directory.create_each(&names_of(&["b", "c"])).unwrap();
    directory.subdirectory("c").unwrap().create().unwrap();
    assert_eq!(syncs.load(Ordering::SeqCst) - before, 1);
    assert_eq!(names(&directory), ["a", "b", "c"]);
    fs::write(there.path().join("d"), "").unwrap();
    let error = directory.create_each(&names_of(&["d"])).unwrap_err();
    assert!(matches!(error, StoreError::NotADirectory { .. }), "{error}");
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

#[cfg(unix)]
#[test]
fn what_is_pinned_is_neither_made_anew_nor_written_where_another_is_in_its_place() {
    let there = tempfile::tempdir().unwrap();
    let (path, away) = (there.path().join("out"), there.path().join("away"));
    let out = Directory::local(&path);
    out.create().unwrap();
    let is_refused = Arc::new(AtomicBool::new(false));
    let refuses = Arc::clone(&is_refused);
    out.pin(move || match refuses.load(Ordering::SeqCst) {
        true => Err(StoreError::NotOurs { path: "out".into(), why: "no".into() }),
        false => Ok(()),
    })
    .unwrap();
    let (hidden, day) = (out.subdirectory("hidden").unwrap(), out.subdirectory("day").unwrap());
    hidden.put_new("a", b"a row").unwrap();
    let refused = |is_refused: fn(&StoreError) -> bool| {
        let days = ["day".to_owned()].into();
        let tried = [
            hidden.put_new("b", b"").unwrap_err(),
            out.replace("b", b"").unwrap_err(),
            out.refresh("b", b"").unwrap_err(),
            out.create_new("b", b"").unwrap_err(),
            out.create_each(&days).unwrap_err(),
            // Not that it is not there: that would be a loss.
            hidden.move_to("a", &day, "a").unwrap_err(),
        ];
        assert!(tried.iter().all(is_refused), "{tried:?}");
    };
    is_refused.store(true, Ordering::SeqCst);
    refused(|error| matches!(error, StoreError::NotOurs { .. }));
    is_refused.store(false, Ordering::SeqCst);
    fs::rename(&path, &away).unwrap();
    refused(|error| matches!(error, StoreError::Replaced { .. }));
    assert!(!path.exists());
    fs::create_dir(&path).unwrap();
    refused(|error| matches!(error, StoreError::Replaced { .. }));
    fs::remove_dir(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    assert!(hidden.move_to("a", &day, "a").unwrap());
}

#[cfg(unix)]
#[test]
fn what_is_in_the_way_is_named_with_what_to_do() {
    let there = tempfile::tempdir().unwrap();
    let path = |name: &str| there.path().join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir_all(path("out/latest.json")).unwrap();
    std::os::unix::fs::symlink(path("absent"), path("link")).unwrap();
    let at = |name: &str| Directory::local(path(name));
    let file = format!("{} is not a directory", path("file").display());
    let link = format!("{} is a symbolic link that leads nowhere", path("link").display());
    let latest = format!("{} is a directory", path("out/latest.json").display());
    let long = "x".repeat(300);
    let none = StoreError::new("open", &path("a"), io::Error::from_raw_os_error(libc::EMFILE));
    for (error, said) in [
        (at("file").read_if_there("id").unwrap_err(), &*file),
        (at("file/below").read("id").unwrap_err(), &file),
        (at("file").replace("id", b"").unwrap_err(), &file),
        (at("link").create().unwrap_err(), &link),
        (
            Directory::local(there.path()).create_each(&["link".to_owned()].into()).unwrap_err(),
            &link,
        ),
        (at("out").replace("latest.json", b"").unwrap_err(), &latest),
        (at("out").read("latest.json").unwrap_err(), &latest),
        (at(&long).create().unwrap_err(), "choose a shorter one"),
        (none, "ulimit -n"),
    ] {
        let line = error.to_string();
        assert!(line.contains(said) && !line.contains("that disk"), "{line}");
    }
    #[cfg(target_os = "linux")]
    {
        let error = Directory::local("/proc/strandline/out").create().unwrap_err().to_string();
        assert!(error.contains("no directory can be made at /proc/strandline"), "{error}");
    }
}
