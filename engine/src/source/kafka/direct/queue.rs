//! What lies between the threads that fetch and the worker that reads: for each partition the
//! answers that came, in order, and from where to fetch on.
//!
//! One lock for a reader. It is taken once for each answer and once for each read of a partition,
//! never for a message.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::FetchTopic;
use strandline_operators::record::{Offset, Partition};

use super::buffers::Buffers;
use super::options::DirectOptions;
use crate::clock::Clock;
use crate::source::Wake;
use crate::source::kafka::budget::Share;
use crate::source::kafka::connection::Connection;
use crate::source::kafka::in_flight::InFlight;
use crate::source::kafka::watch::HeardEnd;

/// An answer of less is not worth a request.
const ROOM_BYTES_MIN: usize = 64 << 10;

/// What the threads of one reader share.
pub(super) struct Shared {
    pub(super) connection: Arc<Connection>,
    pub(super) options: DirectOptions,
    pub(super) buffers: Buffers,
    /// What this reader may hold.
    pub(super) share: Share,
    /// What its partitions keep unpacked.
    pub(super) unpacked_bytes: Arc<AtomicUsize>,
    in_flight: InFlight,
    pub(super) wake: Wake,
    pub(super) clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct State {
    /// The reader is gone: nobody is to be woken any more.
    pub(super) closed: bool,
    pub(super) partitions: BTreeMap<Partition, Fetching>,
    /// Which topic it is, as brokers want to be told, once one has said it.
    pub(super) topic: Option<FetchTopic>,
    /// Brokers that are being fetched from, each by a thread of its own.
    pub(super) serving: BTreeMap<i32, Option<TcpStream>>,
    /// Brokers to which the connection broke, and has brought nothing since.
    pub(super) broken: BTreeMap<i32, Broken>,
    /// Which partition is asked for first.
    pub(super) turn: usize,
}

/// A partition as it is fetched.
pub(super) struct Fetching {
    /// The next offset to ask for.
    pub(super) next: Offset,
    /// Where a bounded run ends.
    pub(super) end: Option<Offset>,
    /// Under which leader the batch before `next` was written; -1 if none was fetched.
    pub(super) epoch: i32,
    pub(super) leader: Option<Leader>,
    /// How many times in a row it had no leader, or one that did not answer. Of its own: an answer
    /// for other partitions says nothing of it.
    pub(super) failures: u32,
    /// How often fetching began anew: what was asked for before is not taken.
    pub(super) round: u32,
    pub(super) queue: VecDeque<Fetched>,
    pub(super) queued_bytes: usize,
    pub(super) queued_messages: u64,
    /// The high watermark, as last heard.
    pub(super) high: Option<Offset>,
    /// The same, with when that was.
    pub(super) heard: Option<HeardEnd>,
    /// The end of what may be read, where that was said last.
    pub(super) said_end: Option<Offset>,
    /// When that was said last.
    pub(super) ended_at: Option<Duration>,
    /// When messages of it were read last.
    pub(super) read_at: Option<Duration>,
    /// Nothing is fetched until the reader has seen to it.
    pub(super) halted: bool,
    /// There was no room for more when it was looked at last.
    pub(super) full: bool,
    /// Its last answer held no whole batch though there are some: it has to be asked for first.
    pub(super) starved: bool,
}

/// A connection that broke.
pub(super) struct Broken {
    /// How many times the cluster had answered an inquiry then.
    answers: u64,
}

/// Who has a partition.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) broker: i32,
    pub(super) epoch: i32,
}

/// What came for a partition.
pub(super) enum Fetched {
    Batches(Batches),
    Trouble(Trouble),
}

/// Whole batches of one answer, and what it said of the partition.
pub(super) struct Batches {
    pub(super) bytes: Bytes,
    /// Bytes of memory that is held as long as these are: all of the answer, and what is free
    /// behind it.
    pub(super) held_bytes: usize,
    pub(super) messages: u64,
    /// Everything before it is in the batches, or was before them.
    pub(super) next: Offset,
    /// Where the log begins.
    pub(super) low: Option<Offset>,
    /// Whether there is nothing to be read at `next`.
    pub(super) ends: bool,
    /// Producers whose transactions were aborted, with their first offsets, in the order of these.
    pub(super) aborted: Vec<(i64, i64)>,
}

/// Why nothing came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The offset asked for is not in the log.
    OutOfRange,
    /// The log no longer holds what was read before.
    CutBack(String),
    /// No repetition mends it.
    Fatal(String),
    /// It is tried again; worth a line.
    Passing(Passing),
}

/// What may be the matter with a partition for a while.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) enum Passing {
    /// The broker says that something is wrong.
    Error(ResponseError),
    /// The broker sends readers to another replica.
    Elsewhere,
}

