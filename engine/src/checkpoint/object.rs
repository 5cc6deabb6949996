//! Blobs in a directory, or in S3 and what speaks its protocol.
//!
//! Into a directory a blob is put by [`Directory::publish_new`]: written beside its place, synced,
//! hard-linked to its name (which the operating system refuses if the name is taken), and the
//! directory is synced. Into S3 it is put by one request with `If-None-Match: *`. That and all reading
//! are the crate `object_store`'s. What this module adds is the difference between what that
//! promises and what [`Blobs`] does: who is told that a name is taken can rely on what is there, a
//! listing that nothing foreign breaks, and errors that say what to do.

mod local;
#[cfg(feature = "s3")]
mod s3;

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use self::local::Local;
use super::blobs::{BlobEntry, BlobError, Blobs};
use super::lock::{Lock, LockError};
use crate::store::{Directory, StoreError};

/// How much of what a server says is passed on, characters.
const SAID_CHARS_MAX: usize = 300;
/// The longest object that S3 takes in one request, bytes.
#[cfg(feature = "s3")]
const PUT_BYTES_MAX: usize = 5 << 30;

/// Blobs in a directory or an object store. It has a small runtime of its own: its methods must
/// not be called from within another one.
///
/// ```
/// use strandline_engine::checkpoint::blobs::{BlobError, Blobs};
/// use strandline_engine::checkpoint::object::ObjectBlobs;
///
/// let there = tempfile::tempdir().unwrap();
/// let blobs = ObjectBlobs::open(there.path().join("checkpoints").to_str().unwrap())?;
/// blobs.put_new("manifest-1", b"first".to_vec().into())?;
/// let again = blobs.put_new("manifest-1", b"second".to_vec().into());
/// assert!(matches!(again, Err(BlobError::Taken { .. })));
/// assert_eq!(blobs.get("manifest-1")?, b"first");
/// # Ok::<(), BlobError>(())
/// ```
#[derive(Debug)]
pub struct ObjectBlobs {
    place: String,
    kind: Kind,
    runtime: Runtime,
}

#[derive(Debug)]
enum Kind {
    Local(Local),
    #[cfg(feature = "s3")]
    S3(s3::Bucket),
}

impl ObjectBlobs {
    /// The blobs at `place`: the path of a directory, or a URL such as `s3://bucket/prefix`, for
    /// which credentials, region and endpoint come from the usual variables (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`). Nothing is touched yet.
    ///
    /// # Errors
    ///
    /// [`BlobError::Failed`] where a URL is of another kind, or this build does not know S3 (its
    /// feature `s3`).
    pub fn open(place: &str) -> Result<ObjectBlobs, BlobError> {
        let refused = |reason: &str| {
            Err(BlobError::Failed { place: place.to_owned(), reason: reason.to_owned() })
        };
        match place.split_once("://") {
            None => ObjectBlobs::local(place),
            #[cfg(feature = "s3")]
            Some(("s3", rest)) => ObjectBlobs::s3(place, s3::Bucket::from_env(rest)),
            #[cfg(not(feature = "s3"))]
            Some(("s3", _)) => refused(
                "this build cannot keep checkpoints in S3: build it with `--features s3`, or name \
                 a directory",
            ),
            Some(_) => refused("checkpoints go to a directory, or to s3://BUCKET/PREFIX"),
        }
    }

    /// The blobs in a directory, which is made when the first one is stored.
    ///
    /// # Errors
    ///
    /// [`BlobError::Failed`] where the system is out of resources.
    pub fn local(path: impl Into<PathBuf>) -> Result<ObjectBlobs, BlobError> {
        ObjectBlobs::within(Directory::local(path))
    }

    fn within(directory: Directory) -> Result<ObjectBlobs, BlobError> {
        let place = directory.path().display().to_string();
        // The file operations leave for threads that are there while they are needed.
        let runtime = started(&place, tokio::runtime::Builder::new_current_thread().build())?;
        let kind = Kind::Local(Local::new(directory));
        Ok(ObjectBlobs { place, kind, runtime })
    }

    #[cfg(feature = "s3")]
    fn s3(
        place: &str,
        bucket: Result<s3::Bucket, object_store::Error>,
    ) -> Result<ObjectBlobs, BlobError> {
        let bucket = bucket.map_err(|error| BlobError::Failed {
            place: place.to_owned(),
            reason: said_in_a_line(&error),
        })?;
        // A thread, so that somebody notices when a server closes a connection that is not used.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("checkpoints").enable_all();
        let runtime = started(place, builder.build())?;
        Ok(ObjectBlobs { place: place.to_owned(), kind: Kind::S3(bucket), runtime })
    }

    /// The directory, where it is one.
    pub fn directory(&self) -> Option<&FilePath> {
        match &self.kind {
            Kind::Local(local) => Some(local.directory.path()),
            #[cfg(feature = "s3")]
            Kind::S3(_) => None,
        }
    }

