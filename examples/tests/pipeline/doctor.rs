//! What the doctor says of a job, and what becomes of the job: never two things.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use strandline::engine::checkpoint::lock::Lock;
use strandline::engine::checkpoint::manifest::{CutRecord, Manifest};
use strandline::engine::store::Directory;
use strandline::operators::record::Offset;
use strandline::sim::log::{LogOptions, simulated_log};

use crate::bootstrap::bootstrap;
use crate::process::{Running, command, finish, names};
use crate::topics::{create_topic, fill};

/// A topic that nobody has made.
const NO_TOPIC: &str = "no-such-topic";

/// The doctor says that a job with these options would not run, and the job does not run, for the same
/// reason: in a line with these words.
#[track_caller]
fn refused(words: &[&str], line: &[&str]) {
    let (code, stdout, _) = finish(command(&[&["doctor", "--json"], line].concat()));
    let said: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}"));
    let checks = said["checks"].as_array().unwrap().iter();
    let failed: Vec<&str> = checks
        .filter(|check| check["outcome"] == "fail")
        .map(|check| check["found"].as_str().unwrap())
        .collect();
    assert_eq!((code, said["would_run"].as_bool()), (Some(1), Some(false)), "{words:?}: {stdout}");
    let (code, _, stderr) = finish(command(line));
    let refusal =
        stderr.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    assert!(matches!(code, Some(2 | 75)), "{words:?}: {code:?} {stderr}");
    for word in words {
        assert!(refusal.contains(word), "{word}: {stderr}");
        assert!(failed.iter().any(|failed| failed.contains(word)), "{word}: {stdout}");
    }
    // What it is comes after what refuses it.
    assert!(!stderr.contains("Ctrl-C stops"), "{stderr}");
}

/// Both say that it would run, and a bounded one does.
#[track_caller]
fn accepted(line: &[&str]) {
    let (code, stdout, _) = finish(command(&[&["doctor"], line].concat()));
    assert_eq!(code, Some(0), "{stdout}");
    let (code, _, stderr) = finish(command(line));
    assert_eq!(code, Some(0), "{stderr}");
}

#[expect(clippy::disallowed_methods, reason = "a user's files")]
fn damage_manifests(kept: &Path) {
    for name in names(kept).into_iter().filter(|name| name.starts_with("manifest-")) {
        std::fs::write(kept.join(name), "nothing").unwrap();
    }
}

/// Makes a checkpoint one of a run that is not finished, and changes it in another way.
#[expect(clippy::disallowed_methods, reason = "a job's own files")]
fn change_checkpoint(kept: &Path, change: impl Fn(&mut Manifest, &mut CutRecord)) {
    let name = names(kept).into_iter().rfind(|name| name.starts_with("manifest-")).unwrap();
    let number = Manifest::number_of(&name).unwrap();
    let bytes = std::fs::read(kept.join(&name)).unwrap();
    let mut manifest = Manifest::from_bytes(number, &bytes).unwrap();
    let mut cut = manifest.cut.take().unwrap();
    cut.finished = false;
    change(&mut manifest, &mut cut);
    manifest.cut = Some(cut);
    std::fs::write(kept.join(&name), manifest.to_bytes()).unwrap();
}

