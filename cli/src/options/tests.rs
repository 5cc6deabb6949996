use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use strandline_engine::source::kafka::Start;
use strandline_engine::store::Directory;
use strandline_operators::time::EventTime;

use super::*;
use crate::kafka_options::KafkaOption;

fn read(arguments: &[&str]) -> Result<Options, String> {
    let arguments = std::iter::once("test").chain(arguments.iter().copied());
    Options::read("test", "", arguments.map(OsString::from)).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let options = read(&[]).unwrap();
    assert_eq!(options.topic, "iot-metrics");
    assert_eq!(options.window, Duration::from_secs(10));
    assert_eq!(options.watermark, Duration::from_secs(60));
    assert_eq!(options.max_future, Duration::from_secs(3600));
    assert_eq!(options.idle_after, Duration::from_secs(5));
    assert_eq!(options.from, Start::Earliest);
    assert_eq!(options.listen, Listen::At("127.0.0.1:5000".parse().unwrap()));
    assert_eq!((options.devices, options.rate), (8, 4.0));
    assert_eq!(options.out, PathBuf::from("data/aggregates"));
    assert_eq!(options.checkpoint, Checkpoint::At("data/checkpoints".into()));
    assert_eq!((options.checkpoint_every, options.keep), (Duration::from_secs(5), 3));
    assert!(!options.fresh && !options.bounded && !options.simulate && !options.quiet);
}

#[test]
fn nonsense_is_refused_with_what_to_do() {
    for (arguments, hint) in [
        (&["-w", "0"][..], "at least one worker"),
        (&["-w", "many"], "invalid"),
        (&["--window", "0s"], "at least a millisecond"),
        (&["--window", "10"], "one of ms s m h d"),
        (&["--window", "9999999999d"], "too long"),
        (&["-w", "-1"], "--workers"),
        (&["--keep", "-1"], "--keep"),
        (&["-w", "257"], "--workers: 257 workers in all: at most 256"),
        (&["-w", "100000"], "at most 256"),
        (&["-n", "2", "-w", "129", "--bootstrap", "x:1"], "--workers: 258 workers in all"),
        (&["-n", "257", "--bootstrap", "x:1"], "--processes: 257 workers in all"),
        (&["-n", "0"], "--processes: a job has at least one process"),
        (&["--group", ""], "--group: it is empty"),
        (&["--topic", ""], "--topic: it is empty"),
        (&["--bootstrap", ""], "--bootstrap: it is empty"),
        (&["--from", "yesterday"], "2026-01-31T12:00:00Z"),
        (&["--listen", "5000"], "127.0.0.1:5000"),
        (&["--allow-host", "job.example.com:5000"], "without a port"),
        (&["--kafka-option", "nonsense"], "NAME=VALUE"),
        (&["--checkpoint", ""], "or none"),
        (&["--checkpoint-every", "0s"], "--checkpoint none"),
        (&["--roll-every", "0s"], "--roll-every: at least a millisecond"),
        (&["--keep", "0"], "at least one"),
        (&["--append", "--replace"], "cannot be used with"),
        (&["--bounded"], "--bootstrap"),
        (&["-n", "2", "-p", "2", "--bootstrap", "x:1"], "from 0 to 1"),
        (&["--config", "/does/not/exist.toml"], "exist.toml: there is no such file"),
        (&["--no-such-option"], "unexpected"),
        (&["--window", "-5s"], "a duration cannot be negative"),
        (&["--window=-5s"], "a duration cannot be negative"),
        (&["--idle-after", "-1"], "a duration cannot be negative"),
        (&["--window", "--bounded"], "one of ms s m h d"),
        (&["--from", "-5"], "2026-01-31T12:00:00Z"),
        (&["--from", "-5m"], "2026-01-31T12:00:00Z"),
        (&["--from", "1730638574"], "is meant in seconds, that is 2024-11-03T12:56:14Z"),
        (&["--from", "1730638574"], "which is 1730638574000"),
        (&["--from", "1730638574123456"], "microseconds"),
        (&["--from", "99999999999999999999"], "too large"),
    ] {
        let error = read(arguments).unwrap_err();
        assert!(error.contains(hint), "{arguments:?}: {error}");
    }
}

