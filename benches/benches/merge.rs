//! Partial merge: partial results that are not folded with others before they are merged, because
//! the source runs dry after each of its batches, and a batch has each key once.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use strandline::operators::decode::Metrics;
use strandline::operators::record::{Events, Offset, Partition};
use strandline::operators::time::EventTime;
use strandline_benches::workload::{BATCH_RECORDS, KEYS, run_windows, scaled};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batches of as many keys as there are, at most those of a batch, each key once in it.
fn batches(keys: u64, records: u64) -> Vec<Events<Metrics<3>>> {
    let in_batch = keys.min(BATCH_RECORDS as u64);
    let numbers: Vec<u64> = (0..records).collect();
    let batch = |numbers: &[u64]| {
        let mut batch = Events::default();
        for number in numbers {
            let key = format!("device-{:06x}", number % keys);
            let time = EventTime::from_millis(1_730_638_574_123);
            let value = Metrics::from([Some(21.5), Some(50.1), Some(80.0)]);
            batch.push(&key, time, Partition(0), Offset(*number), value);
        }
        batch
    };
    numbers.chunks(in_batch as usize).map(batch).collect()
}

fn merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("partial merge");
    group.sample_size(10);
    for keys in KEYS {
        // Ten of a key and batch take as long as a batch does.
        let records = scaled(if keys == 10 { 200_000 } else { 2_000_000 });
        let batches = batches(keys, records);
        group.throughput(Throughput::Elements(records));
        group.bench_function(format!("{keys} keys"), |bencher| {
            bencher.iter_batched(
                || vec![batches.clone()],
                |batches| assert_eq!(run_windows(batches, true), keys.min(records)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, merge);
criterion_main!(benches);
