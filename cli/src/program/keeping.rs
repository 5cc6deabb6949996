//! What a job keeps for the next start: its checkpoints, which nobody else may touch meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use strandline_engine::checkpoint::lock::Lock;
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::checkpoint::{Checkpoints, catalog};
use strandline_engine::clock::Clock;
use strandline_engine::sink::{self, RunId};
use strandline_engine::store::Directory;

use super::trouble::{Trouble, away, locked};
use crate::options::{Checkpoint, Options};
use crate::places;
use crate::status::Voice;

/// The checkpoints of a job, and the lock on them.
pub(super) struct Keeping {
    /// Until the job takes them.
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) place: String,
    /// Whether there is one that this run continues.
    pub(super) continues: bool,
    _lock: Option<Lock>,
}

/// What is said of a place whose file system does not sync directories.
pub(super) fn unsynced(place: &str, what: &str) -> String {
    format!(
        "{place}: this file system does not sync directories: after a loss of power, {what} may be \
         missing there"
    )
}

impl Keeping {
    /// What the options ask for, if they do. Only the process that leads takes the lock.
    pub(super) fn open(
        options: &Options,
        out: &Directory,
        clock: &Clock,
        voice: &Voice,
    ) -> Result<Option<Keeping>, Trouble> {
        let unusable = |error: &dyn std::fmt::Display| Trouble::Unusable(error.to_string());
        let Checkpoint::At(place) = &options.checkpoint else { return Ok(None) };
        if !place.contains("://") {
            places::keep_apart(&options.out, Path::new(place)).map_err(Trouble::Unusable)?;
        }
        let blobs = ObjectBlobs::open(place).map_err(|error| unusable(&error))?;
        let leads = options.process == 0;
        let lock = blobs.directory().filter(|_| leads).map(Lock::acquire);
        let lock = lock.transpose().map_err(|error| locked(&error))?;
        let mut continues = false;
        if leads {
            blobs.check_writable().map_err(|error| away(error.into()))?;
            if blobs.refuses_sync() {
                voice.warn(&unsynced(place, "checkpoints"));
            }
            blobs.remove_leftovers().map_err(|error| away(error.into()))?;
            let all = catalog::list(&blobs).map_err(away)?;
            let newest = all.iter().rev().find_map(|listed| listed.manifest.as_ref().ok());
            let continued = newest.filter(|manifest| !options.fresh && manifest.cut.is_some());
            if let Some(manifest) = continued {
                let here = sink::identity(out).map_err(|error| unusable(&error))?;
                manifest.check_outputs(place, &here).map_err(|error| unusable(&error))?;
            }
            continues = continued.is_some();
        }
        let checkpoints = Checkpoints {
            blobs: Arc::new(blobs),
            every: options.checkpoint_every,
            keep: options.keep as usize,
            fresh: options.fresh,
            start: RunId::fresh(clock),
            shape: BTreeMap::new(),
            outputs: None,
        };
        let (checkpoints, place) = (Some(checkpoints), place.clone());
        Ok(Some(Keeping { checkpoints, place, continues, _lock: lock }))
    }
}
