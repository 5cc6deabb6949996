use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use strandline_operators::record::{Offset, Partition};

use super::*;
use crate::embedded::EmbeddedBroker;
use crate::fleet::{FleetOptions, Malformed};

const START: EventTime = EventTime::from_millis(1_730_638_574_123);
const TOPIC: &str = "iot-metrics";
/// How long a test may wait for something that happens at once when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn fleet(options: FleetOptions) -> Fleet {
    Fleet::new(options, START).unwrap()
}

/// Everything a fleet of these options sends first, in order, a list a key.
fn expected(options: FleetOptions, messages: u64) -> BTreeMap<String, Vec<Option<Vec<u8>>>> {
    let mut fleet = fleet(options);
    let mut expected: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for _ in 0..messages {
        let sent = fleet.send().unwrap();
        expected.entry(sent.key.to_owned()).or_default().push(sent.payload.map(<[u8]>::to_vec));
    }
    expected
}

fn reader(bootstrap: &str, partitions: i32) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "20")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(TOPIC, partition, KafkaOffset::Offset(0)).unwrap();
    }
    consumer.assign(&list).unwrap();
    consumer
}

/// Reads `messages` messages; a list a key.
fn read_all(
    bootstrap: &str,
    partitions: i32,
    messages: usize,
) -> BTreeMap<String, Vec<Option<Vec<u8>>>> {
    let consumer = reader(bootstrap, partitions);
    let clock = Clock::system();
    let mut read: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let mut count = 0;
    while count < messages {
        assert!(clock.elapsed() < PATIENCE, "{count} of {messages}");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        read.entry(key).or_default().push(message.payload().map(<[u8]>::to_vec));
        count += 1;
    }
    read
}

fn ignore(_: Report) {}

/// At full speed exactly what was asked for arrives, in order, null and empty payloads too.
#[test]
fn what_a_fleet_sends_arrives_as_it_is() {
    let broker = EmbeddedBroker::start(TOPIC, 3).unwrap();
    let producer = FleetProducer::new(&broker.producer_options(), None).unwrap();
    let options = FleetOptions { malformed_share: 0.3, ..FleetOptions::default() };
    let pace = Pace::FullSpeed { messages: 5_000 };
    let tally = producer
        .run(&mut fleet(options.clone()), pace, &Clock::system(), &|| false, &mut ignore)
        .unwrap();
    assert_eq!(
        (tally.sent, tally.delivered, tally.failed, tally.under_way()),
        (5_000, 5_000, 0, 0)
    );
    assert!(1_000 < tally.malformed && 0 < tally.held_up && 500_000 < tally.bytes);

    let read = read_all(broker.bootstrap(), 3, 5_000);
    assert_eq!(read, expected(options, 5_000));
    let payloads = || read.values().flatten();
    assert!(payloads().any(Option::is_none) && payloads().flatten().any(Vec::is_empty));
}

/// The demonstration's devices, keyed as Java's clients would, are spread evenly over 1, 2, 4 and 8
/// partitions, so that no partition of the demonstration is idle.
#[test]
fn the_demonstrations_devices_fill_every_partition() {
    for partitions in [1, 2, 4, 8] {
        let broker = EmbeddedBroker::start(TOPIC, partitions).unwrap();
        let producer = FleetProducer::new(&broker.producer_options(), None).unwrap();
        let mut fleet = fleet(FleetOptions::default());
        let pace = Pace::FullSpeed { messages: 800 };
        producer.run(&mut fleet, pace, &Clock::system(), &|| false, &mut ignore).unwrap();
        let consumer = reader(broker.bootstrap(), i32::try_from(partitions).unwrap());
        for partition in 0..partitions {
            let partition = i32::try_from(partition).unwrap();
            let (low, high) = consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap();
            assert_eq!((low, high), (0, 800 / i64::from(partitions)));
        }
    }
}

