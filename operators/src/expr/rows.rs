//! Columns that are computed row by row: the way for what no kernel does, and for batches in which a
//! kernel met a row that cannot be computed.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, GenericByteBuilder, PrimitiveBuilder};
use arrow_array::types::{ArrowPrimitiveType, BinaryType, ByteArrayType, Utf8Type};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};

use super::failed::{Failed, Reason};
use super::room::Room;

/// What is computed for a row: a value, null, or a reason why it cannot be.
pub(crate) type Row<T> = Result<Option<T>, Reason>;

/// The value of an option; the row is null where there is none.
macro_rules! some {
    ($value:expr) => {
        match $value {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}
pub(crate) use some;

/// A column of a primitive type.
pub(crate) fn primitives<T: ArrowPrimitiveType>(
    rows: usize,
    failed: &mut Failed,
    mut value: impl FnMut(usize) -> Row<T::Native>,
) -> PrimitiveArray<T> {
    let mut column = PrimitiveBuilder::<T>::with_capacity(rows);
    for row in 0..rows {
        column.append_option(or_failed(value(row), row, failed));
    }
    column.finish()
}

/// A column of true and false.
pub(crate) fn booleans(
    rows: usize,
    failed: &mut Failed,
    mut value: impl FnMut(usize) -> Row<bool>,
) -> BooleanArray {
    let mut column = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        column.append_option(or_failed(value(row), row, failed));
    }
    column.finish()
}

/// A column of texts or bytes. A value that would make the column too large fails its row.
fn variable<T: ByteArrayType, V: AsRef<T::Native>>(
    rows: usize,
    failed: &mut Failed,
    mut value: impl FnMut(usize) -> Row<V>,
) -> ArrayRef {
    let mut column = GenericByteBuilder::<T>::with_capacity(rows, rows * 16);
    let mut room = Room::new();
    for row in 0..rows {
        match or_failed(value(row), row, failed) {
            Some(value) if room.takes(length::<T>(value.as_ref()), row, failed) => {
                column.append_value(value);
            }
            _ => column.append_null(),
        }
    }
    Arc::new(column.finish())
}

fn length<T: ByteArrayType>(value: &T::Native) -> usize {
    let bytes: &[u8] = value.as_ref();
    bytes.len()
}

/// A column of texts.
pub(crate) fn texts<V: AsRef<str>>(
    rows: usize,
    failed: &mut Failed,
    value: impl FnMut(usize) -> Row<V>,
) -> ArrayRef {
    variable::<Utf8Type, V>(rows, failed, value)
}

/// A column of bytes.
pub(crate) fn bytes<V: AsRef<[u8]>>(
    rows: usize,
    failed: &mut Failed,
    value: impl FnMut(usize) -> Row<V>,
) -> ArrayRef {
    variable::<BinaryType, V>(rows, failed, value)
}

fn or_failed<T>(value: Row<T>, row: usize, failed: &mut Failed) -> Option<T> {
    value.unwrap_or_else(|reason| {
        failed.add(row, reason);
        None
    })
}
