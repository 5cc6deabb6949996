//! Which checkpoints there are, which one counts, and which can go.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::CheckpointError;
use super::blobs::{self, BlobEntry, BlobError, Blobs};
use super::manifest::Manifest;
use super::places::is_stale_report;
use super::reading::read_sections;
use crate::report::Report;

/// What the names of blobs that hold state begin with.
pub(crate) const STATE_PREFIX: &str = "cut-";
/// What the names of blobs that hold rows begin with, which wait for their file.
pub(crate) const ROWS_PREFIX: &str = "rows-";

/// Whether a blob is called as those of checkpoints are.
pub(crate) fn is_named_by_us(name: &str) -> bool {
    let prefixes =
        [super::manifest::PREFIX, STATE_PREFIX, ROWS_PREFIX, super::places::SHOWN_PREFIX];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The name of the blob in which a process keeps its state of a cut. `claim` is the number with
/// which its run began, so no two runs write the same.
pub(crate) fn state_name(claim: u64, epoch: u64, process: usize) -> String {
    format!("{STATE_PREFIX}{claim:012}-{epoch:020}-{process:03}")
}

/// The name of the blob in which a process keeps the rows of a cut that wait for their file. They
/// may wait for many cuts, and the state of this one need not be kept for as long.
pub(crate) fn rows_name(claim: u64, epoch: u64, process: usize) -> String {
    format!("{ROWS_PREFIX}{claim:012}-{epoch:020}-{process:03}")
}

/// The claim under which a blob was written; `None` for what is no blob of state or rows.
fn claim_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix(STATE_PREFIX).or_else(|| name.strip_prefix(ROWS_PREFIX))?;
    rest.split('-').next()?.parse().ok()
}

/// Makes a manifest durable, if nobody else has gone on meanwhile.
///
/// # Errors
///
/// [`CheckpointError::TakenOver`]: somebody has, and this one does not count.
/// [`CheckpointError::BlobRemoved`]: it names what is gone, and is not put. What the store says: then it
/// may be tried again.
pub(crate) fn put_manifest(store: &dyn Blobs, manifest: &Manifest) -> Result<(), CheckpointError> {
    let (place, number) = (store.place(), manifest.number);
    let name = Manifest::name(number);
    if let Some(blob) = store.removed(&manifest.blobs().into_iter().collect())?.first() {
        // Whoever has gone on meanwhile removes what it does not need.
        check_newest(store, number)?;
        return Err(CheckpointError::BlobRemoved { place, number, blob: blob.to_string() });
    }
    match blobs::put(store, &name, &manifest.to_bytes().into()) {
        Err(BlobError::Taken { .. }) => return Err(CheckpointError::TakenOver { place, number }),
        result => result?,
    }
    // Numbers become free again when old manifests are removed. Whoever removed this one has
    // written greater ones.
    let newest = check_newest(store, number);
    if let Err(CheckpointError::TakenOver { .. }) = &newest {
        store.delete(&name)?;
    }
    newest
}

/// Looks whether no manifest has a greater number than this one.
fn check_newest(store: &dyn Blobs, number: u64) -> Result<(), CheckpointError> {
    let entries = store.list()?;
    let numbers = entries.iter().filter_map(|entry| Manifest::number_of(&entry.name));
    match numbers.max() {
        Some(newest) if number < newest => {
            Err(CheckpointError::TakenOver { place: store.place(), number })
        }
        _ => Ok(()),
    }
}

