//! `OUT` at the start of a job: what may be there already, and what has to be there from the first
//! second on.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::latest_json::{LATEST_JSON, document};
use super::names::{DateFolder, FileName, HiddenName};
use super::visible_epoch::VisibleEpoch;
use crate::checkpoint::manifest::OutputIdentity;
use crate::run_id::RunId;
use crate::store::{Directory, Entry, EntryKind, StoreError};

/// The folder of final rows.
pub(super) const FINAL_ROWS: &str = "parquet";
/// The folder of late records.
pub(super) const LATE: &str = "late";
/// The folder of dead letters.
pub(super) const DEAD_LETTERS: &str = "dead_letters";

/// Where files are while they are hidden, in a folder for each output: on the file system of `OUT`, and
/// not where readers look, some of which refuse a folder with files that they do not know.
pub(super) const STAGING: &str = ".staged";

/// The file that says which directory this is, wherever it is moved to.
const ID_FILE: &str = ".strandline-id";

/// How often a process looks whether another one has written that file, and how long between.
const ID_LOOKS_MAX: usize = 20;
const ID_LOOK_EVERY: Duration = Duration::from_millis(50);

/// The folders of files in `OUT`.
pub const FOLDERS: [&str; 3] = [FINAL_ROWS, LATE, DEAD_LETTERS];

/// What to do about rows of an earlier run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Keep them and add to them.
    Append,
    /// Remove them. Nothing that a sink did not write is touched.
    Replace,
    /// Touch nothing: refuse to start.
    Refuse,
    /// Touch nothing, hidden files included: which of them count is found out
    /// [later](crate::outputs::Output::recover).
    Continue,
}

/// Why a job cannot write to `OUT`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputDirError {
    /// There are rows of an earlier run.
    #[error(
        "{} already holds rows of an earlier run: add to them with --append, remove them with \
         --replace, or choose another directory",
        .path.display()
    )]
    HasRows {
        /// `OUT`.
        path: PathBuf,
    },
    /// What is to be removed is behind a symbolic link: it may be another job's, or another program's.
    #[error(
        "{} is a symbolic link, and --replace removes nothing behind one: remove those rows yourself and \
         start with --append, or put a directory in the place of the link",
        .path.display()
    )]
    BehindLink {
        /// The link.
        path: PathBuf,
    },
    /// The disk does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks whether there are rows of an earlier run that may be neither kept nor removed. Nothing is
/// touched.
///
/// # Errors
///
/// [`OutputDirError::HasRows`], [`OutputDirError::BehindLink`], and what the disk says.
pub fn refuse_rows(out: &Directory, existing: Existing) -> Result<(), OutputDirError> {
    if existing == Existing::Replace {
        refuse_links(out)?;
    }
    match existing == Existing::Refuse && has_rows(out)? {
        true => Err(OutputDirError::HasRows { path: out.path().to_owned() }),
        false => Ok(()),
    }
}

/// Links lead to what need not be this job's: it is written there, and nothing is removed.
fn refuse_links(out: &Directory) -> Result<(), OutputDirError> {
    let is_link = |entry: &Entry| {
        entry.kind == EntryKind::Other && (entry.name == STAGING || FOLDERS.contains(&&*entry.name))
    };
    for folder in [out, &out.subdirectory(STAGING)?] {
        if let Some(entry) = folder.list()?.iter().find(|entry| is_link(entry)) {
            return Err(OutputDirError::BehindLink { path: folder.path().join(&entry.name) });
        }
    }
    Ok(())
}

/// Looks whether [`prepare`] would be refused, without touching what is there. The folders are made.
///
/// # Errors
///
/// As those of [`prepare`].
pub fn check(out: &Directory, existing: Existing) -> Result<(), OutputDirError> {
    refuse_rows(out, existing)?;
    out.check_writable()?;
    let staging = out.subdirectory(STAGING)?;
    for name in FOLDERS {
        out.subdirectory(name)?.check_writable()?;
        staging.subdirectory(name)?.check_writable()?;
    }
    Ok(())
}

