//! Tells Kafka up to where results are durable, so that the usual tools show the lag.
//!
//! Recovery never relies on it. The consumer here belongs to a group only by name: it subscribes
//! to nothing and reads nothing.

use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset as ListedOffset, TopicPartitionList};
use strandline_operators::record::{Offset, Partition};

use crate::source::SourceError;
use crate::source::kafka::ears::Ears;
use crate::source::kafka::native::{Client, raw};
use crate::source::kafka::settings::{KafkaSettings, config_error};

/// See the module.
pub(super) struct Group {
    consumer: Client<Ears>,
    topic: String,
}

impl Group {
    /// # Errors
    ///
    /// Options that do not fit together.
    pub(super) fn new(settings: &KafkaSettings, group: &str) -> Result<Group, SourceError> {
        let mut config = settings.config(None);
        config.set("group.id", group);
        let consumer = config.create_with_context(Ears::new(settings)).map_err(config_error)?;
        Ok(Group { consumer: Client::new(consumer), topic: settings.topic.clone() })
    }

    /// Sends positions, and does not wait for an answer: the next ones say more.
    pub(super) fn commit(&self, positions: &[(Partition, Offset)]) {
        // Takes the answers to earlier ones out of the client's queue.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, Offset(next)) in positions {
            let next = ListedOffset::Offset(i64::try_from(*next).unwrap_or(i64::MAX));
            if list.add_partition_offset(&self.topic, raw(*partition), next).is_err() {
                return;
            }
        }
        // A broker that is away hears it the next time.
        let _ = self.consumer.commit(&list, CommitMode::Async);
    }
}
