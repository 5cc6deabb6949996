//! Partial aggregation before the exchange: what one worker has of a (key, window), folded
//! together and sent on as one partial result.
//!
//! Sending a partial result for every few hundred records instead of every record is what makes
//! the exchange cheap. It delays data, not correctness: whoever folds holds the capability of what
//! has not been sent. That is the operator that reads, which folds each record right where it was
//! decoded: putting batches of events between the two cost a sixth of a worker's time (measured).
//!
//! A record whose key has no slot ([`Slots`] says when) is not folded: it takes its key along, and
//! waits for others whose keys are of the same group ([`Lone`]).
//!
//! A pane is found through its key's slot, which remembers the last two panes of its key. A record
//! of a third window starts a new pane even if there is an older one for it: partial results
//! combine, so a second pane of the same (key, window) costs a message and changes nothing.

use super::lone::Lone;
use super::shipment::{Content, PartialPane, Shipment};
use super::slots::{Found, Recent, Slot, Slots, route};
use super::{Tumbling, Window};
use crate::aggregate::Aggregate;
use crate::record::{Key, Offset, Partition};
use crate::time::EventTime;

/// Most partial results that are held back, a number of them.
const PANES_MAX: usize = 1 << 14;
/// Most records that are held back, a number of them.
const RECORDS_MAX: usize = 1 << 17;
/// Most bytes of keys that are held back with records that have no slot.
const HELD_KEY_BYTES_MAX: usize = 1 << 24;

/// Folds the records that one worker reads to partial results.
///
/// What it holds has to be [flushed](Self::flush) and sent under a capability at which its windows
/// are [not yet over](Self::holds_until), in the epoch in which the records were read; and when there
/// is nothing more to read, so that nothing waits. All that a worker's fold sends goes to
/// [`MergeWindows`](super::MergeWindows), in order. Work per record is O(1); state is a slot for each key in use.
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
/// let mut shipments = Vec::new();
/// fold.flush(|shipment| shipments.push(shipment));
/// assert_eq!(shipments.len(), 3);
/// assert!(fold.is_empty());
/// ```
pub struct Fold<V, A: Aggregate<V>> {
    sender: u32,
    windows: Tumbling,
    /// The window of the last record: the next one is usually in it too.
    window: Window,
    aggregate: A,
    slots: Slots,
    /// Names, to be sent before their first use.
    names: Vec<Shipment<V, A::Partial>>,
    /// Records of keys without a slot.
    lone: Lone<V>,
    panes: Vec<PartialPane<A::Partial>>,
    records: usize,
    /// The start of the oldest window that it holds records of: the maximum if it holds none.
    oldest: EventTime,
    /// Tells the panes of this flush from those of earlier ones; never 0.
    flush: u32,
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
            window: windows.window_at(EventTime::from_millis(0)),
            aggregate,
            slots: Slots::default(),
            names: Vec::new(),
            lone: Lone::default(),
            panes: Vec::new(),
            records: 0,
            oldest: EventTime::MAX,
            flush: 1,
        }
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
        self.records += 1;
        if time < self.window.start || self.window.end <= time {
            self.window = self.windows.window_at(time);
        }
        let start = self.window.start;
        let route = route(key);
        let slot = match self.slots.slot(route, partition, key) {
            Found::Known(slot) => slot,
            Found::New(slot) => {
                self.announce(slot, route, partition, key);
                slot
            }
            Found::Nothing => {
                let at = (partition, offset);
                self.oldest = self.oldest.min(start);
                return self.lone.push((route, key), start, at, value.clone());
            }
        };
        let entry = self.slots.entry(slot);
        for recent in entry.recent {
            if recent.flush == self.flush {
                let pane = &mut self.panes[recent.pane as usize];
                if pane.start == start {
                    pane.last = offset;
                    pane.records += 1;
                    self.aggregate.fold(&mut pane.partial, value);
                    return;
                }
            }
        }
        self.oldest = self.oldest.min(start);
        let pane = u32::try_from(self.panes.len()).expect("a flush is far smaller than 2^32");
        entry.recent = [Recent { flush: self.flush, pane }, entry.recent[0]];
        let partial = self.aggregate.lift(value);
        let (first, last) = (offset, offset);
        self.panes.push(PartialPane { slot, start, first, last, records: 1, partial });
    }

    #[cold]
    fn announce(&mut self, slot: Slot, route: u64, partition: Partition, key: Key<'_>) {
        let (sender, key) = (self.sender, key.as_str().into());
        self.names.push(Shipment(Content::Name { route, sender, slot, partition, key }));
    }

    /// Whether nothing is held back.
    pub fn is_empty(&self) -> bool {
        self.panes.is_empty() && self.names.is_empty() && self.lone.is_empty()
    }

    /// Whether so much is held back that it should be sent.
    pub fn is_full(&self) -> bool {
        PANES_MAX <= self.panes.len()
            || RECORDS_MAX <= self.records
            || HELD_KEY_BYTES_MAX <= self.lone.key_bytes()
    }

    /// Whether something is held back of a window that is over at `watermark`: it has to be sent
    /// before a capability moves there. What is of later windows may still be sent from there.
    pub fn holds_until(&self, watermark: EventTime) -> bool {
        self.oldest < watermark && self.windows.window_at(self.oldest).end <= watermark
    }

    /// Gives everything that is held back to `send`: the names first, then what uses them, then what
    /// is forgotten. One by one, so that whoever sends on fills containers that stay in a cache: a list
    /// of all would not.
    pub fn flush(&mut self, mut send: impl FnMut(Shipment<V, A::Partial>)) {
        let (sender, slots) = (self.sender, &mut self.slots);
        self.names.drain(..).for_each(&mut send);
        for pane in self.panes.drain(..) {
            let route = slots.entry(pane.slot).route;
            send(Shipment(Content::Partial { route, sender, pane }));
        }
        self.lone.take().for_each(|batch| send(Shipment(Content::Alone(batch))));
        // No pane refers to a slot any more.
        slots.sweep(|slot, route| send(Shipment(Content::Forget { route, sender, slot })));
        self.records = 0;
        self.oldest = EventTime::MAX;
        self.flush = self.flush.checked_add(1).unwrap_or_else(|| {
            self.slots.forget_recent();
            1
        });
    }
}

impl<V, A: Aggregate<V>> std::fmt::Debug for Fold<V, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fold").field("records", &self.records).finish_non_exhaustive()
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
    fn records_without_a_slot_are_held_like_others() {
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let mut folded = Fold::new(0, windows, Count);
        for key in 0..SLOTS_MAX {
            fold(&mut folded, &format!("key-{key}"), 15_000);
        }
        folded.flush(drop);
        fold(&mut folded, "one more", 5_000);
        assert!(folded.panes.is_empty() && !folded.is_empty());
        assert!(!holds_until(&folded, 9_999));
        assert!(holds_until(&folded, 10_000));
    }
}
