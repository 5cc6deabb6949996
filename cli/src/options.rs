//! What a program built on Strandline can be told: by its command line, by the environment, by a
//! file. The first that says something counts, in that order; then there are the defaults.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::builder::{BoolishValueParser, Resettable, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser};
use strandline_engine::sink::ParquetCodec;
use strandline_engine::source::kafka::{Fetch, Start};
use strandline_engine::store::{Directory, StoreError};
use strandline_operators::decode::TimeUnit;
use strandline_operators::time::EventTime;
use strandline_operators::window::KEY_GROUPS;
use strandline_sim::command_line::{one_line, with_negative_values};

use crate::kafka_options::{
    KafkaOption, KafkaOptionFile, KafkaOptionFileParser, KafkaOptionParser, on_command_line,
};
use crate::{byte_size, duration};

/// Bare numbers of `--from` between 0 and this are refused: in milliseconds they are in 1970 to 1973, and
/// in seconds up to the year 5138.
const FROM_MILLIS_MIN: i64 = 100_000_000_000;
/// The end of the year 9999.
const FROM_MILLIS_MAX: i64 = 253_402_300_799_999;

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
    /// Say nothing but errors and the last line of a bounded run
    #[arg(long)]
    pub quiet: bool,
    /// A TOML file with any of these options by their long names
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// With what `--max-future` is compared.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FutureBy {
    /// With the timestamp that the log keeps with a record.
    Log,
    /// With the clock, too, where the sender has set that timestamp.
    Clock,
}

/// Where the page is served.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// There.
    At(SocketAddr),
    /// Nowhere.
    Nowhere,
}

/// Where checkpoints go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// To this directory or URL.
    At(String),
    /// Nowhere.
    Nowhere,
}

impl Options {
    /// All options, with their variables and defaults.
    pub fn command_line() -> clap::Command {
        Options::command().mut_args(with_environment)
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
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let plain = Options::command()
            .name(name.to_owned())
            .about(about.to_owned())
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
        if let Some(path) = &config {
            command = with_file(&plain, command, path)?;
        }
        let matches = command.clone().try_get_matches_from(arguments)?;
        let mut options = Options::from_arg_matches(&matches)?;
        options.secrets_on_command_line = on_command_line(&matches);
        options.check().map_err(|(option, wrong)| {
            let wrong = match matches.value_source(&option.replace('-', "_")) {
                Some(ValueSource::EnvVariable) => {
                    format!("--{option}, by {}: {wrong}", variable_of(&command, option))
                }
                Some(ValueSource::DefaultValue) if config.is_some() => {
                    let path = config.iter().map(|path| path.display().to_string());
                    let path = path.collect::<String>();
                    format!("--{option}, by --config {path} or by default: {wrong}")
                }
                _ => format!("--{option}: {wrong}"),
            };
            command.error(ErrorKind::ValueValidation, wrong)
        })?;
        Ok(options)
    }

