//! Reads a job's outputs back and holds them against what they must be.
//!
//! The judge reads the files as any other reader would: by their names, and through the Parquet
//! library. It shares nothing with the code that wrote them.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    StructArray, TimestampMillisecondArray,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use strandline_engine::store::{Directory, EntryKind};

use crate::oracle::{OracleRow, Outcome};

/// What a value column of the final rows holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The number of records.
    Count,
    /// The average of a metric, by its index.
    Average(usize),
    /// The least of a metric, by its index.
    Min(usize),
    /// The greatest of a metric, by its index.
    Max(usize),
}

/// The value columns of the main job.
pub const MAIN_JOB: [(&str, Expected); 5] = [
    ("count", Expected::Count),
    ("avg_temperature", Expected::Average(0)),
    ("avg_humidity", Expected::Average(1)),
    ("min_battery", Expected::Min(2)),
    ("max_battery", Expected::Max(2)),
];

/// A final row as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundRow {
    /// The key.
    pub key: String,
    /// The first millisecond of its window.
    pub window_start_ms: i64,
    /// The first millisecond after its window.
    pub window_end_ms: i64,
    /// The value columns, in the order asked for; a count is exact as a float below 2^53.
    pub values: Vec<Option<f64>>,
    /// Partition, first and last offset.
    pub spans: Vec<(i32, i64, i64)>,
}

/// A rejected record as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRejected {
    /// The topic.
    pub topic: String,
    /// The log's timestamp, in milliseconds.
    pub timestamp_ms: Option<i64>,
    /// Why.
    pub reason: String,
    /// The original bytes.
    pub payload: Option<Vec<u8>>,
}

/// All rows in an output directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The final rows by window and key.
    pub rows: BTreeMap<(i64, String), FoundRow>,
    /// Late records by partition and offset.
    pub late: BTreeMap<(i32, i64), FoundRejected>,
    /// Dead letters by partition and offset.
    pub dead: BTreeMap<(i32, i64), FoundRejected>,
    /// How many files they were in.
    pub files: usize,
}

impl Found {
    /// Reads everything visible in the output directory `out`, with the named value columns.
    ///
    /// # Errors
    ///
    /// A line that says what is wrong: a file that cannot be read, a column that is missing, a row
    /// in the folder of another date, or one that is there twice.
    pub fn read(out: &Path, columns: &[(&str, Expected)]) -> Result<Found, String> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        Found::read_in(&Directory::local(out), &names)
    }

    /// The same, of a directory on whatever disk.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_in(out: &Directory, columns: &[&str]) -> Result<Found, String> {
        let mut found = Found::default();
        found.add(out, columns, "")?;
        Ok(found)
    }

    fn add(&mut self, out: &Directory, columns: &[&str], job: &str) -> Result<(), String> {
        let found = self;
        for (date, batch) in batches(out, "parquet", job, &mut found.files)? {
            let (keys, starts, ends) = (
                strings(&batch, 0)?,
                times(named(&batch, "window_start")?)?,
                times(named(&batch, "window_end")?)?,
            );
            let spans = named(&batch, "partitions")?;
            for index in 0..batch.num_rows() {
                let (key, start) = (keys.value(index).to_owned(), starts.value(index));
                in_folder(&date, Some(start))?;
                let values = columns
                    .iter()
                    .map(|name| value(named(&batch, name)?, index))
                    .collect::<Result<_, String>>()?;
                let row = FoundRow {
                    key: key.clone(),
                    window_start_ms: start,
                    window_end_ms: ends.value(index),
                    values,
                    spans: span_list(spans, index)?,
                };
                if found.rows.insert((start, key.clone()), row).is_some() {
                    return Err(format!("two final rows for {key} in the window at {start}"));
                }
            }
        }
        rejected(out, "late", job, &mut found.files, &mut found.late)?;
        rejected(out, "dead_letters", job, &mut found.files, &mut found.dead)
    }

    /// The same, of all places where the processes of a job put their rows. Of files only those count
    /// that `job` wrote, by their names.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); also a row that is in two places.
    pub fn read_all(outs: &[Directory], columns: &[&str], job: &str) -> Result<Found, String> {
        let mut all = Found::default();
        for out in outs {
            all.add(out, columns, job)?;
        }
        Ok(all)
    }

    /// Holds what was found against what must be there. Averages are compared to 1e-9 of their
    /// size, all else exactly.
    ///
    /// # Errors
    ///
    /// The first difference, in a line.
    pub fn compare(&self, expected: &Outcome, columns: &[(&str, Expected)]) -> Result<(), String> {
        for row in &expected.rows {
            let found = self.rows.get(&(row.window_start_ms, row.key.clone()));
            let found =
                found.ok_or_else(|| format!("{} {}: no row", row.key, row.window_start_ms))?;
            compare_row(found, row, columns)?;
        }
        if self.rows.len() != expected.rows.len() {
            return Err(format!("{} rows, not {}", self.rows.len(), expected.rows.len()));
        }
        let late = expected.late.keys().map(|place| (*place, "late"));
        compare_rejected(&self.late, late.collect())?;
        compare_rejected(
            &self.dead,
            expected.dead.iter().map(|(place, code)| (*place, *code)).collect(),
        )
    }
}

