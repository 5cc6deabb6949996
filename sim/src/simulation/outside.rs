//! The border between simulated processes and what outlives them: disk, blobs.
//!
//! Every operation that a process does out there passes here. It is counted and traced; it may
//! fail, by chance or because a spell of trouble is on; and it may be the last one of its process.
//! A process that is dead changes nothing any more, whatever its threads still do while they are
//! taken down: that is what makes a crash between any two operations, and in the middle of one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::trace::Trace;
use crate::random::SplitMix64;

/// One start of a simulated process.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

/// What outlives processes. Clones are the same one.
#[derive(Clone)]
pub struct Outside(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    before: OnceLock<BeforeOperation>,
}

/// Called before an operation of a process, and whether it is to be held still there.
type BeforeOperation = Box<dyn Fn(ProcessId, bool) + Send + Sync>;

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outside")
    }
}

/// How often operations fail by chance.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// The share of operations on files that fail.
    pub disk: f64,
    /// The share of operations on blobs that fail.
    pub blobs: f64,
}

/// Trouble that lasts for a while.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Spell {
    /// Every operation that changes the disk fails so.
    Disk(io::ErrorKind),
    /// Every operation on blobs fails.
    Blobs,
}

/// A promise that the world does not keep: nothing can be right on it, so a run has to fail.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Nothing is on the medium because a file was synced.
    FilesAreNotSynced,
    /// Nothing is on the medium because a directory was synced.
    NamesAreNotSynced,
    /// A blob that is stored may be lost when the power goes.
    BlobsAreLost,
}

/// A kind of operation, as far as faults go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ReadDisk,
    ChangeDisk,
    ReadBlobs,
    ChangeBlobs,
}

/// What becomes of an operation.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is done.
    Done,
    /// It fails. The effect says how much of it happens all the same.
    Failed { kind: io::ErrorKind, effect: Effect },
}

/// How much of an operation happens although its caller hears of an error, or dies.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Effect {
    Nothing,
    /// Of a write: some of its bytes. Of anything else: nothing.
    Part {
        share: f64,
    },
    All,
    /// It happens later, unless something else has been put in its place (blobs).
    Later,
}

/// What happened out there for good, in order: what laws are checked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A blob was stored.
    Stored {
        /// Its name.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A process has said that everything before these offsets is in a checkpoint.
    Committed {
        /// Which.
        process: ProcessId,
        /// Partitions and offsets.
        positions: Vec<(u32, u64)>,
    },
    /// A file got another name.
    Renamed {
        /// On which disk, by its number.
        disk: usize,
        /// Where it was.
        from: PathBuf,
        /// Where it is now.
        to: PathBuf,
    },
    /// A file was removed.
    Removed {
        /// By whom.
        process: ProcessId,
        /// On which disk, by its number.
        disk: usize,
        /// Where it was.
        path: PathBuf,
    },
    /// A blob was removed.
    Deleted {
        /// Its name.
        name: String,
    },
}

#[derive(Debug)]
struct State {
    trace: Trace,
    journal: Vec<Happened>,
    random: SplitMix64,
    rates: FaultRates,
    spell: Option<Spell>,
    weakness: Option<Weakness>,
    operations: u64,
    /// The process dies of its operation of this number.
    fatal: Option<(ProcessId, u64)>,
    /// The process is held still before its operation of this number.
    held: Option<(ProcessId, u64)>,
    /// Those who have died of an operation since that was last asked.
    deaths: Vec<ProcessId>,
    processes: BTreeMap<ProcessId, Process>,
    numbers: u64,
}

#[derive(Copy, Clone, Debug, Default)]
struct Process {
    dead: bool,
    /// Its disk has been given to another one.
    unmounted: bool,
    faults: u64,
    operations: u64,
}

