//! Fetches from one broker: a thread, a connection, one request at a time.
//!
//! The next request leaves as soon as an answer was read, before anybody has looked into its
//! messages: the broker works on it while the worker reads. Only the headers of the batches are
//! looked at here, for where to go on.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Duration;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use strandline_operators::record::{Offset, Partition};

use super::batch::{BatchError, Header};
use super::queue::{Batches, Fetched, Fetching, Passing, Shared, State, Trouble};
use super::wire::{Wire, WireError};
use crate::source::kafka::watch::HeardEnd;

/// The versions of the request that are known here: the first with transactions, the last.
const FETCH_VERSIONS: (i16, i16) = (4, 16);
/// Since which version topics are told by their ids.
const TOPIC_IDS_SINCE: i16 = 13;
/// Reads what is committed.
const READ_COMMITTED: i8 = 1;
/// How long a broker may wait for messages of the others while a partition of it has no room and is
/// being read: it will have soon.
const ROOM_SOON_MAX_MS: i32 = 5;
/// How long it may while nobody reads that partition, because it runs ahead of the others.
const ROOM_LATER_MAX_MS: i32 = 50;
/// How long ago a partition was read that is being read.
const READ_WITHIN: Duration = Duration::from_millis(100);
/// How long a broker is obeyed that asks for a pause, at most.
const THROTTLE_MAX: Duration = Duration::from_secs(30);

/// Starts the thread.
///
/// # Errors
///
/// No thread to be had.
pub(super) fn spawn(shared: &Arc<Shared>, broker: i32, address: String) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new().name("kafka-fetch".into());
    thread.spawn(move || run(&shared, broker, &address)).map(drop)
}

fn run(shared: &Arc<Shared>, broker: i32, address: &str) {
    let answers = shared.connection.answers();
    let ended = serve(shared, broker, address);
    let mut state = shared.state();
    state.serving.remove(&broker);
    if state.closed {
        return;
    }
    if let Err(WireError::Unusable(reason)) = &ended {
        let of_it = |fetching: &Fetching| fetching.leader.is_some_and(|l| l.broker == broker);
        return state.give_up(reason, of_it, &shared.wake);
    }
    state.release(broker);
    drop(state);
    shared.notify();
    if let Err(WireError::Broken(reason)) = &ended {
        shared.broke(broker, address, answers, reason);
    }
}

/// What was asked for of one partition.
struct Asked {
    partition: Partition,
    offset: Offset,
    round: u32,
}

/// Until the connection breaks, or there is nothing more to fetch from this broker.
fn serve(shared: &Shared, broker: i32, address: &str) -> Result<(), WireError> {
    let mut wire = Wire::dial(address, &shared.options, &shared.buffers, |stream| {
        shared.waits_at(broker, stream)
    })?;
    let mut version = wire.version::<FetchRequest>(FETCH_VERSIONS)?;
    while let Some((request, asked)) = next_request(shared, broker) {
        if request.topics.iter().any(|topic| topic.topic_id.is_nil()) {
            version = version.min(TOPIC_IDS_SINCE - 1);
        }
        wire.send(version, &request)?;
        let answer = wire.receive::<FetchRequest>(version)?;
        let throttle = answer.throttle_time_ms;
        take_over(shared, broker, &asked, answer, wire.held_bytes());
        shared.measure_in_flight();
        if let Ok(throttle @ 1..) = u64::try_from(throttle) {
            let pause = Duration::from_millis(throttle).min(THROTTLE_MAX);
            let telemetry = &shared.connection.settings.telemetry;
            telemetry.measure(|measures| measures.kafka.throttled += pause);
            drop(shared.rest(shared.state(), pause));
        }
    }
    Ok(())
}

