//! An expression as it is evaluated: constants are columns, functions are found.

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use strandline_plan::expr::{BinaryOperator, UnaryOperator};

use super::function::Function;
use super::user::Implementation;

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
    /// The column of one row that it is, if it is a constant.
    pub(super) fn as_constant(&self) -> Option<&ArrayRef> {
        if let Kind::Constant(array) = &self.kind { Some(array) } else { None }
    }

    /// A function of the program is called for it.
    pub(super) fn calls_the_program(&self) -> bool {
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
