//! `iot_pipeline doctor`: what it says of a job that would run, and of one that would not.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;
use strandline::sim::embedded::EmbeddedBroker;

use crate::process::{command, finish};
use crate::secure_broker::{LOOKER, Listener, PASSWORD, STRANGER, SecureBroker};
use crate::{good_topic, message, now_ms, topic_of};

/// What the doctor says as JSON, and its exit code.
fn doctor(out: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let out = out.join("out");
    let out = out.to_str().unwrap();
    let mut line = vec!["doctor", "--json"];
    for (option, value) in [("--out", out), ("--listen", "none")] {
        if !arguments.contains(&option) {
            line.extend([option, value]);
        }
    }
    line.extend(arguments);
    let (code, stdout, stderr) = finish(command(&line));
    let json = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    (code, json)
}

/// The lines of one check: outcome, and what was found with what to do.
fn lines(json: &Value, check: &str) -> Vec<(String, String)> {
    let checks = json["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .filter(|line| line["check"] == check)
        .map(|line| {
            (text(&line["outcome"]), format!("{}: {}", text(&line["found"]), text(&line["advice"])))
        })
        .collect()
}

#[track_caller]
fn has(json: &Value, check: &str, outcome: &str, what: &str) {
    let lines = lines(json, check);
    let found = lines.iter().any(|(o, line)| o == outcome && line.contains(what));
    assert!(found, "no {outcome} {check} with `{what}`: {json:#}");
}

#[test]
fn a_job_that_would_run_is_said_in_both_ways_to_fetch() {
    let broker = SecureBroker::shared();
    let topic = good_topic(&broker, "doctor-fine");
    let bootstrap = broker.bootstrap(Listener::Plaintext);
    for fetch in ["client", "direct"] {
        let there = tempfile::tempdir().unwrap();
        let line = ["--bootstrap", &bootstrap, "--topic", &topic, "--fetch", fetch];
        let (code, json) = doctor(there.path(), &line);
        assert_eq!(code, Some(0), "{json:#}");
        assert_eq!(json["would_run"], true);
        has(&json, "broker", "ok", "can be reached");
        has(&json, "advertised", "ok", &bootstrap);
        has(&json, "topic", "ok", "1 partitions and 20 offsets");
        has(&json, "reading", "ok", "20 records");
        has(&json, "messages", "ok", "old");
        has(&json, "clock", "ok", "ahead");
        has(&json, "records", "ok", "all 20 can be read");
        has(&json, "outputs", "ok", "can be written");
        has(&json, "checkpoints", "ok", "can be written");
        has(&json, "descriptors", "ok", "allowed");
        // It leaves nothing behind.
        assert!(!there.path().join("out").exists());
    }
}

#[test]
fn the_text_has_a_line_for_each_thing_and_a_last_one() {
    let broker = SecureBroker::shared();
    let topic = good_topic(&broker, "doctor-text");
    let there = tempfile::tempdir().unwrap();
    let out = there.path().join("out");
    let bootstrap = broker.bootstrap(Listener::Plaintext);
    let line =
        ["doctor", "--bootstrap", &bootstrap, "--topic", &topic, "--listen", "none", "--out"];
    let (code, stdout, stderr) = finish(command(&[&line[..], &[out.to_str().unwrap()]].concat()));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.lines().any(|line| line.starts_with("ok   broker")), "{stdout}");
    assert!(stdout.lines().last().unwrap().starts_with("a job would run"), "{stdout}");
}

