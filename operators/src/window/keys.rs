//! Keys as small numbers, so that a record costs one hash and one comparison, and a key's bytes
//! cross to another worker once.
//!
//! The sending side numbers the (partition, key) pairs that it meets: a [`Slot`]. It tells the
//! worker that merges the key which name a slot stands for before it first uses the slot, on the
//! same channel, so that the receiving side ([`Names`]) always knows. Both sides forget what is no
//! longer used: keys come and go, and memory follows the keys in use, not the keys ever seen.

use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::record::{Key, Partition};

/// A (partition, key) pair of one sender.
pub(super) type Slot = u32;

/// Which worker merges a key: the same in every process and build.
pub(super) fn route(key: Key<'_>) -> u64 {
    xxh3_64(key.as_bytes())
}

/// What a sender keeps of a slot.
#[derive(Debug)]
pub(super) struct SlotEntry {
    pub(super) route: u64,
    pub(super) partition: Partition,
    /// The panes that the slot's last records went to.
    pub(super) recent: [Recent; 2],
    key: Box<str>,
    used: bool,
}

/// A pane of the current flush: valid while its flush is.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Recent {
    pub(super) flush: u32,
    pub(super) pane: u32,
}

/// The sender's side.
#[derive(Debug)]
pub(super) struct Slots {
    entries: Vec<SlotEntry>,
    index: HashTable<Slot>,
    free: Vec<Slot>,
    sweep_at: usize,
}

/// Fewer slots than this are not swept, a number of slots.
const SWEEP_SLOTS_MIN: usize = 1 << 16;

impl Slots {
    pub(super) fn new() -> Slots {
        Slots {
            entries: Vec::new(),
            index: HashTable::new(),
            free: Vec::new(),
            sweep_at: SWEEP_SLOTS_MIN,
        }
    }

    /// The slot of a key, and whether it is new.
    #[inline]
    pub(super) fn slot(&mut self, partition: Partition, key: Key<'_>) -> (Slot, bool) {
        let route = route(key);
        let hash = hash(route, partition);
        let entries = &self.entries;
        let found = self.index.find(hash, |slot| {
            let entry = &entries[*slot as usize];
            entry.route == route && entry.partition == partition && key == *entry.key
        });
        if let Some(slot) = found {
            let slot = *slot;
            self.entries[slot as usize].used = true;
            return (slot, false);
        }
        (self.insert(route, partition, key), true)
    }

    #[cold]
    fn insert(&mut self, route: u64, partition: Partition, key: Key<'_>) -> Slot {
        let recent = [Recent::default(); 2];
        let entry = SlotEntry { route, partition, recent, key: key.as_str().into(), used: true };
        let slot = if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            slot
        } else {
            let slot = Slot::try_from(self.entries.len()).expect("fewer than 2^32 keys in use");
            self.entries.push(entry);
            slot
        };
        let entries = &self.entries;
        self.index.insert_unique(hash(route, partition), slot, |slot| {
            let entry = &entries[*slot as usize];
            hash(entry.route, entry.partition)
        });
        slot
    }

    pub(super) fn entry(&mut self, slot: Slot) -> &mut SlotEntry {
        &mut self.entries[slot as usize]
    }

    /// Makes every [`Recent`] invalid.
    #[cold]
    pub(super) fn forget_recent(&mut self) {
        for entry in &mut self.entries {
            entry.recent = [Recent::default(); 2];
        }
    }

    /// Forgets the slots that were not used since the last sweep, if there are many slots, and
    /// says which: `forgotten(slot, route)`. Only where no pane refers to a slot. Amortised O(1)
    /// per new key.
    pub(super) fn sweep(&mut self, mut forgotten: impl FnMut(Slot, u64)) {
        if self.index.len() < self.sweep_at {
            return;
        }
        let (entries, free) = (&mut self.entries, &mut self.free);
        self.index.retain(|slot| {
            let entry = &mut entries[*slot as usize];
            let keep = std::mem::take(&mut entry.used);
            if !keep {
                entry.key = Box::default();
                free.push(*slot);
                forgotten(*slot, entry.route);
            }
            keep
        });
        self.sweep_at = (2 * self.index.len()).max(SWEEP_SLOTS_MIN);
    }
}

