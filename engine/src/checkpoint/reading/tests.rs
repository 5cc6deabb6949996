use std::ops::Range;
use std::sync::Mutex;

use super::*;
use crate::checkpoint::blobs::{BlobEntry, BlobError};
use crate::checkpoint::section::{BlobWriter, Encoded};
use bytes::Bytes;

/// Blobs that say what was asked of them.
#[derive(Debug, Default)]
struct Asked {
    blobs: Vec<(Arc<str>, Vec<u8>)>,
    ranges: Mutex<Vec<Range<u64>>>,
}

impl Blobs for Asked {
    fn place(&self) -> String {
        "here".into()
    }
    fn put_new(&self, _: &str, _: Bytes) -> Result<(), BlobError> {
        unreachable!("nothing is put")
    }
    fn get(&self, _: &str) -> Result<Vec<u8>, BlobError> {
        unreachable!("nothing is read as a whole")
    }
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.ranges.lock().unwrap().push(range.clone());
        let (_, bytes) = self.blobs.iter().find(|(of, _)| &**of == name).unwrap();
        Ok(bytes[range.start as usize..range.end as usize].to_vec())
    }
    fn list(&self) -> Result<Vec<BlobEntry>, BlobError> {
        unreachable!("nothing is listed")
    }
    fn delete(&self, _: &str) -> Result<(), BlobError> {
        unreachable!("nothing is removed")
    }
}

/// A blob of sections of so many bytes each.
fn blob(store: &mut Asked, name: &str, lengths: &[usize]) -> Vec<Section> {
    let mut writer = BlobWriter::new(name);
    let sections = lengths.iter().map(|length| {
        let mut encoded = Encoded::default();
        (0..*length).for_each(|index| encoded.push(&(index as u8)));
        writer.section(&encoded)
    });
    let sections = sections.collect();
    store.blobs.extend(writer.finish().map(|(name, bytes)| (name, bytes.to_vec())));
    sections
}

fn read(store: &Asked, sections: &[&Section]) -> Result<Vec<usize>, CheckpointError> {
    let mut lengths = Vec::new();
    read_sections(store, sections.iter().copied(), |section, bytes| {
        assert_eq!(section.decode::<u8>(bytes)?.len() as u64, section.records);
        lengths.push(bytes.len());
        Ok(())
    })?;
    Ok(lengths)
}

#[test]
fn what_lies_together_is_read_together_and_no_blob_as_a_whole() {
    let mut store = Asked::default();
    let one = blob(&mut store, "one", &[10, 20, 0]);
    let two = blob(&mut store, "two", &[5, 9 << 20, 7, 200_000, 3]);
    let wanted = [&two[4], &one[0], &one[1], &one[2], &two[0], &two[1], &two[2]];
    assert_eq!(read(&store, &wanted).unwrap(), [10, 20, 0, 5, 9 << 20, 7, 3]);
    let ranges = store.ranges.lock().unwrap().clone();
    let great = 13 + (9 << 20);
    // The gap before the last one is too great.
    let expected = [0..38, 0..13, 13..great, great..great + 7, great + 200_007..great + 200_010];
    assert_eq!(ranges, expected);
}

#[test]
fn every_damaged_byte_of_what_is_read_is_found() {
    let mut store = Asked::default();
    let sections = blob(&mut store, "one", &[4, 6]);
    let needed: Vec<&Section> = sections.iter().collect();
    for index in 0..store.blobs[0].1.len() {
        store.blobs[0].1[index] ^= 1;
        let error = read(&store, &needed).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { .. }), "{index}: {error}");
        store.blobs[0].1[index] ^= 1;
    }
}

#[test]
fn the_header_is_read_also_where_what_is_needed_lies_far_behind_it() {
    let mut store = Asked::default();
    let sections = blob(&mut store, "one", &[1 << 20, 6]);
    read(&store, &[&sections[1]]).unwrap();
    assert_eq!(store.ranges.lock().unwrap()[0], 0..8);
    store.blobs[0].1[0] ^= 1;
    read(&store, &[&sections[1]]).unwrap_err();
}