/// Waits until a partition of this broker has room; `None` if there will be none.
fn next_request(shared: &Shared, broker: i32) -> Option<(FetchRequest, Vec<Asked>)> {
    let options = &shared.options;
    let mut state = shared.state();
    loop {
        if state.closed {
            return None;
        }
        let now = shared.clock.elapsed();
        let room = shared.room_bytes(&state);
        let (mut some, mut wait) = (false, options.wait_max_ms);
        let (mut partitions, mut asked) = (Vec::new(), Vec::new());
        for (&partition, fetching) in &mut state.partitions {
            let Some(leader) = fetching.leader.filter(|leader| leader.broker == broker) else {
                continue;
            };
            some |= fetching.wants_more();
            if !fetching.wants_more() {
                continue;
            }
            // Without any room, only for those that have nothing: they may be the slowest, for which
            // the others wait.
            fetching.full =
                !fetching.has_room(options) || (room.is_none() && !fetching.queue.is_empty());
            if fetching.full {
                let read = fetching.read_at.is_some_and(|at| now.saturating_sub(at) < READ_WITHIN);
                wait = wait.min(if read { ROOM_SOON_MAX_MS } else { ROOM_LATER_MAX_MS });
                continue;
            }
            let request = FetchPartition::default()
                .with_partition(i32::try_from(partition.0).unwrap_or(i32::MAX))
                .with_current_leader_epoch(leader.epoch)
                .with_fetch_offset(i64::try_from(fetching.next.0).unwrap_or(i64::MAX))
                .with_last_fetched_epoch(fetching.epoch)
                .with_partition_max_bytes(bytes(options.partition_bytes_max));
            partitions.push((fetching.starved, request));
            asked.push(Asked { partition, offset: fetching.next, round: fetching.round });
        }
        if partitions.is_empty() {
            if !some {
                return None;
            }
            state = shared.wait(state);
            continue;
        }
        // An answer holds so many bytes: the others come first the next time. A batch that is
        // greater than a fetch only comes if its partition is the first.
        state.turn = state.turn.wrapping_add(1);
        let first = partitions.iter().position(|(starved, _)| *starved);
        let first = first.unwrap_or(state.turn % partitions.len());
        partitions.rotate_left(first);
        let partitions = partitions.into_iter().map(|(_, request)| request).collect();
        let topic = state.topic.clone().unwrap_or_default();
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(wait)
            .with_min_bytes(options.fetch_bytes_min)
            // Of one batch if there is no room: a broker gives the first whatever its size.
            .with_max_bytes(bytes(options.fetch_bytes_max.min(room.unwrap_or(1))))
            .with_isolation_level(READ_COMMITTED)
            .with_session_epoch(-1)
            .with_topics(vec![topic.with_partitions(partitions)]);
        return Some((request, asked));
    }
}

fn bytes(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// Puts what came where the worker finds it.
fn take_over(
    shared: &Shared,
    broker: i32,
    asked: &[Asked],
    answer: FetchResponse,
    held_bytes: usize,
) {
    let whole = answer.error_code.err();
    let mut heard = Vec::with_capacity(asked.len());
    let mut unheard: BTreeMap<_, _> = asked.iter().map(|asked| (asked.partition, asked)).collect();
    for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        let number = Partition(u32::try_from(data.partition_index).unwrap_or(u32::MAX));
        // One that is named twice would be read twice.
        let Some(asked) = unheard.remove(&number) else { continue };
        let error = data.error_code.err().or(whole);
        heard.push((asked, judge(shared, asked, data, error, held_bytes)));
    }
    if let (true, Some(error)) = (heard.is_empty(), whole) {
        heard.extend(asked.iter().map(|asked| (asked, Judged::error(error))));
    }
    let mut state = shared.state();
    shared.answered(&mut state, broker);
    for (asked, judged) in heard {
        settle(shared, &mut state, asked, judged);
    }
    if shared.holds_too_much(&state) {
        state.detach();
    }
}

/// What an answer means for a partition.
enum Judged {
    Batches {
        batches: Batches,
        epoch: Option<i32>,
        high: Option<Offset>,
        starved: bool,
    },
    Trouble(Trouble),
    /// Somebody else has the partition, or nobody; `Some` if that is worth a line.
    NoLeader(Option<Passing>),
    /// The topic may be gone.
    Absent,
}

