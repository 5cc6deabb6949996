//! What both kinds of window aggregates share: keys, aggregates, and rows that are left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{BooleanArray, UInt32Array};
use arrow_select::take::take;
use strandline_plan::error::Problem;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::WindowAggregate as Node;

use super::lateness::Fate;
use super::rejected::{LateRows, SourceNames};
use super::result_rows::{Result as Row, ResultRows};
use super::{Output, Part, Size};
use crate::aggregate::columns::Aggregates;
use crate::batch::Batch;
use crate::expr::{EvaluateError, Failed};
use crate::key::{Key, KeyTable, Keys};

/// Why an operator cannot be made of a node of a plan.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The node does not fit what it reads: it is of no checked plan.
    #[error(transparent)]
    Plan(#[from] Problem),
    /// An expression of it cannot be computed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// Nothing here computes it.
    #[error(
        "nothing computes a node of the kind `{0}`; a program that brings its own nodes brings what computes them too"
    )]
    Unknown(String),
}

/// Keys and their aggregates, whatever the windows are.
pub(crate) struct Grouping {
    pub(crate) key: Key,
    pub(crate) keys: KeyTable,
    pub(crate) aggregates: Aggregates,
    rows: ResultRows,
    late: LateRows,
}

/// The rows of a batch that go somewhere, with their keys.
pub(crate) struct Kept<P> {
    pub(crate) batch: Batch,
    pub(crate) places: Vec<P>,
    /// The number of each row in the batch that `keys` is of.
    rows: Vec<usize>,
    keys: Keys,
}

impl<P> Kept<P> {
    /// The bytes of a row's key.
    pub(crate) fn key(&self, row: usize) -> &[u8] {
        self.keys.bytes(self.rows[row])
    }
}

impl Grouping {
    pub(crate) fn new(
        node: &Node,
        input: &FlowType,
        sources: SourceNames,
    ) -> Result<Self, MakeError> {
        let output = node.check(&[input])?;
        let bound = node.key.iter().map(|column| column.expr.bind(&input.schema));
        let bound = bound.collect::<Result<Vec<_>, _>>().map_err(Problem::from)?;
        let aggregates = node.aggregates.iter().map(|named| named.aggregate.bind(&input.schema));
        let aggregates = aggregates.collect::<Result<Vec<_>, _>>()?;
        let texts = node.aggregates.iter().map(|named| named.aggregate.to_string()).collect();
        let errors = output.errors.as_ref().unwrap_or(&output.rows);
        let (schema, errors) = (Arc::clone(&output.rows.schema), Arc::clone(&errors.schema));
        Ok(Self {
            key: Key::new(&bound)?,
            keys: KeyTable::default(),
            aggregates: Aggregates::new(&aggregates, &input.schema)?,
            rows: ResultRows::new(schema, errors, texts, node.overflow),
            late: LateRows::new(output.late.map(|late| late.schema), sources),
        })
    }

    /// Leaves out the rows that are late, in no window or without a key. `window` is what the error
    /// output says of a row.
    pub(crate) fn sort_out<P: Copy>(
        &self,
        batch: Batch,
        fates: &[Fate<P>],
        window: impl Fn(usize) -> (i64, i64),
        out: &mut Output,
    ) -> Result<Kept<P>, EvaluateError> {
        let keys = self.key.of(batch.rows())?;
        let mut without_key = vec![false; batch.len()];
        for failure in keys.failed.iter() {
            // What is late is late, whatever its key is.
            without_key[failure.row] = matches!(fates[failure.row], Fate::Kept(_));
        }
        let late = mask(fates, |fate| matches!(fate, Fate::Late));
        if late.has_true() {
            out.leave_out_late(0, self.late.of(&batch.filter(&late))?);
        }
        let outside = fates.iter().filter(|fate| matches!(fate, Fate::Outside)).count();
        out.leave_out_outside(outside as u64);
        if without_key.contains(&true) {
            let failed: Vec<_> = keys.failed.iter().filter(|f| without_key[f.row]).collect();
            let reasons = failed.iter().map(|failure| {
                format!(
                    "the key: {}{}",
                    failure.reason,
                    self.late.place(batch.origin(), failure.row)
                )
            });
            let windows: Vec<_> = failed.iter().map(|failure| window(failure.row)).collect();
            let nulls: Vec<_> = keys
                .columns()
                .iter()
                .map(|column| arrow_array::new_null_array(column.data_type(), windows.len()))
                .collect();
            out.leave_out_failed(self.rows.failed(&nulls, &windows, reasons.collect())?);
        }
        let mut kept = Kept { places: Vec::new(), rows: Vec::new(), keys, batch };
        for (row, fate) in fates.iter().enumerate() {
            if let Fate::Kept(place) = fate
                && !without_key[row]
            {
                kept.places.push(*place);
                kept.rows.push(row);
            }
        }
        if kept.rows.len() < kept.batch.len() {
            let mut mask = vec![false; kept.batch.len()];
            kept.rows.iter().for_each(|row| mask[*row] = true);
            kept.batch = kept.batch.filter(&mask.into());
        }
        Ok(kept)
    }

