//! The end-to-end bench: the main job over a real Kafka, beside the bare drain of the same topic and
//! the job written by hand, run by run in turn. `scripts/bench` starts it.
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and at /proc")]

mod comparison;
mod consume;
mod contender;
mod counts;
mod description;
mod hand;
mod peers;
mod plot;
mod process;
mod report;
mod rounds;
mod rows;
mod topics;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use strandline::engine::clock::Clock;
use strandline::engine::source::kafka::Fetch;
use strandline_benches::machine::Machine;
use strandline_benches::results;

use self::consume::Reading;
use self::contender::{Contender, Place};
use self::description::{Description, Descriptions};
use self::hand::Outcome;
use self::peers::{Failure, Peer};
use self::report::Document;
use self::rounds::{Rounds, Run, rounds};

/// The hand-written programs have the allocator that the job has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "end_to_end", about = "The main job over a real Kafka, beside what it could be.")]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The job in several ways, the hand-written loop and the bare drain
    #[command(args_override_self = true)]
    Job {
        #[command(flatten)]
        compare: Compare,
        /// Only those whose name contains this; repeatable. The baselines always take part
        #[arg(long)]
        only: Vec<String>,
    },
    /// The job beside other engines
    #[command(args_override_self = true)]
    Peers {
        #[command(flatten)]
        compare: Compare,
        #[command(flatten)]
        engines: Engines,
        /// Only these peers, by the names of their folders, in capitals or not. The baselines and
        /// Strandline always take part
        #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
        only: Vec<String>,
    },
    /// One run of the bare drain
    Drain(Single),
    /// One run of the hand-written loop
    Hand(Single),
    /// Writes the table and the plot of a document again. What an old document does not say of
    /// peers is taken from their folders as they are now
    Render {
        /// The document
        file: PathBuf,
        #[command(flatten)]
        engines: Engines,
    },
}

#[derive(Args)]
struct Engines {
    /// The folder with a folder for each peer
    #[arg(long, default_value = "benches/peers")]
    folder: PathBuf,
    /// Where peers are installed; it can be deleted at any time
    #[arg(long, default_value = "target/peers")]
    installed: PathBuf,
    /// The source of the main job, whose lines are counted
    #[arg(long, default_value = "examples/iot_pipeline.rs")]
    job_source: PathBuf,
}

#[derive(Args)]
struct Compare {
    /// A real Kafka broker: scripts/kafka start
    #[arg(long, env = "STRANDLINE_KAFKA")]
    bootstrap: String,
    /// The broker's process, to see what it costs
    #[arg(long)]
    broker: Option<u32>,
    /// Messages of the topic; another one holds a tenth
    #[arg(long, default_value_t = 10_000_000)]
    messages: u64,
    /// How often everybody has a turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What the order of runs is drawn from; another one each time if none is given. The document
    /// has it
    #[arg(long)]
    seed: Option<u64>,
    /// Each message with its fields in another order, and white space
    #[arg(long)]
    vary_layout: bool,
    /// Further options of every run of the job, as one text
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    job_options: String,
    /// The program of the main job
    #[arg(long, default_value = "target/release/examples/iot_pipeline")]
    job: PathBuf,
    /// Where runs write; it is deleted
    #[arg(long, default_value = "target/bench-runs")]
    scratch: PathBuf,
    /// Where the document, the table and the plot go, without an ending
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct Single {
    #[arg(long, env = "STRANDLINE_KAFKA")]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    threads: usize,
    /// How messages are fetched
    #[arg(long, value_parser = ["client", "direct"], default_value = "client")]
    fetch: String,
}

impl Single {
    fn reading(&self) -> Reading<'_> {
        let Single { bootstrap, topic, threads, fetch } = self;
        let fetch = if fetch == "direct" { Fetch::Direct } else { Fetch::Client };
        Reading { bootstrap, topic, threads: *threads, fetch }
    }
}