fn hash(route: u64, partition: Partition) -> u64 {
    // XXH3 has mixed the key already; the partition only has to tell equal keys apart.
    route ^ u64::from(partition.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A key of the merging side.
pub(super) type KeyId = u32;

/// The hash of a name is not kept: it is needed when a name comes and goes, and a million names
/// would be 8 MB larger.
#[derive(Debug)]
struct NameEntry {
    name: Arc<str>,
    references: u32,
}

impl NameEntry {
    fn route(&self) -> u64 {
        route((&*self.name).into())
    }
}

/// What a slot of a sender stands for: 8 bytes.
#[derive(Copy, Clone, Debug)]
struct Meaning {
    key: KeyId,
    partition: Partition,
}

impl Meaning {
    /// Of a slot that stands for nothing.
    const NONE: Meaning = Meaning { key: KeyId::MAX, partition: Partition(0) };
}

/// The receiving side: what the slots of every sender stand for, and the names of all keys that a
/// slot or a pane refers to.
#[derive(Debug, Default)]
pub(super) struct Names {
    senders: Vec<Vec<Meaning>>,
    entries: Vec<Option<NameEntry>>,
    index: HashTable<KeyId>,
    free: Vec<KeyId>,
}

impl Names {
    /// A sender will use `slot` for `key`.
    pub(super) fn learn(&mut self, sender: u32, slot: Slot, partition: Partition, key: &str) {
        let key = self.acquire(key);
        let (sender, slot) = (sender as usize, slot as usize);
        if self.senders.len() <= sender {
            self.senders.resize_with(sender + 1, Vec::new);
        }
        let slots = &mut self.senders[sender];
        if slots.len() <= slot {
            slots.resize(slot + 1, Meaning::NONE);
        }
        slots[slot] = Meaning { key, partition };
    }

    /// A sender will not use `slot` again for what it stood for.
    pub(super) fn forget(&mut self, sender: u32, slot: Slot) {
        let known = self.senders.get_mut(sender as usize).and_then(|s| s.get_mut(slot as usize));
        let known = known.map(|known| std::mem::replace(known, Meaning::NONE));
        if let Some(Meaning { key, .. }) = known.filter(|known| known.key != KeyId::MAX) {
            self.release(key);
        }
    }

    /// What `slot` stands for.
    ///
    /// # Panics
    ///
    /// If the sender has not said so: channels keep their order, so that is a broken invariant.
    #[inline]
    pub(super) fn resolve(&self, sender: u32, slot: Slot) -> (KeyId, Partition) {
        let Meaning { key, partition } = self.senders[sender as usize][slot as usize];
        assert!(key != KeyId::MAX, "a name comes before its first use");
        (key, partition)
    }

    /// The id of `key`, with one more reference to it.
    pub(super) fn acquire(&mut self, key: &str) -> KeyId {
        let route = route(key.into());
        let entries = &self.entries;
        let is_key =
            |id: &KeyId| entries[*id as usize].as_ref().is_some_and(|entry| *entry.name == *key);
        if let Some(id) = self.index.find(route, is_key) {
            let id = *id;
            self.retain(id);
            return id;
        }
        let entry = Some(NameEntry { name: key.into(), references: 1 });
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            let id = KeyId::try_from(self.entries.len() - 1).ok();
            id.filter(|id| *id != KeyId::MAX).expect("fewer than 2^32 - 1 keys in use")
        };
        let entries = &self.entries;
        self.index.insert_unique(route, id, |id| {
            entries[*id as usize].as_ref().map_or(0, NameEntry::route)
        });
        id
    }

    /// One more reference to a key.
    pub(super) fn retain(&mut self, id: KeyId) {
        if let Some(entry) = &mut self.entries[id as usize] {
            entry.references += 1;
        }
    }

    /// One reference less; the last one frees the key.
    pub(super) fn release(&mut self, id: KeyId) {
        let entry = &mut self.entries[id as usize];
        let Some(known) = entry else { return };
        known.references -= 1;
        if known.references == 0 {
            let route = known.route();
            *entry = None;
            if let Ok(found) = self.index.find_entry(route, |other| *other == id) {
                found.remove();
            }
            self.free.push(id);
        }
    }

    /// The key's name.
    pub(super) fn name(&self, id: KeyId) -> Arc<str> {
        let entry = self.entries[id as usize].as_ref().expect("a referenced key has a name");
        Arc::clone(&entry.name)
    }

    /// How many keys are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_two_partitions_has_two_slots_and_one_name() {
        let mut slots = Slots::new();
        let (a, new_a) = slots.slot(Partition(0), "k".into());
        let (b, new_b) = slots.slot(Partition(1), "k".into());
        assert!(new_a && new_b && a != b);
        assert_eq!(slots.slot(Partition(0), "k".into()), (a, false));
        let mut names = Names::default();
        names.learn(0, a, Partition(0), "k");
        names.learn(0, b, Partition(1), "k");
        assert_eq!(names.resolve(0, a).0, names.resolve(0, b).0);
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn keys_that_are_no_longer_used_are_forgotten_on_both_sides() {
        let (mut slots, mut names) = (Slots::new(), Names::default());
        for round in 0..20 {
            for i in 0..SWEEP_SLOTS_MIN {
                let key = format!("{round}-{i}");
                let (slot, new) = slots.slot(Partition(0), Key::from(&*key));
                assert!(new);
                names.learn(0, slot, Partition(0), &key);
            }
            slots.sweep(|slot, _| names.forget(0, slot));
        }
        assert!(slots.entries.len() <= 4 * SWEEP_SLOTS_MIN, "{}", slots.entries.len());
        assert_eq!(names.len(), slots.index.len());
        let (slot, new) = slots.slot(Partition(0), "19-7".into());
        assert!(!new);
        assert_eq!(&*names.name(names.resolve(0, slot).0), "19-7");
    }

    #[test]
    fn a_name_lives_while_a_pane_refers_to_it() {
        let mut names = Names::default();
        names.learn(3, 0, Partition(0), "k");
        let (id, _) = names.resolve(3, 0);
        names.retain(id);
        names.forget(3, 0);
        assert_eq!(&*names.name(id), "k");
        names.release(id);
        assert_eq!(names.len(), 0);
    }
}
