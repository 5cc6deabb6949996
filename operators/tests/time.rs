//! The dataflow's time: a product order, a lattice, and good enough for differential dataflow.

use std::time::Duration;

use differential_dataflow::AsCollection;
use differential_dataflow::lattice::Lattice;
use proptest::prelude::*;
use strandline_operators::time::{EventTime, Time};
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::core::UnorderedInput;
use timely::order::PartialOrder;
use timely::progress::Timestamp;
use timely::progress::timestamp::PathSummary;

fn event_time() -> impl Strategy<Value = EventTime> {
    prop_oneof![
        Just(EventTime::MIN),
        Just(EventTime::MAX),
        (-3_i64..3).prop_map(EventTime::from_millis),
        any::<i64>().prop_map(EventTime::from_millis),
    ]
}

fn time() -> impl Strategy<Value = Time> {
    (prop_oneof![0_u64..3, any::<u64>()], event_time()).prop_map(|(e, t)| Time::new(e, t))
}

proptest! {
    #[test]
    fn the_order_is_partial_and_componentwise(a in time(), b in time(), c in time()) {
        prop_assert!(a.less_equal(&a));
        prop_assert_eq!(a.less_equal(&b), a.epoch <= b.epoch && a.event <= b.event);
        prop_assert!(!(a.less_equal(&b) && b.less_equal(&a)) || a == b);
        prop_assert!(!(a.less_equal(&b) && b.less_equal(&c)) || a.less_equal(&c));
        prop_assert!(Time::minimum().less_equal(&a));
        // Timely sorts times: the total order has to agree with the partial one.
        prop_assert!(!a.less_equal(&b) || a <= b);
    }

    #[test]
    fn join_is_the_least_upper_bound_and_meet_the_greatest_lower(
        a in time(), b in time(), c in time()
    ) {
        let (join, meet) = (a.join(&b), a.meet(&b));
        prop_assert!(a.less_equal(&join) && b.less_equal(&join));
        prop_assert!(meet.less_equal(&a) && meet.less_equal(&b));
        prop_assert!(!(a.less_equal(&c) && b.less_equal(&c)) || join.less_equal(&c));
        prop_assert!(!(c.less_equal(&a) && c.less_equal(&b)) || c.less_equal(&meet));
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(a.meet(&b).meet(&c), a.meet(&b.meet(&c)));
        prop_assert_eq!(a.join(&a.meet(&b)), a);
        prop_assert_eq!(a.meet(&a.join(&b)), a);
    }

    #[test]
    fn paths_change_no_time(a in time()) {
        prop_assert_eq!(().results_in(&a), Some(a));
        prop_assert_eq!(PathSummary::<Time>::followed_by(&(), &()), Some(()));
    }

    #[test]
    fn a_time_is_floored_to_a_multiple_that_is_not_after_it(
        t in event_time(), quantum_ms in 1_u64..100_000
    ) {
        let floor = t.floor_to(Duration::from_millis(quantum_ms));
        prop_assert!(floor <= t);
        if EventTime::MIN < floor && t < EventTime::MAX {
            prop_assert_eq!(floor.as_millis().rem_euclid(quantum_ms.cast_signed()), 0);
            let apart = i128::from(t.as_millis()) - i128::from(floor.as_millis());
            prop_assert!(apart < i128::from(quantum_ms));
        }
    }

    #[test]
    fn arithmetic_saturates(t in event_time(), by_ms in any::<u64>()) {
        let by = Duration::from_millis(by_ms);
        prop_assert!(t <= t + by && t - by <= t);
        let exact = i128::from(t.as_millis()) + i128::from(by_ms.min(i64::MAX.cast_unsigned()));
        let clamped = i64::try_from(exact).unwrap_or(i64::MAX);
        prop_assert_eq!((t + by).as_millis(), clamped);
    }
}

/// Differential keeps collections over times that are only partially ordered: an update at
/// `(0, 10)` and one at `(1, 5)` meet at `(1, 10)`.
#[test]
fn differential_counts_over_this_time() {
    let (sender, updates) = std::sync::mpsc::channel();
    timely::execute_directly(move |worker| {
        let (mut input, capability) = worker.dataflow::<Time, _, _>(|scope| {
            let ((input, capability), stream) =
                scope.new_unordered_input::<timely::container::CapacityContainerBuilder<Vec<_>>>();
            let counts = stream.as_collection().count();
            counts.inner.inspect(move |update| sender.send(*update).unwrap());
            (input, capability)
        });
        for (epoch, millis) in [(0, 10), (1, 5)] {
            let time = Time::new(epoch, EventTime::from_millis(millis));
            let at = capability.delayed(&time);
            input.activate().session(&at).give((7_u32, time, 1_isize));
        }
    });
    // Accumulated as of a time, the collection says how many there were.
    let updates: Vec<((u32, isize), Time, isize)> = updates.iter().collect();
    let count_at = |epoch, millis| {
        let at = Time::new(epoch, EventTime::from_millis(millis));
        let seen = updates.iter().filter(|(_, time, _)| time.less_equal(&at));
        seen.map(|((_, count), _, diff)| count * diff).sum::<isize>()
    };
    assert_eq!(count_at(0, 9), 0);
    assert_eq!(count_at(0, 10), 1);
    assert_eq!(count_at(1, 5), 1);
    assert_eq!(count_at(1, 10), 2);
}
