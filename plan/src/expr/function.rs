//! Scalar functions: their names, what they take and give. How they are computed is elsewhere
//! (`operators`, `expr/function`), under the same names; a test holds the two together.
//!
//! A function gives the same for the same arguments, always: there is no `random()`, and the time
//! of day is not one of them. Unless it says otherwise, it is null where an argument is null.

mod number;
mod other;
mod text;
mod time;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};

use crate::literal::Literal;
use crate::suggest::nearest;
use crate::types::{self, can_cast, is_comparable};

/// A function of the library.
#[derive(Debug)]
pub struct ScalarFunction {
    /// Its name, in lower case.
    pub name: &'static str,
    /// What it takes.
    pub parameters: &'static [Parameter],
    /// How many parameters may be left out, from the end.
    pub optional: usize,
    /// Whether the last parameter may be given any number of times (at least once).
    pub variadic: bool,
    /// What it gives.
    pub returns: Returns,
    /// Where it gives null.
    pub nulls: Nulls,
    /// What it does, in one sentence.
    pub about: &'static str,
}

/// What a parameter takes; arguments are cast to it where nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// True or false.
    Boolean,
    /// Any number, in its own type.
    Number,
    /// Any number, turned into a float of 64 bits.
    Float,
    /// An integer, turned into one of 64 bits.
    Integer,
    /// Text.
    Text,
    /// Text or bytes, in its own type.
    TextOrBytes,
    /// A timestamp, in its own unit; a date becomes one.
    Timestamp,
    /// A list.
    List,
    /// What the first parameter's list holds.
    Item,
    /// A list of what can be turned into text; it becomes a list of texts.
    Texts,
    /// Anything; all such parameters of a call have one type in common.
    Alike,
    /// Anything that has an order; all such parameters of a call have one type in common.
    Ordered,
    /// A unit of time as a constant: `'hour'`.
    Unit,
    /// A unit of time, or `'epoch'`, as a constant.
    Part,
}

/// The type of what a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// True or false.
    Boolean,
    /// An integer of 64 bits.
    Integer,
    /// A float of 64 bits.
    Float,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A date.
    Date,
    /// A timestamp in milliseconds.
    TimestampMillis,
    /// The type of the argument at this index (after casts).
    Argument(usize),
    /// The type of the first argument; of a decimal, one with room for a digit more before the point.
    Rounded,
    /// What the list at index 0 holds.
    Item,
    /// A list of texts.
    Texts,
}

/// Where a function gives null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Where an argument is null, and nowhere else.
    OfArguments,
    /// Also for arguments that are not null.
    Own,
    /// Where all arguments are null.
    OfAllArguments,
}

/// Units that [`Parameter::Unit`] takes.
pub const UNITS: [&str; 9] =
    ["millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"];

/// What [`Parameter::Part`] takes beside [`UNITS`]: all seconds since 1970.
pub const EPOCH: &str = "epoch";

