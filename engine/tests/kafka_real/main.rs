//! The Kafka source against a real Apache Kafka: what the embedded broker does not do, or does not
//! do right. `scripts/test` starts the broker and says in `STRANDLINE_KAFKA` where it is.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, like tests")]

#[macro_use]
#[path = "../kafka_support/mod.rs"]
mod kafka_support;

#[path = "../kafka_support/bootstrap.rs"]
mod bootstrap;
mod bounds;
#[path = "../kafka_support/broker.rs"]
mod broker;
mod brokers;
mod log;
mod memory;
mod readers;
mod script;
mod topics;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::Producer;
use strandline_engine::source::kafka::{Fetch, KafkaSource, Start};

use self::bootstrap::bootstrap;
use self::kafka_support::{LIMIT, Lines, Reading, TestProducer, fresh, plan, producer, settings};

/// Waits for an answer of the admin client, which has a thread of its own.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT))
}

/// A topic of this test, without retention: record timestamps may be old.
fn create(bootstrap: &str, name: &str, partitions: i32, config: &[(&str, &str)]) -> String {
    let topic = fresh(name);
    let mut new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    new = new.set("retention.ms", "-1");
    for &(key, value) in config {
        new = new.set(key, value);
    }
    wait(admin(bootstrap).create_topics([&new], &options())).unwrap()[0].as_ref().unwrap();
    topic
}

fn source(fetch: Fetch, bootstrap: &str, topic: &str) -> KafkaSource {
    KafkaSource::new(settings(fetch, bootstrap, topic, &Lines::default())).unwrap()
}

fn bounded(fetch: Fetch, bootstrap: &str, topic: &str, start: Start) -> KafkaSource {
    let mut settings = settings(fetch, bootstrap, topic, &Lines::default());
    (settings.bounded, settings.start) = (true, start);
    KafkaSource::new(settings).unwrap()
}

fn read_bounded(fetch: Fetch, bootstrap: &str, topic: &str) -> Reading {
    let source = bounded(fetch, bootstrap, topic, Start::Earliest);
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_finished();
    reading
}

fn transactional(bootstrap: &str) -> TestProducer {
    let id = fresh("transaction");
    let producer = producer(bootstrap, &[("transactional.id", &id), ("linger.ms", "50")]);
    producer.init_transactions(LIMIT).unwrap();
    producer
}
