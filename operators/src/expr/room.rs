//! How much a column of texts, bytes or lists can hold, and columns that are put together from others
//! within that.
//!
//! Its offsets are of 32 bits. Columns that fit may make one that does not: a constant for each row, or
//! the longer of two texts. A row that does not fit any more fails, like any that cannot be computed.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_schema::{ArrowError, DataType};
use arrow_select::interleave::interleave;

use super::failed::{Failed, Reason};

/// Bytes that the values of one column have at most, or items of its lists: offsets are of 32 bits with
/// a sign.
#[cfg(not(test))]
pub(super) const COLUMN_BYTES_MAX: usize = i32::MAX as usize;
/// A test need not make gigabytes.
#[cfg(test)]
pub(super) const COLUMN_BYTES_MAX: usize = 64 << 20;

/// Why a row fails that has no room.
const NO_ROOM: Reason = Reason::Borrowed("the texts of a batch have more than 2 GiB");

/// Whether a column has room for a value of so many bytes: asked before it is made.
///
/// # Errors
///
/// It has not: why the row fails.
pub(super) fn fits(bytes: usize) -> Result<(), Reason> {
    if bytes > COLUMN_BYTES_MAX { Err(NO_ROOM) } else { Ok(()) }
}

/// What a column can still take.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new() -> Room {
        Room(COLUMN_BYTES_MAX)
    }

    /// Whether a value of so many bytes fits; if not, its row fails.
    pub(super) fn takes(&mut self, bytes: usize, row: usize, failed: &mut Failed) -> bool {
        let left = self.0.checked_sub(bytes);
        match left {
            Some(left) => self.0 = left,
            // A smaller one that comes later may fit.
            None => failed.add(row, NO_ROOM),
        }
        left.is_some()
    }
}

/// Bytes of texts, or items of lists, that a value has, whichever is more. 0 of types of fixed width.
pub(super) fn extent(array: &dyn Array, row: usize) -> usize {
    let between = |offsets: &[i32]| {
        let at = |index| usize::try_from(offsets.get(index).copied().unwrap_or(0)).unwrap_or(0);
        (at(row), at(row + 1))
    };
    match array.data_type() {
        DataType::Utf8 => {
            let (from, to) = between(array.as_string::<i32>().value_offsets());
            to - from
        }
        DataType::Binary => {
            let (from, to) = between(array.as_binary::<i32>().value_offsets());
            to - from
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let (from, to) = between(lists.value_offsets());
            let bytes: usize = (from..to).map(|item| extent(lists.values(), item)).sum();
            bytes.max(to - from)
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|column| extent(column, row)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// Whether values of the type have an [`extent`].
pub(super) fn has_extent(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Binary | DataType::List(_) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_extent(field.data_type())),
        _ => false,
    }
}

/// For each row, a value of one of `arrays`: which array, and which value of it. None is null.
pub(super) fn gather(
    arrays: &[ArrayRef],
    places: &[Option<(usize, usize)>],
    data_type: &DataType,
    failed: &mut Failed,
) -> Result<ArrayRef, ArrowError> {
    if *data_type == DataType::Null {
        return Ok(new_null_array(data_type, places.len()));
    }
    let null = new_null_array(data_type, 1);
    let all: Vec<&dyn Array> =
        std::iter::once(&null).chain(arrays).map(|array| &**array as &dyn Array).collect();
    let mut room = Room::new();
    let is_bounded = has_extent(data_type);
    let places = places.iter().enumerate().map(|(row, place)| match place {
        Some((array, value)) => {
            let fits = !is_bounded || room.takes(extent(&arrays[*array], *value), row, failed);
            if fits { (array + 1, *value) } else { (0, 0) }
        }
        None => (0, 0),
    });
    interleave(&all, &places.collect::<Vec<_>>())
}
