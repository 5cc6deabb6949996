//! A stream of which nothing can be read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::condition::ConditionKind;
use strandline_engine::job::{Job, Stop};
use strandline_engine::report::Report;
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::table::Table;
use strandline_engine::view::Snapshot;
use strandline_operators::time::EventTime;

use crate::toy::{Count, Kept, Words, new_view, options, text};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_job_says_why_nothing_can_be_read_until_something_can() {
    let log = SimulatedLog::new("toy", 2);
    for _ in 0..3 {
        text(&log, 1, "no time");
    }
    let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
    let (view, stop, said) = (new_view(), Stop::default(), Arc::new(Mutex::new(Vec::new())));
    let hears = Arc::clone(&said);
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let job = Job::new(log.clone(), Words, Count, table, Kept::default(), options())
        .with_report(Report::new(move |line| hears.lock().unwrap().push(line.to_owned())));
    let limit = Clock::system();
    let until = |is_so: &dyn Fn(&Snapshot) -> bool| {
        let mut snapshot = view.latest();
        while !is_so(&snapshot) {
            if limit.elapsed() >= LIMIT {
                println!("it waits in vain: {snapshot:#?}");
                // The job would go on, and be waited for.
                std::process::exit(1);
            }
            hand.advance(Duration::from_millis(100));
            snapshot = view.newer_than(snapshot.number, Duration::from_millis(5));
        }
        snapshot
    };
    let nothing = ConditionKind::NothingCanBeRead;
    let (unreadable, readable) = std::thread::scope(|scope| {
        let running = scope.spawn(|| job.run(timely::Config::process(2), &clock, &view, &stop));
        let unreadable = until(&|shown| shown.conditions.holds(nothing));
        text(&log, 0, "a 1000");
        let readable = until(&|shown| !shown.conditions.holds(nothing));
        stop.request();
        running.join().unwrap().unwrap();
        (unreadable.conditions.clone(), readable.conditions.clone())
    });
    assert!(!unreadable.is_ready() && readable.is_ready(), "{unreadable:?} {readable:?}");
    assert!(!unreadable.holds(ConditionKind::AllIdle), "{unreadable:?}");
    let headline = unreadable.headline();
    assert_eq!(headline.kind, nothing);
    let place = "3 records came, and all are dead letters: bad_time (the time is not";
    assert!(headline.detail.starts_with(place), "{headline}");
    assert!(headline.detail.contains("the first of partition 1 is at offset 0"), "{headline}");
    let said = said.lock().unwrap();
    let [first, trouble, over] = &**said else { panic!("{said:?}") };
    assert!(first.starts_with("the record of partition 1 at offset"), "{first}");
    assert!(trouble.starts_with("nothing can be read since 1970-01-01"), "{trouble}");
    assert!(over.starts_with("records can be read again, after "), "{over}");
}
