//! One process at a time on a directory of checkpoints.
//!
//! The operating system holds the lock for as long as the process lives, however it ends, so that
//! nothing a killed process leaves behind can block the next one. That two jobs cannot both write
//! checkpoints does not rest on it: the numbered manifests see to that, also in object stores. It
//! turns a job that would be fenced after it has worked for a while into one that says at its
//! start what is wrong.
#![expect(
    clippy::disallowed_methods,
    reason = "a lock is held, not written, synced and renamed: the store has no such file"
)]

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::run_id::RunId;
use crate::store::{Directory, StoreError};

/// The file that is locked. Its name is not one of a blob. No job removes it: whoever holds the lock on a
/// file that was removed keeps nobody out ([`Lock::keep`]).
const LOCK_FILE: &str = ".lock";
/// What a lock says of its holder, bytes at most; a file that holds more is something else.
const LOCK_BYTES_MAX: u64 = 1 << 10;

/// A directory of checkpoints is this process's until this is dropped.
///
/// ```
/// use strandline_engine::checkpoint::lock::{Lock, LockError};
///
/// let there = tempfile::tempdir().unwrap();
/// let held = Lock::acquire(there.path())?;
/// assert!(matches!(Lock::acquire(there.path()), Err(LockError::Held { .. })));
/// drop(held);
/// Lock::acquire(there.path())?;
/// # Ok::<(), LockError>(())
/// ```
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Lock {
    directory: PathBuf,
    /// What it is held for.
    run: Option<RunId>,
    file: Mutex<File>,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// A living process has it.
    #[error(
        "{} is in use by {}: stop that process first, or name another directory",
        .directory.display(),
        match .holder { Some(holder) => holder.to_string(), None => "another process".into() }
    )]
    Held {
        /// The directory.
        directory: PathBuf,
        /// Who has it, if that was still to be read.
        holder: Option<Holder>,
        /// Which run it said to be when it took it.
        run: Option<RunId>,
    },
    /// What has its name is not a lock of ours, and is left alone.
    #[error(
        "{} is {what}, not a lock of Strandline: move it away, or name another directory",
        .path.display()
    )]
    NotALock {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Since it was taken, another file has got its name: another process may have taken that one.
    #[error(
        "{} is not the lock that this process took: stop whatever else writes in that directory, and \
         remove the file",
        .path.display()
    )]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be made or locked: no permission, a read-only or full disk, a file system
    /// without locks.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// A process that holds a lock. Its number says who it is only among those that see the same
/// processes: in another container, the number of the first is 1, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number, as it sees it itself.
    pub pid: u32,
    /// Which processes it sees, where the system says that (Linux: its PID namespace).
    pub namespace: Option<String>,
    /// What its machine or container is called.
    pub host: Option<String>,
}

impl Holder {
    /// This process.
    fn this() -> Holder {
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
        let namespace = namespace.and_then(|link| Some(link.to_str()?.to_owned()));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
        Holder { pid: std::process::id(), namespace, host }
    }

    /// `42 pid:[4026531836] greenhouse 0001790000000-5f3a9c21`
    fn to_line(&self, run: Option<RunId>) -> String {
        let known = |part: &Option<String>| part.clone().unwrap_or_else(|| UNKNOWN.to_owned());
        let run = known(&run.map(|run| run.to_string()));
        format!("{} {} {} {run}\n", self.pid, known(&self.namespace), known(&self.host))
    }

    fn parse(text: &str) -> Option<(Holder, Option<RunId>)> {
        let mut words = text.split_whitespace();
        let pid = words.next()?.parse().ok()?;
        let mut known = || Some(words.next()?.to_owned()).filter(|word| word != UNKNOWN);
        let holder = Holder { pid, namespace: known(), host: known() };
        Some((holder, known().and_then(|run| run.parse().ok())))
    }
}

/// Stands for what is not known.
const UNKNOWN: &str = "-";

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Holder { pid, namespace, host }, this) = (self, Holder::this());
        if *namespace == this.namespace && *pid == this.pid {
            f.write_str("this process itself")
        } else if *pid == this.pid && namespace.is_none() {
            write!(f, "process {pid}, perhaps of another container")
        } else if *namespace == this.namespace || namespace.is_none() {
            write!(f, "process {pid}")
        } else {
            write!(f, "a process of another container (process {pid} there")?;
            match host.as_ref().filter(|_| *host != this.host) {
                Some(host) => write!(f, ", host {host})"),
                None => f.write_str(")"),
            }
        }
    }
}

impl Lock {
    /// Takes the directory, making it if it is missing. Does not wait.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] where another process, or another lock of this process, has it, and
    /// what the disk says.
    pub fn acquire(directory: &Path) -> Result<Lock, LockError> {
        Lock::acquire_for(directory, None)
    }

