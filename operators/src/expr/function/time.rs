//! Functions of times, in UTC.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{Array, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime};

use super::Compute::Plain;
use super::{Call, Computed, Entry};
use crate::expr::EvaluateError;
use crate::expr::calendar::{OUTSIDE, date_time, moment, per_second};
use crate::expr::cast::{cast, moments_to_text};
use crate::expr::column::{Column, retype};
use crate::expr::failed::Reason;
use crate::expr::rows::{Row, primitives, some};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("date_trunc", Plain(date_trunc)),
    ("date_part", Plain(date_part)),
    ("year", Plain(|call| part(call, year))),
    ("quarter", Plain(|call| part(call, quarter))),
    ("month", Plain(|call| part(call, month))),
    ("week", Plain(|call| part(call, week))),
    ("day", Plain(|call| part(call, day))),
    (
        "day_of_week",
        Plain(|call| part(call, |t, u| Ok(date(t, u)?.weekday().number_from_monday().into()))),
    ),
    ("day_of_year", Plain(|call| part(call, |t, u| Ok(date(t, u)?.ordinal().into())))),
    ("hour", Plain(|call| part(call, |t, u| Ok(of_day(t, u, 3_600, 24))))),
    ("minute", Plain(|call| part(call, |t, u| Ok(of_day(t, u, 60, 60))))),
    ("second", Plain(|call| part(call, |t, u| Ok(of_day(t, u, 1, 60))))),
    ("epoch_millis", Plain(|call| part(call, epoch_millis))),
    ("to_date", Plain(|call| cast(call.arguments[0].array(), &DataType::Date32, call.failed))),
    ("to_timestamp_millis", Plain(|call| Ok(retype(call.arguments[0].array(), call.result)?))),
    ("parse_timestamp", Plain(parse_timestamp)),
    ("format_timestamp", Plain(format_timestamp)),
];

/// A number of a moment.
type Part = fn(i64, TimeUnit) -> Result<i64, Reason>;

fn date(time: i64, unit: TimeUnit) -> Result<NaiveDate, Reason> {
    date_time(time, unit).map(|time| time.date())
}

fn year(time: i64, unit: TimeUnit) -> Result<i64, Reason> {
    Ok(date(time, unit)?.year().into())
}

fn quarter(time: i64, unit: TimeUnit) -> Result<i64, Reason> {
    Ok((date(time, unit)?.month0() / 3 + 1).into())
}

fn month(time: i64, unit: TimeUnit) -> Result<i64, Reason> {
    Ok(date(time, unit)?.month().into())
}

fn week(time: i64, unit: TimeUnit) -> Result<i64, Reason> {
    Ok(date(time, unit)?.iso_week().week().into())
}

fn day(time: i64, unit: TimeUnit) -> Result<i64, Reason> {
    Ok(date(time, unit)?.day().into())
}

/// Which unit of so many seconds it is, of `count` after which they begin again.
fn of_day(time: i64, unit: TimeUnit, seconds: i64, count: i64) -> i64 {
    time.div_euclid(per_second(unit)).div_euclid(seconds).rem_euclid(count)
}

fn epoch_millis(time: i64, unit: TimeUnit) -> Result<i64, Reason> {
    match per_second(unit) {
        1 => time.checked_mul(1000).ok_or(OUTSIDE),
        per_second => Ok(time.div_euclid(per_second / 1000)),
    }
}

/// Milliseconds of the minute, as in PostgreSQL and DuckDB.
fn millisecond(time: i64, unit: TimeUnit) -> Result<i64, Reason> {
    let per_second = per_second(unit);
    Ok(time.rem_euclid(per_second * 60) * 1000 / per_second)
}

/// The moments of an argument as integers, and their unit.
fn moments(column: &Column) -> Result<(Column, TimeUnit), EvaluateError> {
    match column.array().data_type() {
        DataType::Timestamp(unit, _) => {
            let words = retype(column.array(), &DataType::Int64)?;
            Ok((column.clone().map(words), *unit))
        }
        other => Err(EvaluateError::Unknown(format!("a part of {other}"))),
    }
}

fn part(call: &mut Call<'_>, part: Part) -> Computed {
    of_moments(call, 0, part)
}

