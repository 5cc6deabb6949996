//! The bytes of a checkpoint: sections in blobs, each with a checksum.
//!
//! A process writes two blobs a checkpoint: one of state, and one of rows that wait for their file,
//! which later checkpoints may need longer than that state. A section is a list of records of one kind (the panes
//! of a key group, rows that wait for their file), encoded one after the other by postcard, whose
//! wire format is specified. Where a section is, how many records it holds and what its checksum
//! is stands in the manifest, so whoever reads a section knows what to expect.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::CheckpointError;

/// What every blob begins with: that it is one of ours, and the version of its format.
const MAGIC: &[u8; 8] = b"strand\x00\x01";

/// How long that is, bytes.
pub(crate) const HEADER_BYTES: u64 = MAGIC.len() as u64;

/// A part of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The blob's name.
    pub blob: Arc<str>,
    /// Where it begins, bytes.
    pub start: u64,
    /// How long it is, bytes.
    pub bytes: u64,
    /// How many records it holds.
    pub records: u64,
    /// XXH3 of its bytes.
    pub xxh3: u64,
}

/// Records on the way into a section.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    bytes: Vec<u8>,
    records: u64,
}

impl Encoded {
    /// Appends a record.
    pub fn push<R: Serialize>(&mut self, record: &R) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(record, bytes).expect("plain data can be encoded");
        self.records += 1;
    }

    /// The memory that they take, a number of bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }
}

/// A blob being filled, in memory.
#[derive(Debug)]
pub struct BlobWriter {
    name: Arc<str>,
    bytes: Vec<u8>,
}

impl BlobWriter {
    /// A blob of this name.
    pub fn new(name: &str) -> BlobWriter {
        BlobWriter { name: name.into(), bytes: MAGIC.to_vec() }
    }

    /// Appends a section of these records.
    pub fn section(&mut self, encoded: &Encoded) -> Section {
        let start = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&encoded.bytes);
        Section {
            blob: Arc::clone(&self.name),
            start,
            bytes: encoded.bytes.len() as u64,
            records: encoded.records,
            xxh3: xxh3_64(&encoded.bytes),
        }
    }

    /// Its name and bytes; `None` if it has no section.
    pub fn finish(self) -> Option<(Arc<str>, Bytes)> {
        (MAGIC.len() < self.bytes.len()).then(|| (self.name, self.bytes.into()))
    }
}

/// Looks whether a blob begins as one of ours does, of a format that is known.
///
/// # Errors
///
/// [`CheckpointError::Damaged`].
pub(crate) fn check_header(name: &str, blob: &[u8]) -> Result<(), CheckpointError> {
    let damaged =
        |what: &str| Err(CheckpointError::Damaged { name: name.to_owned(), what: what.to_owned() });
    if !blob.starts_with(&MAGIC[..6]) {
        return damaged("it is not a blob of a checkpoint");
    }
    if !blob.starts_with(MAGIC) {
        return damaged("it has a format that this version does not know");
    }
    Ok(())
}

impl Section {
    /// Where it ends in its blob, bytes.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }

    /// The section's bytes within `piece`, which begins at `from` in its blob.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`]: they are not what the manifest says.
    pub fn within<'a>(&self, from: u64, piece: &'a [u8]) -> Result<&'a [u8], CheckpointError> {
        let damaged = |what: &str| CheckpointError::Damaged {
            name: self.blob.to_string(),
            what: what.to_owned(),
        };
        let range = self
            .start
            .checked_sub(from)
            .and_then(|start| usize::try_from(start).ok())
            .zip(usize::try_from(self.bytes).ok())
            .and_then(|(start, bytes)| piece.get(start..start.checked_add(bytes)?));
        let bytes = range.ok_or_else(|| damaged("it is cut short"))?;
        if xxh3_64(bytes) != self.xxh3 {
            return Err(damaged("its checksum does not match"));
        }
        Ok(bytes)
    }

    /// Reads the records back from the section's bytes.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`]: they are records of another type.
    pub fn decode<R: DeserializeOwned>(&self, mut bytes: &[u8]) -> Result<Vec<R>, CheckpointError> {
        let damaged = |what: String| CheckpointError::Damaged { name: self.blob.to_string(), what };
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let (record, after) = postcard::take_from_bytes(bytes)
                .map_err(|error| damaged(format!("a record cannot be read: {error}")))?;
            records.push(record);
            bytes = after;
        }
        if records.len() as u64 != self.records {
            return Err(damaged(format!("{} records, not {}", records.len(), self.records)));
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob() -> (Section, Section, Vec<u8>) {
        let mut writer = BlobWriter::new("blob");
        let mut encoded = Encoded::default();
        for number in [1_u64, 300, u64::MAX] {
            encoded.push(&(number, "text"));
        }
        let first = writer.section(&encoded);
        let second = writer.section(&Encoded::default());
        (first, second, writer.finish().unwrap().1.to_vec())
    }

    fn read<R: DeserializeOwned>(
        section: &Section,
        blob: &[u8],
    ) -> Result<Vec<R>, CheckpointError> {
        check_header(&section.blob, blob)?;
        section.decode(section.within(0, blob)?)
    }

    #[test]
    fn what_was_written_is_read() {
        let (first, second, bytes) = blob();
        let expected = [(1, "text".to_owned()), (300, "text".into()), (u64::MAX, "text".into())];
        assert_eq!(read::<(u64, String)>(&first, &bytes).unwrap(), expected);
        assert_eq!(read::<(u64, String)>(&second, &bytes).unwrap(), []);
        assert!(BlobWriter::new("empty").finish().is_none());
    }

    #[test]
    fn every_damaged_byte_is_found() {
        let (first, _, mut bytes) = blob();
        for index in 0..bytes.len() {
            bytes[index] ^= 0x10;
            let error = read::<(u64, String)>(&first, &bytes).unwrap_err();
            assert!(matches!(error, CheckpointError::Damaged { .. }), "{index}: {error}");
            bytes[index] ^= 0x10;
        }
        for length in 0..bytes.len() {
            read::<(u64, String)>(&first, &bytes[..length]).unwrap_err();
        }
    }

    #[test]
    fn records_of_another_type_are_refused() {
        let (first, _, bytes) = blob();
        read::<(u64, u64, u64)>(&first, &bytes).unwrap_err();
        read::<u8>(&first, &bytes).unwrap_err();
    }
}
