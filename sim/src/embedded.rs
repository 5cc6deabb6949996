//! A Kafka broker inside this process, so that the demonstration needs nothing installed.
//!
//! It is librdkafka's mock cluster: the real wire protocol on loopback, in threads of this process.
//! It is for the **demonstration only**, because it is not a log that keeps things:
//!
//! * A partition holds 5 MiB or 100 000 batches. What is older disappears silently, read or not; a
//!   reader that fell behind sees a gap in the offsets and nothing else. So whoever writes to it
//!   has to be held back by the reader's position: [`ReaderBound`](crate::producer::ReaderBound).
//! * It looks for an offset by walking over all batches, so many small batches cost time. So
//!   whoever writes to it should collect messages for a while:
//!   [`producer_options`](EmbeddedBroker::producer_options) lingers for [`LINGER`].
//! * It keeps nothing on disk, finds no offset by its time, does not hide aborted transactions, and
//!   creates topics by [`EmbeddedBroker::start`] and by whoever asks for one, not by the
//!   administrator's request.
//!
//! Never measure with it, and never show with it that a job is exact: that is what a real Kafka is
//! for (`scripts/kafka`).

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;

use crate::producer::ProducerOptions;

/// How long a producer should collect messages before it sends them to this broker.
pub const LINGER: Duration = Duration::from_millis(250);
/// The most partitions of its topic.
pub const PARTITIONS_MAX: u32 = 1_000;

/// A broker in this process with one topic. It ends when it is dropped.
#[derive(Debug)]
pub struct EmbeddedBroker {
    bootstrap: String,
    topic: String,
    /// Dropped to say that it is over.
    until: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port of the loopback interface, with one topic.
    ///
    /// # Errors
    ///
    /// What stands in the way of starting it.
    pub fn start(topic: &str, partitions: u32) -> Result<EmbeddedBroker, EmbeddedError> {
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(EmbeddedError::Partitions(partitions));
        }
        // The cluster cannot be sent between threads, so it lives and dies in one of its own.
        let (until, over) = mpsc::channel();
        let (started, start) = mpsc::sync_channel(1);
        let name = topic.to_owned();
        let thread = std::thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || {
                let cluster = match cluster(&name, partitions) {
                    Ok(cluster) => cluster,
                    Err(error) => {
                        // If nobody listens, nobody waits for the broker.
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                let _ = started.send(Ok(cluster.bootstrap_servers()));
                // Ends with an error when the other side is dropped.
                let _: Result<(), _> = over.recv();
            })
            .map_err(|error| EmbeddedError::Failed(error.to_string()))?;
        let bootstrap = start
            .recv()
            .map_err(|_| EmbeddedError::Failed("its thread ended".to_owned()))?
            .map_err(|error| EmbeddedError::Failed(error.to_string()))?;
        let topic = topic.to_owned();
        Ok(EmbeddedBroker { bootstrap, topic, until: Some(until), thread: Some(thread) })
    }

    /// Where clients connect, of this and of other processes: `127.0.0.1:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How to produce to it.
    pub fn producer_options(&self) -> ProducerOptions {
        ProducerOptions { linger: LINGER, ..ProducerOptions::new(&self.bootstrap, &self.topic) }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.until = None;
        if let Some(thread) = self.thread.take() {
            // It only fails if the broker panicked, and then it is over as well.
            let _ = thread.join();
        }
    }
}

fn cluster(
    topic: &str,
    partitions: u32,
) -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, KafkaError> {
    let cluster = MockCluster::new(1)?;
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    cluster.create_topic(topic, partitions, 1)?;
    Ok(cluster)
}

/// Why there is no embedded broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Too few or too many partitions.
    #[error("the embedded broker's topic has 1 to {PARTITIONS_MAX} partitions, not {0}")]
    Partitions(u32),
    /// Anything else.
    #[error("the embedded broker does not start: {0}")]
    Failed(String),
}
