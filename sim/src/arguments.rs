//! The command line of `strandline-sim`: what can be asked for, and what is refused in one line.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::builder::Resettable;
use clap::builder::TypedValueParser as _;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches, Parser};
use strandline_engine::source::kafka::{bootstrap, check_number};
use strandline_operators::time::EventTime;

use crate::command_line::{one_line, with_negative_values};
use crate::duration;
use crate::fleet::FleetOptions;
use crate::producer::{Compression, ProducerOptions};

/// What the program was asked to do, checked.
#[derive(Debug)]
pub struct Arguments {
    /// The devices and what they send.
    pub fleet: FleetOptions,
    /// How that is sent.
    pub producer: ProducerOptions,
    /// How many partitions the topic gets if it is created.
    pub partitions: u32,
    /// How many messages are sent at full speed; without it the fleet sends in real time.
    pub messages: Option<u64>,
    /// The first event time, with `messages`.
    pub start: Option<EventTime>,
    /// Whether only errors are printed.
    pub quiet: bool,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Refused {
    /// Help or the version was asked for: print this.
    Asked(String),
    /// The command line makes no sense, for this reason in one line.
    Wrong(String),
}

/// Simulates a fleet of devices that send metrics to Kafka.
///
/// Messages are JSON, keyed by device_id, the same for the same seed. Durations are an integer and
/// one of ms, s, m, h, d; shares are numbers from 0 to 1.
#[derive(Debug, Parser)]
#[command(name = "strandline-sim", version)]
struct Options {
    /// Kafka brokers, host:port,…
    #[arg(long, env = "KAFKA_BOOTSTRAP", default_value = "localhost:9092")]
    bootstrap: String,
    /// The topic to send to
    #[arg(long, env = "KAFKA_TOPIC", default_value = "iot-metrics")]
    topic: String,
    /// How many partitions the topic gets if it has to be created
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,
    /// How many devices there are
    #[arg(long, default_value_t = FleetOptions::default().devices)]
    devices: usize,
    /// Messages a second of each device
    #[arg(long, default_value_t = FleetOptions::default().rate_per_device_hz)]
    rate: f64,
    /// Send this many messages at full speed, then end (default: in real time, without end)
    #[arg(long)]
    messages: Option<u64>,
    /// With --messages: the first event time, in milliseconds since 1970 (default: so that the last
    /// one is about now)
    #[arg(long, requires = "messages", value_parser = clap::value_parser!(i64).range(0..))]
    start: Option<i64>,
    /// Another seed is another fleet, with other device ids
    #[arg(long, default_value_t = FleetOptions::default().seed)]
    seed: u64,
    /// Messages overtake each other by up to this much
    #[arg(long, value_parser = duration::parse, default_value = "2s")]
    disorder: Duration,
    /// Share of messages that are held up for long
    #[arg(long, default_value_t = FleetOptions::default().late_share)]
    late_share: f64,
    /// Those are held up for this long, up to twice as long
    #[arg(long, value_parser = duration::parse, default_value = "2m")]
    late_by: Duration,
    /// Share of messages that cannot be read
    #[arg(long, default_value_t = FleetOptions::default().malformed_share)]
    malformed_share: f64,
    /// Share of time in which a device is faulty: a metric is null, stuck or a spike
    #[arg(long, default_value_t = FleetOptions::default().fault_share)]
    fault_share: f64,
    /// Each message has its fields in another order, and white space
    #[arg(long)]
    vary_layout: bool,
    /// How many devices send much faster
    #[arg(long, default_value_t = 0)]
    skewed_devices: usize,
    /// How many times faster they do
    #[arg(long, default_value_t = FleetOptions::default().skew)]
    skew: f64,
    /// How many devices stop for good
    #[arg(long, default_value_t = 0)]
    dead_devices: usize,
    /// How long after the start they do
    #[arg(long, value_parser = duration::parse, default_value = "1m")]
    dead_after: Duration,
    /// How many devices have clocks that drift, by up to 30 seconds
    #[arg(long, default_value_t = 0)]
    drifting_devices: usize,
    /// How many seconds such a clock strays in a second
    #[arg(long, default_value_t = FleetOptions::default().drift)]
    drift: f64,
    /// How long messages are collected into batches
    #[arg(long, value_parser = duration::parse, default_value = "5ms")]
    linger: Duration,
    /// How batches are compressed
    #[arg(
        long,
        default_value = "none",
        value_parser = PossibleValuesParser::new(Compression::ALL.map(Compression::name))
            .map(|name| compression(&name))
    )]
    compression: Compression,
    /// Any property of librdkafka, such as security.protocol=SSL; may be repeated
    #[arg(long = "kafka-option", value_name = "K=V", value_parser = key_value)]
    kafka_options: Vec<(String, String)>,
    /// Say nothing but errors
    #[arg(long)]
    quiet: bool,
}

