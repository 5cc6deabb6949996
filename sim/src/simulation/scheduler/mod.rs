//! All workers and background tasks of simulated processes under one seeded scheduler.
//!
//! The workers are timely's own, each on a thread, as in life; but exactly one thread runs at a
//! time: the one that holds the *baton*. Before each step a worker gives the baton up. Whoever
//! gives it up makes the next move, as the seed wants it: a worker (who then gets the baton) makes
//! a step, a background task makes a step, the clocks advance, or something happens from outside
//! ([`Nature`]). Nothing else decides in which order things happen, so one seed is one run, to the
//! last byte of its trace.
//!
//! A worker's step is [`Worker::step_or_park`] with whatever the program does around it. Timely
//! gets no timer, so that it neither parks nor looks at the time.
//!
//! The thread that set all this up is the *conductor*: it holds the baton while it starts and ends
//! processes, and gets it back when there is something to decide ([`Interrupt`]).
//!
//! Every wait has a limit: a step that does not come back is a failure of the run, and so is a run
//! that makes more moves than it may.

mod choice;
mod tasks;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_engine::background::Background;
use strandline_engine::clock::Clock;
use strandline_operators::time::EventTime;
use timely::CommunicationConfig;
use timely::WorkerConfig;
use timely::communication::{Allocator, WorkerGuards, initialize_from};
use timely::worker::Worker;

use self::choice::{Move, Place, Seat, State};
use self::tasks::Spawner;
use super::outside::{Outside, ProcessId};
use super::trace::Trace;

/// How long a step may take, in real time, before the run is given up.
const STEP_LIMIT_DEFAULT: Duration = Duration::from_secs(60);

/// The conductor's place among those who may hold the baton.
const CONDUCTOR: usize = 0;

thread_local! {
    /// The place of this thread.
    static SEAT: Cell<usize> = const { Cell::new(CONDUCTOR) };
}

/// What happens to processes from outside, between any two of their steps.
pub type Nature = Box<dyn FnMut() -> Act + Send>;

/// What comes of an act of [`Nature`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The processes go on.
    GoOn,
    /// The conductor has to do something.
    Interrupt,
}

/// Why the conductor has the baton.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// [`Nature`] wants it.
    Asked,
    /// All workers of the process have left in order.
    Left(ProcessId),
    /// The process has died of an operation.
    Died,
}

/// A worker's part of a program: makes one step each time it is called, and says whether there is
/// more to do.
pub type Work = Box<dyn FnMut(&mut Worker) -> bool>;

/// How unevenly the moves are spread.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Pace {
    /// The share of moves that advance the clocks.
    pub clock: f64,
    /// How far they advance at most, in one move; now and then it is a leap of 64 times as much.
    pub clock_step_max: Duration,
    /// The share of moves that are acts of [`Nature`].
    pub nature: f64,
    /// How much faster the fastest worker or task is than the slowest, for a while.
    pub unevenness: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { clock: 0.1, clock_step_max: Duration::from_millis(10), nature: 0.1, unevenness: 8 }
    }
}

/// The scheduler of a run. Clones are the same one.
#[derive(Clone)]
pub struct Scheduler(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    outside: Outside,
    trace: Trace,
    step_limit: Duration,
    guards: Mutex<BTreeMap<ProcessId, WorkerGuards<()>>>,
}

/// What a thread waits for when it gives up the baton.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// Its next turn.
    Turn,
    /// The end of a task.
    End { task: usize },
    /// Nothing: it leaves.
    Nothing,
}

impl Scheduler {
    /// A scheduler without processes. A run that makes more than `moves_max` moves is a failure.
    pub fn new(seed: u64, pace: Pace, moves_max: u64, outside: &Outside) -> Scheduler {
        Scheduler(Arc::new(Shared {
            state: Mutex::new(State::new(seed, pace, moves_max)),
            outside: outside.clone(),
            trace: outside.trace(),
            step_limit: STEP_LIMIT_DEFAULT,
            guards: Mutex::default(),
        }))
    }

