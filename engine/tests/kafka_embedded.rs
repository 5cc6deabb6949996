//! The Kafka source against librdkafka's own broker, in this process. Fast, and it can be told to
//! fail; what it does not do right is tested against a real broker (`kafka_real`).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, like tests")]

#[macro_use]
mod kafka_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use kafka_support::{
    Bell, LIMIT, Lines, Reading, fill, fresh, numbers, plan, producer, send, settings,
};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::{Fetch, KafkaSource, Start};
use strandline_engine::source::{PartitionStart, Reader, Source, SourceError};
use strandline_operators::record::{Offset, Partition};

type Cluster = MockCluster<'static, DefaultProducerContext>;

const BROKER: i32 = 1;

fn cluster(topic: &str, partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(topic, partitions, 1).unwrap();
    cluster
}

fn source(fetch: Fetch, cluster: &Cluster, topic: &str, lines: &Lines) -> KafkaSource {
    let mut settings = settings(fetch, &cluster.bootstrap_servers(), topic, lines);
    settings.embedded = true;
    KafkaSource::new(settings).unwrap()
}

fn bounded(fetch: Fetch, cluster: &Cluster, topic: &str, start: Start) -> KafkaSource {
    let mut settings = settings(fetch, &cluster.bootstrap_servers(), topic, &Lines::default());
    (settings.embedded, settings.bounded, settings.start) = (true, true, start);
    KafkaSource::new(settings).unwrap()
}

in_both_ways!(
    every_message_is_read_once_and_in_order,
    a_read_hands_over_no_more_than_asked_for,
    new_messages_wake_a_reader_that_came_back_empty,
    an_end_is_what_the_log_said_not_an_empty_read,
    a_broker_that_is_away_says_nothing_of_an_end,
    a_bounded_read_ends_where_the_log_ended_at_the_start,
    latest_begins_at_the_end,
    a_null_payload_is_not_an_empty_one,
    what_is_not_read_for_a_while_is_not_lost,
    a_broker_that_goes_away_and_comes_back_is_said_once_and_nothing_is_lost,
    data_that_the_broker_dropped_before_it_was_read_is_an_error,
    an_offset_after_the_end_of_the_log_is_an_error,
    a_broker_that_takes_back_an_out_of_range_is_read_on,
    a_topic_that_may_not_be_read_is_an_error,
    an_answer_that_is_larger_than_allowed_is_an_error_that_says_what_to_do,
    errors_that_pass_are_no_errors_of_the_job,
    a_reader_can_be_dropped_in_the_middle_of_traffic,
    a_panic_in_a_visit_loses_no_message_of_the_client,
    a_partition_is_assigned_once_and_read_only_then,
);

fn every_message_is_read_once_and_in_order(fetch: Fetch) {
    let topic = fresh("order");
    let cluster = cluster(&topic, 3);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    for partition in 0..3 {
        fill(&producer, &topic, partition, 0, 2_500);
    }
    let lines = Lines::default();
    let source = source(fetch, &cluster, &topic, &lines);
    let starts = plan(&source);
    assert_eq!(starts.len(), 3);
    assert!(starts.iter().all(|s| s.next_offset == Offset(0) && s.end.is_none()));
    let mut reading = Reading::new(&source, &starts);
    reading.until_at_end();
    for partition in 0..3 {
        assert_eq!(reading.payloads(partition), numbers(0, 2_500));
        let progress = reading.progress[&partition];
        assert_eq!((progress.position, progress.end), (Offset(2_500), Some(Offset(2_500))));
        assert!(!progress.finished);
    }
    assert_eq!(lines.all(), Vec::<String>::new());
}

fn a_read_hands_over_no_more_than_asked_for(fetch: Fetch) {
    let topic = fresh("limit");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    fill(&producer, &topic, 0, 0, 5_000);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    let heard = reading.bell.rings();
    assert!(heard > 0 || reading.bell.wait(heard, LIMIT));
    assert_eq!(reading.read(0, 0).unwrap().messages, 0);
    reading.until("three", |r| r.messages() >= 3).unwrap();
    let before = reading.messages();
    while reading.messages() < before + 3 {
        assert!(reading.read(0, 1).unwrap().messages <= 1);
    }
    // More than the client is asked for in one call.
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(0, 5_000));
}