    /// Adds rows to their slots, and tells which arguments could not be computed.
    pub(crate) fn add<P>(
        &mut self,
        kept: &Kept<P>,
        slots: &[u32],
        window: impl Fn(usize) -> (i64, i64),
        out: &mut Output,
    ) -> Result<(), EvaluateError> {
        let failed = self.aggregates.add(&kept.batch, slots)?;
        for (i, failed) in failed.iter().enumerate().filter(|(_, failed)| !failed.is_empty()) {
            out.also_failed(self.failed_arguments(kept, i, failed, &window)?);
        }
        Ok(())
    }

    fn failed_arguments<P>(
        &self,
        kept: &Kept<P>,
        aggregate: usize,
        failed: &Failed,
        window: impl Fn(usize) -> (i64, i64),
    ) -> Result<Batch, EvaluateError> {
        let places = failed.iter().map(|failure| kept.rows[failure.row] as u32);
        let places = UInt32Array::from_iter_values(places);
        let columns = kept.keys.columns().iter().map(|column| take(column, &places, None));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let windows: Vec<_> = failed.iter().map(|failure| window(failure.row)).collect();
        let reasons = failed.iter().map(|failure| {
            let place = self.late.place(kept.batch.origin(), failure.row);
            format!("`{}`: {}{place}", self.rows.text(aggregate), failure.reason)
        });
        self.rows.failed(&columns, &windows, reasons.collect())
    }

    /// Gives a row for each of these windows.
    pub(crate) fn give(&self, rows: &[Row], out: &mut Output) -> Result<(), EvaluateError> {
        self.rows.give(rows, &self.key, &self.keys, &self.aggregates, out)
    }

    /// Forgets a slot, and that its key has it.
    pub(crate) fn free(&mut self, key: u32, slot: u32) {
        self.aggregates.free(slot);
        self.keys.release(key);
    }

    pub(crate) fn size(&self) -> Size {
        let bytes = (self.aggregates.size() + self.keys.size()) as u64;
        Size { rows: self.aggregates.used() as u64, bytes }
    }
}

fn mask<P>(fates: &[Fate<P>], of: impl Fn(&Fate<P>) -> bool) -> BooleanArray {
    BooleanArray::from(fates.iter().map(of).collect::<Vec<_>>())
}

/// The version of what operators store: another one is refused.
const STATE_VERSION: u8 = 1;

/// States by key group, as parts.
pub(crate) fn to_parts<S: serde::Serialize>(groups: BTreeMap<u16, S>) -> Vec<Part> {
    let part = |(group, state): (u16, S)| {
        let bytes = postcard::to_stdvec(&(STATE_VERSION, state));
        Part { group, bytes: bytes.expect("what is in memory can be written to memory") }
    };
    groups.into_iter().map(part).collect()
}

/// The state of a part.
pub(crate) fn of_part<S: serde::de::DeserializeOwned>(part: &Part) -> Result<S, String> {
    if part.bytes.first() != Some(&STATE_VERSION) {
        return Err(format!(
            "the state of key group {} is not of version {STATE_VERSION}, which this program reads; run the version that wrote it, or start without it",
            part.group
        ));
    }
    postcard::from_bytes(&part.bytes[1..])
        .map_err(|e| format!("the state of key group {} cannot be read: {e}", part.group))
}
