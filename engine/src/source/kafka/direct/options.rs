//! Which properties of the client the direct way honours, by the same names; all others are refused.

use std::time::Duration;

use rdkafka::config::ClientConfig;

use crate::source::SourceError;
use crate::source::kafka::options::{self, Given, needs_tls};
use crate::source::kafka::settings::KafkaSettings;

/// Bytes that are asked for in one fetch of one partition. Smaller than the client's: what is
/// fetched is read while it still is in the processor's cache.
const FETCH_BYTES: usize = 1 << 20;
/// How long a broker waits for messages, unless the user says so; it answers as soon as there is one.
/// Longer than the client's, where a partition whose queue was full waits for that.
const WAIT_MAX_MS: i32 = 500;
/// How much later than that an answer may come that counts as one of this moment.
const ANSWER_LATE_MAX: Duration = Duration::from_millis(500);
/// Room in an answer beside the batches.
const ANSWER_OVERHEAD_BYTES: usize = 1 << 20;

/// Properties that are honoured here.
const HONOURED: &[&str] = &[
    "broker.address.family",
    "check.crcs",
    "client.id",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "max.partition.fetch.bytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.ms",
    "socket.connection.setup.timeout.ms",
    "socket.timeout.ms",
];

/// Whether the client does it in either way: it is about questions, or has one value only.
fn is_without_effect(name: &str) -> bool {
    options::is_promised(name) || name == "debug"
}

/// Which addresses of a broker are tried.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum AddressFamily {
    Any,
    V4,
    V6,
}

/// What the direct way goes by.
#[derive(Clone, Debug)]
pub(super) struct DirectOptions {
    /// The brokers to ask first, each as `host:port`; there is one at least.
    pub(super) bootstrap: Vec<String>,
    pub(super) client_id: String,
    pub(super) address_family: AddressFamily,
    pub(super) connect_within: Duration,
    pub(super) answer_within: Duration,
    pub(super) reconnect_backoff: Duration,
    pub(super) reconnect_backoff_max: Duration,
    pub(super) check_crcs: bool,
    pub(super) wait_max_ms: i32,
    /// How long it counts that a broker has said that there is nothing more in a partition.
    pub(super) end_counts_for: Duration,
    pub(super) fetch_bytes_min: i32,
    /// In one answer.
    pub(super) fetch_bytes_max: usize,
    /// Of one partition in one answer.
    pub(super) partition_bytes_max: usize,
    /// A partition that has this much waiting is not asked for.
    pub(super) queued_bytes: usize,
    pub(super) queued_messages: u64,
    pub(super) response_bytes_max: usize,
}

/// Refuses what only the client can do.
///
/// # Errors
///
/// [`SourceError::Config`].
pub(in crate::source::kafka) fn check(options: &[(String, String)]) -> Result<(), SourceError> {
    for (name, value) in options {
        let refused = if name.starts_with("ssl.") || name.starts_with("sasl.") {
            "needs TLS or SASL, which --fetch direct does not speak"
        } else if name == "security.protocol" {
            match value.eq_ignore_ascii_case("plaintext") {
                true => continue,
                false => "needs TLS or SASL, which --fetch direct does not speak",
            }
        } else if HONOURED.contains(&&name[..]) || is_without_effect(name) {
            continue;
        } else if name == "client.rack" {
            "asks for the nearest replica, and --fetch direct only reads from leaders"
        } else {
            "has no meaning for --fetch direct"
        };
        let client = client_for(needs_tls(name, value), cfg!(feature = "tls"));
        return Err(SourceError::Config(format!("Kafka option `{name}` {refused}: use {client}")));
    }
    Ok(())
}

/// The way that can do it: not every build's client has TLS.
fn client_for(needs_tls: bool, has_tls: bool) -> &'static str {
    match needs_tls && !has_tls {
        true => "--fetch client, in a build with `--features tls`",
        false => "--fetch client",
    }
}

