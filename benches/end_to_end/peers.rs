//! The peers: engines that are installed, run and counted by a script of their own
//! (`benches/peers/NAME/peer`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::counts::{Counted, Window};
use crate::description::Description;

/// How much of what a peer said is repeated when it has failed.
const LAST_LINES: usize = 20;

/// An engine.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its folder's name.
    pub(crate) name: String,
    script: PathBuf,
    /// Where it is installed. What installing says is beside it, and so is the log of a failed run.
    installed: PathBuf,
}

/// A contender that dropped out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) contender: String,
    /// What it was at.
    pub(crate) at: String,
    /// The error and the end of what was said. Not kept: it is about one computer.
    #[serde(skip)]
    pub(crate) why: String,
}

impl Peer {
    /// All of `folder`, by name, to be installed below `installed`.
    pub(crate) fn all(folder: &Path, installed: &Path) -> anyhow::Result<Vec<Peer>> {
        let entries = fs::read_dir(folder).with_context(|| {
            format!("reading {}: name the folder of the peers with --folder", folder.display())
        })?;
        let mut peers = Vec::new();
        for entry in entries {
            let entry = entry?;
            let script = entry.path().join("peer");
            if script.is_file() {
                let installed = installed.join(entry.file_name());
                let name = entry.file_name().to_string_lossy().into_owned();
                peers.push(Peer { name, script, installed });
            }
        }
        peers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(peers)
    }

    /// Those that are named, in capitals or not; all of them if none is.
    pub(crate) fn chosen(mut peers: Vec<Peer>, names: &[String]) -> anyhow::Result<Vec<Peer>> {
        let is = |peer: &Peer, name: &String| peer.name.eq_ignore_ascii_case(name.trim());
        for name in names {
            if !peers.iter().any(|peer| is(peer, name)) {
                let known: Vec<&str> = peers.iter().map(|peer| &*peer.name).collect();
                bail!("there is no peer {name:?}; name some of these: {}", known.join(", "));
            }
        }
        if !names.is_empty() {
            peers.retain(|peer| names.iter().any(|name| is(peer, name)));
        }
        Ok(peers)
    }

    /// Installs what is not there yet.
    pub(crate) fn install(&self) -> anyhow::Result<()> {
        let path = self.installation_log();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let log = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        let mut command = Command::new(&self.script);
        command.arg("install").arg(&self.installed);
        command.stdout(log.try_clone()?).stderr(log);
        let status = command.status().with_context(|| self.starting())?;
        ensure!(
            status.success(),
            "installing it ended with {status}; all that it said is in {}:\n{}",
            path.display(),
            end_of(&path)
        );
        Ok(())
    }

    /// Where to look what installing says.
    pub(crate) fn installation_log(&self) -> PathBuf {
        self.log("install")
    }

    pub(crate) fn describe(&self) -> anyhow::Result<Description> {
        let said = self.said("describe", &[&self.installed])?;
        serde_json::from_str(&said).context("what it says of itself is no description")
    }

    /// One run, whose rows come below `out`.
    pub(crate) fn run(&self, bootstrap: &str, topic: &str, out: &Path) -> Command {
        let mut command = Command::new(&self.script);
        command.arg("run").arg(&self.installed).args([bootstrap, topic]).arg(out);
        command
    }

    /// What a run wrote below `out`.
    pub(crate) fn count(&self, out: &Path) -> anyhow::Result<Counted> {
        #[derive(Deserialize)]
        struct Counts {
            rows: u64,
            records: u64,
            windows: Vec<(u64, u64)>,
        }
        let said = self.said("check", &[&self.installed, out]).context("counting its rows")?;
        let Counts { rows, records, windows } =
            serde_json::from_str(&said).context("what counted its rows said no counts")?;
        let window = |(rows, records)| Window { rows, records };
        let windows = Some(windows.into_iter().map(window).collect());
        Ok(Counted { records, rows, windows })
    }

    /// The error of a run with the end of what the script said, after the run's log has been put
    /// where the next run does not delete it.
    pub(crate) fn explained(
        &self,
        error: &anyhow::Error,
        said: &Path,
        out: &Path,
    ) -> anyhow::Error {
        let kept = self.log("run");
        let whole = match fs::copy(out.join("log"), &kept) {
            Ok(_) => format!("; its log is kept in {}", kept.display()),
            Err(_) => String::new(),
        };
        anyhow::anyhow!("{error:#}{whole}\n{}", end_of(said))
    }

    fn said(&self, command: &str, arguments: &[&Path]) -> anyhow::Result<String> {
        let output = Command::new(&self.script).arg(command).args(arguments).output();
        let output = output.with_context(|| self.starting())?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`peer {command}` ended with {}: {}",
            output.status,
            errors.trim()
        );
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(said.lines().last().unwrap_or_default().to_owned())
    }

    fn starting(&self) -> String {
        format!("starting {}", self.script.display())
    }

    fn log(&self, of: &str) -> PathBuf {
        self.installed.with_file_name(format!("{}.{of}.log", self.name))
    }
}

/// The last lines of a file, indented; nothing if it cannot be read.
fn end_of(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Vec<Peer> {
        let peer = |name: &str| Peer {
            name: name.to_owned(),
            script: PathBuf::new(),
            installed: PathBuf::new(),
        };
        ["flink", "kafka-streams", "spark"].map(peer).into()
    }

    fn chosen(names: &[&str]) -> anyhow::Result<Vec<String>> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let chosen = Peer::chosen(peers(), &names)?;
        Ok(chosen.into_iter().map(|peer| peer.name).collect())
    }

    #[test]
    fn peers_are_named_in_capitals_or_not() {
        assert_eq!(
            chosen(&["Spark", " KAFKA-streams", "spark"]).unwrap(),
            ["kafka-streams", "spark"]
        );
    }

    #[test]
    fn without_a_name_all_take_part() {
        assert_eq!(chosen(&[]).unwrap().len(), 3);
    }

    #[test]
    fn a_name_that_is_not_known_is_answered_with_those_that_are() {
        let error = chosen(&["spark", "storm"]).unwrap_err().to_string();
        let expected =
            r#"there is no peer "storm"; name some of these: flink, kafka-streams, spark"#;
        assert_eq!(error, expected);
    }
}
