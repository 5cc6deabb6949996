//! The connections that are open, and which of them goes when there are too many.
//!
//! The newest always gets in. A client that holds connections without asking for anything, or many
//! of them, makes room first: otherwise a hundred unfinished requests would lock everybody out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Most connections at a time. Above half of it, no connection is kept alive.
pub(crate) const CONNECTIONS_MAX: usize = 128;
/// Most connections at a time from one address.
pub(crate) const CONNECTIONS_OF_PEER_MAX: usize = 64;

/// All connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the order in which they came.
    open: BTreeMap<u64, Open>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    peer: IpAddr,
    /// Whether it has completed the head of a request.
    has_asked: bool,
    /// Dropped to close it.
    _keep: oneshot::Sender<()>,
}

/// A connection's place. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
}

impl Connections {
    /// Lets a connection in, and closes another one where there are too many. The receiver ends when
    /// this one has to go.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> (Place, oneshot::Receiver<()>) {
        let mut state = self.lock();
        let of_peer = state.open.values().filter(|open| open.peer == peer).count();
        if CONNECTIONS_OF_PEER_MAX <= of_peer {
            state.close_one(|open| open.peer == peer);
        } else if CONNECTIONS_MAX <= state.open.len() {
            state.close_one(|_| true);
        }
        let number = state.next;
        state.next += 1;
        let (keep, closed) = oneshot::channel();
        state.open.insert(number, Open { peer, has_asked: false, _keep: keep });
        drop(state);
        (Place { connections: Arc::clone(self), number }, closed)
    }

    /// Whether so many are open that none should be kept for further requests.
    pub(crate) fn are_many(&self) -> bool {
        CONNECTIONS_MAX / 2 < self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the oldest connection that has not asked for anything yet; if there is none, the
    /// oldest.
    fn close_one(&mut self, among: impl Fn(&Open) -> bool) {
        let candidates = self.open.iter().filter(|(_, open)| among(open));
        let first = candidates.min_by_key(|(number, open)| (open.has_asked, **number));
        if let Some(number) = first.map(|(number, _)| *number) {
            self.open.remove(&number);
        }
    }
}

impl Place {
    /// The head of a request is complete.
    pub(crate) fn note_request(&self) {
        if let Some(open) = self.connections.lock().open.get_mut(&self.number) {
            open.has_asked = true;
        }
    }

    /// Whether so many are open that this one should not be kept for further requests.
    pub(crate) fn should_close(&self) -> bool {
        self.connections.are_many()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    fn is_closed(closed: &mut oneshot::Receiver<()>) -> bool {
        matches!(closed.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn the_newest_gets_in_and_the_oldest_that_asks_for_nothing_goes() {
        let connections = Arc::new(Connections::default());
        let mut all: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|number| connections.admit(peer(u8::try_from(number % 4).unwrap())))
            .collect();
        all[0].0.note_request();
        let (_newest, mut closed) = connections.admit(peer(9));
        assert!(!is_closed(&mut closed));
        let gone: Vec<usize> =
            (0..all.len()).filter(|index| is_closed(&mut all[*index].1)).collect();
        assert_eq!(gone, [1]);
    }

    #[test]
    fn who_holds_many_makes_room_for_its_own() {
        let connections = Arc::new(Connections::default());
        let (_other, mut other_closed) = connections.admit(peer(1));
        let mut greedy: Vec<_> =
            (0..=CONNECTIONS_OF_PEER_MAX).map(|_| connections.admit(peer(2))).collect();
        assert!(is_closed(&mut greedy[0].1) && !is_closed(&mut greedy[1].1));
        assert!(!is_closed(&mut other_closed));
    }

    #[test]
    fn a_place_that_is_given_back_is_free() {
        let connections = Arc::new(Connections::default());
        let (_first, mut closed) = connections.admit(peer(1));
        for _ in 0..2 * CONNECTIONS_MAX {
            drop(connections.admit(peer(2)));
        }
        assert!(!is_closed(&mut closed) && !connections.are_many());
    }
}