/// What pushes unread data out of the embedded broker is never written: through partitions of
/// 5 MiB goes many times that, and the reader misses nothing however slow it is.
///
/// `STRANDLINE_SOAK_MESSAGES` makes it as long as one likes.
#[test]
fn a_bounded_producer_never_overruns_its_reader() {
    let messages: u64 = std::env::var("STRANDLINE_SOAK_MESSAGES")
        .map_or(200_000, |messages| messages.parse().unwrap());
    let broker = EmbeddedBroker::start(TOPIC, 2).unwrap();
    let positions = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let reader_positions = Arc::clone(&positions);
    let bound = ReaderBound::new(Amount::EMBEDDED_AHEAD_MAX, move |Partition(partition)| {
        Offset(reader_positions[partition as usize].load(Ordering::SeqCst))
    });
    let options = ProducerOptions { linger: Duration::from_millis(2), ..broker.producer_options() };
    let producer = FleetProducer::new(&options, Some(bound)).unwrap();
    let consumer = reader(broker.bootstrap(), 2);
    let is_over = AtomicBool::new(false);

    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let pace = Pace::FullSpeed { messages };
            let mut fleet = fleet(FleetOptions::default());
            let stopped = || is_over.load(Ordering::SeqCst);
            producer.run(&mut fleet, pace, &Clock::system(), &stopped, &mut ignore).unwrap()
        });
        let clock = Clock::system();
        let (mut read, mut last_read) = (0, clock.elapsed());
        while read < messages {
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                if PATIENCE < clock.elapsed() - last_read {
                    is_over.store(true, Ordering::SeqCst);
                    panic!("read {read} of {messages}");
                }
                continue;
            };
            last_read = clock.elapsed();
            let message = message.unwrap();
            let position = &positions[usize::try_from(message.partition()).unwrap()];
            let offset = u64::try_from(message.offset()).unwrap();
            let expected = position.swap(offset + 1, Ordering::SeqCst);
            if offset != expected {
                is_over.store(true, Ordering::SeqCst);
                panic!("read {offset} instead of {expected}: the broker has dropped data");
            }
            read += 1;
        }
        assert_eq!(sending.join().unwrap().delivered, messages);
    });
}

/// In real time a message is sent when it is due by the clock, not before and not never.
#[test]
fn real_time_follows_the_clock() {
    let broker = EmbeddedBroker::start(TOPIC, 1).unwrap();
    let producer = FleetProducer::new(&broker.producer_options(), None).unwrap();
    let (clock, hand) = Clock::set_by_hand(START);
    // Each look at the wish to stop moves the clock, until it is time to stop.
    let stopped = || {
        let is_over = Duration::from_secs(60) <= clock.elapsed();
        if !is_over {
            hand.advance(Duration::from_millis(500));
        }
        is_over
    };
    let mut fleet = fleet(FleetOptions::default());
    let tally = producer.run(&mut fleet, Pace::RealTime, &clock, &stopped, &mut ignore).unwrap();
    assert!((8 * 4 * 59..=8 * 4 * 60).contains(&tally.sent), "{}", tally.sent);
    assert_eq!((tally.delivered, tally.jumps), (tally.sent, 0));
}

/// On the embedded broker, a slow fleet's messages are filled up so that its partitions hold few
/// batches; a fast one's are not, nor are those of a run at full speed.
#[test]
fn only_a_slow_fleet_in_real_time_is_filled_up() {
    let sent_ahead = |rate_per_device_hz, pace| {
        let broker = EmbeddedBroker::start(TOPIC, 1).unwrap();
        let bound = ReaderBound::new(Amount::EMBEDDED_AHEAD_MAX, |_| Offset(0));
        let producer = FleetProducer::new(&broker.producer_options(), Some(bound)).unwrap();
        let (clock, hand) = Clock::set_by_hand(START);
        let looks = Cell::new(0);
        let stopped = || {
            looks.set(looks.get() + 1);
            hand.advance(Duration::from_millis(100));
            200 < looks.get()
        };
        let mut fleet = fleet(FleetOptions { rate_per_device_hz, ..FleetOptions::default() });
        producer.run(&mut fleet, pace, &clock, &stopped, &mut ignore).unwrap().sent
    };
    // Nobody reads, so the bound ends it: it lets 2 MiB pass.
    let slow = sent_ahead(25.0, Pace::RealTime);
    assert!((400..500).contains(&slow), "{slow}");
    let fast = sent_ahead(2_500.0, Pace::RealTime);
    assert!((8_000..10_000).contains(&fast), "{fast}");
    let full_speed = sent_ahead(4.0, Pace::FullSpeed { messages: 20_000 });
    assert!((8_000..10_000).contains(&full_speed), "{full_speed}");
}

