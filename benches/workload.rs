//! Records for benches: so many keys, evenly used or not, in memory, the same in every run.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline::engine::source::simulated::SimulatedLog;
use strandline::operators::decode::{Decode, Decoded, Metrics};
use strandline::operators::record::{Events, Offset, Partition};
use strandline::operators::time::{EventTime, Time};
use strandline::operators::window::{Tumbling, WindowAggregate, WindowInputs};
use strandline::sim::random::SplitMix64;
use timely::container::NoopBuilder;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::core::{Probe, UnorderedInput};

use crate::{decoder, main_aggregate};

/// The numbers of keys that are measured.
pub const KEYS: [u64; 3] = [10, 1_000, 1_000_000];
/// Records in a batch of events, as a source gives them.
pub const BATCH_RECORDS: usize = 1_024;
/// The main job's windows.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How far event times lie from their order.
const DISORDER_MS: u64 = 2_000;
/// Event time begins at the start of a window.
const BEGIN_MS: i64 = 1_730_638_570_000;

/// Whether a bench is measured; otherwise it is only tried, as `cargo test` does.
pub fn is_measured() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// So many where a bench is measured, few where it is only tried.
pub fn scaled(records: u64) -> u64 {
    if is_measured() { records } else { records.min(10_000) }
}

/// How keys are used.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All alike.
    Uniform,
    /// By Zipf's law with exponent 1: a key is used in inverse proportion to its rank.
    Zipf,
}

impl Spread {
    /// Both.
    pub const ALL: [Spread; 2] = [Spread::Uniform, Spread::Zipf];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Spread::Uniform => "uniform",
            Spread::Zipf => "Zipf",
        }
    }

    /// A key below `keys`.
    fn draw(self, keys: u64, random: &mut SplitMix64) -> u64 {
        match self {
            Spread::Uniform => random.below(keys),
            // The inverse of the distribution function, log(rank + 1) / log(keys + 1).
            Spread::Zipf => {
                let rank = ((keys + 1) as f64).powf(random.unit()) as u64;
                (rank - 1).min(keys - 1)
            }
        }
    }
}

/// What is to be made.
#[derive(Copy, Clone, Debug)]
pub struct Workload {
    /// How many keys there are.
    pub keys: u64,
    /// How they are used.
    pub spread: Spread,
    /// How many records there are.
    pub records: u64,
    /// How many windows they fill.
    pub windows: u64,
}

/// A record of a workload.
struct Drawn {
    key: u64,
    time: EventTime,
    number: u64,
}

impl Workload {
    /// What this is, for the name of a bench.
    pub fn name(&self) -> String {
        format!("{} keys, {}", self.keys, self.spread.name())
    }

    fn draw(self) -> impl Iterator<Item = Drawn> {
        let mut random = SplitMix64::new(self.keys);
        let span_ms = self.windows * WINDOW.as_millis() as u64;
        (0..self.records).map(move |number| {
            let key = self.spread.draw(self.keys, &mut random);
            let disorder_ms = random.below(DISORDER_MS.min(span_ms / 4)) as i64;
            let at_ms = BEGIN_MS + (number * span_ms / self.records) as i64 - disorder_ms;
            Drawn { key, time: EventTime::from_millis(at_ms.max(BEGIN_MS)), number }
        })
    }

    /// As a log of messages; a key has one partition.
    pub fn log(self, partitions: u32) -> SimulatedLog {
        let log = SimulatedLog::new("bench", partitions).bounded();
        for drawn in self.draw() {
            let mut payload = Vec::with_capacity(132);
            message(&mut payload, &drawn);
            let partition = Partition((drawn.key % u64::from(partitions)) as u32);
            log.append(partition, Some(drawn.time), Some(payload));
        }
        log
    }

    /// As messages' bytes.
    pub fn payloads(self) -> Vec<Vec<u8>> {
        let payload = |drawn: Drawn| {
            let mut payload = Vec::new();
            message(&mut payload, &drawn);
            payload
        };
        self.draw().map(payload).collect()
    }

    /// As batches of decoded events, of which a key has one partition of four.
    pub fn batches(self) -> Vec<Events<Metrics<3>>> {
        let (mut decoder, mut payload) = (decoder(), Vec::new());
        let mut batches = vec![Events::default()];
        for drawn in self.draw() {
            payload.clear();
            message(&mut payload, &drawn);
            let Ok(Decoded { key, time, value }) = decoder.decode(&payload) else { continue };
            if batches.last().is_some_and(|batch| batch.len() == BATCH_RECORDS) {
                batches.push(Events::default());
            }
            let partition = Partition((drawn.key % 4) as u32);
            if let Some(batch) = batches.last_mut() {
                batch.push(key.as_str(), time, partition, Offset(drawn.number), value);
            }
        }
        batches
    }
}

/// Writes a message of the main job.
fn message(payload: &mut Vec<u8>, drawn: &Drawn) {
    let Drawn { key, time, number } = drawn;
    write!(
        payload,
        r#"{{"device_id":"device-{key:06x}","ts":{},"temperature":2{}.7,"humidity":5{}.3,"battery":8{}.5,"status":"ok","location":"lab"}}"#,
        time.as_millis(),
        number % 10,
        number % 7,
        number % 9,
    )
    .expect("memory takes everything");
}

/// The main job's windows.
///
/// # Panics
///
/// Never.
pub fn windows() -> Tumbling {
    Tumbling::of(WINDOW).expect("whole milliseconds")
}

/// Runs events through the main job's windows, fold, exchange, merge and close: the batches of each
/// worker, as many workers as there are. `dry`: the source runs dry after every batch, so that
/// what was folded is sent on. Gives the number of rows.
///
/// # Panics
///
/// If a worker does.
pub fn run_windows(of_workers: Vec<Vec<Events<Metrics<3>>>>, dry: bool) -> u64 {
    let workers = of_workers.len();
    let of_workers: Arc<Vec<_>> = Arc::new(of_workers.into_iter().map(Mutex::new).collect());
    let rows = timely::execute(timely::Config::process(workers), move |worker| {
        let batches = std::mem::take(
            &mut *of_workers[worker.index()].lock().unwrap_or_else(PoisonError::into_inner),
        );
        let rows = std::rc::Rc::new(std::cell::Cell::new(0_u64));
        let counted = std::rc::Rc::clone(&rows);
        let ((mut input, mut capability), probe) = worker.dataflow::<Time, _, _>(|scope| {
            let (input, events) = scope.new_unordered_input::<NoopBuilder<Events<Metrics<3>>>>();
            let windowed = events.window(windows(), main_aggregate(), WindowInputs::none(scope));
            let (probe, _) =
                windowed.finals.inspect(move |_| counted.set(counted.get() + 1)).probe();
            (input, probe)
        });
        for mut batch in batches {
            // What is older does not come.
            let newest = batch.iter().map(|(_, event)| event.time).max();
            input.activate().session_with_builder(&capability).give_container(&mut batch);
            if let Some(newest) = newest {
                let behind = newest - Duration::from_millis(DISORDER_MS);
                let watermark = windows().quantum_at(behind);
                if capability.time().event < watermark {
                    capability.downgrade(&Time::new(0, watermark));
                }
            }
            worker.step();
            if dry {
                worker.step();
            }
        }
        drop((input, capability));
        worker.step_while(|| !probe.done());
        rows.get()
    });
    let rows = rows.expect("workers").join();
    rows.into_iter().map(|rows| rows.expect("a worker")).sum()
}
