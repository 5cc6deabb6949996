//! Where the entry of a key is, by the key's hash: on the side that reads, the slot of a (partition,
//! key) pair ([`Slots`](super::slots::Slots)), and on the side that merges, its name
//! ([`Names`](super::names::Names)).
//!
//! To look up one of a million keys is to wait for memory, and what counts is how often, and for how
//! many keys at once. A table with control bytes beside its buckets waits twice; this one is a
//! single array, probed linearly, whose buckets hold enough of the hash that another key's entry
//! is hardly ever looked at. And a bucket can be [asked for](Index::bring) before it is needed, so that
//! the processor waits for many keys at once.

use super::names::KeyId;
use super::near;

/// Buckets of the smallest table.
const BUCKETS_MIN: usize = 8;

/// Half of a key's hash, and where its entry is: 8 bytes.
#[derive(Copy, Clone, Debug)]
struct Bucket {
    tag: u32,
    id: KeyId,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { tag: 0, id: KeyId::MAX };

    fn is_empty(self) -> bool {
        self.id == KeyId::MAX
    }
}

/// Ids by hash. Several may have the same hash: whoever looks one up compares the keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// As many as a power of two, at most three quarters of them taken; or none at all.
    buckets: Vec<Bucket>,
    len: usize,
}

impl Index {
    /// How many ids there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Asks for the memory in which [`find`](Self::find) will begin its search for `hash`.
    #[inline]
    pub(super) fn bring(&self, hash: u64) {
        if let Some(bucket) = self.buckets.get(self.home(tag(hash))) {
            near::bring(bucket);
        }
    }

    /// The id for which `is_it` holds among those with this hash. O(1).
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(KeyId) -> bool) -> Option<KeyId> {
        let tag = tag(hash);
        let mut place = self.home(tag);
        while let Some(bucket) = self.buckets.get(place).filter(|bucket| !bucket.is_empty()) {
            if bucket.tag == tag && is_it(bucket.id) {
                return Some(bucket.id);
            }
            place = self.after(place);
        }
        None
    }

    /// Adds an id. Amortised O(1).
    pub(super) fn insert(&mut self, hash: u64, id: KeyId) {
        if self.buckets.len() * 3 < (self.len + 1) * 4 {
            let larger = vec![Bucket::EMPTY; (self.buckets.len() * 2).max(BUCKETS_MIN)];
            let buckets = std::mem::replace(&mut self.buckets, larger);
            for bucket in buckets.into_iter().filter(|bucket| !bucket.is_empty()) {
                self.put(bucket);
            }
        }
        self.put(Bucket { tag: tag(hash), id });
        self.len += 1;
    }

    fn put(&mut self, bucket: Bucket) {
        let mut place = self.home(bucket.tag);
        while !self.buckets[place].is_empty() {
            place = self.after(place);
        }
        self.buckets[place] = bucket;
    }

    /// Takes away an id that has this hash. O(1).
    pub(super) fn remove(&mut self, hash: u64, id: KeyId) {
        let mut hole = self.home(tag(hash));
        while self.buckets.get(hole).is_some_and(|bucket| bucket.id != id) {
            if self.buckets[hole].is_empty() {
                return;
            }
            hole = self.after(hole);
        }
        let Some(_) = self.buckets.get(hole) else { return };
        self.len -= 1;
        // Whatever was put further on because this place was taken moves up, so that no search
        // ends at the hole.
        let mut place = hole;
        loop {
            place = self.after(place);
            let bucket = self.buckets[place];
            if bucket.is_empty() {
                break;
            }
            if self.distance(hole, place) <= self.distance(self.home(bucket.tag), place) {
                self.buckets[hole] = bucket;
                hole = place;
            }
        }
        self.buckets[hole] = Bucket::EMPTY;
    }

    /// Where the search for a tag begins.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        tag as usize & self.buckets.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.buckets.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.buckets.len() - 1)
    }
}

/// The half of a hash that a bucket holds. Which worker has a key is decided by the other half
/// ([`KeyGroup`](super::KeyGroup)), so the keys of a worker differ here.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "half of it is meant")]
fn tag(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes are few, and at the end of the table too, so that runs are long and wrap around.
        #[test]
        fn it_holds_what_was_inserted_and_not_removed(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..12, 0_u32..24), 0..200),
        ) {
            let mut index = Index::default();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (insert, hash, id) in steps {
                let hash = hash.wrapping_sub(4);
                if insert {
                    if let std::collections::btree_map::Entry::Vacant(vacant) = model.entry(id) {
                        vacant.insert(hash);
                        index.insert(hash, id);
                    }
                } else if let Some(hash) = model.remove(&id) {
                    index.remove(hash, id);
                } else {
                    index.remove(hash, id);
                }
                prop_assert_eq!(index.len(), model.len());
                for id in 0..24 {
                    let hash = model.get(&id);
                    for other in (0..12_u64).map(|hash| hash.wrapping_sub(4)) {
                        let found = index.find(other, |found| found == id).is_some();
                        prop_assert_eq!(found, hash == Some(&other));
                    }
                }
            }
        }
    }

    #[test]
    fn the_entries_of_other_keys_are_not_looked_at() {
        let mut index = Index::default();
        for id in 0..1_000 {
            index.insert(u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15), id);
        }
        for id in 0..1_000 {
            let hash = u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(index.find(hash, |found| found == id || panic!("{found}")), Some(id));
        }
        assert_eq!(index.find(1, |found| panic!("{found}")), None);
    }
}