impl ScalarFunction {
    const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        returns: Returns,
        about: &'static str,
    ) -> Self {
        let nulls = Nulls::OfArguments;
        Self { name, parameters, optional: 0, variadic: false, returns, nulls, about }
    }

    const fn optional(mut self, optional: usize) -> Self {
        self.optional = optional;
        self
    }

    const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    const fn nulls(mut self, nulls: Nulls) -> Self {
        self.nulls = nulls;
        self
    }

    /// All functions, by subject.
    pub fn all() -> impl Iterator<Item = &'static ScalarFunction> {
        [text::FUNCTIONS, number::FUNCTIONS, time::FUNCTIONS, other::FUNCTIONS]
            .into_iter()
            .flatten()
    }

    /// The function of this name; case is ignored.
    ///
    /// # Errors
    ///
    /// If there is none: what is called nearly so, and what there is.
    pub fn find(name: &str) -> Result<&'static ScalarFunction, String> {
        let lower = name.to_lowercase();
        Self::all().find(|function| function.name == lower).ok_or_else(|| {
            let names = Self::all().map(|function| function.name);
            let hint = nearest(&lower, names).map(|near| format!("; did you mean `{near}`?"));
            format!("there is no function `{name}`{}", hint.unwrap_or_default())
        })
    }

    /// How it is called: `substring(text, integer [, integer])`.
    pub fn signature(&self) -> String {
        let mut text = format!("{}(", self.name);
        let needed = self.parameters.len() - self.optional;
        for (i, parameter) in self.parameters.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let (open, close) = if i < needed { ("", "") } else { (" [", "]") };
            text +=
                &format!("{open}{}{parameter}{close}", if open.is_empty() { comma } else { ", " });
        }
        if self.variadic {
            text += ", …";
        }
        text + ")"
    }

    /// The types that arguments of these types are cast to, and the type of the result.
    pub(crate) fn resolve(
        &self,
        given: &[(DataType, Option<&Literal>)],
    ) -> Result<(Vec<DataType>, DataType), String> {
        let most = if self.variadic { usize::MAX } else { self.parameters.len() };
        if given.len() < self.parameters.len() - self.optional || given.len() > most {
            let arguments = if given.len() == 1 { "argument" } else { "arguments" };
            return Err(format!("{} {arguments} given to {}", given.len(), self.signature()));
        }
        let parameter = |i: usize| self.parameters[i.min(self.parameters.len() - 1)];
        let mut alike = DataType::Null;
        for (i, (data_type, _)) in given.iter().enumerate() {
            if matches!(parameter(i), Parameter::Alike | Parameter::Ordered) {
                alike = types::common(&alike, data_type).ok_or_else(|| {
                    let (one, other) = (types::name(&alike), types::name(data_type));
                    format!("{} takes values of one type, not {one} and {other}", self.name)
                })?;
            }
        }
        let item = match given.first() {
            Some((DataType::List(item), _)) => item.data_type().clone(),
            _ => DataType::Null,
        };
        let mut casts = Vec::new();
        for (i, (data_type, constant)) in given.iter().enumerate() {
            let cast = match parameter(i) {
                Parameter::Alike => Some(alike.clone()),
                Parameter::Ordered => is_comparable(&alike).then(|| alike.clone()),
                Parameter::Item => {
                    let fits = types::common(&item, data_type).as_ref() == Some(&item);
                    (fits && is_comparable(&item)).then(|| item.clone())
                }
                Parameter::Unit => unit(*constant, &[]).map(|()| Some(DataType::Utf8))?,
                Parameter::Part => unit(*constant, &[EPOCH]).map(|()| Some(DataType::Utf8))?,
                other => other.accept(data_type),
            };
            casts.push(cast.ok_or_else(|| {
                let (n, found) = (i + 1, types::name(data_type));
                format!("argument {n} is {found}, and {} takes another type", self.signature())
            })?);
        }
        let result = match self.returns {
            Returns::Boolean => DataType::Boolean,
            Returns::Integer => DataType::Int64,
            Returns::Float => DataType::Float64,
            Returns::Text => DataType::Utf8,
            Returns::Bytes => DataType::Binary,
            Returns::Date => DataType::Date32,
            Returns::TimestampMillis => types::timestamp(TimeUnit::Millisecond),
            Returns::Argument(index) => casts[index].clone(),
            Returns::Rounded => match casts[0] {
                DataType::Decimal128(digits, scale) => {
                    DataType::Decimal128((digits + 1).min(types::DECIMAL_DIGITS_MAX), scale)
                }
                ref other => other.clone(),
            },
            Returns::Item => item,
            Returns::Texts => texts(),
        };
        Ok((casts, result))
    }
}

/// Whether a constant names a unit or one of `others`; an error says which there are.
fn unit(constant: Option<&Literal>, others: &[&str]) -> Result<(), String> {
    let units: Vec<&str> = UNITS.iter().chain(others).copied().collect();
    let there_are = units.join(", ");
    match constant {
        Some(Literal::Text(name)) if units.contains(&&*name.to_lowercase()) => Ok(()),
        Some(Literal::Text(name)) => {
            Err(format!("`{name}` is no unit of time; there are {there_are}"))
        }
        _ => Err(format!("the unit has to be a constant text: {there_are}")),
    }
}