fn main() -> anyhow::Result<()> {
    match Options::parse().what {
        What::Job { compare: options, only } => {
            let mut contenders = job_contenders(&options);
            let baselines = [Fetch::Client, Fetch::Direct].map(|fetch| baseline(fetch).name());
            contenders.retain(|contender| {
                let name = contender.name();
                only.is_empty()
                    || baselines.contains(&name)
                    || only.iter().any(|part| name.contains(part))
            });
            let title = "The main job over Kafka";
            compare(title, &options, &contenders, Descriptions::new(), Vec::new())?;
            Ok(())
        }
        What::Peers { compare: options, engines, only } => peers(&options, &engines, &only),
        What::Drain(single) => {
            say(&hand::drain(&single.reading())?);
            Ok(())
        }
        What::Hand(single) => {
            say(&hand::hand(&single.reading())?);
            Ok(())
        }
        What::Render { file, engines } => render(&file, &engines),
    }
}

fn say(outcome: &Outcome) {
    println!("{}", json!({"records": outcome.records, "rows": outcome.rows}));
}

/// What everybody is held against, by the way in which it fetches.
fn baseline(fetch: Fetch) -> Contender {
    Contender::Hand { threads: 2, fetch }
}

fn job(workers: usize, checkpoint_every: Option<&'static str>, options: &Compare) -> Contender {
    let options = options.job_options.split_whitespace().map(str::to_owned).collect();
    Contender::Job { workers, checkpoint_every, options }
}

/// The same job with the other way of fetching.
fn directly(mut contender: Contender) -> Contender {
    if let Contender::Job { options, .. } = &mut contender {
        options.extend(["--fetch", "direct"].map(str::to_owned));
    }
    contender
}

fn job_contenders(options: &Compare) -> Vec<Contender> {
    let mut all = Vec::new();
    for fetch in [Fetch::Client, Fetch::Direct] {
        all.push(Contender::Drain { threads: 2, fetch });
        all.push(Contender::Hand { threads: 1, fetch });
        all.push(baseline(fetch));
    }
    for checkpoint_every in [None, Some("5s"), Some("1s")] {
        all.extend([1, 2, 4].map(|workers| job(workers, checkpoint_every, options)));
    }
    all.extend([None, Some("1s")].map(|every| directly(job(2, every, options))));
    all
}