    /// What is wrong that clap does not see: the option, by its long name, and what to do.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |option, what: &str| Err((option, what.to_owned()));
        if self.workers == Some(0) {
            return wrong("workers", "a process needs at least one worker");
        }
        if self.processes == 0 {
            return wrong("processes", "a job has at least one process");
        }
        if self.processes <= self.process {
            let (process, last) = (self.process, self.processes - 1);
            let what = format!(
                "there is no process {process}: the processes of {} are numbered from 0 to {last}",
                self.processes
            );
            return Err(("process", what));
        }
        let workers = self.workers().saturating_mul(self.processes);
        if usize::from(KEY_GROUPS) < workers {
            let option = if self.workers.is_some() { "workers" } else { "processes" };
            let what = format!(
                "{workers} workers in all: at most {KEY_GROUPS} have work, because keys are in \
                 {KEY_GROUPS} groups and each group belongs to one worker"
            );
            return Err((option, what));
        }
        let names = [("topic", Some(&self.topic)), ("bootstrap", self.bootstrap.as_ref())];
        for (option, name) in names.into_iter().chain([("group", self.group.as_ref())]) {
            if name.is_some_and(|name| name.trim().is_empty()) {
                return wrong(option, "it is empty: give a name, or leave the option out");
            }
        }
        if 1 < self.processes && self.bootstrap.is_none() {
            return wrong(
                "processes",
                "several processes need a real Kafka: name it with --bootstrap",
            );
        }
        if strandline_operators::window::Tumbling::of(self.window).is_none() {
            return wrong("window", "a window is at least a millisecond long, such as 10s");
        }
        if self.append && self.replace {
            return wrong("append", "it cannot be used with --replace");
        }
        if self.checkpoint_every.is_zero() {
            return wrong(
                "checkpoint-every",
                "at least a millisecond, such as 5s; for none at all: --checkpoint none",
            );
        }
        if self.keep == 0 {
            return wrong("keep", "at least one checkpoint is kept");
        }
        if self.bounded && self.bootstrap.is_none() {
            return wrong(
                "bounded",
                "it reads to the end of what is there, and an embedded broker has nothing yet: \
                 name a Kafka with --bootstrap",
            );
        }
        if self.bounded && self.simulate {
            return wrong(
                "bounded",
                "with --simulate the end would run away; fill the topic first \
                 (strandline-sim --messages N)",
            );
        }
        Ok(())
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

/// Every option can be given by the environment: `STRANDLINE_` and its name. A variable that is
/// empty counts as not set.
fn with_environment(mut argument: Arg) -> Arg {
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        // The environment says 1 or yes as often as true.
        argument = argument.value_parser(BoolishValueParser::new());
    }
    let variable = match (argument.get_env(), argument.get_long()) {
        (Some(named), _) => named.to_owned(),
        (None, Some(long)) => {
            format!("STRANDLINE_{}", long.to_uppercase().replace('-', "_")).into()
        }
        (None, None) => return argument,
    };
    let is_empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
    let variable = (!is_empty).then_some(variable);
    argument.env(Resettable::from(variable.map(clap::builder::OsStr::from))).hide_env_values(true)
}

/// The variable of an option.
fn variable_of(command: &clap::Command, option: &str) -> String {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(option));
    let variable = argument.and_then(Arg::get_env).map(|name| name.display().to_string());
    variable.unwrap_or_default()
}

/// Finds the variable whose value an option does not take: clap would blame the command line.
fn check_environment(
    plain: &clap::Command,
    command: &mut clap::Command,
) -> Result<(), clap::Error> {
    let arguments = command.get_arguments().filter_map(|argument| {
        let variable = argument.get_env()?;
        Some((argument.get_long()?.to_owned(), variable.to_owned(), std::env::var(variable).ok()?))
    });
    for (option, variable, value) in arguments.collect::<Vec<_>>() {
        check_value(plain, &option, &value).map_err(|wrong| {
            let wrong = format!("{}: {wrong}", variable.display());
            command.error(ErrorKind::ValueValidation, wrong)
        })?;
    }
    Ok(())
}

/// Whether an option takes a value, and if not, why.
fn check_value(plain: &clap::Command, option: &str, value: &str) -> Result<(), String> {
    let argument = plain.get_arguments().find(|argument| argument.get_long() == Some(option));
    let is_switch = argument.is_some_and(|a| matches!(a.get_action(), ArgAction::SetTrue));
    if is_switch {
        let parsed = BoolishValueParser::new().parse_ref(plain, None, OsStr::new(value));
        return parsed
            .map(drop)
            .map_err(|_| format!("{option}: `{value}` is neither true nor false"));
    }
    let line = [plain.get_name().to_owned(), format!("--{option}={value}")];
    match plain.clone().try_get_matches_from(line) {
        Ok(_) => Ok(()),
        Err(error) => Err(one_line(&error)),
    }
}

