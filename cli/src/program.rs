//! A job as a program: options in, outputs, a page and a status line out, an exit code at the end.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strandline_dashboard::{Dashboard, PageOptions};
use strandline_engine::checkpoint::lock::{Lock, LockError};
use strandline_engine::checkpoint::object::ObjectBlobs;
use strandline_engine::checkpoint::{CheckpointError, Checkpoints, catalog};
use strandline_engine::clock::Clock;
use strandline_engine::condition::ConditionKind;
use strandline_engine::job::{Job, JobError, JobOptions, Stop, Summary};
use strandline_engine::report::Report;
use strandline_engine::sink::{self, Existing, FileOutputs, LatestJson, Roll, RunId};
use strandline_engine::source::SourceError;
use strandline_engine::source::kafka::{KafkaSettings, KafkaSource, LeftOut, keep_freed_memory};
use strandline_engine::store::Directory;
use strandline_engine::table::{Cells, Table};
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::{DeadReason, Decode};
use strandline_operators::record::Partition;
use strandline_operators::window::Tumbling;
use strandline_sim::command_line::one_line;

use crate::deferred_outputs::DeferredOutputs;
use crate::demonstration::{self, World};
use crate::doctor::{self, DOCTOR};
use crate::duration;
use crate::kafka_options;
use crate::options::{Checkpoint, FutureBy, Options};
use crate::places;
use crate::status::Voice;
use crate::{page, panics, signals};

/// The exit code where the user has to change something: options, directories, the topic.
const UNUSABLE: u8 = 2;
/// The exit code where something is in the way of a start that may pass: a port or a lock that
/// another process holds, a store that is away. (`EX_TEMPFAIL` of sysexits.)
pub(crate) const NOT_NOW: u8 = 75;
/// The exit code where all records of a bounded run are dead letters. The run is complete: it makes no
/// sense to start it again as it is.
pub(crate) const UNREADABLE: u8 = 3;
/// How often an epoch begins, at least: idle partitions stop holding the others back at such a
/// moment.
const EPOCH_EVERY: Duration = Duration::from_secs(1);
/// The least time between two documents of `latest.json`: a file system may write a file out when
/// it is replaced, and a job that has little to do would do little else.
const LATEST_JSON_EVERY_MIN: Duration = Duration::from_secs(1);
/// How long browsers may take to let go of the page at the end.
const PAGE_SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);
/// The first port of the processes of a job where no host file is given: timely's.
const FIRST_PORT: usize = 2101;

/// What a program computes.
#[derive(Debug)]
pub struct Program<D, A> {
    /// The program's name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// How records are read.
    pub decoder: D,
    /// What is computed of each window and key.
    pub aggregate: A,
    /// The names of the results.
    pub table: Table,
    /// What the page calls things.
    pub page: PageOptions,
}

/// Why a program could not do its work.
enum Trouble {
    /// The user has to change something.
    Unusable(String),
    /// Before it began: something is in the way that may pass.
    NotNow(String),
    /// While it ran.
    Failed(String),
    /// Never: but no record of a bounded run could be read.
    Unreadable(String),
}