    /// The same, with another limit of the real time that a step may take, which is a minute. To be
    /// called before anything is started.
    #[must_use]
    pub fn with_step_limit(mut self, step_limit: Duration) -> Scheduler {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.step_limit = step_limit;
        }
        self
    }

    /// A clock that begins at `wall` and is moved by this scheduler.
    pub fn clock(&self, wall: EventTime) -> Clock {
        let (clock, hand) = Clock::set_by_hand(wall);
        self.0.lock().hands.push(hand);
        clock
    }

    /// How far the clocks have advanced since the beginning of the run.
    pub fn elapsed(&self) -> Duration {
        self.0.lock().now
    }

    /// Moves made so far.
    pub fn moves(&self) -> u64 {
        self.0.lock().moves
    }

    /// Sets what happens from outside.
    pub fn set_nature(&self, nature: Option<Nature>) {
        self.0.lock().nature = nature;
    }

    /// Runs the background tasks of a process.
    pub fn background(&self, process: ProcessId) -> Background {
        Background::by(Spawner { scheduler: self.clone(), process })
    }

    /// Starts the workers of a process. `open` is called on each of them, when it has the baton
    /// for the first time.
    ///
    /// # Errors
    ///
    /// If there are no threads for them.
    pub fn start(
        &self,
        process: ProcessId,
        workers: usize,
        config: WorkerConfig,
        open: impl Fn(&mut Worker) -> Work + Send + Sync + 'static,
    ) -> Result<(), String> {
        let first = self.0.lock().add_seats(process, workers);
        let (builders, others) = CommunicationConfig::Process(workers).try_build()?;
        let shared = Arc::clone(&self.0);
        let guards = initialize_from(builders, others, move |allocator| {
            let seat = first + allocator.index();
            SEAT.set(seat);
            shared.work(seat, config.clone(), allocator, &open);
        })?;
        let mut all = self.0.guards.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(process, guards);
        Ok(())
    }

    /// Holds a process still, or lets it go on: as a long pause of a virtual machine does.
    pub fn suspend(&self, process: ProcessId, is_suspended: bool) {
        let mut state = self.0.lock();
        for seat in state.seats.iter_mut().filter(|seat| seat.process == process) {
            seat.suspended = is_suspended;
        }
        for task in state.tasks.iter_mut().filter(|task| task.process == process) {
            task.suspended = is_suspended;
        }
    }

    /// Gives the baton away until there is something to decide.
    ///
    /// # Errors
    ///
    /// What went wrong: a panic, a step that does not come back, a run that does not end.
    pub fn conduct(&self) -> Result<Interrupt, String> {
        self.0.drive(CONDUCTOR, Wanted::Turn);
        let mut state = self.0.lock();
        let interrupt = state.interrupt.take();
        match state.failure.clone() {
            Some(failure) => Err(failure),
            None => interrupt.ok_or_else(|| "nobody can go on".to_owned()),
        }
    }

    /// Ends what is left of a process: its workers drop everything, one after the other, then its
    /// tasks are dropped. [Kill](Outside::kill) it first, unless all its workers have left.
    ///
    /// # Errors
    ///
    /// What went wrong: a panic, or a step that does not come back.
    pub fn end(&self, process: ProcessId) -> Result<(), String> {
        let mut state = self.0.lock();
        while let Some(seat) = state.first_seat_of(process)
            && !state.abandoned
        {
            state.seats[seat].leaving = true;
            self.0.trace.line(format_args!("{process} worker {} ends", state.seats[seat].worker));
            self.0.pass(&mut state, seat);
            state = self.0.wait(state, CONDUCTOR);
        }
        state.forget_deaths(&self.0.outside);
        let failure = state.failure.clone();
        let abandoned = state.abandoned;
        drop(state);
        let guards = {
            let mut all = self.0.guards.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(&process)
        };
        if abandoned {
            // Their threads do not come back.
            std::mem::forget(guards);
        } else if let Some(guards) = guards {
            for result in guards.join() {
                result.map_err(|error| format!("a worker of {process} ended badly: {error}"))?;
            }
            let tasks = self.0.lock().take_tasks(process);
            drop(tasks);
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a worker's thread does.
    fn work(
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
            let (process, worker) = (state.seats[seat].process, state.seats[seat].worker);
            let message = message_of(&*panic);
            state.fail(&format!("{process}: worker {worker} panicked: {message}"));
        }
        self.lock().leave(seat);
        self.drive(seat, Wanted::Nothing);
    }

    /// Gives up the baton: makes moves until it comes back. Whether the thread is to go on.
    fn drive(&self, me: usize, wanted: Wanted) -> bool {
        let mut state = self.lock();
        loop {
            if state.seats[me].leaving {
                if wanted == Wanted::Nothing {
                    self.pass(&mut state, CONDUCTOR);
                }
                return false;
            }
            if let Wanted::End { task } = wanted
                && (state.tasks[task].has_ended()
                    || self.outside.is_dead(state.tasks[task].process))
            {
                state.seats[me].place = Place::Ready;
                return true;
            }
            match state.choose(&self.outside) {
                Move::Seat(seat) => {
                    let Seat { process, worker, .. } = state.seats[seat];
                    if seat != CONDUCTOR {
                        state.note(&self.trace, format_args!("{process} worker {worker}"));
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
                Move::Task(index) => state = self.step_task(state, index),
                Move::Clock(by) => {
                    state.advance(by);
                    state.note(&self.trace, format_args!("clock"));
                }
                Move::Nature => state = self.act(state),
            }
        }
    }

    fn step_task<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        index: usize,
    ) -> MutexGuard<'a, State> {
        let Some(mut task) = state.begin_task(index) else { return state };
        let (process, name) = (state.tasks[index].process, state.tasks[index].name.clone());
        state.note(&self.trace, format_args!("{process} {name}"));
        drop(state);
        let result = catch_unwind(AssertUnwindSafe(|| task.step()));
        let mut state = self.lock();
        match result {
            Ok(step) => state.tasks_step_ended(index, task, step),
            Err(panic) => {
                state.task_panicked(index);
                let message = message_of(&*panic);
                state.fail(&format!("{process}: {name} panicked: {message}"));
            }
        }
        state
    }

    fn act<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some(mut nature) = state.nature.take() else { return state };
        state.note(&self.trace, format_args!("nature"));
        drop(state);
        let act = nature();
        let mut state = self.lock();
        state.nature = Some(nature);
        if act == Act::Interrupt {
            state.interrupt = Some(Interrupt::Asked);
        }
        state
    }

    /// Passes the baton.
    fn pass(&self, state: &mut State, to: usize) {
        state.turn = to;
        state.seats[to].wake.notify_one();
    }

    /// Waits for the baton. A thread of a run that was given up never comes back.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        while state.turn != me {
            if state.abandoned && me != CONDUCTOR {
                drop(state);
                loop {
                    std::thread::park();
                }
            }
            let wake = Arc::clone(&state.seats[me].wake);
            let moves = state.moves;
            let (woken, timeout) =
                wake.wait_timeout(state, self.step_limit).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if me == CONDUCTOR && timeout.timed_out() && state.turn != me && state.moves == moves {
                let Seat { process, worker, .. } = state.seats[state.turn];
                let limit = self.step_limit.as_secs_f64();
                state.fail(&format!(
                    "a step on the thread of {process}, worker {worker}, took more than {limit} s"
                ));
                state.abandoned = true;
                state.turn = CONDUCTOR;
            }
        }
        state
    }
}

/// What a panic said.
fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
