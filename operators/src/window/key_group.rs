//! Which worker merges a key: groups of keys, by a hash that is the same in every build.
//!
//! There is a fixed number of groups, and a worker has those that are its number modulo the number of
//! workers; so another number of workers can take over what was kept.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::record::Key;

/// How many groups there are.
pub const KEY_GROUPS: u16 = 256;

/// A group of keys, from 0 to [`KEY_GROUPS`] - 1.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyGroup(pub u16);

/// A key's hash, of which its group is a part: the same in every process and build.
#[inline]
pub(super) fn route(key: Key<'_>) -> u64 {
    xxh3_64(key.as_bytes())
}

impl KeyGroup {
    /// The group of a key: the same in every process, build and version.
    ///
    /// ```
    /// use strandline_operators::window::KeyGroup;
    ///
    /// assert_eq!(KeyGroup::of("device-abc123"), KeyGroup(222));
    /// ```
    pub fn of(key: &str) -> KeyGroup {
        KeyGroup::of_route(route(key.into()))
    }

    /// From the middle of the hash: hash tables use its ends.
    pub(crate) fn of_route(route: u64) -> KeyGroup {
        KeyGroup(u16::from(route.to_le_bytes()[4]))
    }

    /// Its place in a list by group.
    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Which of `workers` has the group.
    pub fn worker(self, workers: usize) -> usize {
        usize::from(self.0) % workers
    }
}
