//! What the sensors of one room measure, as a function of time.
//!
//! A room has no state: its values at a moment depend on its seed and that moment alone, so
//! samples that are sent out of order, late or twice agree with each other. The curves use the
//! four basic operations only: those give equal bits on every platform, which the sine of the
//! system's mathematical library does not.

use strandline_operators::time::EventTime;

use crate::random::{SplitMix64, mix};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The rhythm of a thermostat.
const HEATING_MS: i64 = 47 * 60_000;
/// How long a fault lasts: in each stretch of this length a device is healthy or faulty.
const FAULT_MS: i64 = 30_000;
/// How long charging takes.
const CHARGE_MS: i64 = 2 * HOUR_MS;
/// Percent at which a battery is put on the charger.
const BATTERY_EMPTY: f64 = 5.0;
/// What a DS18B20 thermometer reports after a power failure, in tenths of a degree.
const SPIKE_AFTER_POWER_FAILURE: i32 = 850;
/// What it reports when it is disconnected, in tenths of a degree.
const SPIKE_DISCONNECTED: i32 = -1270;

/// One sample: values in tenths of a unit, as devices send one decimal.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Tenths of a degree Celsius.
    pub(crate) temperature: Option<i32>,
    /// Tenths of a percent, relative.
    pub(crate) humidity: Option<i32>,
    /// Tenths of a percent of a full battery.
    pub(crate) battery: i32,
    /// Whether the device knows that something is wrong with it.
    pub(crate) faulty: bool,
}

/// A room with a device in it.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    temperature_level: f64,
    temperature_swing: f64,
    humidity_level: f64,
    day_phase: f64,
    heating_phase: f64,
    battery_phase_ms: i64,
    drain_ms: i64,
    fault_seed: u64,
}

impl Room {
    /// The room of this seed.
    pub(crate) fn new(seed: u64) -> Room {
        let mut random = SplitMix64::new(seed);
        let mut between = |least: f64, most: f64| least + (most - least) * random.unit();
        Room {
            temperature_level: between(18.5, 24.0),
            temperature_swing: between(1.0, 3.5),
            humidity_level: between(42.0, 58.0),
            day_phase: between(0.0, 0.25),
            heating_phase: between(0.0, 1.0),
            battery_phase_ms: whole(between(0.0, 5.0) * DAY_MS as f64),
            drain_ms: whole(between(2.0, 5.0) * DAY_MS as f64),
            fault_seed: random.next_u64(),
        }
    }

    /// The sample taken at `at`. `noise` is 64 random bits; `fault_share` is the share of time in
    /// which the device is faulty.
    #[inline]
    pub(crate) fn read(&self, at: EventTime, noise: u64, fault_share: f64) -> Reading {
        let at_ms = at.as_millis();
        match self.fault(at_ms, fault_share) {
            None => self.healthy(at_ms, noise),
            Some(kind) => {
                let stretch_ms = at_ms - at_ms.rem_euclid(FAULT_MS);
                let reading = Reading { faulty: true, ..self.healthy(at_ms, noise) };
                match kind % 4 {
                    0 => Reading { temperature: None, ..reading },
                    1 => Reading { humidity: None, ..reading },
                    // Stuck: the values of the stretch's first moment, again and again.
                    2 => Reading { faulty: true, ..self.healthy(stretch_ms, 0) },
                    _ if kind & 4 == 0 => {
                        Reading { temperature: Some(SPIKE_AFTER_POWER_FAILURE), ..reading }
                    }
                    _ => Reading { temperature: Some(SPIKE_DISCONNECTED), ..reading },
                }
            }
        }
    }

    /// Random bits that say what is wrong in the stretch of time around `at_ms`, if something is.
    #[inline]
    fn fault(&self, at_ms: i64, share: f64) -> Option<u64> {
        let bits = mix(self.fault_seed ^ at_ms.div_euclid(FAULT_MS).cast_unsigned());
        let drawn = SplitMix64::new(bits).happens(share);
        drawn.then_some(bits)
    }

    #[inline]
    fn healthy(&self, at_ms: i64, noise: u64) -> Reading {
        let day = wave(turns(at_ms, DAY_MS) - 0.375 + self.day_phase);
        let heating = wave(turns(at_ms, HEATING_MS) + self.heating_phase);
        // Warm air of the same moisture has a lower relative humidity.
        let warmth = self.temperature_swing * day + 0.3 * heating;
        let temperature = self.temperature_level + warmth;
        let humidity = (self.humidity_level - 2.1 * warmth).clamp(5.0, 95.0);
        // A last digit that flickers: -1, 0 or 1 tenths, and -2 to 1 tenths.
        let temperature_noise = [0, -1, 0, 1][(noise & 3) as usize];
        let humidity_noise = [0, -1, -2, 1][(noise >> 2 & 3) as usize];
        Reading {
            temperature: Some(tenths(temperature) + temperature_noise),
            humidity: Some(tenths(humidity) + humidity_noise),
            battery: tenths(self.battery(at_ms)),
            faulty: false,
        }
    }

