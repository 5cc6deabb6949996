//! Complete files on their way to their names: in memory, hidden on the medium, visible.

use xxhash_rust::xxh3::xxh3_64;

use crate::sink::names::{DateFolder, FileName, HiddenName};
use crate::store::{Directory, StoreError};

/// A complete file whose bytes are in memory.
pub(super) struct WaitingFile {
    pub(super) folder: DateFolder,
    pub(super) name: FileName,
    pub(super) rows: u64,
    pub(super) bytes: Vec<u8>,
    /// Under which name its bytes are on the medium, once they are. After a loss of power the name
    /// may be gone.
    hidden: Option<String>,
}

impl WaitingFile {
    pub(super) fn new(
        folder: DateFolder,
        name: FileName,
        rows: u64,
        bytes: Vec<u8>,
    ) -> WaitingFile {
        WaitingFile { folder, name, rows, bytes, hidden: None }
    }

    /// Brings its bytes to the medium under a hidden name, if they are not there yet. Nothing stays
    /// open.
    pub(super) fn hide(&mut self, place: &Place<'_>) -> Result<(), StoreError> {
        if self.hidden.is_none() {
            let visible = self.name.to_string();
            if place.folder(self.folder)?.contains(&visible)? {
                let path = place.directory.path().join(self.folder.to_string()).join(visible);
                return Err(StoreError::Exists { path });
            }
            let hidden = HiddenName { claim: place.claim, name: self.name }.to_string();
            place.staging.put_new(&hidden, &self.bytes)?;
            self.hidden = Some(hidden);
        }
        Ok(())
    }

    /// Makes it visible. After an error it may be visible already: it is tried again in the same
    /// way.
    pub(super) fn show(&mut self, place: &Place<'_>) -> Result<(), StoreError> {
        self.hide(place)?;
        let Some(hidden) = &self.hidden else { return Ok(()) };
        let folder = place.folder(self.folder)?;
        if place.staging.move_to(hidden, &folder, &self.name.to_string())? {
            return folder.sync();
        }
        let path = place.staging.path().join(hidden);
        // Its bytes are still here: it is written again.
        self.hidden = None;
        Err(StoreError::Vanished { path })
    }

    /// What it is once its hidden name is on the medium too.
    pub(super) fn into_hidden(self) -> Option<HiddenFile> {
        Some(HiddenFile {
            hidden: self.hidden?,
            folder: self.folder,
            name: self.name,
            rows: self.rows,
            size: self.bytes.len() as u64,
            checksum: xxh3_64(&self.bytes),
            listed_in: None,
        })
    }
}

/// A complete file that is on the medium under a hidden name, also after a loss of power. It may
/// wait long for its checkpoint: it holds neither its bytes nor a descriptor.
pub(super) struct HiddenFile {
    pub(super) folder: DateFolder,
    pub(super) name: FileName,
    pub(super) hidden: String,
    pub(super) rows: u64,
    pub(super) size: u64,
    pub(super) checksum: u64,
    /// The first cut that lists it.
    pub(super) listed_in: Option<u64>,
}

/// Where files are on their way.
pub(super) struct Place<'a> {
    /// Of the hidden ones.
    pub(super) staging: &'a Directory,
    /// Of the folders that readers open.
    pub(super) directory: &'a Directory,
    /// Which start of a job writes.
    pub(super) claim: u64,
}

impl Place<'_> {
    pub(super) fn folder(&self, folder: DateFolder) -> Result<Directory, StoreError> {
        self.directory.subdirectory(&folder.to_string())
    }
}
