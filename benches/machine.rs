//! What a bench ran on, as far as the system tells.
#![expect(clippy::disallowed_methods, reason = "a bench looks at /proc")]

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A machine, and what was measured on it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that a program may use.
    pub cores: usize,
    /// The processor's name.
    pub cpu: String,
    /// Memory, rounded up.
    pub memory_gib: u64,
    /// The system's kernel and its version.
    pub kernel: String,
    /// The commit that was measured, and `+` if there were changes beside it.
    pub commit: String,
    /// When, in UTC.
    pub date: String,
}

impl Machine {
    /// This machine, now.
    pub fn this() -> Machine {
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

    /// What it is, `shared` (what else it ran), when it was looked at, and what was measured.
    pub fn text(&self, shared: &str) -> String {
        let Machine { cores, cpu, memory_gib, kernel, commit, date } = self;
        format!(
            "{cores} cores of {cpu}, {memory_gib} GiB, {kernel}{shared}; {date}, commit {commit}."
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
