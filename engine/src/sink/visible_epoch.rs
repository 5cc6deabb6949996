//! What a process notes of the files that it has shown.

use crate::run_id::RunId;
use crate::store::{Directory, StoreError};

/// Up to which epoch a process has shown its files. A file that was completed in these epochs, as its name
/// says, and that is not there was removed by another program after it was shown, which is allowed; any
/// other file that is not there is lost. The first cut after a file is complete lists it, so all of
/// them were shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct VisibleEpoch {
    pub(super) job: RunId,
    pub(super) epoch: u64,
}

/// What the name of its file begins with.
const SHOWN: &str = "shown-";

impl VisibleEpoch {
    /// Notes it, in place of what was noted before.
    pub(super) fn note(self, staging: &Directory, process: usize) -> Result<(), StoreError> {
        let text = format!("{} {}\n", self.job, self.epoch);
        staging.replace(&VisibleEpoch::name(process), text.as_bytes())
    }

    /// What a process has noted.
    pub(super) fn noted(
        staging: &Directory,
        process: usize,
    ) -> Result<Option<VisibleEpoch>, StoreError> {
        let Some(bytes) = staging.read_if_there(&VisibleEpoch::name(process))? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        let fields = text.trim_end().split_once(' ');
        Ok(fields.and_then(|(job, epoch)| {
            Some(VisibleEpoch { job: job.parse().ok()?, epoch: epoch.parse().ok()? })
        }))
    }

    fn name(process: usize) -> String {
        format!("{SHOWN}{process:03}")
    }

    /// Whether a file in the place of hidden files is a note, not a file of rows.
    pub(super) fn is_note(name: &str) -> bool {
        name.starts_with(SHOWN)
    }
}
