//! The few operations on files that everything else is made of.
//!
//! They are a trait, so that a test or a simulation can put a disk underneath that fails, fills up
//! or forgets what was not synced ([`FaultyDisk`](super::FaultyDisk)). What makes a sequence of
//! them safe is not here but in [`Directory`](super::Directory), so that it is tested too.
#![expect(clippy::disallowed_methods, reason = "this is where files are touched")]

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::Path;

/// What a name in a directory stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a socket.
    Other,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without the directory's path.
    pub name: String,
    /// What it stands for. A link is not followed.
    pub kind: EntryKind,
}

/// A file being written. Closed when dropped.
pub trait DiskFile: Write + Send + fmt::Debug {
    /// Returns when everything written so far is on the medium.
    ///
    /// # Errors
    ///
    /// The operating system's. What was written may then be lost, even if a later call succeeds:
    /// write the file again.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory that is held open, so that it can be told from another one in its place: one that is made
/// anew may get the number of one that was removed, but not while that is open.
pub trait HeldDirectory: Send + Sync + fmt::Debug {
    /// Whether `path` leads to it.
    ///
    /// # Errors
    ///
    /// The operating system's. That there is nothing is none.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
}

/// Where files are. Each operation is one call of the operating system, or little more.
///
/// All errors are the operating system's.
#[expect(clippy::missing_errors_doc, reason = "said once for all of them")]
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Makes a directory in one that exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// What is in a directory, in any order. Names that are not Unicode are left out: no file of
    /// ours has one.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// What is at `path`; links are followed.
    fn kind(&self, path: &Path) -> io::Result<EntryKind>;
    /// Makes a file that must not exist yet, and marks it as [in use](Self::in_use) until it is
    /// closed.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Whether a living process, this one too, has the file open since it created it. `true` where
    /// that cannot be found out.
    fn in_use(&self, path: &Path) -> io::Result<bool>;
    /// Removes a file unless it is [in use](Self::in_use). Whether it did.
    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        if self.in_use(path)? {
            return Ok(false);
        }
        self.remove_file(path).map(|()| true)
    }
    /// The bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Gives a file another name, atomically, in place of a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, unless there is something of that name. A disk that knows no
    /// second names is [unsupported](io::ErrorKind::Unsupported).
    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file, or a link (not what it points to).
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory that is empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in a directory are on the medium.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Holds a directory open; `None` where one cannot be told from another.
    fn hold(&self, _path: &Path) -> io::Result<Option<Box<dyn HeldDirectory>>> {
        Ok(None)
    }

    /// A number for the hidden names of one user of this disk, which no other user has. It is
    /// random; a simulation, which has to be able to repeat itself, gives its own.
    fn unique_number(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }
}

/// How often a file is created that other processes take for a leftover, a number of tries.
const CREATE_TRIES_MAX: usize = 32;

/// The computer's own file systems.
#[derive(Copy, Clone, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, kind: kind_of(entry.file_type()?) });
            }
        }
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        Ok(kind_of(fs::metadata(path)?.file_type()))
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        for _ in 0..CREATE_TRIES_MAX {
            let file = OpenOptions::new().write(true).create_new(true).open(path)?;
            // The operating system gives the lock back when the process dies, however it dies.
            // Without locks (some network file systems) nothing is lost but the tidying up of
            // leftovers.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                // Another process has taken it for a leftover, and holds the lock until it has
                // removed it.
                file.lock()?;
            }
            if has_name(&file)? {
                return Ok(Box::new(file));
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    fn in_use(&self, path: &Path) -> io::Result<bool> {
        match File::open(path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Ok(true),
        }
    }

    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        match file.try_lock() {
            // Removed while the lock is held: a process that has created it, but has not locked it
            // yet, waits for the lock and sees that its file is gone.
            Ok(()) => fs::remove_file(path).map(|()| true),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Ok(false),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // Only Unix opens a directory as a file.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    #[cfg(unix)]
    fn hold(&self, path: &Path) -> io::Result<Option<Box<dyn HeldDirectory>>> {
        Ok(Some(Box::new(File::open(path)?)))
    }
}

#[cfg(unix)]
impl HeldDirectory for File {
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match fs::metadata(path) {
            Ok(there) => Ok(number(there) == number(self.metadata()?)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Whether an open file still has a name.
#[cfg(unix)]
fn has_name(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 0)
}

/// A file that is open cannot be removed elsewhere.
#[cfg(not(unix))]
fn has_name(_: &File) -> io::Result<bool> {
    Ok(true)
}

fn kind_of(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}
