//! A live producer that keeps to a schedule, and what the log says of it afterwards.
//!
//! The topic stamps its records with the time at which the broker appends them
//! (`LogAppendTime`), so the moment of each append is read back from the log, of every record,
//! without touching the job that is measured. Its resolution is a millisecond, rounded down: what
//! is measured from it is too long by up to a millisecond, never too short.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use strandline::engine::source::kafka::{KafkaSettings, KafkaSource};
use strandline::engine::source::{Reader, Source, Wake};

use crate::now_us;
use crate::schedule::Schedule;

/// How long the broker may take to create or delete a topic, and to take the last messages.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The longest sleep between two looks at the schedule.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// A topic that is there while this is.
pub(crate) struct Topic {
    pub(crate) bootstrap: String,
    pub(crate) name: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Topic {
    pub(crate) fn create(bootstrap: &str, name: &str, partitions: u64) -> anyhow::Result<Topic> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        let admin: AdminClient<_> = config.create()?;
        let count = i32::try_from(partitions)?;
        let topic = NewTopic::new(name, count, TopicReplication::Fixed(-1))
            .set("message.timestamp.type", "LogAppendTime");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        for result in wait_for(admin.create_topics([&topic], &options))? {
            result.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
        Ok(Topic { bootstrap: bootstrap.to_owned(), name: name.to_owned(), admin })
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // One that stays takes room and does no harm.
        let _ = wait_for(self.admin.delete_topics(&[&self.name], &AdminOptions::new()));
    }
}

/// Waits for a future: the client's threads complete it.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// A client that is connected, so that a run does not begin with that.
pub(crate) fn producer(topic: &Topic, linger: Duration) -> anyhow::Result<BaseProducer> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &topic.bootstrap)
        // In order and without duplicates, so that the log is the schedule.
        .set("enable.idempotence", "true")
        .set("linger.ms", linger.as_millis().to_string())
        .set("queue.buffering.max.messages", "2000000")
        .set("delivery.report.only.error", "true")
        .create()?;
    producer.client().fetch_metadata(Some(&topic.name), ANSWER_WITHIN)?;
    Ok(producer)
}

/// Sends every record when it is due. One that is overdue is sent at once, with the event time
/// that it was to have.
pub(crate) fn produce(
    producer: &BaseProducer,
    topic: &Topic,
    schedule: &Schedule,
) -> anyhow::Result<()> {
    use std::fmt::Write as _;
    let mut payload = String::new();
    for record in 0..schedule.records {
        while now_us() < schedule.intended_us(record) {
            producer.poll(Duration::ZERO);
            let wait = schedule.intended_us(record) - now_us();
            let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0));
            std::thread::park_timeout(wait.min(LOOK_EVERY));
        }
        payload.clear();
        write!(
            payload,
            r#"{{"device_id":"{}","ts":{},"temperature":2{}.7,"humidity":55.3,"battery":8{}.5,"status":"ok","location":"lab"}}"#,
            device_name(record % schedule.devices),
            schedule.event_ms(record),
            record % 7,
            record % 9,
        )?;
        let partition = i32::try_from(record % schedule.partitions)?;
        loop {
            let message = BaseRecord::<(), str>::to(&topic.name).partition(partition);
            match producer.send(message.payload(&payload)) {
                Ok(()) => break,
                Err((error, _))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) =>
                {
                    producer.poll(LOOK_EVERY);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(ANSWER_WITHIN).context("the last messages were not delivered")
}

/// The key of a device; 13 bytes.
pub(crate) fn device_name(device: u64) -> String {
    format!("device-{device:06}")
}

/// The device of a key.
pub(crate) fn device_of(key: &str) -> u64 {
    key.trim_start_matches("device-").parse().expect("a key of this bench")
}

/// When each record was appended, by record, milliseconds since 1970.
pub(crate) fn appended_ms(topic: &Topic, schedule: &Schedule) -> anyhow::Result<Vec<i64>> {
    let mut settings = KafkaSettings::new(&topic.bootstrap, &topic.name);
    settings.bounded = true;
    // A program sets that for its process.
    strandline::engine::source::kafka::keep_freed_memory();
    let source = KafkaSource::new(settings)?;
    let (wake, woken) = channel();
    let mut reader = source.reader(Wake::new(move || {
        let _ = wake.send(());
    }))?;
    let mut open = source.plan(&[], &|| false)?.partitions;
    for start in &open {
        reader.assign(*start)?;
    }
    let mut appended = vec![0; usize::try_from(schedule.records)?];
    let mut read = 0;
    while !open.is_empty() {
        let mut messages = 0;
        let mut failed = None;
        open.retain(|start| {
            let progress = reader.read(start.partition, 1_024, |message| {
                let record = message.offset.0 * schedule.partitions + u64::from(start.partition.0);
                let timestamp = message.timestamp.expect("Kafka stamps it");
                appended[record as usize] = timestamp.as_millis();
            });
            match progress {
                Ok(progress) => {
                    messages += progress.messages as u64;
                    !progress.finished
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        read += messages;
        if messages == 0 && !open.is_empty() {
            let _ = woken.recv_timeout(Duration::from_millis(100));
        }
    }
    ensure!(read == schedule.records, "the log has {read} of {} records", schedule.records);
    Ok(appended)
}
