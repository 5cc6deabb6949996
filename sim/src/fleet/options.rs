//! What can be asked of a fleet, and what cannot.

use std::time::Duration;

use super::Malformed;
#[cfg(doc)]
use super::{CLOCK_ERROR_MAX, Fleet};

/// The most devices of a fleet.
pub const DEVICES_MAX: usize = 1_000_000;
/// The most messages a second of one device.
pub const RATE_HZ_MAX: f64 = 1_000_000.0;
/// The demonstration's seed: Kafka's own partitioner spreads the eight devices of this seed evenly
/// over 1, 2, 4 or 8 partitions (one seed in 400 does), so no partition of the demonstration is
/// silent.
pub const SEED_DEFAULT: u64 = 241;

/// How a fleet behaves. The default is the demonstration's: 8 devices, 4 messages a second each,
/// now and then one that is late or malformed.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetOptions {
    /// How many devices there are.
    pub devices: usize,
    /// Messages a second of an ordinary device.
    pub rate_per_device_hz: f64,
    /// How long a message may be under way: each is delayed by up to this much, so that messages
    /// of one device overtake each other.
    pub disorder: Duration,
    /// The share of messages that are held up for much longer, `0.0 ..= 1.0`.
    pub late_share: f64,
    /// How long those are held up: this long, up to twice as long.
    pub late_by: Duration,
    /// The share of messages that cannot be read, `0.0 ..= 1.0`.
    pub malformed_share: f64,
    /// In what ways they cannot be read.
    pub malformed_cases: &'static [Malformed],
    /// The share of time in which a device is faulty, `0.0 ..= 1.0`: its messages are well-formed
    /// and say `"status":"fault"`, with a metric that is null, stuck or a spike.
    pub fault_share: f64,
    /// Whether each message has its fields in another order and white space between them, as a
    /// fleet of many makes does; otherwise all are laid out alike.
    pub vary_layout: bool,
    /// How many devices, the first ones, send much faster.
    pub skewed_devices: usize,
    /// How many times faster.
    pub skew: f64,
    /// How many devices, the last ones, stop for good.
    pub dead_devices: usize,
    /// How long after the start they stop.
    pub dead_after: Duration,
    /// How many devices, those after the skewed ones, have clocks that drift: by turns fast and
    /// slow, by at most [`CLOCK_ERROR_MAX`].
    pub drifting_devices: usize,
    /// How many seconds such a clock strays in a second.
    pub drift: f64,
    /// What all randomness comes from; another seed is another fleet with other device ids.
    pub seed: u64,
}

impl Default for FleetOptions {
    fn default() -> FleetOptions {
        FleetOptions {
            devices: 8,
            rate_per_device_hz: 4.0,
            disorder: Duration::from_secs(2),
            late_share: 0.005,
            late_by: Duration::from_secs(120),
            malformed_share: 0.005,
            malformed_cases: Malformed::OF_KNOWN_DEVICES,
            fault_share: 0.002,
            vary_layout: false,
            skewed_devices: 0,
            skew: 10.0,
            dead_devices: 0,
            dead_after: Duration::from_secs(60),
            drifting_devices: 0,
            drift: 0.001,
            seed: SEED_DEFAULT,
        }
    }
}

impl FleetOptions {
    /// How much event time this fleet takes to send its first `messages` messages; the time until
    /// all have stopped where they never get that far.
    ///
    /// # Errors
    ///
    /// What [`Fleet::new`] says of the options.
    pub fn time_for(&self, messages: u64) -> Result<Duration, FleetError> {
        self.check()?;
        let all: f64 = (0..self.devices).map(|device| self.rate_hz(device)).sum();
        let living: f64 =
            (0..self.devices - self.dead_devices).map(|device| self.rate_hz(device)).sum();
        let with_all = messages as f64 / all;
        let dead_after = self.dead_after.as_secs_f64();
        let seconds = if self.dead_devices == 0 || with_all <= dead_after {
            with_all
        } else if living == 0.0 {
            dead_after
        } else {
            dead_after + (messages as f64 - all * dead_after) / living
        };
        Duration::try_from_secs_f64(seconds).map_err(|_| FleetError::TooSlow)
    }

    pub(super) fn rate_hz(&self, device: usize) -> f64 {
        let skew = if device < self.skewed_devices { self.skew } else { 1.0 };
        self.rate_per_device_hz * skew
    }

    pub(super) fn check(&self) -> Result<(), FleetError> {
        if !(1..=DEVICES_MAX).contains(&self.devices) {
            return Err(FleetError::Devices(self.devices));
        }
        for (share, name) in [
            (self.late_share, "late messages"),
            (self.malformed_share, "malformed messages"),
            (self.fault_share, "faults"),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(FleetError::Share { name, share });
            }
        }
        for (count, name) in [
            (self.skewed_devices, "skewed"),
            (self.dead_devices, "dead"),
            (self.drifting_devices, "drifting"),
        ] {
            if self.devices < count {
                return Err(FleetError::TooMany { name, count, devices: self.devices });
            }
        }
        if !(0.0 < self.skew && self.skew.is_finite()) {
            return Err(FleetError::Skew(self.skew));
        }
        let fastest = if 0 < self.skewed_devices { self.skew.max(1.0) } else { 1.0 };
        let rate = self.rate_per_device_hz;
        if !(0.0 < rate && rate * fastest <= RATE_HZ_MAX) {
            return Err(FleetError::Rate(rate));
        }
        if !(0.0..1.0).contains(&self.drift) {
            return Err(FleetError::Drift(self.drift));
        }
        if 0.0 < self.malformed_share && self.malformed_cases.is_empty() {
            return Err(FleetError::NoCases);
        }
        Ok(())
    }
}

/// Options that make no fleet.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// Too few or too many devices.
    #[error("a fleet has 1 to {DEVICES_MAX} devices, not {0}")]
    Devices(usize),
    /// Not a share.
    #[error("the share of {name} is a number from 0 to 1, not {share}")]
    Share {
        /// Of what.
        name: &'static str,
        /// What was asked for.
        share: f64,
    },
    /// More special devices than devices.
    #[error("{count} {name} devices are more than the fleet's {devices}")]
    TooMany {
        /// What is special about them.
        name: &'static str,
        /// How many were asked for.
        count: usize,
        /// How many devices there are.
        devices: usize,
    },
    /// A skew that is no factor.
    #[error("the skew is a factor above 0, not {0}")]
    Skew(f64),
    /// A rate that is none, or too high.
    #[error("a device sends more than 0 and at most {RATE_HZ_MAX} messages a second, not {0}")]
    Rate(f64),
    /// A drift that is none.
    #[error("a clock strays by 0 to less than 1 second a second, not {0}")]
    Drift(f64),
    /// A fleet that would need ages.
    #[error("so many messages at this rate take longer than there is time: raise the rate")]
    TooSlow,
    /// Malformed messages of no kind.
    #[error("malformed messages are asked for, but no case of them")]
    NoCases,
}
