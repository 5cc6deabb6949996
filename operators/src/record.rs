//! What flows: a message as the log holds it, the event that was read from it, batches of events.
//!
//! An event's key is a string of a few bytes. Allocating it for every record costs more than
//! decoding does, and freeing it on another worker costs more again (measured), so a batch keeps
//! the keys of its events in one buffer.

use serde::{Deserialize, Serialize};
use timely::container::Accountable;

use crate::time::EventTime;

/// An owned key, as rows carry it: up to 23 bytes without an allocation, more of them shared.
pub use smol_str::SmolStr;

/// The number of a partition within its topic.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u32);

/// The place of a message within its partition; the first is 0.
#[derive(
    Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The offset after this one.
    pub const fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

/// A record's key: UTF-8, kept as bytes.
///
/// Whoever reads a key has to check that it is UTF-8 anyway. Making a `&str` of it would check that
/// again for each record, which for a key of some bytes takes a fifth of the time of decoding
/// (measured), and all that is done with the key of most records is to hash and to compare it.
///
/// ```
/// use strandline_operators::record::Key;
///
/// let key = Key::from("device-1");
/// assert_eq!((key.as_bytes().len(), key.as_str()), (8, "device-1"));
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Key<'a>(&'a [u8]);

impl<'a> Key<'a> {
    /// A key of bytes that have been found to be UTF-8.
    #[inline]
    pub(crate) fn of_utf8(bytes: &'a [u8]) -> Key<'a> {
        debug_assert!(std::str::from_utf8(bytes).is_ok(), "{bytes:?} is no UTF-8");
        Key(bytes)
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The key as text. Linear in its length.
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).expect("a key is made of UTF-8")
    }
}

impl<'a> From<&'a str> for Key<'a> {
    #[inline]
    fn from(key: &'a str) -> Key<'a> {
        Key(key.as_bytes())
    }
}

impl PartialEq<str> for Key<'_> {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        const WORD_BYTES: usize = size_of::<u64>();
        let (one, other) = (self.0, other.as_bytes());
        let word = |word: &[u8; WORD_BYTES]| u64::from_le_bytes(*word);
        let ends = |bytes: &[u8]| Some((word(bytes.first_chunk()?), word(bytes.last_chunk()?)));
        match (ends(one), ends(other)) {
            // Keys of usual length are two words, which may overlap, and need no call.
            (Some(ends), Some(other_ends)) if one.len() <= 2 * WORD_BYTES => {
                one.len() == other.len() && ends == other_ends
            }
            _ => one == other,
        }
    }
}

impl std::fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Who has set the timestamp that a log keeps with a message.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The sender, whose clock may be wrong.
    #[default]
    CreateTime,
    /// The log, when it took the message.
    LogAppendTime,
}

/// A message as the log hands it over: its payload stays where the client put it.
#[derive(Copy, Clone, Debug)]
pub struct Message<'a> {
    /// Where in its partition it stands.
    pub offset: Offset,
    /// The timestamp that the log keeps with it (Kafka's), if it has one.
    pub timestamp: Option<EventTime>,
    /// Who has set the timestamp.
    pub timestamp_type: TimestampType,
    /// Its bytes; `None` for a null payload (a tombstone).
    pub payload: Option<&'a [u8]>,
    /// How many bytes the log has of a payload that is larger than the source hands over: then
    /// [`payload`](Self::payload) is the first part of it.
    pub cut_from: Option<u64>,
}

/// One accepted record: decoded, on time, its key in the batch's buffer.
#[derive(Copy, Clone, Debug)]
pub struct Event<V> {
    /// Event time.
    pub time: EventTime,
    /// Where it was read.
    pub partition: Partition,
    /// Where in the partition.
    pub offset: Offset,
    /// What its fields held.
    pub value: V,
    key_end: u32,
}

/// A batch of events and the bytes of their keys. This is a timely container: a stream of events
/// is a `Stream<Time, Events<V>>`.
///
/// ```
/// use strandline_operators::record::{Events, Offset, Partition};
/// use strandline_operators::time::EventTime;
///
/// let mut events = Events::default();
/// events.push("device-1", EventTime::from_millis(5), Partition(0), Offset(7), 24.5);
/// let (key, event) = events.iter().next().unwrap();
/// assert_eq!((key, event.value), ("device-1", 24.5));
/// ```
#[derive(Clone, Debug)]
pub struct Events<V> {
    events: Vec<Event<V>>,
    keys: String,
}

impl<V> Default for Events<V> {
    fn default() -> Self {
        Events { events: Vec::new(), keys: String::new() }
    }
}

impl<V> Events<V> {
    /// Appends one event.
    ///
    /// # Panics
    ///
    /// If the batch holds 4 GiB of key bytes.
    pub fn push(
        &mut self,
        key: &str,
        time: EventTime,
        partition: Partition,
        offset: Offset,
        value: V,
    ) {
        self.keys.push_str(key);
        let key_end = u32::try_from(self.keys.len()).expect("a batch is far smaller than 4 GiB");
        self.events.push(Event { time, partition, offset, value, key_end });
    }

    /// The events with their keys, in the order of [`push`](Self::push).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Event<V>)> {
        let mut start = 0;
        self.events.iter().map(move |event| {
            let end = event.key_end as usize;
            let key = &self.keys[start..end];
            start = end;
            (key, event)
        })
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Removes all events; the memory is kept.
    pub fn clear(&mut self) {
        self.events.clear();
        self.keys.clear();
    }
}

impl<V> Accountable for Events<V> {
    fn record_count(&self) -> i64 {
        i64::try_from(self.events.len()).expect("a batch is small")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_equal_if_all_their_bytes_are() {
        for length in 0..40 {
            // All words of these are the same.
            let (same, longer) = ("a".repeat(length), "a".repeat(length + 1));
            assert!(Key::from(&*same) != *longer && Key::from(&*longer) != *same);
            let text: String = ('a'..='z').cycle().take(length).collect();
            assert!(Key::from(&*text) == *text);
            assert!(Key::from(&*text) != *format!("{text}x"));
            assert!(Key::from(&*format!("{text}x")) != *text);
            for place in 0..length {
                let mut other = text.clone();
                other.replace_range(place..=place, "-");
                assert!(Key::from(&*text) != *other, "{text} {other}");
            }
        }
    }
}
