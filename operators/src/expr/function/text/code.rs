//! Bytes as text, and back.

use arrow_array::Array;
use arrow_schema::DataType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::expr::function::{Call, Computed};
use crate::expr::rows::{Row, bytes, some, texts};

/// With digits in lower case.
pub(super) fn to_hex(call: &mut Call<'_>) -> Computed {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    written(call, |bytes| bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect())
}

/// In the standard alphabet, filled up with `=`.
pub(super) fn to_base64(call: &mut Call<'_>) -> Computed {
    written(call, |bytes| STANDARD.encode(bytes))
}

fn written(call: &mut Call<'_>, write: impl Fn(&[u8]) -> String) -> Computed {
    let argument = &call.arguments[0];
    if *argument.array().data_type() == DataType::Binary {
        let values = argument.bytes();
        return Ok(texts(call.rows, call.failed, |row| Ok(values.get(row).map(&write))));
    }
    let values = argument.texts();
    Ok(texts(call.rows, call.failed, |row| -> Row<String> {
        Ok(values.get(row).map(|text| write(text.as_bytes())))
    }))
}

/// The bytes that a text stands for; null if it is no such text.
pub(super) fn from_text(call: &mut Call<'_>, read: fn(&str) -> Option<Vec<u8>>) -> Computed {
    let values = call.arguments[0].texts();
    Ok(bytes(call.rows, call.failed, |row| -> Row<Vec<u8>> { Ok(read(some!(values.get(row)))) }))
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
