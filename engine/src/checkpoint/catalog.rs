//! Which checkpoints there are, which one counts, and which can go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::CheckpointError;
use super::blobs::{BlobError, Blobs};
use super::manifest::Manifest;

/// What the names of blobs that hold state begin with.
pub(crate) const BLOB_PREFIX: &str = "cut-";

/// The name of the blob in which a process keeps its part of a cut. `claim` is the number with
/// which its run began, so no two runs write the same.
pub(crate) fn blob_name(claim: u64, epoch: u64, process: usize) -> String {
    format!("{BLOB_PREFIX}{claim:012}-{epoch:020}-{process:03}")
}

/// Stores a blob that only this run writes under its name: if it is there already, an earlier try
/// succeeded without saying so, unless it is another one.
pub(crate) fn put(blobs: &dyn Blobs, name: &str, bytes: &[u8]) -> Result<(), BlobError> {
    match blobs.put_new(name, bytes.to_vec()) {
        Err(BlobError::Taken { .. }) if blobs.get(name)? == bytes => Ok(()),
        result => result,
    }
}

/// Makes a manifest durable, if nobody else has gone on meanwhile.
///
/// # Errors
///
/// [`CheckpointError::TakenOver`]: somebody has, and this one does not count. What the store says:
/// then it may be tried again.
pub(crate) fn put_manifest(store: &dyn Blobs, manifest: &Manifest) -> Result<(), CheckpointError> {
    let (place, number) = (store.place(), manifest.number);
    let name = Manifest::name(number);
    match put(store, &name, &manifest.to_bytes()) {
        Err(BlobError::Taken { .. }) => return Err(CheckpointError::TakenOver { place, number }),
        result => result?,
    }
    // Numbers become free again when old manifests are removed. Whoever removed this one has
    // written greater ones.
    let entries = store.list()?;
    let numbers = entries.iter().filter_map(|entry| Manifest::number_of(&entry.name));
    if numbers.max().is_some_and(|newest| number < newest) {
        store.delete(&name)?;
        return Err(CheckpointError::TakenOver { place, number });
    }
    Ok(())
}

/// A checkpoint that verifies, with everything it needs.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub manifest: Manifest,
    blobs: HashMap<Arc<str>, Vec<u8>>,
}

impl Loaded {
    /// Reads a checkpoint, and everything that it needs, and checks every byte of it.
    ///
    /// # Errors
    ///
    /// What is missing or damaged, and what the store says.
    pub fn read(store: &dyn Blobs, number: u64) -> Result<Loaded, CheckpointError> {
        let manifest = Manifest::from_bytes(number, &store.get(&Manifest::name(number))?)?;
        let mut blobs = HashMap::new();
        for name in manifest.blobs() {
            let bytes = store.get(&name)?;
            blobs.insert(name, bytes);
        }
        let loaded = Loaded { manifest, blobs };
        for section in loaded.manifest.sections() {
            section.of(loaded.blob(&section.blob))?;
        }
        Ok(loaded)
    }

    /// The bytes of one of its blobs.
    pub(crate) fn blob(&self, name: &str) -> &[u8] {
        self.blobs.get(name).map_or(&[], Vec::as_slice)
    }
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
    pub newest: Option<Loaded>,
    /// What is wrong with those that are newer.
    pub damaged: Vec<String>,
    /// The greatest number taken, of those that are damaged too.
    pub last_number: u64,
}

/// Finds the newest checkpoint that verifies.
///
/// # Errors
///
/// [`CheckpointError::NoneVerifies`]: there are some, or parts of some, and none verifies. What
/// the store says.
pub fn find(store: &dyn Blobs) -> Result<Found, CheckpointError> {
    let entries = store.list()?;
    let numbers = entries.iter().filter_map(|entry| Manifest::number_of(&entry.name));
    let numbers: BTreeSet<u64> = numbers.collect();
    let mut found = Found { last_number: numbers.last().copied().unwrap_or(0), ..Found::default() };
    for number in numbers.iter().rev() {
        match Loaded::read(store, *number) {
            Ok(loaded) => {
                found.newest = Some(loaded);
                break;
            }
            Err(error) => found.damaged.push(flaw(error)?),
        }
    }
    let state_without_manifest = || {
        let blob = entries.iter().find(|entry| entry.name.starts_with(BLOB_PREFIX))?;
        Some(format!("{} is there, but no manifest", blob.name))
    };
    match (&found.newest, found.damaged.first().cloned().or_else(state_without_manifest)) {
        (None, Some(newest)) => Err(CheckpointError::NoneVerifies { place: store.place(), newest }),
        _ => Ok(found),
    }
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

/// Knows what a store holds, so that what is no longer needed can go.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    manifests: BTreeMap<u64, Kept>,
    /// Blobs of manifests that are gone, which may have to go too.
    surplus: BTreeSet<Arc<str>>,
    keep: usize,
}

#[derive(Debug)]
struct Kept {
    /// Of the same cut; damaged ones are of none.
    cut: Option<(String, u64)>,
    blobs: Vec<Arc<str>>,
}

impl Retention {
    /// Looks at what there is, and removes the blobs that no manifest names: leftovers of runs that
    /// ended before their checkpoint. Only after a claim, when nobody else writes.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn survey(store: &dyn Blobs, keep: usize) -> Result<Retention, CheckpointError> {
        let mut retention = Retention { keep, ..Retention::default() };
        for Listed { number, manifest } in list(store)? {
            match manifest {
                Ok(manifest) => retention.add(&manifest),
                Err(_) => {
                    retention.manifests.insert(number, Kept { cut: None, blobs: Vec::new() });
                }
            }
        }
        let named = retention.named();
        for entry in store.list()? {
            if entry.name.starts_with(BLOB_PREFIX) && !named.contains(&*entry.name) {
                store.delete(&entry.name)?;
            }
        }
        Ok(retention)
    }

    /// There is one more.
    pub(crate) fn add(&mut self, manifest: &Manifest) {
        let cut = manifest.cut.as_ref().map(|cut| (manifest.job.clone(), cut.epoch));
        let kept = Kept { cut, blobs: manifest.blobs() };
        self.manifests.insert(manifest.number, kept);
    }

    /// Removes the manifests before the newest `keep` cuts, and the blobs that only they name.
    ///
    /// # Errors
    ///
    /// What the store says. What could not be removed is tried again the next time.
    pub(crate) fn prune(&mut self, store: &dyn Blobs) -> Result<(), CheckpointError> {
        let mut cuts = BTreeSet::new();
        let mut oldest_kept = None;
        for (number, kept) in self.manifests.iter().rev() {
            cuts.extend(kept.cut.clone());
            if self.keep < cuts.len() {
                break;
            }
            oldest_kept = Some(*number);
        }
        let Some(oldest_kept) = oldest_kept else { return Ok(()) };
        let numbers = self.manifests.range(..oldest_kept).map(|(number, _)| *number);
        for number in numbers.collect::<Vec<_>>() {
            // The manifest goes first: none may name what is gone.
            store.delete(&Manifest::name(number))?;
            if let Some(gone) = self.manifests.remove(&number) {
                self.surplus.extend(gone.blobs);
            }
        }
        let named = self.named();
        self.surplus.retain(|blob| !named.contains(blob));
        while let Some(blob) = self.surplus.first() {
            store.delete(blob)?;
            self.surplus.pop_first();
        }
        Ok(())
    }

    fn named(&self) -> BTreeSet<Arc<str>> {
        self.manifests.values().flat_map(|kept| &kept.blobs).cloned().collect()
    }
}
