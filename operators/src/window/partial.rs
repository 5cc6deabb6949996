//! Partial aggregation before the exchange: what one worker has of a (key, window), folded
//! together and sent on as one partial result.
//!
//! Sending a partial result for every few hundred records instead of every record is what makes
//! the exchange cheap. It delays data, not correctness: the operator holds the capability of what
//! it has not sent. It sends when the frontier moves past that capability (a window may be about
//! to close), before the epoch changes, when it holds much, and when the source has run dry.
//!
//! A pane is found through its key's slot, which remembers the last two panes of its key. A record
//! of a third window starts a new pane even if there is an older one for it: partial results
//! combine, so a second pane of the same (key, window) costs a message and changes nothing.

use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Capability, Operator};
use timely::dataflow::{Stream, StreamVec};
use timely::progress::frontier::MutableAntichain;

use super::keys::{Recent, Slot, Slots};
use super::{Tumbling, Window};
use crate::aggregate::Aggregate;
use crate::record::{Event, Events, Offset, Partition};
use crate::time::{EventTime, Time};

/// What crosses to the worker that merges a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Shipment<P> {
    /// `slot` of `sender` stands for this key, from now on.
    Name { route: u64, sender: u32, slot: Slot, partition: Partition, key: Box<str> },
    /// `slot` of `sender` stands for nothing any more.
    Forget { route: u64, sender: u32, slot: Slot },
    /// Records of one partition, key and window.
    Partial(Partial<P>),
}

/// A partial result: records of one partition, key and window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Partial<P> {
    pub(super) route: u64,
    pub(super) sender: u32,
    pub(super) slot: Slot,
    pub(super) start: EventTime,
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) records: u64,
    pub(super) partial: P,
}

impl<P> Shipment<P> {
    /// Where it goes.
    pub(super) fn route(&self) -> u64 {
        match self {
            Shipment::Name { route, .. } | Shipment::Forget { route, .. } => *route,
            Shipment::Partial(partial) => partial.route,
        }
    }
}

/// Most partial results that are held back, a number of them.
const PANES_MAX: usize = 1 << 14;
/// Most records that are held back, a number of them.
const RECORDS_MAX: usize = 1 << 17;

/// Folds events to partial results; the output is to be exchanged by [`Shipment::route`].
pub(super) fn partial_windows<'s, V: Clone + 'static, A: Aggregate<V>>(
    events: Stream<'s, Time, Events<V>>,
    windows: Tumbling,
    aggregate: A,
) -> StreamVec<'s, Time, Shipment<A::Partial>> {
    let scope = events.scope();
    let sender = u32::try_from(scope.index()).expect("fewer than 2^32 workers");
    events.unary_frontier::<CapacityContainerBuilder<Vec<_>>, _, _, _>(
        Pipeline,
        "PartialWindows",
        move |_, info| {
            let activator = scope.activator_for(info.address);
            let mut panes = Panes::new(sender, windows, aggregate);
            let mut held: Option<Capability<Time>> = None;
            move |(input, frontier), output| {
                let port = output.output_index();
                let mut received = false;
                input.for_each(|capability, events| {
                    received = true;
                    // Sources send under one capability, so a stamp is one time.
                    let Some(time) = capability.stamp().iter().min().copied() else { return };
                    if let Some(other) = held.take_if(|held| held.epoch != time.epoch) {
                        output.session(&other).give_iterator(panes.flush());
                    }
                    if held.as_ref().is_none_or(|held| time.event < held.event) {
                        held = Some(capability.delayed(&time, port));
                    }
                    for (key, event) in events.iter() {
                        panes.fold(key, event);
                    }
                });
                let Some(capability) = &held else { return };
                if !received || panes.is_full() || has_passed(frontier, capability.time()) {
                    output.session(capability).give_iterator(panes.flush());
                    held = None;
                } else {
                    // Come back without waiting for more: if there is none, the source is dry.
                    activator.activate();
                }
            }
        },
    )
}

/// Whether nothing at or before `time` can arrive any more.
fn has_passed(frontier: &MutableAntichain<Time>, time: &Time) -> bool {
    !frontier.less_equal(time)
}

struct Panes<V, A: Aggregate<V>> {
    sender: u32,
    windows: Tumbling,
    /// The window of the last record: the next one is usually in it too.
    window: Window,
    aggregate: A,
    slots: Slots,
    names: Vec<Shipment<A::Partial>>,
    panes: Vec<Partial<A::Partial>>,
    records: usize,
    /// Tells the panes of this flush from those of earlier ones; never 0.
    flush: u32,
}

impl<V: Clone + 'static, A: Aggregate<V>> Panes<V, A> {
    fn new(sender: u32, windows: Tumbling, aggregate: A) -> Self {
        Panes {
            sender,
            windows,
            window: windows.window_at(EventTime::from_millis(0)),
            aggregate,
            slots: Slots::new(),
            names: Vec::new(),
            panes: Vec::new(),
            records: 0,
            flush: 1,
        }
    }

    #[inline]
    fn fold(&mut self, key: &str, event: &Event<V>) {
        self.records += 1;
        if event.time < self.window.start || self.window.end <= event.time {
            self.window = self.windows.window_at(event.time);
        }
        let start = self.window.start;
        let (slot, is_new) = self.slots.slot(event.partition, key);
        if is_new {
            self.announce(slot, event.partition, key);
        }
        let entry = self.slots.entry(slot);
        for recent in entry.recent {
            if recent.flush == self.flush {
                let pane = &mut self.panes[recent.pane as usize];
                if pane.start == start {
                    // The offsets of a partition come in order.
                    pane.last = event.offset;
                    pane.records += 1;
                    self.aggregate.fold(&mut pane.partial, &event.value);
                    return;
                }
            }
        }
        let pane = u32::try_from(self.panes.len()).expect("a flush is far smaller than 2^32");
        entry.recent = [Recent { flush: self.flush, pane }, entry.recent[0]];
        self.panes.push(Partial {
            route: entry.route,
            sender: self.sender,
            slot,
            start,
            first: event.offset,
            last: event.offset,
            records: 1,
            partial: self.aggregate.lift(&event.value),
        });
    }

    #[cold]
    fn announce(&mut self, slot: Slot, partition: Partition, key: &str) {
        let route = self.slots.entry(slot).route;
        let sender = self.sender;
        self.names.push(Shipment::Name { route, sender, slot, partition, key: key.into() });
    }

    fn is_full(&self) -> bool {
        PANES_MAX <= self.panes.len() || RECORDS_MAX <= self.records
    }

    /// Everything held back: the names first, then what uses them, then what is forgotten.
    fn flush(&mut self) -> impl Iterator<Item = Shipment<A::Partial>> {
        let mut forgotten = Vec::new();
        let sender = self.sender;
        // After this flush no pane refers to a slot.
        self.slots.sweep(|slot, route| forgotten.push(Shipment::Forget { route, sender, slot }));
        self.records = 0;
        self.flush = self.flush.checked_add(1).unwrap_or_else(|| {
            self.slots.forget_recent();
            1
        });
        self.names.drain(..).chain(self.panes.drain(..).map(Shipment::Partial)).chain(forgotten)
    }
}
