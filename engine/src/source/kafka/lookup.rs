//! Questions to the cluster about a topic: how many partitions, which offsets.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset as ListedOffset;
use strandline_operators::record::{Offset, Partition};
use strandline_operators::time::EventTime;

use crate::source::kafka::config_error::config_error;
use crate::source::kafka::ears::Ears;
use crate::source::kafka::native::{Client, offset, raw};
use crate::source::kafka::security;
use crate::source::kafka::settings::KafkaSettings;
use crate::source::{SourceError, TopicIdentity};

/// Asks; reads nothing. Any thread may use it.
pub(super) struct Lookup {
    consumer: Client<Ears>,
    config: ClientConfig,
    /// What the client said last of a broker that refuses us, and what that means.
    explained: Mutex<(String, String)>,
    topic: String,
    /// The broker dies with the process, so nobody asks which cluster it was.
    embedded: bool,
}

/// What is said where a question was not answered in time.
pub(super) const NO_ANSWER: &str = "no answer";

/// Which offset of a partition.
#[derive(Copy, Clone, Debug)]
pub(super) enum At {
    /// The first that the log still has.
    Low,
    /// The one after the last committed message.
    End,
    /// The first whose timestamp is this or later.
    Timestamp(EventTime),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The topic does not exist.
    Absent,
    /// The broker does not let us in.
    Refused(String),
    /// The broker answered that this cannot be.
    Fatal(String),
    /// The broker cannot be reached.
    Away(String),
    /// The broker has no answer just now, as when a leader is being elected, or is slow.
    NotYet(String),
}

impl Lookup {
    /// # Errors
    ///
    /// Options that do not fit together.
    pub(super) fn new(settings: &KafkaSettings) -> Result<Lookup, SourceError> {
        let consumer =
            settings.config(None).create_with_context(Ears::new(settings)).map_err(config_error)?;
        let (topic, embedded) = (settings.topic.clone(), settings.embedded);
        let (config, explained) = (settings.config(None), Mutex::default());
        Ok(Lookup { consumer: Client::new(consumer), config, explained, topic, embedded })
    }

    /// The client, which may want a token before it can ask.
    fn client(&self) -> &Client<Ears> {
        self.consumer.serve();
        &self.consumer
    }

