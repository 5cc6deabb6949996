//! 1. What a frontier is: the line that says which times are complete.
//!
//! Two doors of a museum report their visitors. A visitor is a record, and its time is the hour it
//! came in. One door may report hour 1 before the other has reported hour 0. So when may we print
//! the count of an hour and never take it back? When the frontier has passed that hour.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use timely::dataflow::operators::{Concat, Inspect, Probe};
use timely::dataflow::{InputHandleVec, ProbeHandle};

const DOORS: [&str; 2] = ["north", "south"];

/// Which door reports, of which hour, how many visitors. A report is a promise as well: this door
/// will never again report an earlier hour.
const REPORTS: &[(usize, u64, u64)] = &[
    (0, 0, 2),
    (0, 1, 4), // the north door has left hour 0 behind, the south door has not
    (1, 0, 3),
    (1, 2, 7),
    (0, 2, 6),
];

fn main() {
    timely::execute_directly(|worker| {
        // The dataflow: visitors of both doors flow together and are counted by hour. The probe
        // stands behind the count and shows the frontier there.
        let counts = Rc::new(RefCell::new(BTreeMap::<u64, u64>::new()));
        let counting = Rc::clone(&counts);
        let probe = ProbeHandle::new();
        let mut inputs = vec![InputHandleVec::<u64, u64>::new(), InputHandleVec::new()];
        worker.dataflow(|scope| {
            let visitors = inputs[0].to_stream(scope).concat(inputs[1].to_stream(scope));
            visitors
                .inspect(move |hour| *counting.borrow_mut().entry(*hour).or_default() += 1)
                .probe_with(&probe);
        });

        println!("Two doors are open, both in hour 0.");
        for report in REPORTS.iter().copied().map(Some).chain([None]) {
            if let Some((door, hour, visitors)) = report {
                println!("\nThe {} door reports {visitors} visitors of hour {hour}.", DOORS[door]);
                inputs[door].advance_to(hour); // the promise: timely will not let us go back
                (0..visitors).for_each(|_| inputs[door].send(hour));
                inputs[door].flush();
            } else {
                println!("\nBoth doors close.");
                inputs.clear();
            }
            (0..10).for_each(|_| _ = worker.step()); // enough for every operator to have its turn

            // A frontier is a set of times. This one has a single time, or none at the end.
            let frontier = probe.with_frontier(|frontier| frontier.to_vec());
            match frontier.first() {
                Some(0) => println!("  frontier {frontier:?}: every hour can still get visitors"),
                Some(hour) => println!("  frontier {frontier:?}: nothing before {hour} can come"),
                None => println!("  frontier {frontier:?}: nothing will come any more"),
            }
            let mut counts = counts.borrow_mut();
            while let Some(first) = counts.first_entry()
                && !probe.less_equal(first.key())
            {
                let (hour, visitors) = first.remove_entry();
                println!("  FINAL: hour {hour} had {visitors} visitors");
            }
            println!("  not final yet: {counts:?}");
        }
    });
}
