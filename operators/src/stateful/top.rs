//! The first rows of each key and window, in an order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow_row::Rows;
use arrow_schema::{SchemaRef, SortOptions, TimeUnit};
use serde::{Deserialize, Serialize};
use strandline_plan::error::Problem;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::{Direction, Rank, Top as Node};

use super::grouping::{MakeError, of_part, to_parts};
use super::join_side::Row;
use super::lateness::Fate;
use super::rejected::{LateRows, SourceNames, with_reasons};
use super::result_rows::BATCH_ROWS_MAX;
use super::session_aggregate::per_millis;
use super::windowed::{Content, Windowed};
use super::{Output, Part, Progress, Size, Stateful};
use crate::batch::{Batch, Times};
use crate::expr::{EvaluateError, Evaluator, Failed};
use crate::key::{Key, KeyTable};
use crate::row_format::{RowFormat, equal_floats_alike};
use crate::row_order::{Place, RowOrder};
use crate::time::EventTime;

/// Keeps the first rows of each key and window, in an order; they leave when the window is final.
///
/// Deduplication is the first row by event time of each key and window. Rows that the order leaves
/// open are ordered by event time, then by where they come from, so the rows that are kept do not
/// depend on the order in which they came.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use arrow_array::{Array, Int64Array, RecordBatch};
/// use arrow_schema::TimeUnit;
/// use strandline_operators::batch::{Batch, Times};
/// use strandline_operators::stateful::{Output, Progress, Stateful, Top};
/// use strandline_operators::time::EventTime;
/// use strandline_plan::expr::col;
/// use strandline_plan::flow::{FlowType, Mode, TimeColumn};
/// use strandline_plan::operator::{Direction, Order, Rank, Top as Node};
/// use strandline_plan::window::Window;
///
/// let x: Arc<dyn Array> = Arc::new(Int64Array::from(vec![4, 9, 7]));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let time = Some(TimeColumn { column: None, unit: TimeUnit::Millisecond });
/// let (of_log, reproducible, bounded) = (false, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let input = FlowType { schema, mode, time, of_log, reproducible, bounded };
/// let node = Node {
///     window: Window::tumbling(Duration::from_secs(10)),
///     key: vec![],
///     order: vec![Order { expr: col("x"), direction: Direction::Descending }],
///     limit: 2,
///     rank: Rank::Rows,
///     rank_column: None,
///     last: false,
/// };
/// let mut top = Top::new(&node, &input, Arc::from([]))?;
/// let mut out = Output::default();
/// let times = Times::new([1_000, 2_000, 3_000], TimeUnit::Millisecond);
/// top.apply(0, Batch::new(rows, Some(times), None), &mut out);
/// top.advance(Progress::of(&[EventTime::from_millis(10_000)]), &mut out);
/// let kept = &out.take_rows()[0];
/// let x = kept.rows().column_by_name("x").unwrap();
/// assert_eq!(x.as_ref(), &Int64Array::from(vec![9, 7]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Top {
    key: Key,
    keys: KeyTable,
    windows: Windowed<Kept>,
    kept_by: KeptBy,
    order: Vec<Evaluator>,
    order_format: RowFormat,
    places: RowOrder,
    rows: RowFormat,
    late: LateRows,
    errors: SchemaRef,
    schema: SchemaRef,
    has_rank: bool,
}

/// The rows of a key and window, in order.
#[derive(Default, Serialize, Deserialize)]
struct Kept(BTreeMap<Position, Row>);

/// Where a row is in the order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Position {
    /// Equal for rows that the order leaves open.
    order: Box<[u8]>,
    place: Place,
}

/// Which rows are kept.
#[derive(Clone, Copy)]
struct KeptBy {
    limit: usize,
    rank: Rank,
    last: bool,
}

/// What is stored of a window: key, which, rows.
type Stored = Vec<(Vec<u8>, (i64, i64), Kept)>;
type StoredRef<'a> = (&'a [u8], (i64, i64), &'a Kept);

