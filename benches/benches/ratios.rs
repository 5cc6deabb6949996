//! What the whole job from memory costs, as ratios of runs that take turns: two workers beside one,
//! and a million keys beside a thousand. A machine that does other things too is faster in one
//! minute than in the next by more than these ratios are of interest to, so each is taken from runs
//! that follow each other at once.
//!
//! Where `STRANDLINE_RESULTS` names a folder, and the bench is not only tried, `ratios.json` there holds
//! the figures, and `ratios.md` a table of them.

#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;
use strandline::engine::source::simulated::SimulatedLog;
use strandline_benches::machine::Machine;
use strandline_benches::workload::{Spread, Workload, is_measured, scaled};
use strandline_benches::{results, run_main_job};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WORKERS_ROUNDS: usize = 21;
const KEYS_ROUNDS: usize = 7;

/// What the bench came to.
#[derive(Serialize)]
struct Document {
    bench: &'static str,
    machine: Machine,
    ratios: Vec<Ratio>,
}

#[derive(Serialize)]
struct Ratio {
    of: &'static str,
    /// Nanoseconds a record, of wall time: what is compared, and what it is compared with.
    rounds_ns: Vec<(f64, f64)>,
    /// Of the ratios of rounds: the lower quartile, the median, the upper one.
    quartiles: [f64; 3],
}

impl Ratio {
    fn new(of: &'static str, rounds_ns: Vec<(f64, f64)>) -> Ratio {
        let mut ratios: Vec<f64> = rounds_ns.iter().map(|(ns, of_ns)| ns / of_ns).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let quartiles = [1, 2, 3].map(|quarter| ratios[(ratios.len() - 1) * quarter / 4]);
        Ratio { of, rounds_ns, quartiles }
    }
}

/// A log in memory, and how many records it has.
struct Input(SimulatedLog, u64);

impl Input {
    fn new(keys: u64, records: u64) -> Input {
        let (keys, records) = (scaled(keys), scaled(records));
        let workload = Workload { keys, spread: Spread::Uniform, records, windows: 2 };
        Input(workload.log(4), records)
    }

    /// Nanoseconds a record, from the job's start to its end.
    fn ns_a_record(&self, workers: usize) -> f64 {
        let log = self.0.clone();
        let before = Instant::now();
        assert_eq!(run_main_job(log, workers).ledger.windowed, self.1);
        before.elapsed().as_nanos() as f64 / self.1 as f64
    }
}

fn main() {
    let rounds = |rounds| if is_measured() { rounds } else { 1 };
    let thousand = Input::new(1_000, 4_000_000);
    let workers = (0..rounds(WORKERS_ROUNDS))
        .map(|_| (thousand.ns_a_record(1), thousand.ns_a_record(2)))
        .collect();
    // Ten records of a key in each of two windows.
    let million = Input::new(1_000_000, 20_000_000);
    let keys = (0..rounds(KEYS_ROUNDS))
        .map(|_| {
            // The long run lies between two short ones, and so does its moment.
            let before = thousand.ns_a_record(1);
            let many = million.ns_a_record(1);
            (many, f64::midpoint(before, thousand.ns_a_record(1)))
        })
        .collect();
    let document = Document {
        bench: "ratios",
        machine: Machine::this(),
        ratios: vec![
            Ratio::new("the rate of two workers to that of one, 1000 keys", workers),
            Ratio::new("the time a record of 1 000 000 keys to that of 1000, one worker", keys),
        ],
    };
    results::write("ratios", &document, &document.table());
}

impl Document {
    fn table(&self) -> String {
        let mut text = format!(
            "The whole job from memory, from start to end; runs in turn, ratios taken round by round. \
             {}\n\n| ratio | median | quartiles | rounds |\n|---|---|---|---|\n",
            self.machine.text("")
        );
        for Ratio { of, rounds_ns, quartiles: [lower, median, upper] } in &self.ratios {
            let rounds = rounds_ns.len();
            writeln!(text, "| {of} | {median:.2} | {lower:.2}–{upper:.2} | {rounds} |")
                .expect("text takes everything");
        }
        text
    }
}
