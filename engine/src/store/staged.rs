//! Files that nobody sees until they are complete.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, EntryKind};
use super::error::StoreError;

/// What the names of staged files begin with: hidden from `ls`, and passed over by readers of
/// Parquet folders, which also look at the suffix.
pub(crate) const STAGED_PREFIX: &str = ".strandline-staged-";

/// A file being written under a hidden name, in the directory that it will be in. Dropped before it
/// has its own name, it is removed.
#[derive(Debug)]
pub(super) struct StagedFile {
    file: Box<dyn DiskFile>,
    names: Names,
}

#[derive(Debug)]
struct Names {
    disk: Arc<dyn Disk>,
    staged: PathBuf,
    visible: PathBuf,
    /// Whether it is removed when it is dropped.
    unfinished: bool,
}

impl StagedFile {
    /// Begins a file; `directory` exists.
    pub(super) fn create(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        staged: &str,
        visible: &str,
    ) -> Result<StagedFile, StoreError> {
        let names = Names {
            disk: Arc::clone(disk),
            staged: directory.join(staged),
            visible: directory.join(visible),
            unfinished: true,
        };
        let file = disk
            .create_file(&names.staged)
            .map_err(|error| StoreError::new("create", &names.visible, error))?;
        Ok(StagedFile { file, names })
    }

    /// Appends `bytes`. After an error (such as a full disk) the file is of no more use: drop it.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(|error| StoreError::new("write", &self.names.visible, error))
    }

    /// Makes the file visible as it is, in place of one that has its name, without waiting for the
    /// medium: after a loss of power, the old one may be there, or part of this one. After an error
    /// the file is gone.
    pub(super) fn publish(mut self) -> Result<(), StoreError> {
        self.file.flush().map_err(|error| StoreError::new("write", &self.names.visible, error))?;
        self.names.rename()
    }

    /// Makes the file visible, in place of one that has its name, when its bytes are on the medium.
    /// After an error the file is gone, unless it is visible.
    pub(super) fn commit(mut self) -> Result<(), StoreError> {
        self.sync()?;
        self.names.rename()
    }

    /// Makes the file visible, when its bytes are on the medium, if there is none that has its name.
    pub(super) fn commit_new(mut self) -> Result<(), StoreError> {
        self.sync()?;
        // The hidden name is removed when this is dropped.
        let Names { disk, staged, visible, .. } = &self.names;
        disk.link(staged, visible).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { path: visible.clone() },
            _ => StoreError::new("give a file the name", visible, error),
        })
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.file
            .flush()
            .and_then(|()| self.file.sync())
            .map_err(|error| StoreError::new("sync", &self.names.visible, error))
    }
}

impl Names {
    fn rename(&mut self) -> Result<(), StoreError> {
        match self.disk.rename(&self.staged, &self.visible) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.unfinished = false;
                return Err(StoreError::Vanished { path: self.staged.clone() });
            }
            Err(error) => {
                // A network file system may report the failure of a rename that has happened.
                let staged = self.disk.kind(&self.staged);
                let gone = staged.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
                let visible = matches!(self.disk.kind(&self.visible), Ok(EntryKind::File));
                if !(gone && visible) {
                    return Err(StoreError::new("rename a file to", &self.visible, error));
                }
            }
        }
        self.unfinished = false;
        Ok(())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        if self.unfinished {
            // If this fails, the next start finds the leftover.
            let _ = self.disk.remove_file(&self.staged);
        }
    }
}
