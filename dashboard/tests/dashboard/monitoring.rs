//! The alert rules and the dashboard in `deploy/monitoring` name metrics that the program has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::metrics::{families, scrape_everything};

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring")
}

#[expect(clippy::disallowed_methods, reason = "these files are not a job's")]
fn text(name: &str) -> String {
    std::fs::read_to_string(monitoring().join(name)).unwrap()
}

/// Words of an expression that begin as names of metrics do.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c));
    let named =
        words.filter(|word| word.starts_with("strandline_") || word.starts_with("process_"));
    named.map(ToOwned::to_owned).collect()
}

/// The text below `key` wherever it is.
fn values<'a>(json: &'a serde_json::Value, key: &str, found: &mut Vec<&'a str>) {
    match json {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                match value.as_str() {
                    Some(text) if name == key => found.push(text),
                    _ => values(value, key, found),
                }
            }
        }
        serde_json::Value::Array(array) => array.iter().for_each(|value| values(value, key, found)),
        _ => {}
    }
}

fn names_only_what_exists(what: &str, named: &BTreeSet<String>) {
    let families: BTreeSet<String> =
        families(scrape_everything("text/plain").text()).into_keys().collect();
    assert!(10 < named.len(), "{what}: {named:?}");
    let absent: Vec<_> = named.difference(&families).collect();
    assert!(absent.is_empty(), "{what} names metrics that the program has not: {absent:?}");
}

#[test]
fn alert_rules_name_metrics_that_exist() {
    names_only_what_exists("alerts.yml", &metrics_in(&text("alerts.yml")));
}

#[test]
fn the_dashboard_names_metrics_that_exist() {
    let json = serde_json::from_str(&text("grafana/dashboards/strandline.json")).unwrap();
    let mut expressions = Vec::new();
    for key in ["expr", "query"] {
        values(&json, key, &mut expressions);
    }
    let named = expressions.iter().flat_map(|expression| metrics_in(expression)).collect();
    names_only_what_exists("strandline.json", &named);
}

#[test]
fn promtool_takes_rules_and_configuration() {
    for (check, name) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
        let said = Command::new("promtool")
            .args(["check", check])
            .arg(monitoring().join(name))
            .output()
            .expect("promtool is needed: it is in Debian's package prometheus");
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{words}{}", String::from_utf8_lossy(&said.stdout));
    }
}