impl<D, A> Program<D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    /// Runs with the arguments, environment and files of the process, until it is done or stopped.
    /// Everything that goes wrong is one line on the standard error stream; a panic on any thread
    /// ends the process there and then.
    ///
    /// With `doctor` as its first argument it only says whether a job with the other arguments would
    /// run ([`doctor`]).
    pub fn main(self) -> ExitCode {
        let clock = Clock::system();
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next().is_some_and(|first| first == DOCTOR) {
            let read = doctor::read_by(&self.decoder);
            return doctor::run(self.name, arguments.collect(), Some(read));
        }
        let options = match Options::read(self.name, self.about, std::env::args_os()) {
            Ok(options) => options,
            Err(error) if error.use_stderr() => {
                let voice = Voice::new(false);
                voice.warn(&format!("error: {}", one_line(&error)));
                voice.flush();
                return ExitCode::from(UNUSABLE);
            }
            Err(help) => {
                // Whoever has read enough closes the stream.
                let _ = write!(io::stdout(), "{help}");
                return ExitCode::SUCCESS;
            }
        };
        let voice = Voice::new(options.quiet);
        panics::end_the_program(&voice);
        keep_freed_memory();
        let code = match self.run(&options, &clock, &voice) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Trouble::Unusable(line)) => {
                voice.warn(&format!("error: {line}"));
                ExitCode::from(UNUSABLE)
            }
            Err(Trouble::NotNow(line)) => {
                voice.warn(&format!("error: {line}"));
                ExitCode::from(NOT_NOW)
            }
            Err(Trouble::Unreadable(line)) => {
                voice.warn(&format!("error: {line}"));
                ExitCode::from(UNREADABLE)
            }
            Err(Trouble::Failed(line)) => {
                voice.warn(&format!("error: {line}"));
                ExitCode::FAILURE
            }
        };
        voice.flush();
        code
    }

    fn run(self, options: &Options, clock: &Clock, voice: &Voice) -> Result<(), Trouble> {
        let unusable = |error: &dyn std::fmt::Display| Trouble::Unusable(error.to_string());
        let windows = Tumbling::of(options.window)
            .ok_or_else(|| Trouble::Unusable("--window: not whole milliseconds".to_owned()))?;
        let unit = options.time_unit;
        let decoder = self.decoder.in_time_unit(unit).ok_or_else(|| {
            Trouble::Unusable(format!("--time-unit {unit}: this program cannot read such times"))
        })?;
        let hosts = hosts(options)?;
        let config = timely_config(options, &hosts);
        let leads = options.process == 0;
        let stop = Stop::default();
        signals::stop_on_signals(&stop, voice).map_err(|error| unusable(&error))?;

        // Everything that can be refused is looked at before anything is written.
        let table = Arc::new(self.table);
        let first = Snapshot::empty(&options.topic, Arc::clone(&table), clock.wall());
        let latest = first.to_json();
        let view = View::new(first);
        let page = page::serve(options, &hosts, &view, self.page)
            .map_err(|error| Trouble::NotNow(error.to_string()))?;
        let mut world =
            World::of(options, clock).map_err(|error| Trouble::Unusable(format!("{error:#}")))?;
        for secret in &options.secrets_on_command_line {
            voice.warn(&kafka_options::warning(secret));
        }
        let kafka_options = kafka_options::all(options).map_err(Trouble::Unusable)?;
        let settings = KafkaSettings {
            telemetry: view.telemetry().clone(),
            ..kafka_settings(options, kafka_options, &world, voice)
        };
        let source = KafkaSource::new(settings).map_err(|error| unusable(&error))?;
        let planned = source.clone();
        let out = Directory::local(&options.out);
        let mut keeping = match world.is_embedded() {
            // The data dies with the process.
            true => None,
            false => Keeping::open(options, &out, clock, voice)?,
        };
        let existing = match (&keeping, leads) {
            (Some(keeping), true) if keeping.continues => Existing::Continue,
            (Some(_), false) => Existing::Continue,
            _ if options.replace && leads => Existing::Replace,
            _ if options.append || world.is_embedded() || !leads => Existing::Append,
            _ => Existing::Refuse,
        };
        // Before anything there is touched: a job that runs writes there.
        let out_lock = leads.then(|| Lock::acquire(&options.out)).transpose();
        let _out_lock = out_lock.map_err(|error| locked(&error))?;
        if leads {
            demonstration::keep_apart(&out, world.is_embedded(), options.replace)
                .map_err(|error| Trouble::Unusable(format!("{error:#}")))?;
        }
        // What an earlier run left is removed when the job can run, and not before.
        let later = leads && existing != Existing::Continue;
        match later {
            true => sink::check(&out, existing),
            false => sink::prepare(&out, existing, leads.then_some(&latest)),
        }
        .map_err(|error| unusable(&error))?;
        if out.refuses_sync() {
            voice.warn(&unsynced(&options.out.display().to_string(), "files"));
        }
        let run = RunId::fresh(clock);
        if let Some(Keeping { checkpoints: Some(checkpoints), .. }) = &mut keeping {
            let identity = sink::identify(&out, run).map_err(|error| unusable(&error))?;
            checkpoints.outputs = Some(identity);
        }
        if keeping.as_ref().is_none_or(|keeping| keeping.checkpoints.is_none())
            && let (Some(group), true) = (&options.group, leads)
        {
            voice.warn(&format!(
                "--group {group} has no effect: only the offsets of checkpoints are committed under it, \
                 and this run makes none"
            ));
        }
        self::introduce(options, &world, keeping.as_ref(), page.as_ref(), self.name, voice);
        let report = report(voice);
        let outputs = FileOutputs {
            out: out.clone(),
            run,
            roll: Roll { every: options.roll_every, ..Roll::default() },
            codec: options.parquet_codec,
            clock: clock.clone(),
            report: report.clone(),
            table: Table::clone(&table),
            topic: options.topic.clone(),
            windows,
        };
        let outputs =
            DeferredOutputs { files: outputs, prepare: later.then(|| (existing, latest.clone())) };
        let latest_json = leads
            .then(|| {
                let every = options.publish_every.max(LATEST_JSON_EVERY_MIN);
                LatestJson::spawn(&out, &view, every, clock, &report, existing)
            })
            .transpose()
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        let speaker = voice.clone();
        // The fleet ends with the job, and at once when the user asks to stop.
        let over = Stop::default();
        let (asked, ended) = (stop.clone(), over.clone());
        let stopped = move || asked.is_requested() || ended.is_requested();
        let simulation = match leads {
            true => world.simulate(options, &view, clock, stopped, move |line| speaker.say(line)),
            false => Ok(None),
        };
        let simulation = match simulation {
            Ok(simulation) => simulation,
            Err(_) if stop.is_requested() => return Ok(()),
            Err(error) => return Err(Trouble::Unusable(format!("{error:#}"))),
        };
        let status = match leads {
            true => Some(voice.follow(&view, clock)),
            false => {
                let (process, leader) = (options.process, page::leader(options, &hosts));
                voice.say(&format!(
                    "status   process {process} shows none of its own: the job is shown at {leader}"
                ));
                None
            }
        };

        let job_options = JobOptions {
            watermark: options.watermark,
            max_future: options.max_future,
            max_past: options.max_past,
            future_by_clock: options.max_future_by == FutureBy::Clock,
            idle_after: options.idle_after,
            publish_every: options.publish_every,
            epoch_every: EPOCH_EVERY.min(options.checkpoint_every),
            ..JobOptions::new(windows)
        };
        let lowered = options.lower_event_time.iter();
        let lowered = lowered.map(|(partition, time)| (Partition(*partition), *time)).collect();
        let checkpoints = keeping.as_mut().and_then(|keeping| keeping.checkpoints.take());
        let job = Job::new(source, decoder, self.aggregate, table, outputs, job_options)
            .with_checkpoints(checkpoints)
            .with_terms(terms(options))
            .with_abandoned_places(options.abandon_place.clone())
            .with_lowered_event_times(lowered)
            .with_report(report);
        let result = job.run(config, clock, &view, &stop);
        over.request();
        drop((status, simulation));
        let summary = match result {
            Ok(summary) => summary,
            Err(JobError::Source(SourceError::Stopped)) => Summary::default(),
            Err(error) => {
                // The first error is the cause.
                drop(latest_json.map(|latest| latest.close()));
                let failed = ConditionKind::Failed;
                view.telemetry().raise(failed, "", &error.to_string(), clock.wall());
                return Err(trouble(&error));
            }
        };
        let latest_closed = latest_json.map_or(Ok(()), |latest| latest.close());
        latest_closed.map_err(|error| Trouble::Failed(error.to_string()))?;
        if let Some(page) = page {
            page.shutdown(PAGE_SHUTDOWN_LIMIT);
        }
        if leads {
            conclude(options, &summary, &planned.left_out(), clock, voice).map_err(|error| {
                Trouble::Failed(format!(
                    "the summary cannot be written to the standard output: {error}; all outputs \
                     are complete"
                ))
            })?;
            if let Some(line) = nothing_readable(options, &summary) {
                return Err(Trouble::Unreadable(line));
            }
        }
        Ok(())
    }
}

