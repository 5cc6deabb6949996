//! What a client is made with: the defaults, what promises ask for, and what the user gives.
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

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use crate::source::kafka::options::{self, Given, STATISTICS_EVERY_MS};
use crate::source::kafka::settings::KafkaSettings;
use crate::source::kafka::{security, statistics};

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
/// How many partitions are assumed where nobody asked the broker yet.
const PARTITIONS_ASSUMED: u32 = 16;

impl KafkaSettings {
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
        for (name, value) in options::promised() {
            config.set(name, value);
        }
        if security::looks_in_usual_places(&self.options) {
            let (name, value) = security::USUAL_PLACES;
            config.set(name, value);
        }
        let mut log_level = RDKafkaLogLevel::Error;
        for (name, value) in Given(&self.options).for_clients() {
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
        Given(&self.options).of(STATISTICS_EVERY_MS).unwrap_or(statistics::EVERY_MS)
    }

    /// Whether the client's own log lines are to be shown.
    pub(super) fn shows_log(&self) -> bool {
        self.options.iter().any(|(name, _)| name == "debug")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kafka::budget::MEMORY_IN_FLIGHT;
    use crate::source::kafka::settings::tests::with;

    #[test]
    fn the_client_that_reads_batches_apart_takes_its_settings() {
        let settings =
            with(&[("max.partition.fetch.bytes", "7000"), ("fetch.max.bytes", "9999999")]);
        settings.check().unwrap();
        settings.config_apart().create_native_config().unwrap();
        let made: Result<rdkafka::consumer::BaseConsumer, _> = settings.config_apart().create();
        assert!(made.is_ok(), "{:?}", made.err());
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
}
