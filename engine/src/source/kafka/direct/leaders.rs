//! Which broker has which partition: asked whenever a partition has none, by one thread a reader,
//! which starts a thread for each broker that has some.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use strandline_operators::record::Partition;

use super::fetch;
use super::queue::{Fetching, Leader, Shared, State};
use super::wire::{Wire, WireError};
use crate::source::kafka::connection::topic_gone;

/// The versions of the question that are known here: the first that creates no topic, the last.
const METADATA_VERSIONS: (i16, i16) = (4, 12);
/// Stands for the thread that asks, among those that wait for a broker.
const ASKING: i32 = -1;
/// How many failures in a row say that a broker does not know who leads a partition.
const MISLED_AFTER: u32 = 2;
/// How many times waiting grows before it stays.
const DOUBLINGS_MAX: u32 = 16;

/// Starts the thread.
///
/// # Errors
///
/// No thread to be had.
pub(super) fn spawn(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new().name("kafka-leaders".into());
    thread.spawn(move || run(&shared)).map(drop)
}

fn run(shared: &Arc<Shared>) {
    let mut brokers = BTreeMap::new();
    let mut asked = false;
    let mut turn = 0;
    let mut unusable = 0;
    let mut answered = false;
    loop {
        let mut state = shared.state();
        while !state.closed && !state.lacks_leader() {
            state = shared.wait(state);
        }
        // The first question is asked at once; after that there is a pause before each.
        if asked && !state.closed {
            let pause = pause(shared, state.failures());
            state = shared.rest(state, pause);
        }
        if state.closed {
            return;
        }
        // What this one said did not help: another may know better.
        turn += usize::from(answered && state.was_misled());
        answered = false;
        drop(state);
        asked = true;
        let known: Vec<&String> = shared.options.bootstrap.iter().chain(brokers.values()).collect();
        let address = known[turn % known.len()].clone();
        let answers = shared.connection.answers();
        let answer = ask(shared, &address);
        let mut state = shared.state();
        state.serving.remove(&ASKING);
        if state.closed {
            return;
        }
        match answer {
            Ok(answer) => {
                (unusable, answered) = (0, true);
                shared.answered(&mut state, ASKING);
                drop(state);
                brokers = answer
                    .brokers
                    .iter()
                    .map(|broker| (broker.node_id.0, address_of(&broker.host, broker.port)))
                    .collect();
                settle(shared, &answer, &brokers);
            }
            Err(WireError::Broken(reason)) => {
                (turn, unusable) = (turn + 1, 0);
                state.nobody_answers();
                drop(state);
                shared.broke(ASKING, &address, answers, &reason);
            }
            Err(WireError::Unusable(reason)) => {
                (turn, unusable) = (turn + 1, unusable + 1);
                state.nobody_answers();
                // One address of several may be a wrong one.
                if unusable == known.len() {
                    state.give_up(&reason, Fetching::lacks_leader, &shared.wake);
                }
            }
        }
    }
}

fn pause(shared: &Shared, failures: u32) -> Duration {
    let options = &shared.options;
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
    let pause = options.reconnect_backoff.saturating_mul(1 << doublings);
    pause.min(options.reconnect_backoff_max.max(options.reconnect_backoff))
}

fn ask(shared: &Shared, address: &str) -> Result<MetadataResponse, WireError> {
    let mut wire = Wire::dial(address, &shared.options, &shared.buffers, |stream| {
        shared.waits_at(ASKING, stream)
    })?;
    let version = wire.version::<MetadataRequest>(METADATA_VERSIONS)?;
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(shared)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    wire.send(version, &request)?;
    wire.receive::<MetadataRequest>(version)
}

/// Takes over what a broker has said.
fn settle(shared: &Arc<Shared>, answer: &MetadataResponse, brokers: &BTreeMap<i32, String>) {
    let wanted = topic_name(shared);
    let topic = answer.topics.iter().find(|topic| topic.name.as_ref() == Some(&wanted));
    let mut state = shared.state();
    let error = topic.and_then(|topic| topic.error_code.err());
    let Some(topic) = topic.filter(|_| error.is_none()) else {
        state.nobody_answers();
        drop(state);
        // It is absent, or nobody may read it: the inquiry finds out.
        return shared.connection.inquire(&shared.wake);
    };
    let fetch = FetchTopic::default().with_topic(wanted).with_topic_id(topic.topic_id);
    let planned = shared.connection.topic_id();
    if planned.is_some_and(|planned| {
        !topic.topic_id.is_nil() && planned != base64(topic.topic_id.as_u128())
    }) {
        return end(shared, state);
    }
    match &state.topic {
        // A broker that knows no ids, while a cluster is being upgraded, contradicts nobody.
        Some(known) if !known.topic_id.is_nil() => {
            if !fetch.topic_id.is_nil() && known.topic_id != fetch.topic_id {
                return end(shared, state);
            }
        }
        _ => state.topic = Some(fetch),
    }
    assign(&mut state, topic, brokers);
    state.nobody_answers();
    let led: Vec<i32> =
        state.partitions.values().filter_map(|f| f.leader).map(|leader| leader.broker).collect();
    for broker in led {
        let Some(address) = brokers.get(&broker) else { continue };
        if let Entry::Vacant(free) = state.serving.entry(broker) {
            free.insert(None);
            if fetch::spawn(shared, broker, address.clone()).is_err() {
                state.serving.remove(&broker); // No thread to be had: asked again.
                state.release(broker);
            }
        }
    }
    drop(state);
    shared.notify();
}

