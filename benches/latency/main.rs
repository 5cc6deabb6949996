//! Latency under a live load, over a real Kafka.
//!
//! For each rate and each way of fetching two jobs run, one after the other, each with a producer that
//! sends by a schedule and does not wait for anybody:
//!
//! 1. *Final rows*, with small windows and a watermark that is not behind, so that many windows
//!    close: from the append of the last record that a window needs (in each partition the first
//!    one after the window's end) until its rows have been pushed to a follower, and until they are
//!    committed: in a visible Parquet file and a durable checkpoint.
//! 2. *Live rows*, with the main job's windows and watermark: from a record's append until the first
//!    published row that holds it.
//!
//! Every latency is also given from the moment at which the record was to be sent. That includes
//! the producer, and a system that stands still for a while does not hide it: the schedule goes on,
//! and so whatever should have been sent meanwhile counts with all its delay (this is what
//! correcting for coordinated omission amounts to where the load does not wait for answers).
//!
//! Then a process with the whole program and its page runs at 32 records a second, and what it
//! costs is read from `/proc`.
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock and at /proc")]

mod figures;
mod idle;
mod live_load;
mod run;
mod schedule;
mod table;
mod witness;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Parser;
use strandline::engine::source::kafka::Fetch;
use strandline_benches::machine::Machine;
use strandline_benches::results;

use crate::figures::{Document, Measured, Settings};
use crate::run::{Plan, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often views are published: the default of a job.
const PUBLISH_EVERY_MS: u64 = 250;
/// The main job's windows and watermark.
const LIVE_WINDOW_MS: u64 = 10_000;
const LIVE_WATERMARK_MS: u64 = 60_000;

/// Measures latency under a live load, over a real Kafka, and prints what it comes to as tables.
#[derive(Debug, Parser)]
struct Options {
    /// The broker.
    #[arg(long, env = "STRANDLINE_KAFKA", required_unless_present = "render")]
    bootstrap: Option<String>,
    /// Records a second; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,50000,200000")]
    rates: Vec<u64>,
    /// How often all of it is measured, except for the idle job; tables then show medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How long each load lasts, with its warm-up.
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// What is not counted at the beginning of it.
    #[arg(long, default_value_t = 5)]
    warm_up_seconds: u64,
    /// Windows where final rows are measured. 0: not at all.
    #[arg(long, default_value_t = 100)]
    window_ms: u64,
    /// Whether live rows are measured.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    live: bool,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// A multiple of the partitions.
    #[arg(long, default_value_t = 1_000)]
    devices: u64,
    #[arg(long, default_value_t = 4)]
    partitions: u64,
    #[arg(long, default_value_t = 1_000)]
    checkpoint_every_ms: u64,
    /// The producer's; 5 ms are Kafka's own default.
    #[arg(long, default_value_t = 5)]
    linger_ms: u64,
    /// How long the idle job is looked at. 0: not at all.
    #[arg(long, default_value_t = 30)]
    idle_seconds: u64,
    /// How the job fetches messages; each way with commas.
    #[arg(
        long,
        value_parser = ["client", "direct"],
        value_delimiter = ',',
        default_value = "client,direct"
    )]
    fetch: Vec<String>,
    /// Where the document and its tables go too, without an ending.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measure nothing: write the tables of this document again.
    #[arg(long, value_name = "DOCUMENT", conflicts_with = "out")]
    render: Option<PathBuf>,
}

/// Microseconds since 1970. The log's clock is this one too: the broker is on the same machine.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294247")
}

