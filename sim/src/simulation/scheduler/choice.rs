//! Who is there, and whose move is next.

use std::fmt;
use std::sync::{Arc, Condvar};
use std::time::Duration;

use strandline_engine::background::{Bell, Step, Task};
use strandline_engine::clock::ClockHand;

use super::{CONDUCTOR, Interrupt, Nature, Pace};
use crate::random::SplitMix64;
use crate::simulation::outside::{Outside, ProcessId};
use crate::simulation::trace::Trace;

/// After so many moves, on average, somebody becomes faster or slower.
const PACE_CHANGES_ONE_IN: u64 = 32;
/// One in so many moves is a step of a task that has not asked for one: it does no harm.
const UNASKED_STEP_ONE_IN: u64 = 128;
/// One in so many advances of the clocks is a leap, as after a pause of the machine.
const LEAP_ONE_IN: u64 = 16;
/// How much further a leap goes.
const LEAP: u32 = 64;

/// The next thing that happens.
pub(super) enum Move {
    Seat(usize),
    Task(usize),
    Clock(Duration),
    Nature,
}

/// A thread that may hold the baton: the conductor, or a worker.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) process: ProcessId,
    pub(super) worker: usize,
    pub(super) place: Place,
    /// It is to drop everything when it next has the baton.
    pub(super) leaving: bool,
    pub(super) suspended: bool,
    pub(super) wake: Arc<Condvar>,
    pace: u64,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Ready,
    /// It waits for the end of a task.
    Joining(usize),
    Gone,
}

/// A background task.
pub(super) struct TaskSlot {
    pub(super) process: ProcessId,
    pub(super) name: String,
    pub(super) suspended: bool,
    bell: Bell,
    task: Option<Box<dyn Task>>,
    wants: Wants,
    pace: u64,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wants {
    Step,
    /// Its bell to ring, or this moment.
    Bell(Option<Duration>),
    Ended {
        well: bool,
    },
}

pub(super) struct State {
    /// Who holds the baton.
    pub(super) turn: usize,
    pub(super) seats: Vec<Seat>,
    pub(super) tasks: Vec<TaskSlot>,
    pub(super) hands: Vec<ClockHand>,
    pub(super) now: Duration,
    pub(super) moves: u64,
    pub(super) nature: Option<Nature>,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) failure: Option<String>,
    /// A thread did not come back: nothing can go on.
    pub(super) abandoned: bool,
    random: SplitMix64,
    pace: Pace,
    moves_max: u64,
    deaths_seen: u64,
}

impl State {
    pub(super) fn new(seed: u64, pace: Pace, moves_max: u64) -> State {
        let mut state = State {
            turn: CONDUCTOR,
            seats: Vec::new(),
            tasks: Vec::new(),
            hands: Vec::new(),
            now: Duration::ZERO,
            moves: 0,
            nature: None,
            interrupt: None,
            failure: None,
            abandoned: false,
            random: SplitMix64::stream(seed, 0x7363_6865_6475_6c65),
            pace,
            moves_max,
            deaths_seen: 0,
        };
        state.add_seats(ProcessId(u32::MAX), 1);
        state
    }

    /// Makes room for the workers of a process; the first one's place.
    pub(super) fn add_seats(&mut self, process: ProcessId, workers: usize) -> usize {
        let first = self.seats.len();
        for worker in 0..workers {
            let pace = self.draw_pace();
            self.seats.push(Seat {
                process,
                worker,
                place: Place::Ready,
                leaving: false,
                suspended: false,
                wake: Arc::default(),
                pace,
            });
        }
        first
    }

    pub(super) fn add_task(
        &mut self,
        process: ProcessId,
        name: &str,
        bell: Bell,
        task: Box<dyn Task>,
    ) -> usize {
        let pace = self.draw_pace();
        self.tasks.push(TaskSlot {
            process,
            name: name.to_owned(),
            suspended: false,
            bell,
            task: Some(task),
            wants: Wants::Step,
            pace,
        });
        self.tasks.len() - 1
    }

    /// The first worker of a process that has not left.
    pub(super) fn first_seat_of(&self, process: ProcessId) -> Option<usize> {
        let mut seats = self.seats.iter();
        seats.position(|seat| seat.process == process && seat.place != Place::Gone)
    }

    /// A worker has left.
    pub(super) fn leave(&mut self, seat: usize) {
        self.seats[seat].place = Place::Gone;
        let process = self.seats[seat].process;
        if !self.seats[seat].leaving && self.first_seat_of(process).is_none() {
            self.interrupt.get_or_insert(Interrupt::Left(process));
        }
    }

    /// Those who have died so far are known to the conductor.
    pub(super) fn forget_deaths(&mut self, outside: &Outside) {
        self.deaths_seen = outside.deaths();
        self.interrupt = self.interrupt.filter(|interrupt| *interrupt != Interrupt::Died);
    }

    /// Takes the tasks of a process away.
    pub(super) fn take_tasks(&mut self, process: ProcessId) -> Vec<Box<dyn Task>> {
        let tasks = self.tasks.iter_mut().filter(|task| task.process == process);
        tasks.filter_map(TaskSlot::end).collect()
    }

