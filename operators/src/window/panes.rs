//! The panes of one window, found by the numbers of their keys.
//!
//! Numbers of keys are small, for those of forgotten keys are given out again. So a list that is
//! indexed by them says where a pane is: one place in memory to wait for, and no hash.

use super::covered::Covered;
use super::names::KeyId;
use super::pages::{PAGE, Pages};

/// A key in a window. In this order in memory: see [`Panes::touch`].
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

/// Of a key that has no pane.
const NOWHERE: Place = Place::MAX;

/// The panes of one window.
pub(super) struct Panes<P> {
    /// By key, in pages; no page where no key has a pane.
    places: Vec<Option<Box<[Place; PAGE]>>>,
    panes: Pages<Pane<P>>,
}

impl<P> Default for Panes<P> {
    fn default() -> Self {
        Panes { places: Vec::new(), panes: Pages::default() }
    }
}

impl<P> Panes<P> {
    pub(super) fn len(&self) -> usize {
        self.panes.len()
    }

    /// Where the pane of a key is.
    #[inline]
    pub(super) fn place(&self, key: KeyId) -> Option<Place> {
        let key = key as usize;
        let page = self.places.get(key / PAGE)?.as_ref()?;
        Some(page[key % PAGE]).filter(|place| *place != NOWHERE)
    }

    /// Brings a pane near that will soon be used: reads where it begins and where it ends. What it
    /// gives means nothing.
    #[inline]
    pub(super) fn touch(&self, place: Place) -> u32 {
        let pane = self.panes.get(place);
        pane.key ^ u32::from(matches!(pane.covered, Covered::One { .. }))
    }

    #[inline]
    pub(super) fn at(&mut self, place: Place) -> &mut Pane<P> {
        self.panes.get_mut(place)
    }

    /// Adds the pane of a key that has none here.
    pub(super) fn insert(&mut self, key: KeyId, partial: P, covered: Covered) {
        let place = self.panes.push(Pane { partial, covered, key, changed: true });
        let key = key as usize;
        if self.places.len() <= key / PAGE {
            self.places.resize_with(key / PAGE + 1, || None);
        }
        let page = self.places[key / PAGE].get_or_insert_with(|| Box::new([NOWHERE; PAGE]));
        page[key % PAGE] = place;
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
