//! Buffers that answers are read into, used again when nobody looks at them any more.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept for the next answers; more are freed.
const KEPT_MAX: usize = 4;
/// Buffers grow in steps of this.
const STEP_BYTES: usize = 256 << 10;

/// The buffers of one reader.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Home>);

#[derive(Default)]
struct Home {
    free: Mutex<Vec<Vec<u8>>>,
    lent_bytes: AtomicUsize,
}

/// A buffer that goes home when it is dropped.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// A buffer of at least `length` bytes, whatever they are.
    pub(super) fn take(&self, length: usize) -> Buffer {
        let mut bytes = self.smallest(length);
        if bytes.len() < length {
            // What is in it is not needed: growing must not copy it.
            bytes.clear();
            bytes.resize(length.next_multiple_of(STEP_BYTES), 0);
        }
        self.0.lent_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        Buffer { bytes, home: self.clone() }
    }

    /// Bytes of all buffers that somebody still looks at.
    pub(super) fn lent_bytes(&self) -> usize {
        self.0.lent_bytes.load(Ordering::Relaxed)
    }

    /// The smallest free buffer that has room for so much, or else any: a small answer that waits
    /// long should not hold a large buffer.
    fn smallest(&self, length: usize) -> Vec<u8> {
        let mut free = self.free();
        let fitting = free.iter().enumerate().filter(|(_, bytes)| length <= bytes.len());
        let smallest = fitting.min_by_key(|(_, bytes)| bytes.len());
        match smallest.map(|(index, _)| index) {
            Some(index) => free.swap_remove(index),
            None => free.pop().unwrap_or_default(),
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// Room for `length` bytes.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        &mut self.bytes[..length]
    }

    /// The first `length` bytes, to be shared.
    pub(super) fn share(self, length: usize) -> Bytes {
        Bytes::from_owner(self).slice(..length)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.0.lent_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
        let mut free = self.home.free();
        if free.len() < KEPT_MAX {
            free.push(bytes);
        }
    }
}
