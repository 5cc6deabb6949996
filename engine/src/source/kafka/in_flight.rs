//! How much a reader holds between Kafka and its worker, for the metrics.

use std::sync::{Mutex, PoisonError};

use crate::telemetry::Telemetry;

/// The part of one client or reader in what the process holds; gone when dropped.
pub(super) struct InFlight {
    telemetry: Telemetry,
    bytes: Mutex<u64>,
}

impl InFlight {
    pub(super) fn new(telemetry: &Telemetry) -> InFlight {
        InFlight { telemetry: telemetry.clone(), bytes: Mutex::default() }
    }

    /// It holds so much now.
    pub(super) fn set(&self, bytes: u64) {
        let mut before = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        self.telemetry.measure(|measures| {
            let all = &mut measures.kafka.bytes_in_flight;
            *all = all.saturating_sub(*before).saturating_add(bytes);
        });
        *before = bytes;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_hold_is_added_up_and_goes_with_them() {
        let telemetry = Telemetry::default();
        let (one, other) = (InFlight::new(&telemetry), InFlight::new(&telemetry));
        let all = || telemetry.measures().kafka.bytes_in_flight;
        one.set(5);
        other.set(20);
        one.set(7);
        assert_eq!(all(), 27);
        drop(other);
        assert_eq!(all(), 7);
    }
}
