//! What runs beside a job: the status line, and on the process that leads the document of its newest
//! rows and the simulated fleet.

use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::Stop;
use strandline_engine::report::Report;
use strandline_engine::sink::LatestJson;
use strandline_engine::view::View;

use super::place::Place;
use super::trouble::Trouble;
use crate::demonstration::{Simulation, World};
use crate::options::Options;
use crate::page;
use crate::status::{Following, Voice};

/// The least time between two documents of `latest.json`: a file system may write a file out when
/// it is replaced, and a job that has little to do would do little else.
const LATEST_JSON_EVERY_MIN: Duration = Duration::from_secs(1);

/// How long the last document of a job that failed is waited for.
const LAST_DOCUMENT_WITHIN: Duration = Duration::from_secs(5);

/// What runs beside a job, until it is ended after the job.
pub(super) struct Beside {
    latest_json: Option<LatestJson>,
    simulation: Option<Simulation>,
    status: Following,
    over: Stop,
}

impl Beside {
    /// Starts it. `None`: the user asked to stop meanwhile.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the program")]
    pub(super) fn start(
        options: &Options,
        hosts: &[String],
        place: &Place,
        world: &mut World,
        view: &View,
        clock: &Clock,
        stop: &Stop,
        report: &Report,
        voice: &Voice,
    ) -> Result<Option<Beside>, Trouble> {
        let (process, over) = (options.process, Stop::default());
        if process != 0 {
            let leader = page::leader(options, hosts);
            voice.say(&format!(
                "status   process {process} shows the job's condition alone: its numbers are at {leader}"
            ));
            let status = voice.follow(view, clock, false);
            return Ok(Some(Beside { latest_json: None, simulation: None, status, over }));
        }
        let every = options.publish_every.max(LATEST_JSON_EVERY_MIN);
        let latest_json = LatestJson::spawn(&place.out, view, every, clock, report, place.existing)
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        // The fleet ends with the job, and at once when the user asks to stop.
        let (asked, ended, speaker) = (stop.clone(), over.clone(), voice.clone());
        let stopped = move || asked.is_requested() || ended.is_requested();
        let simulation =
            world.simulate(options, view, clock, stopped, move |line| speaker.say(line));
        let simulation = match simulation {
            Ok(simulation) => simulation,
            Err(_) if stop.is_requested() => return Ok(None),
            Err(error) => return Err(Trouble::Unusable(format!("{error:#}"))),
        };
        let status = voice.follow(view, clock, true);
        Ok(Some(Beside { latest_json: Some(latest_json), simulation, status, over }))
    }

    /// Ends it after the job has failed.
    pub(super) fn abandon(self) {
        self.over.request();
        drop((self.status, self.simulation));
        if let Some(latest) = &self.latest_json {
            latest.abandon(LAST_DOCUMENT_WITHIN);
        }
    }

    /// Ends it, after the job.
    ///
    /// # Errors
    ///
    /// The document is not what the job came to.
    pub(super) fn end(self) -> Result<(), Trouble> {
        self.over.request();
        drop((self.status, self.simulation));
        let closed = self.latest_json.map_or(Ok(()), |latest| latest.close());
        closed.map_err(|error| Trouble::Failed(error.to_string()))
    }
}
