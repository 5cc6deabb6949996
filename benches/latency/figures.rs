//! Latencies as figures: a histogram, its percentiles, and the document that holds them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use strandline_benches::machine::Machine;

/// The longest latency that is told apart, microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Decimal digits that are told apart.
const DIGITS: u8 = 3;

/// Latencies, counted.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_US, DIGITS);
        Latencies(histogram.expect("constant bounds"))
    }

    /// Counts `count` times the time between two moments, microseconds.
    pub(crate) fn record(&mut self, from_us: i64, to_us: i64, count: u64) {
        let latency_us = u64::try_from(to_us - from_us).unwrap_or(0).max(1);
        self.0.saturating_record_n(latency_us, count);
    }

    pub(crate) fn figures(&self) -> Option<Figures> {
        let ms = |us: u64| us as f64 / 1e3;
        let at = |share: f64| ms(self.0.value_at_quantile(share));
        (!self.0.is_empty()).then(|| Figures {
            samples: self.0.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p99_99_ms: at(0.9999),
            max_ms: ms(self.0.max()),
        })
    }
}

/// What is said of latencies, milliseconds.
#[derive(Copy, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) samples: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p99_99_ms: f64,
    pub(crate) max_ms: f64,
}

/// Latencies from two moments on.
#[derive(Copy, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FromBoth {
    /// From the append to the log.
    pub(crate) from_append: Option<Figures>,
    /// From when the record was to be sent: with the producer, and corrected for coordinated
    /// omission, because that moment does not wait for anybody.
    pub(crate) from_schedule: Option<Figures>,
}

/// One rate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// How the job fetched messages.
    pub(crate) fetch: String,
    pub(crate) rate_hz: u64,
    /// Whether the log had the records at this rate: 99 % of them within a second of their time.
    pub(crate) producer_kept_up: bool,
    /// From when a record was to be sent to its append, in the run in which that took longer.
    pub(crate) producer: Option<Figures>,
    /// Windows whose final rows are counted.
    pub(crate) windows: u64,
    pub(crate) final_pushed: FromBoth,
    pub(crate) final_committed: FromBoth,
    pub(crate) live: FromBoth,
    /// The share of records whose window was no longer shown when they came.
    pub(crate) live_not_shown: f64,
}

/// What an idle job costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) fetch: String,
    pub(crate) rate_hz: u64,
    pub(crate) seconds: f64,
    /// Processor time of the job's process, as a share of one core.
    pub(crate) share_of_a_core: f64,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) devices: u64,
    pub(crate) partitions: u64,
    pub(crate) seconds: u64,
    pub(crate) warm_up_seconds: u64,
    pub(crate) final_window_ms: u64,
    pub(crate) live_window_ms: u64,
    pub(crate) live_watermark_ms: u64,
    pub(crate) publish_every_ms: u64,
    pub(crate) checkpoint_every_ms: u64,
    pub(crate) linger_ms: u64,
}

/// Everything of one sitting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) bench: String,
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    /// By round, within it by rate, and within that by the way of fetching.
    pub(crate) rates: Vec<Measured>,
    pub(crate) idle: Vec<Idle>,
}
