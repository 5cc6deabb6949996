//! What happened in a run, line by line: two runs of one seed have the same lines.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The lines of a run. Cheap to clone; clones append to the same lines.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    text: String,
    aloud: bool,
}

impl Trace {
    /// A trace that also prints each line to standard error as it is written.
    pub fn aloud() -> Trace {
        Trace(Arc::new(Mutex::new(Lines { text: String::new(), aloud: true })))
    }

    /// Appends a line.
    pub fn line(&self, line: fmt::Arguments<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = lines.text.len();
        // Writing to a string does not fail.
        let _ = writeln!(lines.text, "{line}");
        if lines.aloud {
            eprint!("{}", &lines.text[start..]);
        }
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// The last lines, at most so many.
    pub fn last(&self, lines: usize) -> String {
        let text = self.text();
        let mut last: Vec<&str> = text.lines().rev().take(lines).collect();
        last.reverse();
        last.join("\n")
    }
}
