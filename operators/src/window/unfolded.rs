//! Records that are not folded before the exchange, by the group of their keys.
//!
//! Where there are a million keys, nearly every record has to wait for memory at the worker that
//! merges its key: for the key's name, for its pane. It waits much less if those that come one after
//! another lie near each other. So the sender sorts: it keeps its unfolded records by the group of their
//! keys, each group in lists that grow at their ends, and a group's records cross together. The
//! receiver keeps what belongs to a group together too ([`KeyDictionary`](super::key_dictionary::KeyDictionary)), and has to
//! have only a 256th part of its state near at a time. (Databases aggregate by many keys in the same
//! way: they partition first, so that a part fits into a cache.)

use serde::{Deserialize, Serialize};

use super::key_group::{KEY_GROUPS, KeyGroup};
use super::prefetch::prefetch;
use crate::record::{Key, Offset, Partition};
use crate::time::EventTime;

/// A record, as it was decoded. The bytes of its key are in its [batch](UnfoldedBatch).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UnfoldedRecord<V> {
    /// Of its key.
    pub(super) route: u64,
    pub(super) start: EventTime,
    pub(super) offset: Offset,
    pub(super) partition: Partition,
    key_bytes: u32,
    pub(super) value: V,
}

/// Unfolded records of one group of keys, with the bytes of their keys one after another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UnfoldedBatch<V> {
    group: KeyGroup,
    keys: Vec<u8>,
    records: Vec<UnfoldedRecord<V>>,
}

impl<V> UnfoldedBatch<V> {
    fn new(group: KeyGroup, records: usize, key_bytes: usize) -> UnfoldedBatch<V> {
        let (keys, records) = (Vec::with_capacity(key_bytes), Vec::with_capacity(records));
        UnfoldedBatch { group, keys, records }
    }

    /// Bytes of the records and their keys.
    pub(super) fn bytes(&self) -> usize {
        self.keys.len() + self.records.len() * size_of::<UnfoldedRecord<V>>()
    }

    /// The group of all keys.
    pub(super) fn group(&self) -> KeyGroup {
        self.group
    }

    /// The records, in the order in which they came, with their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key<'_>, &UnfoldedRecord<V>)> {
        let mut keys = &*self.keys;
        self.records.iter().map(move |record| {
            let (key, rest) = keys.split_at(record.key_bytes as usize);
            keys = rest;
            (Key::of_utf8(key), record)
        })
    }
}

/// The unfolded records that a sender holds.
pub(super) struct Unfolded<V> {
    /// By group.
    batches: Vec<UnfoldedBatch<V>>,
    records: usize,
    key_bytes: usize,
}

impl<V> Default for Unfolded<V> {
    fn default() -> Self {
        let batches =
            (0..KEY_GROUPS).map(|group| UnfoldedBatch::new(KeyGroup(group), 0, 0)).collect();
        Unfolded { batches, records: 0, key_bytes: 0 }
    }
}

impl<V> Unfolded<V> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// How many bytes the keys have.
    pub(super) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// Adds a record.
    ///
    /// # Panics
    ///
    /// If the key has 2^32 bytes.
    #[inline]
    pub(super) fn push(
        &mut self,
        (route, key): (u64, Key<'_>),
        start: EventTime,
        (partition, offset): (Partition, Offset),
        value: V,
    ) {
        let bytes = key.as_bytes();
        let key_bytes = u32::try_from(bytes.len()).expect("a key has less than 4 GB");
        let batch = &mut self.batches[KeyGroup::of_route(route).index()];
        batch.keys.extend_from_slice(bytes);
        batch.records.push(UnfoldedRecord { route, start, offset, partition, key_bytes, value });
        self.records += 1;
        self.key_bytes += bytes.len();
        // The next record of this group comes when some hundred others have been written elsewhere.
        if let Some(next) = batch.records.spare_capacity_mut().get(1) {
            prefetch(next);
        }
        if let Some(next) = batch.keys.spare_capacity_mut().get(2 * bytes.len()) {
            prefetch(next);
        }
    }

    /// Takes all records, by group.
    pub(super) fn take(&mut self) -> impl Iterator<Item = UnfoldedBatch<V>> + use<'_, V> {
        (self.records, self.key_bytes) = (0, 0);
        let taken = self.batches.iter_mut().filter(|batch| !batch.records.is_empty());
        taken.map(|batch| {
            // There will be about as many the next time, hardly an eighth more.
            let room = |length: usize| length + length / 8;
            let (records, key_bytes) = (room(batch.records.len()), room(batch.keys.len()));
            let next = UnfoldedBatch::new(batch.group, records, key_bytes);
            std::mem::replace(batch, next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::key_group::route;

    #[test]
    fn records_of_a_group_come_together_in_their_order_with_their_keys() {
        let mut unfolded = Unfolded::default();
        for round in 0..2_u64 {
            let keys: Vec<String> = (0..2_000).map(|number| format!("{round}-{number}")).collect();
            for (offset, key) in (0..).zip(&keys) {
                let routed = (route((&**key).into()), Key::from(&**key));
                let at = (Partition(1), Offset(offset));
                unfolded.push(routed, EventTime::from_millis(7), at, round);
            }
            assert_eq!(unfolded.key_bytes(), keys.iter().map(String::len).sum::<usize>());
            let batches: Vec<_> = unfolded.take().collect();
            assert_eq!((unfolded.len(), unfolded.key_bytes()), (0, 0));
            let mut seen = vec![false; keys.len()];
            for batch in &batches {
                let mut before = None;
                for (key, record) in batch.iter() {
                    assert_eq!(key.as_str(), keys[record.offset.0 as usize]);
                    assert_eq!((record.route, record.value), (route(key), round));
                    assert!(before.replace(record.offset) < Some(record.offset));
                    assert_eq!(batch.group(), KeyGroup::of(key.as_str()));
                    seen[record.offset.0 as usize] = true;
                }
            }
            assert!(seen.into_iter().all(|seen| seen));
            assert_eq!(unfolded.take().count(), 0);
        }
    }
}
