//! What a start does with the files of a job that it continues: it shows what the cut that counts
//! lists, and removes what only later cuts would have listed.
//!
//! Whose a hidden file is, is said by its name: the job, and the claim of the start that wrote it.
//! Those of this job with a smaller claim than this start's are of processes that have ended, or that
//! can commit nothing any more. Those of other jobs stay: their checkpoints may count on them.

use std::collections::BTreeSet;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::names::FileName;
use super::output_dir::{STAGING, dates, files, remove_hidden};
use super::visible_epoch::VisibleEpoch;
use super::{FileFault, LostFile};
use crate::outputs::{Recovery, Staged};
use crate::report::Report;
use crate::store::{Directory, STAGED_PREFIX, StoreError};

/// The files of an output.
pub(super) struct Files<'a> {
    pub(super) output: &'a Arc<str>,
    pub(super) directory: &'a Directory,
    pub(super) staging: &'a Directory,
}

/// Why the files are not what the cut says.
pub(super) enum Unrecovered {
    /// It may be tried again.
    Store(StoreError),
    /// A file is lost.
    Lost(LostFile),
}

impl From<StoreError> for Unrecovered {
    fn from(error: StoreError) -> Unrecovered {
        Unrecovered::Store(error)
    }
}

/// How a file is that a cut lists.
enum Found {
    /// Hidden, and what was written.
    Hidden,
    /// Visible.
    Visible,
    /// It cannot be shown.
    Lost(FileFault),
}

