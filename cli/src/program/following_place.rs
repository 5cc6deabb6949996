//! How a process that does not lead takes the directory of its rows.
//!
//! The process that leads takes its own before it meets the others. They cannot do the same: the process
//! that holds the lock may be another one of this very start, with which they share the directory.
//! When all have met, they know what each of them is called, and a lock says for which run it is held.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use strandline_engine::checkpoint::lock::{Lock, LockError};
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::outputs::PlaceRefusal;
use strandline_engine::sink::RunId;
use strandline_engine::store::Directory;

use super::keeping::continues;
use super::place::{existing, refuse_rows};
use super::trouble::{Trouble, locked};
use crate::options::{Checkpoint, Options};

/// How often it is looked which run a lock is held for, and how long between: whoever takes a lock
/// writes that a moment later.
const RUN_LOOKS_MAX: usize = 20;
const RUN_LOOK_EVERY: Duration = Duration::from_millis(50);

/// The directory of the rows of a process that does not lead.
pub(crate) struct FollowingPlace {
    options: Options,
    run: RunId,
    lock: Arc<OnceLock<Lock>>,
}

impl FollowingPlace {
    /// Not taken yet. Its lock is held for `run`, and will be in `lock`.
    pub(crate) fn new(options: Options, run: RunId, lock: Arc<OnceLock<Lock>>) -> FollowingPlace {
        FollowingPlace { options, run, lock }
    }

    /// Takes it, until the lock is dropped, where no other job has it and what is there may be kept or
    /// removed. `runs`: those of the processes of this start, which may share it. No row is touched.
    ///
    /// # Errors
    ///
    /// What refuses the start.
    pub(crate) fn take(&self, runs: &[RunId]) -> Result<(), PlaceRefusal> {
        let refused = |trouble: &Trouble| PlaceRefusal {
            reason: trouble.line_and_code().0.to_owned(),
            may_pass: matches!(trouble, Trouble::NotNow(_)),
        };
        if let Some(lock) = self.lock(runs).map_err(|error| refused(&locked(&error)))? {
            // There is none yet: it would be held for a run of this start.
            let _ = self.lock.set(lock);
        }
        self.refuse_rows().map_err(|trouble| refused(&trouble))
    }

    /// `None`: another process of this start has it.
    fn lock(&self, runs: &[RunId]) -> Result<Option<Lock>, LockError> {
        for _ in 1..RUN_LOOKS_MAX {
            match Lock::acquire_for(&self.options.out, Some(self.run)) {
                Err(LockError::Held { run: Some(run), .. }) if runs.contains(&run) => {
                    return Ok(None);
                }
                Err(LockError::Held { run: None, .. }) => {
                    std::thread::park_timeout(RUN_LOOK_EVERY);
                }
                result => return result.map(Some),
            }
        }
        Lock::acquire_for(&self.options.out, Some(self.run)).map(Some)
    }

    /// Looks now whether a checkpoint is continued, not earlier: while this process waited for the
    /// others, a start before this one may have written one. None of this start is claimed yet.
    fn refuse_rows(&self) -> Result<(), Trouble> {
        let (options, out) = (&self.options, Directory::local(&self.options.out));
        let continues = match &options.checkpoint {
            Checkpoint::At(place) => {
                let blobs = ObjectBlobs::open(place);
                let blobs = blobs.map_err(|error| Trouble::Unusable(error.to_string()))?;
                continues(options, &blobs, &out)?.is_some()
            }
            Checkpoint::Nowhere => false,
        };
        refuse_rows(options, &out, existing(options, continues))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::Parser;
    use strandline_engine::clock::Clock;

    use super::*;

    /// Process 1 with its rows in `out`.
    fn place(out: &Path, more: &[&str]) -> FollowingPlace {
        let out = out.to_str().unwrap();
        let own = ["job", "--bootstrap", "nowhere:1", "--checkpoint", "none", "--out", out];
        let own = own.iter().chain(&["-n", "3", "-p", "1"]).chain(more);
        let options = Options::try_parse_from(own).unwrap();
        FollowingPlace::new(options, RunId::fresh(&Clock::system()), Arc::default())
    }

    #[test]
    fn a_directory_that_another_job_has_is_refused_and_one_that_the_start_shares_is_not() {
        let there = tempfile::tempdir().unwrap();
        let (first, second) = (place(there.path(), &[]), place(there.path(), &[]));
        let runs = [first.run, second.run];
        first.take(&runs).unwrap();
        second.take(&runs).unwrap();
        assert!(first.lock.get().is_some() && second.lock.get().is_none());
        let other = place(there.path(), &["--replace"]);
        let refused = other.take(&[other.run]).unwrap_err();
        assert!(refused.may_pass && refused.reason.contains("is in use"), "{refused:?}");
        // A lock without a run is none of a process of this start.
        drop((first, second));
        let _lock = Lock::acquire(there.path()).unwrap();
        assert!(other.take(&[other.run]).unwrap_err().may_pass);
    }

    #[expect(clippy::disallowed_methods, reason = "writes rows behind the store's back")]
    #[test]
    fn rows_of_an_earlier_job_are_refused_unless_they_are_kept_or_removed() {
        let there = tempfile::tempdir().unwrap();
        let date = there.path().join("parquet/date=2026-01-01");
        fs::create_dir_all(&date).unwrap();
        let name =
            format!("strandline-{}-001-0000000001-000001.parquet", RunId::fresh(&Clock::system()));
        fs::write(date.join(&name), "rows").unwrap();
        let refused = place(there.path(), &[]).take(&[]).unwrap_err();
        let says = "already holds rows of an earlier run";
        assert!(!refused.may_pass && refused.reason.contains(says), "{refused:?}");
        for kept in ["--append", "--replace"] {
            place(there.path(), &[kept]).take(&[]).unwrap();
        }
        assert!(date.join(&name).exists());
    }
}
