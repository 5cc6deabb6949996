//! Partial aggregation before the exchange: what one worker has of a (key, window), folded
//! together and sent on as one partial result.
//!
//! Sending a partial result for every few hundred records instead of every record is what makes
//! the exchange cheap. It delays data, not correctness: whoever folds holds the capability of what
//! has not been sent. That is the operator that reads, which folds each record right where it was
//! decoded: putting batches of events between the two cost a sixth of a worker's time (measured).
//!
//! A record whose key has no slot ([`Slots`] says when) is not folded: it takes its key along, and
//! waits for others whose keys are of the same group ([`Unfolded`]).
//!
//! A pane is found through its key's slot, which remembers where its panes are in the last even and in
//! the last odd window. A record of another even or odd one may start a second pane of the same (key,
//! window): partial results combine, so that costs a message and changes nothing.

use super::index::PlacementSeed;
use super::key_group::route;
use super::merge_input::{MergeInput, MergeMessage, PartialPane};
use super::slots::{Found, Slot, Slots};
use super::unfolded::Unfolded;
use super::unsent::UnsentWindows;
use super::{Tumbling, Window};
use crate::aggregate::Aggregate;
use crate::record::{Key, Offset, Partition};
use crate::time::EventTime;

/// Most records without a slot that are held, a number of them, and most bytes of their keys.
const UNFOLDED_RECORDS_MAX: usize = 1 << 17;
const UNFOLDED_KEY_BYTES_MAX: usize = 1 << 24;

/// Folds the records that one worker reads to partial results.
///
/// What it holds of a window has to be [flushed](Self::flush_until) and sent under a capability at which
/// the window is [not yet over](Self::holds_until); [all](Self::flush) that it holds, in the epoch in
/// which the records were read, and when there is nothing more to read, so that nothing waits for
/// what does not come. All that a worker's fold sends goes to [`MergeWindows`](super::MergeWindows), in
/// order. Work per record is O(1); where it is of another window than the two before, at most 256
/// comparisons more. State is a slot for each key in use.
///
/// ```
/// use std::time::Duration;
/// use strandline_operators::aggregate::Count;
/// use strandline_operators::record::{Offset, Partition};
/// use strandline_operators::time::EventTime;
/// use strandline_operators::window::{Fold, Tumbling};
///
/// let mut fold = Fold::new(0, Tumbling::of(Duration::from_secs(10)).unwrap(), Count);
/// for (offset, millis) in [(0, 1_000), (1, 2_000), (2, 11_000)] {
///     let time = EventTime::from_millis(millis);
///     fold.fold("a".into(), time, Partition(0), Offset(offset), &());
/// }
/// // What "a" is called, and a partial result for each of two windows.
/// let mut messages = Vec::new();
/// fold.flush(|message| messages.push(message));
/// assert_eq!(messages.len(), 3);
/// assert!(fold.is_empty());
/// ```
pub struct Fold<V, A: Aggregate<V>> {
    sender: u32,
    windows: Tumbling,
    /// The window of the last record: the next one is usually in it too.
    current: Current,
    /// The one that it was before: where a window ends and the next begins, records of both come.
    before: Current,
    aggregate: A,
    slots: Slots,
    /// What slots are bound to, to be sent before their first use.
    bindings: Vec<MergeInput<V, A::Partial>>,
    /// Records of keys without a slot.
    unfolded: Unfolded<V>,
    unsent: UnsentWindows<A::Partial>,
}

/// A window that records are folded into.
#[derive(Copy, Clone)]
struct Current {
    window: Window,
    /// Where it is held.
    at: usize,
    /// Which of the two places that a slot remembers is in it.
    side: usize,
}

impl Current {
    /// No time is in it: the first record of a fold, and the first one after a flush, looks for its
    /// window.
    const NONE: Current = {
        let window = Window { start: EventTime::MAX, end: EventTime::MIN };
        Current { window, at: 0, side: 0 }
    };

    #[inline]
    fn holds(&self, time: EventTime) -> bool {
        self.window.start <= time && time < self.window.end
    }
}

impl<V: Clone, A: Aggregate<V>> Fold<V, A> {
    /// Nothing yet, on the worker of this index.
    ///
    /// # Panics
    ///
    /// If there are 2^32 workers.
    pub fn new(worker: usize, windows: Tumbling, aggregate: A) -> Fold<V, A> {
        Fold {
            sender: u32::try_from(worker).expect("fewer than 2^32 workers"),
            windows,
            current: Current::NONE,
            before: Current::NONE,
            aggregate,
            slots: Slots::new(PlacementSeed::default()),
            bindings: Vec::new(),
            unfolded: Unfolded::default(),
            unsent: UnsentWindows::default(),
        }
    }