impl Content for Kept {
    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl KeptBy {
    /// Drops rows that are beyond the limit.
    fn trim(self, kept: &mut Kept) {
        while self.is_beyond(kept) {
            match self.rank {
                Rank::Rows => _ = self.pop(kept),
                Rank::Ties | Rank::Dense => {
                    let Some(dropped) = self.pop(kept) else { return };
                    while self.worst(kept).is_some_and(|worst| worst.order == dropped.order) {
                        self.pop(kept);
                    }
                }
            }
        }
    }

    /// Whether the worst rows are beyond the limit: one row, or all that are equal to it.
    fn is_beyond(self, kept: &Kept) -> bool {
        if kept.0.len() <= self.limit {
            return false;
        }
        match self.rank {
            Rank::Rows => true,
            Rank::Ties => {
                let Some(worst) = self.worst(kept) else { return false };
                let equal = |position: &&Position| position.order == worst.order;
                let tied = match self.last {
                    true => kept.0.keys().take_while(equal).count(),
                    false => kept.0.keys().rev().take_while(equal).count(),
                };
                kept.0.len() - tied >= self.limit
            }
            Rank::Dense => {
                let orders: Vec<_> = kept.0.keys().map(|position| &position.order).collect();
                orders.chunk_by(|a, b| a == b).count() > self.limit
            }
        }
    }

    fn worst(self, kept: &Kept) -> Option<&Position> {
        let worst = if self.last { kept.0.first_key_value() } else { kept.0.last_key_value() };
        worst.map(|(position, _)| position)
    }

    fn pop(self, kept: &mut Kept) -> Option<Position> {
        let worst = if self.last { kept.0.pop_first() } else { kept.0.pop_last() };
        worst.map(|(position, _)| position)
    }

    /// The rows from the best, each with its rank.
    fn ranked(self, kept: Kept) -> Vec<(i64, Row)> {
        let mut rows: Vec<_> = kept.0.into_iter().collect();
        if self.last {
            rows.reverse();
        }
        let mut ranked = Vec::with_capacity(rows.len());
        let equal = rows.chunk_by(|(one, _), (other, _)| one.order == other.order);
        for (dense, equal) in (1..).zip(equal) {
            let first = ranked.len() as i64 + 1;
            for (_, row) in equal {
                let rank = match self.rank {
                    Rank::Rows => ranked.len() as i64 + 1,
                    Rank::Ties => first,
                    Rank::Dense => dense,
                };
                ranked.push((rank, Row::clone(row)));
            }
        }
        ranked
    }
}

impl Top {
    /// Of a node of a plan, which reads rows of such a flow. `sources` are the names of the plan's
    /// sources.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flow.
    pub fn new(node: &Node, input: &FlowType, sources: SourceNames) -> Result<Self, MakeError> {
        let output = node.check(&[input])?;
        let bind =
            |expr: &strandline_plan::expr::Expr| expr.bind(&input.schema).map_err(Problem::from);
        let key = node.key.iter().map(|column| bind(&column.expr));
        let order = node.order.iter().map(|order| Ok(Evaluator::new(&bind(&order.expr)?)?));
        let order = order.collect::<Result<Vec<_>, MakeError>>()?;
        let options = node.order.iter().map(|order| SortOptions {
            descending: order.direction == Direction::Descending,
            nulls_first: false,
        });
        let types = order.iter().map(|order| order.data_type().clone());
        let format = RowFormat::ordered(types.zip(options)).map_err(EvaluateError::from)?;
        let columns = input.schema.fields().iter().map(|field| field.data_type());
        let errors = output.errors.as_ref().unwrap_or(&output.rows);
        Ok(Self {
            key: Key::new(&key.collect::<Result<Vec<_>, _>>()?)?,
            keys: KeyTable::default(),
            windows: Windowed::new(&node.window, per_millis(input)),
            kept_by: KeptBy { limit: node.limit as usize, rank: node.rank, last: node.last },
            order,
            order_format: format,
            places: RowOrder::new(&input.schema)?,
            rows: RowFormat::new(columns).map_err(EvaluateError::from)?,
            late: LateRows::new(output.late.map(|late| late.schema), sources),
            errors: Arc::clone(&errors.schema),
            schema: Arc::clone(&output.rows.schema),
            has_rank: node.rank_column.is_some(),
        })
    }

    fn try_apply(&mut self, batch: Batch, out: &mut Output) -> Result<(), EvaluateError> {
        let times = batch.times().expect("rows of a window have event time").clone();
        let times = times.at_least_millis();
        let (fates, partly_late) = self.windows.fates(&batch, &times);
        out.note_partly_late(partly_late);
        let keys = self.key.of(batch.rows())?;
        let mut failed = Failed::default();
        failed.add_all(keys.failed.clone(), |row| row);
        let order = self.order(&batch, &mut failed)?;
        let places = self.places.of(&batch)?;
        let rows = self.rows.encode(batch.rows().columns())?;
        let failed = failed.in_order();
        let has_failed = failed.mask(batch.len());
        let mut late = vec![false; batch.len()];
        let mut outside = 0;
        for (row, fate) in fates.iter().enumerate() {
            let at = match fate {
                Fate::Kept(_) if has_failed.value(row) => continue,
                Fate::Kept(at) => *at,
                Fate::Late => {
                    late[row] = true;
                    continue;
                }
                Fate::Outside => {
                    outside += 1;
                    continue;
                }
            };
            let bytes: Row = rows.row(row).data().into();
            let order: Box<[u8]> = match &order {
                Some(order) => order.row(row).data().into(),
                // Without an order it is event time; rows of one time are equal.
                None => (times.exact()[row] ^ i64::MIN).to_be_bytes().into(),
            };
            let position = Position { order, place: places.place(row) };
            self.windows.put(&mut self.keys, keys.bytes(row), at, |kept| {
                kept.0.insert(position.clone(), Row::clone(&bytes));
                self.kept_by.trim(kept);
            });
        }
        out.leave_out_outside(outside);
        if late.contains(&true) {
            out.leave_out_late(0, self.late.of(&batch.filter(&late.into()))?);
        }
        self.leave_out_failed(&batch, &fates, &failed, out)
    }

