//! Serves the page about a made-up fleet that does what it is told: the browser tests' job.
//!
//! It prints its address, then reads commands from standard input, one a line, and answers each
//! with `ok` and the number of the snapshot that it published for it:
//!
//! `step [N]`, `play`, `pause`, `devices N`, `partitions N`, `hostile`, `empty`, `filled`,
//! `final`, `live`, `lose N`, `running`, `stopping`, `finished`, `trouble`, `mended`, `quit`.
//!
//! To look at the page: `cargo run -p strandline-dashboard --example page_fixture -- 5000`, and
//! type `play`.

use std::error::Error;
use std::io::BufRead;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use strandline_dashboard::Dashboard;
use strandline_engine::condition::ConditionKind;
use strandline_engine::view::{Phase, View};
use strandline_operators::time::EventTime;

#[path = "../tests/dashboard/fleet.rs"]
mod fleet;

use fleet::{Fleet, device_keys, hostile_keys};

/// How often a fleet that plays moves.
const PLAY_EVERY: Duration = Duration::from_millis(250);

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let mut stage = Stage::new();
    let address = format!("127.0.0.1:{port}").parse()?;
    let dashboard = Dashboard::bind(address, stage.view.clone(), Fleet::page())?;
    println!("http://{}/", dashboard.local_addr());
    let (send, commands) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    stage.run(&commands);
    dashboard.shutdown(Duration::from_secs(1));
    Ok(())
}

struct Stage {
    fleet: Fleet,
    view: View,
    number: u64,
    plays: bool,
}

impl Stage {
    fn new() -> Stage {
        let fleet = Fleet::new(8);
        let view = View::new(fleet.snapshot(1));
        Stage { fleet, view, number: 1, plays: false }
    }

    /// Until `quit`, or the end of the input.
    fn run(&mut self, commands: &Receiver<String>) {
        loop {
            let wait = if self.plays { PLAY_EVERY } else { Duration::MAX };
            match commands.recv_timeout(wait) {
                Ok(line) => match self.obey(&line) {
                    Some(()) => {
                        self.publish();
                        println!("ok {}", self.number);
                    }
                    None if line.trim() == "quit" => return,
                    None => println!("what is `{line}`?"),
                },
                Err(RecvTimeoutError::Timeout) => {
                    self.fleet.tick += 1;
                    self.publish();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn publish(&mut self) {
        self.view.publish(self.fleet.snapshot(self.number + 1));
        self.number = self.view.latest().number;
    }

    fn obey(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_whitespace();
        let command = words.next()?;
        let amount = words.next().map(str::parse::<u32>).transpose().ok()?;
        let fleet = &mut self.fleet;
        match command {
            "step" => fleet.tick += amount.unwrap_or(1),
            "play" => self.plays = true,
            "pause" => self.plays = false,
            "devices" => fleet.keys = device_keys(amount? as usize),
            "partitions" => fleet.partitions = amount?,
            "hostile" => fleet.keys = hostile_keys(),
            "empty" => fleet.is_empty = true,
            "filled" => fleet.is_empty = false,
            "final" => fleet.is_final = true,
            "live" => fleet.is_final = false,
            "lose" => fleet.lost = u64::from(amount?),
            "running" => fleet.phase = Phase::Running,
            "stopping" => fleet.phase = Phase::Stopping,
            "finished" => fleet.phase = Phase::Finished,
            "trouble" => {
                let reason = "cannot reach Kafka at kafka:9092: Connection refused; trying again";
                let at = EventTime::from_millis(1_772_366_400_000);
                self.view.telemetry().raise(ConditionKind::WaitingForKafka, "", reason, at);
            }
            "mended" => self.view.telemetry().clear(ConditionKind::WaitingForKafka, ""),
            _ => return None,
        }
        Some(())
    }
}