fn main() -> ExitCode {
    if std::env::var_os(idle::JOB_VARIABLE).is_some() {
        return idle::job();
    }
    match run_or_render(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_or_render(options: &Options) -> anyhow::Result<()> {
    if let Some(file) = &options.render {
        let json = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let document: Document = serde_json::from_slice(&json)
            .with_context(|| format!("{} is no document of this bench", file.display()))?;
        let tables = file.with_extension("md");
        return fs::write(&tables, document.tables())
            .with_context(|| format!("writing {}", tables.display()));
    }
    let document = measure(options)?;
    print!("{}", document.tables());
    if let Some(out) = &options.out {
        results::write_to(out, &document, &document.tables())
            .with_context(|| format!("writing {}", out.display()))?;
    }
    Ok(())
}

fn measure(options: &Options) -> anyhow::Result<Document> {
    anyhow::ensure!(
        0 < options.partitions && options.devices.is_multiple_of(options.partitions),
        "--devices is not a multiple of --partitions"
    );
    let bootstrap = options.bootstrap.as_deref().context("no broker is named")?;
    let settings = Settings {
        workers: options.workers,
        devices: options.devices,
        partitions: options.partitions,
        seconds: options.seconds,
        warm_up_seconds: options.warm_up_seconds,
        final_window_ms: options.window_ms,
        live_window_ms: LIVE_WINDOW_MS,
        live_watermark_ms: LIVE_WATERMARK_MS,
        publish_every_ms: PUBLISH_EVERY_MS,
        checkpoint_every_ms: options.checkpoint_every_ms,
        linger_ms: options.linger_ms,
    };
    let mut rates = Vec::new();
    for _ in 0..options.rounds {
        for rate_hz in &options.rates {
            // The ways one after the other, so that what is compared is close in time.
            for fetch in &options.fetch {
                rates.push(measure_rate(bootstrap, options, *rate_hz, fetch)?);
            }
        }
    }
    let mut idle = Vec::new();
    if 0 < options.idle_seconds {
        for fetch in &options.fetch {
            let name = format!("latency-idle-{fetch}-{}", std::process::id());
            let topic = live_load::Topic::create(bootstrap, &name, 4)?;
            let of_way = idle::measure(&topic, options.workers, fetch, options.idle_seconds)?;
            eprintln!("idle: {of_way:?}");
            idle.push(of_way);
        }
    }
    let (bench, machine) = ("latency".to_owned(), Machine::this());
    Ok(Document { bench, machine, settings, rates, idle })
}

fn measure_rate(
    bootstrap: &str,
    options: &Options,
    rate_hz: u64,
    fetch: &str,
) -> anyhow::Result<Measured> {
    let plan = Plan {
        rate_hz,
        seconds: options.seconds,
        warm_up: Duration::from_secs(options.warm_up_seconds),
        devices: options.devices,
        partitions: options.partitions,
        workers: options.workers,
        window: Duration::from_millis(options.window_ms),
        watermark: Duration::ZERO,
        checkpoint_every: Duration::from_millis(options.checkpoint_every_ms),
        linger: Duration::from_millis(options.linger_ms),
        fetch: if fetch == "direct" { Fetch::Direct } else { Fetch::Client },
    };
    let mut measured = Measured { fetch: fetch.to_owned(), rate_hz, ..Measured::default() };
    let mut producers = Vec::new();
    if 0 < options.window_ms {
        let seen = run(bootstrap, &plan)?;
        producers.extend(seen.producer().figures());
        (measured.final_pushed, measured.windows) = seen.after_the_last_needed(&seen.pushed);
        measured.final_committed = seen.after_the_last_needed(&seen.committed).0;
    }
    if options.live {
        let seen = run(
            bootstrap,
            &Plan {
                window: Duration::from_millis(LIVE_WINDOW_MS),
                watermark: Duration::from_millis(LIVE_WATERMARK_MS),
                ..plan
            },
        )?;
        producers.extend(seen.producer().figures());
        (measured.live, measured.live_not_shown) = seen.to_live_rows();
    }
    // The one of both runs that was later.
    measured.producer =
        producers.into_iter().max_by(|one, other| one.p99_ms.total_cmp(&other.p99_ms));
    measured.producer_kept_up = measured.producer.is_some_and(|producer| producer.p99_ms < 1_000.0);
    eprintln!("{measured:?}");
    Ok(measured)
}
