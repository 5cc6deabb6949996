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
    /// A directory has a file's name.
    #[error("{} is a directory, and a file has to be there: move it away", .path.display())]
    IsADirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// A symbolic link without what it leads to has a directory's name.
    #[error(
        "{} is a symbolic link that leads nowhere: make the directory that it leads to, or remove the link",
        .path.display()
    )]
    LeadsNowhere {
        /// The link.
        path: PathBuf,
    },
    /// The file system is none in which directories can be made, such as that of processes.
    #[error("no directory can be made at {}: choose another directory", .path.display())]
    NothingCanBeMade {
        /// What was to be made.
        path: PathBuf,
    },
    /// A name is longer than the file system takes, or has characters that it does not take.
    #[error(
        "cannot use {}: the file system does not take a name of it, most take 255 bytes; choose a \
         shorter one",
        .path.display()
    )]
    BadName {
        /// What has the name.
        path: PathBuf,
    },
    /// The process, or the whole computer, has as many files open as it may.
    #[error(
        "cannot open {}: too many files are open; raise the limit on open files (`ulimit -n`, or \
         LimitNOFILE of a service)",
        .path.display()
    )]
    TooManyOpen {
        /// What was to be opened.
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
            io::ErrorKind::IsADirectory => StoreError::IsADirectory { path },
            io::ErrorKind::InvalidFilename => StoreError::BadName { path },
            _ if are_too_many_open(&source) => StoreError::TooManyOpen { path },
            _ => StoreError::Other { action, path, source },
        }
    }
}

/// Whether there are no descriptors left, of the process or of the computer.
#[cfg(unix)]
fn are_too_many_open(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Only Unix has such a limit.
#[cfg(not(unix))]
fn are_too_many_open(_: &io::Error) -> bool {
    false
}
