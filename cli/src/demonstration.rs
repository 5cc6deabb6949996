//! A world for a job to look at: a fleet of devices, and, where no Kafka is named, a broker in this
//! process.
//!
//! The embedded broker is for demonstration only: it keeps 5 MiB a partition and drops older data
//! without a word. So the fleet is held back by what the job has read.

use std::ffi::OsString;
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use strandline_engine::clock::Clock;
use strandline_engine::sink;
use strandline_engine::store::{Directory, StoreError};
use strandline_engine::view::View;
use strandline_operators::record::{Offset, Partition};
use strandline_sim::embedded::EmbeddedBroker;
use strandline_sim::fleet::{Fleet, FleetOptions};
use strandline_sim::producer::{Amount, FleetProducer, Pace, ProducerOptions, ReaderBound, Report};

use crate::options::Options;

/// Partitions of a topic that a demonstration creates.
pub const PARTITIONS: u32 = 4;

/// The variable that names the brokers.
const VARIABLE: &str = "KAFKA_BOOTSTRAP";
/// The file that says that rows in an output directory are simulated.
const MARK: &str = "DEMONSTRATION.txt";
/// What is in it.
const MARK_TEXT: &str = "The rows in this directory are simulated: a Strandline job ran here without a \
                         Kafka, as a demonstration.\n";
/// How many letters a variable's name may be away from the one that is meant.
const TYPOS_MAX: usize = 3;

/// Sees to it that simulated rows and those of a real job are never in one directory. Nothing is touched.
///
/// # Errors
///
/// The directory holds rows of the other kind; what the disk says.
pub fn refuse_others_rows(
    out: &Directory,
    is_embedded: bool,
    replaces: bool,
) -> anyhow::Result<()> {
    let (is_marked, has_rows) = (out.contains(MARK)?, sink::has_rows(out)?);
    let place = out.path().display();
    match (is_embedded, is_marked) {
        (true, false) if has_rows => bail!(
            "no broker was given, so this would be the demonstration, and {place} holds rows of a \
             real job: name a broker with --bootstrap or {VARIABLE}{}, or another directory with \
             --out",
            near_miss().map(|miss| format!(" ({miss})")).unwrap_or_default()
        ),
        (false, true) if has_rows && !replaces => bail!(
            "{place} holds simulated rows of a demonstration: remove them with --replace, or choose \
             another directory with --out"
        ),
        _ => Ok(()),
    }
}

/// Says in a directory whether the rows in it are simulated.
///
/// # Errors
///
/// What the disk says.
pub fn mark(out: &Directory, is_embedded: bool) -> Result<(), StoreError> {
    match (is_embedded, out.contains(MARK)?) {
        (true, false) => {
            out.create()?;
            out.replace(MARK, MARK_TEXT.as_bytes())
        }
        (false, true) => out.remove_file(MARK),
        (true, true) | (false, false) => Ok(()),
    }
}

/// The fleet that options ask for, if they do. Nothing is sent yet.
///
/// # Errors
///
/// They make no fleet.
pub fn fleet(options: &Options, clock: &Clock) -> anyhow::Result<Option<Fleet>> {
    let simulates = options.simulate || options.bootstrap.is_none();
    let fleet = simulates.then(|| {
        let fleet = FleetOptions {
            devices: options.devices as usize,
            rate_per_device_hz: options.rate,
            ..FleetOptions::default()
        };
        Fleet::new(fleet, clock.wall())
    });
    Ok(fleet.transpose()?)
}

/// A variable of the environment that looks as if it was meant to name the brokers, and does not.
pub fn near_miss() -> Option<String> {
    near_miss_in(std::env::vars_os())
}

