//! The baton: which thread runs, and what it does until it gives the baton up.
//!
//! A thread that has the baton makes one step; the next move is then made by whoever gave it up, as
//! [`choice`](super::choice) has it. The conductor is one of those who may hold it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use strandline_engine::background::{Step, Task};
use timely::WorkerConfig;
use timely::communication::{Allocator, WorkerGuards};
use timely::worker::Worker;

use super::choice::{Kind, Move, Place, Seat, State};
use super::{Act, CONDUCTOR, Interrupt, Work};
use crate::simulation::outside::{Outside, ProcessId};
use crate::simulation::trace::Trace;

thread_local! {
    /// The place of this thread.
    pub(super) static SEAT: Cell<usize> = const { Cell::new(CONDUCTOR) };
}

/// What all threads of a run share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) outside: Outside,
    pub(super) trace: Trace,
    pub(super) threads: Mutex<Threads>,
}

/// What is joined when processes have ended.
#[derive(Default)]
pub(super) struct Threads {
    /// The workers of processes that are one job, with those processes of it that have not ended.
    pub(super) workers: Vec<(BTreeSet<ProcessId>, WorkerGuards<()>)>,
    /// Of tasks and starts.
    pub(super) others: BTreeMap<ProcessId, Vec<JoinHandle<()>>>,
}

/// What a thread waits for when it gives up the baton.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its next turn.
    Turn,
    /// The end of a task.
    End { task: usize },
    /// Nothing: it leaves.
    Nothing,
}

impl Threads {
    /// What has ended with a process: its own threads, and the workers of its job if it was the last
    /// one of that.
    pub(super) fn take(
        &mut self,
        process: ProcessId,
    ) -> (Vec<WorkerGuards<()>>, Vec<JoinHandle<()>>) {
        for (processes, _) in &mut self.workers {
            processes.remove(&process);
        }
        let over = self.workers.extract_if(.., |(processes, _)| processes.is_empty());
        let over = over.map(|(_, guards)| guards).collect();
        (over, self.others.remove(&process).unwrap_or_default())
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a worker's thread does.
    pub(super) fn work(
        &self,
        seat: usize,
        config: WorkerConfig,
        allocator: Allocator,
        open: &impl Fn(&mut Worker) -> Work,
    ) {
        let state = self.wait(self.lock(), seat);
        let is_leaving = state.seats[seat].leaving;
        drop(state);
        let run = AssertUnwindSafe(|| {
            let mut worker = Worker::new(config, allocator, None);
            if is_leaving {
                return;
            }
            let mut step = open(&mut worker);
            while self.drive(seat, Wanted::Turn) && step(&mut worker) {}
            drop(step);
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
        });
        if let Err(panic) = catch_unwind(run) {
            let mut state = self.lock();
            let Seat { process, kind, .. } = state.seats[seat].clone();
            let message = message_of(&*panic);
            state.fail(&format!("{process}: {kind} panicked: {message}"));
        }
        self.lock().leave(seat);
        self.drive(seat, Wanted::Nothing);
    }

    /// What a task's thread does.
    pub(super) fn run_task(&self, seat: usize, mut task: Box<dyn Task>) {
        loop {
            let result = catch_unwind(AssertUnwindSafe(|| task.step()));
            let mut state = self.lock();
            match result {
                Ok(step) => {
                    state.step_ended(seat, step);
                    if step == Step::Done {
                        break;
                    }
                }
                Err(panic) => {
                    let Seat { process, kind, .. } = state.seats[seat].clone();
                    let message = message_of(&*panic);
                    state.fail(&format!("{process}: {kind} panicked: {message}"));
                    break;
                }
            }
            drop(state);
            if !self.drive(seat, Wanted::Turn) {
                break;
            }
        }
        drop(task);
    }

    /// Somebody is about to do an operation on what is outside. In a task or a start, others may have
    /// their turn before it.
    pub(super) fn before_operation(&self, process: ProcessId, is_held: bool) {
        let seat = SEAT.get();
        let mut state = self.lock();
        if !matches!(state.seats[seat].kind, Kind::Start | Kind::Task(..)) {
            return;
        }
        if is_held {
            state.suspend(process, true);
            state.interrupts.push_back(Interrupt::Held(process));
            self.trace.line(format_args!("  {process} is held still"));
        } else if !state.interleaves() {
            return;
        }
        drop(state);
        self.drive(seat, Wanted::Turn);
    }

    /// Gives up the baton: makes moves until it comes back. Whether the thread is to go on.
    pub(super) fn drive(&self, me: usize, wanted: Wanted) -> bool {
        let mut state = self.lock();
        loop {
            if state.seats[me].leaving {
                if wanted == Wanted::Nothing {
                    self.pass(&mut state, CONDUCTOR);
                }
                return false;
            }
            if let Wanted::End { task } = wanted
                && state.has_ended(task, &self.outside)
            {
                state.seats[me].place = Place::Ready;
                return true;
            }
            match state.choose(&self.outside) {
                Move::Seat(seat) => {
                    if seat != CONDUCTOR {
                        let Seat { process, kind, .. } = &state.seats[seat];
                        state.note(&self.trace, format_args!("{process} {kind}"));
                    }
                    if seat != me {
                        self.pass(&mut state, seat);
                        if wanted == Wanted::Nothing {
                            return false;
                        }
                        state = self.wait(state, me);
                    }
                    if wanted == Wanted::Turn {
                        return !state.seats[me].leaving;
                    }
                    if me == CONDUCTOR && state.failure.is_some() {
                        // Nothing is waited for.
                        return false;
                    }
                }
                Move::Clock(by) => {
                    state.advance(by);
                    state.note(&self.trace, format_args!("clock"));
                }
                Move::Nature => state = self.act(state),
            }
        }
    }

    fn act<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some(mut nature) = state.nature.take() else { return state };
        state.note(&self.trace, format_args!("nature"));
        drop(state);
        let act = nature();
        let mut state = self.lock();
        state.nature = Some(nature);
        if act == Act::Interrupt {
            state.interrupts.push_back(Interrupt::Asked);
        }
        state
    }

    /// Passes the baton.
    pub(super) fn pass(&self, state: &mut State, to: usize) {
        state.turn = to;
        state.seats[to].wake.notify_one();
    }

    /// Waits for the baton. A thread of a run that was given up never comes back.
    pub(super) fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
    ) -> MutexGuard<'a, State> {
        while state.turn != me {
            if state.abandoned && me != CONDUCTOR {
                drop(state);
                loop {
                    std::thread::park();
                }
            }
            let wake = Arc::clone(&state.seats[me].wake);
            let (moves, step_limit) = (state.moves, state.step_limit);
            let (woken, timeout) =
                wake.wait_timeout(state, step_limit).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if me == CONDUCTOR && timeout.timed_out() && state.turn != me && state.moves == moves {
                let Seat { process, kind, .. } = state.seats[state.turn].clone();
                let limit = step_limit.as_secs_f64();
                state.fail(&format!("a step of {process}, {kind}, took more than {limit} s"));
                state.abandoned = true;
                state.turn = CONDUCTOR;
            }
        }
        state
    }
}

/// What a panic said.
pub(super) fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
