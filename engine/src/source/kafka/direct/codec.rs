//! Decompression of a batch's records.

use std::io::{self, Read};

/// Bytes that a batch decompresses to at most: brokers take a megabyte by default, and a batch that
/// says more is broken or meant to do harm.
pub(super) const BATCH_BYTES_MAX: usize = 256 << 20;

/// How a batch is compressed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// The codec of this number in a batch's attributes.
    pub(super) fn of(number: i16) -> Option<Codec> {
        [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

    /// Replaces `to` by what `from` decompresses to.
    ///
    /// # Errors
    ///
    /// Bytes that this codec has not made, or that would become more than [`BATCH_BYTES_MAX`].
    pub(super) fn decompress(self, from: &[u8], to: &mut Vec<u8>) -> io::Result<()> {
        to.clear();
        match self {
            Codec::None => to.extend_from_slice(from),
            Codec::Gzip => read_all(flate2::read::MultiGzDecoder::new(from), to)?,
            Codec::Snappy => snappy(from, to)?,
            Codec::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(from), to)?,
            Codec::Zstd => read_all(zstd::stream::read::Decoder::with_buffer(from)?, to)?,
        }
        Ok(())
    }
}

fn read_all(from: impl Read, to: &mut Vec<u8>) -> io::Result<()> {
    from.take(BATCH_BYTES_MAX as u64 + 1).read_to_end(to)?;
    match to.len() <= BATCH_BYTES_MAX {
        true => Ok(()),
        false => Err(io::Error::other("more than a batch may hold")),
    }
}

/// What Java's snappy library writes before its blocks: a magic and two versions.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;

/// One block, or, as Java clients write it, a header and blocks behind their lengths.
fn snappy(from: &[u8], to: &mut Vec<u8>) -> io::Result<()> {
    if !from.starts_with(XERIAL_MAGIC) {
        return snappy_block(from, to);
    }
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut rest = from.get(XERIAL_HEADER_BYTES..).ok_or_else(cut)?;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(io::Error::other)?;
        snappy_block(behind.get(..length).ok_or_else(cut)?, to)?;
        rest = &behind[length..];
    }
    Ok(())
}

/// Adds one block.
fn snappy_block(block: &[u8], to: &mut Vec<u8>) -> io::Result<()> {
    let length = snap::raw::decompress_len(block).map_err(io::Error::other)?;
    let (start, end) = (to.len(), to.len().saturating_add(length));
    if BATCH_BYTES_MAX < end {
        return Err(io::Error::other("more than a batch may hold"));
    }
    to.resize(end, 0);
    snap::raw::Decoder::new().decompress(block, &mut to[start..]).map_err(io::Error::other)?;
    Ok(())
}