#[test]
fn the_doctor_refuses_what_the_job_refuses_and_nothing_else() {
    let bootstrap = bootstrap();
    let (topic, other) =
        (create_topic(&bootstrap, "doctor", 2), create_topic(&bootstrap, "doctor-2", 1));
    let log = simulated_log(5, 2, 2_000, &LogOptions::default()).unwrap();
    fill(&bootstrap, &topic, &log);
    fill(&bootstrap, &other, &log[..1]);
    let there = tempfile::tempdir().unwrap();
    let path = |name: &str| there.path().join(name).to_str().unwrap().to_owned();
    let (kept, out, new, file) = (path("kept"), path("out"), path("new"), path("file"));
    Directory::local(there.path()).replace("file", b"in the way").unwrap();
    let with = |changes: &[(&'static str, &str)], more: &[&str]| -> Vec<String> {
        let usual = [
            ("--bootstrap", &*bootstrap),
            ("--topic", &topic),
            ("--checkpoint", &kept),
            ("--out", &out),
            ("--listen", "none"),
        ];
        let value = |(name, usual): (&'static str, &str)| {
            let change = changes.iter().find(|(changed, _)| *changed == name);
            [name.to_owned(), change.map_or(usual, |(_, value)| value).to_owned()]
        };
        let own = usual.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let added = changes.iter().filter(|(name, _)| !own.contains(name));
        let added = added.flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
        let usual = usual.into_iter().flat_map(value);
        usual.chain(added).chain(more.iter().map(ToString::to_string)).collect()
    };
    let refused = |words: &[&str], changes: &[(&'static str, &str)], more: &[&str]| {
        let line = with(changes, more);
        refused(words, &line.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let accepted = |changes: &[(&'static str, &str)], more: &[&str]| {
        let line = with(changes, more);
        accepted(&line.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let bounded = &["--bounded"][..];

    accepted(&[], bounded);
    // It is finished: once more is its summary, and live is a refusal.
    accepted(&[], bounded);
    refused(&["this bounded run is finished"], &[], &[]);
    // Another job.
    refused(&["belongs to another job", "window 10s (here 5s)"], &[("--window", "5s")], bounded);
    refused(&["belongs to another job", "(here "], &[("--topic", &other)], bounded);
    // Other directories.
    refused(&["place", "holds no .strandline-id"], &[("--out", &new)], bounded);
    refused(&["must not be one in the other"], &[("--out", &path("kept/out"))], bounded);
    refused(
        &["is not a directory"],
        &[("--out", &path("file/out")), ("--checkpoint", "none")],
        bounded,
    );
    refused(&["is not a directory"], &[("--out", &new), ("--checkpoint", &file)], bounded);
    refused(&["already holds rows"], &[("--checkpoint", "none")], bounded);
    refused(&["already holds rows"], &[], &["--bounded", "--fresh"]);
    refused(&["already holds rows"], &[("--checkpoint", &path("kept-2"))], bounded);
    // Options and topics.
    refused(&["no.such.property"], &[("--kafka-option", "no.such.property=1")], bounded);
    refused(
        &[NO_TOPIC],
        &[("--topic", NO_TOPIC), ("--out", &new), ("--checkpoint", "none")],
        bounded,
    );
    refused(&["there is no such file"], &[("--kafka-config", &path("absent"))], bounded);
    // Another process is at work there.
    for directory in [&kept, &out] {
        let _lock = Lock::acquire(Path::new(directory)).unwrap();
        refused(&["is in use by process"], &[], bounded);
    }
    // The log is not the one that was read: another topic of the name, or one that ends before.
    change_checkpoint(Path::new(&kept), |manifest, _| manifest.topic.id = Some("another".into()));
    refused(&["belongs to another job", "id of the topic another (here "], &[], bounded);
    change_checkpoint(Path::new(&kept), |manifest, cut| {
        manifest.topic.id = None;
        let read = &mut cut.partitions[0];
        read.next_offset = Offset(read.next_offset.0 + 1_000);
    });
    refused(&["has read up to", "was cut back"], &[], bounded);
    // What was kept is damaged.
    damage_manifests(Path::new(&kept));
    refused(&["none that can be read"], &[], bounded);
    accepted(&[], &["--bounded", "--fresh", "--replace"]);
}

#[test]
fn of_the_demonstration_they_say_the_same_too() {
    let there = tempfile::tempdir().unwrap();
    let out = there.path().join("out");
    let out = out.to_str().unwrap();
    let fast = ["--window", "1s", "--watermark", "0s", "--roll-every", "1s", "--rate", "50"];
    let line = [&["--listen", "none", "--out", out][..], &fast].concat();
    // The second finds the rows of the first, and adds to them.
    for has_rows in [false, true] {
        let (code, stdout, _) = finish(command(&[&["doctor"], &line[..]].concat()));
        assert_eq!(code, Some(0), "{has_rows}: {stdout}");
        let running = Running::start(command(&line));
        running.wait_said("Ctrl-C stops");
        crate::process::wait("a file", || {
            let rows = Path::new(out).join("parquet");
            names(&rows).iter().any(|date| !names(&rows.join(date)).is_empty()).then_some(())
        });
        running.signal("INT");
        assert!(running.end(Duration::from_secs(5)).0.success());
    }
    refused(
        &["no.such.property"],
        &[&line[..], &["--kafka-option", "no.such.property=1"]].concat(),
    );
    refused(
        &["simulated rows"],
        &[&line[..], &["--bootstrap", "127.0.0.1:1", "--append"]].concat(),
    );
    Directory::local(out).remove_file("DEMONSTRATION.txt").unwrap();
    refused(&["rows of a real job"], &line);
}

#[test]
fn what_is_wrong_with_options_is_not_hidden_behind_a_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let there = tempfile::tempdir().unwrap();
    let out = there.path().join("out");
    let line = ["--listen", &address, "--out", out.to_str().unwrap()];
    let (code, _, stderr) = finish(command(&line));
    assert_eq!(code, Some(75), "{stderr}");
    for wrong in [
        &["--kafka-option", "no.such.property=1"][..],
        &["--devices", "0"],
        &["--kafka-config", "/no/such/file"],
        &["--bootstrap", "nonsense:port"],
        &["--bootstrap", "127.0.0.1:1", "--checkpoint", out.join("in").to_str().unwrap()],
    ] {
        let (code, _, stderr) = finish(command(&[&line[..], wrong].concat()));
        assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{wrong:?}: {stderr}");
        assert!(!stderr.contains(&address), "{stderr}");
    }
}

#[test]
fn a_port_is_looked_at_as_the_job_looks_at_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let there = tempfile::tempdir().unwrap();
    let out = there.path().join("out");
    let out = out.to_str().unwrap();
    refused(&[&address, "the port is taken"], &["--listen", &address, "--out", out]);
    // The last process listens for no other: its address may be taken.
    let (hosts, kept) = (there.path().join("hosts"), there.path().join("kept"));
    let processes = |first: &str, last: &str| {
        let lines = format!("{first}\n{last}\n");
        Directory::local(there.path()).replace("hosts", lines.as_bytes()).unwrap();
        let layout = ["-n", "2", "-p", if first == address { "0" } else { "1" }];
        let layout = [&layout[..], &["--hostfile", hosts.to_str().unwrap()]].concat();
        let place = ["--listen", "none", "--out", out, "--checkpoint", kept.to_str().unwrap()];
        let broker = ["--bootstrap", "127.0.0.1:1"];
        let line = [&["doctor", "--json"], &layout[..], &place, &broker].concat();
        let (_, stdout, _) = finish(command(&line));
        let said: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}"));
        let checks = said["checks"].as_array().unwrap().iter();
        let of_processes = checks.filter(|check| check["check"] == "processes");
        of_processes.filter(|check| check["outcome"] == "fail").cloned().collect::<Vec<_>>()
    };
    let failed = processes(&address, "127.0.0.1:2");
    assert!(failed[0]["found"].as_str().unwrap().contains("end the program that has it"));
    assert_eq!(processes("127.0.0.1:2", &address), [Value::Null; 0]);
}

#[test]
fn an_option_that_has_no_effect_is_said_and_help_names_the_doctor() {
    let there = tempfile::tempdir().unwrap();
    let out = there.path().join("out");
    let line = ["--listen", "none", "--out", out.to_str().unwrap(), "--keep", "5"];
    let running = Running::start(command(&line));
    running.wait_said("--keep has no effect: the demonstration keeps no checkpoints");
    running.signal("INT");
    assert!(running.end(Duration::from_secs(5)).0.success());
    let (_, stdout, _) = finish(command(&[&["doctor"], &line[..]].concat()));
    assert!(stdout.contains("--keep has no effect"), "{stdout}");
    let (_, help, _) = finish(command(&["--help"]));
    for part in ["iot_pipeline doctor [OPTIONS]", "supervise, checkpoints, doctor"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    // Of those that count where a checkpoint is continued only, the job says it.
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "no-effect", 1);
    let options = ["--bootstrap", &bootstrap, "--topic", &topic, "--bounded", "--listen", "none"];
    let more = ["--lower-event-time", "0=0", "--abandon-place", "x", "--out", line[3]];
    Directory::local(&out).remove_file("DEMONSTRATION.txt").unwrap();
    let place = ["--append", "--checkpoint", &there.path().join("kept").display().to_string()]
        .map(str::to_owned);
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let (code, _, stderr) = finish(command(&[&options[..], &more, &place].concat()));
    assert_eq!(code, Some(0), "{stderr}");
    for option in
        ["--lower-event-time has no effect: there is no checkpoint", "--abandon-place has no"]
    {
        assert!(stderr.contains(option), "{stderr}");
    }
}
