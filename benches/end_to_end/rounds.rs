//! Rounds of runs: every contender reads every topic once in a round, in an order that is drawn anew
//! each time, so that nobody always follows the same one. What is compared ran within the same round.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use strandline::sim::random::SplitMix64;

use crate::contender::{Contender, Place};
use crate::counts::{Difference, Window, sum};
use crate::peers::Failure;
use crate::process::{Cost, measure};

/// A topic to be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) messages: u64,
    /// What its windows hold, the oldest first, if peers are held against that.
    #[serde(skip)]
    pub(crate) windows: Vec<Window>,
}

/// One run of one contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) contender: String,
    pub(crate) round: usize,
    pub(crate) messages: u64,
    pub(crate) records: u64,
    pub(crate) rows: u64,
    /// How its rows differ from what they should be, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<Difference>,
    /// From start to exit, also what was waited at the end.
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// [`Peak::bytes`](crate::process::Peak).
    pub(crate) peak_mib: f64,
    /// How many processes it was at once, at most, if that is known: of one, `peak_mib` is the
    /// kernel's own figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) processes: Option<usize>,
    pub(crate) broker_cpu_seconds: Option<f64>,
}

/// How many rounds, and what their orders are drawn from.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Rounds {
    pub(crate) number: usize,
    pub(crate) seed: u64,
}

/// The order in which so many contenders have their turns, by the seed of the whole bench, the round
/// and the topic, and by nothing else.
fn order(contenders: usize, seed: u64, round: usize, topic: usize) -> Vec<usize> {
    let mut random = SplitMix64::stream(seed, (round as u64) << 32 | topic as u64);
    let mut order: Vec<usize> = (0..contenders).collect();
    // Fisher and Yates: every order is as likely as any other.
    for last in (1..contenders).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    order
}

/// Runs all rounds, each run heard of by `hear`. A peer that fails has no further turn.
pub(crate) fn rounds(
    contenders: &[Contender],
    topics: &[Topic],
    rounds: Rounds,
    place: &Place,
    broker: Option<u32>,
    hear: &mut dyn FnMut(Result<&Run, &Failure>),
) -> anyhow::Result<(Vec<Run>, Vec<Failure>)> {
    let (mut runs, mut failures) = (Vec::new(), Vec::<Failure>::new());
    for round in 0..rounds.number {
        for (number, topic) in topics.iter().enumerate() {
            for turn in order(contenders.len(), rounds.seed, round, number) {
                let contender = &contenders[turn];
                let name = contender.name();
                if failures.iter().any(|failure| failure.contender == name) {
                    continue;
                }
                match (one(contender, topic, round, place, broker), contender) {
                    (Ok(run), _) => {
                        hear(Ok(&run));
                        runs.push(run);
                    }
                    (Err(error), Contender::Peer(_)) => {
                        let millions = topic.messages as f64 / 1e6;
                        let at = format!("running, round {}, {millions} M messages", round + 1);
                        let failure = Failure { contender: name, at, why: format!("{error:#}") };
                        hear(Err(&failure));
                        failures.push(failure);
                    }
                    // Without these there is nothing to compare with.
                    (Err(error), _) => return Err(error.context(name)),
                }
            }
        }
    }
    Ok((runs, failures))
}

