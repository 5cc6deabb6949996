//! What a job keeps for the next start: its checkpoints, which nobody else may touch meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::checkpoint::{Checkpoints, catalog, own_place};
use strandline_engine::clock::{Clock, date_time};
use strandline_engine::sink::{self, RunId};
use strandline_engine::store::{Directory, StoreError};
use strandline_operators::time::EventTime;

use super::trouble::{Trouble, away, locked};
use crate::options::{Checkpoint, Options};
use crate::status::Voice;

/// The checkpoints of a job, which hold the lock on their directory.
pub(super) struct Keeping {
    /// Until the job takes them.
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) place: String,
    /// The one that this run continues, if there is one.
    pub(super) continues: Option<Continued>,
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
        let blobs = ObjectBlobs::open(place).map_err(|error| unusable(&error))?;
        let leads = options.process == 0;
        if leads {
            blobs.take().map_err(|error| locked(&error))?;
            blobs.check_writable().map_err(|error| away(error.into()))?;
            if blobs.refuses_sync() {
                voice.warn(&unsynced(place, "checkpoints"));
            }
            blobs.remove_leftovers().map_err(|error| away(error.into()))?;
        }
        let continues = continues(options, &blobs, out)?.filter(|_| leads);
        let checkpoints =
            checkpoints(options, blobs, out, clock).map_err(|error| unusable(&error))?;
        let (checkpoints, place) = (Some(checkpoints), place.clone());
        Ok(Some(Keeping { checkpoints, place, continues }))
    }
}

/// How a job with these options keeps its checkpoints there, with its rows in `out`.
///
/// # Errors
///
/// It cannot be read which directory that is.
pub(crate) fn checkpoints(
    options: &Options,
    blobs: ObjectBlobs,
    out: &Directory,
    clock: &Clock,
) -> Result<Checkpoints, StoreError> {
    Ok(Checkpoints {
        blobs: Arc::new(blobs),
        every: options.checkpoint_every,
        keep: options.keep as usize,
        fresh: options.fresh,
        start: RunId::fresh(clock),
        shape: BTreeMap::new(),
        outputs: Some(sink::identity(out)?),
    })
}

/// The checkpoint that a start continues.
pub(crate) struct Continued {
    number: u64,
    written_at: EventTime,
    records: u64,
}

impl fmt::Display for Continued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoint {}", self.number)?;
        if let Some(time) = date_time(self.written_at) {
            write!(f, " of {time}")?;
        }
        write!(f, ", after {} records", self.records)
    }
}

/// The checkpoint that this start continues, if there is one. Nothing is touched.
///
/// # Errors
///
/// This process is to put its rows into another directory than it did; no checkpoint can be read.
pub(crate) fn continues(
    options: &Options,
    blobs: &ObjectBlobs,
    out: &Directory,
) -> Result<Option<Continued>, Trouble> {
    if options.fresh {
        return Ok(None);
    }
    let Some(manifest) = catalog::newest(blobs).map_err(away)? else {
        // Where there are some that cannot be read, its rows are none of an earlier run.
        catalog::find(blobs).map_err(away)?;
        return Ok(None);
    };
    let Some(cut) = &manifest.cut else { return Ok(None) };
    let records = cut.partitions.iter().map(|partition| partition.ledger.read).sum();
    let continued = Continued { number: manifest.number, written_at: manifest.written_at, records };
    let here = sink::identity(out).map_err(|error| Trouble::Unusable(error.to_string()))?;
    own_place::check(blobs, &manifest, options.process, &here, &options.abandon_place)
        .map_err(away)?;
    Ok(Some(continued))
}
