use serde_json::{Value, json};
use strandline_operators::window::KeyGroup;

use super::*;

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        number: 7,
        job: "0000000000001-00000002".into(),
        start: "0000000000003-00000004".into(),
        written_at: EventTime::from_millis(1),
        shape: BTreeMap::from([("window".to_owned(), "10s".to_owned())]),
        topic: TopicIdentity::named("t"),
        outputs: None,
        cut: None,
    }
}

#[test]
fn what_was_stored_is_read() {
    let manifest = manifest();
    assert_eq!(Manifest::from_bytes(7, &manifest.to_bytes()).unwrap(), manifest);
    assert_eq!(Manifest::number_of(&Manifest::name(7)), Some(7));
    for name in ["manifest-7", "manifest-00000000000x", "manifest-000000000007.tmp", "lock"] {
        assert_eq!(Manifest::number_of(name), None, "{name}");
    }
}

#[test]
fn every_damaged_byte_is_found() {
    let mut bytes = manifest().to_bytes();
    for index in 0..bytes.len() {
        bytes[index] ^= 1;
        Manifest::from_bytes(7, &bytes).unwrap_err();
        bytes[index] ^= 1;
        Manifest::from_bytes(7, &bytes[..index]).unwrap_err();
    }
    Manifest::from_bytes(8, &bytes).unwrap_err();
}

