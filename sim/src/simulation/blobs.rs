//! Blobs in memory that fail as a store across a network does.
//!
//! What is stored is durable: neither a crash nor a loss of power touches it. But whoever asks may
//! not hear what became of a request: it did not arrive; it was done, and the answer was lost; or
//! it is still under way and will be done later, when the one who asked has given up, has tried
//! again, or is dead. Such a late request is done as any other: a name that has been taken
//! meanwhile is not replaced. Listings are up to date, as those of S3 are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use strandline_engine::checkpoint::blobs::{BlobEntry, BlobError, Blobs};

use super::outside::{Effect, Happened, Kind, Outside, ProcessId, Verdict, Weakness};
use crate::random::SplitMix64;

/// A store of blobs. Clones are the same one.
#[derive(Clone, Debug)]
pub struct MemoryBlobs {
    stored: Arc<Mutex<Stored>>,
    outside: Outside,
}

#[derive(Debug, Default)]
struct Stored {
    blobs: BTreeMap<String, Vec<u8>>,
    /// Requests whose callers hear no answer, and that are not done yet.
    under_way: VecDeque<Request>,
    planted: Vec<String>,
}

#[derive(Debug)]
enum Request {
    Put { name: String, bytes: Vec<u8> },
    Delete { name: String },
}

/// What it is called in messages.
const PLACE: &str = "memory:checkpoints";

/// One in so many operations brings a request that is under way to its end.
const ARRIVES_ONE_IN: u64 = 8;

impl MemoryBlobs {
    /// A store without blobs.
    pub fn new(outside: &Outside) -> MemoryBlobs {
        MemoryBlobs { stored: Arc::default(), outside: outside.clone() }
    }

    /// The store as a process sees it.
    pub fn seen_by(&self, process: ProcessId) -> Arc<dyn Blobs> {
        Arc::new(Client { blobs: self.clone(), process: Some(process) })
    }

    /// The store as somebody sees it to whom nothing happens: for judging. What it does is neither
    /// counted nor traced.
    pub fn seen_from_above(&self) -> Arc<dyn Blobs> {
        Arc::new(Client { blobs: self.clone(), process: None })
    }

    /// Damages a blob: inverts one of its bits. Whether there is such a blob, with a byte in it.
    pub fn damage(&self, name: &str, byte: u64) -> bool {
        let mut stored = self.stored();
        let Some(bytes) = stored.blobs.get_mut(name).filter(|bytes| !bytes.is_empty()) else {
            return false;
        };
        let index = usize::try_from(byte).unwrap_or(usize::MAX) % bytes.len();
        bytes[index] ^= 1 << (byte % 8);
        true
    }

    /// Puts a blob there that is nobody's, and that no law looks at.
    pub(super) fn plant(&self, name: &str, bytes: Vec<u8>) {
        let mut stored = self.stored();
        stored.blobs.insert(name.to_owned(), bytes);
        stored.planted.push(name.to_owned());
    }

    /// Puts a blob in the place of another.
    pub(super) fn replace(&self, name: &str, bytes: Vec<u8>) {
        self.stored().blobs.insert(name.to_owned(), bytes);
    }

    /// Takes away what was planted.
    ///
    /// # Errors
    ///
    /// Somebody else has.
    pub(super) fn remove_planted(&self) -> Result<(), String> {
        let mut stored = self.stored();
        for name in std::mem::take(&mut stored.planted) {
            stored.blobs.remove(&name).ok_or_else(|| format!("{name} was removed"))?;
        }
        Ok(())
    }

    /// The names of all blobs.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.stored().blobs.keys().cloned().collect()
    }

    /// The power goes: as everything that is stored is durable, that changes nothing, unless the
    /// world has that [weakness](Weakness::BlobsAreLost).
    pub fn power_lost(&self, random: &mut SplitMix64) {
        if self.outside.has(Weakness::BlobsAreLost) {
            self.stored().blobs.retain(|_, _| random.happens(0.5));
        }
    }

    /// Brings the requests that are under way to their end.
    pub fn settle(&self) {
        let mut stored = self.stored();
        while let Some(request) = stored.under_way.pop_front() {
            stored.serve(request, &self.outside);
        }
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    fn serve(&mut self, request: Request, outside: &Outside) {
        match request {
            Request::Put { name, bytes } => {
                if !self.blobs.contains_key(&name) {
                    self.blobs.insert(name.clone(), bytes.clone());
                    outside.happened(Happened::Stored { name, bytes });
                }
            }
            Request::Delete { name } => {
                if self.blobs.remove(&name).is_some() {
                    outside.happened(Happened::Deleted { name });
                }
            }
        }
    }
}

/// The store as one process sees it, or nobody in particular.
#[derive(Clone, Debug)]
struct Client {
    blobs: MemoryBlobs,
    process: Option<ProcessId>,
}

impl Client {
    fn enter(&self, kind: Kind, name: fmt::Arguments<'_>) -> Verdict {
        let Some(process) = self.process else { return Verdict::Done };
        let outside = &self.blobs.outside;
        let verdict = outside.enter(process, kind, name);
        let has_any = !self.blobs.stored().under_way.is_empty();
        if has_any && outside.below(ARRIVES_ONE_IN) == 0 {
            let mut stored = self.blobs.stored();
            if let Some(request) = stored.under_way.pop_front() {
                outside.trace().line(format_args!("  a late request arrives: {request}"));
                outside.excuse(process);
                stored.serve(request, outside);
            }
        }
        verdict
    }

