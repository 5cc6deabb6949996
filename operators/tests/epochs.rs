//! Epochs and event time at once: what is set aside, what may close, what is counted where.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::mpsc::Receiver;
use std::time::Duration;

use strandline_operators::aggregate::Aggregate;
use strandline_operators::record::{Events, Offset, Partition};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{EpochCount, Live, Pulse, Tumbling, WindowAggregate};
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
    finals: Receiver<Final>,
    live: Receiver<Live<u64>>,
    counts: Receiver<EpochCount>,
    next_offset: u64,
}

fn seconds(seconds: i64) -> EventTime {
    EventTime::from_millis(seconds * 1000)
}

impl Bench {
    fn new(worker: &mut Worker) -> (Bench, ActivateCapability<Time>) {
        worker.dataflow::<Time, _, _>(|scope| {
            let ((events, capability), stream) = scope.new_unordered_input();
            let ((pulses, pulse_capability), pulse_stream) = scope.new_unordered_input();
            let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
            let windowed = stream.window(windows, Count, pulse_stream);
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
            let bench =
                Bench { events, pulses, pulse_capability, finals, live, counts, next_offset: 0 };
            (bench, capability)
        })
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
        // The pulses' capability is at the minimum all the time, and windows close.
        source.downgrade(&Time::new(1, seconds(30)));
        bench.settle(worker);
        assert_eq!(bench.finals().len(), 2);
    });
}
