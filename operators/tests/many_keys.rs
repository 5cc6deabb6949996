//! More keys than a worker has slots for: most records travel with their names and values.

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_operators::aggregate::{Count, Max, Rank};
use strandline_operators::record::{Events, Offset, Partition};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{
    Fold, MergeInput, MergeWindows, Row, Span, Tumbling, WindowAggregate, WindowInputs,
};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::operators::core::UnorderedInput;
use timely::dataflow::operators::{Inspect, Probe};
use timely::worker::Worker;

/// Keys of each worker, some times as many as it has slots.
const KEYS: u64 = 100_000;
const WORKERS: u64 = 2;
/// The start of the window of each round; a round has every key once and is an epoch, the first
/// two together.
const ROUNDS: [i64; 4] = [0, 0, 10, 10];

/// How many slots a worker has.
const SLOTS: u64 = 1 << 15;
const BEGIN: EventTime = EventTime::from_millis(0);

/// How many records, and the greatest value.
type Both = (u64, Option<f64>);
type Partial = (u64, Rank);
type Sent = MergeInput<f64, Partial>;

type CountAndMax = (Count, Max<fn(&f64) -> Option<f64>>);

fn both() -> CountAndMax {
    (Count, Max(|value| Some(*value)))
}

fn windows() -> Tumbling {
    Tumbling::of(Duration::from_secs(10)).expect("whole seconds")
}

fn name(key: u64) -> String {
    // Some are longer than what a record carries without an allocation.
    if key.is_multiple_of(7) { format!("{key:050}") } else { format!("device-{key}") }
}

#[test]
fn every_key_has_its_records_and_says_where_they_are() {
    let (sender, rows) = channel::<Row<Both>>();
    let sender = Arc::new(Mutex::new(sender));
    let guards = timely::execute(timely::Config::process(WORKERS as usize), move |worker| {
        let index = worker.index() as u64;
        let sender = sender.lock().unwrap().clone();
        let ((mut input, mut capability), probe) = worker.dataflow::<Time, _, _>(|scope| {
            let (input, events) = scope.new_unordered_input::<NoopBuilder<Events<f64>>>();
            let finals = events.window(windows(), both(), WindowInputs::none(scope)).finals;
            let (probe, _) =
                Probe::probe(finals.inspect(move |row| sender.send(row.clone()).unwrap()));
            (input, probe)
        });
        for (round, start) in ROUNDS.into_iter().enumerate() {
            let round = round as u64;
            capability.downgrade(&Time::new(round / 2, EventTime::from_millis(start * 1000)));
            let mut key = 0;
            while key < KEYS {
                let mut batch = Events::default();
                for key in key..KEYS.min(key + 1_000) {
                    let (name, offset) = (name(key * WORKERS + index), Offset(round * KEYS + key));
                    let time = EventTime::from_millis(start * 1000 + round as i64);
                    let value = offset.0 as f64;
                    batch.push(&name, time, Partition(index as u32), offset, value);
                }
                key += 1_000;
                input.activate().session_with_builder(&capability).give_container(&mut batch);
                worker.step();
            }
        }
        drop((input, capability));
        worker.step_while(|| !probe.done());
    });
    guards.unwrap().join().into_iter().for_each(|worker| worker.unwrap());

    let mut found = HashMap::new();
    for Row { key, window, output, spans } in rows.try_iter() {
        let row = found.insert((key, window.start.as_millis() / 1000), (output, spans.to_vec()));
        assert!(row.is_none(), "one row a key and window");
    }
    assert_eq!(found.len() as u64, KEYS * WORKERS * 2);
    for key in 0..KEYS * WORKERS {
        let (partition, number) = (Partition((key % WORKERS) as u32), key / WORKERS);
        for (window, first_round) in [(0, 0), (10, 2)] {
            let first = Offset(first_round * KEYS + number);
            let last = Offset((first_round + 1) * KEYS + number);
            let span = Span { partition, first, last, records: 2 };
            let output = (2, Some(last.0 as f64));
            assert_eq!(found[&(name(key).into(), window)], (output, vec![span]), "{key} {window}");
        }
    }
}

