//! How far everybody is, for partitions that wait for the others.

use std::cell::Cell;
use std::rc::Rc;

use strandline_operators::time::{EventTime, Time};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator as _;
use timely::scheduling::Activator;

/// The least event time that any worker may still send, as this worker has heard.
///
/// It is not asked for again and again: whoever waits for it to move is scheduled when it has.
#[derive(Debug)]
pub(super) struct Pace {
    /// `None`: nothing more comes.
    frontier: Cell<Option<EventTime>>,
    is_awaited: Cell<bool>,
}

impl Pace {
    pub(super) fn new() -> Rc<Pace> {
        Rc::new(Pace { frontier: Cell::new(Some(EventTime::MIN)), is_awaited: Cell::new(false) })
    }

    /// The least event time; `None` if nothing more comes.
    pub(super) fn frontier(&self) -> Option<EventTime> {
        self.frontier.get()
    }

    /// Once the frontier has moved, the operator that is followed is scheduled, once.
    pub(super) fn wait(&self) {
        self.is_awaited.set(true);
    }

    /// Passes a stream on, and follows its frontier; `activator` is that of the operator that waits.
    pub(super) fn follow<'s, D: Clone + 'static>(
        self: Rc<Self>,
        stream: StreamVec<'s, Time, D>,
        activator: Activator,
    ) -> StreamVec<'s, Time, D> {
        stream.unary_frontier::<CapacityContainerBuilder<Vec<D>>, _, _, _>(
            Pipeline,
            "Pace",
            move |_, _| {
                move |(input, frontier), output| {
                    input.for_each(|time, sent| output.session(&time).give_container(sent));
                    let least = frontier.frontier().iter().map(|time| time.event).min();
                    if self.frontier.replace(least) != least && self.is_awaited.take() {
                        activator.activate();
                    }
                }
            },
        )
    }
}
