//! Batches as another implementation writes them, whole, cut off, damaged, and of bytes at random.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record as Written, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use proptest::prelude::*;

use super::batch::{self, BatchError, HEADER_BYTES, Header, Record};
use super::packed::{More, Packed};
use super::transactions::Aborted;
use super::wrong_lengths::{WRONG_LENGTHS, varint, wrong_length};
use crate::source::kafka::budget::handed_over;

/// A record for the other implementation to write.
fn written(offset: i64, value: Option<&[u8]>) -> Written {
    Written {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 7,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: i32::try_from(offset).unwrap_or(0),
        timestamp: 1_000 + offset,
        key: Some(Bytes::from_static(b"key")),
        value: value.map(Bytes::copy_from_slice),
        headers: IndexMap::from([(StrBytes::from_static_str("h"), Some(Bytes::from_static(b"x")))]),
    }
}

fn encoded(records: &[Written]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, records, &options).unwrap();
    bytes.to_vec()
}

fn numbers(from: i64, to: i64) -> Vec<u8> {
    let records: Vec<_> =
        (from..to).map(|offset| written(offset, Some(offset.to_string().as_bytes()))).collect();
    encoded(&records)
}

/// Sets bits of the attributes, replaces the records, and makes length and checksum right.
fn rewritten(batch: &[u8], attributes: i16, records: &[u8]) -> Vec<u8> {
    let mut batch = [&batch[..HEADER_BYTES], records].concat();
    let set = i16::from_be_bytes([batch[21], batch[22]]) | attributes;
    batch[21..23].copy_from_slice(&set.to_be_bytes());
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch
}

fn header(bytes: &[u8]) -> Header {
    Header::read(bytes).unwrap().unwrap()
}

/// Offset, timestamp and value of a message.
type Message = (i64, i64, Option<Vec<u8>>);

/// The most that a value may have in these tests, as large as none is.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Reads one batch as the reader does.
fn read(bytes: &[u8]) -> Result<Vec<Message>, BatchError> {
    let Some(header) = Header::read(bytes)? else { return Ok(Vec::new()) };
    header.check(bytes)?;
    let packed = Bytes::copy_from_slice(&bytes[HEADER_BYTES..header.bytes]);
    read_packed(&header, packed, VALUE_BYTES_MAX, false)
}

/// Reads the records of a batch; with `suspends`, unpacks them again after each.
fn read_packed(
    header: &Header,
    packed: Bytes,
    value_bytes_max: usize,
    suspends: bool,
) -> Result<Vec<Message>, BatchError> {
    let (mut packed, mut window) = (Packed::new(header.codec()?, packed), Vec::new());
    let mut records = header.records(0);
    let mut all = Vec::new();
    // A value that is cut is followed by how many bytes it has.
    let value = |payload: Option<&[u8]>, cut_from: Option<u64>| {
        let rest = cut_from.map_or(Vec::new(), |bytes| format!("… of {bytes}").into_bytes());
        payload.map(|payload| [payload, &rest].concat())
    };
    loop {
        packed.resume(&mut records, &mut window)?;
        let next = records.next(&window).map(|record| {
            record.map(|record| {
                let (payload, cut_from) = handed_over(record.value, value_bytes_max);
                (record.offset, record.timestamp, value(payload, cut_from))
            })
        });
        match next {
            Ok(Some(message)) => all.push(message),
            Ok(None) if packed.ends(&records, &mut window)? => return Ok(all),
            Ok(None) => return Err(records.malformed("bytes after the last of them")),
            Err(error) => match packed.more(&mut records, &mut window, value_bytes_max, error)? {
                More::Whole => continue,
                More::Large(large) => {
                    let payload = large.value_bytes.map(|_| &window[..large.kept]);
                    let cut_from = large.value_bytes.filter(|bytes| (large.kept as u64) < *bytes);
                    all.push((large.offset, large.timestamp, value(payload, cut_from)));
                }
            },
        }
        if suspends {
            packed.suspend(&mut records, &mut window);
        }
    }
}

