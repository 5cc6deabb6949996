//! The processes of one start of the job, as the conductor knows them.

use std::sync::{Arc, Mutex, PoisonError};

use strandline_engine::job::{Stop, Summary};
use timely::WorkerConfig;
use timely::worker::{ProgressMode, Worker};

use super::outside::{Outside, ProcessId};
use super::plan::Start;
use super::process::{Discovery, Ended, Process};
use super::scheduler::{Scheduler, Work};

/// What came of a process's start, once it is done.
pub(super) type Outcome = Arc<Mutex<Option<Result<Process, String>>>>;

/// One process.
pub(super) struct Member {
    pub(super) id: ProcessId,
    pub(super) stop: Stop,
    pub(super) outcome: Outcome,
    pub(super) process: Option<Process>,
    /// Whether it has done what it does before it has workers.
    pub(super) begun: bool,
    pub(super) dead: bool,
    pub(super) left: bool,
}

/// The processes of one start.
pub(super) struct Group {
    pub(super) start: Start,
    pub(super) members: Vec<Member>,
    /// Whether their workers have been started.
    pub(super) running: bool,
    /// Why one of them did not start.
    pub(super) refused: Option<String>,
}

impl Group {
    pub(super) fn ids(&self) -> Vec<ProcessId> {
        self.members.iter().map(|member| member.id).collect()
    }

    pub(super) fn has(&self, id: ProcessId) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    pub(super) fn member(&mut self, id: ProcessId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// The process that the planned end is of.
    pub(super) fn victim(&self) -> ProcessId {
        self.members[self.start.victim % self.members.len()].id
    }

    /// Whether others go on when one is dead.
    pub(super) fn has_survivors(&self) -> bool {
        self.start.survivors && self.running && !self.is_over()
    }

    /// Whether nobody is left.
    pub(super) fn is_over(&self) -> bool {
        self.members.iter().all(|member| member.dead || member.left)
    }

    /// A process has done what it does before it has workers. When all have, their workers are
    /// started.
    pub(super) fn started(
        &mut self,
        id: ProcessId,
        scheduler: &Scheduler,
    ) -> Result<Option<Vec<Discovery>>, String> {
        let Some(member) = self.member(id) else { return Ok(None) };
        member.begun = true;
        let outcome = member.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        match outcome {
            Some(Ok(process)) => member.process = Some(process),
            Some(Err(error)) => {
                self.refused.get_or_insert(error);
            }
            // It panicked, which has been said.
            None => {}
        }
        if self.refused.is_some() || self.members.iter().any(|member| member.process.is_none()) {
            return Ok(None);
        }
        let processes = self.members.iter_mut().filter_map(|member| member.process.as_mut());
        let (opens, discoveries): (Vec<_>, Vec<_>) =
            processes.filter_map(Process::take_work).unzip();
        self.running = true;
        let mode = if self.start.eager { ProgressMode::Eager } else { ProgressMode::Demand };
        let config = WorkerConfig::default().progress_mode(mode);
        let open = move |place: usize, worker: &mut Worker| -> Work { opens[place](worker) };
        scheduler.start_together(&self.ids(), self.start.workers, config, open)?;
        Ok(Some(discoveries))
    }

    /// Kills a process; the others do not hear of it.
    pub(super) fn kill(&mut self, id: ProcessId, outside: &Outside, scheduler: &Scheduler) {
        outside.kill(id);
        scheduler.suspend(id, true);
        if let Some(member) = self.member(id) {
            member.dead = true;
        }
    }

    /// Those that live hear that one of them is dead.
    pub(super) fn tell_of_deaths(&self) {
        if let Some(dead) = self.members.iter().position(|member| member.dead) {
            self.tell_of(dead, "the simulation killed it");
        }
    }

    /// The workers of a process have left. If it has failed, it ends without a goodbye, and those that
    /// live hear that; whether it has.
    pub(super) fn left(&mut self, id: ProcessId) -> bool {
        let Some(number) = self.members.iter().position(|member| member.id == id) else {
            return false;
        };
        let member = &mut self.members[number];
        member.left = true;
        let has_failed = member.process.as_ref().is_some_and(|process| (process.has_failed)());
        if has_failed {
            self.tell_of(number, "it ended with an error");
        }
        has_failed
    }

    fn tell_of(&self, gone: usize, reason: &str) {
        for member in self.members.iter().filter(|member| !member.dead && !member.left) {
            if let Some(process) = &member.process {
                (process.peer_gone)(gone, reason);
            }
        }
    }

    /// Asks all processes to stop.
    pub(super) fn stop(&self) {
        for member in &self.members {
            member.stop.request();
        }
    }

    /// How each process has ended, the leading one first.
    pub(super) fn ended(&mut self) -> Vec<(ProcessId, Ended)> {
        let mut all = Vec::new();
        for member in &mut self.members {
            let process = member.process.take().filter(|_| self.running && !member.dead);
            let ended = process.map_or(Ended::Not, Process::ended);
            all.push((member.id, ended));
        }
        all
    }
}

/// What the leading process said, if it ended well.
pub(super) fn summary(ended: &[(ProcessId, Ended)]) -> Option<Summary> {
    match ended.first() {
        Some((_, Ended::Well(summary))) => Some(*summary),
        _ => None,
    }
}
