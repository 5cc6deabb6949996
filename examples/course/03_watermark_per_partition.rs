//! 3. Event time from Kafka: every partition has its own watermark.
//!
//! Records say when something happened, and are out of order by 2 ms at most. So where one of 25
//! was read, all that ends by 23 is over: that is a watermark. Every partition has its own, and a
//! record is late if its own partition had passed the end of its window. The frontier is the least
//! of all watermarks: a window is final when every partition has passed its end.

use std::time::Duration;

use strandline_operators::aggregate::Count;
use strandline_operators::record::{Events, Offset, Partition};
use strandline_operators::time::{EventTime, Time};
use strandline_operators::watermark::{Activity, PartitionWatermark, Watermarks};
use strandline_operators::window::{Tumbling, WindowAggregate, WindowInputs};
use timely::container::NoopBuilder;
use timely::dataflow::operators::core::{Inspect, UnorderedInput};

/// A partition and the time of the record that it brings, in milliseconds, or that it is silent.
const STORY: &[(usize, Option<i64>)] = &[
    (0, Some(13)),
    (1, Some(12)),
    (0, Some(25)),
    (0, Some(14)), // late: partition 0 has passed the window from 10 to 20
    (1, Some(14)), // not late: partition 1 has not
    (1, Some(22)),
    (0, Some(36)),
    (1, None),
    (1, Some(24)), // partition 1 wakes, but time has gone on without it
    (1, Some(38)),
];

fn main() {
    timely::execute_directly(|worker| {
        let windows = Tumbling::of(Duration::from_millis(10)).expect("whole milliseconds");
        let (mut input, mut capability) = worker.dataflow::<Time, _, _>(|scope| {
            let (input, events) = scope.new_unordered_input::<NoopBuilder<Events<()>>>();
            events.window(windows, Count, WindowInputs::none(scope)).finals.inspect(|row| {
                println!("  FINAL: window from {:?}: {} records", row.window.start, row.output);
            });
            input
        });
        let partitions = [Partition(0), Partition(1)];
        let mut own = [PartitionWatermark::new(Duration::from_millis(2), EventTime::MIN); 2];
        let (mut all, mut epoch) = (Watermarks::default(), 0);
        (0..2).for_each(|i| all.set(partitions[i], own[i], Activity::Active));

        println!("Two partitions; windows are 10 ms long. A frontier is (epoch, time).");
        for (offset, &(i, brings)) in (0..).map(Offset).zip(STORY) {
            if let Some(time) = brings.map(EventTime::from_millis) {
                println!("\nPartition {i} brings a record of {time:?}.");
                own[i].observe(time);
                all.set(partitions[i], own[i], Activity::Active);
                if windows.is_late(time, own[i].value()) {
                    println!("  LATE: its own partition has passed its window");
                } else {
                    let mut batch = Events::default();
                    batch.push("a key", time, partitions[i], offset, ());
                    input.activate().session_with_builder(&capability).give_container(&mut batch);
                }
            } else {
                println!("\nPartition {i} is silent. The frontier waits, until the epoch changes:");
                all.set(partitions[i], own[i], Activity::Idle);
                let floor = all.floor().expect("the other partition is active");
                println!("partition {i} is lifted to {floor:?}, where the others are.");
                own[i].lift(floor);
                all.lift_idle(floor);
                epoch += 1;
            }
            // The capability goes to the least watermark. Nothing else moves the frontier.
            capability.downgrade(&Time::new(epoch, all.minimum().unwrap_or(EventTime::MIN)));
            let (each, least) = (own.map(|own| own.value()), capability.time());
            println!("  watermarks {each:?}; frontier {least:?}");
            (0..10).for_each(|_| _ = worker.step()); // enough for every operator to have its turn
        }
        println!("\nBoth partitions end.");
    });
}
