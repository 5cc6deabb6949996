//! Payloads to rows in columns, by a schema that is given at run time.
//!
//! There are two paths, as in the decoder of fixed fields: the strict one defines what is accepted and
//! why not, the fast one reads what is usual, with the same cursor and the same memory of layouts, and
//! leaves the rest to the strict one. That both agree is a property test.

#[cfg(test)]
mod agreement;
mod column;
mod format;
mod kind;
mod number;
mod reason;
mod row;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::DataType;

use self::row::RowColumns;
use crate::batch::{Batch, Origin, Times};
use crate::decode::layout::Layout;
use crate::decode::{DeadReason, scan};
use crate::record::{Offset, Partition};
use crate::time::EventTime;

pub use self::format::JsonFormat;
pub use self::reason::RowReason;

/// Rows of a batch.
pub const ROWS_MAX: usize = 1024;

/// Bytes of payloads after which a batch is full, whatever the number of its rows.
pub const BATCH_PAYLOAD_BYTES: usize = 4 << 20;

/// Bytes of the largest payload that is read: the texts of a column are addressed by 31 bits.
pub const ROW_PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// Reads flat JSON objects into batches of rows.
///
/// A payload is JSON as [`JsonFields`](super::JsonFields) reads it, just as strictly. Each column is
/// read from the field of its name:
///
/// | column | JSON |
/// |---|---|
/// | `BOOLEAN` | `true`, `false` |
/// | integers | an integral number in whatever notation (`5`, `5.0`, `5e3`), read exactly |
/// | `DECIMAL` | a number, read exactly: one whose digits would be lost does not fit |
/// | `FLOAT`, `DOUBLE` | a number, correctly rounded to 32 or 64 bits |
/// | `TEXT` | a string |
/// | `BYTES` | a string in base64 (RFC 4648, section 4), padded |
/// | `DATE` | a string, `2026-11-30` |
/// | `TIMESTAMP` | by its [unit](super::TimeUnit): a number, or a string of RFC 3339 with an offset; years 0 to 9999 |
///
/// Numbers and truth values in strings are not read. What is finer than a timestamp's column is rounded
/// down; milliseconds have to be integral. The event time is not before 1970.
///
/// Null is the same as an absent field: null in the column, if that may be null, and a dead letter
/// otherwise, as it is for the event time and for columns of the key. A text or bytes in the key have
/// 1 to [`KEY_BYTES_MAX`](super::KEY_BYTES_MAX) bytes. Other fields are ignored. Of a repeated field,
/// the last counts.
///
/// Where there are several reasons against a record, it carries the first of: empty or too large, not
/// JSON, the key's in the order in which its columns were named, the time's, those of the other columns
/// in the order of the schema.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_schema::{DataType, Field, Schema, TimeUnit};
/// use strandline_operators::decode::rows::{JsonRows, JsonFormat, RowReason};
/// use strandline_operators::record::{Offset, Partition};
/// use strandline_operators::time::EventTime;
/// use strandline_plan::types::timestamp;
///
/// let schema = Arc::new(Schema::new(vec![
///     Field::new("device", DataType::Utf8, false),
///     Field::new("ts", timestamp(TimeUnit::Millisecond), false),
///     Field::new("price", DataType::Decimal128(6, 2), true),
/// ]));
/// let mut rows = JsonRows::new(JsonFormat::new(schema, "ts")?.key("device")?);
///
/// let row = rows.decode(br#"{"device":"d-1","ts":1730638574123,"price":12.5}"#).unwrap();
/// let watermark = row.time();
/// row.keep(0, Partition(3), Offset(7), watermark);
/// let too_fine = rows.decode(br#"{"device":"d-1","ts":1730638574123,"price":0.005}"#);
/// assert_eq!(too_fine.err(), Some(RowReason::OutOfRange(2)));
///
/// let batch = rows.take().unwrap();
/// assert_eq!(batch.len(), 1);
/// assert_eq!(batch.times().unwrap().millis(0), EventTime::from_millis(1730638574123));
/// assert_eq!(batch.origin().unwrap().offsets, [Offset(7)]);
/// # Ok::<(), strandline_plan::error::Problem>(())
/// ```
#[derive(Clone, Debug)]
pub struct JsonRows {
    format: JsonFormat,
    columns: RowColumns,
    layout: Layout<Option<usize>>,
    /// Whether payloads take the strict path alone.
    is_strict: bool,
    origin: Origin,
    /// Bytes of the payloads of complete rows.
    payload_bytes: usize,
}