impl Judged {
    fn error(error: ResponseError) -> Judged {
        use ResponseError as E;
        match error {
            E::OffsetOutOfRange => Judged::Trouble(Trouble::OutOfRange),
            E::UnknownTopicOrPartition | E::UnknownTopicId | E::InconsistentTopicId => {
                Judged::Absent
            }
            E::TopicAuthorizationFailed
            | E::ClusterAuthorizationFailed
            | E::InvalidTopicException
            | E::CorruptMessage
            | E::UnsupportedCompressionType
            | E::UnsupportedForMessageFormat
            | E::UnsupportedVersion => Judged::Trouble(Trouble::Fatal(words(error))),
            // What elections bring about.
            E::NotLeaderOrFollower
            | E::LeaderNotAvailable
            | E::FencedLeaderEpoch
            | E::UnknownLeaderEpoch
            | E::ReplicaNotAvailable
            | E::OffsetNotAvailable => Judged::NoLeader(None),
            other => Judged::NoLeader(Some(Passing::Error(other))),
        }
    }
}

impl Passing {
    /// In words, with what to do.
    pub(super) fn words(self) -> String {
        match self {
            Passing::Error(error) => words(error),
            Passing::Elsewhere => "the broker sends readers to another replica, which --fetch \
                                   direct does not follow: use --fetch client, or set the brokers' \
                                   replica.selector.class back"
                .into(),
        }
    }
}

/// An error of a broker, in words.
fn words(error: ResponseError) -> String {
    match error {
        ResponseError::TopicAuthorizationFailed | ResponseError::ClusterAuthorizationFailed => {
            "Broker: authorization failed: check the topic's ACLs".into()
        }
        other => format!("Broker: {other}"),
    }
}

fn judge(
    shared: &Shared,
    asked: &Asked,
    data: PartitionData,
    error: Option<ResponseError>,
    held_bytes: usize,
) -> Judged {
    if let Some(error) = error {
        return Judged::error(error);
    }
    if 0 <= data.diverging_epoch.epoch || 0 <= data.diverging_epoch.end_offset {
        let reason = format!("it now ends at {}", data.diverging_epoch.end_offset);
        return Judged::Trouble(Trouble::CutBack(reason));
    }
    let bytes = data.records.unwrap_or_default();
    // There are no records then, and there would be none however often they are asked for.
    if bytes.is_empty() && 0 <= data.preferred_read_replica.0 {
        return Judged::NoLeader(Some(Passing::Elsewhere));
    }
    let walked = match walk(&bytes, asked.offset, shared.options.check_crcs) {
        Ok(walked) => walked,
        Err(error) => return Judged::Trouble(Trouble::Fatal(error.to_string())),
    };
    let high = offset(data.high_watermark);
    let stable = offset(data.last_stable_offset).or(high);
    // Without any of them there may be more: the broker gives no part of a batch.
    let starved = walked.bytes == 0 && stable.is_some_and(|stable| asked.offset < stable);
    let aborted = data.aborted_transactions.unwrap_or_default();
    let mut aborted: Vec<_> =
        aborted.iter().map(|aborted| (aborted.first_offset, aborted.producer_id.0)).collect();
    aborted.sort_unstable();
    let batches = Batches {
        bytes: bytes.slice(..walked.bytes),
        held_bytes,
        messages: walked.messages,
        next: walked.next,
        low: offset(data.log_start_offset),
        // Said of the offset that was asked for. That batches reached the end when they were sent says
        // nothing when they are read, which may be much later.
        ends: walked.bytes == 0 && stable.is_some_and(|stable| stable <= asked.offset),
        aborted: aborted.into_iter().map(|(first, producer)| (producer, first)).collect(),
    };
    Judged::Batches { batches, epoch: walked.epoch, high, starved }
}

/// What the headers of batches say.
struct Walked {
    bytes: usize,
    messages: u64,
    next: Offset,
    epoch: Option<i32>,
}

