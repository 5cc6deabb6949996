//! TLS and logins against a real Apache Kafka: what works, and what is said where it does not.
#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, like tests")]

#[path = "../kafka_support/mod.rs"]
mod kafka_support;
#[path = "../kafka_support/secure_broker.rs"]
mod secure_broker;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strandline_engine::clock::Clock;
use strandline_engine::source::Source;
use strandline_engine::source::kafka::{Fetch, KafkaSource};
use strandline_engine::store::Directory;
use strandline_operators::record::{Offset, Partition};

use self::kafka_support::{Lines, Reading, fill, fresh, plan, producer, settings};
use self::secure_broker::{LOOKER, Listener, PASSWORD, READER, STRANGER, SecureBroker};

type Options = Vec<(&'static str, String)>;

fn tls(broker: &SecureBroker) -> Options {
    vec![("security.protocol", "SSL".into()), ("ssl.ca.location", broker.file_text("ca.pem"))]
}

fn login(broker: &SecureBroker, mechanism: &str, user: &str, password: &str) -> Options {
    let mut options = tls(broker);
    options.push(("security.protocol", "SASL_SSL".into()));
    options.push(("sasl.mechanism", mechanism.into()));
    options.push(("sasl.username", user.into()));
    options.push(("sasl.password", password.into()));
    options
}

fn without_tls(options: Options) -> Options {
    let kept = options.into_iter().filter(|(name, _)| !name.starts_with("ssl."));
    kept.chain([("security.protocol", "SASL_PLAINTEXT".into())]).collect()
}

/// A topic with 50 records, made by the listener that asks for nothing.
fn topic(broker: &SecureBroker) -> String {
    let topic = fresh("secure");
    let allowed = [("allow.auto.create.topics", "true")];
    let producer = producer(&broker.bootstrap(Listener::Plaintext), &allowed);
    fill(&producer, &topic, 0, 0, 50);
    topic
}

fn source(
    broker: &SecureBroker,
    listener: Listener,
    topic: &str,
    options: Options,
    lines: &Lines,
) -> KafkaSource {
    let bootstrap = broker.bootstrap(listener);
    let mut settings = settings(Fetch::Client, &bootstrap, topic, lines);
    settings.bounded = true;
    settings.options = options.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    KafkaSource::new(settings).unwrap()
}

fn reads_all(broker: &SecureBroker, listener: Listener, options: Options) {
    let topic = topic(broker);
    let lines = Lines::default();
    let source = source(broker, listener, &topic, options, &lines);
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_finished();
    assert_eq!(reading.messages(), 50, "{listener:?}: {:?}", lines.all());
}

/// What is said where a job cannot start.
fn refusal(broker: &SecureBroker, listener: Listener, options: Options) -> String {
    let topic = topic(broker);
    let lines = Lines::default();
    let error = source(broker, listener, &topic, options, &lines).plan(&[], &|| false);
    let line = error.unwrap_err().to_string();
    println!("{listener:?}: {line}");
    assert!(!line.contains('\n'), "{line}");
    let said = format!("{line} {:?}", lines.all());
    assert!(!said.contains(PASSWORD) && !said.contains("hunter2"), "{said}");
    line
}

#[test]
fn a_topic_is_read_by_tls() {
    let broker = SecureBroker::shared();
    reads_all(&broker, Listener::Tls, tls(&broker));
    let mut mutual = tls(&broker);
    mutual.push(("ssl.certificate.location", broker.file_text("client.pem")));
    mutual.push(("ssl.key.location", broker.file_text("client.key")));
    reads_all(&broker, Listener::Mutual, mutual);
}

#[test]
fn a_topic_is_read_after_each_kind_of_login() {
    let broker = SecureBroker::shared();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let options = login(&broker, mechanism, READER, PASSWORD);
        reads_all(&broker, Listener::SaslTls, options.clone());
        reads_all(&broker, Listener::SaslPlaintext, without_tls(options));
    }
}

