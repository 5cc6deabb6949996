//! More keys than a worker has slots for: most records travel with their names.

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_operators::aggregate::Count;
use strandline_operators::record::{Events, Offset, Partition};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{Row, Span, Tumbling, WindowAggregate, WindowInputs};
use timely::container::NoopBuilder;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::core::UnorderedInput;

/// Keys of each worker, some times as many as it has slots.
const KEYS: u64 = 100_000;
const WORKERS: u64 = 2;
/// The start of the window of each round; a round has every key once and is an epoch, the first
/// two together.
const ROUNDS: [i64; 4] = [0, 0, 10, 10];

fn name(key: u64) -> String {
    // Some are longer than what a record carries without an allocation.
    if key.is_multiple_of(7) { format!("{key:050}") } else { format!("device-{key}") }
}

#[test]
fn every_key_has_its_records_and_says_where_they_are() {
    let (sender, rows) = channel::<Row<u64>>();
    let sender = Arc::new(Mutex::new(sender));
    let guards = timely::execute(timely::Config::process(WORKERS as usize), move |worker| {
        let index = worker.index() as u64;
        let sender = sender.lock().unwrap().clone();
        let ((mut input, mut capability), probe) = worker.dataflow::<Time, _, _>(|scope| {
            let (input, events) = scope.new_unordered_input::<NoopBuilder<Events<()>>>();
            let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
            let finals = events.window(windows, Count, WindowInputs::none(scope)).finals;
            let (probe, _) = timely::dataflow::operators::Probe::probe(
                finals.inspect(move |row| sender.send(row.clone()).unwrap()),
            );
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
                    batch.push(&name, time, Partition(index as u32), offset, ());
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
            assert_eq!(found[&(name(key).into(), window)], (2, vec![span]), "{key} {window}");
        }
    }
}
