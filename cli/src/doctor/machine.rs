//! Ports, and what the system allows.

use std::net::{SocketAddr, ToSocketAddrs};

use rustix::process::{Resource, getrlimit};
use strandline_dashboard::Dashboard;
use strandline_engine::peers;

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
        Listen::At(address) => match Dashboard::listen(page_address(options, address)) {
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
            Err(error) => findings.refuse("page", &error.to_string()),
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
        if process == options.process {
            match peers::listen(process, &hosts) {
                Ok(Some(_)) => {
                    findings.ok("processes", format!("{address} is free for this process"));
                }
                // It goes to all others.
                Ok(None) => {}
                Err(error) => findings.refuse("processes", &error.to_string()),
            }
            continue;
        }
        match address.to_socket_addrs() {
            Ok(_) => findings
                .ok("processes", format!("process {process} will be looked for at {address}")),
            Err(error) => findings.fail(
                "processes",
                format!("process {process} at {address}: {error}"),
                "name a host that can be resolved, with a port, in --hostfile",
            ),
        }
    }
}
