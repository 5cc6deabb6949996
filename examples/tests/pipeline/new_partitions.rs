//! Partitions that are added to the topic of a live job, by both ways of fetching.

use strandline::engine::clock::Clock;
use strandline::sim::oracle::LoggedRecord;

use crate::bootstrap::bootstrap;
use crate::process::{LIMIT, Running, command, sample, wait};
use crate::topics::{add_partitions, create_topic, producer, send};

/// A record of a device with the current time, or so many milliseconds before it.
fn record(device: &str, before_ms: i64) -> LoggedRecord {
    let ts = Clock::system().wall().as_millis() - before_ms;
    let payload = format!(
        r#"{{"device_id":"{device}","ts":{ts},"temperature":20.5,"humidity":40.5,"battery":77}}"#
    );
    LoggedRecord { offset: 0, timestamp_ms: Some(ts), payload: Some(payload.into_bytes()) }
}

#[test]
fn an_added_partition_is_named_and_its_records_with_current_times_count() {
    let bootstrap = bootstrap();
    let topic = create_topic(&bootstrap, "grows", 1);
    let first = producer(&bootstrap);
    let jobs = ["client", "direct"].map(|fetch| {
        let out = tempfile::tempdir().unwrap();
        let options = ["--bootstrap", &bootstrap, "--topic", &topic, "--fetch", fetch];
        let times = ["--window", "1s", "--watermark", "20s", "--checkpoint", "none"];
        let there = ["--listen", "127.0.0.1:0", "--out", out.path().to_str().unwrap()];
        let running = Running::start(command(&[&options[..], &times, &there].concat()));
        (running.page(), running, out)
    });
    wait("closed windows", || {
        send(&first, &topic, &[vec![record("old", 60_000), record("old", 0)]]);
        let closed = |address| sample(address, "strandline_final_rows_total") > Some(0.0);
        jobs.iter().all(|(address, ..)| closed(address)).then_some(())
    });
    add_partitions(&bootstrap, &topic, 2);
    // A producer that was not there before knows both. One record is of a window that is closed.
    let sent: u64 = 50;
    let mut records: Vec<_> = (0..sent).map(|_| record("new", 0)).collect();
    records.push(record("new", 50_000));
    send(&producer(&bootstrap), &topic, &[vec![], records]);
    for (address, running, _) in &jobs {
        let said = running.wait_said("partition 1 is new, found at ");
        let line = said.lines().find(|line| line.contains(" UTC: partition 1 is new")).unwrap();
        assert!(line.contains("records count from event time 20"), "{line}");
        wait("everything of it is counted", || {
            let of = |what: &str| {
                let labels = format!("{{topic=\"{topic}\",partition=\"1\"}}");
                sample(address, &format!("strandline_partition_records_{what}_total{labels}"))
            };
            let all = [("read", sent + 1), ("windowed", sent), ("late", 1)];
            all.iter().all(|(what, count)| of(what) == Some(*count as f64)).then_some(())
        });
    }
    for (_, running, _) in jobs {
        running.signal("TERM");
        assert_eq!(running.end(LIMIT).0.code(), Some(0));
    }
}
