//! What can be set about reading from Kafka, and what cannot.
//!
//! Every property of the client (librdkafka) can be set, except for the few on which a promise
//! rests: those are refused with a line that says which promise it is.
//!
//! # Memory
//!
//! Each partition has a queue of its own, so that a partition which is not read is not fetched
//! either. What waits in the queues of one process is bounded by half of
//! [`memory_in_flight`](KafkaSettings::memory_in_flight) and by [`QUEUED_MESSAGES_PER_PROCESS`],
//! divided by the number of partitions: a queue that has its share is not fetched for.
//!
//! The client unpacks what it has fetched, all of a batch at once. So the peak is above that, by what
//! one fetch for each partition becomes: a fetch is bounded by the share of the partition too, as it
//! comes, but its first batch comes whole. Of uncompressed messages the peak is therefore the budget, as
//! long as no batch is larger than a share; compressed ones are larger by as much as they were
//! compressed, and a batch of zstd at most `receive.message.max.bytes` (one that becomes more is read
//! apart, by itself). On top comes the client's bookkeeping, about 0.4 kB a message. What waits in the
//! queues is told by the client, and is [measured](crate::telemetry::KafkaMeasures::bytes_in_flight).
//!
//! The properties `queued.max.messages.kbytes`, `queued.min.messages` and `fetch.message.max.bytes`,
//! which are for one partition each, replace these defaults.

use std::fmt;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use strandline_operators::time::EventTime;

use crate::report::Report;
use crate::source::SourceError;
use crate::source::kafka::budget::{MEMORY_IN_FLIGHT, MEMORY_IN_FLIGHT_MIN};
use crate::source::kafka::native::properties::{PropertyType, properties};
use crate::source::kafka::token::TOKEN_FILE;
use crate::source::kafka::{bootstrap, direct, security, statistics};
use crate::telemetry::Telemetry;

/// Messages that wait in all queues of a process, by default, beside one fetch for each partition.
/// More make nothing faster (measured with eight times as many); fewer stay in the processor's cache
/// until they are read.
pub const QUEUED_MESSAGES_PER_PROCESS: u64 = 50_000;
/// Messages that a partition's queue holds even if there are very many partitions.
const QUEUED_MESSAGES_MIN: u64 = 50;
/// Bytes that a partition's queue and a fetch for it hold even if there are very many partitions: of
/// the default budget, more than 8192 in one process.
const QUEUED_BYTES_MIN: u64 = 16 << 10;
/// Bytes that one partition's queue holds at most.
const QUEUED_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are asked for in one fetch of one partition at most.
const FETCH_BYTES_MAX: u64 = 4 << 20;
/// The property that says how often the client tells what it counts.
const STATISTICS: &str = "statistics.interval.ms";
/// How many partitions are assumed where nobody asked the broker yet.
const PARTITIONS_ASSUMED: u32 = 16;

/// Where the reading of a partition begins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first message that the log still has.
    Earliest,
    /// At the end of the log at this moment.
    Latest,
    /// At the first message whose Kafka timestamp is this or later; at the end if there is none.
    Timestamp(EventTime),
}

/// How messages are fetched.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Fetch {
    /// By the client library (librdkafka): everything that it can do.
    #[default]
    Client,
    /// By Kafka's protocol, without the client: for each message it costs a fraction of that. No
    /// TLS, no SASL, and no messages in the formats of Kafka before 0.11.
    Direct,
}

/// How a topic is read. [`new`](Self::new) fills in what most jobs want.
///
/// ```
/// use strandline_engine::source::kafka::{KafkaSettings, KafkaSource, Start};
///
/// let mut settings = KafkaSettings::new("localhost:9092", "iot-metrics");
/// settings.start = Start::Latest;
/// settings.options.push(("check.crcs".into(), "false".into()));
/// let source = KafkaSource::new(settings)?;
/// # Ok::<(), strandline_engine::source::SourceError>(())
/// ```
#[derive(Clone)]
pub struct KafkaSettings {
    /// The brokers to ask first, `host:port`, separated by commas.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// Properties of the client, name and value; the last of a name counts. They replace the
    /// defaults, where no promise rests on those.
    pub options: Vec<(String, String)>,
    /// How messages are fetched. Questions about the topic are asked by the client in either way.
    pub fetch: Fetch,
    /// Where reading begins.
    pub start: Start,
    /// Whether reading ends at the end of each partition as it is when the job starts.
    pub bounded: bool,
    /// Whether the broker is the embedded one, which cannot look up a timestamp.
    pub embedded: bool,
    /// Where lines for a person go.
    pub report: Report,
    /// Where the source says whether the cluster answers:
    /// [`View::telemetry`](crate::view::View::telemetry) of the job.
    pub telemetry: Telemetry,
    /// The consumer group under which [`committed`](crate::source::Source::committed) positions are
    /// put, for whoever watches the lag.
    pub group: Option<String>,
    /// Bytes of messages that the process may hold between Kafka and its workers, as they were fetched
    /// and unpacked. A message of more than a quarter of it is a dead letter, `too_large`.
    pub memory_in_flight: u64,
}

