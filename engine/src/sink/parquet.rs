//! Final rows as Parquet: `OUT/parquet/date=YYYY-MM-DD/…`, by the date of the window's start.
//!
//! Columns: the key, `window_start` and `window_end`, the aggregates' columns, and `partitions`,
//! which lists the records that the row covers. A reader needs nothing of ours to read them.

use std::marker::PhantomData;
use std::mem::replace;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_array::{ArrayRef, Int32Array, Int64Array, ListArray, RecordBatch, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::window::Row;

use super::SinkOptions;
use super::layout::{Layout, int32, int64, timestamp_field, timestamps};
use super::names::{DateFolder, readable_millis_at_most};
use super::output_dir::FINAL_ROWS;
use super::rolling::RollingFiles;
use crate::table::{Cell, Cells, ColumnType, Table};

/// The files of final rows.
pub type FinalRowsFiles<O> = RollingFiles<FinalRows<O>>;

impl<O: Cells + Serialize + DeserializeOwned + 'static> FinalRowsFiles<O> {
    /// The files in `OUT/parquet`. There is none before there is a row.
    ///
    /// # Panics
    ///
    /// As [`FinalRows::new`].
    pub fn open(options: &SinkOptions, table: &Table) -> FinalRowsFiles<O> {
        RollingFiles::new(options, FINAL_ROWS, FinalRows::new(table))
    }
}

/// How final rows become columns.
#[derive(Debug)]
pub struct FinalRows<O> {
    schema: SchemaRef,
    span_fields: Fields,
    span_field: Arc<Field>,
    types: Vec<ColumnType>,
    row: PhantomData<fn(O)>,
}

impl<O: Cells> FinalRows<O> {
    /// For rows with the names of `table`.
    ///
    /// # Panics
    ///
    /// If `table` was not made for `O`, or two columns have the same name.
    pub fn new(table: &Table) -> FinalRows<O> {
        let types: Vec<ColumnType> = table.columns.iter().map(|(_, column)| *column).collect();
        assert_eq!(types, O::types(), "the table is that of the rows");
        let span_fields = Fields::from(vec![
            Field::new("partition", DataType::Int32, false),
            Field::new("first_offset", DataType::Int64, false),
            Field::new("last_offset", DataType::Int64, false),
        ]);
        // The name that the Parquet format gives to what is in a list.
        let span_field =
            Arc::new(Field::new("element", DataType::Struct(span_fields.clone()), false));
        let mut fields = vec![
            Field::new(&table.key, DataType::Utf8, false),
            timestamp_field("window_start", false),
            timestamp_field("window_end", false),
        ];
        fields.extend(table.columns.iter().map(|(name, column)| match column {
            ColumnType::Int => Field::new(name, DataType::Int64, false),
            ColumnType::Float => Field::new(name, DataType::Float64, true),
        }));
        fields.push(Field::new(PARTITIONS, DataType::List(Arc::clone(&span_field)), false));
        for (index, field) in fields.iter().enumerate() {
            let before = fields[..index].iter().any(|other| other.name() == field.name());
            assert!(!before, "two columns are called `{}`", field.name());
        }
        let schema = Arc::new(Schema::new(fields));
        FinalRows { schema, span_fields, span_field, types, row: PhantomData }
    }
}

const PARTITIONS: &str = "partitions";

/// Columns being filled. Plain vectors where nothing is ever null: appending to them is all that
/// a row costs.
#[derive(Debug)]
pub struct FinalRowColumns {
    key: StringBuilder,
    window_start: Vec<i64>,
    window_end: Vec<i64>,
    cells: Vec<CellColumn>,
    /// Where in the columns below each row's spans end.
    span_ends: Vec<i32>,
    partition: Vec<i32>,
    first_offset: Vec<i64>,
    last_offset: Vec<i64>,
    /// The cells of one row, kept for its memory.
    row: Vec<Cell>,
}

#[derive(Debug)]
enum CellColumn {
    Int(Vec<i64>),
    Float(Float64Builder),
}

/// Takes a column, and leaves room for as many values: the next batch has about as many rows.
fn taken<T>(column: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(column.len());
    replace(column, room)
}