    /// Percent: slowly down for days, then up again on the charger.
    #[inline]
    fn battery(&self, at_ms: i64) -> f64 {
        let cycle_ms = self.drain_ms + CHARGE_MS;
        let position_ms = (at_ms % cycle_ms + self.battery_phase_ms).rem_euclid(cycle_ms);
        if position_ms < self.drain_ms {
            100.0 - (100.0 - BATTERY_EMPTY) * (position_ms as f64 / self.drain_ms as f64)
        } else {
            let charged = (position_ms - self.drain_ms) as f64 / CHARGE_MS as f64;
            BATTERY_EMPTY + (100.0 - BATTERY_EMPTY) * charged
        }
    }
}

/// How many turns of `period_ms` a moment is into the current one: `0.0 .. 1.0`.
#[inline]
fn turns(at_ms: i64, period_ms: i64) -> f64 {
    at_ms.rem_euclid(period_ms) as f64 / period_ms as f64
}

/// About `sin(2 * pi * turns)`, by Bhaskara's formula of the 7th century (within 0.002).
#[inline]
fn wave(turns: f64) -> f64 {
    let turn = turns - turns.floor();
    let (half, sign) = if turn < 0.5 { (2.0 * turn, 1.0) } else { (2.0 * turn - 1.0, -1.0) };
    let arch = half * (1.0 - half);
    sign * 16.0 * arch / (5.0 - 4.0 * arch)
}

#[inline]
fn tenths(value: f64) -> i32 {
    (value * 10.0).round() as i32
}

fn whole(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> EventTime {
        EventTime::from_millis(1_730_592_000_000 + ms)
    }

    #[test]
    fn the_wave_is_close_to_a_sine() {
        for step in -1000..1000 {
            let turns = f64::from(step) / 250.0;
            assert!((wave(turns) - (turns * std::f64::consts::TAU).sin()).abs() < 0.002);
        }
    }

    /// Neighbouring samples differ by little, a day by some degrees, and humidity falls as the
    /// temperature rises.
    #[test]
    fn curves_are_smooth_daily_and_opposed() {
        for seed in 0..20 {
            let room = Room::new(seed);
            let values: Vec<(i32, i32)> = (0..24 * 60)
                .map(|minute| room.read(at(minute * 60_000), 0, 0.0))
                .map(|reading| (reading.temperature.unwrap(), reading.humidity.unwrap()))
                .collect();
            assert!(values.windows(2).all(|pair| (pair[1].0 - pair[0].0).abs() <= 2));
            let warmest = values.iter().max_by_key(|value| value.0).unwrap();
            let coldest = values.iter().min_by_key(|value| value.0).unwrap();
            assert!(
                10 <= warmest.0 - coldest.0 && warmest.0 - coldest.0 <= 80,
                "tenths of degrees"
            );
            assert!(warmest.1 < coldest.1, "relative humidity falls when it gets warm");
            assert!((100..350).contains(&coldest.0) && (100..350).contains(&warmest.0));
        }
    }

    #[test]
    fn batteries_drain_for_days_and_are_recharged() {
        let room = Room::new(5);
        let levels: Vec<i32> = (0..10 * 24 * 60)
            .map(|minute| room.read(at(minute * 60_000), 0, 0.0).battery)
            .collect();
        assert!(levels.iter().all(|level| (50..=1000).contains(level)));
        assert!(levels.iter().any(|level| *level < 70) && levels.iter().any(|level| 980 < *level));
        let falling = levels.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        assert!(levels.len() * 9 / 10 < falling, "draining is the rule, charging the exception");
    }

    /// With noise the values stay within two tenths of the curve.
    #[test]
    fn noise_moves_the_last_digit_only() {
        let room = Room::new(9);
        let calm = room.read(at(0), 0, 0.0);
        for noise in 0..16 {
            let noisy = room.read(at(0), noise, 0.0);
            assert!((noisy.temperature.unwrap() - calm.temperature.unwrap()).abs() <= 1);
            assert!((noisy.humidity.unwrap() - calm.humidity.unwrap()).abs() <= 2);
        }
    }

    #[test]
    fn every_kind_of_fault_occurs_and_says_so() {
        let room = Room::new(1);
        let readings: Vec<Reading> =
            (0..400).map(|stretch| room.read(at(stretch * FAULT_MS), 0, 1.0)).collect();
        assert!(readings.iter().all(|reading| reading.faulty));
        assert!(readings.iter().any(|reading| reading.temperature.is_none()));
        assert!(readings.iter().any(|reading| reading.humidity.is_none()));
        assert!(readings.iter().any(|reading| reading.temperature == Some(850)));
        assert!(readings.iter().any(|reading| reading.temperature == Some(-1270)));

        let faults = (0..100_000).filter(|i| room.read(at(i * FAULT_MS), 0, 0.01).faulty).count();
        assert!((800..1200).contains(&faults), "{faults} of 100 000 stretches");
    }

    #[test]
    fn times_before_1970_have_values_too() {
        let reading = Room::new(3).read(EventTime::from_millis(-5), 0, 0.0);
        assert!((0..=1000).contains(&reading.battery));
    }
}
