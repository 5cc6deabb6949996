//! The complete files of an output, on their way from memory to the names that readers see.
//!
//! They do what they are told and say what went wrong. When something is tried again, and who hears of
//! it, is not decided here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::complete_file::{HiddenFile, Place, WaitingFile};
use crate::checkpoint::manifest::Staged;
use crate::outputs::Recovery;
use crate::report::Report;
use crate::sink::names::{DateFolder, FileName};
use crate::sink::output_dir::STAGING;
use crate::sink::recovery::{self, Unrecovered};
use crate::sink::visible_epoch::VisibleEpoch;
use crate::sink::{Committed, FileFault, LostFile, SinkOptions};
use crate::store::{Directory, StoreError};

pub(super) struct CompleteFiles {
    /// The folder in `OUT`.
    output: Arc<str>,
    pub(super) directory: Directory,
    /// Where its files are while they are hidden.
    staging: Directory,
    pub(super) next_name: FileName,
    /// The number of the first manifest of this start; zero without checkpoints.
    claim: u64,
    /// Those that are in memory.
    waiting: VecDeque<WaitingFile>,
    /// Those that wait for their checkpoint.
    hidden: Vec<HiddenFile>,
    /// Files of this epoch and before have been shown, which is not noted yet.
    unnoted: Option<u64>,
    committed: Committed,
    /// Rows that are not visible.
    rows: u64,
    /// Since when there are some, by the clock.
    since: Option<Duration>,
}

impl CompleteFiles {
    /// Those of the folder `output` of `OUT`.
    pub(super) fn new(options: &SinkOptions, output: &str) -> CompleteFiles {
        let SinkOptions { run, process, .. } = *options;
        let staging = options.out.subdirectory(STAGING).expect("a plain name");
        CompleteFiles {
            output: output.into(),
            directory: options.out.subdirectory(output).expect("a plain name"),
            staging: staging.subdirectory(output).expect("a plain name"),
            next_name: FileName { run, process, epoch: 0, sequence: 0 },
            claim: 0,
            waiting: VecDeque::new(),
            hidden: Vec::new(),
            unnoted: None,
            committed: Committed::default(),
            rows: 0,
            since: None,
        }
    }

    /// Takes a file that has become complete at `now`, by the clock.
    pub(super) fn add(&mut self, folder: DateFolder, rows: u64, bytes: Vec<u8>, now: Duration) {
        self.since.get_or_insert(now);
        self.rows += rows;
        let name = self.take_name();
        self.waiting.push_back(WaitingFile::new(folder, name, rows, bytes));
    }

    fn take_name(&mut self) -> FileName {
        let name = self.next_name;
        self.next_name.sequence += 1;
        name
    }

    /// What is visible.
    pub(super) fn committed(&self) -> Committed {
        self.committed
    }

    /// Rows that are not visible.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Since when there are such rows, by the clock.
    pub(super) fn since(&self) -> Option<Duration> {
        self.since
    }