/// What to say of a bounded run of which not a single record could be read.
fn nothing_readable(options: &Options, summary: &Summary) -> Option<String> {
    let ledger = &summary.ledger;
    if !options.bounded || !summary.finished || ledger.read == 0 {
        return None;
    }
    if ledger.dead_letters() < ledger.read {
        return None;
    }
    let counts = DeadReason::ALL.iter().zip(ledger.dead).filter(|(_, count)| *count > 0);
    let counts = counts.map(|(reason, count)| format!("{count} {}", reason.code()));
    Some(format!(
        "none of the {} records could be read ({}): there are no rows; what they are is in {}",
        ledger.read,
        counts.collect::<Vec<_>>().join(", "),
        options.out.join("dead_letters").display(),
    ))
}

fn kafka_settings(
    options: &Options,
    kafka_options: Vec<(String, String)>,
    world: &World,
    voice: &Voice,
) -> KafkaSettings {
    let voice = voice.clone();
    KafkaSettings {
        options: kafka_options,
        fetch: options.fetch,
        start: options.from,
        bounded: options.bounded,
        embedded: world.is_embedded(),
        group: options.group.clone(),
        memory_in_flight: options.memory_in_flight,
        report: Report::new(move |line| voice.warn(line)),
        ..KafkaSettings::new(&world.bootstrap, &options.topic)
    }
}

