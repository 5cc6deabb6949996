//! One job under one load, and what comes of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use strandline::engine::checkpoint::Checkpoints;
use strandline::engine::checkpoint::object::ObjectBlobs;
use strandline::engine::clock::Clock;
use strandline::engine::job::{JobOptions, Stop};
use strandline::engine::report::Report;
use strandline::engine::sink::{FileOutputs, ParquetCodec, Roll, RunId};
use strandline::engine::source::kafka::{Fetch, KafkaSettings, KafkaSource};
use strandline::engine::store::Directory;
use strandline::operators::window::Tumbling;
use strandline_benches::{main_table, main_view, run_main_job_with};

use crate::figures::{FromBoth, Latencies};
use crate::live_load::{Topic, appended_ms, produce, producer};
use crate::now_us;
use crate::schedule::Schedule;
use crate::witness::{LiveSight, Sight, WatchedFiles, follow, watch};

/// How long before the first record is due everything is there.
const LEAD: Duration = Duration::from_millis(1_500);
/// How long the job may take for the last records.
const END_WITHIN: Duration = Duration::from_secs(120);

/// What is run.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rate_hz: u64,
    pub(crate) seconds: u64,
    pub(crate) warm_up: Duration,
    pub(crate) devices: u64,
    pub(crate) partitions: u64,
    pub(crate) workers: usize,
    pub(crate) window: Duration,
    pub(crate) watermark: Duration,
    pub(crate) checkpoint_every: Duration,
    pub(crate) linger: Duration,
    pub(crate) fetch: Fetch,
}

/// What was seen.
pub(crate) struct Seen {
    schedule: Schedule,
    warm_up: Duration,
    window_ms: i64,
    /// When each record was appended, milliseconds since 1970.
    appended_ms: Vec<i64>,
    pub(crate) pushed: Vec<Sight>,
    pub(crate) committed: Vec<Sight>,
    live: Vec<LiveSight>,
}

/// Runs the job while a producer sends, then asks the log when it got what.
pub(crate) fn run(bootstrap: &str, plan: &Plan) -> anyhow::Result<Seen> {
    let name = format!("latency-{}-{}", std::process::id(), now_us());
    let topic = Topic::create(bootstrap, &name, plan.partitions)?;
    let client = producer(&topic, plan.linger)?;
    let there = tempfile::tempdir()?;
    let windows = Tumbling::of(plan.window).expect("whole milliseconds");
    let committed = Arc::new(Mutex::new(Vec::new()));
    let outputs = WatchedFiles {
        files: FileOutputs {
            out: Directory::local(there.path().join("out")),
            run: RunId::fresh(&Clock::system()),
            // Each checkpoint shows its rows.
            roll: Roll { every: Duration::ZERO, ..Roll::default() },
            codec: ParquetCodec::default(),
            clock: Clock::system(),
            report: Report::to_stderr(),
            table: main_table(),
            topic: topic.name.clone(),
            windows,
        },
        committed: Arc::clone(&committed),
    };
    let checkpoints = Checkpoints {
        blobs: Arc::new(ObjectBlobs::local(there.path().join("checkpoints"))?),
        every: plan.checkpoint_every,
        keep: 3,
        fresh: false,
        start: RunId::fresh(&Clock::system()),
        shape: [].into(),
        outputs: None,
    };
    let mut settings = KafkaSettings::new(bootstrap, &topic.name);
    settings.fetch = plan.fetch;
    // A program sets that for its process.
    strandline::engine::source::kafka::keep_freed_memory();
    let source = KafkaSource::new(settings)?;
    let options = JobOptions {
        watermark: plan.watermark,
        epoch_every: Duration::from_secs(1).min(plan.checkpoint_every),
        ..JobOptions::new(windows)
    };
    let schedule = Schedule {
        begin_us: now_us() + i64::try_from(LEAD.as_micros())?,
        rate_hz: plan.rate_hz,
        records: plan.rate_hz * plan.seconds,
        devices: plan.devices,
        partitions: plan.partitions,
    };
    let (view, stop, over) = (main_view(), Stop::default(), AtomicBool::new(false));
    let follower = view.follow();
    let (pushed, live) = std::thread::scope(|scope| {
        let following = scope.spawn(|| follow(follower));
        let watching = scope.spawn(|| watch(&view, &|| over.load(Ordering::Relaxed)));
        let running = scope.spawn(|| {
            run_main_job_with(
                source,
                plan.workers,
                options,
                outputs,
                Some(checkpoints),
                &view,
                &stop,
            )
        });
        let sent = produce(&client, &topic, &schedule);
        let (clock, mut snapshot) = (Clock::system(), view.latest());
        while sent.is_ok()
            && !running.is_finished()
            && snapshot.ledger.read < schedule.records
            && clock.elapsed() < END_WITHIN
        {
            snapshot = view.newer_than(snapshot.number, Duration::from_millis(100));
        }
        stop.request();
        let summary = running.join().expect("a job");
        over.store(true, Ordering::Relaxed);
        let (pushed, live) =
            (following.join().expect("a follower"), watching.join().expect("a watcher"));
        sent?;
        let pushed = pushed?;
        let ledger = summary.ledger;
        ensure!(ledger.windowed == schedule.records, "{ledger:?} of {} records", schedule.records);
        Ok((pushed, live))
    })?;
    let mut committed = committed.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Seen {
        schedule,
        warm_up: plan.warm_up,
        window_ms: i64::try_from(plan.window.as_millis())?,
        appended_ms: appended_ms(&topic, &schedule)?,
        pushed,
        committed: std::mem::take(&mut *committed),
        live,
    })
}

