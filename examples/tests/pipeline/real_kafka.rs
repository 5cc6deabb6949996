//! The main job against a real Apache Kafka: the same rows as the oracle's, for every number of
//! workers and processes.
//!
//! `scripts/test` starts the broker and names it in `STRANDLINE_KAFKA`.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use strandline::sim::judge::{Found, MAIN_JOB};
use strandline::sim::log::{LogOptions, simulated_log};
use strandline::sim::oracle::{OracleOptions, Outcome, outcome};

use crate::bootstrap::bootstrap;
use crate::process::{LIMIT, Running, ask, command, command_redirected, finish, metrics, wait};
use crate::topics::{create_topic, fill, read_back};

/// The last line of a bounded run from the beginning, held against the ledger that the oracle found.
fn check_last_line(stdout: &str, expected: &Outcome) {
    let last = check_counts(stdout, expected);
    let rate = last["records_per_second"].as_f64().unwrap();
    let records = expected.ledger.read as f64;
    assert!((rate * last["seconds"].as_f64().unwrap() - records).abs() < 1.0);
}

/// The counts of the last line of a bounded run, held against the ledger that the oracle found.
pub(crate) fn check_counts(stdout: &str, expected: &Outcome) -> serde_json::Value {
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let (e, number) = (&expected.ledger, |name: &str| last[name].as_u64().unwrap());
    assert_eq!(number("records"), e.read);
    assert_eq!(number("late"), e.late);
    assert_eq!(number("dead_letters"), e.dead_letters);
    assert_eq!(number("final_rows"), expected.rows.len() as u64);
    last
}

#[test]
fn rows_are_the_oracles_for_every_number_of_workers_and_processes() {
    let options = LogOptions { untimed_share: 0.0, ..LogOptions::default() };
    let (partitions, messages) = (5, 30_000);
    let log = simulated_log(21, partitions, messages, &options).unwrap();
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "oracle", partitions + 1); // the last one stays empty
    fill(&bootstrap, &topic, &log);
    let log = read_back(&bootstrap, &topic, partitions + 1);
    let expected = outcome(&log, &OracleOptions::default());
    assert_eq!(expected.ledger.read, messages);
    let mut first: Option<Found> = None;
    let by_client = ["1", "2", "3", "4", "8"].map(|workers| (workers, "client"));
    let direct = ["1", "3", "8"].map(|workers| (workers, "direct"));
    for (workers, fetch) in by_client.into_iter().chain(direct) {
        let out = tempfile::tempdir().unwrap();
        let (code, stdout, stderr) = finish(command(&[
            "--bootstrap",
            &bootstrap,
            "--topic",
            &topic,
            "--bounded",
            "-w",
            workers,
            "--fetch",
            fetch,
            "--listen",
            "none",
            "--quiet",
            "--out",
            out.path().to_str().unwrap(),
        ]));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{workers} workers, {fetch}");
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        check_last_line(&stdout, &expected);
        let found = Found::read(out.path(), &MAIN_JOB).unwrap();
        found.compare(&expected, &MAIN_JOB).unwrap();
        let first = first.get_or_insert_with(|| found.clone());
        assert_eq!(first.rows, found.rows, "equal to the last bit: {workers} workers, {fetch}");
    }

    // Two processes that share an output directory; together they have all rows.
    let (_hosts, hostfile) = hostfile();
    let out = tempfile::tempdir().unwrap();
    let processes = ["0", "1"].map(|process| {
        Running::start(command(&[
            "-n",
            "2",
            "-p",
            process,
            "--hostfile",
            &hostfile,
            "-w",
            "2",
            "--bootstrap",
            &bootstrap,
            "--topic",
            &topic,
            "--bounded",
            "--append",
            "--listen",
            "none",
            "--out",
            out.path().to_str().unwrap(),
        ]))
    });
    let [leader, follower] = processes.map(|process| {
        let (status, stdout) = process.end(LIMIT);
        assert_eq!(status.code(), Some(0));
        stdout
    });
    // Timely itself says when a peer is not there yet.
    assert!(!follower.contains('{'), "one process speaks for all: {follower}");
    check_last_line(&leader, &expected);
    let found = Found::read(out.path(), &MAIN_JOB).unwrap();
    found.compare(&expected, &MAIN_JOB).unwrap();
    assert_eq!(first.unwrap().rows, found.rows);
}

