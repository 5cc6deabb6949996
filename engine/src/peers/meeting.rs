//! How the processes of a job find each other, before anything is read.
//!
//! A process connects to those with lower numbers and listens for those with greater ones. The first
//! thing that two processes say to each other is what they run: their *terms*. Every process hears
//! every other one before it judges, so all of them come to the same judgement, and none goes on
//! where another does not.
//!
//! Timely would connect them too. It would ask for no terms, take any connection for a process of
//! the job, speak on the standard output stream, and not hear of a stop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustix::net::sockopt;
use serde::{Deserialize, Serialize};

use super::framed::{self, MEET_POLL, Marker, Received};
use crate::checkpoint::manifest::OutputIdentity;
use crate::clock::Clock;
use crate::condition::ConditionKind;
use crate::error::JobError;
use crate::report::Report;
use crate::run_id::RunId;
use crate::source::SourceError;
use crate::stop::Stop;
use crate::telemetry::Telemetry;

/// What a connection between two processes begins with.
const GREETING: Marker = *b"strandline hello";
/// Whoever connects says at once who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(2);
/// A process that was reached answers within this, or is tried again.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long the computer of another process may be silent before the connection with it is given up.
/// Longer than a process is usually stopped or moved: while its system has no room for more, that
/// counts too.
const GONE_AFTER: Duration = Duration::from_secs(120);
/// How many times its computer is asked within that whether it is there.
const PROBES: u32 = 5;
/// How long the others may be away before a word is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many that have connected and not said who they are are heard at the same time. The oldest makes
/// room for one more.
const CALLERS_MAX: usize = 64;

/// What has to be the same in all processes of a job, by name.
pub(crate) type Terms = BTreeMap<String, String>;

/// The term that says how many processes there are.
const PROCESSES: &str = "processes";

/// What a process says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    process: usize,
    terms: Terms,
    /// Where its outputs are, if it keeps checkpoints.
    #[serde(default)]
    place: Option<OutputIdentity>,
    /// What its files may be named after.
    #[serde(default)]
    runs: Vec<RunId>,
}

/// The others.
#[derive(Debug)]
pub(crate) struct Met {
    /// The connections with them, by number: none with this process itself.
    pub(crate) sockets: Vec<Option<TcpStream>>,
    /// Where their outputs are, by number, without this process.
    pub(crate) places: Vec<Option<OutputIdentity>>,
    /// What the files of all processes may be named after, those of this one too.
    pub(crate) runs: Vec<RunId>,
}

/// Where the processes with greater numbers come to, if there are any. `addresses` has where each
/// process listens, by number.
///
/// # Errors
///
/// [`JobError::CannotListen`].
pub fn listen(process: usize, addresses: &[String]) -> Result<Option<TcpListener>, JobError> {
    if process + 1 >= addresses.len() {
        return Ok(None);
    }
    let address = &addresses[process];
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = listener.map_err(|error| JobError::CannotListen {
        process,
        address: address.clone(),
        is_taken: error.kind() == io::ErrorKind::AddrInUse,
        error: error.to_string(),
    })?;
    Ok(Some(listener))
}

/// A process that meets the others.
pub(crate) struct Meeting<'a> {
    pub(crate) process: usize,
    /// Where each process listens.
    pub(crate) addresses: &'a [String],
    pub(crate) terms: Terms,
    pub(crate) place: Option<OutputIdentity>,
    /// What its files may be named after.
    pub(crate) runs: Vec<RunId>,
    pub(crate) stop: &'a Stop,
    pub(crate) report: &'a Report,
    pub(crate) telemetry: &'a Telemetry,
}

