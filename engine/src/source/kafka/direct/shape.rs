//! What an answer must look like, checked before anything is made of it.
//!
//! The library that reads answers reserves memory for as many elements as an array says that it has,
//! whatever follows: fourteen bytes can ask for 64 GiB, which ends the process. So an answer is
//! walked first, here, without memory: every length is held against the bytes that are left, and
//! every element of an array has to be there.

use kafka_protocol::messages::{ApiVersionsResponse, FetchResponse, MetadataResponse};

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

const BOOL: Kind = Kind::Fixed(1);
const I16: Kind = Kind::Fixed(2);
const I32: Kind = Kind::Fixed(4);
const I64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);

impl Shaped for ApiVersionsResponse {
    /// As of version 0, the only one that is asked for.
    const SHAPE: Shape = Shape {
        flexible_since: i16::MAX,
        fields: &[always(I16), always(Kind::Array(&[always(I16), always(I16), always(I16)]))],
    };
}

impl Shaped for MetadataResponse {
    const SHAPE: Shape = Shape {
        flexible_since: 9,
        fields: &[
            since(3, I32),
            always(Kind::Array(&[
                always(I32),
                always(Kind::Text),
                always(I32),
                since(1, Kind::Text),
            ])),
            since(2, Kind::Text),
            since(1, I32),
            always(Kind::Array(&[
                always(I16),
                always(Kind::Text),
                since(10, UUID),
                since(1, BOOL),
                always(Kind::Array(&[
                    always(I16),
                    always(I32),
                    always(I32),
                    since(7, I32),
                    always(Kind::Values(4)),
                    always(Kind::Values(4)),
                    since(5, Kind::Values(4)),
                ])),
                since(8, I32),
            ])),
            between(8, 10, I32),
        ],
    };
}

impl Shaped for FetchResponse {
    const SHAPE: Shape = Shape {
        flexible_since: 12,
        fields: &[
            always(I32),
            since(7, I16),
            since(7, I32),
            always(Kind::Array(&[
                between(0, 12, Kind::Text),
                since(13, UUID),
                always(Kind::Array(&[
                    always(I32),
                    always(I16),
                    always(I64),
                    since(4, I64),
                    since(5, I64),
                    since(4, Kind::Array(&[always(I64), always(I64)])),
                    since(11, I32),
                    always(Kind::Bytes),
                    since(12, Kind::Tagged(0, Tag::Structure(&[always(I32), always(I64)]))),
                    since(12, Kind::Tagged(1, Tag::Structure(&[always(I32), always(I32)]))),
                    since(12, Kind::Tagged(2, Tag::Structure(&[always(I64), always(I32)]))),
                ])),
            ])),
            since(
                16,
                Kind::Tagged(
                    0,
                    Tag::Array(&[always(I32), always(Kind::Text), always(I32), always(Kind::Text)]),
                ),
            ),
        ],
    };
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
mod tests {
    use bytes::Bytes;
    use kafka_protocol::protocol::Decodable;
    use proptest::prelude::*;

    use super::*;
    use crate::source::kafka::direct::wrong_lengths::{WRONG_LENGTHS, varint, wrong_length};

    /// A length in an answer: where it is, how it is written.
    #[derive(Copy, Clone, Debug)]
    struct Place {
        at: usize,
        bytes: usize,
        /// Whether it is of variable length.
        varies: bool,
    }

    /// Writes answers of a shape, and notes where their lengths are.
    struct Writer {
        bytes: Vec<u8>,
        lengths: Vec<Place>,
        version: i16,
        flexible: bool,
        /// How many elements arrays have, how many bytes texts have, in turn.
        sizes: std::vec::IntoIter<u8>,
    }

    impl Writer {
        fn size(&mut self) -> usize {
            self.sizes.next().unwrap_or(0).into()
        }

        fn varint(&mut self, value: u32) {
            let at = self.bytes.len();
            self.bytes.extend(varint(value.into()));
            self.lengths.push(Place { at, bytes: self.bytes.len() - at, varies: true });
        }

        fn length(&mut self, length: usize, wide: bool) {
            let at = self.bytes.len();
            match (self.flexible, wide) {
                (true, _) => return self.varint(u32::try_from(length).unwrap() + 1),
                (false, true) => self.bytes.extend(u32::try_from(length).unwrap().to_be_bytes()),
                (false, false) => self.bytes.extend(u16::try_from(length).unwrap().to_be_bytes()),
            }
            self.lengths.push(Place { at, bytes: self.bytes.len() - at, varies: false });
        }

        fn structure(&mut self, fields: &'static [Field]) {
            let (version, mut tags) = (self.version, Vec::new());
            for field in fields.iter().filter(|field| field.is_in(version)) {
                match field.kind {
                    Kind::Fixed(bytes) => self.bytes.resize(self.bytes.len() + bytes, 0),
                    Kind::Text | Kind::Bytes => {
                        let length = self.size();
                        self.length(length, matches!(field.kind, Kind::Bytes));
                        self.bytes.resize(self.bytes.len() + length, b'x');
                    }
                    Kind::Values(each) => {
                        let count = self.size() % 4;
                        self.length(count, true);
                        self.bytes.resize(self.bytes.len() + count * each, 0);
                    }
                    Kind::Array(fields) => self.array(fields),
                    Kind::Tagged(tag, what) => tags.push((tag, what)),
                }
            }
            if self.flexible {
                tags.retain(|_| self.size() % 2 == 1);
                self.varint(u32::try_from(tags.len()).unwrap());
                for (tag, what) in tags {
                    self.varint(tag);
                    let mut inner = Writer {
                        bytes: Vec::new(),
                        lengths: Vec::new(),
                        version,
                        flexible: true,
                        sizes: std::mem::take(&mut self.sizes),
                    };
                    match what {
                        Tag::Structure(fields) => inner.structure(fields),
                        Tag::Array(fields) => inner.array(fields),
                    }
                    self.sizes = inner.sizes;
                    self.varint(u32::try_from(inner.bytes.len()).unwrap());
                    let moved = self.bytes.len();
                    let places = inner.lengths.into_iter();
                    self.lengths
                        .extend(places.map(|place| Place { at: place.at + moved, ..place }));
                    self.bytes.extend(inner.bytes);
                }
            }
        }