/// A computer that slept for an hour, or whose clock was set back, goes on at the present: no
/// hour of messages in one burst, no hour of silence.
#[test]
fn a_fleet_that_was_away_for_long_goes_on_at_the_present() {
    let broker = EmbeddedBroker::start(TOPIC, 1).unwrap();
    let producer = FleetProducer::new(&broker.producer_options(), None).unwrap();
    let (clock, hand) = Clock::set_by_hand(START);
    let looks = Cell::new(0);
    let stopped = || {
        looks.set(looks.get() + 1);
        let step = if looks.get() == 50 { 3_600_000 } else { 100 };
        hand.advance(Duration::from_millis(step));
        100 <= looks.get()
    };
    let mut fleet = fleet(FleetOptions::default());
    let tally = producer.run(&mut fleet, Pace::RealTime, &clock, &stopped, &mut ignore).unwrap();
    assert_eq!(tally.jumps, 1);
    assert!((8 * 4 * 9..=8 * 4 * 11).contains(&tally.sent), "{}", tally.sent);
    assert!(clock.wall() - Duration::from_secs(1) < fleet.next_due().unwrap());
}

/// A run ends when all devices are dead.
#[test]
fn a_dead_fleet_ends_the_run() {
    let broker = EmbeddedBroker::start(TOPIC, 1).unwrap();
    let producer = FleetProducer::new(&broker.producer_options(), None).unwrap();
    let options = FleetOptions {
        dead_devices: 8,
        dead_after: Duration::from_secs(5),
        ..FleetOptions::default()
    };
    let pace = Pace::FullSpeed { messages: 1_000 };
    let tally =
        producer.run(&mut fleet(options), pace, &Clock::system(), &|| false, &mut ignore).unwrap();
    assert_eq!((tally.sent, tally.delivered), (160, 160));
}

/// Where nothing listens. Port 1 is reserved.
const NOBODY: &str = "127.0.0.1:1";

/// An absent broker is said once, waited for, and does not keep the program from ending.
#[test]
fn an_absent_broker_is_said_once_and_waited_for() {
    let producer = FleetProducer::new(&ProducerOptions::new(NOBODY, TOPIC), None).unwrap();
    let reports = RefCell::new(Vec::new());
    let tries = Cell::new(0);
    let stopped = || {
        tries.set(tries.get() + 1);
        5 < tries.get()
    };
    let found = producer.ensure_topic(4, &stopped, &mut |report| reports.borrow_mut().push(report));
    assert!(matches!(found, Err(ProduceError::Stopped)));
    assert!(matches!(&reports.borrow()[..], [Report::Unreachable { .. }]), "{reports:?}");
}

#[test]
fn a_stopped_run_without_a_broker_ends_and_says_what_was_not_delivered() {
    let producer = FleetProducer::new(&ProducerOptions::new(NOBODY, TOPIC), None).unwrap();
    let clock = Clock::system();
    let unreachable = Cell::new(0);
    let tally = producer
        .run(
            &mut fleet(FleetOptions::default()),
            Pace::FullSpeed { messages: 100 },
            &clock,
            &|| 0 < unreachable.get() || PATIENCE < clock.elapsed(),
            &mut |report| {
                if matches!(report, Report::Unreachable { .. }) {
                    unreachable.set(unreachable.get() + 1);
                }
            },
        )
        .unwrap();
    assert_eq!(unreachable.get(), 1);
    assert_eq!((tally.sent, tally.delivered, tally.under_way()), (100, 0, 100));
    assert!(clock.elapsed() < PATIENCE);
}

/// A broker that goes away in the middle loses nothing and doubles nothing.
#[test]
fn an_outage_is_survived() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let options = ProducerOptions::new(&bootstrap, TOPIC);
    let producer = FleetProducer::new(&options, None).unwrap();
    let clock = Clock::system();
    let (outages, returns) = (Cell::new(0), Cell::new(0));
    let looks = Cell::new(0);
    let stopped = || {
        looks.set(looks.get() + 1);
        if looks.get() == 2 {
            cluster.broker_down(-1).unwrap();
        }
        PATIENCE < clock.elapsed()
    };
    let mut report = |report| match report {
        Report::Unreachable { .. } => {
            outages.set(outages.get() + 1);
            cluster.broker_up(-1).unwrap();
        }
        Report::Reachable => returns.set(returns.get() + 1),
        Report::Progress(_) => {}
    };
    let messages = 20_000;
    let pace = Pace::FullSpeed { messages };
    let tally = producer
        .run(&mut fleet(FleetOptions::default()), pace, &clock, &stopped, &mut report)
        .unwrap();
    assert_eq!((outages.get(), returns.get()), (1, 1), "each is said once");
    assert_eq!((tally.sent, tally.delivered), (messages, messages));
    let read = read_all(&bootstrap, 2, usize::try_from(messages).unwrap());
    assert_eq!(read, expected(FleetOptions::default(), messages));
}

