//! Each row with what was true at its time.

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::TimeUnit;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::AsOfJoin as Node;

use super::grouping::{MakeError, of_part, to_parts};
use super::join_side::{Row, Side, Sides, units};
use super::lateness::{Fate, late_by_their_own_time};
use super::pairs::{PairFormat, Pairs};
use super::rejected::SourceNames;
use super::{Output, Part, Progress, Size, Stateful};
use crate::batch::Batch;
use crate::expr::EvaluateError;
use crate::key::KeyTable;
use crate::row_order::{Place, RowOrder};
use crate::time::{EventTime, millis};

/// Pairs each left row with the newest right row at or before its time that is equal in what is
/// compared. Of right rows of one time, the last by where they come from is the newest.
///
/// A left row waits until the right side's event time has passed its own, and leaves at its time.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use arrow_schema::TimeUnit;
/// use strandline_operators::batch::{Batch, Times};
/// use strandline_operators::stateful::{AsOfJoin, Output, Progress, Stateful};
/// use strandline_operators::time::EventTime;
/// use strandline_plan::flow::{FlowType, Mode, TimeColumn};
/// use strandline_plan::operator::{AsOfJoin as Node, JoinKind, JoinOf};
///
/// let columns = |rate| -> Result<RecordBatch, arrow_schema::ArrowError> {
///     let of = |value| -> Arc<dyn Array> { Arc::new(Int64Array::from(vec![value])) };
///     RecordBatch::try_from_iter([("user", of(7)), ("rate", of(rate))])
/// };
/// let rows = columns(0)?;
/// let time = Some(TimeColumn { column: None, unit: TimeUnit::Millisecond });
/// let (of_log, reproducible, bounded) = (false, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let side = FlowType { schema, mode, time, of_log, reproducible, bounded };
/// let of = JoinOf { kind: JoinKind::Inner, on: vec!["user".into()], prefix: "then_".into() };
/// let mut join = AsOfJoin::new(&Node { of, tolerance: None }, &side, &side, Arc::from([]))?;
/// let at = |time, rows| Batch::new(rows, Some(Times::new([time], TimeUnit::Millisecond)), None);
/// let mut out = Output::default();
/// join.apply(1, at(1_000, columns(3)?), &mut out);
/// join.apply(1, at(5_000, columns(4)?), &mut out);
/// join.apply(0, at(4_000, rows), &mut out);
/// join.advance(Progress::of(&[EventTime::from_millis(4_001); 2]), &mut out);
/// let pairs = out.take_rows();
/// let rate = pairs[0].rows().column_by_name("then_rate").unwrap();
/// assert_eq!(rate.as_ref(), &Int64Array::from(vec![3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsOfJoin {
    /// Whether left rows without a pair leave too.
    keeps_left: bool,
    tolerance: Option<i64>,
    sides: [Side; 2],
    places: RowOrder,
    unit: TimeUnit,
    per_millis: i64,
    pairs: PairFormat,
    keys: KeyTable,
    of_key: HashMap<u32, OfKey, foldhash::fast::FixedState>,
    /// Left rows, by when they leave.
    waiting: BTreeSet<(i64, u32, u64)>,
    /// Keys that have a row which is not needed any more once the left side is at a time.
    superseded: BTreeSet<(i64, u32)>,
    /// How far each side is, in own units.
    progress: [i64; 2],
    next: u64,
}

#[derive(Default)]
struct OfKey {
    left: BTreeMap<(i64, u64), Row>,
    right: BTreeMap<Place, Row>,
}

/// What is stored of the keys of a group.
#[derive(Serialize, Deserialize)]
struct Stored<B> {
    left: Vec<(B, i64, Row)>,
    right: Vec<(B, Place, Row)>,
}

impl<B> Default for Stored<B> {
    fn default() -> Self {
        Self { left: Vec::new(), right: Vec::new() }
    }
}

impl AsOfJoin {
    /// Of a node of a plan, which reads rows of such flows. `sources` are the names of the plan's
    /// sources.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flows.
    pub fn new(
        node: &Node,
        left: &FlowType,
        right: &FlowType,
        sources: SourceNames,
    ) -> Result<Self, MakeError> {
        let output = node.check(&[left, right])?;
        let Sides { both: sides, unit, per_millis } =
            Sides::new(&node.of, &output, left, right, sources)?;
        Ok(Self {
            keeps_left: node.of.kind.keeps_left(),
            tolerance: node.tolerance.map(|length| millis(length).saturating_mul(per_millis)),
            sides,
            places: RowOrder::new(&right.schema)?,
            unit,
            per_millis,
            pairs: PairFormat::new(&node.of, left, right, &output.rows, unit),
            keys: KeyTable::default(),
            of_key: HashMap::default(),
            waiting: BTreeSet::new(),
            superseded: BTreeSet::new(),
            progress: [i64::MIN; 2],
            next: 0,
        })
    }

    fn try_apply(
        &mut self,
        input: usize,
        batch: Batch,
        out: &mut Output,
    ) -> Result<(), EvaluateError> {
        let times = batch.times().expect("rows of a join have event time").clone();
        let times = times.counted_in(self.unit);
        let fates = late_by_their_own_time(&batch, &times);
        self.sides[input].leave_out(&batch, &fates, out)?;
        let prepared = self.sides[input].prepare(&batch)?;
        let batch = batch.with_times(times);
        let places = if input == 1 { Some(self.places.of(&batch)?) } else { None };
        let mut pairs = Pairs::default();
        for (row, fate) in fates.iter().enumerate() {
            let Fate::Kept(time) = *fate else { continue };
            match (prepared.can_match(row), &places) {
                (true, None) => self.keep_left(prepared.key(row), time, prepared.row(row)),
                (true, Some(places)) => {
                    self.keep_right(prepared.key(row), places.place(row), prepared.row(row));
                }
                (false, None) if self.keeps_left => {
                    pairs.push(Some(&prepared.row(row)), None, time);
                }
                (false, _) => {}
            }
        }
        self.give(&mut pairs, out)
    }

