//! A directory of the computer's own file systems.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, OnceLock};

use object_store::local::LocalFileSystem;

use super::{io_error, is_plain};
use crate::checkpoint::catalog::is_named_by_us;
use crate::store::{Directory, Entry, EntryKind, StoreError};

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

    /// Removes what a process left behind that died while it stored a blob, also one of an earlier version,
    /// in which the crate stored them: it wrote beside the place, to `NAME#NUMBER`.
    pub(super) fn remove_leftovers(&self) -> Result<usize, StoreError> {
        let mut removed = self.directory.remove_leftovers()?;
        let files =
            self.directory.list()?.into_iter().filter(|entry| entry.kind == EntryKind::File);
        for Entry { name, .. } in files.filter(|entry| is_staged_by_crate(&entry.name)) {
            self.directory.remove_file(&name)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// The names of blobs. The crate's own listing fails where it meets a name that it cannot
    /// express.
    pub(super) fn names(&self) -> Result<impl Iterator<Item = String>, StoreError> {
        let files =
            self.directory.list()?.into_iter().filter(|entry| entry.kind == EntryKind::File);
        Ok(files.map(|entry| entry.name).filter(|name| is_plain(name)))
    }

    /// Those of `names` that are not there.
    pub(super) fn removed(
        &self,
        names: &BTreeSet<Arc<str>>,
    ) -> Result<BTreeSet<Arc<str>>, StoreError> {
        self.directory.check_pin()?;
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let found: BTreeSet<String> = self.names()?.collect();
        let mut removed = BTreeSet::new();
        for name in names.iter().filter(|name| !found.contains(&***name)) {
            // A network file system may give a listing from before another process stored it.
            if !self.directory.contains(name)? {
                removed.insert(Arc::clone(name));
            }
        }
        Ok(removed)
    }
}

fn is_staged_by_crate(name: &str) -> bool {
    let Some((blob, number)) = name.rsplit_once('#') else { return false };
    is_plain(blob)
        && is_named_by_us(blob)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}