/// Without this a worker that sleeps would find new messages by chance only.
fn new_messages_wake_a_reader_that_came_back_empty(fetch: Fetch) {
    let topic = fresh("wake");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[("linger.ms", "0")]);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    for number in 0..20 {
        let heard = reading.bell.rings();
        let progress = reading.read(0, 100).unwrap();
        assert!(progress.at_end && progress.messages == 0);
        fill(&producer, &topic, 0, number, number + 1);
        assert!(reading.bell.wait(heard, LIMIT));
        reading.until_messages(number + 1);
        reading.until_at_end();
    }
}

fn an_end_is_what_the_log_said_not_an_empty_read(fetch: Fetch) {
    let topic = fresh("end");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    fill(&producer, &topic, 0, 0, 10);
    // Nothing comes for a while: an empty read says nothing.
    cluster.broker_round_trip_time(BROKER, Duration::from_millis(300)).unwrap();
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    let progress = reading.read(0, 100).unwrap();
    assert!(progress.messages == 0 && !progress.at_end && !progress.finished);
    reading.until_at_end();
    assert_eq!(reading.messages(), 10);
}

/// What comes meanwhile would be late, if the others did not wait for it.
fn a_broker_that_is_away_says_nothing_of_an_end(fetch: Fetch) {
    let topic = fresh("away");
    let cluster = cluster(&topic, 1);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    cluster.broker_down(BROKER).unwrap();
    until_uncertain(&mut reading);
    cluster.broker_up(BROKER).unwrap();
    reading.until_at_end();
}

/// The connection stands, and nothing comes.
#[test]
fn a_broker_that_does_not_answer_says_nothing_of_an_end() {
    let topic = fresh("silent");
    let cluster = cluster(&topic, 1);
    let source = source(Fetch::Direct, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    cluster.broker_round_trip_time(BROKER, Duration::from_secs(4)).unwrap();
    until_uncertain(&mut reading);
    reading.until_at_end(); // The answer that comes late after all.
}

fn until_uncertain(reading: &mut Reading) {
    let clock = Clock::system();
    while reading.read(0, 100).unwrap().at_end {
        assert!(clock.elapsed() < LIMIT, "still taken for at its end");
        thread::park_timeout(Duration::from_millis(5));
    }
}

fn a_bounded_read_ends_where_the_log_ended_at_the_start(fetch: Fetch) {
    let topic = fresh("bounded");
    let cluster = cluster(&topic, 3);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    fill(&producer, &topic, 0, 0, 1_500);
    fill(&producer, &topic, 2, 0, 1);
    let source = bounded(fetch, &cluster, &topic, Start::Earliest);
    let starts = plan(&source);
    assert_eq!(starts[0].end, Some(Offset(1_500)));
    // Partition 1 is empty: it is finished before anything is read.
    assert_eq!((starts[1].next_offset, starts[1].end), (Offset(0), Some(Offset(0))));
    for partition in 0..3 {
        fill(&producer, &topic, partition, 1_500, 3_000);
    }
    let mut reading = Reading::new(&source, &starts);
    assert!(reading.read(1, 100).unwrap().finished);
    reading.until_finished();
    assert_eq!(reading.payloads(0), numbers(0, 1_500));
    assert_eq!(reading.payloads(1), numbers(0, 0));
    assert_eq!(reading.payloads(2), numbers(0, 1));
    let progress = reading.read(0, 100).unwrap();
    assert!(progress.finished && progress.messages == 0);
    assert_eq!(source.discover(0).unwrap(), [], "a bounded run discovers nothing");
}

fn latest_begins_at_the_end(fetch: Fetch) {
    let topic = fresh("latest");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    fill(&producer, &topic, 0, 0, 100);
    let mut settings = settings(fetch, &cluster.bootstrap_servers(), &topic, &Lines::default());
    (settings.embedded, settings.start) = (true, Start::Latest);
    let source = KafkaSource::new(settings).unwrap();
    let starts = plan(&source);
    assert_eq!(starts[0].next_offset, Offset(100));
    fill(&producer, &topic, 0, 100, 200);
    let mut reading = Reading::new(&source, &starts);
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(100, 200));
    let starts = plan(&bounded(fetch, &cluster, &topic, Start::Latest));
    assert_eq!((starts[0].next_offset, starts[0].end), (Offset(200), Some(Offset(200))));
}