    fn keep_left(&mut self, key: &[u8], time: i64, row: Row) {
        let key = self.keys.hold(key);
        self.next += 1;
        self.waiting.insert((time, key, self.next));
        self.of_key.entry(key).or_default().left.insert((time, self.next), row);
    }

    fn keep_right(&mut self, key: &[u8], place: Place, row: Row) {
        let key = self.keys.hold(key);
        let of_key = self.of_key.entry(key).or_default();
        // From this time on the row before it is no longer the newest.
        self.superseded.insert((place.time, key));
        if let Some(tolerance) = self.tolerance {
            self.superseded.insert((place.time.saturating_add(tolerance).saturating_add(1), key));
        }
        if of_key.right.insert(place, row).is_some() {
            self.keys.release(key);
        }
    }

    fn give(&self, pairs: &mut Pairs, out: &mut Output) -> Result<(), EvaluateError> {
        self.pairs.give(pairs, self.sides[0].format(), self.sides[1].format(), out)
    }

    fn try_advance(&mut self, out: &mut Output) -> Result<(), EvaluateError> {
        let mut pairs = Pairs::default();
        while let Some((time, key, number)) = self.waiting.first().copied()
            && time < self.progress[1]
        {
            self.waiting.pop_first();
            let Some(of_key) = self.of_key.get_mut(&key) else { continue };
            let Some(left) = of_key.left.remove(&(time, number)) else { continue };
            let newest = of_key.newest(time).filter(|(place, _)| {
                self.tolerance.is_none_or(|length| place.time >= time.saturating_sub(length))
            });
            match newest {
                Some((_, right)) => pairs.push(Some(&left), Some(right), time),
                None if self.keeps_left => pairs.push(Some(&left), None, time),
                None => {}
            }
            self.clean(key);
            self.keys.release(key);
            if pairs.is_full() {
                self.give(&mut pairs, out)?;
            }
        }
        while let Some((time, key)) = self.superseded.first().copied()
            && time <= self.progress[0]
        {
            self.superseded.pop_first();
            self.clean(key);
        }
        self.give(&mut pairs, out)
    }

    /// Drops the rows of a key that no left row can need any more.
    fn clean(&mut self, key: u32) {
        let Some(of_key) = self.of_key.get_mut(&key) else { return };
        let waiting = of_key.left.first_key_value().map_or(i64::MAX, |((time, _), _)| *time);
        let at = self.progress[0].min(waiting);
        let mut dropped = 0;
        loop {
            let mut rows = of_key.right.keys();
            let Some(oldest) = rows.next() else { break };
            let newer = rows.next().is_some_and(|newer| newer.time <= at);
            let is_too_old =
                self.tolerance.is_some_and(|length| oldest.time < at.saturating_sub(length));
            if !newer && !is_too_old {
                break;
            }
            of_key.right.pop_first();
            dropped += 1;
        }
        if of_key.left.is_empty() && of_key.right.is_empty() {
            self.of_key.remove(&key);
        }
        (0..dropped).for_each(|_| self.keys.release(key));
    }
}

impl OfKey {
    /// The newest right row at or before a time.
    fn newest(&self, time: i64) -> Option<(&Place, &Row)> {
        self.right.range(..Place::before_all_at(time.checked_add(1)?)).next_back()
    }
}

impl Stateful for AsOfJoin {
    fn apply(&mut self, input: usize, batch: Batch, out: &mut Output) {
        self.try_apply(input, batch, out).unwrap_or_else(|error| out.stop(error));
    }

    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        self.progress = [0, 1].map(|side| units(progress.input(side), self.per_millis));
        self.try_advance(out).unwrap_or_else(|error| out.stop(error));
    }

    fn earliest(&self) -> EventTime {
        self.waiting.first().map_or(EventTime::MAX, |(time, ..)| {
            EventTime::from_millis(time.div_euclid(self.per_millis))
        })
    }

    fn snapshot(&self) -> Vec<Part> {
        let mut groups: BTreeMap<u16, Stored<&[u8]>> = BTreeMap::new();
        for (key, of_key) in &self.of_key {
            let stored = groups.entry(self.keys.group(*key).0).or_default();
            let key = self.keys.bytes(*key);
            let left = of_key.left.iter();
            stored.left.extend(left.map(|((time, _), row)| (key, *time, Row::clone(row))));
            let right = of_key.right.iter();
            stored.right.extend(right.map(|(place, row)| (key, place.clone(), Row::clone(row))));
        }
        to_parts(groups)
    }

    fn restore(&mut self, part: Part) -> Result<(), String> {
        let Stored { left, right } = of_part::<Stored<Vec<u8>>>(&part)?;
        left.into_iter().for_each(|(key, time, row)| self.keep_left(&key, time, row));
        right.into_iter().for_each(|(key, place, row)| self.keep_right(&key, place, row));
        Ok(())
    }

    fn size(&self) -> Size {
        let mut size = Size { rows: 0, bytes: self.keys.size() as u64 };
        for of_key in self.of_key.values() {
            for row in of_key.left.values().chain(of_key.right.values()) {
                size.rows += 1;
                size.bytes += row.len() as u64;
            }
        }
        size
    }
}
