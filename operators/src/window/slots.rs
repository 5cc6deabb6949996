//! Keys as small numbers, at the worker that reads: a record costs one hash and one comparison,
//! and a key's bytes cross to another worker once.
//!
//! The sending side numbers (partition, key) pairs: a [`Slot`]. It tells the worker that merges the
//! key which name a slot stands for before it first uses the slot, on the same channel, so that
//! the receiving side ([`KeyDictionary`](super::key_dictionary::KeyDictionary)) always knows.
//!
//! There are at most [`SLOTS_MAX`] of them. What a slot is good for, that records are folded and
//! names are not sent again, it does for keys that come again soon. Of a million keys that are
//! all used alike hardly any does, and slots for all of them would be looked up far away in
//! memory, for nothing. A key that has no slot travels with its name. Slots that were not used
//! for long are forgotten now and then, so that the keys in use have them, not the first ones.

use smol_str::SmolStr;

use super::index::{Index, PlacementSeed};
use crate::record::{Key, Partition};

/// A (partition, key) pair of one sender.
pub(super) type Slot = u32;

/// Most slots of a sender, a number of slots: twice as many as can be folded into at once.
pub(super) const SLOTS_MAX: usize = 1 << 15;
/// Records without a slot after which slots that none of them used are forgotten. Giving slots to
/// other keys costs as much as some ten records: rarely enough that it does not count.
const SWEEP_AFTER: usize = 1 << 22;
/// Records in a row whose keys are looked up, and then those whose keys are not, where hardly any
/// had a slot: a search that finds nothing waits for memory too.
const SEARCHED: u32 = 1 << 12;
const UNSEARCHED: u32 = 1 << 17;

/// Of a slot that has not had a pane.
const NOWHERE: u32 = u32::MAX;

/// What a sender keeps of a slot: a line of memory, with a key of up to 23 bytes.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct SlotEntry {
    pub(super) route: u64,
    pub(super) partition: Partition,
    /// Where its panes are in the last even and in the last odd window that it was in.
    pub(super) places: [u32; 2],
    /// Empty while the slot stands for nothing.
    key: SmolStr,
    used: bool,
}

/// What a key goes by.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// By a slot that has been announced.
    Known(Slot),
    /// By a slot that has to be announced.
    New(Slot),
    /// By its name.
    Nothing,
}

/// The sender's side.
#[derive(Debug)]
pub(super) struct Slots {
    entries: Vec<SlotEntry>,
    index: Index,
    free: Vec<Slot>,
    /// Records of keys without a slot since unused ones were forgotten.
    without: usize,
    trial: Trial,
}

/// Whether looking for slots pays. It is tried again now and then, for keys change.
#[derive(Debug)]
struct Trial {
    /// Records that are still looked up before it is decided.
    searches: u32,
    /// How many of those before had no slot.
    misses: u32,
    /// Records that are still not looked up.
    rest: u32,
}

impl Default for Trial {
    fn default() -> Trial {
        Trial { searches: SEARCHED, misses: 0, rest: 0 }
    }
}

impl Trial {
    /// Whether the next record is looked up.
    #[inline]
    fn searches(&mut self) -> bool {
        if 0 < self.rest {
            self.rest -= 1;
            return false;
        }
        if self.searches == 0 {
            let hardly_any = SEARCHED - SEARCHED / 8 <= self.misses;
            *self = Trial { rest: if hardly_any { UNSEARCHED } else { 0 }, ..Trial::default() };
            return !hardly_any;
        }
        self.searches -= 1;
        true
    }
}

impl Slots {
    /// None yet.
    pub(super) fn new(seed: PlacementSeed) -> Slots {
        Slots {
            entries: Vec::new(),
            index: Index::new(seed),
            free: Vec::new(),
            without: 0,
            trial: Trial::default(),
        }
    }

    /// The slot of a key, whose [`route`](super::key_group::route) this is. Where hardly any key has one, most are not
    /// looked up, and go by their names.
    #[inline]
    pub(super) fn slot(&mut self, route: u64, partition: Partition, key: Key<'_>) -> Found {
        if !self.trial.searches() {
            self.without += 1;
            return Found::Nothing;
        }
        let entries = &self.entries;
        let found = self.index.find(hash(route, partition), |slot| {
            let entry = &entries[slot as usize];
            entry.route == route && entry.partition == partition && key == *entry.key
        });
        if let Some(slot) = found {
            self.entries[slot as usize].used = true;
            Found::Known(slot)
        } else if self.index.len() < SLOTS_MAX {
            Found::New(self.insert(route, partition, key))
        } else {
            self.without += 1;
            self.trial.misses += 1;
            Found::Nothing
        }
    }

