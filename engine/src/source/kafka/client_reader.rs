//! Reading through the client library.
//!
//! The library unpacks whole batches, and refuses one of zstd that becomes more than
//! `receive.message.max.bytes`: the partition then waits for its turn to be read *apart*, by a second
//! client that takes one batch at a time, of any size; then the first one goes on behind it.

use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;
use strandline_operators::record::{Message, Offset, Partition};

use crate::source::kafka::budget::{BYTES_PER_READ, Permit, handed_over};
use crate::source::kafka::config_error::config_error;
use crate::source::kafka::connection::Connection;
use crate::source::kafka::cursor::Step;
use crate::source::kafka::ears::Ears;
use crate::source::kafka::native::{BATCH_MESSAGES, PartitionQueue, Polled, TopicConsumer};
use crate::source::kafka::options::STATISTICS_EVERY_MS;
use crate::source::kafka::partitions::{Assigned, Backend};
use crate::source::kafka::security;
use crate::source::kafka::watch::HeardEnd;
use crate::source::{PartitionStart, SourceError, Wake};

/// Reads through the client library: one client, made when the first partition is assigned, and
/// one queue for each partition.
///
/// A read costs one call of the client for a thousand messages; payloads are visited where the
/// client has them, and freed after that.
#[derive(Default)]
pub(super) struct ClientBackend {
    consumer: Option<Rc<TopicConsumer<Ears>>>,
    /// The client that reads batches apart, once there was one that has to be.
    apart: Option<Rc<TopicConsumer<Ears>>>,
}

/// How a partition is being read.
pub(super) enum ClientReading {
    /// As usual.
    Usual(PartitionQueue<Ears>),
    /// It waits until it may be read apart.
    WaitsToBeApart,
    /// A batch of it is read apart.
    Apart {
        queue: PartitionQueue<Ears>,
        /// Nobody else reads apart meanwhile.
        _permit: Permit,
    },
}

fn consumer(
    mut config: ClientConfig,
    connection: &Arc<Connection>,
    wake: &Wake,
) -> Result<Rc<TopicConsumer<Ears>>, SourceError> {
    let settings = &connection.settings;
    // Of a client that is not served, they would pile up.
    config.set(STATISTICS_EVERY_MS, settings.statistics_every_ms());
    let client = config.create_with_context(Ears::new(settings)).map_err(config_error)?;
    TopicConsumer::new(client, &settings.topic, wake.clone())
        .map_err(|reason| connection.failed(reason))
}

impl Backend for ClientBackend {
    type Reading = ClientReading;
    type Trouble = Code;

