use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use strandline_operators::time::EventTime;

use super::*;
use crate::checkpoint::manifest::{
    CutRecord, FORMAT, OutputCut, PartitionCut, Pending, ProcessCut,
};
use crate::checkpoint::section::{BlobWriter, Encoded};
use crate::source::TopicIdentity;

/// Blobs in memory. When the next one is removed, or the next listing but one made, another process
/// does something.
#[derive(Debug, Default)]
struct Memory {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Put by another process right after the first listing.
    after_listing: Mutex<Vec<(String, Vec<u8>)>>,
    /// Names that cannot be removed.
    stuck: Mutex<BTreeSet<String>>,
}

impl Blobs for Memory {
    fn place(&self) -> String {
        "memory".into()
    }
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), BlobError> {
        let mut blobs = self.blobs.lock().unwrap();
        if blobs.contains_key(name) {
            return Err(BlobError::Taken { place: self.place(), name: name.into() });
        }
        blobs.insert(name.into(), bytes.into());
        Ok(())
    }
    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError> {
        let absent = || BlobError::Absent { place: self.place(), name: name.into() };
        self.blobs.lock().unwrap().get(name).cloned().ok_or_else(absent)
    }
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        Ok(self.get(name)?[range.start as usize..range.end as usize].to_vec())
    }
    fn list(&self) -> Result<Vec<BlobEntry>, BlobError> {
        let mut blobs = self.blobs.lock().unwrap();
        let entry = |(name, bytes): (&String, &Vec<u8>)| BlobEntry {
            name: name.clone(),
            bytes: bytes.len() as u64,
        };
        let entries = blobs.iter().map(entry).collect();
        blobs.extend(self.after_listing.lock().unwrap().drain(..));
        Ok(entries)
    }
    fn delete(&self, name: &str) -> Result<(), BlobError> {
        if self.stuck.lock().unwrap().contains(name) {
            return Err(BlobError::Failed { place: self.place(), reason: "no permission".into() });
        }
        self.blobs.lock().unwrap().remove(name);
        Ok(())
    }
}

impl Memory {
    fn names(&self) -> Vec<String> {
        self.blobs.lock().unwrap().keys().cloned().collect()
    }

    /// A manifest of a cut of this epoch, whose rows wait in these blobs.
    fn cut(&self, number: u64, epoch: u64, blobs: &[&str]) -> Manifest {
        let rows = blobs.iter().map(|name| {
            let (mut writer, mut encoded) = (BlobWriter::new(name), Encoded::default());
            encoded.push(&7_u64);
            let section = writer.section(&encoded);
            let (name, bytes) = writer.finish().unwrap();
            let _ = self.put_new(&name, bytes);
            section
        });
        let pending = Pending {
            output: "parquet".into(),
            folder: "date=2024-11-03".into(),
            age_ms: 0,
            rows: rows.collect(),
        };
        let manifest = Manifest {
            format: FORMAT,
            number,
            job: "0000000000001-00000002".into(),
            start: "0000000000001-00000002".into(),
            written_at: EventTime::from_millis(1),
            shape: [].into(),
            topic: TopicIdentity::named("t"),
            outputs: None,
            cut: Some(CutRecord {
                epoch,
                finished: false,
                closed_before: EventTime::MIN,
                final_rows: blobs.len() as u64,
                partitions: vec![PartitionCut::of_windowed(blobs.len() as u64)],
                processes: vec![ProcessCut {
                    outputs: OutputCut { staged: vec![], pending: vec![pending] },
                    ..ProcessCut::default()
                }],
            }),
        };
        self.put_new(&Manifest::name(number), manifest.to_bytes().into()).unwrap();
        manifest
    }
}

#[test]
fn a_start_removes_unnamed_blobs_of_smaller_claims_only() {
    let store = Memory::default();
    let named = rows_name(1, 1, 0);
    store.cut(5, 1, &[&named]);
    let (older, own, later) = (state_name(2, 9, 0), rows_name(5, 2, 0), state_name(7, 3, 1));
    for name in [&older, &own, &later, "notes"] {
        store.put_new(name, vec![1].into()).unwrap();
    }
    Retention::survey(&store, 3, 5).unwrap();
    let expected = [later, Manifest::name(5), "notes".to_owned(), named, own];
    assert_eq!(store.names(), expected);
}

#[test]
fn a_start_that_another_has_followed_removes_nothing() {
    let store = Memory::default();
    store.cut(5, 1, &[&rows_name(1, 1, 0)]);
    store.put_new(&state_name(2, 9, 0), vec![1].into()).unwrap();
    // It is held up after its listing. The other one claims, and goes on.
    let other = Memory::default();
    other.cut(6, 1, &[&rows_name(1, 1, 0)]);
    other.cut(7, 2, &[&state_name(2, 9, 0), &state_name(6, 2, 0)]);
    let written = std::mem::take(&mut *other.blobs.lock().unwrap());
    *store.after_listing.lock().unwrap() = written.into_iter().collect();
    Retention::survey(&store, 3, 5).unwrap();
    for name in [state_name(2, 9, 0), state_name(6, 2, 0), rows_name(1, 1, 0)] {
        assert!(store.names().contains(&name), "{name} is gone: {:?}", store.names());
    }
}

