//! Decoding: from the bytes of a message to key, time and metrics.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strandline::operators::decode::Decode;
use strandline_benches::decoder;
use strandline_benches::workload::{Spread, Workload};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The same messages, spelled otherwise: what is remembered of their layout does not fit.
fn respelled(payloads: &[Vec<u8>], spell: impl Fn(usize, Vec<&str>) -> String) -> Vec<Vec<u8>> {
    let members = |payload: &[u8]| {
        let text = std::str::from_utf8(payload).expect("a message is text").to_owned();
        text.trim_matches(['{', '}']).to_owned()
    };
    let spelled = payloads.iter().enumerate().map(|(i, payload)| {
        let members = members(payload);
        spell(i, members.split(',').collect()).into_bytes()
    });
    spelled.collect()
}

fn decode(criterion: &mut Criterion) {
    let workload = Workload { keys: 1_000, spread: Spread::Uniform, records: 10_000, windows: 1 };
    let payloads = workload.payloads();
    let shuffled = respelled(&payloads, |i, mut members| {
        let count = members.len();
        members.rotate_left(i % count);
        members.swap(0, i / count % count);
        format!("{{{}}}", members.join(","))
    });
    let spaced = respelled(&payloads, |_, members| {
        format!("{{ {} }}", members.join(" , ").replace("\":", "\" : "))
    });
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(payloads.len() as u64));
    for (name, mut decoder, payloads) in [
        ("fast path", decoder(), &payloads),
        ("fast path, shuffled order", decoder(), &shuffled),
        ("fast path, white space", decoder(), &spaced),
        ("strict path", decoder().strict_only(), &payloads),
    ] {
        assert!(payloads.iter().all(|payload| decoder.decode(payload).is_ok()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for payload in payloads {
                    black_box(decoder.decode(payload).is_ok());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
