//! Aggregates of the rows of each key and window.

use std::fmt;

use arrow_schema::{Field, TimeUnit};

use super::{Operator, Output, errors_of_results, late, only_append, schema_of, timed};
use crate::aggregate::NamedAggregate;
use crate::error::Problem;
use crate::expr::NamedExpr;
use crate::flow::{FlowType, Mode, StateBound, TimeColumn};
use crate::pipeline::Flow;
use crate::types;
use crate::window::Window;

/// The column in which a window begins.
pub const WINDOW_START: &str = "window_start";
/// The column in which a window ends: the first moment that is not in it.
pub const WINDOW_END: &str = "window_end";

/// Computes aggregates for each key and window; a row leaves when its window is final.
///
/// The columns are those of the key, `window_start`, `window_end`, and the aggregates. The event time
/// of a row is the last millisecond of its window.
///
/// On the error output leave such rows too, with a reason: results that do not fit their type (they
/// also leave as rows, and are null there), and, for a record whose key, argument or filter cannot be
/// computed, its key and window with no results. A record without a key is left out; one without an
/// argument does not contribute to that aggregate.
#[derive(Clone, Debug)]
pub struct WindowAggregate {
    /// The windows.
    pub window: Window,
    /// The key; empty for one group of all rows.
    pub key: Vec<NamedExpr>,
    /// What is computed.
    pub aggregates: Vec<NamedAggregate>,
    /// What happens where a result does not fit its type.
    pub overflow: Overflow,
}

/// What happens where a result does not fit its type. Nothing ever wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is null, and the row also leaves on the error output.
    #[default]
    Null,
    /// The job stops, and keeps its last checkpoint.
    Stop,
}

impl Operator for WindowAggregate {
    fn kind(&self) -> &'static str {
        "window"
    }

    fn describe(&self) -> String {
        let aggregates = self.aggregates.iter().map(|a| format!("{} AS {}", a.aggregate, a.name));
        let aggregates = aggregates.collect::<Vec<_>>().join(", ");
        format!("{}{}; {aggregates}", self.window, By(&self.key))
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        let input = inputs[0];
        self.window.check()?;
        only_append(input, "a window")?;
        timed(input, "a window")?;
        let mut fields = key_fields(&self.key, input)?;
        fields.extend(window_fields());
        if self.aggregates.is_empty() {
            return Err(Problem::new(
                "a window computes at least one aggregate, such as `count()`",
            ));
        }
        for NamedAggregate { name, aggregate } in &self.aggregates {
            let bound = aggregate.bind(&input.schema)?;
            fields.push(Field::new(name, bound.data_type, bound.nullable));
        }
        let rows = FlowType {
            schema: schema_of(fields)?,
            mode: Mode::Append,
            time: Some(window_time()),
            of_log: false,
            ..input.clone()
        };
        Ok(Output {
            late: late(input),
            errors: Some(errors_of_results(&rows)),
            state: window_state(&self.window, &self.key),
            ..Output::stateless(rows)
        })
    }
}

/// The key's columns, of types that have an equality.
pub(super) fn key_fields(key: &[NamedExpr], input: &FlowType) -> Result<Vec<Field>, Problem> {
    key.iter()
        .map(|NamedExpr { name, expr }| {
            let bound = expr.bind(&input.schema)?;
            if !types::is_comparable(&bound.data_type) {
                let found = types::name(&bound.data_type);
                return Err(Problem::of_column(
                    name,
                    format!("`{expr}` is {found}, which cannot be a key; use one of its fields"),
                ));
            }
            Ok(Field::new(name, bound.data_type, bound.nullable))
        })
        .collect()
}

/// Where a window begins and ends.
pub(super) fn window_fields() -> [Field; 2] {
    let time = types::timestamp(TimeUnit::Millisecond);
    [Field::new(WINDOW_START, time.clone(), false), Field::new(WINDOW_END, time, false)]
}

/// The event time of what leaves a window: its last millisecond, which is none of the columns.
pub(super) fn window_time() -> TimeColumn {
    TimeColumn { column: None, unit: TimeUnit::Millisecond }
}

/// What bounds the state of a window.
pub(super) fn window_state(window: &Window, key: &[NamedExpr]) -> StateBound {
    StateBound::Windows {
        key: key.iter().map(|column| column.name.clone()).collect(),
        // The newest ones, and one that is over and waits for the watermark.
        windows: window.size().map(|_| window.windows_of_a_row().saturating_add(1)),
    }
}

/// The key, as descriptions show it.
pub(super) struct By<'a>(pub(super) &'a [NamedExpr]);

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, NamedExpr { expr, .. }) in self.0.iter().enumerate() {
            write!(f, "{}{expr}", if i == 0 { " by " } else { ", " })?;
        }
        Ok(())
    }
}

impl Flow {
    /// Begins a computation over windows: who has which key, and what is computed, comes next.
    ///
    /// ```
    /// use std::time::Duration;
    /// use strandline_plan::aggregate::{avg, count};
    /// use strandline_plan::expr::col;
    /// use strandline_plan::window::Window;
    /// # use strandline_plan::pipeline::Flow;
    /// # fn f(readings: Flow) {
    /// let summary = readings
    ///     .window(Window::tumbling(Duration::from_secs(10)))
    ///     .by(["device_id".into()])
    ///     .aggregate([count().into(), avg(col("temperature")).into()]);
    /// # }
    /// ```
    #[must_use]
    pub fn window(&self, window: Window) -> Windowed {
        Windowed { flow: self.clone(), window, key: Vec::new(), overflow: Overflow::default() }
    }
}

/// A computation over windows that is being written; see [`Flow::window`].
#[derive(Clone, Debug)]
pub struct Windowed {
    pub(super) flow: Flow,
    pub(super) window: Window,
    pub(super) key: Vec<NamedExpr>,
    overflow: Overflow,
}

impl Windowed {
    /// For each key of its own. Without it, all rows are one group.
    #[must_use]
    pub fn by(mut self, key: impl IntoIterator<Item = NamedExpr>) -> Self {
        self.key.extend(key);
        self
    }

    /// What happens where a result does not fit its type; [`Overflow::Null`] if nothing is said.
    #[must_use]
    pub fn on_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Computes these of the rows of each key and window.
    #[must_use]
    pub fn aggregate(self, aggregates: impl IntoIterator<Item = NamedAggregate>) -> Flow {
        let Self { flow, window, key, overflow } = self;
        let aggregates = aggregates.into_iter().collect();
        flow.then(WindowAggregate { window, key, aggregates, overflow })
    }
}
