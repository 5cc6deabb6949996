//! What a user is told about a job, wherever it is asked for; and that nothing waits for a reader.

use std::process::{Command, Stdio};
use std::time::Duration;

use strandline::sim::judge::{Found, MAIN_JOB};

use crate::process::{Running, ask, command, command_minding_sighup, example, metrics, wait};

/// How long a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(5);

#[test]
fn a_broker_that_is_away_is_said_in_the_same_words_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let options = ["--bootstrap", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--out", out];
    let running = Running::start(command(&options));
    let address = running.page();
    let said = running.wait_said("cannot reach Kafka");
    let line = said.lines().find_map(|line| line.split_once(" UTC: ")).unwrap().1;
    let (status, ready) = ask(&address, "/readyz").unwrap();
    assert_eq!(status, 503, "{ready}");
    let words = ready.lines().nth(1).unwrap();
    assert!(words.starts_with("waiting for Kafka since 20") && words.ends_with(line), "{ready}");
    assert_eq!(metrics(&address).unwrap()["conditions"][0]["text"], words);
    let (_, prometheus) = ask(&address, "/metrics?format=prometheus").unwrap();
    assert!(prometheus.contains("strandline_job_condition{condition=\"waiting_for_kafka\"} 1"));
    assert!(prometheus.contains("strandline_kafka_connected 0"));
    let (_, page) = ask(&address, "/").unwrap();
    assert!(page.contains(&words[1..]), "{page}");
    assert_eq!(ask(&address, "/healthz").unwrap().0, 200);
    running.signal("TERM");
    assert!(running.end(STOP_LIMIT).0.success());
}

#[test]
fn a_job_that_reads_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let running = Running::start(command(&["--listen", "127.0.0.1:0", "--out", out]));
    let address = running.page();
    wait("it is ready", || (ask(&address, "/readyz")?.0 == 200).then_some(()));
    let (_, prometheus) = ask(&address, "/metrics?format=prometheus").unwrap();
    for family in ["process_cpu_seconds_total", "strandline_process_read_bytes_total"] {
        let sample = prometheus.lines().find(|line| line.starts_with(family)).unwrap();
        let value: f64 = sample.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(value > 0.0, "{sample}");
    }
    running.signal("INT");
    assert!(running.end(STOP_LIMIT).0.success());
}

#[test]
fn a_full_pipe_that_nobody_reads_holds_up_neither_the_work_nor_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path();
    let options = ["--listen", "none", "--out", out.to_str().unwrap(), "--window", "1s"];
    // The client's log is a flood.
    let options = [&options[..], &["--watermark", "1s", "--roll-every", "1s"]].concat();
    let options = [&options[..], &["--kafka-option", "debug=all"]].concat();
    let running = Running::start_unread(&options);
    let rows = || Found::read(out, &MAIN_JOB).is_ok_and(|found| !found.rows.is_empty());
    wait("a final row", || rows().then_some(()));
    running.signal("TERM");
    assert_eq!(running.end(STOP_LIMIT).0.code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once_although_the_log_is_a_full_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path();
    let running = Running::start_unread(&["--listen", "none", "--out", out.to_str().unwrap()]);
    wait("outputs", || out.join("latest.json").exists().then_some(()));
    running.signal("INT");
    running.signal("TERM");
    // The first may have been done before the second came.
    let (status, _) = running.end(Duration::from_secs(3));
    assert!(matches!(status.code(), Some(0 | 130)), "{status}");
}

#[test]
fn a_hangup_and_a_quit_end_a_job_in_order() {
    for signal in ["HUP", "QUIT"] {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().to_str().unwrap();
        let command = command_minding_sighup(&["--listen", "none", "--out", out]);
        let running = Running::start(command);
        running.wait_said("Ctrl-C stops");
        running.signal(signal);
        running.wait_said("stopping");
        let said = running.said();
        assert_eq!(running.end(STOP_LIMIT).0.code(), Some(0), "{signal}: {said}");
    }
}

#[test]
fn a_hangup_that_was_to_be_ignored_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(example("iot_pipeline"));
    shell.args(["--listen", "127.0.0.1:0", "--out", out, "--checkpoint", "none"]);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running::start(shell);
    let address = running.page();
    running.wait_said("Ctrl-C stops");
    running.signal("HUP");
    let epoch = || metrics(&address)?["epoch"].as_u64();
    let then = wait("an epoch", epoch);
    wait("a later epoch", || (epoch()? > then + 1).then_some(()));
    assert!(!running.said().contains("stopping"), "{}", running.said());
    running.signal("TERM");
    assert_eq!(running.end(STOP_LIMIT).0.code(), Some(0));
}

#[test]
fn the_demonstration_says_why_it_runs_and_names_the_variable_that_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let mut command = command(&["--listen", "none", "--out", out, "-w", "1"]);
    command.env("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092");
    let running = Running::start(command);
    let said = running.wait_said("Ctrl-C stops");
    let first = said.lines().next().unwrap();
    let expected = "none was given (KAFKA_BOOTSTRAP_SERVERS is set, but only KAFKA_BOOTSTRAP is \
                    read): this is the demonstration";
    assert!(first.contains(expected), "{said}");
    assert!(said.contains("1 worker, windows"), "{said}");
    running.signal("TERM");
    assert!(running.end(STOP_LIMIT).0.success());
}
