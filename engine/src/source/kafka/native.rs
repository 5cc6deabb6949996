//! What rdkafka does not offer: a partition's own queue, read many messages at a time; and a
//! topic's id.
//!
//! One call of the client library for each message costs half as much again as one call for a
//! thousand (measured), so messages are taken from librdkafka's queues in batches. The simple
//! consumer interface is used (`rd_kafka_consume_start`): it needs no consumer group, and a
//! partition's queue is forwarded nowhere, so that a partition that is not read is not fetched.
//!
//! This is the only module of the crate with `unsafe`. What keeps it sound is ownership: a
//! [`PartitionQueue`] holds the [`TopicConsumer`] that it belongs to, a callback is switched off
//! before what it points to is dropped, and a message is destroyed when its visit ends.
#![expect(unsafe_code, reason = "batches from the client's queues, which rdkafka hides")]

#[cfg(feature = "tls")]
pub(super) mod certificate;
mod high_watermarks;
mod main_queue;
pub(super) mod memory;
pub(super) mod properties;
mod topic_id;

use std::ffi::{CStr, CString, c_void};
use std::mem::ManuallyDrop;
use std::ops::{ControlFlow, Deref};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::thread;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use strandline_operators::record::{Message, Offset, Partition, TimestampType};
use strandline_operators::time::EventTime;

use crate::source::Wake;
use main_queue::MainQueue;

/// Messages that are taken from a queue in one call.
pub(super) const BATCH_MESSAGES: usize = 1_000;

/// A client that is closed by a thread of its own: closing waits for the client's threads, and
/// one of them may be asking a name server that does not answer. A job has to stop meanwhile.
pub(super) struct Client<C: ConsumerContext + 'static>(ManuallyDrop<BaseConsumer<C>>);

impl<C: ConsumerContext + 'static> Client<C> {
    pub(super) fn new(consumer: BaseConsumer<C>) -> Client<C> {
        Client(ManuallyDrop::new(consumer))
    }

    /// Hands what happened to the client itself to its context: errors, log lines, that it wants a
    /// token. Costs little where nothing happened.
    pub(super) fn serve(&self) {
        if let Some(main) = MainQueue::of(self) {
            main.serve(self);
        }
    }
}

impl<C: ConsumerContext + 'static> Deref for Client<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        &self.0
    }
}

impl<C: ConsumerContext + 'static> Drop for Client<C> {
    fn drop(&mut self) {
        // SAFETY: the field is not used any more: this is the drop, which happens once.
        let consumer = unsafe { ManuallyDrop::take(&mut self.0) };
        // If there is no thread to be had, the closure is dropped here, and the client with it.
        drop(thread::Builder::new().name("kafka-close".into()).spawn(move || drop(consumer)));
    }
}

/// A consumer, and the one topic that it reads.
pub(super) struct TopicConsumer<C: ConsumerContext + 'static> {
    topic: NonNull<sys::rd_kafka_topic_t>,
    /// Held, because it is served at every read.
    main: MainQueue,
    name: CString,
    wake: Wake,
    consumer: Client<C>,
}