impl Shared {
    pub(super) fn new(
        connection: Arc<Connection>,
        options: DirectOptions,
        wake: Wake,
        clock: Clock,
    ) -> Arc<Shared> {
        let state = State {
            closed: false,
            partitions: BTreeMap::new(),
            topic: None,
            serving: BTreeMap::new(),
            broken: BTreeMap::new(),
            turn: 0,
        };
        let (buffers, state, changed) = (Buffers::default(), Mutex::new(state), Condvar::new());
        let (share, unpacked_bytes) = (connection.budget.share(), Arc::default());
        let in_flight = InFlight::new(&connection.settings.telemetry);
        Arc::new(Shared {
            connection,
            options,
            buffers,
            share,
            unpacked_bytes,
            in_flight,
            wake,
            clock,
            state,
            changed,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures what is held just now.
    pub(super) fn measure_in_flight(&self) {
        let unpacked = self.unpacked_bytes.load(Ordering::Relaxed);
        self.in_flight.set((self.buffers.lent_bytes() + unpacked) as u64);
    }

    /// Whether answers are held that are more than all queues together may be.
    pub(super) fn holds_too_much(&self, state: &State) -> bool {
        let all = self.options.queued_bytes.saturating_mul(state.partitions.len());
        all.min(self.share.packed_bytes()) < self.buffers.lent_bytes()
    }

    /// How many bytes the next answer may have, of as many brokers as are fetched from; none if as much
    /// is held as may be. Then only who has nothing waits for an answer, of one batch.
    pub(super) fn room_bytes(&self, state: &State) -> Option<usize> {
        let free = self.share.packed_bytes().saturating_sub(self.buffers.lent_bytes());
        Some(free / state.serving.len().max(1)).filter(|&room| ROOM_BYTES_MIN <= room)
    }

    /// A connection broke. That is worth a line where the cluster could be reached since it broke
    /// before, and not by this one. `answers`: how many times the cluster had answered an inquiry
    /// when this try began.
    pub(super) fn broke(&self, broker: i32, address: &str, answers: u64, reason: &io::Error) {
        let now = self.connection.answers();
        let before = self.state().broken.entry(broker).or_insert(Broken { answers: now }).answers;
        if before < answers {
            self.connection.say_broken(broker, address, &reason.to_string());
        }
        self.connection.inquire(&self.wake);
    }

    /// A broker has answered.
    pub(super) fn answered(&self, state: &mut State, broker: i32) {
        if state.broken.remove(&broker).is_some() {
            self.connection.say_mended(broker);
        }
    }

    /// Waits until something has changed.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so long, whatever changes meanwhile, unless the reader is closed.
    pub(super) fn rest<'a>(
        &self,
        state: MutexGuard<'a, State>,
        long: Duration,
    ) -> MutexGuard<'a, State> {
        let rested = self.changed.wait_timeout_while(state, long, |state| !state.closed);
        rested.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells the threads that there may be something to do.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Keeps the stream by which a thread waits, so that closing can end the wait; fails if the
    /// reader is closed.
    pub(super) fn waits_at(&self, broker: i32, stream: Option<&TcpStream>) -> io::Result<()> {
        let stream = stream.map(TcpStream::try_clone).transpose()?;
        let mut state = self.state();
        if state.closed {
            return Err(io::Error::other("closed"));
        }
        state.serving.insert(broker, stream);
        Ok(())
    }

    /// Ends all threads, soon; nobody is woken after this.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for stream in state.serving.values().flatten() {
            // One that is broken already waits for nothing.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.notify();
    }
}

impl Batches {
    /// Lets go of the rest of the memory that they hold, if that is as much as they are, or more.
    pub(super) fn detach(&mut self) {
        if self.bytes.len() <= self.held_bytes / 2 {
            self.bytes = Bytes::copy_from_slice(&self.bytes);
            self.held_bytes = self.bytes.len();
        }
    }
}

impl State {
    /// Lets go of what the queues hold beyond what waits in them. A partition that is not read holds
    /// whole answers, which others have read long ago.
    pub(super) fn detach(&mut self) {
        for fetched in self.partitions.values_mut().flat_map(|fetching| &mut fetching.queue) {
            if let Fetched::Batches(batches) = fetched {
                batches.detach();
            }
        }
    }

    /// Nothing more comes for some partitions, for a reason that ends the job.
    pub(super) fn give_up(&mut self, reason: &str, of: impl Fn(&Fetching) -> bool, wake: &Wake) {
        let of = self.partitions.iter().filter(|(_, fetching)| of(fetching));
        for partition in of.map(|(&partition, _)| partition).collect::<Vec<_>>() {
            self.put(partition, Fetched::Trouble(Trouble::Fatal(reason.to_owned())), wake);
        }
    }

    /// Puts something into a partition's queue, and wakes the worker.
    pub(super) fn put(&mut self, partition: Partition, fetched: Fetched, wake: &Wake) {
        let Some(fetching) = self.partitions.get_mut(&partition) else { return };
        match &fetched {
            Fetched::Batches(batches) => {
                fetching.queued_bytes += batches.bytes.len();
                fetching.queued_messages += batches.messages;
            }
            Fetched::Trouble(Trouble::Passing(_)) => {
                if let Some(Fetched::Trouble(Trouble::Passing(_))) = fetching.queue.back() {
                    return; // Said already, and not yet heard.
                }
            }
            Fetched::Trouble(_) => fetching.halted = true,
        }
        fetching.queue.push_back(fetched);
        if !self.closed {
            wake.wake();
        }
    }
}

impl Fetching {
    pub(super) fn new(next: Offset, end: Option<Offset>) -> Fetching {
        Fetching {
            next,
            end,
            epoch: -1,
            leader: None,
            failures: 0,
            round: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_messages: 0,
            high: None,
            heard: None,
            said_end: None,
            ended_at: None,
            read_at: None,
            halted: false,
            full: false,
            starved: false,
        }
    }

