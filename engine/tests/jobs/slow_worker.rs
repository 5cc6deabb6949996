//! A worker that does not keep up slows down who reads for it, and blocks nothing else.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobOptions, Stop};
use strandline_engine::report::Report;
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::table::Table;
use strandline_operators::aggregate::Aggregate;

use crate::own_program::{Said, config, hook, start};
use crate::toy::{Count, Kept, Words, new_view, options, text};

const WORKERS: usize = 3;
const RECORDS_PER_PARTITION: u64 = 20_000;
/// A tenth of what the workers send each other, or less.
const UNMERGED_BYTES_MAX: u64 = 200_000;
/// So many epochs are over before all is sent.
const EPOCHS: u64 = 5;
const EPOCHS_WITHIN: Duration = Duration::from_secs(30);
/// In timely, the threads of workers have names.
const SLOW: &str = "timely:work-1";

/// Counts. One worker is held where it makes its first row, while the gate is shut.
#[derive(Clone, Default)]
struct Gated(Arc<Gate>);

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_open: bool,
    holds: bool,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.holds |= !state.is_open;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.is_open).unwrap());
    }

    fn wait_until_it_holds(&self) {
        let (limit, state) = (Duration::from_secs(20), self.state.lock().unwrap());
        let waited = self.changed.wait_timeout_while(state, limit, |state| !state.holds).unwrap();
        assert!(waited.0.holds, "the worker made no row");
    }
}

/// Opens the gate at last, also when a test fails.
struct Opens(Arc<Gate>);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().is_open = true;
        self.0.changed.notify_all();
    }
}

impl Aggregate<()> for Gated {
    type Partial = u64;
    type Output = (u64,);
    fn lift(&self, (): &()) -> u64 {
        1
    }
    fn combine(&self, into: &mut u64, other: &u64) {
        *into += other;
    }
    fn lower(&self, partial: &u64) -> (u64,) {
        // Here a worker shows or closes a window. Nothing that it is sent is merged meanwhile.
        if std::thread::current().name() == Some(SLOW) {
            self.0.pass();
        }
        (*partial,)
    }
}

/// A window each record, so that what is over is sent at once.
fn log() -> SimulatedLog {
    let log = SimulatedLog::new("toy", WORKERS as u32);
    for partition in 0..WORKERS as u32 {
        for number in 0..RECORDS_PER_PARTITION {
            text(&log, partition, &format!("key-{} {}", number % 50, number * 10_000));
        }
    }
    log.bounded()
}

/// Records of some windows.
fn log_of_few() -> SimulatedLog {
    let log = SimulatedLog::new("toy", WORKERS as u32);
    for partition in 0..WORKERS as u32 {
        for number in 0..100 {
            text(&log, partition, &format!("key-{number} {}", number * 10_000));
        }
    }
    log
}

/// What cannot be read moves no event time, and nothing is merged of it.
fn append_dead_letters(log: &SimulatedLog) {
    let padding = "x".repeat(100);
    for partition in 0..WORKERS as u32 {
        for number in 0..RECORDS_PER_PARTITION {
            text(log, partition, &format!("key-{number} never-{padding}"));
        }
    }
}

fn job<A>(aggregate: A, kept: &Kept, epoch_every: Duration) -> Job<SimulatedLog, Words, A, Kept>
where
    A: Aggregate<(), Partial = u64, Output = (u64,)> + Send + Sync,
{
    job_on(log(), aggregate, kept, epoch_every)
}

fn job_on<A>(
    log: SimulatedLog,
    aggregate: A,
    kept: &Kept,
    epoch_every: Duration,
) -> Job<SimulatedLog, Words, A, Kept>
where
    A: Aggregate<(), Partial = u64, Output = (u64,)> + Send + Sync,
{
    let options = JobOptions {
        epoch_every,
        unmerged_bytes_max: UNMERGED_BYTES_MAX,
        // Event time is no bound here.
        max_drift: Duration::from_secs(10 * 2 * RECORDS_PER_PARTITION),
        ..options()
    };
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    Job::new(log, Words, aggregate, table, kept.clone(), options)
}

