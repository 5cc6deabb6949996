//! Merging partial results by key, closing windows as the frontier passes them, and stepping
//! through epochs.
//!
//! The operator works in one epoch at a time. Let `(min_epoch, min_event)` be the coordinate-wise
//! minimum of its input frontier:
//!
//! 1. What belongs to the current epoch is applied; what belongs to a later one is set aside.
//! 2. Windows close whose end is at or before `min_event`, and at or before the event coordinate
//!    of everything set aside: a record that waits there may still belong to a window that the
//!    frontier has passed. Their rows leave at `(epoch, end - 1)`, so that operators downstream
//!    can go on in event time.
//! 3. While `min_epoch` is after the current epoch, the state is the consistent cut of the current
//!    epoch. It is copied out if that was asked for, the epoch is left, and what was set aside for
//!    the next is applied. The requests for cuts take part in `min_epoch`, so that none comes too
//!    late, and so does state that comes back: it is there before anything is added to it.
//! 4. The held capability moves to `(epoch, least event time that a row may still leave at)`: an
//!    open window holds an event time, never an old epoch.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use super::keys::{KeyId, Names};
use super::shipment::{Content, PartialPane, Shipment};
use super::state::{KeyGroup, LAST_EPOCH, PaneState, Snapshot, WindowInputs};
use super::{EpochCount, Live, Pulse, Row, Span, Spans, Tumbling, Window, WindowKeys, Windowed};
use crate::aggregate::Aggregate;
use crate::record::Partition;
use crate::time::{EventTime, Time};

pub(super) fn merge_windows<'s, V: 'static, A: Aggregate<V>>(
    scope: Scope<'s, Time>,
    shipments: StreamVec<'s, Time, Shipment<A::Partial>>,
    inputs: WindowInputs<'s, A::Partial>,
    windows: Tumbling,
    aggregate: A,
) -> Windowed<'s, A::Partial, A::Output> {
    let mut builder = OperatorBuilder::new("MergeWindows".to_owned(), scope);
    let to_group = Exchange::new(|shipment: &Shipment<A::Partial>| {
        u64::from(KeyGroup::of_route(shipment.route()).0)
    });
    let mut input = builder.new_input(shipments, to_group);
    let (finals, finals_stream) = builder.new_output_connection([(0, unchanged())]);
    let (live, live_stream) = builder.new_output_connection([(0, unchanged())]);
    let (counts, counts_stream) = builder.new_output_connection([(0, unchanged())]);
    let (snapshots, snapshots_stream) = builder.new_output_connection([(0, unchanged())]);
    // A pulse asks to look; it holds nothing back.
    let nowhere: [(usize, Antichain<()>); 0] = [];
    let mut pulses = builder.new_input_connection(inputs.pulses, Pipeline, nowhere.clone());
    builder.set_notify_for(1, FrontierInterest::Never);
    let mut cuts = builder.new_input_connection(inputs.cuts, Pipeline, nowhere.clone());
    let to_group =
        Exchange::new(|pane: &PaneState<A::Partial>| u64::from(KeyGroup::of(&pane.key).0));
    let mut restored = builder.new_input_connection(inputs.restored, to_group, nowhere);

    builder.build(move |capabilities| {
        let mut held = Some(Held::of(capabilities));
        let mut finals = OutputBuilder::from(finals);
        let mut live = OutputBuilder::from(live);
        let mut counts = OutputBuilder::from(counts);
        let mut snapshots = OutputBuilder::from(snapshots);
        let mut state = State::new(windows, aggregate);
        let mut partials = Vec::new();
        move |frontiers| {
            let Some(capabilities) = &mut held else {
                pulses.for_each(|_, pulses| pulses.clear());
                cuts.for_each(|_, cuts| cuts.clear());
                return;
            };
            restored.for_each(|_, panes| panes.drain(..).for_each(|pane| state.restore(pane)));
            cuts.for_each(|_, cuts| {
                state.cuts.extend(cuts.drain(..).map(|cut| (cut.epoch, cut.closing)));
            });
            input.for_each(|capability, shipments| {
                let stamps = capability.stamp();
                let Some(time) = stamps.iter().min() else { return };
                partials.extend(shipments.drain(..).filter_map(|shipment| state.resolve(shipment)));
                state.accept(*time, &mut partials);
            });

            let arrival = Arrival::of(&frontiers[0], &frontiers[2], &frontiers[3]);
            let (mut finals, mut counts) = (finals.activate(), counts.activate());
            let mut snapshots = snapshots.activate();
            loop {
                let epoch = state.epoch;
                while let Some((window, rows)) = state.close_next(arrival) {
                    let time = Time::new(epoch, last_instant(window));
                    let capability = capabilities.finals.delayed(&time);
                    finals.session(&capability).give_iterator(rows);
                }
                if arrival.epoch <= state.epoch {
                    break;
                }
                counts.session(&capabilities.counts).give_iterator(state.take_counts());
                if let Some(closing) = state.cuts.remove(&epoch) {
                    snapshots.session(&capabilities.snapshots).give(state.copy(epoch, closing));
                }
                let Some(next) = state.next_epoch(arrival) else {
                    // Nothing will arrive and nothing is set aside: every window has closed.
                    capabilities.enter(LAST_EPOCH);
                    snapshots.session(&capabilities.snapshots).give(state.copy(LAST_EPOCH, true));
                    held = None;
                    return;
                };
                state.enter(next);
                capabilities.enter(next);
            }

            let mut pulse = None;
            pulses.for_each(|_, pulses| pulse = pulses.pop().or(pulse));
            if let Some(pulse) = pulse {
                live.activate()
                    .session(&capabilities.live)
                    .give_iterator(state.look(pulse).into_iter());
            }

            let event = state.first_possible_row(arrival);
            if capabilities.finals.time().event < event {
                capabilities.finals.downgrade(&Time::new(state.epoch, event));
            }
        }
    });
    Windowed {
        finals: finals_stream,
        live: live_stream,
        counts: counts_stream,
        snapshots: snapshots_stream,
    }
}