impl DirectOptions {
    /// Where `partitions` share what may wait in the process.
    ///
    /// # Errors
    ///
    /// A value that is not what it should be; the client has looked at them before.
    pub(super) fn new(
        settings: &KafkaSettings,
        partitions: Option<u32>,
    ) -> Result<DirectOptions, SourceError> {
        let properties =
            Properties { config: settings.config(partitions), given: Given(&settings.options) };
        let queued_bytes = properties.bytes("queued.max.messages.kbytes", 0)? << 10;
        let fetch_bytes_max = properties.bytes("fetch.max.bytes", 0)?;
        let partition_bytes = match properties.by_user("max.partition.fetch.bytes") {
            Some(_) => properties.bytes("max.partition.fetch.bytes", 0)?,
            None if properties.by_user("fetch.message.max.bytes").is_some() => {
                properties.bytes("fetch.message.max.bytes", 0)?
            }
            None => FETCH_BYTES.min(queued_bytes),
        };
        let wait_max_ms = match properties.by_user("fetch.wait.max.ms") {
            None if !settings.embedded => WAIT_MAX_MS,
            // The embedded broker waits to the end, also when there is a message.
            _ => properties.number("fetch.wait.max.ms", 0)?,
        };
        let wait_max = Duration::from_millis(wait_max_ms.max(0).unsigned_abs().into());
        let response_bytes = properties.bytes("receive.message.max.bytes", 100_000_000)?;
        Ok(DirectOptions {
            bootstrap: settings.addresses()?,
            client_id: properties.text("client.id").unwrap_or_default().to_owned(),
            address_family: match properties.text("broker.address.family") {
                Some("v4") => AddressFamily::V4,
                Some("v6") => AddressFamily::V6,
                _ => AddressFamily::Any,
            },
            connect_within: properties.millis("socket.connection.setup.timeout.ms", 30_000)?,
            answer_within: properties.millis("socket.timeout.ms", 60_000)? + wait_max,
            reconnect_backoff: match properties.text("retry.backoff.ms") {
                Some(_) => properties.millis("retry.backoff.ms", 0)?,
                None => properties.millis("reconnect.backoff.ms", 100)?,
            },
            reconnect_backoff_max: properties.millis("reconnect.backoff.max.ms", 1_000)?,
            check_crcs: matches!(properties.text("check.crcs"), Some("true" | "t" | "1")),
            wait_max_ms,
            end_counts_for: wait_max + ANSWER_LATE_MAX,
            fetch_bytes_min: properties.number("fetch.min.bytes", 1)?,
            fetch_bytes_max,
            partition_bytes_max: partition_bytes,
            queued_bytes,
            queued_messages: properties.number("queued.min.messages", 0)?,
            response_bytes_max: response_bytes.max(fetch_bytes_max + ANSWER_OVERHEAD_BYTES),
        })
    }
}

/// The properties as they are given, by the user or by default.
struct Properties<'a> {
    config: ClientConfig,
    given: Given<'a>,
}

impl Properties<'_> {
    fn by_user(&self, name: &str) -> Option<&str> {
        self.given.of(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.config.get(name)
    }

    fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> Result<T, SourceError> {
        match self.config.get(name) {
            None => Ok(otherwise),
            Some(text) => text.trim().parse().map_err(|_| {
                SourceError::Config(format!("Kafka option `{name}`: `{text}` is not such a number"))
            }),
        }
    }

    fn bytes(&self, name: &str, otherwise: usize) -> Result<usize, SourceError> {
        self.number(name, otherwise)
    }

    fn millis(&self, name: &str, otherwise: u64) -> Result<Duration, SourceError> {
        // A wait of nothing at all would be no wait for the system, but for ever.
        self.number(name, otherwise).map(|millis| Duration::from_millis(millis.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> String {
        check(&[(name.to_owned(), value.to_owned())]).expect_err("should be refused").to_string()
    }

    #[test]
    fn what_only_the_client_can_do_is_refused_by_name() {
        for (name, value) in [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("statistics.interval.ms", "1000"),
        ] {
            let line = refusal(name, value);
            assert!(line.contains(name) && line.contains("--fetch client"), "{line}");
        }
        assert!(refusal("client.rack", "a").contains("reads from leaders"));
        check(&[("security.protocol".into(), "PLAINTEXT".into())]).unwrap();
        check(&[("check.crcs".into(), "false".into())]).unwrap();
    }

    #[test]
    fn a_build_without_tls_is_advised_where_another_would_do_only() {
        assert_eq!(client_for(true, true), "--fetch client");
        assert!(client_for(true, false).contains("in a build with `--features tls`"));
        assert_eq!(client_for(false, false), "--fetch client");
        let direct = KafkaSettings {
            fetch: crate::source::kafka::Fetch::Direct,
            options: vec![("security.protocol".into(), "SSL".into())],
            ..KafkaSettings::new("localhost:9092", "t")
        };
        // In any build: another one alone would not do.
        assert!(direct.check().unwrap_err().to_string().contains("--fetch client"));
    }

    #[test]
    fn properties_are_those_of_the_client() {
        let mut settings = KafkaSettings::new("localhost:9092", "t");
        for (name, value) in [
            ("check.crcs", "false"),
            ("fetch.message.max.bytes", "5000"),
            ("fetch.wait.max.ms", "7"),
            ("queued.min.messages", "1"),
        ] {
            settings.options.push((name.to_owned(), value.to_owned()));
        }
        let options = DirectOptions::new(&settings, Some(4)).unwrap();
        assert!(!options.check_crcs);
        assert_eq!((options.partition_bytes_max, options.wait_max_ms), (5000, 7));
        assert_eq!((options.queued_messages, options.queued_bytes), (1, 32 << 20));
        let options = DirectOptions::new(&KafkaSettings::new("b", "t"), Some(4)).unwrap();
        assert!(options.check_crcs);
        assert_eq!(options.wait_max_ms, WAIT_MAX_MS);
        assert_eq!(options.partition_bytes_max, FETCH_BYTES);
        assert!(options.fetch_bytes_max < options.response_bytes_max);
    }
}