impl KafkaSettings {
    /// Reads `topic` from its beginning, for ever, and reports to the standard error stream.
    pub fn new(bootstrap: impl Into<String>, topic: impl Into<String>) -> KafkaSettings {
        KafkaSettings {
            bootstrap: bootstrap.into(),
            topic: topic.into(),
            options: Vec::new(),
            fetch: Fetch::Client,
            start: Start::Earliest,
            bounded: false,
            embedded: false,
            report: Report::to_stderr(),
            telemetry: Telemetry::default(),
            group: None,
            memory_in_flight: MEMORY_IN_FLIGHT,
        }
    }

    /// Checks everything that can be checked without a broker.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        if self.topic.is_empty() {
            return Err(SourceError::Config("the topic has no name: name it with --topic".into()));
        }
        if self.topic.contains('\0') || self.bootstrap.contains('\0') {
            return Err(SourceError::Config("a topic or broker cannot hold a NUL byte".into()));
        }
        self.addresses()?;
        if self.memory_in_flight < MEMORY_IN_FLIGHT_MIN {
            return Err(SourceError::Config(format!(
                "{} bytes in flight are too few: give --memory-in-flight {}MiB or more",
                self.memory_in_flight,
                MEMORY_IN_FLIGHT_MIN >> 20
            )));
        }
        if self.embedded && matches!(self.start, Start::Timestamp(_)) {
            return Err(SourceError::Config(
                "the embedded broker cannot look up a timestamp: use --from earliest or latest, \
                 or a real Kafka"
                    .into(),
            ));
        }
        // First: what it cannot do at all, no other build can.
        if self.fetch == Fetch::Direct {
            direct::check(&self.options)?;
        }
        for (name, value) in &self.options {
            check_option(name, value)?;
        }
        security::check(&self.options)?;
        let mut checked = self.config(None);
        checked.set(STATISTICS, self.statistics_every_ms());
        let checked = checked.create_native_config().map(drop).map_err(config_error);
        checked.map_err(|error| match error {
            SourceError::Config(line) => {
                SourceError::Config(security::without_secrets(&line, &self.options))
            }
            error => error,
        })?;
        if let Some(warning) = security::warning(&self.options) {
            self.report.say(&warning);
        }
        Ok(())
    }

    /// The brokers to ask first, each as `host:port`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Config`] for an entry that is no address.
    pub(super) fn addresses(&self) -> Result<Vec<String>, SourceError> {
        let given = self.options.iter().rev().find(|(name, _)| name == "security.protocol");
        let protocol = given.map_or("plaintext", |(_, protocol)| protocol);
        bootstrap::addresses(&self.bootstrap, protocol).map_err(SourceError::Config)
    }

    /// The client's configuration where `partitions` share the queues of the process.
    pub(super) fn config(&self, partitions: Option<u32>) -> ClientConfig {
        let share = u64::from(partitions.unwrap_or(PARTITIONS_ASSUMED).max(1));
        let queued_messages = (QUEUED_MESSAGES_PER_PROCESS / share).max(QUEUED_MESSAGES_MIN);
        let queued_bytes =
            (self.memory_in_flight / 2 / share).clamp(QUEUED_BYTES_MIN, QUEUED_BYTES_MAX) & !0x3ff; // The client counts in kB.
        let fetch_bytes = queued_bytes.min(FETCH_BYTES_MAX);
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "strandline")
            // How much is fetched ahead.
            .set("queued.min.messages", queued_messages.to_string())
            .set("queued.max.messages.kbytes", (queued_bytes >> 10).to_string())
            .set("fetch.message.max.bytes", fetch_bytes.to_string())
            .set("fetch.max.bytes", "67108864")
            .set("fetch.min.bytes", "1")
            // A partition whose queue was full waits for the fetch that is under way for the
            // others. With 500 ms (the client's default) one partition that catches up beside
            // idle ones was read at 0.45 M messages/s, with 50 ms at 1.25 M.
            .set("fetch.wait.max.ms", "100")
            // How long a full queue is left alone. With a second (the client's default) that was
            // 0.28 M messages/s: a queue is empty after some milliseconds.
            .set("fetch.queue.backoff.ms", "10")
            // Costs 0.5 CPU s in 10 million messages; a flipped bit would be a wrong result.
            .set("check.crcs", "true")
            .set("enable.auto.offset.store", "false")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            .set("log.connection.close", "false")
            // How long a topic has to be absent before the client says so.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("enable.metrics.push", "false");
        for (name, value, _) in PROMISED {
            config.set(*name, *value);
        }
        if security::looks_in_usual_places(&self.options) {
            let (name, value) = security::USUAL_PLACES;
            config.set(name, value);
        }
        let mut log_level = RDKafkaLogLevel::Error;
        for (name, value) in &self.options {
            if [STATISTICS, TOKEN_FILE].contains(&&name[..]) {
                continue;
            }
            config.set(name, value);
            if name == "debug" {
                log_level = RDKafkaLogLevel::Debug;
            }
        }
        config.set_log_level(log_level);
        config
    }

    /// The configuration of a client that takes one batch at a time, of any size.
    pub(super) fn config_apart(&self) -> ClientConfig {
        let mut config = self.config(None);
        config.remove("max.partition.fetch.bytes"); // Another name of one of these.
        for name in ["fetch.max.bytes", "fetch.message.max.bytes", "message.max.bytes"] {
            config.set(name, "1000"); // The least that the client takes.
        }
        config
            .set("queued.min.messages", "1")
            .set("receive.message.max.bytes", i32::MAX.to_string());
        config
    }

    /// How often clients that read tell what they count.
    pub(super) fn statistics_every_ms(&self) -> &str {
        let given = self.options.iter().rev().find(|(name, _)| name == STATISTICS);
        given.map_or(statistics::EVERY_MS, |(_, every)| every)
    }

    /// Whether the client's own log lines are to be shown.
    pub(super) fn shows_log(&self) -> bool {
        self.options.iter().any(|(name, _)| name == "debug")
    }
}

