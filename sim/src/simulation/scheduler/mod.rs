//! All workers and background tasks of simulated processes under one seeded scheduler.
//!
//! The workers are timely's own, each on a thread, as in life, and so are background tasks and what
//! a process does before it has workers; but exactly one thread runs at a time: the one that holds
//! the *baton*. Before each step a thread gives the baton up. Whoever gives it up makes the next
//! move, as the seed wants it: a worker or a task (who then gets the baton) makes a step, the clocks
//! advance, or something happens from outside ([`Nature`]). Nothing else decides in which order
//! things happen, so one seed is one run, to the last byte of its trace.
//!
//! A step need not be made in one go. A task, and a start, may give the baton up before each
//! operation on what is [outside], and a process can be held still there ([`Interrupt::Held`]); a
//! worker that has to wait for a task gives it up until that has made room.
//!
//! Several processes can be one job: their workers are then those of one timely, and each can be
//! ended by itself ([`Scheduler::start_together`]).
//!
//! [outside]: super::outside
//!
//! A worker's step is [`Worker::step_or_park`] with whatever the program does around it. Timely
//! gets no timer, so that it neither parks nor looks at the time.
//!
//! The thread that set all this up is the *conductor*: it holds the baton while it starts and ends
//! processes, and gets it back when there is something to decide ([`Interrupt`]).
//!
//! Every wait has a limit: a step that does not come back is a failure of the run, and so is a run
//! that makes more moves than it may.

mod baton;
mod choice;
mod tasks;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use strandline_engine::background::Background;
use strandline_engine::clock::Clock;
use strandline_operators::time::EventTime;
use timely::CommunicationConfig;
use timely::WorkerConfig;
use timely::communication::{WorkerGuards, initialize_from};
use timely::worker::Worker;

use self::baton::{SEAT, Shared, Wanted, message_of};
use self::choice::{Kind, State};
use self::tasks::Spawner;
use super::outside::{Outside, ProcessId};

/// How long a step may take, in real time, before the run is given up.
const STEP_LIMIT_DEFAULT: Duration = Duration::from_secs(60);

/// The conductor's place among those who may hold the baton.
const CONDUCTOR: usize = 0;

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
    Died(ProcessId),
    /// What the process does before it has workers is done ([`Scheduler::begin`]).
    Started(ProcessId),
    /// The process is held still, just before an operation ([`Outside::hold_at_operation`]).
    Held(ProcessId),
}

impl Interrupt {
    /// Which process it is about.
    pub fn process(self) -> Option<ProcessId> {
        match self {
            Interrupt::Asked => None,
            Interrupt::Left(process)
            | Interrupt::Died(process)
            | Interrupt::Started(process)
            | Interrupt::Held(process) => Some(process),
        }
    }
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
    /// The share of operations before which others have their turn.
    pub interleaving: f64,
}

impl Default for Pace {
    fn default() -> Pace {
        let clock_step_max = Duration::from_millis(10);
        Pace { clock: 0.1, clock_step_max, nature: 0.1, unevenness: 8, interleaving: 0.0 }
    }
}

/// The scheduler of a run. Clones are the same one.
#[derive(Clone)]
pub struct Scheduler(Arc<Shared>);

