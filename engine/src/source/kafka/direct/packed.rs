//! A batch that is compressed, unpacked in pieces.
//!
//! What is unpacked is a window on the batch's records: a piece of it, or one record where that is
//! larger, never the whole batch if that is large. A record that is too large for the window passes
//! through it: its first part is kept, the rest is dropped as it comes.
//!
//! Between two reads of a partition the window and the decoder stay, as long as the reader's partitions
//! together keep no more than they may. Otherwise they are dropped, and the batch is unpacked again up
//! to where it was.

use std::io;

use bytes::Bytes;

use super::batch::{BatchError, Parts, Records, value_length};
use super::codec::{Codec, Unpacking};
use crate::source::kafka::budget::FIRST_PART_BYTES;

/// Bytes that are unpacked at a time: most batches become no more, and are unpacked at once.
pub(super) const PIECE_BYTES: usize = 1 << 20;
/// Bytes of a record beside its value, up to which it is read as a whole.
const BESIDE_VALUE_BYTES_MAX: usize = 64 << 10;

/// See the module.
pub(super) struct Packed {
    codec: Codec,
    bytes: Bytes,
    /// Bytes of the batch's records before the window.
    before: u64,
    unpacking: Option<Unpacking>,
}

/// A record that is larger than the window may be, and may have a value that is too large.
pub(super) struct Large {
    pub(super) offset: i64,
    /// -1 if there is none.
    pub(super) timestamp: i64,
    /// Bytes of the value; none if it is null.
    pub(super) value_bytes: Option<u64>,
    /// How much of it is at the beginning of the window.
    pub(super) kept: usize,
}

/// What came of looking for more.
pub(super) enum More {
    /// There is another record in the window.
    Whole,
    /// This one, whose value is at the beginning of the window.
    Large(Large),
}

fn broken(records: &Records, error: &io::Error) -> BatchError {
    BatchError::Compression(records.base_offset(), error.to_string())
}

impl Packed {
    /// Of `bytes`, the records of a batch as they were compressed.
    pub(super) fn new(codec: Codec, bytes: Bytes) -> Packed {
        Packed { codec, bytes, before: 0, unpacking: None }
    }

    /// Bytes that the decoder keeps, about.
    pub(super) fn decoder_bytes(&self) -> usize {
        match &self.unpacking {
            Some(unpacking) if unpacking.ended => 0,
            Some(unpacking) => unpacking.decoder_bytes,
            None => self.codec.decoder_bytes(&self.bytes),
        }
    }

    /// Unpacks the first piece, or, after [`suspend`](Self::suspend), that at the position.
    ///
    /// # Errors
    ///
    /// Bytes that cannot be decompressed.
    pub(super) fn resume(
        &mut self,
        records: &mut Records,
        window: &mut Vec<u8>,
    ) -> Result<(), BatchError> {
        if self.unpacking.is_some() {
            return Ok(());
        }
        window.clear();
        let resumed = self.codec.unpack(self.bytes.clone()).and_then(|mut unpacking| {
            if !unpacking.skip(self.before)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            unpacking.fill(window, PIECE_BYTES)?;
            Ok(unpacking)
        });
        self.unpacking = Some(resumed.map_err(|error| broken(records, &error))?);
        records.move_to(0);
        Ok(())
    }

    /// Lets go of the decoder and of what was unpacked.
    pub(super) fn suspend(&mut self, records: &mut Records, window: &mut Vec<u8>) {
        self.before += records.at() as u64;
        records.move_to(0);
        self.unpacking = None;
        *window = Vec::new();
    }

    /// There is no whole record in the window: unpacks more. `error` says so, and is right if there is
    /// no more.
    ///
    /// # Errors
    ///
    /// Bytes that cannot be decompressed, or that are no record.
    pub(super) fn more(
        &mut self,
        records: &mut Records,
        window: &mut Vec<u8>,
        value_bytes_max: usize,
        error: BatchError,
    ) -> Result<More, BatchError> {
        let Some(unpacking) = self.unpacking.as_mut().filter(|unpacking| !unpacking.ended) else {
            return Err(error);
        };
        if !records.has_more() {
            return Err(error);
        }
        let at = records.at();
        window.drain(..at);
        self.before += at as u64;
        records.move_to(0);
        let failed = |error: io::Error| broken(records, &error);
        let looked_at = window.len();
        unpacking.fill(window, Parts::BYTES_MAX).map_err(failed)?;
        let Some(span) = records.span(window) else { return Err(error) };
        if span <= looked_at {
            return Err(error);
        }
        if span <= window.len() {
            return Ok(More::Whole);
        }
        if span <= value_bytes_max.saturating_add(BESIDE_VALUE_BYTES_MAX) {
            unpacking.fill(window, span.max(PIECE_BYTES)).map_err(failed)?;
            return if span <= window.len() { Ok(More::Whole) } else { Err(error) };
        }
        let large = self.large(records, window, span, value_bytes_max);
        let large = large.map_err(|error| broken(records, &error))?;
        large.map(More::Large).ok_or(error)
    }

    /// Reads a record of `span` bytes at the beginning of the window from its parts.
    fn large(
        &mut self,
        records: &mut Records,
        window: &mut Vec<u8>,
        span: usize,
        value_bytes_max: usize,
    ) -> io::Result<Option<Large>> {
        let Some(unpacking) = &mut self.unpacking else { return Ok(None) };
        let Some(parts) = Parts::read(window) else { return Ok(None) };
        let key = usize::try_from(parts.key).unwrap_or(0);
        let Some(at_value) = parts.bytes.checked_add(key).filter(|at| *at < span) else {
            return Ok(None);
        };
        if !drop_first(unpacking, window, at_value)? {
            return Ok(None);
        }
        unpacking.fill(window, Parts::BYTES_MAX)?;
        let Some((value, length_bytes)) = value_length(window) else { return Ok(None) };
        let value_bytes = u64::try_from(value).ok();
        let value = usize::try_from(value).unwrap_or(0);
        let Some(behind) = (span - at_value).checked_sub(length_bytes + value) else {
            return Ok(None);
        };
        drop_first(unpacking, window, length_bytes)?;
        let kept = if value <= value_bytes_max { value } else { FIRST_PART_BYTES.min(value) };
        unpacking.fill(window, kept)?;
        // The rest of the record is behind what is kept, in the window and beyond it.
        let rest = value - kept + behind;
        if window.len() < kept {
            return Ok(None);
        }
        let in_window = rest.min(window.len() - kept);
        window.drain(kept..kept + in_window);
        if !unpacking.skip((rest - in_window) as u64)? {
            return Ok(None);
        }
        let Some((offset, timestamp)) = records.pass(&parts) else { return Ok(None) };
        records.move_to(kept);
        // What is in the window begins that much before the next record.
        self.before += (span - kept) as u64;
        Ok(Some(Large { offset, timestamp, value_bytes, kept }))
    }

    /// Whether there is nothing behind the last record.
    ///
    /// # Errors
    ///
    /// Bytes that cannot be decompressed.
    pub(super) fn ends(
        &mut self,
        records: &Records,
        window: &mut Vec<u8>,
    ) -> Result<bool, BatchError> {
        let Some(unpacking) = &mut self.unpacking else { return Ok(true) };
        let length = window.len();
        unpacking.fill(window, length + 1).map_err(|error| broken(records, &error))?;
        Ok(window.len() == length)
    }
}

/// Drops so many bytes from the beginning of what comes; says whether there were as many.
fn drop_first(unpacking: &mut Unpacking, window: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
    let in_window = bytes.min(window.len());
    window.drain(..in_window);
    unpacking.skip((bytes - in_window) as u64)
}