/// Does not show the options: there are passwords among them.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap", &self.bootstrap)
            .field("topic", &self.topic)
            .field("start", &self.start)
            .field("bounded", &self.bounded)
            .field("embedded", &self.embedded)
            .finish_non_exhaustive()
    }
}

/// Properties on which a promise rests: name, the one value that keeps it, and what another value
/// would break.
const PROMISED: &[(&str, &str, &str)] = &[
    (
        "auto.offset.reset",
        "error",
        "messages that are gone would be skipped in silence (see --from)",
    ),
    (
        "isolation.level",
        "read_committed",
        "records of aborted transactions would be counted, and counts could change later",
    ),
    ("enable.partition.eof", "true", "an idle partition could not be told from a busy one"),
    ("allow.auto.create.topics", "false", "looking at a topic would create it"),
    ("enable.auto.commit", "false", "offsets are kept with the results, not in Kafka"),
];

/// Properties that cannot be set, and why.
const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "name the broker with --bootstrap"),
    ("metadata.broker.list", "name the broker with --bootstrap"),
    ("group.id", "no consumer group is used: a job decides itself which worker reads what"),
    ("group.instance.id", "no consumer group is used"),
    ("group.protocol", "no consumer group is used"),
    ("auto.commit.enable", "offsets are kept with the results, not in Kafka"),
    ("test.mock.num.brokers", "it would replace the broker that --bootstrap names"),
];

fn check_option(name: &str, value: &str) -> Result<(), SourceError> {
    let refuse =
        |why: &str| Err(SourceError::Config(format!("Kafka option `{name}` cannot be set: {why}")));
    if name.contains('\0') || value.contains('\0') {
        return Err(SourceError::Config("a Kafka option cannot hold a NUL byte".into()));
    }
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return refuse(why);
    }
    if let Some((_, kept, why)) = PROMISED.iter().find(|(promised, ..)| *promised == name)
        && !kept.eq_ignore_ascii_case(value)
    {
        return refuse(&format!("it has to stay `{kept}`, or {why}"));
    }
    check_number(name, value)?;
    if !cfg!(feature = "tls") && needs_tls(name, value) {
        let what = match name.starts_with("sasl.") {
            true => "OpenSSL, also where the connection has no TLS",
            false => "TLS",
        };
        return Err(SourceError::Config(format!(
            "Kafka option `{name}` needs {what}; this build leaves it out: build it with \
             `--features tls`"
        )));
    }
    Ok(())
}