impl Scheduler {
    /// A scheduler without processes. A run that makes more than `moves_max` moves is a failure.
    pub fn new(seed: u64, pace: Pace, moves_max: u64, outside: &Outside) -> Scheduler {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(seed, pace, moves_max)),
            outside: outside.clone(),
            trace: outside.trace(),
            threads: Mutex::default(),
        });
        let weak: Weak<Shared> = Arc::downgrade(&shared);
        outside.before_operations(move |process, is_held| {
            if let Some(shared) = weak.upgrade() {
                shared.before_operation(process, is_held);
            }
        });
        Scheduler(shared)
    }

    /// The same, with another limit of the real time that a step may take, which is a minute. To be
    /// called before anything is started.
    #[must_use]
    pub fn with_step_limit(self, step_limit: Duration) -> Scheduler {
        self.0.lock().step_limit = step_limit;
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

    /// Whoever asked for the conductor does not need it any more.
    pub fn forget_asked(&self) {
        self.0.lock().interrupts.retain(|interrupt| *interrupt != Interrupt::Asked);
    }

    /// Moves made so far.
    pub fn moves(&self) -> u64 {
        self.0.lock().moves
    }

    /// Sets what happens from outside.
    pub fn set_nature(&self, nature: Option<Nature>) {
        self.0.lock().nature = nature;
    }

    /// Runs the background tasks of a process. `queue_bytes_max`: how much may wait for one of them,
    /// if that is less than usual.
    pub fn background(&self, process: ProcessId, queue_bytes_max: Option<usize>) -> Background {
        Background::by(Spawner { scheduler: self.clone(), process, queue_bytes_max })
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
        self.start_together(&[process], workers, config, move |_, worker| open(worker))
    }

    /// Starts the workers of the processes of one job, so many of each. `open` also hears which of
    /// the processes the worker belongs to.
    ///
    /// # Errors
    ///
    /// If there are no threads for them.
    pub fn start_together(
        &self,
        processes: &[ProcessId],
        workers: usize,
        config: WorkerConfig,
        open: impl Fn(usize, &mut Worker) -> Work + Send + Sync + 'static,
    ) -> Result<(), String> {
        let mut state = self.0.lock();
        let first = state.seats.len();
        for process in processes {
            for worker in 0..workers {
                state.add_seat(*process, Kind::Worker(worker));
            }
        }
        drop(state);
        let all = processes.len() * workers;
        let (builders, others) = CommunicationConfig::Process(all).try_build()?;
        let shared = Arc::clone(&self.0);
        let guards = initialize_from(builders, others, move |allocator| {
            let seat = first + allocator.index();
            let place = allocator.index() / workers;
            SEAT.set(seat);
            shared.work(seat, config.clone(), allocator, &|worker| open(place, worker));
        })?;
        self.0.threads().workers.push((processes.iter().copied().collect(), guards));
        Ok(())
    }

    /// Does what a process does before it has workers, on a thread of its own: that may be held
    /// still, or end, in the middle. When it is done, that is an [`Interrupt::Started`].
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub fn begin(
        &self,
        process: ProcessId,
        start: impl FnOnce() + Send + 'static,
    ) -> Result<(), String> {
        let seat = self.0.lock().add_seat(process, Kind::Start);
        let run = move |shared: &Shared| {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(start)) {
                let message = message_of(&*panic);
                shared.lock().fail(&format!("{process}: start panicked: {message}"));
            }
        };
        self.spawn(process, seat, run).map_err(|error| error.to_string())
    }

    /// A thread for a seat.
    fn spawn(
        &self,
        process: ProcessId,
        seat: usize,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> std::io::Result<()> {
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().spawn(move || {
            SEAT.set(seat);
            let state = shared.wait(shared.lock(), seat);
            let is_leaving = state.seats[seat].leaving;
            drop(state);
            if !is_leaving {
                run(&shared);
            }
            shared.lock().leave(seat);
            shared.drive(seat, Wanted::Nothing);
        })?;
        self.0.threads().others.entry(process).or_default().push(thread);
        Ok(())
    }

    /// Lets others go on, for a thread that waits for what they do. `false`: it is to end.
    pub fn give_way(&self) -> bool {
        self.0.drive(SEAT.get(), Wanted::Turn)
    }

    /// Holds a process still, or lets it go on: as a long pause of a virtual machine does.
    pub fn suspend(&self, process: ProcessId, is_suspended: bool) {
        self.0.lock().suspend(process, is_suspended);
    }

    /// Gives the baton away until there is something to decide.
    ///
    /// # Errors
    ///
    /// What went wrong: a panic, a step that does not come back, a run that does not end.
    pub fn conduct(&self) -> Result<Interrupt, String> {
        self.0.drive(CONDUCTOR, Wanted::Turn);
        let mut state = self.0.lock();
        let interrupt = state.interrupts.pop_front();
        match state.failure.clone() {
            Some(failure) => Err(failure),
            None => interrupt.ok_or_else(|| "nobody can go on".to_owned()),
        }
    }

    /// Ends what is left of a process: its workers drop everything, one after the other, then its
    /// tasks. [Kill](Outside::kill) it first, unless all its workers have left.
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
            self.0.trace.line(format_args!("{process} {} ends", state.seats[seat].kind));
            self.0.pass(&mut state, seat);
            state = self.0.wait(state, CONDUCTOR);
        }
        // Those who have died so far are known to the conductor.
        self.0.outside.take_deaths();
        state.forget(process);
        let failure = state.failure.clone();
        let abandoned = state.abandoned;
        drop(state);
        let (ended, others) = self.0.threads().take(process);
        if abandoned {
            // Their threads do not come back.
            std::mem::forget((ended, others));
        } else {
            for result in ended.into_iter().flat_map(WorkerGuards::join) {
                result.map_err(|error| format!("a worker of {process} ended badly: {error}"))?;
            }
            for thread in others {
                thread.join().map_err(|_| format!("a task of {process} ended badly"))?;
            }
        }
        failure.map_or(Ok(()), Err)
    }
}