impl Files<'_> {
    /// Makes the files what `recovery` says, for the process of this number. May be called again.
    pub(super) fn recover(
        &self,
        recovery: &Recovery,
        process: usize,
        report: &Report,
    ) -> Result<(), Unrecovered> {
        let of_this = |staged: &&Staged| staged.output == *self.output;
        // All are looked at before the first is shown.
        let mut hidden = Vec::new();
        for staged in recovery.staged.iter().filter(of_this) {
            match self.look(staged)? {
                Found::Hidden => hidden.push(staged),
                Found::Visible => {}
                Found::Lost(FileFault::Missing)
                    if self.may_be_gone(recovery, staged, process)? =>
                {
                    report.say(&format!(
                        "{} is not there any more, with its {} rows: another program has removed it",
                        self.directory.path().join(&staged.folder).join(&staged.name).display(),
                        staged.rows
                    ));
                }
                Found::Lost(fault) => return Err(Unrecovered::Lost(self.lost(staged, fault))),
            }
        }
        for staged in recovery.elsewhere.iter().filter(of_this) {
            if matches!(self.look(staged)?, Found::Hidden) {
                hidden.push(staged);
            }
        }
        for staged in hidden {
            if !self.show(staged)? {
                return Err(Unrecovered::Lost(self.lost(staged, FileFault::Missing)));
            }
        }
        self.remove_later(recovery)?;
        if let Some(epoch) = recovery.epoch {
            VisibleEpoch { job: recovery.job, epoch }.note(self.staging, process)?;
        }
        Ok(())
    }

    /// How a file is. What is visible is on the medium too.
    fn look(&self, staged: &Staged) -> Result<Found, StoreError> {
        if let Some(bytes) = self.place_of(staged)?.read_if_there(&staged.hidden)? {
            let (found, expected) = (bytes.len() as u64, staged.size.unwrap_or(bytes.len() as u64));
            if found != expected {
                return Ok(Found::Lost(FileFault::Size { found, expected }));
            }
            if staged.checksum.is_some_and(|checksum| checksum != xxh3_64(&bytes)) {
                return Ok(Found::Lost(FileFault::Checksum));
            }
            return Ok(Found::Hidden);
        }
        let folder = self.directory.subdirectory(&staged.folder)?;
        if !folder.contains(&staged.name)? {
            return Ok(Found::Lost(FileFault::Missing));
        }
        // Another process has shown it, or this one before it ended.
        folder.sync()?;
        Ok(Found::Visible)
    }

    /// Makes a hidden file visible. Whether it is there.
    fn show(&self, staged: &Staged) -> Result<bool, StoreError> {
        let folder = self.directory.subdirectory(&staged.folder)?;
        let is_there = self.place_of(staged)?.move_to(&staged.hidden, &folder, &staged.name)?;
        if is_there {
            folder.sync()?;
        }
        Ok(is_there)
    }

    /// Whether a file that is not there has been shown before: then it may have been taken away.
    fn may_be_gone(
        &self,
        recovery: &Recovery,
        staged: &Staged,
        process: usize,
    ) -> Result<bool, StoreError> {
        // The first format did not note what was shown.
        if staged.checksum.is_none() {
            return Ok(true);
        }
        let name = staged.name.parse::<FileName>().ok();
        let shown = VisibleEpoch::noted(self.staging, name.map_or(process, |name| name.process))?;
        // Later cuts may list it too, if they were made before it was shown.
        Ok(shown.zip(name).is_some_and(|(shown, name)| {
            shown.job == recovery.job && name.run == recovery.job && name.epoch <= shown.epoch
        }))
    }

    /// Where a file is while it is hidden: in the first format it is in the folder that it will be in.
    fn place_of(&self, staged: &Staged) -> Result<Directory, StoreError> {
        if staged.hidden.starts_with(STAGED_PREFIX) {
            self.directory.subdirectory(&staged.folder)
        } else {
            Ok(self.staging.clone())
        }
    }

    fn lost(&self, staged: &Staged, fault: FileFault) -> LostFile {
        let directory = self.place_of(staged).unwrap_or_else(|_| self.staging.clone());
        LostFile {
            path: directory.path().join(&staged.hidden),
            output: Arc::clone(self.output),
            rows: staged.rows,
            fault,
        }
    }

    /// Removes what belongs to later epochs, visible or hidden, and what processes left behind that
    /// ended while they wrote.
    fn remove_later(&self, recovery: &Recovery) -> Result<(), StoreError> {
        remove_hidden(self.staging, |hidden| {
            hidden.claim == 0 || (hidden.name.run == recovery.job && hidden.claim < recovery.claim)
        })?;
        // Earlier versions hid files where readers look.
        self.directory.remove_leftovers()?;
        for date in dates(self.directory)? {
            date.remove_leftovers()?;
            for name in files(&date)? {
                let of_later_epoch = |name: FileName| {
                    let epoch = recovery.epoch;
                    name.run == recovery.job && epoch.is_none_or(|epoch| epoch < name.epoch)
                };
                if name.parse().is_ok_and(of_later_epoch) {
                    date.remove_file(&name)?;
                }
            }
            date.remove_if_empty()?;
        }
        Ok(())
    }
}

/// Shows what a cut lists as being in `out`, as a start would, and removes nothing. Gives those files
/// that are neither visible nor hidden, or damaged.
///
/// # Errors
///
/// What stands in the way. May be called again.
pub fn show_staged<'a>(
    out: &Directory,
    recovery: &'a Recovery,
) -> Result<Vec<&'a Staged>, StoreError> {
    let (mut lost, mut shown) = (Vec::new(), BTreeSet::new());
    for staged in &recovery.staged {
        let directory = out.subdirectory(&staged.output)?;
        let staging = out.subdirectory(STAGING)?.subdirectory(&staged.output)?;
        let files = Files { output: &staged.output, directory: &directory, staging: &staging };
        let is_there = match files.look(staged)? {
            Found::Visible => true,
            Found::Hidden => files.show(staged)?,
            Found::Lost(_) => false,
        };
        let process = staged.name.parse().map_or(0, |name: FileName| name.process);
        match is_there {
            true => drop(shown.insert((Arc::clone(&staged.output), process))),
            false => lost.push(staged),
        }
    }
    if lost.is_empty()
        && let Some(epoch) = recovery.epoch
    {
        for (output, process) in shown {
            let staging = out.subdirectory(STAGING)?.subdirectory(&output)?;
            VisibleEpoch { job: recovery.job, epoch }.note(&staging, process)?;
        }
    }
    Ok(lost)
}
