//! From an expression as it is written to one over the columns of a schema.

use arrow_schema::{DataType, Schema, TimeUnit};

use super::function::{Nulls, ScalarFunction, UserFunction};
use super::{BinaryOperator, Expr, TypedExpr, TypedKind, UnaryOperator};
use crate::literal::Literal;
use crate::suggest::hint;
use crate::types::{self, DECIMAL_DIGITS_MAX, can_cast, common, decimal_of, finer, is_comparable};

/// An expression that cannot be evaluated over the columns that there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("in `{expr}`: {problem}")]
pub struct ExprError {
    /// The part that is wrong.
    pub expr: String,
    /// The column that it is about, if it is about one.
    pub column: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Expr {
    /// Finds its columns in `schema` and gives each part its type.
    ///
    /// # Errors
    ///
    /// If a column, field or function does not exist, or an operator does not take what it gets: the
    /// innermost part that is wrong, and what would be right.
    pub fn bind(&self, schema: &Schema) -> Result<TypedExpr, ExprError> {
        match self {
            Self::Column(name) => self.bind_column(name, schema),
            Self::Literal(literal) => Ok(typed(
                TypedKind::Literal(literal.clone()),
                literal.data_type(),
                *literal == Literal::Null,
            )),
            Self::Unary(operator, value) => self.bind_unary(*operator, value.bind(schema)?),
            Self::Binary(left, operator, right) => {
                self.bind_binary(left.bind(schema)?, *operator, right.bind(schema)?)
            }
            Self::Case { branches, otherwise } => {
                self.bind_case(branches, otherwise.as_deref(), schema)
            }
            Self::InList(value, list) => {
                let list = list.iter().map(|item| item.bind(schema));
                self.bind_list(value.bind(schema)?, list.collect::<Result<_, _>>()?)
            }
            Self::Cast { value, to, or_null } => {
                let value = value.bind(schema)?;
                if !types::is_supported(to) || !can_cast(&value.data_type, to) {
                    let (from, to) = (types::name(&value.data_type), types::name(to));
                    return Err(self.wrong(format!("{from} cannot be turned into {to}")));
                }
                let nullable = value.nullable || *or_null;
                let kind = TypedKind::Cast { value: Box::new(value), or_null: *or_null };
                Ok(typed(kind, to.clone(), nullable))
            }
            Self::Call(name, arguments) => {
                let function = ScalarFunction::find(name).map_err(|problem| self.wrong(problem))?;
                self.bind_call(function, bind_all(arguments, schema)?)
            }
            Self::User(function, arguments) => {
                self.bind_user(function, bind_all(arguments, schema)?)
            }
            Self::Field(value, name) => self.bind_field(value.bind(schema)?, name),
        }
    }

    /// The same for an expression that has to be a condition.
    ///
    /// # Errors
    ///
    /// Also if it is not true or false.
    pub fn bind_condition(&self, schema: &Schema) -> Result<TypedExpr, ExprError> {
        let bound = self.bind(schema)?;
        if bound.data_type != DataType::Boolean && bound.data_type != DataType::Null {
            let found = types::name(&bound.data_type);
            return Err(self.wrong(format!("a condition is a BOOLEAN, and this is {found}")));
        }
        Ok(bound.into_type(&DataType::Boolean))
    }

    fn bind_column(&self, name: &str, schema: &Schema) -> Result<TypedExpr, ExprError> {
        let Ok(index) = schema.index_of(name) else {
            let hint = hint(name, schema.fields().iter().map(|field| &**field.name()));
            return Err(ExprError {
                column: Some(name.into()),
                ..self.wrong(format!("there is no column `{name}`; {hint}"))
            });
        };
        let field = schema.field(index);
        Ok(typed(TypedKind::Column(index), field.data_type().clone(), field.is_nullable()))
    }

    fn bind_unary(
        &self,
        operator: UnaryOperator,
        value: TypedExpr,
    ) -> Result<TypedExpr, ExprError> {
        let (data_type, nullable) = match operator {
            UnaryOperator::IsNull | UnaryOperator::IsNotNull => (DataType::Boolean, false),
            UnaryOperator::Not => {
                if !matches!(value.data_type, DataType::Boolean | DataType::Null) {
                    return Err(self.takes("NOT", "a BOOLEAN", &value));
                }
                (DataType::Boolean, value.nullable)
            }
            UnaryOperator::Negate => {
                let signed = value.data_type.is_numeric() && !value.data_type.is_unsigned_integer();
                if !signed && !matches!(value.data_type, DataType::Duration(_)) {
                    return Err(self.takes("-", "a number with a sign", &value));
                }
                (value.data_type.clone(), value.nullable)
            }
        };
        let value = match operator {
            UnaryOperator::Not => value.into_type(&DataType::Boolean),
            _ => value,
        };
        Ok(typed(TypedKind::Unary(operator, Box::new(value)), data_type, nullable))
    }

    fn bind_binary(
        &self,
        left: TypedExpr,
        operator: BinaryOperator,
        right: TypedExpr,
    ) -> Result<TypedExpr, ExprError> {
        let nullable = left.nullable || right.nullable;
        let (left, right, data_type) = if operator.is_arithmetic() {
            self.arithmetic(left, operator, right)?
        } else if operator.is_comparison() {
            let data_type = self.alike([&left, &right])?;
            if !is_comparable(&data_type) {
                let found = types::name(&data_type);
                return Err(self.wrong(format!("values of {found} have no order and no equality")));
            }
            (left.into_type(&data_type), right.into_type(&data_type), DataType::Boolean)
        } else {
            for side in [&left, &right] {
                if !matches!(side.data_type, DataType::Boolean | DataType::Null) {
                    return Err(self.takes(&operator.to_string(), "BOOLEANs", side));
                }
            }
            let boolean = DataType::Boolean;
            (left.into_type(&boolean), right.into_type(&boolean), boolean)
        };
        let kind = TypedKind::Binary(Box::new(left), operator, Box::new(right));
        Ok(typed(kind, data_type, nullable))
    }

    /// Both operands in the types that the operator takes, and the type of its result.
    fn arithmetic(
        &self,
        left: TypedExpr,
        operator: BinaryOperator,
        right: TypedExpr,
    ) -> Result<(TypedExpr, TypedExpr, DataType), ExprError> {
        use BinaryOperator::{Add, Multiply, Subtract};
        use DataType::{Date32, Duration, Null, Timestamp};
        let found = (&left.data_type, operator, &right.data_type);
        let (left_type, right_type, result) = match found {
            (Timestamp(a, _), Add | Subtract, Duration(b))
            | (Duration(b), Add, Timestamp(a, _)) => {
                let unit = finer(*a, *b);
                let (time, length) = (types::timestamp(unit), Duration(unit));
                match found.0 {
                    Duration(_) => (length, time.clone(), time),
                    _ => (time.clone(), length, time),
                }
            }
            (Date32, Add | Subtract, Duration(unit)) => {
                let time = types::timestamp(*unit);
                (time.clone(), Duration(*unit), time)
            }
            (Timestamp(..) | Date32, Subtract, Timestamp(..) | Date32) => {
                let time = common(found.0, found.2).unwrap_or(Date32);
                let time =
                    if time == Date32 { types::timestamp(TimeUnit::Millisecond) } else { time };
                let Timestamp(unit, _) = time else { unreachable!("two times meet in a time") };
                (types::timestamp(unit), types::timestamp(unit), Duration(unit))
            }
            (Duration(a), Add | Subtract, Duration(b)) => {
                let length = Duration(finer(*a, *b));
                (length.clone(), length.clone(), length)
            }
            (Duration(unit), Multiply, factor) if factor.is_integer() => {
                (Duration(*unit), DataType::Int64, Duration(*unit))
            }
            (factor, Multiply, Duration(unit)) if factor.is_integer() => {
                (DataType::Int64, Duration(*unit), Duration(*unit))
            }
            (Null, _, Null) => (DataType::Int64, DataType::Int64, DataType::Int64),
            (a, _, b) if (a.is_numeric() || *a == Null) && (b.is_numeric() || *b == Null) => {
                return self.number_arithmetic(left, operator, right);
            }
            (a, _, b) => {
                let (a, b) = (types::name(a), types::name(b));
                let hint = if a == "TEXT" || b == "TEXT" {
                    "; cast a text that holds a number"
                } else {
                    ""
                };
                return Err(self.wrong(format!("`{operator}` does not take {a} and {b}{hint}")));
            }
        };
        Ok((left.into_type(&left_type), right.into_type(&right_type), result))
    }

    fn number_arithmetic(
        &self,
        left: TypedExpr,
        operator: BinaryOperator,
        right: TypedExpr,
    ) -> Result<(TypedExpr, TypedExpr, DataType), ExprError> {
        let is_decimal = |e: &TypedExpr| matches!(e.data_type, DataType::Decimal128(..));
        let is_float = |e: &TypedExpr| e.data_type.is_floating();
        if !(is_decimal(&left) || is_decimal(&right)) || is_float(&left) || is_float(&right) {
            let data_type = self.alike([&left, &right])?;
            return Ok((left.into_type(&data_type), right.into_type(&data_type), data_type));
        }
        // Of a constant integer only the digits that it has count.
        let digits = |e: &TypedExpr| match &e.kind {
            TypedKind::Literal(Literal::Integer(value)) => {
                let exact = Literal::Decimal { unscaled: i128::from(*value), scale: 0 };
                decimal_of(&exact.data_type())
            }
            _ => decimal_of(&e.data_type),
        };
        let (Some(a), Some(b)) = (digits(&left), digits(&right)) else {
            // One of them is null.
            let data_type = self.alike([&left, &right])?;
            return Ok((left.into_type(&data_type), right.into_type(&data_type), data_type));
        };
        let result = decimal_result(a, operator, b).ok_or_else(|| {
            let problem =
                "the result has more than 38 digits behind the point; cast an operand to fewer";
            self.wrong(problem.into())
        })?;
        let of = |(digits, scale): (u8, i8)| DataType::Decimal128(digits, scale);
        Ok((left.into_type(&of(a)), right.into_type(&of(b)), result))
    }

    fn bind_case(
        &self,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        schema: &Schema,
    ) -> Result<TypedExpr, ExprError> {
        let mut bound = Vec::with_capacity(branches.len());
        for (condition, value) in branches {
            bound.push((condition.bind_condition(schema)?, value.bind(schema)?));
        }
        let otherwise = otherwise.map(|value| value.bind(schema)).transpose()?;
        let data_type = self.alike(bound.iter().map(|(_, value)| value).chain(&otherwise))?;
        let nullable =
            bound.iter().map(|(_, value)| value).chain(&otherwise).any(|value| value.nullable);
        let nullable = nullable || otherwise.is_none();
        let branches =
            bound.into_iter().map(|(condition, value)| (condition, value.into_type(&data_type)));
        let otherwise = otherwise.map(|value| Box::new(value.into_type(&data_type)));
        Ok(typed(TypedKind::Case(branches.collect(), otherwise), data_type, nullable))
    }

    fn bind_list(&self, value: TypedExpr, list: Vec<TypedExpr>) -> Result<TypedExpr, ExprError> {
        let data_type = self.alike(std::iter::once(&value).chain(&list))?;
        if !is_comparable(&data_type) {
            let found = types::name(&data_type);
            return Err(self.wrong(format!("values of {found} have no equality")));
        }
        let nullable = value.nullable || list.iter().any(|item| item.nullable);
        let list = list.into_iter().map(|item| item.into_type(&data_type)).collect();
        let kind = TypedKind::InList(Box::new(value.into_type(&data_type)), list);
        Ok(typed(kind, DataType::Boolean, nullable))
    }

    fn bind_call(
        &self,
        function: &'static ScalarFunction,
        arguments: Vec<TypedExpr>,
    ) -> Result<TypedExpr, ExprError> {
        let given: Vec<_> = arguments
            .iter()
            .map(|argument| match &argument.kind {
                TypedKind::Literal(literal) => (argument.data_type.clone(), Some(literal)),
                _ => (argument.data_type.clone(), None),
            })
            .collect();
        let (casts, data_type) = function.resolve(&given).map_err(|problem| self.wrong(problem))?;
        let nullable = match function.nulls {
            Nulls::Own => true,
            Nulls::OfArguments => arguments.iter().any(|argument| argument.nullable),
            Nulls::OfAllArguments => arguments.iter().all(|argument| argument.nullable),
        };
        let arguments =
            arguments.into_iter().zip(&casts).map(|(argument, to)| argument.into_type(to));
        Ok(typed(TypedKind::Call(function, arguments.collect()), data_type, nullable))
    }

    fn bind_user(
        &self,
        function: &UserFunction,
        arguments: Vec<TypedExpr>,
    ) -> Result<TypedExpr, ExprError> {
        let takes = function.parameters();
        let fits = |(argument, wanted): (&TypedExpr, &DataType)| {
            let literal = match &argument.kind {
                TypedKind::Literal(literal) => literal.fits(wanted),
                _ => false,
            };
            literal || common(&argument.data_type, wanted).as_ref() == Some(wanted)
        };
        if arguments.len() != takes.len() || !arguments.iter().zip(takes).all(fits) {
            let list = |types: Vec<String>| types.join(", ");
            let wanted = list(takes.iter().map(types::name).collect());
            let given = list(arguments.iter().map(|a| types::name(&a.data_type)).collect());
            let name = function.name();
            return Err(self.wrong(format!("{name} takes ({wanted}), and is given ({given})")));
        }
        let arguments =
            arguments.into_iter().zip(takes).map(|(argument, to)| argument.into_type(to));
        let kind = TypedKind::User(function.clone(), arguments.collect());
        Ok(typed(kind, function.result().clone(), true))
    }

    fn bind_field(&self, value: TypedExpr, name: &str) -> Result<TypedExpr, ExprError> {
        let DataType::Struct(fields) = &value.data_type else {
            return Err(self.takes("a field", "a STRUCT", &value));
        };
        let Some((index, field)) = fields.find(name) else {
            let hint = hint(name, fields.iter().map(|field| &**field.name()));
            return Err(self.wrong(format!("there is no field `{name}`; {hint}")));
        };
        let (data_type, nullable) =
            (field.data_type().clone(), value.nullable || field.is_nullable());
        Ok(typed(TypedKind::Field(Box::new(value), index), data_type, nullable))
    }

    /// The one type of all of these. A constant takes the type of the others, if it fits there.
    fn alike<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a TypedExpr>,
    ) -> Result<DataType, ExprError> {
        let parts: Vec<_> = parts.into_iter().collect();
        let (constants, others): (Vec<&TypedExpr>, Vec<&TypedExpr>) =
            parts.into_iter().partition(|part| matches!(part.kind, TypedKind::Literal(_)));
        let mut found = DataType::Null;
        for part in others.iter().chain(&constants) {
            if let TypedKind::Literal(literal) = &part.kind
                && (found != DataType::Null || *literal == Literal::Null)
                && literal.fits(&found)
            {
                continue;
            }
            found = common(&found, &part.data_type).ok_or_else(|| {
                let (one, other) = (types::name(&found), types::name(&part.data_type));
                self.wrong(format!("{one} and {other} have no type in common; cast one of them"))
            })?;
        }
        Ok(found)
    }

