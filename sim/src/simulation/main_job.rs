//! The main job in the simulation: devices that measure rooms, against the oracle.

use std::sync::Arc;
use std::time::Duration;

use strandline_engine::job::JobOptions;
use strandline_engine::table::Table;
use strandline_operators::aggregate::{Average, Count, Max, Min};
use strandline_operators::decode::{JsonFields, Metrics};
use strandline_operators::window::Tumbling;

use super::{Expectation, Simulation};
use crate::judge::{Found, MAIN_JOB};
use crate::log::{LogOptions, simulated_log};
use crate::oracle::{OracleOptions, outcome, outcome_where};
use crate::random::SplitMix64;

/// A row of the main job.
pub type MainRow = (u64, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// Reads a metric of a message.
type Metric = fn(&Metrics<3>) -> Option<f64>;

/// What the main job computes in a window.
pub type MainAggregate = (Count, Average<Metric>, Average<Metric>, Min<Metric>, Max<Metric>);

/// The main job over a small topic, both drawn from `seed`.
///
/// # Panics
///
/// Never: the drawn options make a fleet.
pub fn main_job(seed: u64) -> Simulation<JsonFields<3>, MainAggregate> {
    let random = &mut SplitMix64::stream(seed, 0x6d61_696e_0000_0000);
    let partitions = 1 + random.below(5) as u32;
    let messages = 30 + random.below(270);
    let window = Duration::from_secs([1, 2, 5, 10][random.below(4) as usize]);
    let watermark = window.mul_f64(random.unit() * 2.0);
    let span = window * (3 + random.below(15) as u32);
    let mut log = LogOptions {
        empty_partitions: random.below(2) as u32,
        moves_every: 1 + random.below(30),
        gap_share: 0.05,
        ..LogOptions::default()
    };
    let devices = 1 + random.below(8) as usize;
    let fleet = &mut log.fleet;
    fleet.devices = devices;
    fleet.skewed_devices = random.below(2) as usize;
    fleet.skew = 4.0;
    let rates = devices as f64 + 3.0 * fleet.skewed_devices as f64;
    fleet.rate_per_device_hz = messages as f64 / span.as_secs_f64() / rates;
    fleet.disorder = watermark.mul_f64(random.unit() * 1.2);
    fleet.late_by = watermark + window;
    fleet.late_share = 0.03;
    log.moving_devices = 1;

    let oracle = OracleOptions { window, watermark, ..OracleOptions::default() };
    let records = simulated_log(seed, partitions, messages, &log).expect("drawn within its bounds");
    let expected = outcome(&records, &oracle);
    let windows = Tumbling::of(window).expect("at least a second");
    let names: Vec<&str> = MAIN_JOB.iter().map(|(name, _)| *name).collect();
    let topic = records.clone();
    let judge = move |found: &Found, exact: bool| {
        if exact {
            return found.compare(&outcome(&topic, &oracle), &MAIN_JOB);
        }
        // Which records are late is not the log's alone to say, but all else follows from it.
        let mut missing = None;
        let expected = outcome_where(&topic, &oracle, |place, is_late| {
            let key = (place.0.cast_signed(), place.1.cast_signed());
            let found_late = found.late.contains_key(&key);
            if is_late && !found_late {
                missing = Some(place);
            }
            found_late
        });
        match missing {
            Some(place) => Err(format!("{place:?} is late, and not in the late output")),
            None => found.compare(&expected, &MAIN_JOB),
        }
    };
    Simulation {
        seed,
        decoder: JsonFields::new("device_id", "ts", ["temperature", "humidity", "battery"]),
        aggregate: (
            Count,
            Average(|message| message.get(0)),
            Average(|message| message.get(1)),
            Min(|message| message.get(2)),
            Max(|message| message.get(2)),
        ),
        table: Table::new::<MainRow>("device_id", "devices", &names),
        options: JobOptions { watermark, ..JobOptions::new(windows) },
        topic: "iot-metrics".to_owned(),
        records,
        expectation: Expectation::Oracle { expected: Box::new(expected), judge: Arc::new(judge) },
    }
}