impl<C: ConsumerContext + 'static> TopicConsumer<C> {
    /// Prepares to read `name`. `wake` is called when there is something to read or to serve.
    ///
    /// # Errors
    ///
    /// What the client says about the topic's name.
    pub(super) fn new(
        mut consumer: BaseConsumer<C>,
        name: &str,
        wake: Wake,
    ) -> Result<Rc<TopicConsumer<C>>, String> {
        let name = CString::new(name).map_err(|_| "the name holds a NUL byte".to_owned())?;
        let main_wake = wake.clone();
        consumer.set_nonempty_callback(move || main_wake.wake());
        let client = consumer.client().native_ptr();
        // SAFETY: `client` is a live handle, `name` a C string that is copied; a null
        // configuration means the client's default for topics.
        let topic = unsafe { sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
        let Some(topic) = NonNull::new(topic) else {
            // SAFETY: reads a thread-local number of the library.
            let code = unsafe { sys::rd_kafka_last_error() };
            return Err(RDKafkaErrorCode::from(code).to_string());
        };
        let main = MainQueue::of(&consumer).ok_or_else(|| "the client has no queue".to_owned())?;
        let consumer = Client::new(consumer);
        Ok(Rc::new(TopicConsumer { topic, main, name, wake, consumer }))
    }

    /// Hands what happened to the client itself (errors, log lines) to its context. Costs one
    /// lock where nothing happened.
    pub(super) fn serve(&self) {
        self.main.serve(&self.consumer);
    }

    /// The first offset and the end of a partition, as of the last fetch; `None` for what the
    /// broker did not say. No network. The end includes messages that are not committed yet.
    pub(super) fn last_heard(&self, partition: Partition) -> (Option<Offset>, Option<Offset>) {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: a live handle, a C string, and two numbers to write to.
        let error = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.consumer.client().native_ptr(),
                self.name.as_ptr(),
                raw(partition),
                &raw mut low,
                &raw mut high,
            )
        };
        match RDKafkaErrorCode::from(error) {
            RDKafkaErrorCode::NoError => (offset(low), offset(high)),
            _ => (None, None),
        }
    }

    /// The context that hears what happens to the client.
    pub(super) fn context(&self) -> &C {
        self.consumer.context()
    }

    /// Begins to fetch a partition at an offset.
    ///
    /// # Errors
    ///
    /// What the client says.
    pub(super) fn start(
        self: &Rc<Self>,
        partition: Partition,
        from: Offset,
    ) -> Result<PartitionQueue<C>, String> {
        let client = self.consumer.client().native_ptr();
        // SAFETY: `client` is a live handle and `name` a C string. The queue is counted: this
        // reference is given back in `PartitionQueue::drop`.
        let queue = unsafe {
            sys::rd_kafka_queue_get_partition(client, self.name.as_ptr(), raw(partition))
        };
        let queue = NonNull::new(queue).ok_or_else(|| "there is no such partition".to_owned())?;
        let wake = Box::into_raw(Box::new(self.wake.clone()));
        // SAFETY: `queue` is live, and what `wake` points to lives until `PartitionQueue::drop`
        // has switched the callback off.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(
                queue.as_ptr(),
                Some(wake_from_client),
                wake.cast::<c_void>(),
            );
        }
        let taken = Taken { messages: Vec::with_capacity(BATCH_MESSAGES), next: 0 };
        let queue = PartitionQueue { queue, partition, wake, taken, owner: Rc::clone(self) };
        // If it fails, dropping `queue` is still right: a partition that was not started may be
        // stopped.
        self.fetch_from(partition, from).map(|()| queue)
    }

    fn fetch_from(&self, partition: Partition, from: Offset) -> Result<(), String> {
        // SAFETY: `topic` is held by `self`.
        let failed = unsafe {
            sys::rd_kafka_consume_start(self.topic.as_ptr(), raw(partition), raw_offset(from))
        };
        if failed != 0 {
            // SAFETY: reads a thread-local number of the library.
            let code = unsafe { sys::rd_kafka_last_error() };
            return Err(RDKafkaErrorCode::from(code).to_string());
        }
        Ok(())
    }
}

impl<C: ConsumerContext + 'static> Drop for TopicConsumer<C> {
    fn drop(&mut self) {
        // The consumer does so too, when it is closed: that may be later, and nobody is to be woken
        // after this.
        self.main.wake_nobody();
        // SAFETY: the reference is this value's own, and the client lives until `consumer` is dropped,
        // which is after this. No partition is being read any more: a `PartitionQueue` would hold
        // `self`.
        unsafe { sys::rd_kafka_topic_destroy(self.topic.as_ptr()) };
    }
}

/// What a partition's queue held.
pub(super) enum Polled<'a> {
    /// A message.
    Message(Message<'a>),
    /// There was nothing at this offset: the end of the partition, for readers of committed
    /// messages.
    EndOfPartition(Offset),
    /// Something went wrong with the partition.
    Trouble {
        /// What; [`RDKafkaErrorCode::Unknown`] if the library has no name for it.
        code: RDKafkaErrorCode,
        /// The client's words.
        reason: String,
    },
}

/// The queue of one partition that is being fetched; dropping it ends that.
pub(super) struct PartitionQueue<C: ConsumerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    partition: Partition,
    /// What the callback is given. It comes out of a box, and goes back into one on drop.
    wake: *mut Wake,
    taken: Taken,
    owner: Rc<TopicConsumer<C>>,
}

impl<C: ConsumerContext + 'static> PartitionQueue<C> {
    /// Takes at most `limit` (and at most [`BATCH_MESSAGES`]) items that are here already, and
    /// hands each to `visit`, until that says that it is enough or fails: the next call goes on behind
    /// that item. Says whether the queue was empty after that.
    pub(super) fn poll<E>(
        &mut self,
        limit: usize,
        mut visit: impl FnMut(Polled<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<bool, E> {
        let mut limit = limit.min(BATCH_MESSAGES);
        let is_last = self.taken.is_empty() && self.take(limit) < limit;
        while 0 < limit
            && let Some(message) = self.taken.next()
        {
            limit -= 1;
            if visit(message.view())?.is_break() {
                break;
            }
        }
        Ok(is_last && self.taken.is_empty())
    }

    /// Takes at most so many items out of the queue; says how many. There must be none left of those
    /// that were taken before.
    fn take(&mut self, limit: usize) -> usize {
        let Taken { messages, next } = &mut self.taken;
        debug_assert!(*next == messages.len(), "messages would be lost");
        messages.clear();
        *next = 0;
        // SAFETY: `queue` is live, and there is room for `BATCH_MESSAGES` pointers. A timeout of
        // 0 means that nothing is waited for.
        let taken = unsafe {
            let room = messages.as_mut_ptr();
            sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, room, limit)
        };
        let taken = usize::try_from(taken).unwrap_or(0).min(limit);
        // SAFETY: the library wrote `taken` pointers, no more than there is room for.
        unsafe { messages.set_len(taken) };
        taken
    }

    /// Fetches again, from `from` on, after the client gave up on the partition (which it does
    /// when an offset is out of range; a seek does nothing then).
    pub(super) fn restart(&self, from: Offset) -> Result<(), String> {
        self.owner.fetch_from(self.partition, from)
    }
}

