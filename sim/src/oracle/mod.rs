//! What a job's outputs must be, computed the naive way.
//!
//! The oracle takes the whole log at once and computes the final rows, the late set and the dead
//! set straight from the rules (windows, watermarks, lateness, dead letters), in ordered maps and
//! exact numbers, clear rather than fast. It imports nothing of the operators or the engine: a
//! mistake that both made would have to be made twice.
//!
//! It computes a *bounded run*: every partition is read to its end, then every window is final.
//! What it says holds for a job on any number of workers, because lateness looks at a record's own
//! partition alone.

use std::collections::BTreeMap;
use std::time::Duration;

mod exact_sum;
pub mod json;
mod number;

pub use exact_sum::ExactSum;
use json::Json;
use number::Integral;

/// The last event time that is accepted: the end of the year 9999, in milliseconds since 1970.
pub const TIME_MS_MAX: i64 = 253_402_300_799_999;
/// Longest key that is accepted, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// A record as a log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRecord {
    /// Its place in its partition.
    pub offset: u64,
    /// The timestamp that the log keeps with it, in milliseconds since 1970, if it has one.
    pub timestamp_ms: Option<i64>,
    /// Its bytes; `None` for a null payload.
    pub payload: Option<Vec<u8>>,
}

/// What a job is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OracleOptions {
    /// The field that is the key, such as `device_id`.
    pub key: String,
    /// The field that is the event time, such as `ts`.
    pub time: String,
    /// The fields that are metrics.
    pub metrics: Vec<String>,
    /// The size of the tumbling windows.
    pub window: Duration,
    /// How far a partition's watermark is behind its greatest event time.
    pub watermark: Duration,
    /// How far an event time may be after its record's timestamp in the log.
    pub max_future: Duration,
    /// How far before its timestamp a record's time may be.
    pub max_past: Option<Duration>,
}

impl Default for OracleOptions {
    /// The main job: 10 s windows, a watermark of 1 minute, up to 1 hour in the future.
    fn default() -> OracleOptions {
        OracleOptions {
            key: "device_id".to_owned(),
            time: "ts".to_owned(),
            metrics: ["temperature", "humidity", "battery"].map(str::to_owned).into(),
            window: Duration::from_secs(10),
            watermark: Duration::from_secs(60),
            max_future: Duration::from_secs(3600),
            max_past: None,
        }
    }
}

/// What one metric of a row must be.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct OracleMetric {
    /// How many of the row's records had it.
    pub contributing: u64,
    /// Its average, correctly rounded; `None` where no record had it.
    pub average: Option<f64>,
    /// The least, by the total order of floats.
    pub min: Option<f64>,
    /// The greatest, by the total order of floats.
    pub max: Option<f64>,
}

/// Which records of one partition a row covers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OracleSpan {
    /// The partition.
    pub partition: u32,
    /// The least offset.
    pub first: u64,
    /// The greatest offset.
    pub last: u64,
    /// How many records.
    pub records: u64,
}

/// One final row.
#[derive(Clone, Debug, PartialEq)]
pub struct OracleRow {
    /// The key.
    pub key: String,
    /// The first millisecond of its window.
    pub window_start_ms: i64,
    /// The first millisecond after its window.
    pub window_end_ms: i64,
    /// How many records it covers.
    pub count: u64,
    /// The metrics, in the order of [`OracleOptions::metrics`].
    pub metrics: Vec<OracleMetric>,
    /// Where they came from, sorted by partition.
    pub spans: Vec<OracleSpan>,
}

/// Where records went: `read = windowed + late + dead_letters`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct OracleLedger {
    /// All of them.
    pub read: u64,
    /// Those that a row counts.
    pub windowed: u64,
    /// Those that came after their window was over.
    pub late: u64,
    /// Those that could not be read as asked.
    pub dead_letters: u64,
}