fn expected(from: i64, to: i64) -> Vec<(i64, i64, Option<Vec<u8>>)> {
    (from..to).map(|n| (n, 1_000 + n, Some(n.to_string().into_bytes()))).collect()
}

#[test]
fn a_batch_says_what_is_in_it() {
    let bytes = numbers(100, 150);
    let header = header(&bytes);
    assert_eq!((header.base_offset, header.last_offset(), header.records), (100, 149, 50));
    assert_eq!((header.bytes, header.leader_epoch), (bytes.len(), 7));
    assert!(!header.is_control() && !header.is_transactional());
    assert_eq!(read(&bytes).unwrap(), expected(100, 150));
}

/// By hand, so that this does not hang on the other implementation alone.
#[test]
fn a_record_is_what_the_protocol_says() {
    let mut batch = vec![0; HEADER_BYTES];
    batch[7] = 5; // base offset
    batch[16] = 2; // format
    batch[26] = 9; // last offset delta
    batch[34] = 100; // base timestamp
    batch[42] = 120; // greatest timestamp
    batch[60] = 2; // records
    // length 7, attributes, timestamp +1, offset +2, key "k", value none, no headers
    let first = [14, 0, 2, 4, 2, b'k', 1, 0];
    // length 8, attributes, timestamp -2, offset +9, no key, value "ab", no headers
    let second = [16, 0, 3, 18, 1, 4, b'a', b'b', 0];
    let records = [&first[..], &second[..]].concat();
    let plain = rewritten(&batch, 0, &records);
    assert_eq!(read(&plain).unwrap(), [(7, 101, None), (14, 98, Some(b"ab".to_vec()))]);
    // Stamped by the broker.
    let stamped = rewritten(&batch, 1 << 3, &records);
    assert_eq!(read(&stamped).unwrap(), [(7, 120, None), (14, 120, Some(b"ab".to_vec()))]);
    let mut records = header(&plain).records(HEADER_BYTES);
    let record = records.next(&plain).unwrap().unwrap();
    assert_eq!(record.key, Some(&b"k"[..]));
}

type Compress = fn(&[u8]) -> Vec<u8>;