    fn start(
        &mut self,
        start: PartitionStart,
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<ClientReading, SourceError> {
        let PartitionStart { partition, next_offset, .. } = start;
        let consumer = match &self.consumer {
            Some(consumer) => consumer,
            None => {
                let config = connection.settings.config(connection.partitions());
                self.consumer.insert(consumer(config, connection, wake)?)
            }
        };
        let queue = consumer.start(partition, next_offset);
        queue
            .map(ClientReading::Usual)
            .map_err(|reason| connection.failed(format!("partition {}: {reason}", partition.0)))
    }

    fn read(
        &mut self,
        assigned: &mut Assigned<ClientBackend>,
        limit: usize,
        visit: impl FnMut(Message<'_>),
        connection: &Arc<Connection>,
        wake: &Wake,
    ) -> Result<usize, SourceError> {
        let Some(usual) = &self.consumer else { return Ok(0) };
        for consumer in [Some(usual), self.apart.as_ref()].into_iter().flatten() {
            consumer.serve();
            if consumer.context().take_uneasy() {
                if let Some(reason) = consumer.context().oversized() {
                    return Err(connection.failed(reason));
                }
                connection.inquire(wake);
            }
        }
        // The client does not say when a broker answered last, but it complains of one that is gone.
        assigned.ends_now = !connection.is_away();
        if matches!(assigned.reading, Some(ClientReading::WaitsToBeApart)) {
            let Some(permit) = connection.budget.permit(wake) else { return Ok(0) };
            let apart = match &self.apart {
                Some(apart) => apart,
                None => {
                    let config = connection.settings.config_apart();
                    self.apart.insert(consumer(config, connection, wake)?)
                }
            };
            let queue = apart.start(assigned.partition, assigned.cursor.position());
            let queue = queue.map_err(|reason| connection.failed(reason))?;
            assigned.reading = Some(ClientReading::Apart { queue, _permit: permit });
        }
        assigned.read_queue(&Reading { connection, wake, consumer: usual }, limit, visit)
    }

    /// A client that nobody serves keeps all that it has to say, statistics above all, and gets no new
    /// token when the old one runs out.
    fn tend(&self) {
        [&self.consumer, &self.apart].into_iter().flatten().for_each(|consumer| consumer.serve());
    }
}

/// What a partition needs while its queue is read.
struct Reading<'a> {
    connection: &'a Arc<Connection>,
    wake: &'a Wake,
    /// The client that reads as usual.
    consumer: &'a Rc<TopicConsumer<Ears>>,
}

impl Assigned<ClientBackend> {
    fn read_queue(
        &mut self,
        reading: &Reading<'_>,
        limit: usize,
        mut visit: impl FnMut(Message<'_>),
    ) -> Result<usize, SourceError> {
        self.settle_out_of_range(reading)?;
        let partition = self.partition;
        let payload_max = reading.connection.budget.message_bytes_max();
        let (mut messages, mut left) = (0, BYTES_PER_READ);
        // Whether the client has come to a batch that it does not unpack as usual, and whether a batch
        // was read, or there is none.
        let (mut is_refused, mut is_over) = (false, false);
        let mut was_dry = false;
        while messages < limit && 0 < left && !self.cursor.finished() {
            let (queue, is_apart) = match &mut self.reading {
                Some(ClientReading::Usual(queue)) => (queue, false),
                Some(ClientReading::Apart { queue, .. }) => (queue, true),
                Some(ClientReading::WaitsToBeApart) | None => break,
            };
            let wanted = (limit - messages).min(BATCH_MESSAGES);
            let is_dry = queue.poll(wanted, |polled| {
                match polled {
                    Polled::Message(message) => {
                        let step = self
                            .cursor
                            .message(message.offset, || reading.low(partition))
                            .map_err(|loss| reading.connection.lost(partition, loss))?;
                        is_over = true;
                        if step == Step::Deliver {
                            let (payload, cut_from) = handed_over(message.payload, payload_max);
                            left = left.saturating_sub(payload.map_or(0, <[u8]>::len));
                            visit(Message { payload, cut_from, ..message });
                            messages += 1;
                        }
                    }
                    Polled::EndOfPartition(offset) => {
                        is_over = true;
                        self.cursor
                            .end_of_partition(offset, || reading.low(partition))
                            .map_err(|loss| reading.connection.lost(partition, loss))?;
                    }
                    // It would go on behind that batch.
                    Polled::Trouble { code: Code::BadCompression, .. } if !is_apart => {
                        is_refused = true;
                        return Ok(ControlFlow::Break(()));
                    }
                    Polled::Trouble { code, reason } => {
                        match reading.weigh(partition, code, &reason)? {
                            Weight::OutOfRange => {
                                let (connection, wake) = (reading.connection, reading.wake);
                                self.out_of_range.heard(connection, partition, wake);
                            }
                            Weight::Passing => {
                                if self.reported.replace(code) != Some(code) {
                                    reading.connection.say_passing(partition, &reason);
                                }
                            }
                            Weight::Inquire => {}
                        }
                    }
                }
                Ok(match left {
                    0 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                })
            })?;
            if is_refused {
                self.reading = Some(ClientReading::WaitsToBeApart);
                reading.wake.wake();
            } else if is_dry && is_over && is_apart {
                // What that client fetches next may be as large: it is not to be fetched.
                self.reading = None;
                let queue = reading.consumer.start(partition, self.cursor.position());
                let queue = queue.map_err(|reason| reading.connection.failed(reason))?;
                self.reading = Some(ClientReading::Usual(queue));
            }
            if is_dry {
                was_dry = matches!(self.reading, Some(ClientReading::Usual(_)));
                break;
            }
        }
        if self.reading.is_some() {
            self.high = reading.consumer.last_heard(partition).1.or(self.high);
        }
        // The client tells what the newest fetch said, and not when: a queue that was empty is fetched.
        if let (true, true, Some(end)) = (was_dry, self.ends_now, self.high) {
            self.heard = Some(HeardEnd { end, at: reading.connection.watch.now() });
        }
        Ok(messages)
    }

    /// The broker said that an offset is out of range; now it has said what its range is.
    fn settle_out_of_range(&mut self, reading: &Reading<'_>) -> Result<(), SourceError> {
        let (connection, position) = (reading.connection, self.cursor.position());
        let anew = self.out_of_range.settle(connection, self.partition, position, reading.wake)?;
        match &self.reading {
            Some(ClientReading::Usual(queue) | ClientReading::Apart { queue, .. }) if anew => {
                queue.restart(position).map_err(|reason| {
                    connection.failed(format!("partition {}: {reason}", self.partition.0))
                })
            }
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
