//! Reads the partitions of one worker, in one of the two ways.

use std::sync::Arc;

use strandline_operators::record::{Message, Partition};

use crate::source::kafka::client_reader::ClientReader;
use crate::source::kafka::connection::Connection;
use crate::source::kafka::direct::DirectReader;
use crate::source::kafka::settings::Fetch;
use crate::source::{PartitionStart, Progress, Reader, SourceError, Wake};

/// Reads partitions of a Kafka topic.
#[derive(Debug)]
pub struct KafkaReader(Way);

#[derive(Debug)]
enum Way {
    Client(ClientReader),
    Direct(DirectReader),
}

impl KafkaReader {
    pub(super) fn new(connection: Arc<Connection>, wake: Wake) -> KafkaReader {
        KafkaReader(match connection.settings.fetch {
            Fetch::Client => Way::Client(ClientReader::new(connection, wake)),
            Fetch::Direct => Way::Direct(DirectReader::new(connection, wake)),
        })
    }
}

impl Reader for KafkaReader {
    fn assign(&mut self, start: PartitionStart) -> Result<(), SourceError> {
        match &mut self.0 {
            Way::Client(reader) => reader.assign(start),
            Way::Direct(reader) => reader.assign(start),
        }
    }

    fn read(
        &mut self,
        partition: Partition,
        limit: usize,
        visit: impl FnMut(Message<'_>),
    ) -> Result<Progress, SourceError> {
        match &mut self.0 {
            Way::Client(reader) => reader.read(partition, limit, visit),
            Way::Direct(reader) => reader.read(partition, limit, visit),
        }
    }
}