/// Gives partitions their leaders.
fn assign(state: &mut State, topic: &MetadataResponseTopic, brokers: &BTreeMap<i32, String>) {
    for partition in &topic.partitions {
        let number = Partition(u32::try_from(partition.partition_index).unwrap_or(u32::MAX));
        if let Some(fetching) = state.partitions.get_mut(&number)
            && fetching.leader.is_none()
            && brokers.contains_key(&partition.leader_id.0)
        {
            let (broker, epoch) = (partition.leader_id.0, partition.leader_epoch);
            fetching.leader = Some(Leader { broker, epoch });
        }
    }
}

/// The topic is another one now.
fn end(shared: &Shared, state: std::sync::MutexGuard<'_, State>) {
    // Which cluster it is takes a question, for which nobody else may have to wait.
    drop(state);
    shared.connection.conclude_gone(&shared.wake);
    let mut state = shared.state();
    state.give_up(&topic_gone(), |_| true, &shared.wake);
}

impl State {
    /// Whether a partition is to be fetched that nobody fetches.
    fn lacks_leader(&self) -> bool {
        self.partitions.values().any(Fetching::lacks_leader)
    }

    /// How many times in a row it went wrong with the partition that is to be asked about first.
    pub(super) fn failures(&self) -> u32 {
        let lacking = self.partitions.values().filter(|fetching| fetching.lacks_leader());
        lacking.map(|fetching| fetching.failures).min().unwrap_or(0)
    }

    /// Whether a partition was given a leader that did not answer for it, or none, again.
    fn was_misled(&self) -> bool {
        let mut lacking = self.partitions.values().filter(|fetching| fetching.lacks_leader());
        lacking.any(|fetching| MISLED_AFTER <= fetching.failures)
    }

    /// Partitions that lack a leader still do.
    fn nobody_answers(&mut self) {
        let lacking = self.partitions.values_mut().filter(|fetching| fetching.lacks_leader());
        lacking.for_each(Fetching::has_failed);
    }

    /// A broker's partitions have no leader until somebody says which.
    pub(super) fn release(&mut self, broker: i32) {
        for fetching in self.partitions.values_mut() {
            if fetching.leader.is_some_and(|leader| leader.broker == broker) {
                fetching.has_failed();
            }
        }
    }
}

fn topic_name(shared: &Shared) -> TopicName {
    TopicName(StrBytes::from_string(shared.connection.settings.topic.clone()))
}

/// A topic's id as the client writes it.
fn base64(id: u128) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // 22 digits of 6 bits, the last of which are zeros.
    let digit = |at: u32| (id.rotate_left(6 * at + 6) & 0x3f) as usize;
    let last = ((id << 4) & 0x3f) as usize;
    (0..21).map(digit).chain([last]).map(|digit| char::from(DIGITS[digit])).collect()
}

fn address_of(host: &str, port: i32) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kafka_protocol::messages::ApiKey;
    use strandline_operators::record::Offset;

    use super::*;
    use crate::clock::Clock;
    use crate::source::Wake;
    use crate::source::kafka::connection::Connection;
    use crate::source::kafka::direct::options::DirectOptions;
    use crate::source::kafka::settings::KafkaSettings;

    /// The version in which the brokers of these tests speak of leaders.
    const VERSION: i16 = 4;

    fn answer(stream: &mut impl Write, correlation: &[u8], body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(correlation.len() + body.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes(), correlation, body].concat())
    }

    /// A broker that only knows that nobody leads the partition; counts how often it was asked.
    fn knows_no_leader() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // The library does not write answers. No broker, no cluster, no controller; one topic, "t",
        // with one partition, 0, that has no leader and no replicas.
        let mut leaders = vec![0; 8];
        leaders.extend([0xff; 6]);
        leaders.extend([0, 0, 0, 1, 0, 0, 0, 1, b't', 0]);
        leaders.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        leaders.extend([0xff; 4]);
        leaders.extend([0; 8]);
        let mut versions = vec![0, 0, 0, 0, 0, 1];
        for number in [ApiKey::Metadata as i16, VERSION, VERSION] {
            versions.extend(number.to_be_bytes());
        }
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                for body in [&versions, &leaders] {
                    let mut length = [0; 4];
                    stream.read_exact(&mut length).unwrap();
                    let mut question = vec![0; u32::from_be_bytes(length) as usize];
                    stream.read_exact(&mut question).unwrap();
                    answer(&mut stream, &question[4..8], body).unwrap();
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        (address, asked)
    }

    #[test]
    fn a_broker_that_does_not_know_the_leader_is_not_the_only_one_to_be_asked() {
        let brokers = [knows_no_leader(), knows_no_leader()];
        let bootstrap = format!("{},{}", brokers[0].0, brokers[1].0);
        let settings = KafkaSettings::new(bootstrap, "t");
        let options = DirectOptions::new(&settings, Some(1)).unwrap();
        // The client must not meet these brokers: they would confuse it.
        let connection = Connection::new(KafkaSettings::new("127.0.0.1:1", "t")).unwrap();
        let shared = Shared::new(connection, options, Wake::new(|| ()), Clock::system());
        let fetching = Fetching::new(Offset(0), None);
        shared.state().partitions.insert(Partition(0), fetching);
        spawn(&shared).unwrap();
        let clock = Clock::system();
        while brokers.iter().any(|(_, asked)| asked.load(Ordering::SeqCst) < 2) {
            assert!(clock.elapsed() < Duration::from_secs(60), "{brokers:?}");
            thread::park_timeout(Duration::from_millis(5));
        }
        shared.close();
    }

    #[test]
    fn an_id_is_written_as_the_client_writes_it() {
        assert_eq!(base64(0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64(u128::MAX), "/////////////////////w");
        let bytes = *b"strandline-kafka";
        assert_eq!(base64(u128::from_be_bytes(bytes)), "c3RyYW5kbGluZS1rYWZrYQ");
    }
}
