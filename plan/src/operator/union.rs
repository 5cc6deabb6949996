//! The rows of several flows as one.

use arrow_schema::Field;

use super::{Operator, Output, errors_of_results, only_append, schema_of};
use crate::error::Problem;
use crate::flow::{FlowType, TimeColumn};
use crate::pipeline::Flow;
use crate::types;

/// All rows of all inputs. Their columns have the same names in the same order.
///
/// Columns take the type that both have in common; a row with a value, or an event time, beyond that (a
/// date that nanoseconds cannot hold) leaves on the error output.
#[derive(Clone, Debug)]
pub struct Union;

impl Operator for Union {
    fn kind(&self) -> &'static str {
        "union"
    }

    fn describe(&self) -> String {
        "all rows".into()
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        let Some((first, others)) = inputs.split_first() else {
            return Err(Problem::new("a union has at least one input"));
        };
        only_append(first, "union")?;
        let mut rows = (*first).clone();
        for (i, other) in others.iter().enumerate() {
            let input = i + 2;
            only_append(other, "union")?;
            let names = |flow: &FlowType| -> Vec<String> {
                flow.schema.fields().iter().map(|field| field.name().clone()).collect()
            };
            if names(first) != names(other) {
                return Err(Problem::new(format!(
                    "input {input} has the columns {}, and the first {}; make them alike with `.select(…)`",
                    names(other).join(", "),
                    names(first).join(", ")
                )));
            }
            let mut fields = Vec::new();
            for (field, more) in rows.schema.fields().iter().zip(other.schema.fields()) {
                let Some(common) = types::common(field.data_type(), more.data_type()) else {
                    let (one, other) =
                        (types::name(field.data_type()), types::name(more.data_type()));
                    return Err(Problem::of_column(
                        field.name(),
                        format!(
                            "`{}` is {one} in the first input and {other} in input {input}; cast one of them",
                            field.name()
                        ),
                    ));
                };
                let nullable = field.is_nullable() || more.is_nullable();
                fields.push(Field::new(field.name(), common, nullable));
            }
            rows.schema = schema_of(fields)?;
            rows.time = match (&rows.time, &other.time) {
                (Some(a), Some(b)) => Some(TimeColumn {
                    column: a.column.clone().filter(|column| b.column.as_ref() == Some(column)),
                    unit: types::finer(a.unit, b.unit),
                }),
                (None, None) => None,
                _ => {
                    return Err(Problem::new(format!(
                        "the first input {}, and input {input} {}; only rows that both have event time, or both have none, become one flow",
                        time_or_none(&rows),
                        time_or_none(other)
                    )));
                }
            };
            // Rows of a log can be late and rows behind state cannot: with both, each keeps what it is.
            rows.of_log |= other.of_log;
            rows.reproducible &= other.reproducible;
            rows.bounded &= other.bounded;
        }
        // A date or a time of a coarse unit may be beyond what a finer one can hold.
        let same = |input: &&FlowType| {
            let mut fields = input.schema.fields().iter().zip(rows.schema.fields());
            let unit = |flow: &FlowType| flow.time.as_ref().map(|time| time.unit);
            fields.all(|(one, other)| one.data_type() == other.data_type())
                && unit(input) == unit(&rows)
        };
        let errors = (!inputs.iter().all(same)).then(|| errors_of_results(&rows));
        Ok(Output { errors, ..Output::stateless(rows) })
    }
}

fn time_or_none(flow: &FlowType) -> &'static str {
    if flow.time.is_some() { "has event time" } else { "has none" }
}

impl Flow {
    /// All rows of this flow and of others with the same columns.
    #[must_use]
    pub fn union(&self, others: &[&Flow]) -> Flow {
        Flow::join_into(&[&[self], others].concat(), Union)
    }
}
