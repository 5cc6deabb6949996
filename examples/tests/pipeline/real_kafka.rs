//! The main job against a real Apache Kafka: the same rows as the oracle's, for every number of
//! workers and processes.
//!
//! `scripts/test` starts the broker and names it in `STRANDLINE_KAFKA`.

use std::time::Duration;

use crate::process::{LIMIT, Running, command, finish, metrics, wait};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use strandline::sim::judge::{Found, MAIN_JOB};
use strandline::sim::log::{LogOptions, simulated_log};
use strandline::sim::oracle::{LoggedRecord, OracleOptions, Outcome, outcome};

fn bootstrap() -> String {
    std::env::var("STRANDLINE_KAFKA").expect(
        "STRANDLINE_KAFKA names no broker: run scripts/test, or scripts/kafka start and set it",
    )
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap());
    config
}

/// A new topic of this process, whose records are kept whatever their timestamps.
fn create_topic(name: &str, partitions: u32) -> String {
    let topic = format!("{name}-{}", std::process::id());
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let partitions = i32::try_from(partitions).unwrap();
    let new =
        NewTopic::new(&topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let created = block_on(admin.create_topics([&new], &options)).unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    topic
}

/// Waits for a future that another thread completes.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

/// Produces a log, with its timestamps.
fn fill(topic: &str, log: &[Vec<LoggedRecord>]) {
    let producer: BaseProducer = client().set("linger.ms", "20").create().unwrap();
    for (partition, records) in (0..).zip(log) {
        for logged in records {
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
            record.payload = logged.payload.as_deref();
            record.timestamp = logged.timestamp_ms;
            while let Err((_, given_back)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = given_back;
            }
        }
    }
    producer.flush(LIMIT).unwrap();
}

/// Reads a topic to its end with a plain consumer.
fn read_back(topic: &str, partitions: u32) -> Vec<Vec<LoggedRecord>> {
    let consumer: BaseConsumer = client()
        .set("group.id", "oracle")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions.cast_signed() {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut log = vec![Vec::new(); partitions as usize];
    let mut at_end = 0;
    while at_end < partitions {
        match consumer.poll(LIMIT).expect("the broker answers") {
            Ok(message) => log[message.partition().cast_unsigned() as usize].push(LoggedRecord {
                offset: message.offset().cast_unsigned(),
                timestamp_ms: message.timestamp().to_millis(),
                payload: message.payload().map(<[u8]>::to_vec),
            }),
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => at_end += 1,
            Err(error) => panic!("{error}"),
        }
    }
    log
}

/// The last line of a bounded run, as JSON, held against the ledger that the oracle found.
fn check_last_line(stdout: &str, expected: &Outcome) {
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let (e, number) = (&expected.ledger, |name: &str| last[name].as_u64().unwrap());
    assert_eq!(number("records"), e.read);
    assert_eq!(number("late"), e.late);
    assert_eq!(number("dead_letters"), e.dead_letters);
    assert_eq!(number("windows"), expected.rows.len() as u64);
    let rate = last["records_per_second"].as_f64().unwrap();
    assert!((rate * last["seconds"].as_f64().unwrap() - e.read as f64).abs() < 1.0);
}

#[test]
fn rows_are_the_oracles_for_every_number_of_workers_and_processes() {
    let options = LogOptions { untimed_share: 0.0, ..LogOptions::default() };
    let (partitions, messages) = (5, 30_000);
    let log = simulated_log(21, partitions, messages, &options).unwrap();
    let topic = create_topic("oracle", partitions + 1); // the last one stays empty
    fill(&topic, &log);
    let log = read_back(&topic, partitions + 1);
    let expected = outcome(&log, &OracleOptions::default());
    assert_eq!(expected.ledger.read, messages);
    let bootstrap = bootstrap();
    let mut first: Option<Found> = None;
    for workers in ["1", "2", "3", "4", "8"] {
        let out = tempfile::tempdir().unwrap();
        let (code, stdout, stderr) = finish(command(&[
            "--bootstrap",
            &bootstrap,
            "--topic",
            &topic,
            "--bounded",
            "-w",
            workers,
            "--listen",
            "none",
            "--quiet",
            "--out",
            out.path().to_str().unwrap(),
        ]));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{workers} workers");
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        check_last_line(&stdout, &expected);
        let found = Found::read(out.path(), &MAIN_JOB).unwrap();
        found.compare(&expected, &MAIN_JOB).unwrap();
        let first = first.get_or_insert_with(|| found.clone());
        assert_eq!(first.rows, found.rows, "equal to the last bit for {workers} workers");
    }

    // Two processes, each with an output directory of its own; together they have all rows.
    let (_hosts, hostfile) = hostfile(20_000);
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
fn a_signal_to_any_process_stops_all_of_them() {
    let (bootstrap, topic) = (bootstrap(), create_topic("two", 4));
    let (_hosts, hostfile) = hostfile(41_000);
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

/// A file with the addresses of two processes, of ports that other runs of the tests do not take.
fn hostfile(base: u16) -> (tempfile::TempDir, String) {
    let port = base + u16::try_from(std::process::id() % 10_000).unwrap() * 2;
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
    let (bootstrap, topic) = (bootstrap(), create_topic("idle", 4));
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
