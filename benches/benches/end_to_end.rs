//! The main job over a real Kafka, beside the bare drain of the same topic with the same client.
//!
//! `STRANDLINE_KAFKA` names the broker (`scripts/kafka start`). The topic is filled once.

use std::hint::black_box;
use std::sync::mpsc::channel;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use strandline::engine::clock::Clock;
use strandline::engine::source::kafka::{KafkaSettings, KafkaSource};
use strandline::engine::source::{Reader, Source, Wake};
use strandline::sim::producer::{FleetProducer, Pace, ProducerOptions};
use strandline_benches::{fleet, run_main_job};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGES: u64 = 2_000_000;
const PARTITIONS: u32 = 4;

fn source(bootstrap: &str, topic: &str) -> KafkaSource {
    let mut settings = KafkaSettings::new(bootstrap, topic);
    settings.bounded = true;
    KafkaSource::new(settings).expect("settings without options")
}

/// Fills a topic with the messages of a thousand devices.
fn fill(bootstrap: &str, topic: &str) {
    let producer = FleetProducer::new(&ProducerOptions::new(bootstrap, topic), None)
        .expect("settings without options");
    producer.ensure_topic(PARTITIONS, &|| false, &mut |_| {}).expect("a topic");
    let pace = Pace::FullSpeed { messages: MESSAGES };
    let sent = producer.run(&mut fleet(1_000), pace, &Clock::system(), &|| false, &mut |_| {});
    assert_eq!(sent.expect("a broker").delivered, MESSAGES);
}

/// Reads every message on one thread and looks at its first and last byte.
fn drain(source: &KafkaSource) -> u64 {
    let (wake, woken) = channel();
    let mut reader = source
        .reader(Wake::new(move || {
            let _ = wake.send(());
        }))
        .expect("a reader");
    let mut open = source.plan(&[], &|| false).expect("a plan").partitions;
    for start in &open {
        reader.assign(*start).expect("a partition");
    }
    let mut messages = 0;
    while !open.is_empty() {
        let mut idle = true;
        open.retain(|start| {
            let progress = reader
                .read(start.partition, 1024, |message| {
                    let payload = message.payload.unwrap_or_default();
                    black_box((payload.first(), payload.last()));
                })
                .expect("messages");
            messages += progress.messages as u64;
            idle &= progress.messages == 0;
            !progress.finished
        });
        if idle && !open.is_empty() {
            let _ = woken.recv_timeout(Duration::from_millis(100));
            while woken.try_recv().is_ok() {}
        }
    }
    messages
}

fn end_to_end(criterion: &mut Criterion) {
    let bootstrap = std::env::var("STRANDLINE_KAFKA")
        .expect("STRANDLINE_KAFKA names no broker: scripts/kafka start, and set it");
    let topic = format!("bench-{}", std::process::id());
    fill(&bootstrap, &topic);
    let mut group = criterion.benchmark_group("over Kafka");
    group.sample_size(10).throughput(Throughput::Elements(MESSAGES));
    group.bench_function("bare drain, one thread", |bencher| {
        bencher.iter(|| assert_eq!(drain(&source(&bootstrap, &topic)), MESSAGES));
    });
    for workers in [1, 2, 4] {
        group.bench_function(format!("main job, -w {workers}"), |bencher| {
            bencher.iter(|| {
                let summary = run_main_job(source(&bootstrap, &topic), workers);
                assert_eq!(summary.ledger.read, MESSAGES);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
