//! Small text files that options name.
//!
//! Whatever the name leads to, reading it takes neither memory nor time without end: a device may have
//! no end, and a pipe may give nothing. Pipes are read, as `/dev/stdin` and `<(…)` of a shell give
//! them, so that a secret need not be in a file.
#![expect(
    clippy::disallowed_methods,
    reason = "what is read may be a pipe, which no store has, and is not waited for without end"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use crate::clock::Clock;

/// Such a file has no more than this, in bytes: a certificate has thousands.
pub(crate) const TEXT_FILE_BYTES_MAX: usize = 1 << 20;
/// How long a pipe may take to give it.
const PIPE_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether a pipe has more.
const PIPE_POLL: Duration = Duration::from_millis(20);

/// Why there is no text; in a line, without the path.
#[derive(Debug, Error)]
pub enum TextFileError {
    /// There is no file of that name.
    #[error("there is no such file")]
    Absent,
    /// This user may not read it.
    #[error("this user may not read it")]
    Permission,
    /// It is a directory.
    #[error("is a directory; name a file")]
    Directory,
    /// It is longer than what an option may name.
    #[error("has more than {} MiB: name a file of plain text", TEXT_FILE_BYTES_MAX >> 20)]
    TooLong,
    /// A pipe that has not been closed gave nothing for too long.
    #[error(
        "nothing more has come for {} s, and it has no end yet; name a file, or a pipe whose writer \
         closes it",
        .0.as_secs()
    )]
    Silent(Duration),
    /// It has other bytes than those of text.
    #[error("is not UTF-8")]
    NotText,
    /// What else the system says.
    #[error(transparent)]
    Other(io::Error),
}

impl From<io::Error> for TextFileError {
    fn from(error: io::Error) -> TextFileError {
        match error.kind() {
            io::ErrorKind::NotFound => TextFileError::Absent,
            io::ErrorKind::PermissionDenied => TextFileError::Permission,
            _ => TextFileError::Other(error),
        }
    }
}

/// The text of a file, or of a pipe, for which this waits.
///
/// # Errors
///
/// [`TextFileError`]
pub fn read(path: &Path) -> Result<String, TextFileError> {
    read_within(path, PIPE_WITHIN)
}

fn read_within(path: &Path, limit: Duration) -> Result<String, TextFileError> {
    let mut file = open(path)?;
    if file.metadata()?.is_dir() {
        return Err(TextFileError::Directory);
    }
    let (clock, mut bytes, mut part) = (Clock::system(), Vec::new(), [0; 4 << 10]);
    loop {
        match file.read(&mut part) {
            Ok(0) => break,
            Ok(more) => bytes.extend_from_slice(&part[..more]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if clock.elapsed() >= limit {
                    return Err(TextFileError::Silent(limit));
                }
                std::thread::park_timeout(PIPE_POLL);
            }
            Err(error) => return Err(error.into()),
        }
        if bytes.len() > TEXT_FILE_BYTES_MAX {
            return Err(TextFileError::TooLong);
        }
    }
    String::from_utf8(bytes).map_err(|_| TextFileError::NotText)
}

/// Without waiting for who writes into a pipe.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_has_no_end_or_gives_nothing_is_refused() {
        use std::io::Write;

        let refused = |path: &str| read(Path::new(path)).unwrap_err().to_string();
        let endless = refused("/dev/zero");
        assert!(endless.contains("more than 1 MiB"), "{endless}");
        let directory = refused("/");
        assert!(directory.contains("is a directory"), "{directory}");
        // A shell's `<(…)` is such a name, too.
        let (pipe, mut writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pipe));
        writer.write_all(b"hunter2\n").unwrap();
        let silent = read_within(Path::new(&path), PIPE_POLL).unwrap_err().to_string();
        assert!(silent.contains("nothing more has come"), "{silent}");
        writer.write_all(b"hunter3\n").unwrap();
        drop(writer);
        assert_eq!(read(Path::new(&path)).unwrap(), "hunter3\n");
        assert_eq!(read(Path::new("/dev/null")).unwrap(), "");
    }

    #[test]
    fn a_file_has_a_mebibyte_at_most() {
        let there = tempfile::tempdir().unwrap();
        let path = there.path().join("file");
        std::fs::write(&path, vec![b'a'; TEXT_FILE_BYTES_MAX]).unwrap();
        assert_eq!(read(&path).unwrap().len(), TEXT_FILE_BYTES_MAX);
        std::fs::write(&path, vec![b'a'; TEXT_FILE_BYTES_MAX + 1]).unwrap();
        assert!(matches!(read(&path), Err(TextFileError::TooLong)));
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "is not UTF-8");
        let absent = read(&there.path().join("none")).unwrap_err();
        assert_eq!(absent.to_string(), "there is no such file");
    }
}
