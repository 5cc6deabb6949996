//! What differs between the files of one sink and those of another.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use parquet::file::properties::WriterPropertiesBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::names::DateFolder;

/// How records of one kind become columns, and in which folder they are. All else about files is
/// the same for all kinds.
pub trait Layout: Send + 'static {
    /// A record.
    type Record: Serialize + DeserializeOwned + Send + 'static;
    /// Columns being filled.
    type Columns: Send + 'static;

    /// The columns' names and types.
    fn schema(&self) -> &SchemaRef;

    /// Sets what is special about the encoding of these columns.
    fn tune(&self, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder;

    /// Columns without a record.
    fn columns(&self) -> Self::Columns;

    /// Where a record belongs.
    fn folder(&self, record: &Self::Record) -> DateFolder;

    /// How many bytes a record takes in memory, roughly.
    fn bytes(record: &Self::Record) -> usize;

    /// Appends a record. Called for each one: no allocation but for the columns' growth.
    fn append(&self, columns: &mut Self::Columns, record: &Self::Record);

    /// Takes all records out of `columns`.
    fn finish(&self, columns: &mut Self::Columns) -> RecordBatch;
}

const UTC: &str = "UTC";

/// A column of times of the world.
pub(super) fn timestamp_field(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())), nullable)
}

/// The values of such a column.
pub(super) fn timestamps(values: impl Into<TimestampMillisecondArray>) -> ArrayRef {
    Arc::new(values.into().with_timezone(UTC))
}

/// A number as Parquet readers take it everywhere: signed. Kafka's offsets are.
pub(super) fn int64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As [`int64`], for partitions.
pub(super) fn int32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
