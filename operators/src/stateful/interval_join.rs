//! Pairs of rows that lie within a stretch of time of each other.

mod latest;

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::TimeUnit;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use strandline_plan::error::Problem;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::{Bound, IntervalJoin as Node, JoinKind};

use self::latest::Latest;
use super::grouping::{MakeError, of_part, to_parts};
use super::join_side::{Row, Side, Sides, units};
use super::lateness::{Fate, late_by_their_own_time};
use super::pairs::{PairFormat, Pairs};
use super::rejected::SourceNames;
use super::{Output, Part, Progress, Size, Stateful};
use crate::batch::Batch;
use crate::expr::{EvaluateError, Evaluator};
use crate::key::KeyTable;
use crate::time::{EventTime, millis};

/// Pairs rows that are equal in what is compared, where the right one's time lies between two bounds
/// that belong to the left one.
///
/// A pair leaves as soon as both rows are there, at the time of the left one. What a side keeps is
/// dropped when the other side's event time says that nothing can match it any more; rows without a
/// pair leave then. Which pairs there are is a function of the rows alone.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use arrow_schema::TimeUnit;
/// use strandline_operators::batch::{Batch, Times};
/// use strandline_operators::stateful::{IntervalJoin, Output, Stateful};
/// use strandline_plan::flow::{FlowType, Mode, TimeColumn};
/// use strandline_plan::operator::{IntervalJoin as Node, JoinKind, JoinOf, after};
///
/// let user: Arc<dyn Array> = Arc::new(Int64Array::from(vec![7]));
/// let rows = RecordBatch::try_from_iter([("user", user)])?;
/// let time = Some(TimeColumn { column: None, unit: TimeUnit::Millisecond });
/// let (of_log, reproducible, bounded) = (false, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let side = FlowType { schema, mode, time, of_log, reproducible, bounded };
/// // Each click with the orders of its user in the second after it.
/// let of = JoinOf { kind: JoinKind::Inner, on: vec!["user".into()], prefix: "order_".into() };
/// let node = Node { of, from: after(Duration::ZERO), to: after(Duration::from_secs(1)) };
/// let mut join = IntervalJoin::new(&node, &side, &side, Arc::from([]))?;
/// let at = |time| Batch::new(rows.clone(), Some(Times::new([time], TimeUnit::Millisecond)), None);
/// let mut out = Output::default();
/// join.apply(1, at(1_400), &mut out); // an order
/// join.apply(0, at(300), &mut out); // a click that is too early for it
/// join.apply(0, at(500), &mut out);
/// let pairs = out.take_rows();
/// assert_eq!(pairs[0].times().unwrap().exact(), [500]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct IntervalJoin {
    kind: JoinKind,
    sides: [Side; 2],
    from: i64,
    to: Latest,
    unit: TimeUnit,
    per_millis: i64,
    pairs: PairFormat,
    keys: KeyTable,
    of_key: HashMap<u32, OfKey, foldhash::fast::FixedState>,
    /// When a kept row is dropped: the last time of the other side that matters, and which row.
    left_until: BTreeSet<(i64, u32, Id)>,
    right_until: BTreeSet<(i64, u32, Id)>,
    /// Times at which rows may leave because of what is kept, and of how many rows.
    may_leave: BTreeMap<i64, usize>,
    /// How far each side is, in own units.
    progress: [i64; 2],
    next: u64,
}

/// A kept row: its time, and a number that no other has.
type Id = (i64, u64);

#[derive(Default)]
struct OfKey {
    left: BTreeMap<Id, Left>,
    right: BTreeMap<Id, Right>,
}

struct Left {
    row: Row,
    until: i64,
    has_pair: bool,
}

struct Right {
    row: Row,
    has_pair: bool,
}

/// What is stored of a row: its key and time, until when it is kept (of the left side), whether it has
/// had a pair, and its bytes.
type StoredRow<B> = (B, i64, i64, bool, Row);

/// What is stored of the keys of a group, by side.
#[derive(Serialize, Deserialize)]
struct Stored<B> {
    left: Vec<StoredRow<B>>,
    right: Vec<StoredRow<B>>,
}

impl<B> Default for Stored<B> {
    fn default() -> Self {
        Self { left: Vec::new(), right: Vec::new() }
    }
}

