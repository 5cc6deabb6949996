//! Constants in expressions.

use std::fmt;
use std::time::Duration;

use arrow_schema::{DataType, TimeUnit};

use crate::types;

/// A constant of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Of any type; it takes that of what it is compared or combined with.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer. It takes the type of what it is combined with, if it fits there.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A decimal: `unscaled / 10^scale`.
    Decimal {
        /// All its digits as an integer.
        unscaled: i128,
        /// How many of them are behind the point.
        scale: u8,
    },
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A moment: microseconds since 1970 in UTC.
    TimestampMicros(i64),
    /// A length of time, in microseconds.
    DurationMicros(i64),
}

impl Literal {
    /// The type it has by itself, where nothing beside it asks for another.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Boolean(_) => DataType::Boolean,
            Self::Integer(_) => DataType::Int64,
            Self::Float(_) => DataType::Float64,
            Self::Decimal { unscaled, scale } => {
                let digits = digits(*unscaled).max(*scale).max(1);
                DataType::Decimal128(digits, i8::try_from(*scale).unwrap_or(i8::MAX))
            }
            Self::Text(_) => DataType::Utf8,
            Self::Bytes(_) => DataType::Binary,
            Self::TimestampMicros(micros) => types::timestamp(unit_of(*micros)),
            Self::DurationMicros(micros) => DataType::Duration(unit_of(*micros)),
        }
    }

    /// Whether it is the same value in `data_type`, without rounding: `5` is in every numeric type,
    /// `300` not in `TINYINT`.
    pub fn fits(&self, data_type: &DataType) -> bool {
        match (self, data_type) {
            (Self::Null, _) => true,
            (Self::Integer(value), DataType::Decimal128(whole, scale)) => {
                i16::from(digits(i128::from(*value))) <= i16::from(*whole) - i16::from(*scale)
            }
            (Self::Integer(value), DataType::Float64) => value.unsigned_abs() <= 1 << 53,
            (Self::Integer(value), DataType::Float32) => value.unsigned_abs() <= 1 << 24,
            (Self::Integer(value), integer) => match integer {
                DataType::Int8 => i8::try_from(*value).is_ok(),
                DataType::Int16 => i16::try_from(*value).is_ok(),
                DataType::Int32 => i32::try_from(*value).is_ok(),
                DataType::Int64 => true,
                DataType::UInt8 => u8::try_from(*value).is_ok(),
                DataType::UInt16 => u16::try_from(*value).is_ok(),
                DataType::UInt32 => u32::try_from(*value).is_ok(),
                DataType::UInt64 => u64::try_from(*value).is_ok(),
                _ => false,
            },
            // A constant such as 0.5 is meant in the precision of the column beside it.
            (Self::Float(value), DataType::Float32) => {
                !value.is_finite() || value.abs() <= f64::from(f32::MAX)
            }
            (Self::Float(_), DataType::Float64) => true,
            (Self::Decimal { .. }, DataType::Float32 | DataType::Float64) => true,
            _ => self.data_type() == *data_type,
        }
    }
}

/// Milliseconds where nothing finer is said.
fn unit_of(micros: i64) -> TimeUnit {
    if micros % 1000 == 0 { TimeUnit::Millisecond } else { TimeUnit::Microsecond }
}

/// Decimal digits of a number, without its sign.
fn digits(value: i128) -> u8 {
    let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    u8::try_from(digits).unwrap_or(u8::MAX)
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Self::Integer(value) => write!(f, "{value}"),
            // As Rust's debug form: 5.0 stays a float.
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Decimal { unscaled, scale: 0 } => write!(f, "{unscaled}."),
            Self::Decimal { unscaled, scale } => {
                let scale = usize::from(*scale);
                let sign = if *unscaled < 0 { "-" } else { "" };
                let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                write!(f, "{sign}{whole}.{fraction}")
            }
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Bytes(bytes) => {
                f.write_str("X'")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
                f.write_str("'")
            }
            Self::TimestampMicros(micros) => write!(f, "TIMESTAMP {micros} us"),
            Self::DurationMicros(micros) => match micros {
                0 => f.write_str("INTERVAL 0 s"),
                us if us % 1_000_000 == 0 => write!(f, "INTERVAL {} s", us / 1_000_000),
                us if us % 1_000 == 0 => write!(f, "INTERVAL {} ms", us / 1_000),
                us => write!(f, "INTERVAL {us} us"),
            },
        }
    }
}

impl From<bool> for Literal {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}
impl From<i32> for Literal {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}
impl From<i64> for Literal {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}
impl From<u32> for Literal {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}
impl From<f64> for Literal {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<&str> for Literal {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}
impl From<String> for Literal {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<Duration> for Literal {
    /// Longer than 292 000 years becomes the longest there is.
    fn from(value: Duration) -> Self {
        Self::DurationMicros(i64::try_from(value.as_micros()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_written_with_all_its_digits() {
        let decimal = |unscaled, scale| Literal::Decimal { unscaled, scale };
        assert_eq!(decimal(908, 3).to_string(), "0.908");
        assert_eq!(decimal(-908, 3).to_string(), "-0.908");
        assert_eq!(decimal(-100_908, 3).to_string(), "-100.908");
        assert_eq!(decimal(908, 3).data_type(), DataType::Decimal128(3, 3));
        assert_eq!(decimal(i128::MIN, 0).data_type(), DataType::Decimal128(39, 0));
    }

    #[test]
    fn an_integer_fits_where_it_stays_the_same() {
        assert!(Literal::Integer(127).fits(&DataType::Int8));
        assert!(!Literal::Integer(128).fits(&DataType::Int8));
        assert!(!Literal::Integer(-1).fits(&DataType::UInt64));
        assert!(Literal::Integer(99).fits(&DataType::Decimal128(4, 2)));
        assert!(!Literal::Integer(100).fits(&DataType::Decimal128(4, 2)));
        assert!(!Literal::Integer(i64::MAX).fits(&DataType::Float64));
    }

    #[test]
    fn quotes_in_text_are_doubled() {
        assert_eq!(Literal::from("it's").to_string(), "'it''s'");
    }
}