/// Makes `out` ready: the folders are there, `latest.json` holds `latest` (if this process is the
/// one that keeps it), leftovers of processes that died are gone, and rows of earlier runs are dealt
/// with as `existing` says.
///
/// Where several processes share `OUT`, the leading one does this; the others
/// [remove](remove_earlier) what is none of this start's.
///
/// # Errors
///
/// If there are rows that may be neither kept nor removed, nothing has been touched. Otherwise
/// what stands in the way, in one line.
pub fn prepare(
    out: &Directory,
    existing: Existing,
    latest: Option<&Value>,
) -> Result<(), OutputDirError> {
    refuse_rows(out, existing)?;
    out.check_writable()?;
    out.remove_leftovers()?;
    let staging = out.subdirectory(STAGING)?;
    for name in FOLDERS {
        let staging = staging.subdirectory(name)?;
        match existing {
            Existing::Continue => {}
            Existing::Replace => remove_all_hidden(&staging)?,
            // Of runs without checkpoints. On others, checkpoints may count.
            Existing::Append | Existing::Refuse => {
                remove_hidden(&staging, |hidden: HiddenName| hidden.claim == 0)?;
            }
        }
        let folder = out.subdirectory(name)?;
        folder.check_writable()?;
        if existing == Existing::Continue {
            continue;
        }
        folder.remove_leftovers()?;
        for date in dates(&folder)? {
            date.remove_leftovers()?;
            if existing == Existing::Replace {
                remove_rows(&date, |_| true)?;
            }
        }
    }
    if let Some(latest) = latest
        && !(existing == Existing::Continue && out.contains(LATEST_JSON)?)
    {
        out.replace(LATEST_JSON, &document(latest))?;
    }
    Ok(())
}

/// Removes the rows of earlier runs in the directory of a process that does not lead: all that are not
/// named after one of `runs`. Other processes of this start may share the directory, and may have
/// begun to write there.
///
/// # Errors
///
/// What stands in the way, in one line.
pub fn remove_earlier(out: &Directory, runs: &[RunId]) -> Result<(), OutputDirError> {
    refuse_links(out)?;
    let is_earlier = |name: FileName| !runs.contains(&name.run);
    let staging = out.subdirectory(STAGING)?;
    for name in FOLDERS {
        remove_hidden(&staging.subdirectory(name)?, |hidden| is_earlier(hidden.name))?;
        for date in dates(&out.subdirectory(name)?)? {
            remove_rows(&date, is_earlier)?;
        }
    }
    Ok(())
}

/// Removes what runs without checkpoints left half done in the directory of a process that does not
/// lead: hidden files that are not named after one of `runs`.
///
/// # Errors
///
/// What stands in the way, in one line.
pub fn remove_abandoned(out: &Directory, runs: &[RunId]) -> Result<(), OutputDirError> {
    let staging = out.subdirectory(STAGING)?;
    for name in FOLDERS {
        let is_abandoned =
            |hidden: HiddenName| hidden.claim == 0 && !runs.contains(&hidden.name.run);
        remove_hidden(&staging.subdirectory(name)?, is_abandoned)?;
    }
    Ok(())
}

/// Removes the files in a date folder that a sink committed and that `goes` names, and the folder if
/// nothing else is in it.
fn remove_rows(date: &Directory, goes: impl Fn(FileName) -> bool) -> Result<(), StoreError> {
    for file in files(date)? {
        if file.parse().is_ok_and(&goes) {
            remove_once(date, &file)?;
        }
    }
    date.remove_if_empty()
}

fn remove_all_hidden(staging: &Directory) -> Result<(), StoreError> {
    remove_hidden(staging, |_| true)?;
    for entry in staging.list()?.into_iter().filter(|entry| VisibleEpoch::is_note(&entry.name)) {
        staging.remove_file(&entry.name)?;
    }
    Ok(())
}

/// Which directory `out` is: the first time, `new` says so from then on. Processes that share it may
/// ask at once: all of them get the same answer.
///
/// # Errors
///
/// What the disk says.
pub fn identify(out: &Directory, new: RunId) -> Result<OutputIdentity, StoreError> {
    for _ in 0..ID_LOOKS_MAX {
        let found = identity(out)?;
        if let Some(id) = &found.id {
            // Who wrote it may have died before it was on the medium.
            out.replace(ID_FILE, id.as_bytes())?;
            return Ok(found);
        }
        if make_id(out, new)? {
            // What was written is known, also if it cannot be read just now: a checkpoint that did
            // not say it would be refused from then on.
            return Ok(OutputIdentity { id: Some(new.to_string()), ..found });
        }
        // Another process writes it just now.
        std::thread::park_timeout(ID_LOOK_EVERY);
    }
    // It died before it had, on a disk without second names.
    out.replace(ID_FILE, new.to_string().as_bytes())?;
    // Another one may have come to that at the same moment: the later of both counts for both.
    std::thread::park_timeout(ID_LOOK_EVERY);
    identity(out)
}

