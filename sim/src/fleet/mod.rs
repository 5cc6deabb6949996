//! A fleet of devices that measure rooms and send JSON messages, seeded and deterministic.
//!
//! What a fleet sends is a function of its options and its start alone; who sends it, and how fast
//! in real time, is the caller's business ([`producer`](crate::producer) to Kafka,
//! [`log`](crate::log) to memory). Each device draws from a generator of its own, so adding a
//! device, or malformed messages, leaves what the others send as it was.
//!
//! Everything that makes event time hard is an option: messages out of order, messages far too
//! late, malformed ones, devices that send much more than others, that die, whose clocks drift.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::time::Duration;

use strandline_operators::time::EventTime;

use crate::random::{SplitMix64, mix};

mod malformed;
mod message;
mod room;

pub use malformed::Malformed;
use room::Room;

/// The most devices of a fleet.
pub const DEVICES_MAX: usize = 1_000_000;
/// The most messages a second of one device.
pub const RATE_HZ_MAX: f64 = 1_000_000.0;
/// The longest payload that a fleet sends, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 512;
/// The demonstration's seed: Kafka's own partitioner spreads the eight devices of this seed evenly
/// over 1, 2, 4 or 8 partitions (one seed in 400 does), so no partition of the demonstration is
/// silent.
pub const SEED_DEFAULT: u64 = 241;
/// How far a drifting clock strays before it is set right again.
pub const CLOCK_ERROR_MAX: Duration = Duration::from_secs(30);

const NANOS_PER_SECOND: f64 = 1e9;
const LOCATIONS: [&str; 8] =
    ["lab", "office", "kitchen", "workshop", "hall", "archive", "attic", "cellar"];

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

    fn rate_hz(&self, device: usize) -> f64 {
        let skew = if device < self.skewed_devices { self.skew } else { 1.0 };
        self.rate_per_device_hz * skew
    }

    fn check(&self) -> Result<(), FleetError> {
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

/// One message that a device sends.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Sent<'a> {
    /// The number of the device, from 0.
    pub device: usize,
    /// The message's key: the device's id.
    pub key: &'a str,
    /// The message: JSON, unless it is malformed; `None` for a null payload.
    pub payload: Option<&'a [u8]>,
    /// When it arrives.
    pub due: EventTime,
    /// The `ts` of the sample: when it was taken, by the device's own clock.
    pub event_time: EventTime,
    /// Whether it was held up (whether a job finds it late depends on its watermark).
    pub held_up: bool,
    /// In what way it is malformed, if it is.
    pub malformed: Option<Malformed>,
}

/// A fleet of devices: a source of messages in the order in which they arrive.
///
/// Costs about 0.2 microseconds and no allocation a message.
///
/// ```
/// use strandline_operators::time::EventTime;
/// use strandline_sim::fleet::{Fleet, FleetOptions};
///
/// let mut fleet = Fleet::new(FleetOptions::default(), EventTime::from_millis(1_730_638_574_123))?;
/// let sent = fleet.send().expect("no device of this fleet stops");
/// assert!(sent.payload.unwrap().starts_with(br#"{"device_id":"device-"#));
/// # Ok::<(), strandline_sim::fleet::FleetError>(())
/// ```
#[derive(Debug)]
pub struct Fleet {
    options: FleetOptions,
    start: EventTime,
    devices: Vec<Device>,
    /// When each device sends next, in nanoseconds since the start; ties by the device's number.
    queue: BinaryHeap<Reverse<(u64, u32)>>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Device {
    id: String,
    location: &'static str,
    room: Room,
    random: SplitMix64,
    period_ns: u64,
    /// 1 for a fast clock, -1 for a slow one, 0 for a good one.
    drift_sign: i64,
    dies: bool,
}

impl Fleet {
    /// A fleet that begins to send at `start`.
    ///
    /// # Errors
    ///
    /// Options that make no sense.
    pub fn new(options: FleetOptions, start: EventTime) -> Result<Fleet, FleetError> {
        options.check()?;
        let mut queue = BinaryHeap::with_capacity(options.devices);
        let mut devices = Vec::with_capacity(options.devices);
        let drifting = options.skewed_devices..options.skewed_devices + options.drifting_devices;
        for number in 0..options.devices {
            let mut random = SplitMix64::stream(options.seed, number as u64);
            let room = Room::new(random.next_u64());
            let period_ns = ((NANOS_PER_SECOND / options.rate_hz(number)).round() as u64).max(1);
            queue.push(Reverse((random.below(period_ns), number as u32)));
            let location = LOCATIONS[number % LOCATIONS.len()];
            // Counted around, so that there are as many as asked for beside the skewed ones.
            let drifts =
                drifting.contains(&number) || drifting.contains(&(number + options.devices));
            devices.push(Device {
                id: device_id(options.seed, number),
                location,
                room,
                random,
                period_ns,
                drift_sign: if !drifts {
                    0
                } else if number % 2 == 0 {
                    1
                } else {
                    -1
                },
                dies: options.devices - options.dead_devices <= number,
            });
        }
        Ok(Fleet { options, start, devices, queue, buffer: Vec::with_capacity(PAYLOAD_BYTES_MAX) })
    }

