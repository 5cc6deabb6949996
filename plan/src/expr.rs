//! Expressions over the columns of a row: what a filter asks, what a projection computes.
//!
//! An [`Expr`] is written with names and has no types yet. [`Expr::bind`] holds it against the
//! columns that there are: it finds every column, gives every part its type, adds the casts that
//! lose nothing, and refuses the rest with what would be right. What is evaluated is the
//! [`TypedExpr`] that comes out of it.
//!
//! ```
//! use strandline_plan::expr::{col, lit};
//!
//! let hot = col("temperature").gt(lit(30.0)).and(col("location").eq(lit("roof")));
//! assert_eq!(hot.to_string(), "temperature > 30.0 AND location = 'roof'");
//! ```

mod bind;
mod display;
pub mod function;
mod typed;

use std::ops;

use arrow_schema::DataType;

pub use self::bind::ExprError;
pub use self::function::UserFunction;
pub use self::typed::{TypedExpr, TypedKind};
use crate::literal::Literal;

/// An expression, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// The column of this name.
    Column(String),
    /// A constant.
    Literal(Literal),
    /// One operand.
    Unary(UnaryOperator, Box<Expr>),
    /// Two operands.
    Binary(Box<Expr>, BinaryOperator, Box<Expr>),
    /// The value of the first condition that is true, or else the last one, or else null.
    Case {
        /// Conditions and values.
        branches: Vec<(Expr, Expr)>,
        /// The value where no condition is true.
        otherwise: Option<Box<Expr>>,
    },
    /// Whether the first is one of the list.
    InList(Box<Expr>, Vec<Expr>),
    /// A value in another type.
    Cast {
        /// The value.
        value: Box<Expr>,
        /// The type that it becomes.
        to: DataType,
        /// Null where that cannot be; otherwise it is an error of the row.
        or_null: bool,
    },
    /// A scalar function of the library, by its name.
    Call(String, Vec<Expr>),
    /// A function that the program brings.
    User(UserFunction, Vec<Expr>),
    /// A field of a struct.
    Field(Box<Expr>, String),
}

/// What is done with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOperator {
    /// True where false.
    Not,
    /// The number with its other sign.
    Negate,
    /// True where there is no value.
    IsNull,
    /// True where there is a value.
    IsNotNull,
}

/// What is done with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are the operators of every language")]
pub enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

impl BinaryOperator {
    /// Whether its result is a number (or a time), computed from numbers.
    pub fn is_arithmetic(self) -> bool {
        use BinaryOperator::{Add, Divide, Modulo, Multiply, Subtract};
        matches!(self, Add | Subtract | Multiply | Divide | Modulo)
    }

    /// Whether it says how two values stand to each other.
    pub fn is_comparison(self) -> bool {
        !self.is_arithmetic() && !matches!(self, Self::And | Self::Or)
    }
}

/// The column of this name.
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(name.into())
}

/// A constant.
pub fn lit(value: impl Into<Literal>) -> Expr {
    Expr::Literal(value.into())
}

/// A scalar function of the library, by its name: `call("lower", [col("city")])`.
pub fn call(name: impl Into<String>, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    Expr::Call(name.into(), arguments.into_iter().collect())
}

/// The first of the values that is not null.
pub fn coalesce(values: impl IntoIterator<Item = Expr>) -> Expr {
    call("coalesce", values)
}

/// Begins a choice: `when(col("t").gt(lit(30)), lit("hot")).otherwise(lit("fine"))`.
pub fn when(condition: Expr, value: Expr) -> Case {
    Case { branches: vec![(condition, value)] }
}

/// A choice that is being written; see [`when`].
#[derive(Clone, Debug)]
pub struct Case {
    branches: Vec<(Expr, Expr)>,
}

impl Case {
    /// One more condition, asked where those before are not true.
    #[must_use]
    pub fn when(mut self, condition: Expr, value: Expr) -> Self {
        self.branches.push((condition, value));
        self
    }