    /// The same, whose keys lie in memory as this seed says.
    #[must_use]
    pub fn with_placement(mut self, seed: PlacementSeed) -> Fold<V, A> {
        self.slots = Slots::new(seed);
        self
    }

    /// Adds one record. Those of a partition come in the order of their offsets.
    #[inline]
    pub fn fold(
        &mut self,
        key: Key<'_>,
        time: EventTime,
        partition: Partition,
        offset: Offset,
        value: &V,
    ) {
        if !self.current.holds(time) {
            self.turn_to(time);
        }
        let Current { window: Window { start, .. }, at, side } = self.current;
        let route = route(key);
        let slot = match self.slots.slot(route, partition, key) {
            Found::Known(slot) => slot,
            Found::New(slot) => {
                self.announce(slot, route, partition, key);
                slot
            }
            Found::Nothing => {
                let from = (partition, offset);
                return self.unfolded.push((route, key), start, from, value.clone());
            }
        };
        let place = &mut self.slots.entry(slot).places[side];
        if let Some(pane) = self.unsent.pane(at, *place, slot) {
            pane.last = offset;
            pane.records += 1;
            self.aggregate.fold(&mut pane.partial, value);
        } else {
            let partial = self.aggregate.lift(value);
            let (first, last) = (offset, offset);
            let pane = PartialPane { slot, start, first, last, records: 1, partial };
            *place = self.unsent.push(at, pane);
        }
    }

    /// Makes the window of `time` the one that records are folded into.
    #[inline]
    fn turn_to(&mut self, time: EventTime) {
        std::mem::swap(&mut self.current, &mut self.before);
        if !self.current.holds(time) {
            self.current = self.look_for(time);
        }
    }

    #[inline(never)]
    fn look_for(&mut self, time: EventTime) -> Current {
        let window = self.windows.window_at(time);
        let at = self.unsent.find_or_add(window.start);
        Current { window, at, side: self.windows.is_odd(window).into() }
    }

    #[cold]
    fn announce(&mut self, slot: Slot, route: u64, partition: Partition, key: Key<'_>) {
        let (sender, key) = (self.sender, key.as_str().into());
        self.bindings.push(MergeInput(MergeMessage::Bind { route, sender, slot, partition, key }));
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Whether so much is held that it should be sent.
    pub fn is_full(&self) -> bool {
        self.unsent.is_full()
            || UNFOLDED_RECORDS_MAX <= self.unfolded.len()
            || UNFOLDED_KEY_BYTES_MAX <= self.unfolded.key_bytes()
    }

    /// Whether something is held of a window that is over at `watermark`: it has to be sent
    /// before a capability moves there. What is of later windows may still be sent from there. O(windows
    /// that are held).
    pub fn holds_until(&self, watermark: EventTime) -> bool {
        let oldest = self.unsent.oldest();
        oldest < watermark && self.windows.window_at(oldest).end <= watermark
    }

    /// Gives everything that is held to `send`: the bindings first, then what uses them, then what
    /// is forgotten. One by one, so that whoever sends on fills containers that stay in a cache: a list
    /// of all would not.
    pub fn flush(&mut self, mut send: impl FnMut(MergeInput<V, A::Partial>)) {
        self.flush_windows(|_| true, &mut send);
        // No pane refers to a slot any more.
        let sender = self.sender;
        self.slots
            .sweep(|slot, route| send(MergeInput(MergeMessage::Unbind { route, sender, slot })));
    }

    /// Gives what is held of windows that are over at `watermark` to `send`. What is held of others stays,
    /// for more of their records may come; but not what has no slot, into which none would be folded.
    pub fn flush_until(
        &mut self,
        watermark: EventTime,
        mut send: impl FnMut(MergeInput<V, A::Partial>),
    ) {
        let windows = self.windows;
        self.flush_windows(|start| windows.window_at(start).end <= watermark, &mut send);
    }

    fn flush_windows(
        &mut self,
        which: impl Fn(EventTime) -> bool,
        send: &mut impl FnMut(MergeInput<V, A::Partial>),
    ) {
        let (sender, slots) = (self.sender, &mut self.slots);
        self.bindings.drain(..).for_each(&mut *send);
        self.unsent.drain(which, |pane| {
            let route = slots.entry(pane.slot).route;
            send(MergeInput(MergeMessage::Partial { route, sender, pane }));
        });
        self.unfolded.take().for_each(|batch| send(MergeInput(MergeMessage::Unfolded(batch))));
        (self.current, self.before) = (Current::NONE, Current::NONE);
    }
}

impl<V, A: Aggregate<V>> std::fmt::Debug for Fold<V, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fold").field("oldest", &self.unsent.oldest()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::slots::SLOTS_MAX;
    use super::*;
    use crate::aggregate::Count;

