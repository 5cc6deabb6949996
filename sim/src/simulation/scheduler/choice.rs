//! Who is there, and whose move is next.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar};
use std::time::Duration;

use strandline_engine::background::{Bell, Step};
use strandline_engine::clock::ClockHand;

use super::{CONDUCTOR, Interrupt, Nature, Pace, STEP_LIMIT_DEFAULT};
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
    Clock(Duration),
    Nature,
}

/// A thread that may hold the baton.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) process: ProcessId,
    pub(super) kind: Kind,
    pub(super) place: Place,
    /// It is to drop everything when it next has the baton.
    pub(super) leaving: bool,
    pub(super) suspended: bool,
    pub(super) wake: Arc<Condvar>,
    /// Of a task: what it wants after its last step.
    wants: Wants,
    /// Of a task: whether it has done everything.
    pub(super) ended_well: bool,
    pace: u64,
}

/// Who sits there.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Conductor,
    /// What a process does before it has workers.
    Start,
    Worker(usize),
    Task(String, Bell),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Conductor => f.write_str("conductor"),
            Kind::Start => f.write_str("start"),
            Kind::Worker(worker) => write!(f, "worker {worker}"),
            Kind::Task(name, _) => f.write_str(name),
        }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Ready,
    /// It waits for the end of a task, by its seat.
    Joining(usize),
    Gone,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Wants {
    Step,
    /// Its bell to ring, or this moment.
    Bell(Option<Duration>),
}

pub(super) struct State {
    /// Who holds the baton.
    pub(super) turn: usize,
    pub(super) seats: Vec<Seat>,
    pub(super) hands: Vec<ClockHand>,
    pub(super) now: Duration,
    pub(super) moves: u64,
    pub(super) nature: Option<Nature>,
    pub(super) interrupts: VecDeque<Interrupt>,
    pub(super) failure: Option<String>,
    /// A thread did not come back: nothing can go on.
    pub(super) abandoned: bool,
    random: SplitMix64,
    pace: Pace,
    moves_max: u64,
    /// How long a step may take, in real time, before the run is given up.
    pub(super) step_limit: Duration,
}

impl State {
    pub(super) fn new(seed: u64, pace: Pace, moves_max: u64) -> State {
        let mut state = State {
            turn: CONDUCTOR,
            seats: Vec::new(),
            hands: Vec::new(),
            now: Duration::ZERO,
            moves: 0,
            nature: None,
            interrupts: VecDeque::new(),
            failure: None,
            abandoned: false,
            random: SplitMix64::stream(seed, 0x7363_6865_6475_6c65),
            pace,
            moves_max,
            step_limit: STEP_LIMIT_DEFAULT,
        };
        state.add_seat(ProcessId(u32::MAX), Kind::Conductor);
        state
    }

    /// Makes room for a thread of a process.
    pub(super) fn add_seat(&mut self, process: ProcessId, kind: Kind) -> usize {
        let pace = self.draw_pace();
        self.seats.push(Seat {
            process,
            kind,
            place: Place::Ready,
            leaving: false,
            suspended: false,
            wake: Arc::default(),
            wants: Wants::Step,
            ended_well: false,
            pace,
        });
        self.seats.len() - 1
    }

    /// The next of a process to be taken down: its workers first, then its tasks.
    pub(super) fn first_seat_of(&self, process: ProcessId) -> Option<usize> {
        let mine = self.seats.iter().enumerate();
        let mine = mine.filter(|(_, seat)| seat.process == process && seat.place != Place::Gone);
        mine.min_by_key(|(_, seat)| matches!(seat.kind, Kind::Task(..))).map(|(index, _)| index)
    }

    fn has_workers(&self, process: ProcessId) -> bool {
        let is_worker = |seat: &Seat| matches!(seat.kind, Kind::Worker(_));
        let mut mine = self.seats.iter().filter(|seat| seat.process == process);
        mine.any(|seat| is_worker(seat) && seat.place != Place::Gone)
    }

