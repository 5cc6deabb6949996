//! A window operator that holds a state, so that its snapshots and its restoring can be measured.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use strandline::operators::aggregate::Aggregate;
use strandline::operators::decode::Metrics;
use strandline::operators::record::{Events, Offset, Partition};
use strandline::operators::time::{EventTime, Time};
use strandline::operators::window::{
    Cut, PaneState, PlacementSeed, Snapshot, Span, Unmerged, WindowAggregate, WindowInputs,
};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::operators::ActivateCapability;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::core::probe::Handle as ProbeHandle;
use timely::dataflow::operators::core::{Probe, UnorderedHandle, UnorderedInput};
use timely::dataflow::operators::generic::operator::empty;
use timely::worker::Worker;

use crate::workload::windows;
use crate::{MainPartial, main_aggregate};

/// A pane of the main job.
pub type MainPane = PaneState<MainPartial>;

/// The start of the window that they are all in.
const START: EventTime = EventTime::from_millis(1_730_638_570_000);

/// A pane of each of so many keys, in one window, each of some records.
pub fn panes(keys: u64) -> Vec<MainPane> {
    let aggregate = main_aggregate();
    let mut partial = aggregate.lift(&Metrics::from([Some(21.5), Some(50.1), Some(80.0)]));
    aggregate.fold(&mut partial, &Metrics::from([Some(22.5), Some(49.3), Some(79.9)]));
    let pane = |key: u64| {
        let first = Offset(key);
        let span = Span { partition: Partition(0), first, last: Offset(key + 1), records: 2 };
        PaneState {
            key: format!("device-{key:06x}").into(),
            start: START,
            partial: partial.clone(),
            spans: [span].into_iter().collect(),
        }
    };
    (0..keys).map(pane).collect()
}

/// Windows on one worker, with what was brought in.
pub struct Held {
    /// While it is there, no window closes and no epoch ends.
    events: (UnorderedHandle<Time, NoopBuilder<Events<Metrics<3>>>>, ActivateCapability<Time>),
    cuts: (UnorderedHandle<Time, CapacityContainerBuilder<Vec<Cut>>>, ActivateCapability<Time>),
    snapshots: Receiver<Snapshot<MainPartial>>,
    probe: ProbeHandle<Time>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    /// Without any state.
    pub fn empty(worker: &mut Worker) -> Held {
        Held::restored(worker, Vec::new())
    }

    /// Takes back these panes.
    pub fn restored(worker: &mut Worker, mut panes: Vec<MainPane>) -> Held {
        let (sender, snapshots) = channel();
        let (mut held, mut restored) = worker.dataflow::<Time, _, _>(|scope| {
            let (events, event_stream) =
                scope.new_unordered_input::<NoopBuilder<Events<Metrics<3>>>>();
            let (cuts, cut_stream) =
                scope.new_unordered_input::<CapacityContainerBuilder<Vec<Cut>>>();
            let (restored, restored_stream) =
                scope.new_unordered_input::<CapacityContainerBuilder<Vec<MainPane>>>();
            let inputs = WindowInputs {
                pulses: empty(scope),
                cuts: cut_stream,
                restored: restored_stream,
                placement: PlacementSeed::default(),
                unmerged: Unmerged::default(),
            };
            let windowed = event_stream.window(windows(), main_aggregate(), inputs);
            let (probe, _) = windowed.finals.probe();
            windowed.snapshots.inspect(move |snapshot| {
                let _ = sender.send(snapshot.clone());
            });
            (Held { events, cuts, snapshots, probe }, restored)
        });
        restored.0.activate().session(&restored.1).give_container(&mut panes);
        drop(restored);
        held.events.1.downgrade(&Time::new(0, START));
        let probe = held.probe.clone();
        // No row can leave at the beginning of time any more: everything has been taken back.
        worker.step_while(|| probe.less_than(&Time::new(0, START)));
        held
    }

    /// Brings events in and waits until they are in their panes.
    pub fn take(&mut self, worker: &mut Worker, mut events: Events<Metrics<3>>) {
        self.events.0.activate().session_with_builder(&self.events.1).give_container(&mut events);
        // Given, folded, sent on because nothing follows, merged.
        for _ in 0..4 {
            worker.step();
        }
    }

    /// What there is at the end of this epoch.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn cut(&mut self, worker: &mut Worker) -> Snapshot<MainPartial> {
        let epoch = self.events.1.time().epoch;
        self.cuts.0.activate().session(&self.cuts.1).give(Cut { epoch, closing: false });
        self.cuts.1.downgrade(&Time::new(epoch + 1, EventTime::MAX));
        let event = self.events.1.time().event;
        self.events.1.downgrade(&Time::new(epoch + 1, event));
        loop {
            worker.step_or_park(Some(Duration::ZERO));
            if let Ok(snapshot) = self.snapshots.try_recv() {
                return snapshot;
            }
        }
    }

    /// Lets everything close, which is no part of what is measured.
    pub fn end(self, worker: &mut Worker) {
        let Held { events, cuts, probe, .. } = self;
        drop((events, cuts));
        worker.step_while(|| !probe.done());
    }
}