/// Everything that a bounded run must bring.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The final rows, sorted by window, then by key.
    pub rows: Vec<OracleRow>,
    /// The late records: `(partition, offset)` to event time in milliseconds.
    pub late: BTreeMap<(u32, u64), i64>,
    /// The dead letters: `(partition, offset)` to reason code.
    pub dead: BTreeMap<(u32, u64), &'static str>,
    /// Where all records went.
    pub ledger: OracleLedger,
    /// The same for each partition.
    pub ledgers: Vec<OracleLedger>,
    /// The greatest event time of each partition's valid records.
    pub max_event_time_ms: Vec<Option<i64>>,
}

/// Computes what a bounded run over `log` must bring. `log[p]` is partition `p`, in the order of
/// reading.
///
/// # Panics
///
/// If the window is shorter than a millisecond.
pub fn outcome(log: &[Vec<LoggedRecord>], options: &OracleOptions) -> Outcome {
    outcome_where(log, options, |_, is_late| is_late)
}

/// The same, where `decide` says which records are late: it gets the partition and offset of a
/// record, and whether it is late by the watermark of its partition. For runs in which that is not
/// a function of the log alone, because partitions were idle or came while the job ran.
///
/// # Panics
///
/// If the window is shorter than a millisecond.
pub fn outcome_where(
    log: &[Vec<LoggedRecord>],
    options: &OracleOptions,
    mut decide: impl FnMut((u32, u64), bool) -> bool,
) -> Outcome {
    let window_ms = millis(options.window);
    assert!(0 < window_ms, "a window is at least a millisecond");
    let mut open: BTreeMap<(i64, String), OpenRow> = BTreeMap::new();
    let mut outcome = Outcome {
        rows: Vec::new(),
        late: BTreeMap::new(),
        dead: BTreeMap::new(),
        ledger: OracleLedger::default(),
        ledgers: Vec::new(),
        max_event_time_ms: Vec::new(),
    };
    for (partition, records) in (0..).zip(log) {
        let mut ledger = OracleLedger::default();
        let mut max_event_time_ms: Option<i64> = None;
        for record in records {
            ledger.read += 1;
            let sample = match read(record.payload.as_deref(), record.timestamp_ms, options) {
                Ok(sample) => sample,
                Err(reason) => {
                    ledger.dead_letters += 1;
                    outcome.dead.insert((partition, record.offset), reason);
                    continue;
                }
            };
            let ts = sample.event_time_ms;
            max_event_time_ms = max_event_time_ms.max(Some(ts));
            let watermark_ms =
                max_event_time_ms.map(|max| max.saturating_sub(millis(options.watermark)));

            let start = ts.div_euclid(window_ms) * window_ms;
            let end = start.saturating_add(window_ms);
            let is_late = watermark_ms.is_some_and(|watermark| end <= watermark);
            if decide((partition, record.offset), is_late) {
                ledger.late += 1;
                outcome.late.insert((partition, record.offset), ts);
                continue;
            }
            ledger.windowed += 1;
            open.entry((start, sample.key)).or_default().add(
                partition,
                record.offset,
                &sample.metrics,
            );
        }
        outcome.ledger.read += ledger.read;
        outcome.ledger.windowed += ledger.windowed;
        outcome.ledger.late += ledger.late;
        outcome.ledger.dead_letters += ledger.dead_letters;
        outcome.ledgers.push(ledger);
        outcome.max_event_time_ms.push(max_event_time_ms);
    }
    outcome.rows = open
        .into_iter()
        .map(|((start, key), row)| row.close(key, start, start.saturating_add(window_ms)))
        .collect();
    outcome
}

/// What one record says, if it can be read as asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The key.
    pub key: String,
    /// Milliseconds since 1970.
    pub event_time_ms: i64,
    /// The metrics, in the order of [`OracleOptions::metrics`]; `None` where absent or null.
    pub metrics: Vec<Option<f64>>,
}