/// Reads a checkpoint, and everything that it needs, and checks every byte of it. Of what it needs
/// nothing is kept.
///
/// # Errors
///
/// What is missing or damaged, and what the store says.
pub fn verified(store: &dyn Blobs, number: u64) -> Result<Manifest, CheckpointError> {
    let manifest = Manifest::from_bytes(number, &store.get(&Manifest::name(number))?)?;
    let mut needed: BTreeMap<&str, u64> = BTreeMap::new();
    for section in manifest.sections() {
        let bytes = needed.entry(&section.blob).or_default();
        *bytes = section.end().max(*bytes);
    }
    let sizes: HashMap<String, u64> =
        store.list()?.into_iter().map(|entry| (entry.name, entry.bytes)).collect();
    for (name, bytes) in needed {
        let name = name.to_owned();
        match sizes.get(&name) {
            None => return Err(BlobError::Absent { place: store.place(), name }.into()),
            Some(size) if *size < bytes => {
                let what = format!("it has {size} bytes, not {bytes}");
                return Err(CheckpointError::Damaged { name, what });
            }
            Some(_) => {}
        }
    }
    read_sections(store, manifest.sections(), |_, _| Ok(()))?;
    Ok(manifest)
}

/// Says what is wrong with a checkpoint, if it is the checkpoint: a store that does not answer is
/// another matter.
fn flaw(error: CheckpointError) -> Result<String, CheckpointError> {
    match error {
        CheckpointError::Damaged { .. } | CheckpointError::Blobs(BlobError::Absent { .. }) => {
            Ok(error.to_string())
        }
        error => Err(error),
    }
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Found {
    /// The checkpoint that counts: the newest that verifies.
    pub newest: Option<Manifest>,
    /// What is wrong with those that are newer.
    pub damaged: Vec<String>,
    /// The greatest number taken, of those that are damaged too.
    pub last_number: u64,
}

/// Finds the newest checkpoint that verifies.
///
/// # Errors
///
/// [`CheckpointError::NoneVerifies`]: there are some, or parts of some, and none verifies.
/// [`CheckpointError::NewerFormat`]: a newer version wrote one that would count. What the store says.
pub fn find(store: &dyn Blobs) -> Result<Found, CheckpointError> {
    let entries = store.list()?;
    let numbers = entries.iter().filter_map(|entry| Manifest::number_of(&entry.name));
    let numbers: BTreeSet<u64> = numbers.collect();
    let mut found = Found { last_number: numbers.last().copied().unwrap_or(0), ..Found::default() };
    for number in numbers.iter().rev() {
        match verified(store, *number) {
            Ok(manifest) => {
                found.newest = Some(manifest);
                break;
            }
            Err(error) => found.damaged.push(flaw(error)?),
        }
    }
    let state_without_manifest = || {
        let blob = entries.iter().find(|entry| claim_of(&entry.name).is_some())?;
        Some(format!("{} is there, but no manifest", blob.name))
    };
    match (&found.newest, found.damaged.first().cloned().or_else(state_without_manifest)) {
        (None, Some(newest)) => Err(CheckpointError::NoneVerifies { place: store.place(), newest }),
        _ => Ok(found),
    }
}

/// The greatest number that a manifest has, be it damaged or not; 0 where there is none.
///
/// # Errors
///
/// What the store says.
pub(crate) fn last_number(store: &dyn Blobs) -> Result<u64, CheckpointError> {
    let entries = store.list()?;
    let numbers = entries.iter().filter_map(|entry| Manifest::number_of(&entry.name));
    Ok(numbers.max().unwrap_or(0))
}

/// What a listing of checkpoints shows of one.
#[derive(Debug)]
pub struct Listed {
    /// Its number.
    pub number: u64,
    /// What it says, or what is wrong with it.
    pub manifest: Result<Manifest, String>,
}

/// All checkpoints, the oldest first. Reads the manifests only.
///
/// # Errors
///
/// What the store says.
pub fn list(store: &dyn Blobs) -> Result<Vec<Listed>, CheckpointError> {
    let mut all = Vec::new();
    for entry in store.list()? {
        let Some(number) = Manifest::number_of(&entry.name) else { continue };
        let read = store.get(&entry.name).map_err(CheckpointError::from);
        let manifest = read.and_then(|bytes| Manifest::from_bytes(number, &bytes));
        let manifest = match manifest {
            Ok(manifest) => Ok(manifest),
            Err(error) => Err(flaw(error)?),
        };
        all.push(Listed { number, manifest });
    }
    Ok(all)
}

/// The newest manifest that can be read, if there is one: of what it needs, nothing is looked at.
///
/// # Errors
///
/// What the store says.
pub fn newest(store: &dyn Blobs) -> Result<Option<Manifest>, CheckpointError> {
    let entries = store.list()?;
    let mut numbers: Vec<u64> =
        entries.iter().filter_map(|entry| Manifest::number_of(&entry.name)).collect();
    numbers.sort_unstable();
    for number in numbers.into_iter().rev() {
        let read = store.get(&Manifest::name(number)).map_err(CheckpointError::from);
        match read.and_then(|bytes| Manifest::from_bytes(number, &bytes)) {
            Ok(manifest) => return Ok(Some(manifest)),
            Err(error) => drop(flaw(error)?),
        }
    }
    Ok(None)
}

/// Failures to remove something, one after the other, after which a store is left alone until the next
/// time: one that does not answer would be waited for at each name.
const REMOVAL_FAILURES_MAX: usize = 16;

/// Knows what a store holds, so that what is no longer needed can go.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    manifests: BTreeMap<u64, Kept>,
    /// Blobs of manifests that are gone, which may have to go too. One that cannot be removed goes to the
    /// end, so that it is in no other's way.
    surplus: VecDeque<Arc<str>>,
    keep: usize,
    /// What could not be removed since that was last counted.
    failed: RemovalFailures,
    /// Whether the user knows that something cannot be removed.
    is_reported: bool,
}

