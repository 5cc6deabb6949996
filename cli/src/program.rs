//! A job as a program: options in, outputs, a page and a status line out, an exit code at the end.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strandline_dashboard::{Dashboard, PageOptions};
use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobError, JobOptions, Stop, Summary};
use strandline_engine::sink::{
    self, Existing, FileOutputs, LatestJson, Roll, RunId, SinkOptions, Stopped,
};
use strandline_engine::source::SourceError;
use strandline_engine::source::kafka::{self, KafkaSettings, KafkaSource};
use strandline_engine::store::Directory;
use strandline_engine::table::{Cells, Table};
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::window::Tumbling;

use crate::demonstration::World;
use crate::duration;
use crate::options::{Listen, Options};
use crate::signals;
use crate::status::Voice;

/// The exit code where options, ports or directories are not usable.
const UNUSABLE: u8 = 2;
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
    /// Before it began: the user has to change something.
    Unusable(String),
    /// While it ran.
    Failed(String),
}

impl<D, A> Program<D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Output: Cells> + Send + Sync,
{
    /// Runs with the arguments, environment and files of the process, until it is done or stopped.
    /// Everything that goes wrong is one line on the standard error stream.
    pub fn main(self) -> ExitCode {
        let clock = Clock::system();
        let options = match Options::read(self.name, self.about, std::env::args_os()) {
            Ok(options) => options,
            Err(error) if error.use_stderr() => {
                let text = error.to_string();
                eprintln!("{}", text.lines().next().unwrap_or("wrong options"));
                return ExitCode::from(UNUSABLE);
            }
            Err(help) => {
                print!("{help}");
                return ExitCode::SUCCESS;
            }
        };
        let voice = Voice::new(options.quiet);
        match self.run(&options, &clock, &voice) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Trouble::Unusable(line)) => {
                voice.warn(&format!("error: {line}"));
                ExitCode::from(UNUSABLE)
            }
            Err(Trouble::Failed(line)) => {
                voice.warn(&format!("error: {line}"));
                ExitCode::FAILURE
            }
        }
    }

    fn run(self, options: &Options, clock: &Clock, voice: &Voice) -> Result<(), Trouble> {
        let unusable = |error: &dyn std::fmt::Display| Trouble::Unusable(error.to_string());
        let windows = Tumbling::of(options.window)
            .ok_or_else(|| Trouble::Unusable("--window: not whole milliseconds".to_owned()))?;
        let config = timely_config(options)?;
        let leads = options.process == 0;
        let stop = Stop::default();
        let warning = voice.clone();
        signals::stop_on_signals(&stop, move |line| warning.say(line))
            .map_err(|error| unusable(&error))?;

        // Everything that can be refused is looked at before anything is written.
        let table = Arc::new(self.table);
        let first = Snapshot::empty(&options.topic, Arc::clone(&table), clock.wall());
        let latest = first.to_json();
        let view = View::new(first);
        let page = match options.listen {
            Listen::At(address) if leads => {
                Some(Dashboard::bind(address, view.clone(), self.page).map_err(|e| unusable(&e))?)
            }
            _ => None,
        };
        let mut world =
            World::of(options, clock).map_err(|error| Trouble::Unusable(format!("{error:#}")))?;
        let source = KafkaSource::new(kafka_settings(options, &world, voice))
            .map_err(|error| unusable(&error))?;
        let out = Directory::local(&options.out);
        let existing = match (options.append || world.is_embedded() || !leads, options.replace) {
            (_, true) if leads => Existing::Replace,
            (true, _) => Existing::Append,
            _ => Existing::Refuse,
        };
        sink::prepare(&out, existing, leads.then_some(&latest))
            .map_err(|error| unusable(&error))?;

        self::introduce(options, &world, page.as_ref(), self.name, voice);
        let outputs =
            self::start_outputs::<A::Output>(options, &out, &table, windows, clock, voice, &stop)
                .map_err(|error| Trouble::Failed(error.to_string()))?;
        let report = report(voice);
        let latest_json = leads
            .then(|| LatestJson::spawn(&out, &view, options.publish_every, clock, &report))
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
        let status = voice.follow(&view, clock);

        let job = Job {
            source,
            decoder: self.decoder,
            aggregate: self.aggregate,
            table,
            outputs: outputs.clone(),
            options: JobOptions {
                watermark: options.watermark,
                max_future: options.max_future,
                idle_after: options.idle_after,
                publish_every: options.publish_every,
                ..JobOptions::new(windows)
            },
        };
        let result = job.run(config, clock, &view, &stop);
        over.request();
        drop((status, simulation));
        let summary = match result {
            Ok(summary) => summary,
            Err(JobError::Source(SourceError::Stopped)) => Summary::default(),
            Err(error) => {
                // What had been handed over is written all the same, if the disk takes it now; the
                // first error is the cause.
                stop.request();
                drop((outputs.close(), latest_json.map(|latest| latest.close())));
                return Err(Trouble::Failed(error.to_string()));
            }
        };
        let closed = outputs.close();
        let latest_closed = latest_json.map_or(Ok(()), |latest| latest.close());
        closed.map_err(|error| Trouble::Failed(error.to_string()))?;
        latest_closed.map_err(|error| Trouble::Failed(error.to_string()))?;
        if let Some(page) = page {
            page.shutdown(PAGE_SHUTDOWN_LIMIT);
        }
        if leads {
            conclude(options, &summary, clock, voice);
        }
        Ok(())
    }
}

