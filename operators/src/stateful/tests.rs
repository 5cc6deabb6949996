//! Operators alone, with virtual time: the same rows as a reading of the whole input at once, for any
//! batches, any pace of event time, any cuts, and any number of workers before and after them.

mod joins;
mod ledger;
mod records;
mod tops;
mod window_aggregates;
mod windows_known;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::*;
use crate::key::Key;

/// The workers of an operator, and what has left them.
struct Workers<'a> {
    make: &'a dyn Fn() -> Box<dyn Stateful>,
    /// Which key rows go by, for each input.
    keys: Vec<Key>,
    operators: Vec<Box<dyn Stateful>>,
    progress: Vec<EventTime>,
    /// Of each worker, the earliest event time at which a row may leave.
    held: Vec<EventTime>,
    out: Output,
    rows: Vec<Batch>,
    late: Vec<Batch>,
    errors: Vec<Batch>,
    counts: Counts,
}

impl<'a> Workers<'a> {
    fn new(workers: usize, keys: Vec<Key>, make: &'a dyn Fn() -> Box<dyn Stateful>) -> Self {
        let operators: Vec<_> = (0..workers).map(|_| make()).collect();
        Self {
            make,
            progress: vec![EventTime::MIN; keys.len()],
            held: vec![EventTime::MIN; workers],
            keys,
            operators,
            out: Output::default(),
            rows: Vec::new(),
            late: Vec::new(),
            errors: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Gives each row to the worker that has its key.
    fn apply(&mut self, input: usize, batch: &Batch) {
        let keys = self.keys[input].of(batch.rows()).unwrap();
        for worker in 0..self.operators.len() {
            let rows: Vec<u32> = (0..batch.len())
                .filter(|row| keys.group(*row).worker(self.operators.len()) == worker)
                .map(|row| u32::try_from(row).unwrap())
                .collect();
            if !rows.is_empty() {
                self.out.note_read(rows.len() as u64);
                self.operators[worker].apply(input, batch.take(&rows), &mut self.out);
                self.collect(worker);
            }
        }
    }

    /// Event time of an input has come to here.
    fn advance(&mut self, input: usize, to: EventTime) {
        self.progress[input] = self.progress[input].max(to);
        for worker in 0..self.operators.len() {
            self.operators[worker].advance(Progress::of(&self.progress), &mut self.out);
            self.collect(worker);
            let least = Progress::of(&self.progress).least();
            let held = least.min(self.operators[worker].earliest());
            self.held[worker] = self.held[worker].max(held);
        }
    }

    /// Goes on from a cut with so many workers.
    fn cut(&mut self, workers: usize) {
        let parts: Vec<Part> = self.operators.iter().flat_map(Stateful::snapshot).collect();
        self.operators = (0..workers).map(|_| (self.make)()).collect();
        for part in parts {
            self.operators[usize::from(part.group) % workers].restore(part).unwrap();
        }
        self.held = vec![EventTime::MIN; workers];
        // A restarted operator hears anew how far event time has come.
        (0..self.progress.len()).for_each(|input| self.advance(input, self.progress[input]));
    }

    fn end(&mut self) {
        (0..self.progress.len()).for_each(|input| self.advance(input, EventTime::MAX));
        for operator in &self.operators {
            assert_eq!(operator.earliest(), EventTime::MAX);
            assert_eq!(operator.size().rows, 0, "nothing is kept at the end");
        }
    }

    fn collect(&mut self, worker: usize) {
        assert_eq!(self.out.take_stop(), None);
        let rows = self.out.take_rows();
        for batch in &rows {
            let least = batch.times().unwrap().least().unwrap();
            assert!(self.held[worker] <= least, "{least:?} left, and {:?} was held", self.held);
        }
        self.rows.extend(rows);
        self.late.extend(self.out.take_late().into_iter().map(|(_, rows)| rows));
        self.errors.extend(self.out.take_errors());
        let counts = self.out.take_counts();
        self.counts.read += counts.read;
        self.counts.late += counts.late;
        self.counts.failed += counts.failed;
        self.counts.outside += counts.outside;
        self.counts.partly_late += counts.partly_late;
        self.counts.given += counts.given;
    }

    /// All rows that left, as text, in order.
    fn texts(&self) -> Vec<String> {
        texts(&self.rows)
    }
}

/// Rows as text, with their event time, in order.
fn texts(batches: &[Batch]) -> Vec<String> {
    let mut texts: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            (0..batch.len()).map(|row| {
                let cells: Vec<_> =
                    batch.rows().columns().iter().map(|column| cell(column, row)).collect();
                let time = batch.times().map(|times| format!(" @{}", times.exact()[row]));
                format!("{}{}", cells.join(" "), time.unwrap_or_default())
            })
        })
        .collect();
    texts.sort();
    texts
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "-".into();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Timestamp(..) => {
            column.as_primitive::<TimestampMillisecondType>().value(row).to_string()
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        other => unreachable!("{other} is in no test"),
    }
}
