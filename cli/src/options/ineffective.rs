//! Options that are given and do nothing beside the others.

use super::{Checkpoint, FutureBy, Listen, Options};

/// What is about checkpoints.
const OF_CHECKPOINTS: [&str; 6] =
    ["checkpoint-every", "keep", "fresh", "abandon-place", "lower-event-time", "group"];

/// What says where a job begins that continues nothing.
const OF_A_BEGINNING: [&str; 3] = ["from", "append", "replace"];

impl Options {
    /// A line for each option that was given and has no effect.
    pub(crate) fn without_effect(&self) -> Vec<String> {
        let is_demonstration = self.bootstrap.is_none();
        let keeps_none = !is_demonstration && self.checkpoint == Checkpoint::Nowhere;
        let demonstration = "the demonstration keeps no checkpoints, because its broker ends with it; \
                             name a Kafka with --bootstrap";
        let rules: [(bool, &str, &[&str]); 8] = [
            (
                is_demonstration && self.checkpoint != Checkpoint::Nowhere,
                demonstration,
                &["checkpoint"],
            ),
            (is_demonstration, demonstration, &OF_CHECKPOINTS),
            (
                keeps_none,
                "--checkpoint none keeps no checkpoints; name a place for them",
                &OF_CHECKPOINTS,
            ),
            (
                !is_demonstration && !self.simulate,
                "no fleet is simulated; add --simulate",
                &["devices", "rate"],
            ),
            (self.listen == Listen::Nowhere, "--listen none serves no page", &["allow-host"]),
            (self.processes == 1, "there is one process; say how many with -n", &["hostfile"]),
            (
                self.bounded && self.max_future_by == FutureBy::Clock,
                "a bounded run compares with the log alone",
                &["max-future-by"],
            ),
            (is_demonstration, "the demonstration adds to the rows that are there", &["append"]),
        ];
        let mut lines = Vec::new();
        for (applies, why, options) in rules {
            if applies {
                lines.extend(self.given_in_vain(options, why));
            }
        }
        lines
    }

    /// A line for each option that was given and has no effect where a checkpoint is continued.
    pub(crate) fn without_effect_on_a_checkpoint(&self) -> Vec<String> {
        let why = "a checkpoint is continued, and its rows stay; to begin anew, give --fresh";
        self.given_in_vain(&OF_A_BEGINNING, why).collect()
    }

    fn given_in_vain<'a>(
        &self,
        options: &'a [&str],
        why: &'a str,
    ) -> impl Iterator<Item = String> + use<'a, '_> {
        let given = options.iter().filter(|option| self.given.contains(**option));
        given.map(move |option| format!("--{option} has no effect: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn said(line: &str) -> Vec<String> {
        let line = std::iter::once("job").chain(line.split_whitespace());
        Options::read("job", "", line.map(OsString::from)).unwrap().without_effect()
    }

    #[test]
    fn an_option_that_does_nothing_is_named_with_the_reason() {
        for (line, option, why) in [
            ("--checkpoint somewhere", "--checkpoint", "demonstration"),
            ("--keep 5", "--keep", "demonstration"),
            ("--append", "--append", "adds"),
            ("--bootstrap b:1 --checkpoint none --lower-event-time 0=0", "--lower", "none"),
            ("--bootstrap b:1 --checkpoint none --group g", "--group", "none"),
            ("--bootstrap b:1 --devices 9", "--devices", "--simulate"),
            ("--listen none --allow-host a", "--allow-host", "no page"),
            ("--hostfile hosts", "--hostfile", "one process"),
            ("--bootstrap b:1 --bounded --max-future-by clock", "--max-future-by", "bounded"),
        ] {
            let said = said(line);
            assert_eq!(said.len(), 1, "{line}: {said:?}");
            assert!(said[0].starts_with(option) && said[0].contains(why), "{said:?}");
        }
    }

    #[test]
    fn what_says_where_a_job_begins_does_nothing_where_one_is_continued() {
        for (line, options) in [
            ("--from latest --append", &["--from", "--append"][..]),
            ("--replace --keep 5", &["--replace"]),
            ("--keep 5", &[]),
        ] {
            let line = ["job", "--bootstrap", "b:1"].into_iter().chain(line.split_whitespace());
            let read = Options::read("job", "", line.map(OsString::from)).unwrap();
            let said = read.without_effect_on_a_checkpoint();
            assert_eq!(said.len(), options.len(), "{said:?}");
            for (said, option) in said.iter().zip(options) {
                assert!(said.starts_with(option) && said.contains("--fresh"), "{said}");
            }
            assert_eq!(read.without_effect(), [""; 0]);
        }
    }

    #[test]
    fn what_a_file_says_counts_as_given_and_what_is_switched_off_does_not() {
        let there = tempfile::tempdir().unwrap();
        let file = there.path().join("job.toml");
        let text = b"bootstrap = \"b:1\"\ndevices = 9\nappend = false\nreplace = true\n";
        strandline_engine::store::Directory::local(there.path()).replace("job.toml", text).unwrap();
        let line = ["job", "--config", file.to_str().unwrap()].map(OsString::from);
        let read = Options::read("job", "", line).unwrap();
        assert!(read.without_effect()[0].starts_with("--devices"), "{:?}", read.without_effect());
        let said = read.without_effect_on_a_checkpoint();
        assert!(said.len() == 1 && said[0].starts_with("--replace"), "{said:?}");
    }

    #[test]
    fn nothing_is_said_of_options_that_are_not_given_or_count() {
        for line in [
            "",
            "--checkpoint none --devices 9 --rate 2",
            "--bootstrap b:1 --keep 5 --fresh --append --group g --checkpoint-every 1s",
            "--bootstrap b:1 --simulate --devices 9",
            "--bootstrap b:1 -n 2 --hostfile hosts --allow-host a",
            "--bootstrap b:1 --max-future-by clock",
        ] {
            assert_eq!(said(line), [""; 0], "{line}");
        }
    }
}
