use std::collections::{BTreeMap, BTreeSet};

use super::*;

const START: EventTime = EventTime::from_millis(1_730_638_574_123);

fn fleet(options: FleetOptions) -> Fleet {
    Fleet::new(options, START).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One message, owned.
type Message = (String, Option<Vec<u8>>, EventTime);

fn messages(options: FleetOptions, count: usize) -> Vec<Message> {
    let mut fleet = fleet(options);
    (0..count)
        .map_while(|_| {
            let sent = fleet.send()?;
            Some((sent.key.to_owned(), sent.payload.map(<[u8]>::to_vec), sent.due))
        })
        .collect()
}

#[test]
fn a_seed_is_a_fleet() {
    let of_seed = |seed| messages(FleetOptions { seed, ..FleetOptions::default() }, 2_000);
    assert_eq!(of_seed(3), of_seed(3));
    assert_ne!(of_seed(3), of_seed(4));
}

/// Pins the numbers themselves: seeds in bug reports and stored benchmarks have to stay what they
/// are. Whoever changes this on purpose says so in the changelog.
#[test]
fn the_demonstrations_messages_never_change() {
    let mut fleet = fleet(FleetOptions::default());
    let first = fleet.send().unwrap();
    assert_eq!(
        std::str::from_utf8(first.payload.unwrap()).unwrap(),
        r#"{"device_id":"device-07a73a","ts":1730638572757,"temperature":25.7,"humidity":44.5,"battery":84.4,"status":"ok","location":"cellar"}"#
    );
    let mut digest = 0;
    for _ in 0..100_000 {
        for byte in fleet.send().unwrap().payload.unwrap_or_default() {
            digest = mix(digest ^ u64::from(*byte));
        }
    }
    assert_eq!(digest, 14_903_751_939_148_282_493);
}

/// Whatever a lenient reader finds in the stream, malformed messages included, it counts eight
/// devices, and each of the eight is heard in every ten seconds.
#[test]
fn the_demonstrations_fleet_is_always_exactly_eight_devices() {
    let options = FleetOptions { malformed_share: 0.3, ..FleetOptions::default() };
    let ids: BTreeSet<String> = fleet(options.clone()).device_ids().collect();
    assert_eq!(ids.len(), 8);

    let mut windows: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for (key, payload, due) in messages(options, 20_000) {
        assert!(ids.contains(&key), "the Kafka key is a device's id");
        let Some(payload) = payload else { continue };
        let text = String::from_utf8_lossy(&payload);
        // Even in the raw bytes there is no other name, nor part of one.
        for (at, _) in text.match_indices("device-") {
            assert!(ids.contains(&text[at..at + 13]), "{text}");
        }
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&payload) else { continue };
        let Some(object) = value.as_object() else { continue };
        assert_eq!(object["device_id"], key, "{text}");
        if object.get("ts").is_some_and(serde_json::Value::is_u64) {
            windows.entry(due.as_millis() / 10_000).or_default().insert(key);
        }
    }
    let full = &windows.values().skip(1).take(windows.len() - 2).collect::<Vec<_>>();
    assert!(60 <= full.len() && full.iter().all(|devices| devices.len() == 8));
}

