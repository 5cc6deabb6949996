//! Where the entry of a key is, by the key's hash: on the side that reads, the slot of a (partition,
//! key) pair ([`Slots`](super::slots::Slots)), and on the side that merges, its name
//! ([`KeyDictionary`](super::key_dictionary::KeyDictionary)).
//!
//! To look up one of a million keys is to wait for memory, and what counts is how often, and for how
//! many keys at once. A table with control bytes beside its buckets waits twice; this one is a
//! single array, probed linearly, whose buckets hold enough of the hash that another key's entry
//! is hardly ever looked at. And a bucket can be [asked for](Index::prefetch) before it is needed, so that
//! the processor waits for many keys at once.

use serde::{Deserialize, Serialize};

use super::prefetch::prefetch;

/// The number of an entry: a slot, or a key's name.
type EntryId = u32;

/// Buckets of the smallest table.
const BUCKETS_MIN: usize = 8;

/// Decides where keys lie in memory, and nothing else: no result depends on it.
///
/// Whoever sends records chooses their keys. If it could be known where a key lies, keys could be
/// chosen that all lie in one place, and looking one up would cost as much as there are keys. So a
/// process takes a seed that nobody can guess. Where operators are tried, or simulated, the default
/// seed will do, which is a fixed one.
///
/// ```
/// use strandline_operators::window::PlacementSeed;
///
/// assert_ne!(PlacementSeed::from_random(1), PlacementSeed::default());
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementSeed(u64);

impl PlacementSeed {
    /// A seed of 64 random bits.
    pub fn from_random(bits: u64) -> PlacementSeed {
        PlacementSeed(bits)
    }
}

impl Default for PlacementSeed {
    fn default() -> PlacementSeed {
        PlacementSeed(0x9e37_79b9_7f4a_7c15)
    }
}

/// It is a secret of the process.
impl std::fmt::Debug for PlacementSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlacementSeed")
    }
}

/// Half of a key's hash, mixed with the seed, and where its entry is: 8 bytes.
#[derive(Copy, Clone, Debug)]
struct Bucket {
    tag: u32,
    id: EntryId,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { tag: 0, id: EntryId::MAX };

    fn is_empty(self) -> bool {
        self.id == EntryId::MAX
    }
}

/// Ids by hash. Several may have the same hash: whoever looks one up compares the keys.
#[derive(Debug)]
pub(super) struct Index {
    /// As many as a power of two, at most three quarters of them taken; or none at all.
    buckets: Vec<Bucket>,
    len: usize,
    /// Both halves of the seed: what is added, and an odd factor.
    seed: (u64, u64),
}

impl Index {
    /// None yet.
    pub(super) fn new(PlacementSeed(seed): PlacementSeed) -> Index {
        // The increments of SplitMix64 and of Steele's generator: any two that differ will do.
        let mixed =
            |increment: u64| fold(seed ^ increment, 0xbf58_476d_1ce4_e5b9 ^ seed.rotate_left(32));
        let (add, factor) = (mixed(0x9e37_79b9_7f4a_7c15), mixed(0xd1b5_4a32_d192_ed03) | 1);
        Index { buckets: Vec::new(), len: 0, seed: (add, factor) }
    }

    /// How many ids there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Asks for the memory in which [`find`](Self::find) will begin its search for `hash`.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(bucket) = self.buckets.get(self.home(self.tag(hash))) {
            prefetch(bucket);
        }
    }

    /// The id for which `is_it` holds among those with this hash. O(1).
    #[inline]
    pub(super) fn find(
        &self,
        hash: u64,
        mut is_it: impl FnMut(EntryId) -> bool,
    ) -> Option<EntryId> {
        let tag = self.tag(hash);
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
    pub(super) fn insert(&mut self, hash: u64, id: EntryId) {
        if self.buckets.len() * 3 < (self.len + 1) * 4 {
            let larger = vec![Bucket::EMPTY; (self.buckets.len() * 2).max(BUCKETS_MIN)];
            let buckets = std::mem::replace(&mut self.buckets, larger);
            for bucket in buckets.into_iter().filter(|bucket| !bucket.is_empty()) {
                self.put(bucket);
            }
        }
        self.put(Bucket { tag: self.tag(hash), id });
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
    pub(super) fn remove(&mut self, hash: u64, id: EntryId) {
        let mut hole = self.home(self.tag(hash));
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

    /// What a bucket holds of a hash. Keys whose hashes are equal in many bits, which are easily
    /// found, are as far apart as others to whoever does not know the seed.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "half of it is meant")]
    pub(super) fn tag(&self, hash: u64) -> u32 {
        let (add, factor) = self.seed;
        fold(hash ^ add, factor) as u32
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

/// The two halves of a product, one over the other: each bit depends on all bits of both factors.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
impl Index {
    /// How many buckets are looked at, at most, to find any of the ids.
    pub(super) fn longest_search(&self) -> usize {
        let taken = self.buckets.iter().enumerate().filter(|(_, bucket)| !bucket.is_empty());
        let search =
            |(place, bucket): (usize, &Bucket)| self.distance(self.home(bucket.tag), place) + 1;
        taken.map(search).max().unwrap_or(0)
    }
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
            let mut index = Index::new(PlacementSeed::default());
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
        let mut index = Index::new(PlacementSeed::default());
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
