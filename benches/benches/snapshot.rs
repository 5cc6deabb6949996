//! Snapshot: copying the state out at a cut, which holds up a worker, and encoding the copy for the
//! store, which does not.

use std::hint::black_box;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use strandline::engine::checkpoint::section::{BlobWriter, Encoded};
use strandline_benches::state::{Held, panes};
use strandline_benches::workload::scaled;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn snapshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    for keys in [1_000, 1_000_000].map(scaled) {
        group.throughput(Throughput::Elements(keys));
        group.bench_function(format!("copy, {keys} panes"), |bencher| {
            bencher.iter_custom(|times| {
                let (sender, took) = channel();
                timely::execute_directly(move |worker| {
                    let mut held = Held::restored(worker, panes(keys));
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        let begun = now();
                        let snapshot = held.cut(worker);
                        took += begun.elapsed();
                        assert_eq!(black_box(snapshot).panes.len() as u64, keys);
                    }
                    let _ = sender.send(took);
                });
                took.recv().expect("a worker")
            });
        });
        let panes = panes(keys);
        group.bench_function(format!("encode, {keys} panes"), |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    let (mut encoded, mut blob) = (Encoded::default(), BlobWriter::new("bench"));
                    panes.iter().for_each(|pane| encoded.push(pane));
                    black_box((blob.section(&encoded), blob.finish()))
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, snapshot);
criterion_main!(benches);