/// Makes what a TOML file says the defaults of `command`.
fn with_file(
    plain: &clap::Command,
    mut command: clap::Command,
    path: &Path,
) -> Result<clap::Command, clap::Error> {
    let wrong = |command: &mut clap::Command, what: String| {
        let what = format!("--config {}: {what}", path.display());
        command.error(ErrorKind::InvalidValue, what)
    };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => return Err(wrong(&mut command, error)),
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let what = error.message().lines().next().unwrap_or("not TOML");
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            return Err(wrong(&mut command, format!("line {line}: {what}")));
        }
    };
    for (key, value) in table {
        let id = key.replace('-', "_");
        let known = command.get_arguments().any(|a| a.get_long() == Some(&key) && key != "config");
        if !known {
            return Err(wrong(&mut command, format!("there is no option `{key}`")));
        }
        let values = match value {
            toml::Value::Array(values) => values.into_iter().map(self::plain).collect(),
            value => vec![self::plain(value)],
        };
        let Some(values) = values.into_iter().collect::<Option<Vec<String>>>() else {
            return Err(wrong(&mut command, format!("`{key}` takes a plain value")));
        };
        for value in &values {
            check_value(plain, &key, value).map_err(|what| wrong(&mut command, what))?;
        }
        command = command.mut_arg(id, |argument| argument.default_values(values));
    }
    Ok(command)
}

pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("is not a file's name")?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = Directory::local(parent.unwrap_or(Path::new(".")));
    let bytes = directory.read(name).map_err(|error| match error {
        StoreError::Other { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        StoreError::Other { source, .. } => source.to_string(),
        StoreError::Permission { .. } => "this user may not read it".to_owned(),
        error => error.to_string(),
    })?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".into())
}

fn plain(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(is) => Some(is.to_string()),
        toml::Value::Datetime(time) => Some(time.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

fn fetch(text: &str) -> Result<Fetch, String> {
    match text {
        "client" => Ok(Fetch::Client),
        "direct" => Ok(Fetch::Direct),
        _ => Err("client or direct".into()),
    }
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "earliest" => return Ok(Start::Earliest),
        "latest" => return Ok(Start::Latest),
        _ => {}
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return epoch_millis(text).map(|millis| Start::Timestamp(EventTime::from_millis(millis)));
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| {
        "earliest, latest, a time such as 2026-01-31T12:00:00Z, or epoch milliseconds".to_owned()
    })?;
    Ok(Start::Timestamp(EventTime::from_millis(time.timestamp_millis())))
}

/// A partition and a time, as in `3=2026-11-30T09:00:00Z`.
fn lowered(text: &str) -> Result<(u32, EventTime), String> {
    let usage = || "a partition and a time, such as 3=2026-01-31T12:00:00Z".to_owned();
    let (partition, time) = text.split_once('=').ok_or_else(usage)?;
    let partition = partition.parse().map_err(|_| usage())?;
    match start(time) {
        Ok(Start::Timestamp(time)) => Ok((partition, time)),
        _ => Err(usage()),
    }
}

/// A bare number is in milliseconds. One that was meant in another unit would begin decades away, and
/// nobody would see why, so it is refused.
fn epoch_millis(text: &str) -> Result<i64, String> {
    let refused = |what: &str| {
        format!("{what}: give milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z")
    };
    let number: i64 = text.parse().map_err(|_| refused("the number is too large"))?;
    let date = |time: Option<DateTime<Utc>>| {
        time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
    };
    match number {
        0 | FROM_MILLIS_MIN..=FROM_MILLIS_MAX => Ok(number),
        ..FROM_MILLIS_MIN => Err(refused(&format!(
            "in milliseconds that is {}; if it is meant in seconds, that is {}, which is \
             {number}000",
            date(DateTime::from_timestamp_millis(number)),
            date(DateTime::from_timestamp(number, 0)),
        ))),
        _ => Err(refused("in milliseconds that is after the year 9999; is it in microseconds?")),
    }
}

fn listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen::Nowhere);
    }
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse()
        .map(Listen::At)
        .map_err(|_| "an address and a port such as 127.0.0.1:5000, or none".into())
}

fn host_name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_name) {
        true => Ok(text.trim_end_matches('.').to_owned()),
        false => Err("a name of a host without a port, such as job.example.com".into()),
    }
}

