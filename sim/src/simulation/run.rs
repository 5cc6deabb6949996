//! One run: starts of the job one after the other, until one is left alone and finishes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use strandline_engine::store::{Directory, EntryKind};
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use super::blobs::MemoryBlobs;
use super::disk::MemoryDisk;
use super::laws::Laws;
use super::outside::{FaultRates, Outside, ProcessId, Spell};
use super::plan::{End, Plan, Start};
use super::process::{self, Discovery, Ended, Process};
use super::scheduler::{Act, Interrupt, Scheduler};
use super::topic::Topic;
use super::trace::Trace;
use super::{Expectation, Report, Simulation};
use crate::judge::Found;
use crate::random::SplitMix64;
use strandline_engine::table::Cells;

/// `--out`.
pub(super) const OUT: &str = "out";
/// Most moves of a run: a run that makes no end in them does not make one.
const MOVES_MAX: u64 = 200_000;
/// How long a process that has been asked to stop is given, in moves, before it is killed.
const STOP_MOVES: u64 = 3_000;
/// How long another process runs while one stands still, in moves.
const STANDSTILL_MOVES: u64 = 400;
/// How long two processes run against each other, in moves.
const RIVALRY_MOVES: u64 = 4_000;

/// Everything of a run that outlives a process.
pub(super) struct World<'a, D, A> {
    pub(super) simulation: &'a Simulation<D, A>,
    pub(super) plan: &'a Plan,
    pub(super) outside: Outside,
    pub(super) disk: MemoryDisk,
    pub(super) blobs: MemoryBlobs,
    pub(super) scheduler: Scheduler,
    pub(super) topic: Topic,
    trace: Trace,
    laws: Laws,
    random: SplitMix64,
    next_process: u32,
    /// The move at which the conductor wants to be asked.
    ask_at: Arc<AtomicU64>,
    report: Report,
    running: Vec<ProcessId>,
    /// Of the processes that want to hear of new partitions.
    discoveries: Arc<Mutex<Vec<Discovery>>>,
}

impl<D, A> Drop for World<'_, D, A> {
    /// Takes down what still runs when a law was broken.
    fn drop(&mut self) {
        self.scheduler.set_nature(None);
        for id in std::mem::take(&mut self.running) {
            self.outside.kill(id);
            // Why the run failed has been said.
            let _ = self.scheduler.end(id);
        }
    }
}

pub(super) fn play<D, A>(
    simulation: &Simulation<D, A>,
    plan: &Plan,
    trace: &Trace,
) -> Result<Report, String>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    let undisturbed = match simulation.expectation {
        Expectation::Oracle { .. } => None,
        Expectation::Undisturbed => {
            let calm = Plan::calm(plan.seed);
            let mut world = World::new(simulation, &calm, &Trace::default());
            world.topic.write_rest();
            world.last_start()?;
            Some(world.found()?)
        }
    };
    let mut plan = plan.clone();
    if undisturbed.is_some() {
        plan.make_exact();
    }
    let mut world = World::new(simulation, &plan, trace);
    world.play(undisturbed.as_ref())
}

