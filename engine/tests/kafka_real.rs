//! The Kafka source against a real Apache Kafka: what the embedded broker does not do, or does not
//! do right. `scripts/test` starts the broker and says in `STRANDLINE_KAFKA` where it is.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, like tests")]

#[macro_use]
mod kafka_support;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use kafka_support::{
    LIMIT, Lines, Reading, TestProducer, fill, fresh, numbers, plan, producer, send, settings,
};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::{
    Offset as ListedOffset, TopicPartitionList, TopicPartitionListElem,
};
use strandline_engine::clock::Clock;
use strandline_engine::source::kafka::{Fetch, KafkaSource, Start};
use strandline_engine::source::{PartitionStart, Source, SourceError};
use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;

fn bootstrap() -> String {
    match std::env::var("STRANDLINE_KAFKA") {
        Ok(bootstrap) if !bootstrap.is_empty() => bootstrap,
        _ => panic!(
            "STRANDLINE_KAFKA does not name a broker: run scripts/test, which starts one (or \
             scripts/kafka start, and set it to 127.0.0.1:9092)"
        ),
    }
}

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

fn delete_records(bootstrap: &str, topic: &str, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, ListedOffset::Offset(before)).unwrap();
    wait(admin(bootstrap).delete_records(&list, &options())).unwrap();
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

in_both_ways!(
    all_codecs_are_read,
    aborted_transactions_are_hidden_and_markers_are_counted,
    an_open_transaction_is_neither_read_nor_an_end,
    gaps_of_compaction_are_counted,
    a_start_at_a_timestamp_is_found_in_each_partition,
    latest_and_bounded_go_by_the_ends_at_the_start,
    a_partition_that_is_added_is_discovered_and_read_from_its_beginning,
    data_that_was_removed_before_it_was_read_is_an_error_that_says_how_much,
    data_that_is_removed_while_a_reader_lags_is_an_error,
    data_that_is_removed_after_it_was_fetched_is_read,
    an_offset_after_the_end_of_the_log_is_an_error,
    a_topic_that_is_deleted_while_it_is_read_is_an_error,
    null_payloads_and_missing_timestamps_are_told_as_such,
    the_broker_stamps_where_the_topic_says_so,
    a_reader_is_woken_soon_after_a_message_was_acknowledged,
    a_broker_that_is_killed_and_started_again_loses_and_doubles_nothing,
    workers_together_read_everything_once,
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

fn transactional(bootstrap: &str) -> TestProducer {
    let id = fresh("transaction");
    let producer = producer(bootstrap, &[("transactional.id", &id), ("linger.ms", "50")]);
    producer.init_transactions(LIMIT).unwrap();
    producer
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
    reading.until("the whole end heard", |r| r.progress[&0].end == Offset(20)).unwrap();
    reading.until_messages(10);
    assert!(!reading.progress[&0].at_end, "the log goes on: not idle");
    producer.commit_transaction(LIMIT).unwrap();
    reading.until_at_end();
    assert_eq!(reading.payloads(0), numbers(0, 20));
    assert_eq!(reading.skipped[&0], 1);
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

#[test]
fn a_broker_that_refuses_us_is_an_error_that_says_so() {
    let bootstrap = bootstrap();
    // This listener has no authentication, and refuses those who insist on it.
    let mut wrong = settings(Fetch::Client, &bootstrap, "any", &Lines::default());
    for (name, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "somebody"),
        ("sasl.password", "hunter2"),
    ] {
        wrong.options.push((name.to_owned(), value.to_owned()));
    }
    let line = KafkaSource::new(wrong).unwrap().plan(&[], &|| false).unwrap_err().to_string();
    assert!(line.contains(&bootstrap) && line.contains("sasl"), "{line}");
    assert!(!line.contains("hunter2") && !line.contains('\n'), "{line}");
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
        while reading.read(0, 0).unwrap().end.0 < end as u64 {
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

/// A broker of one test, which may be killed.
struct Broker {
    port: u16,
    data: tempfile::TempDir,
}

impl Broker {
    fn start() -> Broker {
        let broker = Broker { port: free_ports(), data: tempfile::tempdir().unwrap() };
        broker.run("start");
        broker
    }

    fn run(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
        let output = Command::new(script)
            .arg(command)
            .env("STRANDLINE_KAFKA_PORT", self.port.to_string())
            .env("STRANDLINE_KAFKA_DATA", self.data.path())
            .env("STRANDLINE_KAFKA_HEAP", "512m")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.run("kill");
    }
}

/// A port that is free, and so is the next.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX - 1 && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

fn a_broker_that_is_killed_and_started_again_loses_and_doubles_nothing(fetch: Fetch) {
    bootstrap();
    let broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let topic = create(&bootstrap, "killed", 2, &[]);
    let lines = Lines::default();
    let source = KafkaSource::new(settings(fetch, &bootstrap, &topic, &lines)).unwrap();
    let mut reading = Reading::new(&source, &plan(&source));
    // Idempotent, so that the topic itself holds each number once.
    let idempotent =
        [("enable.idempotence", "true"), ("linger.ms", "1"), ("reconnect.backoff.max.ms", "500")];
    let producer = producer(&bootstrap, &idempotent);
    for partition in 0..2 {
        fill(&producer, &topic, partition, 0, 5_000);
    }
    reading.until_messages(4_000);
    // The second half is being produced when the broker is killed.
    let (stop, killed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let traffic = {
        let (stop, topic) = (Arc::clone(&stop), topic.clone());
        thread::spawn(move || {
            let mut number = 5_000;
            while !stop.load(Ordering::SeqCst) {
                for partition in 0..2 {
                    let payload = number.to_string();
                    let record = BaseRecord::to(&topic).partition(partition);
                    send(&producer, record.payload(payload.as_bytes()));
                }
                number += 1;
                producer.poll(Duration::from_millis(1));
            }
            producer.flush(LIMIT).unwrap();
            number
        })
    };
    let outage = {
        let (killed, lines) = (Arc::clone(&killed), lines.clone());
        thread::spawn(move || {
            broker.run("kill");
            killed.store(true, Ordering::SeqCst);
            lines.wait_for("cannot reach");
            broker.run("start");
            broker
        })
    };
    reading
        .until("some read after the outage", |r| {
            let lines = lines.all();
            assert!(lines.len() <= 2, "said once: {lines:?}");
            killed.load(Ordering::SeqCst) && lines.len() == 2 && 12_000 < r.messages()
        })
        .unwrap();
    let broker = outage.join().unwrap();
    stop.store(true, Ordering::SeqCst);
    let count = traffic.join().unwrap();
    reading.until_messages(2 * count);
    reading.until_at_end();
    for partition in 0..2 {
        assert!(reading.payloads(partition) == numbers(0, count), "each once, in order");
    }
    let lines = lines.all();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("cannot reach") && lines[1].contains(" answers"), "{lines:?}");
    drop((reading, source, broker));
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
