//! What is computed from the rows of a window.
//!
//! Every aggregate is exact or does not depend on the order of rows, so that a window's result is the
//! same for any number of workers and after any restart. Choices that values leave open are decided
//! by where rows come from.

use std::fmt;

use arrow_schema::{DataType, Field, Schema};

use crate::error::Problem;
use crate::expr::{Expr, TypedExpr};
use crate::types::{self, DECIMAL_DIGITS_MAX};

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum AggregateFunction {
    /// How many rows there are; how many have the argument, if there is one.
    Count,
    /// How many different values there are, exactly: all of them are kept.
    CountDistinct,
    /// How many different values there are, to about two percent (HyperLogLog).
    ApproximateDistinct,
    /// The sum; exact, of floats too.
    Sum,
    /// The sum divided by how many there are.
    Average,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The variance of all values.
    VariancePopulation,
    /// The variance estimated from a sample.
    VarianceSample,
    /// The square root of the variance of all values.
    DeviationPopulation,
    /// The square root of the variance estimated from a sample.
    DeviationSample,
    /// The value of the first row by event time.
    First,
    /// The value of the last row by event time.
    Last,
    /// Whether all are true.
    And,
    /// Whether any is true.
    Or,
    /// The value below which this part of the values lies, to one percent of the value (DDSketch).
    ApproximateQuantile(f64),
    /// The greatest values, the greatest first.
    Top(u32),
}

/// Greatest number of values that [`AggregateFunction::Top`] keeps.
pub const TOP_MAX: u32 = 10_000;

/// An aggregate with its argument and the rows that it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// What is computed.
    pub function: AggregateFunction,
    /// Of what; rows where it is null do not contribute.
    pub argument: Option<Expr>,
    /// Only of rows for which this is true.
    pub filter: Option<Expr>,
}

/// An aggregate whose argument's type is known.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedAggregate {
    /// What is computed.
    pub function: AggregateFunction,
    /// Of what.
    pub argument: Option<TypedExpr>,
    /// Of which rows.
    pub filter: Option<TypedExpr>,
    /// The type of the result.
    pub data_type: DataType,
    /// Whether it may be null: where nothing contributed, or where it does not fit its type.
    pub nullable: bool,
}

impl Aggregate {
    fn of(function: AggregateFunction, argument: Expr) -> Self {
        Self { function, argument: Some(argument), filter: None }
    }

    /// The same, only of rows for which a condition is true.
    #[must_use]
    pub fn filter(mut self, condition: Expr) -> Self {
        self.filter = Some(match self.filter {
            Some(before) => before.and(condition),
            None => condition,
        });
        self
    }

    /// This aggregate as a column of this name.
    pub fn named(self, name: impl Into<String>) -> NamedAggregate {
        NamedAggregate { name: name.into(), aggregate: self }
    }

    /// Gives the argument and the result their types.
    ///
    /// # Errors
    ///
    /// If the argument or the filter cannot be evaluated over these columns, or the function does
    /// not take the argument.
    pub fn bind(&self, schema: &Schema) -> Result<TypedAggregate, Problem> {
        let argument = self.argument.as_ref().map(|argument| argument.bind(schema)).transpose()?;
        let filter =
            self.filter.as_ref().map(|filter| filter.bind_condition(schema)).transpose()?;
        let given = argument.as_ref().map(|argument| &argument.data_type);
        let data_type = self.function.result(given).map_err(|wanted| {
            let found = given.map_or_else(|| "nothing".into(), types::name);
            Problem::new(format!(
                "`{self}`: {} takes {wanted}, and is given {found}",
                self.function
            ))
        })?;
        let nullable = !matches!(
            self.function,
            AggregateFunction::Count
                | AggregateFunction::CountDistinct
                | AggregateFunction::ApproximateDistinct
        );
        Ok(TypedAggregate {
            function: self.function.clone(),
            argument,
            filter,
            data_type,
            nullable,
        })
    }
}