    /// Somebody has left.
    pub(super) fn leave(&mut self, index: usize) {
        self.seats[index].place = Place::Gone;
        let Seat { process, leaving, ref kind, .. } = self.seats[index];
        match kind {
            Kind::Worker(_) if !leaving && !self.has_workers(process) => {
                self.interrupts.push_back(Interrupt::Left(process));
            }
            Kind::Start if !leaving => self.interrupts.push_back(Interrupt::Started(process)),
            _ => {}
        }
    }

    /// Nothing more is to be decided about a process.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.interrupts.retain(|interrupt| interrupt.process() != Some(process));
    }

    /// Holds a process still, or lets it go on.
    pub(super) fn suspend(&mut self, process: ProcessId, is_suspended: bool) {
        for seat in self.seats.iter_mut().filter(|seat| seat.process == process) {
            seat.suspended = is_suspended;
        }
    }

    /// Whether whoever is about to do an operation gives the baton up first.
    pub(super) fn interleaves(&mut self) -> bool {
        let share = self.pace.interleaving;
        0.0 < share && self.random.happens(share)
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
        for process in outside.take_deaths() {
            // Others may go on, but it does not.
            self.suspend(process, true);
            self.interrupts.push_back(Interrupt::Died(process));
        }
        // Whoever waits for the end of a task decides nothing before it.
        let decides = self.seats[CONDUCTOR].place == Place::Ready;
        if self.failure.is_some() || (!self.interrupts.is_empty() && decides) {
            return Move::Seat(CONDUCTOR);
        }
        for index in 0..self.seats.len() {
            if let Place::Joining(task) = self.seats[index].place
                && self.has_ended(task, outside)
            {
                self.seats[index].place = Place::Ready;
                if index == CONDUCTOR {
                    return Move::Seat(CONDUCTOR);
                }
            }
        }
        self.change_a_pace();
        let now = self.now;
        for seat in &mut self.seats {
            seat.listen(now);
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
        let seats = seats.map(|(index, seat)| (Move::Seat(index), seat.pace_now(unasked)));
        let doers: Vec<(Move, u64)> = seats.filter(|(_, pace)| 0 < *pace).collect();
        if doers.is_empty() {
            // Nobody can do anything before something changes.
            return self.choose_clock();
        }
        let mut drawn = self.random.below(doers.iter().map(|(_, pace)| pace).sum());
        for (doer, pace) in doers {
            if drawn < pace {
                return doer;
            }
            drawn -= pace;
        }
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
        let drawn = self.random.below(self.seats.len() as u64);
        self.seats[usize::try_from(drawn).unwrap_or(0)].pace = pace;
    }

    /// Whether nobody waits for a task any more: it has ended, or its process is dead.
    pub(super) fn has_ended(&self, task: usize, outside: &Outside) -> bool {
        self.seats[task].place == Place::Gone || outside.is_dead(self.seats[task].process)
    }

    pub(super) fn step_ended(&mut self, task: usize, step: Step) {
        let now = self.now;
        let seat = &mut self.seats[task];
        seat.wants = match step {
            Step::Again | Step::Done => Wants::Step,
            Step::Wait(limit) => Wants::Bell(limit.map(|limit| now.saturating_add(limit))),
        };
        seat.ended_well = step == Step::Done;
    }
}

impl Seat {
    /// A task hears its bell, and the time.
    fn listen(&mut self, now: Duration) {
        if let (Kind::Task(_, bell), Wants::Bell(until)) = (&self.kind, self.wants)
            && (bell.take() || until.is_some_and(|until| until <= now))
        {
            self.wants = Wants::Step;
        }
    }

    fn pace_now(&self, unasked: bool) -> u64 {
        let wants = unasked || self.wants == Wants::Step;
        if wants && !self.suspended && self.place == Place::Ready { self.pace } else { 0 }
    }
}
