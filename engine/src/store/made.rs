//! Making directories such that they stay: their names, and those of all above them, are on the medium.
//!
//! A directory that is found may have been made by a process that died before it could sync it. So the
//! name of each is synced once in this process, also of those that were there; which ones were is what
//! directories that were made from one another share.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::pin::Pin;
use super::{Directory, EntryKind, STAGED_PREFIX, StoreError};

/// What directories that were made from one another share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Makes hidden names such as no other process uses.
    process: u64,
    next: AtomicU64,
    /// Directories whose own names, and those of all above them, are on the medium.
    synced: Mutex<BTreeSet<PathBuf>>,
    /// The directory that the others are in.
    pub(super) root: PathBuf,
    /// Directories that were made here.
    made: Mutex<BTreeSet<PathBuf>>,
    /// A directory could not be synced, because this file system never does that.
    refuses_sync: AtomicBool,
    /// What must stay as it was, once that is said.
    pub(super) pin: OnceLock<Pin>,
}

impl Shared {
    /// Of a directory that is no other's.
    pub(super) fn new(process: u64, root: &Path) -> Shared {
        Shared {
            process,
            next: AtomicU64::new(0),
            synced: Mutex::default(),
            root: root.to_owned(),
            made: Mutex::default(),
            refuses_sync: AtomicBool::new(false),
            pin: OnceLock::new(),
        }
    }