impl AggregateFunction {
    /// The type of the result for an argument of a type, or what would be taken.
    fn result(&self, given: Option<&DataType>) -> Result<DataType, String> {
        let of = |wanted: &str| given.ok_or_else(|| wanted.to_owned());
        match self {
            Self::Count => Ok(DataType::Int64),
            Self::CountDistinct | Self::ApproximateDistinct => {
                let wanted = "values that have an equality";
                of(wanted)?;
                given
                    .is_some_and(types::is_comparable)
                    .then_some(DataType::Int64)
                    .ok_or_else(|| wanted.into())
            }
            Self::Sum => match of("numbers")? {
                DataType::Decimal128(_, scale) => {
                    Ok(DataType::Decimal128(DECIMAL_DIGITS_MAX, *scale))
                }
                DataType::Duration(unit) => Ok(DataType::Duration(*unit)),
                given if given.is_unsigned_integer() => Ok(DataType::UInt64),
                given if given.is_integer() => Ok(DataType::Int64),
                given if given.is_floating() => Ok(DataType::Float64),
                _ => Err("numbers".into()),
            },
            Self::Average => match of("numbers")? {
                DataType::Decimal128(_, scale) => {
                    Ok(DataType::Decimal128(DECIMAL_DIGITS_MAX, (*scale).max(6)))
                }
                DataType::Duration(unit) => Ok(DataType::Duration(*unit)),
                given if given.is_numeric() => Ok(DataType::Float64),
                _ => Err("numbers".into()),
            },
            Self::VariancePopulation
            | Self::VarianceSample
            | Self::DeviationPopulation
            | Self::DeviationSample
            | Self::ApproximateQuantile(_) => {
                if let Self::ApproximateQuantile(part) = self
                    && !(0.0..=1.0).contains(part)
                {
                    return Err(format!("a part from 0 to 1 (not {part}) of numbers"));
                }
                let given = of("numbers")?;
                given.is_numeric().then_some(DataType::Float64).ok_or_else(|| "numbers".into())
            }
            Self::Min | Self::Max => {
                let wanted = "values that have an order";
                let given = of(wanted)?;
                types::is_comparable(given).then(|| given.clone()).ok_or_else(|| wanted.into())
            }
            Self::First | Self::Last => Ok(of("a value")?.clone()),
            Self::And | Self::Or => match of("a BOOLEAN")? {
                DataType::Boolean | DataType::Null => Ok(DataType::Boolean),
                _ => Err("a BOOLEAN".into()),
            },
            Self::Top(count) => {
                let wanted = "values that have an order";
                if !(1..=TOP_MAX).contains(count) {
                    return Err(format!("1 to {TOP_MAX} (not {count}) of {wanted}"));
                }
                let given = of(wanted)?;
                if !types::is_comparable(given) {
                    return Err(wanted.into());
                }
                Ok(DataType::List(Field::new_list_field(given.clone(), true).into()))
            }
        }
    }
}

macro_rules! of_an_argument {
    ($($name:ident $variant:ident $about:literal)*) => {$(
        #[doc = $about]
        pub fn $name(argument: Expr) -> Aggregate {
            Aggregate::of(AggregateFunction::$variant, argument)
        }
    )*};
}

/// How many rows there are.
pub fn count() -> Aggregate {
    Aggregate { function: AggregateFunction::Count, argument: None, filter: None }
}

of_an_argument! {
    count_of Count "How many rows have this value."
    count_distinct CountDistinct "How many different values there are, exactly: all of them are kept."
    approximate_distinct ApproximateDistinct "How many different values there are, to about two percent."
    sum Sum "The sum, exact. Null where nothing contributed, and where it does not fit."
    avg Average "The average. Null where nothing contributed."
    min Min "The least value."
    max Max "The greatest value."
    var_pop VariancePopulation "The variance of all values."
    var_samp VarianceSample "The variance estimated from a sample; null of a single value."
    stddev_pop DeviationPopulation "The standard deviation of all values."
    stddev_samp DeviationSample "The standard deviation estimated from a sample; null of a single value."
    first First "The value of the first row by event time."
    last Last "The value of the last row by event time."
    bool_and And "Whether all are true."
    bool_or Or "Whether any is true."
}

/// The value below which this part (0 to 1) of the values lies, to one percent of the value.
pub fn approximate_quantile(part: f64, argument: Expr) -> Aggregate {
    Aggregate::of(AggregateFunction::ApproximateQuantile(part), argument)
}

