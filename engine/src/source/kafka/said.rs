//! What a person is told of a cluster: each thing once for all readers, and once when it is over.

use std::time::Duration;

use strandline_operators::record::{Offset, Partition};

use crate::clock::Clock;
use crate::condition::ConditionKind;
use crate::source::kafka::connection::{Connection, NO_ANSWER_FOR};
use crate::source::kafka::left_out::LeftOut;
use crate::source::kafka::lookup::NO_ANSWER;

impl Connection {
    /// A bounded run leaves this out; says so, unless it was said.
    pub(super) fn note_left_out(&self, left_out: Vec<LeftOut>) {
        let before = std::mem::replace(&mut self.state().left_out, left_out.clone());
        for left_out in left_out.iter().filter(|left_out| !before.contains(left_out)) {
            let LeftOut { partition, from, to } = left_out;
            self.settings.report.say(&format!(
                "topic `{}` partition {}: offsets {} to {} are left out, because a transaction is open \
                 there: what is committed among them can only be read when it has ended; run again \
                 then",
                self.settings.topic,
                partition.0,
                from.0,
                to.0.saturating_sub(1),
            ));
        }
    }

    /// A partition waits behind an open transaction.
    pub(super) fn say_behind_transaction(&self, partition: Partition, at: Offset, high: Offset) {
        let detail = format!(
            "partition {} waits at offset {} behind a transaction that is neither committed nor \
             aborted; {} offsets behind it cannot be read until it is, and no window closes that they \
             may belong to",
            partition.0,
            at.0,
            high.0.saturating_sub(at.0)
        );
        let subject = partition.0.to_string();
        let now = Clock::system().wall();
        let kind = ConditionKind::WaitsBehindTransaction;
        self.settings.telemetry.raise(kind, &subject, &detail, now);
        self.settings.report.say(&format!("topic `{}`: {detail}", self.settings.topic));
    }

    /// It does no longer.
    pub(super) fn say_transaction_ended(&self, partition: Partition) {
        let kind = ConditionKind::WaitsBehindTransaction;
        self.settings.telemetry.clear(kind, &partition.0.to_string());
        self.settings.report.say(&format!(
            "topic `{}` partition {}: the transaction has ended, reading goes on",
            self.settings.topic, partition.0
        ));
    }

    /// Says what is wrong with a partition just now.
    pub(super) fn say_passing(&self, partition: Partition, reason: &str) {
        self.settings.report.say(&format!(
            "topic `{}` partition {}: {reason}; trying again",
            self.settings.topic, partition.0
        ));
    }

    /// Says that fetching from a broker fails though the cluster answers; once for all readers.
    pub(super) fn say_broken(&self, broker: i32, address: &str, reason: &str) {
        self.settings.telemetry.measure(|measures| measures.kafka.errors += 1);
        if self.state().broken.insert(broker, address.to_owned()).is_none() {
            let line =
                format!("Kafka answers, but fetching from {address} fails: {reason}; trying again");
            self.raise(address, &line);
            self.settings.report.say(&line);
        }
    }

    /// Says that it does no longer, if it was said.
    pub(super) fn say_mended(&self, broker: i32) {
        let mended = self.state().broken.remove(&broker);
        if let Some(address) = mended {
            self.settings.telemetry.clear(ConditionKind::WaitingForKafka, &address);
            self.settings.report.say(&format!("fetching from {address} goes on"));
        }
    }

    /// There has been no answer of use for so long: says so where that is too long for an election.
    pub(super) fn say_not_yet(&self, reason: &str, for_so_long: Duration) {
        if NO_ANSWER_FOR < for_so_long {
            self.say_away(&match reason {
                NO_ANSWER => format!(
                    "no answer for {} s: check that Kafka, and nothing else, listens there, and that no \
                     firewall is in between",
                    for_so_long.as_secs()
                ),
                reason => reason.to_owned(),
            });
        }
    }

    /// Says that nobody answers, once.
    pub(super) fn say_away(&self, reason: &str) {
        self.settings.telemetry.measure(|measures| {
            measures.kafka.errors += 1;
            measures.kafka.is_connected = Some(false);
        });
        if !std::mem::replace(&mut self.state().away, true) {
            let line = format!(
                "cannot reach Kafka at {}: {reason}; trying again",
                self.settings.bootstrap
            );
            self.raise("", &line);
            self.settings.report.say(&line);
        }
    }

    /// The job waits for a broker, or for all of them.
    fn raise(&self, address: &str, line: &str) {
        let at = Clock::system().wall();
        self.settings.telemetry.raise(ConditionKind::WaitingForKafka, address, line, at);
    }

    /// Says that the cluster answers, if it was away; returns whether it was.
    pub(super) fn say_back(&self) -> bool {
        let was_away = std::mem::take(&mut self.state().away);
        self.settings.telemetry.measure(|measures| measures.kafka.is_connected = Some(true));
        if was_away {
            self.settings.telemetry.clear(ConditionKind::WaitingForKafka, "");
            self.settings.report.say(&format!("Kafka at {} answers", self.settings.bootstrap));
        }
        was_away
    }
}
