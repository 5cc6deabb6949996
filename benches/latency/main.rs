//! Latency under a live load, over a real Kafka.
//!
//! For each rate two jobs run, one after the other, each with a producer that sends by a schedule
//! and does not wait for anybody:
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
mod witness;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use strandline::engine::source::kafka::Fetch;

use crate::figures::{Document, Measured, Settings};
use crate::run::{Plan, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often views are published: the default of a job.
const PUBLISH_EVERY_MS: u64 = 250;
/// The main job's windows and watermark.
const LIVE_WINDOW_MS: u64 = 10_000;
const LIVE_WATERMARK_MS: u64 = 60_000;

/// Measures latency under a live load, over a real Kafka. Writes one JSON object.
#[derive(Debug, Parser)]
struct Options {
    /// The broker.
    #[arg(long, env = "STRANDLINE_KAFKA")]
    bootstrap: String,
    /// Records a second; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,50000,200000")]
    rates: Vec<u64>,
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
    /// How the job fetches messages.
    #[arg(long, value_parser = ["client", "direct"], default_value = "client")]
    fetch: String,
    /// Write a Markdown table instead.
    #[arg(long)]
    markdown: bool,
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
    let options = Options::parse();
    match measure(&options) {
        Ok(document) => {
            if options.markdown {
                print!("{}", document.markdown());
            } else {
                println!("{}", serde_json::to_string_pretty(&document).expect("plain data"));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> anyhow::Result<Document> {
    anyhow::ensure!(
        0 < options.partitions && options.devices.is_multiple_of(options.partitions),
        "--devices is not a multiple of --partitions"
    );
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
        fetch: options.fetch.clone(),
    };
    let rates = options.rates.iter().map(|rate_hz| measure_rate(options, *rate_hz));
    let rates = rates.collect::<anyhow::Result<Vec<_>>>()?;
    let idle = match options.idle_seconds {
        0 => None,
        seconds => {
            let name = format!("latency-idle-{}", std::process::id());
            let topic = live_load::Topic::create(&options.bootstrap, &name, 4)?;
            let idle = idle::measure(&topic, options.workers, &options.fetch, seconds)?;
            eprintln!("idle: {idle:?}");
            Some(idle)
        }
    };
    Ok(Document { bench: "latency", settings, rates, idle })
}

fn measure_rate(options: &Options, rate_hz: u64) -> anyhow::Result<Measured> {
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
        fetch: if options.fetch == "direct" { Fetch::Direct } else { Fetch::Client },
    };
    let mut measured = Measured { rate_hz, ..Measured::default() };
    let mut producer = None;
    if 0 < options.window_ms {
        let seen = run(&options.bootstrap, &plan)?;
        producer = producer.or(seen.producer().figures());
        (measured.final_pushed, measured.windows) = seen.after_the_last_needed(&seen.pushed);
        measured.final_committed = seen.after_the_last_needed(&seen.committed).0;
    }
    if options.live {
        let seen = run(
            &options.bootstrap,
            &Plan {
                window: Duration::from_millis(LIVE_WINDOW_MS),
                watermark: Duration::from_millis(LIVE_WATERMARK_MS),
                ..plan
            },
        )?;
        producer = producer.or(seen.producer().figures());
        (measured.live, measured.live_not_shown) = seen.to_live_rows();
    }
    measured.producer_kept_up = producer.is_some_and(|producer| producer.p99_ms < 1_000.0);
    measured.producer = producer;
    eprintln!("{measured:?}");
    Ok(measured)
}
