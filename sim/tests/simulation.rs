//! The main job in the deterministic simulation.

use std::collections::BTreeSet;
use std::time::Duration;

use strandline_engine::job::JobOptions;
use strandline_engine::table::Table;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::{JsonFields, Metrics};
use strandline_operators::window::Tumbling;
use strandline_sim::oracle::LoggedRecord;
use strandline_sim::simulation::outside::Weakness;
use strandline_sim::simulation::plan::{End, Mode, Places, Plan, Start};
use strandline_sim::simulation::trace::Trace;
use strandline_sim::simulation::{Expectation, Failure, Report, Simulation, main_job};

fn run(seed: u64) -> Report {
    let trace = Trace::default();
    main_job(seed).run(&trace).unwrap_or_else(|failure| {
        panic!(
            "seed {seed}: {failure}\n{}\nstep for step: cargo run --release -p strandline-sim \
             --features simulation --bin simulate -- --seed {seed} -v",
            trace.last(40)
        )
    })
}

#[test]
fn outputs_are_the_oracles_whatever_happens() {
    let mut total = Report::default();
    for seed in 0..150 {
        total.add(&run(seed));
    }
    // No seeds that try nothing.
    assert!(100 < total.crashes && 50 < total.power_losses && 400 < total.checkpoints, "{total}");
}

#[test]
fn a_seed_is_one_run_to_the_last_byte() {
    let mut distinct = BTreeSet::new();
    for seed in 1_000..1_030 {
        let (once, again) = (Trace::default(), Trace::default());
        let report = main_job(seed).run(&once);
        assert_eq!(main_job(seed).run(&again), report);
        assert!(once.text() == again.text(), "seed {seed} ran in two ways");
        distinct.insert(once.text());
    }
    assert_eq!(distinct.len(), 30);
}

/// A plan without chance faults, and with one start that ends so.
fn one_start(seed: u64, end: End, power_lost: bool) -> Plan {
    let mut plan = Plan::calm(seed);
    plan.starts = vec![Start { end, power_lost, ..Start::calm(1, 2) }];
    plan.last_workers = 3;
    plan.checkpoint_every = Duration::from_millis(20);
    plan.roll_every = Duration::from_millis(30);
    plan
}

/// Dies of operation 0, 1, 2, … until it has finished without dying.
#[test]
fn a_crash_at_any_operation_changes_nothing() {
    for (seed, power_lost) in [(1, false), (1, true), (2, true)] {
        for operation in 0.. {
            let plan = one_start(seed, End::DiesOf { operation }, power_lost);
            let trace = Trace::default();
            let report = main_job(seed).run_plan(&plan, &trace).unwrap_or_else(|failure| {
                panic!("seed {seed}, operation {operation}: {failure}\n{}", trace.last(40))
            });
            if report.crashes == 0 && report.errors == 0 {
                assert!(40 < operation, "there were operations to die of");
                break;
            }
        }
    }
}

#[test]
fn a_kill_after_any_move_changes_nothing() {
    for after_moves in (0..600).step_by(3) {
        let plan = one_start(3, End::Killed { after_moves }, false);
        main_job(3).run_plan(&plan, &Trace::default()).unwrap();
    }
}

/// Runs a plan, and fails with the last lines of its trace.
fn run_plan(what: &str, plan: &Plan) -> Report {
    let trace = Trace::default();
    main_job(plan.seed).run_plan(plan, &trace).unwrap_or_else(|failure| {
        panic!("seed {}, {what}: {failure}\n{}", plan.seed, trace.last(40))
    })
}

/// A start is held still before operation 0, 1, 2, … of it, while another one takes its place; then
/// it comes back.
#[test]
fn a_start_that_stood_still_anywhere_harms_no_other() {
    for seed in [1, 5] {
        for operation in 0..70 {
            let mut plan = one_start(seed, End::Held { operation }, false);
            let killed = End::Killed { after_moves: 2_000 };
            plan.starts.push(Start { end: killed, ..Start::calm(1, 2) });
            plan.checkpoint_every = Duration::from_millis(5);
            plan.keep = 1;
            run_plan(&format!("operation {operation}"), &plan);
        }
    }
}