/// Goes over whole batches; the last may be cut off, and is fetched again.
fn walk(bytes: &[u8], from: Offset, check: bool) -> Result<Walked, BatchError> {
    let mut walked = Walked { bytes: 0, messages: 0, next: from, epoch: None };
    while let Some(header) = Header::read(&bytes[walked.bytes..])? {
        if check {
            header.check(&bytes[walked.bytes..])?;
        }
        walked.bytes += header.bytes;
        walked.messages += u64::from(header.records);
        walked.next = walked.next.max(offset(header.last_offset()).unwrap_or_default().next());
        walked.epoch = Some(header.leader_epoch);
    }
    Ok(walked)
}

fn settle(shared: &Shared, state: &mut MutexGuard<'_, State>, asked: &Asked, judged: Judged) {
    let partition = asked.partition;
    let closed = state.closed;
    let Some(fetching) = state.partitions.get_mut(&partition) else { return };
    if fetching.round != asked.round || closed {
        return;
    }
    match judged {
        Judged::Batches { batches, epoch, high, starved } => {
            fetching.next = batches.next;
            fetching.epoch = epoch.unwrap_or(fetching.epoch);
            fetching.starved = starved;
            let mut news = fetching.high != high;
            fetching.high = high.or(fetching.high);
            let heard = high.map(|end| HeardEnd { end, at: shared.connection.watch.now() });
            fetching.heard = heard.or(fetching.heard);
            let ends = batches.ends && fetching.said_end != Some(batches.next);
            if batches.ends {
                let now = shared.clock.elapsed();
                // Who has read that it is not sure any more reads now that it is again.
                news |= !fetching.ends_now(now, &shared.options);
                (fetching.said_end, fetching.ended_at) = (Some(batches.next), Some(now));
            }
            fetching.failures = 0;
            if !batches.bytes.is_empty() || ends {
                state.put(partition, Fetched::Batches(batches), &shared.wake);
            } else if news {
                shared.wake.wake();
            }
        }
        Judged::Trouble(trouble) => {
            state.put(partition, Fetched::Trouble(trouble), &shared.wake);
        }
        Judged::NoLeader(said) => {
            fetching.has_failed();
            if let Some(passing) = said {
                state.put(partition, Fetched::Trouble(Trouble::Passing(passing)), &shared.wake);
            }
            shared.notify();
        }
        Judged::Absent => {
            fetching.has_failed();
            shared.connection.inquire(&shared.wake);
            shared.notify();
        }
    }
}

