//! Epochs and event time at once: what is set aside, what may close, what is counted where.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::mpsc::Receiver;
use std::time::Duration;

use smallvec::smallvec;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::record::{Events, Offset, Partition};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{
    Cut, EpochCount, LAST_EPOCH, Live, PaneState, PlacementSeed, Pulse, Snapshot, Span, Tumbling,
    Unmerged, WindowAggregate, WindowInputs,
};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::operators::core::{UnorderedHandle, UnorderedInput};
use timely::dataflow::operators::{ActivateCapability, Inspect, Probe};
use timely::worker::Worker;

#[derive(Clone)]
struct Count;

impl Aggregate<()> for Count {
    type Partial = u64;
    type Output = u64;
    fn lift(&self, (): &()) -> u64 {
        1
    }
    fn combine(&self, into: &mut u64, other: &u64) {
        *into += other;
    }
    fn lower(&self, partial: &u64) -> u64 {
        *partial
    }
}

/// (epoch and event time that the row left at, start of its window in seconds, count)
type Final = (Time, i64, u64);

/// Windows of 10 s over events that a test sends under whatever time it likes.
struct Bench {
    events: UnorderedHandle<Time, NoopBuilder<Events<()>>>,
    pulses: UnorderedHandle<Time, CapacityContainerBuilder<Vec<Pulse>>>,
    pulse_capability: ActivateCapability<Time>,
    cuts: UnorderedHandle<Time, CapacityContainerBuilder<Vec<Cut>>>,
    /// Dropped: no cut is asked for any more.
    cut_capability: Option<ActivateCapability<Time>>,
    restored: UnorderedHandle<Time, CapacityContainerBuilder<Vec<PaneState<u64>>>>,
    /// Dropped: nothing is restored any more.
    restored_capability: Option<ActivateCapability<Time>>,
    snapshots: Receiver<Snapshot<u64>>,
    finals: Receiver<Final>,
    live: Receiver<Live<u64>>,
    counts: Receiver<EpochCount>,
    next_offset: u64,
    unmerged: Unmerged,
}

fn seconds(seconds: i64) -> EventTime {
    EventTime::from_millis(seconds * 1000)
}

impl Bench {
    /// Nothing is restored, and no cut is asked for.
    fn new(worker: &mut Worker) -> (Bench, ActivateCapability<Time>) {
        let (mut bench, capability) = Bench::with_state(worker);
        bench.cut_capability = None;
        bench.restored_capability = None;
        (bench, capability)
    }

    fn with_state(worker: &mut Worker) -> (Bench, ActivateCapability<Time>) {
        worker.dataflow::<Time, _, _>(|scope| {
            let ((events, capability), stream) = scope.new_unordered_input();
            let ((pulses, pulse_capability), pulse_stream) = scope.new_unordered_input();
            let ((cuts, cut_capability), cut_stream) = scope.new_unordered_input();
            let ((restored, restored_capability), restored_stream) = scope.new_unordered_input();
            let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
            let unmerged = Unmerged::counted();
            let inputs = WindowInputs {
                pulses: pulse_stream,
                cuts: cut_stream,
                restored: restored_stream,
                placement: PlacementSeed::default(),
                unmerged: unmerged.clone(),
            };
            let windowed = stream.window(windows, Count, inputs);
            let (sender, finals) = std::sync::mpsc::channel();
            windowed.finals.inspect_core(move |event| {
                let Ok((stamp, rows)) = event else { return };
                for row in rows {
                    let time = *stamp.iter().next().unwrap();
                    let start = row.window.start.as_millis() / 1000;
                    sender.send((time, start, row.output)).unwrap_or(());
                }
            });
            let (sender, live) = std::sync::mpsc::channel();
            windowed.live.inspect(move |row| sender.send(row.clone()).unwrap_or(()));
            let (sender, counts) = std::sync::mpsc::channel();
            windowed.counts.inspect(move |count| sender.send(*count).unwrap_or(())).probe();
            let (sender, snapshots) = std::sync::mpsc::channel();
            windowed.snapshots.inspect(move |cut| sender.send(cut.clone()).unwrap_or(()));
            let bench = Bench {
                events,
                pulses,
                pulse_capability,
                cuts,
                cut_capability: Some(cut_capability),
                restored,
                restored_capability: Some(restored_capability),
                snapshots,
                finals,
                live,
                counts,
                next_offset: 0,
                unmerged,
            };
            (bench, capability)
        })
    }

    fn cut(&mut self, epoch: u64) {
        let capability = self.cut_capability.as_ref().unwrap();
        self.cuts.activate().session(capability).give(Cut { epoch, closing: false });
    }