#[test]
fn a_summary_that_cannot_be_written_is_a_failure_in_one_line() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "unheard", 1);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_str().unwrap();
    let options = ["--bootstrap", &bootstrap, "--topic", &topic, "--out", out];
    let options = [&options[..], &["--bounded", "--quiet", "--listen", "none"]].concat();
    let (code, _, stderr) = finish(command_redirected(">/dev/full", &options));
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("summary cannot be written"), "{stderr}");
}

#[test]
fn a_checkpoint_is_continued_only_where_its_rows_are() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "out", 1);
    let there = tempfile::tempdir().unwrap();
    let path = |name: &str| there.path().join(name).to_str().unwrap().to_owned();
    let (kept, first, moved) = (path("kept"), path("first"), path("moved"));
    let run = |out: &str, more: &[&str]| {
        let options = ["--bootstrap", &bootstrap, "--topic", &topic, "--checkpoint", &kept];
        let options = [&options[..], &["--bounded", "--listen", "none"], more].concat();
        finish(command(&[&options[..], &["--out", out]].concat()))
    };
    assert_eq!(run(&first, &["--quiet"]).0, Some(0));
    let (code, _, stderr) = run(&moved, &["--quiet"]);
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    for part in [&*first, &moved, "--out", "--fresh", "--checkpoint"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!std::path::Path::new(&moved).exists(), "nothing was written");
    // A directory may be moved: it has run to its end, and that is all that is said.
    assert!(std::process::Command::new("mv").args([&first, &moved]).status().unwrap().success());
    let (code, _, stderr) = run(&moved, &[]);
    assert!(code == Some(0) && stderr.contains("is finished"), "{stderr}");
    // Nothing is wrong with that, nor with starting over.
    for (out, more) in [(&moved, &["--quiet"][..]), (&first, &["--quiet", "--fresh"])] {
        let (code, stdout, stderr) = run(out, more);
        assert_eq!((code, stderr.as_str(), stdout.lines().count()), (Some(0), "", 1));
    }
}

/// What is under a directory, with the directory itself; nothing if it is absent.
pub(crate) fn everything_under(directory: &str) -> Vec<String> {
    let mut found = finish_of("find", &[directory]);
    found.sort();
    found
}

fn finish_of(program: &str, arguments: &[&str]) -> Vec<String> {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// A volume that is not mounted looks like a new directory.
#[test]
fn a_new_directory_in_the_place_of_the_jobs_is_refused_before_anything_is_written() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "unmounted", 2);
    let log = simulated_log(7, 2, 2_000, &LogOptions::default()).unwrap();
    fill(&bootstrap, &topic, &log);
    let there = tempfile::tempdir().unwrap();
    let path = |name: &str| there.path().join(name).to_str().unwrap().to_owned();
    let (kept, out, aside) = (path("kept"), path("out"), path("aside"));
    let run = |more: &[&str]| {
        let options = ["--bootstrap", &bootstrap, "--topic", &topic, "--checkpoint", &kept];
        let options = [&options[..], &["--bounded", "--quiet", "--listen", "none"], more].concat();
        finish(command(&[&options[..], &["--out", &out]].concat()))
    };
    assert_eq!(run(&[]).0, Some(0));
    let id = strandline::engine::store::Directory::local(&out).read(".strandline-id").unwrap();
    let id = String::from_utf8(id).unwrap();
    assert!(std::process::Command::new("mv").args([&out, &aside]).status().unwrap().success());
    let before = everything_under(&kept);
    for exists in [false, true] {
        if exists {
            strandline::engine::store::Directory::local(&out).create().unwrap();
        }
        let there_before = everything_under(&out);
        let (code, _, stderr) = run(&[]);
        assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
        for part in [&*format!("place {id} at {out}"), "holds no .strandline-id", "mount"] {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
        for way_out in ["checkpoints recover", &format!("--abandon-place {id}"), "--fresh"] {
            assert!(stderr.contains(way_out), "{way_out}: {stderr}");
        }
        assert_eq!(everything_under(&kept), before, "the store");
        assert_eq!(everything_under(&out), there_before, "the directory");
    }
    // The real one comes back. Starts that make no checkpoint leave no more than are kept.
    assert!(std::process::Command::new("rmdir").arg(&out).status().unwrap().success());
    assert!(std::process::Command::new("mv").args([&aside, &out]).status().unwrap().success());
    for _ in 0..4 {
        assert_eq!(run(&[]).0, Some(0));
    }
    let is_manifest = |path: &&String| path.contains("/manifest-");
    assert_eq!(everything_under(&kept).iter().filter(is_manifest).count(), 3);
    // It is lost.
    assert!(std::process::Command::new("mv").args([&out, &aside]).status().unwrap().success());
    let (code, _, stderr) = run(&["--abandon-place", &id]);
    assert!(code == Some(0) && stderr.contains(&format!("place {id}, are given up")), "{stderr}");
    assert_eq!(run(&[]).0, Some(0), "from then on");
}

