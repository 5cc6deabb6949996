//! The operator that holds an epoch open until everything of it is durable.
//!
//! It hands final rows, rejected records and copies of the state to the process's committer, each
//! with its epoch, and says which epochs it has passed. Of each cut it holds a capability until
//! the committer has made it durable. So the frontier after it says of the disk what the frontier
//! before it says of the data: when it has passed an epoch, the cut of that epoch is durable, on
//! all workers.
//!
//! State and rows lose their types here: what is behind knows how to [encode](CutState) state, and no
//! more. The output of [rows](OpaqueRows) knows their type again.

use std::collections::BTreeMap;

use serde::Serialize;
use strandline_operators::rejected::Rejected;
use strandline_operators::time::{EventTime, Time};
use strandline_operators::window::{LAST_EPOCH, Snapshot};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use crate::commit::OpaqueRows;
use crate::commit::mailbox::{CutState, Mailbox, MailboxItem};
use crate::commit::protocol::{LeaderCommand, Sealed, Shown};
use crate::error::JobError;
use crate::failure::Failure;
use crate::finals::SharedRows;

/// Which worker it is, and what for.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Standing {
    /// The process.
    pub(crate) process: usize,
    /// How many there are.
    pub(crate) processes: usize,
    /// The worker's number in its process; the first one speaks for the process.
    pub(crate) worker: usize,
    /// Whether there are checkpoints.
    pub(crate) checkpoints: bool,
}

/// What is to become durable.
pub(crate) struct Outgoing<'s, P: 'static, O: 'static> {
    pub(crate) finals: StreamVec<'s, Time, SharedRows<O>>,
    pub(crate) rejected: StreamVec<'s, Time, Rejected>,
    pub(crate) snapshots: StreamVec<'s, Time, Snapshot<P>>,
    pub(crate) words: StreamVec<'s, Time, LeaderCommand>,
}

/// Hands everything to the committer. Without checkpoints, nothing is held: once the frontier of the
/// output has passed a time, the committer has everything of it.
///
/// Also says which files are visible. Where there are other processes, the dataflow of a run that
/// comes to its end does not end before all of them have shown theirs: the first process would
/// otherwise say that all is done, although another one may still die before that.
pub(crate) fn durable<'s, P: Clone + Serialize + Send + 'static, O: Send + Sync + 'static>(
    scope: Scope<'s, Time>,
    outgoing: Outgoing<'s, P, O>,
    standing: Standing,
    mailbox: Mailbox,
    failure: Failure,
) -> (StreamVec<'s, Time, Sealed>, StreamVec<'s, Time, Shown>) {
    let Standing { process, processes, worker, checkpoints } = standing;
    let mut builder = OperatorBuilder::new("Durable".to_owned(), scope);
    let nowhere: [(usize, Antichain<()>); 0] = [];
    let mut finals = builder.new_input(outgoing.finals, Pipeline);
    let mut rejected = builder.new_input(outgoing.rejected, Pipeline);
    let mut snapshots = builder.new_input(outgoing.snapshots, Pipeline);
    let mut words = builder.new_input_connection(outgoing.words, Pipeline, nowhere);
    builder.set_notify_for(3, FrontierInterest::Never);
    let unchanged = || Antichain::from_elem(());
    let (sealed, sealed_stream) =
        builder.new_output_connection([(0, unchanged()), (1, unchanged()), (2, unchanged())]);
    let nowhere: [(usize, Antichain<()>); 0] = [];
    let (shown, shown_stream) = builder.new_output_connection(nowhere);

    let address = builder.operator_info().address;
    mailbox.wake_on_news(scope.worker().sync_activator_for(address.to_vec()));
    builder.build(move |mut capabilities| {
        // Of the last output.
        let mut shows = capabilities.pop().filter(|_| checkpoints && worker == 0);
        let mut shown_before = None;
        let mut held = capabilities.pop();
        let mut sealed = OutputBuilder::from(sealed);
        let mut shown = OutputBuilder::from(shown);
        let mut cuts: BTreeMap<u64, Capability<Time>> = BTreeMap::new();
        let mut passed = 0;
        move |frontiers| {
            let send = |item| {
                if let Err(lost) = mailbox.send(item) {
                    failure.report(JobError::Output(Box::new(lost)));
                }
            };
            words.for_each(|_, words| {
                for word in words.drain(..).filter(|_| worker == 0) {
                    send(match word {
                        LeaderCommand::Recover(files, claim) => MailboxItem::Recover(files, claim),
                        LeaderCommand::Commit(epoch) => MailboxItem::Commit { epoch },
                    });
                }
            });
            finals.for_each(|capability, batches| {
                if let Some(epoch) = capability.stamp().iter().map(|time| time.epoch).min() {
                    for rows in batches.drain(..).map(OpaqueRows::of) {
                        send(MailboxItem::Rows { epoch, rows });
                    }
                }
            });
            rejected.for_each(|capability, records| {
                if let Some(epoch) = capability.stamp().iter().map(|time| time.epoch).min() {
                    send(MailboxItem::Rejected { epoch, records: std::mem::take(records) });
                }
            });
            snapshots.for_each(|_, snapshots| {
                for snapshot in snapshots.drain(..).filter(|_| checkpoints) {
                    if let Some(held) = &held {
                        let time = Time::new(snapshot.epoch, EventTime::MAX);
                        cuts.insert(snapshot.epoch, held.delayed(&time));
                    }
                    let epoch = snapshot.epoch;
                    send(MailboxItem::State { epoch, part: CutState::of(snapshot) });
                }
            });
            let least = frontiers[..3].iter().map(least_epoch).min().unwrap_or(LAST_EPOCH);
            if passed < least {
                passed = least;
                if checkpoints {
                    send(MailboxItem::Passed { worker, epoch: least });
                }
                if least == LAST_EPOCH {
                    held = None;
                } else if let Some(held) = &mut held {
                    held.downgrade(&Time::new(least, EventTime::MAX));
                }
            }
            while let Some(first) = cuts.first_entry()
                && mailbox.is_sealed(*first.key())
            {
                let (epoch, capability) = first.remove_entry();
                if worker == 0
                    && let Some(part) = mailbox.take_sealed(epoch)
                {
                    sealed.activate().session(&capability).give(part);
                }
            }
            let now = mailbox.shown();
            if let (Some(capability), Some(epoch)) = (&shows, now)
                && shown_before < now
            {
                shown_before = now;
                shown.activate().session(capability).give(Shown { process, epoch });
            }
            if passed == LAST_EPOCH && (processes == 1 || now == Some(LAST_EPOCH)) {
                shows = None;
            }
        }
    });
    (sealed_stream, shown_stream)
}

/// The least epoch of a frontier; [`LAST_EPOCH`] when it is empty.
fn least_epoch(frontier: &MutableAntichain<Time>) -> u64 {
    frontier.frontier().iter().map(|time| time.epoch).min().unwrap_or(LAST_EPOCH)
}
