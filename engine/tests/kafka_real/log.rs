//! What a log may hold: codecs, transactions, gaps, messages without payloads or times.

use std::thread;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer};
use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::{Fetch, KafkaSource, LeftOut};
use strandline_operators::record::{Offset, Partition};

use crate::kafka_support::{
    LIMIT, Lines, Reading, TestProducer, fill, numbers, plan, producer, send, settings,
};
use crate::{bootstrap, create, read_bounded, source, transactional};

in_both_ways!(
    all_codecs_are_read,
    aborted_transactions_are_hidden_and_markers_are_counted,
    an_open_transaction_is_neither_read_nor_an_end,
    what_a_bounded_run_leaves_out_behind_an_open_transaction_is_said,
    a_partition_that_waits_behind_an_open_transaction_is_named,
    gaps_of_compaction_are_counted,
    null_payloads_and_missing_timestamps_are_told_as_such,
    the_broker_stamps_where_the_topic_says_so,
);

fn all_codecs_are_read(fetch: Fetch) {
    let bootstrap = bootstrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = create(&bootstrap, codec, 1, &[]);
        let producer = producer(&bootstrap, &[("compression.type", codec)]);
        fill(&producer, &topic, 0, 0, 3_000);
        assert_eq!(
            read_bounded(fetch, &bootstrap, &topic).payloads(0),
            numbers(0, 3_000),
            "{codec}"
        );
    }
}

fn aborted_transactions_are_hidden_and_markers_are_counted(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "aborted", 1, &[]);
    let producer = transactional(&bootstrap);
    for (from, to, commit) in [(0, 100, true), (100, 150, false), (150, 160, true)] {
        producer.begin_transaction().unwrap();
        fill(&producer, &topic, 0, from, to);
        if commit {
            producer.commit_transaction(LIMIT).unwrap();
        } else {
            producer.abort_transaction(LIMIT).unwrap();
        }
    }
    // 160 records and 3 markers; the last offset is a marker.
    let reading = read_bounded(fetch, &bootstrap, &topic);
    let mut committed = numbers(0, 100);
    committed.extend(numbers(150, 160));
    assert_eq!(reading.payloads(0), committed);
    assert_eq!(reading.progress[&0].position, Offset(163));
    assert_eq!(reading.skipped[&0], 50 + 3);
}

fn an_open_transaction_is_neither_read_nor_an_end(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "open", 1, &[]);
    let plain = producer(&bootstrap, &[]);
    fill(&plain, &topic, 0, 0, 10);
    let producer = transactional(&bootstrap);
    producer.begin_transaction().unwrap();
    fill(&producer, &topic, 0, 10, 15);
    fill(&plain, &topic, 0, 15, 20);
    // What comes after the open transaction is not readable either.
    let ended = read_bounded(fetch, &bootstrap, &topic);
    assert_eq!(ended.payloads(0), numbers(0, 10));
    let source = source(fetch, &bootstrap, &topic);
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until("the whole end heard", |r| r.progress[&0].end == Some(Offset(20))).unwrap();
    reading.until_messages(10);
    assert!(!reading.progress[&0].at_end, "the log goes on: not idle");
    producer.commit_transaction(LIMIT).unwrap();
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(0, 20));
    assert_eq!(reading.skipped[&0], 1);
}

/// Partition 1 of 2 holds 10 records, 5 of a transaction that is open, and 5 that are committed.
fn with_open_transaction(bootstrap: &str, name: &str) -> (String, TestProducer) {
    let topic = create(bootstrap, name, 2, &[]);
    let plain = producer(bootstrap, &[]);
    fill(&plain, &topic, 1, 0, 10);
    let producer = transactional(bootstrap);
    producer.begin_transaction().unwrap();
    fill(&producer, &topic, 1, 10, 15);
    fill(&plain, &topic, 1, 15, 20);
    (topic, producer)
}

fn what_a_bounded_run_leaves_out_behind_an_open_transaction_is_said(fetch: Fetch) {
    let bootstrap = bootstrap();
    let (topic, producer) = with_open_transaction(&bootstrap, "left-out");
    let bounded = |lines: &Lines| {
        let mut settings = settings(fetch, &bootstrap, &topic, lines);
        settings.bounded = true;
        KafkaSource::new(settings).unwrap()
    };
    let lines = Lines::default();
    let source = bounded(&lines);
    let starts = plan(&source);
    assert_eq!(starts[1].end, Some(Offset(10)));
    let left_out = LeftOut { partition: Partition(1), from: Offset(10), to: Offset(20) };
    assert_eq!(source.left_out(), [left_out]);
    assert_eq!(plan(&source), starts);
    let said = lines.all();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("partition 1: offsets 10 to 19 are left out"), "{said:?}");
    producer.commit_transaction(LIMIT).unwrap();
    let lines = Lines::default();
    let source = bounded(&lines);
    assert_eq!(plan(&source)[1].end, Some(Offset(21)));
    assert_eq!((source.left_out(), lines.all()), (Vec::new(), Vec::new()));
}