#[test]
fn what_a_file_has_wrong_is_said_with_its_name_and_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("job.toml");
    let path = path.to_str().unwrap();
    for (text, hint) in [
        ("window = \"10s\"\ntopic = nonsense\n", "job.toml: line 2: "),
        ("window = \"10\"", "job.toml: invalid value '10' for '--window <DURATION>': a duration"),
        ("quiet = \"perhaps\"", "job.toml: quiet: `perhaps` is neither true nor false"),
        ("keep = 0", "--keep, by --config"),
        ("no-such-option = 1", "job.toml: there is no option `no-such-option`"),
    ] {
        Directory::local(directory.path()).replace("job.toml", text.as_bytes()).unwrap();
        let error = read(&["--config", path]).unwrap_err();
        assert!(error.contains(hint), "{text}: {error}");
    }
}

#[test]
fn as_many_workers_as_have_work_are_allowed() {
    assert_eq!(read(&["-w", "256"]).unwrap().workers(), 256);
    let two = read(&["-n", "2", "-w", "128", "--bootstrap", "x:1"]).unwrap();
    assert_eq!((two.processes, two.workers()), (2, 128));
}

#[test]
fn help_and_version_are_there() {
    let help = read(&["--help"]).unwrap_err();
    for part in ["[env: KAFKA_BOOTSTRAP", "[env: STRANDLINE_CHECKPOINT_EVERY", "--version"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    assert!(read(&["--version"]).unwrap_err().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_beginning_is_a_name_or_a_time() {
    let at = |millis| Start::Timestamp(EventTime::from_millis(millis));
    for (text, expected) in [
        ("latest", Start::Latest),
        ("1730638574123", at(1_730_638_574_123)),
        ("0", at(0)),
        ("1970-01-01T00:00:01Z", at(1_000)),
        ("1970-01-01T01:00:01+01:00", at(1_000)),
    ] {
        assert_eq!(read(&["--from", text]).unwrap().from, expected);
    }
}

#[test]
fn the_command_line_wins_over_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("job.toml");
    let text = "window = \"1m\"\nworkers = 3\nquiet = true\ntopic = \"other\"\n\
                kafka-option = [\"a=b\", \"c=d\"]\n";
    Directory::local(directory.path()).replace("job.toml", text.as_bytes()).unwrap();
    let path = path.to_str().unwrap();
    let options = read(&["--config", path, "--window", "5s"]).unwrap();
    assert_eq!(options.window, Duration::from_secs(5));
    assert_eq!((options.workers, options.quiet), (Some(3), true));
    assert_eq!(options.topic, "other");
    let pairs = [("a", "b"), ("c", "d")]
        .map(|(name, value)| KafkaOption { name: name.into(), value: value.into() });
    assert_eq!(options.kafka_option, pairs);
}

#[test]
fn a_secret_is_neither_on_the_command_line_nor_in_what_is_said_of_it() {
    let error = read(&["--kafka-option", "sasl.password:hunter2"]).unwrap_err();
    assert!(error.contains("NAME=VALUE") && !error.contains("hunter2"), "{error}");
    let options = read(&["--kafka-option", "sasl.password=hunter2"]).unwrap();
    assert_eq!(options.secrets_on_command_line, ["sasl.password"]);
    assert!(!format!("{options:?}").contains("hunter2"));
    let options = read(&["--kafka-option", "sasl.username=reader"]).unwrap();
    assert_eq!(options.secrets_on_command_line, [""; 0]);
}

#[test]
fn properties_come_from_files_and_the_command_line_wins() {
    let directory = tempfile::tempdir().unwrap();
    let there = Directory::local(directory.path());
    there.replace("client.properties", b"sasl.username=KEY\nsasl.password=old\n").unwrap();
    there.replace("password", b"hunter2\n").unwrap();
    let config = directory.path().join("client.properties");
    let password = format!("sasl.password={}", directory.path().join("password").display());
    let line = ["--kafka-config", config.to_str().unwrap(), "--kafka-option-file", &password];
    let options = read(&[&line[..], &["--kafka-option", "sasl.username=other"]].concat());
    let all = options.unwrap().kafka_properties().unwrap();
    let last = |name: &str| all.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(last("sasl.password"), Some("hunter2"));
    assert_eq!(last("sasl.username"), Some("other"));
    let absent = read(&["--kafka-option-file", "sasl.password=/no/such/file"]).unwrap();
    let error = absent.kafka_properties().unwrap_err();
    assert!(error.contains("/no/such/file: there is no such file"), "{error}");
}