#[test]
fn what_a_damaged_manifest_may_name_stays_until_the_manifest_goes() {
    let store = Memory::default();
    let blob = |claim| rows_name(claim, claim, 0);
    store.cut(2, 1, &[&blob(1)]);
    store.cut(3, 2, &[&blob(2)]);
    store.blobs.lock().unwrap().insert(Manifest::name(3), b"nonsense".to_vec());
    let claim = store.cut(4, 1, &[&blob(1)]);
    let mut retention = Retention::survey(&store, 1, claim.number).unwrap();
    assert!(store.names().contains(&blob(2)));
    // Older ones are removed when there are newer cuts, and only then what they alone name.
    retention.add(&store.cut(5, 3, &[&blob(3)]));
    retention.prune(&store, &Report::silent());
    let left = store.names();
    assert!(left.contains(&Manifest::name(5)) && !left.contains(&Manifest::name(3)), "{left:?}");
    assert!(!left.contains(&blob(1)), "{left:?}");
    assert!(left.contains(&blob(2)), "the next start removes it: {left:?}");
    Retention::survey(&store, 1, 5).unwrap();
    assert!(!store.names().contains(&blob(2)));
}

#[test]
fn what_is_needed_and_is_absent_or_short_is_found() {
    let store = Memory::default();
    let name = rows_name(1, 1, 0);
    store.cut(2, 1, &[&name]);
    assert_eq!(verified(&store, 2).unwrap().number, 2);
    store.blobs.lock().unwrap().get_mut(&name).unwrap().pop();
    assert!(matches!(verified(&store, 2), Err(CheckpointError::Damaged { .. })));
    store.delete(&name).unwrap();
    let absent = verified(&store, 2);
    assert!(matches!(absent, Err(CheckpointError::Blobs(BlobError::Absent { .. }))));
}

#[test]
fn starts_that_get_no_further_leave_no_more_manifests_than_are_kept() {
    let store = Memory::default();
    let (first, second) = (rows_name(1, 1, 0), rows_name(1, 2, 0));
    store.cut(2, 1, &[&first]);
    store.cut(3, 2, &[&second]);
    for number in 4..20 {
        store.cut(number, 2, &[&second]);
        Retention::survey(&store, 3, number).unwrap().prune(&store, &Report::silent());
    }
    let manifests: Vec<u64> =
        store.names().iter().filter_map(|name| Manifest::number_of(name)).collect();
    assert_eq!(manifests, [2, 18, 19], "both cuts, and of one a copy");
    assert!(store.names().contains(&first) && store.names().contains(&second));

    // Of a job that has no cut yet.
    let store = Memory::default();
    for number in 1..9 {
        let claim = Manifest { number, cut: None, ..Memory::default().cut(number, 1, &[]) };
        store.put_new(&Manifest::name(number), claim.to_bytes().into()).unwrap();
        Retention::survey(&store, 3, number).unwrap().prune(&store, &Report::silent());
    }
    assert_eq!(store.names(), [6, 7, 8].map(Manifest::name));
}

#[test]
fn a_start_over_that_gets_no_further_removes_no_cut() {
    let store = Memory::default();
    for number in 1..4 {
        store.cut(number, number, &[&rows_name(number, number, 0)]);
    }
    let claim = Manifest { number: 4, cut: None, ..Memory::default().cut(4, 1, &[]) };
    store.put_new(&Manifest::name(4), claim.to_bytes().into()).unwrap();
    Retention::survey(&store, 3, 4).unwrap().prune(&store, &Report::silent());
    let kept = [1, 2, 3, 4].map(Manifest::name);
    assert!(kept.iter().all(|name| store.names().contains(name)), "{:?}", store.names());
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else_from_going_and_is_tried_again() {
    let store = Memory::default();
    let blob = |number| rows_name(number, number, 0);
    for number in 1..8 {
        store.cut(number, number, &[&blob(number)]);
    }
    let leftovers = [state_name(1, 1, 0), state_name(2, 1, 0)];
    for name in &leftovers {
        store.put_new(name, vec![1].into()).unwrap();
    }
    let stuck = [Manifest::name(2), leftovers[0].clone(), blob(1), blob(2)];
    store.stuck.lock().unwrap().extend([Manifest::name(2), leftovers[0].clone(), blob(1)]);
    let said = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&said);
    let report = Report::new(move |line| lines.lock().unwrap().push(line.to_owned()));
    let said = || said.lock().unwrap().clone();
    let mut retention = Retention::survey(&store, 1, 7).unwrap();
    assert_eq!(retention.prune(&store, &report), 3, "a leftover, a manifest, a blob");
    let mut kept = vec![Manifest::name(7), blob(7)];
    kept.extend(stuck);
    kept.sort();
    assert_eq!(store.names(), kept, "what a manifest names that is there stays with it");
    assert_eq!(retention.prune(&store, &report), 2);
    assert_eq!(said().len(), 1, "{:?}", said());

    store.stuck.lock().unwrap().clear();
    assert_eq!(retention.prune(&store, &report), 0);
    assert_eq!(store.names().len(), 3, "the next start removes the leftover: {:?}", store.names());
    assert_eq!(said().len(), 2, "{:?}", said());
}

#[test]
fn a_store_that_removes_nothing_is_not_asked_about_every_name() {
    let store = Memory::default();
    for number in 1..100 {
        store.cut(number, number, &[&rows_name(number, number, 0)]);
    }
    let mut retention = Retention::survey(&store, 1, 99).unwrap();
    store.stuck.lock().unwrap().extend(store.names());
    assert_eq!(retention.prune(&store, &Report::silent()), REMOVAL_FAILURES_MAX);
}
