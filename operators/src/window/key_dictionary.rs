//! The dictionary of keys of the worker that merges them: keys as small numbers, what the slots of every
//! sender stand for, and the name of every key that a slot or a pane refers to.
//!
//! A key that nothing refers to is forgotten, and its number is given out again: keys come and go,
//! and memory is for the most keys that were in use at once, not for the keys ever seen.
//!
//! Looking up one of a million keys means to wait for memory twice, for what was just read: a bucket
//! of the [index](super::index), and the entry, which has the bytes of a short name. Keys that come
//! together are therefore looked up together ([`KeyDictionary::ids`]), each step for many of them, so that
//! the processor waits for many at once. And what belongs to a group of keys lies together: it has
//! an index of its own, and its keys have numbers from pages of their own, by which everything else
//! is found. Records without a slot come by group ([`unfolded`](super::unfolded)).

use smol_str::SmolStr;

use super::index::{Index, PlacementSeed};
use super::key_group::{KEY_GROUPS, KeyGroup, route};
use super::pages::Pages;
use super::prefetch::prefetch;
use super::slots::Slot;
use crate::record::{Key, Partition};

/// A key of the merging side.
pub(super) type KeyId = u32;

/// 32 bytes, of which a name of up to 23 bytes takes no others. The hash of a name is not kept: it
/// is needed when a name goes, and a million names would be 8 MB larger.
#[derive(Debug)]
struct NameEntry {
    name: SmolStr,
    references: u32,
}

/// What a slot of a sender stands for: 8 bytes.
#[derive(Copy, Clone, Debug)]
struct Binding {
    key: KeyId,
    partition: Partition,
}

impl Binding {
    /// Of a slot that stands for nothing.
    const NONE: Binding = Binding { key: KeyId::MAX, partition: Partition(0) };
}

/// The receiving side: what the slots of every sender stand for, and the names of all keys that a
/// slot or a pane refers to.
#[derive(Debug)]
pub(super) struct KeyDictionary {
    senders: Vec<Vec<Binding>>,
    entries: Pages<Option<NameEntry>>,
    /// By group of keys.
    groups: Vec<Group>,
    /// Keys to which nothing referred at some time since the last [`collect`](KeyDictionary::collect).
    unreferenced: Vec<KeyId>,
}

/// The keys of one group.
#[derive(Debug)]
struct Group {
    index: Index,
    /// Numbers that it has, and no key.
    free: Vec<KeyId>,
}

/// How many numbers a group of keys is given at once. They follow each other, so that what is kept
/// by number, of a group, lies in few pages of memory.
pub(super) const KEY_PAGE: usize = 1 << 6;

/// How many keys, or panes of keys, are looked up together.
pub(super) const TOGETHER: usize = 32;

impl KeyDictionary {
    /// None yet.
    pub(super) fn new(seed: PlacementSeed) -> KeyDictionary {
        let group = || Group { index: Index::new(seed), free: Vec::new() };
        KeyDictionary {
            senders: Vec::new(),
            entries: Pages::default(),
            groups: (0..KEY_GROUPS).map(|_| group()).collect(),
            unreferenced: Vec::new(),
        }
    }

    fn group(&self, route: u64) -> &Group {
        &self.groups[KeyGroup::of_route(route).index()]
    }

    fn group_mut(&mut self, route: u64) -> &mut Group {
        &mut self.groups[KeyGroup::of_route(route).index()]
    }

    /// A sender will use `slot` for `key`.
    pub(super) fn bind(&mut self, sender: u32, slot: Slot, partition: Partition, key: &str) {
        let key = self.acquire(key);
        let (sender, slot) = (sender as usize, slot as usize);
        if self.senders.len() <= sender {
            self.senders.resize_with(sender + 1, Vec::new);
        }
        let slots = &mut self.senders[sender];
        if slots.len() <= slot {
            slots.resize(slot + 1, Binding::NONE);
        }
        slots[slot] = Binding { key, partition };
    }

