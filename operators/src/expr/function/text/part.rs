//! Functions that take a text apart. A separator that is empty separates nothing.

use std::sync::Arc;

use arrow_array::ListArray;
use arrow_array::builder::{ListBuilder, StringBuilder};

use crate::expr::function::{Call, Computed};
use crate::expr::room::Room;
use crate::expr::rows::{Row, some, texts};

/// The part at a position; there is no position 0.
pub(super) fn split_part(call: &mut Call<'_>) -> Computed {
    let (text, separator) = (call.arguments[0].texts(), call.arguments[1].texts());
    let position = call.arguments[2].integers();
    Ok(texts(call.rows, call.failed, |row| -> Row<&str> {
        let (text, separator) = (some!(text.get(row)), some!(separator.get(row)));
        let position = some!(position.get(row));
        let from_zero =
            usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX).checked_sub(1);
        let index = from_zero.ok_or("positions begin at 1")?;
        let part = if separator.is_empty() {
            (index == 0).then_some(text)
        } else if position > 0 {
            text.split(separator).nth(index)
        } else {
            // Not `rsplit`: separators that overlap are found from the beginning.
            let parts: Vec<_> = text.split(separator).collect();
            parts.len().checked_sub(index + 1).map(|index| parts[index])
        };
        Ok(Some(part.unwrap_or_default()))
    }))
}

/// All parts; an empty text is one empty part.
pub(super) fn split(call: &mut Call<'_>) -> Computed {
    let (text, separator) = (call.arguments[0].texts(), call.arguments[1].texts());
    let mut lists = ListBuilder::new(StringBuilder::new());
    let mut room = Room::new();
    for row in 0..call.rows {
        // Each part is an item beside its bytes.
        let fits = |text: &&str| room.takes(text.len() + 1, row, call.failed);
        match (text.get(row).filter(fits), separator.get(row)) {
            (Some(text), Some("")) => lists.append_value([Some(text)]),
            (Some(text), Some(separator)) => lists.append_value(text.split(separator).map(Some)),
            _ => lists.append_null(),
        }
    }
    let lists: ListArray = lists.finish();
    Ok(Arc::new(lists))
}