fn kafka_settings(options: &Options, world: &World, voice: &Voice) -> KafkaSettings {
    let voice = voice.clone();
    KafkaSettings {
        options: options.kafka_option.clone(),
        start: options.from,
        bounded: options.bounded,
        embedded: world.is_embedded(),
        report: kafka::Report::new(move |line| voice.warn(line)),
        ..KafkaSettings::new(&world.bootstrap, &options.topic)
    }
}

fn report(voice: &Voice) -> sink::Report {
    let voice = voice.clone();
    sink::Report::new(move |line| voice.warn(line))
}

fn start_outputs<O: Cells + Send + 'static>(
    options: &Options,
    out: &Directory,
    table: &Table,
    windows: Tumbling,
    clock: &Clock,
    voice: &Voice,
    stop: &Stop,
) -> Result<FileOutputs<O>, sink::SinkError> {
    let stop = stop.clone();
    let sinks = SinkOptions {
        out: out.clone(),
        run: RunId::fresh(clock),
        worker: options.process,
        roll: Roll { every: options.roll_every, ..Roll::default() },
        clock: clock.clone(),
        report: report(voice),
        stopped: Stopped::new(move || stop.is_requested()),
    };
    FileOutputs::start(&sinks, table, &options.topic, windows)
}

/// How timely lays out the workers.
fn timely_config(options: &Options) -> Result<timely::Config, Trouble> {
    let threads = options.workers();
    if options.processes == 1 {
        return Ok(timely::Config::process(threads));
    }
    let addresses = match &options.hostfile {
        None => (0..options.processes).map(|i| format!("localhost:{}", FIRST_PORT + i)).collect(),
        Some(path) => {
            let hosts = crate::options::read_text(path).map_err(|error| {
                Trouble::Unusable(format!("--hostfile {}: {error}", path.display()))
            })?;
            let lines = hosts.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(ToOwned::to_owned).collect::<Vec<_>>()
        }
    };
    if addresses.len() < options.processes {
        return Err(Trouble::Unusable(format!(
            "--hostfile names {} hosts for {} processes",
            addresses.len(),
            options.processes
        )));
    }
    let communication = timely::CommunicationConfig::Cluster {
        threads,
        process: options.process,
        addresses: addresses.into_iter().take(options.processes).collect(),
        report: false,
        zerocopy: false,
    };
    Ok(timely::Config { communication, worker: timely::WorkerConfig::default() })
}

/// Says what runs where.
fn introduce(
    options: &Options,
    world: &World,
    page: Option<&Dashboard>,
    name: &str,
    voice: &Voice,
) {
    let topic = &options.topic;
    if world.is_embedded() {
        voice.say(&format!(
            "broker   embedded in this process at {}, topic {topic}, for demonstration only",
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
        "job      {} workers, windows of {}, watermark {}",
        options.workers(),
        duration::text(options.window),
        duration::text(options.watermark)
    ));
    voice.say(&format!(
        "outputs  {}: latest.json, parquet/, late/, dead_letters/",
        options.out.display()
    ));
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
fn conclude(options: &Options, summary: &Summary, clock: &Clock, voice: &Voice) {
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
        voice.say(&format!(
            "open windows: {}; they are not final and do not continue (no checkpoints)",
            summary.open_windows
        ));
    }
    if options.bounded && summary.finished {
        let line = json!({
            "records": ledger.read,
            "late": ledger.late,
            "dead_letters": ledger.dead_letters(),
            "windows": summary.final_rows,
            "seconds": seconds,
            "records_per_second": ledger.read as f64 / seconds,
        });
        println!("{line}");
    }
}
