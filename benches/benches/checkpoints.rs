//! What checkpoints cost, as ratios of one run: throughput with one a second against none, the
//! latency of final rows likewise, and how long a start takes to bring back a million keys.
//!
//! `STRANDLINE_KAFKA` names the broker (`scripts/kafka start`) for the first; without it that is
//! left out. `STRANDLINE_MESSAGES` (10 million) is how many messages it reads.
//!
//! Where `STRANDLINE_RESULTS` names a folder, `checkpoints.json` there holds the figures, and
//! `checkpoints.md` says them.
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use strandline::engine::checkpoint::Checkpoints;
use strandline::engine::checkpoint::object::ObjectBlobs;
use strandline::engine::clock::Clock;
use strandline::engine::job::{JobOptions, Stop};
use strandline::engine::outputs::{OpenOutputs, Output, Outputs, Trouble, Visibility};
use strandline::engine::report::Report;
use strandline::engine::sink::{FileOutputs, ParquetCodec, Roll, RunId};
use strandline::engine::source::kafka::{KafkaSettings, KafkaSource};
use strandline::engine::source::simulated::SimulatedLog;
use strandline::engine::store::Directory;
use strandline::operators::record::Partition;
use strandline::operators::time::EventTime;
use strandline::operators::window::{Row, Tumbling};
use strandline::sim::producer::{FleetProducer, Pace, ProducerOptions};
use strandline_benches::machine::Machine;
use strandline_benches::results;
use strandline_benches::spread::{Spread, text_of};
use strandline_benches::{MainRow, Nowhere, fleet, main_table, main_view, run_main_job_with};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u32 = 4;
const PAIRS: usize = 5;
const LATENCY_PAIRS: usize = 3;
const RECOVERY_KEYS: u64 = 1_000_000;
const RECOVERIES: usize = 5;

fn main() {
    // `cargo test` runs benches too, with another argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let throughput = match std::env::var("STRANDLINE_KAFKA") {
        Ok(bootstrap) => Some(throughput(&bootstrap)),
        Err(_) => {
            eprintln!("throughput: left out, STRANDLINE_KAFKA names no broker");
            None
        }
    };
    let document = Document {
        bench: "checkpoints",
        machine: Machine::this(),
        throughput,
        final_row_latency: latency(),
        recovery_keys: RECOVERY_KEYS,
        recovery_seconds: recovery(),
    };
    results::write("checkpoints", &document, &document.text());
}

/// What the bench came to. Lists are in the order of the runs.
#[derive(Serialize)]
struct Document {
    bench: &'static str,
    machine: Machine,
    throughput: Option<Throughput>,
    final_row_latency: Vec<LatencyPair>,
    recovery_keys: u64,
    recovery_seconds: Vec<f64>,
}

#[derive(Serialize)]
struct Throughput {
    messages: u64,
    pairs: Vec<ThroughputPair>,
}

/// Messages a second, with a checkpoint a second and without any.
#[derive(Copy, Clone, Serialize)]
struct ThroughputPair {
    with_hz: f64,
    without_hz: f64,
}

/// Of final rows, with a checkpoint a second and without any.
#[derive(Copy, Clone, Serialize)]
struct LatencyPair {
    with: Latency,
    without: Latency,
}

#[derive(Copy, Clone, Debug, Serialize)]
struct Latency {
    p50_ms: f64,
    p99_ms: f64,
    p99_99_ms: f64,
}

impl Document {
    /// Medians, and in brackets the least and the greatest.
    fn text(&self) -> String {
        let mut text = format!(
            "What checkpoints cost: medians, in brackets least and greatest. {}\n",
            self.machine.text(", which ran the broker too")
        );
        if let Some(Throughput { messages, pairs }) = &self.throughput {
            let _ = writeln!(
                text,
                "\nThroughput over {messages} messages of Kafka with a checkpoint every second, of that \
                 without: {}, {} pairs.",
                spread(pairs.iter().map(|pair| pair.with_hz / pair.without_hz), 2),
                pairs.len()
            );
        }
        let _ = writeln!(
            text,
            "\nLatency of final rows from the end of their window, in memory, 50 000 records a second: a \
             checkpoint every second adds {} ms to the p99 ({} pairs).",
            spread(
                self.final_row_latency.iter().map(|pair| pair.with.p99_ms - pair.without.p99_ms),
                1
            ),
            self.final_row_latency.len()
        );
        let _ = writeln!(
            text,
            "\nA start that brings back {} keys takes {} s ({} runs).",
            self.recovery_keys,
            spread(self.recovery_seconds.iter().copied(), 2),
            self.recovery_seconds.len()
        );
        text
    }
}

