//! The first thing that went wrong ends the whole job.
//!
//! A worker that cannot go on must not leave the others waiting for it: whoever fails reports it
//! here, every worker looks here between steps, and the parked ones are woken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use crate::error::JobError;

/// Shared by everything that runs in one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    happened: AtomicBool,
    first: Mutex<Option<JobError>>,
    workers: Mutex<Vec<Thread>>,
}

impl Failure {
    /// The calling thread wants to be woken when something fails.
    pub(crate) fn register_worker(&self) {
        let mut workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(std::thread::current());
    }

    /// Ends the job. Only the first report is kept: later ones follow from it.
    pub(crate) fn report(&self, error: impl Into<JobError>) {
        let mut first = self.0.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.into());
        drop(first);
        self.0.happened.store(true, Ordering::SeqCst);
        self.wake_workers();
    }

    /// Wakes the workers of this process, so that they look around.
    pub(crate) fn wake_workers(&self) {
        for worker in self.0.workers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            worker.unpark();
        }
    }

    /// Whether anything failed.
    pub(crate) fn happened(&self) -> bool {
        self.0.happened.load(Ordering::Relaxed)
    }

    /// What failed first.
    pub(crate) fn take(&self) -> Option<JobError> {
        self.0.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
