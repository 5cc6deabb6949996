//! The files of a directory: read, written such that nobody sees half of one, moved, removed.

use std::io::{self, Write};

use super::staged::StagedFile;
use super::{Directory, Entry, EntryKind, STAGED_PREFIX, StoreError};

impl Directory {
    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// Such as its absence.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.file(name)?;
        self.disk.read(&path).map_err(|error| self.failed("read", &path, error))
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
            Err(error) => Err(self.failed("read", &path, error)),
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
            Err(error) => Err(self.failed("look at", &path, error)),
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
            file => file.map_err(|error| self.failed("create", &path, error))?,
        };
        file.write_all(bytes)
            .and_then(|()| file.sync())
            .map_err(|error| self.failed("write", &path, error))?;
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
    pub(super) fn staged_with(&self, name: &str, bytes: &[u8]) -> Result<StagedFile, StoreError> {
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
            _ => self.failed("create", &path, error),
        })?;
        let written = match file.write_all(bytes).and_then(|()| file.flush()) {
            Ok(()) => file.sync().map_err(|error| self.failed("sync", &path, error)),
            Err(error) => Err(self.failed("write", &path, error)),
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
        // Elsewhere, that it is not there says nothing.
        self.check_pin()?;
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
            Err(error) => Err(self.failed("rename a file to", &target, error)),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// Such as its absence.
    pub fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        let path = self.file(name)?;
        self.disk.remove_file(&path).map_err(|error| self.failed("remove", &path, error))
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
                Err(error) => return Err(self.failed("remove", &path, error)),
            }
        }
        Ok(removed)
    }
}
