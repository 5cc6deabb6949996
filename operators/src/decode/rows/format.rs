//! What the fields of a payload are: a schema, which column is the time, which are the key.

use arrow_schema::{DataType, SchemaRef};
use strandline_plan::error::Problem;
use strandline_plan::types;

use super::kind::Kind;
use crate::decode::TimeUnit;

/// Which columns are read from the fields of flat JSON objects: each from the field of its name.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_schema::{DataType, Field, Schema, TimeUnit};
/// use strandline_operators::decode::{self, rows::JsonFormat};
/// use strandline_plan::types::timestamp;
///
/// let schema = Arc::new(Schema::new(vec![
///     Field::new("device_id", DataType::Utf8, false),
///     Field::new("at", timestamp(TimeUnit::Millisecond), false),
///     Field::new("temperature", DataType::Float64, true),
/// ]));
/// let format = JsonFormat::new(schema, "at")?.key("device_id")?;
/// let format = format.time_unit("at", decode::TimeUnit::Rfc3339)?;
/// assert_eq!(format.describe(), "JSON with device_id TEXT key, at TIMESTAMP(3) time in rfc3339, \
///     temperature DOUBLE");
/// # Ok::<(), strandline_plan::error::Problem>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct JsonFormat {
    schema: SchemaRef,
    time: usize,
    keys: Vec<usize>,
    kinds: Vec<Kind>,
}

impl JsonFormat {
    /// Rows of these columns; `time` is the one with the event time. Timestamps are numbers of
    /// milliseconds since 1970, unless [`time_unit`](Self::time_unit) says otherwise.
    ///
    /// # Errors
    ///
    /// If two columns have one name, one is of a type that is not read from JSON, or the time is not a
    /// timestamp.
    pub fn new(schema: SchemaRef, time: &str) -> Result<JsonFormat, Problem> {
        let mut kinds = Vec::with_capacity(schema.fields().len());
        for (index, field) in schema.fields().iter().enumerate() {
            if schema.fields()[..index].iter().any(|other| other.name() == field.name()) {
                let text = "two columns have this name: rename one";
                return Err(Problem::of_column(field.name(), text));
            }
            let kind = Kind::of(field.data_type()).ok_or_else(|| {
                let text = format!(
                    "{} is not read from JSON: use a boolean, a number, TEXT, BYTES, DATE or TIMESTAMP",
                    types::name(field.data_type())
                );
                Problem::of_column(field.name(), text)
            })?;
            kinds.push(kind);
        }
        let mut format = JsonFormat { schema, time: 0, keys: Vec::new(), kinds };
        format.time = format.column(time)?;
        format.is_time(format.time)?;
        Ok(format)
    }

    /// The same, with one more column of the key: a row without it is a dead letter.
    ///
    /// # Errors
    ///
    /// If there is no such column.
    pub fn key(mut self, column: &str) -> Result<JsonFormat, Problem> {
        let column = self.column(column)?;
        if !self.keys.contains(&column) {
            self.keys.push(column);
        }
        Ok(self)
    }

    /// The same, with the values of a timestamp in another unit. What is finer than the column is
    /// rounded down.
    ///
    /// # Errors
    ///
    /// If there is no such column, or it is no timestamp.
    pub fn time_unit(mut self, column: &str, unit: TimeUnit) -> Result<JsonFormat, Problem> {
        let column = self.column(column)?;
        self.is_time(column)?;
        self.kinds[column] = self.kinds[column].in_time_unit(unit);
        Ok(self)
    }

    /// The columns of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The number of the column with the event time.
    pub fn time(&self) -> usize {
        self.time
    }

    /// The numbers of the columns of the key, in the order in which they were named.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// What is read, in words: state of another format belongs to another job.
    pub fn describe(&self) -> String {
        let columns = self.schema.fields().iter().enumerate().map(|(index, field)| {
            let key = if self.keys.contains(&index) { " key" } else { "" };
            let time = if index == self.time { " time" } else { "" };
            let unit = match self.kinds[index].unit() {
                None | Some(TimeUnit::Milliseconds) => String::new(),
                Some(unit) => format!(" in {unit}"),
            };
            format!("{} {}{key}{time}{unit}", field.name(), types::name(field.data_type()))
        });
        format!("JSON with {}", columns.collect::<Vec<_>>().join(", "))
    }

    pub(super) fn kind(&self, column: usize) -> Kind {
        self.kinds[column]
    }

    fn column(&self, name: &str) -> Result<usize, Problem> {
        self.schema.index_of(name).map_err(|_| {
            let names: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
            let text = format!("there is no such column: there are {}", names.join(", "));
            Problem::of_column(name, text)
        })
    }

    fn is_time(&self, column: usize) -> Result<(), Problem> {
        let field = self.schema.field(column);
        if matches!(field.data_type(), DataType::Timestamp(..)) {
            return Ok(());
        }
        let text = format!("it is {}: make it a TIMESTAMP column", types::name(field.data_type()));
        Err(Problem::of_column(field.name(), text))
    }
}