/// One of several processes dies of operation 0, 1, 2, … until it has finished without dying; the
/// others go on until they notice.
#[test]
fn of_several_processes_any_may_die_at_any_operation() {
    for (seed, victim, places) in [(1, 1, Places::Shared), (2, 0, Places::Shared)] {
        for operation in 0.. {
            let mut plan = one_start(seed, End::DiesOf { operation }, false);
            plan.places = places;
            let start = &mut plan.starts[0];
            (start.processes, start.workers, start.victim, start.survivors) = (2, 1, victim, true);
            let report = run_plan(&format!("operation {operation} of process {victim}"), &plan);
            if report.crashes == 0 && report.errors == 0 {
                assert!(20 < operation, "there were operations to die of");
                break;
            }
        }
    }
}

#[test]
fn a_worker_that_waits_for_its_committer_blocks_nobody() {
    for (seed, most) in (0..40).zip([1, 100, 1_000, 10_000].into_iter().cycle()) {
        let mut plan = Plan::calm(seed);
        plan.queue_bytes_max = Some(most);
        plan.last_workers = 1 + (seed % 4) as usize;
        plan.checkpoint_every = Duration::from_millis(10);
        run_plan(&format!("{most} bytes"), &plan);
    }
}

/// With several processes, what was sent counts until its epoch is complete.
#[test]
fn a_bound_of_unmerged_bytes_blocks_nobody_however_many_processes_there_are() {
    for (seed, most) in (0..30).zip([0, 100, 1_000, 10_000].into_iter().cycle()) {
        let mut plan = Plan::calm(seed);
        plan.unmerged_bytes_max = Some(most);
        plan.last_processes = 1 + (seed % 3) as usize;
        plan.last_workers = 1 + (seed % 2) as usize;
        run_plan(&format!("{most} bytes"), &plan);
    }
}

/// Retention passes a reader of one process: that one ends with an error.
#[test]
fn a_process_that_fails_ends_the_others_of_its_job() {
    let mut failed = 0;
    for seed in 0..40 {
        let mut plan = one_start(seed, End::Stopped { after_moves: 1_900 }, false);
        (plan.live, plan.retention) = (true, true);
        (plan.starts[0].processes, plan.starts[0].workers) = (3, 1);
        let trace = Trace::default();
        let report = main_job(seed).run_plan(&plan, &trace).unwrap();
        if trace.text().contains("has failed, and the others hear of it") {
            failed += 1;
            assert!(trace.text().contains("is gone: it ended with an error"), "seed {seed}");
            assert_eq!(report.crashes, 0, "seed {seed}: some had to be ended");
        }
    }
    assert!(0 < failed, "no reader was passed");
}

/// A job that has written some rows and would go on for ever is killed, and started again like this.
/// Gives what is told of it, step for step, too.
fn started_again(seed: u64, mode: Mode) -> (Report, String) {
    let mut plan = one_start(seed, End::Killed { after_moves: 1_500 }, false);
    plan.live = true;
    plan.starts.push(Start { mode, end: End::Stopped { after_moves: 300 }, ..Start::calm(1, 2) });
    let trace = Trace::default();
    let report = main_job(seed)
        .run_plan(&plan, &trace)
        .unwrap_or_else(|failure| panic!("seed {seed}, {mode:?}: {failure}\n{}", trace.last(40)));
    let text = trace.text();
    assert!(
        text.contains(&format!("mode: {mode:?}")),
        "seed {seed}: there was nothing to go on from"
    );
    (report, text)
}