impl<O: Cells + Serialize + DeserializeOwned + 'static> Layout for FinalRows<O> {
    type Record = Row<O>;
    type Columns = FinalRowColumns;

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn tune(&self, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        // Values that hardly repeat: a dictionary would cost more than it saves.
        let fields = self.schema.fields().iter();
        let floats = fields.filter(|field| field.data_type() == &DataType::Float64);
        let offset = |name: &str| {
            ColumnPath::from([PARTITIONS, "list", "element", name].map(str::to_owned).to_vec())
        };
        let properties = floats.fold(properties, |properties, field| {
            let column = ColumnPath::from(vec![field.name().clone()]);
            properties.set_column_dictionary_enabled(column, false)
        });
        // Offsets and windows are near each other, or equal. As differences they are small before they
        // are compressed, and offsets are not compressed any further.
        let times = ["window_start", "window_end"].map(|name| ColumnPath::from(name.to_owned()));
        let offsets = ["first_offset", "last_offset"].map(offset);
        let properties = offsets.iter().fold(properties, |properties, column| {
            properties.set_column_compression(column.clone(), Compression::UNCOMPRESSED)
        });
        times.into_iter().chain(offsets).fold(properties, |properties, column| {
            properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED)
        })
    }

    fn columns(&self) -> FinalRowColumns {
        let column = |column: &ColumnType| match column {
            ColumnType::Int => CellColumn::Int(Vec::new()),
            ColumnType::Float => CellColumn::Float(Float64Builder::with_capacity(0)),
        };
        FinalRowColumns {
            key: StringBuilder::with_capacity(0, 0),
            window_start: Vec::new(),
            window_end: Vec::new(),
            cells: self.types.iter().map(column).collect(),
            span_ends: vec![0],
            partition: Vec::new(),
            first_offset: Vec::new(),
            last_offset: Vec::new(),
            row: Vec::new(),
        }
    }

    fn folder(&self, row: &Row<O>) -> DateFolder {
        DateFolder::of(row.window.start)
    }

    fn bytes(row: &Row<O>) -> usize {
        size_of::<Row<O>>() + row.key.len() + size_of_val(row.spans.as_slice())
    }

    fn append(&self, columns: &mut FinalRowColumns, row: &Row<O>) {
        columns.key.append_value(&row.key);
        columns.window_start.push(row.window.start.as_millis());
        // The last window of the year 9999 ends on a date that many readers do not have.
        columns.window_end.push(readable_millis_at_most(row.window.end));
        columns.row.clear();
        row.output.append_to(&mut columns.row);
        assert_eq!(columns.row.len(), columns.cells.len(), "a row has a cell for each column");
        for (column, cell) in columns.cells.iter_mut().zip(&columns.row) {
            match (column, cell) {
                (CellColumn::Int(column), Cell::Int(value)) => column.push(*value),
                (CellColumn::Float(column), Cell::Float(value)) => column.append_option(*value),
                (column, cell) => unreachable!("{cell:?} is not a cell of {column:?}"),
            }
        }
        for span in &row.spans {
            let Partition(partition) = span.partition;
            let (Offset(first), Offset(last)) = (span.first, span.last);
            columns.partition.push(int32(partition));
            columns.first_offset.push(int64(first));
            columns.last_offset.push(int64(last));
        }
        let spans = i32::try_from(columns.partition.len()).expect("a batch is small");
        columns.span_ends.push(spans);
    }

    fn finish(&self, columns: &mut FinalRowColumns) -> RecordBatch {
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(columns.key.finish()),
            timestamps(taken(&mut columns.window_start)),
            timestamps(taken(&mut columns.window_end)),
        ];
        arrays.extend(columns.cells.iter_mut().map(|column| -> ArrayRef {
            match column {
                CellColumn::Int(column) => Arc::new(Int64Array::from(taken(column))),
                CellColumn::Float(column) => Arc::new(column.finish()),
            }
        }));
        let spans: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(taken(&mut columns.partition))),
            Arc::new(Int64Array::from(taken(&mut columns.first_offset))),
            Arc::new(Int64Array::from(taken(&mut columns.last_offset))),
        ];
        let ends = taken(&mut columns.span_ends);
        columns.span_ends.push(0);
        arrays.push(Arc::new(ListArray::new(
            Arc::clone(&self.span_field),
            OffsetBuffer::new(ScalarBuffer::from(ends)),
            Arc::new(StructArray::new(self.span_fields.clone(), spans, None)),
            None,
        )));
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).expect("columns as in the schema")
    }
}
