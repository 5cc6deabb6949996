use strandline_operators::aggregate::Count;
use strandline_operators::decode::{JsonFields, TimeUnit};
use strandline_operators::window::{PlacementSeed, Tumbling};

use super::*;
use crate::clock::ClockHand;
use crate::source::simulated::{SimulatedLog, SimulatedReader};
use crate::source::{Source, Wake};

const HOUR: Duration = Duration::from_secs(3600);
/// When the tests begin.
const START: EventTime = EventTime::from_millis(1_730_638_574_123);

fn options() -> IngestOptions {
    IngestOptions {
        windows: Tumbling::of(Duration::from_secs(10)).unwrap(),
        watermark: Duration::ZERO,
        max_future: HOUR,
        max_past: None,
        future_by_clock: false,
        idle_after: Duration::from_secs(5),
        max_drift: Duration::ZERO,
        unmerged_bytes_max: 0,
        placement: PlacementSeed::default(),
    }
}

/// One partition that is read, by a clock that is set by hand.
struct Reading {
    log: SimulatedLog,
    reader: SimulatedReader,
    line: Line,
    intake: Intake<JsonFields<0>, Count>,
    clock: Clock,
    hand: ClockHand,
}

impl Reading {
    fn of(log: SimulatedLog, options: IngestOptions) -> Reading {
        let (clock, hand) = Clock::set_by_hand(START);
        let mut reader = log.reader(Wake::new(|| ())).unwrap();
        let start = log.plan(&[], &|| false).unwrap().partitions[0];
        reader.assign(start).unwrap();
        let line = Line::new(start, None, EventTime::MIN, &options, Now::of(&clock));
        let fold = Fold::new(0, options.windows, Count);
        let decoder = JsonFields::new("id", "ts", []);
        let (rejected, notices) = (Vec::new(), Vec::new());
        let told_reasons = [false; DeadReason::ALL.len()];
        let intake = Intake { options, decoder, fold, rejected, notices, told_reasons };
        Reading { log, reader, line, intake, clock, hand }
    }

    fn new(options: IngestOptions) -> Reading {
        Reading::of(SimulatedLog::new("t", 1), options)
    }

    /// A record of a key, whose time field holds this JSON.
    fn append(&self, key: &str, time: &str, timestamp: EventTime) {
        let payload = format!(r#"{{"id":"{key}","ts":{time}}}"#).into_bytes();
        self.log.append(Partition(0), Some(timestamp), Some(payload));
    }

    /// The same, whose time is a number of milliseconds and the timestamp of the log.
    fn append_at(&self, key: &str, time: EventTime) {
        self.append(key, &time.as_millis().to_string(), time);
    }

    fn read(&mut self) {
        let now = Now::of(&self.clock);
        self.line.read(&mut self.reader, 1024, &mut self.intake, now).unwrap();
    }

    /// The codes of what was rejected since this was asked last.
    fn rejected(&mut self) -> Vec<&'static str> {
        self.intake.rejected.drain(..).map(|rejected| rejected.rejection.code()).collect()
    }

    /// What was noticed of times.
    fn notices(&mut self) -> Vec<Notice> {
        let mut notices = std::mem::take(&mut self.intake.notices);
        notices.retain(|notice| !matches!(notice, Notice::DeadLetter { .. }));
        notices
    }
}

#[test]
fn more_is_to_come_though_it_has_to_wait_for_other_partitions() {
    let start =
        PartitionStart { partition: Partition(0), next_offset: Offset(5), end: Some(Offset(7)) };
    let now = Now::of(&Clock::system());
    let mut line = Line::new(start, None, EventTime::MIN, &options(), now);
    assert!(line.has_more_to_come());
    line.is_paused = true;
    assert!(line.has_more_to_come());
    line.progress.position = Offset(7);
    assert!(!line.has_more_to_come());
}