/// Says which directory `out` is, if nothing does yet: whoever looks finds all of it or nothing, where
/// the disk can do that.
fn make_id(out: &Directory, new: RunId) -> Result<bool, StoreError> {
    let id = new.to_string();
    match out.publish_new(ID_FILE, id.as_bytes()) {
        Ok(()) => Ok(true),
        Err(StoreError::Exists { .. }) => Ok(false),
        // Disks that know no second names, such as some network file systems.
        Err(_) => out.create_new(ID_FILE, id.as_bytes()),
    }
}

/// Which directory `out` is, without touching it.
///
/// # Errors
///
/// What the disk says.
pub fn identity(out: &Directory) -> Result<OutputIdentity, StoreError> {
    let id = out.read_if_there(ID_FILE)?;
    let id = id.map(|id| String::from_utf8_lossy(&id).trim().to_owned());
    // Where there is no current directory, the path says nothing more than it did.
    let path = std::path::absolute(out.path()).unwrap_or_else(|_| out.path().to_owned());
    // One that is torn is none.
    let id = id.filter(|id| id.parse::<RunId>().is_ok());
    Ok(OutputIdentity { id, path: path.display().to_string() })
}

/// Looks whether `out` is still the directory that says `id`. Where it says nothing any more, because
/// another program has removed the file, it is told again: the next start looks for it.
///
/// # Errors
///
/// [`StoreError::NotOurs`] if it says something else, and what the disk says.
pub fn keep_identity(out: &Directory, id: &str) -> Result<(), StoreError> {
    match identity(out)?.id {
        Some(found) if found == id => Ok(()),
        Some(found) => Err(StoreError::NotOurs {
            path: out.path().to_owned(),
            why: format!(
                "its {ID_FILE} says that it is place {found}, and this job writes to place {id}; bring \
                 that back there, and the job goes on; or stop the job and start it over"
            ),
        }),
        None => out.replace(ID_FILE, id.as_bytes()),
    }
}

/// Whether there are rows of an earlier run: files that a sink committed. Staged leftovers are
/// none, nor are files of others.
///
/// # Errors
///
/// What makes it impossible to look.
pub fn has_rows(out: &Directory) -> Result<bool, StoreError> {
    for name in FOLDERS {
        for date in dates(&out.subdirectory(name)?)? {
            if !files(&date)?.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The date folders in a folder. Links are not followed: what they lead to is not ours.
pub(super) fn dates(folder: &Directory) -> Result<Vec<Directory>, StoreError> {
    let entries = folder.list()?.into_iter();
    entries
        .filter(|entry| entry.kind == EntryKind::Directory)
        .filter(|entry| entry.name.parse::<DateFolder>().is_ok())
        .map(|entry| folder.subdirectory(&entry.name))
        .collect()
}

/// The files in a date folder that a sink committed.
pub(super) fn files(date: &Directory) -> Result<Vec<String>, StoreError> {
    let entries = date.list()?.into_iter().filter(|entry| entry.kind == EntryKind::File);
    Ok(entries.map(|entry| entry.name).filter(|name| name.parse::<FileName>().is_ok()).collect())
}

/// Removes the hidden files of an output of which `is_left_over` says so.
pub(super) fn remove_hidden(
    staging: &Directory,
    is_left_over: impl Fn(HiddenName) -> bool,
) -> Result<(), StoreError> {
    staging.remove_leftovers()?;
    for entry in staging.list()? {
        if entry.name.parse().is_ok_and(&is_left_over) {
            remove_once(staging, &entry.name)?;
        }
    }
    Ok(())
}

/// Removes a file that another process may remove too.
fn remove_once(directory: &Directory, name: &str) -> Result<(), StoreError> {
    match directory.remove_file(name) {
        Err(_) if !directory.contains(name)? => Ok(()),
        result => result,
    }
}