fn of_moments(call: &mut Call<'_>, argument: usize, of: Part) -> Computed {
    let (times, unit) = moments(&call.arguments[argument])?;
    let times = times.integers();
    Ok(Arc::new(primitives::<Int64Type>(call.rows, call.failed, |row| {
        of(some!(times.get(row)), unit).map(Some)
    })))
}

/// The constant that names a unit; the plan has looked at it.
fn unit_name(call: &Call<'_>) -> String {
    call.arguments[0].texts().get(0).unwrap_or_default().to_lowercase()
}

fn date_part(call: &mut Call<'_>) -> Computed {
    let part: Part = match &*unit_name(call) {
        "millisecond" => millisecond,
        "second" => |time, unit| Ok(of_day(time, unit, 1, 60)),
        "minute" => |time, unit| Ok(of_day(time, unit, 60, 60)),
        "hour" => |time, unit| Ok(of_day(time, unit, 3_600, 24)),
        "day" => day,
        "week" => week,
        "month" => month,
        "quarter" => quarter,
        "year" => year,
        "epoch" => |time, unit| Ok(time.div_euclid(per_second(unit))),
        other => return Err(EvaluateError::Unknown(format!("the unit `{other}`"))),
    };
    of_moments(call, 1, part)
}

fn date_trunc(call: &mut Call<'_>) -> Computed {
    let truncate: Part = match &*unit_name(call) {
        "millisecond" => |time, unit| match per_second(unit) {
            1 => Ok(time),
            per_second => whole(time, per_second / 1000, 0),
        },
        "second" => |time, unit| whole(time, per_second(unit), 0),
        "minute" => |time, unit| whole(time, per_second(unit) * 60, 0),
        "hour" => |time, unit| whole(time, per_second(unit) * 3_600, 0),
        "day" => |time, unit| whole(time, per_second(unit) * 86_400, 0),
        // 1970 began on a Thursday, three days after a Monday.
        "week" => |time, unit| {
            let day = per_second(unit) * 86_400;
            whole(time, day * 7, day * 3)
        },
        "month" => |time, unit| first_of_month(time, unit, |month| month),
        "quarter" => |time, unit| first_of_month(time, unit, |month| month / 3 * 3),
        "year" => |time, unit| first_of_month(time, unit, |_| 0),
        other => return Err(EvaluateError::Unknown(format!("the unit `{other}`"))),
    };
    let column = of_moments(call, 1, truncate)?;
    Ok(retype(&column, call.result)?)
}

/// The last multiple of `length` up to a time, counted from `before` ahead of 1970.
fn whole(time: i64, length: i64, before: i64) -> Result<i64, Reason> {
    let into = (i128::from(time) + i128::from(before)).rem_euclid(i128::from(length));
    i64::try_from(i128::from(time) - into).map_err(|_| OUTSIDE)
}

/// The beginning of a month of the year that a time lies in; months are counted from 0.
fn first_of_month(time: i64, unit: TimeUnit, which: fn(u32) -> u32) -> Result<i64, Reason> {
    let date = date(time, unit)?;
    let first = NaiveDate::from_ymd_opt(date.year(), which(date.month0()) + 1, 1).ok_or(OUTSIDE)?;
    moment(NaiveDateTime::new(first, NaiveTime::MIN), unit)
}

fn parse_timestamp(call: &mut Call<'_>) -> Computed {
    let text = call.arguments[0].texts();
    let moments: PrimitiveArray<Int64Type> =
        primitives(call.rows, call.failed, |row| -> Row<i64> {
            let time = DateTime::parse_from_rfc3339(some!(text.get(row)));
            Ok(time.ok().map(|time| time.timestamp_millis()))
        });
    Ok(retype(&moments, call.result)?)
}

fn format_timestamp(call: &mut Call<'_>) -> Computed {
    match call.arguments[0].array().data_type() {
        DataType::Timestamp(unit, _) => {
            let unit = *unit;
            moments_to_text(call.arguments[0].array(), unit, TimeUnit::Millisecond, call.failed)
        }
        other => Err(EvaluateError::Unknown(format!("a time of {other}"))),
    }
}
