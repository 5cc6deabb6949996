//! A directory that must stay the one that it was.
//!
//! Another program may remove a directory while a job writes there, or its volume may be unmounted, so
//! that the folder below shows. A job that made the directory anew, or wrote into that folder, would
//! put rows where nobody looks for them, and miss those that it has written.

use std::fmt;

use super::Directory;
use super::disk::HeldDirectory;
use super::error::StoreError;

/// What is looked at besides the directory itself, such as a lock in it.
type Check = Box<dyn Fn() -> Result<(), StoreError> + Send + Sync>;

/// The directory that is to stay.
pub(super) struct Pin {
    /// `None` where directories cannot be told apart.
    held: Option<Box<dyn HeldDirectory>>,
    check: Check,
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Directory {
    /// From here on this directory, which is there, must stay the one that it is: where it is removed,
    /// or another one is in its place, nothing is written in it or below, and it is not made anew.
    /// `check` is asked as well before each write; it must not write by this `Directory` itself. Of
    /// several pins the first counts.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn pin(
        &self,
        check: impl Fn() -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Result<(), StoreError> {
        let root = &self.shared.root;
        if self.shared.pin.get().is_none() {
            let held = self.disk.hold(root);
            let held = held.map_err(|error| StoreError::new("open", root, error))?;
            let _ = self.shared.pin.set(Pin { held, check: Box::new(check) });
        }
        Ok(())
    }

    /// Looks whether the directory is the one that was [pinned](Self::pin), if it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replaced`], and what the check of the pin says.
    pub fn check_pin(&self) -> Result<(), StoreError> {
        let Some(Pin { held, check }) = self.shared.pin.get() else { return Ok(()) };
        let root = &self.shared.root;
        if let Some(held) = held {
            match held.is_at(root) {
                Ok(true) => {}
                Ok(false) => return Err(StoreError::Replaced { path: root.clone() }),
                Err(error) => return Err(StoreError::new("look at", root, error)),
            }
        }
        check()
    }
}
