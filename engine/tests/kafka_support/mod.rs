//! What the tests of the Kafka source share: a reader driven by its wake-ups, a producer, a bell.
#![allow(
    dead_code,
    unused_macros,
    clippy::allow_attributes,
    reason = "each test target uses a part of this module, and `expect` would fail in the other"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Message as _};
use strandline_engine::clock::Clock;
use strandline_engine::report::Report;
use strandline_engine::source::kafka::{Fetch, KafkaReader, KafkaSettings, KafkaSource};
use strandline_engine::source::{PartitionStart, Progress, Reader, Source, SourceError, Wake};
use strandline_operators::record::{Message, Partition};
use strandline_operators::time::EventTime;

/// No condition of these tests takes this long, on a busy machine either.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Rings when the reader wakes its worker.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<(Mutex<u64>, Condvar)>);

impl Bell {
    pub(crate) fn wake(&self) -> Wake {
        let bell = self.clone();
        Wake::new(move || {
            *bell.0.0.lock().unwrap() += 1;
            bell.0.1.notify_all();
        })
    }

    pub(crate) fn rings(&self) -> u64 {
        *self.0.0.lock().unwrap()
    }

    /// Waits until it has rung more than `heard` times.
    pub(crate) fn wait(&self, heard: u64, limit: Duration) -> bool {
        let rings = self.0.0.lock().unwrap();
        let (rings, _) =
            self.0.1.wait_timeout_while(rings, limit, |rings| *rings <= heard).unwrap();
        heard < *rings
    }
}

/// The lines that were reported.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Lines {
    pub(crate) fn report(&self) -> Report {
        let lines = self.clone();
        Report::new(move |line| {
            lines.0.0.lock().unwrap().push(line.to_owned());
            lines.0.1.notify_all();
        })
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    pub(crate) fn wait_for(&self, text: &str) {
        let lines = self.0.0.lock().unwrap();
        let absent = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(text));
        let (lines, _) = self.0.1.wait_timeout_while(lines, LIMIT, absent).unwrap();
        assert!(lines.iter().any(|line| line.contains(text)), "no `{text}` in {lines:?}");
    }
}

/// A message as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: u64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) payload: Option<Vec<u8>>,
    /// How many bytes the log has of one that was cut.
    pub(crate) cut_from: Option<u64>,
}

/// A reader, what it has read, and the bell that its wake-ups ring.
pub(crate) struct Reading {
    pub(crate) reader: KafkaReader,
    pub(crate) bell: Bell,
    pub(crate) seen: BTreeMap<u32, Vec<Seen>>,
    pub(crate) skipped: BTreeMap<u32, u64>,
    pub(crate) progress: BTreeMap<u32, Progress>,
}

impl Reading {
    pub(crate) fn new(source: &KafkaSource, starts: &[PartitionStart]) -> Reading {
        let bell = Bell::default();
        let reader = source.reader(bell.wake()).unwrap();
        let (seen, skipped, progress) = Default::default();
        let mut reading = Reading { reader, bell, seen, skipped, progress };
        for &start in starts {
            reading.assign(start);
        }
        reading
    }

    pub(crate) fn assign(&mut self, start: PartitionStart) {
        self.reader.assign(start).unwrap();
        self.seen.insert(start.partition.0, Vec::new());
        self.skipped.insert(start.partition.0, 0);
    }

    /// One read; checks what every read has to keep.
    pub(crate) fn read(&mut self, partition: u32, limit: usize) -> Result<Progress, SourceError> {
        let seen = self.seen.get_mut(&partition).unwrap();
        let before = seen.len();
        let progress = self.reader.read(Partition(partition), limit, |message| {
            if let Some(last) = seen.last() {
                assert!(last.offset < message.offset.0, "offsets increase strictly");
            }
            seen.push(own(message));
        })?;
        assert_eq!(progress.messages, seen.len() - before);
        assert!(progress.messages <= limit);
        if let Some(last) = seen.last() {
            assert!(last.offset < progress.position.0);
        }
        assert!(progress.end.is_none_or(|end| progress.position <= end));
        *self.skipped.get_mut(&partition).unwrap() += progress.skipped;
        self.progress.insert(partition, progress);
        Ok(progress)
    }

