//! Requests, good and bad.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use strandline_dashboard::{Chart, Dashboard, DashboardError, PageOptions};
use strandline_engine::clock::Clock;
use strandline_engine::view::View;

use crate::client::{ask, connect, get, parse, raw};
use crate::fleet::Fleet;
use crate::{any_port, serve};

const DATA: [&str; 4] = ["/", "/api/view", "/metrics", "/?find=a&page=1"];

fn serve_fleet() -> (Dashboard, View) {
    serve(Fleet::new(8).snapshot(7))
}

#[test]
fn every_route_answers_with_its_type_and_the_policy() {
    let (dashboard, _view) = serve_fleet();
    let routes = [
        ("/", "text/html; charset=utf-8", "no-store"),
        ("/api/view", "application/json", "no-store"),
        ("/metrics", "application/json", "no-store"),
        ("/healthz", "text/plain; charset=utf-8", "no-store"),
        ("/readyz", "text/plain; charset=utf-8", "no-store"),
        ("/assets/page.css", "text/css; charset=utf-8", "no-cache"),
        ("/assets/page.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/assets/vendor/chart.umd.min.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/assets/mark.svg", "image/svg+xml", "no-cache"),
    ];
    for (path, content_type, cache) in routes {
        let answer = get(dashboard.local_addr(), path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("Content-Type"), Some(content_type), "{path}");
        assert_eq!(answer.header("Cache-Control"), Some(cache), "{path}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert_eq!(
            answer.header("Content-Security-Policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                 connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
            ),
            "{path}"
        );
        assert!(!answer.body.is_empty(), "{path}");
    }
}

/// A page that asks for a file which is not served is broken in a way that no other test sees.
#[test]
fn every_file_that_the_page_names_is_served() {
    let (dashboard, _view) = serve_fleet();
    let page = get(dashboard.local_addr(), "/");
    let named = page.text().split('"').filter(|part| part.starts_with("/assets/"));
    let scripts = ["charts", "panels", "poll", "text", "tide"];
    let imported = scripts.map(|name| format!("/assets/{name}.js"));
    let mut count = 0;
    for path in named.map(str::to_owned).chain(imported) {
        assert_eq!(get(dashboard.local_addr(), &path).status, 200, "{path}");
        count += 1;
    }
    assert!(9 < count, "{count}");
}

#[test]
fn head_is_get_without_the_body() {
    let (dashboard, _view) = serve_fleet();
    for path in DATA.iter().chain(&["/assets/page.css", "/nowhere"]) {
        let get = get(dashboard.local_addr(), path);
        let head = ask(dashboard.local_addr(), "HEAD", path, &[]);
        assert_eq!(head.status, get.status, "{path}");
        for name in ["Content-Length", "Content-Type", "ETag", "Cache-Control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert_eq!(get.header("Content-Length"), Some(&*get.body.len().to_string()));
        assert!(head.body.is_empty(), "{path}");
    }
}

#[test]
fn other_methods_are_refused_with_what_is_allowed() {
    let (dashboard, _view) = serve_fleet();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let answer = ask(dashboard.local_addr(), method, "/metrics", &[("Content-Length", "0")]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"));
        assert!(answer.text().contains("GET or HEAD"));
    }
}

#[test]
fn an_unknown_path_names_the_known_ones() {
    let (dashboard, _view) = serve_fleet();
    for path in ["/nowhere", "/assets/", "/assets/../Cargo.toml", "/assets/%2e%2e/x", "//", "/api"]
    {
        let answer = get(dashboard.local_addr(), path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("/metrics"), "{path}");
    }
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let (dashboard, view) = serve_fleet();
    let address = dashboard.local_addr();
    for path in DATA.iter().chain(&["/assets/page.js"]) {
        let tag = get(address, path).header("ETag").unwrap().to_owned();
        for condition in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()]
        {
            let answer = ask(address, "GET", path, &[("If-None-Match", &condition)]);
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{path} {condition}");
            assert_eq!(answer.header("ETag"), Some(&*tag));
        }
    }
    let tag = get(address, "/api/view").header("ETag").unwrap().to_owned();
    view.publish(Fleet::new(8).snapshot(8));
    assert_eq!(ask(address, "GET", "/api/view", &[("If-None-Match", &tag)]).status, 200);
}

/// Numbers of snapshots start again with each run, and each route says the same in its own way.
#[test]
fn a_tag_is_of_one_run_and_one_format() {
    let (first, _view) = serve_fleet();
    let tag = |path| get(first.local_addr(), path).header("ETag").unwrap().to_owned();
    let tags = ["/metrics", "/api/view", "/"].map(tag);
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
    // What the process uses is another answer each time.
    assert_eq!(get(first.local_addr(), "/metrics?format=text").header("ETag"), None);
    // Runs are told apart by the millisecond in which they began to listen.
    let clock = Clock::system();
    while clock.elapsed() < Duration::from_millis(2) {
        std::hint::spin_loop();
    }
    let (second, _view) = serve_fleet();
    let answer = ask(second.local_addr(), "GET", "/metrics", &[("If-None-Match", &tags[0])]);
    assert_eq!(answer.status, 200);
}

