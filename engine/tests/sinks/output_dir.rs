//! `OUT` at the start of a job.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use strandline_engine::outputs::Output as _;
use strandline_engine::sink::{
    Existing, OutputDirError, RejectedFiles, RunId, check, has_rows, identify, identity,
    keep_identity, prepare, remove_abandoned, remove_earlier,
};
use strandline_engine::store::Directory;
use strandline_operators::rejected::Rejection;
use strandline_operators::time::EventTime;

use crate::bench::{Bench, rejected, row, snapshot, some_rows};

/// Puts a file of an earlier run and one of somebody else beside each other; returns the latter.
fn earlier_run(bench: &Bench) -> PathBuf {
    let mut writer = bench.rows_files();
    writer.write(&some_rows(1)).unwrap();
    writer.roll().unwrap();
    let folder = bench.files("parquet")[0].parent().unwrap().to_owned();
    let foreign = folder.join("part-0000-from-another-tool.parquet");
    fs::write(&foreign, "not ours").unwrap();
    foreign
}

fn run(number: u32) -> RunId {
    RunId::new(EventTime::from_millis(1), number)
}

#[test]
fn an_output_directory_is_complete_from_the_start() {
    let bench = Bench::new();
    let out = bench.options.out.subdirectory("new").unwrap();
    prepare(&out, Existing::Refuse, Some(&snapshot(0, 0).to_json())).unwrap();
    let names: Vec<String> = out.list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["dead_letters", "late", "latest.json", "parquet"]);
    assert_eq!(out.read("latest.json").unwrap().last(), Some(&b'\n'));
    // Nothing of that is a row.
    assert!(!has_rows(&out).unwrap());
    prepare(&out, Existing::Refuse, Some(&snapshot(0, 0).to_json())).unwrap();
}

#[test]
fn rows_of_an_earlier_run_are_refused_and_nothing_is_touched() {
    let bench = Bench::new();
    earlier_run(&bench);
    let leftover = bench.files("parquet")[0].with_file_name(".strandline-staged-1-1");
    fs::write(&leftover, "").unwrap();
    let out = &bench.options.out;
    let error = prepare(out, Existing::Refuse, Some(&Value::Null)).unwrap_err();
    assert!(matches!(error, OutputDirError::HasRows { .. }), "{error}");
    let line = error.to_string();
    assert!(line.contains("--append") && line.contains("--replace"), "{line}");
    assert!(line.contains(&*out.path().to_string_lossy()) && !line.contains('\n'), "{line}");
    assert!(leftover.exists());
    let entries = bench.options.out.list().unwrap().into_iter().map(|entry| entry.name);
    assert_eq!(entries.collect::<Vec<_>>(), [".staged", "parquet"]);
}

#[test]
fn late_records_and_dead_letters_of_an_earlier_run_are_rows_too() {
    for folder in ["late", "dead_letters"] {
        let bench = Bench::new();
        let mut writer = match folder {
            "late" => RejectedFiles::late(&bench.options, "t", |time| time),
            _ => RejectedFiles::dead_letters(&bench.options, "t"),
        };
        writer.write(&[rejected(1, Rejection::Late, None)]).unwrap();
        assert!(!has_rows(&bench.options.out).unwrap());
        writer.roll().unwrap();
        assert!(has_rows(&bench.options.out).unwrap());
    }
}

#[test]
fn staged_leftovers_and_files_of_others_are_no_rows() {
    let bench = Bench::new();
    let foreign = earlier_run(&bench);
    let ours = bench.files("parquet").into_iter().find(|file| *file != foreign).unwrap();
    fs::remove_file(ours).unwrap();
    let leftover = foreign.with_file_name(".strandline-staged-1-1");
    fs::write(&leftover, "half").unwrap();

    let out = &bench.options.out;
    assert!(!has_rows(out).unwrap());
    prepare(out, Existing::Refuse, Some(&Value::Null)).unwrap();
    assert!(foreign.exists() && !leftover.exists());
}

