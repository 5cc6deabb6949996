//! 2. What holds a frontier back: capabilities.
//!
//! A capability is a permit to send records at its time or later; a record brings one along. The
//! frontier behind an operator is the least time at which records may still come out there. So an
//! operator that keeps a permit holds back all that comes after it, until it *downgrades* the
//! permit to a later time or *drops* it. There is no way back to an earlier time.

use std::cell::RefCell;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder as Builder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Capability, Operator, Probe};
use timely::dataflow::{InputHandleVec, ProbeHandle};

type Permit = Option<Capability<u64>>;
/// An operator: what it does with the permit it holds, with one that a record brought, and with the
/// time that its input has reached (`None`: nothing will come any more).
type Rule = fn(held: &mut Permit, brought: Permit, reached: Option<u64>);

const OPERATORS: [(&str, Rule); 4] = [
    // Handles each record at once and keeps nothing: the permit is dropped right here.
    ("at once", |_, _brought, _| ()),
    // Waits for a second record, to send the two as a pair at the time of the first.
    ("in pairs", |held, brought, _| match (held.take(), brought) {
        (Some(_first), Some(_second)) => (), // the pair leaves, and both permits are dropped
        (first, second) => *held = first.or(second),
    }),
    // Wants to be able to speak at any time, but not of the past: it follows its input.
    ("follows", |held, brought, reached| {
        *held = held.take().or(brought).filter(|_| reached.is_some());
        held.iter_mut().zip(reached).for_each(|(permit, time)| permit.downgrade(&time));
    }),
    // A mistake: it keeps its first permit and forgets that it has it.
    ("forgets", |held, brought, _| *held = held.take().or(brought)),
];

fn main() {
    timely::execute_directly(|worker| {
        let held: [Rc<RefCell<Permit>>; 4] = Default::default(); // here, so that we can look at it
        let (behind, behind_all): ([ProbeHandle<u64>; 4], _) = Default::default();
        let mut input = InputHandleVec::<u64, ()>::new();
        worker.dataflow(|scope| {
            let records = input.to_stream(scope);
            for (i, (name, rule)) in OPERATORS.into_iter().enumerate() {
                let (records, held) = (records.clone(), Rc::clone(&held[i]));
                records
                    .unary_frontier::<Builder<Vec<()>>, _, _, _>(Pipeline, name, |_birth, _| {
                        move |(records, frontier), _| {
                            let mut brought = None;
                            records.for_each(|permit, _| brought = permit.retain_least(0));
                            let reached = frontier.frontier().first().copied();
                            rule(&mut held.borrow_mut(), brought, reached);
                        }
                    })
                    .probe_with(&behind[i])
                    .probe_with(&behind_all);
            }
        });
        println!("Four operators get the same records, each with a permit for its time.");
        let times = |probe: &ProbeHandle<u64>| probe.with_frontier(|frontier| frontier.to_vec());
        for (time, records) in [(0, 1), (1, 0), (2, 1), (3, 0), (4, 0)] {
            println!("\nThe input is at time {time}. Records that it sends: {records}.");
            input.advance_to(time);
            (0..records).for_each(|_| input.send(()));
            input.flush();
            if time == 4 && held[3].take().is_some() {
                println!("Somebody finds the forgotten permit and drops it.");
            }
            (0..10).for_each(|_| _ = worker.step()); // enough for every operator to have its turn
            for (i, (name, _)) in OPERATORS.iter().enumerate() {
                let permit = held[i].borrow().as_ref().map(|permit| *permit.time());
                let permit = permit.map_or("nothing".to_owned(), |time| format!("permit {time}"));
                println!("  {name:8}  holds {permit:8}  frontier behind: {:?}", times(&behind[i]));
            }
            println!("  frontier behind all of them: {:?}", times(&behind_all));
        }
    });
}
