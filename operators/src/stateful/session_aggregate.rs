//! Aggregates of each key and session.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strandline_plan::flow::FlowType;
use strandline_plan::operator::WindowAggregate as Node;
use strandline_plan::window::Window;

use super::grouping::{Grouping, MakeError, of_part, to_parts};
use super::lateness::late_by_their_own_time;
use super::rejected::SourceNames;
use super::result_rows::Result as Row;
use super::sessions::{Sessions, end_millis};
use super::{Output, Part, Progress, Size, Stateful};
use crate::batch::{Batch, Times};
use crate::expr::EvaluateError;
use crate::time::{EventTime, millis};

/// Computes aggregates for each key and session: rows of a key that lie less than a gap apart, one
/// after the other.
///
/// A row is late exactly if its time is before the watermark of its own partition: one that is not may
/// touch any session that is open, and none that was closed.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use arrow_schema::TimeUnit;
/// use strandline_operators::batch::{Batch, Times};
/// use strandline_operators::stateful::{Output, Progress, SessionAggregate, Stateful};
/// use strandline_operators::time::EventTime;
/// use strandline_plan::aggregate::max;
/// use strandline_plan::expr::col;
/// use strandline_plan::flow::{FlowType, Mode, TimeColumn};
/// use strandline_plan::operator::{Overflow, WindowAggregate as Node};
/// use strandline_plan::window::Window;
///
/// let x: Arc<dyn Array> = Arc::new(Int64Array::from(vec![1, 5, 2]));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let time = Some(TimeColumn { column: None, unit: TimeUnit::Millisecond });
/// let (of_log, reproducible, bounded) = (false, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let input = FlowType { schema, mode, time, of_log, reproducible, bounded };
/// let node = Node {
///     window: Window::Session { gap: Duration::from_secs(5) },
///     key: vec![],
///     aggregates: vec![max(col("x")).into()],
///     overflow: Overflow::Null,
/// };
/// let mut sessions = SessionAggregate::new(&node, &input, Arc::from([]))?;
/// let mut out = Output::default();
/// let times = Times::new([1_000, 4_000, 20_000], TimeUnit::Millisecond);
/// sessions.apply(0, Batch::new(rows, Some(times), None), &mut out);
/// sessions.advance(Progress::of(&[EventTime::from_millis(10_000)]), &mut out);
/// // The session that began at 1 s is over, five seconds after its last row.
/// let closed = &out.take_rows()[0];
/// assert_eq!(closed.times().unwrap().exact(), [8_999]);
/// assert_eq!(closed.rows().column(2).as_ref(), &Int64Array::from(vec![5]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SessionAggregate {
    gap: i64,
    /// How finely time is counted, at least in milliseconds.
    per_millis: i64,
    grouping: Grouping,
    /// A slot for each session.
    sessions: Sessions<u32>,
}

/// What is stored of the sessions of the keys of a group.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// Key, time of the first row, time of the last.
    sessions: Vec<(Vec<u8>, i64, i64)>,
    aggregates: Vec<Vec<u8>>,
}

impl SessionAggregate {
    /// Of a node of a plan, which reads rows of such a flow. `sources` are the names of the plan's
    /// sources.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flow, or its windows are no sessions.
    pub fn new(node: &Node, input: &FlowType, sources: SourceNames) -> Result<Self, MakeError> {
        let Window::Session { gap } = node.window else {
            return Err(MakeError::Unknown(format!("{} here", node.window)));
        };
        let per_millis = per_millis(input);
        let (gap, grouping) = (millis(gap), Grouping::new(node, input, sources)?);
        Ok(Self { gap, per_millis, grouping, sessions: Sessions::new(gap, per_millis) })
    }

