//! Functions that make a text shorter or longer.

use crate::expr::column::{Column, Values};
use crate::expr::failed::Reason;
use crate::expr::function::{Call, Computed};
use crate::expr::rows::{Row, some, texts};

/// Bytes that `repeat`, `lpad` and `rpad` make of a text at most.
const TEXT_BYTES_MAX: usize = 16 << 20;
const TOO_LONG: Reason = Reason::Borrowed("the text would have more than 16 MiB");

/// Without white space, or the characters of the second text, at its ends.
pub(super) fn trim(call: &mut Call<'_>, start: bool, end: bool) -> Computed {
    let text = call.arguments[0].texts();
    let characters = call.arguments.get(1).map(Column::texts);
    Ok(texts(call.rows, call.failed, |row| -> Row<&str> {
        let text = some!(text.get(row));
        let characters = match &characters {
            Some(characters) => Some(some!(characters.get(row))),
            None => None,
        };
        let goes = |c: char| characters.map_or_else(|| c.is_whitespace(), |set| set.contains(c));
        let text = if start { text.trim_start_matches(goes) } else { text };
        Ok(Some(if end { text.trim_end_matches(goes) } else { text }))
    }))
}

/// From a position on; positions before the first are counted too, as in PostgreSQL.
pub(super) fn substring(call: &mut Call<'_>) -> Computed {
    let (text, from) = (call.arguments[0].texts(), call.arguments[1].integers());
    let length = call.arguments.get(2).map(Column::integers);
    Ok(texts(call.rows, call.failed, |row| -> Row<&str> {
        let (text, from) = (some!(text.get(row)), some!(from.get(row)));
        let end = match &length {
            None => i64::MAX,
            Some(length) => match some!(length.get(row)) {
                length if length < 0 => return Err("a length is not negative".into()),
                length => from.saturating_add(length),
            },
        };
        Ok(Some(between(text, from.saturating_sub(1), end.saturating_sub(1))))
    }))
}

/// The characters at `from..to`, counted from 0.
fn between(text: &str, from: i64, to: i64) -> &str {
    let from = usize::try_from(from.max(0)).unwrap_or(usize::MAX);
    let to = usize::try_from(to.max(0)).unwrap_or(usize::MAX);
    let start = byte_of(text, from);
    let rest = &text[start..];
    &rest[..byte_of(rest, to.saturating_sub(from))]
}

/// Where the character of this number begins, or the end of the text.
fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte)
}

/// A part of a text that depends on a number.
pub(super) fn part(call: &mut Call<'_>, part: fn(&str, i64) -> &str) -> Computed {
    let (text, count) = (call.arguments[0].texts(), call.arguments[1].integers());
    Ok(texts(call.rows, call.failed, |row| -> Row<&str> {
        Ok(Some(part(some!(text.get(row)), some!(count.get(row)))))
    }))
}

pub(super) fn left(text: &str, count: i64) -> &str {
    let count = if count < 0 { characters(text).saturating_add(count) } else { count };
    between(text, 0, count)
}

pub(super) fn right(text: &str, count: i64) -> &str {
    let from = match count {
        i64::MIN => i64::MAX,
        count if count < 0 => -count,
        count => characters(text) - count,
    };
    between(text, from, i64::MAX)
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// Filled up or cut to a length; a text that is cut loses its end.
pub(super) fn pad(call: &mut Call<'_>, before: bool) -> Computed {
    let (text, length) = (call.arguments[0].texts(), call.arguments[1].integers());
    let fill = call.arguments.get(2).map(Column::texts);
    Ok(texts(call.rows, call.failed, |row| -> Row<String> {
        let (text, length) = (some!(text.get(row)), some!(length.get(row)));
        let fill = match &fill {
            Some(fill) => some!(fill.get(row)),
            None => " ",
        };
        let missing = length.saturating_sub(characters(text));
        if missing <= 0 || fill.is_empty() {
            return Ok(Some(between(text, 0, length).to_owned()));
        }
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        // A character has up to 4 bytes.
        if missing > (TEXT_BYTES_MAX - text.len().min(TEXT_BYTES_MAX)) / 4 {
            return Err(TOO_LONG);
        }
        let filling: String = fill.chars().cycle().take(missing).collect();
        Ok(Some(if before { filling + text } else { text.to_owned() + &filling }))
    }))
}

/// Nothing if that is not even once.
pub(super) fn repeat(call: &mut Call<'_>) -> Computed {
    let (text, times) = (call.arguments[0].texts(), call.arguments[1].integers());
    Ok(texts(call.rows, call.failed, |row| repeated(&text, &times, row)))
}

fn repeated(
    text: &Values<'_, arrow_array::StringArray>,
    times: &Values<'_, arrow_array::Int64Array>,
    row: usize,
) -> Row<String> {
    let (text, times) = (some!(text.get(row)), some!(times.get(row)).max(0));
    let times = usize::try_from(times).map_err(|_| TOO_LONG)?;
    if text.is_empty() {
        return Ok(Some(String::new()));
    }
    match text.len().checked_mul(times) {
        Some(bytes) if bytes <= TEXT_BYTES_MAX => Ok(Some(text.repeat(times))),
        _ => Err(TOO_LONG),
    }
}