fn offset(raw: i64) -> Option<Offset> {
    u64::try_from(raw).ok().map(Offset)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use strandline_operators::time::EventTime;

    use super::*;
    use crate::clock::Clock;
    use crate::source::Wake;
    use crate::source::kafka::connection::Connection;
    use crate::source::kafka::direct::options::DirectOptions;
    use crate::source::kafka::direct::queue::Leader;
    use crate::source::kafka::settings::KafkaSettings;

    /// What threads share that fetch two partitions, one from broker 1, one from broker 2.
    fn shared() -> Arc<Shared> {
        shared_by(Clock::system(), Wake::new(|| ()))
    }

    fn shared_by(clock: Clock, wake: Wake) -> Arc<Shared> {
        let settings = KafkaSettings::new("127.0.0.1:1", "t");
        let options = DirectOptions::new(&settings, Some(2)).unwrap();
        let connection = Connection::new(settings).unwrap();
        let shared = Shared::new(connection, options, wake, clock);
        for partition in 0..2 {
            let fetching = Fetching::new(Offset(5), None);
            shared.state().partitions.insert(Partition(partition), fetching);
            lead(&shared, partition);
        }
        shared
    }

    fn lead(shared: &Shared, partition: u32) {
        let broker = i32::try_from(partition).unwrap() + 1;
        let mut state = shared.state();
        let fetching = state.partitions.get_mut(&Partition(partition)).unwrap();
        fetching.leader = Some(Leader { broker, epoch: 0 });
    }

    fn asked(partition: u32) -> Asked {
        Asked { partition: Partition(partition), offset: Offset(5), round: 0 }
    }

    /// There is nothing at offset 5.
    fn nothing() -> PartitionData {
        PartitionData::default().with_high_watermark(5).with_last_stable_offset(5)
    }

    fn answer(shared: &Shared, partition: u32, data: PartitionData) {
        let asked = asked(partition);
        let judged = judge(shared, &asked, data, None, 0);
        settle(shared, &mut shared.state(), &asked, judged);
    }

    #[test]
    fn a_broker_waits_long_unless_a_partition_that_is_full_may_have_room_sooner() {
        let shared = shared();
        let wait = || {
            let (request, asked) = next_request(&shared, 1).unwrap();
            (request.max_wait_ms, asked.len())
        };
        shared.state().partitions.get_mut(&Partition(1)).unwrap().leader =
            Some(Leader { broker: 1, epoch: 0 });
        assert_eq!(wait(), (500, 2));
        shared.state().partitions.get_mut(&Partition(1)).unwrap().queued_bytes = usize::MAX;
        assert_eq!(wait(), (ROOM_LATER_MAX_MS, 1), "nobody reads it");
        let now = shared.clock.elapsed();
        shared.state().partitions.get_mut(&Partition(1)).unwrap().read_at = Some(now);
        assert_eq!(wait(), (ROOM_SOON_MAX_MS, 1));
    }

    #[test]
    fn that_a_partition_ends_counts_while_its_broker_goes_on_to_say_so() {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let count = move || {
            counted.fetch_add(1, SeqCst);
        };
        let shared = shared_by(clock, Wake::new(count));
        let ends_now = || {
            let now = shared.clock.elapsed();
            shared.state().partitions[&Partition(0)].ends_now(now, &shared.options)
        };
        assert!(!ends_now(), "nobody said so yet");
        answer(&shared, 0, nothing());
        hand.advance(Duration::from_millis(900));
        assert!(ends_now());
        let woken = wakes.load(SeqCst);
        answer(&shared, 0, nothing());
        assert_eq!(wakes.load(SeqCst), woken, "nothing new");
        hand.advance(Duration::from_millis(1_100));
        assert!(!ends_now(), "its broker is silent");
        answer(&shared, 0, nothing());
        assert!(ends_now() && wakes.load(SeqCst) == woken + 1);
    }

    #[test]
    fn a_thread_ends_when_all_of_its_partitions_have_been_fetched() {
        let shared = shared();
        let end = |end| {
            shared.state().partitions.get_mut(&Partition(0)).unwrap().end = Some(Offset(end));
        };
        end(6);
        assert_eq!(next_request(&shared, 1).unwrap().1.len(), 1);
        end(5);
        assert!(next_request(&shared, 1).is_none());
    }

    #[test]
    fn a_broker_that_names_another_replica_is_asked_again_after_a_pause_and_it_is_said() {
        let shared = shared();
        for times in 1..4 {
            answer(&shared, 0, nothing().with_preferred_read_replica(BrokerId(7)));
            assert_eq!(shared.state().failures(), times);
            lead(&shared, 0);
        }
        let mut state = shared.state();
        let fetching = state.partitions.get_mut(&Partition(0)).unwrap();
        match fetching.take() {
            Some(Fetched::Trouble(Trouble::Passing(passing))) => {
                assert!(passing.words().contains("--fetch client"), "{}", passing.words());
            }
            _ => panic!("nothing was said"),
        }
        assert!(fetching.take().is_none(), "said once");
    }

    #[test]
    fn that_one_broker_answers_does_not_mend_another() {
        let shared = shared();
        for times in 1..5 {
            shared.state().release(2);
            assert_eq!(shared.state().failures(), times);
            answer(&shared, 0, nothing());
            assert_eq!(shared.state().failures(), times);
            lead(&shared, 1);
        }
        answer(&shared, 1, nothing());
        shared.state().release(2);
        assert_eq!(shared.state().failures(), 1, "it had answered");
        // Who has failed less is not kept waiting by who has failed more.
        lead(&shared, 1);
        shared.state().release(2);
        shared.state().release(1);
        assert_eq!(shared.state().failures(), 1);
    }
}
