//! What an answer must look like, checked before anything is made of it.
//!
//! The library that reads answers reserves memory for as many elements as an array says that it has,
//! whatever follows: fourteen bytes can ask for 64 GiB, which ends the process. So an answer is
//! walked first, here, without memory: every length is held against the bytes that are left, and
//! every element of an array has to be there.

mod answers;

/// Fields of a kind that is not known in one structure: a broker that speaks a version that both know
/// sends none or few.
const UNKNOWN_TAGS_MAX: u32 = 32;
/// Bytes of a variable-length length at most.
const LENGTH_BYTES_MAX: u32 = 5;

/// Why an answer is not what it has to be.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ShapeError {
    #[error("it ends in the middle of a field")]
    Cut,
    #[error("a length in it is more than the bytes that follow, or negative")]
    Length,
    #[error("it holds more unknown fields than any broker sends")]
    Unknown,
}

/// An answer whose fields are known.
pub(super) trait Shaped {
    const SHAPE: Shape;
}

/// The fields of an answer, in their order.
#[derive(Copy, Clone, Debug)]
pub(super) struct Shape {
    /// Since which version lengths are of variable length and structures end with tagged fields.
    flexible_since: i16,
    fields: &'static [Field],
}

/// A field, and the versions that have it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Field {
    since: i16,
    until: i16,
    kind: Kind,
}

#[derive(Copy, Clone, Debug)]
enum Kind {
    /// So many bytes, whatever they hold.
    Fixed(usize),
    /// A text, or none.
    Text,
    /// Bytes, or none.
    Bytes,
    /// Any number of structures, or none.
    Array(&'static [Field]),
    /// Any number of values of so many bytes each, or none.
    Values(usize),
    /// What stands behind a tag; structures without any that are known need not have this.
    Tagged(u32, Tag),
}

#[derive(Copy, Clone, Debug)]
enum Tag {
    Structure(&'static [Field]),
    Array(&'static [Field]),
}

const fn always(kind: Kind) -> Field {
    Field { since: 0, until: i16::MAX, kind }
}

const fn since(since: i16, kind: Kind) -> Field {
    Field { since, until: i16::MAX, kind }
}

const fn between(since: i16, until: i16, kind: Kind) -> Field {
    Field { since, until, kind }
}

impl Shape {
    /// Walks an answer of this version, without its header. What is behind its end is ignored, as
    /// the library ignores it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn check(&self, version: i16, bytes: &[u8]) -> Result<(), ShapeError> {
        let mut walk = Walk { rest: bytes, version, flexible: self.flexible_since <= version };
        walk.structure(self.fields)
    }
}

/// Walks the tagged fields of a header: it has none that are known.
///
/// # Errors
///
/// What is wrong with them.
pub(super) fn check_header_tags(bytes: &[u8]) -> Result<(), ShapeError> {
    Walk { rest: bytes, version: 0, flexible: true }.tags(&[])
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl<'a> Walk<'a> {
    fn skip(&mut self, bytes: usize) -> Result<&'a [u8], ShapeError> {
        let (skipped, rest) = self.rest.split_at_checked(bytes).ok_or(ShapeError::Cut)?;
        self.rest = rest;
        Ok(skipped)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ShapeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ShapeError::Cut)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Read as the library reads it, which takes five bytes at most and drops what is beyond 32 bits.
    fn varint(&mut self) -> Result<u32, ShapeError> {
        let mut value = 0;
        for at in 0..LENGTH_BYTES_MAX {
            let [byte] = self.fixed()?;
            value |= u32::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// How many elements or bytes there are; 0 where there are none at all. There have to be so many
    /// times `each` bytes.
    fn length(&mut self, wide: bool, each: usize) -> Result<usize, ShapeError> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if wide {
            i32::from_be_bytes(self.fixed()?).into()
        } else {
            i16::from_be_bytes(self.fixed()?).into()
        };
        if length == -1 {
            return Ok(0);
        }
        let length = usize::try_from(length).map_err(|_| ShapeError::Length)?;
        match length.checked_mul(each) {
            Some(bytes) if bytes <= self.rest.len() => Ok(length),
            _ => Err(ShapeError::Length),
        }
    }

    fn structure(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_in(version)) {
            match field.kind {
                Kind::Fixed(bytes) => drop(self.skip(bytes)?),
                Kind::Text => {
                    let bytes = self.length(false, 1)?;
                    self.skip(bytes)?;
                }
                Kind::Bytes => {
                    let bytes = self.length(true, 1)?;
                    self.skip(bytes)?;
                }
                Kind::Values(each) => {
                    let values = self.length(true, each)?;
                    self.skip(values * each)?;
                }
                Kind::Array(fields) => self.array(fields)?,
                Kind::Tagged(..) => {}
            }
        }
        if self.flexible { self.tags(fields) } else { Ok(()) }
    }

    fn array(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        let least = least_bytes(fields, self.version, self.flexible);
        for _ in 0..self.length(true, least)? {
            self.structure(fields)?;
        }
        Ok(())
    }

    fn tags(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        let count = self.varint()?;
        let mut unknown = 0;
        for _ in 0..count {
            let (tag, bytes) = (self.varint()?, self.varint()?);
            let bytes = usize::try_from(bytes).map_err(|_| ShapeError::Length)?;
            if self.rest.len() < bytes {
                return Err(ShapeError::Length);
            }
            let version = self.version;
            let known = fields.iter().find_map(|field| match field.kind {
                Kind::Tagged(known, what) if known == tag && field.is_in(version) => Some(what),
                _ => None,
            });
            let Some(known) = known else {
                unknown += 1;
                if UNKNOWN_TAGS_MAX < unknown {
                    return Err(ShapeError::Unknown);
                }
                self.skip(bytes)?;
                continue;
            };
            // The library goes by what is in it, and not by its length: they have to be the same.
            let behind = self.rest.len() - bytes;
            match known {
                Tag::Structure(fields) => self.structure(fields)?,
                Tag::Array(fields) => self.array(fields)?,
            }
            if self.rest.len() != behind {
                return Err(ShapeError::Length);
            }
        }
        Ok(())
    }
}

impl Field {
    fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }
}

/// Bytes that a structure has at least.
fn least_bytes(fields: &[Field], version: i16, flexible: bool) -> usize {
    let least = |field: &Field| match field.kind {
        Kind::Fixed(bytes) => bytes,
        Kind::Tagged(..) => 0,
        _ if flexible => 1,
        Kind::Text => 2,
        Kind::Bytes | Kind::Array(_) | Kind::Values(_) => 4,
    };
    let fields = fields.iter().filter(|field| field.is_in(version)).map(least).sum::<usize>();
    (fields + usize::from(flexible)).max(1)
}

#[cfg(test)]
mod tests;
