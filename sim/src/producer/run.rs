//! One run: messages from the fleet to the client, at its pace, while looking around for reports,
//! for room and for the wish to stop.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use strandline_engine::clock::Clock;

use super::{Amount, CATCH_UP_MAX, FLUSH_MAX, FleetProducer, Pace, ProduceError, Report, Tally};
use crate::fleet::{Fleet, Sent};

/// The longest wait before the caller's wish to stop is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The same while the client or the bound has no room.
const ROOM_EVERY: Duration = Duration::from_millis(2);
/// Events of the client that are taken at a time: a call takes one, and each stands for a batch of
/// messages.
const EVENTS_PER_LOOK: u32 = 16;
/// How often a run reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Messages that are sent before the client's reports are looked at.
const BURST_MESSAGES: u32 = 1_024;

/// One run's state.
pub(super) struct Run<'a> {
    producer: &'a FleetProducer,
    filler_bytes: usize,
    filler: Option<OwnedHeaders>,
    clock: &'a Clock,
    stopped: &'a dyn Fn() -> bool,
    report: &'a mut dyn FnMut(Report),
    began: Duration,
    reported: Duration,
    said_unreachable: bool,
    tally: Tally,
    handed_over: Amount,
    /// How many messages may be sent before the bound is asked again.
    room: u64,
}

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub(super) fn new(
        producer: &'a FleetProducer,
        filler_bytes: usize,
        clock: &'a Clock,
        stopped: &'a dyn Fn() -> bool,
        report: &'a mut dyn FnMut(Report),
    ) -> Run<'a> {
        let filler = (0 < filler_bytes).then(|| {
            let zeros = vec![0; filler_bytes];
            OwnedHeaders::new().insert(Header { key: "filler", value: Some(&zeros) })
        });
        Run {
            producer,
            filler_bytes,
            filler,
            clock,
            stopped,
            report,
            began: clock.elapsed(),
            reported: clock.elapsed(),
            said_unreachable: false,
            tally: Tally::default(),
            handed_over: Amount::default(),
            room: 0,
        }
    }

    /// Sends what the fleet sends, and waits until it is delivered.
    pub(super) fn of(mut self, fleet: &mut Fleet, pace: Pace) -> Result<Tally, ProduceError> {
        match pace {
            Pace::RealTime => self.in_real_time(fleet)?,
            Pace::FullSpeed { messages } => self.at_full_speed(fleet, messages)?,
        }
        self.flush();
        Ok(self.tally)
    }

    fn in_real_time(&mut self, fleet: &mut Fleet) -> Result<(), ProduceError> {
        let mut now = self.clock.wall();
        while !(self.stopped)() {
            let Some(due) = fleet.next_due() else { return Ok(()) };
            let before = std::mem::replace(&mut now, self.clock.wall());
            let was_set_back = now + CATCH_UP_MAX < before;
            if was_set_back || due + CATCH_UP_MAX < now {
                fleet.resume_at(now);
                self.tally.jumps += 1;
            }
            let mut wait = LOOK_EVERY;
            for _ in 0..BURST_MESSAGES {
                if !self.has_room() {
                    wait = ROOM_EVERY;
                    break;
                }
                match fleet.next_due() {
                    Some(due) if due <= now => {}
                    Some(due) => {
                        wait = due.since(now).min(LOOK_EVERY);
                        break;
                    }
                    None => return Ok(()),
                }
                wait = Duration::ZERO;
                let Some(sent) = fleet.send() else { return Ok(()) };
                if !self.hand_over(&sent)? {
                    return Ok(());
                }
            }
            self.look_around(wait);
        }
        Ok(())
    }

    fn at_full_speed(&mut self, fleet: &mut Fleet, messages: u64) -> Result<(), ProduceError> {
        while !(self.stopped)() {
            let mut wait = Duration::ZERO;
            for _ in 0..BURST_MESSAGES {
                if self.tally.sent == messages {
                    return Ok(());
                }
                if !self.has_room() {
                    wait = ROOM_EVERY;
                    break;
                }
                let Some(sent) = fleet.send() else { return Ok(()) };
                if !self.hand_over(&sent)? {
                    return Ok(());
                }
            }
            self.look_around(wait);
        }
        Ok(())
    }

    /// Whether the bound, if there is one, lets one more message go.
    fn has_room(&mut self) -> bool {
        let deliveries = self.producer.client.context();
        if !deliveries.is_bounded() {
            return true;
        }
        if self.room == 0 {
            self.room = deliveries.room(self.handed_over).unwrap_or(u64::MAX);
        }
        0 < self.room
    }

    /// Hands a message to the client, waiting while its queue is full; `false` if the run was
    /// stopped meanwhile.
    fn hand_over(&mut self, sent: &Sent<'_>) -> Result<bool, ProduceError> {
        let mut record = BaseRecord::to(&self.producer.topic).key(sent.key);
        record.payload = sent.payload;
        record.headers.clone_from(&self.filler);
        loop {
            match self.producer.client.send(record) {
                Ok(()) => break,
                Err((error, again)) => {
                    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                        return Err(ProduceError::Failed {
                            topic: self.producer.topic.clone(),
                            reason: error.to_string(),
                        });
                    }
                    record = again;
                    self.look_around(ROOM_EVERY);
                    if (self.stopped)() {
                        return Ok(false);
                    }
                }
            }
        }
        let payload_bytes = sent.payload.map_or(0, <[u8]>::len);
        let message_bytes = sent.key.len() + payload_bytes;
        self.handed_over.add(Amount::message(message_bytes + self.filler_bytes));
        self.room = self.room.saturating_sub(1);
        self.tally.sent += 1;
        self.tally.bytes += message_bytes as u64;
        self.tally.held_up += u64::from(sent.held_up);
        self.tally.malformed += u64::from(sent.malformed.is_some());
        Ok(true)
    }

    /// Waits, takes the client's reports, and reports.
    #[expect(clippy::disallowed_methods, reason = "in real time there is nothing else to wait for")]
    fn look_around(&mut self, wait: Duration) {
        // The client waits by the millisecond, and spins for the part of one that is left.
        std::thread::sleep(wait);
        for _ in 0..EVENTS_PER_LOOK {
            self.producer.client.poll(Duration::ZERO);
        }
        self.count_deliveries();
        let deliveries = self.producer.client.context();
        let is_unreachable = deliveries.unreachable.load(Ordering::Relaxed);
        if is_unreachable && !self.said_unreachable {
            self.said_unreachable = true;
            let reason = deliveries.last_error().unwrap_or_else(|| "no answer".to_owned());
            (self.report)(Report::Unreachable { reason });
        }
        let now = self.clock.elapsed();
        if self.reported + REPORT_EVERY <= now {
            self.reported = now;
            (self.report)(Report::Progress(self.tally.clone()));
        }
    }

    fn count_deliveries(&mut self) {
        let client = &self.producer.client;
        let deliveries = client.context();
        let delivered_before = self.tally.delivered;
        let under_way = u64::try_from(client.in_flight_count()).unwrap_or(0);
        self.tally.failed = deliveries.failed.load(Ordering::Relaxed);
        let settled = self.tally.sent.saturating_sub(under_way);
        self.tally.delivered = settled.saturating_sub(self.tally.failed).max(delivered_before);
        self.tally.elapsed = self.clock.elapsed() - self.began;
        self.tally.last_error = deliveries.last_error();
        if delivered_before < self.tally.delivered && self.said_unreachable {
            self.said_unreachable = false;
            deliveries.unreachable.store(false, Ordering::Relaxed);
            (self.report)(Report::Reachable);
        }
    }

    fn flush(&mut self) {
        let mut stopped_at = None;
        loop {
            self.look_around(Duration::ZERO);
            if self.producer.client.in_flight_count() == 0 {
                break;
            }
            if (self.stopped)() {
                let since = *stopped_at.get_or_insert_with(|| self.clock.elapsed());
                if since + FLUSH_MAX <= self.clock.elapsed() {
                    break;
                }
            }
            // Asks the client not to linger.
            let _ = self.producer.client.flush(LOOK_EVERY);
        }
        self.count_deliveries();
    }
}