fn codecs() -> [(i16, &'static str, Compress); 6] {
    fn gzip(records: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(records).unwrap();
        to.finish().unwrap()
    }
    fn snappy(records: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(records).unwrap()
    }
    fn xerial(records: &[u8]) -> Vec<u8> {
        let mut to = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
        for block in records.chunks(100) {
            let block = snappy(block);
            to.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            to.extend(block);
        }
        to
    }
    fn lz4(records: &[u8]) -> Vec<u8> {
        let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
        to.write_all(records).unwrap();
        to.finish().unwrap()
    }
    fn zstd(records: &[u8]) -> Vec<u8> {
        zstd::encode_all(records, 1).unwrap()
    }
    [
        (0, "none", <[u8]>::to_vec as Compress),
        (1, "gzip", gzip),
        (2, "snappy", snappy),
        (2, "snappy in Java's frames", xerial),
        (3, "lz4", lz4),
        (4, "zstd", zstd),
    ]
}

#[test]
fn every_codec_is_read() {
    let plain = numbers(3, 500);
    for (bits, name, compress) in codecs() {
        let packed = rewritten(&plain, bits, &compress(&plain[HEADER_BYTES..]));
        assert_eq!(read(&packed).unwrap(), expected(3, 500), "{name}");
    }
    let unknown = rewritten(&plain, 5, &plain[HEADER_BYTES..]);
    let line = read(&unknown).unwrap_err().to_string();
    assert!(line.contains("offset 3") && line.contains("codec"), "{line}");
}

#[test]
fn what_cannot_be_decompressed_is_an_error_that_says_where() {
    let plain = numbers(3, 500);
    for (bits, name, compress) in codecs().into_iter().skip(1) {
        let packed = compress(&plain[HEADER_BYTES..]);
        let cut = rewritten(&plain, bits, &packed[..packed.len() / 2]);
        let error = read(&cut).unwrap_err();
        assert!(matches!(error, BatchError::Compression(3, _)), "{name}: {error}");
    }
}

/// A record by hand: its value, and bytes of its key.
fn record(delta: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| folded(i64::try_from(bytes.len()).unwrap());
    let (key_length, value_length) = (length(key), length(value));
    let record = [&[0, 0, 2 * delta], &*key_length, key, &value_length, value, &[0]].concat();
    [length(&record), record].concat()
}

/// Records around the size of a piece, some too large by their value, some by their key.
#[test]
fn what_a_batch_becomes_is_read_in_pieces_and_large_values_are_cut() {
    const MAX: usize = 1_500_000;
    let sizes = [
        (0, 10),
        (3, 900_000),
        (0, 900_000),
        (0, MAX),
        (5, MAX + 1),
        (2_000_000, 7),
        (0, 0),
        (70_000, MAX + 1),
    ];
    let mut records = Vec::new();
    let mut wanted = Vec::new();
    for (delta, (key, value)) in (0..).zip(sizes) {
        let value = vec![b'a' + delta; value];
        records.extend(record(delta, &vec![b'k'; key], &value));
        wanted.push((
            3 + i64::from(delta),
            1_003,
            Some(match value.len() <= MAX {
                true => value,
                false => [&value[..64 << 10], "… of 1500001".as_bytes()].concat(),
            }),
        ));
    }
    let batch = numbers(3, 11);
    for (bits, name, compress) in codecs() {
        let packed = Bytes::from(compress(&records));
        let header = header(&rewritten(&batch, bits, &packed));
        for suspends in [false, true] {
            let read = read_packed(&header, packed.clone(), MAX, suspends)
                .unwrap_or_else(|error| panic!("{name}, {suspends}: {error}"));
            assert!(read == wanted, "{name}, {suspends}");
        }
        let longer = Bytes::from(compress(&[&records[..], &[0]].concat()));
        assert!(read_packed(&header, longer, MAX, false).is_err(), "{name}");
        let shorter = Bytes::from(compress(&records[..records.len() - 1]));
        assert!(read_packed(&header, shorter, MAX, false).is_err(), "{name}");
    }
}

/// 200 MiB of blanks in some kilobytes.
#[test]
fn a_message_that_is_too_large_passes_through_a_small_window() {
    const BYTES: usize = 200 << 20;
    let head = record(0, b"", &vec![b' '; BYTES]);
    let mut to = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    to.write_all(&head).unwrap();
    drop(head);
    let packed = Bytes::from(to.finish().unwrap());
    assert!(packed.len() < 100_000, "{}", packed.len());
    let header = header(&rewritten(&numbers(3, 4), 4, &packed));
    let (mut packed, mut window) = (Packed::new(header.codec().unwrap(), packed), Vec::new());
    let mut records = header.records(0);
    packed.resume(&mut records, &mut window).unwrap();
    let error = records.next(&window).unwrap_err();
    let more = packed.more(&mut records, &mut window, 64 << 20, error).unwrap();
    let More::Large(large) = more else { panic!("it is not large") };
    assert_eq!((large.offset, large.value_bytes), (3, Some(BYTES as u64)));
    assert!(window.capacity() + packed.decoder_bytes() < 8 << 20);
    assert!(
        records.next(&window).unwrap().is_none() && packed.ends(&records, &mut window).unwrap()
    );
}

#[test]
fn a_batch_that_is_cut_off_anywhere_is_not_there_yet() {
    let bytes = numbers(0, 20);
    for end in 0..bytes.len() {
        assert_eq!(Header::read(&bytes[..end]), Ok(None), "{end} bytes");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let bytes = numbers(1, 4);
    for bit in 21 * 8..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = match Header::read(&damaged) {
            Ok(Some(header)) => header.check(&damaged).is_err(),
            Ok(None) => false,
            Err(_) => true,
        };
        assert!(found, "bit {bit}");
    }
    let mut damaged = bytes;
    *damaged.last_mut().unwrap() ^= 1;
    let line = read(&damaged).unwrap_err().to_string();
    assert!(line.contains("checksum") && line.contains("offset 1"), "{line}");
}

#[test]
fn messages_of_old_formats_name_the_other_way() {
    for magic in [0, 1] {
        let mut bytes = numbers(9, 10);
        bytes[16] = magic;
        let line = Header::read(&bytes).unwrap_err().to_string();
        assert!(line.contains("offset 9") && line.contains("--fetch client"), "{line}");
    }
    let mut bytes = numbers(9, 10);
    bytes[16] = 3;
    assert_eq!(Header::read(&bytes), Err(BatchError::UnknownFormat(9)));
}

/// An offset that comes twice, or one after the last, would be taken for another message's.
#[test]
fn offsets_that_do_not_increase_are_an_error() {
    let mut batch = numbers(0, 2);
    batch[26] = 5; // last offset delta
    let record = |delta: u8| [12, 0, 0, 2 * delta, 1, 1, 0];
    let with = |deltas: [u8; 2]| rewritten(&batch, 0, &deltas.map(record).concat());
    assert_eq!(read(&with([0, 5])).unwrap().len(), 2);
    for deltas in [[1, 1], [2, 1], [0, 6]] {
        assert!(matches!(read(&with(deltas)), Err(BatchError::Malformed(..))), "{deltas:?}");
    }
    let mut longer = with([0, 5]);
    longer = rewritten(&longer, 0, &[&longer[HEADER_BYTES..], &[0]].concat());
    assert!(matches!(read(&longer), Err(BatchError::Malformed(..))));
}

/// A batch of a transaction, or the marker that ends one.
fn of_transaction(producer: i64, offset: i64, marker: Option<i16>) -> Vec<u8> {
    let mut record = written(offset, Some(b"v"));
    (record.transactional, record.producer_id, record.producer_epoch) = (true, producer, 0);
    record.control = marker.is_some();
    record.key = marker.map(|kind| Bytes::from([[0, 0], kind.to_be_bytes()].concat()));
    encoded(&[record])
}

#[test]
fn aborted_transactions_are_told_by_producer_and_offset() {
    const ABORT: Option<i16> = Some(0);
    const COMMIT: Option<i16> = Some(1);
    // Producer 1 aborts at 4 what it began at 0, and commits what it began at 6. Producer 2 commits
    // what it began at 1. Producer 3 aborts at 9 what it began before this answer.
    let log = [
        (1, None, true),
        (2, None, false),
        (1, None, true),
        (3, None, true),
        (1, ABORT, false),
        (2, COMMIT, false),
        (1, None, false),
        (1, COMMIT, false),
        (3, None, true),
        (3, ABORT, false),
        (3, None, false),
    ];
    let mut aborted = Aborted::new(vec![(3, -5), (1, 0)]);
    for (offset, (producer, marker, hidden)) in (0..).zip(log) {
        let bytes = of_transaction(producer, offset, marker);
        let batch = header(&bytes);
        assert!(batch.is_transactional());
        let covered = aborted.covers(&batch);
        assert_eq!(batch.is_control(), marker.is_some());
        if batch.is_control() {
            let record = batch.records(HEADER_BYTES).next(&bytes).unwrap().unwrap();
            assert_eq!(batch::aborts(&record), marker == ABORT);
            if batch::aborts(&record) {
                aborted.end(producer);
            }
        } else {
            assert_eq!(covered, hidden, "offset {offset}");
        }
    }
    // What is in no transaction is never hidden.
    let mut aborted = Aborted::new(vec![(-1, 0)]);
    assert!(!aborted.covers(&header(&numbers(0, 1))));
}

fn all_of(bytes: &[u8]) -> Result<usize, BatchError> {
    let mut count = 0;
    let mut at = 0;
    while let Some(header) = Header::read(&bytes[at..])? {
        let end = at + header.bytes;
        let mut records = header.records(at + HEADER_BYTES);
        while let Some(Record { offset, .. }) = records.next(&bytes[..end])? {
            assert!((header.base_offset..=header.last_offset()).contains(&offset));
            count += 1;
        }
        let packed = Bytes::copy_from_slice(&bytes[at + HEADER_BYTES..end]);
        let _ = read_packed(&header, packed, VALUE_BYTES_MAX, false);
        at = end;
    }
    Ok(count)
}

proptest! {
    #[test]
    fn what_another_implementation_wrote_is_read(
        base in 0..1_000_000_000_000_i64,
        records in prop::collection::vec(
            (any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>(), -1..2_000_000_000_000_i64),
            1..30,
        ),
    ) {
        let records: Vec<_> = (base..).zip(records).map(|(offset, (key, value, timestamp))| {
            let mut record = written(offset, value.as_deref());
            record.sequence = i32::try_from(offset - base).unwrap();
            (record.key, record.timestamp) = (key.map(Bytes::from), timestamp);
            record
        }).collect();
        let read = read(&encoded(&records)).unwrap();
        let wrote: Vec<_> = records
            .iter()
            .map(|r| (r.offset, r.timestamp, r.value.as_ref().map(|value| value.to_vec())))
            .collect();
        prop_assert_eq!(read, wrote);
    }

    #[test]
    fn bytes_at_random_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = all_of(&bytes);
        let mut formatted = bytes;
        if let Some(magic) = formatted.get_mut(16) {
            *magic = 2;
            formatted[8..11].fill(0);
        }
        let _ = all_of(&formatted);
    }

    #[test]
    fn a_damaged_batch_is_no_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        bits in 0..8_i16,
    ) {
        let plain = numbers(0, 20);
        let (_, _, compress) = codecs()[usize::try_from(bits).unwrap().min(5)];
        let mut bytes = rewritten(&plain, bits, &compress(&plain[HEADER_BYTES..]));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = all_of(&bytes);
        let _ = read(&bytes);
    }
}