    /// The bytes by which rows are ordered; none without an order.
    fn order(&self, batch: &Batch, failed: &mut Failed) -> Result<Option<Rows>, EvaluateError> {
        if self.order.is_empty() {
            return Ok(None);
        }
        let columns = self.order.iter().map(|order| {
            let evaluated = order.evaluate(batch.rows())?;
            failed.add_all(evaluated.failed, |row| row);
            Ok(equal_floats_alike(&evaluated.column))
        });
        let columns = columns.collect::<Result<Vec<_>, EvaluateError>>()?;
        Ok(Some(self.order_format.encode(&columns)?))
    }

    fn leave_out_failed<P>(
        &self,
        batch: &Batch,
        fates: &[Fate<P>],
        failed: &Failed,
        out: &mut Output,
    ) -> Result<(), EvaluateError> {
        let of = failed.iter().filter(|failure| matches!(fates[failure.row], Fate::Kept(_)));
        let mut mask = vec![false; batch.len()];
        let mut reasons = Vec::new();
        for failure in of {
            mask[failure.row] = true;
            reasons.push(format!(
                "the key or the order: {}{}",
                failure.reason,
                self.late.place(batch.origin(), failure.row)
            ));
        }
        if !reasons.is_empty() {
            let rows = batch.filter(&BooleanArray::from(mask));
            out.leave_out_failed(with_reasons(&self.errors, rows.rows(), reasons)?);
        }
        Ok(())
    }

    fn give(&self, rows: &[(i64, Row, i64)], out: &mut Output) -> Result<(), EvaluateError> {
        for rows in rows.chunks(BATCH_ROWS_MAX) {
            let mut columns = self.rows.decode(rows.iter().map(|(_, row, _)| &**row))?;
            if self.has_rank {
                let ranks = Int64Array::from_iter_values(rows.iter().map(|(rank, ..)| *rank));
                columns.push(Arc::new(ranks) as ArrayRef);
            }
            debug_assert_eq!(columns[0].len(), rows.len());
            let times: Vec<i64> = rows.iter().map(|(_, _, end)| end.saturating_sub(1)).collect();
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
            out.give(Batch::new(rows, Some(Times::new(times, TimeUnit::Millisecond)), None));
        }
        Ok(())
    }
}

impl Stateful for Top {
    fn apply(&mut self, _input: usize, batch: Batch, out: &mut Output) {
        self.try_apply(batch, out).unwrap_or_else(|error| out.stop(error));
    }

    fn advance(&mut self, progress: Progress<'_>, out: &mut Output) {
        let mut rows = Vec::new();
        for closed in self.windows.close(progress.least().as_millis()) {
            self.keys.release(closed.key);
            let ranked = self.kept_by.ranked(closed.state).into_iter();
            rows.extend(ranked.map(|(rank, row)| (rank, row, closed.end)));
        }
        self.give(&rows, out).unwrap_or_else(|error| out.stop(error));
    }

    fn earliest(&self) -> EventTime {
        let end = self.windows.earliest_end();
        end.map_or(EventTime::MAX, |end| EventTime::from_millis(end.saturating_sub(1)))
    }

    fn snapshot(&self) -> Vec<Part> {
        let mut groups: BTreeMap<u16, Vec<StoredRef<'_>>> = BTreeMap::new();
        for (key, which, kept) in self.windows.iter() {
            let of_group = groups.entry(self.keys.group(key).0).or_default();
            of_group.push((self.keys.bytes(key), which, kept));
        }
        to_parts(groups)
    }

    fn restore(&mut self, part: Part) -> Result<(), String> {
        for (key, which, kept) in of_part::<Stored>(&part)? {
            self.windows.take_back(&mut self.keys, &key, which, kept);
        }
        Ok(())
    }

    fn size(&self) -> Size {
        let row = |(position, row): (&Position, &Row)| {
            (position.order.len() + row.len() + size_of::<Place>()) as u64
        };
        let kept = self.windows.iter().flat_map(|(_, _, kept)| kept.0.iter());
        let bytes = kept.map(row).sum::<u64>() + self.keys.size() as u64;
        Size { rows: self.windows.len() as u64, bytes }
    }
}
