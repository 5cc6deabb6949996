//! The windows that are open, in their order.
//!
//! New windows come at the end and old ones go at the beginning, so they lie in a queue. A record is
//! usually of the same window as the one before it, so that one is looked at first.

use std::collections::VecDeque;

use super::key_dictionary::KeyId;
use super::panes::Panes;
use super::provenance::Provenance;
use crate::time::EventTime;

/// Panes by window, sorted by where windows start.
pub(super) struct OpenWindows<P> {
    windows: VecDeque<(EventTime, Panes<P>)>,
    /// Where the last one was found.
    recent: usize,
}

impl<P> Default for OpenWindows<P> {
    fn default() -> Self {
        OpenWindows { windows: VecDeque::new(), recent: 0 }
    }
}

impl<P> OpenWindows<P> {
    /// The panes of the window that starts at `start`, if it is open. O(1) for the one that was
    /// asked for last, O(log windows) for others.
    #[inline]
    pub(super) fn get_mut(&mut self, start: EventTime) -> Option<&mut Panes<P>> {
        let at = self.find(start).ok()?;
        Some(&mut self.windows[at].1)
    }

    /// Where a window is, or has to be.
    #[inline]
    fn find(&mut self, start: EventTime) -> Result<usize, usize> {
        if self.windows.get(self.recent).is_some_and(|(recent, _)| *recent == start) {
            return Ok(self.recent);
        }
        let found = self.windows.binary_search_by_key(&start, |(start, _)| *start);
        if let Ok(at) = found {
            self.recent = at;
        }
        found
    }

    /// Adds the pane of a key that has none in the window that starts at `start`, which is open from
    /// now on. O(1); O(windows) for the first one of a window that opens between others.
    pub(super) fn insert(
        &mut self,
        start: EventTime,
        key: KeyId,
        partial: P,
        provenance: Provenance,
    ) {
        let at = self.find(start).unwrap_or_else(|at| {
            self.windows.insert(at, (start, Panes::default()));
            self.recent = at;
            at
        });
        let before = at.checked_sub(1).filter(|_| self.windows[at].1.is_full_beside(key));
        // There will be about as many of these keys as in the window before.
        let expected = before.map_or(0, |before| self.windows[before].1.len_beside(key));
        self.windows[at].1.insert(key, partial, provenance, expected);
    }

    /// Where the oldest one starts.
    pub(super) fn first(&self) -> Option<EventTime> {
        self.windows.front().map(|(start, _)| *start)
    }

    /// Takes the oldest one away.
    pub(super) fn close_first(&mut self) -> Option<Panes<P>> {
        self.recent = self.recent.saturating_sub(1);
        self.windows.pop_front().map(|(_, panes)| panes)
    }

    /// All of them, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (EventTime, &Panes<P>)> {
        self.windows.iter().map(|(start, panes)| (*start, panes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Offset, Partition};
    use crate::window::Span;

    fn provenance() -> Provenance {
        let (first, last) = (Offset(0), Offset(0));
        Provenance::from(Span { partition: Partition(0), first, last, records: 1 })
    }

    #[test]
    fn a_page_that_is_full_gets_the_room_that_the_window_before_has() {
        let start = |number: i64| EventTime::from_millis(number * 10);
        let mut open = OpenWindows::default();
        for (window, keys) in [(1, 37), (2, 5), (4, 6), (3, 4), (0, 50)] {
            for key in 0..keys {
                open.insert(start(window), key, key, provenance());
            }
        }
        let rooms =
            [0, 1, 2, 3, 4].map(|window| open.get_mut(start(window)).unwrap().room_beside(0));
        // Twice as many as there were, where nothing was open before (0 and 1 here) or too little was
        // known there (4). A page that never was full is as it began (3).
        assert_eq!(rooms, [64, 64, 37, 4, 8]);
    }

    #[test]
    fn windows_are_found_whatever_the_order_in_which_they_open_and_close() {
        let start = |number: i64| EventTime::from_millis(number * 10);
        let mut open = OpenWindows::default();
        for (key, number) in [(1, 5), (2, 7), (3, 5), (4, 1), (5, 6), (6, 7)] {
            assert!(open.get_mut(start(number)).is_none_or(|panes| panes.place(key).is_none()));
            open.insert(start(number), key, key, provenance());
            for (asked, expected) in [(number, true), (4, false), (number, true), (9, false)] {
                let found = open.get_mut(start(asked)).and_then(|panes| panes.place(key));
                assert_eq!(found.is_some(), expected, "{key} in {asked}");
            }
        }
        let mut closed = Vec::new();
        while let Some(first) = open.first() {
            // The newest is the one that was asked for last.
            assert_eq!(open.get_mut(start(7)).unwrap().len(), 2);
            let panes = open.close_first().unwrap();
            let keys: Vec<u32> = panes.into_pages().flatten().map(|pane| pane.partial).collect();
            assert!(open.get_mut(first).is_none());
            closed.push((first, keys));
        }
        let expected = [(1, vec![4]), (5, vec![1, 3]), (6, vec![5]), (7, vec![2, 6])];
        assert_eq!(closed, expected.map(|(number, keys)| (start(number), keys)));
        assert!(open.close_first().is_none());
    }
}
