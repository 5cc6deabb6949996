//! A complete file on its way to its name: in memory, hidden on the medium, visible.

use xxhash_rust::xxh3::xxh3_64;

use crate::sink::names::{DateFolder, FileName};
use crate::store::{Directory, SealedFile, StoreError};

/// A complete file that is not visible yet.
pub(super) struct WaitingFile {
    pub(super) folder: DateFolder,
    pub(super) name: FileName,
    pub(super) rows: u64,
    /// Its bytes, until they are on the medium for good.
    pub(super) bytes: Vec<u8>,
    /// How many they are.
    pub(super) size: u64,
    /// XXH3 of them.
    pub(super) checksum: u64,
    pub(super) sealed: Option<SealedFile>,
    /// Its hidden name, once that is on the medium too.
    hidden: String,
    held: bool,
    /// The first cut that lists it.
    pub(super) listed_in: Option<u64>,
}

impl WaitingFile {
    /// One whose bytes are in memory only.
    pub(super) fn new(
        folder: DateFolder,
        name: FileName,
        rows: u64,
        bytes: Vec<u8>,
    ) -> WaitingFile {
        WaitingFile {
            folder,
            name,
            rows,
            size: bytes.len() as u64,
            checksum: xxh3_64(&bytes),
            bytes,
            sealed: None,
            hidden: String::new(),
            held: false,
            listed_in: None,
        }
    }

    /// Brings its bytes to the medium under a hidden name, if they are not there yet.
    pub(super) fn seal(&mut self, directory: &Directory) -> Result<(), StoreError> {
        if self.sealed.is_none() {
            let folder = directory.subdirectory(&self.folder.to_string())?;
            let mut staged = folder.stage(&self.name.to_string())?;
            staged.append(&self.bytes)?;
            self.sealed = Some(staged.seal()?);
        }
        Ok(())
    }

    /// Seals it, so that it can be promised to a checkpoint: it is found again after a power loss.
    pub(super) fn hold(&mut self, directory: &Directory) -> Result<(), StoreError> {
        if self.held {
            return Ok(());
        }
        self.seal(directory)?;
        if let Some(sealed) = &mut self.sealed {
            self.hidden = sealed.hidden_name();
            sealed.sync_name()?;
        }
        self.held = true;
        // It may wait long for its checkpoint.
        self.bytes = Vec::new();
        Ok(())
    }

    /// Whether it can be promised to a checkpoint.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Whether it is visible under its name, on the medium too.
    pub(super) fn is_shown(&self, directory: &Directory) -> Result<bool, StoreError> {
        let folder = directory.subdirectory(&self.folder.to_string())?;
        folder.show(&self.hidden, &self.name.to_string())
    }

    /// Makes it visible, once it has been sealed.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        let Some(sealed) = &mut self.sealed else { return Ok(()) };
        let committed = sealed.commit();
        if let Err(StoreError::Vanished { .. }) = committed {
            self.sealed = None;
        }
        committed
    }
}
