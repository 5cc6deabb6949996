//! The topics that are read: filled once, and used again as long as the broker has them.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use strandline::engine::clock::Clock;
use strandline::engine::source::Source as _;
use strandline::engine::source::kafka::{KafkaSettings, KafkaSource};
use strandline::sim::producer::{FleetProducer, Pace, ProducerOptions};
use strandline_benches::{fleet, fleet_of_many_makes};

use crate::counts::Window;
use crate::hand::WINDOW_MS;
use crate::rounds::Topic;

const PARTITIONS: u32 = 4;
const DEVICES: usize = 1_000;
/// How many times larger the large topic is: the difference is what a steady rate is made of.
const LARGE_BY: u64 = 10;

/// A topic with so many messages and one with a tenth, the large one first.
pub(crate) fn filled(
    bootstrap: &str,
    messages: u64,
    vary_layout: bool,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<Topic>> {
    ensure!(LARGE_BY <= messages, "a bench takes at least {LARGE_BY} messages");
    [messages, messages / LARGE_BY]
        .into_iter()
        .map(|messages| {
            let layout = if vary_layout { "-varied" } else { "" };
            let name = format!("bench-{messages}{layout}");
            fill(bootstrap, &name, messages, vary_layout, say)
                .with_context(|| format!("filling topic {name}"))?;
            Ok(Topic { name, messages, windows: Vec::new() })
        })
        .collect()
}

/// What each window of a topic with so many messages holds, the oldest first. The fleet sends the
/// same each time, so nobody has to read the topic for this.
pub(crate) fn windows(messages: u64) -> Vec<Window> {
    let mut fleet = fleet(DEVICES);
    let mut windows = BTreeMap::new();
    for _ in 0..messages {
        let Some(sent) = fleet.send() else { break };
        let number = sent.event_time.as_millis().div_euclid(WINDOW_MS);
        let of_devices = windows.entry(number).or_insert_with(|| vec![0_u64; DEVICES]);
        of_devices[sent.device] += 1;
    }
    let window = |of_devices: Vec<u64>| Window {
        rows: of_devices.iter().filter(|records| 0 < **records).count() as u64,
        records: of_devices.iter().sum(),
    };
    windows.into_values().map(window).collect()
}

fn fill(
    bootstrap: &str,
    name: &str,
    messages: u64,
    vary_layout: bool,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    // As the bench reads it, so that a half-filled one is noticed.
    let options = ProducerOptions::new(bootstrap, name);
    let producer = FleetProducer::new(&options, None)?;
    producer.ensure_topic(PARTITIONS, &|| false, &mut |_| {})?;
    let mut settings = KafkaSettings::new(bootstrap, name);
    settings.bounded = true;
    let plan = KafkaSource::new(settings)?.plan(&[], &|| false)?;
    let held = plan.partitions.iter().map(|p| p.end.map_or(0, |end| end.0 - p.next_offset.0));
    let held = held.sum::<u64>();
    if held == messages {
        return Ok(());
    }
    ensure!(held == 0, "it holds {held} messages instead of {messages}: delete it");
    say(&format!("filling topic {name} with {messages} messages"));
    let mut fleet = if vary_layout { fleet_of_many_makes(DEVICES) } else { fleet(DEVICES) };
    let pace = Pace::FullSpeed { messages };
    let sent = producer.run(&mut fleet, pace, &Clock::system(), &|| false, &mut |_| {})?;
    ensure!(sent.delivered == messages, "only {} messages were delivered", sent.delivered);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::sum;

    #[test]
    fn every_device_has_a_row_in_every_window() {
        let windows = windows(100_000);
        assert_eq!(windows.len(), 3); // 25 s, from the fourth second of a window
        assert!(windows.iter().all(|window| window.rows == DEVICES as u64));
        assert_eq!(sum(&windows).records, 100_000);
    }
}
