//! One run: starts of the job one after the other, until one is left alone and finishes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use strandline_engine::checkpoint::manifest::{FORMAT, Manifest};
use strandline_engine::job::Stop;
use strandline_engine::store::{Directory, EntryKind};
use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;
use xxhash_rust::xxh3::xxh3_64;

use super::blobs::MemoryBlobs;
use super::disk::MemoryDisk;
use super::group::{Group, Member, Outcome, summary};
use super::laws::Laws;
use super::outside::{FaultRates, Outside, ProcessId, Spell};
use super::plan::{End, Mode, PROCESSES_MAX, Places, Plan, Start};
use super::process::{self, Discovery, Ended, Meeting, Setup};
use super::scheduler::{Act, Interrupt, Scheduler};
use super::topic::Topic;
use super::trace::Trace;
use super::{Expectation, Report, Simulation};
use crate::judge::Found;
use crate::random::SplitMix64;

/// `--out`.
pub(super) const OUT: &str = "out";
/// The file in `OUT` that says which directory it is.
const ID_FILE: &str = ".strandline-id";
/// A blob that only a checkpoint of a version to come knows.
const NEWER_BLOB: &str = "cut-999999999999-00000000000000000001-000";
/// Most moves of a run: a run that makes no end in them does not make one.
const MOVES_MAX: u64 = 200_000;
/// How long a process that has been asked to stop is given, in moves, before it is killed.
const STOP_MOVES: u64 = 3_000;
/// How long the other processes of a job go on when one of them is dead, in moves.
const SURVIVAL_MOVES: u64 = 1_000;
/// How long the other processes of a job may take to end after one that has, in moves.
const FOLLOW_MOVES: u64 = 10_000;
/// How long another process runs while one stands still, in moves, at most.
const STANDSTILL_MOVES: u64 = 800;
/// How long two processes run against each other, in moves.
const RIVALRY_MOVES: u64 = 4_000;

