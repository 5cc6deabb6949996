//! The main job and its broker, killed at random instants under a live producer: the rows are those
//! of a run that nobody disturbed.
//!
//! `STRANDLINE_TEST_KILLS` says how often the job is killed; a few times, unless it does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use strandline::engine::clock::Clock;
use strandline::sim::fleet::{Fleet, FleetOptions};
use strandline::sim::judge::{Found, MAIN_JOB};
use strandline::sim::oracle::{OracleOptions, outcome};
use strandline::sim::producer::{FleetProducer, Pace, ProducerOptions, Tally};
use strandline::sim::random::SplitMix64;

use crate::bootstrap::bootstrap;
use crate::broker::Broker;
use crate::process::{
    Running, ask, command, finish, names, times_logged, wait, wait_for_two_tries,
};
use crate::real_kafka::check_counts;
use crate::topics::{create_topic, read_back};

const PARTITIONS: u32 = 5;
const KILLS: u64 = 6;
/// The job lives at most this long between two kills.
const LIFE_MAX: Duration = Duration::from_millis(2_500);
const WINDOW: Duration = Duration::from_secs(2);
const WATERMARK: Duration = Duration::from_secs(4);

/// A fleet that sends until it is stopped.
struct Sending {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Sending {
    fn start(bootstrap: &str, topic: &str, seed: u64) -> Sending {
        let options = FleetOptions {
            devices: 60,
            rate_per_device_hz: 20.0,
            late_by: WATERMARK + WINDOW,
            seed,
            ..FleetOptions::default()
        };
        let clock = Clock::system();
        let mut fleet = Fleet::new(options, clock.wall()).unwrap();
        let producer = FleetProducer::new(&ProducerOptions::new(bootstrap, topic), None).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let stopped = || stopped.load(Ordering::SeqCst);
            producer.run(&mut fleet, Pace::RealTime, &clock, &stopped, &mut |_| {}).unwrap()
        });
        Sending { stop, thread }
    }

    fn stop(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

#[test]
fn rows_are_the_oracles_after_kills_of_the_job_and_its_broker() {
    bootstrap(); // says what is missing where there is no Kafka
    let kills =
        std::env::var("STRANDLINE_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let seed = 4;
    let mut random = SplitMix64::new(seed);
    let broker = Broker::start();
    let address = broker.bootstrap();
    let topic = create_topic(&address, "crashes", PARTITIONS);
    let sending = Sending::start(&address, &topic, seed);
    let out = tempfile::tempdir().unwrap();
    let options = [
        "--bootstrap",
        &address,
        "--topic",
        &topic,
        "--listen",
        "none",
        "--window",
        "2s",
        "--watermark",
        "4s",
        // The one thing that is not the data's alone to say.
        "--idle-after",
        "1h",
        "--checkpoint-every",
        "100ms",
        "--roll-every",
        "1s",
        "--out",
        out.path().to_str().unwrap(),
    ];
    let start = |workers: u64, more: &[&str]| {
        let workers = workers.to_string();
        command(&[&options[..], &["-w", &workers], more].concat())
    };
    let (mut broker_kills, mut continued) = (0, 0);
    for kill in 0..kills {
        // A checkpoint is continued by either way of fetching.
        let fetch = ["client", "direct"][usize::from(random.happens(0.5))];
        let running = Running::start(start(1 + random.below(4), &["--fetch", fetch]));
        let life = LIFE_MAX.mul_f64(random.unit());
        std::thread::park_timeout(life);
        if kill % 5 == 2 {
            broker.run("kill");
            std::thread::park_timeout(LIFE_MAX.mul_f64(random.unit() / 4.0));
            broker_kills += 1;
            if random.happens(0.5) {
                // It lives through the outage, and dies some time later.
                broker.run("start");
                std::thread::park_timeout(LIFE_MAX.mul_f64(random.unit()));
            }
        }
        let said = running.kill();
        let words = ["error", "panicked", "damaged"];
        assert!(!words.iter().any(|word| said.contains(word)), "kill {kill}: {said}");
        continued += u32::from(said.contains("resumes from checkpoint"));
        broker.run("start");
    }
    // What is committed is seen; what is not is not.
    assert!(!Found::read(out.path(), &MAIN_JOB).unwrap().rows.is_empty());
    let tally = sending.stop();
    assert_eq!(tally.failed, 0, "{tally:?}");

    let (code, stdout, stderr) =
        finish(start(1 + random.below(4), &["--bounded", "--fetch", "direct"]));
    assert_eq!(code, Some(0), "{stderr}");
    let log = read_back(&address, &topic, PARTITIONS);
    let oracle = OracleOptions { window: WINDOW, watermark: WATERMARK, ..OracleOptions::default() };
    let expected = outcome(&log, &oracle);
    assert!(0 < expected.ledger.late && 0 < expected.ledger.dead_letters);
    Found::read(out.path(), &MAIN_JOB).unwrap().compare(&expected, &MAIN_JOB).unwrap();
    check_counts(&stdout, &expected);
    println!(
        "{kills} kills of the job, {broker_kills} of the broker, {continued} continuations: {} \
         records, {} late, {} dead letters, {} final rows, as the oracle says",
        expected.ledger.read,
        expected.ledger.late,
        expected.ledger.dead_letters,
        expected.rows.len()
    );
    assert!(0 < broker_kills && kills / 2 < continued.into());

    // What is finished is finished, and its leftovers are gone: it says the same again.
    let (code, again, stderr) = finish(start(1, &["--bounded"]));
    assert_eq!(code, Some(0), "{stderr}");
    check_counts(&again, &expected);
    assert!(stderr.contains("--fresh"), "{stderr}");
    for folder in ["parquet", "late", "dead_letters"] {
        for date in names(&out.path().join(folder)) {
            let files = names(&out.path().join(folder).join(date));
            assert!(files.iter().all(|file| file.ends_with(".parquet")), "{files:?}");
        }
    }
}

/// Waits until more files of rows are visible than now.
fn wait_for_more_files(rows: &Path) {
    let visible = || {
        let files = names(rows).into_iter().flat_map(|date| names(&rows.join(date)));
        files.filter(|file| file.ends_with(".parquet")).count()
    };
    let before = visible();
    wait("more rows", || (before < visible()).then_some(()));
}

#[test]
fn an_output_that_is_in_the_way_is_said_once_and_the_job_goes_on_when_it_is_mended() {
    let address = bootstrap();
    let topic = create_topic(&address, "mended", PARTITIONS);
    let sending = Sending::start(&address, &topic, 7);
    let out = tempfile::tempdir().unwrap();
    let options = [
        "--bootstrap",
        &address,
        "--topic",
        &topic,
        "--listen",
        "127.0.0.1:0",
        "--window",
        "1s",
        "--watermark",
        "1s",
        "--checkpoint-every",
        "100ms",
        "--roll-every",
        "100ms",
        "--out",
        out.path().to_str().unwrap(),
    ];
    let running = Running::start(command(&options));
    let page = running.page();
    let (rows, aside) = (out.path().join("parquet"), out.path().join("aside"));
    wait_for_more_files(&rows);
    put_file_in_the_way(&rows, &aside);
    running.wait_said("move it away");
    wait_for_two_tries(&page, &["strandline_output_retries_total"]);
    let (said, begins) = (running.said(), rows.to_str().unwrap());
    assert_eq!(times_logged(&said, begins), 1, "{said}");
    mend(&rows, &aside);
    wait_for_more_files(&rows);
    sending.stop();
    running.signal("TERM");
    assert!(running.end(Duration::from_secs(10)).0.success());
}

/// Another program clears up, or a volume is unmounted, so that the folder below shows.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test does what another program does")]
fn a_place_that_goes_away_is_waited_for_and_nothing_is_written_in_its_stead() {
    let address = bootstrap();
    let topic = create_topic(&address, "away", PARTITIONS);
    let sending = Sending::start(&address, &topic, 8);
    let there = tempfile::tempdir().unwrap();
    let (out, kept) = (there.path().join("out"), there.path().join("kept"));
    let aside = there.path().join("aside");
    let options = [
        "--bootstrap",
        &address,
        "--topic",
        &topic,
        "--listen",
        "127.0.0.1:0",
        "--window",
        "1s",
        "--watermark",
        "1s",
        "--checkpoint-every",
        "100ms",
        "--roll-every",
        "1s",
        "--out",
        out.to_str().unwrap(),
        "--checkpoint",
        kept.to_str().unwrap(),
    ];
    let running = Running::start(command(&options));
    let rows = out.join("parquet");
    let page = running.page();
    wait_for_more_files(&rows);
    for (place, condition) in [(&out, "output waits"), (&kept, "checkpointing is suspended")] {
        std::fs::rename(place, &aside).unwrap();
        wait("it to be said", || {
            let (code, text) = ask(&page, "/readyz")?;
            let is_said = code == 503 && text.contains(condition) && text.contains("bring it back");
            is_said.then_some(())
        });
        assert!(!place.exists(), "{} was made anew", place.display());
        std::fs::create_dir(place).unwrap();
        let tries = ["strandline_output_retries_total", "strandline_checkpoint_failures_total"];
        wait_for_two_tries(&page, &tries);
        assert_eq!(names(place), [""; 0], "rows are in a folder that is not the job's");
        std::fs::remove_dir(place).unwrap();
        std::fs::rename(&aside, place).unwrap();
        wait_for_more_files(&rows);
        wait("it to be over", || (ask(&page, "/readyz")?.0 == 200).then_some(()));
    }
    // All that others can see, and all that is hidden too.
    for name in names(&kept) {
        // The job may have removed it meanwhile.
        let _ = std::fs::remove_file(kept.join(name));
    }
    for name in [".lock", ".strandline-id"] {
        std::fs::remove_file(out.join(name)).unwrap();
    }
    wait_for_more_files(&rows);
    let is_there = |path: std::path::PathBuf| path.exists().then_some(());
    for file in [kept.join(".lock"), out.join(".lock"), out.join(".strandline-id")] {
        wait("what keeps others out", || is_there(file.clone()));
    }
    let (code, _, said) = finish(command(&options));
    assert_eq!(code, Some(75), "{said}");
    sending.stop();
    running.signal("TERM");
    let (status, said) = running.end(Duration::from_secs(10));
    assert!(status.success(), "{said}");

    // The next start goes on.
    let running = Running::start(command(&options));
    running.page();
    running.signal("TERM");
    let (status, said) = running.end(Duration::from_secs(10));
    assert!(status.success(), "{said}");
}

#[expect(clippy::disallowed_methods, reason = "a test does what a user does by accident")]
fn put_file_in_the_way(directory: &Path, aside: &Path) {
    std::fs::rename(directory, aside).unwrap();
    std::fs::write(directory, "in the way").unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test does what a user does then")]
fn mend(directory: &Path, aside: &Path) {
    std::fs::remove_file(directory).unwrap();
    std::fs::rename(aside, directory).unwrap();
}
