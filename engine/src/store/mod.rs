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
//!
//! `made` makes directories, `files` is what there is to do with files, `staged` one under its hidden
//! name, `pin` a directory that must stay the one that it is. All of them go through a [`Disk`], which
//! tests make fail ([`FaultyDisk`]).

mod disk;
mod error;
mod faulty;
mod files;
mod made;
mod pin;
mod staged;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use disk::{Disk, DiskFile, Entry, EntryKind, HeldDirectory, LocalDisk};
pub use error::StoreError;
pub use faulty::{FaultyDisk, Operation};

pub(crate) use staged::STAGED_PREFIX;

use made::Shared;

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
        let shared = Shared::new(disk.unique_number(), &path);
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
            Err(error) => Err(self.failed("list", &self.path, error)),
        }
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
        self.shared.note_removed(&self.path);
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
            Err(error) => Err(self.failed("remove", &self.path, error)),
        }
    }

    /// What an error means that came from doing `action` to `path`. That something is not a directory is
    /// said of what is in the way, which may be above.
    fn failed(&self, action: &'static str, path: &Path, error: io::Error) -> StoreError {
        let is_in_the_way =
            |above: &&Path| self.disk.kind(above).is_ok_and(|kind| kind != EntryKind::Directory);
        let path = match error.kind() {
            io::ErrorKind::NotADirectory => path.ancestors().find(is_in_the_way).unwrap_or(path),
            _ => path,
        };
        StoreError::new(action, path, error)
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

#[cfg(test)]
mod tests;
