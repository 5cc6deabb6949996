//! How to produce: the settings of the Kafka client.

use std::time::Duration;

use rdkafka::ClientConfig;

/// The most messages that wait in the client: beyond that, sending waits.
pub const QUEUED_MESSAGES_MAX: u32 = 200_000;
/// The most that waits in the client, in KiB.
pub const QUEUED_KIB_MAX: u32 = 65_536;

/// The most messages a second to which [`ProducerOptions::filler_bytes`] are added; a faster fleet
/// fills its batches by itself.
pub const FILLER_RATE_MAX_HZ: f64 = 200.0;

/// How to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    /// The brokers, `host:port,…`.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// How long messages are collected into batches.
    pub linger: Duration,
    /// How batches are compressed.
    pub compression: Compression,
    /// A header of this many bytes is added to each message of a slow fleet in real time: a broker
    /// that keeps few bytes and is slow with many batches wants them large. 0 for any other.
    pub filler_bytes: usize,
    /// Any properties of librdkafka; they win over all others.
    pub kafka_options: Vec<(String, String)>,
}

impl ProducerOptions {
    /// How to produce to this topic: 5 ms of linger, no compression.
    pub fn new(bootstrap: &str, topic: &str) -> ProducerOptions {
        ProducerOptions {
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            linger: Duration::from_millis(5),
            compression: Compression::None,
            filler_bytes: 0,
            kafka_options: Vec::new(),
        }
    }

    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "strandline-sim")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", self.linger.as_millis().to_string())
            .set("compression.type", self.compression.name())
            .set("queue.buffering.max.messages", QUEUED_MESSAGES_MAX.to_string())
            .set("queue.buffering.max.kbytes", QUEUED_KIB_MAX.to_string())
            .set("message.timeout.ms", "0") // retried until the run is stopped
            .set("reconnect.backoff.max.ms", "2000");
        for (name, value) in &self.kafka_options {
            config.set(name, value);
        }
        config
    }
}

/// How batches are compressed.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip
    Gzip,
    /// Snappy
    Snappy,
    /// LZ4
    Lz4,
    /// Zstandard
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    /// The name that Kafka gives it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}