fn spread(values: impl Iterator<Item = f64>, digits: usize) -> String {
    text_of(Spread::of(values).as_ref(), 1.0, digits)
}

fn keep(place: &Path, every: Duration) -> Checkpoints {
    Checkpoints {
        blobs: Arc::new(ObjectBlobs::local(place).expect("a directory")),
        every,
        keep: 3,
        fresh: false,
        start: RunId::fresh(&Clock::system()),
        shape: [].into(),
        outputs: None,
    }
}

/// Reads a topic to its end with Parquet outputs, pair by pair in turn.
fn throughput(bootstrap: &str) -> Throughput {
    let messages = std::env::var("STRANDLINE_MESSAGES");
    let messages = messages.map_or(10_000_000, |text| text.parse().expect("a number of messages"));
    let topic = format!("bench-checkpoints-{}", std::process::id());
    let producer = FleetProducer::new(&ProducerOptions::new(bootstrap, &topic), None)
        .expect("settings without options");
    producer.ensure_topic(PARTITIONS, &|| false, &mut |_| {}).expect("a topic");
    let pace = Pace::FullSpeed { messages };
    let sent = producer.run(&mut fleet(1_000), pace, &Clock::system(), &|| false, &mut |_| {});
    assert_eq!(sent.expect("a broker").delivered, messages);

    let run = |checkpoints: bool| {
        let there = tempfile::tempdir().expect("a directory");
        let mut settings = KafkaSettings::new(bootstrap, &topic);
        settings.bounded = true;
        // A program sets that for its process.
        strandline::engine::source::kafka::keep_freed_memory();
        let source = KafkaSource::new(settings).expect("settings without options");
        let windows = Tumbling::of(Duration::from_secs(10)).expect("whole seconds");
        let outputs = FileOutputs {
            out: Directory::local(there.path().join("out")),
            run: RunId::fresh(&Clock::system()),
            roll: Roll::default(),
            codec: ParquetCodec::default(),
            clock: Clock::system(),
            report: Report::to_stderr(),
            table: main_table(),
            topic: topic.clone(),
            windows,
        };
        let kept =
            checkpoints.then(|| keep(&there.path().join("checkpoints"), Duration::from_secs(1)));
        let begun = Instant::now();
        let summary = run_main_job_with(
            source,
            2,
            JobOptions::new(windows),
            outputs,
            kept,
            &main_view(),
            &Stop::default(),
        );
        assert_eq!(summary.ledger.read, messages);
        messages as f64 / begun.elapsed().as_secs_f64()
    };
    run(false);
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        // Each comes first in turn.
        let first = run(pair % 2 == 0);
        let second = run(pair % 2 == 1);
        let (with_hz, without_hz) = if pair % 2 == 0 { (first, second) } else { (second, first) };
        eprintln!("throughput: {:.2} M/s with, {:.2} M/s without", with_hz / 1e6, without_hz / 1e6);
        pairs.push(ThroughputPair { with_hz, without_hz });
    }
    Throughput { messages, pairs }
}

/// Notes how long after the end of its window each row came.
#[derive(Clone, Default)]
struct Late(Arc<Mutex<Vec<f64>>>);

impl Output<Row<MainRow>> for Late {
    fn write(&mut self, rows: &[Row<MainRow>]) -> Result<(), Trouble> {
        let now = now_ms();
        let mut seen = self.0.lock().expect("nobody panicked");
        seen.extend(rows.iter().map(|row| now - row.window.end.as_millis() as f64));
        Ok(())
    }
}