impl IntervalJoin {
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
        let units = |length| millis(length).saturating_mul(per_millis);
        let constant = |bound: &Bound| match bound {
            Bound::After(length) => Some(units(*length)),
            Bound::Before(length) => Some(-units(*length)),
            Bound::At(_) => None,
        };
        let to = match &node.to {
            Bound::At(expr) => {
                Latest::At(Evaluator::new(&expr.bind(&left.schema).map_err(Problem::from)?)?)
            }
            bound => Latest::After(constant(bound).unwrap_or_default()),
        };
        Ok(Self {
            kind: node.of.kind,
            sides,
            // The plan has refused any other.
            from: constant(&node.from).unwrap_or_default(),
            to,
            unit,
            per_millis,
            pairs: PairFormat::new(&node.of, left, right, &output.rows, unit),
            keys: KeyTable::default(),
            of_key: HashMap::default(),
            left_until: BTreeSet::new(),
            right_until: BTreeSet::new(),
            may_leave: BTreeMap::new(),
            progress: [i64::MIN; 2],
            next: 0,
        })
    }

    fn try_apply(
        &mut self,
        input: usize,
        batch: &Batch,
        out: &mut Output,
    ) -> Result<(), EvaluateError> {
        let times = batch.times().expect("rows of a join have event time").clone();
        let fates = late_by_their_own_time(batch, &times.counted_in(self.unit));
        let side = &self.sides[input];
        side.leave_out(batch, &fates, out)?;
        let prepared = side.prepare(batch)?;
        let until = if input == 0 { self.to.of(batch, &fates, self.unit)? } else { Vec::new() };
        let mut pairs = Pairs::default();
        for (row, fate) in fates.iter().enumerate() {
            let Fate::Kept(time) = *fate else { continue };
            let key = prepared.can_match(row).then(|| prepared.key(row));
            let bytes = prepared.row(row);
            match (input, key) {
                (0, Some(key)) => self.add_left(key, time, until[row], bytes, &mut pairs),
                (0, None) => self.left_alone(&bytes, time, &mut pairs),
                (_, Some(key)) => self.add_right(key, time, bytes, &mut pairs),
                (_, None) => self.right_alone(&bytes, time, &mut pairs),
            }
            if pairs.is_full() {
                self.give(&mut pairs, out)?;
            }
        }
        self.give(&mut pairs, out)
    }

    fn give(&self, pairs: &mut Pairs, out: &mut Output) -> Result<(), EvaluateError> {
        self.pairs.give(pairs, self.sides[0].format(), self.sides[1].format(), out)
    }

    fn left_alone(&self, row: &Row, time: i64, pairs: &mut Pairs) {
        if self.kind.keeps_left() || self.kind == JoinKind::Anti {
            pairs.push(Some(row), None, time);
        }
    }

    fn right_alone(&self, row: &Row, time: i64, pairs: &mut Pairs) {
        if self.kind.keeps_right() {
            pairs.push(None, Some(row), time);
        }
    }

    fn is_each(&self) -> bool {
        !matches!(self.kind, JoinKind::Semi | JoinKind::Anti)
    }

    fn add_left(&mut self, key: &[u8], time: i64, until: i64, row: Row, pairs: &mut Pairs) {
        let (first, is_each) = (time.saturating_add(self.from), self.is_each());
        let mut has_pair = false;
        if let Some(of_key) = self.keys.find(key).and_then(|key| self.of_key.get_mut(&key))
            && first <= until
        {
            for right in of_key.right.range_mut((first, 0)..=(until, u64::MAX)).map(|(_, r)| r) {
                has_pair = true;
                right.has_pair = true;
                if is_each {
                    pairs.push(Some(&row), Some(&right.row), time);
                }
            }
        }
        match self.kind {
            JoinKind::Semi if has_pair => return pairs.push(Some(&row), None, time),
            JoinKind::Anti if has_pair => return,
            _ => {}
        }
        if first <= until && until >= self.progress[1] {
            self.keep_left(key, time, Left { row, until, has_pair });
        } else if !has_pair {
            self.left_alone(&row, time, pairs);
        }
    }

    fn keep_left(&mut self, key: &[u8], time: i64, left: Left) {
        let (key, id) = (self.keys.hold(key), (time, self.number()));
        self.left_until.insert((left.until, key, id));
        *self.may_leave.entry(time).or_default() += 1;
        self.of_key.entry(key).or_default().left.insert(id, left);
    }

    fn add_right(&mut self, key: &[u8], time: i64, row: Row, pairs: &mut Pairs) {
        let (is_each, is_semi) = (self.is_each(), self.kind == JoinKind::Semi);
        // A left row that begins to match here, and any before.
        let last = time.saturating_sub(self.from);
        let first = match self.to {
            Latest::After(length) => time.saturating_sub(length),
            Latest::At(_) => i64::MIN,
        };
        let mut has_pair = false;
        if first <= last
            && let Some(key) = self.keys.find(key)
            && let Some(of_key) = self.of_key.get_mut(&key)
        {
            let mut over = Vec::new();
            for (id, left) in of_key.left.range_mut((first, 0)..=(last, u64::MAX)) {
                if left.until < time {
                    continue;
                }
                has_pair = true;
                left.has_pair = true;
                if is_each {
                    pairs.push(Some(&left.row), Some(&row), id.0);
                } else {
                    over.push((*id, left.until));
                    if is_semi {
                        pairs.push(Some(&left.row), None, id.0);
                    }
                }
            }
            for (id, until) in over {
                self.left_until.remove(&(until, key, id));
                self.drop_left(key, id);
            }
        }
        let until = time.saturating_sub(self.from);
        if until >= self.progress[0] {
            self.keep_right(key, time, Right { row, has_pair });
        } else if !has_pair {
            self.right_alone(&row, time, pairs);
        }
    }

    fn keep_right(&mut self, key: &[u8], time: i64, right: Right) {
        let (key, id) = (self.keys.hold(key), (time, self.number()));
        self.right_until.insert((time.saturating_sub(self.from), key, id));
        if self.kind.keeps_right() {
            *self.may_leave.entry(time).or_default() += 1;
        }
        self.of_key.entry(key).or_default().right.insert(id, right);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn drop_left(&mut self, key: u32, id: Id) -> Option<Left> {
        let left = self.of_key.get_mut(&key)?.left.remove(&id)?;
        self.dropped(key);
        self.leaves_no_more(id.0);
        Some(left)
    }

    fn drop_right(&mut self, key: u32, id: Id) -> Option<Right> {
        let right = self.of_key.get_mut(&key)?.right.remove(&id)?;
        self.dropped(key);
        if self.kind.keeps_right() {
            self.leaves_no_more(id.0);
        }
        Some(right)
    }

    fn dropped(&mut self, key: u32) {
        self.keys.release(key);
        if self.of_key.get(&key).is_some_and(|of| of.left.is_empty() && of.right.is_empty()) {
            self.of_key.remove(&key);
        }
    }

    fn leaves_no_more(&mut self, time: i64) {
        if let Some(rows) = self.may_leave.get_mut(&time) {
            *rows -= 1;
            if *rows == 0 {
                self.may_leave.remove(&time);
            }
        }
    }

    fn try_advance(&mut self, out: &mut Output) -> Result<(), EvaluateError> {
        let mut pairs = Pairs::default();
        let [left_progress, right_progress] = self.progress;
        while let Some((until, key, id)) = self.left_until.first().copied()
            && until < right_progress
        {
            self.left_until.pop_first();
            if let Some(left) = self.drop_left(key, id)
                && !left.has_pair
            {
                self.left_alone(&left.row, id.0, &mut pairs);
            }
            if pairs.is_full() {
                self.give(&mut pairs, out)?;
            }
        }
        while let Some((until, key, id)) = self.right_until.first().copied()
            && until < left_progress
        {
            self.right_until.pop_first();
            if let Some(right) = self.drop_right(key, id)
                && !right.has_pair
            {
                self.right_alone(&right.row, id.0, &mut pairs);
            }
            if pairs.is_full() {
                self.give(&mut pairs, out)?;
            }
        }
        self.give(&mut pairs, out)
    }
}

