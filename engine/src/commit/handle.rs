//! A committer at work, as the rest of the process has it: how it is started, and how it ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::mailbox::{Ending, Fate};
use super::{Committer, CommitterOptions, Lost, Mailbox};
use crate::background::{Background, Bell, Join};
use crate::clock::Clock;

/// How long the committer may take to complete everything once the job was stopped, and how long to end
/// without that: with the stop itself, not more than a stop may take.
const COMPLETE_WITHIN: Duration = Duration::from_millis(4_500);
const FORGET_WITHIN: Duration = Duration::from_millis(500);
/// How often whoever waits for its end looks.
const JOIN_POLL: Duration = Duration::from_millis(2);

/// A committer at work.
pub(crate) struct CommitterHandle {
    pub(super) mailbox: Mailbox,
    pub(super) task: Box<dyn Join>,
    pub(super) lost: Arc<std::sync::Mutex<Option<Lost>>>,
}

impl CommitterHandle {
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Makes everything durable and visible that was handed over, and ends. While that is not
    /// possible, tries until the job is stopped. One that hangs in a disk or a store is then left
    /// behind.
    ///
    /// # Errors
    ///
    /// What is lost.
    pub(crate) fn complete(self) -> Result<(), Lost> {
        self.mailbox.end(Ending::Complete);
        let mailbox = self.mailbox.clone();
        self.join(COMPLETE_WITHIN, || mailbox.stop_is_requested())
    }

    /// Ends, and forgets what is not durable.
    pub(crate) fn forget(self) {
        self.mailbox.end(Ending::Forget);
        // What is lost is computed again.
        let _ = self.join(FORGET_WITHIN, || true);
    }

    /// Waits until the task is done; once it `hurries`, no longer than `limit`.
    fn join(self, limit: Duration, hurries: impl Fn() -> bool) -> Result<(), Lost> {
        let (clock, mut since) = (Clock::system(), None);
        while !self.task.is_done() {
            if hurries() {
                let since = *since.get_or_insert_with(|| clock.elapsed());
                if limit <= clock.elapsed().saturating_sub(since) {
                    return Err(self.mailbox.lost_by("a disk or a store does not answer"));
                }
            }
            std::thread::park_timeout(JOIN_POLL);
        }
        if !self.task.join() {
            return Err(Lost {
                cause: "the task that writes outputs panicked".into(),
                rows: 0,
                fate: Fate::Lost,
            });
        }
        let mut lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lost.take().map_or(Ok(()), Err)
    }
}

/// Starts the committer of a process.
///
/// # Errors
///
/// If there is no thread for it.
pub(crate) fn start(
    options: CommitterOptions,
    background: &Background,
) -> io::Result<CommitterHandle> {
    let bell = Bell::default();
    let committer = Committer::new(options, bell.clone(), background);
    let (mailbox, lost) = (committer.mailbox.clone(), Arc::clone(&committer.lost));
    let name = format!("committer {}", committer.options.process);
    let task = background.spawn(&name, bell, committer)?;
    Ok(CommitterHandle { mailbox, task, lost })
}
