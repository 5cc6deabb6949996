//! A row for each item of a list.

use std::sync::Arc;

use arrow_schema::{DataType, Field};

use super::{Operator, Output, only_append, schema_of};
use crate::error::Problem;
use crate::flow::FlowType;
use crate::pipeline::Flow;
use crate::types;

/// Gives a row for each item of a list, with the item in the place of the list. A row whose list is
/// empty or null gives none.
#[derive(Clone, Debug)]
pub struct Unnest {
    /// The column that holds the list.
    pub column: String,
}

impl Operator for Unnest {
    fn kind(&self) -> &'static str {
        "unnest"
    }

    fn describe(&self) -> String {
        self.column.clone()
    }

    fn check(&self, inputs: &[&FlowType]) -> Result<Output, Problem> {
        let input = inputs[0];
        only_append(input, "unnest")?;
        let bound = crate::expr::col(&self.column).bind(&input.schema)?;
        let DataType::List(item) = &bound.data_type else {
            let found = types::name(&bound.data_type);
            return Err(Problem::of_column(
                &self.column,
                format!("`{}` is {found}, and unnest takes a LIST", self.column),
            ));
        };
        let fields = input.schema.fields().iter().map(|field| match field.name() == &self.column {
            true => Field::new(&self.column, item.data_type().clone(), item.is_nullable()),
            false => Field::clone(field),
        });
        let schema = schema_of(fields.collect())?;
        Ok(Output::stateless(FlowType { schema: Arc::clone(&schema), ..input.clone() }))
    }
}

impl Flow {
    /// Gives a row for each item of a list, with the item in the place of the list.
    #[must_use]
    pub fn unnest(&self, column: impl Into<String>) -> Flow {
        self.then(Unnest { column: column.into() })
    }
}