#[test]
fn on_loopback_the_names_of_other_sites_are_refused() {
    let (dashboard, _view) = serve_fleet();
    let address = dashboard.local_addr();
    for host in ["localhost", "localhost:81", "127.0.0.1", "[::1]:5000"] {
        assert_eq!(ask(address, "GET", "/metrics", &[("Host", host)]).status, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example:5000", "192.168.0.9"] {
        let answer = ask(address, "GET", "/metrics", &[("Host", host)]);
        assert_eq!(answer.status, 421, "{host}");
        assert!(answer.text().contains("--allow-host"), "{}", answer.text());
        assert!(!answer.text().contains("device"), "nothing of the job is told");
    }
    let absolute =
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(parse(&raw(address, absolute.as_bytes())).status, 421);
}

#[test]
fn nonsense_ends_its_own_connection_only() {
    let (dashboard, _view) = serve_fleet();
    let address = dashboard.local_addr();
    let nonsense: [&[u8]; 6] = [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    ];
    for request in nonsense {
        let shown = String::from_utf8_lossy(request);
        let status = parse(&raw(address, request)).status;
        assert!((400..500).contains(&status), "{shown}: {status}");
        assert_eq!(get(address, "/api/view").status, 200, "after {shown}");
    }
    // These are cut off while they are being sent, so their answer may be lost.
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1_000_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100_000));
    for request in [long.as_bytes(), many.as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let bytes = raw(address, request);
        assert!(!bytes.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(get(address, "/api/view").status, 200);
    }
}

#[test]
fn a_body_is_not_looked_at() {
    let (dashboard, _view) = serve_fleet();
    let address = dashboard.local_addr();
    let request = format!(
        "GET /api/view HTTP/1.1\r\nHost: {address}\r\nContent-Length: 5\r\n\
         Connection: close\r\n\r\nhello"
    );
    assert_eq!(parse(&raw(address, request.as_bytes())).status, 200);
}

#[test]
fn one_connection_serves_many_requests() {
    let (dashboard, _view) = serve_fleet();
    let address = dashboard.local_addr();
    let mut stream = connect(address);
    for _ in 0..3 {
        let body_bytes = request_on(&mut stream, address);
        assert!(0 < body_bytes);
    }
}

/// Asks for `/api/view` on an open connection; the answer's length, 0 if the connection is closed.
fn request_on(stream: &mut TcpStream, address: std::net::SocketAddr) -> usize {
    let request = format!("GET /api/view HTTP/1.1\r\nHost: {address}\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return 0;
    }
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return 0 };
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let length: usize =
            parse(&bytes[..end + 4]).header("Content-Length").unwrap().parse().unwrap();
        if end + 4 + length <= bytes.len() {
            return length;
        }
    }
}

/// More browsers than there are places: those that would keep a connection for themselves do not
/// lock the others out.
#[test]
fn many_clients_are_all_answered() {
    let (dashboard, _view) = serve_fleet();
    let address = dashboard.local_addr();
    let mut streams: Vec<TcpStream> = Vec::new();
    for number in 0..300 {
        let mut stream = connect(address);
        // Shorter than silent connections are kept.
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(0 < request_on(&mut stream, address), "client {number}");
        streams.push(stream);
    }
    assert_eq!(get(address, "/metrics").status, 200);
}

#[test]
fn a_request_that_does_not_come_to_an_end_is_given_up() {
    let (dashboard, _view) = serve_fleet();
    let streams = ["", "GET / HTTP/1.1\r\nHost: localhost\r\n"].map(|start| {
        let mut stream = connect(dashboard.local_addr());
        stream.write_all(start.as_bytes()).unwrap();
        stream
    });
    for mut stream in streams {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("the server closes before the test gives up");
    }
}

#[test]
fn shutdown_does_not_wait_for_a_client_that_hangs() {
    let (dashboard, _view) = serve_fleet();
    let address = dashboard.local_addr();
    let mut hangs = connect(address);
    hangs.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let _idle = connect(address);
    assert_eq!(get(address, "/").status, 200);
    let clock = Clock::system();
    dashboard.shutdown(Duration::from_millis(200));
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    let view = View::new(Fleet::new(1).snapshot(1));
    Dashboard::bind(address, view, Fleet::page()).expect("the port is free again");
}

/// The other half of an orderly end: who is being answered gets the whole answer.
#[test]
fn shutdown_completes_what_is_under_way() {
    let (dashboard, _view) = serve(Fleet::new(50_000).snapshot(1));
    let address = dashboard.local_addr();
    let mut stream = connect(address);
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut bytes = vec![0; 1000];
    stream.read_exact(&mut bytes).unwrap();
    let ending = std::thread::spawn(move || dashboard.shutdown(Duration::from_secs(30)));
    stream.read_to_end(&mut bytes).unwrap();
    ending.join().unwrap();
    let answer = parse(&bytes);
    assert_eq!(answer.json()["devices"].as_array().unwrap().len(), 50_000);
}

#[test]
fn a_port_that_is_taken_is_one_line_that_says_what_to_do() {
    let (dashboard, _view) = serve_fleet();
    let view = View::new(Fleet::new(1).snapshot(1));
    let error = Dashboard::bind(dashboard.local_addr(), view, Fleet::page()).unwrap_err();
    assert!(matches!(error, DashboardError::Taken { .. }));
    let line = error.to_string();
    assert!(line.contains("--listen 127.0.0.1:") && line.contains("--listen none"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn an_address_of_another_machine_is_one_line_too() {
    let view = View::new(Fleet::new(1).snapshot(1));
    let elsewhere = "192.0.2.1:5000".parse().unwrap();
    let line = Dashboard::bind(elsewhere, view, Fleet::page()).unwrap_err().to_string();
    assert!(line.contains("192.0.2.1:5000") && line.contains("--listen"), "{line}");
}

#[test]
fn a_column_that_the_job_lacks_is_named_before_anything_listens() {
    let mut page: PageOptions = Fleet::page();
    page.charts.push(Chart {
        title: "Pressure".to_owned(),
        column: "avg_pressure".to_owned(),
        unit: "hPa".to_owned(),
    });
    let view = View::new(Fleet::new(1).snapshot(1));
    let line = Dashboard::bind(any_port(), view, page).unwrap_err().to_string();
    assert!(line.contains("`avg_pressure`") && line.contains("`avg_humidity`"), "{line}");
}
