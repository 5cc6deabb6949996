//! The least and the greatest value.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, PrimitiveArray, new_null_array};
use arrow_schema::{ArrowError, DataType};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Contributions;
use super::state::Fold;
use crate::row_format::{RowFormat, nans_alike};

/// The least (or greatest) value of a type of fixed width. NaN is greater than all numbers, and
/// `-0.0` less than `0.0`, so there is one answer, to the last bit.
pub(super) struct Extreme<T> {
    greatest: bool,
    data_type: DataType,
    of: std::marker::PhantomData<T>,
}

impl<T> Extreme<T> {
    pub(super) fn new(greatest: bool, data_type: &DataType) -> Self {
        Self { greatest, data_type: data_type.clone(), of: std::marker::PhantomData }
    }
}

/// What replaces the extreme: less than the least, greater than the greatest.
fn wanted(greatest: bool) -> Ordering {
    if greatest { Ordering::Greater } else { Ordering::Less }
}

impl<T> Fold for Extreme<T>
where
    T: ArrowPrimitiveType<Native: Serialize + DeserializeOwned>,
{
    type State = Option<T::Native>;

    fn add(
        &self,
        states: &mut [Self::State],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let column = nans_alike(column);
        let values = column.as_primitive::<T>().values();
        let wanted = wanted(self.greatest);
        rows.each(|row, slot| {
            let state = &mut states[slot];
            if state.is_none_or(|extreme| values[row].compare(extreme) == wanted) {
                *state = Some(values[row]);
            }
        });
        Ok(())
    }

    fn combine(&self, into: &mut Self::State, other: &Self::State) {
        if let Some(value) = *other
            && into.is_none_or(|extreme| value.compare(extreme) == wanted(self.greatest))
        {
            *into = Some(value);
        }
    }

    fn results(
        &self,
        states: &[&Self::State],
        _unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError> {
        let column: PrimitiveArray<T> = states.iter().map(|state| **state).collect();
        Ok(Arc::new(column.with_data_type(self.data_type.clone())))
    }
}

/// The least (or greatest) value of any type that has an order, such as a text.
pub(super) struct ExtremeOfAny {
    greatest: bool,
    format: RowFormat,
}

impl ExtremeOfAny {
    pub(super) fn new(greatest: bool, data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(Self { greatest, format: RowFormat::new([data_type])? })
    }
}

impl Fold for ExtremeOfAny {
    type State = Option<Box<[u8]>>;

    fn add(
        &self,
        states: &mut [Self::State],
        rows: &Contributions<'_>,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else { return Ok(()) };
        let values = self.format.encode(std::slice::from_ref(column))?;
        let wanted = wanted(self.greatest);
        rows.each(|row, slot| {
            let (value, state) = (values.row(row), &mut states[slot]);
            if state.as_ref().is_none_or(|extreme| value.data().cmp(extreme) == wanted) {
                *state = Some(value.data().into());
            }
        });
        Ok(())
    }

    fn combine(&self, into: &mut Self::State, other: &Self::State) {
        if let Some(value) = other
            && into.as_ref().is_none_or(|extreme| value.cmp(extreme) == wanted(self.greatest))
        {
            *into = Some(value.clone());
        }
    }

    fn results(
        &self,
        states: &[&Self::State],
        _unfit: &mut Vec<usize>,
    ) -> Result<ArrayRef, ArrowError> {
        let values: Vec<_> = states.iter().map(|state| state.as_deref()).collect();
        values_or_null(&self.format, &values)
    }

    fn heap(&self, state: &Self::State) -> usize {
        state.as_ref().map_or(0, |value| value.len())
    }
}

/// A column of values that are kept as bytes of one column.
pub(super) fn values_or_null(
    format: &RowFormat,
    values: &[Option<&[u8]>],
) -> Result<ArrayRef, ArrowError> {
    let column = format.decode(values.iter().copied().flatten())?.remove(0);
    if values.iter().all(Option::is_some) {
        return Ok(column);
    }
    if column.is_empty() {
        return Ok(new_null_array(column.data_type(), values.len()));
    }
    let mut next = 0_u32;
    let places = values.iter().map(|value| {
        value.map(|_| {
            next += 1;
            next - 1
        })
    });
    let places: arrow_array::UInt32Array = places.collect();
    arrow_select::take::take(&column, &places, None)
}

/// The aggregate of a column of nothing but nulls.
pub(super) struct Nothing {
    /// The type of its result.
    pub(super) data_type: DataType,
}

impl Fold for Nothing {
    type State = ();

    fn add(
        &self,
        _states: &mut [()],
        _rows: &Contributions<'_>,
        _column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        Ok(())
    }

    fn combine(&self, (): &mut (), (): &()) {}

    fn results(&self, states: &[&()], _unfit: &mut Vec<usize>) -> Result<ArrayRef, ArrowError> {
        Ok(new_null_array(&self.data_type, states.len()))
    }
}
