use bytes::Bytes;
use kafka_protocol::messages::{ApiVersionsResponse, FetchResponse, MetadataResponse};
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
                self.lengths.extend(places.map(|place| Place { at: place.at + moved, ..place }));
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