    #[cold]
    fn insert(&mut self, route: u64, partition: Partition, key: Key<'_>) -> Slot {
        let key = SmolStr::new(key.as_str());
        let entry = SlotEntry { route, partition, places: [NOWHERE; 2], key, used: true };
        let slot = if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            slot
        } else {
            let slot = Slot::try_from(self.entries.len()).expect("few slots");
            self.entries.push(entry);
            slot
        };
        self.index.insert(hash(route, partition), slot);
        slot
    }

    pub(super) fn entry(&mut self, slot: Slot) -> &mut SlotEntry {
        &mut self.entries[slot as usize]
    }

    /// Forgets the slots that were not used since the last time, if many records had none, and
    /// says which: `forgotten(slot, route)`. Only where no pane refers to a slot. Amortised O(1)
    /// per record without a slot.
    pub(super) fn sweep(&mut self, mut forgotten: impl FnMut(Slot, u64)) {
        if self.without < SWEEP_AFTER {
            return;
        }
        self.without = 0;
        self.trial = Trial::default();
        for (slot, entry) in (0..).zip(&mut self.entries) {
            let in_use = std::mem::take(&mut entry.used) || entry.key.is_empty();
            if !in_use {
                self.index.remove(hash(entry.route, entry.partition), slot);
                entry.key = SmolStr::default();
                self.free.push(slot);
                forgotten(slot, entry.route);
            }
        }
    }
}

fn hash(route: u64, partition: Partition) -> u64 {
    // XXH3 has mixed the key already; the partition only has to tell equal keys apart.
    route ^ u64::from(partition.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::key_group::route;

    fn slot(slots: &mut Slots, partition: u32, key: &str) -> Found {
        slots.slot(route(key.into()), Partition(partition), key.into())
    }

    /// A sender may choose such keys: to find them takes seconds.
    #[test]
    fn keys_whose_hashes_end_alike_are_found_as_fast_as_others() {
        const LOW_BITS: u64 = (1 << 12) - 1;
        let keys = (0..).map(|number: u32| format!("device-{number}"));
        let alike = keys.filter(|key| route((&**key).into()) & LOW_BITS == 0).take(2_000);
        let mut slots = Slots::new(PlacementSeed::from_random(7));
        for key in alike {
            assert!(matches!(slot(&mut slots, 0, &key), Found::New(_)));
        }
        assert!(slots.index.longest_search() < 64, "{} buckets", slots.index.longest_search());
    }

    #[test]
    fn a_key_of_two_partitions_has_two_slots() {
        let mut slots = Slots::new(PlacementSeed::default());
        assert_eq!(slot(&mut slots, 0, "k"), Found::New(0));
        assert_eq!(slot(&mut slots, 1, "k"), Found::New(1));
        assert_eq!(slot(&mut slots, 0, "k"), Found::Known(0));
    }

    #[test]
    fn where_hardly_any_key_has_a_slot_it_is_still_tried_now_and_then() {
        let mut slots = Slots::new(PlacementSeed::default());
        let keys: Vec<String> = (0..SLOTS_MAX).map(|number| format!("key-{number}")).collect();
        for key in &keys {
            assert!(matches!(slot(&mut slots, 0, key), Found::New(_)));
        }
        let found = |slots: &mut Slots, share: u32| {
            let records = 2 * (SEARCHED + UNSEARCHED);
            let known = (0..records).filter(|record| {
                let key = if record % 8 < share { &keys[*record as usize % 99] } else { "other" };
                matches!(slot(slots, 0, key), Found::Known(_))
            });
            known.count() as u32 * 8 / records
        };
        assert_eq!(found(&mut slots, 8), 8, "all are looked up");
        found(&mut slots, 0);
        for _ in 0..UNSEARCHED {
            slot(&mut slots, 0, "other");
        }
        assert_eq!(found(&mut slots, 0), 0);
        found(&mut slots, 4);
        assert_eq!(found(&mut slots, 4), 4, "half of them are worth it, and are found again");
    }

    #[test]
    fn keys_in_use_take_the_slots_of_those_that_are_no_longer_used() {
        let mut slots = Slots::new(PlacementSeed::default());
        for number in 0..SLOTS_MAX {
            assert!(matches!(slot(&mut slots, 0, &format!("old-{number}")), Found::New(_)));
        }
        let sweep_after_many_others = |slots: &mut Slots| {
            let mut forgotten = 0;
            for _ in 0..SWEEP_AFTER {
                assert_eq!(slot(slots, 0, "new"), Found::Nothing);
            }
            slots.sweep(|_, _| forgotten += 1);
            forgotten
        };
        assert_eq!(sweep_after_many_others(&mut slots), 0, "all have been used");
        assert_eq!(slot(&mut slots, 0, "old-7"), Found::Known(7));
        assert_eq!(sweep_after_many_others(&mut slots), SLOTS_MAX - 1);
        assert!(matches!(slot(&mut slots, 0, "new"), Found::New(_)));
        assert_eq!(slot(&mut slots, 0, "old-7"), Found::Known(7));
        assert_eq!(slots.entries.len(), SLOTS_MAX);
    }
}
