//! Restore: from the bytes of a checkpoint to panes, and from panes to open windows.

use std::hint::black_box;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strandline::engine::checkpoint::section::{BlobWriter, Encoded};
use strandline_benches::state::{Held, MainPane, panes};
use strandline_benches::workload::scaled;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn restore(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("restore");
    group.sample_size(10);
    for keys in [1_000, 1_000_000].map(scaled) {
        let panes = panes(keys);
        let (mut encoded, mut blob) = (Encoded::default(), BlobWriter::new("bench"));
        panes.iter().for_each(|pane| encoded.push(pane));
        let section = blob.section(&encoded);
        let (_, bytes) = blob.finish().expect("not empty");
        group.throughput(Throughput::Elements(keys));
        group.bench_function(format!("decode, {keys} panes"), |bencher| {
            bencher.iter(|| {
                let bytes = section.within(0, &bytes).expect("whole");
                let panes = section.decode::<MainPane>(bytes).expect("whole");
                assert_eq!(black_box(panes).len() as u64, keys);
            });
        });
        group.bench_function(format!("take back, {keys} panes"), |bencher| {
            bencher.iter_custom(|times| {
                let (panes, (sender, took)) = (panes.clone(), channel());
                timely::execute_directly(move |worker| {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        let panes = panes.clone();
                        let begun = now();
                        let held = Held::restored(worker, panes);
                        took += begun.elapsed();
                        black_box(held).end(worker);
                    }
                    let _ = sender.send(took);
                });
                took.recv().expect("a worker")
            });
        });
    }
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, restore);
criterion_main!(benches);