impl Outputs<MainRow> for Late {
    fn open(&self, _process: usize, _visibility: Visibility) -> OpenOutputs<MainRow> {
        OpenOutputs { final_rows: Box::new(self.clone()), rejected: Box::new(Nowhere) }
    }
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1e3
}

/// Live load: how long after a window could be final its rows reach the output.
fn latency() -> Vec<LatencyPair> {
    const RATE_HZ: f64 = 50_000.0;
    const SECONDS: u64 = 15;
    let run = |every: Option<Duration>| {
        let there = tempfile::tempdir().expect("a directory");
        let log = SimulatedLog::new("live", PARTITIONS);
        let (late, stop, over) = (Late::default(), Stop::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (begun, mut sent) = (Instant::now(), 0_u64);
                while begun.elapsed() < Duration::from_secs(SECONDS) {
                    while (sent as f64) < begun.elapsed().as_secs_f64() * RATE_HZ {
                        let time = now_ms() as i64;
                        let text = format!(
                            r#"{{"device_id":"device-{}","ts":{time},"temperature":21.5,"humidity":50.1,"battery":80.0,"status":"ok","location":"lab"}}"#,
                            sent / u64::from(PARTITIONS) % 1_000
                        );
                        let partition = Partition((sent % u64::from(PARTITIONS)) as u32);
                        let time = Some(EventTime::from_millis(time));
                        log.append(partition, time, Some(text.into_bytes()));
                        sent += 1;
                    }
                    std::thread::park_timeout(Duration::from_micros(500));
                }
                over.store(true, Ordering::SeqCst);
                stop.request();
            });
            let options = JobOptions {
                watermark: Duration::ZERO,
                ..JobOptions::new(Tumbling::of(Duration::from_millis(100)).expect("a window"))
            };
            let kept = every.map(|every| keep(there.path(), every));
            run_main_job_with(log.clone(), 2, options, late.clone(), kept, &main_view(), &stop);
        });
        let mut seen = late.0.lock().expect("nobody panicked");
        seen.sort_by(f64::total_cmp);
        let at = |share: f64| seen[((seen.len() - 1) as f64 * share) as usize];
        Latency { p50_ms: at(0.5), p99_ms: at(0.99), p99_99_ms: at(0.9999) }
    };
    run(None);
    let mut pairs = Vec::new();
    for _ in 0..LATENCY_PAIRS {
        let without = run(None);
        let with = run(Some(Duration::from_secs(1)));
        eprintln!("latency: {without:?} without, {with:?} with a checkpoint every second");
        pairs.push(LatencyPair { with, without });
    }
    pairs
}

/// A million keys in open windows: how long until a start has them back.
fn recovery() -> Vec<f64> {
    const KEYS: u64 = RECOVERY_KEYS;
    let there = tempfile::tempdir().expect("a directory");
    let log = SimulatedLog::new("keys", PARTITIONS);
    for key in 0..KEYS {
        let text = format!(
            r#"{{"device_id":"device-{key:07}","ts":1730638574123,"temperature":21.5,"humidity":50.1,"battery":80.0}}"#
        );
        log.append(Partition((key % u64::from(PARTITIONS)) as u32), None, Some(text.into_bytes()));
    }
    let options = JobOptions::new(Tumbling::of(Duration::from_secs(10)).expect("a window"));
    let until = |condition: &(dyn Fn(u64, u64) -> bool + Sync)| {
        let (view, stop) = (main_view(), Stop::default());
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                loop {
                    let shown = view.newer_than(view.latest().number, Duration::from_millis(10));
                    let keys = shown.open_windows.iter().map(|open| open.keys).sum();
                    if condition(shown.ledger.read, keys) {
                        stop.request();
                        return begun.elapsed();
                    }
                }
            });
            let kept = keep(there.path(), Duration::from_secs(3600));
            run_main_job_with(log.clone(), 2, options, Nowhere, Some(kept), &view, &stop);
            watching.join().expect("nobody panicked")
        })
    };
    until(&|read, _| read == KEYS);
    (0..RECOVERIES).map(|_| until(&|_, keys| keys == KEYS).as_secs_f64()).collect()
}