    /// A sender will not use `slot` again for what it stood for.
    pub(super) fn unbind(&mut self, sender: u32, slot: Slot) {
        let known = self.senders.get_mut(sender as usize).and_then(|s| s.get_mut(slot as usize));
        let known = known.map(|known| std::mem::replace(known, Binding::NONE));
        if let Some(Binding { key, .. }) = known.filter(|known| known.key != KeyId::MAX) {
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
        let Binding { key, partition } = self.senders[sender as usize][slot as usize];
        assert!(key != KeyId::MAX, "a name comes before its first use");
        (key, partition)
    }

    /// The id of `key`, with one more reference to it.
    pub(super) fn acquire(&mut self, key: &str) -> KeyId {
        let key = Key::from(key);
        let id = self.id(route(key), key);
        self.retain(id);
        id
    }

    /// The id of `key`, whose [`route`] this is. It is valid until [`collect`](Self::collect), and
    /// longer if it is retained.
    #[inline]
    fn id(&mut self, route: u64, key: Key<'_>) -> KeyId {
        let id = self.group(route).index.find(route, |id| key == *self.text(id));
        id.unwrap_or_else(|| self.insert(route, key))
    }

    /// The ids of keys with their [`route`]s, appended to `ids` in their order; as
    /// [`id`](Self::id).
    pub(super) fn ids(&mut self, keys: &[(u64, Key<'_>)], ids: &mut Vec<KeyId>) {
        for together in keys.chunks(TOGETHER) {
            // Each step asks for what the next one looks at.
            for (route, _) in together {
                self.group(*route).index.prefetch(*route);
            }
            for (route, _) in together {
                if let Some(id) = self.group(*route).index.find(*route, |_| true) {
                    self.prefetch(id);
                }
            }
            ids.extend(together.iter().map(|(route, key)| self.id(*route, *key)));
        }
    }

    /// Asks for the memory of a key's entry.
    #[inline]
    pub(super) fn prefetch(&self, id: KeyId) {
        prefetch(self.entries.get(id));
    }

    #[inline]
    fn text(&self, id: KeyId) -> &str {
        self.entries.get(id).as_ref().map_or("", |entry| &entry.name)
    }

    #[cold]
    fn insert(&mut self, route: u64, key: Key<'_>) -> KeyId {
        let id = self.free_id(route);
        let entry = NameEntry { name: SmolStr::new(key.as_str()), references: 0 };
        *self.entries.get_mut(id) = Some(entry);
        self.group_mut(route).index.insert(route, id);
        self.unreferenced.push(id);
        id
    }

    /// A number that no key has, of those of a key's group.
    fn free_id(&mut self, route: u64) -> KeyId {
        if let Some(id) = self.group_mut(route).free.pop() {
            return id;
        }
        let page: Vec<KeyId> = (0..KEY_PAGE).map(|_| self.entries.push(None)).collect();
        assert!(!page.contains(&KeyId::MAX), "fewer than 2^32 - 1 keys in use");
        let free = &mut self.group_mut(route).free;
        free.extend(page.iter().skip(1).rev());
        page[0]
    }

    /// One more reference to a key.
    pub(super) fn retain(&mut self, id: KeyId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.references += 1;
        }
    }

    /// One reference less.
    pub(super) fn release(&mut self, id: KeyId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.references -= 1;
            if entry.references == 0 {
                self.unreferenced.push(id);
            }
        }
    }

    /// Forgets the keys to which nothing refers. O(1) for each key that was new or released.
    pub(super) fn collect(&mut self) {
        while let Some(id) = self.unreferenced.pop() {
            let entry = self.entries.get_mut(id);
            let Some(unreferenced) = entry.take_if(|entry| entry.references == 0) else { continue };
            let route = route(unreferenced.name.as_str().into());
            let group = self.group_mut(route);
            group.index.remove(route, id);
            group.free.push(id);
        }
    }

    /// The key's name: a copy of it if it is short.
    pub(super) fn name(&self, id: KeyId) -> SmolStr {
        let entry = self.entries.get(id).as_ref().expect("a referenced key has a name");
        entry.name.clone()
    }

    /// How many keys are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.index.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_one_key_have_one_name() {
        let mut dictionary = KeyDictionary::new(PlacementSeed::default());
        dictionary.bind(0, 0, Partition(0), "k");
        dictionary.bind(0, 1, Partition(1), "k");
        dictionary.bind(1, 0, Partition(2), "k");
        let all = [(0, 0), (0, 1), (1, 0)].map(|(sender, slot)| dictionary.resolve(sender, slot));
        let id = dictionary.acquire("k");
        assert_eq!(all, [0, 1, 2].map(|partition| (id, Partition(partition))));
        assert_eq!(dictionary.len(), 1);
    }

    #[test]
    fn a_slot_that_was_forgotten_stands_for_another_key() {
        let mut dictionary = KeyDictionary::new(PlacementSeed::default());
        dictionary.bind(0, 0, Partition(0), "a");
        dictionary.unbind(0, 0);
        dictionary.collect();
        dictionary.bind(0, 0, Partition(0), "b");
        dictionary.collect();
        assert_eq!(&*dictionary.name(dictionary.resolve(0, 0).0), "b");
        assert_eq!(dictionary.len(), 1);
    }

