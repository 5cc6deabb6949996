//! Makes sure that the topic to produce to is there.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;

use super::{FleetProducer, ProduceError, Report};

/// How long the broker may take to say which topics there are.
const METADATA_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long to wait between two tries.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How long the client's reports about an outage may take to arrive after it.
const SETTLE: Duration = Duration::from_millis(20);
/// How long the broker may take to create a topic.
const CREATE_WAIT_MAX: Duration = Duration::from_secs(10);

/// How the topic was found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// It was there.
    Existed {
        /// How many partitions it has.
        partitions: u32,
    },
    /// It was not there and has been created.
    Created {
        /// How many partitions it has.
        partitions: u32,
    },
}

impl FleetProducer {
    /// Makes sure that the topic is there: creates it with this many partitions if it is not.
    /// Blocks; keeps trying while no broker answers, having said so once; asks `stopped` between
    /// tries.
    ///
    /// # Errors
    ///
    /// [`ProduceError::Stopped`], or why the broker does not create the topic.
    pub fn ensure_topic(
        &self,
        partitions: u32,
        stopped: &dyn Fn() -> bool,
        report: &mut dyn FnMut(Report),
    ) -> Result<Topic, ProduceError> {
        let mut said = false;
        loop {
            if stopped() {
                return Err(ProduceError::Stopped);
            }
            // All topics are asked for, as asking for one can create it, with the broker's own idea
            // of partitions.
            match self.client.client().fetch_metadata(None, METADATA_WAIT_MAX) {
                Ok(metadata) => {
                    if said {
                        // What the client still has to say about that outage has been said.
                        self.client.poll(SETTLE);
                        self.client.context().unreachable.store(false, Ordering::Relaxed);
                        report(Report::Reachable);
                    }
                    let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
                    if let Some(topic) = topic {
                        let partitions = u32::try_from(topic.partitions().len()).unwrap_or(0);
                        return Ok(Topic::Existed { partitions });
                    }
                    return self.create_topic(partitions, stopped);
                }
                Err(error) => {
                    if !said {
                        said = true;
                        let reason = error
                            .rdkafka_error_code()
                            .map_or_else(|| error.to_string(), |code| code.to_string());
                        report(Report::Unreachable { reason });
                    }
                    self.client.poll(RETRY_AFTER);
                }
            }
        }
    }

    fn create_topic(
        &self,
        partitions: u32,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Topic, ProduceError> {
        let failed = |reason: String| ProduceError::NotCreated {
            topic: self.topic.clone(),
            bootstrap: self.bootstrap.clone(),
            reason,
        };
        let count = i32::try_from(partitions).map_err(|_| failed("too many partitions".into()))?;
        let admin: AdminClient<DefaultClientContext> =
            self.config.create().map_err(|error: KafkaError| failed(error.to_string()))?;
        // -1: the broker's own number of replicas.
        let topic = NewTopic::new(&self.topic, count, TopicReplication::Fixed(-1));
        let options = AdminOptions::new()
            .operation_timeout(Some(CREATE_WAIT_MAX))
            .request_timeout(Some(CREATE_WAIT_MAX));
        let results = wait_for(admin.create_topics([&topic], &options), stopped)
            .ok_or(ProduceError::Stopped)?
            .map_err(|error| failed(error.to_string()))?;
        match results.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                Ok(Topic::Existed { partitions })
            }
            Some(Err((_, code))) => Err(failed(code.to_string())),
            Some(Ok(_)) | None => Ok(Topic::Created { partitions }),
        }
    }
}

/// Waits for the one future that this crate meets; `None` if it was stopped before.
fn wait_for<F: Future>(future: F, stopped: &dyn Fn() -> bool) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    while !stopped() {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        std::thread::park_timeout(RETRY_AFTER);
    }
    None
}
