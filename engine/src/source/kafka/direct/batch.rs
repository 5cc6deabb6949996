//! Record batches as a broker stores and sends them (format 2), read where they lie.
//!
//! A batch is a header of 61 bytes and its records, which may be compressed as a whole. A record is
//! a row of variable-length integers around a key and a value. Nothing here copies or allocates:
//! [`Header`] says what is in a batch, and [`Records`] goes from record to record in bytes that
//! somebody else holds.

use strandline_operators::record::TimestampType;

use super::codec::Codec;

/// Bytes of a batch before its records.
pub(super) const HEADER_BYTES: usize = 61;
/// Bytes of a batch that its length does not count.
const UNCOUNTED_BYTES: usize = 12;
/// Where the length is, the format, and what the checksum covers.
const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CHECKED_AT: usize = 21;
/// Bits of the attributes.
const CODEC_BITS: i16 = 0b111;
const APPEND_TIME_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
/// The type of a control record that ends an aborted transaction.
const ABORT_MARKER: i16 = 0;
/// Bytes of a variable-length integer at most.
const VARINT_BYTES_MAX: usize = 10;

/// Why bytes are not the batch that they should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BatchError {
    #[error(
        "the messages at offset {0} are in the format of Kafka before 0.11, which --fetch direct \
         does not read: use --fetch client"
    )]
    OldFormat(i64),
    #[error("the messages at offset {0} are in a format that is not known")]
    UnknownFormat(i64),
    #[error("the checksum of the messages at offset {0} is wrong: their bytes were damaged")]
    Checksum(i64),
    #[error("the messages at offset {0} cannot be decompressed: {1}")]
    Compression(i64, String),
    #[error("the messages at offset {0} are malformed: {1}")]
    Malformed(i64, &'static str),
}

/// What a batch says of itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) base_offset: i64,
    /// Bytes of the whole batch.
    pub(super) bytes: usize,
    pub(super) leader_epoch: i32,
    checksum: u32,
    attributes: i16,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    pub(super) producer: i64,
    pub(super) records: u32,
}

impl Header {
    /// The batch at the beginning of `bytes`; `None` if it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Header>, BatchError> {
        let Some(start) = bytes.first_chunk::<{ MAGIC_AT + 1 }>() else { return Ok(None) };
        let base_offset = i64::from_be_bytes(part(start, 0));
        match start[MAGIC_AT] {
            2 => {}
            0 | 1 => return Err(BatchError::OldFormat(base_offset)),
            _ => return Err(BatchError::UnknownFormat(base_offset)),
        }
        let malformed = |what| BatchError::Malformed(base_offset, what);
        let length = usize::try_from(i32::from_be_bytes(part(start, LENGTH_AT)))
            .map_err(|_| malformed("a negative length"))?;
        let whole = length + UNCOUNTED_BYTES;
        if whole < HEADER_BYTES {
            return Err(malformed("shorter than their header"));
        }
        if base_offset < 0 {
            return Err(malformed("a negative offset"));
        }
        if bytes.len() < whole {
            return Ok(None);
        }
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let last_offset_delta = i32::from_be_bytes(part(header, 23));
        let records = u32::try_from(i32::from_be_bytes(part(header, 57)))
            .map_err(|_| malformed("a negative number of them"))?;
        if last_offset_delta < 0 || i64::MAX - i64::from(last_offset_delta) <= base_offset {
            return Err(malformed("a last offset before the first"));
        }
        Ok(Some(Header {
            base_offset,
            bytes: whole,
            leader_epoch: i32::from_be_bytes(part(header, 12)),
            checksum: u32::from_be_bytes(part(header, 17)),
            attributes: i16::from_be_bytes(part(header, CHECKED_AT)),
            last_offset_delta,
            base_timestamp: i64::from_be_bytes(part(header, 27)),
            max_timestamp: i64::from_be_bytes(part(header, 35)),
            producer: i64::from_be_bytes(part(header, 43)),
            records,
        }))
    }

    /// The last offset that belongs to the batch, also where compaction removed its record.
    pub(super) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether it holds a transaction's marker instead of messages.
    pub(super) fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// # Errors
    ///
    /// A codec that is not known.
    pub(super) fn codec(&self) -> Result<Codec, BatchError> {
        Codec::of(self.attributes & CODEC_BITS).ok_or_else(|| {
            BatchError::Compression(self.base_offset, "a codec that is not known".into())
        })
    }

    /// Compares the checksum with `batch`, its bytes.
    pub(super) fn check(&self, batch: &[u8]) -> Result<(), BatchError> {
        match batch.get(CHECKED_AT..self.bytes) {
            Some(checked) if crc32c::crc32c(checked) == self.checksum => Ok(()),
            _ => Err(BatchError::Checksum(self.base_offset)),
        }
    }

    /// Goes through the records of the batch, which lie at `at`.
    pub(super) fn records(&self, at: usize) -> Records {
        Records {
            at,
            left: self.records,
            base_offset: self.base_offset,
            delta_min: 0,
            delta_max: i64::from(self.last_offset_delta),
            base_timestamp: self.base_timestamp,
            append_time: (self.attributes & APPEND_TIME_BIT != 0).then_some(self.max_timestamp),
        }
    }
}

/// One message of a batch.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) offset: i64,
    /// -1 if there is none.
    pub(super) timestamp: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

