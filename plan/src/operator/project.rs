//! Columns computed from those of a row.

use arrow_schema::Field;

use super::{Operator, Output, errors, schema_of};
use crate::error::Problem;
use crate::expr::{Expr, NamedExpr, TypedKind};
use crate::flow::{FlowType, Mode, TimeColumn};
use crate::pipeline::Flow;

/// Makes a row's columns anew. Its event time stays, whether or not it is one of them.
#[derive(Clone, Debug)]
pub struct Project {
    /// The columns, in their order.
    pub columns: Vec<NamedExpr>,
    /// Whether the columns that there are stay before them. One of the same name takes its place.
    pub keep: bool,
}

impl Project {
    /// The columns over a schema, with those that stay.
    pub fn over(&self, schema: &arrow_schema::Schema) -> Vec<NamedExpr> {
        let mut columns: Vec<NamedExpr> = match self.keep {
            true => schema.fields().iter().map(|field| field.name().as_str().into()).collect(),
            false => Vec::new(),
        };
        for column in &self.columns {
            match columns.iter_mut().find(|before| self.keep && before.name == column.name) {
                Some(before) => *before = column.clone(),
                None => columns.push(column.clone()),
            }
        }
        columns
    }
}

impl Operator for Project {
    fn kind(&self) -> &'static str {
        "project"
    }

    fn describe(&self) -> String {
        let columns = self.columns.iter().map(|NamedExpr { name, expr }| match expr {
            Expr::Column(column) if column == name => name.clone(),
            expr => format!("{expr} AS {name}"),
        });
        let keep = if self.keep { "*, " } else { "" };
        format!("{keep}{}", columns.collect::<Vec<_>>().join(", "))
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        let input = inputs[0];
        let columns = self.over(&input.schema);
        if columns.is_empty() {
            return Err(Problem::new("a row has at least one column"));
        }
        let mut fields = Vec::with_capacity(columns.len());
        // What a column of the input is called now, if it is still there as it was.
        let mut kept = Vec::new();
        for NamedExpr { name, expr } in &columns {
            let bound = expr.bind(&input.schema)?;
            if let TypedKind::Column(index) = bound.kind {
                kept.push((input.schema.field(index).name().clone(), name.clone()));
            }
            fields.push(Field::new(name, bound.data_type, bound.nullable));
        }
        let now =
            |column: &String| kept.iter().find(|(was, _)| was == column).map(|(_, is)| is.clone());
        let time = input
            .time
            .as_ref()
            .map(|time| TimeColumn { column: time.column.as_ref().and_then(now), unit: time.unit });
        let mode = match &input.mode {
            Mode::Append => Mode::Append,
            Mode::Changes { key } => {
                let lost = |column: &String| {
                    Problem::of_column(
                        column,
                        format!(
                            "`{column}` is the key by which these rows change, and has to stay"
                        ),
                    )
                };
                let key = key.iter().map(|column| now(column).ok_or_else(|| lost(column)));
                Mode::Changes { key: key.collect::<Result<_, _>>()? }
            }
        };
        let rows = FlowType { schema: schema_of(fields)?, time, mode, ..input.clone() };
        Ok(Output { errors: Some(errors(input)), ..Output::stateless(rows) })
    }
}

impl Flow {
    /// Rows of these columns only: names of columns that there are, or expressions with a name.
    ///
    /// ```
    /// use strandline_plan::expr::{col, lit};
    /// # use strandline_plan::pipeline::Flow;
    /// # fn f(readings: Flow) {
    /// let fahrenheit = readings.select([
    ///     "device_id".into(),
    ///     (col("temperature") * lit(1.8) + lit(32.0)).named("fahrenheit"),
    /// ]);
    /// # }
    /// ```
    #[must_use]
    pub fn select(&self, columns: impl IntoIterator<Item = NamedExpr>) -> Flow {
        self.then(Project { columns: columns.into_iter().collect(), keep: false })
    }

    /// The rows with one more column, or with one that takes the place of another of its name.
    #[must_use]
    pub fn with_column(&self, name: impl Into<String>, expr: Expr) -> Flow {
        self.then(Project { columns: vec![expr.named(name)], keep: true })
    }
}