    fn look<R>(
        &self,
        name: fmt::Arguments<'_>,
        look: impl FnOnce(&BTreeMap<String, Vec<u8>>) -> Result<R, BlobError>,
    ) -> Result<R, BlobError> {
        match self.enter(Kind::ReadBlobs, name) {
            Verdict::Done => look(&self.blobs.stored().blobs),
            Verdict::Failed { .. } => Err(failed("no answer")),
        }
    }

    fn change(&self, name: fmt::Arguments<'_>, request: Request) -> Result<(), BlobError> {
        match self.enter(Kind::ChangeBlobs, name) {
            Verdict::Done => {
                let mut stored = self.blobs.stored();
                if let Request::Put { name, .. } = &request
                    && stored.blobs.contains_key(name)
                {
                    return Err(BlobError::Taken { place: PLACE.to_owned(), name: name.clone() });
                }
                stored.serve(request, &self.blobs.outside);
                Ok(())
            }
            Verdict::Failed { effect, .. } => {
                let mut stored = self.blobs.stored();
                match effect {
                    Effect::All => stored.serve(request, &self.blobs.outside),
                    Effect::Later => stored.under_way.push_back(request),
                    Effect::Nothing | Effect::Part { .. } => {}
                }
                Err(failed("no answer"))
            }
        }
    }
}

fn failed(reason: &str) -> BlobError {
    BlobError::Failed { place: PLACE.to_owned(), reason: reason.to_owned() }
}

fn absent(name: &str) -> BlobError {
    BlobError::Absent { place: PLACE.to_owned(), name: name.to_owned() }
}

impl Blobs for Client {
    fn place(&self) -> String {
        PLACE.to_owned()
    }

    fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), BlobError> {
        let line = format_args!("put {name}, {} bytes", bytes.len());
        self.change(line, Request::Put { name: name.to_owned(), bytes: bytes.into() })
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError> {
        self.look(format_args!("get {name}"), |blobs| {
            blobs.get(name).cloned().ok_or_else(|| absent(name))
        })
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.look(format_args!("get {name} {range:?}"), |blobs| {
            let bytes = blobs.get(name).ok_or_else(|| absent(name))?;
            let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let wanted = bytes.get(index(range.start)..index(range.end));
            wanted.map(<[u8]>::to_vec).ok_or_else(|| failed("the blob is shorter than that"))
        })
    }

    fn list(&self) -> Result<Vec<BlobEntry>, BlobError> {
        self.look(format_args!("list blobs"), |blobs| {
            let entry = |(name, bytes): (&String, &Vec<u8>)| BlobEntry {
                name: name.clone(),
                bytes: bytes.len() as u64,
            };
            Ok(blobs.iter().map(entry).collect())
        })
    }

    fn delete(&self, name: &str) -> Result<(), BlobError> {
        self.change(format_args!("delete {name}"), Request::Delete { name: name.to_owned() })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Put { name, bytes } => write!(f, "put {name}, {} bytes", bytes.len()),
            Request::Delete { name } => write!(f, "delete {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::outside::{FaultRates, Spell};
    use super::super::trace::Trace;
    use super::*;

    const ME: ProcessId = ProcessId(0);

    fn blobs(seed: u64) -> (Outside, MemoryBlobs) {
        let outside = Outside::new(seed, Trace::default());
        let blobs = MemoryBlobs::new(&outside);
        (outside, blobs)
    }

    #[test]
    fn of_two_who_put_the_same_name_one_loses() {
        let (_, blobs) = blobs(0);
        let (mine, other) = (blobs.seen_by(ME), blobs.seen_by(ProcessId(1)));
        mine.put_new("a", vec![1].into()).unwrap();
        assert!(matches!(other.put_new("a", vec![2].into()), Err(BlobError::Taken { .. })));
        assert_eq!(other.get("a").unwrap(), [1]);
        assert_eq!(other.get_range("a", 0..1).unwrap(), [1]);
        assert!(matches!(other.get_range("a", 0..2), Err(BlobError::Failed { .. })));
        mine.delete("a").unwrap();
        mine.delete("a").unwrap();
        assert!(matches!(other.get("a"), Err(BlobError::Absent { .. })));
    }

    #[test]
    fn a_put_that_fails_was_done_or_not_or_is_done_later_but_replaces_nothing() {
        let mut seen = [0; 3];
        for seed in 0..200 {
            let (outside, blobs) = blobs(seed);
            let mine = blobs.seen_by(ME);
            outside.set_spell(Some(Spell::Blobs));
            mine.put_new("a", vec![1].into()).unwrap_err();
            outside.set_spell(None);
            let above = blobs.seen_from_above();
            let before = above.get("a").is_ok();
            let other = blobs.seen_by(ProcessId(1)).put_new("a", vec![2].into());
            blobs.settle();
            match above.get("a").unwrap().as_slice() {
                [1] => {
                    assert!(matches!(other, Err(BlobError::Taken { .. })));
                    seen[usize::from(!before)] += 1;
                }
                _ => {
                    other.unwrap();
                    seen[2] += 1;
                }
            }
        }
        assert!(seen.iter().all(|count| 0 < *count), "{seen:?}");
    }

    #[test]
    fn a_blob_can_be_damaged() {
        let (outside, blobs) = blobs(0);
        outside.set_rates(FaultRates { disk: 1.0, blobs: 0.0 });
        blobs.seen_by(ME).put_new("a", vec![0; 8].into()).unwrap();
        assert!(blobs.damage("a", 13));
        assert!(!blobs.damage("b", 13));
        assert_ne!(blobs.seen_from_above().get("a").unwrap(), [0; 8]);
    }
}
