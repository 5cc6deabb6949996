//! What is in the files.

use std::fs::{self, File};
use std::time::Duration;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use strandline_engine::outputs::Output as _;
use strandline_engine::sink::{ParquetCodec, RejectedFiles};
use strandline_operators::decode::DeadReason;
use strandline_operators::record::Offset;
use strandline_operators::rejected::{Rejected, Rejection};
use strandline_operators::time::EventTime;

use crate::bench::{Bench, by_folder, count, rejected, row, some_rows};

/// The columns that the documentation promises: whoever changes this breaks readers.
#[test]
fn final_rows_have_these_columns() {
    let bench = Bench::new();
    let mut writer = bench.rows_files();
    writer.write(&some_rows(1)).unwrap();
    writer.roll().unwrap();
    let file = File::open(&bench.files("parquet")[0]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut schema = Vec::new();
    parquet::schema::printer::print_schema(&mut schema, reader.parquet_schema().root_schema());
    let expected = "message arrow_schema {
  REQUIRED BYTE_ARRAY device_id (STRING);
  REQUIRED INT64 window_start (TIMESTAMP(MILLIS,true));
  REQUIRED INT64 window_end (TIMESTAMP(MILLIS,true));
  REQUIRED INT64 count;
  OPTIONAL DOUBLE avg_temperature;
  REQUIRED group partitions (LIST) {
    REPEATED group list {
      REQUIRED group element {
        REQUIRED INT32 partition;
        REQUIRED INT64 first_offset;
        REQUIRED INT64 last_offset;
      }
    }
  }
}
";
    assert_eq!(String::from_utf8(schema).unwrap(), expected);
}

#[test]
fn rejected_records_have_these_columns() {
    let bench = Bench::new();
    let mut writer = RejectedFiles::dead_letters(&bench.options, "iot-metrics");
    writer.write(&[rejected(0, Rejection::Dead(DeadReason::Empty), None)]).unwrap();
    writer.roll().unwrap();
    let file = File::open(&bench.files("dead_letters")[0]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut schema = Vec::new();
    parquet::schema::printer::print_schema(&mut schema, reader.parquet_schema().root_schema());
    let expected = "message arrow_schema {
  REQUIRED BYTE_ARRAY topic (STRING);
  REQUIRED INT32 partition;
  REQUIRED INT64 offset;
  OPTIONAL INT64 kafka_timestamp (TIMESTAMP(MILLIS,true));
  OPTIONAL INT64 event_time (TIMESTAMP(MILLIS,true));
  REQUIRED BYTE_ARRAY reason (STRING);
  OPTIONAL BYTE_ARRAY payload;
}
";
    assert_eq!(String::from_utf8(schema).unwrap(), expected);
}

#[test]
fn final_rows_come_back_as_they_were() {
    let bench = Bench::new();
    let mut writer = bench.rows_files();
    let keys = ["a", "ünï-字-🦀", "\0", "a\0b", " ", "\"\\/"];
    let long = "k".repeat(256);
    let outputs = [(1, Some(24.5)), (0, None), (u64::MAX, Some(-0.0)), (7, Some(f64::MAX))];
    let spans: [&[(u32, u64, u64)]; 3] =
        [&[(3, 5, 9)], &[(0, 0, 0), (1, 7, u64::MAX), (15, 2, 3)], &[]];
    let mut rows = Vec::new();
    for (n, key) in keys.into_iter().chain([&*long]).enumerate() {
        rows.push(row(key, 1_730_638_570_000, outputs[n % 4], spans[n % 3]));
    }
    let committed = {
        writer.write(&rows).unwrap();
        writer.roll().unwrap()
    };
    assert_eq!((committed.rows, committed.files), (7, 1));
    assert_eq!(committed.bytes, fs::metadata(&bench.files("parquet")[0]).unwrap().len());

    let batches = bench.read("parquet");
    assert_eq!(batches.len(), 1);
    let column = |name| batches[0].column_by_name(name).unwrap();
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(column("device_id").as_string::<i32>().value(n), &*row.key);
        let start = column("window_start").as_primitive::<TimestampMillisecondType>().value(n);
        let end = column("window_end").as_primitive::<TimestampMillisecondType>().value(n);
        assert_eq!((start, end), (1_730_638_570_000, 1_730_638_580_000));
        let expected = i64::try_from(row.output.0).unwrap_or(i64::MAX);
        assert_eq!(column("count").as_primitive::<Int64Type>().value(n), expected);
        let average = column("avg_temperature").as_primitive::<Float64Type>();
        let average = average.is_valid(n).then(|| average.value(n));
        assert_eq!(average.map(f64::to_bits), row.output.1.map(f64::to_bits));

        let list = column("partitions").as_list::<i32>().value(n);
        let list = list.as_struct();
        assert_eq!(list.len(), row.spans.len());
        for (at, span) in row.spans.iter().enumerate() {
            let partition = list.column(0).as_primitive::<Int32Type>().value(at);
            assert_eq!(partition, span.partition.0 as i32);
            let first = list.column(1).as_primitive::<Int64Type>().value(at);
            let last = list.column(2).as_primitive::<Int64Type>().value(at);
            let expected = |offset: Offset| i64::try_from(offset.0).unwrap_or(i64::MAX);
            assert_eq!((first, last), (expected(span.first), expected(span.last)));
        }
    }
}

