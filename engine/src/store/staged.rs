//! Files that nobody sees until they are complete.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, EntryKind};
use super::error::StoreError;

/// What the names of staged files begin with: hidden from `ls`, and passed over by readers of
/// Parquet folders, which also look at the suffix.
pub(super) const STAGED_PREFIX: &str = ".strandline-staged-";

/// A file being written under a hidden name, in the directory that it will be in.
///
/// [`seal`](Self::seal) completes it. Dropped before that, it is removed.
#[derive(Debug)]
pub struct StagedFile {
    file: Box<dyn DiskFile>,
    names: Names,
}

/// A complete file that is on the medium under a hidden name.
///
/// [`commit`](Self::commit) makes it visible. Dropped before that, it stays hidden, because
/// somebody may have been promised it; nobody was, if it is found as a leftover. While it is kept
/// it is marked as in use, so that no other process takes it for one.
#[derive(Debug)]
pub struct SealedFile {
    names: Names,
    /// Only held: it keeps the mark.
    _file: Box<dyn DiskFile>,
}

#[derive(Debug)]
struct Names {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    staged: PathBuf,
    visible: PathBuf,
    /// Whether it is removed when it is dropped.
    unfinished: bool,
    renamed: bool,
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
            directory: directory.to_owned(),
            staged: directory.join(staged),
            visible: directory.join(visible),
            unfinished: true,
            renamed: false,
        };
        let file = disk
            .create_file(&names.staged)
            .map_err(|error| StoreError::new("create", &names.visible, error))?;
        Ok(StagedFile { file, names })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// Such as a full disk. The file is then of no more use: drop it.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(bytes)
            .map_err(|error| StoreError::new("write", &self.names.visible, error))
    }

    /// Makes the file visible as it is, in place of one that has its name, without waiting for the
    /// medium: after a loss of power, the old one may be there, or part of this one.
    ///
    /// # Errors
    ///
    /// Such as a full disk. The file is then gone.
    pub fn publish(mut self) -> Result<(), StoreError> {
        self.file.flush().map_err(|error| StoreError::new("write", &self.names.visible, error))?;
        self.names.rename()?;
        self.names.unfinished = false;
        Ok(())
    }

    /// Completes the file: returns when its bytes are on the medium.
    ///
    /// # Errors
    ///
    /// Such as a full disk. The file is then gone: write it again (a second sync after one that
    /// failed may succeed without having written anything).
    pub fn seal(mut self) -> Result<SealedFile, StoreError> {
        self.file
            .flush()
            .and_then(|()| self.file.sync())
            .map_err(|error| StoreError::new("sync", &self.names.visible, error))?;
        self.names.unfinished = false;
        Ok(SealedFile { names: self.names, _file: self.file })
    }
}

impl SealedFile {
    /// The name under which it is hidden, in the directory that it will be in.
    pub fn hidden_name(&self) -> String {
        let name = self.names.staged.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Returns when its hidden name is on the medium too. Without that, a file may be found by
    /// nobody after a power loss, although its bytes are there: call this before anybody is
    /// promised the file.
    ///
    /// # Errors
    ///
    /// What the disk says. May be called again.
    pub fn sync_name(&mut self) -> Result<(), StoreError> {
        let names = &self.names;
        names
            .disk
            .sync_dir(&names.directory)
            .map_err(|error| StoreError::new("sync", &names.directory, error))
    }

    /// Makes the file visible, in place of one that has its name: returns when that is on the
    /// medium. May be called again after an error, and after a success.
    ///
    /// # Errors
    ///
    /// [`StoreError::Vanished`]: the staged file is gone, write it again. After any other error
    /// call this again: the file may be visible already, so it must not be written again.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.names.rename()?;
        let names = &self.names;
        names
            .disk
            .sync_dir(&names.directory)
            .map_err(|error| StoreError::new("sync", &names.directory, error))
    }
}

impl Names {
    fn rename(&mut self) -> Result<(), StoreError> {
        if self.renamed {
            return Ok(());
        }
        match self.disk.rename(&self.staged, &self.visible) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
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
        self.renamed = true;
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
