//! How the process that leads lets the others begin.
//!
//! It alone knows whether the start is refused and whether it continues a job: it has asked the log and
//! the checkpoints. A process that looked at the store by itself could see what this very start has
//! written there. So the others wait for a word on their connection with it, before timely gets that;
//! until then they touch no row of an earlier job.
//!
//! What it cannot know is whether each process may have the place of its outputs. So each of the others
//! takes its place first and answers whether it could; one that could not refuses the start in all.

use std::io::Write;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Met;
use super::framed::{self, Marker};
use crate::error::JobError;
use crate::outputs::PlaceRefusal;
use crate::run_id::RunId;
use crate::source::SourceError;
use crate::stop::Stop;

const PLACE: Marker = *b"strandline place";
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

/// What the process that leads says to the others.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Begin(GoAhead),
    /// A process, and why it may not have its place.
    Refused(usize, PlaceRefusal),
}

impl Met {
    /// Waits until all others have their places: for the process that leads, before it begins
    /// anything. The first that has not refuses the start, of which the others hear.
    ///
    /// # Errors
    ///
    /// [`JobError::PlaceRefused`], [`JobError::PeerGone`]; a stop.
    pub(crate) fn hear_places(&mut self, stop: &Stop) -> Result<(), JobError> {
        let mut refused = None;
        for process in 0..self.sockets.len() {
            let heard: Option<PlaceRefusal> = match self.sockets[process] {
                Some(_) => self.hear_from(process, PLACE, stop)?,
                None => None,
            };
            refused = refused.or(heard.map(|refusal| (process, refusal)));
        }
        let Some((process, refusal)) = refused else { return Ok(()) };
        let said = framed::bytes(GO_AHEAD, &Said::Refused(process, refusal.clone()))?;
        // One that is gone by now does not begin either.
        let _ = self.tell_all(&said);
        Err(place_refused(process, refusal))
    }

    /// Tells the process that leads whether this one has its place: for all others.
    ///
    /// # Errors
    ///
    /// [`JobError::PeerGone`].
    pub(crate) fn tell_place(&mut self, taken: &Result<(), PlaceRefusal>) -> Result<(), JobError> {
        let said = framed::bytes(PLACE, &taken.as_ref().err())?;
        let leader = self.sockets.get_mut(LEADER).and_then(Option::as_mut);
        let leader = leader.ok_or_else(|| gone(LEADER, "there is no connection with it"))?;
        leader.write_all(&said).map_err(|error| gone(LEADER, &error.to_string()))
    }

    /// Tells the others: for the process that leads.
    ///
    /// # Errors
    ///
    /// [`JobError::PeerGone`].
    pub(crate) fn tell(&mut self, go_ahead: &GoAhead) -> Result<(), JobError> {
        self.tell_all(&framed::bytes(GO_AHEAD, &Said::Begin(go_ahead.clone()))?)
    }

    /// Tells each that is there. One that is gone keeps it from none of those behind it.
    fn tell_all(&mut self, said: &[u8]) -> Result<(), JobError> {
        let mut told = Ok(());
        for (process, stream) in self.sockets.iter_mut().enumerate() {
            let Some(stream) = stream else { continue };
            let written = stream.write_all(said);
            told = told.and(written.map_err(|error| gone(process, &error.to_string())));
        }
        told
    }

    /// Waits for the process that leads: for all others.
    ///
    /// # Errors
    ///
    /// [`JobError::PlaceRefused`] where a process may not have its place; [`JobError::PeerGone`] where
    /// the process that leads ends instead; a stop.
    pub(crate) fn hear(&mut self, stop: &Stop) -> Result<GoAhead, JobError> {
        match self.hear_from(LEADER, GO_AHEAD, stop)? {
            Said::Begin(go_ahead) => Ok(go_ahead),
            Said::Refused(process, refusal) => Err(place_refused(process, refusal)),
        }
    }

    fn hear_from<T: DeserializeOwned>(
        &mut self,
        process: usize,
        marker: Marker,
        stop: &Stop,
    ) -> Result<T, JobError> {
        let Some(stream) = self.sockets.get_mut(process).and_then(Option::as_mut) else {
            return Err(gone(process, "there is no connection with it"));
        };
        framed::hear(stream, marker, || stop.is_requested()).map_err(|error| {
            match stop.is_requested() {
                true => SourceError::Stopped.into(),
                false => gone(process, &format!("it ended before the job began ({error})")),
            }
        })
    }
}

fn place_refused(process: usize, refusal: PlaceRefusal) -> JobError {
    let PlaceRefusal { reason, may_pass } = refusal;
    JobError::PlaceRefused { process, reason, may_pass }
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

    #[test]
    fn a_process_that_is_gone_keeps_the_word_from_none_of_those_behind_it() {
        let (mut leader, follower) = two();
        drop(follower);
        let (mut other, mut last) = two();
        leader.sockets.push(other.sockets.remove(1));
        let said = GoAhead { is_anew: true, job: None };
        // The first may still be told: its system has not answered yet that nobody listens.
        while leader.tell(&said).is_ok() {}
        let error = leader.tell(&said).unwrap_err();
        assert!(matches!(error, JobError::PeerGone { process: 1, .. }), "{error}");
        assert_eq!(last.hear(&Stop::default()).unwrap(), said);
    }

    #[test]
    fn a_place_that_one_process_may_not_have_refuses_the_start_in_all_with_the_same_words() {
        let (mut leader, mut follower) = two();
        follower.tell_place(&Ok(())).unwrap();
        leader.hear_places(&Stop::default()).unwrap();
        let refusal = PlaceRefusal { reason: "/out is in use".into(), may_pass: true };
        follower.tell_place(&Err(refusal)).unwrap();
        let refused = leader.hear_places(&Stop::default()).unwrap_err();
        let heard = follower.hear(&Stop::default()).unwrap_err();
        for error in [refused, heard] {
            let is_refused =
                matches!(error, JobError::PlaceRefused { process: 1, may_pass: true, .. });
            assert!(is_refused && error.to_string().contains("/out is in use"), "{error}");
        }
    }
}
