//! Where checkpoints are kept: a flat set of named blobs.
//!
//! That is what object stores and directories have in common. Two operations carry the promises:
//! [`put_new`](Blobs::put_new) never replaces anything, so of two coordinators that write the same
//! number one loses; and when it returns, the blob is durable.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// A blob in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobEntry {
    /// Its name.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
}

/// Named blobs. All methods may block, and can be called from any thread.
///
/// Names are plain: letters, digits, `-`, `_`, `.`; not beginning with `.`.
pub trait Blobs: Send + Sync + fmt::Debug + 'static {
    /// What to call it in messages: a path or a URL.
    fn place(&self) -> String;

    /// Stores a blob under a name that is not taken. When this returns, it is complete and durable;
    /// whoever reads meanwhile finds all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`BlobError::Taken`]: there is one of that name, and it is untouched. After any other error
    /// it may be there or not, complete: ask with [`get`](Self::get).
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), BlobError>;

    /// The bytes of a blob.
    ///
    /// # Errors
    ///
    /// [`BlobError::Absent`], and what the store says.
    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError>;

    /// Some of the bytes of a blob.
    ///
    /// # Errors
    ///
    /// [`BlobError::Absent`]; [`BlobError::Failed`] also where the blob is shorter than that.
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, BlobError>;

    /// All blobs, sorted by name; none, where nothing was ever stored. What others put there is
    /// left out if its name is not plain.
    ///
    /// # Errors
    ///
    /// What the store says.
    fn list(&self) -> Result<Vec<BlobEntry>, BlobError>;

    /// Those of `names` that were stored and are not there any more, because another program has removed
    /// them. Unless a store says otherwise, that does not happen in it: in an object store, to ask would
    /// cost a request for each checkpoint.
    ///
    /// # Errors
    ///
    /// What the store says; where it is not the place that it was, that it is another one.
    fn removed(&self, _names: &BTreeSet<Arc<str>>) -> Result<BTreeSet<Arc<str>>, BlobError> {
        Ok(BTreeSet::new())
    }

    /// Removes a blob; one that is absent is no error.
    ///
    /// # Errors
    ///
    /// What the store says.
    fn delete(&self, name: &str) -> Result<(), BlobError>;
}

/// Why a store of blobs did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There is a blob of that name already.
    #[error("{place} already holds {name}")]
    Taken {
        /// The store.
        place: String,
        /// The name.
        name: String,
    },
    /// There is no blob of that name.
    #[error("{place} does not hold {name}")]
    Absent {
        /// The store.
        place: String,
        /// The name.
        name: String,
    },
    /// Anything else: a full disk, no permission, no network. One line that says what to do where
    /// that is known. Trying again may help.
    #[error("{place}: {reason}")]
    Failed {
        /// The store.
        place: String,
        /// What was being done, what the store said, and what to do.
        reason: String,
    },
}

/// Stores a blob that only this run writes under its name: if it is there already, an earlier try
/// succeeded without saying so, unless it is another one.
pub(crate) fn put(blobs: &dyn Blobs, name: &str, bytes: &Bytes) -> Result<(), BlobError> {
    match blobs.put_new(name, bytes.clone()) {
        Err(BlobError::Taken { .. }) if blobs.get(name)? == *bytes => Ok(()),
        result => result,
    }
}
