//! The condition of a job, in the same words wherever it is asked for.

use std::time::Duration;

use strandline_dashboard::{Dashboard, Follower, ServeOptions};
use strandline_engine::condition::ConditionKind;
use strandline_engine::view::{Snapshot, View};

use crate::client::{ask, get};
use crate::fleet::{Fleet, START};
use crate::{any_port, serve};

const REASON: &str = "cannot reach Kafka at kafka:9092: Connection refused; trying again";

#[test]
fn page_metrics_and_readiness_say_the_same_words_at_the_same_time() {
    let (dashboard, view) = serve(Fleet::new(2).snapshot(1));
    let address = dashboard.local_addr();
    assert_eq!(get(address, "/readyz").status, 200);
    let at = START + Duration::from_secs(7);
    view.telemetry().raise(ConditionKind::WaitingForKafka, "", REASON, at);

    let words = view.latest().conditions.headline().to_string();
    assert_eq!(words, format!("waiting for Kafka since 2026-03-01 12:00:07 UTC: {REASON}"));
    let capital = format!("W{}", &words[1..]);
    let number = view.latest().number;

    let ready = get(address, "/readyz");
    assert_eq!(ready.status, 503);
    let lines: Vec<&str> = ready.text().lines().collect();
    assert_eq!(lines[..2], ["not ready", &*words]);
    let json = get(address, "/readyz?format=json");
    assert_eq!((json.status, &json.json()["ready"]), (503, &false.into()));
    assert_eq!(json.json()["conditions"][0]["text"], *words);
    let asked = ask(address, "GET", "/readyz", &[("Accept", "application/json")]);
    assert_eq!(asked.json(), json.json());

    let metrics = get(address, "/metrics").json();
    assert_eq!(metrics["conditions"][0]["condition"], "waiting_for_kafka");
    assert_eq!(metrics["conditions"][0]["text"], *words);
    let prometheus = get(address, "/metrics?format=prometheus");
    for line in [
        "strandline_job_condition{condition=\"waiting_for_kafka\"} 1",
        "strandline_job_condition{condition=\"running\"} 0",
        "strandline_job_condition{condition=\"held_back\"} 0",
        "strandline_job_condition_since_timestamp_seconds{condition=\"waiting_for_kafka\"} 1772366407.000",
        "strandline_job_ready 0",
    ] {
        assert!(prometheus.text().lines().any(|written| written == line), "{line}");
    }

    let shown = get(address, "/api/view").json();
    assert_eq!(shown["condition"], "waiting_for_kafka");
    assert_eq!(shown["condition_title"], "Waiting for Kafka");
    assert_eq!(shown["troubles"][0], *capital);
    assert_eq!(shown["watermark_note"], "waiting for Kafka");
    let page = get(address, "/");
    assert!(page.text().contains(&format!("<li>{capital}</li>")), "{}", page.text());
    assert!(page.text().contains("id=\"status-text\">Waiting for Kafka</span>"));
    for answer in [&prometheus, &page] {
        assert_eq!(answer.header("Strandline-Snapshot"), Some(&*number.to_string()));
    }

    view.publish(Snapshot { window: None, ..Fleet::new(2).snapshot(1) });
    let page = get(address, "/");
    assert!(page.text().contains(">No rows yet: waiting for Kafka<"), "{}", page.text());
    assert_eq!(page.text().matches(REASON).count(), 1, "it is said once");

    view.telemetry().clear(ConditionKind::WaitingForKafka, "");
    assert_eq!(get(address, "/readyz").status, 200);
    assert!(get(address, "/").text().contains("id=\"status-text\">Running</span>"));
}

#[test]
fn a_live_process_is_healthy_whatever_its_job_waits_for() {
    let (dashboard, view) = serve(Fleet::new(2).snapshot(1));
    view.telemetry().raise(ConditionKind::OutputWaits, "final rows", "No space left", START);
    let answer = get(dashboard.local_addr(), "/healthz");
    assert_eq!((answer.status, answer.text()), (200, "the process lives\n"));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
}

