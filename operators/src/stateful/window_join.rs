//! Pairs of rows of one window.

use std::collections::BTreeMap;

use arrow_schema::TimeUnit;
use serde::{Deserialize, Serialize};
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::{JoinKind, WindowJoin as Node};

use super::grouping::{MakeError, of_part, to_parts};
use super::join_side::{Row, Side, Sides};
use super::lateness::Fate;
use super::pairs::{PairFormat, Pairs};
use super::rejected::SourceNames;
use super::windowed::{Content, Windowed};
use super::{Output, Part, Progress, Size, Stateful};
use crate::batch::Batch;
use crate::expr::EvaluateError;
use crate::key::KeyTable;
use crate::time::EventTime;

/// Pairs rows of both inputs that lie in one window and are equal in what is compared; they leave when
/// the window is final, and so do rows without a pair.
///
/// The first input is the left side. A session is of both sides together.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use arrow_schema::TimeUnit;
/// use strandline_operators::batch::{Batch, Times};
/// use strandline_operators::stateful::{Output, Progress, Stateful, WindowJoin};
/// use strandline_operators::time::EventTime;
/// use strandline_plan::flow::{FlowType, Mode, TimeColumn};
/// use strandline_plan::operator::{JoinKind, JoinOf, WindowJoin as Node};
/// use strandline_plan::window::Window;
///
/// let user: Arc<dyn Array> = Arc::new(Int64Array::from(vec![7]));
/// let rows = RecordBatch::try_from_iter([("user", user)])?;
/// let time = Some(TimeColumn { column: None, unit: TimeUnit::Millisecond });
/// let (of_log, reproducible, bounded) = (false, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let side = FlowType { schema, mode, time, of_log, reproducible, bounded };
/// let of = JoinOf { kind: JoinKind::Inner, on: vec!["user".into()], prefix: "order_".into() };
/// let node = Node { of, window: Window::tumbling(Duration::from_secs(10)) };
/// let mut join = WindowJoin::new(&node, &side, &side, Arc::from([]))?;
/// let at = |time| Batch::new(rows.clone(), Some(Times::new([time], TimeUnit::Millisecond)), None);
/// let mut out = Output::default();
/// join.apply(0, at(1_000), &mut out);
/// join.apply(1, at(9_000), &mut out);
/// join.apply(1, at(10_000), &mut out); // another window
/// join.advance(Progress::of(&[EventTime::from_millis(10_000); 2]), &mut out);
/// let pairs = out.take_rows();
/// assert_eq!(pairs.iter().map(Batch::len).sum::<usize>(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WindowJoin {
    kind: JoinKind,
    sides: [Side; 2],
    keys: KeyTable,
    windows: Windowed<Rows>,
    unit: TimeUnit,
    pairs: PairFormat,
}

/// The rows of a key and window.
#[derive(Default, Serialize, Deserialize)]
struct Rows {
    left: Vec<Row>,
    right: Vec<Row>,
    /// Whether they are equal to nothing: their key has a null.
    alone: bool,
}

type Stored = Vec<(Vec<u8>, (i64, i64), Rows)>;
type StoredRef<'a> = (&'a [u8], (i64, i64), &'a Rows);

impl Content for Rows {
    fn merge(&mut self, other: Self) {
        self.left.extend(other.left);
        self.right.extend(other.right);
        self.alone |= other.alone;
    }
}

impl WindowJoin {
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
            kind: node.of.kind,
            sides,
            keys: KeyTable::default(),
            windows: Windowed::new(&node.window, per_millis),
            unit,
            pairs: PairFormat::new(&node.of, left, right, &output.rows, TimeUnit::Millisecond),
        })
    }

    fn try_apply(
        &mut self,
        input: usize,
        batch: &Batch,
        out: &mut Output,
    ) -> Result<(), EvaluateError> {
        let times = batch.times().expect("rows of a join have event time").clone();
        let times = times.counted_in(self.unit);
        let (fates, partly_late) = self.windows.fates(batch, &times);
        out.note_partly_late(partly_late);
        let side = &self.sides[input];
        side.leave_out(batch, &fates, out)?;
        let prepared = side.prepare(batch)?;
        for (row, fate) in fates.iter().enumerate() {
            let Fate::Kept(at) = fate else { continue };
            let alone = !prepared.can_match(row);
            let bytes = prepared.row(row);
            self.windows.put(&mut self.keys, prepared.key(row), *at, |rows| {
                let side = if input == 0 { &mut rows.left } else { &mut rows.right };
                side.push(Row::clone(&bytes));
                rows.alone |= alone;
            });
        }
        Ok(())
    }

    fn try_advance(&mut self, to: EventTime, out: &mut Output) -> Result<(), EvaluateError> {
        let mut pairs = Pairs::default();
        let [left, right] = [self.sides[0].format(), self.sides[1].format()];
        for closed in self.windows.close(to.as_millis()) {
            self.keys.release(closed.key);
            let (rows, window) = (closed.state, (closed.start, closed.end));
            let mut give = |left_row: Option<&Row>, right_row: Option<&Row>| {
                pairs.push_of_window(left_row, right_row, window.1.saturating_sub(1), window);
                if pairs.is_full() { self.pairs.give(&mut pairs, left, right, out) } else { Ok(()) }
            };
            let meets = |side: &[Row]| !rows.alone && !side.is_empty();
            for one in &rows.left {
                match self.kind {
                    JoinKind::Semi if meets(&rows.right) => give(Some(one), None)?,
                    JoinKind::Anti if !meets(&rows.right) => give(Some(one), None)?,
                    JoinKind::Semi | JoinKind::Anti => {}
                    _ if meets(&rows.right) => {
                        for other in &rows.right {
                            give(Some(one), Some(other))?;
                        }
                    }
                    kind if kind.keeps_left() => give(Some(one), None)?,
                    _ => {}
                }
            }
            if self.kind.keeps_right() && !meets(&rows.left) {
                for other in &rows.right {
                    give(None, Some(other))?;
                }
            }
        }
        self.pairs.give(&mut pairs, left, right, out)
    }
}

impl Stateful for WindowJoin {
    fn apply(&mut self, input: usize, batch: Batch, out: &mut Output) {
        self.try_apply(input, &batch, out).unwrap_or_else(|error| out.stop(error));
    }

    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        self.try_advance(progress.least(), out).unwrap_or_else(|error| out.stop(error));
    }

    fn earliest(&self) -> EventTime {
        let end = self.windows.earliest_end();
        end.map_or(EventTime::MAX, |end| EventTime::from_millis(end.saturating_sub(1)))
    }

    fn snapshot(&self) -> Vec<Part> {
        let mut groups: BTreeMap<u16, Vec<StoredRef<'_>>> = BTreeMap::new();
        for (key, which, rows) in self.windows.iter() {
            let of_group = groups.entry(self.keys.group(key).0).or_default();
            of_group.push((self.keys.bytes(key), which, rows));
        }
        to_parts(groups)
    }

    fn restore(&mut self, part: Part) -> Result<(), String> {
        for (key, which, rows) in of_part::<Stored>(&part)? {
            self.windows.take_back(&mut self.keys, &key, which, rows);
        }
        Ok(())
    }

    fn size(&self) -> Size {
        let mut size = Size { rows: 0, bytes: self.keys.size() as u64 };
        for (_, _, rows) in self.windows.iter() {
            for row in rows.left.iter().chain(&rows.right) {
                size.rows += 1;
                size.bytes += row.len() as u64;
            }
        }
        size
    }
}
