//! Options that say never, and always: nothing overflows.

use std::sync::mpsc::channel;
use std::time::Duration;

use strandline_engine::job::{JobOptions, Stop};
use strandline_engine::source::simulated::SimulatedLog;
use strandline_operators::record::Partition;
use strandline_operators::time::EventTime;
use strandline_operators::window::Tumbling;

use crate::toy::{Kept, new_view, run, text};

/// Of options that a program's command line does not take, but a program may.
#[test]
fn durations_without_an_end_and_of_nothing_end_a_bounded_job() {
    for duration in [Duration::MAX, Duration::from_millis(u64::MAX), Duration::ZERO] {
        let log = SimulatedLog::new("toy", 2);
        for time in [i64::MIN, -1, 0, 1_730_638_570_000, i64::MAX] {
            text(&log, 0, &format!("a {time}"));
            for logged in [EventTime::MIN, EventTime::from_millis(0), EventTime::MAX] {
                let payload = format!("b {time}").into_bytes();
                log.append(Partition(1), Some(logged), Some(payload));
            }
        }
        let options = JobOptions {
            watermark: duration,
            max_future: duration,
            max_past: Some(duration),
            idle_after: duration,
            max_drift: duration,
            epoch_every: duration,
            publish_every: duration,
            discover_every: duration,
            ..JobOptions::new(Tumbling::of(Duration::from_millis(1)).unwrap())
        };
        // A job that does not end would hang the test.
        let (ended, end) = channel();
        std::thread::spawn(move || {
            let (kept, view, stop) = (Kept::default(), new_view(), Stop::default());
            drop(ended.send(run(log.bounded(), 2, options, &kept, &view, &stop)));
        });
        let summary = end.recv_timeout(Duration::from_secs(30)).expect("it ends").unwrap();
        assert!(summary.finished && summary.ledger.balances(), "{duration:?}: {summary:?}");
    }
}
