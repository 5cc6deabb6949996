//! Stepping through epochs: the part that every operator with state has in common.
//!
//! Workers are in different epochs at the same moment, so what arrives may belong to a later epoch
//! than the one that an operator works in. It is kept, untouched, until the frontier says that the
//! current epoch is complete. At that moment the operator's state is exactly what belongs to the
//! epochs up to this one: the *cut*. Then the next epoch begins, and what was kept for it is applied.
//!
//! [`Epochs`] knows which epoch that is, what is kept for which, and which cuts were asked for. It
//! knows no stream and no state, so that the fastest operators can use it as well as the frame that
//! the others share.

use std::collections::BTreeMap;

use timely::progress::frontier::MutableAntichain;

use crate::time::{EventTime, Time};

/// The coordinate-wise least of what can still arrive. At the end of a stream both are the maximum.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The least epoch.
    pub epoch: u64,
    /// The least event time.
    pub event: EventTime,
}

impl Arrival {
    /// Of a stream that has ended.
    pub const END: Arrival = Arrival { epoch: u64::MAX, event: EventTime::MAX };

    /// What can still arrive on one input.
    pub fn of(frontier: &MutableAntichain<Time>) -> Arrival {
        frontier.frontier().iter().fold(Self::END, |least, time| {
            least.and(Arrival { epoch: time.epoch, event: time.event })
        })
    }

    /// What can still arrive here or there.
    #[must_use]
    pub fn and(self, other: Arrival) -> Arrival {
        Arrival { epoch: self.epoch.min(other.epoch), event: self.event.min(other.event) }
    }

    /// What can still arrive at an operator whose cuts are asked for on a stream of their own, and
    /// whose state comes back on another.
    ///
    /// The requests take part in the epoch, so that none comes too late; after the last event there
    /// is nothing left to cut but the end. State that comes back is there before anything is added
    /// to it.
    #[must_use]
    pub fn with(self, cuts: Arrival, restored: Arrival) -> Arrival {
        let epoch = if self.epoch < u64::MAX { self.epoch.min(cuts.epoch) } else { u64::MAX };
        Arrival { epoch: epoch.min(restored.epoch), event: self.event.min(restored.event) }
    }
}

/// In which epoch an operator is, what is kept for later ones, and which cuts were asked for.
///
/// ```
/// use strandline_operators::epochs::Epochs;
/// use strandline_operators::time::{EventTime, Time};
///
/// let mut epochs = Epochs::default();
/// epochs.keep(Time::new(2, EventTime::from_millis(10)), "early bird");
/// assert_eq!(epochs.earliest_kept(), EventTime::from_millis(10));
/// // Epoch 0 is complete: the frontier has passed to 1, and the next for which there is anything is that.
/// assert_eq!(epochs.next(1), Some(1));
/// assert_eq!(epochs.enter(1).count(), 0);
/// assert_eq!(epochs.next(5), Some(2));
/// assert_eq!(epochs.enter(2).collect::<Vec<_>>(), ["early bird"]);
/// assert_eq!(epochs.next(u64::MAX), None);
/// ```
#[derive(Clone, Debug)]
pub struct Epochs<C> {
    current: u64,
    kept: BTreeMap<u64, Kept<C>>,
    /// The epochs whose cut was asked for, and whether nothing follows them.
    cuts: BTreeMap<u64, bool>,
}

/// What came for a later epoch, and the least event time that it came at.
#[derive(Clone, Debug)]
struct Kept<C> {
    event: EventTime,
    what: Vec<C>,
}

impl<C> Default for Epochs<C> {
    fn default() -> Self {
        Self { current: 0, kept: BTreeMap::new(), cuts: BTreeMap::new() }
    }
}

impl<C> Epochs<C> {
    /// The epoch that the operator works in.
    pub fn current(&self) -> u64 {
        self.current
    }

    /// Whether what comes at this time has to be kept.
    ///
    /// # Panics
    ///
    /// If its epoch has been left: an epoch is left only when nothing can come for it.
    pub fn is_later(&self, time: Time) -> bool {
        assert!(self.current <= time.epoch, "an epoch is left when nothing can come for it");
        self.current < time.epoch
    }

    /// Keeps something for its epoch.
    pub fn keep(&mut self, time: Time, what: C) {
        self.keep_all(time, std::iter::once(what));
    }

    /// Keeps several things for their epoch, which all came at one time: some, or that time is held back
    /// for nothing.
    pub fn keep_all(&mut self, time: Time, what: impl Iterator<Item = C>) {
        let kept = self.kept.entry(time.epoch);
        let kept = kept.or_insert_with(|| Kept { event: time.event, what: Vec::new() });
        kept.event = kept.event.min(time.event);
        kept.what.extend(what);
    }

