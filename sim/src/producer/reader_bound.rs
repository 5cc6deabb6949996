//! Holds a producer back so that it never runs far ahead of the reader.
//!
//! The embedded broker drops its oldest data without a word when a partition is full. What keeps
//! that from being noticed is that nobody writes what would push out something unread.

use std::collections::VecDeque;

use strandline_operators::record::{Offset, Partition};

use crate::fleet::PAYLOAD_BYTES_MAX;

/// What a message takes beside its key, payload and filler, in bytes, at most: the header of a
/// batch of one message, and that of the message.
const OVERHEAD_BYTES_MAX: u64 = 61 + 35;
/// The longest message of a fleet in a broker, in bytes; its key is a device's id.
const MESSAGE_BYTES_MAX: u64 = PAYLOAD_BYTES_MAX as u64 + 16 + OVERHEAD_BYTES_MAX;

/// An amount of messages.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub messages: u64,
    /// How much they take in a broker, in bytes, at most.
    pub bytes: u64,
}

impl Amount {
    /// How far a producer may run ahead of the reader in a partition of the embedded broker, well
    /// below what such a partition holds (5 MiB, 100 000 batches).
    pub const EMBEDDED_AHEAD_MAX: Amount = Amount { messages: 10_000, bytes: 2 << 20 };

    /// One message with this much key, payload and filler in a broker, were it alone in its batch.
    pub(super) fn message(bytes: usize) -> Amount {
        Amount { messages: 1, bytes: bytes as u64 + OVERHEAD_BYTES_MAX }
    }

    pub(super) fn add(&mut self, other: Amount) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }

    pub(super) fn subtract(&mut self, other: Amount) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
    }

    /// How many messages fit between this and `limit`, each as long as they get with this filler.
    fn room_below(self, limit: Amount, filler_bytes: u64) -> u64 {
        let bytes = limit.bytes.saturating_sub(self.bytes);
        let messages = bytes / (MESSAGE_BYTES_MAX + filler_bytes);
        limit.messages.saturating_sub(self.messages).min(messages)
    }
}

/// Bounds how far a producer runs ahead of a reader, in every partition.
pub struct ReaderBound {
    limit: Amount,
    position: Box<dyn Fn(Partition) -> Offset + Send>,
    partitions: Vec<Unread>,
}

/// What the broker has of one partition and the reader has not.
#[derive(Debug, Default)]
struct Unread {
    /// Each message's offset and bytes, in order. Its length is bounded by the limit.
    messages: VecDeque<(Offset, u64)>,
    amount: Amount,
}

impl ReaderBound {
    /// A bound by `limit` a partition. `position` says which offset the reader reads next in a
    /// partition: the first one if it has not begun. It is asked now and then, from the thread that
    /// produces.
    pub fn new(
        limit: Amount,
        position: impl Fn(Partition) -> Offset + Send + 'static,
    ) -> ReaderBound {
        ReaderBound { limit, position: Box::new(position), partitions: Vec::new() }
    }

    /// Notes a message that the broker has taken.
    pub(super) fn delivered(&mut self, partition: Partition, offset: Offset, message: Amount) {
        let index = partition.0 as usize;
        if self.partitions.len() <= index {
            self.partitions.resize_with(index + 1, Unread::default);
        }
        let unread = &mut self.partitions[index];
        unread.messages.push_back((offset, message.bytes));
        unread.amount.add(message);
    }

    /// How many more messages with this filler may be sent now, where `queued` are under way to the
    /// broker (all of them perhaps to the same partition).
    pub(super) fn room(&mut self, queued: Amount, filler_bytes: u64) -> u64 {
        let mut room = queued.room_below(self.limit, filler_bytes);
        for (number, unread) in (0..).zip(&mut self.partitions) {
            let position = (self.position)(Partition(number));
            while let Some((offset, bytes)) = unread.messages.front()
                && *offset < position
            {
                unread.amount.subtract(Amount { messages: 1, bytes: *bytes });
                unread.messages.pop_front();
            }
            let mut ahead = unread.amount;
            ahead.add(queued);
            room = room.min(ahead.room_below(self.limit, filler_bytes));
        }
        room
    }
}

impl std::fmt::Debug for ReaderBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReaderBound").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const NONE: Amount = Amount { messages: 0, bytes: 0 };
    const SMALL: Amount = Amount { messages: 1, bytes: 1 };

    /// A bound of 10 messages and plenty of bytes, and the reader's position in all partitions.
    fn of_10_messages() -> (ReaderBound, Arc<AtomicU64>) {
        let position = Arc::new(AtomicU64::new(0));
        let limit = Amount { messages: 10, bytes: 1 << 20 };
        let reader = Arc::clone(&position);
        (ReaderBound::new(limit, move |_| Offset(reader.load(Ordering::SeqCst))), position)
    }

    #[test]
    fn there_is_room_up_to_the_limit_and_again_once_it_was_read() {
        let (mut bound, position) = of_10_messages();
        assert_eq!(bound.room(NONE, 0), 10);
        (0..10).for_each(|offset| bound.delivered(Partition(1), Offset(offset), SMALL));
        assert_eq!(bound.room(NONE, 0), 0);
        position.store(4, Ordering::SeqCst);
        assert_eq!(bound.room(NONE, 0), 4);
        position.store(100, Ordering::SeqCst);
        assert_eq!(bound.room(NONE, 0), 10);
    }

    /// The fullest partition decides, and nobody knows where the messages under way will go.
    #[test]
    fn what_is_under_way_counts_in_every_partition() {
        let (mut bound, _) = of_10_messages();
        (0..6).for_each(|offset| bound.delivered(Partition(0), Offset(offset), SMALL));
        (0..2).for_each(|offset| bound.delivered(Partition(3), Offset(offset), SMALL));
        assert_eq!(bound.room(NONE, 0), 4);
        assert_eq!(bound.room(Amount { messages: 3, bytes: 3 }, 0), 1);
        assert_eq!(bound.room(Amount { messages: 30, bytes: 30 }, 0), 0);
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let limit = Amount { messages: 1_000, bytes: 10 * MESSAGE_BYTES_MAX };
        let mut bound = ReaderBound::new(limit, |_| Offset(0));
        assert_eq!(bound.room(NONE, 0), 10);
        let long = Amount { messages: 1, bytes: MESSAGE_BYTES_MAX };
        (0..7).for_each(|offset| bound.delivered(Partition(0), Offset(offset), long));
        assert_eq!(bound.room(NONE, 0), 3);
        assert_eq!(bound.room(long, 0), 2);
        assert_eq!(bound.room(NONE, 2 * MESSAGE_BYTES_MAX), 1, "with filler there is less room");
    }

    /// Offsets need not be dense: a position beyond a gap releases what lies before it.
    #[test]
    fn gaps_in_the_offsets_do_not_matter() {
        let (mut bound, position) = of_10_messages();
        for offset in [5, 90, 91] {
            bound.delivered(Partition(0), Offset(offset), SMALL);
        }
        position.store(91, Ordering::SeqCst);
        assert_eq!(bound.room(NONE, 0), 9);
    }
}