    /// Its leader did not answer for it, or nobody has it.
    pub(super) fn has_failed(&mut self) {
        self.leader = None;
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether it is to be fetched, and nobody fetches it.
    pub(super) fn lacks_leader(&self) -> bool {
        self.leader.is_none() && self.wants_more()
    }

    /// Whether there is more to fetch, some time.
    pub(super) fn wants_more(&self) -> bool {
        !self.halted && self.end.is_none_or(|end| self.next < end)
    }

    /// Whether there is room for more now.
    pub(super) fn has_room(&self, options: &DirectOptions) -> bool {
        self.queued_bytes < options.queued_bytes
            && (self.queued_messages == 0 || self.queued_messages < options.queued_messages)
    }

    /// Whether its broker says at this moment that there is nothing more.
    pub(super) fn ends_now(&self, now: Duration, options: &DirectOptions) -> bool {
        self.ended_at.is_some_and(|at| now.saturating_sub(at) <= options.end_counts_for)
    }

    /// Takes what came first.
    pub(super) fn take(&mut self) -> Option<Fetched> {
        let fetched = self.queue.pop_front()?;
        if let Fetched::Batches(batches) = &fetched {
            self.queued_bytes -= batches.bytes.len();
            self.queued_messages -= batches.messages;
        }
        Some(fetched)
    }

    /// Begins anew at an offset.
    pub(super) fn restart(&mut self, next: Offset) {
        self.queue.clear();
        (self.queued_bytes, self.queued_messages) = (0, 0);
        self.round += 1;
        (self.next, self.epoch, self.halted, self.said_end) = (next, -1, false, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::source::kafka::settings::KafkaSettings;

    #[test]
    fn a_broker_that_fails_while_the_cluster_answers_is_said_once() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let mut settings = KafkaSettings::new("127.0.0.1:1", "t");
        settings.report = Report::new(move |line| heard.lock().unwrap().push(line.to_owned()));
        let options = DirectOptions::new(&settings, Some(1)).unwrap();
        let shared = Shared::new(
            Connection::new(settings).unwrap(),
            options,
            Wake::new(|| ()),
            Clock::system(),
        );
        // The inquiry may say something too.
        let said = || -> Vec<String> {
            let lines = lines.lock().unwrap();
            lines.iter().filter(|line| line.contains("fetching")).cloned().collect()
        };
        let reason = io::Error::other("no route");
        shared.broke(3, "b3:9092", 0, &reason);
        shared.broke(3, "b3:9092", 0, &reason);
        assert_eq!(
            said(),
            Vec::<String>::new(),
            "nobody has looked yet whether the cluster answers"
        );
        shared.broke(3, "b3:9092", 1, &reason);
        shared.broke(3, "b3:9092", 2, &reason);
        assert_eq!(said().len(), 1);
        assert!(said()[0].contains("b3:9092") && said()[0].contains("no route"), "{:?}", said());
        shared.answered(&mut shared.state(), 3);
        shared.answered(&mut shared.state(), 3);
        assert_eq!(said()[1..], ["fetching from b3:9092 goes on"]);
    }

    /// An answer for one partition, as a partition without much traffic gets them.
    #[test]
    fn small_answers_that_wait_do_not_hold_their_buffers() {
        let buffers = Buffers::default();
        let mut fetching = Fetching::new(Offset(0), None);
        for number in 0..100_u8 {
            let mut buffer = buffers.take(200);
            buffer
                .fill(200, |room| {
                    room.fill(number);
                    Ok(())
                })
                .unwrap();
            let held_bytes = buffer.len();
            fetching.queue.push_back(Fetched::Batches(Batches {
                bytes: buffer.share(200),
                held_bytes,
                messages: 1,
                next: Offset(1),
                low: None,
                ends: false,
                aborted: Vec::new(),
            }));
        }
        assert!(100 * 200 < buffers.lent_bytes() / 1_000, "each holds a whole buffer");
        let mut state = State {
            closed: false,
            partitions: [(Partition(0), fetching)].into(),
            topic: None,
            serving: BTreeMap::new(),
            broken: BTreeMap::new(),
            turn: 0,
        };
        state.detach();
        assert_eq!(buffers.lent_bytes(), 0);
        for number in 0..100_u8 {
            let taken = state.partitions.get_mut(&Partition(0)).unwrap().queue.pop_front();
            let Some(Fetched::Batches(batches)) = taken else { panic!("a batch") };
            assert_eq!(batches.bytes, vec![number; 200]);
        }
    }
}