    /// The least event time of what is kept. Nothing may be closed beyond it, even if the frontier
    /// has passed it: what waits may still belong there.
    pub fn earliest_kept(&self) -> EventTime {
        self.kept.values().map(|kept| kept.event).min().unwrap_or(EventTime::MAX)
    }

    /// Takes note that the cut of an epoch is asked for, and whether nothing follows it.
    ///
    /// That of an epoch that was left cannot be made any more, and is not: where the events end before
    /// the request is there, epochs are left without waiting for it.
    pub fn ask_for_cut(&mut self, epoch: u64, closing: bool) {
        if self.current <= epoch {
            self.cuts.insert(epoch, closing);
        }
    }

    /// Whether the cut of the current epoch was asked for, and whether nothing follows it.
    pub fn take_cut(&mut self) -> Option<bool> {
        self.cuts.remove(&self.current)
    }

    /// The epoch to enter when the current one is complete: the next for which something is kept or
    /// a cut was asked for, or the least that can still arrive. None at the end of the stream.
    pub fn next(&self, arrival: u64) -> Option<u64> {
        let kept = self.kept.first_key_value().map_or(u64::MAX, |(epoch, _)| *epoch);
        let cut = self.cuts.range(self.current + 1..).next().map_or(u64::MAX, |(epoch, _)| *epoch);
        Some(kept.min(cut).min(arrival)).filter(|epoch| *epoch < u64::MAX)
    }

    /// Enters an epoch: what was kept for it, in the order in which it came.
    ///
    /// # Panics
    ///
    /// If it is not after the current one.
    pub fn enter(&mut self, epoch: u64) -> impl Iterator<Item = C> + use<C> {
        assert!(self.current < epoch, "epochs advance");
        self.current = epoch;
        let later = epoch.checked_add(1).map(|next| self.kept.split_off(&next));
        let kept = std::mem::replace(&mut self.kept, later.unwrap_or_default());
        kept.into_values().flat_map(|kept| kept.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, millis: i64) -> Time {
        Time::new(epoch, EventTime::from_millis(millis))
    }

    #[test]
    fn what_is_kept_holds_event_time_back_until_its_epoch() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.earliest_kept(), EventTime::MAX);
        epochs.keep(at(1, 30), 'a');
        epochs.keep(at(3, 10), 'b');
        epochs.keep(at(1, 20), 'c');
        assert_eq!(epochs.earliest_kept(), EventTime::from_millis(10));
        assert_eq!(epochs.enter(1).collect::<String>(), "ac");
        assert_eq!(epochs.earliest_kept(), EventTime::from_millis(10));
        assert_eq!(epochs.enter(3).collect::<String>(), "b");
        assert_eq!(epochs.earliest_kept(), EventTime::MAX);
    }

    #[test]
    fn an_epoch_that_is_cut_is_entered_although_nothing_came_for_it() {
        let mut epochs = Epochs::<()>::default();
        epochs.ask_for_cut(2, false);
        epochs.ask_for_cut(4, true);
        assert_eq!(epochs.next(9), Some(2));
        assert_eq!(epochs.enter(2).count(), 0);
        assert_eq!(epochs.take_cut(), Some(false));
        assert_eq!(epochs.take_cut(), None);
        assert_eq!(epochs.next(9), Some(4));
        assert_eq!(epochs.next(3), Some(3));
    }

    #[test]
    fn a_cut_of_an_epoch_that_was_left_is_not_made() {
        let mut epochs = Epochs::<()>::default();
        assert_eq!(epochs.enter(3).count(), 0);
        epochs.ask_for_cut(2, true);
        assert_eq!((epochs.take_cut(), epochs.cuts.len()), (None, 0));
        epochs.ask_for_cut(3, false);
        assert_eq!(epochs.take_cut(), Some(false));
    }

    #[test]
    fn requests_for_cuts_hold_epochs_but_not_the_end() {
        let arrival = |epoch, millis| Arrival { epoch, event: EventTime::from_millis(millis) };
        let (cuts, restored) = (arrival(3, 0), Arrival::END);
        assert_eq!(arrival(5, 70).with(cuts, restored), arrival(3, 70));
        assert_eq!(Arrival::END.with(cuts, restored), Arrival::END);
        // State that comes back holds both.
        assert_eq!(arrival(5, 70).with(Arrival::END, arrival(0, 0)), arrival(0, 0));
        assert_eq!(Arrival::END.with(cuts, arrival(0, 0)), arrival(0, 0));
    }

    #[test]
    #[should_panic(expected = "an epoch is left when nothing can come for it")]
    fn what_comes_for_an_epoch_that_was_left_is_a_fault() {
        let mut epochs = Epochs::<()>::default();
        assert_eq!(epochs.enter(2).count(), 0);
        epochs.is_later(at(1, 0));
    }
}
