//! The whole job from memory: decode, window, exchange, merge, close.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use strandline_benches::run_main_job;
use strandline_benches::workload::{KEYS, Spread, Workload, scaled};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Enough for start and end not to count much.
const RECORDS_MIN: u64 = 4_000_000;
/// A key has ten records in a window: a device that reports once a second.
const RECORDS_A_KEY: u64 = 20;

fn job(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("job from memory");
    for keys in KEYS {
        let records = scaled(RECORDS_MIN.max(RECORDS_A_KEY * keys));
        group.sample_size(10).throughput(Throughput::Elements(records));
        for spread in Spread::ALL {
            let workload = Workload { keys, spread, records, windows: 2 };
            let log = workload.log(4);
            for workers in [1, 2] {
                group.bench_function(format!("{}, -w {workers}", workload.name()), |bencher| {
                    bencher.iter_batched(
                        || log.clone(),
                        |log| assert_eq!(run_main_job(log, workers).ledger.windowed, records),
                        BatchSize::PerIteration,
                    );
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, job);
criterion_main!(benches);
