//! Where a process puts its rows, and what becomes of those that are there.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use strandline_engine::checkpoint::lock::Lock;
use strandline_engine::checkpoint::manifest::OutputIdentity;
use strandline_engine::clock::Clock;
use strandline_engine::sink::{self, Existing, RunId};
use strandline_engine::store::{Directory, StoreError};

use super::keeping::{Keeping, unsynced};
use super::trouble::{Trouble, locked};
use crate::deferred_outputs::Preparation;
use crate::demonstration;
use crate::options::Options;
use crate::status::Voice;

/// The directories of a process.
pub(super) struct Place {
    pub(super) out: Directory,
    /// What is to be done about the rows that are there.
    pub(super) existing: Existing,
    /// Its checkpoints, where it keeps any.
    pub(super) keeping: Option<Keeping>,
    leads: bool,
    is_embedded: bool,
    /// Whether rows of earlier runs are to be removed.
    replaces: bool,
    /// On the directory of the rows. A process that does not lead takes it [later](super::following_place),
    /// unless another process of the job has it.
    pub(super) lock: Arc<OnceLock<Lock>>,
}

impl Place {
    /// Takes the directories for this process, of the rows for the process that leads. Of what is there,
    /// nothing is touched but locks and leftovers of checkpoints.
    /// Its lock is held for `run`.
    pub(super) fn take(
        options: &Options,
        run: RunId,
        clock: &Clock,
        voice: &Voice,
    ) -> Result<Place, Trouble> {
        let (leads, is_embedded) = (options.process == 0, options.bootstrap.is_none());
        let out = Directory::local(&options.out);
        let keeping = match is_embedded {
            // The data dies with the process.
            true => None,
            false => Keeping::open(options, &out, clock, voice)?,
        };
        let continues = keeping.as_ref().is_some_and(|keeping| keeping.continues.is_some());
        let existing = existing(options, continues);
        if leads {
            refuse_rows(options, &out, existing)?;
        }
        // Before anything there is touched: a job that runs writes there.
        let lock = leads.then(|| Lock::acquire_for(&options.out, Some(run))).transpose();
        let lock = lock.map_err(|error| locked(&error))?;
        let lock = Arc::new(lock.map(OnceLock::from).unwrap_or_default());
        let replaces = options.replace;
        Ok(Place { out, existing, keeping, leads, is_embedded, replaces, lock })
    }

    /// What is to be done when the job can run, and not before: to remove what an earlier run left.
    pub(super) fn later(&self, latest: &Value) -> Option<Preparation> {
        match self.leads {
            true => (self.existing != Existing::Continue)
                .then(|| Preparation::Leading(self.existing, latest.clone())),
            // Whether the job begins anew, it hears from the process that leads.
            false => Some(Preparation::Following { replaces: self.replaces }),
        }
    }

    /// Makes ready what is needed from the first second on, and says which directory it is.
    pub(super) fn prepare(
        &self,
        run: RunId,
        latest: &Value,
        voice: &Voice,
    ) -> Result<Option<OutputIdentity>, Trouble> {
        let unusable = |error: &dyn std::fmt::Display| Trouble::Unusable(error.to_string());
        if self.leads {
            demonstration::mark(&self.out, self.is_embedded).map_err(|error| unusable(&error))?;
        }
        match self.later(latest) {
            Some(Preparation::Leading(..)) => sink::check(&self.out, self.existing),
            // It is not this process's yet: folders are made, and nothing is removed.
            Some(Preparation::Following { .. }) => sink::check(&self.out, Existing::Append),
            None => sink::prepare(&self.out, self.existing, Some(latest)),
        }
        .map_err(|error| unusable(&error))?;
        if self.out.refuses_sync() {
            voice.warn(&unsynced(&self.out.path().display().to_string(), "files"));
        }
        let identity = self.keeping.as_ref().map(|_| sink::identify(&self.out, run));
        let identity = identity.transpose().map_err(|error| unusable(&error))?;
        self.pin(identity.as_ref()).map_err(|error| unusable(&error))?;
        Ok(identity)
    }

    /// From here on, rows go into no other directory than the one that is there now, which says `identity`
    /// and is kept from other jobs.
    fn pin(&self, identity: Option<&OutputIdentity>) -> Result<(), StoreError> {
        let (lock, here) = (Arc::clone(&self.lock), Directory::local(self.out.path()));
        let id = identity.and_then(|identity| identity.id.clone());
        self.out.pin(move || {
            lock.get().map_or(Ok(()), Lock::keep)?;
            id.as_ref().map_or(Ok(()), |id| sink::keep_identity(&here, id))
        })
    }
}

/// What is to be done about rows of an earlier run by a process that continues a checkpoint, or does not.
pub(crate) fn existing(options: &Options, continues: bool) -> Existing {
    if continues {
        Existing::Continue
    } else if options.replace {
        Existing::Replace
    } else if options.append || options.bootstrap.is_none() {
        Existing::Append
    } else {
        Existing::Refuse
    }
}

/// Refuses a directory whose rows may be neither kept nor removed. Nothing is touched.
pub(crate) fn refuse_rows(
    options: &Options,
    out: &Directory,
    existing: Existing,
) -> Result<(), Trouble> {
    if options.process == 0 {
        demonstration::refuse_others_rows(out, options.bootstrap.is_none(), options.replace)
            .map_err(|error| Trouble::Unusable(format!("{error:#}")))?;
    }
    sink::refuse_rows(out, existing).map_err(|error| Trouble::Unusable(error.to_string()))
}