fn a_null_payload_is_not_an_empty_one(fetch: Fetch) {
    let topic = fresh("null");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    send(&producer, BaseRecord::to(&topic).partition(0).key("k"));
    send(&producer, BaseRecord::to(&topic).partition(0).key("k").payload(&b""[..]));
    send(&producer, BaseRecord::to(&topic).partition(0).payload(&b"x"[..]).timestamp(7));
    producer.flush(LIMIT).unwrap();
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    let payloads: Vec<_> = reading.seen[&0].iter().map(|seen| seen.payload.as_deref()).collect();
    assert_eq!(payloads, [None, Some(&b""[..]), Some(&b"x"[..])]);
    assert_eq!(reading.seen[&0][2].timestamp_ms, Some(7));
}

#[test]
fn looking_at_an_absent_topic_does_not_create_it() {
    let cluster = cluster(&fresh("other"), 1);
    let absent = fresh("absent");
    let source = source(Fetch::Client, &cluster, &absent, &Lines::default());
    for _ in 0..3 {
        let error = source.plan(&[], &|| false).unwrap_err();
        assert!(matches!(error, SourceError::TopicAbsent { .. }), "{error}");
        let line = error.to_string();
        assert!(line.contains(&absent) && line.contains(&cluster.bootstrap_servers()), "{line}");
        assert!(matches!(source.discover(0), Err(SourceError::TopicAbsent { .. })));
    }
}

/// Drift control: a partition that runs ahead is not read for a while.
fn what_is_not_read_for_a_while_is_not_lost(fetch: Fetch) {
    let topic = fresh("drift");
    let cluster = cluster(&topic, 2);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    let mut settings = settings(fetch, &cluster.bootstrap_servers(), &topic, &Lines::default());
    settings.embedded = true;
    settings.options.push(("queued.min.messages".into(), "100".into()));
    let source = KafkaSource::new(settings).unwrap();
    let starts = plan(&source);
    let mut reading = Reading::new(&source, &starts);
    for round in 0..10 {
        for partition in 0..2 {
            fill(&producer, &topic, partition, round * 500, (round + 1) * 500);
        }
        // Only partition 0 is read.
        while reading.seen[&0].len() < (round + 1) * 500 {
            let heard = reading.bell.rings();
            if reading.read(0, 1_000).unwrap().messages == 0 {
                assert!(reading.bell.wait(heard, LIMIT));
            }
        }
    }
    assert_eq!(reading.seen[&1], []);
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(0, 5_000));
    assert_eq!(reading.payloads(1), numbers(0, 5_000));
}

#[test]
fn a_broker_that_is_absent_at_the_start_is_waited_for_and_said_once() {
    let topic = fresh("late-broker");
    let cluster = cluster(&topic, 1);
    cluster.broker_down(BROKER).unwrap();
    let lines = Lines::default();
    let source = source(Fetch::Client, &cluster, &topic, &lines);
    let planned = thread::spawn(move || plan(&source));
    lines.wait_for("cannot reach Kafka at");
    assert!(!planned.is_finished());
    cluster.broker_up(BROKER).unwrap();
    assert_eq!(planned.join().unwrap().len(), 1);
    let lines = lines.all();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(&cluster.bootstrap_servers()), "{lines:?}");
    assert!(lines[1].contains("answers"), "{lines:?}");
}