    /// The same for a run, which whoever finds the directory [held](LockError::Held) hears of.
    ///
    /// # Errors
    ///
    /// As those of [`acquire`](Lock::acquire).
    pub fn acquire_for(directory: &Path, run: Option<RunId>) -> Result<Lock, LockError> {
        Directory::local(directory).create()?;
        let file = Mutex::new(Lock::open(directory, run)?);
        Ok(Lock { directory: directory.to_owned(), run, file })
    }

    /// Looks whether others are still kept out: not by a lock that has lost its name. A file that
    /// another program has removed is made anew.
    ///
    /// # Errors
    ///
    /// [`LockError::Replaced`], [`LockError::Held`], and what the disk says.
    pub fn keep(&self) -> Result<(), LockError> {
        let path = self.directory.join(LOCK_FILE);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match is_named(&file, &path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(LockError::Replaced { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *file = Lock::open(&self.directory, self.run)?;
                Ok(())
            }
            Err(error) => Err(StoreError::new("look at", &path, error).into()),
        }
    }

    /// Locks the file in a directory that is there.
    fn open(directory: &Path, run: Option<RunId>) -> Result<File, LockError> {
        let path = directory.join(LOCK_FILE);
        let failed = |action| {
            let path = path.clone();
            move |error| LockError::Failed(StoreError::new(action, &path, error))
        };
        let not_a_lock = |what| LockError::NotALock { path: path.clone(), what };
        // Not truncated: until it is locked, it is somebody else's.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = match not_following(&mut options).open(&path) {
            Ok(file) => file,
            Err(_) if path.is_symlink() => return Err(not_a_lock("a symbolic link")),
            Err(error) => return Err(failed("open")(error)),
        };
        // To read from anything else could wait for ever.
        if !file.metadata().map_err(failed("look at"))?.is_file() {
            return Err(not_a_lock("no plain file"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Some systems do not let a locked file be read; the message does without, then.
                let _ = file.read_to_string(&mut text);
                let (holder, its_run) = Holder::parse(&text).unzip();
                let (directory, run) = (directory.to_owned(), its_run.flatten());
                return Err(LockError::Held { directory, holder, run });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
        }
        if !is_ours(&mut file).map_err(failed("read"))? {
            return Err(not_a_lock("a file that something else wrote"));
        }
        // For the message of others alone, so it is not synced.
        let holder = Holder::this().to_line(run);
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(failed("write"))?;
        Ok(file)
    }
}

/// Whether `path` names the open file.
#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let number = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    Ok(number(std::fs::symlink_metadata(path)?) == number(file.metadata()?))
}

/// What is locked cannot be removed elsewhere.
#[cfg(not(unix))]
fn is_named(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// A link would lead to a file that is not ours, which would be overwritten.
#[cfg(unix)]
fn not_following(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
}

/// Only Unix has the flag.
#[cfg(not(unix))]
fn not_following(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Whether a file holds what a lock holds, or nothing: after a loss of power, it may be zeros.
fn is_ours(file: &mut File) -> std::io::Result<bool> {
    let mut bytes = Vec::new();
    file.take(LOCK_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let is_known = bytes.iter().all(|byte| *byte == 0)
        || std::str::from_utf8(&bytes).is_ok_and(|text| Holder::parse(text).is_some());
    Ok(is_known && bytes.len() as u64 <= LOCK_BYTES_MAX)
}

impl Drop for Lock {
    fn drop(&mut self) {
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        // So that nobody who is quick reads a holder that is gone.
        let _ = file.set_len(0);
        // Closing alone would not do while a process that another thread is starting still has a
        // copy of the open file.
        let _ = file.unlock();
    }
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> StoreError {
        let why = error.to_string();
        match error {
            LockError::Failed(error) => error,
            LockError::Held { directory: path, .. }
            | LockError::NotALock { path, .. }
            | LockError::Replaced { path } => StoreError::NotOurs { path, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use strandline_operators::time::EventTime;

    /// Names the directory that a process started by a test holds until it is killed.
    const HOLD: &str = "STRANDLINE_TEST_HOLD";

    /// Not a test by itself: [`holder`] runs it in another process.
    #[test]
    fn hold_until_killed() {
        let Some(directory) = std::env::var_os(HOLD) else { return };
        let _lock = Lock::acquire(Path::new(&directory)).unwrap();
        println!("\nheld");
        loop {
            std::thread::park();
        }
    }

    /// Another process that holds the directory.
    fn holder(directory: &Path) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "checkpoint::lock::tests::hold_until_killed", "--nocapture"])
            .env(HOLD, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"), "it ended without the lock");
        child
    }

    #[test]
    fn a_living_process_is_named_and_a_killed_one_blocks_nobody() {
        let there = tempfile::tempdir().unwrap();
        let directory = there.path().join("a/checkpoints");
        let mut child = holder(&directory);
        let refused = Lock::acquire(&directory).unwrap_err();
        let expected = format!("{} is in use by process {}", directory.display(), child.id());
        assert!(refused.to_string().starts_with(&expected), "{refused}");
        assert!(!refused.to_string().contains('\n'));

        child.kill().unwrap(); // SIGKILL, where there are signals
        child.wait().unwrap();
        let lock = Lock::acquire(&directory).unwrap();
        match Lock::acquire(&directory).unwrap_err() {
            LockError::Held { holder, .. } => assert_eq!(holder, Some(Holder::this())),
            other => panic!("{other}"),
        }
        drop(lock);
    }

    /// It would be overwritten, or what it leads to.
    #[test]
    fn what_is_no_lock_of_ours_is_left_alone() {
        let there = tempfile::tempdir().unwrap();
        let (lock, other) = (there.path().join(LOCK_FILE), there.path().join("other"));
        let refused = || {
            let error = Lock::acquire(there.path()).unwrap_err();
            assert!(matches!(error, LockError::NotALock { .. }), "{error}");
            let line = error.to_string();
            assert!(line.contains("move it away") && !line.contains('\n'), "{line}");
        };
        let precious = "these 12 words must not be lost, whatever a program does there\n";
        std::fs::write(&lock, precious).unwrap();
        refused();
        std::fs::rename(&lock, &other).unwrap();
        #[cfg(unix)]
        for target in [other.clone(), there.path().join("absent")] {
            std::os::unix::fs::symlink(&target, &lock).unwrap();
            refused();
            std::fs::remove_file(&lock).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&other).unwrap(), precious);
        assert!(!there.path().join("absent").exists());
        for known in ["", "42\n", "42 pid:[4026531836] greenhouse\n", "\0\0\0"] {
            std::fs::write(&lock, known).unwrap();
            drop(Lock::acquire(there.path()).unwrap());
        }
    }

    #[test]
    fn a_lock_that_was_dropped_is_free() {
        let there = tempfile::tempdir().unwrap();
        drop(Lock::acquire(there.path()).unwrap());
        drop(Lock::acquire(there.path()).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_has_lost_its_name_is_taken_anew_unless_another_file_has_it() {
        let there = tempfile::tempdir().unwrap();
        let own_run = Some(RunId::new(EventTime::from_millis(7), 7));
        let lock = Lock::acquire_for(there.path(), own_run).unwrap();
        lock.keep().unwrap();
        let path = there.path().join(LOCK_FILE);
        std::fs::remove_file(&path).unwrap();
        lock.keep().unwrap();
        let refused = Lock::acquire(there.path()).unwrap_err();
        assert!(
            matches!(refused, LockError::Held { run, .. } if run == own_run),
            "others are kept out again, and hear of the same run: {refused}"
        );
        std::fs::remove_file(&path).unwrap();
        let other = Lock::acquire(there.path()).unwrap();
        let error = lock.keep().unwrap_err();
        assert!(matches!(error, LockError::Replaced { .. }), "{error}");
        assert!(error.to_string().contains("remove the file"), "{error}");
        drop(other);
        std::fs::remove_file(&path).unwrap();
        lock.keep().unwrap();
    }

    #[test]
    fn who_was_refused_has_not_erased_the_holder() {
        let there = tempfile::tempdir().unwrap();
        let _lock = Lock::acquire(there.path()).unwrap();
        for _ in 0..2 {
            let LockError::Held { holder, .. } = Lock::acquire(there.path()).unwrap_err() else {
                panic!("it is held")
            };
            assert_eq!(holder, Some(Holder::this()));
        }
    }

    #[test]
    fn a_process_of_another_container_is_not_taken_for_one_of_here() {
        let this = Holder::this();
        let pid = this.pid;
        assert_eq!(this.to_string(), "this process itself");
        assert_eq!(Holder::parse(&this.to_line(None)), Some((this.clone(), None)));
        let run = Some(RunId::new(EventTime::from_millis(7), 7));
        assert_eq!(Holder::parse(&this.to_line(run)), Some((this.clone(), run)));
        let other = Holder {
            namespace: Some("pid:[7]".to_owned()),
            host: Some("job-0".to_owned()),
            ..this.clone()
        };
        let expected = format!("a process of another container (process {pid} there, host job-0)");
        assert_eq!(other.to_string(), expected);
        // What versions before this one wrote.
        let (old, run) = Holder::parse("1\n").unwrap();
        assert_eq!(run, None);
        assert_eq!((old.pid, &old.namespace, &old.host), (1, &None, &None));
        assert_eq!(old.to_string(), "process 1");
        assert_eq!(Holder::parse("\n"), None);
    }

    #[test]
    fn what_is_no_directory_is_named() {
        let there = tempfile::tempdir().unwrap();
        let file = there.path().join("file");
        File::create(&file).unwrap();
        let error = Lock::acquire(&file).unwrap_err();
        assert!(matches!(error, LockError::Failed(StoreError::NotADirectory { .. })), "{error}");
    }
}
