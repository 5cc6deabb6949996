//! Clients that mean harm, or are broken in a way that comes to the same.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use strandline_engine::clock::Clock;

use crate::client::{connect, get, parse, raw};
use crate::fleet::Fleet;
use crate::serve;

/// More than the connections that the page keeps.
const MANY: usize = 200;
/// Less than unfinished heads are waited for: an answer within this did not wait for them.
const AT_ONCE: Duration = Duration::from_secs(9);

#[test]
fn unfinished_heads_lock_nobody_out() {
    let (dashboard, _view) = serve(Fleet::new(2).snapshot(1));
    let address = dashboard.local_addr();
    let mut slow: Vec<TcpStream> = (0..MANY)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
            stream
        })
        .collect();
    let clock = Clock::system();
    for _ in 0..20 {
        assert_eq!(get(address, "/healthz").status, 200);
        // They go on, a byte at a time.
        for stream in &mut slow {
            // Those that were closed for the newer ones are gone.
            let _ = stream.write_all(b"h");
        }
    }
    assert!(clock.elapsed() < AT_ONCE, "{:?}", clock.elapsed());
}

#[test]
fn clients_that_do_not_read_lock_nobody_out() {
    let (dashboard, _view) = serve(Fleet::new(20_000).snapshot(1));
    let address = dashboard.local_addr();
    let _slow: Vec<TcpStream> = (0..MANY)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let clock = Clock::system();
    for path in ["/healthz", "/readyz", "/api/view", "/metrics?format=prometheus"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    assert!(clock.elapsed() < AT_ONCE, "{:?}", clock.elapsed());
}

#[test]
fn huge_headers_are_refused() {
    let (dashboard, _view) = serve(Fleet::new(2).snapshot(1));
    let address = dashboard.local_addr();
    for head in [
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(1 << 16)),
        format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(1 << 20)),
        format!("GET /?find={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20)),
    ] {
        let bytes = raw(address, head.as_bytes());
        // It is cut off while it is being sent, so the answer may be lost.
        assert!(bytes.is_empty() || parse(&bytes).status >= 400);
        assert_eq!(get(address, "/healthz").status, 200);
    }
}
