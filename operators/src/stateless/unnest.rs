//! A row for each item of a list.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take;
use strandline_plan::flow::FlowType;
use strandline_plan::node::Operator;
use strandline_plan::operator::Unnest as Node;

use super::{Stateless, Ways};
use crate::batch::{Batch, Runs};
use crate::expr::EvaluateError;
use crate::stateful::MakeError;

/// Gives a row for each item of a list, with the item in the place of the list.
///
/// Rows of one message are numbered within it, so that there is one order of them everywhere. For that
/// all rows of a message have to be in one batch.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::types::Int64Type;
/// use arrow_array::{Array, Int64Array, ListArray, RecordBatch};
/// use strandline_operators::batch::Batch;
/// use strandline_operators::stateless::{Stateless, Unnest, Ways};
/// use strandline_plan::flow::{FlowType, Mode};
/// use strandline_plan::operator::Unnest as Node;
///
/// let lists = [Some(vec![Some(1), Some(2)]), None, Some(vec![Some(3)])];
/// let x: Arc<dyn Array> = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
/// let rows = RecordBatch::try_from_iter([("x", x)])?;
/// let (of_log, reproducible, bounded) = (true, true, true);
/// let (schema, mode) = (rows.schema(), Mode::Append);
/// let input = FlowType { schema, mode, time: None, of_log, reproducible, bounded };
/// let unnest = Unnest::new(&Node { column: "x".into() }, &input)?;
/// let mut out = Ways::default();
/// unnest.apply(0, Batch::new(rows, None, None), &mut out);
/// let given = &out.take_rows()[0].1;
/// assert_eq!(given.rows().column(0).as_ref(), &Int64Array::from(vec![1, 2, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Unnest {
    column: usize,
    schema: SchemaRef,
}

impl Unnest {
    /// Of a node of a plan, which reads rows of such a flow.
    ///
    /// # Errors
    ///
    /// If the node does not fit the flow.
    pub fn new(node: &Node, input: &FlowType) -> Result<Self, MakeError> {
        let schema = Arc::clone(&node.check(&[input])?.rows.schema);
        let column = input.schema.index_of(&node.column).map_err(EvaluateError::from)?;
        Ok(Self { column, schema })
    }

    fn try_apply(&self, batch: &Batch, out: &mut Ways) -> Result<(), EvaluateError> {
        let column = batch.rows().column(self.column);
        if !matches!(column.data_type(), DataType::List(_)) {
            return Err(EvaluateError::Unknown(format!("items of {}", column.data_type())));
        }
        let lists = column.as_list::<i32>();
        let (mut rows, mut items) = (Vec::new(), Vec::new());
        let mut passed = 0;
        for (row, bounds) in lists.value_offsets().windows(2).enumerate() {
            // A list that is null may still have a place among the items.
            if lists.is_null(row) || bounds[0] == bounds[1] {
                continue;
            }
            passed += 1;
            for item in bounds[0]..bounds[1] {
                rows.push(row as u32);
                items.push(item.cast_unsigned());
            }
        }
        out.drop_rows(batch.len() as u64 - passed);
        let whole = batch.take(&rows);
        let mut columns = whole.rows().columns().to_vec();
        columns[self.column] = take(lists.values(), &UInt32Array::from(items), None)?;
        let unnested = whole.with_rows(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        out.give_of(0, numbered(unnested), passed);
        Ok(())
    }
}

/// The same rows, numbered within their messages.
fn numbered(batch: Batch) -> Batch {
    let Some(origin) = batch.origin() else { return batch };
    let mut origin = origin.clone();
    let mut indices = Runs::default();
    let mut before = None;
    let mut index = 0;
    for (row, offset) in origin.offsets.iter().enumerate() {
        let message = (origin.partitions.get(row), *offset);
        index = if before == Some(message) { index + 1 } else { 0 };
        indices.push(index, 1);
        before = Some(message);
    }
    origin.indices = indices;
    Batch::new(batch.rows().clone(), batch.times().cloned(), Some(origin))
}

impl Stateless for Unnest {
    fn apply(&self, _input: usize, batch: Batch, out: &mut Ways) {
        self.try_apply(&batch, out).unwrap_or_else(|error| out.stop(error));
    }
}