    fn fold(fold: &mut Fold<(), Count>, key: &str, millis: i64) {
        fold.fold(key.into(), EventTime::from_millis(millis), Partition(0), Offset(0), &());
    }

    fn holds_until(fold: &Fold<(), Count>, millis: i64) -> bool {
        fold.holds_until(EventTime::from_millis(millis))
    }

    #[test]
    fn a_window_is_held_until_it_is_over_or_sent() {
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let mut folded = Fold::new(0, windows, Count);
        assert!(!folded.holds_until(EventTime::MAX), "nothing is held");
        fold(&mut folded, "a", 25_000);
        fold(&mut folded, "b", 10_000);
        fold(&mut folded, "a", 31_000);
        assert!(!holds_until(&folded, 19_999));
        assert!(holds_until(&folded, 20_000));
        folded.flush(drop);
        assert!(!folded.holds_until(EventTime::MAX));
        fold(&mut folded, "a", 31_000);
        assert!(!holds_until(&folded, 39_999));
        assert!(holds_until(&folded, 40_000));
    }

    #[test]
    fn what_is_not_over_stays_in_one_partial_result_a_key() {
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let mut folded = Fold::new(0, windows, Count);
        for millis in [1_000, 11_000, 2_000, 21_000] {
            fold(&mut folded, "a", millis);
        }
        let mut sent = Vec::new();
        folded.flush_until(EventTime::from_millis(19_999), |message| sent.push(message));
        fold(&mut folded, "a", 22_000);
        fold(&mut folded, "a", 12_000);
        fold(&mut folded, "a", 23_000);
        assert!(!holds_until(&folded, 19_999) && holds_until(&folded, 20_000));
        folded.flush(|message| sent.push(message));
        assert!(folded.is_empty());
        let partials = sent.iter().filter_map(|message| match &message.0 {
            MergeMessage::Partial { pane, .. } => Some((pane.start.as_millis(), pane.records)),
            _ => None,
        });
        assert_eq!(partials.collect::<Vec<_>>(), [(0, 2), (10_000, 2), (20_000, 3)]);
    }

    #[test]
    fn a_third_window_may_start_a_second_pane_and_no_record_goes_to_another_key() {
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let mut folded = Fold::new(0, windows, Count);
        fold(&mut folded, "b", 0);
        for millis in [0, 20_000, 0, 10_000, 0] {
            fold(&mut folded, "a", millis);
        }
        let mut sent = Vec::new();
        folded.flush(|message| {
            if let MergeMessage::Partial { pane, .. } = message.0 {
                sent.push((pane.start.as_millis(), pane.slot, pane.records));
            }
        });
        // At the place that "a" had in the third window, the first has the pane of "b".
        assert_eq!(sent, [(0, 0, 1), (0, 1, 1), (0, 1, 2), (20_000, 1, 1), (10_000, 1, 1)]);
    }

    #[test]
    fn records_without_a_slot_are_held_like_others() {
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let mut folded = Fold::new(0, windows, Count);
        for key in 0..SLOTS_MAX {
            fold(&mut folded, &format!("key-{key}"), 15_000);
        }
        folded.flush(drop);
        fold(&mut folded, "one more", 5_000);
        assert!(!folded.is_empty());
        assert!(!holds_until(&folded, 9_999));
        assert!(holds_until(&folded, 10_000));
        // Nothing more can be folded into it.
        let mut unfolded = 0;
        folded.flush_until(EventTime::MIN, |message| match message.0 {
            MergeMessage::Unfolded(batch) => unfolded += batch.iter().count(),
            _ => panic!("only it"),
        });
        assert!(unfolded == 1 && folded.is_empty() && !folded.holds_until(EventTime::MAX));
    }
}