        fn array(&mut self, fields: &'static [Field]) {
            let count = self.size() % 3;
            self.length(count, true);
            for _ in 0..count {
                self.structure(fields);
            }
        }
    }

    /// Replaces a length; where its bytes become more or fewer, what follows moves.
    fn replace(bytes: &mut Vec<u8>, place: Place, which: usize) {
        let length = wrong_length(which, bytes.len() - place.at - place.bytes);
        let written: Vec<u8> = if place.varies {
            match which % 7 {
                6 => vec![0xff; 5], // More than 32 bits, and no end.
                _ => varint((length.wrapping_add(1) & i64::from(u32::MAX)).cast_unsigned()),
            }
        } else {
            length.to_be_bytes()[8 - place.bytes..].to_vec()
        };
        bytes.splice(place.at..place.at + place.bytes, written);
    }

    /// An answer of a shape with some of its lengths replaced; how it was before too.
    fn damaged<T: Shaped>(
        version: i16,
        sizes: Vec<u8>,
        damage: &[(prop::sample::Index, usize)],
    ) -> (Vec<u8>, Vec<u8>) {
        let mut writer = Writer {
            bytes: Vec::new(),
            lengths: Vec::new(),
            version,
            flexible: T::SHAPE.flexible_since <= version,
            sizes: sizes.into_iter(),
        };
        writer.structure(T::SHAPE.fields);
        let whole = writer.bytes;
        let mut bytes = whole.clone();
        // From the last to the first, so that places before one that moves stay where they are.
        let mut places: Vec<_> = damage
            .iter()
            .map(|(index, which)| (writer.lengths[index.index(writer.lengths.len())], *which))
            .collect();
        places.sort_by_key(|(place, _)| std::cmp::Reverse(place.at));
        places.dedup_by_key(|(place, _)| place.at);
        for (place, which) in places {
            replace(&mut bytes, place, which);
        }
        (whole, bytes)
    }

    /// What is accepted is read by the library without more memory than the bytes are worth: it
    /// reserves what arrays say, and a process that is asked for 64 GiB ends.
    fn check<T: Shaped + Decodable>(
        version: i16,
        sizes: Vec<u8>,
        damage: &[(prop::sample::Index, usize)],
    ) -> Result<(), TestCaseError> {
        let (whole, bytes) = damaged::<T>(version, sizes, damage);
        prop_assert_eq!(T::SHAPE.check(version, &whole), Ok(()));
        prop_assert!(T::decode(&mut Bytes::from(whole), version).is_ok());
        if T::SHAPE.check(version, &bytes).is_ok() {
            let _ = T::decode(&mut Bytes::from(bytes), version);
        }
        Ok(())
    }

    fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, usize)>> {
        prop::collection::vec((any::<prop::sample::Index>(), 0..7 * WRONG_LENGTHS), 0..5)
    }

    fn sizes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..=255_u8, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn no_length_in_an_answer_about_versions_asks_for_memory(
            sizes in sizes(), damage in damage(),
        ) {
            check::<ApiVersionsResponse>(0, sizes, &damage)?;
        }

        #[test]
        fn no_length_in_an_answer_about_leaders_asks_for_memory(
            version in 4..=12_i16, sizes in sizes(), damage in damage(),
        ) {
            check::<MetadataResponse>(version, sizes, &damage)?;
        }

        #[test]
        fn no_length_in_an_answer_with_messages_asks_for_memory(
            version in 4..=16_i16, sizes in sizes(), damage in damage(),
        ) {
            check::<FetchResponse>(version, sizes, &damage)?;
        }

        #[test]
        fn bytes_at_random_are_walked_without_a_panic(
            version in 4..=16_i16, bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = ApiVersionsResponse::SHAPE.check(0, &bytes);
            let _ = MetadataResponse::SHAPE.check(version.min(12), &bytes);
            let _ = check_header_tags(&bytes);
            if FetchResponse::SHAPE.check(version, &bytes).is_ok() {
                let _ = FetchResponse::decode(&mut Bytes::from(bytes), version);
            }
        }
    }

    #[test]
    fn every_element_of_an_array_has_to_be_there() {
        let check = |bytes: &[u8]| ApiVersionsResponse::SHAPE.check(0, bytes);
        // No error, and 2^31 - 1 ranges of versions: 64 GiB for the library.
        assert_eq!(check(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), Err(ShapeError::Length));
        assert_eq!(check(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]), Err(ShapeError::Length));
        assert_eq!(check(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), Ok(()));
        assert_eq!(check(&[0, 0, 0xff, 0xff, 0xff, 0xfe]), Err(ShapeError::Length));
        assert_eq!(check(&[0, 0, 0]), Err(ShapeError::Cut));
    }

    #[test]
    fn unknown_fields_are_few() {
        let tags = |count: u8| {
            let mut bytes = vec![count];
            bytes.extend((0..count).flat_map(|tag| [tag, 0]));
            bytes
        };
        assert_eq!(check_header_tags(&tags(32)), Ok(()));
        assert_eq!(check_header_tags(&tags(33)), Err(ShapeError::Unknown));
    }
}
