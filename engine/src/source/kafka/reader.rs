//! Reads the partitions of one worker, in one of the two ways.
//!

use std::sync::Arc;

use strandline_operators::record::{Message, Offset, Partition};

use crate::source::kafka::client_reader::ClientBackend;
use crate::source::kafka::connection::Connection;
use crate::source::kafka::direct::DirectBackend;
use crate::source::kafka::partitions::Partitions;
use crate::source::kafka::settings::Fetch;
use crate::source::{PartitionStart, Progress, Reader, SourceError, TopicIdentity, Wake};

/// Reads partitions of a Kafka topic.
#[derive(Debug)]
pub struct KafkaReader(ByBackend);

#[derive(Debug)]
enum ByBackend {
    Client(Partitions<ClientBackend>),
    Direct(Partitions<DirectBackend>),
}

impl KafkaReader {
    pub(super) fn new(connection: Arc<Connection>, wake: Wake) -> KafkaReader {
        KafkaReader(match connection.settings.fetch {
            Fetch::Client => ByBackend::Client(Partitions::new(connection, wake)),
            Fetch::Direct => ByBackend::Direct(Partitions::new(connection, wake)),
        })
    }
}

impl Reader for KafkaReader {
    fn expect(&mut self, topic: &TopicIdentity) {
        let connection = match &self.0 {
            ByBackend::Client(partitions) => &partitions.connection,
            ByBackend::Direct(partitions) => &partitions.connection,
        };
        connection.note_topic(topic.clone());
    }

    fn assign(&mut self, start: PartitionStart) -> Result<(), SourceError> {
        match &mut self.0 {
            ByBackend::Client(partitions) => partitions.assign(start),
            ByBackend::Direct(partitions) => partitions.assign(start),
        }
    }

    fn read(
        &mut self,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        match &mut self.0 {
            ByBackend::Client(partitions) => partitions.read(partition, limit, visit),
            ByBackend::Direct(partitions) => partitions.read(partition, limit, visit),
        }
    }

    fn ask_end(&mut self, partition: Partition) -> Result<(), SourceError> {
        match &mut self.0 {
            ByBackend::Client(partitions) => partitions.ask_end(partition),
            ByBackend::Direct(partitions) => partitions.ask_end(partition),
        }
    }

    fn end(&mut self, partition: Partition) -> Option<Offset> {
        match &mut self.0 {
            ByBackend::Client(partitions) => partitions.end(partition),
            ByBackend::Direct(partitions) => partitions.end(partition),
        }
    }
}
