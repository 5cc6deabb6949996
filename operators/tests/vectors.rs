//! Known cases of another engine: windows and watermarks. See `vectors/README.md`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use serde_json::Value;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::record::{Events, Offset, Partition};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::watermark::{Activity, PartitionWatermark, Watermarks};
use strandline_operators::window::{Tumbling, WindowAggregate, WindowInputs};
use timely::container::NoopBuilder;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::core::UnorderedInput;

/// Sums.
#[derive(Clone)]
struct Sum;

impl Aggregate<i64> for Sum {
    type Partial = i64;
    type Output = i64;
    fn lift(&self, value: &i64) -> i64 {
        *value
    }
    fn combine(&self, into: &mut i64, other: &i64) {
        *into += other;
    }
    fn lower(&self, partial: &i64) -> i64 {
        *partial
    }
}

/// Runs the steps of a case and gives its rows in the order in which they came out.
fn run_window_case(case: &Value) -> Vec<(String, i64, i64, i64)> {
    let case = case.clone();
    let rows = timely::execute_directly(move |worker| {
        let size = Duration::from_millis(case["size"].as_u64().unwrap());
        let windows = Tumbling::of(size).unwrap();
        let (mut input, mut capability, rows) = worker.dataflow::<Time, _, _>(|scope| {
            let ((input, capability), events) =
                scope.new_unordered_input::<NoopBuilder<Events<i64>>>();
            let (sender, rows) = std::sync::mpsc::channel();
            let finals = events.window(windows, Sum, WindowInputs::none(scope)).finals;
            finals.inspect(move |row| sender.send(row.clone()).unwrap());
            (input, capability, rows)
        });
        let mut watermark = EventTime::MIN;
        for (offset, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            match step[0].as_str().unwrap() {
                "e" => {
                    let time = EventTime::from_millis(step[3].as_i64().unwrap());
                    if !windows.is_late(time, watermark) {
                        let mut batch = Events::default();
                        let (key, value) = (step[1].as_str().unwrap(), step[2].as_i64().unwrap());
                        batch.push(key, time, Partition(0), Offset(offset as u64), value);
                        let mut output = input.activate();
                        output.session_with_builder(&capability).give_container(&mut batch);
                    }
                }
                "w" => {
                    watermark = EventTime::from_millis(step[1].as_i64().unwrap() + 1);
                    capability.downgrade(&Time::new(0, watermark));
                }
                _ => {}
            }
            for _ in 0..10 {
                worker.step();
            }
        }
        drop(capability);
        rows
    });
    rows.iter()
        .map(|row| {
            let (start, end) = (row.window.start.as_millis(), row.window.end.as_millis());
            (row.key.to_string(), row.output, start, end)
        })
        .collect()
}

#[test]
fn tumbling_windows_close_as_in_the_known_cases() {
    let cases: Value = serde_json::from_str(include_str!("vectors/windows.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let mut expected: Vec<(String, i64, i64, i64)> =
            serde_json::from_value(case["expect"].clone()).unwrap();
        let mut rows = run_window_case(case);
        let ends: Vec<i64> = rows.iter().map(|row| row.3).collect();
        assert!(ends.is_sorted(), "windows close in the order of their ends");
        expected.sort();
        rows.sort();
        assert_eq!(rows, expected, "{}", case["name"]);
    }
    assert_eq!(cases.as_array().unwrap().len(), 2);
}

#[test]
fn watermarks_combine_as_in_the_known_cases() {
    let cases: Value = serde_json::from_str(include_str!("vectors/watermarks.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let mut watermarks = Watermarks::default();
        let mut combined = None;
        for step in case["steps"].as_array().unwrap() {
            let name = step[0].as_str().unwrap();
            let partition = Partition(name[1..].parse().unwrap());
            let known = watermarks.get(partition).copied();
            let mut watermark =
                known.unwrap_or(PartitionWatermark::new(Duration::ZERO, EventTime::MIN));
            let activity = match step[1].as_i64() {
                None => Activity::Idle,
                Some(millis) => {
                    watermark.observe(EventTime::from_millis(millis));
                    Activity::Active
                }
            };
            watermarks.set(partition, watermark, activity);
            // An epoch turns after every step: that is where idle partitions are lifted.
            if let Some(floor) = watermarks.floor() {
                watermarks.lift_idle(floor);
            }
            let now = watermarks.minimum();
            assert!(combined <= now, "{}: a watermark never falls", case["name"]);
            combined = now;
        }
        let combined = combined.map(EventTime::as_millis);
        assert_eq!(combined, case["wm"].as_i64(), "{}", case["name"]);
    }
    assert_eq!(cases.as_array().unwrap().len(), 6);
}
