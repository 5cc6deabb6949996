//! Why a file operation failed, in one line that says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file operation failed. All but [`Name`](Self::Name) may be over when whatever is in the
/// way has been mended: whoever still has the bytes can try again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full, or the quota is used up.
    #[error("no space left to write {}: free some space on that disk", .path.display())]
    NoSpace {
        /// What was to be written.
        path: PathBuf,
    },
    /// The file system takes no writes at all.
    #[error(
        "cannot write {}: the file system is read-only; remount it, or choose another directory",
        .path.display()
    )]
    ReadOnly {
        /// What was to be written.
        path: PathBuf,
    },
    /// The user of this process may not do that.
    #[error(
        "permission denied for {}: give this user write access there, or choose another directory",
        .path.display()
    )]
    Permission {
        /// What was to be touched.
        path: PathBuf,
    },
    /// Something that is not a directory has a directory's name.
    #[error(
        "{} is not a directory: move it away, or choose another directory",
        .path.display()
    )]
    NotADirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// A file that must not be replaced has the name already.
    #[error("{} already exists and is not replaced: move it away", .path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// A staged file was removed by someone else before it was committed.
    #[error(
        "{} was removed while it was being written: let nothing else clean up in there",
        .path.display()
    )]
    Vanished {
        /// The staged file.
        path: PathBuf,
    },
    /// The directory is not the one that it was.
    #[error(
        "{} is not the directory that this job began with: it was removed or replaced, or its volume is \
         not mounted; bring it back there, and the job goes on; or stop the job and start it over",
        .path.display()
    )]
    Replaced {
        /// The directory.
        path: PathBuf,
    },
    /// Something in the directory says that it is another job's.
    #[error("{} may be another job's: {why}", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What says so, and what to do.
        why: String,
    },
    /// A name that is not one plain name in a directory.
    #[error(
        "`{}` cannot name a file: use a name without `/`, `\\` and NUL, other than `.` and `..`",
        .name.escape_debug()
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Anything else.
    #[error(
        "cannot {action} {}: {source}; check that disk, or choose another directory",
        .path.display()
    )]
    Other {
        /// What was to be done, such as `rename`.
        action: &'static str,
        /// What was to be touched.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl StoreError {
    /// What `source`, which came from doing `action` to `path`, means to a user.
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> StoreError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::NoSpace { path }
            }
            io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { path },
            io::ErrorKind::PermissionDenied => StoreError::Permission { path },
            io::ErrorKind::NotADirectory => StoreError::NotADirectory { path },
            _ => StoreError::Other { action, path, source },
        }
    }
}
