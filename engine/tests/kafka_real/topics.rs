//! Topics that are absent, grow, are deleted, or are made again.

use std::thread;
use std::time::Duration;

use rdkafka::admin::{NewPartitions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::Fetch;
use strandline_engine::source::{PartitionStart, Reader, Source, SourceError};
use strandline_operators::record::{Offset, Partition};

use crate::kafka_support::{LIMIT, Reading, fill, fresh, plan, producer};
use crate::{admin, bootstrap, create, options, source, wait};

in_both_ways!(
    a_partition_that_is_added_is_discovered_and_read_from_its_beginning,
    a_topic_that_is_deleted_while_it_is_read_is_an_error,
    a_topic_that_is_made_again_while_it_is_read_is_an_error,
);

#[test]
fn looking_at_an_absent_topic_does_not_create_it() {
    let bootstrap = bootstrap();
    let topic = fresh("never-created");
    let source = source(Fetch::Client, &bootstrap, &topic);
    for _ in 0..3 {
        assert!(matches!(source.plan(&[], &|| false), Err(SourceError::TopicAbsent { .. })));
        assert!(matches!(source.discover(0), Err(SourceError::TopicAbsent { .. })));
    }
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
    let metadata = client.fetch_metadata(None, LIMIT).unwrap();
    assert!(metadata.topics().iter().all(|known| known.name() != topic));
}

fn a_partition_that_is_added_is_discovered_and_read_from_its_beginning(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "grows", 2, &[]);
    let producer = producer(&bootstrap, &[("topic.metadata.refresh.interval.ms", "200")]);
    fill(&producer, &topic, 0, 0, 10);
    let source = source(fetch, &bootstrap, &topic);
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    assert_eq!(source.discover(2).unwrap(), []);
    let grown = NewPartitions::new(&topic, 4);
    wait(admin(&bootstrap).create_partitions([&grown], &options())).unwrap()[0].as_ref().unwrap();
    let clock = Clock::system();
    let mut found = source.discover(2).unwrap();
    while found.len() < 2 {
        assert!(clock.elapsed() < LIMIT);
        thread::park_timeout(Duration::from_millis(50));
        found = source.discover(2).unwrap();
    }
    let start = |partition| PartitionStart { partition, next_offset: Offset(0), end: None };
    assert_eq!(found, [start(Partition(2)), start(Partition(3))]);
    for &start in &found {
        reading.assign(start);
    }
    // The producer learns of the new partitions by itself.
    let record = || BaseRecord::<str, [u8]>::to(&topic).partition(3).payload(b"new");
    while producer.send(record()).is_err() {
        assert!(clock.elapsed() < LIMIT);
        producer.poll(Duration::from_millis(50));
    }
    producer.flush(LIMIT).unwrap();
    reading.until_messages(11);
    reading.until_at_end();
    assert_eq!(reading.payloads(3), ["new"]);
}

fn a_topic_that_is_deleted_while_it_is_read_is_an_error(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "deleted", 2, &[]);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 100);
    let source = source(fetch, &bootstrap, &topic);
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    wait(admin(&bootstrap).delete_topics(&[&topic], &options())).unwrap()[0].as_ref().unwrap();
    let line = reading.until_error().to_string();
    assert!(line.contains("deleted") && line.contains(&topic), "{line}");
    // The client closes in the background: it does, though its partitions are gone.
    drop((reading, source));
    let clock = Clock::system();
    while clients_are_closing() {
        assert!(clock.elapsed() < LIMIT, "a client does not close");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a client of this process, also of another test, is being closed now.
#[expect(clippy::disallowed_methods, reason = "the threads of this process are no files")]
fn clients_are_closing() -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().flatten().any(|thread| {
        std::fs::read_to_string(thread.path().join("comm"))
            .is_ok_and(|name| name == "kafka-close\n")
    })
}

#[test]
fn a_topic_that_was_deleted_and_made_again_is_another_one() {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "again", 1, &[]);
    let identity = || source(Fetch::Client, &bootstrap, &topic).plan(&[], &|| false).unwrap().topic;
    let first = identity();
    assert_eq!(first.name, topic);
    assert!(first.cluster.is_some() && first.id.is_some(), "{first:?}");
    assert_eq!(identity(), first);

    make_again(&bootstrap, &topic);
    let second = identity();
    assert_eq!(second.cluster, first.cluster);
    assert_ne!(second.id, first.id);
}

/// It is made anew between the plan and the first fetch: none of its offsets are those planned for.
#[test]
fn a_topic_that_is_made_again_before_it_is_fetched_is_not_read_as_the_old_one() {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "planned", 1, &[]);
    let source = source(Fetch::Direct, &bootstrap, &topic);
    let starts = plan(&source);
    make_again(&bootstrap, &topic);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 10);
    let mut reading = Reading::new(&source, &starts);
    let line = reading.until_error().to_string();
    assert!(line.contains("created anew") && line.contains(&topic), "{line}");
    assert_eq!(reading.messages(), 0);
}

/// It has more messages then than were read before: every offset is there, with another message.
fn a_topic_that_is_made_again_while_it_is_read_is_an_error(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "made-again", 1, &[]);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 50);
    let planned = source(fetch, &bootstrap, &topic);
    let plan = planned.plan(&[], &|| false).unwrap();
    // In the process that planned, and in another one.
    let mut readings = [planned, source(fetch, &bootstrap, &topic)].map(|source| {
        let mut reading = Reading::new(&source, &[]);
        reading.reader.expect(&plan.topic);
        plan.partitions.iter().for_each(|start| reading.assign(*start));
        reading.until_at_end();
        reading
    });
    make_again(&bootstrap, &topic);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 200);
    for reading in &mut readings {
        let line = reading.until_error().to_string();
        assert!(line.contains("the topic is gone: it was deleted while"), "{line}");
        assert!(line.contains("created anew") && line.contains(&topic), "{line}");
    }
}

/// Deletes a topic, and creates it with one partition as soon as that is done.
fn make_again(bootstrap: &str, topic: &str) {
    wait(admin(bootstrap).delete_topics(&[topic], &options())).unwrap()[0].as_ref().unwrap();
    let clock = Clock::system();
    loop {
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
        let made = wait(admin(bootstrap).create_topics([&new], &options())).unwrap();
        if made[0].is_ok() {
            return;
        }
        assert!(clock.elapsed() < LIMIT, "{made:?}");
    }
}