/// The job beside the peers that are named. One that cannot be installed or fails does not keep
/// the others from running.
fn peers(options: &Compare, engines: &Engines, only: &[String]) -> anyhow::Result<()> {
    let chosen = Peer::chosen(Peer::all(&engines.folder, &engines.installed)?, only)?;
    let number = chosen.len();
    ensure_job(options)?;
    let ours = job(2, None, options);
    let mut contenders = vec![ours.clone(), directly(ours)];
    let about_ours = Description::of_ours(&engines.job_source, Some(&options.job))?;
    let mut descriptions: Descriptions =
        contenders.iter().map(|ours| (ours.name(), about_ours.clone())).collect();
    contenders.splice(0..0, [Fetch::Client, Fetch::Direct].map(baseline));
    let mut failures = Vec::new();
    for peer in chosen {
        let log = peer.installation_log();
        eprintln!("{}: installing what is not there yet; see {}", peer.name, log.display());
        match peer.install().and_then(|()| peer.describe()) {
            Ok(description) => {
                descriptions.insert(peer.name.clone(), description);
                contenders.push(Contender::Peer(peer));
            }
            Err(error) => {
                let (at, why) = ("being installed".to_owned(), format!("{error:#}"));
                eprintln!("{} failed ({at})", peer.name);
                failures.push(Failure { contender: peer.name, at, why });
            }
        }
    }
    if failures.len() < number {
        let title = "The main job beside other engines";
        failures = compare(title, options, &contenders, descriptions, failures)?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    let failed = failures.len();
    for Failure { contender, at, why } in failures {
        eprintln!("\n{contender} failed ({at}): {why}");
    }
    bail!("{failed} of {number} peers failed; see above")
}

fn ensure_job(options: &Compare) -> anyhow::Result<()> {
    ensure!(
        options.job.is_file(),
        "there is no {}: cargo build --release --example iot_pipeline",
        options.job.display()
    );
    Ok(())
}

/// Runs them all and writes what they come to. Gives back the failures with those that came.
fn compare(
    title: &str,
    options: &Compare,
    contenders: &[Contender],
    descriptions: Descriptions,
    mut failures: Vec<Failure>,
) -> anyhow::Result<Vec<Failure>> {
    ensure_job(options)?;
    let mut topics =
        topics::filled(&options.bootstrap, options.messages, options.vary_layout, &mut |line| {
            eprintln!("{line}");
        })?;
    if !descriptions.is_empty() {
        for topic in &mut topics {
            topic.windows = topics::windows(topic.messages);
        }
    }
    let place = Place {
        bootstrap: options.bootstrap.clone(),
        job: options.job.clone(),
        scratch: options.scratch.clone(),
    };
    let mut hear = |heard: Result<&Run, &Failure>| match heard {
        Ok(run) => eprintln!(
            "round {} {} M: {} {:.2} s, {:.2} CPU s, {:.0} MiB, {} rows",
            run.round + 1,
            run.messages as f64 / 1e6,
            run.contender,
            run.wall_seconds,
            run.cpu_seconds,
            run.peak_mib,
            run.rows
        ),
        // Why is said at the end, where it is not scrolled away.
        Err(Failure { contender, at, .. }) => eprintln!("{contender} failed ({at})"),
    };
    let seed = options.seed.unwrap_or_else(|| Clock::system().wall().as_millis().cast_unsigned());
    let number = options.rounds;
    let (runs, dropped_out) =
        rounds(contenders, &topics, Rounds { number, seed }, &place, options.broker, &mut hear)?;
    fs::remove_dir_all(&options.scratch).context("removing the folder of runs")?;
    failures.extend(dropped_out);
    let layout = if options.vary_layout { ", fields in any order, white space" } else { "" };
    let document = Document {
        title: format!("{title}{layout}"),
        machine: Machine::this(),
        topics,
        baseline: baseline(Fetch::Client).name(),
        direct_baseline: Some(baseline(Fetch::Direct).name()),
        seed: Some(seed),
        order: contenders.iter().map(Contender::name).collect(),
        descriptions,
        failures,
        figures: Vec::new(),
        runs,
    }
    .computed();
    println!("{}", document.table());
    if let Some(out) = &options.out {
        write(&document, out)?;
    }
    Ok(document.failures)
}

/// Computes and writes again what follows from the runs of a document.
fn render(file: &Path, engines: &Engines) -> anyhow::Result<()> {
    let text = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let mut document: Document = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no document of this bench", file.display()))?;
    let names: Vec<String> = document.contenders().into_iter().map(str::to_owned).collect();
    let peers = Peer::all(&engines.folder, &engines.installed)?;
    let of_document: Vec<_> = peers.iter().filter(|peer| names.contains(&peer.name)).collect();
    for peer in &of_document {
        if !document.descriptions.contains_key(&peer.name) {
            let description = peer.describe().with_context(|| peer.name.clone())?;
            document.descriptions.insert(peer.name.clone(), description);
        }
    }
    if !of_document.is_empty() {
        let ours = names.into_iter().filter(|name| name.starts_with("Strandline"));
        for name in
            ours.filter(|name| !document.descriptions.contains_key(name)).collect::<Vec<_>>()
        {
            let description = Description::of_ours(&engines.job_source, None)?;
            document.descriptions.insert(name, description);
        }
        document.hold_against(topics::windows);
    }
    write(&document.computed(), &file.with_extension(""))
}

/// Writes `out.json`, `out.md` and `out.svg`.
fn write(document: &Document, out: &Path) -> anyhow::Result<()> {
    results::write_to(out, document, &document.table())
        .with_context(|| format!("writing {}", out.display()))?;
    plot::plot(document, &out.with_extension("svg"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parsed(arguments: &[&str]) -> Options {
        let before = ["end_to_end", "peers", "--bootstrap", "a:1"];
        Options::parse_from(before.iter().chain(arguments))
    }

    #[test]
    fn options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn peers_are_named_by_commas_or_one_by_one() {
        for arguments in [&["--only", "spark,Flink"][..], &["--only=spark", "--only", "Flink"]] {
            let What::Peers { only, .. } = parsed(arguments).what else { panic!("of peers") };
            assert_eq!(only, ["spark", "Flink"]);
        }
    }

    #[test]
    fn the_last_of_an_option_counts() {
        let arguments = ["--rounds", "3", "--only", "spark", "--rounds", "1", "--only", "flink"];
        let What::Peers { compare, only, .. } = parsed(&arguments).what else { panic!("of peers") };
        assert_eq!((compare.rounds, only.len()), (1, 2));
    }
}
