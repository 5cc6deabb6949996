//! Whether what answers is no Kafka at all: a web server, a port that wants TLS.
//!
//! The first four bytes of an answer are its length. What speaks another protocol puts letters there,
//! or a record of TLS, which both would be answers of hundreds of megabytes.

/// What the answer is, if its first four bytes show that it is not Kafka's, and what to do.
pub(super) fn said_by_another(first: [u8; 4]) -> Option<String> {
    let is_text = |byte: &u8| (b' '..=b'~').contains(byte) || byte.is_ascii_whitespace();
    match first {
        // An alert or a handshake.
        [0x15 | 0x16, 3, ..] => Some(
            "it answers in TLS, and not in Kafka's protocol: set security.protocol, or check the port"
                .to_owned(),
        ),
        text if text.iter().all(is_text) => Some(format!(
            "what answers there is not Kafka: its answer begins with `{}`; check address and port",
            text.escape_ascii()
        )),
        // No answer is as short, or has a negative length.
        short if i32::from_be_bytes(short) < 4 => Some(format!(
            "what answers there is not Kafka: its answer begins with the bytes {first:02x?}; check \
             address and port"
        )),
        _ => None,
    }
}

/// The same of what the client says of an answer whose length it does not take.
pub(super) fn of_client(reason: &str) -> Option<String> {
    let (_, after) = reason.split_once("Invalid response size ")?;
    let length: i32 = after.split(' ').next()?.parse().ok()?;
    said_by_another(length.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::condition::ConditionKind;
    use crate::report::Report;
    use crate::source::kafka::{Fetch, KafkaSettings, KafkaSource};
    use crate::source::{Source, SourceError};

    /// How long a person waits for the line, at most, on a machine that has nothing else to do: the
    /// first questions take 2 and 4 s.
    const SAID_WITHIN: Duration = Duration::from_secs(60);

    /// The address of something that takes connections, and answers the first question with this and hangs
    /// up, or says nothing.
    fn stranger(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let mut taken = Vec::new();
            for mut stream in listener.incoming().flatten() {
                if answer.is_empty() {
                    taken.push(stream); // It stays open.
                } else if stream.read(&mut [0; 4096]).is_ok() {
                    drop(stream.write_all(answer)); // And hangs up.
                }
            }
        });
        address
    }

    /// The line that is said of it by a start that goes on trying.
    fn said_of(answer: &'static [u8], fetch: Fetch, bounded: bool) -> String {
        let (address, lines) = (stranger(answer), Arc::new(Mutex::new(Vec::new())));
        let (heard, stop) = (Arc::clone(&lines), Arc::new(AtomicBool::new(false)));
        let mut settings = KafkaSettings::new(&address, "t");
        (settings.fetch, settings.bounded) = (fetch, bounded);
        settings.report = Report::new(move |line| heard.lock().unwrap().push(line.to_owned()));
        let telemetry = settings.telemetry.clone();
        let source = KafkaSource::new(settings).unwrap();
        let stopped = Arc::clone(&stop);
        let start = thread::spawn(move || source.plan(&[], &|| stopped.load(Ordering::SeqCst)));
        let clock = Clock::system();
        while lines.lock().unwrap().is_empty() {
            assert!(clock.elapsed() < SAID_WITHIN && !start.is_finished(), "{answer:?}");
            thread::park_timeout(Duration::from_millis(10));
        }
        let raised = telemetry.all_raised();
        assert_eq!(raised[0].kind, ConditionKind::WaitingForKafka);
        assert!(!start.is_finished(), "it goes on trying");
        stop.store(true, Ordering::SeqCst);
        assert!(matches!(start.join().unwrap(), Err(SourceError::Stopped)));
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 1, "said once: {lines:?}");
        assert!(lines[0].starts_with(&format!("cannot reach Kafka at {address}: ")), "{lines:?}");
        lines[0].clone()
    }

    #[test]
    fn a_start_says_what_answers_there_and_that_nothing_does_and_goes_on_trying() {
        let cases: [(&'static [u8], &[&str]); 4] = [
            (b"", &["no answer for ", "check that Kafka"]),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", &["not Kafka", "`HTTP`", "check address"]),
            (&[0x15, 3, 3, 0, 2, 2, 0x28], &["TLS", "security.protocol"]),
            (&[0xff; 32], &["not Kafka", "[ff, ff, ff, ff]"]),
        ];
        thread::scope(|scope| {
            for (answer, parts) in cases {
                for (fetch, bounded) in [(Fetch::Client, false), (Fetch::Direct, true)] {
                    scope.spawn(move || {
                        let line = said_of(answer, fetch, bounded);
                        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
                    });
                }
            }
        });
    }

    #[test]
    fn an_answer_that_may_be_a_large_one_of_kafka_is_not_called_another_protocol() {
        for length in [4, 1 << 20, 100_000_001, i32::MAX] {
            assert_eq!(said_by_another(length.to_be_bytes()), None, "{length}");
        }
    }
}