#[test]
fn a_job_that_waits_for_its_broker_can_be_stopped() {
    let lines = Lines::default();
    // Nothing listens on port 1.
    let source = KafkaSource::new(settings(Fetch::Client, "127.0.0.1:1", "t", &lines)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let planned = thread::spawn(move || source.plan(&[], &|| stopped.load(Ordering::SeqCst)));
    lines.wait_for("Connection refused");
    let clock = Clock::system();
    stop.store(true, Ordering::SeqCst);
    assert!(matches!(planned.join().unwrap(), Err(SourceError::Stopped)));
    // A second on a busy machine; it looks every 100 ms.
    assert!(clock.elapsed() < Duration::from_secs(1), "{:?}", clock.elapsed());
    assert_eq!(lines.all().len(), 1, "{:?}", lines.all());
}

fn a_broker_that_goes_away_and_comes_back_is_said_once_and_nothing_is_lost(fetch: Fetch) {
    let topic = fresh("outage");
    let cluster = cluster(&topic, 2);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    for partition in 0..2 {
        fill(&producer, &topic, partition, 0, 1_000);
    }
    let lines = Lines::default();
    let source = source(fetch, &cluster, &topic, &lines);
    let starts = plan(&source);
    // Two workers: the outage is still said once.
    let mut readings = [Reading::new(&source, &starts[..1]), Reading::new(&source, &starts[1..])];
    for reading in &mut readings {
        reading.until_at_end();
    }
    cluster.broker_down(BROKER).unwrap();
    let clock = Clock::system();
    while lines.all().is_empty() {
        assert!(clock.elapsed() < LIMIT);
        for reading in &mut readings {
            for partition in reading.seen.keys().copied().collect::<Vec<_>>() {
                assert_eq!(reading.read(partition, 100).unwrap().messages, 0);
            }
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    cluster.broker_up(BROKER).unwrap();
    for partition in 0..2 {
        fill(&producer, &topic, partition, 1_000, 2_000);
    }
    for (partition, reading) in (0..).zip(&mut readings) {
        reading.until_messages(2_000);
        reading.until_at_end();
        assert_eq!(reading.payloads(partition), numbers(0, 2_000));
    }
    lines.wait_for(" answers");
    assert_eq!(lines.all().len(), 2, "{:?}", lines.all());
}

/// The embedded broker keeps 5 MiB of a partition, and drops the rest without a word.
fn data_that_the_broker_dropped_before_it_was_read_is_an_error(fetch: Fetch) {
    let topic = fresh("gone");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[("batch.num.messages", "100")]);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let starts = plan(&source);
    let payload = vec![b'x'; 1_000];
    for _ in 0..10_000 {
        send(&producer, BaseRecord::to(&topic).partition(0).payload(&payload[..]));
    }
    producer.flush(LIMIT).unwrap();
    let mut reading = Reading::new(&source, &starts);
    match reading.until_error() {
        SourceError::DataGone { partition, expected, low, .. } => {
            assert_eq!((partition, expected), (Partition(0), Offset(0)));
            assert_eq!(Some(low), plan(&source).first().map(|start| start.next_offset));
            assert!(Offset(0) < low);
        }
        other => panic!("{other}"),
    }
    assert_eq!(reading.messages(), 0);
}

fn an_offset_after_the_end_of_the_log_is_an_error(fetch: Fetch) {
    let topic = fresh("beyond");
    let cluster = cluster(&topic, 1);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    plan(&source);
    let start = PartitionStart { partition: Partition(0), next_offset: Offset(50), end: None };
    let line = Reading::new(&source, &[start]).until_error().to_string();
    assert!(line.contains("offset 50") && line.contains(&topic), "{line}");
}

fn a_broker_that_takes_back_an_out_of_range_is_read_on(fetch: Fetch) {
    let topic = fresh("range");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    fill(&producer, &topic, 0, 0, 500);
    let out_of_range = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[out_of_range; 2]);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(0, 500));
    // But not for ever.
    cluster.request_errors(RDKafkaApiKey::Fetch, &[out_of_range; 20]);
    fill(&producer, &topic, 0, 500, 600);
    let line = reading.until_error().to_string();
    assert!(line.contains("does not give offset 500"), "{line}");
}

fn a_topic_that_may_not_be_read_is_an_error(fetch: Fetch) {
    let topic = fresh("acl");
    let cluster = cluster(&topic, 1);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let starts = plan(&source);
    cluster.request_errors(RDKafkaApiKey::Fetch, &[denied; 5]);
    let line = Reading::new(&source, &starts).until_error().to_string();
    assert!(line.contains("authoriz") || line.contains("does not allow"), "{line}");
    cluster.topic_error(&topic, denied).unwrap();
    let line = source.plan(&[], &|| false).unwrap_err().to_string();
    assert!(line.contains("does not allow") && line.contains(&topic), "{line}");
}