impl Meeting<'_> {
    /// Waits until all processes have met.
    ///
    /// # Errors
    ///
    /// [`JobError::OtherOptions`] where they do not run the same; a stop; an address that cannot be
    /// listened at.
    pub(crate) fn hold(mut self) -> Result<Met, JobError> {
        let processes = self.addresses.len();
        self.terms.insert(PROCESSES.to_owned(), processes.to_string());
        let hello = framed::bytes(
            GREETING,
            &Hello {
                process: self.process,
                terms: self.terms.clone(),
                place: self.place.take(),
                runs: self.runs.clone(),
            },
        )?;
        let listener = listen(self.process, self.addresses)?;
        let (clock, mut said) = (Clock::system(), String::new());
        let mut unresolved: Vec<Option<String>> = vec![None; processes];
        let mut met: Vec<Option<(TcpStream, Hello)>> = (0..processes).map(|_| None).collect();
        let mut called: Vec<Option<Caller>> = (0..processes).map(|_| None).collect();
        let mut callers = VecDeque::new();
        loop {
            for (process, met) in met.iter_mut().enumerate().take(self.process) {
                if met.is_some() {
                    continue;
                }
                if called[process].is_none() {
                    let reached = self.resolve(process).map_err(|error| error.to_string());
                    unresolved[process] = reached.as_ref().err().cloned();
                    called[process] = reached.ok().and_then(|at| Caller::call(&at, &hello).ok());
                }
                // One that is not there yet is tried again, and so is one that is somebody else.
                match called[process].take().map(|callee| callee.hear(ANSWER_WITHIN)) {
                    Some(Heard::Hello(stream, other)) if other.process == process => {
                        self.same_number_of_processes(&other)?;
                        if stream.set_nonblocking(false).is_err() {
                            continue;
                        }
                        *met = Some((stream, other));
                    }
                    Some(Heard::NotYet(callee)) => called[process] = Some(callee),
                    Some(Heard::Hello(..) | Heard::Stranger) | None => {}
                }
            }
            for (stream, other) in self.receive(listener.as_ref(), &mut callers)? {
                // Whoever is not one of the others is left alone.
                let Ok(stream) = welcome(stream, &hello) else { continue };
                self.same_number_of_processes(&other)?;
                if (self.process + 1..processes).contains(&other.process) {
                    // One that comes again has been started again.
                    let process = other.process;
                    met[process] = Some((stream, other));
                }
            }
            let missing = (0..processes).filter(|p| *p != self.process && met[*p].is_none());
            let missing: Vec<usize> = missing.collect();
            if missing.is_empty() {
                break;
            }
            if self.stop.is_requested() {
                return Err(SourceError::Stopped.into());
            }
            let names = self.names(&missing, &unresolved);
            if said != names && PATIENCE <= clock.elapsed() {
                self.report.say(&format!("waiting for {names}"));
                let waiting = ConditionKind::WaitingForProcesses;
                self.telemetry.raise(waiting, "", &names, Clock::system().wall());
                said = names;
            }
            std::thread::park_timeout(MEET_POLL);
        }
        if !said.is_empty() {
            self.telemetry.clear(ConditionKind::WaitingForProcesses, "");
            self.report.say("all processes of the job are there");
        }
        let all = met.iter().enumerate().map(|(process, other)| {
            (process, other.as_ref().map_or(&self.terms, |(_, hello)| &hello.terms))
        });
        agree(&all.collect::<Vec<_>>())?;
        let places = met.iter().flatten().map(|(_, hello)| hello.place.clone()).collect();
        let mut runs = self.runs;
        runs.extend(met.iter().flatten().flat_map(|(_, hello)| &hello.runs));
        let sockets = met.into_iter().map(|other| other.map(|(stream, _)| stream)).collect();
        Ok(Met { sockets, places, runs })
    }

    /// Hears all who have connected, without waiting for any. Gives those that have said who they are.
    fn receive(
        &self,
        listener: Option<&TcpListener>,
        callers: &mut VecDeque<Caller>,
    ) -> Result<Vec<(TcpStream, Hello)>, JobError> {
        let mut heard = Vec::new();
        let mut hear = |caller: Caller| match caller.hear(HELLO_WITHIN) {
            Heard::Hello(stream, other) => {
                heard.push((stream, other));
                None
            }
            Heard::NotYet(caller) => Some(caller),
            Heard::Stranger => None,
        };
        *callers = std::mem::take(callers).into_iter().filter_map(&mut hear).collect();
        // Not as long as there are more: who comes without end would be all that is heard.
        for _ in 0..CALLERS_MAX {
            let Some(stream) = self.accept(listener)? else { break };
            let Ok(caller) = Caller::new(stream) else { continue };
            // A process says at once who it is: it is heard before it could have to make room.
            if let Some(caller) = hear(caller) {
                callers.push_back(caller);
            }
            if callers.len() > CALLERS_MAX {
                callers.pop_front();
            }
        }
        Ok(heard)
    }

    fn accept(&self, listener: Option<&TcpListener>) -> Result<Option<TcpStream>, JobError> {
        let Some(listener) = listener else { return Ok(None) };
        match listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // Whoever it was has gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(JobError::Start(format!(
                "process {} cannot take connections at {}: {error}",
                self.process, self.addresses[self.process]
            ))),
        }
    }

    /// Where a process is. A name may be known later: processes start at the same time as what
    /// gives them their names.
    fn resolve(&self, process: usize) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = self.addresses[process].to_socket_addrs()?.collect();
        match found.is_empty() {
            true => Err(io::Error::other("the name has no address")),
            false => Ok(found),
        }
    }

    /// Where they do not even agree on that, some would wait for ever for one that does not come.
    fn same_number_of_processes(&self, other: &Hello) -> Result<(), JobError> {
        let only = |terms: &Terms| terms.get(PROCESSES).cloned();
        if only(&other.terms) == only(&self.terms) {
            return Ok(());
        }
        let mut all = [(self.process, &self.terms), (other.process, &other.terms)];
        all.sort_by_key(|(process, _)| *process);
        agree(&all)
    }

    fn names(&self, processes: &[usize], unresolved: &[Option<String>]) -> String {
        let name = |process: &usize| {
            let named = format!("process {process} at {}", self.addresses[*process]);
            match &unresolved[*process] {
                Some(error) => format!("{named}, a name that cannot be resolved ({error})"),
                None => named,
            }
        };
        processes.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// One at the other end of a connection that has not said who it is.
struct Caller {
    stream: TcpStream,
    received: Received,
    since: Clock,
}

/// What came of a caller.
enum Heard {
    Hello(TcpStream, Hello),
    NotYet(Caller),
    /// It broke off, is silent for too long, or is no process of a job.
    Stranger,
}

impl Caller {
    fn new(stream: TcpStream) -> io::Result<Caller> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        notice_silence(&stream)?;
        Ok(Caller { stream, received: Received::new(GREETING), since: Clock::system() })
    }

    /// Goes to a process with a lower number, and says who this one is.
    fn call(at: &[SocketAddr], hello: &[u8]) -> io::Result<Caller> {
        let mut reached = Err(io::ErrorKind::NotFound.into());
        for address in at {
            reached = TcpStream::connect_timeout(address, CONNECT_WITHIN);
            if reached.is_ok() {
                break;
            }
        }
        let mut stream = reached?;
        write(&mut stream, hello)?;
        Caller::new(stream)
    }

    /// Takes what it has said, which may take `limit` altogether.
    fn hear(mut self, limit: Duration) -> Heard {
        match self.received.take_from(&mut self.stream) {
            Ok(Some(hello)) => Heard::Hello(self.stream, hello),
            Ok(None) if self.since.elapsed() < limit => Heard::NotYet(self),
            Ok(None) | Err(_) => Heard::Stranger,
        }
    }
}

