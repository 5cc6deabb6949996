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
/// Most workers of a process that is the job's only one.
const WORKERS_MAX: u64 = 4;
/// Most processes of a job.
pub(super) const PROCESSES_MAX: usize = 3;
/// Most moves of a disturbed process.
pub(super) const MOVES_MAX: u64 = 2_000;
/// Most operations of a disturbed process before it dies of one.
const OPERATIONS_MAX: u64 = 150;
/// Most bytes of rows that may wait for the committer, where there is a bound.
const QUEUE_BYTES_MAX: u64 = 4_000;
/// Most bytes between workers that may be unmerged, where there is a bound.
const UNMERGED_BYTES_MAX: u64 = 8_000;
/// Fewest descriptors of a process, where they are few.
const DESCRIPTORS_MIN: u64 = 6;

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
    /// Where the processes of a job put their rows.
    pub places: Places,
    /// How many bytes of rows may wait for a committer, if few.
    pub queue_bytes_max: Option<usize>,
    /// How many bytes that a process has sent may be unmerged, if few.
    pub unmerged_bytes_max: Option<u64>,
    /// How many descriptors a process has for files, if few.
    pub descriptors_max: Option<usize>,
    /// Whether retention passes what is still to be read, now and then.
    pub retention: bool,
    /// The starts; after them comes one that nothing disturbs.
    pub starts: Vec<Start>,
    /// How many processes the last start has.
    pub last_processes: usize,
    /// How many workers each of them has.
    pub last_workers: usize,
}

/// Where the processes of a job put their rows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// All of them into one directory.
    Shared,
    /// Each into one of its own, on a disk of its own: as on several machines.
    Own,
}

/// One start of a job, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// How many processes it has.
    pub processes: usize,
    /// How many workers each of them has.
    pub workers: usize,
    /// What it does about what is there.
    pub mode: Mode,
    /// How it ends.
    pub end: End,
    /// Which process the end is of.
    pub victim: usize,
    /// Whether the other processes go on for a while before they notice.
    pub survivors: bool,
    /// Whether the power goes when it has ended.
    pub power_lost: bool,
    /// Whether timely sends every progress update at once.
    pub eager: bool,
}

/// What a start does about an earlier run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It goes on from the newest checkpoint.
    Continue,
    /// `--fresh --replace`: it begins anew, and removes the rows that are there.
    Replace,
    /// `--fresh --append`: it begins anew, and leaves the rows that are there.
    Append,
    /// `--fresh --replace` for a topic that does not exist: it is refused, and removes nothing.
    Misspelt,
    /// There is a checkpoint of a version to come: it is refused, and removes nothing.
    NewerFormat,
    /// The newest checkpoint is of the version before: it is continued.
    OlderFormat,
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
    /// The same, but it is held still just before an operation: also one of those by which it starts.
    Held {
        /// Which one since its start, the first is 0.
        operation: u64,
    },
}

/// Kinds of trouble that can be left out of a plan.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Few descriptors.
    Descriptors,
    /// A process held still before an operation, while another one takes its place.
    Held,
    /// Places of their own for the processes of a job.
    OwnPlaces,
    /// Checkpoints of a version to come.
    NewerFormats,
    /// A start with `--replace` that is refused.
    Refusals,
}