impl Seen {
    /// From when each record was to be sent to its append.
    pub(crate) fn producer(&self) -> Latencies {
        let mut latencies = Latencies::new();
        for record in self.counted() {
            let appended_us = self.appended_us(record);
            latencies.record(self.schedule.intended_us(record), appended_us, 1);
        }
        latencies
    }

    /// The records that are not part of the warm-up.
    fn counted(&self) -> std::ops::Range<u64> {
        let warm_up_ms = i64::try_from(self.warm_up.as_millis()).unwrap_or(i64::MAX);
        let begin_ms = self.schedule.event_ms(0) + warm_up_ms;
        self.schedule.first_at(begin_ms).min(self.schedule.records)..self.schedule.records
    }

    fn appended_us(&self, record: u64) -> i64 {
        self.appended_ms[record as usize] * 1_000
    }

    /// From the last record that the window of each row needs, where the watermark is not behind;
    /// and how many windows are counted.
    pub(crate) fn after_the_last_needed(&self, sights: &[Sight]) -> (FromBoth, u64) {
        let (mut from_append, mut from_schedule) = (Latencies::new(), Latencies::new());
        let mut windows = HashMap::new();
        for sight in sights {
            let needed = windows.entry(sight.end_ms).or_insert_with(|| {
                let needed = self.schedule.needed(sight.end_ms)?;
                needed
                    .map(|n| (self.appended_us(n), self.schedule.intended_us(n), n))
                    .reduce(|a, b| (a.0.max(b.0), a.1.max(b.1), a.2.min(b.2)))
            });
            // What closes by the warm-up's records, or by the end of the run, is not counted.
            let Some((appended_us, intended_us, first)) = *needed else { continue };
            if self.counted().contains(&first) {
                from_append.record(appended_us, sight.at_us, sight.rows);
                from_schedule.record(intended_us, sight.at_us, sight.rows);
            }
        }
        let both =
            FromBoth { from_append: from_append.figures(), from_schedule: from_schedule.figures() };
        let counted = windows.values().flatten().filter(|(_, _, n)| self.counted().contains(n));
        (both, counted.count() as u64)
    }

    /// From each record to the first live row that holds it: a device's records come in their
    /// order, so a row with `n` of them holds the first `n`. And the share of records that no live
    /// row held, because another window was shown by then.
    pub(crate) fn to_live_rows(&self) -> (FromBoth, f64) {
        let (mut from_append, mut from_schedule) = (Latencies::new(), Latencies::new());
        let (counted, mut shown) = (self.counted(), 0);
        let mut before: HashMap<(i64, u64), u64> = HashMap::new();
        for sight in &self.live {
            let key = (sight.start_ms, sight.device);
            let before = before.entry(key).or_default();
            let records = self.schedule.of_device(sight.device, sight.start_ms);
            let new = sight.records.saturating_sub(*before) as usize;
            for record in records.skip(*before as usize).take(new) {
                debug_assert!(self.schedule.event_ms(record) < sight.start_ms + self.window_ms);
                if counted.contains(&record) {
                    shown += 1;
                    from_append.record(self.appended_us(record), sight.at_us, 1);
                    from_schedule.record(self.schedule.intended_us(record), sight.at_us, 1);
                }
            }
            *before = sight.records.max(*before);
        }
        let both =
            FromBoth { from_append: from_append.figures(), from_schedule: from_schedule.figures() };
        let not_shown = 1.0 - shown as f64 / (counted.end - counted.start).max(1) as f64;
        (both, not_shown)
    }
}
