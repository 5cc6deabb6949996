//! Brokers that refuse a client, or are killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer};
use strandline_engine::source::Source;
use strandline_engine::source::kafka::{Fetch, KafkaSource};

use crate::broker::Broker;
use crate::kafka_support::{LIMIT, Lines, Reading, fill, numbers, plan, producer, send, settings};
use crate::{bootstrap, create};

in_both_ways!(a_broker_that_is_killed_and_started_again_loses_and_doubles_nothing);

#[test]
fn a_broker_that_refuses_us_is_an_error_that_says_so() {
    let bootstrap = bootstrap();
    // This listener has no authentication, and refuses those who insist on it.
    let mut wrong = settings(Fetch::Client, &bootstrap, "any", &Lines::default());
    for (name, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "somebody"),
        ("sasl.password", "hunter2"),
    ] {
        wrong.options.push((name.to_owned(), value.to_owned()));
    }
    let line = KafkaSource::new(wrong).unwrap().plan(&[], &|| false).unwrap_err().to_string();
    assert!(line.contains(&bootstrap) && line.contains("sasl"), "{line}");
    assert!(!line.contains("hunter2") && !line.contains('\n'), "{line}");
}

fn a_broker_that_is_killed_and_started_again_loses_and_doubles_nothing(fetch: Fetch) {
    bootstrap();
    let broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let topic = create(&bootstrap, "killed", 2, &[]);
    let lines = Lines::default();
    let source = KafkaSource::new(settings(fetch, &bootstrap, &topic, &lines)).unwrap();
    let mut reading = Reading::new(&source, &plan(&source));
    // Idempotent, so that the topic itself holds each number once.
    let idempotent =
        [("enable.idempotence", "true"), ("linger.ms", "1"), ("reconnect.backoff.max.ms", "500")];
    let producer = producer(&bootstrap, &idempotent);
    for partition in 0..2 {
        fill(&producer, &topic, partition, 0, 5_000);
    }
    reading.until_messages(4_000);
    // The second half is being produced when the broker is killed.
    let (stop, killed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let traffic = {
        let (stop, topic) = (Arc::clone(&stop), topic.clone());
        thread::spawn(move || {
            let mut number = 5_000;
            while !stop.load(Ordering::SeqCst) {
                for partition in 0..2 {
                    let payload = number.to_string();
                    let record = BaseRecord::to(&topic).partition(partition);
                    send(&producer, record.payload(payload.as_bytes()));
                }
                number += 1;
                producer.poll(Duration::from_millis(1));
            }
            producer.flush(LIMIT).unwrap();
            number
        })
    };
    let outage = {
        let (killed, lines) = (Arc::clone(&killed), lines.clone());
        thread::spawn(move || {
            broker.run("kill");
            killed.store(true, Ordering::SeqCst);
            lines.wait_for("cannot reach");
            broker.run("start");
            broker
        })
    };
    reading
        .until("some read after the outage", |r| {
            let lines = lines.all();
            assert!(lines.len() <= 2, "said once: {lines:?}");
            killed.load(Ordering::SeqCst) && lines.len() == 2 && 12_000 < r.messages()
        })
        .unwrap();
    let broker = outage.join().unwrap();
    stop.store(true, Ordering::SeqCst);
    let count = traffic.join().unwrap();
    reading.until_messages(2 * count);
    reading.until_at_end();
    for partition in 0..2 {
        assert!(reading.payloads(partition) == numbers(0, count), "each once, in order");
    }
    let lines = lines.all();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("cannot reach") && lines[1].contains(" answers"), "{lines:?}");
    drop((reading, source, broker));
}
