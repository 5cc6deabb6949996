//! Ports, and what the system allows.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use rustix::process::{Resource, getrlimit};

use super::findings::Findings;
use crate::options::{Listen, Options};
use crate::{page, program};

/// With fewer descriptors a job would not get far.
const DESCRIPTORS_MIN: u64 = 128;
/// With fewer a job keeps fewer files open, and writes more and smaller ones.
const DESCRIPTORS_WARN: u64 = 1024;

pub(super) fn examine(options: &Options, findings: &mut Findings) {
    match options.listen {
        Listen::Nowhere => {}
        Listen::At(address) => match TcpListener::bind(page_address(options, address)) {
            Ok(_) => {
                findings.ok("page", format!("{address} is free"));
                if !address.ip().is_loopback() {
                    findings.warn(
                        "page",
                        format!("{address} can be reached from other computers, and asks for no password"),
                        "put something in front of it that does, or listen on 127.0.0.1",
                    );
                }
            }
            Err(error) => findings.fail(
                "page",
                format!("{address} cannot be had: {error}"),
                "stop the program that listens there, or name another by --listen",
            ),
        },
    }
    if 1 < options.processes {
        processes(options, findings);
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        if limit < DESCRIPTORS_MIN {
            findings.fail(
                "descriptors",
                format!("{limit} are allowed"),
                "raise it: ulimit -n 4096",
            );
        } else if limit < DESCRIPTORS_WARN {
            findings.warn(
                "descriptors",
                format!("{limit} are allowed"),
                "raise it: ulimit -n 4096",
            );
        } else {
            findings.ok("descriptors", format!("{limit} are allowed"));
        }
    } else {
        findings.ok("descriptors", "any number is allowed");
    }
}

/// Where this process serves its page: at a later port where others do on the same host.
fn page_address(options: &Options, listen: SocketAddr) -> SocketAddr {
    let hosts = program::host_addresses(options).unwrap_or_default();
    page::address(listen, &hosts, options.process)
}

/// The port of this process, and the names of the others.
fn processes(options: &Options, findings: &mut Findings) {
    let hosts = match program::host_addresses(options) {
        Ok(hosts) => hosts,
        Err(line) => return findings.fail("processes", line, "mend the host file"),
    };
    for (process, address) in hosts.iter().enumerate() {
        let resolved = address.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                findings.fail(
                    "processes",
                    format!("process {process} at {address}: {error}"),
                    "name a host that can be resolved, with a port, in --hostfile",
                );
                continue;
            }
        };
        if process != options.process {
            findings.ok("processes", format!("process {process} will be looked for at {address}"));
            continue;
        }
        let free = TcpListener::bind(&resolved[..]);
        match free {
            Ok(_) => findings.ok("processes", format!("{address} is free for this process")),
            Err(error) => findings.fail(
                "processes",
                format!("{address} cannot be had for this process: {error}"),
                "name an address of this computer with a free port in --hostfile",
            ),
        }
    }
}