    fn try_apply(&mut self, batch: Batch, out: &mut Output) -> Result<(), EvaluateError> {
        let times = batch.times().expect("rows of a session have event time").clone();
        let times = times.at_least_millis();
        let fates = late_by_their_own_time(&batch, &times);
        let gap = self.gap.saturating_mul(self.per_millis);
        let alone =
            |time: i64| (time.div_euclid(self.per_millis), end_millis(time, gap, self.per_millis));
        let window = |row: usize| alone(times.exact()[row]);
        let kept = self.grouping.sort_out(batch, &fates, window, out)?;
        let mut merged = Vec::new();
        let mut slots = Vec::with_capacity(kept.places.len());
        for (row, time) in kept.places.iter().enumerate() {
            let key = self.grouping.keys.hold(kept.key(row));
            let mut is_new = false;
            let aggregates = &mut self.grouping.aggregates;
            let new = || {
                is_new = true;
                aggregates.slot()
            };
            let merge = |into: &mut u32, from: u32| merged.push((key, from, *into));
            slots.push(*self.sessions.reach(key, (*time, *time), new, merge));
            if !is_new {
                self.grouping.keys.release(key);
            }
        }
        let window = |row: usize| alone(kept.places[row]);
        self.grouping.add(&kept, &slots, window, out)?;
        // Rows were added to sessions that became others later in this batch.
        let pairs: Vec<_> = merged.iter().map(|(_, from, into)| (*from, *into)).collect();
        self.grouping.aggregates.combine(&pairs);
        merged.iter().for_each(|(key, from, _)| self.grouping.free(*key, *from));
        Ok(())
    }
}

/// How finely the times of a flow are counted, at least in milliseconds.
pub(crate) fn per_millis(flow: &FlowType) -> i64 {
    flow.time.as_ref().map_or(1, |time| Times::new([], time.unit).per_millis().max(1))
}

impl Stateful for SessionAggregate {
    fn apply(&mut self, _input: usize, batch: Batch, out: &mut Output) {
        self.try_apply(batch, out).unwrap_or_else(|error| out.stop(error));
    }

    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        let closed = self.sessions.close(progress.least().as_millis());
        let rows: Vec<Row> = closed
            .into_iter()
            .map(|session| {
                let (key, slot) = (session.key, session.state);
                Row { key, start: session.start, end: session.end, slot }
            })
            .collect();
        if let Err(error) = self.grouping.give(&rows, out) {
            return out.stop(error);
        }
        rows.iter().for_each(|row| self.grouping.free(row.key, row.slot));
    }

    fn earliest(&self) -> EventTime {
        let end = self.sessions.earliest_end();
        end.map_or(EventTime::MAX, |end| EventTime::from_millis(end.saturating_sub(1)))
    }

    fn snapshot(&self) -> Vec<Part> {
        let mut groups: BTreeMap<u16, (Stored, Vec<u32>)> = BTreeMap::new();
        for (key, session) in self.sessions.iter() {
            let (stored, slots) = groups.entry(self.grouping.keys.group(key).0).or_default();
            let bytes = self.grouping.keys.bytes(key).to_vec();
            stored.sessions.push((bytes, session.first, session.last));
            slots.push(session.state);
        }
        let save = |(group, (stored, slots)): (u16, (Stored, Vec<u32>))| {
            (group, Stored { aggregates: self.grouping.aggregates.save(&slots), ..stored })
        };
        to_parts(groups.into_iter().map(save).collect())
    }

    fn restore(&mut self, part: Part) -> Result<(), String> {
        let Stored { sessions, aggregates } = of_part(&part)?;
        let slots: Vec<u32> = sessions.iter().map(|_| self.grouping.aggregates.slot()).collect();
        self.grouping.aggregates.load(&slots, &aggregates)?;
        for ((key, first, last), slot) in sessions.into_iter().zip(slots) {
            let key = self.grouping.keys.hold(&key);
            let mut merged = Vec::new();
            let merge = |into: &mut u32, from: u32| merged.push((from, *into));
            let into = *self.sessions.reach(key, (first, last), || slot, merge);
            if into != slot {
                merged.push((slot, into));
            }
            self.grouping.aggregates.combine(&merged);
            merged.iter().for_each(|(from, _)| self.grouping.free(key, *from));
        }
        Ok(())
    }

    fn size(&self) -> Size {
        self.grouping.size()
    }
}
