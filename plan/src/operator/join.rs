//! What all joins have in common: whose rows leave, which columns are compared, and which there are.

use std::fmt;
use std::time::Duration;

use arrow_schema::Field;

use super::{AsOfJoin, Bound, IntervalJoin, WindowJoin, after, only_append, schema_of, timed};
use crate::error::Problem;
use crate::expr::{Expr, TypedExpr, col};
use crate::flow::FlowType;
use crate::pipeline::Flow;
use crate::types;
use crate::window::Window;

/// Whose rows leave a join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs.
    #[default]
    Inner,
    /// Pairs, and left rows without one.
    Left,
    /// Pairs, and right rows without one.
    Right,
    /// Pairs, and rows of both sides without one.
    Full,
    /// Left rows that have a pair, each once.
    Semi,
    /// Left rows that have none.
    Anti,
}

impl JoinKind {
    /// Whether the columns of the right side leave.
    pub fn has_right(self) -> bool {
        !matches!(self, Self::Semi | Self::Anti)
    }

    /// Whether left rows without a pair leave beside pairs.
    pub fn keeps_left(self) -> bool {
        matches!(self, Self::Left | Self::Full)
    }

    /// Whether right rows without a pair leave beside pairs.
    pub fn keeps_right(self) -> bool {
        matches!(self, Self::Right | Self::Full)
    }
}

impl fmt::Display for JoinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Right => "right",
            Self::Full => "full",
            Self::Semi => "semi",
            Self::Anti => "anti",
        })
    }
}

/// Expressions that are equal in a pair; null is equal to nothing, and neither is what cannot be
/// computed.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinOn {
    /// Over the left row.
    pub left: Expr,
    /// Over the right row.
    pub right: Expr,
}

impl From<&str> for JoinOn {
    /// A column that both sides have under this name.
    fn from(column: &str) -> Self {
        Self { left: col(column), right: col(column) }
    }
}

impl From<(&str, &str)> for JoinOn {
    /// A column of the left side, and one of the right.
    fn from((left, right): (&str, &str)) -> Self {
        Self { left: col(left), right: col(right) }
    }
}

impl From<(Expr, Expr)> for JoinOn {
    fn from((left, right): (Expr, Expr)) -> Self {
        Self { left, right }
    }
}

impl fmt::Display for JoinOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.left, self.right)
    }
}

/// Whose rows leave, what is compared, and how columns that both sides have are told apart.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinOf {
    /// Whose rows leave.
    pub kind: JoinKind,
    /// What is equal in a pair.
    pub on: Vec<JoinOn>,
    /// Put before the names of the right side's columns.
    pub prefix: String,
}

/// Both sides of what is equal in a pair, in one type.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedOn {
    /// Over the left row.
    pub left: TypedExpr,
    /// Over the right row.
    pub right: TypedExpr,
}

impl JoinOf {
    /// What is compared, with its types.
    ///
    /// # Errors
    ///
    /// If a side cannot be evaluated, or both have no type in common, or one without an equality.
    pub fn bind(&self, left: &FlowType, right: &FlowType) -> Result<Vec<TypedOn>, Problem> {
        if self.on.is_empty() {
            return Err(Problem::new("a join compares at least one column: add `.on([…])`"));
        }
        self.on
            .iter()
            .map(|on| {
                let (l, r) = (on.left.bind(&left.schema)?, on.right.bind(&right.schema)?);
                let Some(common) = types::common(&l.data_type, &r.data_type) else {
                    let (l, r) = (types::name(&l.data_type), types::name(&r.data_type));
                    return Err(Problem::new(format!(
                        "in `{on}`: {l} and {r} have no type in common; cast one of them"
                    )));
                };
                if !types::is_comparable(&common) {
                    let found = types::name(&common);
                    return Err(Problem::new(format!(
                        "in `{on}`: values of {found} have no equality; compare what they are made of"
                    )));
                }
                Ok(TypedOn { left: l.into_type(&common), right: r.into_type(&common) })
            })
            .collect()
    }

    /// The columns of a pair: those of the left side, then those of the right under their prefix.
    ///
    /// Of a column that both sides have and that is compared, there is one.
    ///
    /// # Errors
    ///
    /// If two columns have one name.
    pub fn fields(&self, left: &FlowType, right: &FlowType) -> Result<Vec<Field>, Problem> {
        let mut fields: Vec<Field> = left
            .schema
            .fields()
            .iter()
            .map(|f| Field::clone(f).with_nullable(f.is_nullable() || self.kind.keeps_right()))
            .collect();
        if !self.kind.has_right() {
            return Ok(fields);
        }
        if self.kind.keeps_right() {
            for (l, r) in self.merged_columns(left, right) {
                let (l, r) = (left.schema.field(l), right.schema.field(r));
                if l.data_type() != r.data_type() {
                    let (l_type, r_type) = (types::name(l.data_type()), types::name(r.data_type()));
                    return Err(Problem::of_column(
                        l.name(),
                        format!(
                            "`{}` is {l_type} in the left side and {r_type} in the right, and one column for both; cast one of them, or tell them apart with `.right_prefix(\"right_\")`",
                            l.name()
                        ),
                    ));
                }
            }
        }
        for (_, field) in self.right_columns(right) {
            let name = format!("{}{}", self.prefix, field.name());
            if fields.iter().any(|before| *before.name() == name) {
                return Err(Problem::of_column(
                    &name,
                    format!(
                        "both sides have a column `{name}`; tell them apart with `.right_prefix(\"right_\")`"
                    ),
                ));
            }
            let nullable = field.is_nullable() || self.kind.keeps_left();
            fields.push(Field::clone(field).with_name(name).with_nullable(nullable));
        }
        Ok(fields)
    }

