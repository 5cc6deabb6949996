use strandline_operators::record::Offset;

use super::*;
use crate::source::PartitionStart;

fn seconds(seconds: i64) -> EventTime {
    EventTime::from_millis(1000 * seconds)
}

/// A source has left `epoch`, having read partition 0 up to `time`; partition 1 is silent.
fn leaves(coordinator: &Coordinator, epoch: u64, time: EventTime) {
    for (number, state) in [(0, PartitionState::Active), (1, PartitionState::Idle)] {
        let (partition, next_offset) = (Partition(number), Offset(1));
        let start = PartitionStart { partition, next_offset, end: None };
        let cut = PartitionCut::begin(start, EventTime::MIN);
        let cut = PartitionCut { max_event_time: Some(time), watermark: time, ..cut };
        let (worker, end, last_record_at) = (0, Some(Offset(1)), None);
        let ack = Ack {
            epoch,
            worker,
            cut,
            end,
            state,
            last_record_at,
            last_readable_at: None,
            first_unreadable: None,
            bytes_read: 0,
            newest_key: None,
        };
        coordinator.0.borrow_mut().hear(Report::Read(ack));
    }
}

#[test]
fn nothing_is_lifted_while_the_epoch_before_the_one_that_is_left_is_incomplete() {
    let coordinator = Coordinator::new(Duration::ZERO, 1, None);
    leaves(&coordinator, 0, seconds(10));
    assert_eq!(coordinator.floor(0), None, "nothing is known yet");
    coordinator.0.borrow_mut().complete(Some(1));
    assert_eq!(coordinator.floor(1), Some(seconds(10)));
    assert_eq!(coordinator.floor(2), None, "a lift two epochs ahead: epoch 1 is incomplete");
    leaves(&coordinator, 1, seconds(20));
    assert_eq!(coordinator.floor(2), None, "heard of, and not complete");
    coordinator.0.borrow_mut().complete(Some(2));
    assert_eq!(coordinator.floor(2), Some(seconds(20)));
}

#[test]
fn no_turn_is_made_for_what_is_not_merged_while_the_epoch_before_is_incomplete() {
    let coordinator = Coordinator::new(Duration::ZERO, 1, None);
    coordinator.0.borrow_mut().complete(Some(1));
    coordinator.0.borrow_mut().hear(Report::Laden);
    assert!(!coordinator.is_laden(2), "epoch 1 is incomplete: nothing would be let go");
    coordinator.0.borrow_mut().complete(Some(2));
    assert!(coordinator.is_laden(2));
    coordinator.turned();
    assert!(!coordinator.is_laden(3), "whoever still is says so again");
}

#[test]
fn a_run_that_goes_on_lifts_when_its_first_epoch_is_left() {
    let kept = CutRecord {
        epoch: 7,
        finished: false,
        closed_before: EventTime::MIN,
        final_rows: 0,
        partitions: Vec::new(),
        processes: Vec::new(),
    };
    let coordinator = Coordinator::new(Duration::ZERO, 1, Some(&kept));
    assert!(coordinator.may_lift(8) && !coordinator.may_lift(9));
}