/// Has the system break the connection once nothing has come from the other computer for
/// [`GONE_AFTER`], whether anything is on its way to it or not. Without that, one that loses its power
/// or its network is waited for until TCP gives up what it sends, a quarter of an hour. One that is only
/// busy or stopped is answered for by its system, as long as that has room for what is sent.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let probe_every = GONE_AFTER / (PROBES + 1);
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, probe_every)?;
    sockopt::set_tcp_keepintvl(stream, probe_every)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(
        stream,
        u32::try_from(GONE_AFTER.as_millis()).unwrap_or(u32::MAX),
    )?;
    Ok(())
}

/// Answers a process with a greater number that has said who it is.
///
/// # Errors
///
/// It is gone: no process leaves before it has an answer, unless it has given this connection up.
fn welcome(mut stream: TcpStream, hello: &[u8]) -> io::Result<TcpStream> {
    match stream.peek(&mut [0]) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        Ok(_) | Err(_) => {}
    }
    write(&mut stream, hello)?;
    Ok(stream)
}

/// Whoever takes nothing is not waited for.
fn write(stream: &mut TcpStream, hello: &[u8]) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(CONNECT_WITHIN))?;
    stream.write_all(hello)?;
    stream.set_write_timeout(None)
}

/// Whether all have the same terms as the first.
fn agree(all: &[(usize, &Terms)]) -> Result<(), JobError> {
    let Some(((first, terms), others)) = all.split_first() else { return Ok(()) };
    let names: BTreeSet<&String> = all.iter().flat_map(|(_, terms)| terms.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let value = |terms: &&Terms| terms.get(name).map_or("nothing", String::as_str).to_owned();
        let here = value(terms);
        let other = others.iter().map(|(process, terms)| (process, value(terms)));
        if let Some((process, there)) = other.into_iter().find(|(_, there)| *there != here) {
            differences
                .push(format!("{name} is {here} in process {first} and {there} in {process}"));
        }
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(JobError::OtherOptions { differences: differences.join("; ") }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Mutex;

    use super::*;

    fn addresses(count: usize) -> Vec<String> {
        let listeners: Vec<TcpListener> =
            (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        listeners.iter().map(|free| free.local_addr().unwrap().to_string()).collect()
    }

    /// After how much silence the system breaks a connection over which nothing is on its way.
    fn given_up_after(stream: &TcpStream) -> Duration {
        assert!(sockopt::socket_keepalive(stream).unwrap());
        let probes =
            sockopt::tcp_keepintvl(stream).unwrap() * sockopt::tcp_keepcnt(stream).unwrap();
        let idle = sockopt::tcp_keepidle(stream).unwrap() + probes;
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(stream).unwrap() as u128, idle.as_millis());
        idle
    }

    #[test]
    fn a_process_that_would_say_too_much_ends_with_a_reason() {
        let addresses = addresses(2);
        let meeting = Meeting {
            process: 1,
            addresses: &addresses,
            terms: terms(&"x".repeat(64 << 10)),
            place: None,
            runs: Vec::new(),
            stop: &Stop::default(),
            report: &Report::silent(),
            telemetry: &Telemetry::default(),
        };
        let refused = meeting.hold().unwrap_err().to_string();
        assert!(refused.contains("use shorter names and paths"), "{refused}");
    }

    fn terms(window: &str) -> Terms {
        [("window".to_owned(), window.to_owned())].into()
    }

    /// Processes that meet, each with a window; what became of each.
    fn meet(windows: &[&str]) -> Vec<Result<usize, String>> {
        let addresses = addresses(windows.len());
        std::thread::scope(|scope| {
            let all: Vec<_> = windows
                .iter()
                .enumerate()
                .map(|(process, window)| {
                    let (addresses, terms) = (&addresses, terms(window));
                    scope.spawn(move || {
                        let (stop, report) = (Stop::default(), Report::silent());
                        let (stop, report) = (&stop, &report);
                        let telemetry = &Telemetry::default();
                        let met = Meeting {
                            process,
                            addresses,
                            terms,
                            place: None,
                            runs: Vec::new(),
                            stop,
                            report,
                            telemetry,
                        }
                        .hold();
                        met.map(|Met { sockets: streams, .. }| {
                            assert!(streams[process].is_none());
                            streams.iter().flatten().count()
                        })
                        .map_err(|error| error.to_string())
                    })
                })
                .collect();
            all.into_iter().map(|process| process.join().unwrap()).collect()
        })
    }

    #[test]
    fn processes_that_run_the_same_are_all_connected() {
        assert_eq!(meet(&["5s"; 4]), [Ok(3), Ok(3), Ok(3), Ok(3)]);
    }

    #[test]
    fn one_that_runs_something_else_ends_all_with_the_same_words() {
        for windows in [["10s", "5s", "5s"], ["5s", "10s", "5s"], ["5s", "5s", "10s"]] {
            let met = meet(&windows);
            let error = met[0].clone().unwrap_err();
            assert!(error.contains("window is "), "{error}");
            assert!(error.contains("5s in ") && error.contains("10s in "), "{error}");
            assert!(met.iter().all(|met| met.as_ref() == Err(&error)), "{met:?}");
        }
    }

    #[test]
    fn another_number_of_processes_is_noticed_although_one_of_them_never_comes() {
        let addresses = addresses(3);
        let of = |process, count| {
            let addresses = addresses[..count].to_vec();
            std::thread::spawn(move || {
                let (stop, report, terms) = (Stop::default(), Report::silent(), terms("5s"));
                let (addresses, stop, report) = (&*addresses, &stop, &report);
                let telemetry = &Telemetry::default();
                let (place, runs) = (None, Vec::new());
                let met =
                    Meeting { process, addresses, terms, place, runs, stop, report, telemetry };
                met.hold().unwrap_err().to_string()
            })
        };
        for process in [of(0, 2), of(1, 3)] {
            let error = process.join().unwrap();
            assert!(error.contains("processes is 2 in process 0 and 3 in 1"), "{error}");
        }
    }

    #[test]
    fn who_is_missing_is_said_and_strangers_are_none_of_the_processes() {
        let addresses = addresses(2);
        let said = std::sync::Arc::new(Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&said);
        let (stop, report) =
            (Stop::default(), Report::new(move |line| heard.lock().unwrap().push(line.to_owned())));
        let (leader_stop, leader_at) = (stop.clone(), addresses.clone());
        let leader = std::thread::spawn(move || {
            let (addresses, stop, report) = (&*leader_at, &leader_stop, &report);
            let telemetry = &Telemetry::default();
            Meeting {
                process: 0,
                addresses,
                terms: terms("5s"),
                place: None,
                runs: Vec::new(),
                stop,
                report,
                telemetry,
            }
            .hold()
        });
        let mut stranger = loop {
            match TcpStream::connect(&addresses[0]) {
                Ok(stream) => break stream,
                Err(_) => std::thread::park_timeout(MEET_POLL),
            }
        };
        stranger.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // It is shown the door.
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
        assert_eq!(answer, b"");
        while said.lock().unwrap().is_empty() {
            std::thread::park_timeout(MEET_POLL);
        }
        stop.request();
        let ended = leader.join().unwrap().unwrap_err();
        assert!(matches!(ended, JobError::Source(SourceError::Stopped)), "{ended}");
        let waits = format!("waiting for process 1 at {}", addresses[1]);
        assert_eq!(*said.lock().unwrap(), [waits]);
    }

    #[test]
    fn a_host_that_cannot_be_resolved_is_named_with_the_reason() {
        let said = std::sync::Arc::new(Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&said);
        let (stop, report) =
            (Stop::default(), Report::new(move |line| heard.lock().unwrap().push(line.to_owned())));
        // No name of a host has such characters.
        let addresses = ["no such host:2101".to_owned(), addresses(1).remove(0)];
        let telemetry = Telemetry::default();
        std::thread::scope(|scope| {
            let (addresses, stop, report) = (&addresses, &stop, &report);
            let (terms, telemetry) = (terms("5s"), &telemetry);
            let (process, place, runs) = (1, None, Vec::new());
            let meeting =
                Meeting { process, addresses, terms, place, runs, stop, report, telemetry };
            let waits = scope.spawn(move || meeting.hold().map(drop));
            while said.lock().unwrap().is_empty() {
                std::thread::park_timeout(MEET_POLL);
            }
            let raised = telemetry.all_raised();
            stop.request();
            waits.join().unwrap().unwrap_err();
            let expected = "process 0 at no such host:2101, a name that cannot be resolved (";
            assert!(said.lock().unwrap()[0].starts_with(&format!("waiting for {expected}")));
            assert!(raised[0].detail.starts_with(expected), "{raised:?}");
        });
    }

    #[test]
    fn strangers_that_say_nothing_delay_no_start() {
        let addresses = addresses(2);
        let said = std::sync::Arc::new(Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&said);
        let report = Report::new(move |line| heard.lock().unwrap().push(line.to_owned()));
        let (stop, telemetry, silent) = (Stop::default(), Telemetry::default(), Report::silent());
        std::thread::scope(|scope| {
            let meeting = |process, report| Meeting {
                process,
                addresses: &addresses,
                terms: terms("5s"),
                place: None,
                runs: Vec::new(),
                stop: &stop,
                report,
                telemetry: &telemetry,
            };
            let leads = meeting(0, &report);
            let leader = scope.spawn(move || leads.hold().map(|met| met.sockets));
            let connect = || loop {
                match TcpStream::connect(&addresses[0]) {
                    Ok(stream) => break stream,
                    Err(_) => std::thread::park_timeout(MEET_POLL),
                }
            };
            // More come than are heard at the same time, for longer than it takes to say who is missing.
            let clock = Clock::system();
            let mut strangers = Vec::new();
            while said.lock().unwrap().is_empty() {
                strangers.push(connect());
                std::thread::park_timeout(Duration::from_millis(5));
                if clock.elapsed() > Duration::from_secs(20) {
                    stop.request();
                    panic!("nothing is said");
                }
            }
            let (clock, follows) = (Clock::system(), meeting(1, &silent));
            let follower = scope.spawn(move || follows.hold().map(|met| met.sockets));
            let mut sockets = leader.join().unwrap().unwrap();
            let mut others = follower.join().unwrap().unwrap();
            // One after another, they would have taken two seconds each.
            assert!(clock.elapsed() < HELLO_WITHIN * 5, "{:?}", clock.elapsed());
            assert!(strangers.len() > CALLERS_MAX, "{}", strangers.len());
            let ends = [others[0].as_ref().unwrap(), sockets[1].as_ref().unwrap()];
            assert_eq!(ends.map(given_up_after), [GONE_AFTER; 2]);
            others[0].as_mut().unwrap().write_all(b"here").unwrap();
            let mut here = [0; 4];
            sockets[1].as_mut().unwrap().read_exact(&mut here).unwrap();
            assert_eq!(&here, b"here");
        });
    }

    #[test]
    fn of_those_that_say_nothing_the_oldest_makes_room() {
        let addresses = addresses(2);
        let listener = listen(0, &addresses).unwrap();
        let (stop, telemetry, report) =
            (&Stop::default(), &Telemetry::default(), &Report::silent());
        let (process, addresses, terms) = (0, &*addresses, terms("5s"));
        let (place, runs) = (None, Vec::new());
        let meeting = Meeting { process, addresses, terms, place, runs, stop, report, telemetry };
        let connect = |_| TcpStream::connect(&addresses[0]).unwrap();
        let mut strangers: Vec<TcpStream> = (0..=CALLERS_MAX).map(connect).collect();
        let mut callers = VecDeque::new();
        // All of them take more than one look.
        for _ in 0..2 {
            assert!(meeting.receive(listener.as_ref(), &mut callers).unwrap().is_empty());
        }
        assert!(callers.len() <= CALLERS_MAX, "{}", callers.len());
        strangers[0].set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        assert_eq!(strangers[0].read(&mut [0]).unwrap(), 0, "it was let go");
    }

    #[test]
    fn a_process_that_has_given_its_connection_up_is_not_met() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, mut again) = (listener.accept().unwrap().0, other.try_clone().unwrap());
        let caller = Caller::new(stream).unwrap();
        drop(other);
        let stream = welcome(caller.stream, b"hello").unwrap();
        stream.set_nonblocking(true).unwrap();
        // What it has not read would break the connection off, which whoever writes notices.
        again.read_exact(&mut [0; 5]).unwrap();
        drop(again);
        // The end of a connection arrives a moment later.
        let clock = Clock::system();
        while stream.peek(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
            assert!(clock.elapsed() < ANSWER_WITHIN);
            std::thread::park_timeout(MEET_POLL);
        }
        welcome(stream, b"hello").unwrap_err();
    }
}