fn near_miss_in(variables: impl Iterator<Item = (OsString, OsString)>) -> Option<String> {
    let looks_like = |name: &str| {
        let upper = name.to_uppercase();
        let distance = distance(&upper, VARIABLE);
        let names_brokers =
            ["BOOTSTRAP", "KAFKA_BROKER", "KAFKA_SERVER", "KAFKA_URL", "KAFKA_HOST"];
        let is_near =
            distance <= TYPOS_MAX || names_brokers.iter().any(|part| upper.contains(part));
        is_near.then_some(distance)
    };
    let named = variables.filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((looks_like(&name)?, name, value.is_empty()))
    });
    let (_, name, is_empty) = named.min()?;
    Some(match (name == VARIABLE, is_empty) {
        (true, true) => format!("{name} is empty"),
        (true, false) => return None,
        (false, _) => format!("{name} is set, but only {VARIABLE} is read"),
    })
}

/// How many letters have to be added, removed or replaced to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

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
    /// The Kafka that `options` name, or else an embedded one with the topic, and a [`fleet`]. Nothing is
    /// sent yet.
    ///
    /// # Errors
    ///
    /// If the embedded broker cannot be started.
    pub fn start(options: &Options, fleet: Option<Fleet>) -> anyhow::Result<World> {
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
            None => {
                let mut producer = ProducerOptions::new(&self.bootstrap, &options.topic);
                producer.kafka_options =
                    options.kafka_connection_properties().map_err(anyhow::Error::msg)?;
                (producer, None)
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(variables: &[(&str, &str)]) -> Option<String> {
        near_miss_in(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn the_nearest_variable_that_is_set_is_named() {
        let others = ("PATH", "/bin");
        assert_eq!(miss(&[others, ("KAFKA_TOPIC", "x"), ("KAFKA_HOME", "/opt")]), None);
        for name in [
            "KAFKA_BOOTSTRAP_SERVERS",
            "STRANDLINE_BOOTSTRAP",
            "BOOTSTRAP_SERVERS",
            "KAFKA_BROKERS",
            "KAFKA_BOOTSRAP",
            "kafka_bootstrap",
        ] {
            let expected = format!("{name} is set, but only KAFKA_BOOTSTRAP is read");
            assert_eq!(miss(&[others, (name, "kafka:9092")]), Some(expected));
        }
        let both = [("BOOTSTRAP_CSS", "yes"), ("KAFKA_BOOTSTRAPS", "kafka:9092")];
        assert!(miss(&both).unwrap().starts_with("KAFKA_BOOTSTRAPS is set"));
        assert_eq!(miss(&[("KAFKA_BOOTSTRAP", "")]).unwrap(), "KAFKA_BOOTSTRAP is empty");
    }

    #[test]
    fn simulated_rows_and_those_of_a_real_job_are_never_in_one_directory() {
        let there = tempfile::tempdir().unwrap();
        let out = Directory::local(there.path().join("out"));
        let write_row = || {
            let date =
                out.subdirectory("parquet").unwrap().subdirectory("date=2026-01-31").unwrap();
            date.create().unwrap();
            let run = sink::RunId::default();
            date.replace(&format!("strandline-{run}-000-0000000000-000000.parquet"), b"row")
                .unwrap();
        };
        let keep_apart = |is_embedded, replaces| {
            refuse_others_rows(&out, is_embedded, replaces)?;
            mark(&out, is_embedded).map_err(anyhow::Error::from)
        };
        // An empty place is anybody's.
        keep_apart(false, false).unwrap();
        keep_apart(true, false).unwrap();
        assert!(out.contains(MARK).unwrap());
        write_row();
        assert!(sink::has_rows(&out).unwrap());
        // The demonstration comes again.
        keep_apart(true, false).unwrap();
        let refused = keep_apart(false, false).unwrap_err().to_string();
        assert!(refused.contains("simulated rows of a demonstration"), "{refused}");
        keep_apart(false, true).unwrap();
        assert!(!out.contains(MARK).unwrap());
        let refused = keep_apart(true, false).unwrap_err().to_string();
        assert!(refused.contains("holds rows of a real job: name a broker"), "{refused}");
        assert!(!out.contains(MARK).unwrap());
    }
}
