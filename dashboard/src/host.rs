//! Which names a page on loopback answers to.
//!
//! A page of another site can make a browser ask `http://evil.example:5000/` after its name has
//! been pointed at 127.0.0.1 (DNS rebinding), and would then read the answer. The browser still
//! says `Host: evil.example`, so a dashboard on loopback answers to loopback's own names alone. The
//! port is not compared: a tunnel may have another at its near end.

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

/// Whether the request means the server at `bound`.
pub(crate) fn check<B>(request: &Request<B>, bound: IpAddr) -> Result<(), HostError> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() || (first.is_none() && Version::HTTP_11 <= request.version()) {
        return Err(HostError::Malformed);
    }
    let from_header = first
        .map(|value| value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()))
        .map(|authority| authority.ok_or(HostError::Malformed))
        .transpose()?;
    if !bound.is_loopback() {
        return Ok(());
    }
    let all_ours =
        request.uri().authority().into_iter().chain(&from_header).all(|a| is_ours(a.host(), bound));
    if all_ours { Ok(()) } else { Err(HostError::Foreign) }
}

fn is_ours(host: &str, bound: IpAddr) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == bound,
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
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
        check(&request.body(()).unwrap(), bound)
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
    fn bound_to_a_network_every_name_is_taken() {
        let network = "192.168.1.5".parse().unwrap();
        assert_eq!(ask("/", &["farm.example"], Version::HTTP_11, network), Ok(()));
        assert_eq!(ask("/", &[], Version::HTTP_11, network), Err(HostError::Malformed));
    }
}
