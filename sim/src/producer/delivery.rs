//! What the Kafka client calls back: deliveries, failures, and whether there is a broker.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use strandline_operators::record::{Offset, Partition};

use super::reader_bound::{Amount, ReaderBound};

/// Takes the client's reports. They are all made from the thread that polls the client.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) failed: AtomicU64,
    /// Whether no broker answers.
    pub(super) unreachable: AtomicBool,
    last_error: Mutex<Option<String>>,
    /// What each message of the present run has beside its key and payload.
    filler_bytes: AtomicUsize,
    bound: Option<Mutex<Bounded>>,
}

#[derive(Debug)]
struct Bounded {
    bound: ReaderBound,
    /// What has been delivered or given up.
    settled: Amount,
}

impl Deliveries {
    pub(super) fn new(bound: Option<ReaderBound>) -> Deliveries {
        let bound = bound.map(|bound| Mutex::new(Bounded { bound, settled: Amount::default() }));
        Deliveries { bound, ..Deliveries::default() }
    }

    /// How many messages may be sent now, if there is a bound, where `sent` have been sent before.
    pub(super) fn room(&self, sent: Amount) -> Option<u64> {
        let mut bounded = lock(self.bound.as_ref()?);
        let mut queued = sent;
        queued.subtract(bounded.settled);
        let filler_bytes = self.filler_bytes.load(Ordering::Relaxed) as u64;
        Some(bounded.bound.room(queued, filler_bytes))
    }

    pub(super) fn set_filler(&self, bytes: usize) {
        self.filler_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.bound.is_some()
    }

    /// What the client said last when something failed.
    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    fn remember(&self, error: String) {
        *lock(&self.last_error) = Some(error);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Deliveries {
    // What matters comes as errors; the client's own lines say it again, several times.
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _line: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.unreachable.store(true, Ordering::Relaxed);
        } else {
            self.remember(reason.to_owned());
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (message, delivered) = match result {
            Ok(message) => (message, true),
            Err((error, message)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.remember(error.to_string());
                (message, false)
            }
        };
        let Some(bounded) = &self.bound else { return };
        let filler_bytes = self.filler_bytes.load(Ordering::Relaxed);
        let amount = Amount::message(message.key_len() + message.payload_len() + filler_bytes);
        let mut bounded = lock(bounded);
        bounded.settled.add(amount);
        if delivered
            && let (Ok(partition), Ok(offset)) =
                (u32::try_from(message.partition()), u64::try_from(message.offset()))
        {
            bounded.bound.delivered(Partition(partition), Offset(offset), amount);
        }
    }
}
