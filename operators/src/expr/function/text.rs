//! Functions of text. Positions and lengths are in characters.

mod code;
mod cut;
mod part;

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::Compute::Plain;
use super::{Call, Computed, Entry};
use crate::expr::column::Column;
use crate::expr::room::fits;
use crate::expr::rows::{Row, primitives, some, texts};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("lower", Plain(|call| of_text(call, |text| text.to_lowercase().into()))),
    ("upper", Plain(|call| of_text(call, |text| text.to_uppercase().into()))),
    ("initcap", Plain(|call| of_text(call, |text| initcap(text).into()))),
    ("reverse", Plain(|call| of_text(call, |text| text.chars().rev().collect::<String>().into()))),
    ("trim", Plain(|call| cut::trim(call, true, true))),
    ("ltrim", Plain(|call| cut::trim(call, true, false))),
    ("rtrim", Plain(|call| cut::trim(call, false, true))),
    ("substring", Plain(cut::substring)),
    ("left", Plain(|call| cut::part(call, cut::left))),
    ("right", Plain(|call| cut::part(call, cut::right))),
    ("lpad", Plain(|call| cut::pad(call, true))),
    ("rpad", Plain(|call| cut::pad(call, false))),
    ("repeat", Plain(cut::repeat)),
    ("concat", Plain(concat)),
    ("replace", Plain(replace)),
    ("split_part", Plain(part::split_part)),
    ("split", Plain(part::split)),
    ("chr", Plain(chr)),
    ("to_hex", Plain(code::to_hex)),
    ("to_base64", Plain(code::to_base64)),
    ("from_hex", Plain(|call| code::from_text(call, code::from_hex))),
    ("from_base64", Plain(|call| code::from_text(call, code::from_base64))),
    ("length", Plain(|call| to_integer(call, |text| text.chars().count()))),
    ("octet_length", Plain(octet_length)),
    ("position", Plain(position)),
    ("ascii", Plain(|call| to_integer(call, |text| text.chars().next().map_or(0, |c| c as usize)))),
];

/// A text for each text.
fn of_text(call: &mut Call<'_>, change: impl for<'a> Fn(&'a str) -> Cow<'a, str>) -> Computed {
    let text = call.arguments[0].texts();
    Ok(texts(call.rows, call.failed, |row| -> Row<Cow<'_, str>> { Ok(text.get(row).map(&change)) }))
}

/// A count for each text.
fn to_integer(call: &mut Call<'_>, count: impl Fn(&str) -> usize) -> Computed {
    let text = call.arguments[0].texts();
    Ok(integers(call, |row| Ok(text.get(row).map(&count))))
}

/// Counts, which are never so large that they do not fit.
fn integers(call: &mut Call<'_>, mut count: impl FnMut(usize) -> Row<usize>) -> ArrayRef {
    Arc::new(primitives::<Int64Type>(call.rows, call.failed, |row| {
        Ok(count(row)?.and_then(|count| i64::try_from(count).ok()))
    }))
}

/// Words are what stands between characters that are neither letters nor digits.
fn initcap(text: &str) -> String {
    let mut inside = false;
    let mut changed = String::with_capacity(text.len());
    for character in text.chars() {
        match inside {
            true => changed.extend(character.to_lowercase()),
            false => changed.extend(character.to_uppercase()),
        }
        inside = character.is_alphanumeric();
    }
    changed
}

fn concat(call: &mut Call<'_>) -> Computed {
    let parts: Vec<_> = call.arguments.iter().map(Column::texts).collect();
    Ok(texts(call.rows, call.failed, |row| -> Row<String> {
        let mut all = String::new();
        for part in &parts {
            all.push_str(some!(part.get(row)));
        }
        Ok(Some(all))
    }))
}

/// An empty text is nowhere, and not replaced.
fn replace(call: &mut Call<'_>) -> Computed {
    let [text, from, to] = [0, 1, 2].map(|i: usize| call.arguments[i].texts());
    Ok(texts(call.rows, call.failed, |row| -> Row<Cow<'_, str>> {
        let (text, from, to) = (some!(text.get(row)), some!(from.get(row)), some!(to.get(row)));
        if from.is_empty() {
            return Ok(Some(text.into()));
        }
        // Before it is made: of a long text for each letter of another. Counting costs a pass.
        let most = (text.len() / from.len()).saturating_mul(to.len());
        if fits(text.len().saturating_add(most)).is_err() {
            let found = text.matches(from).count();
            let kept = text.len() - found * from.len();
            fits(kept.saturating_add(found.saturating_mul(to.len())))?;
        }
        Ok(Some(text.replace(from, to).into()))
    }))
}

fn chr(call: &mut Call<'_>) -> Computed {
    let code = call.arguments[0].integers();
    Ok(texts(call.rows, call.failed, |row| -> Row<String> {
        let character = u32::try_from(some!(code.get(row))).ok().and_then(char::from_u32);
        Ok(character.map(String::from))
    }))
}

fn octet_length(call: &mut Call<'_>) -> Computed {
    if *call.arguments[0].array().data_type() == DataType::Binary {
        let bytes = call.arguments[0].bytes();
        return Ok(integers(call, |row| Ok(bytes.get(row).map(<[u8]>::len))));
    }
    to_integer(call, str::len)
}

/// 1 for an empty text, which is everywhere.
fn position(call: &mut Call<'_>) -> Computed {
    let (text, part) = (call.arguments[0].texts(), call.arguments[1].texts());
    Ok(integers(call, |row| {
        let (text, part) = (some!(text.get(row)), some!(part.get(row)));
        Ok(Some(text.find(part).map_or(0, |byte| text[..byte].chars().count() + 1)))
    }))
}