#[test]
fn all_partitions_idle_is_said_alike_by_page_and_status() {
    let mut snapshot = Fleet::new(2).snapshot(1);
    for view in &mut snapshot.partitions {
        view.state = strandline_engine::view::PartitionState::Idle;
    }
    let (dashboard, _view) = serve(snapshot);
    let shown = get(dashboard.local_addr(), "/api/view").json();
    assert_eq!(shown["watermark_note"], ConditionKind::AllIdle.title());
}

#[test]
fn records_that_are_all_dead_letters_are_nothing_to_be_green_about() {
    let mut snapshot = Fleet::new(2).snapshot(1);
    snapshot.ledger = strandline_engine::view::Ledger { read: 3000, ..Default::default() };
    snapshot.ledger.dead[0] = 3000;
    let (dashboard, _view) = serve(snapshot);
    let ledger = get(dashboard.local_addr(), "/api/view").json()["ledger"].clone();
    assert_eq!(ledger["balance"], "Balances, with 3,000 dead letters of 3,000 records");
    assert_eq!((&ledger["doubtful"], &ledger["alarm"]), (&true.into(), &serde_json::Value::Null));
    let page = get(dashboard.local_addr(), "/");
    assert!(page.text().contains("data-doubtful=\"true\">Balances, with 3,000 dead"));
}

#[test]
fn a_process_that_does_not_lead_says_where_the_job_is_shown() {
    let view = View::new(Fleet::new(2).snapshot(1));
    let follower = Follower { process: 1, processes: 3, leader: "http://job-0:5000/".to_owned() };
    let options = ServeOptions { follower: Some(follower), ..ServeOptions::at(any_port()) };
    let dashboard = Dashboard::serve(options, view.clone(), Fleet::page()).unwrap();
    let address = dashboard.local_addr();
    for path in ["/", "/api/view"] {
        let answer = get(address, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().starts_with("This is process 1 of 3"), "{}", answer.text());
        assert!(answer.text().contains("http://job-0:5000/"), "{}", answer.text());
    }
    assert_eq!(get(address, "/healthz").status, 200);
    assert_eq!(get(address, "/readyz").status, 200);
    let metrics = get(address, "/metrics").json();
    assert_eq!(
        (&metrics["process"], &metrics["leader"]),
        (&1.into(), &"http://job-0:5000/".into())
    );
    let prometheus = get(address, "/metrics?format=prometheus");
    assert!(prometheus.text().contains("process_resident_memory_bytes"));
    assert!(!prometheus.text().contains("strandline_records_read_total"), "it knows of no ledger");
    view.telemetry().raise(ConditionKind::OutputWaits, "final rows", "No space left", START);
    assert_eq!(get(address, "/readyz").status, 503);
}

#[test]
fn a_format_can_be_named_in_the_address_and_nonsense_is_refused() {
    let (dashboard, _view) = serve(Fleet::new(2).snapshot(1));
    let address = dashboard.local_addr();
    for (name, kind) in [
        ("json", "application/json"),
        ("prometheus", "text/plain; version=0.0.4; charset=utf-8"),
        ("text", "text/plain; version=0.0.4; charset=utf-8"),
        ("OpenMetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        let accept = [("Accept", "application/json")];
        let answer = ask(address, "GET", &format!("/metrics?a=b&format={name}"), &accept);
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(kind)), "{name}");
    }
    for path in ["/metrics?format=xml", "/readyz?format="] {
        let answer = get(address, path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("format=prometheus"), "{}", answer.text());
    }
}

#[test]
fn a_host_that_is_allowed_is_answered_and_the_refusal_names_the_option() {
    let view = View::new(Fleet::new(2).snapshot(1));
    let allowed_hosts = vec!["job.farm.example".to_owned()];
    let options = ServeOptions { allowed_hosts, ..ServeOptions::at(any_port()) };
    let dashboard = Dashboard::serve(options, view, Fleet::page()).unwrap();
    let address = dashboard.local_addr();
    let host = |name| ask(address, "GET", "/metrics", &[("Host", name)]);
    assert_eq!(host("job.farm.example:5000").status, 200);
    let refused = host("evil.example");
    assert_eq!(refused.status, 421);
    assert!(refused.text().contains("--allow-host"), "{}", refused.text());
}