    fn is_synced(&self, path: &Path) -> bool {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    fn note_synced(&self, path: &Path) {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    fn is_made(&self, path: &Path) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// A directory of this name was made, perhaps anew.
    fn note_made(&self, path: &Path) {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    /// A directory was removed: should it come back, it is another one.
    pub(super) fn note_removed(&self, path: &Path) {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// A hidden name that no other file has.
    pub(super) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{STAGED_PREFIX}{:016x}-{number}", self.process)
    }
}

impl Directory {
    /// Makes the directory and those above it, as far as they are missing; returns when they are
    /// on the medium. One that is found, there or above, may have been made by a process that died
    /// before it could sync it, so each is synced once too.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotADirectory`] and [`StoreError::Permission`] name what is in the way.
    pub fn create(&self) -> Result<(), StoreError> {
        self.check_pin()?;
        self.make(&self.path)?;
        self.settle(&self.path).map(drop)
    }

    /// Makes a directory and those above it, as far as they are missing.
    fn make(&self, path: &Path) -> Result<(), StoreError> {
        let failed = |error| self.failed("create", path, error);
        let made = match self.disk.create_dir(path) {
            Ok(()) => Ok(()),
            Err(error) => match (error.kind(), parent_of(path)) {
                (io::ErrorKind::NotFound, Some(parent)) => {
                    self.make(parent)?;
                    self.disk.create_dir(path).or_else(|error| match error.kind() {
                        // Somebody else was quicker.
                        io::ErrorKind::AlreadyExists => Ok(()),
                        // What it would be in is there.
                        io::ErrorKind::NotFound => {
                            Err(StoreError::NothingCanBeMade { path: path.to_owned() })
                        }
                        _ => Err(failed(error)),
                    })
                }
                (io::ErrorKind::NotADirectory, Some(parent)) => {
                    // Which of those above is it?
                    self.make(parent)?;
                    Err(failed(error))
                }
                // A root, for one, may be answered with other errors than that it exists.
                _ => match self.disk.kind(path) {
                    Ok(EntryKind::Directory) => return Ok(()),
                    Ok(_) => Err(StoreError::NotADirectory { path: path.to_owned() }),
                    Err(look) => Err(self.not_made(path, error, &look)),
                },
            },
        };
        made?;
        self.shared.note_made(path);
        Ok(())
    }

    /// What an error means that came from making a directory, where looking at it failed too.
    fn not_made(&self, path: &Path, error: io::Error, look: &io::Error) -> StoreError {
        match (error.kind(), look.kind()) {
            (io::ErrorKind::AlreadyExists, io::ErrorKind::NotFound) => {
                StoreError::LeadsNowhere { path: path.to_owned() }
            }
            _ => self.failed("create", path, error),
        }
    }

    /// Syncs the name of a directory and the names of those above it, each once. Says whether all of
    /// them are on the medium.
    fn settle(&self, path: &Path) -> Result<bool, StoreError> {
        if self.shared.is_synced(path) {
            return Ok(true);
        }
        let Some(parent) = parent_of(path).filter(|parent| *parent != path) else {
            return Ok(true);
        };
        let above = self.settle(parent)?;
        if parent.starts_with(&self.shared.root) {
            self.sync_names(parent).map_err(|error| self.failed("sync", parent, error))?;
        } else if let Err(error) = self.disk.sync_dir(parent) {
            match error.kind() {
                // What others have made is on the medium already, as far as can be told, and their
                // file system need not be the one of the outputs.
                _ if !self.shared.is_made(path) || is_refusal(&error) => {}
                // One may be allowed to add to a directory without being allowed to read it, which
                // syncing takes. It is tried again: the right may only be missing for a while.
                io::ErrorKind::PermissionDenied => return Ok(false),
                _ => return Err(self.failed("sync", parent, error)),
            }
        }
        if above {
            self.shared.note_synced(path);
        }
        Ok(above)
    }

    /// Makes directories in this one, as far as they are missing; returns when they are on the medium,
    /// after one sync for all of them.
    ///
    /// # Errors
    ///
    /// As of [`create`](Self::create), of the first that cannot be made.
    pub fn create_each(&self, names: &BTreeSet<String>) -> Result<(), StoreError> {
        self.check_pin()?;
        let mut made = Vec::new();
        let mut above = true;
        for name in names {
            let path = self.file(name)?;
            if self.shared.is_synced(&path) {
                continue;
            }
            if made.is_empty() {
                self.make(&self.path)?;
                above = self.settle(&self.path)?;
            }
            if let Err(error) = self.disk.create_dir(&path) {
                match self.disk.kind(&path) {
                    Ok(EntryKind::Directory) => {}
                    Ok(_) => return Err(StoreError::NotADirectory { path }),
                    Err(look) => return Err(self.not_made(&path, error, &look)),
                }
            }
            made.push(path);
        }
        if made.is_empty() {
            return Ok(());
        }
        self.sync()?;
        made.iter().filter(|_| above).for_each(|path| self.shared.note_synced(path));
        Ok(())
    }

    /// Returns when the names in the directory are on the medium.
    ///
    /// # Errors
    ///
    /// What the disk says. May be called again.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.sync_names(&self.path).map_err(|error| self.failed("sync", &self.path, error))
    }

    /// Whether the file system has refused to sync a directory, as some network and FUSE file
    /// systems always do. Everything goes on then; after a loss of power, names may be missing
    /// there.
    pub fn refuses_sync(&self) -> bool {
        self.shared.refuses_sync.load(Ordering::Relaxed)
    }

    fn sync_names(&self, path: &Path) -> io::Result<()> {
        match self.disk.sync_dir(path) {
            Err(error) if is_refusal(&error) => {
                self.shared.refuses_sync.store(true, Ordering::Relaxed);
                Ok(())
            }
            result => result,
        }
    }

    /// Tries whether files can be made here, creating the directory if it is missing, and whether it
    /// [can be synced](Self::refuses_sync).
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        self.create()?;
        let path = self.path.join(self.shared.next());
        let written = self.disk.create_file(&path).and_then(|mut file| {
            let written = file.write_all(b"probe");
            written.and(self.disk.remove_file(&path))
        });
        written.map_err(|error| self.failed("write in", &self.path, error))?;
        self.sync()
    }
}

/// Whether a file system says by this that it never syncs directories.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// The directory that `path` is in; that of a plain `name` is the current one.
fn parent_of(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}
