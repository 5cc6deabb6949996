//! A directory of the computer's own file systems.

use std::io;
use std::sync::{Arc, OnceLock};

use object_store::local::LocalFileSystem;

use super::{io_error, is_plain};
use crate::store::{Directory, EntryKind, StoreError};

/// A directory, opened when it exists.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) directory: Directory,
    opened: OnceLock<Arc<LocalFileSystem>>,
}

impl Local {
    pub(super) fn new(directory: Directory) -> Local {
        Local { directory, opened: OnceLock::new() }
    }

    /// The store, unless the directory does not exist.
    pub(super) fn open(&self) -> Result<Option<Arc<LocalFileSystem>>, object_store::Error> {
        if let Some(opened) = self.opened.get() {
            return Ok(Some(Arc::clone(opened)));
        }
        match LocalFileSystem::new_with_prefix(self.directory.path()) {
            Ok(opened) => {
                let opened = Arc::new(opened.with_fsync(true));
                Ok(Some(Arc::clone(self.opened.get_or_init(|| opened))))
            }
            Err(error) => match io_error(&error) {
                Some(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The names of blobs. The crate's own listing fails where it meets a name that it cannot
    /// express.
    pub(super) fn names(&self) -> Result<impl Iterator<Item = String>, StoreError> {
        let files =
            self.directory.list()?.into_iter().filter(|entry| entry.kind == EntryKind::File);
        Ok(files.map(|entry| entry.name).filter(|name| is_plain(name)))
    }

    /// Removes what a process left behind; returns how many files it was.
    pub(super) fn remove_leftovers(&self) -> Result<usize, StoreError> {
        let mut removed = self.directory.remove_leftovers()?;
        for entry in self.directory.list()? {
            if entry.kind == EntryKind::File && is_staged(&entry.name) {
                self.directory.remove_file(&entry.name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Whether the crate calls a file that while it writes a blob: its name, `#` and a number.
pub(super) fn is_staged(name: &str) -> bool {
    name.split_once('#').is_some_and(|(blob, number)| {
        is_plain(blob) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
