//! Rounds of runs: every contender reads every topic once in a round, in an order that moves on
//! from round to round. What is compared ran within the same round.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Place};
use crate::process::{Cost, measure};

/// A topic to be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) messages: u64,
}

/// One run of one contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) contender: String,
    pub(crate) round: usize,
    pub(crate) messages: u64,
    pub(crate) records: u64,
    pub(crate) rows: u64,
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
    pub(crate) broker_cpu_seconds: Option<f64>,
}

/// Runs all rounds. `say` hears of every run.
pub(crate) fn rounds(
    contenders: &[Contender],
    topics: &[Topic],
    rounds: usize,
    place: &Place,
    broker: Option<u32>,
    say: &mut dyn FnMut(&Run),
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 0..rounds {
        for topic in topics {
            for turn in 0..contenders.len() {
                let contender = &contenders[(round + turn) % contenders.len()];
                let run = one(contender, topic, round, place, broker)
                    .with_context(|| contender.name())?;
                say(&run);
                runs.push(run);
            }
        }
    }
    Ok(runs)
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
    let cost = measure(&mut contender.command(place, &topic.name)?, broker)?;
    let (records, rows) = contender.outcome(place, &cost.stdout)?;
    let is_peer = matches!(contender, Contender::Peer { .. });
    ensure!(
        is_peer || records == topic.messages,
        "{records} records were read of a topic with {}",
        topic.messages
    );
    let Cost { wall, cpu, peak_bytes, broker_cpu, .. } = cost;
    Ok(Run {
        contender: contender.name(),
        round,
        messages: topic.messages,
        records,
        rows,
        wall_seconds: wall.as_secs_f64(),
        cpu_seconds: cpu.as_secs_f64(),
        peak_mib: peak_bytes as f64 / f64::from(1 << 20),
        broker_cpu_seconds: broker_cpu.map(|cpu| Duration::as_secs_f64(&cpu)),
    })
}
