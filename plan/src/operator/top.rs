//! The first rows of each key and window, in an order.

use arrow_schema::{DataType, Field};

use super::window_aggregate::{By, Windowed, key_fields, window_state, window_time};
use super::{Operator, Output, errors, late, only_append, schema_of, timed};
use crate::error::Problem;
use crate::expr::{Expr, NamedExpr, col};
use crate::flow::FlowType;
use crate::pipeline::Flow;
use crate::types;
use crate::window::Window;

/// Keeps the first rows of each key and window, in an order; they leave when the window is final.
///
/// Rows that the order leaves open are ordered by event time, then by where they come from. All
/// columns of the rows stay; their event time becomes the last millisecond of the window. Rows whose key
/// or order cannot be computed leave on the error output.
#[derive(Clone, Debug)]
pub struct Top {
    /// The windows.
    pub window: Window,
    /// The key; empty for one group of all rows.
    pub key: Vec<NamedExpr>,
    /// The order; none is by event time.
    pub order: Vec<Order>,
    /// How many rows are kept.
    pub limit: u32,
    /// How rows that are equal in the order are counted.
    pub rank: Rank,
    /// The column that the rank becomes, if it becomes one.
    pub rank_column: Option<String>,
    /// Whether those that come last are kept, not those that come first.
    pub last: bool,
}

/// How rows that are equal in the order are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rank {
    /// Each row counts: exactly the limit is kept (SQL's `ROW_NUMBER`).
    #[default]
    Rows,
    /// Equal rows have the number of the first of them, and are all kept (`RANK`).
    Ties,
    /// Equal rows have one number, the next ones the next (`DENSE_RANK`).
    Dense,
}

/// One part of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// What is compared. Null comes last.
    pub expr: Expr,
    /// Which comes first.
    pub direction: Direction,
}

/// Which value comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

/// The least value of this first.
pub fn ascending(expr: Expr) -> Order {
    Order { expr, direction: Direction::Ascending }
}

/// The greatest value of this first.
pub fn descending(expr: Expr) -> Order {
    Order { expr, direction: Direction::Descending }
}

/// Greatest number of rows that are kept for a key and window.
pub const LIMIT_MAX: u32 = 100_000;

impl Operator for Top {
    fn kind(&self) -> &'static str {
        "top"
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "{}{}; {} {}",
            self.window,
            By(&self.key),
            if self.last { "last" } else { "first" },
            self.limit
        );
        for (i, Order { expr, direction }) in self.order.iter().enumerate() {
            let direction = if *direction == Direction::Descending { " DESC" } else { "" };
            text += &format!("{} {expr}{direction}", if i == 0 { " by" } else { "," });
        }
        text + match self.rank {
            Rank::Rows => "",
            Rank::Ties => ", with ties",
            Rank::Dense => ", dense",
        }
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        let input = inputs[0];
        self.window.check()?;
        only_append(input, "a window")?;
        timed(input, "a window")?;
        key_fields(&self.key, input)?;
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(Problem::new(format!(
                "1 to {LIMIT_MAX} rows can be kept, not {}",
                self.limit
            )));
        }
        for Order { expr, .. } in &self.order {
            let bound = expr.bind(&input.schema)?;
            if !types::is_comparable(&bound.data_type) {
                let found = types::name(&bound.data_type);
                return Err(Problem::new(format!("`{expr}` is {found}, which has no order")));
            }
        }
        let mut fields: Vec<Field> =
            input.schema.fields().iter().map(|f| Field::clone(f)).collect();
        if let Some(name) = &self.rank_column {
            fields.push(Field::new(name, DataType::Int64, false));
        }
        let rows = FlowType {
            schema: schema_of(fields)?,
            time: Some(window_time()),
            of_log: false,
            ..input.clone()
        };
        let state = window_state(&self.window, &self.key);
        Ok(Output {
            late: late(input),
            errors: Some(errors(input)),
            state,
            ..Output::stateless(rows)
        })
    }
}

impl Windowed {
    /// Keeps the first `limit` rows of each key and window, in an order.
    #[must_use]
    pub fn top(self, limit: u32, order: impl IntoIterator<Item = Order>) -> Flow {
        self.top_ranked(limit, order, Rank::Rows, None)
    }

    /// The same, counted as `rank` says, and with the rank as a column if it has a name.
    #[must_use]
    pub fn top_ranked(
        self,
        limit: u32,
        order: impl IntoIterator<Item = Order>,
        rank: Rank,
        rank_column: Option<&str>,
    ) -> Flow {
        let Self { flow, window, key, .. } = self;
        let rank_column = rank_column.map(Into::into);
        let order = order.into_iter().collect();
        flow.then(Top { window, key, order, limit, rank, rank_column, last: false })
    }

    /// Keeps the first row by event time of each key and window: later ones are duplicates.
    #[must_use]
    pub fn first_row(self) -> Flow {
        self.row(false)
    }

    /// Keeps the last row by event time of each key and window.
    #[must_use]
    pub fn last_row(self) -> Flow {
        self.row(true)
    }

    fn row(self, last: bool) -> Flow {
        let Self { flow, window, key, .. } = self;
        let top = Top {
            window,
            key,
            order: Vec::new(),
            limit: 1,
            rank: Rank::Rows,
            rank_column: None,
            last,
        };
        flow.then(top)
    }
}

impl Flow {
    /// Drops rows whose key another row of the same window had before, by event time.
    #[must_use]
    pub fn deduplicate<'a>(&self, window: Window, key: impl IntoIterator<Item = &'a str>) -> Flow {
        self.window(window).by(key.into_iter().map(|column| col(column).into())).first_row()
    }
}