#[test]
fn device_ids_are_unique_and_well_formed() {
    let ids: BTreeSet<[u8; ID_BYTES]> = (0..100_000).map(|number| device_id(7, number)).collect();
    assert_eq!(ids.len(), 100_000);
    for id in ids {
        let id = as_str(&id);
        let digits = id.strip_prefix("device-").unwrap();
        assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn messages_arrive_in_order_at_the_rate_asked_for() {
    let sent = messages(FleetOptions { devices: 5, ..FleetOptions::default() }, 20 * 60);
    assert!(sent.windows(2).all(|pair| pair[0].2 <= pair[1].2));
    let minute = sent.last().unwrap().2.since(START);
    assert!(seconds(59) < minute && minute <= seconds(60), "{minute:?}");

    let mut count = BTreeMap::new();
    sent.iter().for_each(|message| *count.entry(&message.0).or_insert(0) += 1);
    assert!(count.values().all(|count| *count == 240), "4 a second each: {count:?}");
}

#[test]
fn the_time_that_messages_take_is_known_beforehand() {
    let cases = [
        FleetOptions::default(),
        FleetOptions { skewed_devices: 2, ..FleetOptions::default() },
        FleetOptions { dead_devices: 7, dead_after: seconds(30), ..FleetOptions::default() },
    ];
    for options in cases {
        let expected = options.time_for(3_200).unwrap();
        let last = messages(options, 3_200).last().unwrap().2.since(START);
        assert!(expected.abs_diff(last) < seconds(1), "{expected:?} {last:?}");
    }
    let all_die =
        FleetOptions { dead_devices: 8, dead_after: seconds(30), ..FleetOptions::default() };
    assert_eq!(all_die.time_for(1_000_000).unwrap(), seconds(30));
    assert_eq!(messages(all_die, 1_000_000).len(), 8 * 4 * 30);
}

#[test]
fn disorder_delays_by_no_more_than_asked_for() {
    let options = FleetOptions { late_share: 0.0, ..FleetOptions::default() };
    let mut fleet = fleet(options);
    let (mut out_of_order, mut newest) = (0, EventTime::MIN);
    for _ in 0..10_000 {
        let sent = fleet.send().unwrap();
        assert!(sent.event_time <= sent.due && sent.due - seconds(2) <= sent.event_time);
        out_of_order += usize::from(sent.event_time < newest);
        newest = newest.max(sent.event_time);
    }
    assert!(5_000 < out_of_order);
}

#[test]
fn held_up_messages_are_as_late_and_as_many_as_asked_for() {
    let options = FleetOptions { late_share: 0.1, malformed_share: 0.0, ..FleetOptions::default() };
    let mut fleet = fleet(options);
    let mut held_up = 0;
    for _ in 0..10_000 {
        let sent = fleet.send().unwrap();
        if sent.held_up {
            held_up += 1;
            let delay = sent.due.since(sent.event_time);
            assert!(seconds(120) <= delay && delay <= seconds(240), "{delay:?}");
        }
    }
    assert!((800..1_200).contains(&held_up), "{held_up}");
}

/// Turning on malformed messages changes those messages and no other.
#[test]
fn options_do_not_disturb_each_other() {
    let clean = messages(FleetOptions { malformed_share: 0.0, ..FleetOptions::default() }, 5_000);
    let options = FleetOptions { malformed_share: 0.2, ..FleetOptions::default() };
    let mut spoiled = fleet(options);
    let mut malformed = 0;
    for (key, payload, due) in clean {
        let sent = spoiled.send().unwrap();
        assert_eq!((sent.key, sent.due), (key.as_str(), due));
        if sent.malformed.is_none() {
            assert_eq!(sent.payload, payload.as_deref());
        } else {
            malformed += 1;
            assert_ne!(sent.payload, payload.as_deref());
        }
    }
    assert!((800..1_200).contains(&malformed), "{malformed}");
}

#[test]
fn every_payload_is_short() {
    let options = FleetOptions {
        malformed_share: 1.0,
        malformed_cases: &Malformed::ALL,
        ..FleetOptions::default()
    };
    let longest = messages(options, 10_000).into_iter().filter_map(|message| message.1);
    assert!(longest.map(|payload| payload.len()).max().unwrap() <= PAYLOAD_BYTES_MAX);
}

#[test]
fn skewed_devices_send_that_much_faster_and_dead_ones_stop() {
    let options = FleetOptions {
        devices: 4,
        skewed_devices: 1,
        skew: 25.0,
        dead_devices: 1,
        dead_after: seconds(30),
        ..FleetOptions::default()
    };
    let mut fleet = fleet(options);
    let mut count = [0; 4];
    while fleet.next_due().unwrap() < START + seconds(60) {
        count[fleet.send().unwrap().device] += 1;
    }
    assert_eq!(count, [6_000, 240, 240, 120]);
}

#[test]
fn drifting_clocks_stray_both_ways_and_are_set_right() {
    let options = FleetOptions {
        drifting_devices: 2,
        drift: 0.01,
        disorder: Duration::ZERO,
        late_share: 0.0,
        ..FleetOptions::default()
    };
    let mut fleet = fleet(options);
    let mut furthest = [(0_i64, 0_i64); 8];
    while fleet.next_due().unwrap() < START + seconds(3 * 3_600) {
        let sent = fleet.send().unwrap();
        let error_ms = sent.event_time.as_millis() - sent.due.as_millis();
        let (least, most) = &mut furthest[sent.device];
        (*least, *most) = ((*least).min(error_ms), (*most).max(error_ms));
    }
    assert!(29_900 < furthest[0].1 && furthest[0].1 <= 30_000 && furthest[0].0 == 0);
    assert!(furthest[1].0 < -29_900 && -30_000 <= furthest[1].0 && furthest[1].1 == 0);
    assert_eq!(furthest[2..], [(0, 0); 6]);
}

#[test]
fn a_fleet_that_was_away_goes_on_at_the_present() {
    let mut fleet = fleet(FleetOptions::default());
    fleet.send();
    let later = START + seconds(3_600);
    fleet.resume_at(later);
    assert_eq!(fleet.next_due(), Some(later));
    assert!(fleet.send().unwrap().event_time <= later);
    fleet.resume_at(START);
    assert_eq!(fleet.next_due(), Some(START), "clocks are also set back");
}

#[test]
fn near_1970_no_event_time_is_negative() {
    let options = FleetOptions { late_share: 0.5, ..FleetOptions::default() };
    let mut fleet = Fleet::new(options, EventTime::from_millis(0)).unwrap();
    for _ in 0..1_000 {
        assert!(EventTime::from_millis(0) <= fleet.send().unwrap().event_time);
    }
}

#[test]
fn nonsense_options_are_refused_in_a_line() {
    let base = FleetOptions::default;
    let cases = [
        FleetOptions { devices: 0, ..base() },
        FleetOptions { devices: DEVICES_MAX + 1, ..base() },
        FleetOptions { rate_per_device_hz: 0.0, ..base() },
        FleetOptions { rate_per_device_hz: f64::NAN, ..base() },
        FleetOptions { rate_per_device_hz: 1e7, ..base() },
        FleetOptions { late_share: 1.1, ..base() },
        FleetOptions { malformed_share: f64::NAN, ..base() },
        FleetOptions { fault_share: -0.1, ..base() },
        FleetOptions { skewed_devices: 9, ..base() },
        FleetOptions { dead_devices: 9, ..base() },
        FleetOptions { drifting_devices: 9, ..base() },
        FleetOptions { skew: 0.0, ..base() },
        FleetOptions { drift: 1.0, ..base() },
        FleetOptions { malformed_cases: &[], ..base() },
    ];
    for options in cases {
        let error = Fleet::new(options.clone(), START).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        assert_eq!(options.time_for(1).unwrap_err().to_string(), error.to_string());
    }
}
