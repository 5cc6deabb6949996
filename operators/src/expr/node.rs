//! An expression as it is evaluated: constants are columns, functions are found.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    new_null_array,
};
use arrow_schema::{DataType, TimeUnit};
use strandline_plan::expr::{BinaryOperator, TypedExpr, TypedKind, UnaryOperator};
use strandline_plan::literal::Literal;

use super::column::retype;
use super::evaluate::Input;
use super::failed::Failed;
use super::function::Function;
use super::user::Implementation;
use super::{EvaluateError, cast};

/// A part of an expression.
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) data_type: DataType,
    /// The columns that it reads.
    pub(super) columns: Vec<usize>,
    /// It never fails, and computing it for all rows costs less than choosing rows first.
    pub(super) light: bool,
    /// It reads no column, so its value is the same for all rows.
    pub(super) constant: bool,
}

/// What a part of an expression is.
pub(super) enum Kind {
    Column(usize),
    Constant(ArrayRef),
    Unary(UnaryOperator, Box<Node>),
    Binary(Box<Node>, BinaryOperator, Box<Node>),
    Case(Vec<(Node, Node)>, Option<Box<Node>>),
    Coalesce(Vec<Node>),
    InList(Box<Node>, Vec<Node>),
    Cast { value: Box<Node>, or_null: bool },
    Call(Function, Vec<Node>),
    User(Implementation, Vec<Node>),
    Field(Box<Node>, usize),
}

impl Node {
    pub(super) fn new(expr: &TypedExpr) -> Result<Self, EvaluateError> {
        let data_type = expr.data_type.clone();
        let boxed = |expr: &TypedExpr| Self::new(expr).map(Box::new);
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
                    .map(|(condition, value)| Ok((Self::new(condition)?, Self::new(value)?)))
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
                Kind::Call(Function::new(function.name, &arguments)?, arguments)
            }
            TypedKind::User(function, arguments) => {
                Kind::User(Implementation::of(function)?, all(arguments)?)
            }
            TypedKind::Field(value, index) => Kind::Field(boxed(value)?, *index),
        };
        let columns = expr.columns();
        let constant = columns.is_empty();
        let light = is_light(&kind, &data_type);
        let node = Self { kind, data_type, columns, light, constant };
        Ok(if constant { node.folded()? } else { node })
    }

    /// What is the same for all rows is computed once. If it fails, it fails for the rows that need
    /// it, and so not here; a function of the program is not called before it has to be.
    fn folded(self) -> Result<Self, EvaluateError> {
        if matches!(self.kind, Kind::Constant(_)) || self.calls_the_program() {
            return Ok(self);
        }
        let mut failed = Failed::default();
        let column = self.evaluate(&Input { columns: &[], rows: 1 }, &mut failed)?;
        let kind = match failed.is_empty() {
            true => Kind::Constant(Arc::clone(column.array())),
            false => return Ok(self),
        };
        Ok(Self { kind, light: true, ..self })
    }

    fn calls_the_program(&self) -> bool {
        match &self.kind {
            Kind::User(..) => true,
            Kind::Column(_) | Kind::Constant(_) => false,
            Kind::Unary(_, value) | Kind::Cast { value, .. } | Kind::Field(value, _) => {
                value.calls_the_program()
            }
            Kind::Binary(left, _, right) => left.calls_the_program() || right.calls_the_program(),
            Kind::Case(branches, otherwise) => {
                branches.iter().any(|(condition, value)| {
                    condition.calls_the_program() || value.calls_the_program()
                }) || otherwise.as_ref().is_some_and(|value| value.calls_the_program())
            }
            Kind::InList(value, list) => {
                value.calls_the_program() || list.iter().any(Self::calls_the_program)
            }
            Kind::Coalesce(arguments) | Kind::Call(_, arguments) => {
                arguments.iter().any(Self::calls_the_program)
            }
        }
    }
}

fn all(exprs: &[TypedExpr]) -> Result<Vec<Node>, EvaluateError> {
    exprs.iter().map(Node::new).collect()
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