impl Stateful for IntervalJoin {
    fn apply(&mut self, input: usize, batch: Batch, out: &mut Output) {
        self.try_apply(input, &batch, out).unwrap_or_else(|error| out.stop(error));
    }

    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        self.progress = [0, 1].map(|side| units(progress.input(side), self.per_millis));
        self.try_advance(out).unwrap_or_else(|error| out.stop(error));
    }

    fn earliest(&self) -> EventTime {
        let first = self.may_leave.first_key_value();
        first.map_or(EventTime::MAX, |(time, _)| {
            EventTime::from_millis(time.div_euclid(self.per_millis))
        })
    }

    fn snapshot(&self) -> Vec<Part> {
        let mut groups: BTreeMap<u16, Stored<&[u8]>> = BTreeMap::new();
        for (key, of_key) in &self.of_key {
            let stored = groups.entry(self.keys.group(*key).0).or_default();
            let key = self.keys.bytes(*key);
            for ((time, _), left) in &of_key.left {
                stored.left.push((key, *time, left.until, left.has_pair, Row::clone(&left.row)));
            }
            for ((time, _), right) in &of_key.right {
                stored.right.push((key, *time, 0, right.has_pair, Row::clone(&right.row)));
            }
        }
        to_parts(groups)
    }

    fn restore(&mut self, part: Part) -> Result<(), String> {
        // Pairs of what is stored have left before.
        let Stored { left, right } = of_part::<Stored<Vec<u8>>>(&part)?;
        for (key, time, until, has_pair, row) in left {
            self.keep_left(&key, time, Left { row, until, has_pair });
        }
        for (key, time, _, has_pair, row) in right {
            self.keep_right(&key, time, Right { row, has_pair });
        }
        Ok(())
    }

    fn size(&self) -> Size {
        let mut size = Size { rows: 0, bytes: self.keys.size() as u64 };
        for of_key in self.of_key.values() {
            let left = of_key.left.values().map(|left| left.row.len());
            for length in left.chain(of_key.right.values().map(|right| right.row.len())) {
                size.rows += 1;
                size.bytes += length as u64;
            }
        }
        size
    }
}
