//! The panes of one window, found by their keys.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::covered::Covered;
use super::names::KeyId;
use super::pages::Pages;

/// A key in a window. In this order in memory: whoever has looked at `covered` and at `key` has
/// brought all of it near.
#[repr(C)]
pub(super) struct Pane<P> {
    pub(super) covered: Covered,
    pub(super) partial: P,
    pub(super) key: KeyId,
    /// Whether it changed since it was last looked at.
    pub(super) changed: bool,
}

/// Where a pane is among those of its window. It stays there.
pub(super) type Place = u32;

/// The panes of one window.
pub(super) struct Panes<P> {
    by_key: HashTable<Place>,
    panes: Pages<Pane<P>>,
}

/// Spreads the numbers of keys over a table.
fn hash(key: KeyId) -> u64 {
    FixedState::default().hash_one(key)
}

impl<P> Panes<P> {
    /// None yet. The table has room for so many.
    pub(super) fn with_room_for(keys: usize) -> Self {
        Panes { by_key: HashTable::with_capacity(keys), panes: Pages::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.panes.len()
    }

    /// Where the pane of a key may be, without a look at the pane.
    #[inline]
    pub(super) fn guess(&self, key: KeyId) -> Option<Place> {
        self.by_key.find(hash(key), |_| true).copied()
    }

    /// Whether this is where the pane of a key is. It brings the pane near.
    #[inline]
    pub(super) fn is_at(&self, place: Place, key: KeyId) -> bool {
        let pane = self.panes.get(place);
        pane.key == key && pane.covered.records() != 0
    }

    /// Where the pane of a key is.
    pub(super) fn place(&self, key: KeyId) -> Option<Place> {
        self.by_key.find(hash(key), |place| self.panes.get(*place).key == key).copied()
    }

    #[inline]
    pub(super) fn at(&mut self, place: Place) -> &mut Pane<P> {
        self.panes.get_mut(place)
    }

    /// Adds the pane of a key that has none here.
    pub(super) fn insert(&mut self, key: KeyId, partial: P, covered: Covered) {
        let place = self.panes.push(Pane { partial, covered, key, changed: true });
        let panes = &self.panes;
        self.by_key.insert_unique(hash(key), place, |place| hash(panes.get(*place).key));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pane<P>> {
        self.panes.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pane<P>> {
        self.panes.iter_mut()
    }

    pub(super) fn into_panes(self) -> impl Iterator<Item = Pane<P>> {
        self.panes.into_elements()
    }
}