    /// No cut of an epoch before this one will be asked for any more.
    fn cuts_passed(&mut self, epoch: u64) {
        let capability = self.cut_capability.as_mut().unwrap();
        capability.downgrade(&Time::new(epoch, EventTime::MAX));
    }

    fn restore(&mut self, start: EventTime, count: u64) {
        let span =
            Span { partition: Partition(0), first: Offset(0), last: Offset(7), records: count };
        let pane = PaneState { key: "key".into(), start, partial: count, spans: smallvec![span] };
        let capability = self.restored_capability.as_ref().unwrap();
        self.restored.activate().session(capability).give(pane);
    }

    /// (epoch, (start of the window in seconds, count) of each pane)
    fn snapshots(&self) -> Vec<(u64, Vec<(i64, u64)>)> {
        let pane = |pane: &PaneState<u64>| (pane.start.as_millis() / 1000, pane.partial);
        let cuts = self.snapshots.try_iter();
        cuts.map(|cut| (cut.epoch, cut.panes.iter().map(pane).collect())).collect()
    }

    fn send(&mut self, capability: &ActivateCapability<Time>, time: EventTime) {
        let mut batch = Events::default();
        batch.push("key", time, Partition(0), Offset(self.next_offset), ());
        self.next_offset += 1;
        self.events.activate().session_with_builder(capability).give_container(&mut batch);
    }

    fn settle(&self, worker: &mut Worker) {
        for _ in 0..20 {
            worker.step();
        }
    }

    fn finals(&self) -> Vec<Final> {
        self.finals.try_iter().collect()
    }
}

#[test]
fn a_window_waits_for_what_is_set_aside() {
    timely::execute_directly(|worker| {
        let (mut bench, start) = Bench::new(worker);
        // One source is still in epoch 0, another has gone on to epoch 1.
        let mut slow = start.delayed(&Time::new(0, seconds(0)));
        let mut ahead = start.delayed(&Time::new(1, seconds(0)));
        drop(start);
        bench.send(&slow, seconds(3));
        bench.send(&ahead, seconds(5)); // of epoch 1: set aside while epoch 0 is not complete
        bench.settle(worker);
        // Both have passed the window's end in event time; the record set aside has not been
        // applied, so the window may not close.
        slow.downgrade(&Time::new(0, seconds(20)));
        ahead.downgrade(&Time::new(1, seconds(20)));
        bench.settle(worker);
        assert_eq!(bench.finals(), []);
        // Epoch 0 becomes complete: the record is applied and the window closes, once.
        slow.downgrade(&Time::new(1, seconds(20)));
        bench.settle(worker);
        assert_eq!(bench.finals(), [(Time::new(1, EventTime::from_millis(9_999)), 0, 2)]);
    });
}

#[test]
fn a_window_waits_for_what_is_set_aside_for_any_later_epoch() {
    timely::execute_directly(|worker| {
        let (mut bench, start) = Bench::new(worker);
        let slow = start.delayed(&Time::new(0, seconds(0)));
        let mut next = start.delayed(&Time::new(1, seconds(20)));
        let mut last = start.delayed(&Time::new(2, seconds(0)));
        drop(start);
        bench.send(&slow, seconds(3));
        bench.send(&next, seconds(25)); // set aside, beyond the window
        bench.send(&last, seconds(5)); // set aside for the epoch after that, and of the window
        bench.settle(worker);
        next.downgrade(&Time::new(1, seconds(30)));
        last.downgrade(&Time::new(2, seconds(30)));
        drop(slow);
        bench.settle(worker);
        assert_eq!(bench.finals(), [], "epoch 1 is entered, and the record is still set aside");
        drop(next);
        bench.settle(worker);
        let closed = |start: i64, count| {
            let end = EventTime::from_millis(start * 1000 + 9_999);
            (Time::new(2, end), start, count)
        };
        assert_eq!(bench.finals(), [closed(0, 2), closed(20, 1)]);
    });
}

#[test]
fn an_epoch_is_left_when_nothing_of_it_can_come_any_more_and_not_before() {
    timely::execute_directly(|worker| {
        let (mut bench, start) = Bench::with_state(worker);
        bench.restored_capability = None;
        let mut first = start.delayed(&Time::new(1, seconds(0)));
        let mut second = start.delayed(&Time::new(1, seconds(0)));
        drop(start);
        bench.cut(1);
        bench.cuts_passed(2);
        bench.send(&first, seconds(3));
        bench.settle(worker);
        // One source has left epoch 1, the other has gone on in event time only.
        first.downgrade(&Time::new(2, seconds(5)));
        second.downgrade(&Time::new(1, seconds(4)));
        bench.settle(worker);
        assert_eq!(bench.snapshots(), [], "something of epoch 1 may still come");
        assert_eq!(bench.counts.try_iter().filter(|count| count.epoch == 1).count(), 0);
        bench.send(&second, seconds(4)); // and does
        bench.send(&first, seconds(6)); // of epoch 2
        bench.settle(worker);
        second.downgrade(&Time::new(2, seconds(5)));
        bench.settle(worker);
        assert_eq!(bench.snapshots(), [(1, vec![(0, 2)])]);
        let counts = bench.counts.try_iter().filter(|count| count.epoch == 1);
        assert_eq!(counts.map(|count| count.records).collect::<Vec<_>>(), [2]);
    });
}