    /// Ends the choice with the value where no condition is true.
    pub fn otherwise(self, value: Expr) -> Expr {
        Expr::Case { branches: self.branches, otherwise: Some(Box::new(value)) }
    }

    /// Ends the choice: null where no condition is true.
    pub fn or_null(self) -> Expr {
        Expr::Case { branches: self.branches, otherwise: None }
    }
}

macro_rules! comparison {
    ($($method:ident $operator:ident $text:literal)*) => {$(
        #[doc = concat!("`self ", $text, " other`; null where one of them is.")]
        #[must_use]
        pub fn $method(self, other: Expr) -> Expr {
            self.binary(BinaryOperator::$operator, other)
        }
    )*};
}

#[expect(clippy::should_implement_trait, reason = "comparisons give expressions, as `+` does")]
impl Expr {
    comparison! {
        eq Equal "="
        ne NotEqual "<>"
        lt Less "<"
        le LessOrEqual "<="
        gt Greater ">"
        ge GreaterOrEqual ">="
        and And "AND"
        or Or "OR"
    }

    /// `low <= self AND self <= high`.
    #[must_use]
    pub fn between(self, low: Expr, high: Expr) -> Expr {
        self.clone().ge(low).and(self.le(high))
    }

    /// Whether it is one of these.
    #[must_use]
    pub fn in_list(self, values: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::InList(Box::new(self), values.into_iter().collect())
    }

    /// True where false.
    #[must_use]
    pub fn not(self) -> Expr {
        Expr::Unary(UnaryOperator::Not, Box::new(self))
    }

    /// True where there is no value.
    #[must_use]
    pub fn is_null(self) -> Expr {
        Expr::Unary(UnaryOperator::IsNull, Box::new(self))
    }

    /// True where there is a value.
    #[must_use]
    pub fn is_not_null(self) -> Expr {
        Expr::Unary(UnaryOperator::IsNotNull, Box::new(self))
    }

    /// The value in another type; an error of the row where that cannot be.
    #[must_use]
    pub fn cast(self, to: DataType) -> Expr {
        Expr::Cast { value: Box::new(self), to, or_null: false }
    }

    /// The value in another type; null where that cannot be.
    #[must_use]
    pub fn try_cast(self, to: DataType) -> Expr {
        Expr::Cast { value: Box::new(self), to, or_null: true }
    }

    /// A field of a struct.
    #[must_use]
    pub fn field(self, name: impl Into<String>) -> Expr {
        Expr::Field(Box::new(self), name.into())
    }

    /// This expression as a column of this name.
    pub fn named(self, name: impl Into<String>) -> NamedExpr {
        NamedExpr { name: name.into(), expr: self }
    }

    fn binary(self, operator: BinaryOperator, other: Expr) -> Expr {
        Expr::Binary(Box::new(self), operator, Box::new(other))
    }
}

macro_rules! arithmetic {
    ($($operator:ident $method:ident $variant:ident)*) => {$(
        impl ops::$operator for Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                self.binary(BinaryOperator::$variant, other)
            }
        }
    )*};
}
arithmetic! { Add add Add  Sub sub Subtract  Mul mul Multiply  Div div Divide  Rem rem Modulo }

impl ops::Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        Expr::Unary(UnaryOperator::Negate, Box::new(self))
    }
}

/// An expression with the name of the column that it becomes.
///
/// A column by itself keeps its name: `NamedExpr::from(col("price"))`, or just `"price".into()`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedExpr {
    /// The name of the column.
    pub name: String,
    /// What it holds.
    pub expr: Expr,
}

impl From<Expr> for NamedExpr {
    /// Without a name of its own, an expression is called as it is written.
    fn from(expr: Expr) -> Self {
        let name = match &expr {
            Expr::Column(name) => name.clone(),
            other => other.to_string(),
        };
        Self { name, expr }
    }
}

impl From<&str> for NamedExpr {
    fn from(column: &str) -> Self {
        col(column).into()
    }
}
