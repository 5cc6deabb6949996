//! The values of a node for some rows.

mod logic;

use std::sync::Arc;

use arrow_arith::boolean;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{ArrowError, DataType};
use arrow_select::nullif::nullif;
use strandline_plan::expr::{BinaryOperator, UnaryOperator};

use super::column::Column;
use super::failed::Failed;
use super::function::Call;
use super::node::{Kind, Node};
use super::operands::Operands;
use super::{EvaluateError, arithmetic, cast, compare};

/// The rows that an expression is computed for.
pub(super) struct Input<'a> {
    /// The columns of the expression's schema. Those that a node does not read may be anything.
    pub(super) columns: &'a [ArrayRef],
    /// How many rows there are.
    pub(super) rows: usize,
}

impl Node {
    /// The values for all rows of `input`; a failed row is noted, and what it holds means nothing.
    ///
    /// A constant node gives a constant column, and every other one a value a row.
    pub(super) fn evaluate(
        &self,
        input: &Input<'_>,
        failed: &mut Failed,
    ) -> Result<Column, EvaluateError> {
        if !self.constant || matches!(self.kind, Kind::Constant(_)) {
            return self.compute(input, failed);
        }
        // One that could not be computed beforehand: it fails for each row that asks.
        let mut once = Failed::default();
        let column = self.compute(&Input { columns: &[], rows: 1 }, &mut once)?;
        if let Some(failure) = once.iter().next() {
            for row in 0..input.rows {
                failed.add(row, failure.reason.clone());
            }
        }
        Ok(Column::Constant(Arc::clone(column.array())))
    }

    fn compute(&self, input: &Input<'_>, failed: &mut Failed) -> Result<Column, EvaluateError> {
        let rows = input.rows;
        Ok(match &self.kind {
            Kind::Column(index) => Column::Rows(self.column(*index, input)?),
            Kind::Constant(array) => Column::Constant(Arc::clone(array)),
            Kind::Unary(operator, value) => {
                let value = value.evaluate(input, failed)?;
                let array = match operator {
                    UnaryOperator::Not => {
                        Arc::new(boolean::not(value.array().as_boolean())?) as ArrayRef
                    }
                    UnaryOperator::IsNull => Arc::new(boolean::is_null(value.array())?),
                    UnaryOperator::IsNotNull => Arc::new(boolean::is_not_null(value.array())?),
                    UnaryOperator::Negate => arithmetic::negate(value.array(), failed)?,
                };
                value.map(array)
            }
            Kind::Binary(left, BinaryOperator::And, right) => {
                logic::and_or(left, true, right, input, failed)?
            }
            Kind::Binary(left, BinaryOperator::Or, right) => {
                logic::and_or(left, false, right, input, failed)?
            }
            Kind::Binary(left, operator, right) => {
                let left = left.evaluate(input, failed)?;
                let right = right.evaluate(input, failed)?;
                Column::Rows(if operator.is_comparison() {
                    Arc::new(compare::compare(&left, *operator, &right)?)
                } else {
                    let operands = Operands { left: &left, right: &right, rows };
                    arithmetic::arithmetic(&operands, *operator, &self.data_type, failed)?
                })
            }
            Kind::Case(branches, otherwise) => {
                let otherwise = otherwise.as_deref();
                Column::Rows(logic::case(branches, otherwise, &self.data_type, input, failed)?)
            }
            Kind::Coalesce(values) => {
                Column::Rows(logic::coalesce(values, &self.data_type, input, failed)?)
            }
            Kind::InList(value, list) => {
                let value = value.evaluate(input, failed)?;
                let list = evaluate_all(list, input, failed)?;
                Column::Rows(Arc::new(compare::in_list(&value, &list, rows)?))
            }
            Kind::Cast { value, or_null } => {
                let value = value.evaluate(input, failed)?;
                let mut unfit = Failed::default();
                let array = cast::cast(value.array(), &self.data_type, &mut unfit)?;
                if !or_null {
                    failed.add_all(unfit, |row| row);
                }
                value.map(array)
            }
            Kind::Call(function, arguments) => {
                let arguments = evaluate_all(arguments, input, failed)?;
                let result = &self.data_type;
                let mut call = Call { arguments: &arguments, rows, result, failed };
                Column::Rows(function.call(&mut call)?)
            }
            Kind::User(function, arguments) => {
                let arguments = evaluate_all(arguments, input, failed)?;
                let arguments: Result<Vec<_>, _> = arguments
                    .into_iter()
                    .map(|argument| argument.into_rows(rows, failed))
                    .collect();
                Column::Rows(function.call(&arguments?, rows, failed)?)
            }
            Kind::Field(value, index) => {
                let value = value.evaluate(input, failed)?;
                let field = field(value.array(), *index)?;
                value.map(field)
            }
        })
    }

    fn column(&self, index: usize, input: &Input<'_>) -> Result<ArrayRef, EvaluateError> {
        let column = input.columns.get(index);
        match column {
            Some(column) if *column.data_type() == self.data_type => Ok(Arc::clone(column)),
            _ => Err(EvaluateError::Column {
                index,
                found: column.map_or("not there".into(), |c| c.data_type().to_string()),
                wanted: self.data_type.clone(),
            }),
        }
    }
}

fn evaluate_all(
    nodes: &[Node],
    input: &Input<'_>,
    failed: &mut Failed,
) -> Result<Vec<Column>, EvaluateError> {
    nodes.iter().map(|node| node.evaluate(input, failed)).collect()
}

/// A field of structs; null where the struct is.
fn field(array: &ArrayRef, index: usize) -> Result<ArrayRef, ArrowError> {
    let Some(structs) = array.as_struct_opt() else {
        return Err(ArrowError::SchemaError(format!(
            "{} has no fields",
            DataType::to_string(array.data_type())
        )));
    };
    let field = structs.column(index);
    match structs.null_count() {
        0 => Ok(Arc::clone(field)),
        _ => nullif(field, &boolean::is_null(structs)?),
    }
}