    fn takes(&self, operator: &str, wanted: &str, found: &TypedExpr) -> ExprError {
        let found = types::name(&found.data_type);
        self.wrong(format!("{operator} takes {wanted}, and this is {found}"))
    }

    fn wrong(&self, problem: String) -> ExprError {
        ExprError { expr: self.to_string(), column: None, problem }
    }
}

fn typed(kind: TypedKind, data_type: DataType, nullable: bool) -> TypedExpr {
    TypedExpr { kind, data_type, nullable }
}

fn bind_all(arguments: &[Expr], schema: &Schema) -> Result<Vec<TypedExpr>, ExprError> {
    arguments.iter().map(|argument| argument.bind(schema)).collect()
}

impl TypedExpr {
    /// The same value in a type that it can be turned into.
    pub fn into_type(self, to: &DataType) -> TypedExpr {
        match &self.kind {
            _ if self.data_type == *to => self,
            TypedKind::Literal(literal) if literal.fits(to) => {
                typed(self.kind, to.clone(), self.nullable)
            }
            _ => {
                let nullable = self.nullable;
                typed(
                    TypedKind::Cast { value: Box::new(self), or_null: false },
                    to.clone(),
                    nullable,
                )
            }
        }
    }
}

/// Digits and scale of the exact result; of a quotient, at least six digits behind the point.
fn decimal_result(
    (a_digits, a_scale): (u8, i8),
    operator: BinaryOperator,
    (b_digits, b_scale): (u8, i8),
) -> Option<DataType> {
    let (a, b) = (i16::from(a_digits), i16::from(b_digits));
    let (a_scale, b_scale) = (i16::from(a_scale), i16::from(b_scale));
    let scale = match operator {
        BinaryOperator::Multiply => a_scale + b_scale,
        BinaryOperator::Divide => (a_scale + b + 1).max(6),
        _ => a_scale.max(b_scale),
    };
    let whole = match operator {
        BinaryOperator::Multiply => a + b - scale,
        BinaryOperator::Divide => a - a_scale + b_scale,
        BinaryOperator::Modulo => (a - a_scale).min(b - b_scale),
        _ => (a - a_scale).max(b - b_scale) + 1,
    };
    let most = i16::from(DECIMAL_DIGITS_MAX);
    // Of a quotient, digits behind the point make room for those before it.
    let scale = match operator {
        BinaryOperator::Divide => scale.min((most - whole).max(6)),
        _ => scale,
    };
    if scale > most {
        return None;
    }
    let digits = (whole + scale).clamp(1, most);
    Some(DataType::Decimal128(u8::try_from(digits).ok()?, i8::try_from(scale).ok()?))
}

#[cfg(test)]
mod tests;