#[test]
fn a_signal_to_any_process_stops_all_of_them() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "two", 4);
    let (_hosts, hostfile) = hostfile();
    let out = tempfile::tempdir().unwrap();
    let [leader, follower] = ["0", "1"].map(|process| {
        let layout = ["-n", "2", "-p", process, "--hostfile", &hostfile, "-w", "1"];
        let topic = ["--bootstrap", &bootstrap, "--topic", &topic, "--append"];
        let out = ["--listen", "127.0.0.1:0", "--out", out.path().to_str().unwrap()];
        Running::start(command(&[&layout[..], &topic, &out].concat()))
    });
    let address = leader.page();
    wait("both workers are there", || (0 < metrics(&address)?["epoch"].as_u64()?).then_some(()));
    follower.signal("TERM");
    for process in [follower, leader] {
        assert_eq!(process.end(Duration::from_secs(5)).0.code(), Some(0));
    }
}

#[test]
fn a_process_that_does_not_lead_answers_for_itself_and_says_where_the_job_is_shown() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "follower", 4);
    let (_hosts, hostfile) = hostfile();
    let out = tempfile::tempdir().unwrap();
    let start = |process| {
        let layout = ["-n", "2", "-p", process, "--hostfile", &hostfile, "-w", "1"];
        let topic = ["--bootstrap", &bootstrap, "--topic", &topic, "--append"];
        let out = ["--listen", "127.0.0.1:0", "--out", out.path().to_str().unwrap()];
        Running::start(command(&[&layout[..], &topic, &out].concat()))
    };
    let follower = start("1");
    let address = follower.page();
    assert_eq!(ask(&address, "/healthz").unwrap().0, 200);
    // It waits for process 0, and says so.
    let waits = wait("it waits", || {
        ask(&address, "/readyz").filter(|ready| ready.1.contains(": process 0 at "))
    });
    assert!(waits.0 == 503 && waits.1.contains("waiting for other processes since"), "{waits:?}");
    let leader = start("0");
    wait("both are ready", || {
        let ready = |running: &Running| ask(&running.page(), "/readyz").map(|ready| ready.0);
        (ready(&leader)? == 200 && ready(&follower)? == 200).then_some(())
    });
    let (status, page) = ask(&address, "/").unwrap();
    assert!(status == 404 && page.starts_with("This is process 1 of 2"), "{page}");
    assert!(page.contains("The job is shown by process 0, at http://127.0.0.1:0/"), "{page}");
    let (_, metrics) = ask(&address, "/metrics?format=prometheus").unwrap();
    assert!(metrics.contains("process_open_fds ") && !metrics.contains("strandline_lag_records"));
    let said = follower.said();
    assert!(said.contains("status   process 1 shows the job's condition alone"), "{said}");
    assert!(!said.contains("records/s"), "{said}");
    leader.signal("TERM");
    for process in [follower, leader] {
        assert_eq!(process.end(Duration::from_secs(5)).0.code(), Some(0));
    }
}

