//! A job as a program: options in, outputs, a page and a status line out, an exit code at the end.

mod hosts;
mod keeping;
mod settings;
mod trouble;
mod words;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use strandline_dashboard::PageOptions;
use strandline_engine::checkpoint::lock::Lock;
use strandline_engine::clock::Clock;
use strandline_engine::condition::ConditionKind;
use strandline_engine::job::{Job, JobError, Stop, Summary};
use strandline_engine::sink::{self, Existing, FileOutputs, LatestJson, RunId};
use strandline_engine::source::SourceError;
use strandline_engine::source::kafka::{KafkaSettings, KafkaSource, keep_freed_memory};
use strandline_engine::store::Directory;
use strandline_engine::table::{Cells, Table};
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use strandline_operators::window::Tumbling;
use strandline_sim::command_line::one_line;

pub(crate) use self::hosts::host_addresses;
use self::hosts::timely_config;
use self::keeping::{Keeping, unsynced};
use self::settings::{job_options, kafka_settings, lowered_event_times, report, roll, terms};
pub(crate) use self::trouble::{NOT_NOW, STOPPED_EARLY, UNREADABLE};
use self::trouble::{Trouble, UNUSABLE, locked, trouble};
use self::words::{conclude, introduce, nothing_readable, stopped_early};
use crate::deferred_outputs::DeferredOutputs;
use crate::demonstration::{self, World};
use crate::doctor::{self, DOCTOR};
use crate::kafka_options;
use crate::options::Options;
use crate::status::Voice;
use crate::{page, panics, signals};

/// The least time between two documents of `latest.json`: a file system may write a file out when
/// it is replaced, and a job that has little to do would do little else.
const LATEST_JSON_EVERY_MIN: Duration = Duration::from_secs(1);
/// How long browsers may take to let go of the page at the end.
const PAGE_SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);

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
            Err(trouble) => {
                let (line, code) = trouble.line_and_code();
                voice.warn(&format!("error: {line}"));
                ExitCode::from(code)
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
        let hosts = host_addresses(options).map_err(Trouble::Unusable)?;
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
        introduce(options, &world, keeping.as_ref(), page.as_ref(), self.name, voice);
        let report = report(voice);
        let outputs = FileOutputs {
            out: out.clone(),
            run,
            roll: roll(options),
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

        let checkpoints = keeping.as_mut().and_then(|keeping| keeping.checkpoints.take());
        let job = Job::new(
            source,
            decoder,
            self.aggregate,
            table,
            outputs,
            job_options(options, windows),
        )
        .with_checkpoints(checkpoints)
        .with_terms(terms(options))
        .with_abandoned_places(options.abandon_place.clone())
        .with_lowered_event_times(lowered_event_times(options))
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
            if let Some(line) = stopped_early(options, &summary) {
                return Err(Trouble::StoppedEarly(line));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod extremes;
