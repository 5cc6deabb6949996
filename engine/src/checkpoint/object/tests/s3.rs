//! An S3 by network, also one that fails. `scripts/test` starts a server (`scripts/s3 start`) and says
//! in `STRANDLINE_S3` where it is, such as `127.0.0.1:5555`; its bucket is `strandline`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;

use super::*;
use crate::checkpoint::object::s3::{Bucket, random};

/// How long a slow server waits before it passes a request on.
const SLOW: Duration = Duration::from_millis(700);
/// The most of a request or answer that a proxy takes at once.
const PIECE_BYTES: usize = 1 << 16;

fn server() -> String {
    std::env::var("STRANDLINE_S3").expect(
        "STRANDLINE_S3 names no server: start one with `scripts/s3 start` and say \
         STRANDLINE_S3=127.0.0.1:5555",
    )
}

/// Blobs at `rest` (`BUCKET/PREFIX`) of the server at `address`.
fn at(address: &str, rest: &str) -> ObjectBlobs {
    let builder = AmazonS3Builder::new()
        .with_endpoint(format!("http://{address}"))
        .with_region("us-east-1")
        .with_access_key_id("test")
        .with_secret_access_key("test");
    ObjectBlobs::s3(&format!("s3://{rest}"), Bucket::of(builder, rest)).unwrap()
}

fn fresh(name: &str) -> String {
    format!("strandline/{name}-{:016x}", random())
}

#[test]
fn an_s3_keeps_the_promises() {
    let place = fresh("promises");
    let blobs = at(&server(), &place);
    assert_eq!((blobs.place(), blobs.directory()), (format!("s3://{place}"), None));
    keeps_the_promises(&blobs);
    // What is beside and below is not there.
    for (outside, name) in [(format!("{place}-beside"), "a"), (format!("{place}/below"), "b")] {
        at(&server(), &outside).put_new(name, b"1".to_vec().into()).unwrap();
    }
    assert_eq!(blobs.list().unwrap(), []);
    assert_eq!(blobs.remove_leftovers().unwrap(), 0);
}

#[test]
fn a_bucket_that_is_absent_is_said() {
    let blobs = at(&server(), "absent-for-sure/prefix");
    for said in [reason(blobs.check_writable()), reason(blobs.list())] {
        assert!(said.ends_with("create the bucket, or name another"), "{said}");
        assert!(!said.contains('\n'));
    }
}

/// A server that works, seen through a network that does not.
struct Proxy {
    address: String,
    /// How many of the next connections are spoilt.
    spoilt: Arc<AtomicUsize>,
    fault: Fault,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// `503 Slow Down`, as S3 answers who asks too often; the request is not done.
    SlowDown,
    /// The request waits, and is done.
    Slow,
    /// The connection ends before anything is answered; the request is not done.
    Cut,
    /// The request is done, and its answer is lost.
    AnswerLost,
}

impl Proxy {
    fn start(fault: Fault) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let spoilt = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&spoilt);
        // Ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let left = Arc::clone(&left);
                thread::spawn(move || serve(stream, fault, &left));
            }
        });
        Proxy { address, spoilt, fault }
    }

    /// Spoils the next `requests`, and returns what `act` does meanwhile.
    fn spoil<T>(&self, requests: usize, act: impl FnOnce() -> T) -> T {
        self.spoilt.store(requests, Ordering::SeqCst);
        let result = act();
        assert!(self.spoilt.load(Ordering::SeqCst) < requests, "{:?} was not met", self.fault);
        self.spoilt.store(0, Ordering::SeqCst);
        result
    }
}

/// One request a connection.
fn serve(mut client: TcpStream, fault: Fault, spoilt: &AtomicUsize) -> Option<()> {
    let request = read_request(&mut client)?;
    let take_one = |left: usize| left.checked_sub(1);
    let is_spoilt = spoilt.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one).is_ok();
    match fault {
        Fault::SlowDown if is_spoilt => {
            let answer = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return client.write_all(answer.as_bytes()).ok();
        }
        Fault::Cut if is_spoilt => return None,
        Fault::Slow if is_spoilt => thread::park_timeout(SLOW),
        _ => {}
    }
    let mut server = TcpStream::connect(server()).ok()?;
    server.write_all(&request).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    if !(fault == Fault::AnswerLost && is_spoilt) {
        client.write_all(&answer).ok()?;
    }
    Some(())
}

/// A request with its body, told to be the only one of its connection.
fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let head = request.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
            if head + 4 + length <= request.len() {
                request.splice(head..head, *b"\r\nConnection: close");
                return Some(request);
            }
        }
        let read = client.read(&mut piece).ok().filter(|&read| read > 0)?;
        request.extend_from_slice(&piece[..read]);
    }
}

#[test]
fn what_changes_nothing_is_repeated_through_faults() {
    for fault in [Fault::SlowDown, Fault::Slow, Fault::Cut, Fault::AnswerLost] {
        let proxy = Proxy::start(fault);
        let blobs = at(&proxy.address, &fresh("reads"));
        blobs.put_new("a", b"0123456789".to_vec().into()).unwrap();
        let read = proxy.spoil(2, || blobs.get("a"));
        assert_eq!(read.unwrap(), b"0123456789", "{fault:?}");
        let listed = proxy.spoil(2, || blobs.list());
        assert_eq!(listed.unwrap(), [entry("a", 10)], "{fault:?}");
        let part = proxy.spoil(2, || blobs.get_range("a", 3..5));
        assert_eq!(part.unwrap(), b"34", "{fault:?}");
    }
}

#[test]
fn a_put_is_not_repeated_and_a_lost_answer_is_not_somebody_else() {
    for fault in [Fault::SlowDown, Fault::Cut, Fault::AnswerLost] {
        let proxy = Proxy::start(fault);
        let blobs = at(&proxy.address, &fresh("puts"));
        let put = proxy.spoil(1, || blobs.put_new("a", b"mine".to_vec().into()));
        let said = reason(put);
        assert!(!said.contains('\n'), "{said}");
        // Whoever asks again learns what became of it.
        let again = blobs.put_new("a", b"mine again".to_vec().into());
        match fault {
            Fault::AnswerLost => {
                assert!(matches!(again, Err(BlobError::Taken { .. })), "{again:?}");
            }
            _ => again.unwrap(),
        }
        let kept = if fault == Fault::AnswerLost { &b"mine"[..] } else { b"mine again" };
        assert_eq!(blobs.get("a").unwrap(), kept);
    }
    let slow = Proxy::start(Fault::Slow);
    let blobs = at(&slow.address, &fresh("slow"));
    slow.spoil(1, || blobs.put_new("a", b"late".to_vec().into())).unwrap();
}

#[test]
fn of_many_that_put_one_name_one_wins() {
    let place = fresh("race");
    let start = Barrier::new(4);
    let won = AtomicUsize::new(0);
    thread::scope(|threads| {
        for writer in 0..4 {
            let (place, start, won) = (&place, &start, &won);
            threads.spawn(move || {
                let blobs = at(&server(), place);
                start.wait();
                match blobs.put_new("manifest", vec![writer; 100].into()) {
                    Ok(()) => drop(won.fetch_add(1, Ordering::SeqCst)),
                    Err(BlobError::Taken { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            });
        }
    });
    assert_eq!(won.load(Ordering::SeqCst), 1);
}
