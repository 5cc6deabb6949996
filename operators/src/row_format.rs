//! Values of any columns as bytes that compare as the values do: Arrow's row format.
//!
//! Keys, the order of rows, and what aggregates and joins keep of columns whose type is known only at
//! run time are such bytes. They are also in checkpoints, so what they are for each type is held by a
//! test: if another version of Arrow encodes a type otherwise, the state's version has to change.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, PrimitiveArray};
use arrow_row::{RowConverter, RowParser, Rows, SortField};
use arrow_schema::{ArrowError, DataType, SortOptions};

/// What makes bytes of the columns of a row, and columns of such bytes.
#[derive(Debug)]
pub(crate) struct RowFormat {
    converter: RowConverter,
    parser: RowParser,
}

impl RowFormat {
    /// For columns of these types. Nulls come first.
    ///
    /// # Errors
    ///
    /// If a type has no such bytes.
    pub(crate) fn new<'a>(
        types: impl IntoIterator<Item = &'a DataType>,
    ) -> Result<Self, ArrowError> {
        Self::ordered(types.into_iter().map(|of| (of.clone(), SortOptions::new(false, true))))
    }

    /// For columns of these types, each ordered as it says.
    ///
    /// # Errors
    ///
    /// If a type has no such bytes.
    pub(crate) fn ordered(
        types: impl IntoIterator<Item = (DataType, SortOptions)>,
    ) -> Result<Self, ArrowError> {
        let fields = types.into_iter().map(|(of, order)| SortField::new_with_options(of, order));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { parser: converter.parser(), converter })
    }

    /// The bytes of each row, which has at least one column.
    ///
    /// # Errors
    ///
    /// If the columns are of other types.
    pub(crate) fn encode(&self, columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
        self.converter.convert_columns(columns)
    }

    /// The columns of rows that were made into bytes here, or in another process.
    ///
    /// # Errors
    ///
    /// If the bytes are not those of such rows.
    pub(crate) fn decode<'a>(
        &self,
        rows: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        self.converter.convert_rows(rows.into_iter().map(|row| self.parser.parse(row)))
    }
}

/// Floats that are equal as equal bytes: `-0.0` as `0.0`, and one NaN, which is greater than all
/// numbers. This is how expressions compare them.
pub(crate) fn equal_floats_alike(column: &ArrayRef) -> ArrayRef {
    map_floats(column, true)
}

/// One NaN, which is greater than all numbers. `-0.0` stays, and is less than `0.0`.
pub(crate) fn nans_alike(column: &ArrayRef) -> ArrayRef {
    map_floats(column, false)
}

fn map_floats(column: &ArrayRef, zeros: bool) -> ArrayRef {
    fn map<T: ArrowPrimitiveType>(
        column: &PrimitiveArray<T>,
        zeros: bool,
        nan: T::Native,
        is_nan: fn(T::Native) -> bool,
    ) -> ArrayRef {
        Arc::new(column.unary::<_, T>(|value| match value {
            value if is_nan(value) => nan,
            // Adding zero to -0.0 gives 0.0, and changes nothing else.
            value if zeros => value.add_wrapping(T::Native::ZERO),
            value => value,
        }))
    }
    match column.data_type() {
        DataType::Float32 => {
            map(column.as_primitive::<Float32Type>(), zeros, f32::NAN, f32::is_nan)
        }
        DataType::Float64 => {
            map(column.as_primitive::<Float64Type>(), zeros, f64::NAN, f64::is_nan)
        }
        _ => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        StringArray, TimestampMillisecondArray, UInt8Array,
    };

    use super::*;

    fn bytes(column: ArrayRef) -> Vec<String> {
        let format = RowFormat::new([column.data_type()]).unwrap();
        let rows = format.encode(&[column]).unwrap();
        let hex = |row: &[u8]| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        rows.iter().map(|row| hex(row.data())).collect()
    }

    /// These bytes are in checkpoints, and decide which worker has a key.
    #[test]
    fn the_bytes_of_each_type_are_what_they_were() {
        assert_eq!(
            bytes(Arc::new(Int64Array::from(vec![Some(1), Some(-2), None]))),
            ["018000000000000001", "017ffffffffffffffe", "000000000000000000"]
        );
        assert_eq!(bytes(Arc::new(UInt8Array::from(vec![7]))), ["0107"]);
        assert_eq!(
            bytes(Arc::new(Float64Array::from(vec![1.5, -1.5]))),
            ["01bff8000000000000", "014007ffffffffffff"]
        );
        assert_eq!(bytes(Arc::new(BooleanArray::from(vec![true, false]))), ["0101", "0100"]);
        assert_eq!(bytes(Arc::new(Date32Array::from(vec![1]))), ["0180000001"]);
        assert_eq!(
            bytes(Arc::new(TimestampMillisecondArray::from(vec![1]).with_timezone("UTC"))),
            ["018000000000000001"]
        );
        assert_eq!(
            bytes(Arc::new(Decimal128Array::from(vec![1]))),
            ["0180000000000000000000000000000001"]
        );
        assert_eq!(
            bytes(Arc::new(StringArray::from(vec![Some("ab"), Some(""), None]))),
            ["02616200000000000002", "01", "00"]
        );
        assert_eq!(
            bytes(Arc::new(BinaryArray::from(vec![&b"123456789"[..]]))),
            ["023132333435363738ff390000000000000001"]
        );
    }

    #[test]
    fn floats_that_are_equal_have_equal_bytes() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, 0.0, -f64::NAN, f64::NAN]));
        let of = bytes(equal_floats_alike(&floats));
        assert_eq!((&of[0], &of[2]), (&of[1], &of[3]));
        let of = bytes(nans_alike(&floats));
        assert!(of[0] < of[1] && of[1] < of[2] && of[2] == of[3]);
    }

    #[test]
    fn columns_come_back_from_their_bytes() {
        let columns: [ArrayRef; 2] = [
            Arc::new(StringArray::from(vec![Some("a"), None])),
            Arc::new(Int64Array::from(vec![None, Some(3)])),
        ];
        let format = RowFormat::new(columns.iter().map(Array::data_type)).unwrap();
        let rows = format.encode(&columns).unwrap();
        let back = format.decode(rows.iter().map(|row| row.data()));
        assert_eq!(back.unwrap(), columns);
    }
}
