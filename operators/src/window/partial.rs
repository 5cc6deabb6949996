//! Partial aggregation of a stream of events: a [`Fold`] as an operator, for events that come
//! from anywhere. A source that folds what it reads does without.

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Capability, Operator};
use timely::dataflow::{Stream, StreamVec};
use timely::progress::frontier::MutableAntichain;

use super::Tumbling;
use super::fold::Fold;
use super::index::PlacementSeed;
use super::merge_input::MergeInput;
use crate::aggregate::Aggregate;
use crate::record::Events;
use crate::time::Time;

/// Folds events to partial results. It sends them when the frontier moves past the capability of
/// what it holds (a window may be about to close), before the epoch changes, when it holds much,
/// and when nothing more has come.
pub(super) fn partial_windows<'s, V: ExchangeData + Clone, A: Aggregate<V>>(
    events: Stream<'s, Time, Events<V>>,
    windows: Tumbling,
    aggregate: A,
    placement: PlacementSeed,
) -> StreamVec<'s, Time, MergeInput<V, A::Partial>> {
    let scope = events.scope();
    let worker = scope.index();
    events.unary_frontier::<CapacityContainerBuilder<Vec<_>>, _, _, _>(
        Pipeline,
        "PartialWindows",
        move |_, info| {
            let activator = scope.activator_for(info.address);
            let mut fold = Fold::new(worker, windows, aggregate).with_placement(placement);
            let mut held: Option<Capability<Time>> = None;
            move |(input, frontier), output| {
                let port = output.output_index();
                let mut received = false;
                input.for_each(|capability, events| {
                    received = true;
                    // Sources send under one capability, so a stamp is one time.
                    let Some(time) = capability.stamp().iter().min().copied() else { return };
                    if let Some(other) = held.take_if(|held| held.epoch != time.epoch) {
                        let mut session = output.session(&other);
                        fold.flush(|message| session.give(message));
                    }
                    if held.as_ref().is_none_or(|held| time.event < held.event) {
                        held = Some(capability.delayed(&time, port));
                    }
                    for (key, event) in events.iter() {
                        fold.fold(
                            key.into(),
                            event.time,
                            event.partition,
                            event.offset,
                            &event.value,
                        );
                    }
                });
                let Some(capability) = &held else { return };
                if !received || fold.is_full() || has_passed(frontier, capability.time()) {
                    let mut session = output.session(capability);
                    fold.flush(|message| session.give(message));
                    drop(session);
                    held = None;
                } else {
                    // Come back without waiting for more: if there is none, nothing more has come.
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
