//! Expressions whose columns are found and whose types are known.

use arrow_schema::DataType;

use super::function::{ScalarFunction, UserFunction};
use super::{BinaryOperator, UnaryOperator};
use crate::literal::Literal;

/// An expression over the columns of one schema, as it is evaluated.
///
/// Operands have the types that their operator takes: where it takes two of one type, both have it.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedExpr {
    /// What it is.
    pub kind: TypedKind,
    /// The type of its values.
    pub data_type: DataType,
    /// Whether it may be null.
    pub nullable: bool,
}

/// What a [`TypedExpr`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedKind {
    /// The column at this index.
    Column(usize),
    /// A constant, to be made in the expression's type.
    Literal(Literal),
    /// One operand.
    Unary(UnaryOperator, Box<TypedExpr>),
    /// Two operands.
    Binary(Box<TypedExpr>, BinaryOperator, Box<TypedExpr>),
    /// Conditions and values, and the value where none is true. All values have one type.
    Case(Vec<(TypedExpr, TypedExpr)>, Option<Box<TypedExpr>>),
    /// Whether the first is one of the others, which have its type.
    InList(Box<TypedExpr>, Vec<TypedExpr>),
    /// A value in the expression's type: null, or an error of the row, where that cannot be.
    Cast {
        /// The value.
        value: Box<TypedExpr>,
        /// Null where it has no such value.
        or_null: bool,
    },
    /// A scalar function of the library.
    Call(&'static ScalarFunction, Vec<TypedExpr>),
    /// A function that the program brings.
    User(UserFunction, Vec<TypedExpr>),
    /// The field at this index of a struct.
    Field(Box<TypedExpr>, usize),
}

impl TypedExpr {
    /// The indices of the columns that it needs, in order, each once.
    pub fn columns(&self) -> Vec<usize> {
        let mut found = Vec::new();
        self.visit(&mut |part| {
            if let TypedKind::Column(index) = part.kind {
                found.push(index);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Shows this expression and all its parts.
    pub fn visit(&self, see: &mut impl FnMut(&TypedExpr)) {
        see(self);
        match &self.kind {
            TypedKind::Column(_) | TypedKind::Literal(_) => {}
            TypedKind::Unary(_, value)
            | TypedKind::Cast { value, .. }
            | TypedKind::Field(value, _) => value.visit(see),
            TypedKind::Binary(left, _, right) => {
                left.visit(see);
                right.visit(see);
            }
            TypedKind::Case(branches, otherwise) => {
                for (condition, value) in branches {
                    condition.visit(see);
                    value.visit(see);
                }
                if let Some(value) = otherwise {
                    value.visit(see);
                }
            }
            TypedKind::InList(value, list) => {
                value.visit(see);
                list.iter().for_each(|item| item.visit(see));
            }
            TypedKind::Call(_, arguments) | TypedKind::User(_, arguments) => {
                arguments.iter().for_each(|argument| argument.visit(see));
            }
        }
    }
}
