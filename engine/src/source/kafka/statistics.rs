//! What the client counts of itself, as it tells it from time to time: a document, of which little is
//! of interest.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// How often the client tells it, unless the user says so.
pub(super) const EVERY_MS: &str = "5000";

/// See the module.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// How long brokers have asked to wait since it was told before.
    pub(super) throttled: Duration,
    /// Bytes of messages in its queues, unpacked.
    pub(super) queued_bytes: u64,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    brokers: BTreeMap<String, Broker>,
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
struct Broker {
    throttle: Option<Window>,
}

/// What came together since the document before, in milliseconds.
#[derive(Deserialize)]
struct Window {
    #[serde(default)]
    sum: i64,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: BTreeMap<String, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    #[serde(default)]
    fetchq_size: u64,
}

/// What a document says; `None` for one of another form.
pub(super) fn counted(document: &[u8]) -> Option<Counted> {
    let Document { brokers, topics } = serde_json::from_slice(document).ok()?;
    let windows = brokers.values().filter_map(|broker| broker.throttle.as_ref());
    let millis = windows.map(|window| u64::try_from(window.sum).unwrap_or(0));
    let partitions = topics.values().flat_map(|topic| topic.partitions.values());
    Some(Counted {
        throttled: Duration::from_millis(millis.fold(0, u64::saturating_add)),
        queued_bytes: partitions.map(|it| it.fetchq_size).fold(0, u64::saturating_add),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_and_what_is_queued_are_added_up() {
        let document = br#"{
            "name": "strandline#consumer-1", "ts": 5,
            "brokers": {
                "kafka:9092/1": {"nodeid": 1, "throttle": {"min": 7, "max": 20, "sum": 1500}},
                "kafka:9092/2": {"nodeid": 2, "throttle": {"sum": 250}},
                "kafka:9092/bootstrap": {"nodeid": -1}
            },
            "topics": {"t": {"topic": "t", "partitions": {
                "0": {"partition": 0, "fetchq_cnt": 3, "fetchq_size": 4000},
                "-1": {"partition": -1, "fetchq_cnt": 0, "fetchq_size": 0},
                "1": {"partition": 1, "fetchq_cnt": 1, "fetchq_size": 96}
            }}}
        }"#;
        let throttled = Duration::from_millis(1750);
        assert_eq!(counted(document), Some(Counted { throttled, queued_bytes: 4096 }));
        assert_eq!(counted(b"{}"), Some(Counted::default()));
        assert_eq!(counted(b"no document"), None);
    }
}