#[test]
fn a_window_closes_in_the_epoch_that_is_open_while_no_cut_waits_for_it() {
    timely::execute_directly(|worker| {
        let (mut bench, mut source) = Bench::new(worker);
        source.downgrade(&Time::new(1, seconds(0)));
        bench.send(&source, seconds(3));
        bench.settle(worker);
        // The frontier passes the window's end within the epoch.
        source.downgrade(&Time::new(1, seconds(10)));
        bench.settle(worker);
        assert_eq!(bench.finals(), [(Time::new(1, EventTime::from_millis(9_999)), 0, 1)]);
        assert_eq!(bench.counts.try_iter().count(), 0, "the epoch is not complete");
        source.downgrade(&Time::new(2, seconds(10)));
        bench.settle(worker);
        let count = EpochCount { epoch: 1, partition: Partition(0), records: 1 };
        assert_eq!(bench.counts.try_iter().collect::<Vec<_>>(), [count]);
    });
}

#[test]
fn an_open_window_does_not_hold_an_old_epoch() {
    timely::execute_directly(|worker| {
        let (mut bench, mut source) = Bench::new(worker);
        for epoch in 1..=5 {
            source.downgrade(&Time::new(epoch, seconds(0)));
            bench.send(&source, seconds(1));
            bench.settle(worker);
        }
        let counts: Vec<(u64, u64)> =
            bench.counts.try_iter().map(|count| (count.epoch, count.records)).collect();
        assert_eq!(counts, [(1, 1), (2, 1), (3, 1), (4, 1)], "complete, though a window is open");
        drop(source);
        bench.settle(worker);
        assert_eq!(bench.finals(), [(Time::new(5, EventTime::from_millis(9_999)), 0, 5)]);
        assert_eq!(bench.counts.try_iter().count(), 1);
    });
}

