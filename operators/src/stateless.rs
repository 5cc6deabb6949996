//! Operators that keep no rows: what becomes of a batch is a function of that batch.
//!
//! Event times, origins and the watermarks of partitions stay with the rows. [`run`](run::run) puts one
//! into a dataflow.

mod filter;
mod project;
mod route;
pub mod run;
#[cfg(test)]
mod tests;
mod union;
mod unnest;

use serde::{Deserialize, Serialize};

pub use self::filter::Filter;
pub use self::project::Project;
pub use self::route::Route;
pub use self::union::Union;
pub use self::unnest::Unnest;
use crate::batch::Batch;

/// An operator that keeps no rows.
pub trait Stateless: 'static {
    /// Takes some rows of one of its inputs, and gives what becomes of them.
    fn apply(&self, input: usize, batch: Batch, out: &mut Ways);

    /// How many outputs of rows it has.
    fn ways(&self) -> usize {
        1
    }
}

impl Stateless for Box<dyn Stateless> {
    fn apply(&self, input: usize, batch: Batch, out: &mut Ways) {
        (**self).apply(input, batch, out);
    }
    fn ways(&self) -> usize {
        (**self).ways()
    }
}

/// What leaves an operator that keeps no rows.
#[derive(Debug, Default)]
pub struct Ways {
    /// By way; batches in the order in which they were given.
    rows: Vec<(usize, Batch)>,
    errors: Vec<Batch>,
    counts: Counts,
    stop: Option<String>,
}

/// What became of the rows that an operator was given: `read = passed + dropped + failed`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that it was given.
    pub read: u64,
    /// Of these, rows of which something leaves.
    pub passed: u64,
    /// Of these, rows of which nothing leaves: a filter's, and those with an empty list.
    pub dropped: u64,
    /// Of these, left out because they could not be computed.
    pub failed: u64,
    /// Rows that leave: as many as pass, or more where lists become rows.
    pub given: u64,
}

impl Ways {
    /// Gives rows on one way, of which as many were read.
    pub fn give(&mut self, way: usize, rows: Batch) {
        let passed = rows.len() as u64;
        self.give_of(way, rows, passed);
    }

    /// Gives rows on one way that so many others became.
    pub fn give_of(&mut self, way: usize, rows: Batch, passed: u64) {
        self.counts.passed += passed;
        self.counts.given += rows.len() as u64;
        if !rows.is_empty() {
            self.rows.push((way, rows));
        }
    }

    /// Drops rows, as is asked for.
    pub fn drop_rows(&mut self, rows: u64) {
        self.counts.dropped += rows;
    }

    /// Leaves out rows that cannot be computed.
    pub fn leave_out_failed(&mut self, rows: Batch) {
        if !rows.is_empty() {
            self.counts.failed += rows.len() as u64;
            self.errors.push(rows);
        }
    }

    /// Stops the job, which keeps its last checkpoint. Of several reasons the first is told.
    pub fn stop(&mut self, reason: impl ToString) {
        self.stop.get_or_insert_with(|| reason.to_string());
    }

    /// The rows that were given since this was last asked, each with its way.
    pub fn take_rows(&mut self) -> Vec<(usize, Batch)> {
        std::mem::take(&mut self.rows)
    }

    /// The rows that could not be computed, since this was last asked.
    pub fn take_errors(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.errors)
    }

    /// What became of all rows since this was last asked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Why the job has to stop, if it has to, since this was last asked.
    pub fn take_stop(&mut self) -> Option<String> {
        self.stop.take()
    }

    fn note_read(&mut self, rows: u64) {
        self.counts.read += rows;
    }
}