/// Reads one record.
///
/// # Errors
///
/// The reason code of its dead letter. Of several reasons the first in this order: `empty`,
/// `not_json`, the key's, the time's (`future` too, beyond the year 9999), the metrics' in the
/// order in which they were asked for, `future` by the record's timestamp.
pub fn read(
    payload: Option<&[u8]>,
    timestamp_ms: Option<i64>,
    options: &OracleOptions,
) -> Result<Sample, &'static str> {
    let payload = payload.filter(|payload| !payload.is_empty()).ok_or("empty")?;
    let object = json::parse(payload).map_err(|_| "not_json")?;
    if !matches!(object, Json::Object(_)) {
        return Err("not_json");
    }
    let key = match object.last(&options.key) {
        None | Some(Json::Null) => return Err("missing_key"),
        Some(Json::String(key)) if (1..=KEY_BYTES_MAX).contains(&key.len()) => key.clone(),
        Some(_) => return Err("bad_key"),
    };
    let event_time_ms = match object.last(&options.time) {
        None | Some(Json::Null) => return Err("missing_time"),
        Some(Json::Number(text)) => match number::integral(text) {
            Integral::Whole(ms @ 0..=TIME_MS_MAX) => ms,
            Integral::Whole(0..) | Integral::AboveRange => return Err("future"),
            Integral::Whole(_) | Integral::BelowRange | Integral::Fraction => {
                return Err("bad_time");
            }
        },
        Some(_) => return Err("bad_time"),
    };
    let metrics = options
        .metrics
        .iter()
        .map(|name| match object.last(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Number(text)) => number::finite(text).map(Some).ok_or("not_finite"),
            Some(_) => Err("bad_metric"),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let latest = timestamp_ms.map(|timestamp| timestamp.saturating_add(millis(options.max_future)));
    if latest.is_some_and(|latest| latest < event_time_ms) {
        return Err("future");
    }
    let earliest = timestamp_ms.zip(options.max_past);
    let earliest = earliest.map(|(timestamp, max_past)| timestamp.saturating_sub(millis(max_past)));
    if earliest.is_some_and(|earliest| event_time_ms < earliest) {
        return Err("past");
    }
    Ok(Sample { key, event_time_ms, metrics })
}

#[derive(Default)]
struct OpenRow {
    count: u64,
    metrics: Vec<OpenMetric>,
    spans: BTreeMap<u32, OracleSpan>,
}

#[derive(Clone, Default)]
struct OpenMetric {
    contributing: u64,
    sum: ExactSum,
    min: Option<f64>,
    max: Option<f64>,
}

impl OpenRow {
    fn add(&mut self, partition: u32, offset: u64, metrics: &[Option<f64>]) {
        self.count += 1;
        self.metrics.resize(metrics.len(), OpenMetric::default());
        for (open, value) in self.metrics.iter_mut().zip(metrics) {
            let Some(value) = *value else { continue };
            open.contributing += 1;
            open.sum.add(value);
            let is_less = open.min.is_none_or(|min| value.total_cmp(&min).is_lt());
            let is_greater = open.max.is_none_or(|max| value.total_cmp(&max).is_gt());
            open.min = if is_less { Some(value) } else { open.min };
            open.max = if is_greater { Some(value) } else { open.max };
        }
        let span = self.spans.entry(partition).or_insert(OracleSpan {
            partition,
            first: offset,
            last: offset,
            records: 0,
        });
        span.first = span.first.min(offset);
        span.last = span.last.max(offset);
        span.records += 1;
    }

    fn close(self, key: String, window_start_ms: i64, window_end_ms: i64) -> OracleRow {
        let metrics = self
            .metrics
            .into_iter()
            .map(|open| OracleMetric {
                contributing: open.contributing,
                average: (0 < open.contributing).then(|| open.sum.average(open.contributing)),
                min: open.min,
                max: open.max,
            })
            .collect();
        let spans = self.spans.into_values().collect();
        OracleRow { key, window_start_ms, window_end_ms, count: self.count, metrics, spans }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
