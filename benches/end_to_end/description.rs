//! What a contender is: its version, how long its job is, and what has to be installed for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Descriptions by the names of contenders.
pub(crate) type Descriptions = BTreeMap<String, Description>;

/// What `peer describe` says of an engine, and what there is to say of Strandline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    /// As people call it.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) language_of_job: String,
    /// Lines of the job that are neither blank nor comments.
    pub(crate) lines: u64,
    pub(crate) things_to_install: Vec<String>,
    /// Without the JDK, Python or Rust; 0 if that is not known.
    pub(crate) installed_bytes: u64,
    /// How long a run waits at the end of the topic to see that nothing more comes.
    pub(crate) quiet_seconds_at_end: u32,
}

impl Description {
    /// Strandline with the job of this source, and the program that is built of it if that is known.
    pub(crate) fn of_ours(source: &Path, program: Option<&Path>) -> anyhow::Result<Description> {
        let job = fs::read_to_string(source).with_context(|| {
            format!("reading {}: name the source of the job with --job-source", source.display())
        })?;
        let size = |program: &Path| fs::metadata(program).map(|program| program.len());
        let installed_bytes = program.map(size).transpose().context("looking at the job")?;
        let rust = format!("Rust {}", env!("CARGO_PKG_RUST_VERSION"));
        Ok(Description {
            name: "Strandline".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            language_of_job: "Rust".to_owned(),
            lines: lines_of_rust(&job),
            things_to_install: vec![rust, "C and C++ compilers and make".to_owned()],
            installed_bytes: installed_bytes.unwrap_or(0),
            quiet_seconds_at_end: 0,
        })
    }

    /// What has to be installed, in a few words.
    pub(crate) fn to_install(&self) -> String {
        let things = self.things_to_install.join(", ");
        match self.installed_bytes {
            0 => things,
            bytes => format!("{things}; {:.0} MB", bytes as f64 / 1e6),
        }
    }
}

/// Lines that are neither blank nor comments: what `peer describe` counts in other languages.
fn lines_of_rust(source: &str) -> u64 {
    let lines = source.lines().map(str::trim_start);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_comments_are_not_counted() {
        assert_eq!(lines_of_rust("//! A job.\n\n#[test]\nfn a() {\n    // b\n}\n"), 3);
    }

    #[test]
    fn a_size_is_given_where_it_is_known() {
        let mut description = Description {
            name: String::new(),
            version: String::new(),
            language_of_job: String::new(),
            lines: 0,
            things_to_install: vec!["JDK 17".into(), "an engine".into()],
            installed_bytes: 0,
            quiet_seconds_at_end: 0,
        };
        assert_eq!(description.to_install(), "JDK 17, an engine");
        description.installed_bytes = 154_600_000;
        assert_eq!(description.to_install(), "JDK 17, an engine; 155 MB");
    }
}
