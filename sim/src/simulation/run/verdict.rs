//! Holds what a run has written against what must be.

use strandline_engine::store::{Directory, EntryKind};
use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::world::World;
use crate::judge::Found;
use crate::simulation::Expectation;
use crate::simulation::disk::MemoryDisk;
use crate::simulation::process::OUT;

/// The file in `OUT` that says which directory it is.
const ID_FILE: &str = ".strandline-id";

impl<D, A> World<'_, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// Everything that is visible in all places.
    pub(super) fn found(&self) -> Result<Found, String> {
        let names = self.simulation.table.columns.iter().map(|(name, _)| name.as_str());
        let job = self.laws.newest().map_or("", |newest| &newest.job);
        Found::read_all(&self.outs(), &names.collect::<Vec<_>>(), job)
    }

    fn outs(&self) -> Vec<Directory> {
        let out = |disk: &MemoryDisk| Directory::on(disk.seen_from_above(), OUT);
        self.disks.iter().map(out).collect()
    }

    /// Holds what is there at the end against what must be.
    pub(super) fn judge(&mut self, undisturbed: Option<&Found>) -> Result<(), String> {
        let found = self.found()?;
        self.report.files = found.files as u64;
        self.report.rows = found.rows.len() as u64;
        self.judge_found(&found, undisturbed)?;
        let ledger = self.laws.newest().and_then(|newest| Some(newest.cut.as_ref()?.ledger()));
        let ledger = ledger.ok_or("there is no checkpoint")?;
        let rejected = (found.late.len() as u64, found.dead.len() as u64);
        if (ledger.late, ledger.dead_letters()) != rejected {
            return Err(format!("the ledger says {ledger:?}, the outputs {rejected:?}"));
        }
        let job = self.laws.newest().map(|newest| newest.job.clone()).unwrap_or_default();
        self.outs().iter().try_for_each(|out| no_leftovers(out, &job))
    }

    pub(super) fn judge_found(
        &self,
        found: &Found,
        undisturbed: Option<&Found>,
    ) -> Result<(), String> {
        match &self.simulation.expectation {
            Expectation::Oracle { judge, .. } => judge(found, self.plan.is_exact()),
            Expectation::Undisturbed => {
                let Some(undisturbed) = undisturbed else { return Ok(()) };
                let found = Found { files: undisturbed.files, ..found.clone() };
                if found == *undisturbed {
                    return Ok(());
                }
                Err("the outputs are not those of an undisturbed run".to_owned())
            }
        }
    }
}

/// Whether nothing hidden is left over of the job.
fn no_leftovers(directory: &Directory, job: &str) -> Result<(), String> {
    let is_staging = directory.path().parent().is_some_and(|parent| parent.ends_with(".staged"));
    for entry in directory.list().map_err(|error| error.to_string())? {
        // A checkpoint of another job may count on its hidden files.
        let is_of_job = is_staging && entry.name.contains(job);
        let is_hidden =
            entry.name.starts_with('.') && ![ID_FILE, ".staged"].contains(&&*entry.name);
        if is_hidden || is_of_job {
            let path = directory.path().join(&entry.name);
            return Err(format!("{} is left over", path.display()));
        }
        if entry.kind == EntryKind::Directory {
            let below = directory.subdirectory(&entry.name).map_err(|error| error.to_string())?;
            no_leftovers(&below, job)?;
        }
    }
    Ok(())
}
