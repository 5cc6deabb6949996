//! How much the workers of a process have sent each other and not merged yet.
//!
//! Event time bounds how far workers may run apart, but a minute of a busy topic is gigabytes. So bytes
//! are counted too, and whoever reads waits while there are too many. Only reading waits: an epoch is
//! left, and completed, without it, and then what was set aside for the next one is merged. So the
//! count goes down again whatever it is, as long as the workers run.
//!
//! Within a process it goes down as bytes are merged. What another process merges is not heard of, but
//! an epoch is complete when all of it is merged everywhere: so with several processes, what was sent
//! in an epoch counts until that is complete. So do rejected records, always: whoever writes them keeps
//! those of an epoch until the one before it is complete, and they move no event time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module. Clones share one count; by default, nothing is counted.
#[derive(Clone, Debug, Default)]
pub struct Unmerged {
    /// Counts until it is merged.
    merged: Option<Arc<Count>>,
    /// Counts until its epoch is complete.
    epochs: Option<Arc<Mutex<BTreeMap<u64, u64>>>>,
}

#[derive(Default)]
struct Count {
    /// Less than none for a moment, if what was sent is merged before it is counted.
    bytes: AtomicI64,
    is_awaited: AtomicBool,
    wakes: Mutex<Vec<Wake>>,
}

type Wake = Box<dyn Fn() + Send + Sync>;

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Count").field(&self.bytes).finish()
    }
}

impl Unmerged {
    /// Counts what the workers of one process send each other. They have to be all workers: what goes
    /// to another process is merged there.
    pub fn counted() -> Unmerged {
        Unmerged { merged: Some(Arc::default()), epochs: Some(Arc::default()) }
    }

    /// Counts what the workers of one process send to all workers, of this process and of others, until
    /// its epoch is [complete](Self::complete_before).
    pub fn counted_by_epochs() -> Unmerged {
        Unmerged { merged: None, epochs: Some(Arc::default()) }
    }

    /// Bytes that were sent and not merged, or rejected in an epoch that is not complete.
    pub fn bytes(&self) -> u64 {
        let merged = self.merged.as_ref().map_or(0, |count| count.bytes.load(Ordering::SeqCst));
        u64::try_from(merged).unwrap_or(0) + self.bytes_of_epochs()
    }

    /// Bytes that count until their epoch is complete, and not until they are merged.
    pub fn bytes_of_epochs(&self) -> u64 {
        self.epochs.as_deref().map_or(0, |epochs| lock(epochs).values().sum())
    }

    /// Those of an epoch: leaving it lets them go, which it does not for others.
    pub fn bytes_of(&self, epoch: u64) -> u64 {
        let bytes = |epochs| lock(epochs).get(&epoch).copied();
        self.epochs.as_deref().and_then(bytes).unwrap_or(0)
    }

    /// So many bytes were sent, of an epoch.
    pub fn sent(&self, epoch: u64, bytes: usize) {
        match &self.merged {
            Some(count) => {
                count.bytes.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::SeqCst);
            }
            None => self.rejected(epoch, bytes),
        }
    }

    /// So many bytes were rejected, in an epoch.
    pub fn rejected(&self, epoch: u64, bytes: usize) {
        if let Some(epochs) = &self.epochs
            && bytes > 0
        {
            *lock(epochs).entry(epoch).or_default() += bytes as u64;
        }
    }

    /// So many bytes were merged: whoever waits for it looks again.
    pub(super) fn merged(&self, bytes: usize) {
        let Some(count) = &self.merged else { return };
        if bytes == 0 {
            return;
        }
        count.bytes.fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::SeqCst);
        if count.is_awaited.load(Ordering::SeqCst) && count.is_awaited.swap(false, Ordering::SeqCst)
        {
            let wakes = count.wakes.lock().unwrap_or_else(PoisonError::into_inner);
            wakes.iter().for_each(|wake| wake());
        }
    }

    /// The epochs before this one are complete: everything of them is merged, on all workers. Whoever
    /// waits for that has to look again by itself.
    pub fn complete_before(&self, epoch: u64) {
        if let Some(epochs) = &self.epochs {
            let mut epochs = lock(epochs);
            *epochs = epochs.split_off(&epoch);
        }
    }

    /// Has `wake` called when bytes are merged that are [waited](Self::exceeds) for.
    pub fn on_merged(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Some(count) = &self.merged {
            count.wakes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(wake));
        }
    }

    /// Whether more than `max` bytes are not merged. If so, it is told when some are.
    pub fn exceeds(&self, max: u64) -> bool {
        if self.bytes() <= max {
            return false;
        }
        if let Some(count) = &self.merged {
            count.is_awaited.store(true, Ordering::SeqCst);
        }
        // What is merged before this was said wakes nobody.
        self.bytes() > max
    }
}

fn lock(epochs: &Mutex<BTreeMap<u64, u64>>) -> MutexGuard<'_, BTreeMap<u64, u64>> {
    epochs.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn what_is_rejected_counts_until_its_epoch_is_complete_and_not_until_something_is_merged() {
        let unmerged = Unmerged::counted();
        unmerged.sent(1, 10);
        unmerged.rejected(1, 100);
        unmerged.rejected(2, 7);
        unmerged.merged(10);
        assert_eq!((unmerged.bytes(), unmerged.bytes_of(2), unmerged.exceeds(106)), (107, 7, true));
        unmerged.complete_before(2);
        assert_eq!((unmerged.bytes(), unmerged.bytes_of_epochs()), (7, 7));
    }

    #[test]
    fn who_waits_is_woken_once_something_was_merged() {
        let unmerged = Unmerged::counted();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        unmerged.on_merged(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        unmerged.sent(1, 100);
        assert!(!unmerged.exceeds(100));
        unmerged.merged(10);
        assert_eq!(woken.load(Ordering::SeqCst), 0, "nobody waits");
        assert!(unmerged.exceeds(80));
        unmerged.merged(5);
        unmerged.merged(5);
        assert_eq!((woken.load(Ordering::SeqCst), unmerged.bytes()), (1, 80));
        assert!(!unmerged.exceeds(80));
        let none = Unmerged::default();
        none.sent(1, 100);
        assert!(!none.exceeds(0));
    }

    #[test]
    fn with_other_processes_what_was_sent_counts_until_its_epoch_is_complete() {
        let unmerged = Unmerged::counted_by_epochs();
        for epoch in [3, 4, 4, 5] {
            unmerged.sent(epoch, 10);
        }
        unmerged.merged(40);
        assert_eq!((unmerged.bytes(), unmerged.exceeds(39)), (40, true), "some may be elsewhere");
        assert_eq!([3, 4, 6].map(|epoch| unmerged.bytes_of(epoch)), [10, 20, 0]);
        // Two workers hear of it, one after the other.
        for _ in 0..2 {
            unmerged.complete_before(5);
            assert_eq!((unmerged.bytes(), unmerged.exceeds(10)), (10, false));
        }
        // Late, by a worker that leaves the epoch last.
        unmerged.sent(5, 1);
        unmerged.complete_before(6);
        assert_eq!(unmerged.bytes(), 0);
    }
}