fn compare_row(
    found: &FoundRow,
    row: &OracleRow,
    columns: &[(&str, Expected)],
) -> Result<(), String> {
    let place = format!("{} {}", row.key, row.window_start_ms);
    if found.window_end_ms != row.window_end_ms {
        return Err(format!("{place}: ends at {}", found.window_end_ms));
    }
    let spans: Vec<(i32, i64, i64)> = row
        .spans
        .iter()
        .map(|span| {
            (span.partition.cast_signed(), span.first.cast_signed(), span.last.cast_signed())
        })
        .collect();
    if found.spans != spans {
        return Err(format!("{place}: covers {:?}, not {spans:?}", found.spans));
    }
    for ((name, expected), found) in columns.iter().zip(&found.values) {
        let value = match expected {
            Expected::Count => Some(row.count as f64),
            Expected::Average(metric) => row.metrics[*metric].average,
            Expected::Min(metric) => row.metrics[*metric].min,
            Expected::Max(metric) => row.metrics[*metric].max,
        };
        let near = match (expected, *found, value) {
            (Expected::Average(_), Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs(),
            (_, a, b) => a.map(f64::to_bits) == b.map(f64::to_bits),
        };
        if !near {
            return Err(format!("{place}: {name} is {found:?}, not {value:?}"));
        }
    }
    Ok(())
}

fn compare_rejected(
    found: &BTreeMap<(i32, i64), FoundRejected>,
    expected: BTreeMap<(u32, u64), &str>,
) -> Result<(), String> {
    let found: BTreeMap<(u32, u64), &str> = found
        .iter()
        .map(|((p, o), record)| ((p.cast_unsigned(), o.cast_unsigned()), record.reason.as_str()))
        .collect();
    match expected.iter().find(|(place, reason)| found.get(*place) != Some(*reason)) {
        Some((place, reason)) => Err(format!("{place:?}: {:?}, not {reason}", found.get(place))),
        None if found.len() != expected.len() => {
            let surplus = found.iter().find(|(place, _)| !expected.contains_key(*place));
            Err(format!("rejected, but should not be: {surplus:?}"))
        }
        None => Ok(()),
    }
}

fn rejected(
    out: &Directory,
    folder: &str,
    job: &str,
    files: &mut usize,
    all: &mut BTreeMap<(i32, i64), FoundRejected>,
) -> Result<(), String> {
    for (_, batch) in batches(out, folder, job, files)? {
        let partitions: &Int32Array = typed(named(&batch, "partition")?)?;
        let offsets: &Int64Array = typed(named(&batch, "offset")?)?;
        let topics: &StringArray = typed(named(&batch, "topic")?)?;
        let reasons: &StringArray = typed(named(&batch, "reason")?)?;
        let payloads: &BinaryArray = typed(named(&batch, "payload")?)?;
        let timestamps = times(named(&batch, "kafka_timestamp")?)?;
        for index in 0..batch.num_rows() {
            let place = (partitions.value(index), offsets.value(index));
            let record = FoundRejected {
                topic: topics.value(index).to_owned(),
                timestamp_ms: timestamps.is_valid(index).then(|| timestamps.value(index)),
                reason: reasons.value(index).to_owned(),
                payload: payloads.is_valid(index).then(|| payloads.value(index).to_vec()),
            };
            if all.insert(place, record).is_some() {
                return Err(format!("{folder}: {place:?} is there twice"));
            }
        }
    }
    Ok(())
}

/// The rows of all visible Parquet files of `job` in `out/folder/date=…/`, with the name of their
/// folder.
fn batches(
    out: &Directory,
    folder: &str,
    job: &str,
    files: &mut usize,
) -> Result<Vec<(String, RecordBatch)>, String> {
    let folder = out.subdirectory(folder).map_err(text)?;
    let mut batches = Vec::new();
    let dates = folder.list().map_err(text)?.into_iter();
    for date in dates.filter(|date| !date.name.starts_with('.')) {
        if date.kind != EntryKind::Directory {
            return Err(format!("{}: not a folder", date.name));
        }
        let directory = folder.subdirectory(&date.name).map_err(text)?;
        let visible = directory.list().map_err(text)?.into_iter();
        let is_of_job = |name: &str| !name.starts_with('.') && name.contains(job);
        for file in visible.filter(|file| is_of_job(&file.name)) {
            *files += 1;
            let bytes = directory.read(&file.name).map_err(text)?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
                .and_then(ParquetRecordBatchReaderBuilder::build)
                .map_err(|error| format!("{}: {error}", file.name))?;
            for batch in reader {
                batches.push((date.name.clone(), batch.map_err(text)?));
            }
        }
    }
    Ok(batches)
}

fn in_folder(folder: &str, time_ms: Option<i64>) -> Result<(), String> {
    let day = time_ms.map_or(0, |millis| millis.div_euclid(86_400_000));
    let date = civil_date(day);
    if folder == format!("date={date}") {
        Ok(())
    } else {
        Err(format!("a row of {date} is in {folder}"))
    }
}

/// The date of a day since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil_date(day: i64) -> String {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (d, m) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let y = yoe + era * 400 + i64::from(m <= 2);
    format!("{y:04}-{m:02}-{d:02}")
}

fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("there is no column {name}"))
}

fn typed<A: Array + 'static>(array: &ArrayRef) -> Result<&A, String> {
    array.as_any().downcast_ref().ok_or_else(|| format!("a column is {}", array.data_type()))
}

fn strings(batch: &RecordBatch, index: usize) -> Result<&StringArray, String> {
    typed(batch.column(index))
}

fn times(array: &ArrayRef) -> Result<&TimestampMillisecondArray, String> {
    typed(array)
}

fn value(array: &ArrayRef, index: usize) -> Result<Option<f64>, String> {
    if array.is_null(index) {
        return Ok(None);
    }
    if let Some(counts) = array.as_any().downcast_ref::<Int64Array>() {
        return Ok(Some(counts.value(index) as f64));
    }
    Ok(Some(typed::<Float64Array>(array)?.value(index)))
}

fn span_list(array: &ArrayRef, index: usize) -> Result<Vec<(i32, i64, i64)>, String> {
    let spans = array.as_list::<i32>().value(index);
    let spans: &StructArray = typed(&spans)?;
    let column = |name: &str| spans.column_by_name(name).ok_or(format!("no field {name}"));
    let partitions: &Int32Array = typed(column("partition")?)?;
    let first: &Int64Array = typed(column("first_offset")?)?;
    let last: &Int64Array = typed(column("last_offset")?)?;
    Ok((0..spans.len()).map(|i| (partitions.value(i), first.value(i), last.value(i))).collect())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
