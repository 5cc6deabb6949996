//! Notices that the worker that leads does not come round any more: then nobody else could tell.
//!
//! It waits for a disk, or computes something that takes long. A thread of its own looks for that, so
//! that the page does not show an old moment as if it were this one. Time in which that thread did not look
//! either does not count: then the process got no processor time, or the computer slept.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::clock::Clock;
use crate::condition::ConditionKind;
use crate::monitor::watched_time::{Standing, WatchedTime};
use crate::report::Report;
use crate::telemetry::Telemetry;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How much counts of the time between two looks.
const WATCHED_PER_LOOK: Duration = Duration::from_secs(2);
/// How long the leader may be silent.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// What the condition is about.
const SUBJECT: &str = "leader";

/// Looks until it is dropped.
pub(crate) struct Watchdog {
    _stop: SyncSender<()>,
}

impl Watchdog {
    /// Watches whether [`Telemetry::note_leader`] is called.
    pub(crate) fn start(telemetry: &Telemetry, clock: &Clock, report: &Report) -> Watchdog {
        let (stop, stopped) = sync_channel::<()>(0);
        let (telemetry, clock, report) = (telemetry.clone(), clock.clone(), report.clone());
        let watch = move || {
            let mut watch = Watch::new(telemetry, clock, report);
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                watch.look();
            }
            watch.telemetry.clear(ConditionKind::Stalled, SUBJECT);
        };
        // Without a thread, nobody watches: the job is none the worse for it.
        let _ = std::thread::Builder::new().name("watchdog".into()).spawn(watch);
        Watchdog { _stop: stop }
    }
}

/// Looks whether the leader comes round.
struct Watch {
    telemetry: Telemetry,
    clock: Clock,
    report: Report,
    watched: WatchedTime,
    /// When the leader was seen last.
    leader_seen: Option<Standing<Duration>>,
    is_raised: bool,
}

impl Watch {
    fn new(telemetry: Telemetry, clock: Clock, report: Report) -> Watch {
        let watched = WatchedTime::new(WATCHED_PER_LOOK);
        Watch { telemetry, clock, report, watched, leader_seen: None, is_raised: false }
    }

    fn look(&mut self) {
        let watched = self.watched.look(self.clock.elapsed());
        let Some(last) = self.telemetry.leader_seen() else { return };
        let silent = Standing::for_how_long(&mut self.leader_seen, last, watched);
        let is_silent = SILENT_MAX <= silent;
        if is_silent && !self.is_raised {
            let detail = "worker 0 does not come round: it waits for an output that takes no rows, or \
                          has more to do than it should";
            self.report.say(&format!("stalled: {detail}"));
            let since = self.clock.wall() - self.clock.elapsed().saturating_sub(last);
            self.telemetry.raise(ConditionKind::Stalled, SUBJECT, detail, since);
        } else if !is_silent && self.is_raised {
            self.report.say("no longer stalled: worker 0 comes round again");
            self.telemetry.clear(ConditionKind::Stalled, SUBJECT);
        }
        self.is_raised = is_silent;
    }
}

#[cfg(test)]
mod tests {
    use strandline_operators::time::EventTime;

    use super::*;
    use crate::clock::ClockHand;

    /// A watch at a clock that is moved by hand, and a second later by it.
    fn watch() -> (Watch, ClockHand) {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        (Watch::new(Telemetry::default(), clock, Report::silent()), hand)
    }

    fn seconds(watch: &mut Watch, hand: &ClockHand, count: u64) {
        for _ in 0..count {
            hand.advance(LOOK_EVERY);
            watch.look();
        }
    }

    #[test]
    fn a_leader_that_does_not_come_round_is_a_stall_since_it_was_seen_last() {
        let (mut watch, hand) = watch();
        seconds(&mut watch, &hand, 60);
        assert!(watch.telemetry.all_raised().is_empty(), "it has not begun");
        watch.telemetry.note_leader(watch.clock.elapsed());
        seconds(&mut watch, &hand, SILENT_MAX.as_secs());
        assert!(watch.telemetry.all_raised().is_empty(), "not yet");
        seconds(&mut watch, &hand, 1);
        let all = watch.telemetry.all_raised();
        assert_eq!((all[0].kind, all[0].since.as_millis()), (ConditionKind::Stalled, 60_000));
        watch.telemetry.note_leader(watch.clock.elapsed());
        watch.look();
        assert!(watch.telemetry.all_raised().is_empty());
    }

    #[test]
    fn a_process_that_slept_blames_no_leader() {
        let (mut watch, hand) = watch();
        watch.telemetry.note_leader(watch.clock.elapsed());
        for _ in 0..3 {
            hand.advance(Duration::from_secs(3600));
            watch.look();
            assert!(watch.telemetry.all_raised().is_empty());
        }
    }
}
