//! Everything of a run that outlives a process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use strandline_engine::table::Cells;
use strandline_operators::aggregate::Aggregate;
use strandline_operators::decode::Decode;

use crate::random::SplitMix64;
use crate::simulation::blobs::MemoryBlobs;
use crate::simulation::disk::MemoryDisk;
use crate::simulation::group::Group;
use crate::simulation::laws::Laws;
use crate::simulation::outside::{FaultRates, Outside, ProcessId};
use crate::simulation::plan::{Mode, PROCESSES_MAX, Places, Plan};
use crate::simulation::process::Discovery;
use crate::simulation::process::OUT;
use crate::simulation::scheduler::Scheduler;
use crate::simulation::topic::Topic;
use crate::simulation::trace::Trace;
use crate::simulation::{Expectation, Report, Simulation};

/// Most moves of a run: a run that makes no end in them does not make one.
const MOVES_MAX: u64 = 200_000;

/// The world, and what the conductor of the run knows of it.
pub(super) struct World<'a, D, A> {
    pub(super) simulation: &'a Simulation<D, A>,
    pub(super) plan: &'a Plan,
    pub(super) outside: Outside,
    /// One of each place where rows go.
    pub(super) disks: Vec<MemoryDisk>,
    pub(super) blobs: MemoryBlobs,
    pub(super) scheduler: Scheduler,
    pub(super) topic: Topic,
    pub(super) trace: Trace,
    pub(super) laws: Laws,
    pub(super) random: SplitMix64,
    pub(super) next_process: u32,
    /// The move at which the conductor wants to be asked.
    pub(super) ask_at: Arc<AtomicU64>,
    pub(super) report: Report,
    pub(super) running: Vec<ProcessId>,
    /// Those that have been started and not been ended.
    pub(super) groups: Vec<Group>,
    /// How often operations fail once a process has been started.
    pub(super) faults: FaultRates,
    /// Whether retention has passed what is to be read.
    pub(super) has_lost: Arc<AtomicBool>,
    /// A start that was to begin anew and has not come to its claim: the user tries again.
    pub(super) anew: Option<Mode>,
    /// So many processes had places of their own, at most.
    pub(super) places: usize,
    /// Of the processes that want to hear of new partitions.
    pub(super) discoveries: Arc<Mutex<Vec<Discovery>>>,
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

impl<'a, D, A> World<'a, D, A>
where
    D: Decode + Sync,
    A: Aggregate<D::Value, Partial: Send, Output: Cells> + Send + Sync,
{
    pub(super) fn new(simulation: &'a Simulation<D, A>, plan: &'a Plan, trace: &Trace) -> Self {
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

    pub(super) fn has_finished(&self) -> bool {
        let cut = self.laws.newest().and_then(|newest| newest.cut.as_ref());
        cut.is_some_and(|cut| cut.finished)
    }

    /// The processes that were started last.
    pub(super) fn last(&mut self) -> Result<&mut Group, String> {
        self.groups.last_mut().ok_or_else(|| "nobody was started".to_owned())
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        self.laws.check(self.outside.take_journal(), &self.disks)?;
        if self.laws.has_begun_anew() {
            self.anew = None;
        }
        Ok(())
    }

    pub(super) fn take_down_last(&mut self) -> Result<(), String> {
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

    pub(super) fn process_died(&self, id: ProcessId) {
        for disk in &self.disks {
            disk.process_died(id);
        }
    }

    /// The conductor wants to be asked after so many moves.
    pub(super) fn ask_after(&self, moves: u64) {
        let at = self.scheduler.moves().saturating_add(moves);
        self.ask_at.store(at, Ordering::SeqCst);
        self.scheduler.forget_asked();
    }
}
