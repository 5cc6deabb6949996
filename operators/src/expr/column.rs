//! Columns as they are computed: a value a row, or one value for all rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayAccessor, ArrayRef, BinaryArray, BooleanArray, Datum, PrimitiveArray, StringArray,
    UInt32Array, make_array, new_null_array,
};
use arrow_schema::{ArrowError, DataType};
use arrow_select::take::take;

use super::failed::Failed;
use super::room::{Room, extent};

/// The values of a part of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    /// A value a row.
    Rows(ArrayRef),
    /// One value, the same for all rows.
    Constant(ArrayRef),
}

impl Datum for Column {
    fn get(&self) -> (&dyn Array, bool) {
        (self.array(), matches!(self, Self::Constant(_)))
    }
}

impl Column {
    /// The values; of a constant, one.
    pub(crate) fn array(&self) -> &ArrayRef {
        match self {
            Self::Rows(array) | Self::Constant(array) => array,
        }
    }

    /// The same kind of column with other values.
    pub(crate) fn map(self, array: ArrayRef) -> Self {
        match self {
            Self::Rows(_) => Self::Rows(array),
            Self::Constant(_) => Self::Constant(array),
        }
    }

    /// As many values as there are rows. Rows of a constant that do not fit into a column fail.
    pub(crate) fn into_rows(
        self,
        rows: usize,
        failed: &mut Failed,
    ) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Constant(array) if rows == 1 => Ok(array),
            Self::Constant(array) if array.null_count() == 1 => {
                Ok(new_null_array(array.data_type(), rows))
            }
            Self::Constant(array) => {
                let (mut room, bytes) = (Room::new(), extent(&array, 0));
                let value = |row| room.takes(bytes, row, failed).then_some(0);
                take(&array, &(0..rows).map(value).collect::<UInt32Array>(), None)
            }
            Self::Rows(array) => Ok(array),
        }
    }

    fn values<'a, A>(&self, array: &'a A) -> Values<'a, A> {
        Values { array, constant: matches!(self, Self::Constant(_)) }
    }

    /// Its values as those of a primitive type.
    pub(crate) fn primitive<T: ArrowPrimitiveType>(&self) -> Values<'_, PrimitiveArray<T>> {
        self.values(self.array().as_primitive())
    }

    /// Its values as integers of 64 bits.
    pub(crate) fn integers(&self) -> Values<'_, PrimitiveArray<Int64Type>> {
        self.primitive()
    }

    /// Its values as floats of 64 bits.
    pub(crate) fn floats(&self) -> Values<'_, PrimitiveArray<Float64Type>> {
        self.primitive()
    }

    /// Its values as decimals without their point.
    pub(crate) fn decimals(&self) -> Values<'_, PrimitiveArray<Decimal128Type>> {
        self.primitive()
    }

    /// Its values as texts.
    pub(crate) fn texts(&self) -> Values<'_, StringArray> {
        self.values(self.array().as_string())
    }

    /// Its values as bytes.
    pub(crate) fn bytes(&self) -> Values<'_, BinaryArray> {
        self.values(self.array().as_binary())
    }

    /// Its values as true and false.
    pub(crate) fn booleans(&self) -> Values<'_, BooleanArray> {
        self.values(self.array().as_boolean())
    }
}

/// Values that are looked up by row.
pub(crate) struct Values<'a, A> {
    array: &'a A,
    constant: bool,
}

impl<'a, A> Values<'a, A>
where
    &'a A: ArrayAccessor,
{
    /// The value of a row; None where it is null.
    pub(crate) fn get(&self, row: usize) -> Option<<&'a A as ArrayAccessor>::Item> {
        let index = if self.constant { 0 } else { row };
        (!self.array.is_null(index)).then(|| self.array.value(index))
    }
}

/// The same words as another type of the same width: a time as the integer that it is kept as.
///
/// # Errors
///
/// If the types are not of one width.
pub(crate) fn retype(array: &dyn Array, to: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(make_array(array.to_data().into_builder().data_type(to.clone()).build()?))
}

/// A shared array with a type of its own: a decimal's digits, a time's zone.
pub(crate) fn typed<T: ArrowPrimitiveType>(
    array: PrimitiveArray<T>,
    data_type: &DataType,
) -> ArrayRef {
    Arc::new(array.with_data_type(data_type.clone()))
}
