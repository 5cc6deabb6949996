//! Readers that wait, share partitions, and say how far they are.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{
    Offset as ListedOffset, TopicPartitionList, TopicPartitionListElem,
};
use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::{Fetch, KafkaSource, Start};
use strandline_engine::source::{Reader, Source};
use strandline_operators::record::{Offset, Partition};

use crate::kafka_support::{LIMIT, Lines, Reading, fill, fresh, plan, producer, settings};
use crate::{bootstrap, bounded, create, source};

in_both_ways!(
    a_reader_is_woken_soon_after_a_message_was_acknowledged,
    workers_together_read_everything_once,
    the_end_of_a_partition_that_is_not_read_is_known,
);

fn a_reader_is_woken_soon_after_a_message_was_acknowledged(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "wake", 4, &[]);
    let producer = producer(&bootstrap, &[("linger.ms", "0")]);
    let source = source(fetch, &bootstrap, &topic);
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    for number in 0..40 {
        let heard = reading.bell.rings();
        for partition in 0..4 {
            assert!(reading.read(partition, 100).unwrap().at_end);
        }
        fill(&producer, &topic, u32::try_from(number).unwrap() % 4, number, number + 1);
        assert!(reading.bell.wait(heard, LIMIT), "no wake-up for message {number}");
        reading.until_messages(number + 1);
        reading.until_at_end();
    }
}

fn workers_together_read_everything_once(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "workers", 5, &[]);
    let producer = producer(&bootstrap, &[("compression.type", "lz4")]);
    for partition in 0..5 {
        fill(&producer, &topic, partition, 0, 4_000);
    }
    let source = bounded(fetch, &bootstrap, &topic, Start::Earliest);
    let starts = plan(&source);
    let mut all = BTreeSet::new();
    for worker in 0..3 {
        let mine: Vec<_> =
            starts.iter().copied().filter(|start| start.partition.0 % 3 == worker).collect();
        let mut reading = Reading::new(&source, &mine);
        reading.until_finished();
        for (&partition, seen) in &reading.seen {
            all.extend(seen.iter().map(|seen| (partition, seen.offset)));
        }
    }
    assert_eq!(all.len(), 20_000);
}

/// As one that waits for the others: its lag grows meanwhile.
fn the_end_of_a_partition_that_is_not_read_is_known(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "paused", 2, &[]);
    let producer = producer(&bootstrap, &[]);
    // One is full before it is read at all.
    fill(&producer, &topic, 1, 0, 60_000);
    let source = source(fetch, &bootstrap, &topic);
    let mut reading = Reading::new(&source, &plan(&source));
    let clock = Clock::system();
    let until = |reading: &mut Reading, partition, end| {
        while reading.reader.end(Partition(partition)) != Some(Offset(end)) {
            assert!(clock.elapsed() < LIMIT, "{:?}", reading.reader.end(Partition(partition)));
            std::thread::park_timeout(Duration::from_millis(50));
        }
    };
    until(&mut reading, 0, 0);
    until(&mut reading, 1, 60_000);
    fill(&producer, &topic, 0, 0, 30);
    fill(&producer, &topic, 1, 0, 1_000);
    until(&mut reading, 0, 30);
    until(&mut reading, 1, 61_000);
    reading.until_messages(61_030);
}

/// Kafka refuses offsets of a group that has members of its own.
#[test]
fn that_nothing_is_committed_under_a_group_is_said_with_why() {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "taken", 1, &[]);
    let group = fresh("taken");
    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("group.id", &group)
        .create()
        .unwrap();
    member.subscribe(&[&topic]).unwrap();
    let lines = Lines::default();
    let mut settings = settings(Fetch::Client, &bootstrap, &topic, &lines);
    settings.group = Some(group.clone());
    let source = KafkaSource::new(settings).unwrap();
    let clock = Clock::system();
    while !lines.all().iter().any(|line| line.contains("another consumer is a member")) {
        assert!(clock.elapsed() < LIMIT, "{:?}", lines.all());
        drop(member.poll(Duration::from_millis(100)));
        if member.assignment().is_ok_and(|list| list.count() > 0) {
            source.committed(&[(Partition(0), Offset(0))]);
        }
    }
    assert!(lines.all().iter().any(|line| line.contains(&group)), "{:?}", lines.all());
}

#[test]
fn committed_positions_are_seen_under_the_group() {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "group", 2, &[]);
    let group = fresh("watchers");
    let mut settings = settings(Fetch::Client, &bootstrap, &topic, &Lines::default());
    settings.group = Some(group.clone());
    let source = KafkaSource::new(settings).unwrap();
    let watcher: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("group.id", &group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&topic, 0);
    list.add_partition(&topic, 1);
    let clock = Clock::system();
    for positions in [[7, 0], [9, 3]] {
        let partitions = [Partition(0), Partition(1)].into_iter().zip(positions.map(Offset));
        let partitions: Vec<_> = partitions.collect();
        loop {
            // A broker that has no coordinator of the group yet hears it the next time.
            source.committed(&partitions);
            let seen = watcher.committed_offsets(list.clone(), LIMIT);
            let seen = seen.map(|seen| {
                seen.elements().iter().map(TopicPartitionListElem::offset).collect::<Vec<_>>()
            });
            let expected = positions.map(|p| ListedOffset::Offset(p as i64));
            if seen.as_ref().is_ok_and(|seen| *seen == expected) {
                break;
            }
            assert!(clock.elapsed() < LIMIT, "{seen:?}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}