/// The way through the records of one batch. It holds no bytes, so that they can stay where they
/// are between two reads: each step is given them anew.
#[derive(Clone, Debug)]
pub(super) struct Records {
    at: usize,
    left: u32,
    base_offset: i64,
    delta_min: i64,
    delta_max: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl Records {
    /// Who has set the timestamps.
    pub(super) fn timestamp_type(&self) -> TimestampType {
        match self.append_time {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        }
    }

    /// The next record in `bytes`, which end with the batch; `None` after the last.
    #[inline]
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Record<'a>>, BatchError> {
        if self.left == 0 {
            return match self.at == bytes.len() {
                true => Ok(None),
                false => Err(self.malformed("bytes after the last of them")),
            };
        }
        let record = self.parse(bytes);
        record.map(Some).ok_or_else(|| self.malformed("a record that does not end where it says"))
    }

    #[inline]
    fn parse<'a>(&mut self, bytes: &'a [u8]) -> Option<Record<'a>> {
        let mut at = self.at;
        let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
        let end = at.checked_add(length)?;
        let record = bytes.get(..end)?;
        at += 1; // Attributes, of which none is used.
        let timestamp_delta = varint(record, &mut at)?;
        let delta = varint(record, &mut at)?;
        let key = field(record, &mut at)?;
        let value = field(record, &mut at)?;
        // Headers are not looked at. What is read has to lie in the record.
        if end < at || delta < self.delta_min || self.delta_max < delta {
            return None;
        }
        let timestamp = self.timestamp(timestamp_delta);
        (self.at, self.left, self.delta_min) = (end, self.left - 1, delta + 1);
        Some(Record { offset: self.base_offset + delta, timestamp, key, value })
    }

    pub(super) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Where the next record begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next record begins at another place, because bytes were moved.
    pub(super) fn move_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Whether there is another record.
    pub(super) fn has_more(&self) -> bool {
        0 < self.left
    }

    /// How many bytes the next record has with its length, as that says; `None` if it cannot be read.
    pub(super) fn span(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.at;
        let length = varint(bytes, &mut at)?;
        // More than that no client writes.
        let length = i32::try_from(length).ok().and_then(|length| usize::try_from(length).ok())?;
        (at - self.at).checked_add(length)
    }

    /// Passes over a record that was read from its parts; its offset and timestamp.
    pub(super) fn pass(&mut self, parts: &Parts) -> Option<(i64, i64)> {
        let Parts { timestamp_delta, offset_delta, .. } = *parts;
        if offset_delta < self.delta_min || self.delta_max < offset_delta {
            return None;
        }
        (self.left, self.delta_min) = (self.left.checked_sub(1)?, offset_delta + 1);
        Some((self.base_offset + offset_delta, self.timestamp(timestamp_delta)))
    }

    #[inline]
    fn timestamp(&self, delta: i64) -> i64 {
        self.append_time.unwrap_or_else(|| self.base_timestamp.wrapping_add(delta))
    }

    #[cold]
    pub(super) fn malformed(&self, what: &'static str) -> BatchError {
        BatchError::Malformed(self.base_offset + self.delta_min, what)
    }
}

/// What stands before the key of a record.
#[derive(Copy, Clone, Debug)]
pub(super) struct Parts {
    timestamp_delta: i64,
    offset_delta: i64,
    /// Bytes up to the key, with the record's length.
    pub(super) bytes: usize,
    /// Bytes of the key; negative if there is none.
    pub(super) key: i64,
}

impl Parts {
    /// Most bytes that these are.
    pub(super) const BYTES_MAX: usize = 4 * VARINT_BYTES_MAX + 1;

    /// Reads what stands before the key of the record at the beginning of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Option<Parts> {
        let mut at = 0;
        varint(bytes, &mut at)?;
        at += 1;
        let (timestamp_delta, offset_delta) = (varint(bytes, &mut at)?, varint(bytes, &mut at)?);
        let key = varint(bytes, &mut at)?;
        Some(Parts { timestamp_delta, offset_delta, bytes: at, key })
    }
}

/// The length of a value at the beginning of `bytes`, and how many bytes it takes.
pub(super) fn value_length(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut at = 0;
    Some((varint(bytes, &mut at)?, at))
}

/// Whether the marker in a control batch says that the transaction was aborted.
pub(super) fn aborts(marker: &Record<'_>) -> bool {
    let kind = marker.key.and_then(|key| key.get(2..)).and_then(<[u8]>::first_chunk::<2>);
    kind.is_some_and(|kind| i16::from_be_bytes(*kind) == ABORT_MARKER)
}

/// `N` bytes of a header.
fn part<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

/// Bytes behind their length; -1 stands for none at all.
#[inline(always)]
fn field<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Option<&'a [u8]>> {
    let length = varint(bytes, at)?;
    if length < 0 {
        return (length == -1).then_some(None);
    }
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    let field = bytes.get(*at..end)?;
    *at = end;
    Some(Some(field))
}

/// A variable-length integer: seven bits a byte, the lowest first, the sign in the lowest bit.
// Always: five of them are read for each message, and with this many callers it would be a call.
#[inline(always)]
fn varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    let mut folded = u64::from(first);
    if 0x80 <= first {
        folded &= 0x7f;
        let mut shift = 7;
        loop {
            let byte = *bytes.get(*at)?;
            *at += 1;
            folded |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            shift += 7;
            if 7 * VARINT_BYTES_MAX <= shift {
                return None;
            }
        }
    }
    Some((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
}