impl Outside {
    /// A world without trouble; chance comes from `seed`.
    pub fn new(seed: u64, trace: Trace) -> Outside {
        let state = State {
            trace,
            journal: Vec::new(),
            random: SplitMix64::stream(seed, 0x6f75_7473_6964_6500),
            rates: FaultRates::default(),
            spell: None,
            weakness: None,
            operations: 0,
            fatal: None,
            held: None,
            deaths: Vec::new(),
            processes: BTreeMap::new(),
            numbers: 0,
        };
        Outside(Arc::new(Inner { state: Mutex::new(state), before: OnceLock::new() }))
    }

    /// Calls `before` before each operation of a process, and says whether the process is to be held
    /// still there. Only the first one is called.
    pub(super) fn before_operations(
        &self,
        before: impl Fn(ProcessId, bool) + Send + Sync + 'static,
    ) {
        // A world has one scheduler.
        let _ = self.0.before.set(Box::new(before));
    }

    /// Sets how often operations fail by chance.
    pub fn set_rates(&self, rates: FaultRates) {
        self.lock().rates = rates;
    }

    /// Begins, changes or ends a spell of trouble.
    pub fn set_spell(&self, spell: Option<Spell>) {
        let mut state = self.lock();
        if state.spell != spell {
            state.spell = spell;
            match spell {
                Some(spell) => state.trace.line(format_args!("  trouble: {spell:?}")),
                None => state.trace.line(format_args!("  the trouble is over")),
            }
        }
    }

    /// Lets a promise be broken: to see that the simulation notices.
    pub fn set_weakness(&self, weakness: Option<Weakness>) {
        self.lock().weakness = weakness;
    }

    pub(super) fn has(&self, weakness: Weakness) -> bool {
        self.lock().weakness == Some(weakness)
    }

    /// Operations so far, of all processes.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Operations so far, of one process.
    pub fn operations_of(&self, process: ProcessId) -> u64 {
        self.lock().processes.get(&process).map_or(0, |process| process.operations)
    }

    /// Lets a process die of its operation of this number; its first is number 0.
    pub fn crash_at_operation(&self, fatal: Option<(ProcessId, u64)>) {
        self.lock().fatal = fatal;
    }

    /// Holds a process still just before its operation of this number, if it does it in a task or
    /// while it starts.
    pub fn hold_at_operation(&self, held: Option<(ProcessId, u64)>) {
        self.lock().held = held;
    }

    /// From now on, nothing that the process does has an effect.
    pub fn kill(&self, process: ProcessId) {
        self.lock().kill(process);
    }

    /// Takes the disk away from a process, and gives it to another one.
    pub fn unmount(&self, process: ProcessId) {
        self.lock().processes.entry(process).or_default().unmounted = true;
    }

    /// Whether the process has died.
    pub fn is_dead(&self, process: ProcessId) -> bool {
        self.lock().processes.get(&process).is_some_and(|process| process.dead)
    }

    /// Who has died of an operation since this was last asked.
    pub fn take_deaths(&self) -> Vec<ProcessId> {
        std::mem::take(&mut self.lock().deaths)
    }

    /// How many operations of the process failed: what excuses an error of its.
    pub fn faults(&self, process: ProcessId) -> u64 {
        self.lock().processes.get(&process).map_or(0, |process| process.faults)
    }

    /// Something has happened that may make an operation of this process fail.
    pub(super) fn excuse(&self, process: ProcessId) {
        self.lock().processes.entry(process).or_default().faults += 1;
    }

    /// What happened since this was last asked.
    pub fn take_journal(&self) -> Vec<Happened> {
        std::mem::take(&mut self.lock().journal)
    }

    pub(super) fn happened(&self, what: Happened) {
        self.lock().journal.push(what);
    }

    /// A number that was not given before.
    pub(super) fn next_number(&self) -> u64 {
        let mut state = self.lock();
        state.numbers += 1;
        state.numbers
    }