#[test]
fn a_checkpoint_of_a_version_to_come_is_refused_and_nothing_of_it_is_removed() {
    for seed in 0..10 {
        let (report, _) = started_again(seed, Mode::NewerFormat);
        assert_eq!(report.errors, 1, "seed {seed}: it is refused");
    }
}

#[test]
fn a_start_that_is_to_replace_rows_and_is_refused_removes_nothing() {
    for seed in 0..10 {
        let (report, _) = started_again(seed, Mode::Misspelt);
        assert_eq!(report.errors, 1, "seed {seed}: it is refused");
    }
}

#[test]
fn a_checkpoint_of_the_first_format_is_continued() {
    let is_continued = |seed: &u64| {
        let (_, text) = started_again(*seed, Mode::OlderFormat);
        text.contains("is of the first format")
    };
    // Where something was hidden, the checkpoint stays as it is.
    assert_ne!((0..20).filter(is_continued).count(), 0);
}

#[test]
fn a_job_that_begins_anew_leaves_or_removes_the_rows_of_the_one_before() {
    for seed in 0..10 {
        started_again(seed, Mode::Append);
        started_again(seed, Mode::Replace);
    }
}

#[test]
fn data_that_is_gone_is_an_error_and_never_skipped() {
    let mut errors = 0;
    for seed in 0..30 {
        let mut plan = one_start(seed, End::Stopped { after_moves: 1_900 }, false);
        (plan.live, plan.retention) = (true, true);
        errors += run_plan("retention", &plan).errors;
    }
    assert!(0 < errors, "some reader was passed");
}

/// How many of so many seeds fail in a world that does not keep a promise.
fn failures(seeds: u64, weakness: Weakness) -> Vec<Failure> {
    let run = |seed| {
        let mut plan = Plan::of(seed);
        plan.weakness = Some(weakness);
        main_job(seed).run_plan(&plan, &Trace::default()).err()
    };
    (0..seeds).filter_map(run).collect()
}

#[test]
fn a_disk_that_does_not_sync_is_noticed() {
    assert!(!failures(100, Weakness::FilesAreNotSynced).is_empty());
    assert!(!failures(100, Weakness::NamesAreNotSynced).is_empty());
}

#[test]
fn a_store_that_loses_blobs_is_noticed() {
    assert!(!failures(100, Weakness::BlobsAreLost).is_empty());
}

/// Adds up floats, which depends on their order.
#[derive(Clone, Debug)]
struct Careless;

impl Aggregate<Metrics<1>> for Careless {
    type Partial = f64;
    type Output = (Option<f64>,);
    fn lift(&self, message: &Metrics<1>) -> f64 {
        message.get(0).unwrap_or(0.0)
    }
    fn combine(&self, into: &mut f64, other: &f64) {
        *into += other;
    }
    fn lower(&self, partial: &f64) -> (Option<f64>,) {
        (Some(*partial),)
    }
}

#[test]
fn an_aggregate_that_depends_on_the_order_is_noticed() {
    let record = |offset: u64| {
        let amount = 0.1 + offset as f64 * 1e13_f64.powi((offset % 2) as i32);
        let text = format!(r#"{{"shop":"a","at":{},"amount":{amount}}}"#, 50 * offset);
        LoggedRecord { offset, timestamp_ms: None, payload: Some(text.into_bytes()) }
    };
    let simulation = |seed| Simulation {
        seed,
        decoder: JsonFields::new("shop", "at", ["amount"]),
        aggregate: Careless,
        table: Table::new::<(Option<f64>,)>("shop", "shops", &["amount"]),
        options: JobOptions::new(Tumbling::of(Duration::from_secs(1)).unwrap()),
        topic: "sales".to_owned(),
        records: (0..3).map(|_| (0..60).map(record).collect()).collect(),
        expectation: Expectation::Undisturbed,
    };
    let failed = (0..20).filter(|seed| simulation(*seed).run(&Trace::default()).is_err());
    assert!(0 < failed.count());
}