    #[test]
    fn a_name_lives_while_a_pane_refers_to_it() {
        let mut dictionary = KeyDictionary::new(PlacementSeed::default());
        dictionary.bind(3, 0, Partition(0), "k");
        let (id, _) = dictionary.resolve(3, 0);
        dictionary.retain(id);
        dictionary.unbind(3, 0);
        dictionary.collect();
        assert_eq!(&*dictionary.name(id), "k");
        dictionary.release(id);
        dictionary.collect();
        assert_eq!(dictionary.len(), 0);
    }

    #[test]
    fn keys_looked_up_together_are_those_looked_up_one_by_one() {
        let mut dictionary = KeyDictionary::new(PlacementSeed::default());
        let key = |number: u32| format!("device-{}", number % 5_000);
        let mut one_by_one = Vec::new();
        for round in 0..3 {
            let keys: Vec<String> = (round * 3_001..(round + 1) * 3_001).map(key).collect();
            let routed = keys.iter().map(|key| (route((&**key).into()), Key::from(&**key)));
            let mut together = Vec::new();
            dictionary.ids(&routed.collect::<Vec<_>>(), &mut together);
            assert_eq!(together.len(), keys.len());
            for (key, id) in keys.iter().zip(&together) {
                assert_eq!(*dictionary.name(*id), **key);
                dictionary.retain(*id);
            }
            one_by_one.extend(keys.iter().map(|key| dictionary.acquire(key)));
            assert!(one_by_one.ends_with(&together));
            dictionary.collect();
        }
        assert_eq!(dictionary.len(), 5_000);
    }

    /// The index holds half of a hash, so such keys are found where one in a hundred thousand is.
    #[test]
    fn keys_with_the_same_half_of_a_hash_are_told_apart() {
        let index = Index::new(PlacementSeed::default());
        let mut halves = std::collections::HashMap::new();
        let (one, other) = (0..)
            .find_map(|number: u32| {
                let key = format!("device-{number:06}");
                let half = index.tag(route((&*key).into()));
                halves.insert(half, key.clone()).map(|earlier| (earlier, key))
            })
            .unwrap();
        let mut dictionary = KeyDictionary::new(PlacementSeed::default());
        let ids = [dictionary.acquire(&one), dictionary.acquire(&other)];
        assert_ne!(ids[0], ids[1]);
        let both = [&one, &other].map(|key| (route((&**key).into()), Key::from(&**key)));
        let mut together = Vec::new();
        dictionary.ids(&both, &mut together);
        assert_eq!(together, ids);
        dictionary.release(ids[0]);
        dictionary.collect();
        assert_eq!((dictionary.len(), dictionary.acquire(&other)), (1, ids[1]));
    }

    /// The keys of a group are alike in 8 bits anyway; these are in 7 more.
    #[test]
    fn names_whose_hashes_end_alike_are_found_as_fast_as_others() {
        let mut dictionary = KeyDictionary::new(PlacementSeed::from_random(7));
        let keys = (0..).map(|number: u32| format!("device-{number}"));
        let of_group = KeyGroup::of("device-0");
        let alike = keys.filter(|key| {
            KeyGroup::of(key) == of_group && route((&**key).into()).trailing_zeros() >= 7
        });
        for key in alike.take(100) {
            dictionary.acquire(&key);
        }
        let searches = dictionary.groups.iter().map(|group| group.index.longest_search());
        assert!(searches.clone().max() < Some(24), "{:?} buckets", searches.max());
    }

    #[test]
    fn the_keys_of_a_group_have_pages_of_numbers_for_themselves() {
        let mut dictionary = KeyDictionary::new(PlacementSeed::default());
        let mut pages = std::collections::HashMap::new();
        let mut of_group = vec![0; usize::from(KEY_GROUPS)];
        for number in 0..40_000 {
            let key = format!("device-{number}");
            let (id, group) = (dictionary.acquire(&key), KeyGroup::of(&key));
            assert_eq!(*pages.entry(id as usize / KEY_PAGE).or_insert(group), group);
            of_group[usize::from(group.0)] += 1;
        }
        let needed: usize = of_group.into_iter().map(|keys: usize| keys.div_ceil(KEY_PAGE)).sum();
        assert_eq!(pages.len(), needed);
    }

    #[test]
    fn a_key_that_was_looked_up_for_nothing_is_forgotten() {
        let mut dictionary = KeyDictionary::new(PlacementSeed::default());
        let (key, mut ids) = (Key::from("k"), Vec::new());
        dictionary.ids(&[(route(key), key), (route(key), key)], &mut ids);
        assert_eq!((dictionary.len(), ids[0]), (1, ids[1]));
        dictionary.collect();
        assert_eq!(dictionary.len(), 0);
    }
}
