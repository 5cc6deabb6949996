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

use timely::ExchangeData;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use super::covered::Covered;
use super::index::PlacementSeed;
use super::key_group::KeyGroup;
use super::lone::{LoneBatch, LoneRecord};
use super::names::{KeyId, Names, TOGETHER};
use super::near;
use super::open::OpenWindows;
use super::panes::{Pane, Panes, Place};
use super::shipment::{Content, PartialPane, Shipment};
use super::state::{LAST_EPOCH, PaneState, Snapshot, WindowInputs};
use super::{EpochCount, Live, Pulse, Row, Span, Tumbling, Window, WindowKeys, Windowed};
use crate::aggregate::Aggregate;
use crate::record::Partition;
use crate::time::{EventTime, Time};

pub(super) fn merge_windows<'s, V: ExchangeData + Clone, A: Aggregate<V>>(
    scope: Scope<'s, Time>,
    shipments: StreamVec<'s, Time, Shipment<V, A::Partial>>,
    inputs: WindowInputs<'s, A::Partial>,
    windows: Tumbling,
    aggregate: A,
) -> Windowed<'s, A::Partial, A::Output> {
    let mut builder = OperatorBuilder::new("MergeWindows".to_owned(), scope);
    let (placement, unmerged) = (inputs.placement, inputs.unmerged);
    let to_group =
        Exchange::new(|shipment: &Shipment<V, A::Partial>| u64::from(shipment.group().0));
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
        let mut state = State::new(windows, aggregate, placement);
        // Bytes that are set aside, by epoch.
        let mut aside_bytes = BTreeMap::new();
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
                // Sources send under one capability, so a stamp is one time.
                let Some(time) = capability.stamp().iter().min().copied() else { return };
                state.receive(time, shipments);
                let bytes: usize = shipments.iter().map(Shipment::bytes).sum();
                if time.epoch <= state.epoch {
                    unmerged.merged(bytes);
                } else {
                    *aside_bytes.entry(time.epoch).or_insert(0) += bytes;
                }
                shipments.clear();
            });

            let arrival = Arrival::of(&frontiers[0], &frontiers[2], &frontiers[3]);
            let (mut finals, mut counts) = (finals.activate(), counts.activate());
            let mut snapshots = snapshots.activate();
            loop {
                let epoch = state.epoch;
                while let Some((window, panes)) = state.close_next(arrival) {
                    let time = Time::new(epoch, last_instant(window));
                    let capability = capabilities.finals.delayed(&time);
                    let mut session = finals.session(&capability);
                    let mut pages = panes.into_pages();
                    loop {
                        let mut rows = state.close(window, &mut pages);
                        if rows.is_empty() {
                            break;
                        }
                        session.give_container(&mut rows);
                    }
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
                while let Some(aside) =
                    aside_bytes.first_entry().filter(|aside| *aside.key() <= next)
                {
                    unmerged.merged(aside.remove());
                }
                capabilities.enter(next);
            }

            let mut asked = false;
            pulses.for_each(|_, pulses| {
                for Pulse { show } in pulses.drain(..) {
                    asked = true;
                    state.show(show);
                }
            });
            if asked {
                let looks = state.look();
                live.activate().session(&capabilities.live).give_iterator(looks.into_iter());
            }

            state.names.collect();
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

/// How many rows leave in one batch, and at most a page of panes more.
const ROWS_TOGETHER: usize = 512;

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

/// Something to be added to a pane: of which key, window and records it is.
struct Resolved<T> {
    key: KeyId,
    start: EventTime,
    span: Span,
    what: T,
}

/// What is added to a pane.
enum Addend<'a, V, P> {
    /// A record that was not folded with others.
    Value(&'a V),
    Partial(&'a P),
}

impl<V, P: Clone> Addend<'_, V, P> {
    fn to_partial<A: Aggregate<V, Partial = P>>(&self, aggregate: &A) -> P {
        match *self {
            Addend::Value(value) => aggregate.lift(value),
            Addend::Partial(partial) => partial.clone(),
        }
    }
}

/// What came for a later epoch: the least event coordinate it came at, and the partial results.
type Aside<P> = (EventTime, Vec<Resolved<P>>);

struct State<V, A: Aggregate<V>> {
    epoch: u64,
    windows: Tumbling,
    aggregate: A,
    names: Names,
    open: OpenWindows<A::Partial>,
    /// What came for later epochs.
    aside: BTreeMap<u64, Aside<A::Partial>>,
    counts: BTreeMap<Partition, u64>,
    /// The epochs of which a copy was asked for, and whether nothing follows them.
    cuts: BTreeMap<u64, bool>,
    /// Windows that end at or before this are closed.
    closed_before: EventTime,
    /// Whether anything changed since the last look.
    changed: bool,
    /// The window that the last pulse asked for, and whether one asked for another since the last look:
    /// then no row of it is known where rows are shown.
    shown: Option<EventTime>,
    is_other: bool,
    value: std::marker::PhantomData<V>,
}

impl<V, A: Aggregate<V>> State<V, A> {
    fn new(windows: Tumbling, aggregate: A, placement: PlacementSeed) -> Self {
        State {
            epoch: 0,
            windows,
            aggregate,
            names: Names::new(placement),
            open: OpenWindows::default(),
            aside: BTreeMap::new(),
            counts: BTreeMap::new(),
            cuts: BTreeMap::new(),
            closed_before: EventTime::MIN,
            changed: false,
            shown: None,
            is_other: false,
            value: std::marker::PhantomData,
        }
    }

    /// Takes note of names, in the order of the channel, and takes what goes by them.
    fn receive(&mut self, time: Time, shipments: &[Shipment<V, A::Partial>]) {
        assert!(self.epoch <= time.epoch, "an epoch is left when nothing can come for it");
        let mut resolved = Vec::with_capacity(TOGETHER);
        for shipment in shipments {
            match &shipment.0 {
                Content::Partial { sender, pane, .. } => {
                    let PartialPane { slot, start, first, last, records, ref partial } = *pane;
                    let (key, partition) = self.names.resolve(*sender, slot);
                    let span = Span { partition, first, last, records };
                    resolved.push(Resolved { key, start, span, what: Addend::Partial(partial) });
                    if resolved.len() == TOGETHER {
                        self.take(time, &mut resolved);
                    }
                }
                Content::Alone(batch) => self.receive_alone(time, batch),
                Content::Name { sender, slot, partition, key, .. } => {
                    self.names.learn(*sender, *slot, *partition, key);
                }
                Content::Forget { sender, slot, .. } => self.names.forget(*sender, *slot),
            }
        }
        self.take(time, &mut resolved);
    }

    /// The same with records that bring their keys along.
    fn receive_alone(&mut self, time: Time, batch: &LoneBatch<V>) {
        let mut records = batch.iter();
        let mut keys = Vec::with_capacity(TOGETHER);
        let mut ids = Vec::with_capacity(TOGETHER);
        let mut resolved = Vec::with_capacity(TOGETHER);
        loop {
            keys.clear();
            for (key, record) in records.by_ref().take(TOGETHER) {
                let &LoneRecord { route, start, offset, partition, ref value, .. } = record;
                let span = Span { partition, first: offset, last: offset, records: 1 };
                keys.push((route, key));
                let what = Addend::Value(value);
                resolved.push(Resolved { key: KeyId::MAX, start, span, what });
            }
            if keys.is_empty() {
                return;
            }
            ids.clear();
            self.names.ids(&keys, &mut ids);
            resolved.iter_mut().zip(&ids).for_each(|(resolved, id)| resolved.key = *id);
            self.take(time, &mut resolved);
        }
    }

    /// Applies what belongs to this epoch, and sets aside what belongs to a later one.
    fn take(&mut self, time: Time, resolved: &mut Vec<Resolved<Addend<'_, V, A::Partial>>>) {
        if time.epoch <= self.epoch {
            self.apply_all(resolved);
        } else {
            self.set_aside(time, resolved);
        }
        resolved.clear();
    }

    /// Keeps partial results for their epoch.
    fn set_aside(&mut self, time: Time, resolved: &[Resolved<Addend<'_, V, A::Partial>>]) {
        if resolved.is_empty() {
            return;
        }
        let (event, aside) =
            self.aside.entry(time.epoch).or_insert_with(|| (time.event, Vec::new()));
        *event = time.event.min(*event);
        for &Resolved { key, start, span, ref what } in resolved {
            // The sender may forget the key before the partial result is applied.
            self.names.retain(key);
            aside.push(Resolved { key, start, span, what: what.to_partial(&self.aggregate) });
        }
    }

    /// Adds at most [`TOGETHER`] of them to their panes. As with [names](Names::ids), each step for
    /// all of them asks for what the next one looks at.
    fn apply_all(&mut self, resolved: &[Resolved<Addend<'_, V, A::Partial>>]) {
        for Resolved { key, start, .. } in resolved {
            if let Some(panes) = self.open.get_mut(*start) {
                panes.bring_place(*key);
            }
        }
        let mut places = [None; TOGETHER];
        for (place, Resolved { key, start, .. }) in places.iter_mut().zip(resolved) {
            let Some(panes) = self.open.get_mut(*start) else { continue };
            *place = panes.place(*key);
            match *place {
                Some(place) => panes.bring(place),
                None => self.names.bring(*key),
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
            pane.covered.add(*span);
            pane.changed = true;
        } else {
            self.names.retain(*key);
            let partial = what.to_partial(&self.aggregate);
            self.open.insert(*start, *key, partial, Covered::from(*span));
        }
    }

    /// Takes back a pane of an earlier run: its records have been counted then.
    fn restore(&mut self, state: PaneState<A::Partial>) {
        let PaneState { key, start, partial, spans } = state;
        let key = self.names.acquire(&key);
        self.changed = true;
        let panes = self.open.get_mut(start);
        if let Some(pane) = panes.and_then(|panes| Some(panes.at(panes.place(key)?))) {
            self.aggregate.combine(&mut pane.partial, &partial);
            spans.into_iter().for_each(|span| pane.covered.add(span));
            self.names.release(key);
        } else {
            self.open.insert(start, key, partial, Covered::from(spans));
        }
    }

    /// A copy of all panes. O(panes).
    fn copy(&self, epoch: u64, closing: bool) -> Snapshot<A::Partial> {
        let mut panes = Vec::with_capacity(self.open.iter().map(|(_, panes)| panes.len()).sum());
        for (start, open) in self.open.iter() {
            panes.extend(open.iter().map(|pane| PaneState {
                key: self.names.name(pane.key),
                start,
                partial: pane.partial.clone(),
                spans: pane.covered.spans(),
            }));
        }
        Snapshot { epoch, closing, closed_before: self.closed_before, panes }
    }

    /// Up to where windows may close: nothing that arrives, and nothing set aside, can still be
    /// for a window that ends at or before it.
    fn limit(&self, arrival: Arrival) -> EventTime {
        self.aside.values().map(|(event, _)| *event).fold(arrival.event, EventTime::min)
    }

    /// Removes the oldest window and gives its panes, if it ends at or before the limit.
    fn close_next(&mut self, arrival: Arrival) -> Option<(Window, Panes<A::Partial>)> {
        let limit = self.limit(arrival);
        self.closed_before = self.closed_before.max(limit);
        let window = self.windows.window_at(self.open.first()?);
        if limit < window.end {
            return None;
        }
        self.changed = true;
        Some((window, self.open.close_first()?))
    }

    /// Makes the rows of some panes of a window that closes: none only where there are no more.
    fn close(
        &mut self,
        window: Window,
        pages: &mut impl Iterator<Item = Vec<Pane<A::Partial>>>,
    ) -> Vec<Row<A::Output>> {
        let (mut together, mut len) = (Vec::new(), 0);
        while len < ROWS_TOGETHER
            && let Some(panes) = pages.next()
        {
            // The panes were not used for as long as the window waited, nor were the names.
            for pane in &panes {
                near::bring(&pane.covered);
                self.names.bring(pane.key);
            }
            len += panes.len();
            together.push(panes);
        }
        let mut rows = Vec::with_capacity(len);
        for pane in together.into_iter().flatten() {
            let key = self.names.name(pane.key);
            self.names.release(pane.key);
            let output = self.aggregate.lower(&pane.partial);
            rows.push(Row { key, window, output, spans: pane.covered.spans() });
        }
        rows
    }

    /// The earliest event time at which a row may still leave.
    fn first_possible_row(&self, arrival: Arrival) -> EventTime {
        let first = self.open.first();
        let first_open =
            first.map_or(EventTime::MAX, |start| last_instant(self.windows.window_at(start)));
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
        assert!(self.epoch < epoch, "epochs advance");
        self.epoch = epoch;
        if let MapEntry::Occupied(aside) = self.aside.entry(epoch) {
            for &Resolved { key, start, span, ref what } in &aside.remove().1 {
                self.apply(&Resolved { key, start, span, what: Addend::Partial(what) }, None);
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

    /// Turns to the window that a pulse asks for.
    fn show(&mut self, show: Option<EventTime>) {
        self.is_other |= self.shown != show;
        self.shown = show;
    }

    /// What is asked for, if anything changed: which windows are open, and the rows of the shown one
    /// that changed since the last look. O(open windows + keys of the shown window).
    fn look(&mut self) -> Vec<Live<A::Output>> {
        let all = std::mem::take(&mut self.is_other);
        if !all && !self.changed {
            return Vec::new();
        }
        self.changed = false;
        let open = self.open.iter().map(|(start, panes)| WindowKeys {
            window: self.windows.window_at(start),
            keys: panes.len() as u64,
        });
        let mut looks = vec![Live::Open(open.collect())];
        if let Some((start, panes)) =
            self.shown.and_then(|start| Some((start, self.open.get_mut(start)?)))
        {
            let window = self.windows.window_at(start);
            for pane in panes.iter_mut() {
                if std::mem::take(&mut pane.changed) || all {
                    looks.push(Live::Row(Row {
                        key: self.names.name(pane.key),
                        window,
                        output: self.aggregate.lower(&pane.partial),
                        spans: pane.covered.spans(),
                    }));
                }
            }
        }
        looks
    }
}
