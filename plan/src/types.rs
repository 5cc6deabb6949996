//! The types of columns: those of Arrow that a pipeline can use, what they are called, and which
//! type two of them have in common.
//!
//! A pipeline uses a part of Arrow's types, so that every operator, file and table can be written
//! for all of them: booleans, integers, floats, decimals, text, bytes, timestamps in UTC, dates,
//! durations, lists and structs. Messages call them by SQL's names.

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};

/// The time zone of every timestamp.
pub const UTC: &str = "UTC";

/// Digits that a decimal has at most.
pub const DECIMAL_DIGITS_MAX: u8 = 38;

/// A timestamp in UTC, counted in `unit`.
pub fn timestamp(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some(UTC.into()))
}

/// Whether a pipeline can have columns of this type.
pub fn is_supported(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Utf8 | DataType::Binary | DataType::Date32 => true,
        DataType::Float32 | DataType::Float64 | DataType::Duration(_) | DataType::Null => true,
        DataType::Timestamp(_, zone) => zone.as_deref() == Some(UTC),
        DataType::Decimal128(digits, scale) => {
            (1..=DECIMAL_DIGITS_MAX).contains(digits)
                && (0..=i16::from(*digits)).contains(&i16::from(*scale))
        }
        DataType::List(item) => is_supported(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_supported(field.data_type())),
        other => other.is_integer(),
    }
}

/// What a type is called, in SQL's words: `BIGINT`, `TIMESTAMP(3)`, `LIST<TEXT>`.
pub fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 => "TINYINT UNSIGNED".into(),
        DataType::UInt16 => "SMALLINT UNSIGNED".into(),
        DataType::UInt32 => "INT UNSIGNED".into(),
        DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(digits, scale) => format!("DECIMAL({digits}, {scale})"),
        DataType::Utf8 => "TEXT".into(),
        DataType::Binary => "BYTES".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(unit, _) => format!("TIMESTAMP({})", digits_of_second(*unit)),
        DataType::Duration(unit) => format!("INTERVAL SECOND({})", digits_of_second(*unit)),
        DataType::List(item) => format!("LIST<{}>", name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| format!("{} {}", f.name(), name(f.data_type())));
            format!("STRUCT<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Digits after the point of a second that a unit counts: 0, 3, 6 or 9.
fn digits_of_second(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// The type that values of both types can be turned into without losing anything but what a float
/// loses of a large integer: `BIGINT` for `INT` and `BIGINT`, `DOUBLE` for any number and a float.
///
/// None where there is none. Text is never turned into another type, nor another into text: who
/// compares a text with a number or a time casts one of them, and so says what is meant.
pub fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date32, Decimal128, Duration, Float32, Float64, List, Null, Timestamp};
    Some(match (left, right) {
        _ if left == right => left.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Timestamp(a, _), Timestamp(b, _)) => timestamp(finer(*a, *b)),
        (Timestamp(unit, _), Date32) | (Date32, Timestamp(unit, _)) => timestamp(*unit),
        (Duration(a), Duration(b)) => Duration(finer(*a, *b)),
        (List(a), List(b)) => {
            let item = common(a.data_type(), b.data_type())?;
            List(Arc::new(arrow_schema::Field::new_list_field(item, true)))
        }
        _ if !left.is_numeric() || !right.is_numeric() => return None,
        (
            Float32,
            Float32 | DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16,
        )
        | (DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16, Float32) => {
            Float32
        }
        (Float32 | Float64, _) | (_, Float32 | Float64) => Float64,
        (Decimal128(..), _) | (_, Decimal128(..)) => {
            let ((a, a_scale), (b, b_scale)) = (decimal_of(left)?, decimal_of(right)?);
            let scale = a_scale.max(b_scale);
            let whole = (i16::from(a) - i16::from(a_scale)).max(i16::from(b) - i16::from(b_scale));
            let digits = u8::try_from(whole + i16::from(scale)).ok()?;
            (digits <= DECIMAL_DIGITS_MAX).then_some(Decimal128(digits, scale))?
        }
        _ => integer(left, right),
    })
}