/// A fold whose slots are all taken, and what it had to say of them.
fn fold_without_free_slots() -> (Fold<f64, CountAndMax>, Vec<Sent>) {
    let mut fold = Fold::new(0, windows(), both());
    for key in 0..SLOTS {
        fold.fold((&*name(key)).into(), BEGIN, Partition(0), Offset(key), &0.0);
    }
    let announced = flushed(&mut fold);
    (fold, announced)
}

fn flushed(fold: &mut Fold<f64, CountAndMax>) -> Vec<Sent> {
    let mut shipments = Vec::new();
    fold.flush(|shipment| shipments.push(shipment));
    shipments
}

/// Lets everything come through that is on its way.
fn settle(worker: &mut Worker) {
    for _ in 0..16 {
        worker.step();
    }
}

#[test]
fn records_without_a_slot_wait_for_their_epoch() {
    let found = timely::execute_directly(|worker| {
        let (sender, rows) = channel::<Row<Both>>();
        let ((mut input, mut capability), probe) = worker.dataflow::<Time, _, _>(|scope| {
            let (input, shipments) =
                scope.new_unordered_input::<CapacityContainerBuilder<Vec<Sent>>>();
            let merged = shipments.merge_windows(windows(), both(), WindowInputs::none(scope));
            let (probe, _) = Probe::probe(merged.finals.inspect(move |row| {
                sender.send(row.clone()).unwrap();
            }));
            (input, probe)
        });
        let (mut fold, mut announced) = fold_without_free_slots();
        let mut later = capability.delayed(&Time::new(1, BEGIN));
        input.activate().session(&capability).give_container(&mut announced);
        for (key, value) in [("other-1", 1.5), ("other-2", 2.5), ("other-1", 0.5)] {
            fold.fold(key.into(), BEGIN, Partition(0), Offset(SLOTS), &value);
        }
        let mut unfolded = flushed(&mut fold);
        assert_eq!(unfolded.len(), 2, "two groups of keys");
        input.activate().session(&later).give_container(&mut unfolded);
        settle(worker);
        // The window has passed, but what belongs to it waits for the end of epoch 0.
        let passed = EventTime::from_millis(10_000);
        later.downgrade(&Time::new(1, passed));
        settle(worker);
        assert_eq!(rows.try_iter().count(), 0);
        capability.downgrade(&Time::new(1, passed));
        settle(worker);
        let found: HashMap<_, _> = rows.try_iter().map(|row| (row.key, row.output)).collect();
        drop((input, capability, later));
        worker.step_while(|| !probe.done());
        found
    });
    assert_eq!(found.len() as u64, SLOTS + 2);
    assert_eq!(found["other-1"], (2, Some(1.5)));
    assert_eq!(found["other-2"], (1, Some(2.5)));
}

#[test]
fn a_fold_of_long_keys_is_full_before_it_has_many_records() {
    let (mut fold, _) = fold_without_free_slots();
    let long = "k".repeat(1 << 20);
    for number in 0..15 {
        fold.fold((&*long).into(), BEGIN, Partition(0), Offset(SLOTS + number), &0.0);
    }
    assert!(!fold.is_full() && !fold.is_empty());
    fold.fold((&*long).into(), BEGIN, Partition(0), Offset(SLOTS + 15), &0.0);
    assert!(fold.is_full());
    assert_eq!(flushed(&mut fold).len(), 1);
    assert!(!fold.is_full() && fold.is_empty());
}

#[test]
fn a_fold_of_many_records_without_a_slot_is_full() {
    let (mut fold, _) = fold_without_free_slots();
    let mut records = 0;
    while !fold.is_full() {
        fold.fold("other".into(), BEGIN, Partition(0), Offset(SLOTS + records), &0.0);
        records += 1;
    }
    assert_eq!(records, 1 << 17);
    assert_eq!(flushed(&mut fold).len(), 1, "they are of one group");
    assert!(!fold.is_full() && fold.is_empty());
}