    /// The trace of the run.
    pub fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    /// Draws a number below `bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.lock().random.below(bound)
    }

    /// Decides what becomes of an operation.
    pub(super) fn enter(
        &self,
        process: ProcessId,
        kind: Kind,
        name: fmt::Arguments<'_>,
    ) -> Verdict {
        self.pause(process);
        let mut state = self.lock();
        if state.processes.get(&process).is_some_and(|process| process.dead) {
            return Verdict::Failed { kind: io::ErrorKind::Other, effect: Effect::Nothing };
        }
        let on_disk = matches!(kind, Kind::ReadDisk | Kind::ChangeDisk);
        if on_disk && state.processes.get(&process).is_some_and(|process| process.unmounted) {
            state.processes.entry(process).or_default().faults += 1;
            state.trace.line(format_args!("  {process} {name}: the disk is not its any more"));
            return Verdict::Failed { kind: io::ErrorKind::Other, effect: Effect::Nothing };
        }
        let number = state.operations;
        state.operations += 1;
        let mine = state.processes.entry(process).or_default();
        let own_number = mine.operations;
        mine.operations += 1;
        let is_fatal = state.fatal == Some((process, own_number));
        let verdict = state.judge(process, kind, is_fatal);
        match verdict {
            Verdict::Done => state.trace.line(format_args!("  #{number} {process} {name}")),
            Verdict::Failed { kind, effect } => {
                let dies = if is_fatal { ", and the process dies" } else { "" };
                let fails = format_args!("fails: {kind:?}, effect {effect:?}{dies}");
                state.trace.line(format_args!("  #{number} {process} {name} {fails}"));
            }
        }
        verdict
    }

    /// Lets others have their turn, or holds the process still.
    fn pause(&self, process: ProcessId) {
        let Some(before) = self.0.before.get() else { return };
        let mut state = self.lock();
        let number = state.processes.get(&process).map_or(0, |process| process.operations);
        let is_held = state.held == Some((process, number));
        if is_held {
            state.held = None;
        }
        drop(state);
        before(process, is_held);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kill(&mut self, process: ProcessId) {
        let entry = self.processes.entry(process).or_default();
        if !entry.dead {
            entry.dead = true;
            self.trace.line(format_args!("  {process} is dead"));
        }
    }

    fn judge(&mut self, process: ProcessId, kind: Kind, is_fatal: bool) -> Verdict {
        let changes = matches!(kind, Kind::ChangeDisk | Kind::ChangeBlobs);
        if is_fatal {
            self.kill(process);
            self.deaths.push(process);
            let effect = if changes { self.effect(kind) } else { Effect::Nothing };
            return Verdict::Failed { kind: io::ErrorKind::Other, effect };
        }
        let (rate, spell) = match (kind, self.spell) {
            (Kind::ReadDisk, _) => (self.rates.disk, None),
            (Kind::ChangeDisk, Some(Spell::Disk(error))) => (self.rates.disk, Some(error)),
            (Kind::ChangeDisk, _) => (self.rates.disk, None),
            (_, Some(Spell::Blobs)) => (self.rates.blobs, Some(io::ErrorKind::TimedOut)),
            _ => (self.rates.blobs, None),
        };
        let by_chance = 0.0 < rate && self.random.happens(rate);
        let Some(error) = spell.or_else(|| by_chance.then_some(io::ErrorKind::Other)) else {
            return Verdict::Done;
        };
        self.processes.entry(process).or_default().faults += 1;
        let effect = match (kind, error) {
            // A network may lose the answer.
            (Kind::ChangeBlobs, _) => self.effect(kind),
            // A medium may have done part of it.
            (Kind::ChangeDisk, io::ErrorKind::Other) => self.effect(kind),
            (Kind::ChangeDisk, _) => Effect::Part { share: self.random.unit() },
            _ => Effect::Nothing,
        };
        Verdict::Failed { kind: error, effect }
    }

    fn effect(&mut self, kind: Kind) -> Effect {
        let share = self.random.unit();
        match (self.random.below(4), kind) {
            (0, _) => Effect::Nothing,
            (1, _) => Effect::All,
            (2, Kind::ChangeBlobs) => Effect::Later,
            _ => Effect::Part { share },
        }
    }
}