/// What the program does not survive yet: nothing, of all that the simulation knows of.
const NOT_YET: [Trouble; 0] = [];

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Plan {
        let mut plan = Plan::wild(seed);
        for trouble in NOT_YET {
            plan.leave_out(trouble);
        }
        plan
    }

    /// Leaves out a kind of trouble.
    pub fn leave_out(&mut self, trouble: Trouble) {
        let replace = |starts: &mut [Start], mode: Mode| {
            for start in starts.iter_mut().filter(|start| start.mode == mode) {
                start.mode = Mode::Continue;
            }
        };
        match trouble {
            Trouble::Descriptors => self.descriptors_max = None,
            Trouble::OwnPlaces => self.places = Places::Shared,
            Trouble::NewerFormats => replace(&mut self.starts, Mode::NewerFormat),
            Trouble::Refusals => replace(&mut self.starts, Mode::Misspelt),
            Trouble::Held => {
                for start in &mut self.starts {
                    if let End::Held { operation } = start.end {
                        start.end = End::DiesOf { operation };
                    }
                }
            }
        }
    }

    /// The plan of a seed, with everything that the simulation knows of.
    pub fn wild(seed: u64) -> Plan {
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
        let places = if random.happens(0.5) { Places::Own } else { Places::Shared };
        let has_few = random.happens(0.3);
        let processes_max = if random.happens(0.4) { PROCESSES_MAX } else { 1 };
        let last_processes = 1 + random.below(processes_max as u64) as usize;
        // Of its own, so that what else a seed decides stays what it was.
        let apart = &mut SplitMix64::stream(seed, 0x756e_6d65_7267_6564);
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
                interleaving: [0.0, 0.0, 0.05, 0.3][random.below(4) as usize],
            },
            faults: FaultRates { disk: rate(random), blobs: rate(random) },
            spells: spells.into_iter().filter(|_| has_spells && random.happens(0.5)).collect(),
            blob_spells: !is_calm && random.happens(0.3),
            weakness: None,
            places,
            queue_bytes_max: random
                .happens(0.4)
                .then(|| 1 + random.below(QUEUE_BYTES_MAX) as usize),
            unmerged_bytes_max: apart.happens(0.3).then(|| apart.below(UNMERGED_BYTES_MAX)),
            descriptors_max: has_few.then(|| (DESCRIPTORS_MIN + random.below(16)) as usize),
            retention: random.happens(0.1),
            starts: (0..starts).map(|_| Start::draw(random, processes_max)).collect(),
            last_processes,
            last_workers: 1 + random.below(workers_max(last_processes)) as usize,
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
            queue_bytes_max: None,
            unmerged_bytes_max: None,
            descriptors_max: None,
            retention: false,
            starts: Vec::new(),
            last_processes: 1,
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
    fn draw(random: &mut SplitMix64, processes_max: usize) -> Start {
        let processes = 1 + random.below(processes_max as u64) as usize;
        // Small numbers are as likely as great ones.
        let upto = |random: &mut SplitMix64, most: u64| {
            let exponent = random.unit() * (most as f64).ln();
            exponent.exp() as u64
        };
        let after_moves = upto(random, MOVES_MAX);
        let operation = upto(random, OPERATIONS_MAX);
        let end = match random.below(12) {
            0..4 => End::DiesOf { operation },
            4..7 => End::Killed { after_moves },
            7..9 => End::Stopped { after_moves },
            9 => End::Returns { after_moves },
            _ => End::Held { operation },
        };
        let mode = match random.below(50) {
            0 => Mode::Replace,
            1 => Mode::Append,
            2 => Mode::Misspelt,
            3 => Mode::NewerFormat,
            4 => Mode::OlderFormat,
            _ => Mode::Continue,
        };
        Start {
            processes,
            workers: 1 + random.below(workers_max(processes)) as usize,
            mode,
            end,
            victim: random.below(processes as u64) as usize,
            survivors: random.happens(0.7),
            power_lost: random.happens(0.4),
            eager: random.happens(0.2),
        }
    }

    /// A start that nothing disturbs.
    pub fn calm(processes: usize, workers: usize) -> Start {
        Start {
            processes,
            workers,
            mode: Mode::Continue,
            end: End::Killed { after_moves: u64::MAX },
            victim: 0,
            survivors: false,
            power_lost: false,
            eager: false,
        }
    }
}

/// Most workers of each of so many processes.
fn workers_max(processes: usize) -> u64 {
    if processes == 1 { WORKERS_MAX } else { 2 }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}