/// The greatest values, the greatest first.
pub fn top(count: u32, argument: Expr) -> Aggregate {
    Aggregate::of(AggregateFunction::Top(count), argument)
}

impl fmt::Display for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::CountDistinct => "count_distinct",
            Self::ApproximateDistinct => "approximate_distinct",
            Self::Sum => "sum",
            Self::Average => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::VariancePopulation => "var_pop",
            Self::VarianceSample => "var_samp",
            Self::DeviationPopulation => "stddev_pop",
            Self::DeviationSample => "stddev_samp",
            Self::First => "first",
            Self::Last => "last",
            Self::And => "bool_and",
            Self::Or => "bool_or",
            Self::ApproximateQuantile(_) => "approximate_quantile",
            Self::Top(_) => "top",
        })
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function)?;
        match &self.function {
            AggregateFunction::ApproximateQuantile(part) => write!(f, "{part}, ")?,
            AggregateFunction::Top(count) => write!(f, "{count}, ")?,
            _ => {}
        }
        match &self.argument {
            Some(argument) => write!(f, "{argument})")?,
            None => f.write_str("*)")?,
        }
        match &self.filter {
            Some(filter) => write!(f, " FILTER (WHERE {filter})"),
            None => Ok(()),
        }
    }
}

/// An aggregate with the name of the column that it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedAggregate {
    /// The name of the column.
    pub name: String,
    /// What it holds.
    pub aggregate: Aggregate,
}

impl From<Aggregate> for NamedAggregate {
    /// Without a name of its own, it is called by its function and its argument: `avg_temperature`.
    fn from(aggregate: Aggregate) -> Self {
        let name = match &aggregate.argument {
            None => aggregate.function.to_string(),
            Some(Expr::Column(column)) => format!("{}_{column}", aggregate.function),
            Some(_) => aggregate.to_string(),
        };
        Self { name, aggregate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{col, lit};

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("n", DataType::Int32, true),
            Field::new("u", DataType::UInt8, true),
            Field::new("x", DataType::Float32, true),
            Field::new("price", DataType::Decimal128(10, 2), true),
            Field::new("city", DataType::Utf8, false),
        ])
    }

    fn result(aggregate: Aggregate) -> DataType {
        aggregate.bind(&schema()).unwrap().data_type
    }

    #[test]
    fn a_sum_is_wider_than_what_is_added() {
        assert_eq!(result(sum(col("n"))), DataType::Int64);
        assert_eq!(result(sum(col("u"))), DataType::UInt64);
        assert_eq!(result(sum(col("x"))), DataType::Float64);
        assert_eq!(result(sum(col("price"))), DataType::Decimal128(38, 2));
        assert_eq!(result(avg(col("price"))), DataType::Decimal128(38, 6));
        assert_eq!(result(avg(col("n"))), DataType::Float64);
    }

    #[test]
    fn only_counts_are_never_null() {
        assert!(!count().bind(&schema()).unwrap().nullable);
        assert!(sum(col("n")).bind(&schema()).unwrap().nullable);
        assert!(max(col("city")).bind(&schema()).unwrap().nullable);
    }

    #[test]
    fn what_a_function_does_not_take_is_refused() {
        let refused = |aggregate: Aggregate| aggregate.bind(&schema()).unwrap_err().to_string();
        assert_eq!(refused(sum(col("city"))), "`sum(city)`: sum takes numbers, and is given TEXT");
        assert!(refused(bool_and(col("n"))).contains("takes a BOOLEAN, and is given INT"));
        assert!(
            refused(approximate_quantile(1.5, col("n"))).contains("a part from 0 to 1 (not 1.5)")
        );
        assert!(refused(top(0, col("n"))).contains("1 to 10000 (not 0)"));
        assert!(refused(sum(col("m"))).contains("there is no column `m`"));
        assert!(refused(sum(col("n")).filter(col("n"))).contains("a condition is a BOOLEAN"));
    }

    #[test]
    fn an_aggregate_is_named_after_what_it_is() {
        assert_eq!(NamedAggregate::from(avg(col("x"))).name, "avg_x");
        assert_eq!(NamedAggregate::from(count()).name, "count");
        let late = count().filter(col("n").gt(lit(3)));
        assert_eq!(late.to_string(), "count(*) FILTER (WHERE n > 3)");
    }
}