/// Refuses what the client takes for another number: it reads the one at the beginning of a value,
/// whatever follows. `10MB` would be 10, and `010` would be 8.
///
/// # Errors
///
/// [`SourceError::Config`] for a value that is no number where the property is one.
pub fn check_number(name: &str, value: &str) -> Result<(), SourceError> {
    let value = value.trim();
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    // What begins otherwise, the client refuses, or has a name for.
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(());
    }
    let is_number = match properties().get(name) {
        Some(PropertyType::Integer) => {
            value.parse::<i32>().is_ok() && (digits == "0" || !digits.starts_with('0'))
        }
        Some(PropertyType::Float) => value.parse::<f64>().is_ok_and(f64::is_finite),
        _ => true,
    };
    match is_number {
        true => Ok(()),
        false => Err(SourceError::Config(format!(
            "Kafka option `{name}`: `{value}` is not such a number: write it out in digits, without a \
             unit, such as 10000000 for 10 MB"
        ))),
    }
}

/// Whether the client has a property of this name.
pub fn is_property(name: &str) -> bool {
    properties().contains_key(name) || name == TOKEN_FILE
}

/// Whether the client can do this only with OpenSSL compiled in.
pub(super) fn needs_tls(name: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match name {
        "security.protocol" => value.contains("ssl"),
        "sasl.mechanism" | "sasl.mechanisms" => {
            value.starts_with("scram") || value == "oauthbearer"
        }
        "enable.ssl.certificate.verification" => true,
        _ => name.starts_with("ssl."),
    }
}