    /// Whether the bytes of some are in memory.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The memory that they take. Hidden ones take none.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|file| file.bytes.len()).sum()
    }

    /// Makes them durable, hidden. Their names need not be yet while they are fewer bytes than
    /// `unsynced_bytes_max` together: these stay in memory so long.
    ///
    /// # Errors
    ///
    /// The first of what stands in the way of some.
    pub(super) fn hide(&mut self, unsynced_bytes_max: usize) -> Result<(), StoreError> {
        self.for_each_waiting(WaitingFile::hide).1?;
        if unsynced_bytes_max <= self.waiting_bytes() {
            self.staging.sync()?;
            self.hidden.extend(self.waiting.drain(..).filter_map(WaitingFile::into_hidden));
        }
        Ok(())
    }

    /// Without checkpoints: makes them visible. Those that could not be are tried again.
    ///
    /// # Errors
    ///
    /// The first of what stands in the way of some.
    pub(super) fn show(&mut self) -> Result<(), StoreError> {
        let (shown, result) = self.for_each_waiting(WaitingFile::show);
        for (index, file) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if shown.contains(&index) {
                self.count_shown(file.rows, file.bytes.len() as u64);
            } else {
                self.waiting.push_back(file);
            }
        }
        result
    }

    /// Tries to `bring` each file in memory further. Gives the places of those that it went well for,
    /// and the first failure.
    fn for_each_waiting(
        &mut self,
        bring: impl Fn(&mut WaitingFile, &Place<'_>) -> Result<(), StoreError>,
    ) -> (BTreeSet<usize>, Result<(), StoreError>) {
        let place = Place { staging: &self.staging, directory: &self.directory, claim: self.claim };
        let (mut done, mut result) = (BTreeSet::new(), Ok(()));
        for (index, file) in self.waiting.iter_mut().enumerate() {
            let mut brought = bring(file, &place);
            while let Err(StoreError::Exists { .. }) = brought {
                // Of a run with the same id. Nothing is ever replaced.
                file.name = self.next_name;
                self.next_name.sequence += 1;
                brought = bring(file, &place);
            }
            match brought {
                Ok(()) => drop(done.insert(index)),
                Err(error) => result = result.and(Err(error)),
            }
        }
        (done, result)
    }

    /// The hidden ones, as part of the cut of `epoch`.
    pub(super) fn list(&mut self, epoch: u64) -> Vec<Staged> {
        let staged = self.hidden.iter_mut().map(|file| {
            file.listed_in.get_or_insert(epoch);
            Staged {
                output: Arc::clone(&self.output),
                folder: file.folder.to_string(),
                hidden: file.hidden.clone(),
                name: file.name.to_string(),
                rows: file.rows,
                size: Some(file.size),
                checksum: Some(file.checksum),
            }
        });
        staged.collect()
    }

    /// Makes hidden files visible that the cut of `epoch` lists. Gives what stands in the way of some,
    /// and a file that is gone.
    pub(super) fn show_listed(&mut self, epoch: u64) -> (Result<(), StoreError>, Option<LostFile>) {
        let is_due = |file: &HiddenFile| file.listed_in.is_some_and(|listed| listed <= epoch);
        let due: Vec<HiddenFile> = self.hidden.extract_if(.., |file| is_due(file)).collect();
        // With one sync for all of them. Whatever stands in the way of one is met again below.
        let folders = due.iter().map(|file| file.folder.to_string()).collect();
        let _ = self.directory.create_each(&folders);
        let (mut result, mut lost) = (Ok(()), None);
        let mut moved: BTreeMap<DateFolder, Vec<HiddenFile>> = BTreeMap::new();
        for file in due {
            match self.move_listed(&file) {
                Ok(true) => moved.entry(file.folder).or_default().push(file),
                Ok(false) => {
                    lost.get_or_insert(LostFile {
                        path: self.staging.path().join(&file.hidden),
                        output: Arc::clone(&self.output),
                        rows: file.rows,
                        fault: FileFault::Missing,
                    });
                    self.hidden.push(file);
                }
                Err(error) => {
                    result = result.and(Err(error));
                    self.hidden.push(file);
                }
            }
        }
        for (folder, mut files) in moved {
            let folder = self.directory.subdirectory(&folder.to_string());
            match folder.and_then(|folder| folder.sync()) {
                Ok(()) => {
                    files.iter().for_each(|file| self.count_shown(file.rows, file.size));
                    self.unnoted = Some(epoch);
                }
                // They are visible; it is tried again whether that is on the medium.
                Err(error) => {
                    result = result.and(Err(error));
                    self.hidden.append(&mut files);
                }
            }
        }
        if lost.is_none() && result.is_ok() {
            result = self.note_shown();
        }
        (result, lost)
    }

    /// Gives a hidden file its visible name; whether it is there.
    fn move_listed(&self, file: &HiddenFile) -> Result<bool, StoreError> {
        let folder = self.directory.subdirectory(&file.folder.to_string())?;
        self.staging.move_to(&file.hidden, &folder, &file.name.to_string())
    }

    /// Notes beside the hidden files up to which epoch they have been shown.
    fn note_shown(&mut self) -> Result<(), StoreError> {
        let Some(epoch) = self.unnoted else { return Ok(()) };
        let shown = VisibleEpoch { job: self.next_name.run, epoch };
        shown.note(&self.staging, self.next_name.process)?;
        self.unnoted = None;
        Ok(())
    }

    /// Counts a file that has become visible.
    fn count_shown(&mut self, rows: u64, bytes: u64) {
        self.committed.rows += rows;
        self.committed.files += 1;
        self.committed.bytes += bytes;
        self.rows -= rows;
        if self.rows == 0 {
            self.since = None;
        }
    }

    /// Takes up what an earlier start has left.
    pub(super) fn recover(
        &mut self,
        recovery: &Recovery,
        report: &Report,
    ) -> Result<(), Unrecovered> {
        self.next_name.run = recovery.job;
        self.claim = recovery.claim;
        let files = recovery::Files {
            output: &self.output,
            directory: &self.directory,
            staging: &self.staging,
        };
        files.recover(recovery, self.next_name.process, report)
    }
}
