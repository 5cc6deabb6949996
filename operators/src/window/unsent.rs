//! What a fold holds and has not sent yet: partial results, by window.
//!
//! A window that is over is sent, and the others stay: until they are over too, all their records
//! go into one partial result a key. So the panes of a window lie together.

use super::merge_input::PartialPane;
use super::slots::Slot;
use crate::time::EventTime;

/// Most panes that are held, a number of them.
const PANES_MAX: usize = 1 << 14;
/// Most windows that are held, a number of them: few enough to look through them.
const WINDOWS_MAX: usize = 1 << 8;
/// A window with so many panes gets room for as many as the windows before had; the windows of fast
/// clocks have fewer.
const PANES_MIN: usize = 4;
/// Most panes for which it gets room, a number of them.
const EXPECTED_MAX: usize = 1 << 10;

/// A window of which records are unsent.
#[derive(Debug)]
struct UnsentWindow<P> {
    start: EventTime,
    panes: Vec<PartialPane<P>>,
}

/// The windows of which records are unsent.
#[derive(Debug)]
pub(super) struct UnsentWindows<P> {
    windows: Vec<UnsentWindow<P>>,
    /// Panes of all of them, a number.
    panes: usize,
    /// The most panes of one of the windows that were sent last: as many will be in the next.
    expected: usize,
}

impl<P> Default for UnsentWindows<P> {
    fn default() -> Self {
        UnsentWindows { windows: Vec::new(), panes: 0, expected: 0 }
    }
}

impl<P> UnsentWindows<P> {
    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Whether there are so many that they should be sent.
    pub(super) fn is_full(&self) -> bool {
        PANES_MAX <= self.panes || WINDOWS_MAX <= self.windows.len()
    }

    /// The start of the oldest; the maximum if there is none.
    pub(super) fn oldest(&self) -> EventTime {
        self.windows.iter().map(|window| window.start).min().unwrap_or(EventTime::MAX)
    }

    /// Where a window with this start is, from now on until some are [drained](Self::drain). At most
    /// [`WINDOWS_MAX`] comparisons, for only those that came last are looked at: until it is seen that
    /// there are too many, more may come, and then one of them twice.
    pub(super) fn find_or_add(&mut self, start: EventTime) -> usize {
        let first = self.windows.len().saturating_sub(WINDOWS_MAX);
        let last = &self.windows[first..];
        if let Some(at) = last.iter().rposition(|window| window.start == start) {
            return first + at;
        }
        self.windows.push(UnsentWindow { start, panes: Vec::new() });
        self.windows.len() - 1
    }

    /// The pane at `place` of a window, if it is that of `slot`.
    #[inline]
    pub(super) fn pane(
        &mut self,
        window: usize,
        place: u32,
        slot: Slot,
    ) -> Option<&mut PartialPane<P>> {
        let pane = self.windows[window].panes.get_mut(place as usize)?;
        (pane.slot == slot).then_some(pane)
    }

    /// Adds a pane to a window, and says at which place it is.
    pub(super) fn push(&mut self, window: usize, pane: PartialPane<P>) -> u32 {
        let panes = &mut self.windows[window].panes;
        let place = u32::try_from(panes.len()).expect("far fewer than 2^32 panes are held");
        if panes.len() == PANES_MIN {
            panes.reserve_exact(self.expected.saturating_sub(PANES_MIN));
        }
        panes.push(pane);
        self.panes += 1;
        place
    }

    /// Gives the panes of the windows whose start is one of `which` to `send`. The others stay, if
    /// they have any.
    pub(super) fn drain(
        &mut self,
        which: impl Fn(EventTime) -> bool,
        mut send: impl FnMut(PartialPane<P>),
    ) {
        let mut most = 0;
        self.windows.retain_mut(|window| {
            if which(window.start) {
                most = most.max(window.panes.len());
                self.panes -= window.panes.len();
                window.panes.drain(..).for_each(&mut send);
            }
            !window.panes.is_empty()
        });
        if 0 < most {
            self.expected = most.min(EXPECTED_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Offset;

    fn start(ms: i64) -> EventTime {
        EventTime::from_millis(ms)
    }

    fn push(unsent: &mut UnsentWindows<()>, ms: i64, slot: Slot) -> u32 {
        let window = unsent.find_or_add(start(ms));
        let (first, last) = (Offset(0), Offset(0));
        let start = start(ms);
        unsent.push(window, PartialPane { slot, start, first, last, records: 1, partial: () })
    }

    #[test]
    fn windows_that_are_not_drained_stay() {
        let mut unsent = UnsentWindows::default();
        for (ms, slot, place) in [(20, 1, 0), (10, 1, 0), (20, 2, 1), (0, 3, 0), (10, 2, 1)] {
            assert_eq!(push(&mut unsent, ms, slot), place);
        }
        assert_eq!(unsent.oldest(), start(0));
        let mut sent = Vec::new();
        unsent.drain(
            |start| start < EventTime::from_millis(20),
            |pane| sent.push((pane.start, pane.slot)),
        );
        assert_eq!(sent, [(start(10), 1), (start(10), 2), (start(0), 3)]);
        assert_eq!((unsent.oldest(), unsent.panes), (start(20), 2));
        let window = unsent.find_or_add(start(20));
        assert!(unsent.pane(window, 1, 2).is_some());
        assert!(unsent.pane(window, 1, 1).is_none(), "the place of another slot");
        assert!(unsent.pane(window, 2, 1).is_none(), "no place yet");
        unsent.drain(|_| true, drop);
        assert!(unsent.is_empty() && unsent.oldest() == EventTime::MAX && unsent.panes == 0);
    }

    #[test]
    fn a_window_is_looked_for_among_the_last_ones_and_drained_wherever_it_is() {
        let mut unsent = UnsentWindows::default();
        let last = 10 * WINDOWS_MAX as i64;
        for ms in (0..=last).step_by(10) {
            push(&mut unsent, ms, 0);
        }
        assert_eq!(push(&mut unsent, last, 1), 1);
        assert_eq!(push(&mut unsent, 10, 1), 1);
        assert_eq!(push(&mut unsent, 0, 1), 0, "not found again");
        let mut sent = 0;
        unsent.drain(|start| start == EventTime::from_millis(0), |_| sent += 1);
        assert_eq!((sent, unsent.oldest()), (2, start(10)));
    }

    #[test]
    fn many_panes_are_full_and_so_are_many_windows() {
        let mut unsent = UnsentWindows::default();
        for slot in 1..PANES_MAX {
            push(&mut unsent, 0, slot as Slot);
        }
        assert!(!unsent.is_full());
        push(&mut unsent, 10, 0);
        assert!(unsent.is_full());
        unsent.drain(|start| start == EventTime::from_millis(0), drop);
        assert!(!unsent.is_full());
        for window in 2..WINDOWS_MAX {
            push(&mut unsent, 10 * window as i64, 0);
        }
        assert!(!unsent.is_full());
        push(&mut unsent, -10, 0);
        assert!(unsent.is_full());
    }
}
