//! The program `strandline-sim`, run as a user runs it.

#![expect(clippy::unwrap_used, reason = "the functions that tests share are tests as well")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use strandline_engine::clock::Clock;
use strandline_sim::embedded::EmbeddedBroker;

const PATIENCE: Duration = Duration::from_secs(60);

fn command(bootstrap: &str, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline-sim"));
    command
        .args(options)
        .env("KAFKA_BOOTSTRAP", bootstrap)
        .env_remove("KAFKA_TOPIC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn errors(output: &Output) -> Vec<&str> {
    std::str::from_utf8(&output.stderr).unwrap().lines().collect()
}

fn messages_in(broker: &EmbeddedBroker, partitions: i32) -> i64 {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().unwrap();
    let ends = (0..partitions)
        .map(|partition| consumer.fetch_watermarks(broker.topic(), partition, PATIENCE).unwrap().1);
    ends.sum()
}

#[test]
fn it_sends_the_messages_asked_for_and_sums_up() {
    let broker = EmbeddedBroker::start("iot-metrics", 4).unwrap();
    let output = command(broker.bootstrap(), &["--messages", "3000"]).output().unwrap();
    assert!(output.status.success(), "{:?}", errors(&output));
    assert_eq!(messages_in(&broker, 4), 3_000);
    let lines = errors(&output);
    assert!(lines[0].starts_with("8 devices to topic iot-metrics (4 partitions, exists)"));
    assert!(lines.last().unwrap().starts_with("sent 3000 · delivered 3000 ("), "{lines:?}");
}

#[test]
fn quiet_says_nothing() {
    let broker = EmbeddedBroker::start("iot-metrics", 1).unwrap();
    let output = command(broker.bootstrap(), &["--messages", "10", "--quiet"]).output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{:?}", errors(&output));
}

#[test]
fn event_times_far_in_the_future_are_warned_of() {
    let broker = EmbeddedBroker::start("iot-metrics", 1).unwrap();
    let options = ["--messages", "10", "--quiet", "--start", "4102444800000"];
    let output = command(broker.bootstrap(), &options).output().unwrap();
    assert!(output.status.success());
    assert!(matches!(errors(&output)[..], [line] if line.contains("future")));
}

#[test]
fn nonsense_options_are_one_line_and_exit_code_2() {
    let cases: [&[&str]; 5] = [
        &["--devices", "0"],
        &["--bogus"],
        &["--kafka-option", "no.such.property=1"],
        &["--topic", ""],
        &["--rate", "fast"],
    ];
    for options in cases {
        let output = command("127.0.0.1:1", options).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(output.stdout.is_empty());
        assert!(matches!(errors(&output)[..], [line] if line.starts_with("strandline-sim: ")));
    }
}

/// SIGINT and SIGTERM end it in order: what was sent is delivered and counted. SIGINT does so even
/// where it was ignored at the start, as for jobs in the background of a shell script.
#[test]
fn signals_end_it_in_order() {
    for (signal, shell) in [("TERM", false), ("INT", false), ("INT", true)] {
        let broker = EmbeddedBroker::start("iot-metrics", 1).unwrap();
        let mut child = if shell {
            let program = env!("CARGO_BIN_EXE_strandline-sim");
            let mut command = Command::new("sh");
            command
                .args(["-c", "trap '' INT; exec \"$0\" --rate 100", program])
                .env("KAFKA_BOOTSTRAP", broker.bootstrap())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        } else {
            command(broker.bootstrap(), &["--rate", "100"]).spawn().unwrap()
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().contains("Ctrl-C ends it"));
        assert!(lines.next().unwrap().starts_with("sent "));
        let clock = Clock::system();
        let kill = ["-s", signal, &child.id().to_string()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        let last = lines.last().unwrap();
        assert!(child.wait().unwrap().success());
        assert!(clock.elapsed() < Duration::from_secs(5));
        let sent: i64 = last.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(0 < sent && last.contains(&format!("delivered {sent} ")), "{last}");
        assert_eq!(messages_in(&broker, 1), sent);
    }
}

/// Without a broker it says so once, waits, and still ends when asked to.
#[test]
fn an_absent_broker_is_said_once() {
    let mut child = command("127.0.0.1:1", &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.contains("127.0.0.1:1") && first.contains("--bootstrap"), "{first}");
    let kill = ["-s", "INT", &child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    assert_eq!(lines.count(), 0);
    assert!(child.wait().unwrap().success());
}
