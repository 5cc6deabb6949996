//! Who takes part: the bare drain, the hand-written loop, the job in several ways, and peers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use strandline::engine::source::kafka::Fetch;

use crate::counts::Counted;
use crate::peers::Peer;
use crate::rows;

/// One way to read the topic.
#[derive(Clone, Debug)]
pub(crate) enum Contender {
    /// Every payload is touched, nothing else.
    Drain { threads: usize, fetch: Fetch },
    /// The job by hand, without a dataflow.
    Hand { threads: usize, fetch: Fetch },
    /// The main job, as a user starts it.
    Job {
        workers: usize,
        /// How often a checkpoint is made, in the job's own words.
        checkpoint_every: Option<&'static str>,
        /// Further options.
        options: Vec<String>,
    },
    /// Another engine.
    Peer(Peer),
}

/// Where a run takes place.
pub(crate) struct Place {
    pub(crate) bootstrap: String,
    /// The program of the main job.
    pub(crate) job: PathBuf,
    /// An empty folder for what the run writes.
    pub(crate) scratch: PathBuf,
}

impl Place {
    /// The folder of what a contender writes.
    pub(crate) fn out(&self) -> PathBuf {
        self.scratch.join("out")
    }
}

impl Contender {
    /// What it is called in tables; the same name is the same contender.
    pub(crate) fn name(&self) -> String {
        match self {
            Contender::Drain { threads, fetch } => {
                format!("bare drain, {threads} threads{}", suffix(*fetch))
            }
            Contender::Hand { threads, fetch } => {
                format!("hand-written loop, {threads} threads{}", suffix(*fetch))
            }
            Contender::Job { workers, checkpoint_every, options } => {
                let kept = checkpoint_every.map_or("no checkpoints".to_owned(), |every| {
                    format!("a checkpoint every {every}")
                });
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                format!("Strandline -w {workers}, {kept} {}", options.join(" "))
                    .trim_end()
                    .to_owned()
            }
            Contender::Peer(peer) => peer.name.clone(),
        }
    }

    /// The command of one run.
    pub(crate) fn command(&self, place: &Place, topic: &str) -> anyhow::Result<Command> {
        let own = || std::env::current_exe().context("finding this program");
        let mut command;
        match self {
            Contender::Drain { threads, fetch } | Contender::Hand { threads, fetch } => {
                let what = if matches!(self, Contender::Drain { .. }) { "drain" } else { "hand" };
                command = Command::new(own()?);
                command.args([what, "--bootstrap", &place.bootstrap, "--topic", topic]);
                command.arg("--threads").arg(threads.to_string());
                command.args(["--fetch", word(*fetch)]);
            }
            Contender::Job { workers, checkpoint_every, options } => {
                command = Command::new(&place.job);
                command.args(["--bounded", "--quiet", "--listen", "none"]);
                command.args(["--bootstrap", &place.bootstrap, "--topic", topic]);
                command.arg("--workers").arg(workers.to_string());
                command.arg("--out").arg(place.out());
                match checkpoint_every {
                    None => command.args(["--checkpoint", "none"]),
                    Some(every) => command
                        .arg("--checkpoint")
                        .arg(place.scratch.join("checkpoints"))
                        .args(["--checkpoint-every", every]),
                };
                command.args(options);
            }
            Contender::Peer(peer) => command = peer.run(&place.bootstrap, topic, &place.out()),
        }
        Ok(command)
    }

    /// What a run came to: by the files that it wrote, or by what it said if it writes none.
    pub(crate) fn outcome(&self, place: &Place, stdout: &str) -> anyhow::Result<Counted> {
        match self {
            Contender::Peer(peer) => peer.count(&place.out()),
            Contender::Drain { .. } | Contender::Hand { .. } => said(stdout),
            Contender::Job { .. } => {
                let (said, found) = (said(stdout)?, rows::count(&place.out())?);
                ensure!(
                    (said.rows, said.records) == (found.rows, found.records),
                    "it says that it made {} rows of {} records, and its files have {} rows of {}",
                    said.rows,
                    said.records,
                    found.rows,
                    found.records
                );
                Ok(found)
            }
        }
    }
}

/// What the last line of a program says.
fn said(stdout: &str) -> anyhow::Result<Counted> {
    let line = stdout.lines().last().context("it said nothing")?;
    let line: Value = serde_json::from_str(line).context("its last line is not JSON")?;
    let number = |name| line[name].as_u64();
    let rows = number("rows").or_else(|| number("final_rows")).context("no rows")?;
    Ok(Counted { records: number("records").context("no records")?, rows, windows: None })
}

/// A way of fetching, in the job's own words.
pub(crate) fn word(fetch: Fetch) -> &'static str {
    match fetch {
        Fetch::Client => "client",
        Fetch::Direct => "direct",
    }
}

/// What a name says of a way of fetching that is not the usual one, as the job's options do.
fn suffix(fetch: Fetch) -> &'static str {
    match fetch {
        Fetch::Client => "",
        Fetch::Direct => " --fetch direct",
    }
}
