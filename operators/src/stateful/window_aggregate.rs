//! Aggregates of each key and window, for windows of a fixed length.
//!
//! Rows are added to panes, and a window combines its panes when it is final; a window of one pane is
//! read off it. A row that is late for some of its windows is added to a pane of its own, from which
//! only the others take it. What came back from a checkpoint likewise counts only in windows that were
//! not closed there.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use strandline_plan::flow::FlowType;
use strandline_plan::operator::WindowAggregate as Node;

use super::edges::{Edges, Pane};
use super::grouping::{Grouping, MakeError, of_part, to_parts};
use super::lateness::Fate;
use super::rejected::SourceNames;
use super::result_rows::Result as Row;
use super::{Output, Part, Progress, Size, Stateful};
use crate::batch::{Batch, Times};
use crate::expr::EvaluateError;
use crate::time::EventTime;

/// Computes aggregates for each key and window of a fixed length.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use arrow_array::{Array, Float64Array, RecordBatch};
/// use arrow_schema::TimeUnit;
/// use strandline_operators::batch::{Batch, Times};
/// use strandline_operators::stateful::{Output, Progress, Stateful, WindowAggregate};
/// use strandline_operators::time::EventTime;
/// use strandline_plan::aggregate::max;
/// use strandline_plan::expr::col;
/// use strandline_plan::flow::{FlowType, Mode, TimeColumn};
/// use strandline_plan::operator::{Overflow, WindowAggregate as Node};
/// use strandline_plan::window::Window;
///
/// let x: Arc<dyn Array> = Arc::new(Float64Array::from(vec![1.5, 2.5, 0.5]));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let time = TimeColumn { column: None, unit: TimeUnit::Millisecond };
/// let (schema, time) = (rows.schema(), Some(time));
/// let (of_log, reproducible, bounded) = (false, true, true);
/// let input = FlowType { schema, time, mode: Mode::Append, of_log, reproducible, bounded };
/// let node = Node {
///     window: Window::tumbling(Duration::from_secs(10)),
///     key: vec![],
///     aggregates: vec![max(col("x")).into()],
///     overflow: Overflow::Null,
/// };
/// let mut operator = WindowAggregate::new(&node, &input, Arc::from([]))?;
/// let mut out = Output::default();
/// let times = Times::new([1_000, 9_999, 10_000], TimeUnit::Millisecond);
/// operator.apply(0, Batch::new(rows, Some(times), None), &mut out);
/// operator.advance(Progress::of(&[EventTime::from_millis(10_000)]), &mut out);
/// let closed = &out.take_rows()[0];
/// assert_eq!(closed.times().unwrap().exact(), [9_999]);
/// assert_eq!(closed.rows().column(2).as_ref(), &Float64Array::from(vec![2.5]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WindowAggregate {
    edges: Edges,
    grouping: Grouping,
    panes: BTreeMap<Place, Slots>,
    /// Windows that end at or before this time, milliseconds, are closed.
    closed: i64,
}

/// A pane, and after which end the windows begin that take what is in it: [`i64::MIN`] for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    pane: i64,
    after: i64,
}

/// The slot of each key.
type Slots = HashMap<u32, u32, foldhash::fast::FixedState>;

/// What is stored of a place, for the keys of a group.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    place: Option<Place>,
    keys: Vec<Vec<u8>>,
    aggregates: Vec<Vec<u8>>,
}

impl WindowAggregate {
    /// Of a node of a plan, which reads rows of such a flow. `sources` are the names of the plan's
    /// sources.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flow, or its windows have no fixed length.
    pub fn new(node: &Node, input: &FlowType, sources: SourceNames) -> Result<Self, MakeError> {
        let Some(edges) = Edges::of(&node.window) else {
            return Err(MakeError::Unknown(format!("{} here", node.window)));
        };
        let grouping = Grouping::new(node, input, sources)?;
        Ok(Self { edges, grouping, panes: BTreeMap::new(), closed: i64::MIN })
    }