/// The integer that holds both; a decimal where none does.
fn integer(left: &DataType, right: &DataType) -> DataType {
    let signed = left.is_signed_integer() || right.is_signed_integer();
    // Bits of the type, and one more for an unsigned one that has to become signed.
    let bits = |data_type: &DataType| {
        let bits = data_type.primitive_width().unwrap_or(8) * 8;
        bits + usize::from(signed && data_type.is_unsigned_integer())
    };
    match (signed, bits(left).max(bits(right))) {
        (true, ..=8) => DataType::Int8,
        (true, ..=16) => DataType::Int16,
        (true, ..=32) => DataType::Int32,
        (true, ..=64) => DataType::Int64,
        (true, _) => DataType::Decimal128(20, 0),
        (false, ..=8) => DataType::UInt8,
        (false, ..=16) => DataType::UInt16,
        (false, ..=32) => DataType::UInt32,
        (false, _) => DataType::UInt64,
    }
}

/// Digits and scale of the decimal that holds every value of an integer or decimal type.
pub(crate) fn decimal_of(data_type: &DataType) -> Option<(u8, i8)> {
    Some(match data_type {
        DataType::Decimal128(digits, scale) => (*digits, *scale),
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        _ => return None,
    })
}

/// The unit of both that counts more finely.
pub(crate) fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    if digits_of_second(a) >= digits_of_second(b) { a } else { b }
}

/// Whether values of the type have an order and an equality: those of lists and structs have none.
pub(crate) fn is_comparable(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::List(_) | DataType::Struct(_))
}

/// Whether values of one type can be turned into another when that is asked for.
pub(crate) fn can_cast(from: &DataType, to: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Duration, List, Null, Timestamp, Utf8};
    match (from, to) {
        _ if from == to => true,
        (Null, _) => true,
        (Boolean, Utf8) | (Utf8, Boolean | Binary) | (Binary, Utf8) => true,
        (Boolean, number) => number.is_integer(),
        (Timestamp(..) | Date32, Timestamp(..) | Date32 | Utf8) => true,
        (Utf8, Timestamp(..) | Date32) => true,
        (Duration(_), Duration(_)) => true,
        (List(a), List(b)) => can_cast(a.data_type(), b.data_type()),
        (Utf8, number) | (number, Utf8) => number.is_numeric(),
        (a, b) => a.is_numeric() && b.is_numeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_meet_in_the_smallest_that_holds_both() {
        assert_eq!(common(&DataType::Int8, &DataType::UInt8), Some(DataType::Int16));
        assert_eq!(common(&DataType::Int32, &DataType::Int64), Some(DataType::Int64));
        assert_eq!(common(&DataType::UInt64, &DataType::UInt8), Some(DataType::UInt64));
        assert_eq!(common(&DataType::UInt64, &DataType::Int8), Some(DataType::Decimal128(20, 0)));
    }

    #[test]
    fn decimals_keep_all_digits_or_have_no_common_type() {
        let money = DataType::Decimal128(10, 2);
        assert_eq!(common(&money, &DataType::Int32), Some(DataType::Decimal128(12, 2)));
        assert_eq!(common(&money, &DataType::Float32), Some(DataType::Float64));
        assert_eq!(common(&DataType::Decimal128(38, 0), &DataType::Decimal128(38, 38)), None);
    }

    #[test]
    fn text_has_nothing_in_common_with_numbers_and_times() {
        assert_eq!(common(&DataType::Utf8, &DataType::Int64), None);
        assert_eq!(common(&DataType::Utf8, &timestamp(TimeUnit::Millisecond)), None);
        assert_eq!(common(&DataType::Utf8, &DataType::Null), Some(DataType::Utf8));
    }

    #[test]
    fn timestamps_meet_in_the_finer_unit() {
        let (ms, us) = (timestamp(TimeUnit::Millisecond), timestamp(TimeUnit::Microsecond));
        assert_eq!(common(&ms, &us), Some(us.clone()));
        assert_eq!(common(&DataType::Date32, &us), Some(us));
    }

    #[test]
    fn zones_other_than_utc_and_odd_types_are_not_supported() {
        assert!(is_supported(&timestamp(TimeUnit::Nanosecond)));
        assert!(!is_supported(&DataType::Timestamp(TimeUnit::Second, None)));
        assert!(!is_supported(&DataType::Timestamp(TimeUnit::Second, Some("+01:00".into()))));
        assert!(!is_supported(&DataType::LargeUtf8));
        assert!(!is_supported(&DataType::Decimal128(10, 11)));
    }
}
