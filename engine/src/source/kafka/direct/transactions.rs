//! Which batches belong to transactions that were aborted.

use std::collections::BTreeSet;

use super::batch::Header;

/// What one answer says of aborted transactions, in the order of its batches.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    /// Producers and the first offsets of their aborted transactions; the earliest comes last.
    coming: Vec<(i64, i64)>,
    /// Producers whose aborted transaction has begun and not ended.
    open: BTreeSet<i64>,
}

impl Aborted {
    /// Takes producers with first offsets, in the order of these.
    pub(super) fn new(mut listed: Vec<(i64, i64)>) -> Aborted {
        listed.reverse();
        Aborted { coming: listed, open: BTreeSet::new() }
    }

    /// Whether the messages of the next batch were aborted.
    pub(super) fn covers(&mut self, batch: &Header) -> bool {
        while let Some(&(producer, _)) =
            self.coming.last().filter(|(_, first)| *first <= batch.last_offset())
        {
            self.coming.pop();
            self.open.insert(producer);
        }
        batch.is_transactional() && self.open.contains(&batch.producer)
    }

    /// The marker came that ends a producer's aborted transaction.
    pub(super) fn end(&mut self, producer: i64) {
        self.open.remove(&producer);
    }
}