impl<C: ConsumerContext + 'static> Drop for PartitionQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the library changes and calls the callback under the queue's lock, so none runs
        // after the first line, and `wake`, which was boxed in `start`, may go. `topic` is held by
        // `owner`. Stopping waits for the client's main thread, not for the network.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            drop(Box::from_raw(self.wake));
            sys::rd_kafka_consume_stop(self.owner.topic.as_ptr(), raw(self.partition));
        }
        // What is left in the queue refers to the partition, which owns the queue. The library
        // breaks that cycle unless the topic was deleted; then it would wait for ever when the
        // client is closed.
        loop {
            self.taken.clear();
            if self.take(BATCH_MESSAGES) < BATCH_MESSAGES {
                self.taken.clear();
                break;
            }
        }
        // SAFETY: the reference is this value's own.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Called by the client, from its threads, when a queue is no longer empty. It holds the queue's
/// lock meanwhile.
unsafe extern "C" fn wake_from_client(_: *mut sys::rd_kafka_t, wake: *mut c_void) {
    // SAFETY: `wake` is the address that was given together with this function, of a `Wake` that
    // lives until the callback is switched off; a `Wake` may be shared between threads.
    let wake = unsafe { &*wake.cast::<Wake>().cast_const() };
    wake.wake();
}

/// Messages that were taken out of a queue; those that were not handed on are destroyed with it.
struct Taken {
    /// Those before `next` are not valid any more.
    messages: Vec<*mut sys::rd_kafka_message_t>,
    next: usize,
}

impl Taken {
    fn is_empty(&self) -> bool {
        self.next == self.messages.len()
    }

    fn next(&mut self) -> Option<OwnedMessage> {
        let message = *self.messages.get(self.next)?;
        self.next += 1;
        // The library hands out no null pointer; if it did, there would be nothing to visit.
        NonNull::new(message).map(OwnedMessage)
    }

    fn clear(&mut self) {
        while !self.is_empty() {
            drop(self.next());
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One message of the library, destroyed on drop.
struct OwnedMessage(NonNull<sys::rd_kafka_message_t>);

impl OwnedMessage {
    fn view(&self) -> Polled<'_> {
        let message = self.0.as_ptr();
        // SAFETY: the message is live. The error is read as the number that it is in C: a broker
        // may send one that the Rust enumeration does not have.
        let error = unsafe { (&raw const (*message).err).cast::<i32>().read() };
        // SAFETY: the message is live.
        let raw_offset = unsafe { (*message).offset };
        let at = offset(raw_offset).unwrap_or_default();
        if error == RDKafkaErrorCode::PartitionEOF as i32 {
            return Polled::EndOfPartition(at);
        }
        if error != 0 {
            let code = sys::rd_kafka_resp_err_t::try_from(error)
                .map_or(RDKafkaErrorCode::Unknown, RDKafkaErrorCode::from);
            // SAFETY: for a message with an error this is the client's text, or null; it lives as
            // long as the message.
            let reason = unsafe {
                let text = sys::rd_kafka_message_errstr(message);
                if text.is_null() {
                    code.to_string()
                } else {
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                }
            };
            return Polled::Trouble { code, reason };
        }
        let mut of_type = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live, and there is room for the type.
        let timestamp_ms = unsafe { sys::rd_kafka_message_timestamp(message, &raw mut of_type) };
        let timestamp_type = match of_type {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                TimestampType::LogAppendTime
            }
            _ => TimestampType::CreateTime,
        };
        let timestamp = (timestamp_ms != -1).then(|| EventTime::from_millis(timestamp_ms));
        // SAFETY: a payload that is not null has `len` bytes, which live as long as the message,
        // and nothing writes to them.
        let payload = unsafe {
            let (payload, len) = ((*message).payload, (*message).len);
            (!payload.is_null())
                .then(|| std::slice::from_raw_parts(payload.cast::<u8>().cast_const(), len))
        };
        Polled::Message(Message { offset: at, timestamp, timestamp_type, payload, cut_from: None })
    }
}

impl Drop for OwnedMessage {
    fn drop(&mut self) {
        // SAFETY: the message is this value's own and is not used any more.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

/// A partition as the client numbers it.
pub(super) fn raw(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

fn raw_offset(offset: Offset) -> i64 {
    i64::try_from(offset.0).unwrap_or(i64::MAX)
}

/// An offset as the client numbers it; negative numbers mean that it is not known.
pub(super) fn offset(raw: i64) -> Option<Offset> {
    u64::try_from(raw).ok().map(Offset)
}
