//! Topics of a real Kafka: made, filled, and read back.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use strandline::sim::oracle::LoggedRecord;

use crate::process::LIMIT;

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// A new topic of this process, whose records are kept whatever their timestamps.
pub(crate) fn create_topic(bootstrap: &str, name: &str, partitions: u32) -> String {
    create_topic_with(bootstrap, name, partitions, &[])
}

/// The same with more settings.
pub(crate) fn create_topic_with(
    bootstrap: &str,
    name: &str,
    partitions: u32,
    settings: &[(&str, &str)],
) -> String {
    let topic = format!("{name}-{}", std::process::id());
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let partitions = i32::try_from(partitions).unwrap();
    let mut new =
        NewTopic::new(&topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let created = block_on(admin.create_topics([&new], &options)).unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    topic
}

/// The topic has this many partitions from now on.
pub(crate) fn add_partitions(bootstrap: &str, topic: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let grown = NewPartitions::new(topic, partitions);
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let grown = block_on(admin.create_partitions([&grown], &options)).unwrap();
    assert!(grown.iter().all(Result::is_ok), "{grown:?}");
}

/// Waits for a future that another thread completes.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

/// Produces a log, with its timestamps.
pub(crate) fn fill(bootstrap: &str, topic: &str, log: &[Vec<LoggedRecord>]) {
    send(&producer(bootstrap), topic, log);
}

pub(crate) fn producer(bootstrap: &str) -> BaseProducer {
    client(bootstrap).set("linger.ms", "20").create().unwrap()
}

/// Produces a log, with its timestamps, and waits until it is there.
pub(crate) fn send(producer: &BaseProducer, topic: &str, log: &[Vec<LoggedRecord>]) {
    for (partition, records) in (0..).zip(log) {
        for logged in records {
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
            record.payload = logged.payload.as_deref();
            record.timestamp = logged.timestamp_ms;
            while let Err((_, given_back)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = given_back;
            }
        }
    }
    producer.flush(LIMIT).unwrap();
}

/// Reads a topic to its end with a plain consumer.
pub(crate) fn read_back(bootstrap: &str, topic: &str, partitions: u32) -> Vec<Vec<LoggedRecord>> {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", "oracle")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions.cast_signed() {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut log = vec![Vec::new(); partitions as usize];
    let mut at_end = 0;
    while at_end < partitions {
        match consumer.poll(LIMIT).expect("the broker answers") {
            Ok(message) => log[message.partition().cast_unsigned() as usize].push(LoggedRecord {
                offset: message.offset().cast_unsigned(),
                timestamp_ms: message.timestamp().to_millis(),
                payload: message.payload().map(<[u8]>::to_vec),
            }),
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => at_end += 1,
            Err(error) => panic!("{error}"),
        }
    }
    log
}
