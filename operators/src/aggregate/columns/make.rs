//! Which accumulator computes an aggregate of a plan.

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use strandline_plan::aggregate::{AggregateFunction, TypedAggregate};

use super::boolean::Logical;
use super::count::Count;
use super::decimal::Decimals;
use super::distinct::Distinct;
use super::extreme::{Extreme, ExtremeOfAny, Nothing};
use super::float::Floats;
use super::hyper_log_log::ApproximateDistinct;
use super::integer::{Give, Integers, is_integral};
use super::moments::Spread;
use super::positional::Positional;
use super::quantile::Quantile;
use super::state::{Accumulator, States};
use super::top::Top;
use crate::expr::EvaluateError;

/// Whether an aggregate needs to know which of two rows is the first.
pub(super) fn depends_on_order(function: &AggregateFunction) -> bool {
    matches!(function, AggregateFunction::First | AggregateFunction::Last)
}

/// An accumulator for an aggregate that was bound.
pub(super) fn accumulator(
    aggregate: &TypedAggregate,
) -> Result<Box<dyn Accumulator>, EvaluateError> {
    use AggregateFunction as F;
    let Some(argument) = &aggregate.argument else {
        return match aggregate.function {
            F::Count => Ok(States::of(Count)),
            ref other => Err(EvaluateError::Unknown(format!("{other} of nothing"))),
        };
    };
    let of = &argument.data_type;
    let data_type = &aggregate.data_type;
    Ok(match aggregate.function {
        F::Count => States::of(Count),
        F::CountDistinct => States::of(Distinct::new(of)?),
        F::ApproximateDistinct => States::of(ApproximateDistinct::new(of)?),
        _ if *of == DataType::Null => States::of(Nothing { data_type: data_type.clone() }),
        F::Sum => add_up(Give::Sum, of, data_type)?,
        F::Average => add_up(Give::Average, of, data_type)?,
        F::VariancePopulation => spread(false, false, of),
        F::VarianceSample => spread(true, false, of),
        F::DeviationPopulation => spread(false, true, of),
        F::DeviationSample => spread(true, true, of),
        F::Min => extreme(false, of)?,
        F::Max => extreme(true, of)?,
        F::First => States::of(Positional::new(false, of)?),
        F::Last => States::of(Positional::new(true, of)?),
        F::And => States::of(Logical { decisive: false }),
        F::Or => States::of(Logical { decisive: true }),
        F::ApproximateQuantile(part) => States::of(Quantile { part, argument: of.clone() }),
        F::Top(limit) => States::of(Top::new(limit, of)?),
    })
}

fn spread(of_sample: bool, root: bool, of: &DataType) -> Box<dyn Accumulator> {
    States::of(Spread { of_sample, root, argument: of.clone() })
}

fn add_up(
    give: Give,
    of: &DataType,
    result: &DataType,
) -> Result<Box<dyn Accumulator>, EvaluateError> {
    let data_type = result.clone();
    match of {
        DataType::Decimal128(_, scale) => {
            Ok(States::of(Decimals { give, scale: *scale, data_type }))
        }
        DataType::Float32 | DataType::Float64 => Ok(States::of(Floats { give })),
        other if is_integral(other) => Ok(States::of(Integers { give, data_type })),
        other => Err(EvaluateError::Unknown(format!("a sum of {other}"))),
    }
}

fn extreme(greatest: bool, of: &DataType) -> Result<Box<dyn Accumulator>, ArrowError> {
    macro_rules! fixed_width {
        ($($pattern:pat => $primitive:ty,)*) => {
            match of {
                $($pattern => States::of(Extreme::<$primitive>::new(greatest, of)),)*
                _ => States::of(ExtremeOfAny::new(greatest, of)?),
            }
        };
    }
    use DataType::{Duration, Timestamp};
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    Ok(fixed_width! {
        DataType::Int8 => Int8Type,
        DataType::Int16 => Int16Type,
        DataType::Int32 => Int32Type,
        DataType::Int64 => Int64Type,
        DataType::UInt8 => UInt8Type,
        DataType::UInt16 => UInt16Type,
        DataType::UInt32 => UInt32Type,
        DataType::UInt64 => UInt64Type,
        DataType::Float32 => Float32Type,
        DataType::Float64 => Float64Type,
        DataType::Decimal128(..) => Decimal128Type,
        DataType::Date32 => Date32Type,
        Timestamp(Second, _) => TimestampSecondType,
        Timestamp(Millisecond, _) => TimestampMillisecondType,
        Timestamp(Microsecond, _) => TimestampMicrosecondType,
        Timestamp(Nanosecond, _) => TimestampNanosecondType,
        Duration(Second) => DurationSecondType,
        Duration(Millisecond) => DurationMillisecondType,
        Duration(Microsecond) => DurationMicrosecondType,
        Duration(Nanosecond) => DurationNanosecondType,
    })
}
