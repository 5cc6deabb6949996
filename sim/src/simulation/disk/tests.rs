use std::io::ErrorKind;

use strandline_engine::store::Directory;

use super::super::outside::{FaultRates, Spell};
use super::super::trace::Trace;
use super::*;

const ME: ProcessId = ProcessId(0);

fn disk() -> (Outside, MemoryDisk) {
    let outside = Outside::new(7, Trace::default());
    let disk = MemoryDisk::new(&outside);
    (outside, disk)
}

/// What a file may hold after the power was lost, over many seeds.
fn after_power_loss(disk: &MemoryDisk, look: impl Fn(&dyn Disk) -> String) -> Vec<String> {
    let medium = disk.medium().clone();
    let mut seen: Vec<String> = (0..400)
        .map(|seed| {
            *disk.medium() = medium.clone();
            disk.power_lost(&mut SplitMix64::new(seed));
            look(&*disk.seen_from_above())
        })
        .collect();
    *disk.medium() = medium;
    seen.sort();
    seen.dedup();
    seen
}

fn text(disk: &dyn Disk, path: &str) -> String {
    match disk.read(Path::new(path)) {
        Ok(bytes) => String::from_utf8(bytes).unwrap().replace('\0', "0"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[test]
fn what_was_not_synced_may_be_lost_torn_or_kept() {
    let (_, disk) = disk();
    let mine = disk.seen_by(ME);
    let mut file = mine.create_file(Path::new("a")).unwrap();
    mine.sync_dir(Path::new("")).unwrap();
    file.write_all(b"xy").unwrap();
    file.sync().unwrap();
    file.write_all(b"z").unwrap();
    let seen = after_power_loss(&disk, |disk| text(disk, "a"));
    assert_eq!(seen, ["xy", "xy0", "xyz"]);
}

#[test]
fn a_name_that_was_not_synced_may_be_lost() {
    let (_, disk) = disk();
    let mine = disk.seen_by(ME);
    mine.create_file(Path::new("a")).unwrap().sync().unwrap();
    let seen = after_power_loss(&disk, |disk| text(disk, "a"));
    assert_eq!(seen, ["", "NotFound"]);
}

#[test]
fn a_directory_that_was_not_synced_takes_what_is_in_it_along() {
    let (_, disk) = disk();
    let mine = disk.seen_by(ME);
    mine.create_dir(Path::new("d")).unwrap();
    mine.create_file(Path::new("d/a")).unwrap().sync().unwrap();
    mine.sync_dir(Path::new("d")).unwrap();
    let seen = after_power_loss(&disk, |disk| text(disk, "d/a"));
    assert_eq!(seen, ["", "NotFound"]);
    mine.sync_dir(Path::new("")).unwrap();
    assert_eq!(after_power_loss(&disk, |disk| text(disk, "d/a")), [""]);
}

#[test]
fn a_renamed_file_has_one_name_or_both_and_never_none() {
    let (_, disk) = disk();
    let mine = disk.seen_by(ME);
    mine.create_file(Path::new("a")).unwrap().sync().unwrap();
    mine.sync_dir(Path::new("")).unwrap();
    mine.rename(Path::new("a"), Path::new("b")).unwrap();
    let names = |disk: &dyn Disk| {
        let names: Vec<String> =
            disk.list(Path::new("")).unwrap().into_iter().map(|e| e.name).collect();
        names.join(" ")
    };
    assert_eq!(after_power_loss(&disk, names), ["a", "a b", "b"]);
}

#[test]
fn what_the_directory_reports_as_done_survives() {
    let (_, disk) = disk();
    let out = Directory::on(disk.seen_by(ME), "deep/out");
    out.replace("a", b"old").unwrap();
    out.replace("a", b"new").unwrap();
    assert_eq!(after_power_loss(&disk, |disk| text(disk, "deep/out/a")), ["new"]);
}

/// The protocol of the engine's store against every crash: any operation, power lost or not.
#[test]
fn a_visible_file_is_complete_whatever_operation_was_the_last() {
    for last in 0.. {
        let (outside, disk) = disk();
        let out = Directory::on(disk.seen_by(ME), "out");
        out.replace("a", b"old").unwrap();
        outside.crash_at_operation(Some((ME, outside.operations_of(ME) + last)));
        let done = out.replace("a", b"new").is_ok();
        assert_eq!(done, !outside.is_dead(ME));
        let seen = after_power_loss(&disk, |disk| text(disk, "out/a"));
        if done {
            assert_eq!(seen, ["new"]);
            assert!(5 < last, "crashed at every operation");
            break;
        }
        assert!(seen == ["old"] || seen == ["new"] || seen == ["new", "old"], "{seen:?}");
    }
}

#[test]
fn after_a_failed_sync_another_one_writes_nothing() {
    let (outside, disk) = disk();
    let mine = disk.seen_by(ME);
    let mut file = mine.create_file(Path::new("a")).unwrap();
    mine.sync_dir(Path::new("")).unwrap();
    file.write_all(b"x").unwrap();
    outside.set_spell(Some(Spell::Disk(ErrorKind::StorageFull)));
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::StorageFull);
    outside.set_spell(None);
    file.sync().unwrap();
    assert!(after_power_loss(&disk, |disk| text(disk, "a")).contains(&String::new()));
}

#[test]
fn a_file_is_in_use_until_it_is_closed_or_its_process_dies() {
    let (outside, disk) = disk();
    let (mine, other) = (disk.seen_by(ME), disk.seen_by(ProcessId(1)));
    let file = mine.create_file(Path::new("a")).unwrap();
    assert!(other.in_use(Path::new("a")).unwrap());
    drop(file);
    assert!(!other.in_use(Path::new("a")).unwrap());

    let _file = mine.create_file(Path::new("b")).unwrap();
    outside.kill(ME);
    disk.process_died(ME);
    assert!(!other.in_use(Path::new("b")).unwrap());
    assert!(mine.remove_file(Path::new("b")).is_err(), "the dead do nothing");
    assert!(other.read(Path::new("b")).is_ok());
}

#[test]
fn operations_fail_by_chance_as_often_as_asked() {
    let (outside, disk) = disk();
    outside.set_rates(FaultRates { disk: 0.25, blobs: 0.0 });
    let mine = disk.seen_by(ME);
    let failed = (0..4_000).filter(|_| mine.list(Path::new("")).is_err()).count();
    assert!((800..1_200).contains(&failed), "{failed}");
    assert_eq!(outside.faults(ME), failed as u64);
}
