//! Runs the main job in the deterministic simulation: one seed step for step, or many.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Parser;
use strandline_engine::clock::Clock;
use strandline_sim::simulation::plan::Plan;
use strandline_sim::simulation::trace::Trace;
use strandline_sim::simulation::{Report, main_job};

/// The main job under a seeded scheduler: its processes are crashed anywhere, restarted with
/// another number of workers, and its outputs held against the oracle's.
#[derive(Debug, Parser)]
#[command(name = "simulate", version)]
struct Options {
    /// Run this seed alone. The same seed is the same run, step for step.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Run so many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// With --seed: print the plan and every move, as they happen. With --seeds: print a line for
    /// each.
    #[arg(short, long)]
    verbose: bool,
    /// How many seeds run at the same time. As many as there are cores, unless given.
    #[arg(short, long)]
    jobs: Option<usize>,
    /// Leave nothing out that the simulation knows of, also what the program does not survive yet.
    #[arg(long)]
    wild: bool,
    /// Go on after a seed that fails.
    #[arg(long)]
    keep_going: bool,
}

/// Lines of the trace that are printed of a run that failed.
const LAST_LINES: usize = 30;

fn main() -> ExitCode {
    let options = Options::parse();
    let failed = match options.seed {
        Some(seed) => !one(seed, options.wild, options.verbose),
        None => !many(&options),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one seed; whether all is well.
fn one(seed: u64, wild: bool, verbose: bool) -> bool {
    let trace = if verbose { Trace::aloud() } else { Trace::default() };
    let plan = plan(seed, wild);
    if verbose {
        eprintln!("{plan}");
    }
    match main_job(seed).run_plan(&plan, &trace) {
        Ok(report) => {
            println!("seed {seed}: {report}");
            true
        }
        Err(failure) => {
            if !verbose {
                eprintln!("{}", trace.last(LAST_LINES));
            }
            println!("seed {seed} FAILED: {failure}");
            if !verbose {
                println!("step for step: {}", replay(seed, wild));
            }
            false
        }
    }
}

/// Runs many seeds, several at a time; whether all is well.
fn many(options: &Options) -> bool {
    let end = options.from.saturating_add(options.seeds);
    let jobs = options.jobs.or_else(|| Some(thread::available_parallelism().ok()?.get()));
    let (next, stop) = (AtomicU64::new(options.from), AtomicBool::new(false));
    let total = Mutex::new((0_u64, 0_u64, Report::default()));
    let clock = Clock::system();
    let run = || {
        while !stop.load(Ordering::SeqCst) {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if end <= seed {
                break;
            }
            let result = main_job(seed).run_plan(&plan(seed, options.wild), &Trace::default());
            let (runs, failures, report) =
                &mut *total.lock().unwrap_or_else(PoisonError::into_inner);
            *runs += 1;
            match result {
                Ok(one) => {
                    report.add(&one);
                    if options.verbose {
                        println!("seed {seed}: {one}");
                    }
                }
                Err(failure) => {
                    *failures += 1;
                    println!("seed {seed} FAILED: {failure}");
                    println!("step for step: {}", replay(seed, options.wild));
                    stop.store(!options.keep_going, Ordering::SeqCst);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.unwrap_or(1).max(1) {
            scope.spawn(run);
        }
    });
    let (runs, failures, report) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = clock.elapsed().as_secs_f64();
    println!("{runs} seeds, {failures} failed, {seconds:.1} s; all together: {report}");
    failures == 0
}

fn plan(seed: u64, wild: bool) -> Plan {
    if wild { Plan::wild(seed) } else { Plan::of(seed) }
}

fn replay(seed: u64, wild: bool) -> String {
    let wild = if wild { " --wild" } else { "" };
    format!(
        "cargo run --profile checked -p strandline-sim --features simulation --bin simulate -- --seed {seed}{wild} -v"
    )
}
