//! What was found: a line for each thing that was looked at.

use std::io::{self, Write};

use serde_json::{Value, json};

/// How good a thing is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// A job would run, and a person should know this.
    Warn,
    /// A job would not run.
    Fail,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        }
    }
}

#[derive(Debug)]
struct Finding {
    of: &'static str,
    outcome: Outcome,
    found: String,
    /// What to do.
    advice: String,
}

/// All findings; shown as they come, or as JSON at the end.
#[derive(Debug)]
pub(super) struct Findings {
    all: Vec<Finding>,
    shows: bool,
}

impl Findings {
    /// None yet. Each is a line of text at once if it `shows` them.
    pub(super) fn new(shows: bool) -> Findings {
        Findings { all: Vec::new(), shows }
    }

    pub(super) fn ok(&mut self, of: &'static str, found: impl Into<String>) {
        self.add(of, Outcome::Ok, found.into(), String::new());
    }

    pub(super) fn warn(
        &mut self,
        of: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(of, Outcome::Warn, found.into(), advice.into());
    }

    pub(super) fn fail(
        &mut self,
        of: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(of, Outcome::Fail, found.into(), advice.into());
    }

    /// A refusal of the job itself, which says what to do.
    pub(super) fn refuse(&mut self, of: &'static str, found: &str) {
        self.add(of, Outcome::Fail, found.to_owned(), String::new());
    }

    fn add(&mut self, of: &'static str, outcome: Outcome, found: String, advice: String) {
        if self.shows {
            let then = if advice.is_empty() { "" } else { ": " };
            let name = outcome.name();
            // Whoever has read enough closes the stream.
            let _ = writeln!(io::stdout(), "{name:<4} {of:<12} {found}{then}{advice}");
        }
        self.all.push(Finding { of, outcome, found, advice });
    }

    /// Whether a job would run.
    pub(super) fn is_fine(&self) -> bool {
        self.all.iter().all(|finding| finding.outcome != Outcome::Fail)
    }

    /// Says what it comes to.
    pub(super) fn conclude(&self) {
        let count = |outcome| self.all.iter().filter(|f| f.outcome == outcome).count();
        let (warnings, failures) = (count(Outcome::Warn), count(Outcome::Fail));
        let line = match (self.shows, self.is_fine()) {
            (false, _) => self.json().to_string(),
            (true, true) => format!("a job would run ({})", counted(warnings, "warning")),
            (true, false) => {
                format!("a job would not run ({failures} failed, {})", counted(warnings, "warning"))
            }
        };
        let _ = writeln!(io::stdout(), "{line}");
    }

    pub(super) fn json(&self) -> Value {
        let findings = self.all.iter().map(|finding| {
            json!({
                "check": finding.of,
                "outcome": finding.outcome.name(),
                "found": finding.found,
                "advice": finding.advice,
            })
        });
        json!({ "would_run": self.is_fine(), "checks": findings.collect::<Vec<_>>() })
    }
}

/// So many of a thing.
pub(super) fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_stops_no_job_and_a_failure_does() {
        let mut findings = Findings::new(false);
        findings.ok("topic", "is there");
        findings.warn("clock", "is late", "set it");
        assert!(findings.is_fine());
        findings.fail("broker", "is away", "start it");
        assert!(!findings.is_fine());
        let json = findings.json();
        assert_eq!(json["would_run"], false);
        assert_eq!(json["checks"][2]["advice"], "start it");
    }
}
