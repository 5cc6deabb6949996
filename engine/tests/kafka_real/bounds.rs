//! Where reading begins and ends, and what is no longer there by then.

use std::thread;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset as ListedOffset, TopicPartitionList};
use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::{Fetch, KafkaSource, Start};
use strandline_engine::source::{PartitionStart, SourceError};
use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;

use crate::kafka_support::{LIMIT, Lines, Reading, fill, numbers, plan, producer, send, settings};
use crate::{admin, bootstrap, bounded, create, options, source, transactional, wait};

in_both_ways!(
    a_start_at_a_timestamp_is_found_in_each_partition,
    latest_and_bounded_go_by_the_ends_at_the_start,
    data_that_was_removed_before_it_was_read_is_an_error_that_says_how_much,
    data_that_is_removed_while_a_reader_lags_is_an_error,
    data_that_is_removed_after_it_was_fetched_is_read,
    an_offset_after_the_end_of_the_log_is_an_error,
);

fn a_start_at_a_timestamp_is_found_in_each_partition(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "timestamp", 3, &[]);
    let producer = producer(&bootstrap, &[]);
    let base = Clock::system().wall().as_millis() - 1_000_000;
    for number in 0..100_i64 {
        // Partition 1 is a second per record, partition 0 ten; partition 2 is all before that.
        for (partition, timestamp) in
            [(0, base + 10_000 * number), (1, base + 1_000 * number), (2, base - 1)]
        {
            let payload = number.to_string();
            send(
                &producer,
                BaseRecord::to(&topic)
                    .partition(partition)
                    .timestamp(timestamp)
                    .payload(payload.as_bytes()),
            );
        }
    }
    producer.flush(LIMIT).unwrap();
    let start = Start::Timestamp(EventTime::from_millis(base + 49_500));
    let source = bounded(fetch, &bootstrap, &topic, start);
    let starts = plan(&source);
    let begins: Vec<_> = starts.iter().map(|start| start.next_offset).collect();
    assert_eq!(begins, [Offset(5), Offset(50), Offset(100)]);
    let mut reading = Reading::new(&source, &starts);
    reading.until_finished();
    assert_eq!(reading.payloads(0), numbers(5, 100));
    assert_eq!(reading.payloads(1), numbers(50, 100));
    assert_eq!(reading.messages(), 95 + 50);
    assert_eq!(reading.seen[&1][0].timestamp_ms, Some(base + 50_000));
}

fn latest_and_bounded_go_by_the_ends_at_the_start(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "ends", 2, &[]);
    let producer = producer(&bootstrap, &[]);
    fill(&producer, &topic, 0, 0, 1_000);
    let mut latest = settings(fetch, &bootstrap, &topic, &Lines::default());
    latest.start = Start::Latest;
    let latest = KafkaSource::new(latest).unwrap();
    let bounded = bounded(fetch, &bootstrap, &topic, Start::Earliest);
    let (latest_starts, bounded_starts) = (plan(&latest), plan(&bounded));
    fill(&producer, &topic, 0, 1_000, 2_000);
    fill(&producer, &topic, 1, 0, 10);
    let mut after = Reading::new(&latest, &latest_starts);
    after.until_at_end();
    assert_eq!(after.payloads(0), numbers(1_000, 2_000));
    assert_eq!(after.payloads(1), numbers(0, 10));
    let mut before = Reading::new(&bounded, &bounded_starts);
    before.until_finished();
    assert_eq!(before.payloads(0), numbers(0, 1_000));
    assert_eq!(before.seen[&1], []);
}

fn delete_records(bootstrap: &str, topic: &str, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, ListedOffset::Offset(before)).unwrap();
    wait(admin(bootstrap).delete_records(&list, &options())).unwrap();
}

fn data_that_was_removed_before_it_was_read_is_an_error_that_says_how_much(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "removed", 1, &[]);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 100);
    let source = source(fetch, &bootstrap, &topic);
    let starts = plan(&source);
    delete_records(&bootstrap, &topic, 60);
    let error = Reading::new(&source, &starts).until_error();
    match &error {
        SourceError::DataGone { expected, low, .. } => {
            assert_eq!((*expected, *low), (Offset(0), Offset(60)));
        }
        other => panic!("{other}"),
    }
    let line = error.to_string();
    assert!(line.contains("60 offsets lost") && line.contains(&topic), "{line}");
    // A start from the earliest offset accepts it.
    let starts = plan(&source);
    assert_eq!(starts[0].next_offset, Offset(60));
    let mut reading = Reading::new(&source, &starts);
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(60, 100));
}

fn data_that_is_removed_while_a_reader_lags_is_an_error(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "lags", 1, &[]);
    let small = [("batch.num.messages", "100")];
    fill(&producer(&bootstrap, &small), &topic, 0, 0, 20_000);
    let mut slow = settings(fetch, &bootstrap, &topic, &Lines::default());
    for (name, value) in [("queued.min.messages", "1"), ("fetch.message.max.bytes", "5000")] {
        slow.options.push((name.to_owned(), value.to_owned()));
    }
    let source = KafkaSource::new(slow).unwrap();
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_messages(1);
    delete_records(&bootstrap, &topic, 15_000);
    match reading.until_error() {
        SourceError::DataGone { expected, low, .. } => {
            assert_eq!(low, Offset(15_000));
            assert_eq!(expected.0, reading.messages() as u64, "all before it was read");
            assert!(expected < low);
        }
        other => panic!("{other}"),
    }
    assert_eq!(reading.payloads(0), numbers(0, reading.messages()));
}

/// Messages wait in the queue, with markers between them, while the log is cut off behind them: in the
/// middle of what waits, and just behind a marker.
fn data_that_is_removed_after_it_was_fetched_is_read(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "fetched", 1, &[]);
    let producer = transactional(&bootstrap);
    for transaction in 0..4 {
        producer.begin_transaction().unwrap();
        fill(&producer, &topic, 0, 100 * transaction, 100 * (transaction + 1));
        producer.commit_transaction(LIMIT).unwrap();
    }
    let source = source(fetch, &bootstrap, &topic);
    let mut reading = Reading::new(&source, &plan(&source));
    // The first message is here, and so is all that was in its answer.
    let clock = Clock::system();
    while reading.read(0, 1).unwrap().messages == 0 {
        assert!(clock.elapsed() < LIMIT);
        thread::park_timeout(Duration::from_millis(1));
    }
    for (low, end) in [(150, 405), (303, 406)] {
        delete_records(&bootstrap, &topic, low);
        // A later answer says where the log ends now, and so it has said where it begins.
        fill(&self::producer(&bootstrap, &[]), &topic, 0, end - 5, end - 4);
        while reading.read(0, 0).unwrap().end.is_none_or(|heard| heard.0 < end as u64) {
            assert!(clock.elapsed() < LIMIT, "{:?}", reading.progress);
            thread::park_timeout(Duration::from_millis(1));
        }
    }
    reading.until_messages(402);
    assert_eq!(reading.payloads(0), numbers(0, 402));
}

fn an_offset_after_the_end_of_the_log_is_an_error(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "beyond", 1, &[]);
    fill(&producer(&bootstrap, &[]), &topic, 0, 0, 100);
    let start = PartitionStart { partition: Partition(0), next_offset: Offset(500), end: None };
    let line = Reading::new(&source(fetch, &bootstrap, &topic), &[start]).until_error().to_string();
    assert!(line.contains("offset 500") && line.contains("100"), "{line}");
}
