//! Expressions of a plan, evaluated over batches of columns.
//!
//! An [`Evaluator`] is made once of a bound expression: its constants are columns already and its
//! regular expressions compiled. It computes a column for each batch, by Arrow's kernels.
//!
//! # A row fails alone
//!
//! Where a value cannot be computed (an integer that overflows, a division by zero, a cast that does
//! not fit), that row fails and no other: its value is null, and [`Evaluated::failed`] says which row
//! and why. The kernels refuse a whole batch instead; then it is computed again, row by row. Nothing
//! else fails: floats follow IEEE 754, a function is null where it has no value, and `TRY_CAST` too.
//!
//! What is not needed does not fail. `CASE` computes a value only for rows that chose it, `coalesce`
//! only for rows that had none before, and `AND` and `OR` look at their right side only where the left
//! one does not decide. Where the *left* side cannot be computed, the row fails.
//!
//! # What operators mean
//!
//! * Integers are divided towards zero, and `%` has the sign of the dividend. A quotient of decimals
//!   is rounded to its scale, halves away from zero.
//! * Floats are compared as in PostgreSQL and DuckDB: NaN equals NaN and is greater than all numbers,
//!   and `-0.0 = 0.0`.
//! * `AND`, `OR`, `NOT` and `IN` know three values, as SQL does.
//! * Times are in UTC. Characters are Unicode's code points.
//! * What a cast does is said in `cast.rs`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::{Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
//! use arrow_schema::{DataType, Field, Schema};
//! use strandline_operators::expr::Evaluator;
//! use strandline_plan::expr::col;
//!
//! let schema = Schema::new(vec![
//!     Field::new("total", DataType::Int64, false),
//!     Field::new("count", DataType::Int64, false),
//! ]);
//! let mean = Evaluator::new(&(col("total") / col("count")).bind(&schema)?)?;
//!
//! let (total, count) = (Int64Array::from(vec![7, 1]), Int64Array::from(vec![2, 0]));
//! let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(total), Arc::new(count)])?;
//! let means = mean.evaluate(&batch)?;
//! assert_eq!(means.column.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(3), None]));
//! assert_eq!(means.failed.to_string(), "row 1: division by zero");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arithmetic;
mod calendar;
mod cast;
mod column;
mod compare;
mod compile;
mod condition;
mod decimal;
mod evaluate;
mod failed;
mod function;
mod node;
mod operands;
mod room;
mod rows;
#[cfg(test)]
mod tests;
mod user;

use std::fmt;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType};
use arrow_select::nullif::nullif;
use strandline_plan::expr::TypedExpr;

use self::compile::compile;
pub use self::condition::{Condition, Mask};
use self::evaluate::Input;
pub use self::failed::{Failed, Failure, Reason};
use self::node::Node;
pub use self::user::function;

/// What computes the column of an expression.
pub struct Evaluator {
    root: Node,
}

/// The values of an expression for the rows of a batch.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// A value a row; null for rows that failed, also where the expression is never null otherwise.
    pub column: ArrayRef,
    /// The rows that could not be computed.
    pub failed: Failed,
}

/// A mistake of the program, not of a row.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A batch is not of the schema that the expression was bound to.
    #[error("column {index} is {found}, and the expression was made for {wanted}")]
    Column {
        /// Which column.
        index: usize,
        /// Its type, or that there is none.
        found: String,
        /// The type that it has in the expression's schema.
        wanted: DataType,
    },
    /// A function of the program gave something that is no column of its type and length.
    #[error("the function `{name}` of the program {problem}")]
    User {
        /// The name of the function.
        name: String,
        /// What it did.
        problem: String,
    },
    /// A constant or an operator for which nothing was written.
    #[error("no way to compute {0}")]
    Unknown(String),
    /// A kernel got what it does not take.
    #[error("while columns were computed")]
    Arrow(#[from] ArrowError),
}

impl Evaluator {
    /// Makes constants into columns and compiles regular expressions.
    ///
    /// # Errors
    ///
    /// If a constant has no value of its type, or a function of the program was not made by
    /// [`function`].
    pub fn new(expr: &TypedExpr) -> Result<Self, EvaluateError> {
        Ok(Self { root: compile(expr)? })
    }

    /// The type of its columns.
    pub fn data_type(&self) -> &DataType {
        &self.root.data_type
    }

    /// Computes the expression for each row of `batch`.
    ///
    /// # Errors
    ///
    /// If the batch is not of the schema that the expression was bound to, or a function of the
    /// program gives what it should not. Rows that cannot be computed are no error here.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<Evaluated, EvaluateError> {
        let input = Input { columns: batch.columns(), rows: batch.num_rows() };
        let mut failed = Failed::default();
        let column = self.root.evaluate(&input, &mut failed)?.into_rows(input.rows, &mut failed)?;
        let failed = failed.in_order();
        // A part of a row may have a value though another part of it failed.
        let column = match failed.is_empty() {
            true => column,
            false => nullif(&column, &failed.mask(input.rows))?,
        };
        debug_assert_eq!(column.data_type(), self.data_type());
        Ok(Evaluated { column, failed })
    }
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evaluator({})", self.root.data_type)
    }
}
