//! What a program says of itself when its job begins: after what may refuse the start, and before
//! anything else that is said of the job.

use std::sync::{Arc, Mutex, PoisonError};

use crate::status::Voice;

/// Lines that are said once. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    lines: Arc<Mutex<Vec<String>>>,
    voice: Voice,
}

impl Introduction {
    /// None yet.
    pub(crate) fn new(voice: &Voice) -> Introduction {
        Introduction { lines: Arc::default(), voice: voice.clone() }
    }

    /// These are to be said when it is time.
    pub(crate) fn hold(&self, lines: Vec<String>) {
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    /// It is time.
    pub(crate) fn say(&self) {
        // Said while it is locked: nothing that another thread says comes between.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.drain(..).for_each(|line| self.voice.say(&line));
    }
}
