//! Functions of timestamps, all in UTC.

use super::Parameter::{Integer, Part, Text, Timestamp, Unit};
use super::{Nulls, Returns, ScalarFunction};

const fn part(name: &'static str, about: &'static str) -> ScalarFunction {
    ScalarFunction::new(name, &[Timestamp], Returns::Integer, about)
}

pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    ScalarFunction::new(
        "date_trunc",
        &[Unit, Timestamp],
        Returns::Argument(1),
        "The beginning of the unit that a moment lies in; weeks begin on Mondays.",
    ),
    ScalarFunction::new(
        "date_part",
        &[Part, Timestamp],
        Returns::Integer,
        "The number of the unit that a moment lies in; of `epoch`, whole seconds since 1970, of `millisecond`, those of the minute.",
    ),
    part("year", "The year."),
    part("quarter", "The quarter of the year, from 1."),
    part("month", "The month of the year, from 1."),
    part("week", "The week of the year by ISO 8601."),
    part("day", "The day of the month, from 1."),
    part("day_of_week", "The day of the week by ISO 8601: 1 is Monday."),
    part("day_of_year", "The day of the year, from 1."),
    part("hour", "The hour of the day."),
    part("minute", "The minute of the hour."),
    part("second", "The second of the minute."),
    part("epoch_millis", "Milliseconds since 1970."),
    ScalarFunction::new("to_date", &[Timestamp], Returns::Date, "The day that a moment lies in."),
    ScalarFunction::new(
        "to_timestamp_millis",
        &[Integer],
        Returns::TimestampMillis,
        "The moment so many milliseconds after 1970.",
    ),
    ScalarFunction::new(
        "parse_timestamp",
        &[Text],
        Returns::TimestampMillis,
        "The moment that a text in the form of RFC 3339 names; null if it is none.",
    )
    .nulls(Nulls::Own),
    ScalarFunction::new(
        "format_timestamp",
        &[Timestamp],
        Returns::Text,
        "The moment in the form of RFC 3339, with milliseconds.",
    ),
];