impl Arguments {
    /// All options, with their variables and defaults.
    pub fn command() -> Command {
        Options::command()
    }

    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// The help that was asked for, or what is wrong, in a line.
    pub fn read(line: Vec<OsString>) -> Result<Arguments, Refused> {
        let command = Arguments::command().mut_args(|argument| {
            let variable = argument.get_env().and_then(std::env::var_os);
            // One that is empty counts as not set.
            let is_empty = variable.is_some_and(|value| value.is_empty());
            let argument = with_negative_values(argument);
            if is_empty { argument.env(Resettable::Reset) } else { argument }
        });
        let matches = command.try_get_matches_from(line);
        let options = matches.and_then(|matches| Options::from_arg_matches(&matches));
        let options = options.map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Refused::Asked(error.render().to_string())
            }
            _ => Refused::Wrong(one_line(&error)),
        })?;
        let fleet = FleetOptions {
            devices: options.devices,
            rate_per_device_hz: options.rate,
            disorder: options.disorder,
            vary_layout: options.vary_layout,
            late_share: options.late_share,
            late_by: options.late_by,
            malformed_share: options.malformed_share,
            fault_share: options.fault_share,
            skewed_devices: options.skewed_devices,
            skew: options.skew,
            dead_devices: options.dead_devices,
            dead_after: options.dead_after,
            drifting_devices: options.drifting_devices,
            drift: options.drift,
            seed: options.seed,
            ..FleetOptions::default()
        };
        fleet
            .time_for(options.messages.unwrap_or(0))
            .map_err(|error| Refused::Wrong(error.to_string()))?;
        for (name, value) in &options.kafka_options {
            check_number(name, value).map_err(|error| Refused::Wrong(error.to_string()))?;
        }
        let named = options.kafka_options.iter().rfind(|(name, _)| name == "security.protocol");
        let protocol = named.map_or("plaintext", |(_, protocol)| protocol);
        bootstrap::addresses(&options.bootstrap, protocol).map_err(Refused::Wrong)?;
        if options.topic.trim().is_empty() {
            return Err(Refused::Wrong("--topic: it is empty: give a name".to_owned()));
        }
        let producer = ProducerOptions {
            linger: options.linger,
            compression: options.compression,
            kafka_options: options.kafka_options,
            ..ProducerOptions::new(&options.bootstrap, &options.topic)
        };
        Ok(Arguments {
            fleet,
            producer,
            partitions: options.partitions,
            messages: options.messages,
            start: options.start.map(EventTime::from_millis),
            quiet: options.quiet,
        })
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("an option is K=V")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn compression(name: &str) -> Compression {
    Compression::ALL.into_iter().find(|one| one.name() == name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, Refused> {
        Arguments::read(line.split(' ').map(OsString::from).collect())
    }

    fn refusal(line: &str) -> String {
        match read(line) {
            Err(Refused::Wrong(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn without_options_it_is_the_demonstrations_fleet() {
        // Named here because the environment may name others.
        let arguments = read("strandline-sim --bootstrap b --topic t").unwrap();
        assert_eq!(arguments.fleet, FleetOptions::default());
        assert_eq!((arguments.partitions, arguments.messages), (4, None));
        assert_eq!(arguments.producer, ProducerOptions::new("b", "t"));
    }

    #[test]
    fn options_arrive_where_they_belong() {
        let arguments = read(
            "strandline-sim --devices 100 --rate 0.5 --messages 1000 --start 5 --seed 9 \
             --disorder 250ms --late-by 1h --compression zstd --kafka-option acks=1 \
             --kafka-option a=b=c --bootstrap h:1 --topic t --dead-devices 3",
        )
        .unwrap();
        assert_eq!((arguments.fleet.devices, arguments.fleet.rate_per_device_hz), (100, 0.5));
        assert_eq!(arguments.fleet.disorder, Duration::from_millis(250));
        assert_eq!(arguments.fleet.late_by, Duration::from_secs(3600));
        assert_eq!((arguments.fleet.dead_devices, arguments.fleet.seed), (3, 9));
        assert_eq!(arguments.messages, Some(1000));
        assert_eq!(arguments.start, Some(EventTime::from_millis(5)));
        assert_eq!(arguments.producer.compression, Compression::Zstd);
        let options = [("acks", "1"), ("a", "b=c")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(arguments.producer.kafka_options, options);
        assert_eq!((arguments.producer.bootstrap.as_str(), arguments.partitions), ("h:1", 4));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_one_line_that_names_it() {
        for (options, named) in [
            ("--devices 0", "devices"),
            ("--devices x", "--devices"),
            ("--rate -1", "-1"),
            ("--rate=-1", "-1"),
            ("--rate 0", "messages a second"),
            ("--rate NaN", "NaN"),
            ("--late-share 2", "late"),
            ("--malformed-share=-0.5", "malformed"),
            ("--skewed-devices 9", "skewed"),
            ("--disorder 5", "one of ms s m h d"),
            ("--disorder 5w", "one of ms s m h d"),
            ("--disorder 99999999999999999999d", "--disorder"),
            ("--partitions 0", "--partitions"),
            ("--start 5", "--messages"),
            ("--messages -5", "-5"),
            ("--compression rar", "rar"),
            ("--kafka-option acks", "K=V"),
            (
                "--kafka-option batch.size=1MB --bootstrap b:1 --topic t",
                "`1MB` is not such a number",
            ),
            ("--disorder -5s", "cannot be negative"),
            ("--late-by=-5s", "cannot be negative"),
            ("--bootstrap localhost:99999", "`99999` is no port"),
            ("--bootstrap http://localhost:9092", "`http` is no protocol"),
            ("--bootstrap ,", "no Kafka broker is named"),
            ("--bootstrap ssl://b:1", "security.protocol"),
            ("--bootstrap= --topic t", "no Kafka broker is named"),
            ("--topic=", "--topic: it is empty"),
            ("--messges 5", "a similar argument exists: '--messages'"),
            ("--bogus", "--bogus"),
            ("extra", "extra"),
        ] {
            let line = refusal(&format!("strandline-sim {options}"));
            assert!(!line.contains('\n') && line.contains(named), "{options}: {line}");
        }
    }

    #[test]
    fn help_and_version_are_no_errors() {
        let asked = |option: &str| match read(&format!("strandline-sim {option}")) {
            Err(Refused::Asked(text)) => text,
            other => panic!("{other:?}"),
        };
        let help = asked("--help");
        for part in ["--malformed-share", "default: localhost:9092", "default: iot-metrics"] {
            assert!(help.contains(part), "{part}");
        }
        assert!(asked("--version").contains(env!("CARGO_PKG_VERSION")));
    }
}
