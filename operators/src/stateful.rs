//! Operators that keep rows: what each has to do, without a word about dataflow.
//!
//! A [`Stateful`] is given batches of one epoch in any order, hears how far event time has advanced on
//! each of its inputs, gives rows, and can be copied out and filled again by key group. What all of
//! them have in common (epochs, cuts, what is kept for later, the capability that may still be needed)
//! is in the [`frame`] that runs them in a dataflow. So an operator is a few hundred lines, and is
//! tested alone, with a clock that the test moves.
//!
//! ```
//! use strandline_operators::batch::Batch;
//! use strandline_operators::stateful::{Output, Part, Progress, Stateful};
//! use strandline_operators::time::EventTime;
//!
//! /// Counts rows, and says how many came before each full second.
//! #[derive(Default)]
//! struct Counter {
//!     rows: u64,
//! }
//!
//! impl Stateful for Counter {
//!     fn apply(&mut self, _input: usize, batch: Batch, _out: &mut Output) {
//!         self.rows += batch.len() as u64;
//!     }
//!     fn advance(&mut self, _progress: Progress<'_>, _out: &mut Output) {}
//!     fn earliest(&self) -> EventTime {
//!         EventTime::MAX
//!     }
//!     fn snapshot(&self) -> Vec<Part> {
//!         vec![Part { group: 0, bytes: self.rows.to_le_bytes().to_vec() }]
//!     }
//!     fn restore(&mut self, part: Part) -> Result<(), String> {
//!         let bytes = part.bytes.try_into().map_err(|_| "not a count")?;
//!         self.rows += u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//! }
//! ```

mod as_of_join;
mod edges;
pub mod exchange;
pub mod frame;
mod grouping;
mod interval_join;
mod join_side;
mod lateness;
mod pairs;
pub(crate) mod rejected;
mod result_rows;
mod session_aggregate;
mod sessions;
#[cfg(test)]
mod tests;
mod top;
mod window_aggregate;
mod window_join;
mod windowed;

use serde::{Deserialize, Serialize};

pub use self::as_of_join::AsOfJoin;
pub use self::grouping::MakeError;
pub use self::interval_join::IntervalJoin;
pub use self::rejected::SourceNames;
pub use self::session_aggregate::SessionAggregate;
pub use self::top::Top;
pub use self::window_aggregate::WindowAggregate;
pub use self::window_join::WindowJoin;
use crate::batch::Batch;
use crate::time::EventTime;

/// An operator that keeps rows.
///
/// What it gives depends on the rows that it was given and on the event times that it was told,
/// never on the order of rows within an epoch, on batches, or on a clock.
pub trait Stateful: 'static {
    /// Takes in some rows of one of its inputs.
    fn apply(&mut self, input: usize, batch: Batch, out: &mut Output);

    /// Event time has advanced, on some input. Rows that are final now leave here.
    fn advance(&mut self, progress: Progress<'_>, out: &mut Output);

    /// The earliest event time at which a row may still leave because of what is kept: the frontier
    /// behind this operator does not pass it. [`EventTime::MAX`] if nothing is kept that will leave.
    fn earliest(&self) -> EventTime;

    /// A copy of everything that is kept, by key group.
    fn snapshot(&self) -> Vec<Part>;

    /// Takes back a part that a snapshot gave, perhaps on another worker, perhaps one of several
    /// parts of a key group. Comes before everything else.
    ///
    /// # Errors
    ///
    /// If it is not such a part: what is wrong with it.
    fn restore(&mut self, part: Part) -> Result<(), String>;

    /// How much it keeps.
    fn size(&self) -> Size {
        Size::default()
    }
}

impl Stateful for Box<dyn Stateful> {
    fn apply(&mut self, input: usize, batch: Batch, out: &mut Output) {
        (**self).apply(input, batch, out);
    }
    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        (**self).advance(progress, out);
    }
    fn earliest(&self) -> EventTime {
        (**self).earliest()
    }
    fn snapshot(&self) -> Vec<Part> {
        (**self).snapshot()
    }
    fn restore(&mut self, part: Part) -> Result<(), String> {
        (**self).restore(part)
    }
    fn size(&self) -> Size {
        (**self).size()
    }
}