fn texts() -> DataType {
    DataType::List(Arc::new(arrow_schema::Field::new_list_field(DataType::Utf8, true)))
}

impl Parameter {
    /// The type that an argument is cast to; None where it cannot be.
    fn accept(self, given: &DataType) -> Option<DataType> {
        let is =
            |wanted: DataType| (*given == wanted || *given == DataType::Null).then_some(wanted);
        match self {
            Self::Boolean => is(DataType::Boolean),
            Self::Text => is(DataType::Utf8),
            Self::Number if *given == DataType::Null => Some(DataType::Float64),
            Self::Number => given.is_numeric().then(|| given.clone()),
            Self::Float => {
                (given.is_numeric() || *given == DataType::Null).then_some(DataType::Float64)
            }
            // One of 64 bits without a sign may not fit; that is then an error of the row.
            Self::Integer => {
                (given.is_integer() || *given == DataType::Null).then_some(DataType::Int64)
            }
            Self::TextOrBytes if *given == DataType::Null => Some(DataType::Utf8),
            Self::TextOrBytes => {
                matches!(given, DataType::Utf8 | DataType::Binary).then(|| given.clone())
            }
            Self::Timestamp => match given {
                DataType::Timestamp(..) => Some(given.clone()),
                DataType::Date32 | DataType::Null => Some(types::timestamp(TimeUnit::Millisecond)),
                _ => None,
            },
            Self::List => matches!(given, DataType::List(_)).then(|| given.clone()),
            Self::Texts => match given {
                DataType::List(item) => can_cast(item.data_type(), &DataType::Utf8).then(texts),
                _ => None,
            },
            Self::Item | Self::Alike | Self::Ordered | Self::Unit | Self::Part => None,
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Number | Self::Float => "number",
            Self::Integer => "integer",
            Self::Text => "text",
            Self::TextOrBytes => "text or bytes",
            Self::Timestamp => "timestamp",
            Self::List => "list",
            Self::Item => "item of the list",
            Self::Texts => "list of texts",
            Self::Alike | Self::Ordered => "value",
            Self::Unit | Self::Part => "unit",
        })
    }
}

/// A scalar function that a program brings along.
///
/// This is its description. What computes it travels with it, opaque here: `operators` makes both
/// from a closure over Arrow's arrays and knows its type.
#[derive(Clone)]
pub struct UserFunction {
    name: Arc<str>,
    parameters: Arc<[DataType]>,
    result: DataType,
    implementation: Arc<dyn Any + Send + Sync>,
}

impl UserFunction {
    /// A function of this name that takes values of `parameters` and gives one of `result`, or null.
    pub fn new(
        name: impl Into<Arc<str>>,
        parameters: impl Into<Arc<[DataType]>>,
        result: DataType,
        implementation: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self { name: name.into(), parameters: parameters.into(), result, implementation }
    }

    /// What it is called in explanations and messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The types of its arguments.
    pub fn parameters(&self) -> &[DataType] {
        &self.parameters
    }

    /// The type of what it gives.
    pub fn result(&self) -> &DataType {
        &self.result
    }

    /// What computes it.
    pub fn implementation(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.implementation
    }

    /// Its value for some arguments.
    pub fn call(&self, arguments: impl IntoIterator<Item = super::Expr>) -> super::Expr {
        super::Expr::User(self.clone(), arguments.into_iter().collect())
    }
}

impl fmt::Debug for UserFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserFunction({})", self.name)
    }
}

impl PartialEq for UserFunction {
    /// Two are the same if they are called so and take and give the same.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.parameters, &self.result)
            == (&other.name, &other.parameters, &other.result)
    }
}

