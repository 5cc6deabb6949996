//! What is said to the user besides results: one line, what is wrong and what to do.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

/// Says something to the user.
#[derive(Clone)]
pub struct Report(Arc<dyn Fn(&str) + Send + Sync>);

impl Report {
    /// Says it by calling `say`, from any thread.
    pub fn new(say: impl Fn(&str) + Send + Sync + 'static) -> Report {
        Report(Arc::new(say))
    }

    /// Says it to nobody.
    pub fn silent() -> Report {
        Report::new(|_| {})
    }

    /// Says it on the standard error stream; if that is closed or full, to nobody.
    pub fn to_stderr() -> Report {
        Report::new(|line| drop(writeln!(std::io::stderr(), "{line}")))
    }

    pub(crate) fn say(&self, line: &str) {
        (self.0)(line);
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}
