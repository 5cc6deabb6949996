//! Messages that are larger than a process may hold.

use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer};
use strandline_engine::source::kafka::{Fetch, KafkaSource, MEMORY_IN_FLIGHT_MIN};

use crate::kafka_support::{LIMIT, Lines, Reading, plan, producer, send, settings};
use crate::{bootstrap, create};

in_both_ways!(messages_that_are_too_large_are_cut_and_those_around_them_are_read);

/// In each partition one message of 24 MiB of blanks, which is some kilobytes for the broker, among
/// others. The client may unpack 9 MB as usual.
fn messages_that_are_too_large_are_cut_and_those_around_them_are_read(fetch: Fetch) {
    const LARGE_BYTES: usize = 24 << 20;
    let bootstrap = bootstrap();
    let topic = create(&bootstrap, "large", 4, &[]);
    let blanks = vec![b' '; LARGE_BYTES];
    for codec in ["zstd", "gzip"] {
        let options = [
            ("compression.type", codec),
            ("message.max.bytes", "30000000"),
            ("batch.size", "30000000"),
            ("linger.ms", "100"),
        ];
        let producer = producer(&bootstrap, &options);
        for partition in 0..4 {
            let to = || BaseRecord::<str, [u8]>::to(&topic).partition(partition);
            send(&producer, to().payload(b"before"));
            send(&producer, to().payload(&blanks));
            send(&producer, to().payload(b"after"));
        }
        producer.flush(LIMIT).unwrap();
        producer.poll(Duration::ZERO);
    }
    let mut settings = settings(fetch, &bootstrap, &topic, &Lines::default());
    settings.memory_in_flight = MEMORY_IN_FLIGHT_MIN;
    settings.bounded = true;
    for (name, value) in [("receive.message.max.bytes", "9000000"), ("fetch.max.bytes", "8000000")]
    {
        settings.options.push((name.to_owned(), value.to_owned()));
    }
    let source = KafkaSource::new(settings).unwrap();
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_finished();
    for partition in 0..4 {
        let seen: Vec<_> = reading.seen[&partition]
            .iter()
            .map(|seen| (seen.payload.as_ref().unwrap().len(), seen.cut_from))
            .collect();
        let large = (64 << 10, Some(LARGE_BYTES as u64));
        let once = [(6, None), large, (5, None)];
        assert_eq!(seen, [once, once].concat(), "partition {partition}");
    }
}
