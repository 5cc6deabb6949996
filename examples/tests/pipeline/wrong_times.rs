//! Records that move no time, or a wrong one, on a real Kafka, by both ways of fetching.
//!
//! The jobs of a test run beside each other on one topic, while records go on coming: a partition that
//! is silent is another case.

use std::path::Path;

use strandline::engine::clock::Clock;
use strandline::sim::judge::{Found, MAIN_JOB};
use strandline::sim::oracle::LoggedRecord;
use tempfile::TempDir;

use crate::bootstrap::bootstrap;
use crate::process::{LIMIT, Running, command, finish, wait};
use crate::topics::{create_topic, create_topic_with, fill, producer, send};

const WAYS: [&str; 2] = ["client", "direct"];
const DAY_MS: i64 = 86_400_000;
const SHORT: [&str; 8] =
    ["--window", "1s", "--watermark", "1s", "--idle-after", "1s", "--roll-every", "1s"];

fn now_ms() -> i64 {
    Clock::system().wall().as_millis()
}

/// A record of a device, at a time as it says it, and at one of the log.
fn record(device: &str, ts: i64, timestamp_ms: i64) -> LoggedRecord {
    let payload = format!(
        r#"{{"device_id":"{device}","ts":{ts},"temperature":20.5,"humidity":40.5,"battery":77}}"#
    );
    raw(Some(payload.as_bytes()), timestamp_ms)
}

fn raw(payload: Option<&[u8]>, timestamp_ms: i64) -> LoggedRecord {
    let payload = payload.map(<[u8]>::to_vec);
    LoggedRecord { offset: 0, timestamp_ms: Some(timestamp_ms), payload }
}

/// A job on a topic, and where its rows are.
struct OnTopic {
    out: TempDir,
    options: Vec<String>,
}

impl OnTopic {
    fn new(topic: &str, fetch: &str, more: &[&str]) -> OnTopic {
        let (out, bootstrap) = (tempfile::tempdir().unwrap(), bootstrap());
        let options = ["--bootstrap", &bootstrap, "--topic", topic, "--fetch", fetch, "-w", "2"];
        let there = ["--listen", "none", "--out", out.path().to_str().unwrap()];
        let options = [&options[..], &SHORT, &["--checkpoint-every", "1s"], &there, more].concat();
        let options = options.into_iter().map(ToOwned::to_owned).collect();
        OnTopic { out, options }
    }

    fn run(&self, more: &[&str]) -> Running {
        Running::start(self.command(more))
    }

    fn command(&self, more: &[&str]) -> std::process::Command {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        command(&[&options[..], more].concat())
    }

    fn found(&self) -> Found {
        read(self.out.path())
    }

    /// How many final rows there are of a device.
    fn rows(&self, device: &str) -> usize {
        self.found().rows.keys().filter(|(_, key)| key == device).count()
    }
}

/// Nothing is there at first.
fn read(out: &Path) -> Found {
    Found::read(out, &MAIN_JOB).unwrap_or_default()
}

fn stop<const N: usize>(jobs: [Running; N]) {
    jobs.iter().for_each(|running| running.signal("TERM"));
    for running in jobs {
        assert_eq!(running.end(LIMIT).0.code(), Some(0));
    }
}

#[test]
fn partitions_without_a_readable_record_hold_nothing_back_and_are_not_called_a_success() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "unreadable", 3);
    let producer = producer(&bootstrap);
    let unreadable = || {
        let now = now_ms();
        [vec![], vec![raw(Some(b"not JSON"), now)], vec![raw(None, now)]]
    };
    (0..20).for_each(|_| send(&producer, &topic, &unreadable()));
    for fetch in WAYS {
        let (code, stdout, stderr) =
            finish(OnTopic::new(&topic, fetch, &[]).command(&["--bounded", "--quiet"]));
        assert_eq!(code, Some(3), "{fetch}: {stderr}");
        assert!(
            stderr.contains(
                "none of the 40 records could be read: 20 empty (no bytes), 20 not_json ("
            ),
            "{stderr}"
        );
        assert!(stdout.contains(r#""dead_letters":40"#), "{stdout}");
    }
    let jobs = WAYS.map(|fetch| OnTopic::new(&topic, fetch, &[]));
    let running = jobs.each_ref().map(|job| job.run(&[]));
    wait("final rows beside unreadable records", || {
        let now = now_ms();
        let [_, bad, none] = unreadable();
        send(&producer, &topic, &[vec![record("right", now, now)], bad, none]);
        jobs.iter().all(|job| job.rows("right") > 1).then_some(())
    });
    stop(running);
}

#[test]
fn a_device_at_1970_is_named_and_with_max_past_holds_nothing_back() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "at-1970", 2);
    let producer = producer(&bootstrap);
    let goes_on = || {
        let now = now_ms();
        let wrong = record("wrong", 17_000 + now % 100, now);
        send(&producer, &topic, &[vec![record("right", now, now)], vec![wrong]]);
    };
    let held = WAYS.map(|fetch| OnTopic::new(&topic, fetch, &[]));
    let bounded_below = WAYS.map(|fetch| OnTopic::new(&topic, fetch, &["--max-past", "1d"]));
    let waits = held.each_ref().map(|job| job.run(&[]));
    let goes = bounded_below.each_ref().map(|job| job.run(&[]));
    wait("the device is named without --max-past, and there are rows with it", || {
        goes_on();
        let named = |running: &Running| running.said().contains("held back since ");
        let has_rows = |job: &OnTopic| job.rows("right") > 1;
        (waits.iter().all(named) && bounded_below.iter().all(has_rows)).then_some(())
    });
    for (running, job) in waits.iter().zip(&held) {
        let said = running.said();
        let line = said.lines().find(|line| line.contains(" UTC: held back since ")).unwrap();
        for part in
            ["by partition 1: ", " 1970-01-01 00:00:1", "by key `wrong`", "again with --max-past"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert_eq!(job.rows("right"), 0);
    }
    for (running, job) in goes.iter().zip(&bounded_below) {
        let said = running.said();
        assert!(!said.contains("held back"), "{said}");
        let reasons: Vec<_> = job.found().dead.into_values().map(|dead| dead.reason).collect();
        assert!(
            !reasons.is_empty() && reasons.iter().all(|reason| reason == "past"),
            "{reasons:?}"
        );
    }
    stop(waits);
    stop(goes);
}

