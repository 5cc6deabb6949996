//! Decompression of a batch's records, in pieces.

use std::io::{self, Read};

use bytes::{Buf, Bytes};

use super::snappy;

/// What a decoder keeps besides its window.
const DECODER_BYTES: usize = 512 << 10;
/// What LZ4's frames are unpacked through at most: two blocks.
const LZ4_BYTES: usize = 8 << 20;

/// How a batch is compressed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// A decoder on its way through a batch.
pub(super) struct Unpacking {
    decoder: Box<dyn Read>,
    /// Bytes that the decoder may keep, about.
    pub(super) decoder_bytes: usize,
    /// Whether all was unpacked.
    pub(super) ended: bool,
}

impl Codec {
    /// The codec of this number in a batch's attributes.
    pub(super) fn of(number: i16) -> Option<Codec> {
        [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

    /// How many bytes a decoder for `from` keeps, about.
    pub(super) fn decoder_bytes(self, from: &[u8]) -> usize {
        DECODER_BYTES
            + match self {
                Codec::None | Codec::Gzip | Codec::Snappy => 0,
                Codec::Lz4 => LZ4_BYTES,
                Codec::Zstd => zstd_window(from),
            }
    }

    /// Begins to unpack `from`. Nothing is unpacked yet.
    ///
    /// # Errors
    ///
    /// Bytes that this codec has not made.
    pub(super) fn unpack(self, from: Bytes) -> io::Result<Unpacking> {
        let decoder_bytes = self.decoder_bytes(&from);
        let decoder: Box<dyn Read> = match self {
            Codec::None => Box::new(from.reader()),
            Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from.reader())),
            Codec::Snappy => snappy::reader(from)?,
            Codec::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(from.reader())),
            Codec::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(from.reader())?),
        };
        Ok(Unpacking { decoder, decoder_bytes, ended: false })
    }
}

impl Unpacking {
    /// Adds to `window` until it holds so many bytes, or all is unpacked.
    ///
    /// # Errors
    ///
    /// Bytes that the codec has not made.
    pub(super) fn fill(&mut self, window: &mut Vec<u8>, bytes: usize) -> io::Result<()> {
        let wanted = bytes.saturating_sub(window.len());
        if 0 < wanted && !self.ended {
            let read = (&mut self.decoder).take(wanted as u64).read_to_end(window)?;
            self.ended = read < wanted;
        }
        Ok(())
    }

    /// Passes over so many bytes; says whether there were as many.
    ///
    /// # Errors
    ///
    /// Bytes that the codec has not made.
    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<bool> {
        let skipped = io::copy(&mut (&mut self.decoder).take(bytes), &mut io::sink())?;
        self.ended |= skipped < bytes;
        Ok(skipped == bytes)
    }
}

/// The window that a frame of zstd says that it needs, up to what decoders take. What it says is not
/// reserved: it is what the decoder keeps at most.
fn zstd_window(frame: &[u8]) -> usize {
    const WINDOW_BYTES_MAX: usize = 128 << 20;
    const SINGLE_SEGMENT_BIT: u8 = 1 << 5;
    /// Behind a magic.
    const DESCRIPTOR_AT: usize = 4;
    let Some(&descriptor) = frame.get(DESCRIPTOR_AT) else { return 0 };
    let rest = &frame[DESCRIPTOR_AT + 1..];
    let window = if descriptor & SINGLE_SEGMENT_BIT == 0 {
        let Some(&window) = rest.first() else { return 0 };
        let base = 1_u64 << (10 + (window >> 3)).min(40);
        base + base / 8 * u64::from(window & 7)
    } else {
        // It is its own window, and says its size, behind the number of a dictionary.
        let number_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size_bytes = 1 << (descriptor >> 6);
        let size = rest.get(number_bytes..number_bytes + size_bytes).unwrap_or_default();
        size.iter().rev().fold(0, |size, byte| size << 8 | u64::from(*byte))
    };
    usize::try_from(window).unwrap_or(usize::MAX).min(WINDOW_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_frame_says_how_much_its_decoder_keeps() {
        let packed = |level, bytes: usize| {
            let mut to = zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
            to.write_all(&vec![b' '; bytes]).unwrap();
            to.finish().unwrap()
        };
        assert_eq!(zstd_window(&packed(3, 10 << 20)), 2 << 20);
        assert_eq!(zstd_window(&packed(22, 10 << 20)), 128 << 20);
        let whole = zstd::bulk::compress(&[b' '; 70_000], 3).unwrap();
        assert_eq!(zstd_window(&whole), 70_000);
        assert_eq!(zstd_window(&[]), 0);
        assert_eq!(zstd_window(&[0xff; 5]), 0);
    }
}
