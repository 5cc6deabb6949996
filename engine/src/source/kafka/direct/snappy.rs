//! Snappy in pieces: the block format has no frames, and a batch is one block as a rule.

use std::io::{self, Read};

use bytes::{Buf, Bytes};

/// Blocks that become no more than this are unpacked at once.
const AT_ONCE_BYTES_MAX: usize = 1 << 20;
/// How far back a copy may reach: encoders compress 64 KiB at a time.
const HISTORY_BYTES: usize = 128 << 10;
/// What is unpacked beyond that before it is handed over.
const STEP_BYTES: usize = 128 << 10;
/// How many times as large a block may become at most: a copy of 64 bytes takes three.
const GROWTH_MAX: usize = 22;
/// What Java's snappy library writes before its blocks: a magic and two versions.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;

/// What a batch becomes: one block, or, as Java clients write it, a header and blocks behind their
/// lengths.
///
/// # Errors
///
/// Bytes that no encoder has written.
pub(super) fn reader(mut from: Bytes) -> io::Result<Box<dyn Read>> {
    if !from.starts_with(XERIAL_MAGIC) {
        return block(from);
    }
    if from.len() < XERIAL_HEADER_BYTES {
        return Err(cut());
    }
    from.advance(XERIAL_HEADER_BYTES);
    Ok(Box::new(Blocks { rest: from, block: None }))
}

fn cut() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn block(from: Bytes) -> io::Result<Box<dyn Read>> {
    let length = snap::raw::decompress_len(&from).map_err(io::Error::other)?;
    // Nothing is reserved because the first bytes say so.
    if from.len().saturating_mul(GROWTH_MAX) < length {
        return Err(malformed("it says that it becomes more than it can"));
    }
    if length <= AT_ONCE_BYTES_MAX {
        let unpacked = snap::raw::Decoder::new().decompress_vec(&from).map_err(io::Error::other)?;
        return Ok(Box::new(io::Cursor::new(unpacked)));
    }
    let preamble = from.iter().position(|byte| *byte < 0x80).ok_or_else(cut)? + 1;
    Ok(Box::new(Block {
        rest: from.slice(preamble..),
        unpacked: Vec::with_capacity(HISTORY_BYTES + 2 * STEP_BYTES),
        read: 0,
        left: length,
        literal: 0,
    }))
}

/// Blocks behind their lengths.
struct Blocks {
    rest: Bytes,
    block: Option<Box<dyn Read>>,
}

impl Read for Blocks {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(block) = &mut self.block {
                match block.read(to)? {
                    0 if !to.is_empty() => self.block = None,
                    read => return Ok(read),
                }
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            let length = self.rest.try_get_u32().map_err(|_| cut())?;
            let length = usize::try_from(length).map_err(io::Error::other)?;
            if self.rest.len() < length {
                return Err(cut());
            }
            self.block = Some(block(self.rest.split_to(length))?);
        }
    }
}

/// One block that is unpacked in pieces.
struct Block {
    rest: Bytes,
    /// History, and what has not been read of what was unpacked.
    unpacked: Vec<u8>,
    read: usize,
    /// Bytes that are to be unpacked yet.
    left: usize,
    /// Bytes of a literal that are to be copied yet.
    literal: usize,
}

impl Read for Block {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.read == self.unpacked.len() {
            self.unpack()?;
        }
        let bytes = &self.unpacked[self.read..];
        let length = bytes.len().min(to.len());
        to[..length].copy_from_slice(&bytes[..length]);
        self.read += length;
        Ok(length)
    }
}

impl Block {
    /// Unpacks the next piece; nothing at the end.
    fn unpack(&mut self) -> io::Result<()> {
        let old = self.unpacked.len().saturating_sub(HISTORY_BYTES);
        self.unpacked.drain(..old);
        self.read = self.unpacked.len();
        let enough = self.read + STEP_BYTES;
        while self.unpacked.len() < enough && 0 < self.left {
            self.element(enough)?;
        }
        match self.left == 0 && !(self.rest.is_empty() && self.literal == 0) {
            true => Err(malformed("it becomes more than it says")),
            false => Ok(()),
        }
    }

    fn element(&mut self, enough: usize) -> io::Result<()> {
        if 0 < self.literal {
            let length = self.literal.min(enough - self.unpacked.len());
            if self.left < length || self.rest.len() < length {
                return Err(cut());
            }
            self.unpacked.extend_from_slice(&self.rest.split_to(length));
            (self.literal, self.left) = (self.literal - length, self.left - length);
            return Ok(());
        }
        let tag = usize::from(self.rest.try_get_u8().map_err(|_| cut())?);
        let (offset, length) = match tag & 3 {
            0 => {
                self.literal = 1 + match tag >> 2 {
                    short @ 0..60 => short,
                    long => self.little_endian(long - 59)?,
                };
                return Ok(());
            }
            1 => (((tag >> 5) << 8) + self.little_endian(1)?, 4 + ((tag >> 2) & 7)),
            2 => (self.little_endian(2)?, 1 + (tag >> 2)),
            _ => (self.little_endian(4)?, 1 + (tag >> 2)),
        };
        if offset == 0 || self.unpacked.len() < offset {
            return Err(malformed("a copy of what is not there"));
        }
        if self.left < length {
            return Err(malformed("it becomes more than it says"));
        }
        self.left -= length;
        let from = self.unpacked.len() - offset;
        if length <= offset {
            self.unpacked.extend_from_within(from..from + length);
        } else {
            // It reaches into what it writes.
            for at in from..from + length {
                self.unpacked.push(self.unpacked[at]);
            }
        }
        Ok(())
    }

    fn little_endian(&mut self, bytes: usize) -> io::Result<usize> {
        let value = self.rest.try_get_uint_le(bytes).map_err(|_| cut())?;
        usize::try_from(value).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        reader(packed.into())?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn a_large_block_is_unpacked_in_pieces_to_what_it_was() {
        let mut random = 1_u32;
        let plain: Vec<u8> = (0..3 << 20_u32)
            .map(|at| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at / 1_000 % 3 == 0 { (random >> 24) as u8 } else { (at / 50) as u8 }
            })
            .collect();
        let packed = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        assert!(unpacked(packed.clone()).unwrap() == plain);
        assert!(unpacked(packed[..packed.len() / 2].to_vec()).is_err());
        assert!(unpacked([&packed[..], &[0, 7]].concat()).is_err());
    }

    #[test]
    fn a_block_that_says_more_than_it_can_become_reserves_nothing() {
        let claims = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let line = unpacked(claims).unwrap_err().to_string();
        assert!(line.contains("more than it can"), "{line}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn a_damaged_block_is_no_panic(
            at in any::<prop::sample::Index>(),
            damage in prop::collection::vec(any::<u8>(), 1..6),
        ) {
            let plain = vec![b' '; (1 << 20) + 77];
            let mut packed = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
            let at = at.index(packed.len() - damage.len());
            packed[at..at + damage.len()].copy_from_slice(&damage);
            let _ = unpacked(packed);
        }
    }
}
