//! A world for a job to look at: a fleet of devices, and, where no Kafka is named, a broker in this
//! process.
//!
//! The embedded broker is for demonstration only: it keeps 5 MiB a partition and drops older data
//! without a word. So the fleet is held back by what the job has read.

use std::thread::JoinHandle;

use anyhow::Context;
use strandline_engine::clock::Clock;
use strandline_engine::view::View;
use strandline_operators::record::{Offset, Partition};
use strandline_sim::embedded::EmbeddedBroker;
use strandline_sim::fleet::{Fleet, FleetOptions};
use strandline_sim::producer::{Amount, FleetProducer, Pace, ProducerOptions, ReaderBound, Report};

use crate::options::Options;

/// Partitions of a topic that a demonstration creates.
pub const PARTITIONS: u32 = 4;

/// Where the job reads, and what runs there.
#[derive(Debug)]
pub struct World {
    /// The brokers to read from.
    pub bootstrap: String,
    /// The fleet that sends there, if one is simulated.
    fleet: Option<Fleet>,
    /// The broker of this process, if no other was named. Dropped last.
    embedded: Option<EmbeddedBroker>,
}

impl World {
    /// The Kafka that `options` name, or else an embedded one with the topic, and the fleet that
    /// they ask for. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// If the embedded broker cannot be started, or the options make no fleet.
    pub fn of(options: &Options, clock: &Clock) -> anyhow::Result<World> {
        let simulates = options.simulate || options.bootstrap.is_none();
        let fleet = simulates.then(|| {
            let fleet = FleetOptions {
                devices: options.devices as usize,
                rate_per_device_hz: options.rate,
                ..FleetOptions::default()
            };
            Fleet::new(fleet, clock.wall())
        });
        let fleet = fleet.transpose()?;
        if let Some(bootstrap) = &options.bootstrap {
            return Ok(World { bootstrap: bootstrap.clone(), fleet, embedded: None });
        }
        let broker = EmbeddedBroker::start(&options.topic, PARTITIONS)
            .context("the embedded broker could not be started")?;
        Ok(World { bootstrap: broker.bootstrap().to_owned(), fleet, embedded: Some(broker) })
    }

    /// Whether the broker is embedded.
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Sends a fleet's messages until it is `stopped`, on a thread of its own; `None` where
    /// none is simulated. Creates the topic where it is absent.
    ///
    /// # Errors
    ///
    /// A stop before a broker could be reached; a topic that is absent and cannot be created.
    pub fn simulate(
        &mut self,
        options: &Options,
        view: &View,
        clock: &Clock,
        stopped: impl Fn() -> bool + Send + 'static,
        say: impl Fn(&str) + Send + 'static,
    ) -> anyhow::Result<Option<Simulation>> {
        let Some(mut fleet) = self.fleet.take() else { return Ok(None) };
        let (producer_options, bound) = match &self.embedded {
            Some(broker) => {
                let view = view.clone();
                let position = move |partition: Partition| {
                    let snapshot = view.latest();
                    let read = snapshot.partitions.iter().find(|p| p.partition == partition);
                    read.map_or(Offset(0), |read| read.position)
                };
                let bound = ReaderBound::new(Amount::EMBEDDED_AHEAD_MAX, position);
                (broker.producer_options(), Some(bound))
            }
            None => (ProducerOptions::new(&self.bootstrap, &options.topic), None),
        };
        let producer = FleetProducer::new(&producer_options, bound)?;
        let mut report = move |report| match report {
            Report::Unreachable { reason } => say(&format!("the fleet waits: {reason}")),
            Report::Reachable => say("the fleet sends again"),
            Report::Progress(_) => {}
        };
        // The job looks for the topic next; it has to be there by then.
        producer.ensure_topic(PARTITIONS, &stopped, &mut report)?;
        let clock = clock.clone();
        let thread = std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
            let result = producer.run(&mut fleet, Pace::RealTime, &clock, &stopped, &mut report);
            if let Err(error) = result {
                report(Report::Unreachable { reason: error.to_string() });
            }
        })?;
        Ok(Some(Simulation { thread: Some(thread) }))
    }
}

/// A fleet that sends; waits for it to end when dropped.
#[derive(Debug)]
pub struct Simulation {
    thread: Option<JoinHandle<()>>,
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and the job has ended by itself.
            drop(thread.join());
        }
    }
}