#[test]
fn appending_keeps_what_is_there() {
    let bench = Bench::new();
    let foreign = earlier_run(&bench);
    prepare(&bench.options.out, Existing::Append, Some(&Value::Null)).unwrap();
    assert!(foreign.exists());
    assert_eq!(bench.files("parquet").len(), 2);
}

#[test]
fn replacing_removes_what_a_sink_wrote_and_nothing_else() {
    let mut bench = Bench::new();
    let foreign = earlier_run(&bench);
    let elsewhere = bench.there.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let ours = bench.files("parquet").into_iter().find(|file| *file != foreign).unwrap();
    let copy = elsewhere.join(ours.file_name().unwrap());
    fs::copy(&ours, &copy).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&elsewhere, bench.there.path().join("parquet/date=2000-01-01"))
        .unwrap();
    bench.options.run = RunId::fresh(&bench.options.clock);
    let mut writer = bench.rows_files();
    writer.write(&[row("a", 86_400_000, (1, None), &[])]).unwrap();
    writer.roll().unwrap();

    prepare(&bench.options.out, Existing::Replace, Some(&Value::Null)).unwrap();
    assert!(!has_rows(&bench.options.out).unwrap());
    assert!(foreign.exists() && copy.exists() && !ours.exists());
    assert!(!bench.there.path().join("parquet/date=1970-01-02").exists(), "it was empty");
}

#[test]
fn beside_others_only_rows_of_earlier_runs_are_removed() {
    let mut bench = Bench::new();
    let foreign = earlier_run(&bench);
    let earlier: Vec<_> =
        bench.files("parquet").into_iter().filter(|file| *file != foreign).collect();
    // Another process of this start was quicker, in a folder of its own.
    bench.options.run = RunId::fresh(&bench.options.clock);
    let mut writer = bench.rows_files();
    writer.write(&[row("a", 86_400_000, (1, None), &[])]).unwrap();
    writer.roll().unwrap();
    let this_start: Vec<_> = bench
        .files("parquet")
        .into_iter()
        .filter(|file| *file != foreign && !earlier.contains(file))
        .collect();
    assert!(!earlier.is_empty() && this_start.len() == 1, "{earlier:?} {this_start:?}");

    remove_earlier(&bench.options.out, &[bench.options.run]).unwrap();
    assert!(earlier.iter().all(|file| !file.exists()), "{earlier:?}");
    assert!(foreign.exists() && this_start[0].exists());
}

#[test]
fn beside_others_only_what_earlier_runs_left_half_done_is_removed() {
    let bench = Bench::new();
    let earlier = RunId::fresh(&bench.options.clock);
    let this_start = RunId::fresh(&bench.options.clock);
    let staging = bench.there.path().join(".staged/parquet");
    fs::create_dir_all(&staging).unwrap();
    let hidden = |claim: &str, run: RunId| {
        let name = format!("{claim}-strandline-{run}-001-0000000001-000001.parquet.staged");
        let path = staging.join(name);
        fs::write(&path, "half").unwrap();
        path
    };
    let abandoned = hidden("000000000000", earlier);
    // A checkpoint may count this one.
    let claimed = hidden("000000000001", earlier);
    let being_written = hidden("000000000000", this_start);
    remove_abandoned(&bench.options.out, &[this_start]).unwrap();
    assert!(!abandoned.exists() && claimed.exists() && being_written.exists());
}

