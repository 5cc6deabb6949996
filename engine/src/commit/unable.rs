//! What a committer cannot do just now.

use crate::checkpoint::blobs::BlobError;
use crate::outputs::{OutputError, Trouble};

/// What does not work just now.
pub(super) enum Unable {
    /// An output, which has said so itself.
    Output,
    /// The store of checkpoints.
    Store(BlobError),
    /// An output, for good: the job ends.
    Final(Trouble),
}

impl Unable {
    /// The one that has to be said.
    pub(super) fn worse(self, other: Unable) -> Unable {
        match self {
            Unable::Output => other,
            Unable::Store(_) if matches!(other, Unable::Final(_)) => other,
            worse => worse,
        }
    }
}

impl From<Trouble> for Unable {
    fn from(_: Trouble) -> Unable {
        Unable::Output
    }
}

impl From<OutputError> for Unable {
    fn from(error: OutputError) -> Unable {
        match error {
            OutputError::Retry(trouble) => trouble.into(),
            OutputError::Final(trouble) => Unable::Final(trouble),
        }
    }
}

impl From<BlobError> for Unable {
    fn from(error: BlobError) -> Unable {
        Unable::Store(error)
    }
}
