//! Every file operation of the engine.
//!
//! A [`Directory`] is all that the other modules see. Two promises hold whatever happens to the
//! process or the machine: a file that is visible under its name is complete, and what was
//! reported as done is on the medium. Both come from one protocol: write under a hidden name,
//! sync, rename, sync the directory. [`Directory::replace`] does all of it. Its two halves can be
//! had apart ([`Directory::put_new`] in a directory that no reader opens, [`Directory::move_to`]):
//! an output that commits by a manifest puts it between them. A file that waits between the two
//! halves holds no descriptor.
//!
//! Names are single names, never paths, and are checked, so that nothing can lead out of the
//! directory.

mod disk;
mod error;
mod faulty;
mod staged;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use disk::{Disk, DiskFile, Entry, EntryKind, LocalDisk};
pub use error::StoreError;
pub use faulty::{FaultyDisk, Operation};

pub(crate) use staged::STAGED_PREFIX;

use staged::StagedFile;

/// A directory and what is in it. Cheap to clone. Making one touches nothing: the directory is
/// created when the first file in it is.
///
/// ```
/// use strandline_engine::store::Directory;
///
/// let there = tempfile::tempdir().unwrap();
/// let (waiting, day) = (there.path().join(".staged"), there.path().join("date=2024-11-03"));
/// let (waiting, day) = (Directory::local(waiting), Directory::local(day));
/// waiting.put_new("rows", b"a row\n")?;
/// waiting.sync()?; // on the medium, but not where readers look
/// assert!(!day.contains("rows.txt")?);
/// waiting.move_to("rows", &day, "rows.txt")?;
/// day.sync()?;
/// assert_eq!(day.read("rows.txt")?, b"a row\n");
/// # Ok::<(), strandline_engine::store::StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Directory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    shared: Arc<Shared>,
}

/// What directories that were made from one another share.
#[derive(Debug)]
struct Shared {
    /// Makes hidden names such as no other process uses.
    process: u64,
    next: AtomicU64,
    /// Directories whose own names, and those of all above them, are on the medium.
    synced: Mutex<BTreeSet<PathBuf>>,
    /// The directory that the others are in.
    root: PathBuf,
    /// Directories that were made here.
    made: Mutex<BTreeSet<PathBuf>>,
    /// A directory could not be synced, because this file system never does that.
    refuses_sync: AtomicBool,
}

impl Shared {
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

    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{STAGED_PREFIX}{:016x}-{number}", self.process)
    }
}

impl Directory {
    /// A directory of the computer's own file systems.
    pub fn local(path: impl Into<PathBuf>) -> Directory {
        Directory::on(Arc::new(LocalDisk), path)
    }

    /// A directory of `disk`.
    pub fn on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Directory {
        let mut path = path.into();
        if path.as_os_str().is_empty() {
            path.push(".");
        }
        let shared = Shared {
            process: disk.unique_number(),
            next: AtomicU64::new(0),
            synced: Mutex::default(),
            root: path.clone(),
            made: Mutex::default(),
            refuses_sync: AtomicBool::new(false),
        };
        Directory { disk, path, shared: Arc::new(shared) }
    }

