//! One run: starts of the job one after the other, until one is left alone and finishes.
//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | `world` | everything that outlives a process |
//! | `nature` | what happens from outside while processes run |
//! | `launch` | how processes are started; `formats`: what other versions left for them |
//! | `events` | what is heard of them |
//! | `verdict` | what the outputs must be |
//! | `ending` | how they are ended, and judged |
//! | here | which of that happens when |
//!
//! All know the world, and `ending` knows the verdict.

mod ending;
mod events;
mod formats;
mod launch;
mod nature;
mod verdict;
mod world;

use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use self::events::Event;
use self::world::World;
use super::group::summary;
use super::outside::FaultRates;
use super::plan::{End, Mode, Places, Plan, Start};
use super::process::Ended;
use super::trace::Trace;
use super::{Expectation, Report, Simulation};
use crate::judge::Found;

/// How long a process that has been asked to stop is given, in moves, before it is killed.
const STOP_MOVES: u64 = 3_000;
/// How long the other processes of a job go on when one of them is dead, in moves.
const SURVIVAL_MOVES: u64 = 1_000;
/// How long another process runs while one stands still, in moves, at most.
const STANDSTILL_MOVES: u64 = 800;
/// How long two processes run against each other, in moves.
const RIVALRY_MOVES: u64 = 4_000;

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

impl<D, A> World<'_, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
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