#[test]
fn a_bounded_run_that_is_stopped_does_not_end_like_one_that_has_finished() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "stopped", 1);
    let log = simulated_log(3, 1, 200_000, &LogOptions::default()).unwrap();
    fill(&bootstrap, &topic, &log);
    let out = tempfile::tempdir().unwrap();
    let options = ["--bootstrap", &bootstrap, "--topic", &topic, "--bounded", "--quiet"];
    let slow = ["-w", "1", "--kafka-option", "fetch.message.max.bytes=2000"];
    let place = ["--listen", "none", "--out", out.path().to_str().unwrap()];
    let line = [&options[..], &slow, &place].concat();
    let running = Running::start(command(&line));
    let latest = strandline::engine::store::Directory::local(out.path());
    wait("it reads", || latest.read("latest.json").ok());
    running.signal("TERM");
    let said = running.wait_said("before the end of this bounded run");
    let (status, stdout) = running.end(LIMIT);
    assert_eq!((status.code(), stdout.as_str()), (Some(4), ""), "{said}");
    let (code, stdout, stderr) = finish(command(&line));
    assert_eq!((code, stdout.lines().count()), (Some(0), 1), "{stderr}");
}

#[test]
fn a_port_of_a_process_that_is_taken_may_be_free_later() {
    let (_hosts, hostfile) = hostfile();
    let hosts = strandline::engine::store::Directory::local(
        std::path::Path::new(&hostfile).parent().unwrap(),
    );
    let first = String::from_utf8(hosts.read("hosts").unwrap()).unwrap();
    let address = first.lines().next().unwrap();
    let _taken = std::net::TcpListener::bind(address).unwrap();
    let out = tempfile::tempdir().unwrap();
    let start = || {
        let layout = ["-n", "2", "-p", "0", "--hostfile", &hostfile, "-w", "1"];
        let place = ["--listen", "none", "--out", out.path().to_str().unwrap()];
        finish(command(&[&layout[..], &["--bootstrap", "127.0.0.1:1"], &place].concat()))
    };
    let (code, _, stderr) = start();
    let error = stderr.lines().last().unwrap();
    assert!(code == Some(75) && error.contains(address), "{stderr}");
    assert!(error.contains("end the program that has it"), "{stderr}");
    // An address of documentation is none of this computer's.
    hosts.replace("hosts", b"192.0.2.1:2101\n192.0.2.1:2102\n").unwrap();
    let (code, _, stderr) = start();
    assert_eq!(code, Some(2), "{stderr}");
}