/// Everything of a run that outlives a process.
pub(super) struct World<'a, D, A> {
    pub(super) simulation: &'a Simulation<D, A>,
    pub(super) plan: &'a Plan,
    pub(super) outside: Outside,
    /// One of each place where rows go.
    pub(super) disks: Vec<MemoryDisk>,
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
    /// Those that have been started and not been ended.
    groups: Vec<Group>,
    /// How often operations fail once a process has been started.
    faults: FaultRates,
    /// Whether retention has passed what is to be read.
    has_lost: Arc<AtomicBool>,
    /// A start that was to begin anew and has not come to its claim: the user tries again.
    anew: Option<Mode>,
    /// So many processes had places of their own, at most.
    places: usize,
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
            disks: (0..if plan.places == Places::Own { PROCESSES_MAX } else { 1 })
                .map(|number| {
                    let disk = MemoryDisk::new(&outside).with_number(number);
                    disk.with_descriptors_max(plan.descriptors_max)
                })
                .collect(),
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
            groups: Vec::new(),
            faults: FaultRates::default(),
            has_lost: Arc::default(),
            anew: None,
            places: 1,
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

    /// Starts a job and lets it end as planned.
    fn disturbed_start<'b>(
        &mut self,
        start: &Start,
        others: &mut impl Iterator<Item = &'b Start>,
    ) -> Result<(), String> {
        let start = self.as_it_can_be(start);
        // A process that meets trouble while it starts does not get far.
        let is_early = self.random.happens(0.2);
        self.faults = self.plan.faults;
        self.outside.set_rates(if is_early { self.plan.faults } else { FaultRates::default() });
        if !is_early {
            self.outside.set_spell(None);
        }
        self.launch(&start, !self.plan.live)?;
        let victim = self.last()?.victim();
        self.outside.crash_at_operation(match start.end {
            End::DiesOf { operation } => Some((victim, operation)),
            _ => None,
        });
        self.outside.hold_at_operation(match start.end {
            End::Held { operation } => Some((victim, operation)),
            _ => None,
        });
        self.ask_after(match start.end {
            End::Killed { after_moves }
            | End::Stopped { after_moves }
            | End::Returns { after_moves } => after_moves,
            // One that reads to an end comes to it.
            End::DiesOf { .. } | End::Held { .. } if self.plan.live => super::plan::MOVES_MAX,
            End::DiesOf { .. } | End::Held { .. } => u64::MAX,
        });
        let mut next = Next::AsPlanned;
        loop {
            let event = self.next_event()?;
            match (event, next) {
                (Event::Over(_) | Event::Refused(_), _) => break,
                (Event::Asked, Next::Told) => break,
                (Event::Asked, Next::Tells) => {
                    self.trace.line(format_args!("the others hear of it"));
                    self.last()?.tell_of_deaths();
                    next = Next::Told;
                    self.ask_after(STOP_MOVES);
                }
                (Event::Asked, Next::AsPlanned) => match start.end {
                    End::Killed { .. } => {
                        let (outside, scheduler) = (self.outside.clone(), self.scheduler.clone());
                        let last = self.last()?;
                        last.kill(victim, &outside, &scheduler);
                        if !last.has_survivors() {
                            break;
                        }
                        next = Next::Tells;
                        self.ask_after(SURVIVAL_MOVES);
                    }
                    End::Stopped { .. } => {
                        self.trace.line(format_args!("it is asked to stop"));
                        self.last()?.stop();
                        next = Next::Told;
                        self.ask_after(STOP_MOVES);
                    }
                    End::Returns { .. } => return self.rivals(others.next()),
                    End::DiesOf { .. } | End::Held { .. } => break,
                },
                (Event::Held, _) => return self.rivals(others.next()),
                (Event::Died, _) => {
                    if !self.last()?.has_survivors() {
                        break;
                    }
                    next = Next::Tells;
                    self.ask_after(SURVIVAL_MOVES);
                }
            }
        }
        self.end_last(start.power_lost, false)
    }

    /// What can be of a planned start.
    fn as_it_can_be(&mut self, start: &Start) -> Start {
        let mut start = start.clone();
        // One that was to begin anew, and did not, is tried again.
        start.mode = self.anew.unwrap_or(start.mode);
        let has_any = self.laws.newest().is_some_and(|newest| newest.cut.is_some());
        if !has_any && self.anew.is_none() {
            start.mode = Mode::Continue;
        }
        if matches!(start.mode, Mode::Replace | Mode::Append) {
            self.anew = Some(start.mode);
        }
        start
    }

    /// Some processes stand still, others take over, and the first come back.
    fn rivals(&mut self, start: Option<&Start>) -> Result<(), String> {
        let Some(start) = start else { return self.end_last(false, false) };
        let start = Start { mode: self.anew.unwrap_or(Mode::Continue), ..start.clone() };
        let old = self.last()?.ids();
        self.trace.line(format_args!("{old:?} stand still"));
        for id in &old {
            self.scheduler.suspend(*id, true);
            // As a volume that is attached elsewhere. (On one machine, a lock keeps the new one
            // out.)
            self.outside.unmount(*id);
            self.process_died(*id);
        }
        self.outside.crash_at_operation(None);
        self.outside.hold_at_operation(None);
        self.launch(&start, !self.plan.live)?;
        let standstill = 1 + self.random.below(STANDSTILL_MOVES);
        self.ask_after(standstill);
        while !matches!(self.next_event()?, Event::Asked | Event::Refused(_) | Event::Over(_)) {}
        self.trace.line(format_args!("{old:?} come back"));
        for id in &old {
            self.scheduler.suspend(*id, false);
        }
        self.ask_after(RIVALRY_MOVES);
        let mut others = true;
        while others {
            match self.next_event()? {
                Event::Asked => others = false,
                // One of them has left; the other one goes on for a while.
                Event::Over(_) | Event::Refused(_) => self.ask_after(STANDSTILL_MOVES),
                Event::Died | Event::Held => {}
            }
        }
        // Without a disk it may try for ever.
        let new = self.groups.pop().ok_or("nobody was started")?;
        for id in &old {
            self.outside.kill(*id);
        }
        self.end_last(false, true)?;
        self.groups.push(new);
        self.end_last(start.power_lost, true)
    }

    /// Starts a job that nothing disturbs, and that has to finish.
    fn last_start(&mut self) -> Result<(), String> {
        self.outside.set_rates(FaultRates::default());
        self.faults = FaultRates::default();
        self.outside.set_spell(None);
        self.outside.crash_at_operation(None);
        self.outside.hold_at_operation(None);
        self.scheduler.set_nature(None);
        self.ask_after(u64::MAX);
        self.blobs.settle();
        self.check()?;
        self.topic.bring_back();
        self.topic.write_rest();
        // Every place has to be there.
        let processes = match self.plan.places {
            Places::Own => self.plan.last_processes.max(self.places),
            Places::Shared => self.plan.last_processes,
        };
        let mut start = Start::calm(processes, self.plan.last_workers);
        start.mode = self.anew.unwrap_or(Mode::Continue);
        self.launch(&start, true)?;
        let event = self.next_event()?;
        let group = self.last()?;
        let leader = group.ids()[0];
        if let Some(refused) = &group.refused {
            return Err(format!("{leader} did not start: {refused}"));
        }
        if !matches!(event, Event::Over(_)) {
            return Err(format!("{leader}: {event:?}"));
        }
        let Some(group) = self.groups.last_mut() else { return Err("nobody was started".into()) };
        let ended = group.ended();
        let Some(summary) = summary(&ended) else {
            return Err(format!("{leader} ended: {ended:?}"));
        };
        let bad = ended.iter().find(|(_, ended)| !matches!(ended, Ended::Well(_)));
        if let Some((id, ended)) = bad {
            return Err(format!("{id} ended: {ended:?}"));
        }
        self.take_down_last()?;
        self.check()?;
        let ledger = &summary.ledger;
        if !summary.finished || !ledger.balances() {
            return Err(format!("{leader} did not finish: {summary:?}"));
        }
        self.report.rows = summary.final_rows;
        if !self.has_finished() {
            return Err("the end of the run is not in a checkpoint".to_owned());
        }
        Ok(())
    }

    /// Begins to start the processes of a job.
    fn launch(&mut self, start: &Start, bounded: bool) -> Result<(), String> {
        self.trace.line(format_args!("{start:?}"));
        if self.plan.places == Places::Own {
            self.places = self.places.max(start.processes);
        }
        let planted = (start.mode == Mode::NewerFormat)
            .then(|| self.laws.newest().map(|newest| newer(newest, newest.number + 1)))
            .flatten();
        if let Some((name, bytes)) = planted {
            self.trace.line(format_args!("{name} is of a version to come"));
            self.blobs.plant(&name, bytes);
            self.blobs.plant(NEWER_BLOB, vec![1]);
        }
        if start.mode == Mode::OlderFormat {
            self.rewrite_in_first_format();
        }
        self.laws.begin_start(start.mode);
        let mut group =
            Group { start: start.clone(), members: Vec::new(), running: false, refused: None };
        let meeting = Meeting::of(start.processes);
        for process in 0..start.processes {
            self.next_process += 1;
            self.report.starts += 1;
            let id = ProcessId(self.next_process);
            self.running.push(id);
            let (stop, outcome) = (Stop::default(), Outcome::default());
            let disk = self.disks[process % self.disks.len()].seen_by(id);
            let setup = Setup {
                id,
                process,
                workers: start.workers,
                mode: start.mode,
                bounded,
                wall_ms: self.random.below(3_600_000),
                stop: stop.clone(),
                meeting: meeting.clone(),
                plan: self.plan.clone(),
                disk,
                blobs: self.blobs.clone(),
                scheduler: self.scheduler.clone(),
                topic: self.topic.clone(),
                outside: self.outside.clone(),
                decoder: self.simulation.decoder.clone(),
                aggregate: self.simulation.aggregate.clone(),
                table: self.simulation.table.clone(),
                options: self.simulation.options,
                topic_name: self.simulation.topic.clone(),
            };
            let into = Arc::clone(&outcome);
            self.scheduler.begin(id, move || {
                let started = process::start(setup);
                *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
            })?;
            group.members.push(Member {
                id,
                stop,
                outcome,
                process: None,
                begun: false,
                dead: false,
                left: false,
            });
        }
        self.groups.push(group);
        Ok(())
    }

    /// Puts the newest checkpoint there as the first version would have written it. What is hidden had
    /// other names then, so there must be nothing.
    fn rewrite_in_first_format(&mut self) {
        let Some(newest) = self.laws.newest() else { return };
        let processes = newest.cut.iter().flat_map(|cut| &cut.processes);
        let hides = processes.into_iter().any(|process| !process.outputs.staged.is_empty());
        if newest.cut.is_none() || hides {
            return;
        }
        let (name, bytes) = in_first_format(newest);
        self.trace.line(format_args!("{name} is of the first format"));
        self.blobs.replace(&name, bytes);
        self.laws.forget_places();
    }

    /// The processes that were started last.
    fn last(&mut self) -> Result<&mut Group, String> {
        self.groups.last_mut().ok_or_else(|| "nobody was started".to_owned())
    }

    /// Gives the baton away until there is something to decide.
    fn next_event(&mut self) -> Result<Event, String> {
        loop {
            let interrupt = self.scheduler.conduct();
            self.check()?;
            let interrupt = interrupt?;
            let of = interrupt.process();
            let index = self.groups.iter().position(|group| of.is_some_and(|id| group.has(id)));
            let (Some(index), Some(id)) = (index, of) else {
                if interrupt == Interrupt::Asked {
                    return Ok(Event::Asked);
                }
                continue;
            };
            let group = &mut self.groups[index];
            match interrupt {
                Interrupt::Asked => return Ok(Event::Asked),
                Interrupt::Held(_) => return Ok(Event::Held),
                Interrupt::Died(_) => {
                    group.kill(id, &self.outside, &self.scheduler);
                    return Ok(Event::Died);
                }
                Interrupt::Left(_) => {
                    let has_failed = group.left(id);
                    if group.is_over() {
                        return Ok(Event::Over(index));
                    }
                    if has_failed {
                        self.trace.line(format_args!("{id} has failed, and the others hear of it"));
                    }
                    // The others end too, unless a worker waits for a disk that takes nothing.
                    let latest = self.scheduler.moves() + FOLLOW_MOVES;
                    if latest < self.ask_at.load(Ordering::SeqCst) {
                        self.ask_after(FOLLOW_MOVES);
                    }
                }
                Interrupt::Started(_) => {
                    if let Some(found) = group.started(id, &self.scheduler)? {
                        self.outside.set_rates(self.faults);
                        let mut all =
                            self.discoveries.lock().unwrap_or_else(PoisonError::into_inner);
                        // Only the leading process hears of new partitions.
                        all.extend(found.into_iter().next());
                    }
                    if group.refused.is_some() {
                        return Ok(Event::Refused(index));
                    }
                }
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        self.laws.check(self.outside.take_journal(), &self.disks)?;
        if self.laws.has_begun_anew() {
            self.anew = None;
        }
        Ok(())
    }

    /// Ends the processes that were started last as they are.
    fn end_last(&mut self, power_lost: bool, rivals: bool) -> Result<(), String> {
        let is_over = self.has_finished();
        self.outside.crash_at_operation(None);
        self.outside.hold_at_operation(None);
        let Some(group) = self.groups.last_mut() else { return Ok(()) };
        let ids = group.ids();
        for id in ids.iter().filter(|id| !self.outside.is_dead(**id)) {
            // It is waited for.
            self.scheduler.suspend(*id, false);
        }
        let ended = group.ended();
        let (mode, refused) = (group.start.mode, group.refused.clone());
        let has_dead = ids.iter().any(|id| self.outside.is_dead(*id));
        let is_excused = rivals
            || has_dead
            || ids.iter().any(|id| 0 < self.outside.faults(*id))
            || self.has_lost.swap(false, Ordering::SeqCst);
        let mut verdict = Ok(());
        let mut recovers = Vec::new();
        if let Some(error) = refused {
            self.trace.line(format_args!("it does not start: {error}"));
            self.report.errors += 1;
            let is_to_be = matches!(mode, Mode::Misspelt | Mode::NewerFormat);
            let misses = self.missed_places(mode, ids.len());
            if !(is_excused || is_over || is_to_be || !misses.is_empty()) {
                verdict = Err(format!("{} does not start: {error}", ids[0]));
            } else if self.random.happens(0.5) {
                recovers = misses;
            }
        } else if group.running && matches!(mode, Mode::Misspelt | Mode::NewerFormat) {
            verdict = Err(format!("{} started, and should have been refused: {mode:?}", ids[0]));
        }
        let is_followed = |ended: &Ended| matches!(ended, Ended::Late | Ended::Badly(_));
        let is_cause = has_dead || ended.iter().any(|(_, ended)| is_followed(ended));
        for (id, ended) in &ended {
            match ended {
                Ended::Not => self.report.crashes += 1,
                Ended::Well(summary) => self.trace.line(format_args!("{id} ended: {summary:?}")),
                Ended::Late => self.report.errors += 1,
                Ended::Followed(error) => {
                    self.report.errors += 1;
                    self.trace.line(format_args!("{id} ended: {error}"));
                    if !is_cause {
                        verdict = Err(format!("{id} ended, and no other is gone: {error}"));
                    }
                }
                Ended::Badly(error) => {
                    self.report.errors += 1;
                    self.trace.line(format_args!("{id} ended: {error}"));
                    if !is_excused && verdict.is_ok() {
                        verdict = Err(format!("{id} ended without a reason: {error}"));
                    }
                }
            }
        }
        self.take_down_last()?;
        verdict?;
        self.check()?;
        self.topic.bring_back();
        if mode == Mode::NewerFormat {
            self.blobs.remove_planted()?;
        }
        self.laws.end_start();
        for place in recovers {
            self.recover_place(place)?;
        }
        if summary(&ended).is_some_and(|summary| summary.finished) {
            self.trace.line(format_args!("it has finished: everything has to be there"));
            let found = self.found()?;
            self.judge_found(&found, None)?;
        }
        if power_lost {
            self.report.power_losses += 1;
            self.trace.line(format_args!("the power goes"));
            for disk in &self.disks {
                disk.power_lost(&mut self.random);
            }
            self.laws.power_lost(self.disks.len());
            self.blobs.power_lost(&mut self.random);
        }
        self.check()
    }

    /// The places whose files the newest checkpoint lists, and that a start of so many processes does
    /// not have.
    fn missed_places(&self, mode: Mode, processes: usize) -> Vec<usize> {
        let newest = self.laws.newest().filter(|_| mode == Mode::Continue);
        if self.plan.places == Places::Shared {
            return Vec::new();
        }
        let all = newest.iter().flat_map(|newest| &newest.cut).flat_map(|cut| &cut.processes);
        let missed = all
            .filter(|process| processes <= process.process && !process.outputs.staged.is_empty());
        missed.map(|process| process.process).collect()
    }

    /// Shows the files of a place that no process has any more, as the user does who hears of it.
    fn recover_place(&mut self, place: usize) -> Result<(), String> {
        self.trace.line(format_args!("the files of place {place} are shown"));
        self.outside.set_rates(FaultRates::default());
        self.outside.set_spell(None);
        self.next_process += 1;
        let id = ProcessId(self.next_process);
        let out = Directory::on(self.disks[place].seen_by(id), OUT);
        process::recover_place(&out, &*self.blobs.seen_by(id))?;
        self.process_died(id);
        self.check()
    }

    fn take_down_last(&mut self) -> Result<(), String> {
        let Some(group) = self.groups.pop() else { return Ok(()) };
        for id in group.ids() {
            self.outside.kill(id);
        }
        for id in group.ids() {
            self.running.retain(|running| *running != id);
            self.process_died(id);
            self.scheduler.end(id)?;
        }
        drop(group);
        Ok(())
    }

    fn process_died(&self, id: ProcessId) {
        for disk in &self.disks {
            disk.process_died(id);
        }
    }

    /// The conductor wants to be asked after so many moves.
    fn ask_after(&self, moves: u64) {
        let at = self.scheduler.moves().saturating_add(moves);
        self.ask_at.store(at, Ordering::SeqCst);
        self.scheduler.forget_asked();
    }

    /// What happens from outside while a process is disturbed.
    fn set_nature(&mut self) {
        let (topic, outside, scheduler) =
            (self.topic.clone(), self.outside.clone(), self.scheduler.clone());
        let ask_at = Arc::clone(&self.ask_at);
        let mut random = SplitMix64::new(self.random.next_u64());
        let (live, spells) = (self.plan.live, self.plan.spells.clone());
        let blob_spells = self.plan.blob_spells;
        let (retention, has_lost) = (self.plan.retention, Arc::clone(&self.has_lost));
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
            if retention && random.happens(0.02) {
                has_lost.store(true, Ordering::SeqCst);
                topic.lose_some(&mut random);
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

    /// Everything that is visible in all places.
    fn found(&self) -> Result<Found, String> {
        let names = self.simulation.table.columns.iter().map(|(name, _)| name.as_str());
        let job = self.laws.newest().map_or("", |newest| &newest.job);
        Found::read_all(&self.outs(), &names.collect::<Vec<_>>(), job)
    }

    fn outs(&self) -> Vec<Directory> {
        let out = |disk: &MemoryDisk| Directory::on(disk.seen_from_above(), OUT);
        self.disks.iter().map(out).collect()
    }

    /// Holds what is there at the end against what must be.
    fn judge(&mut self, undisturbed: Option<&Found>) -> Result<(), String> {
        let found = self.found()?;
        self.report.files = found.files as u64;
        self.report.rows = found.rows.len() as u64;
        self.judge_found(&found, undisturbed)?;
        let ledger = self.laws.newest().and_then(|newest| Some(newest.cut.as_ref()?.ledger()));
        let ledger = ledger.ok_or("there is no checkpoint")?;
        let rejected = (found.late.len() as u64, found.dead.len() as u64);
        if (ledger.late, ledger.dead_letters()) != rejected {
            return Err(format!("the ledger says {ledger:?}, the outputs {rejected:?}"));
        }
        let job = self.laws.newest().map(|newest| newest.job.clone()).unwrap_or_default();
        self.outs().iter().try_for_each(|out| no_leftovers(out, &job))
    }

    fn judge_found(&self, found: &Found, undisturbed: Option<&Found>) -> Result<(), String> {
        match &self.simulation.expectation {
            Expectation::Oracle { judge, .. } => judge(found, self.plan.is_exact()),
            Expectation::Undisturbed => {
                let Some(undisturbed) = undisturbed else { return Ok(()) };
                let found = Found { files: undisturbed.files, ..found.clone() };
                if found == *undisturbed {
                    return Ok(());
                }
                Err("the outputs are not those of an undisturbed run".to_owned())
            }
        }
    }
}

/// What the conductor has to decide about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Event {
    /// It wanted to be asked.
    Asked,
    /// All processes of a start have ended.
    Over(usize),
    /// A start was refused.
    Refused(usize),
    /// A process has died of an operation.
    Died,
    /// A process is held still before an operation.
    Held,
}

/// What the conductor does when it is next asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Next {
    AsPlanned,
    /// It tells the survivors that somebody is dead.
    Tells,
    /// It ends what is left.
    Told,
}

/// A manifest of a version to come: what it says, nobody knows yet.
fn newer(newest: &Manifest, number: u64) -> (String, Vec<u8>) {
    let stored = newest.to_bytes();
    let text = String::from_utf8_lossy(&stored);
    let json = text.split('\n').next().unwrap_or_default();
    let (now, then) = (format!("\"format\":{FORMAT}"), format!("\"format\":{}", FORMAT + 41));
    (Manifest::name(number), with_checksum(&json.replacen(&now, &then, 1)))
}

/// A manifest as the first version wrote it, which said nothing of places.
fn in_first_format(manifest: &Manifest) -> (String, Vec<u8>) {
    let mut manifest = Manifest { format: 1, outputs: None, ..manifest.clone() };
    for process in manifest.cut.iter_mut().flat_map(|cut| &mut cut.processes) {
        process.place = None;
    }
    let json = serde_json::to_string(&manifest).unwrap_or_default();
    (Manifest::name(manifest.number), with_checksum(&json))
}

fn with_checksum(json: &str) -> Vec<u8> {
    let checksum = xxh3_64(json.as_bytes());
    format!("{json}\nxxh3 {checksum:016x}\n").into_bytes()
}

/// Whether nothing hidden is left over of the job.
fn no_leftovers(directory: &Directory, job: &str) -> Result<(), String> {
    let is_staging = directory.path().parent().is_some_and(|parent| parent.ends_with(".staged"));
    for entry in directory.list().map_err(|error| error.to_string())? {
        // A checkpoint of another job may count on its hidden files.
        let is_of_job = is_staging && entry.name.contains(job);
        let is_hidden =
            entry.name.starts_with('.') && ![ID_FILE, ".staged"].contains(&&*entry.name);
        if is_hidden || is_of_job {
            let path = directory.path().join(&entry.name);
            return Err(format!("{} is left over", path.display()));
        }
        if entry.kind == EntryKind::Directory {
            let below = directory.subdirectory(&entry.name).map_err(|error| error.to_string())?;
            no_leftovers(&below, job)?;
        }
    }
    Ok(())
}
