//! What a bench ran on, as far as the system tells.

use std::fmt;
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A machine, and what was measured on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// The commit that was measured, and `+` if there were changes beside it.
    pub(crate) commit: String,
    /// When, in UTC.
    pub(crate) date: String,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
        };
        let kib = field("/proc/meminfo", "MemTotal");
        let kib = kib.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_gib: kib.div_ceil(1 << 20),
            kernel: said("uname", &["-sr"]),
            commit: commit + if changed { "+" } else { "" },
            date: said("date", &["-u", "+%Y-%m-%dT%H:%MZ"]),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_tests() -> Machine {
        let (cpu, kernel, commit, date) = Default::default();
        Machine { cores: 1, cpu, memory_gib: 1, kernel, commit, date }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, cpu, memory_gib, kernel, commit, date } = self;
        write!(
            f,
            "{cores} cores of {cpu}, {memory_gib} GiB, {kernel}, which ran the broker too; \
             {date}, commit {commit}."
        )
    }
}

/// What a program writes, without white space around it; nothing if it does not run.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
