//! Buffers that answers are read into, used again when nobody looks at them any more.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept for the next answers; more are freed.
const KEPT_MAX: usize = 4;
/// Buffers grow in steps of this.
const STEP_BYTES: usize = 256 << 10;
/// Room for an answer of which nothing has come yet; after that, there is room for as much again as
/// has come.
const ROOM_BEFORE_BYTES_MAX: usize = 4 << 20;

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
    /// A buffer for `length` bytes. It has room for them, or some room, and grows when it is
    /// [filled](Buffer::fill): that somebody says that so much comes is not enough.
    pub(super) fn take(&self, length: usize) -> Buffer {
        let mut bytes = self.smallest(length);
        if bytes.is_empty() {
            bytes.resize(length.next_multiple_of(STEP_BYTES).min(ROOM_BEFORE_BYTES_MAX), 0);
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
    /// Has `read` fill the first `length` bytes, in pieces where there is not room for all yet.
    ///
    /// # Errors
    ///
    /// That of `read`.
    pub(super) fn fill(
        &mut self,
        length: usize,
        mut read: impl FnMut(&mut [u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let mut filled = 0;
        loop {
            let end = length.min(self.bytes.len());
            read(&mut self.bytes[filled..end])?;
            filled = end;
            if filled == length {
                return Ok(());
            }
            let room = length.next_multiple_of(STEP_BYTES).min(2 * filled.max(STEP_BYTES));
            self.home.0.lent_bytes.fetch_add(room - self.bytes.len(), Ordering::Relaxed);
            self.bytes.resize(room, 0);
        }
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