/// One line for what the client says about its settings.
pub(super) fn config_error(error: KafkaError) -> SourceError {
    let line = match error {
        // The description names the property, and the value where it is at fault.
        KafkaError::ClientConfig(_, description, name, _) if description.is_empty() => {
            format!("Kafka option `{name}` is not accepted")
        }
        KafkaError::ClientConfig(_, description, name, _) => {
            format!("Kafka option `{name}`: {description}")
        }
        KafkaError::ClientCreation(description) => format!("Kafka options: {description}"),
        other => format!("Kafka options: {other}"),
    };
    SourceError::Config(line.trim_end_matches(['\0', '\n']).replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(options: &[(&str, &str)]) -> KafkaSettings {
        let mut settings = KafkaSettings::new("localhost:9092", "t");
        settings.options = options.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
        settings
    }

    fn refusal(options: &[(&str, &str)]) -> String {
        with(options).check().expect_err("should be refused").to_string()
    }

    #[test]
    fn the_defaults_are_accepted() {
        with(&[]).check().unwrap();
    }

    #[test]
    fn the_client_that_reads_batches_apart_takes_its_settings() {
        let settings =
            with(&[("max.partition.fetch.bytes", "7000"), ("fetch.max.bytes", "9999999")]);
        settings.check().unwrap();
        settings.config_apart().create_native_config().unwrap();
        let made: Result<rdkafka::consumer::BaseConsumer, _> = settings.config_apart().create();
        assert!(made.is_ok(), "{:?}", made.err());
    }

    /// The client takes the digits at the beginning for the number.
    #[test]
    fn a_number_with_something_behind_it_is_refused() {
        for (name, value) in [
            ("fetch.message.max.bytes", "10MB"),
            ("max.partition.fetch.bytes", "20xyz"),
            ("fetch.wait.max.ms", "1s"),
            ("fetch.wait.max.ms", "0x10"),
            ("fetch.wait.max.ms", "010"),
            ("fetch.min.bytes", "1,client.id=x"),
            ("fetch.min.bytes", "4294967297"),
            ("queue.buffering.max.ms", "5ms"),
        ] {
            let line = refusal(&[(name, value)]);
            assert!(line.contains(name) && line.contains(&format!("`{value}`")), "{line}");
        }
        for (name, value) in [
            ("fetch.wait.max.ms", "0"),
            ("fetch.message.max.bytes", " 1000000 "),
            ("client.id", "20xyz"),
            ("queue.buffering.max.ms", "0.5"),
            ("acks", "-1"),
            ("acks", "all"),
        ] {
            with(&[(name, value)]).check().unwrap();
        }
    }

    #[test]
    fn a_user_may_replace_any_property_on_which_no_promise_rests() {
        let settings = with(&[("check.crcs", "false"), ("queued.min.messages", "77")]);
        settings.check().unwrap();
        let config = settings.config(Some(4));
        assert_eq!(config.get("check.crcs"), Some("false"));
        assert_eq!(config.get("queued.min.messages"), Some("77"));
        assert_eq!(config.get("fetch.min.bytes"), Some("1"));
    }

    #[test]
    fn options_that_would_break_a_promise_are_refused_by_name() {
        for (name, value) in [
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_uncommitted"),
            ("enable.partition.eof", "false"),
            ("allow.auto.create.topics", "true"),
            ("enable.auto.commit", "true"),
            ("group.id", "g"),
            ("bootstrap.servers", "elsewhere:9092"),
        ] {
            let line = refusal(&[(name, value)]);
            assert!(line.contains(name) && !line.contains('\n'), "{line}");
        }
        with(&[("isolation.level", "read_committed")]).check().unwrap();
    }

    #[test]
    fn a_wrong_name_or_value_is_one_line_that_names_the_option() {
        for (name, value) in [
            ("no.such.thing", "1"),
            ("fetch.min.bytes", "many"),
            ("statistics.interval.ms", "often"),
            ("acks", "-9"),
        ] {
            let line = refusal(&[(name, value)]);
            assert!(line.contains(name) && !line.contains('\n'), "{line}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_tls_option_without_tls_names_the_feature() {
        for (name, value) in [
            ("security.protocol", "SASL_SSL"),
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
        ] {
            let line = refusal(&[(name, value)]);
            assert!(line.contains(name) && line.contains("--features tls"), "{line}");
        }
        with(&[("security.protocol", "plaintext")]).check().unwrap();
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_tls_option_is_accepted_with_tls() {
        with(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", "reader"),
            ("sasl.password", "hunter2"),
        ])
        .check()
        .unwrap();
    }

    #[cfg(feature = "tls")]
    #[test]
    fn authorities_are_looked_for_in_the_usual_places_unless_they_are_named() {
        let place = |options: &[(&str, &str)]| {
            with(options).config(None).get("ssl.ca.location").map(ToOwned::to_owned)
        };
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[("security.protocol", "SSL")]).as_deref(), Some("probe"));
        let named = [("security.protocol", "SSL"), ("ssl.ca.location", "/ca.pem")];
        assert_eq!(place(&named).as_deref(), Some("/ca.pem"));
        assert_eq!(place(&[("security.protocol", "SSL"), ("ssl.ca.pem", "-----")]), None);
    }

    #[test]
    fn queues_of_a_process_share_one_budget() {
        for partitions in [1, 4, 16, 200, 1_000, 8_000] {
            let config = with(&[]).config(Some(partitions));
            let number = |name| config.get(name).unwrap().parse::<u64>().unwrap();
            let partitions = u64::from(partitions);
            let queued_bytes = number("queued.max.messages.kbytes") << 10;
            assert!(queued_bytes * partitions <= MEMORY_IN_FLIGHT / 2);
            let queued_messages = number("queued.min.messages");
            assert!(
                queued_messages * partitions <= QUEUED_MESSAGES_PER_PROCESS
                    || queued_messages == QUEUED_MESSAGES_MIN,
                "{partitions}"
            );
            assert!(number("fetch.message.max.bytes") <= queued_bytes);
        }
    }

    /// Those of a client that nobody serves would pile up.
    #[test]
    fn statistics_are_for_clients_that_read_alone() {
        let settings = with(&[("statistics.interval.ms", "700")]);
        assert_eq!(settings.config(Some(4)).get("statistics.interval.ms"), None);
        assert_eq!(settings.statistics_every_ms(), "700");
        assert_eq!(with(&[]).statistics_every_ms(), statistics::EVERY_MS);
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", with(&[("sasl.password", "hunter2")]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn the_embedded_broker_refuses_a_timestamp() {
        let mut settings = with(&[]);
        settings.embedded = true;
        settings.start = Start::Timestamp(EventTime::from_millis(5));
        assert!(settings.check().unwrap_err().to_string().contains("--from"));
    }
}
