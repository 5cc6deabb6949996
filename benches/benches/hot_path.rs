//! The way of a record from memory: decode, then the whole job (decode, window, exchange, merge).

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use strandline::operators::decode::Decode;
use strandline_benches::{decoder, fleet, run_main_job, topic};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEVICES: usize = 1_000;

fn decode(criterion: &mut Criterion) {
    let mut fleet = fleet(DEVICES);
    let payloads: Vec<Vec<u8>> = std::iter::from_fn(|| {
        fleet.send().map(|sent| sent.payload.map(<[u8]>::to_vec).unwrap_or_default())
    })
    .take(10_000)
    .collect();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(payloads.len() as u64));
    for (name, mut decoder) in [("fast", decoder()), ("strict", decoder().strict_only())] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for payload in &payloads {
                    black_box(decoder.decode(payload).is_ok());
                }
            });
        });
    }
    group.finish();
}

fn job(criterion: &mut Criterion) {
    const MESSAGES: u64 = 2_000_000;
    let mut group = criterion.benchmark_group("job from memory");
    group.sample_size(10).throughput(Throughput::Elements(MESSAGES));
    for devices in [10, DEVICES] {
        let topic = topic(devices, 4, MESSAGES);
        for workers in [1, 2] {
            group.bench_function(format!("{devices} devices, -w {workers}"), |bencher| {
                bencher.iter_batched(
                    || topic.clone(),
                    |topic| assert_eq!(run_main_job(topic, workers).ledger.read, MESSAGES),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decode, job);
criterion_main!(benches);