#[test]
#[ignore = "one process of the test below"]
fn a_process() {
    let (process, config) = config();
    hook();
    let kept = Kept::default();
    let job = job(Count, &kept, Duration::from_secs(3_600)).with_report(Report::silent());
    let (clock, view, stop) = (Clock::system(), new_view(), Stop::default());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| job.run(config, &clock, &view, &stop));
        while process == 0 && view.latest().epoch < EPOCHS {
            if clock.elapsed() > EPOCHS_WITHIN {
                println!("\nepoch {} is complete, and no later one", view.latest().epoch);
                // The job would go on, and be waited for.
                std::process::exit(1);
            }
            view.newer_than(view.latest().number, Duration::from_millis(100));
        }
        if process == 0 {
            stop.request();
        }
        running.join().unwrap().unwrap();
    });
    println!("\nended");
}

/// Between processes, what is sent counts until its epoch is complete. No epoch is over by the clock
/// here: they are over because so much is not merged.
#[test]
fn what_is_sent_to_another_process_is_let_go_before_its_epoch_is_over_by_the_clock() {
    let children = start("slow_worker::a_process", 2, |_, _| ());
    for mut process in children.into_iter().map(Said::by).collect::<Vec<_>>() {
        process.until("ended", 2 * EPOCHS_WITHIN);
        assert!(process.ended_well());
    }
}

#[test]
fn the_others_stop_reading_while_a_worker_merges_nothing_and_go_on_when_it_does() {
    let undisturbed = Kept::default();
    let every = options().epoch_every;
    let (workers, clock, stop) = (config_of_threads(), Clock::system(), Stop::default());
    job(Count, &undisturbed, every).run(workers, &clock, &new_view(), &stop).unwrap();
    let kept = held_up(log(), None);
    assert!(kept.plain_rows() == undisturbed.plain_rows(), "other rows");
}

/// The writer keeps them until the epoch before theirs is complete, which it is not meanwhile.
#[test]
fn the_others_stop_reading_what_is_rejected_while_a_worker_leaves_no_epoch() {
    held_up(log_of_few(), Some(append_dead_letters));
}

fn config_of_threads() -> timely::Config {
    timely::Config::process(WORKERS)
}

/// Runs a job of which one worker is held until the others have stopped reading. A live log has no end:
/// there, `append` says what comes when the worker is held, and the job is stopped once that is read.
fn held_up(log: SimulatedLog, append: Option<fn(&SimulatedLog)>) -> Kept {
    let (clock, stop) = (Clock::system(), Stop::default());
    let (kept, view, gated) = (Kept::default(), new_view(), Gated::default());
    let gate = Arc::clone(&gated.0);
    let job = job_on(log.clone(), gated, &kept, options().epoch_every);
    let summary = std::thread::scope(|scope| {
        let running = scope.spawn(|| job.run(config_of_threads(), &clock, &view, &stop));
        let opens = Opens(Arc::clone(&gate));
        gate.wait_until_it_holds();
        if let Some(append) = append {
            append(&log);
        }
        let clock = Clock::system();
        let (mut read, mut unchanged) = (0, 0);
        while unchanged < 20 {
            assert!(clock.elapsed() < Duration::from_secs(20), "they read on and on");
            let now = view.newer_than(view.latest().number, Duration::from_secs(1));
            let before = std::mem::replace(&mut read, now.ledger.read + now.in_flight);
            unchanged = if read == before { unchanged + 1 } else { 0 };
        }
        let all = WORKERS as u64 * RECORDS_PER_PARTITION;
        assert!(0 < read && read < all / 2, "{read} of {all} were read");
        drop(opens);
        while append.is_some() && view.latest().ledger.read < all {
            assert!(clock.elapsed() < Duration::from_secs(60), "they do not go on");
            view.newer_than(view.latest().number, Duration::from_millis(100));
        }
        if append.is_some() {
            stop.request();
        }
        running.join().unwrap().unwrap()
    });
    assert!(summary.finished != append.is_some() && summary.ledger.balances(), "{summary:?}");
    kept
}