#[test]
fn many_rows_keep_their_order_over_all_that_is_encoded_at_once() {
    let bench = Bench::new();
    let mut writer = bench.rows_files();
    for rows in some_rows(30_000).chunks(700) {
        writer.write(rows).unwrap();
    }
    assert_eq!(writer.roll().unwrap().files, 1);
    let mut expected = 0..;
    for batch in bench.read("parquet") {
        let counts = batch.column_by_name("count").unwrap().as_primitive::<Int64Type>().values();
        for count in counts {
            assert_eq!(Some(*count), expected.next());
        }
    }
    assert_eq!(expected.start, 30_000);
}

#[test]
fn a_row_is_in_the_folder_of_its_windows_start() {
    let bench = Bench::new();
    let mut writer = bench.rows_files();
    let day = 86_400_000;
    let starts =
        [0, -10_000, day - 10_000, day, 253_402_300_790_000, 253_402_300_800_000, i64::MIN];
    writer.write(&starts.map(|start| row("a", start, (1, None), &[]))).unwrap();
    writer.roll().unwrap();
    let expected = [("date=1970-01-01", 5), ("date=1970-01-02", 1), ("date=9999-12-31", 1)];
    assert_eq!(by_folder(&bench, "parquet"), expected.map(|(name, rows)| (name.to_owned(), rows)));
}