fn checkpoint(text: &str) -> Result<Checkpoint, String> {
    match text {
        "none" => Ok(Checkpoint::Nowhere),
        "" => Err("a directory, an URL such as s3://bucket/prefix, or none".into()),
        place => Ok(Checkpoint::At(place.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Options, String> {
        let arguments = std::iter::once("test").chain(arguments.iter().copied());
        Options::read("test", "", arguments.map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let options = read(&[]).unwrap();
        assert_eq!(options.topic, "iot-metrics");
        assert_eq!(options.window, Duration::from_secs(10));
        assert_eq!(options.watermark, Duration::from_secs(60));
        assert_eq!(options.max_future, Duration::from_secs(3600));
        assert_eq!(options.idle_after, Duration::from_secs(5));
        assert_eq!(options.from, Start::Earliest);
        assert_eq!(options.listen, Listen::At("127.0.0.1:5000".parse().unwrap()));
        assert_eq!((options.devices, options.rate), (8, 4.0));
        assert_eq!(options.out, PathBuf::from("data/aggregates"));
        assert_eq!(options.checkpoint, Checkpoint::At("data/checkpoints".into()));
        assert_eq!((options.checkpoint_every, options.keep), (Duration::from_secs(5), 3));
        assert!(!options.fresh && !options.bounded && !options.simulate && !options.quiet);
    }

    #[test]
    fn nonsense_is_refused_with_what_to_do() {
        for (arguments, hint) in [
            (&["-w", "0"][..], "at least one worker"),
            (&["-w", "many"], "invalid"),
            (&["--window", "0s"], "at least a millisecond"),
            (&["--window", "10"], "one of ms s m h d"),
            (&["--window", "9999999999d"], "too long"),
            (&["-w", "-1"], "--workers"),
            (&["--keep", "-1"], "--keep"),
            (&["-w", "257"], "--workers: 257 workers in all: at most 256"),
            (&["-w", "100000"], "at most 256"),
            (&["-n", "2", "-w", "129", "--bootstrap", "x:1"], "--workers: 258 workers in all"),
            (&["-n", "257", "--bootstrap", "x:1"], "--processes: 257 workers in all"),
            (&["-n", "0"], "--processes: a job has at least one process"),
            (&["--group", ""], "--group: it is empty"),
            (&["--topic", ""], "--topic: it is empty"),
            (&["--bootstrap", ""], "--bootstrap: it is empty"),
            (&["--from", "yesterday"], "2026-01-31T12:00:00Z"),
            (&["--listen", "5000"], "127.0.0.1:5000"),
            (&["--allow-host", "job.example.com:5000"], "without a port"),
            (&["--kafka-option", "nonsense"], "NAME=VALUE"),
            (&["--checkpoint", ""], "or none"),
            (&["--checkpoint-every", "0s"], "--checkpoint none"),
            (&["--keep", "0"], "at least one"),
            (&["--append", "--replace"], "cannot be used with"),
            (&["--bounded"], "--bootstrap"),
            (&["-n", "2", "-p", "2", "--bootstrap", "x:1"], "from 0 to 1"),
            (&["--config", "/does/not/exist.toml"], "exist.toml: there is no such file"),
            (&["--no-such-option"], "unexpected"),
            (&["--window", "-5s"], "a duration cannot be negative"),
            (&["--window=-5s"], "a duration cannot be negative"),
            (&["--idle-after", "-1"], "a duration cannot be negative"),
            (&["--window", "--bounded"], "one of ms s m h d"),
            (&["--from", "-5"], "2026-01-31T12:00:00Z"),
            (&["--from", "-5m"], "2026-01-31T12:00:00Z"),
            (&["--from", "1730638574"], "is meant in seconds, that is 2024-11-03T12:56:14Z"),
            (&["--from", "1730638574"], "which is 1730638574000"),
            (&["--from", "1730638574123456"], "microseconds"),
            (&["--from", "99999999999999999999"], "too large"),
        ] {
            let error = read(arguments).unwrap_err();
            assert!(error.contains(hint), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn what_a_file_has_wrong_is_said_with_its_name_and_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.toml");
        let path = path.to_str().unwrap();
        for (text, hint) in [
            ("window = \"10s\"\ntopic = nonsense\n", "job.toml: line 2: "),
            (
                "window = \"10\"",
                "job.toml: invalid value '10' for '--window <DURATION>': a duration",
            ),
            ("quiet = \"perhaps\"", "job.toml: quiet: `perhaps` is neither true nor false"),
            ("keep = 0", "--keep, by --config"),
            ("no-such-option = 1", "job.toml: there is no option `no-such-option`"),
        ] {
            Directory::local(directory.path()).replace("job.toml", text.as_bytes()).unwrap();
            let error = read(&["--config", path]).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn as_many_workers_as_have_work_are_allowed() {
        assert_eq!(read(&["-w", "256"]).unwrap().workers(), 256);
        let two = read(&["-n", "2", "-w", "128", "--bootstrap", "x:1"]).unwrap();
        assert_eq!((two.processes, two.workers()), (2, 128));
    }

    #[test]
    fn help_and_version_are_there() {
        let help = read(&["--help"]).unwrap_err();
        for part in ["[env: KAFKA_BOOTSTRAP", "[env: STRANDLINE_CHECKPOINT_EVERY", "--version"] {
            assert!(help.contains(part), "{part}: {help}");
        }
        assert!(read(&["--version"]).unwrap_err().contains(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_beginning_is_a_name_or_a_time() {
        let at = |millis| Start::Timestamp(EventTime::from_millis(millis));
        for (text, expected) in [
            ("latest", Start::Latest),
            ("1730638574123", at(1_730_638_574_123)),
            ("0", at(0)),
            ("1970-01-01T00:00:01Z", at(1_000)),
            ("1970-01-01T01:00:01+01:00", at(1_000)),
        ] {
            assert_eq!(read(&["--from", text]).unwrap().from, expected);
        }
    }

    #[test]
    fn the_command_line_wins_over_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.toml");
        let text = "window = \"1m\"\nworkers = 3\nquiet = true\ntopic = \"other\"\n\
                    kafka-option = [\"a=b\", \"c=d\"]\n";
        Directory::local(directory.path()).replace("job.toml", text.as_bytes()).unwrap();
        let path = path.to_str().unwrap();
        let options = read(&["--config", path, "--window", "5s"]).unwrap();
        assert_eq!(options.window, Duration::from_secs(5));
        assert_eq!((options.workers, options.quiet), (Some(3), true));
        assert_eq!(options.topic, "other");
        let pairs = [("a", "b"), ("c", "d")]
            .map(|(name, value)| KafkaOption { name: name.into(), value: value.into() });
        assert_eq!(options.kafka_option, pairs);
    }

    #[test]
    fn a_secret_is_neither_on_the_command_line_nor_in_what_is_said_of_it() {
        let error = read(&["--kafka-option", "sasl.password:hunter2"]).unwrap_err();
        assert!(error.contains("NAME=VALUE") && !error.contains("hunter2"), "{error}");
        let options = read(&["--kafka-option", "sasl.password=hunter2"]).unwrap();
        assert_eq!(options.secrets_on_command_line, ["sasl.password"]);
        assert!(!format!("{options:?}").contains("hunter2"));
        let options = read(&["--kafka-option", "sasl.username=reader"]).unwrap();
        assert_eq!(options.secrets_on_command_line, [""; 0]);
    }

    #[test]
    fn properties_come_from_files_and_the_command_line_wins() {
        let directory = tempfile::tempdir().unwrap();
        let there = Directory::local(directory.path());
        there.replace("client.properties", b"sasl.username=KEY\nsasl.password=old\n").unwrap();
        there.replace("password", b"hunter2\n").unwrap();
        let config = directory.path().join("client.properties");
        let password = format!("sasl.password={}", directory.path().join("password").display());
        let line = ["--kafka-config", config.to_str().unwrap(), "--kafka-option-file", &password];
        let options = read(&[&line[..], &["--kafka-option", "sasl.username=other"]].concat());
        let all = crate::kafka_options::all(&options.unwrap()).unwrap();
        let last = |name: &str| all.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(last("sasl.password"), Some("hunter2"));
        assert_eq!(last("sasl.username"), Some("other"));
        let absent = read(&["--kafka-option-file", "sasl.password=/no/such/file"]).unwrap();
        let error = crate::kafka_options::all(&absent).unwrap_err();
        assert!(error.contains("/no/such/file: there is no such file"), "{error}");
    }
}