/// What all processes of a job have to be told alike, besides what the job itself looks at.
fn terms(options: &Options) -> BTreeMap<String, String> {
    let terms = [
        ("bootstrap", options.bootstrap.clone().unwrap_or_default()),
        ("bounded", options.bounded.to_string()),
        ("from", format!("{:?}", options.from)),
        ("memory-in-flight", options.memory_in_flight.to_string()),
    ];
    terms.map(|(name, value)| (name.to_owned(), value)).into()
}

fn report(voice: &Voice) -> Report {
    let voice = voice.clone();
    Report::new(move |line| voice.warn(line))
}

/// Another process has it, or it cannot be made.
fn locked(error: &LockError) -> Trouble {
    match error {
        LockError::Held { .. } => Trouble::NotNow(error.to_string()),
        _ => Trouble::Unusable(error.to_string()),
    }
}

/// The store of checkpoints does not answer as it should. One that is away may come back.
fn away(error: CheckpointError) -> Trouble {
    match error {
        CheckpointError::Blobs(error) => Trouble::NotNow(error.to_string()),
        error => Trouble::Unusable(error.to_string()),
    }
}

/// Whether it is for the user to change something.
fn trouble(error: &JobError) -> Trouble {
    let line = error.to_string();
    match error {
        JobError::Checkpoint(
            CheckpointError::NoneVerifies { .. }
            | CheckpointError::NewerFormat { .. }
            | CheckpointError::OtherJob { .. }
            | CheckpointError::OtherOutputs { .. }
            | CheckpointError::OtherMode { .. }
            | CheckpointError::PlaceMissing { .. }
            | CheckpointError::LogCutBack { .. }
            | CheckpointError::Finished { .. },
        )
        | JobError::Source(
            SourceError::TopicAbsent { .. } | SourceError::DataGone { .. } | SourceError::Config(_),
        ) => Trouble::Unusable(line),
        JobError::OtherOptions { .. } => Trouble::Unusable(line),
        _ => Trouble::Failed(line),
    }
}

/// The checkpoints of a job, and the lock on them.
struct Keeping {
    /// Until the job takes them.
    checkpoints: Option<Checkpoints>,
    place: String,
    /// Whether there is one that this run continues.
    continues: bool,
    _lock: Option<Lock>,
}

/// What is said of a place whose file system does not sync directories.
fn unsynced(place: &str, what: &str) -> String {
    format!(
        "{place}: this file system does not sync directories: after a loss of power, {what} may be \
         missing there"
    )
}

