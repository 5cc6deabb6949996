//! The end-to-end bench: the main job over a real Kafka, beside the bare drain of the same topic and
//! the job written by hand, run by run in turn. `scripts/bench` starts it.
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and at /proc")]

mod consume;
mod contender;
mod hand;
mod machine;
mod plot;
mod process;
mod report;
mod rounds;
mod topics;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::{Args, Parser, Subcommand};
use serde_json::json;

use self::contender::{Contender, Place};
use self::hand::Outcome;
use self::machine::Machine;
use self::report::Document;
use self::rounds::{Run, rounds};

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
    Job(Compare),
    /// The job beside other engines
    Peers {
        #[command(flatten)]
        compare: Compare,
        /// The folder with a folder for each of them
        #[arg(long, default_value = "benches/peers")]
        folder: PathBuf,
        /// Where they are installed; it can be deleted at any time
        #[arg(long, default_value = "target/peers")]
        installed: PathBuf,
    },
    /// One run of the bare drain
    Drain(Single),
    /// One run of the hand-written loop
    Hand(Single),
    /// Writes the table and the plot of a document again
    Render {
        /// The document
        file: PathBuf,
    },
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
    /// Each message with its fields in another order, and white space
    #[arg(long)]
    vary_layout: bool,
    /// Only those whose name contains this; repeatable. The baseline always takes part
    #[arg(long)]
    only: Vec<String>,
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
}

fn main() -> anyhow::Result<()> {
    match Options::parse().what {
        What::Job(options) => {
            compare("The main job over Kafka", &options, job_contenders(&options))
        }
        What::Peers { compare: options, folder, installed } => {
            let ours = job(2, None, &options);
            let mut contenders = vec![baseline(), ours.clone(), directly(ours)];
            contenders.extend(Contender::peers(&folder, &installed)?);
            compare("The main job beside other engines", &options, contenders)
        }
        What::Drain(Single { bootstrap, topic, threads }) => {
            say(&hand::drain(&bootstrap, &topic, threads)?);
            Ok(())
        }
        What::Hand(Single { bootstrap, topic, threads }) => {
            say(&hand::hand(&bootstrap, &topic, threads)?);
            Ok(())
        }
        What::Render { file } => {
            let text = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            let document = serde_json::from_slice(&text).context("it is no document of a bench")?;
            write(&document, &file.with_extension(""))
        }
    }
}

fn say(outcome: &Outcome) {
    println!("{}", json!({"records": outcome.records, "rows": outcome.rows}));
}

/// What everybody is held against.
fn baseline() -> Contender {
    Contender::Hand { threads: 2 }
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
    let mut all = vec![Contender::Drain { threads: 2 }, Contender::Hand { threads: 1 }, baseline()];
    for checkpoint_every in [None, Some("5s"), Some("1s")] {
        all.extend([1, 2, 4].map(|workers| job(workers, checkpoint_every, options)));
    }
    all.extend([None, Some("1s")].map(|every| directly(job(2, every, options))));
    all
}

fn compare(title: &str, options: &Compare, mut contenders: Vec<Contender>) -> anyhow::Result<()> {
    ensure!(
        options.job.is_file(),
        "there is no {}: cargo build --release --example iot_pipeline",
        options.job.display()
    );
    let baseline = baseline().name();
    if !options.only.is_empty() {
        contenders.retain(|contender| {
            let name = contender.name();
            name == baseline || options.only.iter().any(|part| name.contains(&**part))
        });
    }
    let topics =
        topics::filled(&options.bootstrap, options.messages, options.vary_layout, &mut |line| {
            eprintln!("{line}");
        })?;
    let place = Place {
        bootstrap: options.bootstrap.clone(),
        job: options.job.clone(),
        scratch: options.scratch.clone(),
    };
    let mut hear = |run: &Run| {
        eprintln!(
            "round {} {} M: {} {:.2} s, {:.2} CPU s, {:.0} MiB, {} rows",
            run.round + 1,
            run.messages as f64 / 1e6,
            run.contender,
            run.wall_seconds,
            run.cpu_seconds,
            run.peak_mib,
            run.rows
        );
    };
    let runs = rounds(&contenders, &topics, options.rounds, &place, options.broker, &mut hear)?;
    fs::remove_dir_all(&options.scratch).context("removing the folder of runs")?;
    let layout = if options.vary_layout { ", fields in any order, white space" } else { "" };
    let title = format!("{title}{layout}");
    let document = Document::new(title, Machine::this(), topics, baseline, runs);
    println!("{}", document.table());
    match &options.out {
        Some(out) => write(&document, out),
        None => Ok(()),
    }
}

/// Writes `out.json`, `out.md` and `out.svg`.
fn write(document: &Document, out: &std::path::Path) -> anyhow::Result<()> {
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::write(out.with_extension("json"), serde_json::to_string_pretty(document)? + "\n")?;
    fs::write(out.with_extension("md"), document.table())?;
    plot::plot(document, &out.with_extension("svg"))
}
