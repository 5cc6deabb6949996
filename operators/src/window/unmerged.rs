//! How much the workers of a process have sent each other and not merged yet.
//!
//! Event time bounds how far workers may run apart, but a minute of a busy topic is gigabytes. So bytes
//! are counted too, and whoever reads waits while there are too many. Only reading waits: an epoch is
//! left, and completed, without it, and then what was set aside for the next one is merged. So the
//! count goes down again whatever it is, as long as the workers run.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module. Clones share one count; by default, nothing is counted.
#[derive(Clone, Debug, Default)]
pub struct Unmerged(Option<Arc<Count>>);

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
        Unmerged(Some(Arc::default()))
    }

    /// Bytes that were sent and not merged.
    pub fn bytes(&self) -> u64 {
        let count = self.0.as_ref().map_or(0, |count| count.bytes.load(Ordering::SeqCst));
        u64::try_from(count).unwrap_or(0)
    }

    /// So many bytes were sent.
    pub fn sent(&self, bytes: usize) {
        if let Some(count) = &self.0 {
            count.bytes.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// So many bytes were merged: whoever waits for it looks again.
    pub(super) fn merged(&self, bytes: usize) {
        let Some(count) = self.0.as_ref().filter(|_| bytes > 0) else { return };
        count.bytes.fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::SeqCst);
        if count.is_awaited.load(Ordering::SeqCst) && count.is_awaited.swap(false, Ordering::SeqCst)
        {
            let wakes = count.wakes.lock().unwrap_or_else(PoisonError::into_inner);
            wakes.iter().for_each(|wake| wake());
        }
    }

    /// Has `wake` called when bytes are merged that are [waited](Self::exceeds) for.
    pub fn on_merged(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Some(count) = &self.0 {
            count.wakes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(wake));
        }
    }

    /// Whether more than `max` bytes are not merged. If so, it is told when some are.
    pub fn exceeds(&self, max: u64) -> bool {
        if self.bytes() <= max {
            return false;
        }
        if let Some(count) = &self.0 {
            count.is_awaited.store(true, Ordering::SeqCst);
        }
        // What is merged before this was said wakes nobody.
        self.bytes() > max
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn who_waits_is_woken_once_something_was_merged() {
        let unmerged = Unmerged::counted();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        unmerged.on_merged(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        unmerged.sent(100);
        assert!(!unmerged.exceeds(100));
        unmerged.merged(10);
        assert_eq!(woken.load(Ordering::SeqCst), 0, "nobody waits");
        assert!(unmerged.exceeds(80));
        unmerged.merged(5);
        unmerged.merged(5);
        assert_eq!((woken.load(Ordering::SeqCst), unmerged.bytes()), (1, 80));
        assert!(!unmerged.exceeds(80));
        let none = Unmerged::default();
        none.sent(100);
        assert!(!none.exceeds(0));
    }
}
