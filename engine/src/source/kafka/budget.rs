//! What a process may hold of messages between Kafka and its workers, in bytes.
//!
//! One budget, whatever the number of partitions, shared by the readers of the process. Half of it is
//! for what was fetched and waits as it came, a quarter for what is unpacked of it, and a message may
//! have another quarter: one that is larger is not handed over whole.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::source::Wake;

/// The budget, unless the settings say otherwise.
pub const MEMORY_IN_FLIGHT: u64 = 256 << 20;
/// The least budget: with less, messages of a usual size would be too large.
pub const MEMORY_IN_FLIGHT_MIN: u64 = 16 << 20;
/// How much of a message that is too large is handed over.
pub(super) const FIRST_PART_BYTES: usize = 64 << 10;
/// Bytes of payloads after which the other partitions have their turn: what is rejected is copied.
pub(super) const BYTES_PER_READ: usize = 4 << 20;

/// The budget of one process.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    readers: AtomicUsize,
    unpacks_much: Mutex<()>,
    apart: Mutex<Apart>,
}

/// Who reads a batch apart from the others, and who waits for that.
#[derive(Debug, Default)]
struct Apart {
    busy: bool,
    waiting: Vec<Wake>,
}

/// Permission to have the client unpack a batch that is larger than it usually may; one of a process
/// has it at a time.
#[derive(Debug)]
pub(super) struct Permit(Arc<Budget>);

/// The part of one reader; all parts are equal.
#[derive(Debug)]
pub(super) struct Share(Arc<Budget>);

impl Budget {
    pub(super) fn new(bytes: u64) -> Arc<Budget> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let (readers, unpacks_much) = (AtomicUsize::new(0), Mutex::new(()));
        Arc::new(Budget { bytes, readers, unpacks_much, apart: Mutex::default() })
    }

    /// Another reader of the process.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Share(Arc::clone(self))
    }

    /// The permission, or none if somebody has it: `wake` is called when it is free.
    pub(super) fn permit(self: &Arc<Self>, wake: &Wake) -> Option<Permit> {
        let mut apart = self.apart();
        if std::mem::replace(&mut apart.busy, true) {
            apart.waiting.push(wake.clone());
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }

    fn apart(&self) -> MutexGuard<'_, Apart> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the largest payload that is handed over whole. It does not depend on how many readers
    /// there are: which messages are dead letters must not.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.bytes / 4
    }
}

impl Share {
    fn of(&self, bytes: usize) -> usize {
        bytes / self.0.readers.load(Ordering::Relaxed).max(1)
    }

    /// Bytes that the reader may hold as they were fetched.
    pub(super) fn packed_bytes(&self) -> usize {
        self.of(self.0.bytes / 2)
    }

    /// Bytes that the reader may hold unpacked, with what unpacks them.
    pub(super) fn unpacked_bytes(&self) -> usize {
        self.of(self.0.bytes / 4)
    }

    /// See [`Budget::message_bytes_max`].
    pub(super) fn message_bytes_max(&self) -> usize {
        self.0.message_bytes_max()
    }

    /// Waits until no other reader unpacks more than its share, so that one does at a time. Nobody
    /// holds this for longer than a read.
    pub(super) fn unpack_much(&self) -> MutexGuard<'_, ()> {
        self.0.unpacks_much.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut apart = self.0.apart();
        apart.busy = false;
        let waiting = std::mem::take(&mut apart.waiting);
        drop(apart);
        waiting.iter().for_each(Wake::wake);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A payload as it is handed over: whole, or its first part and how many bytes it has.
#[inline]
pub(super) fn handed_over(payload: Option<&[u8]>, max: usize) -> (Option<&[u8]>, Option<u64>) {
    match payload {
        Some(payload) if max < payload.len() => first_part(payload),
        payload => (payload, None),
    }
}

#[cold]
fn first_part(payload: &[u8]) -> (Option<&[u8]>, Option<u64>) {
    (Some(&payload[..FIRST_PART_BYTES.min(payload.len())]), Some(payload.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_what_a_process_may_hold() {
        let budget = Budget::new(64 << 20);
        let one = budget.share();
        assert_eq!((one.packed_bytes(), one.unpacked_bytes()), (32 << 20, 16 << 20));
        let other = budget.share();
        assert_eq!((one.packed_bytes(), other.unpacked_bytes()), (16 << 20, 8 << 20));
        drop(other);
        assert_eq!(one.packed_bytes(), 32 << 20);
        assert_eq!(budget.message_bytes_max(), 16 << 20, "however many readers there are");
    }

    #[test]
    fn one_at_a_time_reads_apart_and_who_waits_is_woken() {
        let budget = Budget::new(64 << 20);
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let wake = Wake::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let first = budget.permit(&wake).unwrap();
        assert!(budget.permit(&wake).is_none() && woken.load(Ordering::Relaxed) == 0);
        drop(first);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert!(budget.permit(&wake).is_some());
    }

    #[test]
    fn a_payload_that_is_too_large_is_cut() {
        let payload = vec![7; FIRST_PART_BYTES + 2];
        assert_eq!(handed_over(None, 5), (None, None));
        assert_eq!(handed_over(Some(&payload), payload.len()), (Some(&payload[..]), None));
        let first = &payload[..FIRST_PART_BYTES];
        let bytes = payload.len() as u64;
        assert_eq!(handed_over(Some(&payload), payload.len() - 1), (Some(first), Some(bytes)));
    }
}
