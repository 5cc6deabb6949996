//! The decoder against the oracle's reader: two programs that share no code have to accept the same
//! bytes, read the same from them, and refuse the others for the same reason.

use strandline_operators::decode::{Decode as _, JsonFields};
use strandline_sim::fleet::{FleetOptions, Malformed};
use strandline_sim::log::{LogOptions, simulated_log};
use strandline_sim::oracle::{OracleOptions, read};
use strandline_sim::random::SplitMix64;

/// Bytes that mean something in JSON: a mutation by one of them hurts more than by any other.
const MEANINGFUL: &[u8] =
    b"{}[]\",:\\u0123459dD89abtrfn.eE+- \t\n\r\0\x1f\x7f\xc3\xa4\xed\xa0\x80\xf0";

/// Changes a payload in one to three places.
fn mutate(payload: &mut Vec<u8>, random: &mut SplitMix64) {
    for _ in 0..=random.below(3) {
        let at = random.below(payload.len() as u64 + 1) as usize;
        let byte = MEANINGFUL[random.below(MEANINGFUL.len() as u64) as usize];
        let other = random.below(payload.len() as u64 + 1) as usize;
        match random.below(6) {
            0 if at < payload.len() => payload[at] = byte,
            1 => payload.insert(at, byte),
            2 if at < payload.len() => {
                payload.remove(at);
            }
            3 => payload.truncate(at),
            // A part of it twice.
            4 => {
                let part = payload[at.min(other)..at.max(other)].to_vec();
                payload.splice(at..at, part);
            }
            _ => {
                payload.drain(at.min(other)..at.max(other).min(at.min(other) + 4));
            }
        }
    }
}

#[test]
fn the_decoder_and_the_oracle_agree_on_every_payload() {
    let options = LogOptions {
        odd_share: 0.5,
        fleet: FleetOptions {
            malformed_share: 0.3,
            malformed_cases: &Malformed::ALL,
            fault_share: 0.2,
            ..FleetOptions::default()
        },
        ..LogOptions::default()
    };
    let oracle = OracleOptions::default();
    let mut decoder = JsonFields::new("device_id", "ts", ["temperature", "humidity", "battery"]);
    let mut random = SplitMix64::new(11);
    let (mut accepted, mut refused) = (0, 0);
    for record in simulated_log(11, 1, 40_000, &options).unwrap().concat() {
        let mut payload = record.payload.unwrap_or_default();
        for mutations in 0..4 {
            if 0 < mutations {
                mutate(&mut payload, &mut random);
            }
            let ours =
                decoder.decode(&payload).map_err(strandline_operators::decode::DeadReason::code);
            let theirs = read(Some(&payload), None, &oracle);
            let text = String::from_utf8_lossy(&payload);
            match (ours, theirs) {
                (Ok(decoded), Ok(sample)) => {
                    accepted += 1;
                    assert_eq!(decoded.key.as_str(), sample.key, "{text}");
                    assert_eq!(decoded.time.as_millis(), sample.event_time_ms, "{text}");
                    for (i, metric) in sample.metrics.iter().enumerate() {
                        let bits = |value: Option<f64>| value.map(f64::to_bits);
                        assert_eq!(bits(decoded.value.get(i)), bits(*metric), "{text}");
                    }
                }
                (ours, theirs) => {
                    refused += 1;
                    assert_eq!(ours.err(), theirs.err(), "{text}");
                }
            }
        }
    }
    assert!(20_000 < accepted && 20_000 < refused, "{accepted} {refused}");
}
