//! The panes of one window, found by the numbers of their keys.
//!
//! Numbers of keys are small, for those of forgotten keys are given out again; and those of a group
//! of keys follow each other, a page of them at a time. So a page of numbers has its panes for
//! itself: there is no hash, what is found for a group lies together, and when a window closes, its
//! memory is given back page by page.

use super::key_dictionary::{KEY_PAGE, KeyId};
use super::prefetch::prefetch;
use super::provenance::Provenance;

/// A key in a window. In this order in memory, from the beginning of a line: what the main job
/// aggregates takes two lines, and [`Panes::prefetch`] asks for both.
#[repr(C, align(64))]
pub(super) struct Pane<P> {
    pub(super) provenance: Provenance,
    pub(super) partial: P,
    pub(super) key: KeyId,
    /// Whether it changed since it was last looked at.
    pub(super) changed: bool,
}

/// Where a pane is among those of its window. It stays there.
#[derive(Copy, Clone, Debug)]
pub(super) struct Place {
    page: u32,
    index: u8,
}

/// Of a key that has no pane.
const NOWHERE: u8 = u8::MAX;
const _: () = assert!(KEY_PAGE <= NOWHERE as usize);

/// Panes for which a page has room when its first one comes: of the keys that have fast clocks, and
/// windows to themselves, hardly two are of a page.
const PANES_MIN: usize = 4;

/// The panes of as many keys as a page has numbers.
struct Page<P> {
    /// By key.
    indexes: [u8; KEY_PAGE],
    panes: Vec<Pane<P>>,
}

/// The panes of one window.
pub(super) struct Panes<P> {
    /// No page where no key has a pane.
    pages: Vec<Option<Box<Page<P>>>>,
    len: usize,
}

impl<P> Default for Panes<P> {
    fn default() -> Self {
        Panes { pages: Vec::new(), len: 0 }
    }
}

impl<P> Panes<P> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where the pane of a key is.
    #[inline]
    pub(super) fn place(&self, key: KeyId) -> Option<Place> {
        let (page, key) = split(key);
        let index = self.pages.get(page as usize)?.as_ref()?.indexes[key];
        Some(Place { page, index }).filter(|place| place.index != NOWHERE)
    }

    /// Asks for the memory in which [`place`](Self::place) will look.
    #[inline]
    pub(super) fn prefetch_place(&self, key: KeyId) {
        let (page, key) = split(key);
        if let Some(Some(page)) = self.pages.get(page as usize) {
            prefetch(&page.indexes[key]);
        }
    }

    /// Asks for the memory of a pane: for the lines in which it begins and in which it ends.
    #[inline]
    pub(super) fn prefetch(&self, place: Place) {
        let page = self.pages[place.page as usize].as_ref();
        if let Some(pane) = page.and_then(|page| page.panes.get(usize::from(place.index))) {
            prefetch(&pane.provenance);
            prefetch(&pane.key);
        }
    }

    /// The pane at a place.
    ///
    /// # Panics
    ///
    /// If the place is of another window.
    #[inline]
    pub(super) fn at(&mut self, place: Place) -> &mut Pane<P> {
        let page = self.pages[place.page as usize].as_mut().expect("panes stay where they are");
        &mut page.panes[usize::from(place.index)]
    }

    /// The panes of the page of numbers that has this one.
    #[inline]
    fn beside(&self, key: KeyId) -> Option<&Vec<Pane<P>>> {
        let (page, _) = split(key);
        self.pages.get(page as usize)?.as_ref().map(|page| &page.panes)
    }

    /// How many keys of the same page as this one have panes.
    pub(super) fn len_beside(&self, key: KeyId) -> usize {
        self.beside(key).map_or(0, Vec::len)
    }

    /// Whether there are panes of the same page as this key, and no room for one more.
    #[inline]
    pub(super) fn is_full_beside(&self, key: KeyId) -> bool {
        self.beside(key).is_some_and(|panes| panes.len() == panes.capacity())
    }

    /// For how many panes of the same page as this key there is room.
    #[cfg(test)]
    pub(super) fn room_beside(&self, key: KeyId) -> usize {
        self.beside(key).map_or(0, Vec::capacity)
    }

    /// Adds the pane of a key that has none here. If its page [is full](Self::is_full_beside), it gets
    /// room for as many as are `expected` in all, or else for twice as many.
    pub(super) fn insert(
        &mut self,
        key: KeyId,
        partial: P,
        provenance: Provenance,
        expected: usize,
    ) {
        let pane = Pane { partial, provenance, key, changed: true };
        let (page, key) = split(key);
        let page = page as usize;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| {
            Box::new(Page { indexes: [NOWHERE; KEY_PAGE], panes: Vec::with_capacity(PANES_MIN) })
        });
        let panes = page.panes.len();
        if panes == page.panes.capacity() {
            // No page ever has more panes than keys.
            let room = expected.max(2 * panes).min(KEY_PAGE);
            page.panes.reserve_exact(room - panes);
        }
        page.indexes[key] = u8::try_from(page.panes.len()).expect("as many panes as keys");
        page.panes.push(pane);
        self.len += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pane<P>> {
        self.pages.iter().flatten().flat_map(|page| &page.panes)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pane<P>> {
        self.pages.iter_mut().flatten().flat_map(|page| &mut page.panes)
    }

    /// Gives the panes, page by page; the memory of a page is free when its last one has been taken.
    pub(super) fn into_pages(self) -> impl Iterator<Item = Vec<Pane<P>>> {
        self.pages.into_iter().flatten().map(|page| page.panes)
    }
}

