//! Notices that the worker that leads does not come round any more: then nobody else could tell.
//!
//! It waits for a disk, or computes something that takes long. A thread of its own looks for that, so
//! that the page does not show an old moment as if it were this one.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::clock::Clock;
use crate::condition::ConditionKind;
use crate::report::Report;
use crate::telemetry::Telemetry;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
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
            let mut raised = false;
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                look(&telemetry, &clock, &report, &mut raised);
            }
            telemetry.clear(ConditionKind::Stalled, SUBJECT);
        };
        // Without a thread, nobody watches: the job is none the worse for it.
        let _ = std::thread::Builder::new().name("watchdog".into()).spawn(watch);
        Watchdog { _stop: stop }
    }
}

fn look(telemetry: &Telemetry, clock: &Clock, report: &Report, raised: &mut bool) {
    let Some(last) = telemetry.leader_seen() else { return };
    let silent = clock.elapsed().saturating_sub(last);
    let is_silent = SILENT_MAX <= silent;
    if is_silent && !*raised {
        let detail = "worker 0 does not come round: it waits for an output that takes no rows, or \
                      has more to do than it should";
        report.say(&format!("stalled: {detail}"));
        telemetry.raise(ConditionKind::Stalled, SUBJECT, detail, clock.wall() - silent);
    } else if !is_silent && *raised {
        report.say("no longer stalled: worker 0 comes round again");
        telemetry.clear(ConditionKind::Stalled, SUBJECT);
    }
    *raised = is_silent;
}

#[cfg(test)]
mod tests {
    use strandline_operators::time::EventTime;

    use super::*;

    #[test]
    fn a_leader_that_does_not_come_round_is_a_stall_since_it_was_seen_last() {
        let (clock, hand) = Clock::set_by_hand(EventTime::from_millis(0));
        let (telemetry, report) = (Telemetry::default(), Report::silent());
        let mut raised = false;
        hand.advance(Duration::from_secs(60));
        look(&telemetry, &clock, &report, &mut raised);
        assert!(telemetry.all_raised().is_empty(), "it has not begun");
        telemetry.note_leader(clock.elapsed());
        hand.advance(SILENT_MAX);
        look(&telemetry, &clock, &report, &mut raised);
        let all = telemetry.all_raised();
        assert_eq!((all[0].kind, all[0].since.as_millis()), (ConditionKind::Stalled, 60_000));
        telemetry.note_leader(clock.elapsed());
        look(&telemetry, &clock, &report, &mut raised);
        assert!(telemetry.all_raised().is_empty());
    }
}
