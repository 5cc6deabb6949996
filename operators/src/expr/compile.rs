//! From a bound expression of a plan to what is evaluated: what is the same for all rows is computed here.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    new_null_array,
};
use arrow_schema::{DataType, TimeUnit};
use strandline_plan::expr::{TypedExpr, TypedKind, UnaryOperator};
use strandline_plan::literal::Literal;

use super::column::retype;
use super::evaluate::Input;
use super::failed::Failed;
use super::function::Function;
use super::node::{Kind, Node};
use super::user::Implementation;
use super::{EvaluateError, cast};

/// What computes a bound expression.
pub(super) fn compile(expr: &TypedExpr) -> Result<Node, EvaluateError> {
    let data_type = expr.data_type.clone();
    let boxed = |expr: &TypedExpr| compile(expr).map(Box::new);
    let kind = match &expr.kind {
        TypedKind::Column(index) => Kind::Column(*index),
        TypedKind::Literal(literal) => Kind::Constant(constant(literal, &data_type)?),
        TypedKind::Unary(operator, value) => Kind::Unary(*operator, boxed(value)?),
        TypedKind::Binary(left, operator, right) => {
            Kind::Binary(boxed(left)?, *operator, boxed(right)?)
        }
        TypedKind::Case(branches, otherwise) => {
            let branches = branches
                .iter()
                .map(|(condition, value)| Ok((compile(condition)?, compile(value)?)))
                .collect::<Result<_, EvaluateError>>()?;
            Kind::Case(branches, otherwise.as_deref().map(boxed).transpose()?)
        }
        TypedKind::InList(value, list) => Kind::InList(boxed(value)?, all(list)?),
        TypedKind::Cast { value, or_null } => {
            Kind::Cast { value: boxed(value)?, or_null: *or_null }
        }
        TypedKind::Call(function, arguments) if function.name == "coalesce" => {
            Kind::Coalesce(all(arguments)?)
        }
        TypedKind::Call(function, arguments) => {
            let arguments = all(arguments)?;
            let second = arguments.get(1).and_then(Node::as_constant);
            Kind::Call(Function::new(function.name, second)?, arguments)
        }
        TypedKind::User(function, arguments) => {
            Kind::User(Implementation::of(function)?, all(arguments)?)
        }
        TypedKind::Field(value, index) => Kind::Field(boxed(value)?, *index),
    };
    let columns = expr.columns();
    let constant = columns.is_empty();
    let light = is_light(&kind, &data_type);
    let node = Node { kind, data_type, columns, light, constant };
    Ok(if constant { folded(node)? } else { node })
}

/// What is the same for all rows is computed once. If it fails, it fails for the rows that need
/// it, and so not here; a function of the program is not called before it has to be.
fn folded(node: Node) -> Result<Node, EvaluateError> {
    if matches!(node.kind, Kind::Constant(_)) || node.calls_the_program() {
        return Ok(node);
    }
    let mut failed = Failed::default();
    let column = node.evaluate(&Input { columns: &[], rows: 1 }, &mut failed)?;
    let kind = match failed.is_empty() {
        true => Kind::Constant(Arc::clone(column.array())),
        false => return Ok(node),
    };
    Ok(Node { kind, light: true, ..node })
}

fn all(exprs: &[TypedExpr]) -> Result<Vec<Node>, EvaluateError> {
    exprs.iter().map(compile).collect()
}

fn is_light(kind: &Kind, data_type: &DataType) -> bool {
    match kind {
        Kind::Column(_) | Kind::Constant(_) => true,
        Kind::Unary(UnaryOperator::Negate, value) => data_type.is_floating() && value.light,
        Kind::Unary(_, value) | Kind::Field(value, _) => value.light,
        Kind::Binary(left, operator, right) => {
            let sure = !operator.is_arithmetic() || data_type.is_floating();
            sure && left.light && right.light
        }
        _ => false,
    }
}

/// A column of one row that holds a constant in a type.
fn constant(literal: &Literal, data_type: &DataType) -> Result<ArrayRef, EvaluateError> {
    let unknown = || EvaluateError::Unknown(format!("the constant {literal} as {data_type}"));
    let array: ArrayRef = match literal {
        Literal::Null => return Ok(new_null_array(data_type, 1)),
        Literal::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
        Literal::Integer(value) => Arc::new(Int64Array::from(vec![*value])),
        Literal::Float(value) => Arc::new(Float64Array::from(vec![*value])),
        Literal::Decimal { unscaled, scale } => {
            let digits = strandline_plan::types::DECIMAL_DIGITS_MAX;
            let scale = i8::try_from(*scale).map_err(|_| unknown())?;
            Arc::new(
                Decimal128Array::from(vec![*unscaled])
                    .with_precision_and_scale(digits, scale)
                    .map_err(|_| unknown())?,
            )
        }
        Literal::Text(text) => Arc::new(StringArray::from(vec![text.as_str()])),
        Literal::Bytes(bytes) => Arc::new(BinaryArray::from(vec![bytes.as_slice()])),
        Literal::TimestampMicros(micros) => {
            time(*micros, &strandline_plan::types::timestamp(TimeUnit::Microsecond))?
        }
        Literal::DurationMicros(micros) => {
            time(*micros, &DataType::Duration(TimeUnit::Microsecond))?
        }
    };
    let mut failed = Failed::default();
    let array = cast::cast(&array, data_type, &mut failed)?;
    if failed.is_empty() { Ok(array) } else { Err(unknown()) }
}

fn time(micros: i64, data_type: &DataType) -> Result<ArrayRef, EvaluateError> {
    let words = Int64Array::from(vec![micros]);
    Ok(retype(&words, data_type)?)
}
