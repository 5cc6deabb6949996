//! 2. What holds a frontier back: capabilities.
//!
//! A capability is a permit to send records at its time or later; a record brings one along. The
//! frontier behind an operator is the least time that anybody up to there may still send at, so an
//! operator that keeps a permit holds back all that comes after it. It lets go in two ways: it
//! *downgrades* the permit to a later time, or *drops* it. There is no way back to an earlier time.

use std::cell::RefCell;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder as Builder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Capability, Concatenate, Operator, Probe};
use timely::dataflow::{InputHandleVec, ProbeHandle};

type Permit = Option<Capability<u64>>;

/// What an operator does with the permit it holds, with one that a record brought, and with the
/// frontier of its input (`None`: nothing will come any more).
type Rule = fn(held: &mut Permit, brought: Permit, frontier: Option<u64>);

const OPERATORS: [(&str, Rule); 4] = [
    // Handles each record at once. It keeps nothing: the permit is dropped right here.
    ("at once ", |_, _brought, _| ()),
    // Waits for a second record, to send the two as a pair at the time of the first.
    ("pairs   ", |held, brought, _| match (held.take(), brought) {
        (Some(_first), Some(_second)) => (), // the pair leaves, and both permits are dropped
        (first, second) => *held = first.or(second),
    }),
    // Wants to be able to speak at any time, but not of the past: it follows the frontier.
    ("follower", |held, brought, frontier| {
        *held = held.take().or(brought).filter(|_| frontier.is_some());
        held.iter_mut().zip(frontier).for_each(|(permit, time)| permit.downgrade(&time));
    }),
    // A mistake: it keeps its first permit and forgets about it.
    ("forgets ", |held, brought, _| *held = held.take().or(brought)),
];

fn main() {
    timely::execute_directly(|worker| {
        let mut input = InputHandleVec::<u64, ()>::new();
        let end = ProbeHandle::new();
        // The dataflow: each operator gets all records; what they send flows together at the end.
        let operators = worker.dataflow(|scope| {
            let records = input.to_stream(scope);
            let (operators, outputs): (Vec<_>, Vec<_>) = OPERATORS.map(|(name, rule)| {
                let (held, probe) = (Rc::new(RefCell::new(None)), ProbeHandle::new());
                let permit = Rc::clone(&held);
                let mut activator = None;
                let output = records.clone().unary_frontier::<Builder<Vec<()>>, _, _, _>(Pipeline, name, |_birth, info| {
                    activator = Some(scope.activator_for(info.address));
                    move |(records, frontier), _output| {
                        let mut brought = None;
                        records.for_each(|permit, _| brought = permit.retain_least(0));
                        rule(&mut permit.borrow_mut(), brought, frontier.frontier().first().copied());
                    }
                }).probe_with(&probe);
                ((name, held, probe, activator), output)
            }).into_iter().unzip();
            scope.concatenate(outputs).probe_with(&end);
            operators
        });
        let show = |worker: &mut timely::worker::Worker, what: &str| {
            println!("{what}");
            (0..10).for_each(|_| _ = worker.step()); // enough for every operator to have its turn
            for (name, held, probe, _) in &operators {
                let holds = held.borrow().as_ref().map(|permit: &Capability<u64>| *permit.time());
                println!("  {name}  holds {holds:?}  frontier {:?}", probe.with_frontier(|f| f.to_vec()));
            }
            println!("  end: frontier {:?}", end.with_frontier(|f| f.to_vec()));
        };
        input.send(());
        input.flush();
        show(worker, "A record comes at time 0.");
        input.advance_to(1);
        show(worker, "The input moves to time 1.");
        input.advance_to(2);
        show(worker, "The input moves to time 2.");
        input.send(());
        input.flush();
        show(worker, "A record comes at time 2.");
        input.close();
        show(worker, "Closes");
        let (_, held, _, activator) = &operators[3];
        held.take();
        activator.iter().for_each(|a| a.activate());
        show(worker, "Drops");
    });
}
