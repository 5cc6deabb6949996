//! A job of two processes, in each of which something is wrong for a while: both show both.

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::condition::ConditionKind;
use strandline_engine::job::{Job, Stop};
use strandline_engine::report::Report;
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::table::Table;
use strandline_engine::view::{Snapshot, View};

use crate::own_program::{Said, config, hook, start};
use crate::toy::{Count, Kept, Words, new_view, options, text};

const LIMIT: Duration = Duration::from_secs(20);

/// Waits for a snapshot.
fn until(view: &View, is_so: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let clock = Clock::system();
    let mut snapshot = view.latest();
    while !is_so(&snapshot) {
        if clock.elapsed() >= LIMIT {
            println!("it waits in vain: {:?}", snapshot.conditions);
            // The job would go on, and be waited for.
            std::process::exit(1);
        }
        snapshot = view.newer_than(snapshot.number, Duration::from_millis(100));
    }
    snapshot
}

#[test]
#[ignore = "one process of the test below"]
fn a_process() {
    let (process, config) = config();
    hook();
    let log = SimulatedLog::new("toy", 2);
    for partition in [0, 1] {
        text(&log, partition, "a 1000");
    }
    let (clock, view, stop) = (Clock::system(), new_view(), Stop::default());
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let job = Job::new(log, Words, Count, table, Kept::default(), options())
        .with_report(Report::silent());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| job.run(config, &clock, &view, &stop));
        let kind = [ConditionKind::OutputWaits, ConditionKind::WaitingForKafka][process];
        view.telemetry().raise(kind, "it", &format!("by process {process}"), clock.wall());
        let shown = until(&view, |shown| {
            shown.conditions.holds(ConditionKind::OutputWaits)
                && shown.conditions.holds(ConditionKind::WaitingForKafka)
        });
        let troubles = shown.conditions.all().iter().filter(|one| one.kind.is_trouble());
        troubles.for_each(|trouble| println!("shows: {}", trouble.to_string().replace('\n', " ")));
        println!("seen");
        // Until the other one has seen it too.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        view.telemetry().clear(kind, "it");
        until(&view, |shown| !shown.conditions.all().iter().any(|one| one.kind.is_trouble()));
        stop.request();
        running.join().unwrap().unwrap();
    });
    println!("ended");
}

#[test]
fn what_is_wrong_in_any_process_is_shown_by_all_in_the_same_words_until_it_is_over() {
    let children = start("conditions::a_process", 2, |_, command| {
        command.stdin(Stdio::piped());
    });
    let mut processes: Vec<Said> = children.into_iter().map(Said::by).collect();
    let mut said = Vec::new();
    for process in &processes {
        let shown = process.until("seen", 2 * LIMIT).into_iter();
        said.push(shown.filter(|line| line.starts_with("shows: ")).collect::<Vec<_>>());
    }
    processes.iter_mut().for_each(Said::release);
    for process in &mut processes {
        process.until("ended", 2 * LIMIT);
        assert!(process.ended_well());
    }
    assert_eq!(said[0], said[1]);
    let [kafka, output] = &*said[0] else { panic!("{said:?}") };
    assert!(kafka.starts_with("shows: waiting for Kafka since "), "{kafka}");
    assert!(kafka.ends_with(" UTC, process 1: by process 1"), "{kafka}");
    assert!(output.starts_with("shows: output waits since "), "{output}");
    assert!(output.ends_with(" UTC: by process 0"), "{output}");
}
