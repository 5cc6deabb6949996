//! Records in none of the windows, with their origin and their original bytes: `OUT/late/` and
//! `OUT/dead_letters/`, with the same columns.
//!
//! A late record is in the folder of the window that it came too late for, so that it is beside
//! that window's row. A dead letter may have no event time, so it is in the folder of the date that
//! the log gave it. Both dates are chosen by whoever sent the record: there may be very many, and
//! impossible ones.
//!
//! Times that are not in the years 1970 to 9999 are null: readers have no dates for them, and one
//! such value makes most of them refuse the whole folder. Partition and offset lead to the record in
//! the log, and the payload holds the event time as it was sent.

use std::fmt;
use std::mem::take;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{Int32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::file::properties::{EnabledStatistics, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::rejected::Rejected;
use strandline_operators::time::EventTime;

use super::SinkOptions;
use super::layout::{Layout, int32, int64, timestamp_field, timestamps};
use super::names::{DateFolder, readable_millis};
use super::output_dir::{DEAD_LETTERS, LATE};
use super::rolling::RollingFiles;

/// The files of late records, or of dead letters.
pub type RejectedFiles = RollingFiles<RejectedRecords>;

impl RejectedFiles {
    /// The files of late records. `window_start` says for an event time when the window begins
    /// that the record belongs to.
    pub fn late(
        options: &SinkOptions,
        topic: &str,
        window_start: impl Fn(EventTime) -> EventTime + Send + 'static,
    ) -> RejectedFiles {
        let folder_time = move |record: &Rejected| record.event_time.map(&window_start);
        RollingFiles::new(options, LATE, RejectedRecords::new(topic, folder_time))
    }

    /// The files of dead letters.
    pub fn dead_letters(options: &SinkOptions, topic: &str) -> RejectedFiles {
        let folder_time = |record: &Rejected| record.log_timestamp;
        RollingFiles::new(options, DEAD_LETTERS, RejectedRecords::new(topic, folder_time))
    }
}

type FolderTime = Box<dyn Fn(&Rejected) -> Option<EventTime> + Send>;

/// How rejected records become columns.
pub struct RejectedRecords {
    topic: String,
    folder_time: FolderTime,
    schema: SchemaRef,
}

impl RejectedRecords {
    /// For records of `topic`, each in the folder of the date that `folder_time` gives.
    pub fn new(
        topic: &str,
        folder_time: impl Fn(&Rejected) -> Option<EventTime> + Send + 'static,
    ) -> RejectedRecords {
        let schema = Schema::new(vec![
            Field::new("topic", DataType::Utf8, false),
            Field::new("partition", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            timestamp_field("kafka_timestamp", true),
            timestamp_field("event_time", true),
            Field::new("reason", DataType::Utf8, false),
            Field::new(PAYLOAD, DataType::Binary, true),
        ]);
        RejectedRecords {
            topic: topic.to_owned(),
            folder_time: Box::new(folder_time),
            schema: Arc::new(schema),
        }
    }
}

impl fmt::Debug for RejectedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectedRecords").field("topic", &self.topic).finish_non_exhaustive()
    }
}

const PAYLOAD: &str = "payload";

/// Columns being filled.
#[derive(Debug)]
pub struct RejectedColumns {
    topic: StringBuilder,
    partition: Vec<i32>,
    offset: Vec<i64>,
    kafka_timestamp: Vec<Option<i64>>,
    event_time: Vec<Option<i64>>,
    reason: StringBuilder,
    payload: BinaryBuilder,
}

impl Layout for RejectedRecords {
    type Record = Rejected;
    type Columns = RejectedColumns;

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn tune(&self, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        let column = |name: &str| ColumnPath::from(name);
        properties
            .set_column_dictionary_enabled(column("offset"), false)
            .set_column_dictionary_enabled(column(PAYLOAD), false)
            // Nobody looks for payloads by their order.
            .set_column_statistics_enabled(column(PAYLOAD), EnabledStatistics::None)
    }

    fn columns(&self) -> RejectedColumns {
        // No room before there is a record: there may be very many dates with a record or two.
        RejectedColumns {
            topic: StringBuilder::with_capacity(0, 0),
            partition: Vec::new(),
            offset: Vec::new(),
            kafka_timestamp: Vec::new(),
            event_time: Vec::new(),
            reason: StringBuilder::with_capacity(0, 0),
            payload: BinaryBuilder::with_capacity(0, 0),
        }
    }

    fn folder(&self, record: &Rejected) -> DateFolder {
        (self.folder_time)(record).map_or_else(DateFolder::default, DateFolder::of)
    }

    fn bytes(record: &Rejected) -> usize {
        size_of::<Rejected>() + record.payload.as_ref().map_or(0, Vec::len)
    }

    fn append(&self, columns: &mut RejectedColumns, record: &Rejected) {
        let (Partition(partition), Offset(offset)) = (record.partition, record.offset);
        columns.topic.append_value(&self.topic);
        columns.partition.push(int32(partition));
        columns.offset.push(int64(offset));
        columns.kafka_timestamp.push(record.log_timestamp.and_then(readable_millis));
        columns.event_time.push(record.event_time.and_then(readable_millis));
        columns.reason.append_value(record.rejection.code());
        columns.payload.append_option(record.payload.as_deref());
    }

    fn finish(&self, columns: &mut RejectedColumns) -> RecordBatch {
        let arrays = vec![
            Arc::new(columns.topic.finish()) as _,
            Arc::new(Int32Array::from(take(&mut columns.partition))) as _,
            Arc::new(Int64Array::from(take(&mut columns.offset))) as _,
            timestamps(take(&mut columns.kafka_timestamp)),
            timestamps(take(&mut columns.event_time)),
            Arc::new(columns.reason.finish()) as _,
            Arc::new(columns.payload.finish()) as _,
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).expect("columns as in the schema")
    }
}