/// What could not be removed.
#[derive(Debug, Default)]
struct RemovalFailures {
    count: usize,
    /// How many of them have followed each other.
    in_a_row: usize,
    first: Option<BlobError>,
}

impl RemovalFailures {
    /// Counts a failure; whether something was removed.
    fn note(&mut self, removed: Result<(), BlobError>) -> bool {
        let Err(error) = removed else {
            self.in_a_row = 0;
            return true;
        };
        self.count += 1;
        self.in_a_row += 1;
        self.first.get_or_insert(error);
        false
    }

    /// Whether nothing more is to be tried.
    fn are_too_many(&self) -> bool {
        self.in_a_row >= REMOVAL_FAILURES_MAX
    }
}

#[derive(Debug)]
struct Kept {
    /// Of the same cut; damaged ones are of none.
    cut: Option<(String, u64)>,
    /// What it needs; `None` where that cannot be read.
    blobs: Option<Vec<Arc<str>>>,
}

impl Kept {
    fn of(manifest: &Manifest) -> Kept {
        let cut = manifest.cut.as_ref().map(|cut| (manifest.job.clone(), cut.epoch));
        Kept { cut, blobs: Some(manifest.blobs()) }
    }
}

impl Retention {
    /// Looks at what there is after the start that wrote the manifest of number `claim`, and removes
    /// leftovers of runs that ended before their checkpoint: blobs of smaller claims that no
    /// manifest names, as long as no manifest is damaged that may name them. A process that has
    /// taken over meanwhile writes under a greater claim, and may name what was left over until
    /// then: so nothing is removed unless this claim is still the newest.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn survey(
        store: &dyn Blobs,
        keep: usize,
        claim: u64,
    ) -> Result<Retention, CheckpointError> {
        let mut retention = Retention { keep, ..Retention::default() };
        let entries = store.list()?;
        for number in entries.iter().filter_map(|entry| Manifest::number_of(&entry.name)) {
            let name = Manifest::name(number);
            let kept = match store.get(&name).map_err(CheckpointError::from) {
                // Removed meanwhile.
                Err(CheckpointError::Blobs(BlobError::Absent { .. })) => continue,
                read => match read.and_then(|bytes| Manifest::from_bytes(number, &bytes)) {
                    Ok(manifest) => Kept::of(&manifest),
                    Err(CheckpointError::NewerFormat { .. } | CheckpointError::Damaged { .. }) => {
                        Kept { cut: None, blobs: None }
                    }
                    Err(error) => return Err(error),
                },
            };
            retention.manifests.insert(number, kept);
        }
        if retention.is_pinned() {
            return Ok(retention);
        }
        let named = retention.named();
        let is_left_over = |entry: &&BlobEntry| {
            let is_old = claim_of(&entry.name).is_some_and(|of| of < claim);
            let cuts = retention.manifests.values().filter_map(|kept| kept.cut.as_ref());
            (is_old && !named.contains(&*entry.name)) || is_stale_report(&entry.name, cuts)
        };
        let mut failed = RemovalFailures::default();
        for entry in entries.iter().filter(is_left_over) {
            match check_newest(store, claim) {
                // The first checkpoint of this run will find its number taken.
                Err(CheckpointError::TakenOver { .. }) => break,
                newest => newest?,
            }
            // One that cannot be removed is in nobody's way: the next start finds it again.
            failed.note(store.delete(&entry.name));
            if failed.are_too_many() {
                break;
            }
        }
        retention.failed = failed;
        Ok(retention)
    }

    /// Whether there is a manifest of which it is not known what it needs.
    fn is_pinned(&self) -> bool {
        self.manifests.values().any(|kept| kept.blobs.is_none())
    }

    /// There is one more.
    pub(crate) fn add(&mut self, manifest: &Manifest) {
        self.manifests.insert(manifest.number, Kept::of(manifest));
    }

    /// Removes what is beyond the newest `keep` cuts: the manifests before them, those that repeat one
    /// (each start does), where there are more than `keep`, and the blobs that only these name. What
    /// cannot be removed is in nobody's way: it is tried again the next time. Gives how often that
    /// was so, and reports when it begins and when it ends.
    pub(crate) fn prune(&mut self, store: &dyn Blobs, report: &Report) -> usize {
        self.prune_manifests(store);
        if !self.is_pinned() {
            self.prune_blobs(store);
        }
        let RemovalFailures { count, first, .. } = std::mem::take(&mut self.failed);
        if let Some(error) = first {
            if !std::mem::replace(&mut self.is_reported, true) {
                report.say(&format!(
                    "old checkpoints cannot be removed: {error} ({count} files or objects); new ones \
                     are written all the same, and it is tried again with each; until then the \
                     place grows"
                ));
            }
        } else if std::mem::take(&mut self.is_reported) {
            report.say("old checkpoints are removed again");
        }
        count
    }

    fn prune_manifests(&mut self, store: &dyn Blobs) {
        self.failed.in_a_row = 0;
        for number in self.surplus_manifests() {
            if self.failed.are_too_many() {
                return;
            }
            // The manifest goes first: none may name what is gone.
            if self.failed.note(store.delete(&Manifest::name(number)))
                && let Some(gone) = self.manifests.remove(&number)
            {
                self.surplus.extend(gone.blobs.into_iter().flatten());
            }
        }
    }

    fn prune_blobs(&mut self, store: &dyn Blobs) {
        let mut named = self.named();
        // Several manifests may have named the same.
        self.surplus.retain(|blob| named.insert(Arc::clone(blob)));
        self.failed.in_a_row = 0;
        for _ in 0..self.surplus.len() {
            if self.failed.are_too_many() {
                return;
            }
            if let Some(blob) = self.surplus.pop_front()
                && !self.failed.note(store.delete(&blob))
            {
                self.surplus.push_back(blob);
            }
        }
    }

    fn surplus_manifests(&self) -> Vec<u64> {
        let (mut cuts, mut kept, mut repeats) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for (number, manifest) in self.manifests.iter().rev() {
            // What cannot be read may be any cut, and is needed no longer than those around it.
            let is_new = manifest.blobs.is_none()
                || manifest.cut.clone().is_some_and(|cut| cuts.insert(cut));
            if self.keep < cuts.len() {
                break;
            }
            if is_new || kept.is_empty() {
                kept.insert(*number);
            } else {
                repeats.push(*number);
            }
        }
        let room = self.keep.saturating_sub(kept.len());
        kept.extend(repeats.into_iter().take(room));
        self.manifests.keys().copied().filter(|number| !kept.contains(number)).collect()
    }

    fn named(&self) -> BTreeSet<Arc<str>> {
        self.manifests.values().flat_map(|kept| &kept.blobs).flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
