//! The values of one column while a batch of rows is filled.
//!
//! They are in vectors that Arrow takes over as they are. Their length is what is known of them: a
//! column that is one longer than there are rows has a value of the row that is being read.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{
    ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::{DataType, TimeUnit};

use super::kind::Value;

/// Values, and which of them are null.
#[derive(Clone, Debug)]
pub(super) struct Column {
    values: Values,
    /// The rows that are null, ascending.
    nulls: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Values {
    Booleans(Vec<bool>),
    Words(Vec<i64>),
    Singles(Vec<f32>),
    Doubles(Vec<f64>),
    Decimals(Vec<i128>),
    /// All bytes, and the end of those of each row, after a 0.
    Bytes {
        bytes: Vec<u8>,
        ends: Vec<i32>,
    },
}

impl Column {
    /// An empty one of a type, with room for so many rows.
    pub(super) fn new(data_type: &DataType, rows: usize) -> Column {
        let values = match data_type {
            DataType::Boolean => Values::Booleans(Vec::with_capacity(rows)),
            DataType::Float32 => Values::Singles(Vec::with_capacity(rows)),
            DataType::Float64 => Values::Doubles(Vec::with_capacity(rows)),
            DataType::Decimal128(..) => Values::Decimals(Vec::with_capacity(rows)),
            DataType::Utf8 | DataType::Binary => {
                let mut ends = Vec::with_capacity(rows + 1);
                ends.push(0);
                Values::Bytes { bytes: Vec::new(), ends }
            }
            _ => Values::Words(Vec::with_capacity(rows)),
        };
        Column { values, nulls: Vec::new() }
    }

    fn len(&self) -> usize {
        match &self.values {
            Values::Booleans(values) => values.len(),
            Values::Words(values) => values.len(),
            Values::Singles(values) => values.len(),
            Values::Doubles(values) => values.len(),
            Values::Decimals(values) => values.len(),
            Values::Bytes { ends, .. } => ends.len() - 1,
        }
    }

    /// Sets the value of a row, which is the one after those that are complete.
    #[inline]
    pub(super) fn put(&mut self, row: usize, value: Value<'_>) {
        if self.len() > row {
            self.truncate(row); // The field is repeated.
        }
        match (&mut self.values, value) {
            (Values::Booleans(values), Value::Boolean(value)) => values.push(value),
            (Values::Words(values), Value::Word(value)) => values.push(value),
            (Values::Singles(values), Value::Single(value)) => values.push(value),
            (Values::Doubles(values), Value::Double(value)) => values.push(value),
            (Values::Decimals(values), Value::Decimal(value)) => values.push(value),
            (Values::Bytes { bytes, ends }, Value::Bytes(value)) => {
                bytes.extend_from_slice(value);
                ends.push(end(bytes));
            }
            (_, value) => {
                debug_assert_eq!(value, Value::Null, "a value of the column's type");
                self.put_null(row);
            }
        }
    }

    fn put_null(&mut self, row: usize) {
        self.nulls.push(row);
        match &mut self.values {
            Values::Booleans(values) => values.push(false),
            Values::Words(values) => values.push(0),
            Values::Singles(values) => values.push(0.0),
            Values::Doubles(values) => values.push(0.0),
            Values::Decimals(values) => values.push(0),
            Values::Bytes { bytes, ends } => ends.push(end(bytes)),
        }
    }

    /// Makes the row null if it has no value yet; whether it is null.
    #[inline]
    pub(super) fn complete(&mut self, row: usize) -> bool {
        if self.len() == row {
            self.put_null(row);
        }
        self.nulls.last() == Some(&row)
    }