    fn try_apply(&mut self, batch: Batch, out: &mut Output) -> Result<(), EvaluateError> {
        let times = batch.times().expect("rows of a window have event time").clone();
        let fates = self.fates(&batch, &times, out);
        let window = |row: usize| self.first_window(times.millis(row).as_millis());
        let kept = self.grouping.sort_out(batch, &fates, window, out)?;
        let mut slots = Vec::with_capacity(kept.places.len());
        // Neighbours are mostly of one pane.
        for run in kept.places.chunk_by(|one, other| one == other) {
            let pane = self.panes.entry(run[0]).or_default();
            for _ in run {
                let key = self.grouping.keys.hold(kept.key(slots.len()));
                let slot = match pane.get(&key) {
                    Some(slot) => {
                        self.grouping.keys.release(key);
                        *slot
                    }
                    None => {
                        let slot = self.grouping.aggregates.slot();
                        pane.insert(key, slot);
                        slot
                    }
                };
                slots.push(slot);
            }
        }
        let edges = self.edges;
        let window = |row: usize| first_window(&edges, kept.places[row].pane);
        self.grouping.add(&kept, &slots, window, out)
    }

    /// Where each row goes, by the watermark that its own partition had.
    fn fates(&self, batch: &Batch, times: &Times, out: &mut Output) -> Vec<Fate<Place>> {
        let mut fates = Vec::with_capacity(batch.len());
        let mut pane = self.edges.pane(0);
        let mut partly_late = 0;
        let mut of_run = |rows: std::ops::Range<usize>, watermark: i64| {
            for row in rows {
                let time = times.millis(row).as_millis();
                if !pane.contains(time) {
                    pane = self.edges.pane(time);
                }
                let fate = fate(&pane, watermark);
                partly_late +=
                    u64::from(matches!(fate, Fate::Kept(Place { after, .. }) if after > i64::MIN));
                fates.push(fate);
            }
        };
        match batch.origin() {
            Some(origin) => {
                origin.watermarks.iter().for_each(|(rows, at)| of_run(rows, at.as_millis()));
            }
            // Behind an operator with state nothing is late.
            None => of_run(0..batch.len(), i64::MIN),
        }
        out.note_partly_late(partly_late);
        fates
    }

    fn first_window(&self, time: i64) -> (i64, i64) {
        first_window(&self.edges, self.edges.pane(time).start)
    }

    /// The end of the next window that closes.
    fn next_end(&self) -> Option<i64> {
        let mut next: Option<i64> = None;
        for place in self.panes.keys() {
            // No window that a later pane is in ends before that pane begins.
            if next.is_some_and(|end| end <= place.pane) {
                break;
            }
            let end = self.end_after(*place, self.closed);
            next = [next, end].into_iter().flatten().min();
        }
        next
    }

    /// The first end after a time of a window that takes what is in a place.
    fn end_after(&self, place: Place, time: i64) -> Option<i64> {
        self.edges.ends(place.pane)?.first_after(time.max(place.after))
    }

    fn close(&mut self, end: i64, out: &mut Output) -> Result<(), EvaluateError> {
        let start = self.edges.start(end);
        let from = |pane| Place { pane, after: i64::MIN };
        let panes: Vec<Place> = self.panes.range(from(start)..from(end)).map(|(p, _)| *p).collect();
        let mut parts = panes.iter().filter(|place| place.after < end);
        let row = |(key, slot): (&u32, &u32)| Row { key: *key, start, end, slot: *slot };
        match (parts.next(), parts.next()) {
            (Some(only), None) => {
                let rows: Vec<Row> = self.panes[only].iter().map(row).collect();
                self.grouping.give(&rows, out)?;
            }
            _ => {
                let mut whole = Slots::default();
                let mut pairs = Vec::new();
                for place in panes.iter().filter(|place| place.after < end) {
                    for (key, slot) in &self.panes[place] {
                        let whole =
                            whole.entry(*key).or_insert_with(|| self.grouping.aggregates.slot());
                        pairs.push((*slot, *whole));
                    }
                }
                self.grouping.aggregates.combine(&pairs);
                let rows: Vec<Row> = whole.iter().map(row).collect();
                self.grouping.give(&rows, out)?;
                rows.iter().for_each(|row| self.grouping.aggregates.free(row.slot));
            }
        }
        self.closed = end;
        for place in panes {
            if self.end_after(place, end).is_none()
                && let Some(slots) = self.panes.remove(&place)
            {
                slots.into_iter().for_each(|(key, slot)| self.grouping.free(key, slot));
            }
        }
        Ok(())
    }
}

