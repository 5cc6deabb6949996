//! Where the page of a process is, and what it shows.
//!
//! Process 0 shows the job. The others know their own part of it alone: they answer probes and
//! scrapes, and say where the job is shown.

use std::net::SocketAddr;

use strandline_dashboard::{Dashboard, DashboardError, Follower, PageOptions, ServeOptions};
use strandline_engine::view::View;

use crate::options::{Listen, Options};

/// Serves the page that the options ask for. `hosts` has an address of each process.
///
/// # Errors
///
/// The address cannot be had.
pub(crate) fn serve(
    options: &Options,
    hosts: &[String],
    view: &View,
    page: PageOptions,
) -> Result<Option<Dashboard>, DashboardError> {
    let Listen::At(listen) = options.listen else { return Ok(None) };
    let serve = ServeOptions {
        allowed_hosts: options.allow_host.clone(),
        follower: (options.process != 0).then(|| Follower {
            process: options.process,
            processes: options.processes,
            leader: leader(options, hosts),
        }),
        ..ServeOptions::at(address(listen, hosts, options.process))
    };
    Dashboard::serve(serve, view.clone(), page).map(Some)
}

/// Where the job is shown.
pub(crate) fn leader(options: &Options, hosts: &[String]) -> String {
    let Listen::At(listen) = options.listen else { return "process 0".to_owned() };
    let host = hosts.first().map_or("localhost", |address| host_of(address));
    match listen.ip().is_loopback() {
        true if is_here(host) => format!("http://{listen}/"),
        true => format!("http://{listen}/ on {host} itself"),
        false => format!("http://{host}:{}/", listen.port()),
    }
}

/// Where a process listens: at the port that was asked for, or, where processes with smaller numbers
/// run on the same host, at a later one for each of these.
pub(crate) fn address(listen: SocketAddr, hosts: &[String], process: usize) -> SocketAddr {
    let Some(own) = hosts.get(process).map(|own| host_of(own)) else { return listen };
    let before = hosts[..process].iter().filter(|other| host_of(other) == own).count();
    let port = u16::try_from(before).ok().and_then(|before| listen.port().checked_add(before));
    match port {
        Some(port) if listen.port() != 0 => SocketAddr::new(listen.ip(), port),
        _ => listen,
    }
}

fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_host_listen_at_ports_of_their_own() {
        let at = |listen: &str, hosts: &[&str], process| {
            let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            address(listen.parse().unwrap(), &hosts, process).to_string()
        };
        let here = ["localhost:2101", "localhost:2102", "localhost:2103"];
        assert_eq!(at("127.0.0.1:5000", &here, 0), "127.0.0.1:5000");
        assert_eq!(at("127.0.0.1:5000", &here, 2), "127.0.0.1:5002");
        assert_eq!(at("127.0.0.1:0", &here, 2), "127.0.0.1:0");
        let pods = ["job-0.job:2101", "job-1.job:2101", "job-0.job:2102"];
        assert_eq!(at("0.0.0.0:5000", &pods, 1), "0.0.0.0:5000");
        assert_eq!(at("0.0.0.0:5000", &pods, 2), "0.0.0.0:5001");
        assert_eq!(at("[::]:5000", &["[fd00::1]:2101", "[fd00::1]:2102"], 1), "[::]:5001");
        assert_eq!(at("127.0.0.1:5000", &[], 0), "127.0.0.1:5000");
    }
}