#[test]
fn a_manifest_of_a_newer_format_is_refused() {
    let json = Manifest { format: FORMAT + 1, ..manifest() };
    let error = Manifest::from_bytes(7, &as_format_1(&json)).unwrap_err();
    let newer = matches!(error, CheckpointError::NewerFormat { format: 3, .. });
    assert!(newer, "it is no damage: {error}");
    assert!(error.to_string().contains("a newer version"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    // Whose checksum does not match may be anything.
    let mut damaged = as_format_1(&json);
    damaged[1] ^= 1;
    let error = Manifest::from_bytes(7, &damaged).unwrap_err();
    assert!(matches!(error, CheckpointError::Damaged { .. }), "{error}");
}

/// A manifest as it is serialised: what format 1 was.
fn as_format_1(manifest: &Manifest) -> Vec<u8> {
    with_checksum(&serde_json::to_string(manifest).unwrap())
}

#[test]
fn a_manifest_of_the_first_format_is_read_and_stored_in_the_second() {
    let mut then = with_a_cut();
    then.format = 1;
    for process in &mut then.cut.as_mut().unwrap().processes {
        process.place = None;
        for staged in &mut process.outputs.staged {
            (staged.size, staged.checksum) = (None, None);
        }
    }
    let read = Manifest::from_bytes(7, &as_format_1(&then)).unwrap();
    assert_eq!(read, then);
    let stored = Manifest::from_bytes(7, &read.to_bytes()).unwrap();
    assert_eq!(stored, Manifest { format: FORMAT, ..then });
}

#[test]
fn what_is_stored_is_by_the_name_of_source_node_and_sink() {
    let manifest = with_a_cut();
    let bytes = manifest.to_bytes();
    assert_eq!(Manifest::from_bytes(7, &bytes).unwrap(), manifest);
    let json = std::str::from_utf8(&bytes).unwrap().lines().next().unwrap();
    let stored: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(stored["format"], 2);
    let source = &stored["sources"]["source"];
    assert_eq!(source["identity"]["name"], "t");
    assert_eq!(source["shape"]["watermark"], "5s");
    assert_eq!(source["partitions"][0]["next_offset"], 12);
    assert_eq!(stored["nodes"]["windows"]["shape"]["window"], "10s");
    assert_eq!(stored["nodes"]["windows"]["processes"][0]["state"][0][0], 3);
    let process = &stored["sinks"]["files"]["processes"][0];
    assert_eq!(process["place"]["id"], "1");
    assert_eq!(process["staged"][0]["checksum"], 77);
    assert_eq!(stored["cut"]["components"][0]["sources"][0], "source");
    assert_eq!(stored["cut"]["components"][0]["closed_before"], 5);
    assert_eq!(stored["shape"]["extra"], "x");
}

#[test]
fn a_manifest_of_more_than_this_version_runs_is_not_taken_for_less() {
    let stored = String::from_utf8(with_a_cut().to_bytes()).unwrap();
    let json = stored.lines().next().unwrap();
    let with_another =
        json.replace(r#""sinks":{"#, r#""sinks":{"other":{"place":null,"processes":[]},"#);
    assert_ne!(json, with_another);
    let error = Manifest::from_bytes(7, &with_checksum(&with_another)).unwrap_err().to_string();
    assert!(error.contains("it has `other` beside `files`"), "{error}");
}

/// What is stored, with a value in the place of another.
fn with(manifest: &Manifest, path: &str, value: Value) -> Vec<u8> {
    let stored = String::from_utf8(manifest.to_bytes()).unwrap();
    let mut stored: Value = serde_json::from_str(stored.lines().next().unwrap()).unwrap();
    *stored.pointer_mut(path).expect(path) = value;
    with_checksum(&stored.to_string())
}

/// Each of these was continued without a word, and lost rows or read records twice.
#[test]
fn what_contradicts_itself_is_damaged_whatever_its_checksum() {
    let valid = with_a_cut();
    let ledger = "/sources/source/partitions/0/ledger";
    for (path, value) in [
        ("/format".into(), json!(0)),
        ("/cut/epoch".into(), json!(u64::MAX)),
        ("/cut/final_rows".into(), json!(u64::MAX)),
        ("/cut/final_rows".into(), json!(8)),
        ("/nodes/windows/processes".into(), json!([])),
        ("/nodes/windows/processes/0/state".into(), json!([])),
        ("/nodes/windows/processes/0/process".into(), json!(1)),
        ("/nodes/windows/processes/0/final_rows".into(), json!(10)),
        ("/sinks/files/processes".into(), json!([])),
        ("/sinks/files/processes/0/staged".into(), json!([])),
        ("/sinks/files/processes/0/staged/0/rows".into(), json!(8)),
        ("/sinks/files/processes/0/pending".into(), json!([])),
        ("/sinks/files/processes/0/pending/0/rows".into(), json!([])),
        ("/sources/source/partitions".into(), json!([])),
        ("/sources/source/partitions/0/next_offset".into(), json!(11)),
        ("/sources/source/partitions/0/next_offset".into(), json!(13)),
        ("/sources/source/partitions/0/skipped".into(), json!(1)),
        (format!("{ledger}/read"), json!(11)),
        (format!("{ledger}/windowed"), json!(u64::MAX)),
        (format!("{ledger}/dead"), json!([u64::MAX, u64::MAX])),
    ] {
        let path: String = path;
        let refused = Manifest::from_bytes(7, &with(&valid, &path, value.clone()));
        let error = refused.expect_err(&format!("{path} = {value}"));
        assert!(matches!(error, CheckpointError::Damaged { .. }), "{path}: {error}");
    }
}

/// Versions that did not count what they stored are not taken at their word either.
#[test]
fn a_cut_without_counts_is_held_against_its_ledger() {
    let valid = with_a_cut();
    let read = |path: &str, value: Value| {
        let bytes = with(&valid, path, value);
        let json = bytes.split(|byte| *byte == b'\n').next().unwrap();
        let mut manifest: Value = serde_json::from_slice(json).unwrap();
        manifest["cut"].as_object_mut().unwrap().remove("totals").unwrap();
        Manifest::from_bytes(7, &with_checksum(&manifest.to_string()))
    };
    assert_eq!(read("/shape/extra", json!("x")).unwrap(), valid, "nothing contradicts it");
    for (path, value) in [
        ("/cut/epoch", json!(u64::MAX)),
        ("/nodes/windows/processes", json!([])),
        ("/sources/source/partitions", json!([])),
        ("/sources/source/partitions/0/next_offset", json!(11)),
        ("/sinks/files/processes/0/staged/0/rows", json!(90)),
    ] {
        let error = read(path, value).expect_err(path);
        assert!(matches!(error, CheckpointError::Damaged { .. }), "{path}: {error}");
    }
}

/// One with a cut of one process.
fn with_a_cut() -> Manifest {
    let section =
        |start| Section { blob: "cut".into(), start, bytes: 2, records: 1, xxh3: u64::MAX };
    let staged = Staged {
        output: "parquet".into(),
        folder: "date=2024-11-03".into(),
        hidden: ".hidden".into(),
        name: "strandline.parquet".into(),
        rows: 9,
        size: Some(1_000),
        checksum: Some(77),
    };
    let pending = Pending {
        output: "late".into(),
        folder: "date=2024-11-03".into(),
        age_ms: 3,
        rows: vec![section(10)],
    };
    let process = ProcessCut {
        process: 0,
        workers: 2,
        closed_by_all: EventTime::from_millis(4),
        closed_by_some: EventTime::from_millis(5),
        final_rows: 9,
        place: Some(OutputIdentity { id: Some("1".into()), path: "/a".into() }),
        state: vec![(KeyGroup(3), section(8))],
        outputs: OutputCut { staged: vec![staged], pending: vec![pending] },
    };
    let mut partition = PartitionCut::of_windowed(12);
    (partition.ledger.windowed, partition.ledger.late) = (11, 1);
    let shape = [("window", "10s"), ("watermark", "5s"), ("extra", "x")];
    Manifest {
        shape: shape.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        cut: Some(CutRecord {
            epoch: 6,
            finished: false,
            closed_before: EventTime::from_millis(5),
            final_rows: 9,
            partitions: vec![partition],
            processes: vec![process],
        }),
        ..manifest()
    }
}

/// Between processes there are no names of fields: one that is left out shifts all that follow.
#[test]
fn a_processes_part_crosses_to_another_whatever_it_does_not_know() {
    let unknown = ProcessCut::default();
    let mut known = ProcessCut { process: 1, ..ProcessCut::default() };
    known.outputs.staged.push(Staged {
        output: "parquet".into(),
        folder: "date=2026-11-30".into(),
        hidden: ".hidden".into(),
        name: "name".into(),
        rows: 3,
        size: None,
        checksum: None,
    });
    for part in [unknown, known] {
        let crossed = postcard::to_allocvec(&part).unwrap();
        assert_eq!(postcard::from_bytes::<ProcessCut>(&crossed).unwrap(), part);
    }
}