    /// The ids of the devices, by number.
    pub fn device_ids(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().map(|device| device.id.as_str())
    }

    /// When the next message arrives; `None` when every device has stopped.
    pub fn next_due(&mut self) -> Option<EventTime> {
        self.bury_the_dead();
        let Reverse((due_ns, _)) = self.queue.peek()?;
        Some(self.start + Duration::from_nanos(*due_ns))
    }

    /// The next message; `None` when every device has stopped. Logarithmic in the number of
    /// devices.
    pub fn send(&mut self) -> Option<Sent<'_>> {
        self.bury_the_dead();
        let mut next = self.queue.peek_mut()?;
        let Reverse((due_ns, number)) = *next;
        let device = &mut self.devices[number as usize];
        next.0.0 = due_ns.saturating_add(device.period_ns);
        drop(next);

        // Every message draws the same numbers whatever the options, so that one option does not
        // change what another one sees.
        let options = &self.options;
        let random = &mut device.random;
        let delay = random.unit();
        let held_up = random.happens(options.late_share);
        let malformed = random.happens(options.malformed_share);
        let bits = random.next_u64();

        let due = self.start + Duration::from_nanos(due_ns);
        let delay_ms = if held_up {
            millis(options.late_by) * (1.0 + delay)
        } else {
            millis(options.disorder) * delay
        };
        let clock_error_ms = match device.drift_sign {
            0 => 0,
            sign => {
                let strayed_ms = due_ns as f64 / 1e6 * options.drift;
                sign * (strayed_ms % millis(CLOCK_ERROR_MAX)) as i64
            }
        };
        let taken_ms = due.as_millis().saturating_sub(delay_ms as i64);
        let event_time = EventTime::from_millis(taken_ms.saturating_add(clock_error_ms).max(0));
        let reading = device.room.read(event_time, bits, options.fault_share);
        self.buffer.clear();
        message::write(&mut self.buffer, &device.id, device.location, event_time, &reading);

        let mut is_null = false;
        let malformed = malformed.then(|| {
            let cases = options.malformed_cases;
            let case = cases[(bits >> 8) as usize % cases.len()];
            match case.spoil(&self.buffer, &device.id, event_time) {
                Some(spoiled) => self.buffer = spoiled,
                None => is_null = true,
            }
            case
        });
        Some(Sent {
            device: number as usize,
            key: &device.id,
            payload: (!is_null).then_some(self.buffer.as_slice()),
            due,
            event_time,
            held_up,
            malformed,
        })
    }

    /// Moves the fleet's present so that its next message is due at `now`: what it would have sent
    /// in between is never sent (the devices were off). Nothing else changes.
    pub fn resume_at(&mut self, now: EventTime) {
        if let Some(Reverse((due_ns, _))) = self.queue.peek() {
            self.start = now - Duration::from_nanos(*due_ns);
        }
    }

    fn bury_the_dead(&mut self) {
        if self.options.dead_devices == 0 {
            return;
        }
        while let Some(next) = self.queue.peek_mut() {
            let Reverse((due_ns, number)) = *next;
            let dead = self.devices[number as usize].dies
                && self.options.dead_after <= Duration::from_nanos(due_ns);
            if !dead {
                break;
            }
            PeekMut::pop(next);
        }
    }
}

/// `device-` and six hexadecimal digits. Different numbers give different ids: each step is a
/// bijection of 24 bits.
fn device_id(seed: u64, number: usize) -> String {
    const BITS_24: u64 = (1 << 24) - 1;
    let mut bits = (number as u64 ^ mix(seed)) & BITS_24;
    for _ in 0..3 {
        bits = bits.wrapping_mul(0x9e_3779) & BITS_24; // odd
        bits ^= bits >> 13;
    }
    format!("device-{bits:06x}")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests;
