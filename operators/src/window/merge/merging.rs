//! Partial results that are merged: by key and window, in one epoch at a time.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::resolved::{Addend, Kept, Resolved};
use crate::aggregate::Aggregate;
use crate::epochs::Epochs;
use crate::record::Partition;
use crate::time::{EventTime, Time};
use crate::window::index::PlacementSeed;
use crate::window::key_dictionary::{KeyDictionary, KeyId, TOGETHER};
use crate::window::merge_input::{MergeInput, MergeMessage, PartialPane};
use crate::window::open::OpenWindows;
use crate::window::panes::Place;
use crate::window::provenance::Provenance;
use crate::window::unfolded::{UnfoldedBatch, UnfoldedRecord};
use crate::window::unmerged::Unmerged;
use crate::window::{EpochCount, Span, Tumbling};

/// What one worker merges.
pub(super) struct Merging<V, A: Aggregate<V>> {
    pub(super) epochs: Epochs<Kept<A::Partial>>,
    pub(super) windows: Tumbling,
    pub(super) aggregate: A,
    pub(super) dictionary: KeyDictionary,
    pub(super) open: OpenWindows<A::Partial>,
    counts: BTreeMap<Partition, u64>,
    unmerged: Unmerged,
    /// Windows that end at or before this are closed.
    pub(super) closed_before: EventTime,
    /// Whether anything changed since the last look.
    pub(super) changed: bool,
    /// The window that the last pulse asked for, and whether one asked for another since the last look:
    /// then no row of it is known where rows are shown.
    pub(super) shown: Option<EventTime>,
    pub(super) is_other: bool,
    value: PhantomData<V>,
}

impl<V, A: Aggregate<V>> Merging<V, A> {
    pub(super) fn new(
        windows: Tumbling,
        aggregate: A,
        placement: PlacementSeed,
        unmerged: Unmerged,
    ) -> Self {
        Merging {
            epochs: Epochs::default(),
            windows,
            aggregate,
            dictionary: KeyDictionary::new(placement),
            open: OpenWindows::default(),
            counts: BTreeMap::new(),
            unmerged,
            closed_before: EventTime::MIN,
            changed: false,
            shown: None,
            is_other: false,
            value: PhantomData,
        }
    }

    /// Takes note of names, in the order of the channel, and takes what goes by them.
    pub(super) fn receive(&mut self, time: Time, messages: &[MergeInput<V, A::Partial>]) {
        let is_later = self.epochs.is_later(time);
        let mut resolved = Vec::with_capacity(TOGETHER);
        for message in messages {
            match &message.0 {
                MergeMessage::Partial { sender, pane, .. } => {
                    let PartialPane { slot, start, first, last, records, ref partial } = *pane;
                    let (key, partition) = self.dictionary.resolve(*sender, slot);
                    let span = Span { partition, first, last, records };
                    resolved.push(Resolved { key, start, span, what: Addend::Partial(partial) });
                    if resolved.len() == TOGETHER {
                        self.take(time, &mut resolved);
                    }
                }
                MergeMessage::Unfolded(batch) => self.receive_unfolded(time, batch),
                MergeMessage::Bind { sender, slot, partition, key, .. } => {
                    self.dictionary.bind(*sender, *slot, *partition, key);
                }
                MergeMessage::Unbind { sender, slot, .. } => self.dictionary.unbind(*sender, *slot),
            }
        }
        self.take(time, &mut resolved);
        let bytes: usize = messages.iter().map(MergeInput::bytes).sum();
        if is_later && messages.iter().any(MergeInput::has_records) {
            self.epochs.keep(time, Kept::Bytes(bytes));
        } else {
            self.unmerged.merged(bytes);
        }
    }

    /// The same with records that bring their keys along.
    fn receive_unfolded(&mut self, time: Time, batch: &UnfoldedBatch<V>) {
        let mut records = batch.iter();
        let mut keys = Vec::with_capacity(TOGETHER);
        let mut ids = Vec::with_capacity(TOGETHER);
        let mut resolved = Vec::with_capacity(TOGETHER);
        loop {
            keys.clear();
            for (key, record) in records.by_ref().take(TOGETHER) {
                let &UnfoldedRecord { route, start, offset, partition, ref value, .. } = record;
                let span = Span { partition, first: offset, last: offset, records: 1 };
                keys.push((route, key));
                let what = Addend::Value(value);
                resolved.push(Resolved { key: KeyId::MAX, start, span, what });
            }
            if keys.is_empty() {
                return;
            }
            ids.clear();
            self.dictionary.ids(&keys, &mut ids);
            resolved.iter_mut().zip(&ids).for_each(|(resolved, id)| resolved.key = *id);
            self.take(time, &mut resolved);
        }
    }

    /// Applies what belongs to this epoch, and keeps what belongs to a later one.
    fn take(&mut self, time: Time, resolved: &mut Vec<Resolved<Addend<'_, V, A::Partial>>>) {
        if self.epochs.is_later(time) {
            self.keep(time, resolved);
        } else {
            self.apply_all(resolved);
        }
        resolved.clear();
    }

