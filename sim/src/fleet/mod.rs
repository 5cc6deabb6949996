//! A fleet of devices that measure rooms and send JSON messages, seeded and deterministic.
//!
//! What a fleet sends is a function of its options and its start alone; who sends it, and how fast
//! in real time, is the caller's business ([`producer`](crate::producer) to Kafka,
//! [`log`](crate::log) to memory). Each device draws from a generator of its own, so adding a
//! device, or malformed messages, leaves what the others send as it was.
//!
//! Everything that makes event time hard is an option: messages out of order, messages far too
//! late, malformed ones, devices that send much more than others, that die, whose clocks drift.

use std::time::Duration;

use strandline_operators::time::EventTime;

use crate::random::{SplitMix64, mix};

mod malformed;
mod message;
mod options;
mod ring;
mod room;

pub use malformed::Malformed;
pub use options::{DEVICES_MAX, FleetError, FleetOptions, RATE_HZ_MAX, SEED_DEFAULT};
use ring::Ring;
use room::Room;

/// The longest payload that a fleet sends, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 512;
/// How far a drifting clock strays before it is set right again.
pub const CLOCK_ERROR_MAX: Duration = Duration::from_secs(30);

const NANOS_PER_SECOND: f64 = 1e9;
const ID_BYTES: usize = 13;
const LOCATIONS: [&str; 8] =
    ["lab", "office", "kitchen", "workshop", "hall", "archive", "attic", "cellar"];

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
/// Costs about 0.2 microseconds and no allocation a message, however many devices there are.
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
    /// The skewed devices and the others.
    rings: Vec<Ring<Device>>,
    dead_are_buried: bool,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Device {
    number: usize,
    id: [u8; ID_BYTES],
    location: &'static str,
    room: Room,
    random: SplitMix64,
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
        let drifting = options.skewed_devices..options.skewed_devices + options.drifting_devices;
        let device = |number: usize, period_ns: u64| {
            let mut random = SplitMix64::stream(options.seed, number as u64);
            let room = Room::new(random.next_u64());
            let phase_ns = random.below(period_ns);
            // Counted around, so that there are as many as asked for beside the skewed ones.
            let drifts =
                drifting.contains(&number) || drifting.contains(&(number + options.devices));
            let device = Device {
                number,
                id: device_id(options.seed, number),
                location: LOCATIONS[number % LOCATIONS.len()],
                room,
                random,
                drift_sign: if !drifts {
                    0
                } else if number.is_multiple_of(2) {
                    1
                } else {
                    -1
                },
                dies: options.devices - options.dead_devices <= number,
            };
            (phase_ns, device)
        };
        let rings = [0..options.skewed_devices, options.skewed_devices..options.devices]
            .into_iter()
            .filter(|numbers| !numbers.is_empty())
            .map(|numbers| {
                let rate_hz = options.rate_hz(numbers.start);
                let period_ns = ((NANOS_PER_SECOND / rate_hz).round() as u64).max(1);
                Ring::new(period_ns, numbers.map(|number| device(number, period_ns)).collect())
            })
            .collect();
        let dead_are_buried = options.dead_devices == 0;
        let buffer = Vec::with_capacity(PAYLOAD_BYTES_MAX);
        Ok(Fleet { options, start, rings, dead_are_buried, buffer })
    }

    /// The ids of the devices, by number.
    pub fn device_ids(&self) -> impl Iterator<Item = String> {
        let id = |number| as_str(&device_id(self.options.seed, number)).to_owned();
        (0..self.options.devices).map(id)
    }

    /// Messages a second of all devices together, while all of them live.
    pub fn rate_hz(&self) -> f64 {
        (0..self.options.devices).map(|device| self.options.rate_hz(device)).sum()
    }

    /// When the next message arrives; `None` when every device has stopped.
    pub fn next_due(&mut self) -> Option<EventTime> {
        let (due_ns, _) = self.next_ring()?;
        Some(self.start + Duration::from_nanos(due_ns))
    }

    /// The next message; `None` when every device has stopped.
    pub fn send(&mut self) -> Option<Sent<'_>> {
        let (due_ns, ring) = self.next_ring()?;
        let device = self.rings[ring].turn()?;

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
        let id = as_str(&device.id);
        self.buffer.clear();
        if options.vary_layout {
            let layout = mix(bits);
            message::write_varied(
                &mut self.buffer,
                id,
                device.location,
                event_time,
                &reading,
                layout,
            );
        } else {
            message::write(&mut self.buffer, id, device.location, event_time, &reading);
        }

        let mut is_null = false;
        let malformed = malformed.then(|| {
            let cases = options.malformed_cases;
            let case = cases[(bits >> 8) as usize % cases.len()];
            match case.spoil(&self.buffer, id, event_time) {
                Some(spoiled) => self.buffer = spoiled,
                None => is_null = true,
            }
            case
        });
        Some(Sent {
            device: device.number,
            key: id,
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
        if let Some((due_ns, _)) = self.next_ring() {
            self.start = now - Duration::from_nanos(due_ns);
        }
    }

    /// The ring whose turn it is, and when, in nanoseconds since the start.
    #[inline]
    fn next_ring(&mut self) -> Option<(u64, usize)> {
        let next = |rings: &[Ring<Device>]| {
            (0..).zip(rings).filter_map(|(i, ring)| Some((ring.next_ns()?, i))).min()
        };
        let first = next(&self.rings)?;
        let is_alive = Duration::from_nanos(first.0) < self.options.dead_after;
        if self.dead_are_buried || is_alive {
            return Some(first);
        }
        // Whatever follows is later.
        self.dead_are_buried = true;
        self.rings.iter_mut().for_each(|ring| ring.retain(|device| !device.dies));
        next(&self.rings)
    }
}

/// `device-` and six hexadecimal digits. Different numbers give different ids: each step is a
/// bijection of 24 bits.
fn device_id(seed: u64, number: usize) -> [u8; ID_BYTES] {
    const BITS_24: u64 = (1 << 24) - 1;
    let mut bits = (number as u64 ^ mix(seed)) & BITS_24;
    for _ in 0..3 {
        bits = bits.wrapping_mul(0x9e_3779) & BITS_24; // odd
        bits ^= bits >> 13;
    }
    let mut id = *b"device-......";
    for (place, digit) in id[7..].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(bits >> (4 * place) & 0xf) as usize];
    }
    id
}

/// An id as text. Kept as bytes, ids lie beside the rest of their device.
fn as_str(id: &[u8; ID_BYTES]) -> &str {
    std::str::from_utf8(id).expect("ids are ASCII")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests;
