//! A disk that fails when it is told to, for tests and simulations.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, Entry, EntryKind, HeldDirectory};

/// What is about to be done to a disk, or to an open file of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the operations of `Disk` and `DiskFile`")]
pub enum Operation {
    CreateDir,
    List,
    Kind,
    CreateFile,
    InUse,
    Read,
    Rename,
    Link,
    RemoveFile,
    RemoveDir,
    SyncDir,
    Write,
    Sync,
}

/// Decides about each operation on each path whether it fails, and how.
type Decide = Arc<dyn Fn(Operation, &Path) -> Option<io::ErrorKind> + Send + Sync>;

/// Another disk, some of whose operations fail. An operation that fails has no effect, but for a
/// write: half of its bytes arrive.
///
/// ```
/// use std::io::ErrorKind;
/// use std::sync::Arc;
/// use strandline_engine::store::{Directory, FaultyDisk, LocalDisk, Operation, StoreError};
///
/// let full = FaultyDisk::new(LocalDisk, |operation, _| {
///     (operation == Operation::Write).then_some(ErrorKind::StorageFull)
/// });
/// let there = tempfile::tempdir().unwrap();
/// let directory = Directory::on(Arc::new(full), there.path());
/// assert!(matches!(directory.replace("a", b"bytes"), Err(StoreError::NoSpace { .. })));
/// assert!(directory.list().unwrap().is_empty());
/// ```
#[derive(Clone)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    decide: Decide,
}

impl FaultyDisk {
    /// `inner`, whose operations fail when `decide` names an error for them.
    pub fn new(
        inner: impl Disk,
        decide: impl Fn(Operation, &Path) -> Option<io::ErrorKind> + Send + Sync + 'static,
    ) -> FaultyDisk {
        FaultyDisk { inner: Arc::new(inner), decide: Arc::new(decide) }
    }

    fn check(&self, operation: Operation, path: &Path) -> io::Result<()> {
        (self.decide)(operation, path).map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDisk").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.check(Operation::CreateDir, path)?;
        self.inner.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.check(Operation::List, path)?;
        self.inner.list(path)
    }
    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        self.check(Operation::Kind, path)?;
        self.inner.kind(path)
    }
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check(Operation::CreateFile, path)?;
        let inner = self.inner.create_file(path)?;
        Ok(Box::new(FaultyFile { inner, path: path.to_owned(), disk: self.clone() }))
    }
    fn in_use(&self, path: &Path) -> io::Result<bool> {
        self.check(Operation::InUse, path)?;
        self.inner.in_use(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.check(Operation::Read, path)?;
        self.inner.read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Operation::Rename, to)?;
        self.inner.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Operation::Link, to)?;
        self.inner.link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.check(Operation::RemoveFile, path)?;
        self.inner.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.check(Operation::RemoveDir, path)?;
        self.inner.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check(Operation::SyncDir, path)?;
        self.inner.sync_dir(path)
    }
    fn hold(&self, path: &Path) -> io::Result<Option<Box<dyn HeldDirectory>>> {
        self.inner.hold(path)
    }
    fn unique_number(&self) -> u64 {
        self.inner.unique_number()
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    disk: FaultyDisk,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let verdict = self.disk.check(Operation::Write, &self.path);
        if verdict.is_err() {
            self.inner.write_all(&bytes[..bytes.len() / 2])?;
        }
        verdict?;
        self.inner.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl DiskFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.check(Operation::Sync, &self.path)?;
        self.inner.sync()
    }
}
