#![doc = include_str!("README.md")]

pub mod machine;
pub mod results;
pub mod spread;
pub mod state;
pub mod workload;

use std::sync::Arc;
use std::time::Duration;

use strandline::engine::checkpoint::Checkpoints;
use strandline::engine::clock::Clock;
use strandline::engine::job::{Job, JobOptions, Stop, Summary};
use strandline::engine::outputs::{OpenOutputs, Output, Outputs, Trouble, Visibility};
use strandline::engine::source::Source;
use strandline::engine::source::simulated::SimulatedLog;
use strandline::engine::table::Table;
use strandline::engine::view::{Snapshot, View};
use strandline::operators::aggregate::{Aggregate, Average, Count, Max, Min};
use strandline::operators::decode::{JsonFields, Metrics};
use strandline::operators::record::Partition;
use strandline::operators::time::EventTime;
use strandline::operators::window::Tumbling;
use strandline::sim::fleet::{Fleet, FleetOptions};

/// A final row of the main job: count, average temperature and humidity, battery range.
pub type MainRow = (u64, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// The main job's decoder.
pub fn decoder() -> JsonFields<3> {
    JsonFields::new("device_id", "ts", ["temperature", "humidity", "battery"])
}

/// A fleet of well-behaved devices with a disorder of 2 s, sending a thousand messages a second
/// altogether.
pub fn fleet(devices: usize) -> Fleet {
    fleet_with(devices, false)
}

/// The same fleet, but each message has its fields in another order, and white space.
pub fn fleet_of_many_makes(devices: usize) -> Fleet {
    fleet_with(devices, true)
}

fn fleet_with(devices: usize, vary_layout: bool) -> Fleet {
    let options = FleetOptions {
        devices,
        rate_per_device_hz: 4_000.0 / devices as f64,
        late_share: 0.0,
        malformed_share: 0.0,
        vary_layout,
        ..FleetOptions::default()
    };
    Fleet::new(options, EventTime::from_millis(1_730_638_574_123)).expect("a fleet of devices")
}

/// So many messages of a fleet in memory, each device in one of `partitions`.
pub fn topic(devices: usize, partitions: u32, messages: u64) -> SimulatedLog {
    let log = SimulatedLog::new("iot-metrics", partitions).bounded();
    let mut fleet = fleet(devices);
    for _ in 0..messages {
        let Some(sent) = fleet.send() else { break };
        let partition = u32::try_from(sent.device).unwrap_or(0) % partitions;
        let payload = sent.payload.map(<[u8]>::to_vec);
        log.append(Partition(partition), Some(sent.event_time), payload);
    }
    log
}

/// Takes rows and forgets them.
#[derive(Copy, Clone, Debug)]
pub struct Nowhere;

impl<R> Output<R> for Nowhere {
    fn write(&mut self, _: &[R]) -> Result<(), Trouble> {
        Ok(())
    }
}

impl<O: 'static> Outputs<O> for Nowhere {
    fn open(&self, _process: usize, _visibility: Visibility) -> OpenOutputs<O> {
        OpenOutputs { final_rows: Box::new(Nowhere), rejected: Box::new(Nowhere) }
    }
}

/// The names of the main job's results.
pub fn main_table() -> Table {
    let names = ["count", "avg_temperature", "avg_humidity", "min_battery", "max_battery"];
    Table::new::<MainRow>("device_id", "devices", &names)
}

type Metric = fn(&Metrics<3>) -> Option<f64>;

/// A partial result of the main job.
pub type MainPartial =
    <(Count, Average<Metric>, Average<Metric>, Min<Metric>, Max<Metric>) as Aggregate<
        Metrics<3>,
    >>::Partial;

/// What the main job computes.
pub fn main_aggregate()
-> impl Aggregate<Metrics<3>, Partial = MainPartial, Output = MainRow> + Copy + Send + Sync {
    let metric = |index| move |message: &Metrics<3>| message.get(index);
    (Count, Average(metric(0)), Average(metric(1)), Min(metric(2)), Max(metric(2)))
}

/// Runs the main job over a bounded source, without outputs and without checkpoints.
///
/// # Panics
///
/// If the job fails.
pub fn run_main_job<S: Source>(source: S, workers: usize) -> Summary {
    let options = JobOptions::new(Tumbling::of(Duration::from_secs(10)).expect("whole seconds"));
    let view = main_view();
    run_main_job_with(source, workers, options, Nowhere, None, &view, &Stop::default())
}

/// A view that shows nothing yet.
pub fn main_view() -> View {
    View::new(Snapshot::empty("iot-metrics", Arc::new(main_table()), EventTime::from_millis(0)))
}

/// Runs the main job.
///
/// # Panics
///
/// If the job fails.
pub fn run_main_job_with<S: Source, W: Outputs<MainRow>>(
    source: S,
    workers: usize,
    options: JobOptions,
    outputs: W,
    checkpoints: Option<Checkpoints>,
    view: &View,
    stop: &Stop,
) -> Summary {
    Job::new(source, decoder(), main_aggregate(), Arc::new(main_table()), outputs, options)
        .with_checkpoints(checkpoints)
        .run(timely::Config::process(workers), &Clock::system(), view, stop)
        .expect("a job")
}
