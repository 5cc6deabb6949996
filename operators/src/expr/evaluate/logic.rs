//! What computes only what is needed: AND, OR, CASE, coalesce.
//!
//! A part is computed for a selection of rows: the columns that it reads are filtered, and its values
//! put back where they belong. Light parts are computed for all rows instead, which costs less.

use std::sync::Arc;

use arrow_arith::boolean::{and_kleene, or_kleene};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, NullArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, DataType};
use arrow_select::filter::FilterBuilder;

use super::Input;
use crate::expr::EvaluateError;
use crate::expr::column::Column;
use crate::expr::failed::Failed;
use crate::expr::node::Node;
use crate::expr::room::gather;

/// The values of a node for a selection of rows.
struct Part {
    column: Column,
    /// Whether there are only values of selected rows, one after the other.
    packed: bool,
}

impl Part {
    fn of(
        node: &Node,
        input: &Input<'_>,
        selected: &BooleanBuffer,
        failed: &mut Failed,
    ) -> Result<Self, EvaluateError> {
        let rows = selected.count_set_bits();
        if node.light || rows == input.rows {
            return Ok(Self { column: node.evaluate(input, failed)?, packed: false });
        }
        let predicate = FilterBuilder::new(&BooleanArray::new(selected.clone(), None)).build();
        let columns = input.columns.iter().enumerate().map(|(index, column)| {
            match node.columns.contains(&index) {
                true => predicate.filter(column),
                false => Ok(Arc::new(NullArray::new(rows)) as ArrayRef),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        let mut inner = Failed::default();
        let column = node.evaluate(&Input { columns: &columns, rows }, &mut inner)?;
        if !inner.is_empty() {
            let row_here: Vec<usize> = selected.set_indices().collect();
            failed.add_all(inner, |row| row_here[row]);
        }
        Ok(Self { column, packed: true })
    }

    /// The selected rows for which this condition is true.
    fn is_true(&self, selected: &BooleanBuffer) -> BooleanBuffer {
        self.holds(selected, |values| {
            let values = values.as_boolean();
            match values.nulls() {
                Some(nulls) => values.values() & nulls.inner(),
                None => values.values().clone(),
            }
        })
    }

    /// The selected rows for which this has a value.
    fn is_valid(&self, selected: &BooleanBuffer) -> BooleanBuffer {
        self.holds(selected, |values| match values.logical_nulls() {
            Some(nulls) => nulls.inner().clone(),
            None => BooleanBuffer::new_set(values.len()),
        })
    }

    fn holds(
        &self,
        selected: &BooleanBuffer,
        of: impl Fn(&ArrayRef) -> BooleanBuffer,
    ) -> BooleanBuffer {
        let holds = of(self.column.array());
        match &self.column {
            Column::Constant(_) if holds.value(0) => selected.clone(),
            Column::Constant(_) => BooleanBuffer::new_unset(selected.len()),
            Column::Rows(_) if !self.packed => &holds & selected,
            Column::Rows(_) => {
                let mut here = vec![false; selected.len()];
                for (holds, row) in holds.iter().zip(selected.set_indices()) {
                    here[row] = holds;
                }
                BooleanBuffer::from(here)
            }
        }
    }
}

/// A column that is put together from parts.
struct Merged {
    data_type: DataType,
    arrays: Vec<ArrayRef>,
    /// For each row, which array and which value of it.
    places: Vec<Option<(usize, usize)>>,
}

impl Merged {
    fn nulls(data_type: &DataType, rows: usize) -> Self {
        Self { data_type: data_type.clone(), arrays: Vec::new(), places: vec![None; rows] }
    }

    /// Takes the values of some of the rows that a part was computed for.
    fn place(&mut self, part: Part, computed_for: &BooleanBuffer, taken: &BooleanBuffer) {
        let array = self.arrays.len();
        self.arrays.push(Arc::clone(part.column.array()));
        let constant = matches!(part.column, Column::Constant(_));
        if !part.packed || constant {
            for row in taken.set_indices() {
                self.places[row] = Some((array, if constant { 0 } else { row }));
            }
        } else {
            for (value, row) in computed_for.set_indices().enumerate() {
                if taken.value(row) {
                    self.places[row] = Some((array, value));
                }
            }
        }
    }

    fn finish(self, failed: &mut Failed) -> Result<ArrayRef, ArrowError> {
        gather(&self.arrays, &self.places, &self.data_type, failed)
    }
}

/// `left AND right`, or `left OR right`, in three values; the right side only where it matters.
pub(super) fn and_or(
    left: &Node,
    is_and: bool,
    right: &Node,
    input: &Input<'_>,
    failed: &mut Failed,
) -> Result<Column, EvaluateError> {
    let left = left.evaluate(input, failed)?.into_rows(input.rows, failed)?;
    let values = left.as_boolean();
    // OR is decided where the left side is true, AND where it is false.
    let deciding = if is_and { !values.values() } else { values.values().clone() };
    let decided = match values.nulls() {
        Some(nulls) => &deciding & nulls.inner(),
        None => deciding,
    };
    let open = !&decided;
    if open.count_set_bits() == 0 {
        return Ok(Column::Rows(left));
    }
    let part = Part::of(right, input, &open, failed)?;
    let right = if part.packed {
        // Where the left side decides, null is as good as any value.
        let mut merged = Merged::nulls(&DataType::Boolean, input.rows);
        merged.place(part, &open, &open);
        merged.finish(failed)?
    } else {
        part.column.into_rows(input.rows, failed)?
    };
    let right = right.as_boolean();
    let result = if is_and { and_kleene(values, right) } else { or_kleene(values, right) };
    Ok(Column::Rows(Arc::new(result?)))
}

/// The value of the first condition that is true, or else of `otherwise`, or else null.
pub(super) fn case(
    branches: &[(Node, Node)],
    otherwise: Option<&Node>,
    data_type: &DataType,
    input: &Input<'_>,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let mut merged = Merged::nulls(data_type, input.rows);
    let mut open = BooleanBuffer::new_set(input.rows);
    for (condition, value) in branches {
        if open.count_set_bits() == 0 {
            break;
        }
        let chosen = Part::of(condition, input, &open, failed)?.is_true(&open);
        if chosen.count_set_bits() > 0 {
            merged.place(Part::of(value, input, &chosen, failed)?, &chosen, &chosen);
        }
        open = &open & &!&chosen;
    }
    if let Some(value) = otherwise
        && open.count_set_bits() > 0
    {
        merged.place(Part::of(value, input, &open, failed)?, &open, &open);
    }
    Ok(merged.finish(failed)?)
}

/// The first value that is not null.
pub(super) fn coalesce(
    values: &[Node],
    data_type: &DataType,
    input: &Input<'_>,
    failed: &mut Failed,
) -> Result<ArrayRef, EvaluateError> {
    let mut merged = Merged::nulls(data_type, input.rows);
    let mut open = BooleanBuffer::new_set(input.rows);
    for value in values {
        if open.count_set_bits() == 0 {
            break;
        }
        let part = Part::of(value, input, &open, failed)?;
        let chosen = part.is_valid(&open);
        merged.place(part, &open, &chosen);
        open = &open & &!&chosen;
    }
    Ok(merged.finish(failed)?)
}
