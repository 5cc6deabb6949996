//! What a scribe cannot do just now.

use crate::checkpoint::blobs::BlobError;
use crate::outputs::Trouble;

/// What does not work just now.
pub(super) enum Unable {
    /// An output, which has said so itself.
    Output,
    /// The store of checkpoints.
    Store(BlobError),
}

impl Unable {
    /// The one that has to be said.
    pub(super) fn worse(self, other: Unable) -> Unable {
        if matches!(self, Unable::Output) { other } else { self }
    }
}

impl From<Trouble> for Unable {
    fn from(_: Trouble) -> Unable {
        Unable::Output
    }
}

impl From<BlobError> for Unable {
    fn from(error: BlobError) -> Unable {
        Unable::Store(error)
    }
}
