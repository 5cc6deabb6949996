//! A job that logs in to a Kafka: with a password from a file or the environment, which is shown nowhere.

use std::path::Path;

use crate::good_topic;
use crate::process::{Running, command, finish, get, metrics, wait};
use crate::secure_broker::{Listener, PASSWORD, READER, SecureBroker};

/// What a provider gives for a login, without the password.
#[expect(clippy::disallowed_methods, reason = "a user writes it")]
fn client_properties(broker: &SecureBroker, there: &Path) -> String {
    let path = there.join("client.properties");
    let text = format!(
        "# as a provider gives it\nsecurity.protocol=SASL_SSL\nsasl.mechanisms=SCRAM-SHA-512\n\
         sasl.username={READER}\nssl.ca.location={}\n",
        broker.file_text("ca.pem")
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_job_logs_in_with_a_password_from_a_file_or_the_environment() {
    let broker = SecureBroker::shared();
    let topic = good_topic(&broker, "login");
    let bootstrap = broker.bootstrap(Listener::SaslTls);
    let there = tempfile::tempdir().unwrap();
    let properties = client_properties(&broker, there.path());
    let password_file = format!("sasl.password={}", broker.file_text("password"));
    let password = format!("sasl.password={PASSWORD}");
    for way in ["file", "environment", "command line"] {
        let out = there.path().join(way);
        let mut line = vec![
            "--bootstrap",
            &bootstrap,
            "--topic",
            &topic,
            "--bounded",
            "--listen",
            "none",
            "--out",
            out.to_str().unwrap(),
            "--kafka-config",
            &properties,
        ];
        match way {
            "file" => line.extend(["--kafka-option-file", &password_file]),
            "command line" => line.extend(["--kafka-option", &password]),
            _ => {}
        }
        let mut job = command(&line);
        if way == "environment" {
            job.env("STRANDLINE_KAFKA_OPTION", &password);
        }
        let (code, stdout, stderr) = finish(job);
        assert_eq!(code, Some(0), "{way}: {stderr}");
        assert!(stdout.contains("\"records\":20"), "{stdout}");
        assert!(!(stdout + &stderr).contains(PASSWORD), "{stderr}");
        let warned = stderr.contains("warning: sasl.password is on the command line");
        assert_eq!(warned, way == "command line", "{way}: {stderr}");
    }
}

#[test]
fn a_password_is_nowhere_on_the_page_and_a_fleet_logs_in_too() {
    let broker = SecureBroker::shared();
    let topic = good_topic(&broker, "login-page");
    let bootstrap = broker.bootstrap(Listener::SaslTls);
    let there = tempfile::tempdir().unwrap();
    let properties = client_properties(&broker, there.path());
    let password_file = format!("sasl.password={}", broker.file_text("password"));
    let out = there.path().join("out");
    let job = Running::start(command(&[
        "--bootstrap",
        &bootstrap,
        "--topic",
        &topic,
        "--simulate",
        "--listen",
        "127.0.0.1:0",
        "--window",
        "1s",
        "--watermark",
        "1s",
        "--out",
        out.to_str().unwrap(),
        "--kafka-config",
        &properties,
        "--kafka-option-file",
        &password_file,
    ]));
    let page = job.page();
    let read = |json: serde_json::Value| json["ledger"]["read"].as_u64();
    wait("the fleet's messages", || metrics(&page).and_then(read).filter(|&read| 20 < read));
    for (path, accept) in
        [("/", "text/html"), ("/metrics", "text/plain"), ("/metrics", "application/json")]
    {
        let body = get(&page, path, accept).unwrap();
        assert!(!body.contains(PASSWORD), "{path}");
    }
    assert!(!job.said().contains(PASSWORD));
}

#[test]
fn direct_fetching_refuses_a_login_with_the_way_out() {
    let broker = SecureBroker::shared();
    let there = tempfile::tempdir().unwrap();
    let properties = client_properties(&broker, there.path());
    let line = [
        "--bootstrap",
        &broker.bootstrap(Listener::SaslTls),
        "--fetch",
        "direct",
        "--listen",
        "none",
        "--out",
        there.path().to_str().unwrap(),
        "--kafka-config",
        &properties,
    ];
    let (code, _, stderr) = finish(command(&line));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("use --fetch client"), "{stderr}");
}
