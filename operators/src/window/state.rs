//! State as it leaves and comes back: what a consistent cut holds of the open windows.
//!
//! A cut is asked for on a stream of its own ([`Cut`]), and its copy leaves on another
//! ([`Snapshot`]); what was kept of an earlier run comes in as a third ([`PaneState`]). The
//! operator knows nothing of stores.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::{Scope, StreamVec};

use super::index::PlacementSeed;
use super::unmerged::Unmerged;
use super::{Pulse, Spans};
use crate::time::{EventTime, Time};

/// Asks for a copy of the state at the end of an epoch.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The epoch.
    pub epoch: u64,
    /// Whether nothing is to follow it in this run: outputs complete their files.
    pub closing: bool,
}

/// The epoch that the state at the end of a stream belongs to: after all others.
pub const LAST_EPOCH: u64 = u64::MAX;

/// What one worker holds at a cut. Each worker sends one for each cut, and one at the end of the
/// stream, for [`LAST_EPOCH`].
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<P> {
    /// The epoch whose end this is.
    pub epoch: u64,
    /// As in the request; true at the end of the stream.
    pub closing: bool,
    /// Windows that end at or before this are closed, here.
    pub closed_before: EventTime,
    /// The panes of open windows.
    pub panes: Vec<PaneState<P>>,
}

/// A key and an open window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaneState<P> {
    /// The key.
    pub key: SmolStr,
    /// The start of the window.
    pub start: EventTime,
    /// What is aggregated so far.
    pub partial: P,
    /// Which records that covers.
    pub spans: Spans,
}

/// What windows take in besides events.
pub struct WindowInputs<'s, P: Clone + 'static> {
    /// Asks for live rows. It holds nothing back.
    pub pulses: StreamVec<'s, Time, Pulse>,
    /// Asks for cuts. An epoch is left when the frontier of this stream has passed it too, so a
    /// cut of an epoch has to be sent at that epoch or before; at the end of the events it is no
    /// longer waited for. Each worker needs all of them.
    pub cuts: StreamVec<'s, Time, Cut>,
    /// What is kept of an earlier run, on any worker: it belongs to the epochs before those of the
    /// events. No window closes before this stream has ended.
    pub restored: StreamVec<'s, Time, PaneState<P>>,
    /// Where keys lie in memory.
    pub placement: PlacementSeed,
    /// Where it is counted how much is merged.
    pub unmerged: Unmerged,
}

impl<'s, P: Clone + 'static> WindowInputs<'s, P> {
    /// Nothing: no live rows, no cuts, nothing restored; and the default placement of keys.
    pub fn none(scope: Scope<'s, Time>) -> WindowInputs<'s, P> {
        let (pulses, cuts, restored) = (empty(scope), empty(scope), empty(scope));
        let (placement, unmerged) = (PlacementSeed::default(), Unmerged::default());
        WindowInputs { pulses, cuts, restored, placement, unmerged }
    }
}