#[test]
fn an_idle_partition_is_looked_at_while_reading_rests_and_holds_nobody_back() {
    let mut reading = Reading::new(options());
    for _ in 0..7 {
        reading.hand.advance(Duration::from_secs(1));
        reading.read();
    }
    let now = Now::of(&reading.clock);
    assert!(!reading.line.waits(false, true, now));
    assert_eq!(reading.line.state(now), PartitionState::Idle);
    assert!(reading.line.waits(true, true, now), "it is ahead of the others");
    // It has brought something, and rests like the others.
    reading.append_at("a", START);
    reading.read();
    assert!(reading.line.waits(false, true, now));
    assert_eq!(reading.line.state(now), PartitionState::Paused);
    assert!(!reading.line.waits(false, false, now));
    assert_eq!(reading.line.state(now), PartitionState::Active);
}

#[test]
fn a_record_further_before_its_kafka_timestamp_than_max_past_is_a_dead_letter() {
    let mut any = Reading::new(options());
    any.append("a", "17000", START);
    any.read();
    assert_eq!(any.rejected(), Vec::<&str>::new());

    let mut bounded = Reading::new(IngestOptions { max_past: Some(HOUR), ..options() });
    bounded.append("a", "17000", START);
    let (edge, beyond) = (START - HOUR, START - HOUR - Duration::from_millis(1));
    bounded.append("a", &beyond.as_millis().to_string(), START);
    bounded.append("a", &edge.as_millis().to_string(), START);
    bounded.read();
    assert_eq!(bounded.rejected(), ["past", "past"]);
    assert_eq!(bounded.line.watermark.max_event_time(), Some(edge));
    assert_eq!(bounded.line.ledger.dead_letters(), 2);
}

/// The clock of the sender is wrong, and it has set both times.
#[test]
fn a_record_ahead_of_the_clock_is_accepted_and_said_once() {
    let mut reading = Reading::new(options());
    let far = START + HOUR * 24 * 365;
    reading.append_at("early", START + HOUR);
    reading.read();
    assert_eq!(reading.notices(), []);
    reading.append_at("wrong", far);
    reading.append_at("wrong", far + HOUR);
    reading.read();
    let key = "wrong".into();
    let notice =
        Notice::AheadOfClock { partition: Partition(0), key, time: far, is_refused: false };
    assert_eq!(reading.notices(), [notice]);
    reading.append_at("wrong", far + HOUR * 2);
    reading.read();
    assert_eq!((reading.notices().len(), reading.rejected().len()), (0, 0));
    assert_eq!(reading.line.watermark.max_event_time(), Some(far + HOUR * 2));
}

#[test]
fn a_record_ahead_of_the_clock_is_refused_where_that_is_asked_for() {
    let options = IngestOptions { future_by_clock: true, ..options() };
    let mut reading = Reading::new(options);
    let far = START + HOUR * 24;
    reading.append_at("wrong", far);
    reading.append_at("right", START);
    reading.append_at("wrong", far);
    reading.read();
    assert_eq!(reading.rejected(), ["future", "future"]);
    assert_eq!(reading.notices().len(), 1);
    assert_eq!(reading.line.watermark.max_event_time(), Some(START));
    // It is a clock that goes on.
    reading.hand.advance(HOUR * 24);
    reading.append_at("right", far);
    reading.read();
    assert_eq!(reading.rejected(), Vec::<&str>::new());
}

#[test]
fn a_timestamp_that_the_log_has_set_is_believed() {
    let log = SimulatedLog::new("t", 1).with_append_times();
    let mut reading = Reading::of(log, IngestOptions { future_by_clock: true, ..options() });
    reading.append_at("a", START + HOUR * 24);
    reading.read();
    assert_eq!((reading.rejected().len(), reading.notices().len()), (0, 0));
}

