//! Answers of any size, kept within a budget.
//!
//! `/metrics` gives all rows, or samples of all partitions, which may be megabytes. Clients that ask at
//! the same time share one JSON document of a snapshot; everything else is written for each. Those that take it slowly keep it in memory although the job has moved
//! on, so the bytes that are held in all are counted, and beyond [`HELD_BYTES_MAX`] no more is
//! written until some have left.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use strandline_engine::view::Snapshot;

/// Beyond this many bytes of documents in memory, no further one is written. A document may be
/// greater: then it is the only one.
pub(crate) const HELD_BYTES_MAX: usize = 64 << 20;

/// The newest document, and a count of all that are held.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    held_bytes: Arc<AtomicUsize>,
    newest: Mutex<Option<(u64, Bytes)>>,
}

impl Documents {
    /// The document of a snapshot as bytes, or `None` if slow clients hold too much.
    pub(crate) fn json(&self, snapshot: &Snapshot) -> Option<Bytes> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, document)) = &*newest
            && *number == snapshot.number
        {
            return Some(document.clone());
        }
        *newest = None;
        let document = self.hold(|| serde_json::to_vec(&snapshot.document()).ok())?;
        *newest = Some((snapshot.number, document.clone()));
        Some(document)
    }

    /// An answer that is written for one client, or `None` if slow clients hold too much.
    pub(crate) fn hold(&self, write: impl FnOnce() -> Option<Vec<u8>>) -> Option<Bytes> {
        if HELD_BYTES_MAX <= self.held_bytes.load(Ordering::Relaxed) {
            return None;
        }
        let document = write()?;
        self.held_bytes.fetch_add(document.len(), Ordering::Relaxed);
        let held_bytes = Arc::clone(&self.held_bytes);
        Some(Bytes::from_owner(Held { document, held_bytes }))
    }
}

/// A document that is taken off the count when the last who holds it lets go.
struct Held {
    document: Vec<u8>,
    held_bytes: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.document
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held_bytes.fetch_sub(self.document.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use strandline_engine::table::Table;
    use strandline_operators::time::EventTime;

    use super::*;

    fn snapshot(number: u64, topic_bytes: usize) -> Snapshot {
        let rows = "x".repeat(topic_bytes);
        let table = Table::new::<(u64,)>("key", &rows, &["count"]);
        Snapshot { number, ..Snapshot::empty("topic", table.into(), EventTime::from_millis(0)) }
    }

    #[test]
    fn those_who_ask_at_the_same_time_share_one() {
        let documents = Documents::default();
        let (first, second) =
            (documents.json(&snapshot(1, 10)).unwrap(), documents.json(&snapshot(1, 10)).unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_ne!(first.as_ptr(), documents.json(&snapshot(2, 10)).unwrap().as_ptr());
    }

    #[test]
    fn what_slow_clients_hold_is_bounded() {
        let documents = Documents::default();
        let half = HELD_BYTES_MAX / 2;
        let mut slow: Vec<Bytes> =
            (0..2).map(|number| documents.json(&snapshot(number, half)).unwrap()).collect();
        assert!(documents.json(&snapshot(2, half)).is_none());
        assert!(documents.hold(|| Some(vec![0])).is_none(), "of whatever format");
        slow.pop();
        slow.push(documents.hold(|| Some(vec![0; half])).unwrap());
        assert!(documents.json(&snapshot(2, half)).is_none());
        slow.pop();
        assert!(documents.json(&snapshot(2, half)).is_some());
    }
}