impl<'a, D, A> World<'a, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    fn new(simulation: &'a Simulation<D, A>, plan: &'a Plan, trace: &Trace) -> Self {
        let seed = plan.seed;
        let outside = Outside::new(seed, trace.clone());
        outside.set_weakness(plan.weakness);
        let blobs = MemoryBlobs::new(&outside);
        let records = simulation.records.clone();
        let expected = match &simulation.expectation {
            Expectation::Oracle { expected, .. } => Some(&**expected),
            Expectation::Undisturbed => None,
        };
        let laws = Laws::new(&records, expected, plan.is_exact(), Path::new(OUT), &blobs);
        World {
            simulation,
            plan,
            disk: MemoryDisk::new(&outside),
            blobs,
            scheduler: Scheduler::new(seed, plan.pace, MOVES_MAX, &outside),
            topic: Topic::new(&simulation.topic, records, plan.added_partitions, seed),
            outside,
            trace: trace.clone(),
            laws,
            random: SplitMix64::stream(seed, 0x776f_726c_6400_0000),
            next_process: 0,
            ask_at: Arc::default(),
            report: Report::default(),
            running: Vec::new(),
            discoveries: Arc::default(),
        }
    }

    fn play(&mut self, undisturbed: Option<&Found>) -> Result<Report, String> {
        if !self.plan.live {
            self.topic.write_rest();
        }
        let mut starts = self.plan.starts.iter();
        while let Some(start) = starts.next() {
            self.set_nature();
            self.disturbed_start(start, &mut starts)?;
            if self.has_finished() {
                break;
            }
        }
        self.last_start()?;
        self.judge(undisturbed)?;
        let (checkpoints, _) = self.laws.counts();
        self.report.checkpoints = checkpoints;
        self.report.moves = self.scheduler.moves();
        self.report.operations = self.outside.operations();
        self.report.records = self.simulation.records.iter().map(|r| r.len() as u64).sum();
        Ok(self.report)
    }

    fn has_finished(&self) -> bool {
        let cut = self.laws.newest().and_then(|newest| newest.cut.as_ref());
        cut.is_some_and(|cut| cut.finished)
    }

    /// Starts a process and lets it end as planned.
    fn disturbed_start<'b>(
        &mut self,
        start: &Start,
        others: &mut impl Iterator<Item = &'b Start>,
    ) -> Result<(), String> {
        let id = self.next_id();
        self.trace.line(format_args!("{id}: {start:?}"));
        let crash_at = match start.end {
            End::DiesOf { operation } => Some(self.outside.operations() + operation),
            _ => None,
        };
        self.outside.crash_at_operation(crash_at);
        // A process that meets trouble while it starts does not get far.
        let is_early = self.random.happens(0.2);
        self.outside.set_rates(if is_early { self.plan.faults } else { FaultRates::default() });
        if !is_early {
            self.outside.set_spell(None);
        }
        let process = self.start(id, start, !self.plan.live);
        self.outside.set_rates(self.plan.faults);
        self.ask_after(match start.end {
            End::Killed { after_moves }
            | End::Stopped { after_moves }
            | End::Returns { after_moves } => after_moves,
            // One that reads to an end comes to it.
            End::DiesOf { .. } if self.plan.live => super::plan::MOVES_MAX,
            End::DiesOf { .. } => u64::MAX,
        });
        let Some(process) = process? else { return Ok(()) };
        match (self.conduct()?, start.end) {
            (Interrupt::Asked, End::Stopped { .. }) => {
                self.trace.line(format_args!("{id} is asked to stop"));
                process.stop.request();
                self.ask_after(STOP_MOVES);
                self.conduct()?;
            }
            (Interrupt::Asked, End::Returns { .. }) => {
                if let Some(other) = others.next() {
                    return self.rivals(process, other);
                }
            }
            _ => {}
        }
        self.end(process, start.power_lost)
    }

    /// A process stands still, another one takes over, and the first comes back.
    fn rivals(&mut self, old: Process, start: &Start) -> Result<(), String> {
        let id = self.next_id();
        self.trace.line(format_args!("{} stands still; {id}: {start:?}", old.id));
        self.scheduler.suspend(old.id, true);
        // As a volume that is attached elsewhere. (On one machine, a lock keeps the new one out.)
        self.outside.unmount(old.id);
        self.disk.process_died(old.id);
        self.outside.crash_at_operation(None);
        let new = self.start(id, start, !self.plan.live);
        self.ask_after(STANDSTILL_MOVES);
        let new = new?;
        if new.is_some() {
            self.conduct()?;
        }
        self.trace.line(format_args!("{} comes back", old.id));
        self.scheduler.suspend(old.id, false);
        self.ask_after(RIVALRY_MOVES);
        if self.conduct()? != Interrupt::Asked {
            // One of them has left; the other one goes on for a while.
            self.ask_after(STANDSTILL_MOVES);
            self.conduct()?;
        }
        // Without a disk it may try for ever.
        self.outside.kill(old.id);
        self.end_of(old, false, true)?;
        if let Some(new) = new {
            self.end(new, start.power_lost)?;
        }
        Ok(())
    }

    /// Starts a process that nothing disturbs, and that has to finish.
    fn last_start(&mut self) -> Result<(), String> {
        self.outside.set_rates(FaultRates::default());
        self.outside.set_spell(None);
        self.outside.crash_at_operation(None);
        self.scheduler.set_nature(None);
        self.blobs.settle();
        self.check()?;
        self.topic.write_rest();
        let id = self.next_id();
        let workers = self.plan.last_workers;
        self.trace.line(format_args!("{id}: the last start, {workers} workers"));
        let was_finished = self.has_finished();
        let start = Start {
            workers,
            end: End::Killed { after_moves: u64::MAX },
            power_lost: false,
            eager: false,
        };
        let Some(process) = self.start(id, &start, true)? else {
            // What is finished is not started again, but its outputs are complete.
            return if was_finished { Ok(()) } else { Err(format!("{id} did not start")) };
        };
        let interrupt = self.conduct()?;
        if interrupt != Interrupt::Left(id) {
            return Err(format!("{id}: {interrupt:?}"));
        }
        let summary = match process.ended() {
            Ended::Well(summary) => summary,
            other => return Err(format!("{id} ended: {other:?}")),
        };
        self.take_down(id)?;
        self.check()?;
        let ledger = &summary.ledger;
        if !summary.finished || !ledger.balances() {
            return Err(format!("{id} did not finish: {summary:?}"));
        }
        self.report.rows = summary.final_rows;
        if !self.has_finished() {
            return Err("the end of the run is not in a checkpoint".to_owned());
        }
        Ok(())
    }

    fn next_id(&mut self) -> ProcessId {
        self.next_process += 1;
        self.report.starts += 1;
        let id = ProcessId(self.next_process);
        self.running.push(id);
        id
    }

    /// Starts a process; `None` if it did not want to, and that is excused.
    fn start(
        &mut self,
        id: ProcessId,
        start: &Start,
        bounded: bool,
    ) -> Result<Option<Process>, String> {
        let wall = self.random.below(3_600_000);
        match process::start(self, id, start, bounded, wall) {
            Ok((process, discovery)) => {
                let mut all = self.discoveries.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(discovery);
                drop(all);
                Ok(Some(process))
            }
            Err(error) => {
                self.trace.line(format_args!("{id} does not start: {error}"));
                self.check()?;
                let is_over = bounded && self.has_finished();
                let excuse = self.is_excused(id) || is_over;
                self.outside.kill(id);
                self.take_down(id)?;
                self.check()?;
                self.report.errors += u64::from(!is_over);
                if excuse { Ok(None) } else { Err(format!("{id} does not start: {error}")) }
            }
        }
    }

    /// Gives the baton away until there is something to decide.
    fn conduct(&mut self) -> Result<Interrupt, String> {
        let interrupt = self.scheduler.conduct();
        self.check()?;
        interrupt
    }

    fn check(&mut self) -> Result<(), String> {
        self.laws.check(self.outside.take_journal())
    }

    /// Ends a process as it is.
    fn end(&mut self, process: Process, power_lost: bool) -> Result<(), String> {
        self.end_of(process, power_lost, false)
    }

    fn end_of(&mut self, process: Process, power_lost: bool, rivals: bool) -> Result<(), String> {
        let id = process.id;
        match process.ended() {
            Ended::Not => self.report.crashes += 1,
            Ended::Well(summary) => self.trace.line(format_args!("{id} ended: {summary:?}")),
            Ended::Late => self.report.errors += 1,
            Ended::Badly(error) => {
                self.report.errors += 1;
                self.trace.line(format_args!("{id} ended: {error}"));
                if !(rivals || self.is_excused(id)) {
                    return Err(format!("{id} ended without a reason: {error}"));
                }
            }
        }
        self.outside.kill(id);
        self.take_down(id)?;
        if power_lost {
            self.report.power_losses += 1;
            self.trace.line(format_args!("the power goes"));
            self.disk.power_lost(&mut self.random);
            self.blobs.power_lost(&mut self.random);
        }
        self.check()
    }

    /// Whether a process may end with an error.
    fn is_excused(&self, id: ProcessId) -> bool {
        self.outside.is_dead(id) || 0 < self.outside.faults(id)
    }

    fn take_down(&mut self, id: ProcessId) -> Result<(), String> {
        self.running.retain(|running| *running != id);
        self.disk.process_died(id);
        self.scheduler.end(id)
    }

    /// The conductor wants to be asked after so many moves.
    fn ask_after(&self, moves: u64) {
        let at = self.scheduler.moves().saturating_add(moves);
        self.ask_at.store(at, Ordering::SeqCst);
    }

    /// What happens from outside while a process is disturbed.
    fn set_nature(&mut self) {
        let (topic, outside, scheduler) =
            (self.topic.clone(), self.outside.clone(), self.scheduler.clone());
        let ask_at = Arc::clone(&self.ask_at);
        let mut random = SplitMix64::new(self.random.next_u64());
        let (live, spells) = (self.plan.live, self.plan.spells.clone());
        let blob_spells = self.plan.blob_spells;
        let discoveries = Arc::clone(&self.discoveries);
        self.scheduler.set_nature(Some(Box::new(move || {
            if ask_at.load(Ordering::SeqCst) <= scheduler.moves() {
                ask_at.store(u64::MAX, Ordering::SeqCst);
                return Act::Interrupt;
            }
            if live && random.happens(0.7) {
                topic.write_some();
            }
            if live && random.happens(0.3) {
                let mut discoveries = discoveries.lock().unwrap_or_else(PoisonError::into_inner);
                discoveries.retain_mut(Discovery::look);
            }
            if random.happens(0.05) {
                let kinds = spells.len() as u64 + u64::from(blob_spells);
                let drawn = random.below(2 * kinds.max(1)) as usize;
                outside.set_spell(match spells.get(drawn) {
                    Some(kind) => Some(Spell::Disk(*kind)),
                    None if drawn == spells.len() && blob_spells => Some(Spell::Blobs),
                    None => None,
                });
            }
            Act::GoOn
        })));
    }

    fn found(&self) -> Result<Found, String> {
        let out = Directory::on(self.disk.seen_from_above(), OUT);
        let names = self.simulation.table.columns.iter().map(|(name, _)| name.as_str());
        Found::read_in(&out, &names.collect::<Vec<_>>())
    }

    /// Holds what is there at the end against what must be.
    fn judge(&mut self, undisturbed: Option<&Found>) -> Result<(), String> {
        let found = self.found()?;
        self.report.files = found.files as u64;
        self.report.rows = found.rows.len() as u64;
        match &self.simulation.expectation {
            Expectation::Oracle { judge, .. } => judge(&found, self.plan.is_exact())?,
            Expectation::Undisturbed => {
                let files = undisturbed.map_or(0, |undisturbed| undisturbed.files);
                let found = Found { files, ..found.clone() };
                if Some(&found) != undisturbed {
                    return Err("the outputs are not those of an undisturbed run".to_owned());
                }
            }
        }
        let ledger = self.laws.newest().and_then(|newest| Some(newest.cut.as_ref()?.ledger()));
        let ledger = ledger.ok_or("there is no checkpoint")?;
        let rejected = (found.late.len() as u64, found.dead.len() as u64);
        if (ledger.late, ledger.dead_letters()) != rejected {
            return Err(format!("the ledger says {ledger:?}, the outputs {rejected:?}"));
        }
        let out = Directory::on(self.disk.seen_from_above(), OUT);
        no_leftovers(&out)
    }
}

/// Whether nothing hidden is left over.
fn no_leftovers(directory: &Directory) -> Result<(), String> {
    for entry in directory.list().map_err(|error| error.to_string())? {
        if entry.name.starts_with('.') {
            let path = directory.path().join(&entry.name);
            return Err(format!("{} is left over", path.display()));
        }
        if entry.kind == EntryKind::Directory {
            let below = directory.subdirectory(&entry.name).map_err(|error| error.to_string())?;
            no_leftovers(&below)?;
        }
    }
    Ok(())
}