/// A part of an operator's state: what it keeps for the keys of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The key group, from 0 to 255.
    pub group: u16,
    /// As the operator writes it.
    pub bytes: Vec<u8>,
}

/// How much an operator keeps.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows: panes, sessions, waiting rows.
    pub rows: u64,
    /// About how many bytes they take.
    pub bytes: u64,
}

/// How far event time has advanced: nothing before these times can come any more.
#[derive(Copy, Clone, Debug)]
pub struct Progress<'a> {
    inputs: &'a [EventTime],
}

impl<'a> Progress<'a> {
    /// Times by input.
    pub fn of(inputs: &'a [EventTime]) -> Self {
        Self { inputs }
    }

    /// That of one input.
    pub fn input(&self, input: usize) -> EventTime {
        self.inputs[input]
    }

    /// The least of all inputs.
    pub fn least(&self) -> EventTime {
        self.inputs.iter().copied().min().unwrap_or(EventTime::MAX)
    }
}

/// What leaves an operator.
#[derive(Debug, Default)]
pub struct Output {
    rows: Vec<Batch>,
    /// With the input that they came on.
    late: Vec<(usize, Batch)>,
    errors: Vec<Batch>,
    counts: Counts,
    stop: Option<String>,
}

/// What became of the rows that an operator was given.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that it was given.
    pub read: u64,
    /// Of these, left out because they were late.
    pub late: u64,
    /// Of these, left out because they could not be computed.
    pub failed: u64,
    /// Of these, left out because they are in no window: slides that are longer than a window leave
    /// gaps.
    pub outside: u64,
    /// Late for some of their windows, and counted in others: not left out.
    pub partly_late: u64,
    /// Rows that left.
    pub given: u64,
}

impl Output {
    /// Gives rows. Each has an event time that is not before the operator's
    /// [`earliest`](Stateful::earliest).
    pub fn give(&mut self, rows: Batch) {
        if !rows.is_empty() {
            self.counts.given += rows.len() as u64;
            self.rows.push(rows);
        }
    }

    /// Leaves out rows of an input that are late.
    pub fn leave_out_late(&mut self, input: usize, rows: Batch) {
        if !rows.is_empty() {
            self.counts.late += rows.len() as u64;
            self.late.push((input, rows));
        }
    }

    /// Leaves out rows that cannot be computed.
    pub fn leave_out_failed(&mut self, rows: Batch) {
        if !rows.is_empty() {
            self.counts.failed += rows.len() as u64;
            self.errors.push(rows);
        }
    }

    /// Rows that cannot be computed and leave all the same, with nulls.
    pub fn also_failed(&mut self, rows: Batch) {
        if !rows.is_empty() {
            self.errors.push(rows);
        }
    }

    /// Leaves out rows that are in no window.
    pub fn leave_out_outside(&mut self, rows: u64) {
        self.counts.outside += rows;
    }

    /// Stops the job, which keeps its last checkpoint: nothing more leaves. Of several reasons the
    /// first is told.
    pub fn stop(&mut self, reason: impl ToString) {
        self.stop.get_or_insert_with(|| reason.to_string());
    }

    /// Takes note of rows that are late for some of their windows and counted in others.
    pub fn note_partly_late(&mut self, rows: u64) {
        self.counts.partly_late += rows;
    }

    /// Takes note of rows that were given to the operator.
    pub(crate) fn note_read(&mut self, rows: u64) {
        self.counts.read += rows;
    }

    /// The rows that were given since this was last asked.
    pub fn take_rows(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.rows)
    }

    /// The late rows since this was last asked, each with the input that they came on.
    pub fn take_late(&mut self) -> Vec<(usize, Batch)> {
        std::mem::take(&mut self.late)
    }

    /// The rows that could not be computed, since this was last asked.
    pub fn take_errors(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.errors)
    }

    /// Whether the job has to stop.
    pub(crate) fn has_to_stop(&self) -> bool {
        self.stop.is_some()
    }

    /// Why the job has to stop, if it has to, since this was last asked.
    pub fn take_stop(&mut self) -> Option<String> {
        self.stop.take()
    }

    /// What became of all rows since this was last asked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}
