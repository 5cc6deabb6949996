//! How the value of a column is read from JSON, by its type.
//!
//! The strict way ([`Kind::value`]) defines what is accepted. The fast one ([`Kind::read`]) differs
//! from it only in how a value is found in the payload; what it does not know it leaves to the strict
//! one.

use arrow_schema::{DataType, TimeUnit as Unit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strandline_plan::types::is_supported;

use super::number::{Unfit, exact, rounded_down};
use crate::decode::cursor::Cursor;
use crate::decode::number;
use crate::decode::word::{Decimal, decimal};
use crate::decode::{TimeUnit, rfc3339, strict};

/// 0000-01-01 in seconds since 1970: the first time that RFC 3339 can write.
const FIRST_SECOND: i128 = -62_167_219_200;
/// The second after the last time that is accepted.
const SECOND_AFTER_LAST: i128 = number::TIME_MS_MAX as i128 / 1000 + 1;
/// Powers of ten that are exact as floats of 32 bits.
const TEN_TO_SINGLE: [f32; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
/// Integers up to this are exact as floats of 32 bits.
const EXACT_IN_SINGLE: u64 = 1 << 24;

/// What a column holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    /// Both are included.
    Integer {
        least: i128,
        greatest: i128,
    },
    Single,
    Double,
    Decimal {
        digits: u8,
        scale: u8,
    },
    Text,
    Bytes,
    Date,
    Time {
        /// In what payloads say it.
        written: TimeUnit,
        /// In what the column counts it.
        counted: Unit,
    },
}

/// A value on its way from a payload into a column.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Boolean(bool),
    /// An integer of at most 64 bits, a date or a time; unsigned ones by their bits.
    Word(i64),
    Single(f32),
    Double(f64),
    Decimal(i128),
    /// Bytes, or a text, which is UTF-8.
    Bytes(&'a [u8]),
}

impl Kind {
    /// What a column of a type holds; None if it is not read from JSON.
    pub(super) fn of(data_type: &DataType) -> Option<Kind> {
        fn between(least: impl Into<i128>, greatest: impl Into<i128>) -> Kind {
            Kind::Integer { least: least.into(), greatest: greatest.into() }
        }
        if !is_supported(data_type) {
            return None;
        }
        Some(match data_type {
            DataType::Boolean => Kind::Boolean,
            DataType::Int8 => between(i8::MIN, i8::MAX),
            DataType::Int16 => between(i16::MIN, i16::MAX),
            DataType::Int32 => between(i32::MIN, i32::MAX),
            DataType::Int64 => between(i64::MIN, i64::MAX),
            DataType::UInt8 => between(u8::MIN, u8::MAX),
            DataType::UInt16 => between(u16::MIN, u16::MAX),
            DataType::UInt32 => between(u32::MIN, u32::MAX),
            DataType::UInt64 => between(u64::MIN, u64::MAX),
            DataType::Float32 => Kind::Single,
            DataType::Float64 => Kind::Double,
            DataType::Decimal128(digits, scale) => {
                Kind::Decimal { digits: *digits, scale: u8::try_from(*scale).ok()? }
            }
            DataType::Utf8 => Kind::Text,
            DataType::Binary => Kind::Bytes,
            DataType::Date32 => Kind::Date,
            DataType::Timestamp(counted, _) => {
                Kind::Time { written: TimeUnit::default(), counted: *counted }
            }
            _ => return None,
        })
    }

    /// The same, where it is a time, with values in another unit.
    pub(super) fn in_time_unit(self, written: TimeUnit) -> Kind {
        match self {
            Kind::Time { counted, .. } => Kind::Time { written, counted },
            other => other,
        }
    }

    /// In what a time is said.
    pub(super) fn unit(self) -> Option<TimeUnit> {
        match self {
            Kind::Time { written, .. } => Some(written),
            _ => None,
        }
    }

    /// The value of this JSON text, which is not null; bytes that the payload does not hold as such go
    /// to `scratch`.
    pub(super) fn value<'v>(
        self,
        raw: &'v str,
        scratch: &'v mut Vec<u8>,
    ) -> Result<Value<'v>, Unfit> {
        match self {
            Kind::Boolean => match raw {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(Unfit::Type),
            },
            Kind::Text => {
                *scratch = string(raw)?.into_bytes();
                Ok(Value::Bytes(scratch))
            }
            Kind::Bytes => of_base64(string(raw)?.as_bytes(), scratch),
            Kind::Date => of_date(string(raw)?.as_bytes()),
            Kind::Time { written: TimeUnit::Rfc3339, counted } => {
                of_moment(string(raw)?.as_bytes(), counted)
            }
            _ if strict::is_number(raw) => self.number(raw),
            _ => Err(Unfit::Type),
        }
    }

    /// The value at the cursor.
    #[inline]
    pub(super) fn read<'v, 'a: 'v>(
        self,
        cursor: &mut Cursor<'a>,
        scratch: &'v mut Vec<u8>,
    ) -> Option<Value<'v>> {
        if cursor.peek()? == b'n' {
            cursor.expect(b"null")?;
            return Some(Value::Null);
        }
        match self {
            Kind::Boolean => {
                let value = cursor.peek()? == b't';
                cursor.expect(if value { b"true" } else { b"false" })?;
                Some(Value::Boolean(value))
            }
            Kind::Double => Some(Value::Double(cursor.metric()??)),
            Kind::Text => Some(Value::Bytes(cursor.string()?)),
            Kind::Bytes => of_base64(cursor.string()?, scratch).ok(),
            Kind::Date => of_date(cursor.string()?).ok(),
            Kind::Time { written: TimeUnit::Rfc3339, counted } => {
                of_moment(cursor.string()?, counted).ok()
            }
            Kind::Integer { .. } | Kind::Single | Kind::Decimal { .. } | Kind::Time { .. } => {
                let mut after = *cursor;
                let negative = after.skip_minus();
                let short = decimal(after.block());
                if let Some(value) = short.as_ref().and_then(|it| self.short_number(negative, it)) {
                    after.advance(short?.bytes)?;
                    *cursor = after;
                    return Some(value);
                }
                self.number(cursor.number()?).ok()
            }
        }
    }

    /// The value of a number of at most fifteen digits; None if it is not one of the column, or has to
    /// be looked at more closely.
    #[inline]
    fn short_number(self, negative: bool, number: &Decimal) -> Option<Value<'static>> {
        let Decimal { digits, places, .. } = *number;
        let signed = |magnitude: i128| if negative { -magnitude } else { magnitude };
        match self {
            Kind::Integer { .. } if places == 0 => self.fitting(signed(digits.into())).ok(),
            Kind::Decimal { scale, .. } => {
                let zeros = usize::from(scale).checked_sub(places)?;
                let ten_to = 10_i128.checked_pow(u32::try_from(zeros).ok()?)?;
                self.fitting(signed(i128::from(digits).checked_mul(ten_to)?)).ok()
            }
            Kind::Single if digits <= EXACT_IN_SINGLE => {
                // Both are exact, so it is rounded once.
                let magnitude = digits as f32 / TEN_TO_SINGLE.get(places)?;
                Some(Value::Single(if negative { -magnitude } else { magnitude }))
            }
            Kind::Time { written, counted } if places == 0 => {
                let power = power(written, counted)?;
                let ten_to = 10_i128.pow(power.unsigned_abs());
                let value = signed(digits.into());
                let value =
                    if power < 0 { value.div_euclid(ten_to) } else { value.checked_mul(ten_to)? };
                self.fitting(value).ok()
            }
            _ => None,
        }
    }

    /// The value of a number.
    fn number(self, text: &str) -> Result<Value<'static>, Unfit> {
        let finite = |is_finite: bool| if is_finite { Ok(()) } else { Err(Unfit::Above) };
        match self {
            Kind::Integer { .. } => self.fitting(exact(text, 0)?.ok_or(Unfit::Type)?),
            Kind::Decimal { scale, .. } => self.fitting(exact(text, scale)?.ok_or(Unfit::Above)?),
            // The standard library reads a superset of JSON's numbers, and rounds correctly.
            Kind::Single => {
                let value: f32 = text.parse().map_err(|_| Unfit::Type)?;
                finite(value.is_finite()).map(|()| Value::Single(value))
            }
            Kind::Double => {
                let value: f64 = text.parse().map_err(|_| Unfit::Type)?;
                finite(value.is_finite()).map(|()| Value::Double(value))
            }
            Kind::Time { written, counted } => {
                let power = power(written, counted).ok_or(Unfit::Type)?;
                if written == TimeUnit::Milliseconds {
                    exact(text, 0)?.ok_or(Unfit::Type)?;
                }
                self.fitting(rounded_down(text, power)?)
            }
            Kind::Boolean | Kind::Text | Kind::Bytes | Kind::Date => Err(Unfit::Type),
        }
    }

    /// The value of an integer, a decimal without its point, or a time as the column counts it.
    fn fitting(self, value: i128) -> Result<Value<'static>, Unfit> {
        let (least, greatest) = match self {
            Kind::Decimal { digits, .. } => {
                let greatest = 10_i128.pow(digits.into()) - 1;
                (-greatest, greatest)
            }
            Kind::Integer { least, greatest } => (least, greatest),
            Kind::Time { counted, .. } => {
                let per_second = 10_i128.pow(digits_of_second(counted));
                let (first, last) = (FIRST_SECOND * per_second, SECOND_AFTER_LAST * per_second - 1);
                (first.max(i64::MIN.into()), last.min(i64::MAX.into()))
            }
            Kind::Boolean | Kind::Single | Kind::Double | Kind::Text | Kind::Bytes | Kind::Date => {
                return Err(Unfit::Type);
            }
        };
        if value < least {
            Err(Unfit::Below)
        } else if value > greatest {
            Err(Unfit::Above)
        } else if let Kind::Decimal { .. } = self {
            Ok(Value::Decimal(value))
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "it has 64 bits, or is their bits")]
            let word = value as i64;
            Ok(Value::Word(word))
        }
    }
}

