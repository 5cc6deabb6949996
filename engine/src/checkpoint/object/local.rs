//! A directory of the computer's own file systems.

use std::io;
use std::sync::{Arc, OnceLock};

use object_store::local::LocalFileSystem;

use super::{io_error, is_plain};
use crate::store::{Directory, EntryKind, StoreError};

/// A directory, opened for reading when it exists.
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
            Ok(opened) => Ok(Some(Arc::clone(self.opened.get_or_init(|| Arc::new(opened))))),
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
}
