//! What checkpoints cost, as ratios of one run: throughput with one a second against none, the
//! latency of final rows likewise, and how long a start takes to bring back a million keys.
//!
//! `STRANDLINE_KAFKA` names the broker (`scripts/kafka start`) for the first; without it that is
//! left out. `STRANDLINE_MESSAGES` (10 million) is how many messages it reads.
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use strandline::engine::checkpoint::Checkpoints;
use strandline::engine::checkpoint::object::ObjectBlobs;
use strandline::engine::clock::Clock;
use strandline::engine::job::{JobOptions, Stop};
use strandline::engine::outputs::{OpenOutputs, Output, Outputs, Trouble, Visibility};
use strandline::engine::report::Report;
use strandline::engine::sink::{FileOutputs, Roll, RunId};
use strandline::engine::source::kafka::{KafkaSettings, KafkaSource};
use strandline::engine::source::simulated::SimulatedLog;
use strandline::engine::store::Directory;
use strandline::operators::record::Partition;
use strandline::operators::time::EventTime;
use strandline::operators::window::{Row, Tumbling};
use strandline::sim::producer::{FleetProducer, Pace, ProducerOptions};
use strandline_benches::{MainRow, Nowhere, fleet, main_table, main_view, run_main_job_with};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u32 = 4;
const PAIRS: usize = 5;

fn main() {
    // `cargo test` runs benches too, with another argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    match std::env::var("STRANDLINE_KAFKA") {
        Ok(bootstrap) => throughput(&bootstrap),
        Err(_) => println!("throughput: left out, STRANDLINE_KAFKA names no broker"),
    }
    latency();
    recovery();
}

fn keep(place: &Path, every: Duration) -> Checkpoints {
    Checkpoints {
        blobs: Arc::new(ObjectBlobs::local(place).expect("a directory")),
        every,
        keep: 3,
        fresh: false,
        start: RunId::fresh(&Clock::system()),
        shape: [].into(),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Reads a topic to its end with Parquet outputs, pair by pair in turn.
fn throughput(bootstrap: &str) {
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
        let source = KafkaSource::new(settings).expect("settings without options");
        let windows = Tumbling::of(Duration::from_secs(10)).expect("whole seconds");
        let outputs = FileOutputs {
            out: Directory::local(there.path().join("out")),
            run: RunId::fresh(&Clock::system()),
            roll: Roll::default(),
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
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // Each comes first in turn.
        let first = run(pair % 2 == 0);
        let second = run(pair % 2 == 1);
        let (w, n) = if pair % 2 == 0 { (first, second) } else { (second, first) };
        with.push(w);
        without.push(n);
        ratios.push(w / n);
        println!("throughput: {:.2} M/s with, {:.2} M/s without", w / 1e6, n / 1e6);
    }
    println!(
        "throughput of {messages} messages, a checkpoint every second against none: {:.3} (median \
         of {PAIRS}); {:.2} and {:.2} M messages/s",
        median(&mut ratios),
        median(&mut with) / 1e6,
        median(&mut without) / 1e6
    );
}

/// Notes how long after the end of its window each row came.
#[derive(Clone, Default)]
struct Late(Arc<Mutex<Vec<f64>>>);

impl Output<Row<MainRow>> for Late {
    fn write(&mut self, rows: Vec<Row<MainRow>>) -> Result<(), Trouble> {
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
fn latency() {
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
        (at(0.5), at(0.99), at(0.9999))
    };
    run(None);
    let mut added = Vec::new();
    for _ in 0..3 {
        let without = run(None);
        let with = run(Some(Duration::from_secs(1)));
        println!(
            "latency of final rows at 50 000 records/s (p50, p99, p99.99): {without:.1?} ms without, \
             {with:.1?} ms with a checkpoint every second"
        );
        added.push(with.1 - without.1);
    }
    println!("added to the p99: {:.1} ms (median of 3)", median(&mut added));
}

/// A million keys in open windows: how long until a start has them back.
fn recovery() {
    const KEYS: u64 = 1_000_000;
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
    let mut seconds: Vec<f64> =
        (0..5).map(|_| until(&|_, keys| keys == KEYS).as_secs_f64()).collect();
    println!("recovery of {KEYS} keys: {:.2} s (median of 5)", median(&mut seconds));
}
