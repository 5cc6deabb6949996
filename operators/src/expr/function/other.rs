//! Functions of values of any type, and of lists.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, ListArray, UInt32Array, new_null_array};
use arrow_ord::cmp;
use arrow_schema::DataType;
use arrow_select::nullif;
use arrow_select::take::take;
use strandline_plan::expr::BinaryOperator;
use xxhash_rust::xxh3::xxh3_64;

use super::Compute::Plain;
use super::{Call, Computed, Entry};
use crate::expr::column::Column;
use crate::expr::compare::compare;
use crate::expr::failed::Failed;
use crate::expr::room::{fits, gather};
use crate::expr::rows::{Row, primitives, some, texts};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("nullif", Plain(nullif)),
    ("greatest", Plain(|call| extreme(call, BinaryOperator::Greater))),
    ("least", Plain(|call| extreme(call, BinaryOperator::Less))),
    ("xor", Plain(|call| Ok(Arc::new(cmp::neq(&call.arguments[0], &call.arguments[1])?)))),
    ("hash", Plain(hash)),
    ("array_length", Plain(array_length)),
    ("element_at", Plain(element_at)),
    ("array_contains", Plain(array_contains)),
    ("array_join", Plain(array_join)),
];

fn nullif(call: &mut Call<'_>) -> Computed {
    let [value, other] = [&call.arguments[0], &call.arguments[1]];
    let same = compare(value, BinaryOperator::Equal, other)?;
    Ok(nullif::nullif(&value.clone().into_rows(call.rows, call.failed)?, &same)?)
}

/// The first of the values that is `better` than all others; null where one of them is.
fn extreme(call: &mut Call<'_>, better: BinaryOperator) -> Computed {
    let mut best = call.arguments[0].clone().into_rows(call.rows, call.failed)?;
    if *best.data_type() == DataType::Null {
        return Ok(best);
    }
    for other in &call.arguments[1..] {
        let other = other.clone().into_rows(call.rows, call.failed)?;
        let both = [other, best];
        let [other, best_yet] = both.clone().map(Column::Rows);
        let replaces = compare(&other, better, &best_yet)?;
        let places = replaces.iter().enumerate();
        let places = places.map(|(row, replaces)| Some((usize::from(!replaces?), row)));
        best = gather(&both, &places.collect::<Vec<_>>(), call.result, call.failed)?;
    }
    Ok(best)
}

fn hash(call: &mut Call<'_>) -> Computed {
    let argument = &call.arguments[0];
    let signed = |hash: u64| i64::from_ne_bytes(hash.to_ne_bytes());
    let column = if *argument.array().data_type() == DataType::Binary {
        let values = argument.bytes();
        primitives::<Int64Type>(call.rows, call.failed, |row| {
            Ok(values.get(row).map(|bytes| signed(xxh3_64(bytes))))
        })
    } else {
        let values = argument.texts();
        primitives::<Int64Type>(call.rows, call.failed, |row| {
            Ok(values.get(row).map(|text| signed(xxh3_64(text.as_bytes()))))
        })
    };
    Ok(Arc::new(column))
}

fn lists(
    column: &Column,
    rows: usize,
    failed: &mut Failed,
) -> Result<ListArray, arrow_schema::ArrowError> {
    Ok(column.clone().into_rows(rows, failed)?.as_list::<i32>().clone())
}

/// Where the items of a list are; None where the list is null.
fn bounds(lists: &ListArray, row: usize) -> Option<(usize, usize)> {
    let offsets = lists.value_offsets();
    let at = |row: usize| usize::try_from(offsets[row]).unwrap_or(0);
    lists.is_valid(row).then(|| (at(row), at(row + 1)))
}

fn array_length(call: &mut Call<'_>) -> Computed {
    let lists = lists(&call.arguments[0], call.rows, call.failed)?;
    Ok(Arc::new(primitives::<Int64Type>(call.rows, call.failed, |row| {
        let (start, end) = some!(bounds(&lists, row));
        Ok(i64::try_from(end - start).ok())
    })))
}

fn element_at(call: &mut Call<'_>) -> Computed {
    let lists = lists(&call.arguments[0], call.rows, call.failed)?;
    let position = call.arguments[1].integers();
    let place = |row: usize| {
        let (start, end) = bounds(&lists, row)?;
        let position = position.get(row)?;
        let count = i64::try_from(end - start).ok()?;
        let index = if position < 0 { count.checked_add(position)? } else { position - 1 };
        let index = usize::try_from(index).ok().filter(|_| index < count)?;
        u32::try_from(start + index).ok()
    };
    let mut places = UInt32Builder::with_capacity(call.rows);
    (0..call.rows).for_each(|row| places.append_option(place(row)));
    let places: UInt32Array = places.finish();
    Ok(take(lists.values(), &places, None)?)
}

/// An item that is null is no value, and equals none.
fn array_contains(call: &mut Call<'_>) -> Computed {
    let lists = lists(&call.arguments[0], call.rows, call.failed)?;
    let sought = call.arguments[1].clone().into_rows(call.rows, call.failed)?;
    // For each item, the row of its list.
    let mut row_of = vec![0_u32; lists.values().len()];
    for row in 0..call.rows {
        if let (Some((start, end)), Ok(number)) = (bounds(&lists, row), u32::try_from(row)) {
            row_of[start..end].fill(number);
        }
    }
    let sought_beside = match sought.len() {
        0 => new_null_array(sought.data_type(), row_of.len()),
        _ => take(&sought, &UInt32Array::from(row_of), None)?,
    };
    let items = Column::Rows(Arc::clone(lists.values()));
    let same = compare(&items, BinaryOperator::Equal, &Column::Rows(sought_beside))?;
    let mut found = BooleanBuilder::with_capacity(call.rows);
    for row in 0..call.rows {
        found.append_option(
            bounds(&lists, row).filter(|_| sought.is_valid(row)).map(|(start, end)| {
                (start..end).any(|item| same.is_valid(item) && same.value(item))
            }),
        );
    }
    Ok(Arc::new(found.finish()))
}

fn array_join(call: &mut Call<'_>) -> Computed {
    let lists = lists(&call.arguments[0], call.rows, call.failed)?;
    let items = lists.values().as_string::<i32>();
    let separator = call.arguments[1].texts();
    let joined: ArrayRef = texts(call.rows, call.failed, |row| -> Row<String> {
        let (start, end) = some!(bounds(&lists, row));
        let separator = some!(separator.get(row));
        let items = (start..end).filter(|item| items.is_valid(*item)).map(|item| items.value(item));
        let items: Vec<&str> = items.collect();
        // Before it is made: of a long separator for each item of a long list.
        let separators = separator.len().saturating_mul(items.len().saturating_sub(1));
        fits(items.iter().map(|item| item.len()).fold(separators, usize::saturating_add))?;
        Ok(Some(items.join(separator)))
    });
    Ok(joined)
}