/// The page of a key's number, and which in it.
#[inline]
fn split(key: KeyId) -> (u32, usize) {
    (key / KEY_PAGE as u32, key as usize % KEY_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Offset, Partition};
    use crate::window::Span;

    fn provenance(key: KeyId) -> Provenance {
        let (first, last) = (Offset(u64::from(key)), Offset(u64::from(key)));
        Provenance::from(Span { partition: Partition(0), first, last, records: 1 })
    }

    #[test]
    fn a_page_has_room_for_all_its_keys_and_for_no_more() {
        for expected in 0..=2 * KEY_PAGE {
            let mut panes = Panes::default();
            for key in 0..KEY_PAGE as KeyId {
                assert_eq!(panes.len_beside(0), key as usize);
                panes.insert(key, key, provenance(key), expected);
                if key as usize == PANES_MIN {
                    assert_eq!(panes.room_beside(0), expected.clamp(2 * PANES_MIN, KEY_PAGE));
                }
            }
            assert_eq!(panes.room_beside(0), KEY_PAGE);
            assert!(panes.is_full_beside(0) && !panes.is_full_beside(KEY_PAGE as KeyId));
        }
    }

    #[test]
    fn a_pane_is_found_by_its_key_and_stays_where_it_is() {
        // Every third, from the end, so that pages are made out of order and are not full.
        let keys: Vec<KeyId> = (0..1_000).rev().filter(|key| key % 3 == 0).collect();
        let mut panes = Panes::default();
        assert!(panes.place(5).is_none());
        let mut places = Vec::new();
        for (number, &key) in keys.iter().enumerate() {
            assert_eq!(panes.len(), number);
            panes.insert(key, key, provenance(key), number % 7);
            places.push(panes.place(key).unwrap());
        }
        for (&key, place) in keys.iter().zip(places) {
            let pane = panes.at(place);
            assert_eq!((pane.key, pane.partial), (key, key));
            pane.partial += 1;
            assert!(panes.place(key + 1).is_none());
        }
        assert_eq!(panes.iter().count(), keys.len());
        let mut partials: Vec<u32> =
            panes.into_pages().flatten().map(|pane| pane.partial - 1).collect();
        partials.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(partials, keys);
    }
}
