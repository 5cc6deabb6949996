//! What a seed decides before a run begins.
//!
//! Seeds do not all try everything: each draws for itself which kinds of trouble there are and how
//! much of each, so that some runs are nearly calm and find what only long undisturbed runs find,
//! and others are wild (swarm testing: Groce et al., ISSTA 2012).

use std::fmt;
use std::io;
use std::time::Duration;

use strandline_engine::job::JobOptions;

use super::outside::{FaultRates, Weakness};
use super::scheduler::Pace;
use super::topic::Reads;
use crate::random::SplitMix64;

/// Most starts of a process in a run, without the last, which nothing disturbs.
const DISTURBED_STARTS_MAX: u64 = 6;
/// Most workers of a process.
const WORKERS_MAX: u64 = 4;
/// Most moves of a disturbed process.
pub(super) const MOVES_MAX: u64 = 2_000;
/// Most operations of a disturbed process before it dies of one.
const OPERATIONS_MAX: u64 = 150;

/// What a seed decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Whether disturbed processes read the topic as it grows. If not, it is all there at first.
    pub live: bool,
    /// Partitions that come while the job runs; only where it is live.
    pub added_partitions: usize,
    /// How long a partition is silent before it is idle; `None` for never.
    pub idle_after: Option<Duration>,
    /// How far a partition may run ahead of the others, in windows and watermarks.
    pub drift: u32,
    /// How often an epoch turns.
    pub epoch_every: Duration,
    /// How often a checkpoint is made.
    pub checkpoint_every: Duration,
    /// How often files are rolled.
    pub roll_every: Duration,
    /// After how many rows.
    pub roll_rows: u64,
    /// How many checkpoints are kept.
    pub keep: usize,
    /// What readers get.
    pub reads: Reads,
    /// How moves are spread.
    pub pace: Pace,
    /// How often operations fail by chance.
    pub faults: FaultRates,
    /// The trouble that comes and goes.
    pub spells: Vec<io::ErrorKind>,
    /// Whether blobs cannot be reached for a while, now and then.
    pub blob_spells: bool,
    /// A promise that the world does not keep; no seed wants one.
    pub weakness: Option<Weakness>,
    /// The starts; after them comes one that nothing disturbs.
    pub starts: Vec<Start>,
    /// How many workers the last start has.
    pub last_workers: usize,
}

/// One start of a process, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// How many workers it has.
    pub workers: usize,
    /// How it ends.
    pub end: End,
    /// Whether the power goes when it has ended.
    pub power_lost: bool,
    /// Whether timely sends every progress update at once.
    pub eager: bool,
}

/// How a process ends, unless it has read everything before.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is killed between two moves, after so many.
    Killed {
        /// Moves since its start.
        after_moves: u64,
    },
    /// It dies in the middle of an operation on the disk or on blobs.
    DiesOf {
        /// Which one since its start, the first is 0.
        operation: u64,
    },
    /// It is asked to stop, and leaves in order.
    Stopped {
        /// Moves since its start.
        after_moves: u64,
    },
    /// It is held still as if it were dead, and another one is started, which gets its disk; then
    /// it comes back, and reaches the store of checkpoints.
    Returns {
        /// Moves since its start.
        after_moves: u64,
    },
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Plan {
        let random = &mut SplitMix64::stream(seed, 0x706c_616e_0000_0000);
        let live = random.happens(0.6);
        let ms = |random: &mut SplitMix64, least: u64, most: u64| {
            Duration::from_millis(least + random.below(most - least + 1))
        };
        let has_idle = live && random.happens(0.3);
        let is_calm = random.happens(0.3);
        let rate = |random: &mut SplitMix64| {
            let rate = [0.0, 0.002, 0.01, 0.05][random.below(4) as usize];
            if is_calm { 0.0 } else { rate }
        };
        let spells = [
            io::ErrorKind::StorageFull,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::Other,
        ];
        let has_spells = !is_calm && random.happens(0.4);
        let starts = random.below(DISTURBED_STARTS_MAX + 1);
        Plan {
            seed,
            live,
            added_partitions: if live && random.happens(0.2) {
                1 + random.below(2) as usize
            } else {
                0
            },
            idle_after: has_idle.then(|| ms(random, 20, 400)),
            drift: 1 + random.below(8) as u32,
            epoch_every: ms(random, 5, 60),
            checkpoint_every: ms(random, 0, 150),
            roll_every: [Duration::ZERO, ms(random, 1, 200), Duration::from_secs(3600)]
                [random.below(3) as usize],
            roll_rows: [4, 64, 1 << 20][random.below(3) as usize],
            keep: 1 + random.below(3) as usize,
            reads: Reads {
                empty_share: [0.0, 0.2, 0.6][random.below(3) as usize],
                messages_max: [1, 4, 16, 64][random.below(4) as usize],
            },
            pace: Pace {
                clock: [0.05, 0.15, 0.3][random.below(3) as usize],
                clock_step_max: ms(random, 1, 30),
                nature: [0.05, 0.15][random.below(2) as usize],
                unevenness: [1, 8, 64][random.below(3) as usize],
            },
            faults: FaultRates { disk: rate(random), blobs: rate(random) },
            spells: spells.into_iter().filter(|_| has_spells && random.happens(0.5)).collect(),
            blob_spells: !is_calm && random.happens(0.3),
            weakness: None,
            starts: (0..starts).map(|_| Start::draw(random)).collect(),
            last_workers: 1 + random.below(WORKERS_MAX) as usize,
        }
    }

    /// A plan in which nothing happens.
    pub fn calm(seed: u64) -> Plan {
        let mut plan = Plan::of(seed);
        plan.make_exact();
        Plan {
            live: false,
            faults: FaultRates::default(),
            spells: Vec::new(),
            blob_spells: false,
            starts: Vec::new(),
            last_workers: 1,
            ..plan
        }
    }

    /// How far a partition may run ahead of the others.
    pub fn max_drift(&self, options: JobOptions) -> Duration {
        (options.watermark + options.windows.size()) * self.drift
    }

    /// Leaves out what makes it depend on more than the topic which records are late.
    pub fn make_exact(&mut self) {
        self.idle_after = None;
        self.added_partitions = 0;
    }

    /// Whether which records are late is a function of the log alone.
    pub fn is_exact(&self) -> bool {
        self.idle_after.is_none() && self.added_partitions == 0
    }
}

impl Start {
    fn draw(random: &mut SplitMix64) -> Start {
        let workers = 1 + random.below(WORKERS_MAX) as usize;
        // Small numbers are as likely as great ones.
        let upto = |random: &mut SplitMix64, most: u64| {
            let exponent = random.unit() * (most as f64).ln();
            exponent.exp() as u64
        };
        let after_moves = upto(random, MOVES_MAX);
        let operation = upto(random, OPERATIONS_MAX);
        let end = match random.below(10) {
            0..4 => End::DiesOf { operation },
            4..7 => End::Killed { after_moves },
            7..9 => End::Stopped { after_moves },
            _ => End::Returns { after_moves },
        };
        let power_lost = random.happens(0.4);
        Start { workers, end, power_lost, eager: random.happens(0.2) }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}
