//! How the process that leads lets the others begin.
//!
//! It alone knows whether the start is refused and whether it continues a job: it has asked the log and
//! the checkpoints. A process that looked at the store by itself could see what this very start has
//! written there. So the others wait for a word on their connection with it, before timely gets that;
//! until then they touch no row of an earlier job.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::Met;
use super::framed::{self, Marker};
use crate::error::JobError;
use crate::run_id::RunId;
use crate::source::SourceError;
use crate::stop::Stop;

const GO_AHEAD: Marker = *b"strandline start";
/// The process that leads.
const LEADER: usize = 0;

/// Said by the process that leads when its start can no longer be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoAhead {
    /// Whether no checkpoint is continued: rows that are there are of earlier jobs.
    pub(crate) is_anew: bool,
    /// The job that its files are named after; without checkpoints each process has a run of its own.
    pub(crate) job: Option<RunId>,
}

impl Met {
    /// Tells the others: for the process that leads.
    ///
    /// # Errors
    ///
    /// [`JobError::PeerGone`].
    pub(crate) fn tell(&mut self, go_ahead: &GoAhead) -> Result<(), JobError> {
        let said = framed::bytes(GO_AHEAD, go_ahead);
        for (process, stream) in self.sockets.iter_mut().enumerate() {
            let Some(stream) = stream else { continue };
            stream.write_all(&said).map_err(|error| gone(process, &error.to_string()))?;
        }
        Ok(())
    }

    /// Waits for the process that leads: for all others.
    ///
    /// # Errors
    ///
    /// [`JobError::PeerGone`] where that process ends instead; a stop.
    pub(crate) fn hear(&mut self, stop: &Stop) -> Result<GoAhead, JobError> {
        let Some(leader) = self.sockets.get_mut(LEADER).and_then(Option::as_mut) else {
            return Err(gone(LEADER, "there is no connection with it"));
        };
        framed::hear(leader, GO_AHEAD, || stop.is_requested()).map_err(|error| {
            match stop.is_requested() {
                true => SourceError::Stopped.into(),
                false => gone(LEADER, &format!("it ended before the job began ({error})")),
            }
        })
    }
}

fn gone(process: usize, reason: &str) -> JobError {
    JobError::PeerGone { process, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use strandline_operators::time::EventTime;

    /// Process 0 and process 1, connected.
    fn two() -> (Met, Met) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let follower = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let leader = listener.accept().unwrap().0;
        let met = |sockets| Met { sockets, places: Vec::new(), runs: Vec::new() };
        (met(vec![None, Some(leader)]), met(vec![Some(follower), None]))
    }

    #[test]
    fn a_process_begins_as_the_one_that_leads_says_and_reads_no_further() {
        let (mut leader, mut follower) = two();
        let run = RunId::new(EventTime::from_millis(7), 7);
        let said = GoAhead { is_anew: true, job: Some(run) };
        leader.tell(&said).unwrap();
        leader.sockets[1].as_mut().unwrap().write_all(b"timely's").unwrap();
        assert_eq!(follower.hear(&Stop::default()).unwrap(), said);
        let mut next = [0; 8];
        std::io::Read::read_exact(follower.sockets[0].as_mut().unwrap(), &mut next).unwrap();
        assert_eq!(&next, b"timely's");
    }

    #[test]
    fn a_process_does_not_begin_when_the_one_that_leads_is_refused_or_it_is_stopped() {
        let (leader, mut follower) = two();
        drop(leader);
        let error = follower.hear(&Stop::default()).unwrap_err();
        assert!(matches!(error, JobError::PeerGone { process: 0, .. }), "{error}");
        let (_leader, mut follower) = two();
        let stop = Stop::default();
        stop.request();
        let error = follower.hear(&stop).unwrap_err();
        assert!(matches!(error, JobError::Source(SourceError::Stopped)), "{error}");
    }
}
