//! 1. What a frontier is: the line that says which times are complete.
//!
//! Two doors of a museum report their visitors. Every visitor is a record with a time: the hour it
//! came in. One door may report hour 1 before the other has reported hour 0. So when may we print
//! the count of an hour and never take it back? When the frontier has passed that hour.
//!
//! ```text
//! cargo run --example 01_frontier
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use timely::dataflow::operators::{Concat, Inspect, Probe};
use timely::dataflow::{InputHandleVec, ProbeHandle};

/// What a door does. Moving to a later hour is a promise: it never reports an earlier one again.
enum Does {
    Reports(u64),
    MovesToHour(u64),
    Closes,
}
use Does::{Closes, MovesToHour, Reports};

const DOORS: [&str; 2] = ["north", "south"];
const STORY: [(usize, Does); 9] = [
    (0, Reports(2)),
    (0, MovesToHour(1)),
    (0, Reports(4)),
    (1, Reports(3)), // of hour 0, though we have heard of hour 1
    (1, MovesToHour(2)),
    (1, Reports(1)),
    (0, MovesToHour(2)),
    (0, Closes),
    (1, Closes),
];

fn main() {
    timely::execute_directly(|worker| {
        // The dataflow: visitors of both doors flow together and are counted by hour. The probe
        // stands behind the count and shows the frontier there.
        let counts = Rc::new(RefCell::new(BTreeMap::<u64, u64>::new()));
        let in_dataflow = Rc::clone(&counts);
        let probe = ProbeHandle::new();
        let mut inputs = [InputHandleVec::<u64, u64>::new(), InputHandleVec::new()];
        worker.dataflow(|scope| {
            let [north, south] = inputs.each_mut().map(|input| input.to_stream(scope));
            let visitors = north.concat(south);
            visitors
                .inspect(move |hour| *in_dataflow.borrow_mut().entry(*hour).or_default() += 1)
                .probe_with(&probe);
        });
        let mut inputs = inputs.map(Some);

        println!("Both doors are in hour 0. No hour is complete.");
        for (door, does) in STORY {
            let name = DOORS[door];
            match (does, &mut inputs[door]) {
                (Reports(visitors), Some(input)) => {
                    let hour = *input.time();
                    (0..visitors).for_each(|_| input.send(hour));
                    input.flush();
                    println!("\nThe {name} door reports {visitors} of hour {hour}.");
                }
                (MovesToHour(hour), Some(input)) => {
                    input.advance_to(hour);
                    println!("\nThe {name} door moves to hour {hour}.");
                }
                (_, input) => {
                    *input = None;
                    println!("\nThe {name} door closes.");
                }
            }
            (0..10).for_each(|_| drop(worker.step())); // everything takes its turn
            
            let frontier = probe.with_frontier(|frontier| frontier.first().copied());
            match frontier {
                Some(hour) => println!("  frontier {hour}: visitors of hour {hour} and later can still come, of before never"),
                None => println!("  no frontier: nothing will come any more"),
            }
            let mut counts = counts.borrow_mut();
            while let Some(first) = counts.first_entry() && !probe.less_equal(first.key()) {
                let (hour, visitors) = first.remove_entry();
                println!("  FINAL: hour {hour} had {visitors} visitors");
            }
            println!("  not final: {counts:?}");
        }
    });
}