fn a_partition_that_waits_behind_an_open_transaction_is_named(fetch: Fetch) {
    let bootstrap = bootstrap();
    let (topic, producer) = with_open_transaction(&bootstrap, "waits");
    let lines = Lines::default();
    let source = KafkaSource::new(settings(fetch, &bootstrap, &topic, &lines)).unwrap();
    let mut reading = Reading::new(&source, &plan(&source));
    let heard = lines.clone();
    let clock = Clock::system();
    // A worker reads at every turn, though nothing wakes it.
    while !heard.all().iter().any(|line| line.contains("waits at offset 10 behind a transaction")) {
        assert!(clock.elapsed() < LIMIT, "{:?}", heard.all());
        for partition in [0, 1] {
            reading.read(partition, 1_000).unwrap();
        }
        thread::park_timeout(Duration::from_millis(100));
    }
    let said = lines.all();
    assert!(said.iter().all(|line| !line.contains("partition 0")), "{said:?}");
    producer.commit_transaction(LIMIT).unwrap();
    reading.until_messages(20);
    lines.wait_for("the transaction has ended");
}

/// Compaction leaves gaps, also at the end; none of them is an error.
fn gaps_of_compaction_are_counted(fetch: Fetch) {
    let bootstrap = bootstrap();
    let config = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("max.compaction.lag.ms", "100"),
    ];
    let topic = create(&bootstrap, "compacted", 1, &config);
    let producer = producer(&bootstrap, &[]);
    let clock = Clock::system();
    let mut sent = 0;
    loop {
        // The newest segment is never compacted: a few records make a new one.
        for _ in 0..50 {
            let payload = sent.to_string();
            let key = (sent % 7).to_string();
            send(&producer, BaseRecord::to(&topic).key(&key[..]).payload(payload.as_bytes()));
            sent += 1;
        }
        producer.flush(LIMIT).unwrap();
        let reading = read_bounded(fetch, &bootstrap, &topic);
        assert_eq!(reading.messages() as u64 + reading.skipped[&0], sent);
        assert_eq!(reading.payloads(0).last().unwrap(), &(sent - 1).to_string());
        if 0 < reading.skipped[&0] {
            return;
        }
        assert!(clock.elapsed() < LIMIT, "the broker did not compact");
        thread::park_timeout(Duration::from_millis(300));
    }
}

fn null_payloads_and_missing_timestamps_are_told_as_such(fetch: Fetch) {
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "bare", 1, &[]);
    let producer = producer(&bootstrap, &[]);
    send(&producer, BaseRecord::to(&topic).key("k").timestamp(-1));
    send(&producer, BaseRecord::to(&topic).key("k").timestamp(-1).payload(&b""[..]));
    send(&producer, BaseRecord::to(&topic).key("k").timestamp(5).payload(&b"x"[..]));
    producer.flush(LIMIT).unwrap();
    let seen = read_bounded(fetch, &bootstrap, &topic).seen.remove(&0).unwrap();
    let told: Vec<_> =
        seen.iter().map(|seen| (seen.payload.as_deref(), seen.timestamp_ms)).collect();
    assert_eq!(told, [(None, None), (Some(&b""[..]), None), (Some(&b"x"[..]), Some(5))]);
}

fn the_broker_stamps_where_the_topic_says_so(fetch: Fetch) {
    let bootstrap = bootstrap();
    let config = [("message.timestamp.type", "LogAppendTime")];
    let topic = create(&bootstrap, "append-time", 1, &config);
    let producer = producer(&bootstrap, &[]);
    let before = Clock::system().wall().as_millis();
    send(&producer, BaseRecord::to(&topic).timestamp(5).payload(&b"x"[..]));
    producer.flush(LIMIT).unwrap();
    let stamp = read_bounded(fetch, &bootstrap, &topic).seen[&0][0].timestamp_ms.unwrap();
    assert!(before <= stamp, "{stamp}");
}
