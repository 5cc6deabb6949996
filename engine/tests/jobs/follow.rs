//! Following final rows: they are pushed when they are final, and not when a view is due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::job::{Job, JobError, JobOptions, Stop, Summary};
use strandline_engine::source::simulated::SimulatedLog;
use strandline_engine::table::{Cell, Table};
use strandline_engine::view::{FinalRow, Follower, Heard, View};
use strandline_operators::time::EventTime;

use crate::live::Broken;
use crate::toy::{Count, Kept, Words, new_view, options, text};

/// How long a piece of news may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

type Ended = Result<Summary, JobError>;

/// A job on a clock that stands still: nothing but its beginning is ever due.
fn start(
    log: &SimulatedLog,
    kept: &Kept,
    view: &View,
    stop: &Stop,
) -> std::thread::JoinHandle<Ended> {
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let hour = Duration::from_secs(3600);
    let options = JobOptions { publish_every: hour, epoch_every: hour, ..options() };
    let job = Job::new(log.clone(), Words, Count, table, kept.clone(), options);
    let (view, stop) = (view.clone(), stop.clone());
    std::thread::spawn(move || {
        let (clock, _hand) = Clock::set_by_hand(EventTime::from_millis(0));
        job.run(timely::Config::process(2), &clock, &view, &stop)
    })
}

/// The rows that are heard until those of all windows up to `before` are there.
fn rows_until(follower: &mut Follower, before: i64) -> BTreeSet<(String, i64, i64)> {
    let mut seen = BTreeSet::new();
    loop {
        match follower.next(LIMIT) {
            Heard::Rows(rows) => {
                for FinalRow { window, row } in rows.iter() {
                    let [Cell::Int(count)] = *row.cells else { panic!("{row:?}") };
                    let new = seen.insert((row.key.to_string(), window.start.as_millis(), count));
                    assert!(new, "{row:?} twice");
                }
            }
            Heard::Complete(time) if EventTime::from_millis(before) <= time => return seen,
            Heard::Complete(_) => {}
            other => panic!("{other:?} after {seen:?}"),
        }
    }
}

#[test]
fn final_rows_are_pushed_at_once_however_rarely_a_view_is_published() {
    let log = SimulatedLog::new("toy", 2);
    let (kept, view, stop) = (Kept::default(), new_view(), Stop::default());
    let mut follower = view.follow();
    let running = start(&log, &kept, &view, &stop);
    for key in ["a", "b", "c"] {
        text(&log, 0, &format!("{key} 1000"));
        text(&log, 1, &format!("{key} 2000"));
    }
    text(&log, 0, "a 15000");
    assert_eq!(follower.next(Duration::from_millis(50)), Heard::Nothing, "partition 1 is behind");
    text(&log, 1, "a 15000"); // now both have passed the first window
    let of = |key: &str, start, count| (key.to_owned(), start, count);
    assert_eq!(
        rows_until(&mut follower, 10_000),
        [of("a", 0, 2), of("b", 0, 2), of("c", 0, 2)].into()
    );
    text(&log, 0, "b 25000");
    text(&log, 1, "b 25000");
    assert_eq!(rows_until(&mut follower, 20_000), [of("a", 10_000, 2)].into());
    assert_eq!(view.latest().final_rows, 0, "no view has been published since");
    stop.request();
    // The worker sleeps for its hour; a record wakes it.
    text(&log, 0, "b 25001");
    running.join().unwrap().unwrap();
    assert_eq!(follower.next(LIMIT), Heard::Ended);
}

#[test]
fn what_is_followed_is_what_the_outputs_are_given() {
    let log = SimulatedLog::new("toy", 3).bounded();
    for i in 0..6_000 {
        text(&log, i % 3, &format!("key-{} {}", i % 41, i * 17));
    }
    let (kept, view, stop) = (Kept::default(), new_view(), Stop::default());
    let mut follower = view.follow();
    let running = start(&log, &kept, &view, &stop);
    let followed = rows_until(&mut follower, i64::MAX);
    assert_eq!(follower.next(LIMIT), Heard::Ended);
    running.join().unwrap().unwrap();
    let written = kept.plain_rows().into_iter();
    let written: BTreeSet<_> = written.map(|(key, start, n, _)| (key, start, n as i64)).collect();
    assert_eq!(followed, written);
    assert!(400 < followed.len());
}

#[test]
fn a_follower_hears_the_end_of_a_job_that_fails() {
    let log = SimulatedLog::new("toy", 1);
    for time in [1_000, 50_000] {
        text(&log, 0, &format!("a {time}"));
    }
    let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
    let job = Job::new(log, Words, Count, table, Broken, options());
    let view = new_view();
    let mut follower = view.follow();
    job.run(timely::Config::process(1), &Clock::system(), &view, &Stop::default()).unwrap_err();
    let mut news = std::iter::from_fn(|| Some(follower.next(LIMIT)));
    assert_eq!(
        news.find(|news| !matches!(news, Heard::Rows(_) | Heard::Complete(_))),
        Some(Heard::Ended)
    );
}