/// Where lengths and counts of a batch of [`numbers`] are, beside those of its records: its length,
/// the last offset, the number of records.
const LENGTHS_OF_BATCH: [usize; 3] = [8, 23, 57];

/// Replaces the variable-length integer at `at`.
fn replace_varint(bytes: &mut Vec<u8>, at: usize, value: i64) {
    let end = at + bytes[at..].iter().position(|byte| *byte < 0x80).unwrap() + 1;
    bytes.splice(at..end, folded(value));
}

/// A signed number in as many bytes as it needs.
fn folded(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Several lengths are wrong at once, and all checksums are right: what a hostile broker sends.
    #[test]
    fn a_batch_with_several_wrong_lengths_is_no_panic(
        of_batch in prop::collection::vec((0..3_usize, 0..WRONG_LENGTHS), 0..3),
        of_records in prop::collection::vec((0..6_usize, 0..5_usize, 0..WRONG_LENGTHS), 0..4),
        codec in 0..6_usize,
    ) {
        let plain = numbers(0, 6);
        let mut records = plain[HEADER_BYTES..].to_vec();
        // The lengths of a record: its own, two differences, the key's, the value's.
        let mut places = Vec::new();
        let mut at = 0;
        while at < records.len() {
            let length = usize::from(records[at] >> 1);
            places.push([at, at + 2, at + 3, at + 4, at + 8]);
            at += 1 + length;
        }
        let mut wrong: Vec<_> = of_records
            .iter()
            .map(|&(record, field, which)| (places[record][field], which))
            .collect();
        wrong.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        wrong.dedup_by_key(|(at, _)| *at);
        for (at, which) in wrong {
            let left = records.len() - at;
            replace_varint(&mut records, at, wrong_length(which, left));
        }
        let (bits, _, compress) = codecs()[codec];
        let mut bytes = rewritten(&plain, bits, &compress(&records));
        for (field, which) in of_batch {
            let value = wrong_length(which, bytes.len());
            let value = i32::try_from(value & i64::from(u32::MAX)).unwrap_or(i32::MIN);
            bytes[LENGTHS_OF_BATCH[field]..][..4].copy_from_slice(&value.to_be_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        let _ = all_of(&bytes);
        if let Ok(messages) = read(&bytes) {
            prop_assert!(messages.len() <= records.len());
        }
    }
}