/// A broker that comes after the simulator: its absence is said before the run, and not again in
/// it.
#[test]
fn an_outage_before_the_run_is_not_said_again_in_it() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    cluster.broker_down(-1).unwrap();
    let options = ProducerOptions::new(&cluster.bootstrap_servers(), TOPIC);
    let producer = FleetProducer::new(&options, None).unwrap();
    let clock = Clock::system();
    let reports = RefCell::new(Vec::new());
    let looks = Cell::new(0);
    let stopped = || {
        looks.set(looks.get() + 1);
        if looks.get() == 4 {
            cluster.broker_up(-1).unwrap();
        }
        PATIENCE < clock.elapsed()
    };
    let mut report = |report| reports.borrow_mut().push(report);
    producer.ensure_topic(2, &stopped, &mut report).unwrap();
    assert!(matches!(reports.borrow()[..], [Report::Unreachable { .. }, Report::Reachable]));
    let pace = Pace::FullSpeed { messages: 1_000 };
    let mut fleet = fleet(FleetOptions::default());
    let tally = producer.run(&mut fleet, pace, &clock, &stopped, &mut report).unwrap();
    assert_eq!(tally.delivered, 1_000);
    let is_progress = |report: &Report| matches!(report, Report::Progress(_));
    assert!(reports.borrow()[2..].iter().all(is_progress), "{reports:?}");
}

#[test]
fn a_topic_that_is_there_is_found_with_its_partitions() {
    let broker = EmbeddedBroker::start(TOPIC, 3).unwrap();
    let producer = FleetProducer::new(&broker.producer_options(), None).unwrap();
    let found = producer.ensure_topic(8, &|| false, &mut ignore).unwrap();
    assert_eq!(found, Topic::Existed { partitions: 3 });
}

/// The embedded broker takes no administrator's request, so it stands for one that refuses.
#[test]
fn a_topic_that_cannot_be_created_is_an_error_that_names_it_and_the_broker() {
    let broker = EmbeddedBroker::start(TOPIC, 3).unwrap();
    let options = ProducerOptions::new(broker.bootstrap(), "another");
    let producer = FleetProducer::new(&options, None).unwrap();
    let error = producer.ensure_topic(8, &|| false, &mut ignore).unwrap_err().to_string();
    assert!(error.contains("`another`") && error.contains(broker.bootstrap()), "{error}");
    assert!(!error.contains('\n'));
}

#[test]
fn settings_that_the_client_does_not_take_are_refused_in_a_line() {
    for (name, value) in [("no.such.property", "1"), ("acks", "some"), ("batch.size", "-5")] {
        let mut options = ProducerOptions::new(NOBODY, TOPIC);
        options.kafka_options.push((name.to_owned(), value.to_owned()));
        let error = FleetProducer::new(&options, None).unwrap_err();
        assert!(matches!(error, ProduceError::Config(_)));
        let error = error.to_string();
        assert!(error.contains(name) && !error.contains('\n'), "{error}");
    }
    let no_topic = FleetProducer::new(&ProducerOptions::new(NOBODY, ""), None);
    assert!(matches!(no_topic, Err(ProduceError::Config(_))));
}

#[test]
fn every_compression_arrives() {
    for compression in Compression::ALL {
        let broker = EmbeddedBroker::start(TOPIC, 1).unwrap();
        let options = ProducerOptions { compression, ..broker.producer_options() };
        let producer = FleetProducer::new(&options, None).unwrap();
        let fleet_options =
            FleetOptions { malformed_cases: &Malformed::ALL, ..FleetOptions::default() };
        let pace = Pace::FullSpeed { messages: 500 };
        let mut fleet = fleet(fleet_options.clone());
        producer.run(&mut fleet, pace, &Clock::system(), &|| false, &mut ignore).unwrap();
        assert_eq!(read_all(broker.bootstrap(), 1, 500), expected(fleet_options, 500));
    }
}
