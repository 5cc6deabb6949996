//! Which record is sent when: known beforehand, so that a producer that falls behind is noticed,
//! and so that it is known which record a window waits for.

/// Records at an even pace, by turns to all devices and all partitions. Record `n` belongs to
/// device `n % devices` and goes to partition `n % partitions`; `partitions` divides `devices`, so
/// that a device has one partition.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Schedule {
    /// When record 0 is to be sent, microseconds since 1970.
    pub(crate) begin_us: i64,
    pub(crate) rate_hz: u64,
    pub(crate) records: u64,
    pub(crate) devices: u64,
    pub(crate) partitions: u64,
}

impl Schedule {
    /// When a record is to be sent, microseconds since 1970.
    pub(crate) fn intended_us(&self, record: u64) -> i64 {
        self.begin_us + (record * 1_000_000 / self.rate_hz) as i64
    }

    /// A record's event time, milliseconds since 1970: when it is to be sent.
    pub(crate) fn event_ms(&self, record: u64) -> i64 {
        self.intended_us(record).div_euclid(1_000)
    }

    /// The first record whose event time is `ms` or later.
    pub(crate) fn first_at(&self, ms: i64) -> u64 {
        let us = u64::try_from(ms * 1_000 - self.begin_us).unwrap_or(0);
        let mut record = us * self.rate_hz / 1_000_000;
        while self.event_ms(record) < ms {
            record += 1;
        }
        record
    }

    /// The records without which a window that ends at `end_ms` cannot be final: in each partition
    /// the first one that is as late as that. `None`: one of them is never sent.
    pub(crate) fn needed(&self, end_ms: i64) -> Option<impl Iterator<Item = u64>> {
        let first = self.first_at(end_ms);
        (first + self.partitions <= self.records).then(|| first..first + self.partitions)
    }

    /// The records of a device whose event time is `start_ms` or later, in their order.
    pub(crate) fn of_device(&self, device: u64, start_ms: i64) -> impl Iterator<Item = u64> {
        let first = self.first_at(start_ms);
        let ahead = (device + self.devices - first % self.devices) % self.devices;
        (first + ahead..self.records).step_by(self.devices as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_needs_the_first_record_after_its_end_of_each_partition() {
        let begin_us = 5_000_300;
        let schedule =
            Schedule { begin_us, rate_hz: 3_000, records: 9_000, devices: 8, partitions: 4 };
        for end_ms in [5_001, 5_100, 6_000, 7_777] {
            let needed: Vec<u64> = schedule.needed(end_ms).unwrap().collect();
            for record in needed {
                let before = record.checked_sub(schedule.partitions);
                assert!(end_ms <= schedule.event_ms(record));
                assert!(before.is_none_or(|before| schedule.event_ms(before) < end_ms));
            }
        }
        assert!(schedule.needed(8_001).is_none(), "after the end");
    }

    #[test]
    fn records_of_a_device_come_in_order_and_belong_to_it() {
        let schedule =
            Schedule { begin_us: 0, rate_hz: 1_000, records: 100, devices: 8, partitions: 4 };
        let records: Vec<u64> = schedule.of_device(3, 20).collect();
        assert_eq!(records, [27, 35, 43, 51, 59, 67, 75, 83, 91, 99]);
    }
}