    /// Takes the directory for this process, which must stay the one that it is, for as long as this is
    /// there. Nothing to do in an object store.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] where another process has it, and what the disk says.
    pub fn take(&self) -> Result<(), LockError> {
        let Some(path) = self.directory() else { return Ok(()) };
        let lock = Lock::acquire(path)?;
        match &self.kind {
            Kind::Local(local) => Ok(local.directory.pin(move || Ok(lock.keep()?))?),
            #[cfg(feature = "s3")]
            Kind::S3(_) => Ok(()),
        }
    }

    /// Tries whether blobs can be stored there. In an object store it also tries that a name is
    /// not given twice, which not all of them know: nothing else would notice until two
    /// coordinators had replaced each other's manifests.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub fn check_writable(&self) -> Result<(), BlobError> {
        match &self.kind {
            Kind::Local(local) => {
                local.directory.check_writable().map_err(|error| self.failed_as(&error))
            }
            #[cfg(feature = "s3")]
            Kind::S3(_) => {
                let name = format!("probe-{:016x}", s3::random());
                self.put_new(&name, b"1".to_vec().into())?;
                let again = self.put_new(&name, b"2".to_vec().into());
                self.delete(&name)?;
                match again {
                    Err(BlobError::Taken { .. }) => Ok(()),
                    Err(error) => Err(error),
                    Ok(()) => Err(self.failed_as(
                        &"the store replaces what must not be replaced (it ignores If-None-Match): \
                          use one that knows conditional writes, or a directory",
                    )),
                }
            }
        }
    }

    /// Whether the file system has refused to sync a directory: see [`Directory::refuses_sync`].
    pub fn refuses_sync(&self) -> bool {
        match &self.kind {
            Kind::Local(local) => local.directory.refuses_sync(),
            #[cfg(feature = "s3")]
            Kind::S3(_) => false,
        }
    }

    /// Removes what a process left behind that died while it stored a blob; returns how many files
    /// it was. Nothing to do in an object store.
    ///
    /// # Errors
    ///
    /// The first that could not be removed.
    pub fn remove_leftovers(&self) -> Result<usize, BlobError> {
        match &self.kind {
            Kind::Local(local) => local.remove_leftovers().map_err(|error| self.failed_as(&error)),
            #[cfg(feature = "s3")]
            Kind::S3(_) => Ok(0),
        }
    }

    /// The store that reads, and the path of a blob in it; [`BlobError::Absent`] where there is no
    /// directory.
    fn reading(&self, name: &str) -> Result<(Arc<dyn ObjectStore>, Path), BlobError> {
        if !is_plain(name) {
            return Err(self.not_plain(name));
        }
        match &self.kind {
            Kind::Local(local) => match local.open() {
                Ok(Some(store)) => Ok((store, Path::from(name))),
                Ok(None) => Err(self.absent(name)),
                Err(error) => Err(self.failed("open", name, &error)),
            },
            #[cfg(feature = "s3")]
            Kind::S3(bucket) => Ok((bucket.reading(), bucket.path(name))),
        }
    }

    /// What follows when the store says that `name` is taken.
    fn taken(&self, name: &str) -> BlobError {
        match &self.kind {
            // Whoever took it may not have got to syncing the directory, or failed in it.
            Kind::Local(local) => {
                if let Err(error) = local.directory.sync() {
                    return self.failed_as(&error);
                }
            }
            // S3 says nearly the same where two requests collided, and neither may have won.
            #[cfg(feature = "s3")]
            Kind::S3(bucket) => {
                let there = self.runtime.block_on(bucket.reading().head(&bucket.path(name)));
                match there {
                    Ok(_) => {}
                    Err(object_store::Error::NotFound { .. }) => {
                        return self.failed_as(&format!(
                            "cannot write {name}: another write was under way; try again"
                        ));
                    }
                    Err(error) => return self.failed("write", name, &error),
                }
            }
        }
        BlobError::Taken { place: self.place.clone(), name: name.to_owned() }
    }

    fn absent(&self, name: &str) -> BlobError {
        BlobError::Absent { place: self.place.clone(), name: name.to_owned() }
    }

    fn not_plain(&self, name: &str) -> BlobError {
        self.failed_as(&format!(
            "`{}` cannot name a blob: use letters, digits, `-`, `_` and `.`, not beginning with `.`",
            name.escape_debug()
        ))
    }

    fn failed_as(&self, reason: &impl ToString) -> BlobError {
        BlobError::Failed { place: self.place.clone(), reason: reason.to_string() }
    }

    /// What an error means that came from doing `action` to `name`.
    fn failed(&self, action: &'static str, name: &str, error: &object_store::Error) -> BlobError {
        match &self.kind {
            Kind::Local(local) => match io_error(error) {
                Some(error) => {
                    self.failed_as(&store_error(action, &local.directory.path().join(name), error))
                }
                None => {
                    self.failed_as(&format!("cannot {action} {name}: {}", said_in_a_line(error)))
                }
            },
            #[cfg(feature = "s3")]
            Kind::S3(_) => self.failed_as(&format!(
                "cannot {action} {name}: {}; {}",
                said_in_a_line(error),
                s3::advice(error)
            )),
        }
    }
}