fn fate(pane: &Pane, watermark: i64) -> Fate<Place> {
    let Some(ends) = pane.ends else { return Fate::Outside };
    if ends.last <= watermark {
        return Fate::Late;
    }
    let after = ends.last_until(watermark).unwrap_or(i64::MIN);
    Fate::Kept(Place { pane: pane.start, after })
}

/// The first window that a pane is in, for messages.
fn first_window(edges: &Edges, pane: i64) -> (i64, i64) {
    edges.ends(pane).map_or((pane, pane), |ends| (edges.start(ends.first), ends.first))
}

impl Stateful for WindowAggregate {
    fn apply(&mut self, _input: usize, batch: Batch, out: &mut Output) {
        self.try_apply(batch, out).unwrap_or_else(|error| out.stop(error));
    }

    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        let to = progress.least().as_millis();
        while let Some(end) = self.next_end().filter(|end| *end <= to) {
            if let Err(error) = self.close(end, out) {
                return out.stop(error);
            }
        }
        self.closed = self.closed.max(to);
    }

    fn earliest(&self) -> EventTime {
        let end = self.next_end();
        end.map_or(EventTime::MAX, |end| EventTime::from_millis(end.saturating_sub(1)))
    }

    fn snapshot(&self) -> Vec<Part> {
        let mut groups: BTreeMap<u16, Vec<Stored>> = BTreeMap::new();
        for (place, slots) in &self.panes {
            let closed = self.edges.ends(place.pane).and_then(|ends| ends.last_until(self.closed));
            let after = place.after.max(closed.unwrap_or(i64::MIN));
            let place = Place { after, ..*place };
            let mut of_group: BTreeMap<u16, (Vec<Vec<u8>>, Vec<u32>)> = BTreeMap::new();
            for (key, slot) in slots {
                let (keys, slots) = of_group.entry(self.grouping.keys.group(*key).0).or_default();
                keys.push(self.grouping.keys.bytes(*key).to_vec());
                slots.push(*slot);
            }
            for (group, (keys, slots)) in of_group {
                let aggregates = self.grouping.aggregates.save(&slots);
                groups.entry(group).or_default().push(Stored {
                    place: Some(place),
                    keys,
                    aggregates,
                });
            }
        }
        to_parts(groups)
    }

    fn restore(&mut self, part: Part) -> Result<(), String> {
        for Stored { place, keys, aggregates } in of_part::<Vec<Stored>>(&part)? {
            let Some(place) = place else { continue };
            let pane = self.panes.entry(place).or_default();
            let mut slots = Vec::with_capacity(keys.len());
            for key in keys {
                let key = self.grouping.keys.hold(&key);
                let slot = match pane.get(&key) {
                    Some(slot) => {
                        self.grouping.keys.release(key);
                        *slot
                    }
                    None => self.grouping.aggregates.slot(),
                };
                pane.insert(key, slot);
                slots.push(slot);
            }
            self.grouping.aggregates.load(&slots, &aggregates)?;
        }
        Ok(())
    }

    fn size(&self) -> Size {
        self.grouping.size()
    }
}