impl JsonRows {
    /// One without rows.
    pub fn new(format: JsonFormat) -> JsonRows {
        JsonRows {
            columns: RowColumns::new(&format, ROWS_MAX),
            format,
            layout: Layout::default(),
            is_strict: false,
            origin: Origin::default(),
            payload_bytes: 0,
        }
    }

    /// The same without its fast path: slower, and equal in what it accepts and rejects. For measuring
    /// and for checking.
    #[must_use]
    pub fn strict_only(mut self) -> JsonRows {
        self.is_strict = true;
        self
    }

    /// What it reads.
    pub fn format(&self) -> &JsonFormat {
        &self.format
    }

    /// How many rows were kept since the last batch.
    pub fn len(&self) -> usize {
        self.origin.len()
    }

    /// Whether none was kept since the last batch.
    pub fn is_empty(&self) -> bool {
        self.origin.is_empty()
    }

    /// Whether the batch has to be taken before the next payload is read.
    pub fn is_full(&self) -> bool {
        self.len() >= ROWS_MAX || self.payload_bytes >= BATCH_PAYLOAD_BYTES
    }

    /// Reads one payload. Its row is not in the batch until it is [kept](DecodedRow::keep): the caller
    /// may still find that its time is too far from the log's.
    ///
    /// # Errors
    ///
    /// The reason why the record is a dead letter. Rows that were kept are not touched.
    ///
    /// # Panics
    ///
    /// If the batch [is full](Self::is_full).
    pub fn decode(&mut self, payload: &[u8]) -> Result<DecodedRow<'_>, RowReason> {
        assert!(!self.is_full(), "a full batch is taken before the next payload is read");
        if payload.len() > ROW_PAYLOAD_BYTES_MAX {
            return Err(RowReason::Payload(DeadReason::TooLarge));
        }
        let row = self.len();
        self.columns.begin(row);
        let time = match self.decode_fast(payload) {
            Some(time) => time,
            None => {
                self.columns.begin(row);
                self.columns.decode_strict(payload)?
            }
        };
        Ok(DecodedRow { rows: self, time, payload_bytes: payload.len() })
    }

    fn decode_fast(&mut self, payload: &[u8]) -> Option<EventTime> {
        if self.is_strict {
            return None;
        }
        let (names, values) = self.columns.parts();
        scan::read(names, &mut self.layout, values, payload)?;
        self.columns.complete().ok()
    }

    /// The rows that were kept since the last batch; None if there are none.
    pub fn take(&mut self) -> Option<Batch> {
        let rows = self.len();
        if rows == 0 {
            return None;
        }
        self.columns.begin(rows); // One that was not kept goes.
        let schema = self.format.schema();
        let time = self.format.time();
        let DataType::Timestamp(unit, _) = schema.field(time).data_type() else {
            unreachable!("a format's time column is a timestamp")
        };
        let times = Times::new(self.columns.words(time), *unit);
        let arrays = self.columns.take(&self.format, ROWS_MAX);
        let batch = RecordBatch::try_new(Arc::clone(schema), arrays);
        let batch = batch.expect("columns are made by the schema, of one length");
        self.payload_bytes = 0;
        Some(Batch::new(batch, Some(times), Some(std::mem::take(&mut self.origin))))
    }
}

/// A row that was read and is not in the batch yet: dropped, it never will be.
#[derive(Debug)]
pub struct DecodedRow<'r> {
    rows: &'r mut JsonRows,
    time: EventTime,
    payload_bytes: usize,
}

impl DecodedRow<'_> {
    /// Its event time as progress counts it, not before 1970 and not after the year 9999.
    pub fn time(&self) -> EventTime {
        self.time
    }

    /// Adds it to the batch, with where it was read and the watermark that its partition had then.
    pub fn keep(self, source: u32, partition: Partition, offset: Offset, watermark: EventTime) {
        self.rows.origin.push(source, partition, offset, watermark);
        self.rows.payload_bytes += self.payload_bytes;
    }
}
