//! The main job as it is deployed: examined by `doctor`, logged in to a Kafka, run as a pod.
#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod doctor;
mod login;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../pipeline/process.rs"]
mod process;
#[path = "../../../engine/tests/kafka_support/secure_broker.rs"]
mod secure_broker;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../pipeline/topics.rs"]
mod topics;

use strandline::engine::clock::Clock;
use strandline::sim::oracle::LoggedRecord;

use self::secure_broker::{Listener, SecureBroker};

/// Milliseconds since 1970, now.
fn now_ms() -> i64 {
    Clock::system().wall().as_millis()
}

/// A message as a device sends it.
fn message(ts_ms: i64) -> String {
    format!(r#"{{"device_id":"d1","ts":{ts_ms},"temperature":20.5,"humidity":40,"battery":90}}"#)
}

/// A topic with one partition and these payloads, made where nobody asks who we are.
fn topic_of(broker: &SecureBroker, name: &str, payloads: &[Vec<u8>]) -> String {
    let bootstrap = broker.bootstrap(Listener::Plaintext);
    let topic = topics::create_topic(&bootstrap, name, 1);
    let records = payloads.iter().enumerate().map(|(offset, payload)| LoggedRecord {
        offset: offset as u64,
        timestamp_ms: Some(now_ms()),
        payload: Some(payload.clone()),
    });
    topics::fill(&bootstrap, &topic, &[records.collect()]);
    topic
}

/// A topic of twenty messages that arrive now.
fn good_topic(broker: &SecureBroker, name: &str) -> String {
    let payloads: Vec<_> = (0..20).map(|i| message(now_ms() - i).into_bytes()).collect();
    topic_of(broker, name, &payloads)
}
