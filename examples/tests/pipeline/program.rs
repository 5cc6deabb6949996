//! The main job as a program, on its embedded broker: what it says, writes, shows, and how it ends.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::process::{
    Running, command, command_ignoring_sigint, command_redirected, finish, get, metrics, names,
    times_logged, wait, wait_for_two_tries,
};
use strandline::engine::clock::Clock;
use strandline::engine::store::Directory;
use strandline::sim::judge::{Found, MAIN_JOB};

#[test]
fn nonsense_is_one_line_and_exit_code_2_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let out_text = out.to_str().unwrap();
    for arguments in [
        &["--window", "0s"][..],
        &["--watermark", "soon"],
        &["-w", "0"],
        &["--no-such-option"],
        &["--from", "yesterday"],
        &["--rate", "-1"],
        &["--devices", "0"],
        &["--kafka-option", "no.such.property=1"],
        &["--kafka-option", "security.protocol=tls"],
        &["--fetch", "telepathy"],
        &["--fetch", "direct", "--kafka-option", "client.rack=a"],
        &["--fetch", "direct", "--kafka-option", "security.protocol=sasl_plaintext"],
        &["--listen", "somewhere"],
        &["--config", "/does/not/exist.toml"],
    ] {
        let arguments = [&["--out", out_text, "--listen", "127.0.0.1:0"], arguments].concat();
        let (code, stdout, stderr) = finish(command(&arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{arguments:?}: {stderr}");
        assert_eq!(stdout, "", "{arguments:?}");
        assert!(!out.exists(), "{arguments:?}: something was written");
    }
}

#[test]
fn a_variable_that_is_wrong_is_named_and_one_that_is_empty_is_not_set() {
    for (variable, value, hint) in [
        ("STRANDLINE_WINDOW", "10", "STRANDLINE_WINDOW: invalid value '10'"),
        ("STRANDLINE_WINDOW", "0s", "--window, by STRANDLINE_WINDOW: "),
        ("STRANDLINE_QUIET", "perhaps", "STRANDLINE_QUIET: quiet: `perhaps`"),
        ("STRANDLINE_WORKERS", "-1", "STRANDLINE_WORKERS: invalid value '-1'"),
    ] {
        let mut command = command(&["--listen", "none"]);
        command.env(variable, value);
        let (code, _, stderr) = finish(command);
        assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{variable}: {stderr}");
        assert!(stderr.contains(hint), "{stderr}");
    }
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let mut command = command(&["--listen", "none", "--out", out]);
    command.envs([("KAFKA_BOOTSTRAP", ""), ("STRANDLINE_WINDOW", ""), ("STRANDLINE_QUIET", "")]);
    let running = Running::start(command);
    running.wait_said("broker   none was given (KAFKA_BOOTSTRAP is empty)");
    running.signal("INT");
    assert!(running.end(Duration::from_secs(5)).0.success());
}

#[test]
fn a_port_that_is_taken_is_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) =
        finish(command(&["--listen", &address, "--out", out.to_str().unwrap()]));
    assert_eq!(code, Some(75), "it may pass");
    assert!(stderr.contains("--listen") && stderr.contains("taken"), "{stderr}");
    assert!(!out.exists());
}