    /// Reads all partitions until `done`; between two rounds that bring nothing it waits for the
    /// bell, and for nothing else.
    pub(crate) fn until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&Reading) -> bool,
    ) -> Result<(), SourceError> {
        let clock = Clock::system();
        loop {
            let heard = self.bell.rings();
            let mut messages = 0;
            for partition in self.seen.keys().copied().collect::<Vec<_>>() {
                messages += self.read(partition, 1_000)?.messages;
            }
            if done(self) {
                return Ok(());
            }
            if messages == 0 {
                let left = LIMIT.saturating_sub(clock.elapsed());
                let rang = !left.is_zero() && self.bell.wait(heard, left);
                assert!(
                    rang,
                    "not yet: {what}; {:?}, {} wake-ups",
                    self.progress,
                    self.bell.rings()
                );
            }
        }
    }

    pub(crate) fn until_messages(&mut self, messages: usize) {
        self.until(&format!("{messages} messages"), |r| messages <= r.messages()).unwrap();
    }

    pub(crate) fn until_at_end(&mut self) {
        self.until("at the end", |r| r.progress.values().all(|p| p.at_end)).unwrap();
    }

    pub(crate) fn until_finished(&mut self) {
        self.until("finished", |r| r.progress.values().all(|p| p.finished)).unwrap();
    }

    /// Reads until a read fails.
    pub(crate) fn until_error(&mut self) -> SourceError {
        self.until("an error", |_| false).unwrap_err()
    }

    pub(crate) fn messages(&self) -> usize {
        self.seen.values().map(Vec::len).sum()
    }

    pub(crate) fn payloads(&self, partition: u32) -> Vec<String> {
        let text = |seen: &Seen| String::from_utf8(seen.payload.clone().unwrap()).unwrap();
        self.seen[&partition].iter().map(text).collect()
    }
}

fn own(message: Message<'_>) -> Seen {
    Seen {
        offset: message.offset.0,
        timestamp_ms: message.timestamp.map(EventTime::as_millis),
        payload: message.payload.map(<[u8]>::to_vec),
        cut_from: message.cut_from,
    }
}

/// Makes two tests of each function: one for each way to fetch.
macro_rules! in_both_ways {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use strandline_engine::source::kafka::Fetch;

            #[test]
            fn client() {
                super::$test(Fetch::Client);
            }

            #[test]
            fn direct() {
                super::$test(Fetch::Direct);
            }
        }
    )+};
}

/// Settings that report into `lines`.
pub(crate) fn settings(fetch: Fetch, bootstrap: &str, topic: &str, lines: &Lines) -> KafkaSettings {
    let mut settings = KafkaSettings::new(bootstrap, topic);
    settings.fetch = fetch;
    settings.report = lines.report();
    settings
}

pub(crate) fn plan(source: &KafkaSource) -> Vec<PartitionStart> {
    source.plan(&[], &|| false).unwrap().partitions
}

/// A name that no other test uses.
pub(crate) fn fresh(name: &str) -> String {
    static TOPICS: AtomicU64 = AtomicU64::new(0);
    let number = TOPICS.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{number}", std::process::id())
}

/// Counts what the broker has acknowledged.
#[derive(Clone, Default)]
pub(crate) struct Acknowledged(Arc<AtomicU64>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            panic!("not delivered: {error}, {:?}", message.payload());
        }
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) type TestProducer = BaseProducer<Acknowledged>;

pub(crate) fn producer(bootstrap: &str, options: &[(&str, &str)]) -> TestProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("linger.ms", "5");
    // No consumer looks at a topic before it is created; no producer creates one.
    config.set("allow.auto.create.topics", "false");
    for (name, value) in options {
        config.set(*name, *value);
    }
    config.create_with_context(Acknowledged::default()).unwrap()
}

/// Sends a record, waiting while the producer's queue is full.
pub(crate) fn send(producer: &TestProducer, record: BaseRecord<'_, str, [u8]>) {
    let mut record = record;
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(100));
            }
            Err((error, _)) => panic!("cannot send: {error}"),
        }
    }
}

/// Sends payloads `from..to`, as text, to a partition, and waits until they are acknowledged.
pub(crate) fn fill(producer: &TestProducer, topic: &str, partition: u32, from: usize, to: usize) {
    for number in from..to {
        let payload = number.to_string();
        send(
            producer,
            BaseRecord::to(topic)
                .partition(i32::try_from(partition).unwrap())
                .payload(payload.as_bytes()),
        );
        if number % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(LIMIT).unwrap();
}

pub(crate) fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| number.to_string()).collect()
}
