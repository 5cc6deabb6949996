//! Logs in memory, for tests: what a fleet sends, laid out over partitions, with everything that a
//! topic can hold.
//!
//! A log is a function of its seed and options. Beside what the fleet brings (disorder, late and
//! malformed messages, fast, dead and drifting devices) it has partitions without a record, a
//! device that moves between partitions, offsets that hold no message, records without a timestamp,
//! event times at the very edge of the future, and valid messages in unusual spelling.

use std::collections::BTreeSet;
use std::time::Duration;

use strandline_operators::time::EventTime;

use crate::fleet::{Fleet, FleetError, FleetOptions, Malformed};
use crate::oracle::LoggedRecord;
use crate::random::{SplitMix64, mix};

mod spelling;

use spelling::Spelling;

/// What a log looks like. The default has a little of everything.
#[derive(Clone, Debug, PartialEq)]
pub struct LogOptions {
    /// The devices; their seed is replaced by the log's.
    pub fleet: FleetOptions,
    /// When the first message arrives.
    pub start: EventTime,
    /// How many of the partitions, the last ones, hold no record. One always holds some.
    pub empty_partitions: u32,
    /// How many devices, the first ones, move between partitions.
    pub moving_devices: usize,
    /// After how many of its messages such a device moves on.
    pub moves_every: u64,
    /// The share of valid messages that are spelled unusually: escaped names, other notations of
    /// numbers, other fields, other orders.
    pub odd_share: f64,
    /// The share of records that are not timestamped.
    pub untimed_share: f64,
    /// The share of records whose timestamp is so early that their event time is exactly the
    /// latest that is accepted, or one millisecond too late.
    pub edge_share: f64,
    /// How far an event time may be after the record's timestamp: the job's `max_future`.
    pub max_future: Duration,
    /// The share of records before which offsets are missing (transaction markers, compaction).
    pub gap_share: f64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            fleet: FleetOptions {
                late_share: 0.02,
                malformed_share: 0.02,
                malformed_cases: &Malformed::ALL,
                skewed_devices: 1,
                ..FleetOptions::default()
            },
            start: EventTime::from_millis(1_730_638_574_123),
            empty_partitions: 0,
            moving_devices: 1,
            moves_every: 50,
            odd_share: 0.05,
            untimed_share: 0.01,
            edge_share: 0.01,
            max_future: Duration::from_secs(3600),
            gap_share: 0.01,
        }
    }
}

/// The log of this seed: `log[p]` are the records of partition `p`, in the order of their offsets.
/// `messages` are spread over all of them; there are fewer only if all devices die.
///
/// ```
/// use strandline_sim::log::{LogOptions, simulated_log};
/// use strandline_sim::oracle::{OracleOptions, outcome};
///
/// let log = simulated_log(7, 3, 1_000, &LogOptions::default())?;
/// let outcome = outcome(&log, &OracleOptions::default());
/// assert_eq!(outcome.ledger.read, 1_000);
/// # Ok::<(), strandline_sim::fleet::FleetError>(())
/// ```
///
/// # Errors
///
/// Options that make no fleet.
///
/// # Panics
///
/// If `partitions` is 0.
pub fn simulated_log(
    seed: u64,
    partitions: u32,
    messages: u64,
    options: &LogOptions,
) -> Result<Vec<Vec<LoggedRecord>>, FleetError> {
    assert!(0 < partitions, "a log has a partition");
    let used = u64::from(partitions - options.empty_partitions.min(partitions - 1));
    let mut fleet = Fleet::new(FleetOptions { seed, ..options.fleet.clone() }, options.start)?;
    let mut random = SplitMix64::stream(seed, u64::MAX);
    let mut log: Vec<Vec<LoggedRecord>> = vec![Vec::new(); partitions as usize];
    let mut sent_by = vec![0_u64; options.fleet.devices];

    for _ in 0..messages {
        let Some(sent) = fleet.send() else { break };
        let moves = if sent.device < options.moving_devices {
            sent_by[sent.device] / options.moves_every.max(1)
        } else {
            0
        };
        sent_by[sent.device] += 1;
        let home = mix(seed ^ sent.device as u64) % used;
        let partition = &mut log[((home + moves) % used) as usize];

        let is_odd = random.happens(options.odd_share);
        let spelling = Spelling::ALL[random.below(Spelling::ALL.len() as u64) as usize];
        let payload = match (sent.payload, is_odd && sent.malformed.is_none()) {
            (Some(payload), true) => Some(spelling.spell(payload, sent.event_time)),
            (payload, _) => payload.map(<[u8]>::to_vec),
        };

        let is_untimed = random.happens(options.untimed_share);
        let is_edge = random.happens(options.edge_share);
        let beyond = Duration::from_millis(random.below(2));
        let written = sent.due + Duration::from_millis(random.below(50));
        let timestamp_ms = match (is_untimed, is_edge) {
            (true, _) => None,
            (_, true) => Some((sent.event_time - options.max_future - beyond).as_millis()),
            _ => Some(written.as_millis()),
        };

        let next = partition.last().map_or(0, |record| record.offset + 1);
        let has_gap = random.happens(options.gap_share);
        let gap = 1 + random.below(3);
        let offset = if has_gap { next + gap } else { next };
        partition.push(LoggedRecord { offset, timestamp_ms, payload });
    }
    Ok(log)
}

/// Every record's place in a log: what outputs must account for.
pub fn places(log: &[Vec<LoggedRecord>]) -> BTreeSet<(u32, u64)> {
    (0..)
        .zip(log)
        .flat_map(|(partition, records)| {
            records.iter().map(move |record| (partition, record.offset))
        })
        .collect()
}

#[cfg(test)]
mod tests;
