//! What the job is measured against: the bare drain of a topic, and the job written by hand.
//!
//! The hand-written loop is what an expert would write who needs these numbers once: a table for
//! each thread, keys interned, panes in a vector by key, sums of floats. It has no watermark, no
//! late records, no exactness, no state that survives, and it writes nothing. It decodes with the
//! decoder of the job, and reads in either of the job's ways.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use strandline::operators::decode::{Decode, Decoded, JsonFields, Metrics};
use strandline::operators::record::{Key, Message};
use strandline_benches::decoder;

use crate::consume::{Reading, consume};

/// What a program that reads a topic came to.
pub(crate) struct Outcome {
    pub(crate) records: u64,
    pub(crate) rows: u64,
}

/// Bytes of a cache line: a payload is touched if each of its lines is.
const CACHE_LINE_BYTES: usize = 64;
pub(crate) const WINDOW_MS: i64 = 10_000;

/// Reads every message and touches its payload.
pub(crate) fn drain(reading: &Reading<'_>) -> anyhow::Result<Outcome> {
    let touch = |(records, sum): &mut (u64, u64), message: Message<'_>| {
        *records += 1;
        let payload = message.payload.unwrap_or_default();
        *sum += payload.iter().step_by(CACHE_LINE_BYTES).map(|byte| u64::from(*byte)).sum::<u64>();
    };
    let threads = consume(reading, || (0, 0), touch)?;
    std::hint::black_box(threads.iter().map(|(_, sum)| sum).sum::<u64>());
    Ok(Outcome { records: threads.iter().map(|(records, _)| records).sum(), rows: 0 })
}

/// Reads every message and computes the rows of the main job.
pub(crate) fn hand(reading: &Reading<'_>) -> anyhow::Result<Outcome> {
    let threads = consume(reading, Loop::new, Loop::take)?;
    let mut all = Panes::default();
    for thread in &threads {
        for (start, of_window) in &thread.panes.windows {
            for (key, pane) in thread.panes.keys.names.iter().zip(of_window) {
                if 0 < pane.count {
                    let id = all.keys.intern((&**key).into());
                    all.pane(*start, id).combine(pane);
                }
            }
        }
    }
    let rows = all.windows.iter().flat_map(|(_, panes)| panes).filter(|pane| 0 < pane.count);
    let averages = rows.clone().map(|pane| pane.temperature.0 / pane.temperature.1 as f64);
    std::hint::black_box(averages.sum::<f64>());
    Ok(Outcome {
        records: threads.iter().map(|thread| thread.records).sum(),
        rows: rows.count() as u64,
    })
}

struct Loop {
    decoder: JsonFields<3>,
    records: u64,
    panes: Panes,
}

impl Loop {
    fn new() -> Loop {
        Loop { decoder: decoder(), records: 0, panes: Panes::default() }
    }

    #[inline]
    fn take(&mut self, message: Message<'_>) {
        self.records += 1;
        let payload = message.payload.unwrap_or_default();
        let Ok(Decoded { key, time, value }) = self.decoder.decode(payload) else { return };
        let id = self.panes.keys.intern(key);
        let start = time.as_millis().div_euclid(WINDOW_MS) * WINDOW_MS;
        self.panes.pane(start, id).add(&value);
    }
}

/// The panes of some windows: a vector by key for each.
#[derive(Default)]
struct Panes {
    keys: Keys,
    windows: Vec<(i64, Vec<Pane>)>,
}

impl Panes {
    #[inline]
    fn pane(&mut self, start: i64, id: usize) -> &mut Pane {
        // The newest windows are at the end, and hold nearly every record.
        let at = match self.windows.iter().rposition(|(known, _)| *known == start) {
            Some(at) => at,
            None => {
                self.windows.push((start, Vec::new()));
                self.windows.len() - 1
            }
        };
        let panes = &mut self.windows[at].1;
        if panes.len() <= id {
            panes.resize_with(id + 1, Pane::default);
        }
        &mut panes[id]
    }
}

#[derive(Default)]
struct Keys {
    names: Vec<Box<str>>,
    index: HashTable<u32>,
    hasher: FixedState,
}

impl Keys {
    #[inline]
    fn intern(&mut self, key: Key<'_>) -> usize {
        let Keys { names, index, hasher } = self;
        let hash = hasher.hash_one(key.as_bytes());
        if let Some(id) = index.find(hash, |id| key == *names[*id as usize]) {
            return *id as usize;
        }
        let id = u32::try_from(names.len()).expect("fewer than 2^32 keys");
        names.push(key.as_str().into());
        index.insert_unique(hash, id, |id| hasher.hash_one(names[*id as usize].as_bytes()));
        id as usize
    }
}

/// A sum and how many were added.
type Sum = (f64, u64);

#[derive(Clone)]
struct Pane {
    count: u64,
    temperature: Sum,
    humidity: Sum,
    battery: (f64, f64),
}

impl Default for Pane {
    fn default() -> Pane {
        let nothing = (f64::INFINITY, f64::NEG_INFINITY);
        Pane { count: 0, temperature: (0.0, 0), humidity: (0.0, 0), battery: nothing }
    }
}

impl Pane {
    #[inline]
    fn add(&mut self, value: &Metrics<3>) {
        self.count += 1;
        for (sum, number) in
            [(&mut self.temperature, value.get(0)), (&mut self.humidity, value.get(1))]
        {
            if let Some(number) = number {
                sum.0 += number;
                sum.1 += 1;
            }
        }
        if let Some(number) = value.get(2) {
            self.battery = (self.battery.0.min(number), self.battery.1.max(number));
        }
    }

    fn combine(&mut self, other: &Pane) {
        self.count += other.count;
        for (sum, other) in
            [(&mut self.temperature, other.temperature), (&mut self.humidity, other.humidity)]
        {
            sum.0 += other.0;
            sum.1 += other.1;
        }
        let (low, high) = other.battery;
        self.battery = (self.battery.0.min(low), self.battery.1.max(high));
    }
}
