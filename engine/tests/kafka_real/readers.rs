//! Readers that wait, share partitions, and say how far they are.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{
    Offset as ListedOffset, TopicPartitionList, TopicPartitionListElem,
};
use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::{Fetch, KafkaSource, Start};
use strandline_engine::source::{Reader, Source};
use strandline_engine::telemetry::Telemetry;
use strandline_operators::record::{Offset, Partition};

use crate::kafka_support::{LIMIT, Lines, Reading, fill, fresh, plan, producer, settings};
use crate::{bootstrap, bounded, create, source};

in_both_ways!(
    a_reader_is_woken_soon_after_a_message_was_acknowledged,
    workers_together_read_everything_once,
    the_end_of_a_partition_that_is_not_read_is_known,
    what_waits_to_be_read_is_measured,
    how_long_a_broker_throttles_is_measured,
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

fn what_waits_to_be_read_is_measured(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "measured", 1, &[]);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 20_000);
    let (source, telemetry) = measured(fetch, &bootstrap, &topic);
    let in_flight = || telemetry.measures().kafka.bytes_in_flight;
    let mut reading = Reading::new(&source, &plan(&source));
    read_until("bytes in flight", &mut reading, 0, || in_flight() > 0);
    reading.until_messages(20_000);
    read_until("no byte in flight", &mut reading, 1_000, || in_flight() == 0);
}

/// How long a measure may take to show what it measures.
const MEASURED_WITHIN: Duration = Duration::from_secs(60);

/// Reads so many messages at a time. Nobody is woken by what is measured.
fn read_until(awaited: &str, reading: &mut Reading, limit: usize, done: impl Fn() -> bool) {
    let clock = Clock::system();
    while !done() {
        reading.read(0, limit).unwrap();
        let elapsed = clock.elapsed();
        assert!(elapsed < MEASURED_WITHIN, "{awaited} not measured yet: {:?}", reading.progress);
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// By a quota for clients of this name alone.
fn how_long_a_broker_throttles_is_measured(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "throttled", 1, &[]);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 200_000);
    let (source, telemetry) = measured(fetch, &bootstrap, &topic);
    set_quota(&bootstrap, &topic, 10_000.0);
    let mut reading = Reading::new(&source, &plan(&source));
    let is_throttled = || !telemetry.measures().kafka.throttled.is_zero();
    read_until("a throttling", &mut reading, 1_000, is_throttled);
}

/// A source whose client has the topic's name, and tells often what it counts.
fn measured(fetch: Fetch, bootstrap: &str, topic: &str) -> (KafkaSource, Telemetry) {
    let mut settings = settings(fetch, bootstrap, topic, &Lines::default());
    settings.options.push(("client.id".to_owned(), topic.to_owned()));
    if fetch == Fetch::Client {
        settings.options.push(("statistics.interval.ms".to_owned(), "100".to_owned()));
    }
    let telemetry = settings.telemetry.clone();
    (KafkaSource::new(settings).unwrap(), telemetry)
}

/// Bounds how many bytes a second a client may fetch: a request AlterClientQuotas, by hand.
fn set_quota(bootstrap: &str, client: &str, bytes: f64) {
    let string = |text: &str| {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    };
    let (alter_quotas, version, correlation, one) = (49_u16, 0_u16, 7_u32, 1_u32.to_be_bytes());
    let (no, validate_only) = (0_u8, 0_u8);
    let request = [
        &alter_quotas.to_be_bytes()[..],
        &version.to_be_bytes(),
        &correlation.to_be_bytes(),
        &string("test"),
        &one,
        &one,
        &string("client-id"),
        &string(client),
        &one,
        &string("consumer_byte_rate"),
        &bytes.to_be_bytes(),
        &[no, validate_only],
    ]
    .concat();
    let mut stream = TcpStream::connect(bootstrap).unwrap();
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    // Length, correlation id, pause, number of entries, error code of the first.
    let mut answer = [0; 18];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[16..], [0, 0], "AlterClientQuotas: {answer:?}");
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