fn unchanged() -> Antichain<()> {
    Antichain::from_elem(())
}

/// The last instant in a window: where its rows leave.
fn last_instant(window: Window) -> EventTime {
    EventTime::from_millis(window.end.as_millis() - 1)
}

/// What the operator may still send at.
struct Held {
    finals: Capability<Time>,
    live: Capability<Time>,
    counts: Capability<Time>,
    snapshots: Capability<Time>,
}

impl Held {
    fn of(capabilities: Vec<Capability<Time>>) -> Held {
        let [finals, live, counts, snapshots] =
            <[_; 4]>::try_from(capabilities).expect("one for each output");
        Held { finals, live, counts, snapshots }
    }

    fn enter(&mut self, epoch: u64) {
        self.finals.downgrade(&Time::new(epoch, self.finals.time().event));
        // What leaves on these ports belongs to an epoch and to no event time.
        let no_event_time = Time::new(epoch, EventTime::MAX);
        for capability in [&mut self.live, &mut self.counts, &mut self.snapshots] {
            capability.downgrade(&no_event_time);
        }
    }
}

/// The coordinate-wise minimum of what can still arrive. At the end of the stream both are the
/// maximum.
#[derive(Copy, Clone, Debug)]
struct Arrival {
    epoch: u64,
    event: EventTime,
}

impl Arrival {
    fn of(
        events: &MutableAntichain<Time>,
        cuts: &MutableAntichain<Time>,
        restored: &MutableAntichain<Time>,
    ) -> Arrival {
        let least = |frontier: &MutableAntichain<Time>| {
            let end = Arrival { epoch: u64::MAX, event: EventTime::MAX };
            frontier.frontier().iter().fold(end, |least, time| Arrival {
                epoch: least.epoch.min(time.epoch),
                event: least.event.min(time.event),
            })
        };
        let (events, cuts, restored) = (least(events), least(cuts), least(restored));
        Arrival {
            // After the last event there is nothing left to cut but the end.
            epoch: if events.epoch < u64::MAX { events.epoch.min(cuts.epoch) } else { u64::MAX }
                .min(restored.epoch),
            event: events.event.min(restored.event),
        }
    }
}

/// The key, window and records of a partial result, on the merging side.
#[derive(Debug)]
struct Resolved<P> {
    key: KeyId,
    start: EventTime,
    span: Span,
    partial: P,
}

struct Pane<P> {
    key: KeyId,
    partial: P,
    spans: Spans,
    /// Whether it changed since it was last looked at.
    changed: bool,
}

/// The panes of one window.
struct Panes<P> {
    /// Where the pane of a key is.
    by_key: HashTable<u32>,
    panes: Vec<Pane<P>>,
}

/// Spreads the numbers of keys over a table.
fn hash(key: KeyId) -> u64 {
    FixedState::default().hash_one(key)
}

impl<P> Panes<P> {
    /// None yet, with room for so many.
    fn with_room_for(keys: usize) -> Self {
        Panes { by_key: HashTable::with_capacity(keys), panes: Vec::with_capacity(keys) }
    }

    fn get_mut(&mut self, key: KeyId) -> Option<&mut Pane<P>> {
        let panes = &mut self.panes;
        let index = self.by_key.find(hash(key), |index| panes[*index as usize].key == key)?;
        Some(&mut panes[*index as usize])
    }

