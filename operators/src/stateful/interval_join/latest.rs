//! Until when the right rows of a left row come.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use crate::batch::{Batch, Times};
use crate::expr::{EvaluateError, Evaluator};
use crate::stateful::lateness::Fate;

/// The latest time of the right row of a pair.
pub(super) enum Latest {
    /// So much after the left one.
    After(i64),
    /// What an expression over the left one gives.
    At(Evaluator),
}

impl Latest {
    /// That of each left row, in `unit`; before all times where there is none.
    pub(super) fn of(
        &self,
        batch: &Batch,
        fates: &[Fate<i64>],
        unit: TimeUnit,
    ) -> Result<Vec<i64>, EvaluateError> {
        match self {
            Self::After(length) => {
                let time = |fate: &Fate<i64>| match fate {
                    Fate::Kept(time) => time.saturating_add(*length),
                    Fate::Late | Fate::Outside => i64::MIN,
                };
                Ok(fates.iter().map(time).collect())
            }
            Self::At(evaluator) => Ok(bounds(&evaluator.evaluate(batch.rows())?.column, unit)),
        }
    }
}

/// The values of a column of timestamps; a bound that is finer than `unit` is rounded down.
fn bounds(column: &ArrayRef, unit: TimeUnit) -> Vec<i64> {
    fn values<T: ArrowPrimitiveType<Native = i64>>(column: &ArrayRef) -> Vec<i64> {
        column.as_primitive::<T>().values().to_vec()
    }
    let (values, own) = match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            (values::<TimestampSecondType>(column), TimeUnit::Second)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (values::<TimestampMicrosecondType>(column), TimeUnit::Microsecond)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            (values::<TimestampNanosecondType>(column), TimeUnit::Nanosecond)
        }
        _ => (values::<TimestampMillisecondType>(column), TimeUnit::Millisecond),
    };
    let per_millis = |unit| Times::new([], unit).per_millis().max(1);
    let own_units = (per_millis(own) / per_millis(unit)).max(1);
    let times = Times::new(values, own).counted_in(unit);
    let bound = |(row, time): (usize, &i64)| match column.is_null(row) {
        true => i64::MIN,
        false => time.div_euclid(own_units),
    };
    times.exact().iter().enumerate().map(bound).collect()
}