/// A year ahead, with a Kafka timestamp to match: the job says so, and an operator puts it right.
#[test]
fn a_clock_that_sets_both_times_wrong_is_named_and_can_be_put_right() {
    let bootstrap = bootstrap();
    let any = [("message.timestamp.after.max.ms", "9223372036854775807")];
    let topic = create_topic_with(&bootstrap, "ahead", 2, &any);
    let producer = producer(&bootstrap);
    let begin = now_ms();
    let far = begin + 365 * DAY_MS;
    send(
        &producer,
        &topic,
        &[vec![record("other", begin, begin)], vec![record("wrong", far, far)]],
    );
    let goes_on = || {
        let now = now_ms();
        let [right, other] = ["right", "other"].map(|device| vec![record(device, now, now)]);
        send(&producer, &topic, &[other, right]);
    };
    let (dragged, refuses) = (
        WAYS.map(|fetch| OnTopic::new(&topic, fetch, &[])),
        WAYS.map(|fetch| OnTopic::new(&topic, fetch, &["--max-future-by", "clock"])),
    );
    let running = dragged.each_ref().map(|job| job.run(&[]));
    let refusing = refuses.each_ref().map(|job| job.run(&[]));
    wait("it is said, and there are rows where it is refused", || {
        goes_on();
        let said = |running: &Running| running.said().contains("than --max-future ahead of");
        let has_rows = |job: &OnTopic| job.rows("right") > 1;
        (running.iter().chain(&refusing).all(said) && refuses.iter().all(has_rows)).then_some(())
    });
    for job in &refuses {
        let dead: Vec<_> = job.found().dead.into_values().collect();
        assert!(dead.len() == 1 && dead[0].reason == "future", "{dead:?}");
    }
    for (running, job) in running.iter().zip(&dragged) {
        let said = running.said();
        let parts = ["partition 1: a record of key `wrong`", "--lower-event-time 1=TIME"];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert_eq!(job.rows("right"), 0);
    }
    stop(running);
    stop(refusing);

    let lowered = format!("1={begin}");
    let options = ["--max-future-by", "clock", "--lower-event-time", &lowered];
    let running = dragged.each_ref().map(|job| job.run(&options));
    wait("rows after it was put right", || {
        goes_on();
        dragged.iter().all(|job| job.rows("right") > 1).then_some(())
    });
    for running in &running {
        assert!(running.said().contains("partition 1: its greatest event time was "));
    }
    stop(running);
}

#[test]
fn a_stream_in_another_unit_names_the_option_that_reads_it() {
    let bootstrap = bootstrap();
    let now = now_ms();
    for (unit, ts) in [("s", now / 1000), ("us", now * 1000)] {
        let topic = create_topic(&bootstrap, &format!("unit-{unit}"), 1);
        fill(&bootstrap, &topic, &[(0..20).map(|_| record("right", ts, now)).collect()]);
        for fetch in WAYS {
            let (code, _, stderr) =
                finish(OnTopic::new(&topic, fetch, &[]).command(&["--bounded"]));
            let option = format!("start again with --time-unit {unit}, and with --fresh");
            assert!(stderr.contains(&option), "{unit}, {fetch}: {stderr}");
            // Microseconds are no time of this millennium; seconds are in 1970, and rows.
            assert_eq!(code, Some(if unit == "s" { 0 } else { 3 }), "{stderr}");
            let right = OnTopic::new(&topic, fetch, &["--time-unit", unit]);
            let (code, _, stderr) = finish(right.command(&["--bounded", "--quiet"]));
            assert_eq!((code, stderr.as_str(), right.rows("right")), (Some(0), "", 1), "{fetch}");
        }
    }
}