impl PartialEq for ScalarFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_given_once() {
        let mut names: Vec<_> = ScalarFunction::all().map(|function| function.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count >= 60, "{count} functions");
    }

    #[test]
    fn a_signature_says_what_can_be_left_out() {
        let substring = ScalarFunction::find("SUBSTRING").unwrap();
        assert_eq!(substring.signature(), "substring(text, integer [, integer])");
        assert_eq!(ScalarFunction::find("concat").unwrap().signature(), "concat(text, …)");
    }

    #[test]
    fn an_unknown_function_gets_the_nearest_name() {
        let error = ScalarFunction::find("lowre").unwrap_err();
        assert_eq!(error, "there is no function `lowre`; did you mean `lower`?");
    }

    #[test]
    fn arguments_are_checked_against_the_signature() {
        let resolve = |name: &str, given: &[DataType]| {
            let given: Vec<_> = given.iter().map(|data_type| (data_type.clone(), None)).collect();
            ScalarFunction::find(name).unwrap().resolve(&given)
        };
        let (casts, result) = resolve("sqrt", &[DataType::Int32]).unwrap();
        assert_eq!((&casts[0], &result), (&DataType::Float64, &DataType::Float64));
        let (casts, result) = resolve("coalesce", &[DataType::Int32, DataType::Int64]).unwrap();
        assert_eq!((&casts[0], &result), (&DataType::Int64, &DataType::Int64));
        assert_eq!(
            resolve("lower", &[DataType::Int32]).unwrap_err(),
            "argument 1 is INT, and lower(text) takes another type"
        );
        assert_eq!(resolve("lower", &[]).unwrap_err(), "0 arguments given to lower(text)");
        assert_eq!(
            resolve("coalesce", &[DataType::Utf8, DataType::Int64]).unwrap_err(),
            "coalesce takes values of one type, not TEXT and BIGINT"
        );
    }

    #[test]
    fn a_unit_is_a_constant_that_there_is() {
        let trunc = ScalarFunction::find("date_trunc").unwrap();
        let ts = types::timestamp(TimeUnit::Microsecond);
        let with =
            |unit: &Literal| trunc.resolve(&[(DataType::Utf8, Some(unit)), (ts.clone(), None)]);
        assert_eq!(with(&"Hour".into()).unwrap().1, ts);
        assert!(with(&"fortnight".into()).unwrap_err().contains("`fortnight` is no unit of time"));
        let column = trunc.resolve(&[(DataType::Utf8, None), (ts.clone(), None)]);
        assert!(column.unwrap_err().contains("has to be a constant"));
        // An epoch has a number, but no beginning.
        assert!(with(&EPOCH.into()).unwrap_err().contains("`epoch` is no unit of time"));
        let part = ScalarFunction::find("date_part").unwrap();
        assert!(part.resolve(&[(DataType::Utf8, Some(&EPOCH.into())), (ts, None)]).is_ok());
    }

    #[test]
    fn what_has_no_order_is_neither_compared_nor_joined() {
        let lists = DataType::new_list(DataType::Int64, true);
        let resolve = |name: &str, given: &[&DataType]| {
            let given: Vec<_> = given.iter().map(|&data_type| (data_type.clone(), None)).collect();
            ScalarFunction::find(name).unwrap().resolve(&given)
        };
        for name in ["greatest", "least", "nullif"] {
            assert!(resolve(name, &[&lists, &lists]).is_err(), "{name}");
        }
        assert!(resolve("coalesce", &[&lists, &lists]).is_ok());
        let nested = DataType::new_list(lists.clone(), true);
        assert!(resolve("array_contains", &[&nested, &lists]).is_err());
        assert!(resolve("array_join", &[&nested, &DataType::Utf8]).is_err());
        assert_eq!(resolve("array_join", &[&lists, &DataType::Utf8]).unwrap().0[0], texts());
    }

    #[test]
    fn a_decimal_that_is_rounded_up_has_room_for_one_digit_more() {
        let all_behind = DataType::Decimal128(2, 2);
        let of = |name: &str, of: &DataType| {
            ScalarFunction::find(name).unwrap().resolve(&[(of.clone(), None)]).unwrap().1
        };
        assert_eq!(of("ceil", &all_behind), DataType::Decimal128(3, 2));
        assert_eq!(of("abs", &all_behind), all_behind);
        assert_eq!(of("ceil", &DataType::Decimal128(38, 2)), DataType::Decimal128(38, 2));
        assert_eq!(of("ceil", &DataType::Int8), DataType::Int8);
    }
}
