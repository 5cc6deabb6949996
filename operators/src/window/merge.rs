//! Merging partial results by key, closing windows as the frontier passes them, and stepping
//! through epochs.
//!
//! The operator works in one epoch at a time, by [`Epochs`](crate::epochs::Epochs). Let
//! `(min_epoch, min_event)` be the coordinate-wise minimum of its input frontier:
//!
//! 1. What belongs to the current epoch is applied; what belongs to a later one is kept.
//! 2. Windows close whose end is at or before `min_event`, and at or before the event coordinate
//!    of everything kept: a record that waits there may still belong to a window that the
//!    frontier has passed. Their rows leave at `(epoch, end - 1)`, so that operators downstream
//!    can go on in event time.
//! 3. While `min_epoch` is after the current epoch, the state is the consistent cut of the current
//!    epoch. It is copied out if that was asked for, the epoch is left, and what was kept for
//!    the next is applied. The requests for cuts take part in `min_epoch`, so that none comes too
//!    late, and so does state that comes back: it is there before anything is added to it.
//! 4. The held capability moves to `(epoch, least event time that a row may still leave at)`: an
//!    open window holds an event time, never an old epoch.

mod close;
mod live;
mod merging;
mod resolved;
mod snapshot;

use timely::ExchangeData;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::progress::Antichain;
use timely::progress::operate::FrontierInterest;

use self::close::last_instant;
use self::merging::Merging;
use super::key_group::KeyGroup;
use super::merge_input::MergeInput;
use super::state::{LAST_EPOCH, PaneState, WindowInputs};
use super::{Pulse, Tumbling, Windowed};
use crate::aggregate::Aggregate;
use crate::epochs::Arrival;
use crate::time::{EventTime, Time};

pub(super) fn merge_windows<'s, V: ExchangeData + Clone, A: Aggregate<V>>(
    scope: Scope<'s, Time>,
    messages: StreamVec<'s, Time, MergeInput<V, A::Partial>>,
    inputs: WindowInputs<'s, A::Partial>,
    windows: Tumbling,
    aggregate: A,
) -> Windowed<'s, A::Partial, A::Output> {
    let mut builder = OperatorBuilder::new("MergeWindows".to_owned(), scope);
    let (placement, unmerged) = (inputs.placement, inputs.unmerged);
    let to_group =
        Exchange::new(|message: &MergeInput<V, A::Partial>| u64::from(message.group().0));
    let mut input = builder.new_input(messages, to_group);
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
        let mut held = Some(Capabilities::of(capabilities));
        let mut finals = OutputBuilder::from(finals);
        let mut live = OutputBuilder::from(live);
        let mut counts = OutputBuilder::from(counts);
        let mut snapshots = OutputBuilder::from(snapshots);
        let mut merging = Merging::new(windows, aggregate, placement, unmerged);
        move |frontiers| {
            let Some(capabilities) = &mut held else {
                pulses.for_each(|_, pulses| pulses.clear());
                cuts.for_each(|_, cuts| cuts.clear());
                return;
            };
            restored.for_each(|_, panes| panes.drain(..).for_each(|pane| merging.restore(pane)));
            cuts.for_each(|_, cuts| {
                cuts.drain(..).for_each(|cut| merging.epochs.ask_for_cut(cut.epoch, cut.closing));
            });
            input.for_each(|capability, messages| {
                // Sources send under one capability, so a stamp is one time.
                let Some(time) = capability.stamp().iter().min().copied() else { return };
                merging.receive(time, messages);
                messages.clear();
            });

            let arrival = Arrival::of(&frontiers[0])
                .with(Arrival::of(&frontiers[2]), Arrival::of(&frontiers[3]));
            let (mut finals, mut counts) = (finals.activate(), counts.activate());
            let mut snapshots = snapshots.activate();
            loop {
                let epoch = merging.epochs.current();
                while let Some((window, panes)) = merging.close_next(arrival.event) {
                    let time = Time::new(epoch, last_instant(window));
                    let capability = capabilities.finals.delayed(&time);
                    let mut session = finals.session(&capability);
                    let mut pages = panes.into_pages();
                    loop {
                        let mut rows = merging.close(window, &mut pages);
                        if rows.is_empty() {
                            break;
                        }
                        session.give_container(&mut rows);
                    }
                }
                if arrival.epoch <= epoch {
                    break;
                }
                counts.session(&capabilities.counts).give_iterator(merging.take_counts());
                if let Some(closing) = merging.epochs.take_cut() {
                    snapshots.session(&capabilities.snapshots).give(merging.copy(epoch, closing));
                }
                let Some(next) = merging.epochs.next(arrival.epoch) else {
                    // Nothing will arrive and nothing is kept: every window has closed.
                    capabilities.enter(LAST_EPOCH);
                    snapshots.session(&capabilities.snapshots).give(merging.copy(LAST_EPOCH, true));
                    held = None;
                    return;
                };
                merging.enter(next);
                capabilities.enter(next);
            }

            let mut asked = false;
            pulses.for_each(|_, pulses| {
                for Pulse { show } in pulses.drain(..) {
                    asked = true;
                    merging.show(show);
                }
            });
            if asked {
                let looks = merging.look();
                live.activate().session(&capabilities.live).give_iterator(looks.into_iter());
            }

            merging.dictionary.collect();
            let event = merging.first_possible_row(arrival.event);
            if capabilities.finals.time().event < event {
                capabilities.finals.downgrade(&Time::new(merging.epochs.current(), event));
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

/// What the operator may still send at.
struct Capabilities {
    finals: Capability<Time>,
    live: Capability<Time>,
    counts: Capability<Time>,
    snapshots: Capability<Time>,
}

impl Capabilities {
    fn of(capabilities: Vec<Capability<Time>>) -> Capabilities {
        let [finals, live, counts, snapshots] =
            <[_; 4]>::try_from(capabilities).expect("one for each output");
        Capabilities { finals, live, counts, snapshots }
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