fn one(
    contender: &Contender,
    topic: &Topic,
    round: usize,
    place: &Place,
    broker: Option<u32>,
) -> anyhow::Result<Run> {
    if place.scratch.exists() {
        fs::remove_dir_all(&place.scratch).context("emptying the folder of runs")?;
    }
    fs::create_dir_all(&place.scratch).context("making the folder of runs")?;
    let mut command = contender.command(place, &topic.name)?;
    let cost = match contender {
        Contender::Peer(peer) => {
            let said = place.scratch.join("said");
            command.stderr(File::create(&said).context("making a file in the folder of runs")?);
            measure(&mut command, broker)
                .map_err(|error| peer.explained(&error, &said, &place.out()))?
        }
        _ => measure(&mut command, broker)?,
    };
    let counted = contender.outcome(place, &cost.stdout)?;
    let (records, rows) = (counted.records, counted.rows);
    let is_peer = matches!(contender, Contender::Peer(_));
    ensure!(
        is_peer || records == topic.messages,
        "{records} records were read of a topic with {}",
        topic.messages
    );
    // What peers are held against is worth something only if it is what the topic holds.
    let expected = sum(&topic.windows).rows;
    ensure!(
        is_peer || topic.windows.is_empty() || rows == expected,
        "{rows} rows were made of a topic that should hold {expected}: delete topic {} and begin \
         again; if it stays so, the job is wrong",
        topic.name
    );
    let is_known = !topic.windows.is_empty();
    let difference = is_known.then(|| Difference::of(&counted, &topic.windows));
    let Cost { wall, cpu, peak, broker_cpu, .. } = cost;
    Ok(Run {
        contender: contender.name(),
        round,
        messages: topic.messages,
        records,
        rows,
        difference,
        wall_seconds: wall.as_secs_f64(),
        cpu_seconds: cpu.as_secs_f64(),
        peak_mib: peak.bytes as f64 / f64::from(1 << 20),
        processes: Some(peak.processes),
        broker_cpu_seconds: broker_cpu.map(|cpu| Duration::as_secs_f64(&cpu)),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::peers::Peer;

    fn write_script(folder: &Path, name: &str, run: &str) {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let script = format!(
            r#"#!/bin/sh
            case $1 in
            install) test $(basename "$2") != cannot || {{ echo no compiler; exit 1; }} ;;
            describe) echo '{{"name": "An Engine", "version": "1", "language_of_job": "sh",
                "lines": 3, "things_to_install": [], "installed_bytes": 0,
                "quiet_seconds_at_end": 0}}' | tr -d '\n' ;;
            run) mkdir "$5"; {run} ;;
            check) cat "$3/rows" ;;
            esac"#
        );
        let path = folder.join("peer");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn orders_follow_from_the_seed_and_differ_from_round_to_round() {
        let of = |seed| (0..6).map(move |round| order(9, seed, round, 0)).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let mut different = of(1);
        different.push(order(9, 1, 0, 1));
        for order in &different {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..9).collect::<Vec<_>>(), "everybody has one turn");
        }
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 7);
    }

    #[test]
    fn nobody_always_follows_the_same_one() {
        let predecessor = |round| {
            let order = order(3, 5, round, 0);
            let turn = order.iter().position(|contender| *contender == 0).unwrap();
            turn.checked_sub(1).map(|before| order[before])
        };
        let before: std::collections::BTreeSet<_> = (0..20).map(predecessor).collect();
        assert_eq!(before.len(), 3, "none, the second and the third");
    }

    // One test, because a script that another thread's child has open cannot be started.
    #[test]
    fn a_peer_that_fails_does_not_keep_others_from_running() {
        let folder = tempfile::tempdir().unwrap();
        let (scripts, installed) = (folder.path().join("peers"), folder.path().join("installed"));
        write_script(&scripts, "cannot", "");
        let counts = r#"{"rows": 4, "records": 10, "windows": [[2, 5], [2, 5]]}"#;
        write_script(&scripts, "good", &format!("echo '{counts}' >\"$5/rows\""));
        write_script(&scripts, "stops", "echo all >\"$5/log\"; echo 'out of luck' >&2; exit 3");
        write_script(&scripts, "talks", "echo 'Bye.' >\"$5/rows\"");

        let [cannot, good, stops, talks] = &Peer::all(&scripts, &installed).unwrap()[..] else {
            panic!("four peers")
        };
        let error = cannot.install().unwrap_err().to_string();
        assert!(error.contains("no compiler") && error.contains("cannot.install.log"), "{error}");
        good.install().unwrap();
        assert_eq!(good.describe().unwrap().name, "An Engine");

        let contenders = [stops, good, talks].map(|peer| Contender::Peer(peer.clone()));
        let windows = vec![Window { rows: 2, records: 5 }; 3];
        let topics = [Topic { name: "a-topic".into(), messages: 15, windows }];
        let place = Place {
            bootstrap: "nowhere:1".into(),
            job: "no-job".into(),
            scratch: folder.path().join("runs"),
        };
        let mut heard = Vec::new();
        let mut hear = |what: Result<&Run, &Failure>| {
            heard.push(match what {
                Ok(run) => run.contender.clone(),
                Err(failure) => format!("not {}", failure.contender),
            });
        };
        let twice = Rounds { number: 2, seed: 7 };
        let (runs, mut failures) =
            rounds(&contenders, &topics, twice, &place, None, &mut hear).unwrap();
        assert_eq!(heard.pop().unwrap(), "good", "alone in the second round");
        heard.sort();
        assert_eq!(heard, ["good", "not stops", "not talks"]);
        let found = runs[0].difference.unwrap();
        assert_eq!((found.windows_left_open, found.is_wrong()), (1, false));
        failures.sort_by(|a, b| a.contender.cmp(&b.contender));
        let [stopped, talked] = &failures[..] else { panic!("two failures") };
        assert_eq!(stopped.at, "running, round 1, 0.000015 M messages");
        assert!(stopped.why.contains("exit status: 3"), "{}", stopped.why);
        assert!(stopped.why.ends_with("out of luck"), "{}", stopped.why);
        assert_eq!(fs::read_to_string(installed.join("stops.run.log")).unwrap(), "all\n");
        assert!(talked.why.contains("said no counts"), "{}", talked.why);
    }
}
