//! `strandline checkpoints`: what it shows of real checkpoints, and of damaged ones.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test damages files as a disk does")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strandline::engine::checkpoint::Checkpoints;
use strandline::engine::checkpoint::manifest::OutputIdentity;
use strandline::engine::checkpoint::object::ObjectBlobs;
use strandline::engine::clock::Clock;
use strandline::engine::job::{Job, JobOptions, Stop};
use strandline::engine::report::Report;
use strandline::engine::sink::{FileOutputs, ParquetCodec, Roll, RunId, identify};
use strandline::engine::source::simulated::SimulatedLog;
use strandline::engine::store::Directory;
use strandline::engine::table::Table;
use strandline::engine::view::{Snapshot, View};
use strandline::operators::aggregate::Count;
use strandline::operators::decode::JsonFields;
use strandline::operators::record::Partition;
use strandline::operators::time::EventTime;
use strandline::operators::window::Tumbling;

const KEYS: i64 = 40;

/// A job that counts, as far as it gets.
struct Counting {
    log: SimulatedLog,
    place: tempfile::TempDir,
}

impl Counting {
    fn new(log: SimulatedLog) -> Counting {
        Counting { log, place: tempfile::tempdir().unwrap() }
    }

    fn checkpoints(&self) -> PathBuf {
        self.place.path().join("checkpoints")
    }

    /// Runs it until a checkpoint holds what is in the log.
    fn run(&self) {
        self.run_in(None);
    }

    /// Where its outputs are.
    fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    fn run_in(&self, identity: Option<OutputIdentity>) {
        let clock = Clock::system();
        let windows = Tumbling::of(Duration::from_secs(10)).unwrap();
        let table = Arc::new(Table::new::<(u64,)>("word", "words", &["count"]));
        let report = Report::new(|line| println!("{line}"));
        let outputs = FileOutputs {
            out: Directory::local(self.out()),
            run: RunId::fresh(&clock),
            roll: Roll::default(),
            codec: ParquetCodec::default(),
            clock: clock.clone(),
            report: report.clone(),
            table: Table::clone(&table),
            topic: "counted".to_owned(),
            windows,
        };
        let checkpoints = Checkpoints {
            blobs: Arc::new(ObjectBlobs::local(self.checkpoints()).unwrap()),
            every: Duration::from_millis(20),
            // A list shows a start only until as many cuts have followed.
            keep: 1_000,
            fresh: false,
            start: RunId::fresh(&clock),
            shape: [("colour".to_owned(), "green".to_owned())].into(),
            outputs: identity,
        };
        let options = JobOptions {
            epoch_every: Duration::from_millis(20),
            idle_after: Duration::from_secs(3600),
            ..JobOptions::new(windows)
        };
        let decoder = JsonFields::new("word", "ts", ["x"]);
        let view = View::new(Snapshot::empty("counted", Arc::clone(&table), clock.wall()));
        let stop = Stop::default();
        let job = Job::new(self.log.clone(), decoder, (Count,), table, outputs, options)
            .with_checkpoints(Some(checkpoints))
            .with_report(report);
        let (watched, asked) = (view.clone(), stop.clone());
        let job = std::thread::spawn(move || {
            job.run(timely::Config::process(2), &clock, &watched, &asked).unwrap()
        });
        let (waiting, mut snapshot) = (Clock::system(), view.latest());
        while snapshot.ledger.read < 4 * KEYS as u64 + 1 && !job.is_finished() {
            assert!(waiting.elapsed() < Duration::from_secs(20), "{snapshot:#?}");
            snapshot = view.newer_than(snapshot.number, Duration::from_millis(100));
        }
        stop.request();
        let _: strandline::engine::job::Summary = job.join().unwrap();
    }
}

/// Two partitions; a closed window, an open one, and a record that cannot be read.
fn log() -> SimulatedLog {
    let log = SimulatedLog::new("counted", 2);
    for partition in [0, 1].map(Partition) {
        for (time, key) in [1_000, 75_000].into_iter().flat_map(|t| (0..KEYS).map(move |k| (t, k)))
        {
            let payload = format!("{{\"word\":\"key-{key}\",\"ts\":{time}}}").into_bytes();
            log.append(partition, Some(EventTime::from_millis(time)), Some(payload));
        }
    }
    log.append(Partition(1), None, Some(b"nonsense".to_vec()));
    log
}

/// What the program says and its exit code.
fn ask(what: &[&str], place: &Path) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    let output = command.arg("checkpoints").args(what).arg(place).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// The same in JSON, an object a line.
fn ask_json(what: &[&str], place: &Path) -> (Vec<Value>, Option<i32>) {
    let (stdout, stderr, code) = ask(&[what, &["--json"]].concat(), place);
    assert_eq!(stderr, "");
    (stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), code)
}

fn files(place: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
    let mut files: Vec<PathBuf> = entries.filter(named).collect();
    files.sort();
    files
}