#[test]
fn rejected_records_keep_their_bytes_and_their_origin() {
    let bench = Bench::new();
    let mut writer = RejectedFiles::dead_letters(&bench.options, "a topic");
    let binary: Vec<u8> = (0..=255).collect();
    let payloads: [Option<&[u8]>; 4] = [None, Some(b""), Some(&binary), Some(b"{\"a\":1}")];
    let mut records = Vec::new();
    for (n, payload) in payloads.into_iter().enumerate() {
        records.push(rejected(n as u64, Rejection::Dead(DeadReason::ALL[n]), payload));
    }
    records[1].log_timestamp = Some(EventTime::from_millis(1_730_638_574_123));
    writer.write(&records).unwrap();
    writer.roll().unwrap();

    let expected = [("date=1970-01-01", 3), ("date=2024-11-03", 1)];
    assert_eq!(by_folder(&bench, "dead_letters"), expected.map(|(name, n)| (name.to_owned(), n)));
    let mut seen = 0;
    for batch in bench.read("dead_letters") {
        let column = |name| batch.column_by_name(name).unwrap();
        for n in 0..batch.num_rows() {
            let offset = column("offset").as_primitive::<Int64Type>().value(n);
            let which = usize::try_from(offset).unwrap();
            assert_eq!(column("topic").as_string::<i32>().value(n), "a topic");
            assert_eq!(column("partition").as_primitive::<Int32Type>().value(n), 7);
            let reason = column("reason").as_string::<i32>().value(n);
            assert_eq!(reason, DeadReason::ALL[which].code());
            let payload = column("payload").as_binary::<i32>();
            assert_eq!(payload.is_valid(n).then(|| payload.value(n)), payloads[which]);
            let time = column("kafka_timestamp").as_primitive::<TimestampMillisecondType>();
            let time = time.is_valid(n).then(|| time.value(n));
            assert_eq!(time, (which == 1).then_some(1_730_638_574_123));
            assert!(column("event_time").is_null(n));
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn a_late_record_is_in_the_folder_of_its_window() {
    let bench = Bench::new();
    let day = Duration::from_secs(86_400);
    let two_days = move |time: EventTime| time.floor_to(day * 2);
    let mut writer = RejectedFiles::late(&bench.options, "t", two_days);
    let event_time = EventTime::from_millis(1_000) + day;
    let log_timestamp = Some(event_time + day * 9);
    let record = rejected(1, Rejection::Late, Some(b"{}"));
    writer.write(&[Rejected { event_time: Some(event_time), log_timestamp, ..record }]).unwrap();
    writer.roll().unwrap();
    assert_eq!(by_folder(&bench, "late"), [("date=1970-01-01".to_owned(), 1)]);
    let batch = &bench.read("late")[0];
    let time = batch.column_by_name("event_time").unwrap();
    assert_eq!(time.as_primitive::<TimestampMillisecondType>().value(0), event_time.as_millis());
    assert_eq!(batch.column_by_name("reason").unwrap().as_string::<i32>().value(0), "late");
}

/// Readers have no dates for other times, and refuse a whole folder for one of them.
#[test]
fn times_that_some_reader_does_not_know_are_null() {
    let bench = Bench::new();
    let mut writer = RejectedFiles::dead_letters(&bench.options, "t");
    let (first, last) = (0, 253_402_300_799_999);
    let times = [first, last, -1, last + 1, 1_730_638_574_123_456_789, i64::MIN, i64::MAX];
    let records = (0..).zip(times).map(|(offset, time)| Rejected {
        log_timestamp: Some(EventTime::from_millis(time)),
        event_time: Some(EventTime::from_millis(time)),
        ..rejected(offset, Rejection::Dead(DeadReason::Empty), None)
    });
    writer.write(&records.collect::<Vec<_>>()).unwrap();
    writer.roll().unwrap();
    let expected = [("date=1970-01-01", 6), ("date=9999-12-31", 1)];
    assert_eq!(by_folder(&bench, "dead_letters"), expected.map(|(name, n)| (name.to_owned(), n)));
    for name in ["kafka_timestamp", "event_time"] {
        let mut seen: Vec<Option<i64>> = Vec::new();
        for batch in bench.read("dead_letters") {
            let column = batch.column_by_name(name).unwrap();
            seen.extend(column.as_primitive::<TimestampMillisecondType>());
        }
        seen.sort();
        assert_eq!(seen, [None, None, None, None, None, Some(first), Some(last)], "{name}");
    }
}

#[test]
fn the_end_of_the_last_window_of_the_calendar_is_its_last_millisecond() {
    let bench = Bench::new();
    let mut writer = bench.rows_files();
    writer.write(&[row("a", 253_402_300_790_000, (1, None), &[])]).unwrap();
    writer.roll().unwrap();
    let batch = &bench.read("parquet")[0];
    let end = batch.column_by_name("window_end").unwrap();
    assert_eq!(end.as_primitive::<TimestampMillisecondType>().value(0), 253_402_300_799_999);
}

#[test]
fn files_of_every_codec_hold_the_same_rows() {
    for codec in ParquetCodec::ALL {
        assert_eq!(codec.name().parse(), Ok(codec));
        let mut bench = Bench::new();
        bench.options.codec = codec;
        let mut writer = bench.rows_files();
        writer.write(&some_rows(9000)).unwrap();
        writer.roll().unwrap();
        assert_eq!(count(&bench.read("parquet")), 9000);
        let file = std::fs::File::open(&bench.files("parquet")[0]).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let compression = reader.metadata().row_group(0).column(0).compression();
        let found = format!("{compression:?}").to_lowercase();
        let expected = if codec == ParquetCodec::Lz4 { "lz4_raw" } else { codec.name() };
        assert!(found.starts_with(expected), "{codec}: {found}");
    }
}
