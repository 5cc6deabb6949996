//! The queue in which a client tells about itself: errors, log lines, that it wants a token.

use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

/// Events of the client that are handled in one call of [`MainQueue::serve`].
const EVENTS_PER_SERVE: usize = 64;

/// A reference to a client's main queue. It is dropped before the client is.
pub(super) struct MainQueue(NonNull<sys::rd_kafka_queue_t>);

impl MainQueue {
    /// The queue of this client; there always is one.
    pub(super) fn of<C: ConsumerContext + 'static>(
        consumer: &BaseConsumer<C>,
    ) -> Option<MainQueue> {
        // SAFETY: the client is live. Its queue is counted, so that it may be held for longer than
        // others hold it: this reference is given back on drop.
        let queue = unsafe { sys::rd_kafka_queue_get_main(consumer.client().native_ptr()) };
        NonNull::new(queue).map(MainQueue)
    }

    /// Hands what is in the queue to the context of its client. Costs one lock where nothing
    /// happened.
    pub(super) fn serve<C: ConsumerContext + 'static>(&self, consumer: &BaseConsumer<C>) {
        for _ in 0..EVENTS_PER_SERVE {
            // SAFETY: the queue is held by `self`.
            if unsafe { sys::rd_kafka_queue_length(self.0.as_ptr()) } == 0 {
                return;
            }
            // What it returns as an error, it has told the context already.
            drop(consumer.poll(Duration::ZERO));
        }
    }

    /// From now on nobody is called when something comes into the queue.
    pub(super) fn wake_nobody(&self) {
        // SAFETY: the queue is held by `self`.
        unsafe { sys::rd_kafka_queue_cb_event_enable(self.0.as_ptr(), None, ptr::null_mut()) };
    }
}

impl Drop for MainQueue {
    fn drop(&mut self) {
        // SAFETY: the reference is this value's own.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}