impl Keeping {
    /// What the options ask for, if they do. Only the process that leads takes the lock.
    fn open(
        options: &Options,
        out: &Directory,
        clock: &Clock,
        voice: &Voice,
    ) -> Result<Option<Keeping>, Trouble> {
        let unusable = |error: &dyn std::fmt::Display| Trouble::Unusable(error.to_string());
        let Checkpoint::At(place) = &options.checkpoint else { return Ok(None) };
        if !place.contains("://") {
            places::keep_apart(&options.out, Path::new(place)).map_err(Trouble::Unusable)?;
        }
        let blobs = ObjectBlobs::open(place).map_err(|error| unusable(&error))?;
        let leads = options.process == 0;
        let lock = blobs.directory().filter(|_| leads).map(Lock::acquire);
        let lock = lock.transpose().map_err(|error| locked(&error))?;
        let mut continues = false;
        if leads {
            blobs.check_writable().map_err(|error| away(error.into()))?;
            if blobs.refuses_sync() {
                voice.warn(&unsynced(place, "checkpoints"));
            }
            blobs.remove_leftovers().map_err(|error| away(error.into()))?;
            let all = catalog::list(&blobs).map_err(away)?;
            let newest = all.iter().rev().find_map(|listed| listed.manifest.as_ref().ok());
            let continued = newest.filter(|manifest| !options.fresh && manifest.cut.is_some());
            if let Some(manifest) = continued {
                let here = sink::identity(out).map_err(|error| unusable(&error))?;
                manifest.check_outputs(place, &here).map_err(|error| unusable(&error))?;
            }
            continues = continued.is_some();
        }
        let checkpoints = Checkpoints {
            blobs: Arc::new(blobs),
            every: options.checkpoint_every,
            keep: options.keep as usize,
            fresh: options.fresh,
            start: RunId::fresh(clock),
            shape: BTreeMap::new(),
            outputs: None,
        };
        let (checkpoints, place) = (Some(checkpoints), place.clone());
        Ok(Some(Keeping { checkpoints, place, continues, _lock: lock }))
    }
}

/// How timely lays out the workers.
fn timely_config(options: &Options, hosts: &[String]) -> timely::Config {
    let threads = options.workers();
    if options.processes == 1 {
        return timely::Config::process(threads);
    }
    let communication = timely::CommunicationConfig::Cluster {
        threads,
        process: options.process,
        addresses: hosts.to_vec(),
        report: false,
        zerocopy: false,
    };
    timely::Config { communication, worker: timely::WorkerConfig::default() }
}

/// An address of each process.
pub(crate) fn host_addresses(options: &Options) -> Result<Vec<String>, String> {
    hosts(options).map_err(|trouble| match trouble {
        Trouble::Unusable(line)
        | Trouble::NotNow(line)
        | Trouble::Failed(line)
        | Trouble::Unreadable(line) => line,
    })
}

fn hosts(options: &Options) -> Result<Vec<String>, Trouble> {
    let file = options.hostfile.as_ref().filter(|_| options.processes > 1);
    let mut addresses = match file {
        None => (0..options.processes).map(|i| format!("localhost:{}", FIRST_PORT + i)).collect(),
        Some(path) => {
            let hosts = crate::options::read_text(path).map_err(|error| {
                Trouble::Unusable(format!("--hostfile {}: {error}", path.display()))
            })?;
            let lines = hosts.lines().map(str::trim).enumerate();
            let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty()).collect();
            let has_port = |line: &str| {
                line.rsplit_once(':').is_some_and(|(host, port)| {
                    !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
                })
            };
            if let Some((number, line)) = lines.iter().find(|(_, line)| !has_port(line)) {
                return Err(Trouble::Unusable(format!(
                    "--hostfile {}: line {}: `{line}` is not a host and a port, such as job-0:2101",
                    path.display(),
                    number + 1
                )));
            }
            lines.into_iter().map(|(_, line)| line.to_owned()).collect::<Vec<_>>()
        }
    };
    if addresses.len() < options.processes {
        return Err(Trouble::Unusable(format!(
            "--hostfile names {} hosts for {} processes",
            addresses.len(),
            options.processes
        )));
    }
    addresses.truncate(options.processes);
    Ok(addresses)
}