#[test]
fn records_that_cannot_be_read_are_shown_with_what_they_look_like() {
    let broker = SecureBroker::shared();
    let seconds = message(now_ms() / 1000).into_bytes();
    let micros = message(now_ms() * 1000).into_bytes();
    let bootstrap = broker.bootstrap(Listener::Plaintext);
    for (name, payload, hint) in [
        ("seconds", seconds, "look like seconds"),
        ("micros", micros, "microseconds"),
        ("nested", br#"{"data":{"device_id":"a","ts":1}}"#.to_vec(), "inside of `data`"),
        ("array", br#"[{"device_id":"a","ts":1}]"#.to_vec(), "looks like an array"),
        ("avro", b"\0\0\0\0\x01abc".to_vec(), "schema registry"),
    ] {
        let topic = topic_of(&broker, &format!("doctor-{name}"), &[payload]);
        let there = tempfile::tempdir().unwrap();
        let line = ["--bootstrap", &bootstrap, "--topic", &topic];
        let (code, json) = doctor(there.path(), &line);
        assert_eq!(code, Some(1), "{json:#}");
        has(&json, "records", "fail", hint);
    }
    // Some that cannot be read are no reason not to run.
    let mixed = [message(now_ms()).into_bytes(), b"nonsense\n".to_vec()];
    let topic = topic_of(&broker, "doctor-mixed", &mixed);
    let there = tempfile::tempdir().unwrap();
    let line = ["--bootstrap", &bootstrap, "--topic", &topic];
    let (code, json) = doctor(there.path(), &line);
    assert_eq!(code, Some(0), "{json:#}");
    has(&json, "records", "warn", "1 of 2 can be read by this job; the first other is partition 0");
    has(&json, "records", "warn", "offset 1, not_json (not a JSON object): nonsense\\n");
}

#[test]
fn a_broker_a_topic_or_a_right_that_is_missing_is_said() {
    let broker = SecureBroker::shared();
    let topic = good_topic(&broker, "doctor-missing");
    let bootstrap = broker.bootstrap(Listener::Plaintext);
    let there = tempfile::tempdir().unwrap();
    let (code, json) =
        doctor(there.path(), &["--bootstrap", &bootstrap, "--topic", "doctor-no-such-topic"]);
    assert_eq!(code, Some(1));
    has(&json, "topic", "fail", "does not exist");

    let (code, json) = doctor(there.path(), &["--bootstrap", "127.0.0.1:1", "--topic", &topic]);
    assert_eq!(code, Some(1));
    has(&json, "broker", "warn", "127.0.0.1:1 cannot be reached: Connection refused");
    has(&json, "cluster", "fail", "cannot reach Kafka at 127.0.0.1:1");

    for (user, check) in [(STRANGER, "cluster"), (LOOKER, "reading")] {
        let secure = broker.bootstrap(Listener::SaslTls);
        let ca = format!("ssl.ca.location={}", broker.file_text("ca.pem"));
        let user_option = format!("sasl.username={user}");
        let password = format!("sasl.password={}", broker.file_text("password"));
        let line = [
            "--bootstrap",
            &secure,
            "--topic",
            &topic,
            "--kafka-option",
            "security.protocol=SASL_SSL",
            "--kafka-option",
            "sasl.mechanism=SCRAM-SHA-256",
            "--kafka-option",
            &ca,
            "--kafka-option",
            &user_option,
            "--kafka-option-file",
            &password,
        ];
        let (code, json) = doctor(there.path(), &line);
        assert_eq!(code, Some(1));
        has(&json, check, "fail", &format!("does not allow the user `{user}`"));
        assert!(!json.to_string().contains(PASSWORD));
    }
}

#[test]
fn what_is_in_the_way_on_this_computer_is_said() {
    let there = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (code, json) = doctor(there.path(), &["--listen", &taken]);
    assert_eq!(code, Some(1));
    has(&json, "page", "fail", &taken);
    has(&json, "broker", "warn", "demonstration");

    let file = there.path().join("file");
    let below = file.join("out");
    #[expect(clippy::disallowed_methods, reason = "a file in the way")]
    std::fs::write(&file, b"").unwrap();
    let (code, json) = doctor(there.path(), &["--out", below.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    has(&json, "outputs", "fail", "--out");

    let (code, _, stderr) = finish(command(&["doctor", "--no-such-option"]));
    assert_eq!(code, Some(2));
    assert_eq!(stderr, "error: unexpected argument '--no-such-option' found\n");
}

#[test]
fn a_demonstration_needs_no_kafka() {
    let there = tempfile::tempdir().unwrap();
    let (code, json) = doctor(there.path(), &[]);
    assert_eq!(code, Some(0), "{json:#}");
    has(&json, "broker", "warn", "none is named: the job runs its demonstration");
}

/// It does not say which topic it has, and a job of another process waits for that for ever.
#[test]
fn an_embedded_broker_of_another_process_is_not_taken_for_a_kafka() {
    let broker = EmbeddedBroker::start("doctor", 2).unwrap();
    let there = tempfile::tempdir().unwrap();
    let line = ["--bootstrap", broker.bootstrap(), "--topic", "doctor"];
    let (code, json) = doctor(there.path(), &line);
    assert_eq!(code, Some(1), "{json:#}");
    has(&json, "broker", "ok", "can be reached");
    has(&json, "cluster", "fail", "a job would wait");
}
