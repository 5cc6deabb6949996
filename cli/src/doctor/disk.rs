//! The directories: whether files can be written there, and how much room is left.

use std::path::{Path, PathBuf};

use strandline_engine::checkpoint::lock::Lock;
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::sink::FOLDERS;
use strandline_engine::store::Directory;

use super::findings::Findings;
use crate::options::{Checkpoint, Options};

/// Less room than this is worth a word.
const ROOM_WARN_BYTES: u64 = 1 << 30;
/// With less than this a job would soon stand still.
const ROOM_MIN_BYTES: u64 = 64 << 20;

pub(super) fn examine(options: &Options, findings: &mut Findings) {
    match &options.checkpoint {
        // The demonstration keeps none.
        _ if options.bootstrap.is_none() => {}
        Checkpoint::Nowhere => findings.warn(
            "checkpoints",
            "--checkpoint none: a run that ends does not go on",
            "name a directory or s3://BUCKET/PREFIX",
        ),
        Checkpoint::At(place) => checkpoints(place, findings),
    }
    directory("outputs", "--out", &options.out, findings);
    for folder in FOLDERS {
        let path = options.out.join(folder);
        if path.exists()
            && let Err(error) = Directory::local(&path).check_writable()
        {
            findings.refuse("outputs", &error.to_string());
        }
    }
}

/// Whether checkpoints can be kept there.
fn checkpoints(place: &str, findings: &mut Findings) {
    let blobs = match ObjectBlobs::open(place) {
        Ok(blobs) => blobs,
        Err(error) => return findings.refuse("checkpoints", &error.to_string()),
    };
    match blobs.directory().map(Path::to_owned) {
        Some(path) => directory("checkpoints", "--checkpoint", &path, findings),
        None => match blobs.check_writable() {
            Ok(()) => findings.ok("checkpoints", format!("{place} can be written")),
            Err(error) => {
                findings.fail("checkpoints", error.to_string(), "check the bucket and its rights");
            }
        },
    }
}

/// Asks what a job asks first of a directory, of the nearest one that is there: a job makes the rest.
fn directory(of: &'static str, option: &str, path: &Path, findings: &mut Findings) {
    let there = nearest(path);
    match Directory::local(&there).check_writable() {
        Ok(()) => findings.ok(of, format!("{}: files can be written", path.display())),
        Err(error) => {
            return findings.refuse(of, &format!("{option} {}: {error}", path.display()));
        }
    }
    if there == path
        && path.join(".lock").exists()
        && let Err(error) = Lock::acquire(path)
    {
        findings.refuse(of, &error.to_string());
    }
    room(of, &there, findings);
}

/// The directory itself, or the nearest one above it that exists.
fn nearest(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find(|ancestor| ancestor.exists());
    match there {
        Some(there) if there == absolute => path.to_owned(),
        Some(there) => there.to_owned(),
        None => absolute,
    }
}

fn room(of: &'static str, path: &Path, findings: &mut Findings) {
    let Ok(system) = rustix::fs::statvfs(path) else { return };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let mib = free >> 20;
    if free < ROOM_MIN_BYTES {
        let at = path.display();
        findings.fail(of, format!("{mib} MiB are free at {at}"), "make room, or name another disk");
    } else if free < ROOM_WARN_BYTES {
        let at = path.display();
        findings.warn(of, format!("{mib} MiB are free at {at}"), "make room before it is used up");
    } else {
        findings.ok("space", format!("{mib} MiB are free for {of}"));
    }
    if system.f_files != 0 && system.f_favail < 1024 {
        let at = path.display();
        findings.warn(
            of,
            format!("only {} more files fit at {at}", system.f_favail),
            "remove some",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_yet_is_tried_above_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        assert_eq!(nearest(&path), directory.path());
        super::directory("outputs", "--out", &path, &mut Findings::new(false));
        assert!(!path.exists());
        assert_eq!(Directory::local(directory.path()).list().unwrap(), []);
    }
}