#[test]
fn a_list_has_a_line_for_each_checkpoint_and_tells_starts_from_cuts() {
    let job = Counting::new(log());
    job.run();
    job.run();
    let place = job.checkpoints();
    let (stdout, stderr, code) = ask(&["list"], &place);
    assert_eq!((stderr.as_str(), code), ("", Some(0)));
    let manifests = files(&place, "manifest-");
    assert_eq!(stdout.lines().count(), 1 + manifests.len(), "{stdout}");
    let (objects, _) = ask_json(&["list"], &place);
    let last = objects.last().unwrap();
    assert_eq!(last["what"], "a cut", "{last}");
    assert_eq!((&last["records"], &last["final_rows"]), (&json!(4 * KEYS + 1), &json!(KEYS)));
    let size = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    assert!(size(manifests.last().unwrap()) < last["bytes"].as_u64().unwrap(), "{last}");
    let started = objects
        .iter()
        .position(|object| object["what"].as_str().unwrap().starts_with("a start that continues"));
    let started = started.expect("the second start");
    for same in ["epoch", "records", "final_rows"] {
        assert_eq!(objects[started][same], objects[started - 1][same], "{same}");
    }
    let (time, millis) = (&last["written_at"], last["written_at_ms"].as_i64().unwrap());
    let parsed = chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
    assert_eq!(parsed.timestamp_millis(), millis);
    assert!(time.as_str().unwrap().ends_with('Z') && stdout.contains(time.as_str().unwrap()));
}

