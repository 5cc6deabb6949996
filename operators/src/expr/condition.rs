//! Which rows of a batch a condition is true for.

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use strandline_plan::expr::TypedExpr;

use super::{EvaluateError, Evaluated, Evaluator, Failed};

/// What decides which rows pass.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Int64Array, RecordBatch};
/// use arrow_schema::{DataType, Field, Schema};
/// use strandline_operators::expr::Condition;
/// use strandline_plan::expr::{col, lit};
///
/// let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
/// let warm = Condition::new(&col("n").gt(lit(20)).bind_condition(&schema)?)?;
/// let n = Int64Array::from(vec![Some(19), Some(21), None]);
/// let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(n)])?;
/// let (passed, failed) = warm.filter(&batch)?;
/// assert_eq!((passed.num_rows(), failed.len()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Condition(Evaluator);

/// What a condition says of the rows of a batch.
#[derive(Clone, Debug)]
pub struct Mask {
    /// True for the rows that pass, and never null: a row for which the condition is null, or could
    /// not be computed, does not pass.
    pub passes: BooleanArray,
    /// The rows for which it could not be computed.
    pub failed: Failed,
}

impl Condition {
    /// A condition that was bound by `Expr::bind_condition`.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::new`], and if the expression is not true or false.
    pub fn new(expr: &TypedExpr) -> Result<Self, EvaluateError> {
        if expr.data_type != DataType::Boolean {
            return Err(EvaluateError::Unknown(format!("a condition of {}", expr.data_type)));
        }
        Evaluator::new(expr).map(Self)
    }

    /// Which rows pass.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::evaluate`].
    pub fn mask(&self, batch: &RecordBatch) -> Result<Mask, EvaluateError> {
        let Evaluated { column, failed } = self.0.evaluate(batch)?;
        let values = column.as_boolean();
        let passes = match values.nulls() {
            Some(nulls) => BooleanArray::new(values.values() & nulls.inner(), None),
            None => values.clone(),
        };
        Ok(Mask { passes, failed })
    }

    /// The rows that pass, and those for which the condition could not be computed.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::evaluate`].
    pub fn filter(&self, batch: &RecordBatch) -> Result<(RecordBatch, Failed), EvaluateError> {
        let Mask { passes, failed } = self.mask(batch)?;
        if passes.true_count() == batch.num_rows() {
            return Ok((batch.clone(), failed));
        }
        Ok((filter_record_batch(batch, &passes)?, failed))
    }
}
