//! Simulates a fleet of devices that send metrics to Kafka: `strandline-sim --help`.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;
use strandline_engine::clock::Clock;
use strandline_engine::report::Log;
use strandline_sim::arguments::{Arguments, Refused};
use strandline_sim::fleet::Fleet;
use strandline_sim::producer::{
    FleetProducer, Pace, ProduceError, Report, Tally, Topic, start_to_end_now,
};

/// Exit code of a run in which messages were not delivered, or that failed.
const FAILED: u8 = 1;
/// Exit code of a command line that makes no sense.
const USAGE: u8 = 2;
/// Exit code when a second signal ends the program at once.
const INTERRUPTED: i32 = 130;
/// How far ahead of the present event times may be before jobs refuse them by default.
const FUTURE_MAX: Duration = Duration::from_secs(3600);

/// How long the end of the program waits for its log.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let code = send();
    Log::stderr().flush(FLUSH_LIMIT);
    code
}

fn send() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os().collect::<Vec<OsString>>()) {
        Ok(arguments) => arguments,
        Err(Refused::Asked(text)) => {
            // Whoever has read enough closes the stream.
            let _ = write!(std::io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(Refused::Wrong(line)) => return refuse(&line),
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) if matches!(error.downcast_ref(), Some(ProduceError::Config(_))) => {
            refuse(&format!("{error:#}"))
        }
        Err(error) => {
            say(&format!("strandline-sim: {error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Says something on the standard error stream. If nobody reads that, the fleet sends all the same.
fn say(line: &str) {
    Log::stderr().line(line);
}

fn refuse(line: &str) -> ExitCode {
    say(&format!("strandline-sim: {line}"));
    ExitCode::from(USAGE)
}

/// Runs until the end or a signal; whether everything was delivered.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGQUIT] {
        // The first signal ends the run in order, the second one at once.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("taking signals")?;
    }
    let stopped = || stop.load(Ordering::Relaxed);
    let clock = Clock::system();
    let producer = FleetProducer::new(&arguments.producer, None)?;
    let mut report = |report: Report| match report {
        Report::Unreachable { reason } => say(&format!(
            "strandline-sim: no Kafka broker answers at {} ({reason}); trying until one does \
             (--bootstrap names another)",
            arguments.producer.bootstrap
        )),
        Report::Reachable => say("strandline-sim: the broker answers again"),
        Report::Progress(tally) if !arguments.quiet => say(&status(&tally)),
        Report::Progress(_) => {}
    };

    let topic = match producer.ensure_topic(arguments.partitions, &stopped, &mut report) {
        Err(ProduceError::Stopped) => return Ok(true),
        result => result?,
    };
    let pace = arguments.messages.map_or(Pace::RealTime, |messages| Pace::FullSpeed { messages });
    let start = match (arguments.start, arguments.messages) {
        (Some(start), _) => start,
        (None, Some(messages)) => start_to_end_now(&arguments.fleet, messages, &clock)?,
        (None, None) => clock.wall(),
    };
    if !arguments.quiet {
        say(&introduction(arguments, topic));
    }
    if let Some(messages) = arguments.messages
        && clock.wall() + FUTURE_MAX < start + arguments.fleet.time_for(messages)?
    {
        say("strandline-sim: event times reach more than an hour into the future, where jobs \
             refuse them by default: an earlier --start, or fewer --messages, avoids that");
    }

    let mut fleet = Fleet::new(arguments.fleet.clone(), start)?;
    let tally = producer.run(&mut fleet, pace, &clock, &stopped, &mut report)?;
    if !arguments.quiet {
        say(&summary(&tally));
    }
    let lost = tally.failed + tally.under_way();
    if 0 < lost {
        let why = tally.last_error.map(|error| format!(": {error}")).unwrap_or_default();
        say(&format!("strandline-sim: {lost} messages were not delivered{why}"));
    }
    Ok(lost == 0)
}

fn introduction(arguments: &Arguments, topic: Topic) -> String {
    let (partitions, how) = match topic {
        Topic::Existed { partitions } => (partitions, "exists"),
        Topic::Created { partitions } => (partitions, "created"),
    };
    let fleet = &arguments.fleet;
    let work = arguments.messages.map_or_else(
        || format!("{} messages/s each, Ctrl-C ends it", fleet.rate_per_device_hz),
        |messages| format!("{messages} messages at full speed"),
    );
    format!(
        "{} devices to topic {} ({partitions} partitions, {how}) at {}: {work}",
        fleet.devices, arguments.producer.topic, arguments.producer.bootstrap
    )
}

fn status(tally: &Tally) -> String {
    let Tally { sent, delivered, failed, held_up, malformed, .. } = tally;
    let rate = *delivered as f64 / tally.elapsed.as_secs_f64().max(1e-3);
    format!(
        "sent {sent} · delivered {delivered} ({rate:.0}/s) · held up {held_up} · malformed \
         {malformed} · failed {failed}"
    )
}

fn summary(tally: &Tally) -> String {
    let seconds = tally.elapsed.as_secs_f64();
    let megabytes = tally.bytes as f64 / 1e6;
    format!("{} · {megabytes:.1} MB in {seconds:.1} s", status(tally))
}
