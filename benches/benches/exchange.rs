//! Exchange: what it costs that a partial result crosses to another worker. Worker 0 reads, and the
//! keys are those of worker 0 or those of worker 1; nothing is folded before.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use strandline::operators::decode::Metrics;
use strandline::operators::record::{Events, Offset, Partition};
use strandline::operators::time::EventTime;
use strandline::operators::window::KeyGroup;
use strandline_benches::workload::{BATCH_RECORDS, run_windows, scaled};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WORKERS: usize = 2;

/// Batches that have each of `BATCH_RECORDS` keys once, all of them of one worker.
fn batches(worker: usize, records: u64) -> Vec<Events<Metrics<3>>> {
    let keys = (0..).map(|n| format!("device-{n:06x}"));
    let keys = keys.filter(|key| KeyGroup::of(key).worker(WORKERS) == worker);
    let keys: Vec<String> = keys.take(BATCH_RECORDS).collect();
    let batch = |number: u64| {
        let mut batch = Events::default();
        for key in &keys {
            let time = EventTime::from_millis(1_730_638_574_123);
            let value = Metrics::from([Some(21.5), Some(50.1), Some(80.0)]);
            batch.push(key, time, Partition(0), Offset(number), value);
        }
        batch
    };
    (0..records / BATCH_RECORDS as u64).map(batch).collect()
}

fn exchange(criterion: &mut Criterion) {
    let records = scaled(1_024_000);
    let mut group = criterion.benchmark_group("exchange");
    group.sample_size(10).throughput(Throughput::Elements(records));
    for (name, worker) in [("partial results stay", 0), ("partial results cross", 1)] {
        let batches = batches(worker, records);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || vec![batches.clone(), Vec::new()],
                |batches| assert_eq!(run_windows(batches, true), BATCH_RECORDS as u64),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
