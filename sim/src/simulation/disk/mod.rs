//! A disk in memory that crashes as real ones do.
//!
//! What a process has written is there for whoever looks, until the power goes: then the bytes of a
//! file are there that were [synced](strandline_engine::store::DiskFile::sync), and the names in a
//! directory that were there when *it* was synced ([`Disk::sync_dir`]). Of all else some may be
//! there, or none: POSIX promises no more, and a program that is right on this disk is right on
//! any. In particular
//!
//! - a file of the right length may hold zeros where bytes were not synced;
//! - a directory that was made and not synced in the one above takes everything in it along;
//! - changes of names that were not synced may be kept or lost one by one (a file system without a
//!   journal), or up to some moment (one with a journal);
//! - a file that is being renamed may have both names, and is never without one;
//! - after a sync that has failed, another one that succeeds may have written nothing.
//!
//! When a process dies and the power stays, only its marks go
//! ([`in_use`](strandline_engine::store::Disk::in_use)).

mod medium;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strandline_engine::store::{Disk, DiskFile, Entry, EntryKind};

use self::medium::{Medium, Node};
use super::outside::{Effect, Happened, Kind, Outside, ProcessId, Verdict, Weakness};
use crate::random::SplitMix64;

/// A disk. Clones are the same one.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    medium: Arc<Mutex<Medium>>,
    outside: Outside,
    number: usize,
    descriptors_max: Option<usize>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new(outside: &Outside) -> MemoryDisk {
        let medium = Arc::new(Mutex::new(Medium::new()));
        MemoryDisk { medium, outside: outside.clone(), number: 0, descriptors_max: None }
    }

    /// The same, as one of several.
    #[must_use]
    pub fn with_number(self, number: usize) -> MemoryDisk {
        MemoryDisk { number, ..self }
    }

    /// The same, on which a process has no more descriptors open than this: for one more, the system
    /// says `EMFILE`.
    #[must_use]
    pub fn with_descriptors_max(self, descriptors_max: Option<usize>) -> MemoryDisk {
        MemoryDisk { descriptors_max, ..self }
    }

    /// The disk as a process sees it.
    pub fn seen_by(&self, process: ProcessId) -> Arc<dyn Disk> {
        Arc::new(Mounted { disk: self.clone(), process })
    }

    /// The disk as somebody sees it to whom nothing happens: for judging. What it does is neither
    /// counted nor traced.
    pub fn seen_from_above(&self) -> Arc<dyn Disk> {
        Arc::new(Above(self.clone()))
    }

    /// A process has died: everything written stays, and its marks are gone.
    pub fn process_died(&self, process: ProcessId) {
        self.medium().release(process);
    }

    /// The power goes and comes back. All processes are to be dead.
    pub fn power_lost(&self, random: &mut SplitMix64) {
        self.medium().lose_power(random);
    }

    /// The names of all files, wherever they are.
    pub(super) fn file_names(&self) -> Vec<String> {
        self.medium().file_names()
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// "Too many open files", as Unix counts errors.
const EMFILE: i32 = 24;

/// The disk as a process sees it.
#[derive(Clone, Debug)]
struct Mounted {
    disk: MemoryDisk,
    process: ProcessId,
}

impl Mounted {
    /// Whether the process may open another descriptor, for whatever short a time.
    fn may_open(&self) -> io::Result<()> {
        let Some(most) = self.disk.descriptors_max else { return Ok(()) };
        if self.disk.medium().open_by(self.process) < most {
            return Ok(());
        }
        let trace = self.disk.outside.trace();
        trace.line(format_args!("  {} has no descriptor left", self.process));
        Err(io::Error::from_raw_os_error(EMFILE))
    }

    /// Does something that changes nothing.
    fn look<R>(
        &self,
        name: fmt::Arguments<'_>,
        look: impl FnOnce(&Medium) -> io::Result<R>,
    ) -> io::Result<R> {
        match self.disk.outside.enter(self.process, Kind::ReadDisk, name) {
            Verdict::Done => look(&self.disk.medium()),
            Verdict::Failed { kind, .. } => Err(kind.into()),
        }
    }

    /// Does something that happens or not.
    fn change<R>(
        &self,
        name: fmt::Arguments<'_>,
        change: impl FnOnce(&mut Medium) -> io::Result<R>,
    ) -> io::Result<R> {
        match self.disk.outside.enter(self.process, Kind::ChangeDisk, name) {
            Verdict::Done => change(&mut self.disk.medium()),
            Verdict::Failed { kind, effect } => {
                if effect == Effect::All {
                    // Whoever asked hears of the failure in any case.
                    let _ = change(&mut self.disk.medium());
                }
                Err(kind.into())
            }
        }
    }
}

impl Disk for Mounted {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let name = format_args!("create_dir {}", path.display());
        self.change(name, |medium| medium.create_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.may_open()?;
        self.look(format_args!("list {}", path.display()), |medium| medium.list(path))
    }

    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        self.look(format_args!("kind {}", path.display()), |medium| medium.kind(path))
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.may_open()?;
        let name = format_args!("create_file {}", path.display());
        // If it happens although it fails, nobody has it open.
        let mut opened = None;
        let result = self.change(name, |medium| {
            opened = Some(medium.create_file(path, self.process)?);
            Ok(())
        });
        match (result, opened) {
            (Ok(()), Some(node)) => Ok(Box::new(OpenFile {
                mounted: self.clone(),
                node,
                name: path.display().to_string(),
            })),
            (Err(error), opened) => {
                if let Some(node) = opened {
                    self.disk.medium().close(node, self.process);
                }
                Err(error)
            }
            (Ok(()), None) => Err(io::ErrorKind::Other.into()),
        }
    }

    fn in_use(&self, path: &Path) -> io::Result<bool> {
        self.may_open()?;
        let name = format_args!("in_use {}", path.display());
        self.look(name, |medium| Ok(medium.owner(path)?.is_some()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.may_open()?;
        self.look(format_args!("read {}", path.display()), |medium| {
            medium.read(path).map(<[u8]>::to_vec)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let name = format_args!("rename {} {}", from.display(), to.display());
        self.change(name, |medium| {
            medium.rename(from, to)?;
            let (from, to) = (from.to_owned(), to.to_owned());
            let disk = self.disk.number;
            self.disk.outside.happened(Happened::Renamed { disk, from, to });
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let name = format_args!("remove_file {}", path.display());
        self.change(name, |medium| {
            medium.remove_file(path)?;
            let (process, disk, path) = (self.process, self.disk.number, path.to_owned());
            self.disk.outside.happened(Happened::Removed { process, disk, path });
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let name = format_args!("remove_dir {}", path.display());
        self.change(name, |medium| medium.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.may_open()?;
        let name = format_args!("sync_dir {}", path.display());
        let is_done = !self.disk.outside.has(Weakness::NamesAreNotSynced);
        self.change(name, |medium| if is_done { medium.sync_dir(path) } else { Ok(()) })
    }

    fn unique_number(&self) -> u64 {
        self.disk.outside.next_number()
    }
}

/// A file that a process writes.
struct OpenFile {
    mounted: Mounted,
    node: Node,
    name: String,
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenFile").field(&self.name).finish()
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Mounted { disk, process } = &self.mounted;
        let name = format_args!("write {} bytes to {}", bytes.len(), self.name);
        let verdict = disk.outside.enter(*process, Kind::ChangeDisk, name);
        let written = match verdict {
            Verdict::Done | Verdict::Failed { effect: Effect::All, .. } => bytes.len(),
            Verdict::Failed { effect: Effect::Part { share }, .. } => {
                (bytes.len() as f64 * share) as usize
            }
            Verdict::Failed { .. } => 0,
        };
        disk.medium().append(self.node, &bytes[..written]);
        match verdict {
            Verdict::Done => Ok(bytes.len()),
            Verdict::Failed { kind, .. } => Err(kind.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for OpenFile {
    fn sync(&mut self) -> io::Result<()> {
        let Mounted { disk, process } = &self.mounted;
        let name = format_args!("sync {}", self.name);
        if disk.outside.has(Weakness::FilesAreNotSynced) {
            return Ok(());
        }
        match disk.outside.enter(*process, Kind::ChangeDisk, name) {
            Verdict::Done => {
                disk.medium().sync(self.node);
                Ok(())
            }
            Verdict::Failed { kind, effect } => {
                match effect {
                    Effect::All => disk.medium().sync(self.node),
                    _ => disk.medium().forget_to_sync(self.node),
                }
                Err(kind.into())
            }
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.mounted.disk.medium().close(self.node, self.mounted.process);
    }
}

/// The disk without trouble, for looking.
#[derive(Debug)]
struct Above(MemoryDisk);

impl Disk for Above {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.medium().create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.medium().list(path)
    }
    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        self.0.medium().kind(path)
    }
    fn create_file(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn in_use(&self, path: &Path) -> io::Result<bool> {
        Ok(self.0.medium().owner(path)?.is_some())
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.medium().read(path).map(<[u8]>::to_vec)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.medium().rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.medium().remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.medium().remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.medium().sync_dir(path)
    }
    fn unique_number(&self) -> u64 {
        self.0.outside.next_number()
    }
}