impl Blobs for ObjectBlobs {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), BlobError> {
        if !is_plain(name) {
            return Err(self.not_plain(name));
        }
        match &self.kind {
            Kind::Local(local) => match local.directory.publish_new(name, &bytes) {
                // Who stores something there has begun, and goes on nowhere else.
                Ok(()) => local.directory.pin(|| Ok(())).map_err(|error| self.failed_as(&error)),
                Err(StoreError::Exists { .. }) => Err(self.taken(name)),
                Err(error) => Err(self.failed_as(&error)),
            },
            #[cfg(feature = "s3")]
            Kind::S3(_) if PUT_BYTES_MAX < bytes.len() => Err(BlobError::Failed {
                place: self.place.clone(),
                reason: format!(
                    "{name} has {} bytes, and S3 takes {PUT_BYTES_MAX} in one request: run the job on \
                     more processes (-n), each of which stores its own part",
                    bytes.len()
                ),
            }),
            #[cfg(feature = "s3")]
            Kind::S3(bucket) => match self.runtime.block_on(bucket.put_new(name, bytes)) {
                Ok(()) => Ok(()),
                Err(object_store::Error::AlreadyExists { .. }) => Err(self.taken(name)),
                Err(error) => Err(self.failed("write", name, &error)),
            },
        }
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError> {
        let (store, path) = self.reading(name)?;
        let got = self.runtime.block_on(async { store.get(&path).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(bytes.into()),
            Err(object_store::Error::NotFound { .. }) => Err(self.absent(name)),
            Err(error) => Err(self.failed("read", name, &error)),
        }
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let (store, path) = self.reading(name)?;
        let got = self.runtime.block_on(async {
            // No store takes an empty range; all of them say whether the blob is that long.
            let has = store.head(&path).await?.size;
            if has < range.end || range.is_empty() {
                return Ok((has, Vec::new()));
            }
            store.get_range(&path, range.clone()).await.map(|bytes| (has, bytes.into()))
        });
        match got {
            Ok((has, bytes)) => {
                let wanted = range.end.checked_sub(range.start);
                if range.end <= has && wanted == Some(bytes.len() as u64) {
                    return Ok(bytes);
                }
                let Range { start, end } = range;
                Err(self.failed_as(&format!(
                    "{name} has {has} bytes, and those from {start} to {end} were asked for: it is \
                     damaged"
                )))
            }
            Err(object_store::Error::NotFound { .. }) => Err(self.absent(name)),
            Err(error) => Err(self.failed("read", name, &error)),
        }
    }

    fn list(&self) -> Result<Vec<BlobEntry>, BlobError> {
        let mut entries = match &self.kind {
            Kind::Local(local) => {
                let mut entries = Vec::new();
                for name in local.names().map_err(|error| self.failed_as(&error))? {
                    let (store, path) = self.reading(&name)?;
                    match self.runtime.block_on(store.head(&path)) {
                        Ok(meta) => entries.push(BlobEntry { name, bytes: meta.size }),
                        // Removed meanwhile.
                        Err(object_store::Error::NotFound { .. }) => {}
                        Err(error) => return Err(self.failed("look at", &name, &error)),
                    }
                }
                entries
            }
            #[cfg(feature = "s3")]
            Kind::S3(bucket) => self
                .runtime
                .block_on(bucket.list())
                .map_err(|error| self.failed("list", "it", &error))?,
        };
        entries.retain(|entry| is_plain(&entry.name));
        entries.sort_unstable();
        Ok(entries)
    }

    fn removed(&self, names: &BTreeSet<Arc<str>>) -> Result<BTreeSet<Arc<str>>, BlobError> {
        match &self.kind {
            Kind::Local(local) => local.removed(names).map_err(|error| self.failed_as(&error)),
            #[cfg(feature = "s3")]
            Kind::S3(_) => Ok(BTreeSet::new()),
        }
    }

    fn delete(&self, name: &str) -> Result<(), BlobError> {
        let (store, path) = match self.reading(name) {
            Err(BlobError::Absent { .. }) => return Ok(()),
            other => other?,
        };
        match self.runtime.block_on(store.delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", name, &error)),
        }
    }
}

fn started(place: &str, runtime: io::Result<Runtime>) -> Result<Runtime, BlobError> {
    runtime.map_err(|error| BlobError::Failed {
        place: place.to_owned(),
        reason: format!("cannot start a thread: {error}; raise the limit on threads or memory"),
    })
}

/// Whether a blob may be called that.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// What the operating system said, if it was the operating system.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    match error.source().and_then(io_error) {
        None => error.downcast_ref(),
        deepest => deepest,
    }
}

/// The words for an error of the operating system.
fn store_error(action: &'static str, path: &FilePath, error: &io::Error) -> StoreError {
    let copy = match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    };
    StoreError::new(action, path, copy)
}

/// An error and its causes, such as that this computer has no certificates of authorities, in one line of a
/// bearable length.
fn said_in_a_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        behind = cause.source();
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SAID_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