    /// How many partitions the topic has. Blocks for at most about `timeout`.
    pub(super) fn partitions(&self, timeout: Duration) -> Result<u32, Trouble> {
        let metadata = self
            .client()
            .fetch_metadata(Some(&self.topic), timeout)
            .map_err(|error| self.trouble(&error))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == self.topic) else {
            return Err(Trouble::NotYet("the broker did not mention the topic".into()));
        };
        if let Some(error) = topic.error() {
            let code = RDKafkaErrorCode::from(error);
            return Err(self.trouble(&KafkaError::MetadataFetch(code)));
        }
        self.consumer.context().forget();
        match u32::try_from(topic.partitions().len()) {
            Ok(count) if 0 < count => Ok(count),
            _ => Err(Trouble::NotYet("the broker has no partitions of the topic yet".into())),
        }
    }

    /// The brokers of the cluster, number and address. Blocks for at most about `timeout`.
    pub(super) fn brokers(&self, timeout: Duration) -> Result<Vec<(i32, String)>, Trouble> {
        let metadata = self.client().fetch_metadata(Some(&self.topic), timeout);
        let metadata = metadata.map_err(|error| self.trouble(&error))?;
        let brokers = metadata.brokers().iter();
        Ok(brokers.map(|b| (b.id(), format!("{}:{}", b.host(), b.port()))).collect())
    }

    /// Which topic it is. Blocks for at most about twice `timeout`. What is left out, the cluster does
    /// not have: a question that was not answered is an error.
    pub(super) fn identity(&self, timeout: Duration) -> Result<TopicIdentity, Trouble> {
        let mut topic = TopicIdentity::named(&self.topic);
        if !self.embedded {
            topic.id = self.client().topic_id(&self.topic, timeout).map_err(|code| {
                match self.trouble(&KafkaError::MetadataFetch(code)) {
                    // It was there a moment ago: another broker may not know it yet.
                    Trouble::Absent => Trouble::NotYet("a broker does not know the topic".into()),
                    trouble => trouble,
                }
            })?;
            topic.cluster = self.cluster(timeout);
            // Clusters had ids long before topics had.
            if topic.id.is_some() && topic.cluster.is_none() {
                return Err(Trouble::NotYet("the broker did not say which cluster it is".into()));
            }
        }
        Ok(topic)
    }

    /// The cluster's id, if it has one and says so. Blocks for at most about `timeout`.
    pub(super) fn cluster(&self, timeout: Duration) -> Option<String> {
        self.client().client().fetch_cluster_id(timeout)
    }

    /// An offset in each of `partitions`, in their order; `None` where no message has such a
    /// timestamp. One request for each broker. Blocks for at most about `timeout`.
    pub(super) fn offsets(
        &self,
        partitions: Range<u32>,
        at: At,
        timeout: Duration,
    ) -> Result<Vec<Option<Offset>>, Trouble> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        // The protocol asks by timestamp, and has two timestamps of special meaning.
        let asked = match at {
            At::Low => ListedOffset::Beginning,
            At::End => ListedOffset::End,
            At::Timestamp(time) => ListedOffset::Offset(time.as_millis().max(0)),
        };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions.clone() {
            list.add_partition_offset(&self.topic, raw(Partition(partition)), asked)
                .map_err(|error| self.trouble(&error))?;
        }
        let answer =
            self.client().offsets_for_times(list, timeout).map_err(|error| self.trouble(&error))?;
        self.consumer.context().forget();
        let mut offsets = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let Some(element) = answer.find_partition(&self.topic, raw(Partition(partition)))
            else {
                return Err(Trouble::NotYet(format!(
                    "the broker said nothing of partition {partition}"
                )));
            };
            element.error().map_err(|error| self.trouble(&error))?;
            let found = match element.offset() {
                ListedOffset::Offset(found) => offset(found),
                _ => None,
            };
            if found.is_none() && !matches!(at, At::Timestamp(_)) {
                return Err(Trouble::NotYet(format!(
                    "the broker did not say where partition {partition} begins and ends"
                )));
            }
            offsets.push(found);
        }
        Ok(offsets)
    }

    /// The end of each of `partitions`, in their order, with what is not committed yet; or why that of
    /// one of them is not known, which says nothing of the others. Blocks for at most about `timeout`.
    pub(super) fn high_watermarks(
        &self,
        partitions: Range<u32>,
        timeout: Duration,
    ) -> Result<Vec<Result<Offset, Trouble>>, Trouble> {
        if self.embedded {
            // It knows no transactions.
            let ends = self.offsets(partitions, At::End, timeout)?;
            return Ok(ends.into_iter().map(|end| Ok(end.unwrap_or_default())).collect());
        }
        let trouble = |code| self.trouble(&KafkaError::OffsetFetch(code));
        let ends = self.client().high_watermarks(&self.topic, partitions, timeout);
        let ends = ends.map_err(trouble)?;
        if ends.iter().all(Result::is_ok) {
            self.consumer.context().forget();
        }
        Ok(ends.into_iter().map(|end| end.map_err(trouble)).collect())
    }

    /// The topic's id, where the cluster gives it one. Blocks for at most about `timeout`.
    pub(super) fn topic_id(&self, timeout: Duration) -> Result<Option<String>, Trouble> {
        match self.embedded {
            true => Ok(None),
            false => self
                .client()
                .topic_id(&self.topic, timeout)
                .map_err(|code| self.trouble(&KafkaError::MetadataFetch(code))),
        }
    }

    /// The first offset and the end of one partition.
    pub(super) fn range(
        &self,
        partition: Partition,
        timeout: Duration,
    ) -> Result<(Offset, Offset), Trouble> {
        let one = partition.0..partition.0 + 1;
        let low = self.offsets(one.clone(), At::Low, timeout)?[0].unwrap_or_default();
        let end = self.offsets(one, At::End, timeout)?[0].unwrap_or_default();
        Ok((low, end))
    }

    /// What is wrong where a broker refuses us. Asked once for each thing that the client says: it may
    /// take seconds.
    fn explain(&self, said: &str) -> String {
        let mut explained = self.explained.lock().unwrap_or_else(PoisonError::into_inner);
        if explained.0 != said {
            *explained = (said.to_owned(), security::explain(said, &self.config));
        }
        explained.1.clone()
    }

    /// What stands behind an error, with what the client has said meanwhile.
    fn trouble(&self, error: &KafkaError) -> Trouble {
        self.consumer.serve();
        let ears = self.consumer.context();
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicId,
            ) => Trouble::Absent,
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Trouble::Fatal(security::no_right(&self.config))
            }
            Some(RDKafkaErrorCode::InvalidTopic) => {
                Trouble::Fatal("this is not a valid name of a topic".into())
            }
            // The broker answered: it can be reached.
            Some(code) if 0 <= code as i32 => Trouble::NotYet(plain(error)),
            _ => match (ears.refused(), ears.reason()) {
                (Some(refused), _) => Trouble::Refused(self.explain(&refused)),
                (None, Some(reason)) => Trouble::Away(reason),
                (None, None) => Trouble::NotYet(plain(error)),
            },
        }
    }
}

/// An error in words, without the names that the client library has for it.
fn plain(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::BrokerTransportFailure) => {
            NO_ANSWER.into()
        }
        Some(code) => {
            let code = code.to_string();
            let words = code.split_once(" (").and_then(|(_, words)| words.strip_suffix(')'));
            words.unwrap_or(&code).to_owned()
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn errors_are_told_in_words() {
        for (code, words) in [
            (RDKafkaErrorCode::NotLeaderForPartition, "Broker: Not leader for partition"),
            (RDKafkaErrorCode::OperationTimedOut, "no answer"),
        ] {
            assert_eq!(plain(&KafkaError::MetadataFetch(code)), words);
        }
    }

    #[test]
    fn a_partition_without_a_leader_or_with_one_that_is_away_hides_the_end_of_no_other() {
        let within = Duration::from_secs(2);
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic("t", 3, 1).unwrap();
        for (partition, broker) in [(0, Some(1)), (1, None), (2, Some(2))] {
            cluster.partition_leader("t", partition, broker).unwrap();
        }
        let lookup = Lookup::new(&KafkaSettings::new(cluster.bootstrap_servers(), "t")).unwrap();
        lookup.partitions(within).unwrap();
        let known = |ends: Vec<Result<Offset, Trouble>>| ends.iter().map(Result::is_ok).collect();
        let ends: Vec<bool> = known(lookup.high_watermarks(0..3, within).unwrap());
        assert_eq!(ends, [true, false, true]);
        cluster.broker_down(2).unwrap();
        let ends: Vec<bool> = known(lookup.high_watermarks(0..3, within).unwrap());
        assert_eq!(ends, [true, false, false]);
    }

    #[test]
    fn a_broker_that_answers_is_not_away() {
        let lookup = Lookup::new(&KafkaSettings::new("127.0.0.1:1", "t")).unwrap();
        let elects = KafkaError::OffsetFetch(RDKafkaErrorCode::NotLeaderForPartition);
        assert!(matches!(lookup.trouble(&elects), Trouble::NotYet(_)));
        let absent = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
        assert!(matches!(lookup.trouble(&absent), Trouble::Absent));
    }
}