/// A time that is written so, times ten to this, is as the column counts it.
fn power(written: TimeUnit, counted: Unit) -> Option<i32> {
    let to_millis = written.exponent()?;
    let digits = i32::try_from(digits_of_second(counted)).ok()?;
    Some(to_millis + digits - 3)
}

/// How many digits of a second a unit counts.
fn digits_of_second(unit: Unit) -> u32 {
    match unit {
        Unit::Second => 0,
        Unit::Millisecond => 3,
        Unit::Microsecond => 6,
        Unit::Nanosecond => 9,
    }
}

/// The content of a JSON text, which is JSON, if it is a string.
fn string(raw: &str) -> Result<String, Unfit> {
    serde_json::from_str(raw).map_err(|_| Unfit::Type)
}

/// Bytes as RFC 4648 writes them, section 4: padded, and no bit beyond their end set.
fn of_base64<'v>(text: &[u8], scratch: &'v mut Vec<u8>) -> Result<Value<'v>, Unfit> {
    scratch.clear();
    STANDARD.decode_vec(text, scratch).map_err(|_| Unfit::Type)?;
    Ok(Value::Bytes(scratch))
}

fn of_date(text: &[u8]) -> Result<Value<'static>, Unfit> {
    rfc3339::date(text).map(Value::Word).ok_or(Unfit::Type)
}

/// A date and time with an offset.
fn of_moment(text: &[u8], counted: Unit) -> Result<Value<'static>, Unfit> {
    let (seconds, nanos) = rfc3339::moment(text).ok_or(Unfit::Type)?;
    let digits = digits_of_second(counted);
    let value =
        i128::from(seconds) * 10_i128.pow(digits) + i128::from(nanos) / 10_i128.pow(9 - digits);
    Kind::Time { written: TimeUnit::Rfc3339, counted }.fitting(value)
}