fn an_answer_that_is_larger_than_allowed_is_an_error_that_says_what_to_do(fetch: Fetch) {
    let topic = fresh("large");
    let cluster = cluster(&topic, 1);
    let bootstrap = cluster.bootstrap_servers();
    let producer = producer(&bootstrap, &[("message.max.bytes", "3000000")]);
    send(&producer, BaseRecord::to(&topic).partition(0).payload(&vec![b'x'; 2_500_000][..]));
    producer.flush(LIMIT).unwrap();
    let mut settings = settings(fetch, &bootstrap, &topic, &Lines::default());
    settings.embedded = true;
    for (name, value) in [
        ("fetch.message.max.bytes", "500000"),
        ("fetch.max.bytes", "1000000"),
        ("receive.message.max.bytes", "1100000"),
    ] {
        settings.options.push((name.to_owned(), value.to_owned()));
    }
    let source = KafkaSource::new(settings).unwrap();
    let line = Reading::new(&source, &plan(&source)).until_error().to_string();
    assert!(line.contains("receive.message.max.bytes") && line.contains(&topic), "{line}");
}

fn errors_that_pass_are_no_errors_of_the_job(fetch: Fetch) {
    let topic = fresh("transient");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    fill(&producer, &topic, 0, 0, 300);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let starts = plan(&source);
    cluster.request_errors(
        RDKafkaApiKey::Fetch,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        ],
    );
    let mut reading = Reading::new(&source, &starts);
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(0, 300));
}

/// Callbacks come from the client's threads: none may come after the reader is gone.
fn a_reader_can_be_dropped_in_the_middle_of_traffic(fetch: Fetch) {
    let topic = fresh("drop");
    let cluster = cluster(&topic, 4);
    let bootstrap = cluster.bootstrap_servers();
    let done = Arc::new(AtomicBool::new(false));
    let (stop, to) = (Arc::clone(&done), topic.clone());
    let traffic = thread::spawn(move || {
        let producer = producer(&bootstrap, &[("linger.ms", "0")]);
        while !stop.load(Ordering::SeqCst) {
            for partition in 0..4 {
                fill(&producer, &to, partition, 0, 50);
            }
        }
    });
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let starts = plan(&source);
    for round in 0..15 {
        let clock = Clock::system();
        let bell = Bell::default();
        let mut reader = source.reader(bell.wake()).unwrap();
        for &start in &starts {
            reader.assign(start).unwrap();
        }
        let mut messages = 0;
        while messages < 10 * round {
            let heard = bell.rings();
            let read = reader.read(Partition(0), 100, |_| {}).unwrap().messages;
            messages += read;
            assert!(0 < read || bell.wait(heard, LIMIT));
        }
        drop(reader);
        let rings = bell.rings();
        // A callback that came too late would come while the traffic goes on.
        assert!(!bell.wait(rings, Duration::from_millis(30)), "woken after the drop");
        assert!(clock.elapsed() < LIMIT);
    }
    done.store(true, Ordering::SeqCst);
    traffic.join().unwrap();
}

fn a_panic_in_a_visit_loses_no_message_of_the_client(fetch: Fetch) {
    let topic = fresh("panic");
    let cluster = cluster(&topic, 1);
    let producer = producer(&cluster.bootstrap_servers(), &[]);
    fill(&producer, &topic, 0, 0, 100);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    assert!(reading.bell.wait(0, LIMIT));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let clock = Clock::system();
        while clock.elapsed() < LIMIT {
            reading.reader.read(Partition(0), 100, |_| std::panic::panic_any(())).unwrap();
        }
    }));
    assert!(panicked.is_err());
    drop(reading); // Would hang or crash if messages were left behind.
}

fn a_partition_is_assigned_once_and_read_only_then(fetch: Fetch) {
    let topic = fresh("assign");
    let cluster = cluster(&topic, 1);
    let source = source(fetch, &cluster, &topic, &Lines::default());
    let starts = plan(&source);
    let mut reader = source.reader(Bell::default().wake()).unwrap();
    assert!(reader.read(Partition(0), 1, |_| {}).is_err());
    reader.assign(starts[0]).unwrap();
    assert!(reader.assign(starts[0]).is_err());
}
