//! A job as a program: options in, outputs, a page and a status line out, an exit code at the end.

mod announcements;
mod asked;
mod beside;
mod following_place;
mod hosts;
mod job;
pub(crate) mod keeping;
pub(crate) mod place;
mod settings;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use strandline_dashboard::PageOptions;
use strandline_engine::clock::Clock;
use strandline_engine::condition::ConditionKind;
use strandline_engine::job::{JobError, Outlook, Stop, Summary};
use strandline_engine::reason_words::ReasonWords;
use strandline_engine::sink::RunId;
use strandline_engine::source::SourceError;
use strandline_engine::source::kafka::{KafkaSettings, KafkaSource};
use strandline_engine::table::{Cells, Table};
use strandline_engine::view::{Snapshot, View};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use self::announcements::{conclude, introduction};
pub(crate) use self::asked::Asked;
use self::beside::Beside;
use self::following_place::FollowingPlace;
pub(crate) use self::hosts::host_addresses;
use self::hosts::timely_config;
pub(crate) use self::job::Parts;
use self::place::Place;
pub(crate) use self::settings::kafka_settings;
use self::settings::report;
pub(crate) use self::trouble::{NOT_NOW, STOPPED_EARLY, Trouble, UNREADABLE, UNUSABLE};
use self::trouble::{no_page, trouble};
use crate::demonstration::World;
use crate::introduction::Introduction;
use crate::options::Options;
use crate::status::Voice;
use crate::{kafka_options, page, signals};

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
    /// Runs the job until it is done or stopped.
    pub(crate) fn run(
        self,
        options: &Options,
        clock: &Clock,
        voice: &Voice,
    ) -> Result<(), Trouble> {
        let unusable = |error: &dyn std::fmt::Display| Trouble::Unusable(error.to_string());
        let (leads, stop) = (options.process == 0, Stop::default());
        signals::stop_on_signals(&stop, voice).map_err(|error| unusable(&error))?;

        // Everything that can be refused is looked at before anything is written: the options first,
        // because what is in the way of them may pass, and they do not.
        let Asked { windows, decoder, hosts, kafka_options, fleet } =
            Asked::of(&self.decoder, options, clock)?;
        for secret in &options.secrets_on_command_line {
            voice.warn(&kafka_options::warning(secret));
        }
        let table = Arc::new(self.table.clone());
        let reason_words = ReasonWords::of(&decoder);
        let first = Snapshot {
            reason_words: reason_words.clone(),
            ..Snapshot::empty(&options.topic, table, clock.wall())
        };
        let latest = first.to_json();
        let view = View::new(first);
        let mut world =
            World::start(options, fleet).map_err(|error| unusable(&format!("{error:#}")))?;
        let first_words = Introduction::new(voice);
        let report = report(voice, &first_words, clock);
        let settings = KafkaSettings {
            telemetry: view.telemetry().clone(),
            ..kafka_settings(options, kafka_options, &world.bootstrap, report.clone())
        };
        let source = KafkaSource::new(settings).map_err(|error| trouble(&error.into()))?;
        let planned = source.clone();
        let page = page::serve(options, &hosts, &view, self.page.clone());
        let (run, begins) = (RunId::fresh(clock), first_words.clone());
        if page.is_err() && options.out.exists() {
            // If this very job runs, it has the port too: that it runs is the better reason. Without
            // its directory it does not, and nothing is made.
            drop(Place::take(options, run, clock, voice)?);
        }
        let page = page.map_err(|error| no_page(&error))?;
        let mut place = Place::take(options, run, clock, voice)?;
        let parts = Parts {
            windows,
            decoder,
            source,
            out: place.out.clone(),
            run,
            later: place.later(&latest),
            following: (!leads)
                .then(|| FollowingPlace::new(options.clone(), run, Arc::clone(&place.lock))),
            begins: Box::new(move || begins.say()),
            checkpoints: place.keeping.as_mut().and_then(|keeping| keeping.checkpoints.take()),
            clock: clock.clone(),
            report: report.clone(),
        };
        let mut job = self.job(options, parts);
        let outlook = leads.then(|| job.outlook(options.processes)).transpose();
        let outlook = outlook.map_err(|error| trouble(&error))?;
        if let Some(identity) = place.prepare(run, &latest, voice)? {
            job = job.with_own_place(identity);
        }

        // Not of one that shows what another one left hidden, and is refused then.
        if !matches!(outlook, Some(Outlook::Finished(_, Some(_)))) {
            let keeping = place.keeping.as_ref();
            first_words.hold(introduction(options, &world, keeping, page.as_ref(), self.name));
        }
        // Where the log may refuse the start, that comes first: the introduction waits until the job
        // begins, or has something else to say.
        if !leads || options.simulate || world.is_embedded() {
            first_words.say();
        }
        let beside = Beside::start(
            options, &hosts, &place, &mut world, &view, clock, &stop, &report, voice,
        )?;
        let Some(beside) = beside else { return Ok(()) };
        let result = job.run(timely_config(options, &hosts), clock, &view, &stop);
        let summary = match result {
            Ok(summary) => summary,
            Err(JobError::Source(SourceError::Stopped)) => Summary::default(),
            Err(error) => {
                let failed = ConditionKind::Failed;
                view.telemetry().raise(failed, "", &error.to_string(), clock.wall());
                // The first error is the cause: what goes wrong in ending is no news.
                beside.abandon();
                return Err(trouble(&error));
            }
        };
        beside.end()?;
        if let Some(page) = page {
            page.shutdown(PAGE_SHUTDOWN_LIMIT);
        }
        if !leads {
            return Ok(());
        }
        conclude(options, &summary, &planned.left_out(), &reason_words, clock, voice)
    }
}

#[cfg(test)]
mod extremes;