#[test]
fn the_end_of_the_stream_applies_what_is_set_aside_epoch_by_epoch() {
    timely::execute_directly(|worker| {
        let (mut bench, start) = Bench::new(worker);
        let later: Vec<_> =
            [3, 2, 1].map(|epoch| start.delayed(&Time::new(epoch, seconds(0)))).into();
        for capability in &later {
            bench.send(capability, seconds(1));
        }
        bench.settle(worker);
        assert_eq!(bench.counts.try_iter().count(), 0);
        drop((start, later));
        bench.settle(worker);
        let counts: Vec<(u64, u64)> =
            bench.counts.try_iter().map(|count| (count.epoch, count.records)).collect();
        assert_eq!(counts, [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(bench.finals().iter().map(|row| row.2).collect::<Vec<_>>(), [3]);
    });
}

#[test]
fn what_is_set_aside_counts_as_not_merged_until_its_epoch_begins() {
    timely::execute_directly(|worker| {
        let (mut bench, mut source) = Bench::new(worker);
        bench.unmerged.sent(1, 1_000_000);
        source.downgrade(&Time::new(1, seconds(0)));
        bench.settle(worker);
        let later = source.delayed(&Time::new(2, seconds(0)));
        bench.send(&later, seconds(1));
        bench.settle(worker);
        assert_eq!(bench.unmerged.bytes(), 1_000_000, "epoch 1 is not complete");
        bench.send(&source, seconds(1));
        bench.settle(worker);
        let before = bench.unmerged.bytes();
        assert!(before < 1_000_000, "what belongs to it is merged");
        drop(source);
        bench.settle(worker);
        assert!(bench.unmerged.bytes() < before);
    });
}

#[test]
fn a_pulse_shows_what_changed_and_holds_nothing_back() {
    timely::execute_directly(|worker| {
        let (mut bench, mut source) = Bench::new(worker);
        source.downgrade(&Time::new(1, seconds(0)));
        bench.send(&source, seconds(1));
        bench.send(&source, seconds(11));
        bench.settle(worker);
        let pulse = |bench: &mut Bench, worker: &mut Worker, show| {
            let pulse = Pulse { show: Some(show) };
            bench.pulses.activate().session(&bench.pulse_capability).give(pulse);
            bench.settle(worker);
            let rows = bench.live.try_iter().filter_map(|live| match live {
                Live::Row(row) => Some((row.window.start, row.output)),
                Live::Open(_) => None,
            });
            rows.collect::<Vec<_>>()
        };
        assert_eq!(pulse(&mut bench, worker, seconds(10)), [(seconds(10), 1)]);
        assert_eq!(pulse(&mut bench, worker, seconds(10)), [], "nothing changed");
        bench.send(&source, seconds(12));
        bench.settle(worker);
        assert_eq!(pulse(&mut bench, worker, seconds(10)), [(seconds(10), 2)]);
        assert_eq!(pulse(&mut bench, worker, seconds(0)), [(seconds(0), 1)], "another window");
        // What was shown before may have been dropped, though one look is for both pulses.
        let there_and_back = [10, 0].map(|show| Pulse { show: Some(seconds(show)) });
        bench
            .pulses
            .activate()
            .session(&bench.pulse_capability)
            .give_iterator(there_and_back.into_iter());
        bench.settle(worker);
        let rows = bench.live.try_iter().filter(|live| matches!(live, Live::Row(_)));
        assert_eq!(rows.count(), 1, "all rows");
        // The pulses' capability is at the minimum all the time, and windows close.
        source.downgrade(&Time::new(1, seconds(30)));
        bench.settle(worker);
        assert_eq!(bench.finals().len(), 2);
    });
}

#[test]
fn a_cut_is_the_state_at_the_end_of_its_epoch() {
    timely::execute_directly(|worker| {
        let (mut bench, start) = Bench::with_state(worker);
        bench.restored_capability = None;
        let slow = start.delayed(&Time::new(0, seconds(0)));
        let ahead = start.delayed(&Time::new(1, seconds(0)));
        drop(start);
        bench.cut(0);
        bench.cuts_passed(1);
        bench.send(&ahead, seconds(5)); // of epoch 1: not in the cut, although it is here first
        bench.send(&slow, seconds(3));
        bench.send(&slow, seconds(12));
        bench.settle(worker);
        assert_eq!(bench.snapshots(), []);
        drop(slow);
        bench.settle(worker);
        assert_eq!(bench.snapshots(), [(0, vec![(0, 1), (10, 1)])]);
        drop(ahead);
        bench.settle(worker);
        assert_eq!(bench.snapshots(), [(LAST_EPOCH, vec![])], "epoch 1 was not asked for");
    });
}

#[test]
fn an_epoch_is_not_left_while_its_cut_may_be_asked_for() {
    timely::execute_directly(|worker| {
        let (mut bench, start) = Bench::with_state(worker);
        bench.restored_capability = None;
        let mut events = start.delayed(&Time::new(1, seconds(0)));
        drop(start);
        bench.send(&events, seconds(5));
        events.downgrade(&Time::new(3, seconds(30)));
        bench.settle(worker);
        // The record is set aside, and waits with its window.
        assert_eq!(bench.finals(), []);
        bench.cut(0);
        bench.cut(2);
        bench.cuts_passed(3);
        bench.settle(worker);
        assert_eq!(bench.snapshots(), [(0, vec![]), (2, vec![])], "also where an epoch is empty");
        assert_eq!(bench.finals(), [(Time::new(1, EventTime::from_millis(9_999)), 0, 1)]);
    });
}

#[test]
fn nothing_closes_before_everything_is_restored() {
    timely::execute_directly(|worker| {
        let (mut bench, start) = Bench::with_state(worker);
        let mut events = start.delayed(&Time::new(8, seconds(0)));
        drop(start);
        bench.cuts_passed(9);
        bench.send(&events, seconds(5));
        events.downgrade(&Time::new(8, seconds(30)));
        bench.settle(worker);
        bench.restore(seconds(10), 4);
        bench.settle(worker);
        assert_eq!(bench.finals(), []);
        bench.restore(seconds(0), 2);
        bench.restored_capability = None;
        bench.settle(worker);
        let last = |second: i64| Time::new(8, EventTime::from_millis(second * 1000 - 1));
        let mut finals = bench.finals();
        finals.sort_unstable();
        // What was restored belongs to no epoch of this run, or to the one that it met events in.
        let windows: Vec<_> =
            finals.iter().map(|(time, start, n)| (time.event, *start, *n)).collect();
        assert_eq!(windows, [(last(10).event, 0, 3), (last(20).event, 10, 4)]);
        drop(events);
        bench.settle(worker);
        let counted: u64 = bench.counts.try_iter().map(|count| count.records).sum();
        assert_eq!(counted, 1, "restored records were counted when they were read");
    });
}