    /// Columns that both sides have and that are one in a pair, by their indices there. A right row
    /// without a pair gives its own.
    pub fn merged_columns(&self, left: &FlowType, right: &FlowType) -> Vec<(usize, usize)> {
        let stay: Vec<usize> = self.right_columns(right).map(|(index, _)| index).collect();
        let merged = right.schema.fields().iter().enumerate().filter(|(r, _)| !stay.contains(r));
        merged
            .filter_map(|(r, field)| Some((left.schema.index_of(field.name()).ok()?, r)))
            .collect()
    }

    /// The columns of the right side that leave, with their indices there: all but those that are
    /// equal to a column of the left side that has their name.
    pub fn right_columns<'a>(
        &self,
        right: &'a FlowType,
    ) -> impl Iterator<Item = (usize, &'a Field)> {
        let same = |name: &str| {
            let column = col(name);
            self.prefix.is_empty()
                && self.on.iter().any(|on| on.left == column && on.right == column)
        };
        let fields = right.schema.fields().iter().map(AsRef::as_ref).enumerate();
        fields.filter(move |(_, field): &(usize, &Field)| !same(field.name()))
    }

    /// The type of what leaves, but for its event time, which is the left side's here.
    pub(super) fn rows(&self, left: &FlowType, right: &FlowType) -> Result<FlowType, Problem> {
        for side in [left, right] {
            only_append(side, "a join")?;
            timed(side, "a join")?;
        }
        self.bind(left, right)?;
        Ok(FlowType {
            schema: schema_of(self.fields(left, right)?)?,
            of_log: false,
            reproducible: left.reproducible && right.reproducible,
            bounded: left.bounded && right.bounded,
            ..left.clone()
        })
    }

    /// What of each side is compared, for descriptions of state.
    pub(super) fn key(&self) -> Vec<String> {
        self.on.iter().map(|on| on.left.to_string()).collect()
    }
}

impl fmt::Display for JoinOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on ", self.kind)?;
        for (i, on) in self.on.iter().enumerate() {
            write!(f, "{}{on}", if i == 0 { "" } else { " AND " })?;
        }
        if self.prefix.is_empty() {
            Ok(())
        } else {
            write!(f, ", right columns {}…", self.prefix)
        }
    }
}

/// A join that is being written; see [`Flow::join`].
#[derive(Clone, Debug)]
pub struct Joining {
    left: Flow,
    right: Flow,
    of: JoinOf,
}

impl Flow {
    /// Begins a join with another flow: what is compared, and within which time, comes next.
    ///
    /// ```
    /// use std::time::Duration;
    /// use strandline_plan::operator::JoinKind;
    /// # use strandline_plan::pipeline::Flow;
    /// # fn f(clicks: Flow, orders: Flow) {
    /// // Each click with the orders of its user in the hour after it.
    /// let hour = Duration::from_secs(3600);
    /// let bought = clicks.join(&orders).on(["user_id".into()]).right_prefix("order_").within(Duration::ZERO, hour);
    /// # }
    /// ```
    #[must_use]
    pub fn join(&self, right: &Flow) -> Joining {
        let of = JoinOf { kind: JoinKind::Inner, on: Vec::new(), prefix: String::new() };
        Joining { left: self.clone(), right: right.clone(), of }
    }
}

impl Joining {
    /// What is equal in a pair.
    #[must_use]
    pub fn on(mut self, on: impl IntoIterator<Item = JoinOn>) -> Self {
        self.of.on.extend(on);
        self
    }

    /// Whose rows leave; [`JoinKind::Inner`] if nothing is said.
    #[must_use]
    pub fn kind(mut self, kind: JoinKind) -> Self {
        self.of.kind = kind;
        self
    }

    /// What is put before the names of the right side's columns.
    #[must_use]
    pub fn right_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.of.prefix = prefix.into();
        self
    }

    /// Pairs are of one window; they leave when it is final.
    #[must_use]
    pub fn window(self, window: Window) -> Flow {
        Flow::join_into(&[&self.left, &self.right], WindowJoin { of: self.of, window })
    }

    /// In a pair, the right row is at least `from` and at most `to` after the left one.
    #[must_use]
    pub fn within(self, from: Duration, to: Duration) -> Flow {
        self.between(after(from), after(to))
    }

    /// In a pair, the right row's time lies between two bounds: constants beside the left row's
    /// time, or columns of the left row.
    #[must_use]
    pub fn between(self, from: Bound, to: Bound) -> Flow {
        Flow::join_into(&[&self.left, &self.right], IntervalJoin { of: self.of, from, to })
    }

    /// A left row's pair is the newest right row at or before its time, at most `tolerance` before
    /// it, if one is given.
    #[must_use]
    pub fn as_of(self, tolerance: Option<Duration>) -> Flow {
        Flow::join_into(&[&self.left, &self.right], AsOfJoin { of: self.of, tolerance })
    }
}