    /// Keeps partial results for their epoch.
    fn keep(&mut self, time: Time, resolved: &[Resolved<Addend<'_, V, A::Partial>>]) {
        if resolved.is_empty() {
            return;
        }
        let (dictionary, aggregate) = (&mut self.dictionary, &self.aggregate);
        let kept = resolved.iter().map(|&Resolved { key, start, span, ref what }| {
            // The sender may forget the key before the partial result is applied.
            dictionary.retain(key);
            Kept::Partial(Resolved { key, start, span, what: what.to_partial(aggregate) })
        });
        self.epochs.keep_all(time, kept);
    }

    /// Enters an epoch, and applies what was kept for it.
    pub(super) fn enter(&mut self, epoch: u64) {
        for kept in self.epochs.enter(epoch) {
            match kept {
                Kept::Partial(Resolved { key, start, span, ref what }) => {
                    self.apply(&Resolved { key, start, span, what: Addend::Partial(what) }, None);
                    self.dictionary.release(key);
                }
                Kept::Bytes(bytes) => self.unmerged.merged(bytes),
            }
        }
    }

    /// Adds at most [`TOGETHER`] of them to their panes. As with [keys](KeyDictionary::ids), each step for
    /// all of them asks for what the next one looks at.
    fn apply_all(&mut self, resolved: &[Resolved<Addend<'_, V, A::Partial>>]) {
        for Resolved { key, start, .. } in resolved {
            if let Some(panes) = self.open.get_mut(*start) {
                panes.prefetch_place(*key);
            }
        }
        let mut places = [None; TOGETHER];
        for (place, Resolved { key, start, .. }) in places.iter_mut().zip(resolved) {
            let Some(panes) = self.open.get_mut(*start) else { continue };
            *place = panes.place(*key);
            match *place {
                Some(place) => panes.prefetch(place),
                None => self.dictionary.prefetch(*key),
            }
        }
        for (resolved, place) in resolved.iter().zip(places) {
            self.apply(resolved, place);
        }
    }

    /// Adds to a pane, which is at `place` if it was there before.
    #[inline]
    fn apply(&mut self, resolved: &Resolved<Addend<'_, V, A::Partial>>, place: Option<Place>) {
        let Resolved { key, start, span, what } = resolved;
        self.changed = true;
        *self.counts.entry(span.partition).or_default() += span.records;
        let panes = self.open.get_mut(*start);
        if let Some((panes, place)) = panes.and_then(|panes| {
            let place = place.or_else(|| panes.place(*key))?;
            Some((panes, place))
        }) {
            let pane = panes.at(place);
            match what {
                Addend::Value(value) => self.aggregate.fold(&mut pane.partial, value),
                Addend::Partial(partial) => self.aggregate.combine(&mut pane.partial, partial),
            }
            pane.provenance.add(*span);
            pane.changed = true;
        } else {
            self.dictionary.retain(*key);
            let partial = what.to_partial(&self.aggregate);
            self.open.insert(*start, *key, partial, Provenance::from(*span));
        }
    }

    /// How many records of each partition were counted in this epoch.
    pub(super) fn take_counts(&mut self) -> impl Iterator<Item = EpochCount> + use<V, A> {
        let epoch = self.epochs.current();
        std::mem::take(&mut self.counts).into_iter().map(move |(partition, records)| EpochCount {
            epoch,
            partition,
            records,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aggregate::Count;
    use crate::record::Offset;
    use crate::window::key_group::route;

    fn name() -> MergeInput<(), u64> {
        let key: Box<str> = "k".into();
        let route = route((&*key).into());
        MergeInput(MergeMessage::Bind { route, sender: 0, slot: 0, partition: Partition(0), key })
    }

    fn partial() -> MergeInput<(), u64> {
        let (first, last, start) = (Offset(0), Offset(2), EventTime::from_millis(0));
        let pane = PartialPane { slot: 0, start, first, last, records: 3, partial: 3 };
        MergeInput(MergeMessage::Partial { route: route("k".into()), sender: 0, pane })
    }

    /// Receives what was sent in epoch 1 while it is in epoch 0.
    fn received_early(messages: &[MergeInput<(), u64>]) -> (Merging<(), Count>, Unmerged) {
        let unmerged = Unmerged::counted();
        unmerged.sent(1, messages.iter().map(MergeInput::bytes).sum());
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let seed = PlacementSeed::default();
        let mut merging = Merging::new(windows, Count, seed, unmerged.clone());
        merging.receive(Time::new(1, EventTime::from_millis(500)), messages);
        (merging, unmerged)
    }

    #[test]
    fn what_waits_for_its_epoch_is_not_merged_before() {
        let sent = [name(), partial()];
        let (mut merging, unmerged) = received_early(&sent);
        assert_eq!(unmerged.bytes(), sent.iter().map(MergeInput::bytes).sum::<usize>() as u64);
        assert_eq!(merging.first_possible_row(EventTime::MAX), EventTime::from_millis(500));
        assert_eq!((merging.take_counts().count(), merging.copy(0, false).panes.len()), (0, 0));
        merging.enter(1);
        assert_eq!(unmerged.bytes(), 0);
        assert_eq!(merging.take_counts().map(|count| count.records).sum::<u64>(), 3);
        let panes = merging.copy(1, false).panes;
        assert_eq!(panes.iter().map(|pane| (&*pane.key, pane.partial)).next(), Some(("k", 3)));
    }

    #[test]
    fn what_a_slot_stands_for_waits_for_no_epoch() {
        let (merging, unmerged) = received_early(&[name()]);
        assert_eq!(unmerged.bytes(), 0);
        assert_eq!(merging.first_possible_row(EventTime::MAX), EventTime::MAX);
    }
}
