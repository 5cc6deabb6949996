//! Window update: events to windows, on one worker; nearly all of it is folding.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use strandline_benches::workload::{KEYS, Spread, Workload, run_windows, scaled};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn window(criterion: &mut Criterion) {
    let records = scaled(2_000_000);
    let mut group = criterion.benchmark_group("window update");
    group.sample_size(10).throughput(Throughput::Elements(records));
    for keys in KEYS {
        for spread in Spread::ALL {
            let workload = Workload { keys, spread, records, windows: 2 };
            let batches = workload.batches();
            group.bench_function(workload.name(), |bencher| {
                bencher.iter_batched(
                    || vec![batches.clone()],
                    |batches| assert!(0 < run_windows(batches, false)),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, window);
criterion_main!(benches);