    /// Adds the pane of a key that has none here.
    fn insert(&mut self, key: KeyId, partial: P, spans: Spans) {
        let index = u32::try_from(self.panes.len()).expect("fewer than 2^32 keys");
        let panes = &self.panes;
        self.by_key.insert_unique(hash(key), index, |index| hash(panes[*index as usize].key));
        self.panes.push(Pane { key, partial, spans, changed: true });
    }
}

/// What came for a later epoch: the least event coordinate it came at, and the partial results.
type Aside<P> = (EventTime, Vec<Resolved<P>>);

struct State<V, A: Aggregate<V>> {
    epoch: u64,
    windows: Tumbling,
    aggregate: A,
    names: Names,
    open: BTreeMap<EventTime, Panes<A::Partial>>,
    /// What came for later epochs.
    aside: BTreeMap<u64, Aside<A::Partial>>,
    counts: BTreeMap<Partition, u64>,
    /// The epochs of which a copy was asked for, and whether nothing follows them.
    cuts: BTreeMap<u64, bool>,
    /// Windows that end at or before this are closed.
    closed_before: EventTime,
    /// Whether anything changed since the last look.
    changed: bool,
    /// The window that the last pulse asked for.
    shown: Option<EventTime>,
    value: std::marker::PhantomData<V>,
}

impl<V, A: Aggregate<V>> State<V, A> {
    fn new(windows: Tumbling, aggregate: A) -> Self {
        State {
            epoch: 0,
            windows,
            aggregate,
            names: Names::default(),
            open: BTreeMap::new(),
            aside: BTreeMap::new(),
            counts: BTreeMap::new(),
            cuts: BTreeMap::new(),
            closed_before: EventTime::MIN,
            changed: false,
            shown: None,
            value: std::marker::PhantomData,
        }
    }

    /// Takes note of names at once, in the order of the channel, and gives what a partial result
    /// is about.
    #[inline]
    fn resolve(&mut self, shipment: Shipment<A::Partial>) -> Option<Resolved<A::Partial>> {
        match shipment.0 {
            Content::Partial { sender, pane, .. } => {
                let PartialPane { slot, start, first, last, records, partial } = pane;
                let (key, partition) = self.names.resolve(sender, slot);
                let span = Span { partition, first, last, records };
                Some(Resolved { key, start, span, partial })
            }
            Content::Name { sender, slot, partition, key, .. } => {
                self.names.learn(sender, slot, partition, &key);
                None
            }
            Content::Forget { sender, slot, .. } => {
                self.names.forget(sender, slot);
                None
            }
        }
    }

    /// Applies what belongs to this epoch, and sets aside what belongs to a later one.
    fn accept(&mut self, time: Time, partials: &mut Vec<Resolved<A::Partial>>) {
        if time.epoch <= self.epoch {
            for partial in partials.drain(..) {
                self.apply(partial);
            }
        } else if !partials.is_empty() {
            for partial in partials.iter() {
                // The sender may forget the key before the partial result is applied.
                self.names.retain(partial.key);
            }
            let (event, aside) =
                self.aside.entry(time.epoch).or_insert_with(|| (time.event, Vec::new()));
            *event = time.event.min(*event);
            aside.append(partials);
        }
    }

    fn apply(&mut self, Resolved { key, start, span, partial }: Resolved<A::Partial>) {
        self.changed = true;
        *self.counts.entry(span.partition).or_default() += span.records;
        let panes = panes_at(&mut self.open, start);
        if let Some(pane) = panes.get_mut(key) {
            self.aggregate.combine(&mut pane.partial, &partial);
            add_span(&mut pane.spans, span);
            pane.changed = true;
        } else {
            self.names.retain(key);
            panes.insert(key, partial, Spans::from_elem(span, 1));
        }
    }

    /// Takes back a pane of an earlier run: its records have been counted then.
    fn restore(&mut self, state: PaneState<A::Partial>) {
        let PaneState { key, start, partial, spans } = state;
        let key = self.names.acquire(&key);
        self.changed = true;
        let panes = panes_at(&mut self.open, start);
        if let Some(pane) = panes.get_mut(key) {
            self.aggregate.combine(&mut pane.partial, &partial);
            spans.into_iter().for_each(|span| add_span(&mut pane.spans, span));
            self.names.release(key);
        } else {
            panes.insert(key, partial, spans);
        }
    }

    /// A copy of all panes. O(panes).
    fn copy(&self, epoch: u64, closing: bool) -> Snapshot<A::Partial> {
        let mut panes = Vec::with_capacity(self.open.values().map(|open| open.panes.len()).sum());
        for (start, open) in &self.open {
            panes.extend(open.panes.iter().map(|pane| PaneState {
                key: self.names.name(pane.key),
                start: *start,
                partial: pane.partial.clone(),
                spans: pane.spans.clone(),
            }));
        }
        Snapshot { epoch, closing, closed_before: self.closed_before, panes }
    }