/// Says what runs where.
fn introduce(
    options: &Options,
    world: &World,
    keeping: Option<&Keeping>,
    page: Option<&Dashboard>,
    name: &str,
    voice: &Voice,
) {
    let topic = &options.topic;
    if world.is_embedded() {
        let miss = demonstration::near_miss().map(|miss| format!(" ({miss})"));
        voice.say(&format!(
            "broker   none was given{}: this is the demonstration, on a broker in this process at {}, topic {topic}",
            miss.unwrap_or_default(),
            world.bootstrap
        ));
    } else {
        voice.say(&format!("broker   {}, topic {topic}", world.bootstrap));
    }
    if options.simulate || world.is_embedded() {
        voice.say(&format!(
            "fleet    {} simulated devices, {} messages a second each",
            options.devices, options.rate
        ));
    }
    voice.say(&format!(
        "job      {} worker{}, windows of {}, watermark {}",
        options.workers(),
        if options.workers() == 1 { "" } else { "s" },
        duration::text(options.window),
        duration::text(options.watermark)
    ));
    voice.say(&format!(
        "outputs  {}: latest.json, parquet/, late/, dead_letters/",
        options.out.display()
    ));
    match keeping {
        Some(Keeping { place, continues: true, .. }) => {
            voice.say(&format!("keeping  checkpoints in {place}: goes on from the newest"));
        }
        Some(Keeping { place, .. }) => voice.say(&format!("keeping  checkpoints in {place}")),
        None if world.is_embedded() => {
            voice.say("keeping  no checkpoints: the embedded broker ends with this process");
        }
        None => voice.say("keeping  no checkpoints"),
    }
    if let Some(page) = page {
        voice.say(&format!("page     http://{}", page.local_addr()));
    }
    if world.is_embedded() {
        voice.say(&format!(
            "         with a real Kafka: {name} --bootstrap localhost:9092 (or KAFKA_BOOTSTRAP)"
        ));
    }
    voice.say("         Ctrl-C stops");
}

/// Says what the run came to; of a bounded run, one JSON object on the standard output stream.
fn conclude(
    options: &Options,
    summary: &Summary,
    left_out: &[LeftOut],
    clock: &Clock,
    voice: &Voice,
) -> io::Result<()> {
    let ledger = &summary.ledger;
    let seconds = clock.elapsed().as_secs_f64();
    voice.say(&format!(
        "read {} records: {} windowed, {} late, {} dead letters; {} final rows",
        ledger.read,
        ledger.windowed,
        ledger.late,
        ledger.dead_letters(),
        summary.final_rows
    ));
    if !summary.finished && 0 < summary.open_windows {
        let continuation = match summary.continues {
            true => "continue at the next start",
            false => "do not continue (no checkpoints)",
        };
        let open = summary.open_windows;
        voice.say(&format!("open windows: {open}; they are not final and {continuation}"));
    }
    let left_out: u64 = left_out.iter().map(LeftOut::offsets).sum();
    if 0 < left_out {
        voice.say(&format!(
            "left out: {left_out} offsets behind transactions that were open at the start"
        ));
    }
    if options.bounded && summary.finished {
        let line = json!({
            "records": ledger.read,
            "late": ledger.late,
            "dead_letters": ledger.dead_letters(),
            "final_rows": summary.final_rows,
            "left_out": left_out,
            "seconds": seconds,
            "records_per_second": (ledger.read - summary.read_before) as f64 / seconds,
        });
        let mut stdout = io::stdout();
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use strandline_engine::view::Ledger;

    use super::*;

    #[test]
    fn a_bounded_run_of_which_nothing_could_be_read_is_not_silent() {
        let options = |arguments: &[&str]| {
            let arguments = ["job"].iter().chain(arguments).map(std::ffi::OsString::from);
            Options::read("job", "", arguments).unwrap()
        };
        let mut dead = [0; DeadReason::ALL.len()];
        (dead[1], dead[5]) = (2, 3);
        let ledger = Ledger { read: 5, dead, ..Ledger::default() };
        let summary = Summary { ledger, finished: true, ..Summary::default() };
        let bounded = options(&["--bounded", "--bootstrap", "kafka:9092", "--out", "rows"]);
        let said = nothing_readable(&bounded, &summary).unwrap();
        assert!(said.contains("none of the 5 records"), "{said}");
        assert!(
            said.contains("2 not_json, 3 bad_time") && said.contains("rows/dead_letters"),
            "{said}"
        );

        let live = options(&["--bootstrap", "kafka:9092"]);
        assert_eq!(nothing_readable(&live, &summary), None);
        let empty = Summary { ledger: Ledger::default(), ..summary };
        assert_eq!(nothing_readable(&bounded, &empty), None, "an empty topic");
        let late = Summary { ledger: Ledger { read: 6, late: 1, dead, ..ledger }, ..summary };
        assert_eq!(nothing_readable(&bounded, &late), None);
        let stopped = Summary { finished: false, ..summary };
        assert_eq!(nothing_readable(&bounded, &stopped), None);
    }
}
