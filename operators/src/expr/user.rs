//! Functions that a program brings.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, new_empty_array, new_null_array};
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use strandline_plan::expr::UserFunction;

use super::EvaluateError;
use super::failed::Failed;
use super::room::{Room, extent};

type Closure = dyn Fn(&[ArrayRef]) -> Result<ArrayRef, ArrowError> + Send + Sync;

/// What travels in a [`UserFunction`].
struct Opaque(Box<Closure>);

/// A function of this name, from columns to a column, for use in expressions.
///
/// It is given a column for each parameter, all of one length and of the types named here, and gives
/// one of that length and of `result`. The same arguments have to give the same result, always. It is
/// called for the rows that need it; if all its arguments are constants, or it has none, then once for
/// a batch, for one row. If it refuses some rows, it is called again for each of them alone, and those
/// that it still refuses fail, with its message as the reason.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{ArrayRef, Float64Array, cast::AsArray, types::Float64Type};
/// use arrow_schema::DataType;
/// use strandline_operators::expr::function;
/// use strandline_plan::expr::col;
///
/// let fahrenheit = function("fahrenheit", [DataType::Float64], DataType::Float64, |columns| {
///     let celsius = columns[0].as_primitive::<Float64Type>();
///     let converted: Float64Array = celsius.unary(|celsius| celsius * 1.8 + 32.0);
///     Ok(Arc::new(converted) as ArrayRef)
/// });
/// let expr = fahrenheit.call([col("temperature")]);
/// assert_eq!(expr.to_string(), "fahrenheit(temperature)");
/// ```
pub fn function(
    name: impl Into<Arc<str>>,
    parameters: impl Into<Arc<[DataType]>>,
    result: DataType,
    compute: impl Fn(&[ArrayRef]) -> Result<ArrayRef, ArrowError> + Send + Sync + 'static,
) -> UserFunction {
    UserFunction::new(name, parameters, result, Arc::new(Opaque(Box::new(compute))))
}

/// A function of the program that can be called.
pub(super) struct Implementation(UserFunction);

impl Implementation {
    pub(super) fn of(function: &UserFunction) -> Result<Self, EvaluateError> {
        let this = Self(function.clone());
        match this.closure() {
            Some(_) => Ok(this),
            None => Err(this.wrong("was not made by `operators::expr::function`")),
        }
    }

    fn closure(&self) -> Option<&Closure> {
        self.0.implementation().downcast_ref::<Opaque>().map(|opaque| &*opaque.0)
    }

    pub(super) fn call(
        &self,
        arguments: &[ArrayRef],
        rows: usize,
        failed: &mut Failed,
    ) -> Result<ArrayRef, EvaluateError> {
        let Some(closure) = self.closure() else { unreachable!("looked at when it was made") };
        if rows == 0 {
            return Ok(new_empty_array(self.0.result()));
        }
        if let Ok(column) = closure(arguments) {
            return self.checked(column, rows);
        }
        let (mut columns, mut room) = (Vec::with_capacity(rows), Room::new());
        for row in 0..rows {
            let alone: Vec<_> = arguments.iter().map(|column| column.slice(row, 1)).collect();
            columns.push(match closure(&alone) {
                Ok(column) => match self.checked(column, 1)? {
                    column if room.takes(extent(&column, 0), row, failed) => column,
                    _ => new_null_array(self.0.result(), 1),
                },
                Err(error) => {
                    failed.add(row, format!("{}: {error}", self.0.name()));
                    new_null_array(self.0.result(), 1)
                }
            });
        }
        let columns: Vec<&dyn Array> = columns.iter().map(|column| &**column).collect();
        Ok(concat(&columns)?)
    }

    fn checked(&self, column: ArrayRef, rows: usize) -> Result<ArrayRef, EvaluateError> {
        let (found, wanted) = (column.data_type(), self.0.result());
        if found != wanted {
            return Err(self.wrong(&format!("gave a column of {found} instead of {wanted}")));
        }
        if column.len() != rows {
            return Err(self.wrong(&format!("gave {} values for {rows} rows", column.len())));
        }
        Ok(column)
    }

    fn wrong(&self, problem: &str) -> EvaluateError {
        EvaluateError::User { name: self.0.name().into(), problem: problem.into() }
    }
}