#[test]
fn an_output_directory_that_is_a_file_is_named() {
    let bench = Bench::new();
    let path = bench.there.path().join("file");
    fs::write(&path, "").unwrap();
    for existing in [Existing::Append, Existing::Refuse] {
        let error = prepare(&Directory::local(&path), existing, Some(&Value::Null)).unwrap_err();
        let line = error.to_string();
        assert!(line.contains("is not a directory: move it away"), "{line}");
        assert!(line.contains(&*path.to_string_lossy()) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn processes_that_find_a_torn_id_at_once_come_to_the_same() {
    let there = tempfile::tempdir().unwrap();
    let out = Directory::local(there.path());
    out.replace(".strandline-id", b"17").unwrap();
    let known = std::thread::scope(|scope| {
        let out = &out;
        let all: Vec<_> = (1..=4).map(|n| scope.spawn(move || identify(out, run(n)))).collect();
        all.into_iter().map(|one| one.join().unwrap().unwrap()).collect::<Vec<_>>()
    });
    assert!(known[0].id.is_some() && known.iter().all(|one| *one == known[0]), "{known:?}");
}

#[test]
fn a_directory_is_known_wherever_it_is_moved_to() {
    let there = tempfile::tempdir().unwrap();
    let (first, second) = (there.path().join("first"), there.path().join("second"));
    let out = Directory::local(&first);
    assert_eq!(identity(&out).unwrap().id, None);
    assert!(!first.exists(), "to look touches nothing");
    let known = identify(&out, run(1)).unwrap();
    assert_eq!(identify(&out, run(2)).unwrap(), known, "it is said once");
    assert!(std::process::Command::new("mv").args([&first, &second]).status().unwrap().success());
    let moved = identity(&Directory::local(&second)).unwrap();
    assert_eq!(moved.id, known.id);
    assert_ne!(moved.path, known.path);
}

#[test]
fn a_directory_that_has_lost_its_name_is_told_it_again_and_another_one_is_left_alone() {
    let there = tempfile::tempdir().unwrap();
    let out = Directory::local(there.path().join("out"));
    let known = identify(&out, run(1)).unwrap();
    let (id, file) = (known.id.clone().unwrap(), out.path().join(".strandline-id"));
    keep_identity(&out, &id).unwrap();
    fs::remove_file(&file).unwrap();
    keep_identity(&out, &id).unwrap();
    assert_eq!(identity(&out).unwrap(), known);
    let other = run(2).to_string();
    fs::write(&file, &other).unwrap();
    let error = keep_identity(&out, &id).unwrap_err().to_string();
    assert!(error.contains(&id) && error.contains(&other), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), other);
}

/// Else it would be found out when the job runs.
#[test]
fn a_file_in_the_place_of_hidden_files_is_refused_at_the_start() {
    for name in [".staged", ".staged/late"] {
        let there = tempfile::tempdir().unwrap();
        let path = there.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "in the way").unwrap();
        let error = check(&Directory::local(there.path()), Existing::Refuse).unwrap_err();
        let said = format!("{} is not a directory", path.display());
        assert!(error.to_string().contains(&said), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn replacing_removes_nothing_behind_a_link() {
    let bench = Bench::new();
    earlier_run(&bench);
    let files = bench.files("parquet");
    let out = &bench.options.out;
    let elsewhere = tempfile::tempdir().unwrap();
    let rows = out.path().join("parquet");
    let moved = elsewhere.path().join("rows");
    fs::rename(&rows, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &rows).unwrap();
    for error in [
        prepare(out, Existing::Replace, None).unwrap_err(),
        remove_earlier(out, &[run(9)]).unwrap_err(),
    ] {
        assert!(matches!(error, OutputDirError::BehindLink { .. }), "{error}");
        assert!(error.to_string().contains("--append"), "{error}");
    }
    assert_eq!(bench.files("parquet"), files, "all are there, behind the link");
    prepare(out, Existing::Append, None).unwrap();

    fs::remove_file(&rows).unwrap();
    let hidden = out.path().join(".staged/late");
    fs::create_dir_all(hidden.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&moved, &hidden).unwrap();
    let error = prepare(out, Existing::Replace, None).unwrap_err().to_string();
    assert!(error.contains(&*hidden.to_string_lossy()), "{error}");
}
