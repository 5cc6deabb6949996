//! Reading through the client library.

use std::rc::Rc;
use std::sync::Arc;

use rdkafka::error::RDKafkaErrorCode as Code;
use strandline_operators::record::{Message, Offset, Partition};

use crate::source::kafka::connection::Connection;
use crate::source::kafka::cursor::Step;
use crate::source::kafka::ears::Ears;
use crate::source::kafka::native::{BATCH_MESSAGES, PartitionQueue, Polled, TopicConsumer};
use crate::source::kafka::reader::{Assigned, Way};
use crate::source::kafka::security;
use crate::source::kafka::settings::config_error;
use crate::source::{PartitionStart, SourceError, Wake};

/// Reads through the client library: one client, made when the first partition is assigned, and
/// one queue for each partition.
///
/// A read costs one call of the client for a thousand messages; payloads are visited where the
/// client has them, and freed after that.
#[derive(Default)]
pub(super) struct ClientWay {
    consumer: Option<Rc<TopicConsumer<Ears>>>,
}

impl ClientWay {
    fn consumer(
        &mut self,
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<Rc<TopicConsumer<Ears>>, SourceError> {
        if let Some(consumer) = &self.consumer {
            return Ok(Rc::clone(consumer));
        }
        let settings = &connection.settings;
        let client = settings
            .config(connection.partitions())
            .create_with_context(Ears::new(settings))
            .map_err(config_error)?;
        let consumer = TopicConsumer::new(client, &settings.topic, wake.clone())
            .map_err(|reason| connection.failed(reason))?;
        Ok(Rc::clone(self.consumer.insert(consumer)))
    }
}

impl Way for ClientWay {
    type Reading = PartitionQueue<Ears>;
    type Trouble = Code;

    fn start(
        &mut self,
        start: PartitionStart,
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<PartitionQueue<Ears>, SourceError> {
        let PartitionStart { partition, next_offset, .. } = start;
        self.consumer(connection, wake)?
            .start(partition, next_offset)
            .map_err(|reason| connection.failed(format!("partition {}: {reason}", partition.0)))
    }

    fn read(
        &mut self,
        assigned: &mut Assigned<ClientWay>,
        limit: usize,
        visit: impl FnMut(Message<'_>),
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<usize, SourceError> {
        let Some(consumer) = &self.consumer else { return Ok(0) };
        consumer.serve();
        if consumer.context().take_uneasy() {
            if let Some(reason) = consumer.context().oversized() {
                return Err(connection.failed(reason));
            }
            connection.inquire(wake);
        }
        // The client does not say when a broker answered last, but it complains of one that is gone.
        assigned.ends_now = !connection.is_away();
        assigned.read_queue(&Reading { connection, wake, consumer }, limit, visit)
    }
}

/// What a partition needs while its queue is read.
struct Reading<'a> {
    connection: &'a Arc<Connection>,
    wake: &'a Wake,
    consumer: &'a TopicConsumer<Ears>,
}

impl Assigned<ClientWay> {
    fn read_queue(
        &mut self,
        reading: &Reading<'_>,
        limit: usize,
        mut visit: impl FnMut(Message<'_>),
    ) -> Result<usize, SourceError> {
        self.settle_out_of_range(reading)?;
        let partition = self.partition;
        let mut messages = 0;
        while messages < limit
            && !self.cursor.finished()
            && let Some(queue) = &mut self.reading
        {
            let wanted = (limit - messages).min(BATCH_MESSAGES);
            let taken = queue.poll(wanted, |polled| match polled {
                Polled::Message(message) => {
                    let step = self
                        .cursor
                        .message(message.offset, || reading.low(partition))
                        .map_err(|loss| reading.connection.lost(partition, loss))?;
                    if step == Step::Deliver {
                        visit(message);
                        messages += 1;
                    }
                    Ok(())
                }
                Polled::EndOfPartition(offset) => self
                    .cursor
                    .end_of_partition(offset, || reading.low(partition))
                    .map_err(|loss| reading.connection.lost(partition, loss)),
                Polled::Trouble { code, reason } => {
                    match reading.weigh(partition, code, &reason)? {
                        Weight::OutOfRange => {
                            self.out_of_range.heard(reading.connection, partition, reading.wake);
                        }
                        Weight::Passing => {
                            if self.reported.replace(code) != Some(code) {
                                reading.connection.say_passing(partition, &reason);
                            }
                        }
                        Weight::Inquire => {}
                    }
                    Ok(())
                }
            })?;
            if taken < wanted {
                break;
            }
        }
        if self.reading.is_some() {
            self.high = reading.consumer.last_heard(partition).1.or(self.high);
        }
        Ok(messages)
    }

    /// The broker said that an offset is out of range; now it has said what its range is.
    fn settle_out_of_range(&mut self, reading: &Reading<'_>) -> Result<(), SourceError> {
        let (connection, position) = (reading.connection, self.cursor.position());
        let anew = self.out_of_range.settle(connection, self.partition, position, reading.wake)?;
        match &self.reading {
            Some(queue) if anew => queue.restart(position).map_err(|reason| {
                connection.failed(format!("partition {}: {reason}", self.partition.0))
            }),
            _ => Ok(()),
        }
    }
}

/// What an error of a partition means.
enum Weight {
    /// The position is not in the log.
    OutOfRange,
    /// The client goes on by itself; worth a line.
    Passing,
    /// The topic may be gone: being found out.
    Inquire,
}

impl Reading<'_> {
    /// Where the log began when what is in the queue was fetched. The client only tells what the
    /// newest fetch said, and messages may wait in the queue for long: so this is known of the
    /// embedded broker alone, which does not say that an offset is out of range, and leaves no other
    /// gaps.
    fn low(&self, partition: Partition) -> Option<Offset> {
        let embedded = self.connection.settings.embedded;
        embedded.then(|| self.consumer.last_heard(partition).0).flatten()
    }

    /// # Errors
    ///
    /// After which messages would be missing, or none would come.
    fn weigh(&self, partition: Partition, code: Code, reason: &str) -> Result<Weight, SourceError> {
        let number = partition.0;
        match code {
            // A log that was cut back and has grown again holds other messages at old offsets.
            Code::LogTruncation => Err(self.connection.cut_back(partition, reason)),
            Code::AutoOffsetReset if reason.to_ascii_lowercase().contains("truncat") => {
                Err(self.connection.cut_back(partition, reason))
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset => {
                Ok(Weight::OutOfRange)
            }
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopicId => {
                self.connection.inquire(self.wake);
                Ok(Weight::Inquire)
            }
            Code::TopicAuthorizationFailed => Err(self
                .connection
                .failed(security::no_right(&self.connection.settings.config(None)))),
            // After these the client goes on behind the messages that it could not give us.
            Code::BadMessage
            | Code::BadCompression
            | Code::NotImplemented
            | Code::InvalidMessage
            | Code::UnsupportedCompressionType
            | Code::MessageSizeTooLarge
            | Code::InvalidTopic
            | Code::ClusterAuthorizationFailed
            | Code::Fatal => Err(self.connection.failed(format!("partition {number}: {reason}"))),
            _ => {
                self.connection.inquire(self.wake);
                Ok(Weight::Passing)
            }
        }
    }
}