    /// A directory in this one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Name`] if `name` is not one plain name.
    pub fn subdirectory(&self, name: &str) -> Result<Directory, StoreError> {
        Ok(Directory {
            disk: Arc::clone(&self.disk),
            path: self.file(name)?,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Where it is, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory and those above it, as far as they are missing; returns when they are
    /// on the medium. One that is found, there or above, may have been made by a process that died
    /// before it could sync it, so each is synced once too.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotADirectory`] and [`StoreError::Permission`] name what is in the way.
    pub fn create(&self) -> Result<(), StoreError> {
        self.make(&self.path)?;
        self.settle(&self.path).map(drop)
    }

    /// Makes a directory and those above it, as far as they are missing.
    fn make(&self, path: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::new("create", path, error);
        let made = match self.disk.create_dir(path) {
            Ok(()) => Ok(()),
            Err(error) => match (error.kind(), parent_of(path)) {
                (io::ErrorKind::NotFound, Some(parent)) => {
                    self.make(parent)?;
                    self.disk.create_dir(path).or_else(|error| match error.kind() {
                        // Somebody else was quicker.
                        io::ErrorKind::AlreadyExists => Ok(()),
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
                    Err(_) => Err(failed(error)),
                },
            },
        };
        made?;
        self.shared.note_made(path);
        Ok(())
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
            self.sync_names(parent).map_err(|error| StoreError::new("sync", parent, error))?;
        } else if let Err(error) = self.disk.sync_dir(parent) {
            match error.kind() {
                // What others have made is on the medium already, as far as can be told, and their
                // file system need not be the one of the outputs.
                _ if !self.shared.is_made(path) || is_refusal(&error) => {}
                // One may be allowed to add to a directory without being allowed to read it, which
                // syncing takes. It is tried again: the right may only be missing for a while.
                io::ErrorKind::PermissionDenied => return Ok(false),
                _ => return Err(StoreError::new("sync", parent, error)),
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
                    Err(_) => return Err(StoreError::new("create", &path, error)),
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
        self.sync_names(&self.path).map_err(|error| StoreError::new("sync", &self.path, error))
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
        written.map_err(|error| StoreError::new("write in", &self.path, error))?;
        self.sync()
    }

    /// What is in the directory, sorted by name; staged files too. Nothing, if it does not exist.
    ///
    /// # Errors
    ///
    /// Such as [`StoreError::NotADirectory`].
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        match self.disk.list(&self.path) {
            Ok(mut entries) => {
                entries.sort_unstable();
                Ok(entries)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::new("list", &self.path, error)),
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// Such as its absence.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.file(name)?;
        self.disk.read(&path).map_err(|error| StoreError::new("read", &path, error))
    }

    /// The bytes of a file, if there is one.
    ///
    /// # Errors
    ///
    /// What the disk says: a file that cannot be read is not one that is not there.
    pub fn read_if_there(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.file(name)?;
        match self.disk.read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::new("read", &path, error)),
        }
    }

    /// Whether there is something of that name.
    ///
    /// # Errors
    ///
    /// What the disk says: what cannot be looked at is not absent.
    pub fn contains(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.file(name)?;
        let is_absent = |error: &io::Error| {
            // The second: what the directory would be is a file.
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        };
        match self.disk.kind(&path) {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(StoreError::new("look at", &path, error)),
        }
    }

    /// Puts a file in the place of whatever file has the name: a reader sees the old one or the
    /// new one. Returns when it is on the medium.
    ///
    /// # Errors
    ///
    /// Such as a full disk. The old file is then still there, unless only the sync of the
    /// directory failed.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.staged_with(name, bytes)?.commit()?;
        self.sync()
    }

    /// As [`replace`](Self::replace), but does not wait for the medium: after a loss of power, the
    /// old file may be there, or part of the new one. For what is soon replaced again.
    ///
    /// # Errors
    ///
    /// Such as a full disk. The old file is then still there.
    pub fn refresh(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.staged_with(name, bytes)?.publish()
    }

    /// Makes a small file if there is none of that name, and says whether it did: of several
    /// processes that do this at once, one does. Whoever finds it may find it empty for a moment.
    /// Returns when it is on the medium.
    ///
    /// # Errors
    ///
    /// Such as a full disk.
    pub fn create_new(&self, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let path = self.file(name)?;
        self.create()?;
        let mut file = match self.disk.create_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            file => file.map_err(|error| StoreError::new("create", &path, error))?,
        };
        file.write_all(bytes)
            .and_then(|()| file.sync())
            .map_err(|error| StoreError::new("write", &path, error))?;
        self.sync()?;
        Ok(true)
    }

    /// Makes a file, if there is none of that name: whoever looks meanwhile finds all of it or
    /// nothing, and of several processes that do this at once, one does. Returns when it is on the
    /// medium.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is a file of that name, whose name may not be on the medium yet.
    /// After any other error there may be none, or the whole file.
    pub fn publish_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.staged_with(name, bytes)?.commit_new()?;
        self.sync()
    }

    /// A staged file that may take the place of another.
    fn staged_with(&self, name: &str, bytes: &[u8]) -> Result<StagedFile, StoreError> {
        self.file(name)?;
        self.create()?;
        let mut file = StagedFile::create(&self.disk, &self.path, &self.shared.next(), name)?;
        file.append(bytes)?;
        Ok(file)
    }

    /// Writes a new file, creating the directory if it is missing; returns when the bytes are on the
    /// medium. The name is there when the directory has been [synced](Self::sync) too. Nothing
    /// stays open. For a directory that readers do not open: the file can be seen while it is
    /// written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] if there is a file of that name. After any other error (such as a full
    /// disk) there is none, or one that nobody is told of.
    pub fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.file(name)?;
        // First, because it knows which of the directories above is none.
        self.create()?;
        let mut file = self.disk.create_file(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { path: path.clone() },
            _ => StoreError::new("create", &path, error),
        })?;
        let written = match file.write_all(bytes).and_then(|()| file.flush()) {
            Ok(()) => file.sync().map_err(|error| StoreError::new("sync", &path, error)),
            Err(error) => Err(StoreError::new("write", &path, error)),
        };
        drop(file);
        if written.is_err() {
            // A second sync after one that failed may succeed without having written anything. If
            // the file cannot be removed either, a start finds it.
            let _ = self.disk.remove_file(&path);
        }
        written
    }

    /// Moves a file to the directory `to`, which is created if it is missing, under `name`. Returns
    /// whether it is there: it may have been moved before, also by another process. That is on the
    /// medium when `to` has been [synced](Self::sync).
    ///
    /// # Errors
    ///
    /// What the disk says. May be called again.
    pub fn move_to(&self, from: &str, to: &Directory, name: &str) -> Result<bool, StoreError> {
        let (source, target) = (self.file(from)?, to.file(name)?);
        if !self.contains(from)? {
            return to.contains(name);
        }
        to.create()?;
        match self.disk.rename(&source, &target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                // A link has led to another file system.
                to.replace(name, &self.read(from)?)?;
                self.remove_file(from)?;
                Ok(true)
            }
            // Another process was quicker, or a network file system reports the failure of a rename
            // that has happened.
            Err(_) if !self.contains(from)? => to.contains(name),
            Err(error) => Err(StoreError::new("rename a file to", &target, error)),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// Such as its absence.
    pub fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        let path = self.file(name)?;
        self.disk.remove_file(&path).map_err(|error| StoreError::new("remove", &path, error))
    }

    /// Removes the directory if nothing is in it.
    ///
    /// # Errors
    ///
    /// Such as missing permission.
    pub fn remove_if_empty(&self) -> Result<(), StoreError> {
        if !self.list()?.is_empty() {
            return Ok(());
        }
        self.shared.synced.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
        match self.disk.remove_dir(&self.path) {
            Ok(()) => Ok(()),
            // Another process was quicker, with removing it or with writing there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(StoreError::new("remove", &self.path, error)),
        }
    }

    /// Removes staged files that a process left behind when it died; those of living processes
    /// stay. Not those in directories below. Returns how many they were.
    ///
    /// # Errors
    ///
    /// The first that could not be removed.
    pub fn remove_leftovers(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        for Entry { name, kind } in self.list()? {
            if kind != EntryKind::File || !name.starts_with(STAGED_PREFIX) {
                continue;
            }
            let path = self.path.join(&name);
            match self.disk.remove_unused(&path) {
                Ok(true) => removed += 1,
                Ok(false) => {}
                // Its owner was alive after all, or somebody else tidied up.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::new("remove", &path, error)),
            }
        }
        Ok(removed)
    }

    /// The path of a file in this directory, and only in it.
    fn file(&self, name: &str) -> Result<PathBuf, StoreError> {
        let plain = !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0']);
        if plain {
            Ok(self.path.join(name))
        } else {
            Err(StoreError::Name { name: name.to_owned() })
        }
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

#[cfg(test)]
mod tests;