#[test]
fn a_bounded_run_is_the_same_whatever_the_clock_says() {
    let log = SimulatedLog::new("t", 1);
    let time = START + HOUR * 24;
    let payload = format!(r#"{{"id":"a","ts":{}}}"#, time.as_millis()).into_bytes();
    log.append(Partition(0), Some(time), Some(payload));
    let options = IngestOptions { future_by_clock: true, ..options() };
    let mut reading = Reading::of(log.bounded(), options);
    reading.read();
    assert_eq!((reading.rejected().len(), reading.notices().len()), (0, 0));
}

#[test]
fn the_key_of_the_record_that_a_partition_stands_at_is_known() {
    let mut reading = Reading::new(options());
    let key = |reading: &Reading| {
        reading.line.ack(0, 0, None, Now::of(&reading.clock)).newest_key.map(|key| key.to_string())
    };
    reading.append("old-clock", "17000", START);
    reading.read();
    assert_eq!(key(&reading), Some("old-clock".to_owned()));
    reading.line.enter_epoch();
    // The second is not what the partition stands at.
    reading.append("right-clock", &START.as_millis().to_string(), START);
    reading.append("old-clock", "18000", START);
    reading.read();
    assert_eq!(key(&reading), Some("right-clock".to_owned()));
    reading.line.enter_epoch();
    reading.append("old-clock", "19000", START);
    reading.read();
    assert_eq!(key(&reading), Some("right-clock".to_owned()));
}

#[test]
fn a_stream_in_another_unit_is_said_to_be_so() {
    let millis = START.as_millis();
    for (unit, time) in [
        (TimeUnit::Seconds, (millis / 1_000).to_string()),
        (TimeUnit::Seconds, format!("{}.5", millis / 1_000)),
        (TimeUnit::Microseconds, (millis * 1_000).to_string()),
        (TimeUnit::Nanoseconds, (millis * 1_000_000).to_string()),
        (TimeUnit::Rfc3339, r#""2024-11-03T12:56:14Z""#.to_owned()),
    ] {
        let mut reading = Reading::new(options());
        for _ in 0..20 {
            reading.append("a", &time, START);
        }
        reading.read();
        let notice = Notice::OtherUnit { partition: Partition(0), unit };
        assert_eq!(reading.notices(), [notice], "{time}");
        reading.append("a", &time, START);
        reading.read();
        assert_eq!(reading.notices(), [], "it was said");
    }
}

#[test]
fn one_device_in_another_unit_is_the_exception() {
    let mut reading = Reading::new(options());
    reading.append("other", &(START.as_millis() / 1_000).to_string(), START);
    reading.append("other", &(START.as_millis() * 1_000).to_string(), START);
    for _ in 0..20 {
        reading.append_at("a", START);
    }
    reading.read();
    assert_eq!(reading.notices(), []);
}

#[test]
fn a_clock_that_began_in_1970_is_no_other_unit() {
    let mut reading = Reading::new(options());
    for second in 0..20 {
        reading.append("a", &format!("{second}000"), START);
    }
    reading.read();
    assert_eq!(reading.notices(), []);
}

#[test]
fn the_first_dead_letter_of_each_reason_is_noticed_once() {
    let mut reading = Reading::new(options());
    for payload in ["[]", "{\"ts\":1}", "[]"] {
        reading.log.append(Partition(0), Some(START), Some(payload.into()));
    }
    reading.read();
    let notice = |offset, reason, words: &str| Notice::DeadLetter {
        partition: Partition(0),
        offset: Offset(offset),
        reason,
        words: words.to_owned(),
    };
    let expected = [
        notice(0, DeadReason::NotJson, "not a JSON object"),
        notice(1, DeadReason::MissingKey, "no field `id`"),
    ];
    assert_eq!(std::mem::take(&mut reading.intake.notices), expected);
    reading.log.append(Partition(0), Some(START), Some("[]".into()));
    reading.read();
    assert_eq!(reading.intake.notices, []);
}

#[test]
fn a_partition_knows_its_first_dead_letter_since_a_record_could_be_read() {
    let mut reading = Reading::new(options());
    let ack = |reading: &Reading| reading.line.ack(0, 0, None, Now::of(&reading.clock));
    reading.append_at("a", START);
    reading.read();
    assert_eq!(ack(&reading).last_readable_at, Some(START));
    for _ in 0..2 {
        reading.hand.advance(Duration::from_secs(1));
        reading.log.append(Partition(0), Some(START), Some("{}".into()));
        reading.read();
    }
    let first = Unreadable { offset: Offset(1), reason: DeadReason::MissingKey };
    assert_eq!(ack(&reading).first_unreadable, Some(first));
    assert_eq!(ack(&reading).last_record_at, Some(START + Duration::from_secs(2)));
    assert_eq!(ack(&reading).last_readable_at, Some(START));
    reading.append_at("a", START);
    reading.read();
    assert_eq!(ack(&reading).first_unreadable, None);
}
