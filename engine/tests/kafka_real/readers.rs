//! Readers that wait, share partitions, and say how far they are.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{
    Offset as ListedOffset, TopicPartitionList, TopicPartitionListElem,
};
use strandline_engine::clock::Clock;
use strandline_engine::source::Source;
use strandline_engine::source::kafka::{Fetch, KafkaSource, Start};
use strandline_operators::record::{Offset, Partition};

use crate::kafka_support::{LIMIT, Lines, Reading, fill, fresh, plan, producer, settings};
use crate::{bootstrap, bounded, create, source};

in_both_ways!(
    a_reader_is_woken_soon_after_a_message_was_acknowledged,
    workers_together_read_everything_once,
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
