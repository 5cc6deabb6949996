//! What is wrong with options that clap does not see: one by one they may be right.

use strandline_operators::window::KEY_GROUPS;

use super::Options;

impl Options {
    /// What is wrong that clap does not see: the option, by its long name, and what to do.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |option, what: &str| Err((option, what.to_owned()));
        if self.workers == Some(0) {
            return wrong("workers", "a process needs at least one worker");
        }
        if self.processes == 0 {
            return wrong("processes", "a job has at least one process");
        }
        if self.processes <= self.process {
            let (process, last) = (self.process, self.processes - 1);
            let what = format!(
                "there is no process {process}: the processes of {} are numbered from 0 to {last}",
                self.processes
            );
            return Err(("process", what));
        }
        let workers = self.workers().saturating_mul(self.processes);
        if usize::from(KEY_GROUPS) < workers {
            let option = if self.workers.is_some() { "workers" } else { "processes" };
            let what = format!(
                "{workers} workers in all: at most {KEY_GROUPS} have work, because keys are in \
                 {KEY_GROUPS} groups and each group belongs to one worker"
            );
            return Err((option, what));
        }
        let names = [("topic", Some(&self.topic)), ("bootstrap", self.bootstrap.as_ref())];
        for (option, name) in names.into_iter().chain([("group", self.group.as_ref())]) {
            if name.is_some_and(|name| name.trim().is_empty()) {
                return wrong(option, "it is empty: give a name, or leave the option out");
            }
        }
        if 1 < self.processes && self.bootstrap.is_none() {
            return wrong(
                "processes",
                "several processes need a real Kafka: name it with --bootstrap",
            );
        }
        if strandline_operators::window::Tumbling::of(self.window).is_none() {
            return wrong("window", "a window is at least a millisecond long, such as 10s");
        }
        if self.append && self.replace {
            return wrong("append", "it cannot be used with --replace");
        }
        if self.checkpoint_every.is_zero() {
            return wrong(
                "checkpoint-every",
                "at least a millisecond, such as 5s; for none at all: --checkpoint none",
            );
        }
        if self.roll_every.is_zero() {
            // Each row would be a file of its own, and the job would do nothing but create files.
            return wrong("roll-every", "at least a millisecond, such as 1m");
        }
        if self.keep == 0 {
            return wrong("keep", "at least one checkpoint is kept");
        }
        if self.bounded && self.bootstrap.is_none() {
            return wrong(
                "bounded",
                "it reads to the end of what is there, and an embedded broker has nothing yet: \
                 name a Kafka with --bootstrap",
            );
        }
        if self.bounded && self.simulate {
            return wrong(
                "bounded",
                "with --simulate the end would run away; fill the topic first \
                 (strandline-sim --messages N)",
            );
        }
        Ok(())
    }
}