    /// Forgets the values of rows from this one on.
    pub(super) fn truncate(&mut self, rows: usize) {
        while self.nulls.last().is_some_and(|null| *null >= rows) {
            self.nulls.pop();
        }
        match &mut self.values {
            Values::Booleans(values) => values.truncate(rows),
            Values::Words(values) => values.truncate(rows),
            Values::Singles(values) => values.truncate(rows),
            Values::Doubles(values) => values.truncate(rows),
            Values::Decimals(values) => values.truncate(rows),
            Values::Bytes { bytes, ends } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0)));
            }
        }
    }

    /// The last value, if the column is of words.
    pub(super) fn last_word(&self) -> Option<i64> {
        self.words().last().copied()
    }

    /// All values, if the column is of words.
    pub(super) fn words(&self) -> &[i64] {
        match &self.values {
            Values::Words(values) => values,
            _ => &[],
        }
    }

    /// How many bytes the last text has, or the last bytes; None of other types.
    pub(super) fn last_bytes(&self) -> Option<usize> {
        match &self.values {
            Values::Bytes { ends, .. } => match ends[..] {
                [.., start, end] => usize::try_from(end - start).ok(),
                _ => None,
            },
            _ => None,
        }
    }

    /// All of it as a column of this type, which is the one that it was made with. Room that is not
    /// used is given back where it is most of it: rows may be kept for long.
    pub(super) fn finish(self, data_type: &DataType) -> ArrayRef {
        let rows = self.len();
        let nulls = (!self.nulls.is_empty()).then(|| {
            let mut valid = vec![true; rows];
            for null in self.nulls {
                valid[null] = false;
            }
            NullBuffer::from(valid)
        });
        match self.values {
            Values::Booleans(values) => {
                Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
            }
            Values::Words(values) => words(fitted(values), nulls, data_type),
            Values::Singles(values) => shared::<Float32Type>(values, nulls, data_type),
            Values::Doubles(values) => shared::<Float64Type>(values, nulls, data_type),
            Values::Decimals(values) => shared::<Decimal128Type>(values, nulls, data_type),
            Values::Bytes { bytes, ends } => {
                let ends = OffsetBuffer::new(fitted(ends).into());
                let bytes = Buffer::from_vec(fitted(bytes));
                match data_type {
                    DataType::Utf8 => Arc::new(StringArray::new(ends, bytes, nulls)),
                    _ => Arc::new(BinaryArray::new(ends, bytes, nulls)),
                }
            }
        }
    }
}

fn fitted<T>(mut values: Vec<T>) -> Vec<T> {
    if values.len() < values.capacity() / 2 {
        values.shrink_to_fit();
    }
    values
}

fn end(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("the payloads of a batch are bounded")
}

fn words(values: Vec<i64>, nulls: Option<NullBuffer>, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Int8 => narrowed::<Int8Type>(&values, nulls),
        DataType::Int16 => narrowed::<Int16Type>(&values, nulls),
        DataType::Int32 => narrowed::<Int32Type>(&values, nulls),
        DataType::UInt8 => narrowed::<UInt8Type>(&values, nulls),
        DataType::UInt16 => narrowed::<UInt16Type>(&values, nulls),
        DataType::UInt32 => narrowed::<UInt32Type>(&values, nulls),
        DataType::Date32 => narrowed::<Date32Type>(&values, nulls),
        DataType::UInt64 => {
            let bits = ScalarBuffer::<u64>::from(Buffer::from_vec(values));
            Arc::new(PrimitiveArray::<UInt64Type>::new(bits, nulls))
        }
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => shared::<TimestampSecondType>(values, nulls, data_type),
            TimeUnit::Millisecond => shared::<TimestampMillisecondType>(values, nulls, data_type),
            TimeUnit::Microsecond => shared::<TimestampMicrosecondType>(values, nulls, data_type),
            TimeUnit::Nanosecond => shared::<TimestampNanosecondType>(values, nulls, data_type),
        },
        _ => shared::<Int64Type>(values, nulls, data_type),
    }
}

/// Values that Arrow takes over.
fn shared<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> ArrayRef
where
    T::Native: ArrowNativeType,
{
    let array = PrimitiveArray::<T>::new(ScalarBuffer::from(fitted(values)), nulls);
    Arc::new(array.with_data_type(data_type.clone()))
}

/// Values of fewer bits.
fn narrowed<T: ArrowPrimitiveType>(values: &[i64], nulls: Option<NullBuffer>) -> ArrayRef
where
    T::Native: TryFrom<i64>,
{
    let narrow = |value: &i64| T::Native::try_from(*value).ok().expect("its range was checked");
    let values: Vec<T::Native> = values.iter().map(narrow).collect();
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}