#[test]
fn a_second_start_of_a_job_hears_that_it_runs_and_not_that_its_port_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let options = |listen: &str| {
        command(&["--bootstrap", "127.0.0.1:1", "--listen", listen, "--out", out.to_str().unwrap()])
    };
    let running = Running::start(options("127.0.0.1:0"));
    let address = running.page();
    running.wait_said("cannot reach Kafka");
    let (code, _, stderr) = finish(options(&address));
    assert_eq!(code, Some(75), "it may pass");
    assert!(stderr.contains("in use by process") && !stderr.contains("--listen"), "{stderr}");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let parent = Directory::local(directory.path());
    parent.replace("file", b"not a directory").unwrap();
    let out = directory.path().join("file").join("out");
    let (code, _, stderr) =
        finish(command(&["--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()]));
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    assert!(stderr.contains("file"), "{stderr}");
}

#[test]
fn rows_of_an_earlier_run_are_refused_where_no_checkpoint_is_continued() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let options = ["--bootstrap", "127.0.0.1:1", "--listen", "none", "--out", out];
    let late = directory.path().join("late").join("date=2026-01-01");
    // What a crash left behind is no row.
    Directory::local(&late).replace(".strandline-staged-1-2-3", b"half").unwrap();
    begins(&options);

    let demonstration = ["--listen", "none", "--window", "1s", "--watermark", "0s", "--rate", "50"];
    let running = Running::start(command(
        &[&demonstration[..], &["--out", out, "--roll-every", "1s"]].concat(),
    ));
    let parquet = directory.path().join("parquet");
    wait("a committed file", || {
        let dates = names(&parquet);
        dates.iter().any(|date| !names(&parquet.join(date)).is_empty()).then_some(())
    });
    running.signal("INT");
    assert!(running.end(Duration::from_secs(5)).0.success());

    // Simulated rows are nothing to add real ones to.
    let (code, _, stderr) = finish(command(&[&options[..], &["--append"]].concat()));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("simulated rows") && stderr.contains("--replace"), "{stderr}");
    Directory::local(directory.path()).remove_file("DEMONSTRATION.txt").unwrap();
    // Now they count as those of a real job, which the demonstration leaves alone.
    let (code, _, stderr) = finish(command(&["--listen", "none", "--out", out]));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("rows of a real job") && stderr.contains("--bootstrap"), "{stderr}");

    for more in [&[][..], &["--fresh"], &["--checkpoint", "none"]] {
        let (code, _, stderr) = finish(command(&[&options[..], more].concat()));
        assert_eq!(code, Some(2), "{more:?}: {stderr}");
        assert!(stderr.contains("--append") && stderr.contains("--replace"), "{more:?}: {stderr}");
    }
    let rows = Found::read(directory.path(), &MAIN_JOB).unwrap().rows.len();
    assert!(0 < rows, "nothing was touched");
    // Nothing is removed before it is known that the job can run: the log was not even reached.
    let latest = Directory::local(directory.path()).read("latest.json").unwrap();
    for what in ["--append", "--replace"] {
        begins(&[&options[..], &[what]].concat());
        assert_eq!(Found::read(directory.path(), &MAIN_JOB).unwrap().rows.len(), rows);
    }
    assert!(!latest.is_empty());
}

/// A job with these options is not refused, and waits for its broker.
fn begins(options: &[&str]) {
    let running = Running::start(command(options));
    running.wait_said("127.0.0.1:1");
    running.signal("TERM");
    assert!(running.end(Duration::from_secs(5)).0.success());
}

#[test]
fn a_store_that_never_answers_holds_up_no_stop() {
    let (running, _directory, _store) = held_up();
    running.signal("TERM");
    running.wait_said("did not answer within 5 s");
    assert_eq!(running.end(Duration::from_secs(2)).0.code(), Some(1));
}

#[test]
fn the_demonstration_shows_its_fleet_and_ends_in_order_on_sigint() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path();
    let running = Running::start(command_ignoring_sigint(&[
        "-w",
        "4",
        "--listen",
        "127.0.0.1:0",
        "--out",
        out.to_str().unwrap(),
        "--window",
        "1s",
        "--watermark",
        "2s",
        "--roll-every",
        "1s",
    ]));
    let address = running.page();
    // From the first second there is everything that a user looks for.
    let clock = Clock::system();
    let expected = ["DEMONSTRATION.txt", "dead_letters", "late", "latest.json", "parquet"];
    // The lock on the directory is hidden, and so is a document that is being written.
    let shown = || names(out).into_iter().filter(|name| !name.starts_with('.'));
    wait("the folders", || shown().eq(expected).then_some(()));
    assert!(clock.elapsed() < Duration::from_secs(1));
    let shown = wait("the fleet", || {
        let metrics = metrics(&address)?;
        (metrics["devices"].as_array()?.len() == 8).then_some(metrics)
    });
    let ledger = &shown["ledger"];
    let count = |name: &str| ledger[name].as_u64().unwrap();
    assert_eq!(count("read"), count("windowed") + count("late") + count("dead_letters"));
    let window = &shown["window"];
    assert_eq!(window["end"].as_i64().unwrap() - window["start"].as_i64().unwrap(), 1000);
    let device = &shown["devices"][0];
    for field in
        ["device_id", "count", "avg_temperature", "avg_humidity", "min_battery", "max_battery"]
    {
        assert!(device.get(field).is_some(), "{field}: {device}");
    }
    // The numbers move.
    wait("another window", || {
        (metrics(&address)?["window"]["start"].as_i64() > window["start"].as_i64()).then_some(())
    });
    let text = get(&address, "/metrics", "text/plain").unwrap();
    assert!(text.contains("# TYPE"), "{text}");
    wait("a final row in Parquet", || {
        (!Found::read(out, &MAIN_JOB).unwrap().rows.is_empty()).then_some(())
    });
    running.signal("INT");
    let said = running.said();
    let (status, _) = running.end(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0), "{said}");
    let found = Found::read(out, &MAIN_JOB).unwrap();
    assert!(found.rows.values().all(|row| row.spans.iter().all(|span| span.1 <= span.2)));
    let bytes = Directory::local(out).read("latest.json").unwrap();
    let latest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let condition = latest["conditions"][0]["text"].as_str().unwrap();
    assert!(
        condition.starts_with("stopped since ") && latest["conditions"][1].is_null(),
        "{latest}"
    );
    // The newest window that holds at least half of the fleet.
    assert!((4..=8).contains(&latest["devices"].as_array().unwrap().len()));
    for folder in ["parquet", "late", "dead_letters"] {
        for date in names(&out.join(folder)) {
            assert!(date.starts_with("date="), "{date}");
            let files = names(&out.join(folder).join(&date));
            assert!(files.iter().all(|file| file.ends_with(".parquet")), "{files:?}");
        }
    }
}