    /// The run has failed; only the first reason counts.
    pub(super) fn fail(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| reason.to_owned());
    }

    /// Writes a line about a move.
    pub(super) fn note(&self, trace: &Trace, what: fmt::Arguments<'_>) {
        trace.line(format_args!("{} {:.3} {what}", self.moves, self.now.as_secs_f64()));
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        for hand in &self.hands {
            hand.advance(by);
        }
    }

    /// Whose move is next. Deterministic: it depends on the seed and on what happened so far.
    pub(super) fn choose(&mut self, outside: &Outside) -> Move {
        self.moves += 1;
        if self.moves_max <= self.moves {
            let moves_max = self.moves_max;
            self.fail(&format!("no end after {moves_max} moves"));
        }
        let deaths = outside.deaths();
        if self.deaths_seen < deaths {
            self.deaths_seen = deaths;
            self.interrupt.get_or_insert(Interrupt::Died);
        }
        // Whoever waits for the end of a task decides nothing before it.
        let decides = self.seats[CONDUCTOR].place == Place::Ready;
        if self.failure.is_some() || (self.interrupt.is_some() && decides) {
            return Move::Seat(CONDUCTOR);
        }
        for index in 0..self.seats.len() {
            if let Place::Joining(task) = self.seats[index].place
                && (self.tasks[task].has_ended() || outside.is_dead(self.tasks[task].process))
            {
                self.seats[index].place = Place::Ready;
                if index == CONDUCTOR {
                    return Move::Seat(CONDUCTOR);
                }
            }
        }
        self.change_a_pace();
        let now = self.now;
        for task in &mut self.tasks {
            task.listen(now);
        }
        let shares = self.random.unit();
        if shares < self.pace.clock {
            return self.choose_clock();
        }
        if shares < self.pace.clock + self.pace.nature && self.nature.is_some() {
            return Move::Nature;
        }
        self.choose_doer()
    }

    fn choose_clock(&mut self) -> Move {
        let is_leap = self.random.below(LEAP_ONE_IN) == 0;
        let most = self.pace.clock_step_max * if is_leap { LEAP } else { 1 };
        let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Move::Clock(Duration::from_millis(1 + self.random.below(most_ms)))
    }

    /// A worker or a task, by their paces.
    fn choose_doer(&mut self) -> Move {
        let unasked = self.random.below(UNASKED_STEP_ONE_IN) == 0;
        let seats = self.seats.iter().enumerate().skip(1);
        let seats = seats.map(|(index, seat)| (Move::Seat(index), seat.pace_now()));
        let tasks = self.tasks.iter().enumerate();
        let tasks = tasks.map(|(index, task)| (Move::Task(index), task.pace_now(unasked)));
        let doers: Vec<(Move, u64)> = seats.chain(tasks).filter(|(_, pace)| 0 < *pace).collect();
        let mut drawn = self.random.below(doers.iter().map(|(_, pace)| pace).sum());
        for (doer, pace) in doers {
            if drawn < pace {
                return doer;
            }
            drawn -= pace;
        }
        // Nobody can do anything before something changes.
        self.choose_clock()
    }

    fn draw_pace(&mut self) -> u64 {
        let unevenness = self.pace.unevenness.max(1);
        1 + self.random.below(unevenness) * self.random.below(2)
    }

    fn change_a_pace(&mut self) {
        if self.random.below(PACE_CHANGES_ONE_IN) != 0 {
            return;
        }
        let pace = self.draw_pace();
        let places = self.seats.len() + self.tasks.len();
        let place = usize::try_from(self.random.below(places as u64)).unwrap_or(0);
        match self.seats.get_mut(place) {
            Some(seat) => seat.pace = pace,
            None => self.tasks[place - self.seats.len()].pace = pace,
        }
    }

    /// Takes a task out, to make its step; `None` if it has ended.
    pub(super) fn begin_task(&mut self, index: usize) -> Option<Box<dyn Task>> {
        self.tasks[index].task.take()
    }

    pub(super) fn tasks_step_ended(&mut self, index: usize, task: Box<dyn Task>, step: Step) {
        let now = self.now;
        let slot = &mut self.tasks[index];
        slot.wants = match step {
            Step::Again => Wants::Step,
            Step::Wait(limit) => Wants::Bell(limit.map(|limit| now.saturating_add(limit))),
            Step::Done => Wants::Ended { well: true },
        };
        slot.task = Some(task).filter(|_| step != Step::Done);
    }

    pub(super) fn task_panicked(&mut self, index: usize) {
        self.tasks[index].wants = Wants::Ended { well: false };
    }
}

impl Seat {
    fn pace_now(&self) -> u64 {
        if self.place == Place::Ready && !self.suspended { self.pace } else { 0 }
    }
}

impl TaskSlot {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.wants, Wants::Ended { .. })
    }

    pub(super) fn ended_well(&self) -> bool {
        self.wants == Wants::Ended { well: true }
    }

    fn end(&mut self) -> Option<Box<dyn Task>> {
        if !self.has_ended() {
            self.wants = Wants::Ended { well: false };
        }
        self.task.take()
    }

    /// Hears its bell, and the time.
    fn listen(&mut self, now: Duration) {
        if let Wants::Bell(until) = self.wants
            && (self.bell.take() || until.is_some_and(|until| until <= now))
        {
            self.wants = Wants::Step;
        }
    }

    fn pace_now(&self, unasked: bool) -> u64 {
        let wants = match self.wants {
            Wants::Step => true,
            Wants::Bell(_) => unasked,
            Wants::Ended { .. } => false,
        };
        if wants && !self.suspended && self.task.is_some() { self.pace } else { 0 }
    }
}
