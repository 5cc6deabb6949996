//! A Kafka broker inside this process, so that the demonstration needs nothing installed.
//!
//! It is librdkafka's mock cluster: the real wire protocol on loopback, in threads of this process.
//! It is for the **demonstration only**, because it is not a log that keeps things:
//!
//! * A partition holds 5 MiB or 100 000 batches. What is older disappears silently, read or not; a
//!   reader that fell behind sees a gap in the offsets and nothing else. So whoever writes to it
//!   has to be held back by the reader's position: [`ReaderBound`](crate::producer::ReaderBound).
//! * It looks for an offset by walking over all batches of a partition, so what it costs grows with
//!   the number of batches that fit into 5 MiB. So whoever writes to it should make few large ones:
//!   [`producer_options`](EmbeddedBroker::producer_options) collects messages for [`LINGER`], and
//!   fills those of a slow fleet up by [`FILLER_BYTES`]. With full partitions, 32 messages a second
//!   then take as much as with empty ones, 4 to 5 % of a core for broker, producer and a reader that
//!   asks every 50 ms; without filler it is 10 % (measured with four partitions).
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
/// What is added to each message of a slow fleet, so that batches are large and few.
pub const FILLER_BYTES: usize = 4096;
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
        ProducerOptions {
            linger: LINGER,
            filler_bytes: FILLER_BYTES,
            ..ProducerOptions::new(&self.bootstrap, &self.topic)
        }
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn it_listens_on_loopback_until_it_is_dropped() {
        let broker = EmbeddedBroker::start("a", 1).unwrap();
        let address: std::net::SocketAddr = broker.bootstrap().parse().unwrap();
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        assert!(TcpStream::connect(address).is_ok());
        drop(broker);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn two_brokers_do_not_know_each_other() {
        let brokers = [EmbeddedBroker::start("a", 1), EmbeddedBroker::start("b", 2)];
        let [first, second] = brokers.map(Result::unwrap);
        assert_ne!(first.bootstrap(), second.bootstrap());
        assert_eq!((first.topic(), second.topic()), ("a", "b"));
    }

    #[test]
    fn partitions_are_bounded() {
        for partitions in [0, PARTITIONS_MAX + 1] {
            let error = EmbeddedBroker::start("a", partitions).unwrap_err();
            assert!(matches!(error, EmbeddedError::Partitions(_)));
        }
        assert!(matches!(EmbeddedBroker::start("a\0", 1), Err(EmbeddedError::Failed(_))));
    }
}