#[test]
fn a_job_whose_log_nobody_takes_goes_on() {
    // A reader that has gone, a full disk, no stream at all.
    for redirection in [None, Some("2>/dev/full"), Some("2>&-")] {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path();
        let options = ["--listen", "none", "--out", out.to_str().unwrap(), "--window", "1s"];
        let options = [&options[..], &["--watermark", "1s", "--roll-every", "1s"]].concat();
        let running = match redirection {
            Some(redirection) => Running::start(command_redirected(redirection, &options)),
            None => Running::start_unheard(command(&options)),
        };
        let rows = || Found::read(out, &MAIN_JOB).is_ok_and(|found| !found.rows.is_empty());
        wait("a final row", || rows().then_some(()));
        running.signal("INT");
        let (status, _) = running.end(Duration::from_secs(5));
        assert_eq!(status.code(), Some(0), "{redirection:?}");
    }
}

#[test]
fn help_that_nobody_reads_is_no_failure() {
    let (code, _, stderr) = finish(command_redirected(">/dev/full", &["--help"]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

/// A job whose store takes connections and says nothing, so that a stop takes its time.
fn held_up() -> (Running, tempfile::TempDir, (TcpListener, TcpStream)) {
    let directory = tempfile::tempdir().unwrap();
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let out = directory.path().join("out");
    let options =
        ["--bootstrap", "127.0.0.1:1", "--listen", "none", "--out", out.to_str().unwrap()];
    let mut command = command(&[&options[..], &["--checkpoint", "s3://bucket/prefix"]].concat());
    command.envs([
        ("AWS_ENDPOINT_URL", format!("http://{}", store.local_addr().unwrap()).as_str()),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ALLOW_HTTP", "true"),
    ]);
    let running = Running::start(command);
    let (connection, _) = store.accept().unwrap();
    (running, directory, (store, connection))
}

/// As `timeout` does, which signals its child and then its group.
#[test]
fn two_signals_at_once_are_one_and_a_later_one_ends_at_once() {
    let (running, _directory, _store) = held_up();
    running.signal("TERM");
    running.signal("TERM");
    let clock = Clock::system();
    running.wait_said("once more");
    while clock.elapsed() < Duration::from_millis(700) {
        assert!(running.runs(), "the second was not the first: {}", running.said());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    running.signal("TERM");
    let (status, _) = running.end(Duration::from_secs(2));
    assert_eq!(status.code(), Some(130));
}

#[test]
fn a_broker_that_is_absent_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let options = ["--bootstrap", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--out", out];
    let running = Running::start(command(&options));
    let address = running.page();
    running.wait_said("cannot reach");
    let metrics = metrics(&address).unwrap();
    assert_eq!(metrics["ledger"]["read"], 0, "the page is there all the same");
    wait_for_two_tries(&address, &["strandline_kafka_errors_total"]);
    let said = running.said();
    assert_eq!(times_logged(&said, "cannot reach"), 1, "{said}");
    running.signal("TERM");
    assert!(running.end(Duration::from_secs(5)).0.success());
}

#[test]
fn quiet_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path();
    let options = ["--quiet", "--listen", "none", "--out", out.to_str().unwrap()];
    let running = Running::start(command(&options));
    wait("outputs", || names(out).contains(&"latest.json".to_owned()).then_some(()));
    running.signal("INT");
    let said = running.said();
    let (status, stdout) = running.end(Duration::from_secs(5));
    assert!(status.success() && said.is_empty() && stdout.is_empty(), "{said}{stdout}");
}
