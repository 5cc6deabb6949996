//! Pairs of rows that lie within a stretch of time of each other.

use std::fmt;
use std::time::Duration;

use arrow_schema::DataType;

use super::join::JoinOf;
use super::{Operator, Output, late};
use crate::error::Problem;
use crate::expr::Expr;
use crate::flow::{FlowType, StateBound, TimeColumn};
use crate::types;

/// Pairs rows that are equal in what is compared, where the right one's time lies between two bounds.
///
/// A pair leaves at once, and has the left row's time. A row without a pair, where such leave, does so
/// when no pair can come any more.
#[derive(Clone, Debug)]
pub struct IntervalJoin {
    /// Whose rows leave, and what is compared.
    pub of: JoinOf,
    /// The earliest time of the right row.
    pub from: Bound,
    /// The latest time of the right row.
    pub to: Bound,
}

/// A time that belongs to a left row.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Its own time, and so much later.
    After(Duration),
    /// Its own time, and so much earlier.
    Before(Duration),
    /// What an expression over it gives: a timestamp. Where that is null or cannot be computed, the row
    /// has no pair. Only the latest time can be one: with an earliest time of the left row's own
    /// choosing, every right row would have to be kept for ever.
    At(Expr),
}

/// So much later than the left row.
pub fn after(length: Duration) -> Bound {
    Bound::After(length)
}

/// So much earlier than the left row.
pub fn before(length: Duration) -> Bound {
    Bound::Before(length)
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(length) => write!(f, "left + {length:?}"),
            Self::Before(length) => write!(f, "left - {length:?}"),
            Self::At(expr) => write!(f, "{expr}"),
        }
    }
}

impl Bound {
    /// How far after the left row it is, in milliseconds, if that is a constant.
    fn millis(&self) -> Option<i64> {
        match self {
            Self::After(length) => i64::try_from(length.as_millis()).ok(),
            Self::Before(length) => i64::try_from(length.as_millis()).ok().map(|ms| -ms),
            Self::At(_) => None,
        }
    }

    fn check(&self, left: &FlowType) -> Result<(), Problem> {
        let length = match self {
            Self::At(expr) => {
                let bound = expr.bind(&left.schema)?;
                return match bound.data_type {
                    DataType::Timestamp(..) => Ok(()),
                    other => Err(Problem::new(format!(
                        "the bound `{expr}` is {}, and has to be a TIMESTAMP of the left row",
                        types::name(&other)
                    ))),
                };
            }
            Self::After(length) | Self::Before(length) => length,
        };
        if length.subsec_nanos() % 1_000_000 != 0 || i64::try_from(length.as_millis()).is_err() {
            return Err(Problem::new(format!(
                "a bound is a whole number of milliseconds, not {length:?}"
            )));
        }
        Ok(())
    }
}

impl Operator for IntervalJoin {
    fn kind(&self) -> &'static str {
        "join"
    }

    fn describe(&self) -> String {
        format!("{}; right between {} and {}", self.of, self.from, self.to)
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        let mut rows = self.of.rows(inputs[0], inputs[1])?;
        if self.of.kind.keeps_right()
            && let (Some(left), Some(right)) = (&inputs[0].time, &inputs[1].time)
        {
            // A right row without a pair has its own time, which is in no column of the left side.
            let unit = types::finer(left.unit, right.unit);
            rows.time = Some(TimeColumn { column: None, unit });
        }
        if let Bound::At(expr) = &self.from {
            return Err(Problem::new(format!(
                "the earliest time of the right row is `{expr}`, so right rows would be kept for ever; use a constant, such as `before(…)`, and filter by `{expr}` behind the join"
            )));
        }
        self.from.check(inputs[0])?;
        self.to.check(inputs[0])?;
        let mut span = None;
        if let (Some(from), Some(to)) = (self.from.millis(), self.to.millis()) {
            if from > to {
                return Err(Problem::new(format!(
                    "no time lies between {} and {}; exchange them",
                    self.from, self.to
                )));
            }
            span = Some(Duration::from_millis(to.abs_diff(from)));
        }
        Ok(Output {
            late: late(inputs[0]),
            late_right: late(inputs[1]),
            state: StateBound::UntilOtherSide { span },
            ..Output::stateless(rows)
        })
    }
}