#[test]
fn an_inspection_shows_where_everything_is() {
    let job = Counting::new(log());
    job.run();
    let place = job.checkpoints();
    let (objects, code) = ask_json(&["inspect", "--groups"], &place);
    assert_eq!((objects.len(), code), (1, Some(0)));
    let cut = &objects[0];
    assert_eq!(
        (&cut["topic"]["name"], &cut["shape"]["colour"]),
        (&json!("counted"), &json!("green"))
    );
    let expected = json!({"read": 161, "windowed": 160, "late": 0, "dead_letters": 1});
    assert_eq!(cut["ledger"], expected);
    assert_eq!(cut["final_rows"], KEYS);
    let partition = &cut["partitions"][1];
    for (name, value) in [
        ("next_offset", json!(81)),
        ("max_event_time", json!("1970-01-01T00:01:15.000Z")),
        ("max_event_time_ms", json!(75_000)),
        ("watermark_ms", json!(15_000)),
        ("floor", Value::Null),
        ("dead_letters", json!(1)),
    ] {
        assert_eq!(partition[name], value, "{name}");
    }
    // Each key's open window is in the group of the key.
    let groups = cut["state"]["groups"].as_array().unwrap();
    let panes: Vec<u64> = groups.iter().map(|group| group["panes"].as_u64().unwrap()).collect();
    let mut expected = vec![0; 256];
    for key in 0..KEYS {
        let group = strandline::operators::window::KeyGroup::of(&format!("key-{key}"));
        expected[usize::from(group.0)] += 1;
    }
    assert_eq!(panes, expected);
    assert_eq!(cut["state"]["panes"], KEYS);
    // An orderly stop completes the files.
    let rows = |list: &str| {
        let list = cut[list].as_array().unwrap();
        list.iter().map(|file| file["rows"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!(rows("pending") + rows("staged"), KEYS + 1);

    let (text, _, code) = ask(&["inspect", "--groups"], &place);
    assert_eq!(code, Some(0));
    for line in [
        "ledger      161 read = 160 windowed + 0 late + 1 dead letters",
        "final rows  40",
        "colour: green",
        "1970-01-01T00:01:15.000Z",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (_, stderr, code) = ask(&["inspect", "--number", "77"], &place);
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("no checkpoint 77"), "{stderr}");
}

#[test]
fn damage_is_found_wherever_it_is_and_the_start_that_follows_is_named() {
    let job = Counting::new(log());
    job.run();
    let place = job.checkpoints();
    let (lines, code) = ask_json(&["verify"], &place);
    let newest = lines.last().unwrap()["continues"].as_u64().unwrap();
    assert_eq!((lines.len() - 1, code), (files(&place, "manifest-").len(), Some(0)));
    assert!(lines.iter().rev().skip(1).all(|line| line["damaged"].is_null()), "{lines:?}");

    let manifest = files(&place, "manifest-").pop().unwrap();
    let blob = files(&place, "cut-").pop().unwrap();
    let (text, _, _) = ask(&["verify"], &place);
    assert!(text.ends_with(&format!("a start continues checkpoint {newest}\n")), "{text}");
    for file in [&manifest, &blob] {
        let whole = std::fs::read(file).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let damages = [Some(flipped), Some(whole[..whole.len() - 1].to_vec()), None];
        for damaged in damages {
            let gone = damaged.is_none();
            match damaged {
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
                None => std::fs::remove_file(file).unwrap(),
            }
            let (lines, code) = ask_json(&["verify"], &place);
            let last = lines.last().unwrap();
            assert!(last["continues"].as_u64().unwrap() < newest, "{lines:?}");
            if gone && file == &manifest {
                // Nobody can tell that there was one.
                assert_eq!(code, Some(0));
            } else {
                assert_eq!(code, Some(1), "{lines:?}");
                let line = lines.iter().find(|line| line["number"] == newest).unwrap();
                assert!(!line["damaged"].is_null(), "{line}");
                let (_, stderr, code) = ask(&["inspect", "--number", &newest.to_string()], &place);
                assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
            }
            let (_, _, code) = ask(&["inspect"], &place);
            assert_eq!(code, Some(0), "the newest that verifies");
            std::fs::write(file, &whole).unwrap();
        }
    }
    for manifest in files(&place, "manifest-") {
        std::fs::write(manifest, "nothing").unwrap();
    }
    let (text, _, code) = ask(&["verify"], &place);
    assert_eq!(code, Some(1));
    assert!(text.ends_with("a start is refused: no checkpoint can be read\n"), "{text}");
    let (text, _, code) = ask(&["list"], &place);
    assert_eq!(code, Some(1));
    assert!(text.lines().skip(1).all(|line| line.contains("damaged: ")), "{text}");
}

#[test]
fn the_end_of_a_bounded_run_is_shown_as_such() {
    let job = Counting::new(log().bounded());
    job.run();
    let (objects, _) = ask_json(&["list"], &job.checkpoints());
    let last = objects.last().unwrap();
    assert_eq!(
        (&last["finished"], &last["what"]),
        (&json!(true), &json!("the end of a bounded run"))
    );
    let (text, _, code) = ask(&["verify"], &job.checkpoints());
    assert_eq!(code, Some(0));
    assert!(text.contains("is refused") && text.contains("bounded run"), "{text}");
}

#[test]
fn a_place_without_checkpoints_is_one_line_and_exit_code_2() {
    let there = tempfile::tempdir().unwrap();
    for place in [there.path().to_path_buf(), there.path().join("absent"), "ftp://x".into()] {
        for what in ["list", "inspect", "verify"] {
            let (stdout, stderr, code) = ask(&[what], &place);
            assert_eq!((stdout.as_str(), code), ("", Some(2)), "{what} {place:?}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
    assert!(files(there.path(), "").is_empty(), "looking changes nothing");
}

#[test]
fn what_was_committed_in_a_place_is_shown_there_and_reported() {
    let counting = Counting::new(log());
    let (place, out) = (counting.checkpoints(), counting.out());
    let run = RunId::fresh(&Clock::system());
    let identity = identify(&Directory::local(&out), run).unwrap();
    counting.run_in(Some(identity.clone()));
    let asked = ["recover", "--out", out.to_str().unwrap()];
    // As a process left it that was killed before its renames.
    let (inspected, _) = ask_json(&["inspect"], &place);
    let staged = inspected[0]["staged"].as_array().unwrap();
    assert!(!staged.is_empty());
    let paths = staged.iter().map(|file| {
        let text = |name: &str| file[name].as_str().unwrap().to_owned();
        let visible = out.join(text("output")).join(text("folder")).join(text("name"));
        (visible, out.join(".staged").join(text("output")).join(text("hidden")))
    });
    let paths: Vec<(PathBuf, PathBuf)> = paths.collect();
    for (visible, hidden) in &paths {
        std::fs::rename(visible, hidden).unwrap();
    }
    for _ in 0..2 {
        let (stdout, stderr, code) = ask(&asked, &place);
        assert_eq!((stderr.as_str(), code), ("", Some(0)), "{stdout}");
        assert!(stdout.contains("are visible") && stdout.lines().count() == 1, "{stdout}");
        assert!(paths.iter().all(|(visible, _)| visible.exists()));
    }
    assert_eq!(files(&place, "shown-").len(), 1);

    // One that is gone is damage, and nothing is said to be there.
    std::fs::remove_file(&paths[0].0).unwrap();
    let (stdout, _, code) = ask(&asked, &place);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("missing or damaged") && stdout.contains("--abandon-place"));
    // Another directory is none of the job's places: a new one, and one of another job.
    let reported = files(&place, "shown-");
    let other = counting.place.path().join("other");
    let recover = || ask(&["recover", "--out", other.to_str().unwrap()], &place);
    let id = identity.id.unwrap();
    for of_another_job in [false, true] {
        let is = match of_another_job {
            false => "holds no .strandline-id".to_owned(),
            true => {
                let new = identify(&Directory::local(&other), RunId::fresh(&Clock::system()));
                format!("is place {}", new.unwrap().id.unwrap())
            }
        };
        let (_, stderr, code) = recover();
        assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains(&is) && stderr.contains(&format!("place {id} at ")), "{stderr}");
        assert_eq!(files(&place, "shown-"), reported);
    }
}