    /// Up to where windows may close: nothing that arrives, and nothing set aside, can still be
    /// for a window that ends at or before it.
    fn limit(&self, arrival: Arrival) -> EventTime {
        self.aside.values().map(|(event, _)| *event).fold(arrival.event, EventTime::min)
    }

    /// Removes the oldest window and gives its rows, if it ends at or before the limit.
    fn close_next(
        &mut self,
        arrival: Arrival,
    ) -> Option<(Window, impl Iterator<Item = Row<A::Output>> + use<'_, V, A>)> {
        let limit = self.limit(arrival);
        self.closed_before = self.closed_before.max(limit);
        let first = self.open.first_entry()?;
        let window = self.windows.window_at(*first.key());
        if limit < window.end {
            return None;
        }
        self.changed = true;
        let panes = first.remove().panes;
        let rows = panes.into_iter().map(move |pane| {
            let key = self.names.name(pane.key);
            self.names.release(pane.key);
            Row { key, window, output: self.aggregate.lower(&pane.partial), spans: pane.spans }
        });
        Some((window, rows))
    }

    /// The earliest event time at which a row may still leave.
    fn first_possible_row(&self, arrival: Arrival) -> EventTime {
        let first_open = self
            .open
            .first_key_value()
            .map_or(EventTime::MAX, |(start, _)| last_instant(self.windows.window_at(*start)));
        self.limit(arrival).min(first_open)
    }

    /// The epoch to enter when the current one is complete: the next that something was set aside
    /// for, or that is cut, or the least that can still arrive. `None` at the end of the stream.
    fn next_epoch(&self, arrival: Arrival) -> Option<u64> {
        let aside = self.aside.first_key_value().map_or(u64::MAX, |(epoch, _)| *epoch);
        let cut = self.cuts.range(self.epoch + 1..).next().map_or(u64::MAX, |(epoch, _)| *epoch);
        Some(aside.min(cut).min(arrival.epoch)).filter(|epoch| *epoch < u64::MAX)
    }

    fn enter(&mut self, epoch: u64) {
        debug_assert!(self.epoch < epoch, "epochs advance");
        self.epoch = epoch;
        if let MapEntry::Occupied(aside) = self.aside.entry(epoch) {
            for partial in aside.remove().1 {
                let key = partial.key;
                self.apply(partial);
                self.names.release(key);
            }
        }
    }

    fn take_counts(&mut self) -> impl Iterator<Item = EpochCount> + use<V, A> {
        let epoch = self.epoch;
        std::mem::take(&mut self.counts).into_iter().map(move |(partition, records)| EpochCount {
            epoch,
            partition,
            records,
        })
    }

    /// What a pulse asked to see, if anything changed: which windows are open, and the rows of the
    /// shown one that changed since the last look. O(open windows + keys of the shown window).
    fn look(&mut self, pulse: Pulse) -> Vec<Live<A::Output>> {
        let same = self.shown == pulse.show;
        if same && !self.changed {
            return Vec::new();
        }
        self.shown = pulse.show;
        self.changed = false;
        let open = self.open.iter().map(|(start, panes)| WindowKeys {
            window: self.windows.window_at(*start),
            keys: panes.panes.len() as u64,
        });
        let mut looks = vec![Live::Open(open.collect())];
        if let Some((start, panes)) =
            pulse.show.and_then(|start| Some((start, self.open.get_mut(&start)?)))
        {
            let window = self.windows.window_at(start);
            for pane in &mut panes.panes {
                if std::mem::take(&mut pane.changed) || !same {
                    looks.push(Live::Row(Row {
                        key: self.names.name(pane.key),
                        window,
                        output: self.aggregate.lower(&pane.partial),
                        spans: pane.spans.clone(),
                    }));
                }
            }
        }
        looks
    }
}

/// The panes of the window that starts at `start`; a new one has room for the keys of the one
/// before it, which are usually the same.
fn panes_at<P>(open: &mut BTreeMap<EventTime, Panes<P>>, start: EventTime) -> &mut Panes<P> {
    let before = match open.contains_key(&start) {
        true => 0,
        false => open.range(..start).next_back().map_or(0, |(_, before)| before.panes.len()),
    };
    open.entry(start).or_insert_with(|| Panes::with_room_for(before))
}

/// Adds what one partial result covers to what a pane covers; sorted by partition.
fn add_span(spans: &mut Spans, span: Span) {
    match spans.binary_search_by_key(&span.partition, |span| span.partition) {
        Ok(index) => {
            let known = &mut spans[index];
            known.first = known.first.min(span.first);
            known.last = known.last.max(span.last);
            known.records += span.records;
        }
        Err(index) => spans.insert(index, span),
    }
}
