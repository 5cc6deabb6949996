//! What can be set about reading from Kafka.
//!
//! Every property of the client (librdkafka) can be set, except for the few on which a promise
//! rests: those are refused with a line that says which promise it is. What a client is made with, and
//! how much memory that is, is in [`client_config`](super::client_config).

use std::fmt;

use strandline_operators::time::EventTime;

use crate::report::Report;
use crate::source::SourceError;
use crate::source::kafka::budget::{MEMORY_IN_FLIGHT, MEMORY_IN_FLIGHT_MIN};
use crate::source::kafka::config_error::config_error;
use crate::source::kafka::options::{self, Given, STATISTICS_EVERY_MS};
use crate::source::kafka::{bootstrap, direct, security};
use crate::telemetry::Telemetry;

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
            options::check(name, value)?;
        }
        security::check(&self.options)?;
        let mut checked = self.config(None);
        checked.set(STATISTICS_EVERY_MS, self.statistics_every_ms());
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
        let protocol = Given(&self.options).protocol();
        bootstrap::addresses(&self.bootstrap, &protocol).map_err(SourceError::Config)
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Settings with these properties.
    pub(in crate::source::kafka) fn with(options: &[(&str, &str)]) -> KafkaSettings {
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
