//! Expressions as text, in SQL's form: in explanations, in messages, as names of columns.

use std::fmt;

use super::{BinaryOperator, Expr, UnaryOperator};
use crate::types;

impl fmt::Display for BinaryOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "AND",
            Self::Or => "OR",
        })
    }
}

/// How tightly an operator binds its operands; what binds less needs parentheses inside it.
fn tightness(expr: &Expr) -> u8 {
    match expr {
        Expr::Binary(_, operator, _) => match operator {
            BinaryOperator::Or => 1,
            BinaryOperator::And => 2,
            operator if operator.is_comparison() => 4,
            BinaryOperator::Add | BinaryOperator::Subtract => 5,
            _ => 6,
        },
        Expr::Unary(UnaryOperator::Not, _) => 3,
        Expr::Unary(UnaryOperator::Negate, _) => 7,
        Expr::Unary(..) | Expr::InList(..) => 4,
        _ => 8,
    }
}

/// An operand of an operator that binds this tightly.
struct Operand<'a>(&'a Expr, u8);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(expr, outer) = self;
        if tightness(expr) < *outer { write!(f, "({expr})") } else { write!(f, "{expr}") }
    }
}

/// Items with commas between them.
struct Comma<'a>(&'a [Expr]);

impl fmt::Display for Comma<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, item)| {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")
        })
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tight = tightness(self);
        match self {
            Self::Column(name) => write_name(f, name),
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::Unary(UnaryOperator::Not, value) => write!(f, "NOT {}", Operand(value, tight)),
            Self::Unary(UnaryOperator::Negate, value) => {
                write!(f, "-{}", Operand(value, tight + 1))
            }
            Self::Unary(UnaryOperator::IsNull, value) => {
                write!(f, "{} IS NULL", Operand(value, tight + 1))
            }
            Self::Unary(UnaryOperator::IsNotNull, value) => {
                write!(f, "{} IS NOT NULL", Operand(value, tight + 1))
            }
            Self::Binary(left, operator, right) => {
                // a - (b - c), and a comparison of comparisons, need theirs.
                let left = Operand(left, tight + u8::from(operator.is_comparison()));
                let associates = matches!(operator, BinaryOperator::And | BinaryOperator::Or);
                write!(f, "{left} {operator} {}", Operand(right, tight + u8::from(!associates)))
            }
            Self::Case { branches, otherwise } => {
                f.write_str("CASE")?;
                for (condition, value) in branches {
                    write!(f, " WHEN {condition} THEN {value}")?;
                }
                if let Some(value) = otherwise {
                    write!(f, " ELSE {value}")?;
                }
                f.write_str(" END")
            }
            Self::InList(value, list) => {
                write!(f, "{} IN ({})", Operand(value, tight + 1), Comma(list))
            }
            Self::Cast { value, to, or_null } => {
                let cast = if *or_null { "TRY_CAST" } else { "CAST" };
                write!(f, "{cast}({value} AS {})", types::name(to))
            }
            Self::Call(name, arguments) => write!(f, "{name}({})", Comma(arguments)),
            Self::User(function, arguments) => {
                write!(f, "{}({})", function.name(), Comma(arguments))
            }
            Self::Field(value, name) => {
                write!(f, "{}.", Operand(value, 8))?;
                write_name(f, name)
            }
        }
    }
}

/// A name as SQL takes it: quoted where it is not a plain word.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { f.write_str(name) } else { write!(f, "\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use crate::expr::{call, col, lit, when};

    #[test]
    fn parentheses_stand_where_they_change_the_meaning() {
        let (a, b, c) = (|| col("a"), || col("b"), || col("c"));
        assert_eq!((a() - (b() - c())).to_string(), "a - (b - c)");
        assert_eq!((a() - b() - c()).to_string(), "a - b - c");
        assert_eq!(((a() + b()) * c()).to_string(), "(a + b) * c");
        assert_eq!(a().or(b()).and(c()).to_string(), "(a OR b) AND c");
        assert_eq!(a().and(b().and(c())).to_string(), "a AND b AND c");
        assert_eq!(a().eq(b()).not().to_string(), "NOT a = b");
        assert_eq!(a().eq(b()).eq(c()).to_string(), "(a = b) = c");
        assert_eq!((-(-a())).to_string(), "-(-a)");
        assert_eq!((a() + b()).is_null().to_string(), "a + b IS NULL");
    }

    #[test]
    fn names_that_are_no_plain_words_are_quoted() {
        assert_eq!(col("avg \"t\"").to_string(), "\"avg \"\"t\"\"\"");
        assert_eq!(call("lower", [col("city")]).to_string(), "lower(city)");
        assert_eq!(
            when(col("t").gt(lit(30)), lit("hot")).otherwise(lit("fine")).to_string(),
            "CASE WHEN t > 30 THEN 'hot' ELSE 'fine' END"
        );
    }
}