#[test]
fn a_process_that_is_killed_ends_the_others_with_one_line() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "killed", 4);
    for killed in [0, 1] {
        let (_hosts, hostfile) = hostfile();
        let out = tempfile::tempdir().unwrap();
        let [leader, follower] = ["0", "1"].map(|process| {
            let layout = ["-n", "2", "-p", process, "--hostfile", &hostfile, "-w", "2"];
            let topic = ["--bootstrap", &bootstrap, "--topic", &topic];
            let out = ["--listen", "127.0.0.1:0", "--out", out.path().to_str().unwrap()];
            Running::start(command(&[&layout[..], &topic, &out].concat()))
        });
        let address = leader.page();
        let begun = || (0 < metrics(&address)?["epoch"].as_u64()?).then_some(());
        wait("both workers are there", begun);
        let (gone, left) = if killed == 0 { (leader, follower) } else { (follower, leader) };
        gone.kill();
        let line = format!("error: process {killed} is gone: ");
        let said = left.wait_said(&line);
        assert_eq!(left.end(Duration::from_secs(5)).0.code(), Some(1));
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Two addresses to listen at, and the file that names them. The ports are below those that the
/// system gives to connections (from 32768 on Linux): one of these may be in use at any time.
pub(crate) fn hostfile() -> (tempfile::TempDir, String) {
    static USED: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 1_000).unwrap();
    let port = 20_000 + 12 * process + USED.fetch_add(2, Ordering::Relaxed) % 12;
    let directory = tempfile::tempdir().unwrap();
    let lines = format!("127.0.0.1:{port}\n127.0.0.1:{}\n", port + 1);
    strandline::engine::store::Directory::local(directory.path())
        .replace("hosts", lines.as_bytes())
        .unwrap();
    let path = directory.path().join("hosts").to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn a_topic_that_is_absent_is_named_and_not_created() {
    let bootstrap = bootstrap();
    let topic = format!("absent-{}", std::process::id());
    for _ in 0..2 {
        let out = tempfile::tempdir().unwrap();
        let (code, _, stderr) = finish(command(&[
            "--bootstrap",
            &bootstrap,
            "--topic",
            &topic,
            "--listen",
            "none",
            "--out",
            out.path().to_str().unwrap(),
        ]));
        assert_ne!(code, Some(0));
        assert!(stderr.contains(&topic) && stderr.contains(&bootstrap), "{stderr}");
    }
}

#[test]
fn a_fleet_on_a_real_broker_is_read_as_it_sends() {
    let (bootstrap, topic) = (bootstrap(), format!("live-{}", std::process::id()));
    let out = tempfile::tempdir().unwrap();
    let running = Running::start(command(&[
        "--bootstrap",
        &bootstrap,
        "--topic",
        &topic,
        "--simulate",
        "--listen",
        "127.0.0.1:0",
        "--window",
        "2s",
        "--watermark",
        "2s",
        "--roll-every",
        "1s",
        "--out",
        out.path().to_str().unwrap(),
    ]));
    let address = running.page();
    wait("the fleet", || (metrics(&address)?["devices"].as_array()?.len() == 8).then_some(()));
    wait("a final row", || {
        (!Found::read(out.path(), &MAIN_JOB).unwrap().rows.is_empty()).then_some(())
    });
    running.signal("INT");
    let (status, _) = running.end(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0));
    assert!(!Found::read(out.path(), &MAIN_JOB).unwrap().rows.is_empty());
    // A run that is stopped can be followed by one that starts at the end, or at a time.
    for from in ["latest", "2020-01-01T00:00:00Z"] {
        let (code, stdout, stderr) = finish(command(&[
            "--bootstrap",
            &bootstrap,
            "--topic",
            &topic,
            "--bounded",
            "--from",
            from,
            "--append",
            "--checkpoint",
            "none",
            "--listen",
            "none",
            "--out",
            out.path().to_str().unwrap(),
        ]));
        assert_eq!(code, Some(0), "{stderr}");
        let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        assert_eq!(0 < last["records"].as_u64().unwrap(), from != "latest");
    }
}

#[test]
fn an_idle_job_sleeps() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "idle", 4);
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [job, fleet] = [&[][..], &["--simulate"]].map(|more| {
        let out = directories[usize::from(!more.is_empty())].path().to_str().unwrap();
        let options = ["--bootstrap", &bootstrap, "--topic", &topic, "--listen", "none"];
        let running =
            Running::start(command(&[&options[..], &["-w", "2", "--out", out], more].concat()));
        running.wait_said("records/s");
        running
    });
    let (clock, before) = (strandline::engine::clock::Clock::system(), job.cpu());
    std::thread::park_timeout(Duration::from_secs(10));
    let share = (job.cpu() - before).as_secs_f64() / clock.elapsed().as_secs_f64();
    println!("CPU of the job at 32 messages/s: {:.2} % of a core", 100.0 * share);
    // Far from a busy loop; the figure itself is for a quiet machine.
    assert!(share < 0.2, "{share}");
    for running in [job, fleet] {
        running.signal("TERM");
        assert!(running.end(Duration::from_secs(5)).0.success());
    }
}
