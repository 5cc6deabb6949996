//! The producer against a real Apache Kafka: topics that it creates, and what the broker keeps of
//! its messages. `scripts/test` starts the broker and says in `STRANDLINE_KAFKA` where it is.
#![expect(clippy::unwrap_used, reason = "the functions that tests share are tests as well")]

#[path = "../../engine/tests/kafka_support/bootstrap.rs"]
mod bootstrap;

use std::process::Command;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use strandline_engine::clock::Clock;
use strandline_operators::time::EventTime;
use strandline_sim::fleet::{Fleet, FleetOptions};
use strandline_sim::producer::{FleetProducer, Pace, ProducerOptions, Topic};

use self::bootstrap::bootstrap;

const PATIENCE: Duration = Duration::from_secs(60);

/// A name that no other run uses.
fn fresh(name: &str) -> String {
    format!("sim-{name}-{}-{}", std::process::id(), Clock::system().wall().as_millis())
}

fn consumer() -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("group.id", "strandline-sim-tests")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap()
}

/// An absent topic is created with the partitions asked for, once; every message arrives as the
/// fleet sent it, and the broker dates it by when it was sent, not by its event time: old event
/// times would be deleted at once by a broker that keeps data for a week.
#[test]
fn an_absent_topic_is_created_and_holds_what_was_sent() {
    let topic = fresh("created");
    let clock = Clock::system();
    let began = clock.wall();
    let producer = FleetProducer::new(&ProducerOptions::new(&bootstrap(), &topic), None).unwrap();
    let ensure = |partitions| producer.ensure_topic(partitions, &|| false, &mut |_| {}).unwrap();
    assert_eq!(ensure(3), Topic::Created { partitions: 3 });
    assert_eq!(ensure(5), Topic::Existed { partitions: 3 });

    let long_ago = EventTime::from_millis(1_000_000_000_000);
    let messages = 20_000;
    let mut fleet = Fleet::new(FleetOptions::default(), long_ago).unwrap();
    let pace = Pace::FullSpeed { messages };
    let tally = producer.run(&mut fleet, pace, &clock, &|| false, &mut |_| {}).unwrap();
    assert_eq!((tally.sent, tally.delivered, tally.failed), (messages, messages, 0));
    let ended = clock.wall();

    let consumer = consumer();
    let mut list = TopicPartitionList::new();
    for partition in 0..3 {
        list.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut read: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    let waiting = Clock::system();
    while read.len() < usize::try_from(messages).unwrap() {
        assert!(waiting.elapsed() < PATIENCE, "{} of {messages}", read.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let timestamp = EventTime::from_millis(message.timestamp().to_millis().unwrap());
        assert!(began <= timestamp && timestamp <= ended, "{timestamp:?}");
        read.push((message.key().unwrap().to_vec(), message.payload().map(<[u8]>::to_vec)));
    }
    let mut again = Fleet::new(FleetOptions::default(), long_ago).unwrap();
    let mut expected: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..messages)
        .map(|_| {
            let sent = again.send().unwrap();
            (sent.key.as_bytes().to_vec(), sent.payload.map(<[u8]>::to_vec))
        })
        .collect();
    // Sorted stably by key: the order within a device is kept, that between partitions is not.
    read.sort_by(|one, other| one.0.cmp(&other.0));
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(read == expected, "what was read is not what the fleet sends");
}

/// The program alone, as the README has it.
#[test]
fn the_program_creates_its_topic() {
    let topic = fresh("program");
    let output = Command::new(env!("CARGO_BIN_EXE_strandline-sim"))
        .args(["--topic", &topic, "--partitions", "2", "--messages", "1000"])
        .args(["--compression", "lz4"])
        .env("KAFKA_BOOTSTRAP", bootstrap())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("(2 partitions, created)"), "{said}");
    let consumer = consumer();
    let ends: i64 = (0..2)
        .map(|partition| consumer.fetch_watermarks(&topic, partition, PATIENCE).unwrap().1)
        .sum();
    // A batch of a producer without transactions leaves no markers.
    assert_eq!(ends, 1_000);
}
