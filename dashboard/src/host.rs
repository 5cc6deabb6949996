//! Which names a page answers to.
//!
//! A page of another site can make a browser ask `http://evil.example:5000/` after its name has
//! been pointed at 127.0.0.1, or at an address of a network that the browser reaches (DNS
//! rebinding), and would then read the answer. The browser still says `Host: evil.example`, so the
//! page does not answer to names that it does not know. An address is no name: nobody can point it
//! elsewhere. The port is not compared: a tunnel may have another at its near end.

use std::net::IpAddr;

use hyper::http::uri::Authority;
use hyper::{Request, Version, header};

/// Why a request is not answered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// No host, several, or one that is none.
    Malformed,
    /// The name of another site.
    Foreign,
}

/// The names that a page answers to.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    bound: IpAddr,
    /// In lower case.
    names: Vec<String>,
}

impl Hosts {
    /// Those of a page that listens on `bound`, and `allowed` ones.
    pub(crate) fn of(bound: IpAddr, allowed: Vec<String>) -> Hosts {
        let own = (!bound.is_loopback()).then(machine).flatten();
        let names = allowed.into_iter().chain(own).chain(["localhost".to_owned()]);
        Hosts { bound, names: names.map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Where the page listens.
    pub(crate) fn bound(&self) -> IpAddr {
        self.bound
    }

    /// Whether the request means this page.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), HostError> {
        let mut named = request.headers().get_all(header::HOST).iter();
        let (first, second) = (named.next(), named.next());
        if second.is_some() || (first.is_none() && Version::HTTP_11 <= request.version()) {
            return Err(HostError::Malformed);
        }
        let from_header = first
            .map(|value| value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()))
            .map(|authority| authority.ok_or(HostError::Malformed))
            .transpose()?;
        let all_ours = request
            .uri()
            .authority()
            .into_iter()
            .chain(&from_header)
            .all(|authority| self.is_ours(authority.host()));
        if all_ours { Ok(()) } else { Err(HostError::Foreign) }
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
        match bare.parse::<IpAddr>() {
            // Behind a tunnel that ends on loopback, only loopback's addresses are meant.
            Ok(address) if self.bound.is_loopback() => {
                address.is_loopback() || self.names.iter().any(|allowed| allowed == bare)
            }
            Ok(_) => true,
            Err(_) => self.names.contains(&name),
        }
    }
}

/// The name of this machine, where the system says it in a file.
#[expect(clippy::disallowed_methods, reason = "no file of a job: what the system is called")]
fn machine() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn ask(uri: &str, hosts: &[&str], version: Version, bound: IpAddr) -> Result<(), HostError> {
        let mut request = Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        Hosts::of(bound, vec!["Farm.Example".to_owned()]).check(&request.body(()).unwrap())
    }

    fn host(host: &str) -> Result<(), HostError> {
        ask("/", &[host], Version::HTTP_11, LOOPBACK)
    }

    #[test]
    fn loopback_names_are_ours_whatever_the_port() {
        for name in ["localhost", "LocalHost:5000", "localhost.", "127.0.0.1:8080", "[::1]:80"] {
            assert_eq!(host(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for name in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"]
        {
            assert_eq!(host(name), Err(HostError::Foreign), "{name}");
        }
        for name in ["", "a b", "local/host"] {
            assert_eq!(host(name), Err(HostError::Malformed), "{name:?}");
        }
    }

    #[test]
    fn the_uri_and_the_header_must_both_be_ours() {
        let ask = |uri, hosts: &[&str]| ask(uri, hosts, Version::HTTP_11, LOOPBACK);
        assert_eq!(ask("http://localhost/", &["localhost"]), Ok(()));
        assert_eq!(ask("http://evil.example/", &["localhost"]), Err(HostError::Foreign));
        assert_eq!(ask("http://localhost/", &["evil.example"]), Err(HostError::Foreign));
        assert_eq!(ask("/", &["localhost", "localhost"]), Err(HostError::Malformed));
        assert_eq!(ask("/", &[]), Err(HostError::Malformed));
    }

    #[test]
    fn http_1_0_needs_no_host() {
        assert_eq!(ask("/", &[], Version::HTTP_10, LOOPBACK), Ok(()));
    }

    #[test]
    fn a_name_that_is_allowed_is_ours() {
        for name in ["farm.example", "FARM.example:8443", "farm.example."] {
            assert_eq!(host(name), Ok(()), "{name}");
        }
        assert_eq!(host("barn.farm.example"), Err(HostError::Foreign));
    }

    #[test]
    fn bound_to_a_network_addresses_are_taken_and_names_of_other_sites_are_not() {
        for network in ["192.168.1.5", "0.0.0.0", "::"] {
            let ask = |host: &str| ask("/", &[host], Version::HTTP_11, network.parse().unwrap());
            for ours in ["192.168.1.5:5000", "10.0.0.9", "[fd00::1]:5000", "localhost"] {
                assert_eq!(ask(ours), Ok(()), "{ours}");
            }
            assert_eq!(ask("evil.example"), Err(HostError::Foreign));
            assert_eq!(ask("farm.example"), Ok(()));
            if let Some(machine) = machine() {
                assert_eq!(ask(&machine), Ok(()), "{machine}");
            }
        }
        let network = "192.168.1.5".parse().unwrap();
        assert_eq!(ask("/", &[], Version::HTTP_11, network), Err(HostError::Malformed));
    }
}
