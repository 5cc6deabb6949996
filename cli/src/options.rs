//! What a program built on Strandline can be told: by its command line, by the environment, by a
//! file. The first that says something counts, in that order; then there are the defaults.

mod check;
mod environment;
mod file;
mod ineffective;
mod kafka;
mod value_check;
mod values;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use strandline_engine::sink::ParquetCodec;
use strandline_engine::source::kafka::{Fetch, Start};
use strandline_operators::decode::TimeUnit;
use strandline_operators::time::EventTime;
use strandline_operators::window::KEY_GROUPS;
use strandline_sim::command_line::with_negative_values;

use self::environment::{check_environment, variable_of, with_environment};
use self::file::with_file;
pub use self::values::{Checkpoint, FutureBy, Listen};
use self::values::{checkpoint, fetch, host_name, listen, lowered, start};
use crate::kafka_options::{
    KafkaOption, KafkaOptionFile, KafkaOptionFileParser, KafkaOptionParser, on_command_line,
};
use crate::{byte_size, duration};

/// The options. Durations are an integer and one of ms, s, m, h, d.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Worker threads of this process [default: one for each core]
    #[arg(short = 'w', long, value_name = "N")]
    pub workers: Option<usize>,
    /// How many processes run the job together
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    pub processes: usize,
    /// Which of them this is, from 0
    #[arg(short = 'p', long, value_name = "I", default_value_t = 0)]
    pub process: usize,
    /// A file with host:port of every process, a line each [default: localhost:2101, :2102, …]
    #[arg(long, value_name = "FILE")]
    pub hostfile: Option<PathBuf>,

    /// Kafka brokers, host:port,… [default: an embedded broker, for demonstration]
    #[arg(long, value_name = "HOST:PORT", env = "KAFKA_BOOTSTRAP")]
    pub bootstrap: Option<String>,
    /// The topic to read
    #[arg(long, value_name = "TOPIC", env = "KAFKA_TOPIC", default_value = "iot-metrics")]
    pub topic: String,
    /// Any property of the Kafka client (librdkafka); repeatable, or several with commas between
    #[arg(long, value_name = "K=V", value_parser = KafkaOptionParser, action = ArgAction::Append)]
    pub kafka_option: Vec<KafkaOption>,
    /// A property whose value is in a file, such as sasl.password=/run/secrets/kafka; repeatable
    #[arg(
        long, value_name = "K=FILE", value_parser = KafkaOptionFileParser, action = ArgAction::Append
    )]
    pub kafka_option_file: Vec<KafkaOptionFile>,
    /// A file of such properties, a line NAME=VALUE each, as Kafka's own tools read it; repeatable
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub kafka_config: Vec<PathBuf>,
    /// Names of secrets that the command line holds
    #[arg(skip)]
    pub(crate) secrets_on_command_line: Vec<String>,
    /// The long names of the options that are given, by whatever
    #[arg(skip)]
    pub(crate) given: BTreeSet<String>,
    /// How messages are fetched: by the client, or directly: cheaper, without TLS and SASL
    #[arg(long, value_name = "client|direct", value_parser = fetch, default_value = "client")]
    pub fetch: Fetch,
    /// Bytes of messages in flight between Kafka and the workers; a message may have a quarter of it
    #[arg(long, value_name = "BYTES", value_parser = byte_size::parse, default_value = "256MiB")]
    pub memory_in_flight: u64,
    /// Where to begin: earliest, latest, a time such as 2026-01-31T12:00:00Z, or epoch milliseconds
    #[arg(long, value_name = "FROM", value_parser = start, default_value = "earliest")]
    pub from: Start,
    /// End by itself at the ends that the topic has at the start
    #[arg(long)]
    pub bounded: bool,

    /// Simulate a fleet, also on a real Kafka
    #[arg(long)]
    pub simulate: bool,
    /// Devices of the simulated fleet
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub devices: u32,
    /// Messages a second from each simulated device
    #[arg(long, value_name = "HZ", default_value_t = 4.0)]
    pub rate: f64,

    /// Length of a window
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "10s")]
    pub window: Duration,
    /// How long a window waits for records that are out of order
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1m")]
    pub watermark: Duration,
    /// How far a record's time may be after its Kafka timestamp
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1h")]
    pub max_future: Duration,
    /// With which clock that is compared where the sender has set the Kafka timestamp: log, or clock for
    /// this computer's clock, too (such a run cannot be repeated exactly)
    #[arg(long, value_name = "log|clock", default_value = "log")]
    pub max_future_by: FutureBy,
    /// How far a record's time may be before its Kafka timestamp; any, if this is not given
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub max_past: Option<Duration>,
    /// In what records say their time: s, ms, us, ns or rfc3339
    #[arg(long, value_name = "UNIT", default_value = "ms")]
    pub time_unit: TimeUnit,
    /// Take the greatest event time of a partition, which a wrong clock has dragged ahead, back to a
    /// time, at this start: PARTITION=TIME; repeatable
    #[arg(
        long, value_name = "PARTITION=TIME", value_parser = lowered, action = ArgAction::Append
    )]
    pub lower_event_time: Vec<(u32, EventTime)>,
    /// How long a partition at its end is silent before nothing waits for it
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5s")]
    pub idle_after: Duration,
    /// How often live rows are published, at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "250ms")]
    pub publish_every: Duration,

    /// Where outputs go
    #[arg(long, value_name = "DIR", default_value = "data/aggregates")]
    pub out: PathBuf,
    /// When an output file is closed and becomes visible, at the latest
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "1m")]
    pub roll_every: Duration,
    /// How Parquet files are compressed: zstd, snappy (all readers know it), gzip, lz4, uncompressed
    #[arg(long, value_name = "CODEC", default_value_t)]
    pub parquet_codec: ParquetCodec,
    /// Add to the rows that the output directory already holds
    #[arg(long)]
    pub append: bool,
    /// Remove the rows that the output directory already holds
    #[arg(long)]
    pub replace: bool,
    /// Where checkpoints go, with which a run that ended goes on: a directory, s3://…, or none
    #[arg(
        long, value_name = "DIR|none", value_parser = checkpoint, default_value = "data/checkpoints"
    )]
    pub checkpoint: Checkpoint,
    /// How often a checkpoint is made; outputs show what is in one
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5s")]
    pub checkpoint_every: Duration,
    /// How many checkpoints are kept
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep: u32,
    /// Start over, although there is a checkpoint
    #[arg(long)]
    pub fresh: bool,
    /// Give up the rows that are hidden in a place that is gone, as a refused start names it
    #[arg(long, value_name = "ID")]
    pub abandon_place: Vec<String>,
    /// A consumer group under which the offsets of checkpoints are committed, for monitoring
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,

    /// Where the page is served, or none
    #[arg(
        long, value_name = "ADDRESS|none", value_parser = listen, default_value = "127.0.0.1:5000"
    )]
    pub listen: Listen,
    /// A name of a host that the page answers to, besides those that it knows; repeatable
    #[arg(long, value_name = "NAME", value_parser = host_name, action = ArgAction::Append)]
    pub allow_host: Vec<String>,
    /// Say only what is wrong, or no longer is, and the last line of a bounded run
    #[arg(long)]
    pub quiet: bool,
    /// A TOML file with any of these options by their long names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Options {
    /// All options, with their variables and defaults.
    pub fn command_line() -> clap::Command {
        Options::command().mut_args(with_environment)
    }

    /// Reads those of a job, whose help says what else the program can do.
    ///
    /// # Errors
    ///
    /// As those of [`read`](Options::read).
    pub fn read_job(
        name: &str,
        about: &str,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Options, clap::Error> {
        let more = format!(
            "{name} doctor [OPTIONS] says whether a job with these options would run, and if not, what to \
             do.\nThe program strandline has the commands around jobs: supervise, checkpoints, doctor."
        );
        Options::read_with_help(name, about, &more, arguments)
    }

    /// Reads the options of the program `name` from its arguments (the first is the program), the
    /// environment and the file that `--config` names.
    ///
    /// # Errors
    ///
    /// What is wrong, or the help that was asked for: [`clap::Error::exit`] does the right thing.
    pub fn read(
        name: &str,
        about: &str,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Options, clap::Error> {
        Options::read_with_help(name, about, "", arguments)
    }

    fn read_with_help(
        name: &str,
        about: &str,
        more: &str,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Options, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let plain = Options::command()
            .name(name.to_owned())
            .about(about.to_owned())
            .after_help(more.to_owned())
            .mut_args(with_negative_values);
        let mut command = plain.clone().mut_args(with_environment);
        check_environment(&plain, &mut command)?;
        // The file's values take the place of the defaults, so everything else wins over them.
        let config = command
            .clone()
            .ignore_errors(true)
            .try_get_matches_from(&arguments)
            .ok()
            .and_then(|matches| matches.get_one::<PathBuf>("config").cloned());
        let mut in_file = BTreeSet::new();
        if let Some(path) = &config {
            (command, in_file) = with_file(&plain, command, path)?;
        }
        let matches = command.clone().try_get_matches_from(arguments)?;
        let mut options = Options::from_arg_matches(&matches)?;
        options.secrets_on_command_line = on_command_line(&matches);
        let is_given = |id: &&str| match matches.value_source(id) {
            // What is switched off says nothing.
            _ if matches!(matches.try_get_one::<bool>(id), Ok(Some(false))) => false,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable) => true,
            _ => in_file.contains(&id.replace('_', "-")),
        };
        let ids = matches.ids().map(clap::Id::as_str).filter(is_given);
        options.given = ids.map(|id| id.replace('_', "-")).collect();
        options.check().map_err(|(option, wrong)| {
            let wrong = match matches.value_source(&option.replace('-', "_")) {
                Some(ValueSource::EnvVariable) => {
                    format!("--{option}, by {}: {wrong}", variable_of(&command, option))
                }
                Some(ValueSource::DefaultValue) if in_file.contains(option) => {
                    let path = config.iter().map(|path| path.display().to_string());
                    let path = path.collect::<String>();
                    format!("--{option}, by --config {path}: {wrong}")
                }
                _ => format!("--{option}: {wrong}"),
            };
            command.error(ErrorKind::ValueValidation, wrong)
        })?;
        Ok(options)
    }

    /// How many workers this process has.
    pub fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            // More would have no work.
            cores.min(usize::from(KEY_GROUPS) / self.processes.max(1)).max(1)
        })
    }
}

#[cfg(test)]
mod tests;