/// Tokens that nobody has signed are for tests alone, and show that the client does the rest.
#[test]
fn a_topic_is_read_with_a_token() {
    let broker = SecureBroker::shared();
    let token = vec![
        ("security.protocol", "SASL_PLAINTEXT".into()),
        ("sasl.mechanism", "OAUTHBEARER".into()),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true".into()),
        ("sasl.oauthbearer.config", format!("principal={READER}")),
    ];
    reads_all(&broker, Listener::SaslPlaintext, token);
}

/// A token that nobody has signed, which counts for so many seconds from now on.
fn token(user: &str, seconds: i64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let base64 = |text: &str| {
        let digits = |chunk: &[u8]| {
            let byte = |at| u32::from(chunk.get(at).copied().unwrap_or(0));
            let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
            let digit = |at: usize| char::from(DIGITS[((bits >> (18 - 6 * at)) & 63) as usize]);
            (0..=chunk.len()).map(digit).collect::<String>()
        };
        text.as_bytes().chunks(3).map(digits).collect::<String>()
    };
    let now = Clock::system().wall().as_millis() / 1000;
    let claims = format!(r#"{{"sub":"{user}","iat":{now},"exp":{}}}"#, now + seconds);
    format!("{}.{}.", base64(r#"{"alg":"none"}"#), base64(&claims))
}

/// Options of a login with the token in the file `token` of a directory.
fn by_token(tls: Options, directory: &Path) -> Options {
    let mut options = tls;
    options.push(("security.protocol", "SASL_SSL".into()));
    options.push(("sasl.mechanism", "OAUTHBEARER".into()));
    let file = directory.join("token").display().to_string();
    options.push(("sasl.oauthbearer.token.file", file));
    options
}

#[test]
fn a_topic_is_read_with_a_token_from_a_file_which_is_read_again_before_it_expires() {
    let broker = SecureBroker::shared();
    let there = tempfile::tempdir().unwrap();
    let write = |token: &str| {
        Directory::local(there.path()).replace("token", format!("{token}\n").as_bytes()).unwrap();
    };
    write(&token(READER, 3_600));
    let options = without_tls(by_token(tls(&broker), there.path()));
    reads_all(&broker, Listener::SaslPlaintext, options);

    let expires_after = Duration::from_secs(6);
    write(&token(READER, 6));
    let (topic, lines, clock) = (topic(&broker), Lines::default(), Clock::system());
    let bootstrap = broker.bootstrap(Listener::SaslTls);
    let mut settings = settings(Fetch::Client, &bootstrap, &topic, &lines);
    let options = by_token(tls(&broker), there.path());
    settings.options = options.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    settings.group = Some(fresh("group"));
    let source = KafkaSource::new(settings).unwrap();
    let mut reading = Reading::new(&source, &plan(&source));
    reading.until_messages(50);
    write(&token(READER, 3_600));
    while clock.elapsed() < expires_after + Duration::from_secs(2) {
        reading.read(0, 1_000).unwrap();
        std::thread::park_timeout(Duration::from_millis(50));
    }
    source.committed(&[(Partition(0), Offset(50))]);
    let producer = producer(&broker.bootstrap(Listener::Plaintext), &[]);
    fill(&producer, &topic, 0, 50, 60);
    reading.until_messages(60);
    assert_eq!(lines.all(), [""; 0]);
}

#[test]
fn a_file_without_a_valid_token_is_said() {
    let broker = SecureBroker::shared();
    let there = tempfile::tempdir().unwrap();
    for (text, why) in [(String::new(), "no token in"), (token(READER, -60), "has expired")] {
        Directory::local(there.path()).replace("token", text.as_bytes()).unwrap();
        let options = by_token(tls(&broker), there.path());
        let line = refusal(&broker, Listener::SaslTls, options);
        assert!(line.contains("there is no token for it: sasl.oauthbearer.token.file"), "{line}");
        assert!(line.contains(why), "{line}");
    }
    Directory::local(there.path()).replace("token", token("nobody", 60).as_bytes()).unwrap();
    let line = refusal(&broker, Listener::SaslTls, by_token(tls(&broker), there.path()));
    assert!(line.contains("does not allow this user"), "{line}");
}

#[test]
fn an_unknown_authority_is_said_with_the_option_that_names_it() {
    let broker = SecureBroker::shared();
    let mut options = tls(&broker);
    options.push(("ssl.ca.location", broker.file_text("other-ca.pem")));
    let line = refusal(&broker, Listener::Tls, options);
    assert!(line.contains("authority that is not known here"), "{line}");
    assert!(line.contains("ssl.ca.location") && line.contains("localhost:"), "{line}");
}

#[test]
fn an_expired_certificate_is_said() {
    let broker = SecureBroker::shared();
    let line = refusal(&broker, Listener::Expired, tls(&broker));
    assert!(line.contains("has expired: renew it"), "{line}");
}

#[test]
fn a_certificate_for_another_host_is_said() {
    let broker = SecureBroker::shared();
    let line = refusal(&broker, Listener::OtherHost, tls(&broker));
    assert!(line.contains("is for another host name"), "{line}");
}

#[test]
fn a_certificate_of_ours_that_is_wanted_is_said() {
    let broker = SecureBroker::shared();
    let line = said_of_one_that_is_away(&broker, Listener::Mutual, tls(&broker));
    assert!(line.contains("ssl.certificate.location"), "{line}");
}

#[test]
fn a_wrong_password_is_said_with_the_user_and_without_the_password() {
    let broker = SecureBroker::shared();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let options = login(&broker, mechanism, READER, "hunter2");
        let line = refusal(&broker, Listener::SaslTls, options);
        assert!(line.contains("wrong name or password of `reader`"), "{line}");
        assert!(line.contains("sasl.password"), "{line}");
    }
}

#[test]
fn a_user_without_a_right_is_told_which() {
    let broker = SecureBroker::shared();
    let options = login(&broker, "SCRAM-SHA-512", STRANGER, PASSWORD);
    let line = refusal(&broker, Listener::SaslTls, options);
    assert!(line.contains("does not allow the user `stranger`"), "{line}");
    assert!(line.contains("Read and Describe"), "{line}");
}

#[test]
fn a_user_who_may_only_look_is_told_when_reading_begins() {
    let broker = SecureBroker::shared();
    let topic = topic(&broker);
    let options = login(&broker, "PLAIN", LOOKER, PASSWORD);
    let source = source(&broker, Listener::SaslTls, &topic, options, &Lines::default());
    let mut reading = Reading::new(&source, &plan(&source));
    let line = reading.until_error().to_string();
    assert!(line.contains("does not allow the user `looker`"), "{line}");
    assert!(line.contains(&topic), "{line}");
}

/// What the client takes for a broker that is away is tried again for ever, and said once.
fn said_of_one_that_is_away(broker: &SecureBroker, listener: Listener, options: Options) -> String {
    struct StopWhenDropped<'a>(&'a AtomicBool);
    impl Drop for StopWhenDropped<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let topic = topic(broker);
    let (stop, lines) = (AtomicBool::new(false), Lines::default());
    let source = source(broker, listener, &topic, options, &lines);
    let stopped = || stop.load(Ordering::Relaxed);
    std::thread::scope(|threads| {
        let plan = threads.spawn(|| source.plan(&[], &stopped));
        let stops = StopWhenDropped(&stop);
        lines.wait_for("cannot reach");
        drop(stops);
        assert!(plan.join().unwrap().is_err());
    });
    let line = lines.all().remove(0);
    println!("{listener:?}: {line}");
    line
}

#[test]
fn a_listener_of_another_kind_is_said() {
    let broker = SecureBroker::shared();
    for listener in [Listener::Tls, Listener::SaslPlaintext] {
        let line = said_of_one_that_is_away(&broker, listener, Vec::new());
        assert!(line.contains("security.protocol"), "{line}");
    }
    let line = said_of_one_that_is_away(&broker, Listener::Plaintext, tls(&broker));
    assert!(line.contains("if this port has no TLS, change security.protocol"), "{line}");
}
