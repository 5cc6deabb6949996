//! The properties of the client that a user gives, and which of them are not the user's to choose.
//!
//! Every property can be given, except for the few that are in [`RULES`]: a promise rests on them, or
//! Strandline goes by them itself. That one table is all there is about them; what else a name means is
//! beside what it is about ([`security`](super::security) for logins).

use crate::source::SourceError;
use crate::source::kafka::native::properties::{PropertyType, properties};

/// The property that names a file with a login's token. It is ours, not the client's.
pub(super) const TOKEN_FILE: &str = "sasl.oauthbearer.token.file";
/// The property that says how often the client tells what it counts.
pub(super) const STATISTICS_EVERY_MS: &str = "statistics.interval.ms";

/// What holds for a property that is not left to the user and the client.
enum Rule {
    /// A promise rests on its value. Another one would break it: `or` says how.
    Promised { value: &'static str, or: &'static str },
    /// It cannot be given; this says why.
    Refused(&'static str),
    /// It is for us: clients are not made with it.
    Ours,
}

const RULES: &[(&str, Rule)] = &[
    (
        "auto.offset.reset",
        Rule::Promised {
            value: "error",
            or: "messages that are gone would be skipped in silence (see --from)",
        },
    ),
    (
        "isolation.level",
        Rule::Promised {
            value: "read_committed",
            or: "records of aborted transactions would be counted, and counts could change later",
        },
    ),
    (
        "enable.partition.eof",
        Rule::Promised { value: "true", or: "an idle partition could not be told from a busy one" },
    ),
    (
        "allow.auto.create.topics",
        Rule::Promised { value: "false", or: "looking at a topic would create it" },
    ),
    (
        "enable.auto.commit",
        Rule::Promised { value: "false", or: "offsets are kept with the results, not in Kafka" },
    ),
    ("auto.commit.enable", Rule::Refused("offsets are kept with the results, not in Kafka")),
    ("bootstrap.servers", Rule::Refused("name the broker with --bootstrap")),
    ("metadata.broker.list", Rule::Refused("name the broker with --bootstrap")),
    (
        "group.id",
        Rule::Refused("no consumer group is used: a job decides itself which worker reads what"),
    ),
    ("group.instance.id", Rule::Refused("no consumer group is used")),
    ("group.protocol", Rule::Refused("no consumer group is used")),
    ("test.mock.num.brokers", Rule::Refused("it would replace the broker that --bootstrap names")),
    (TOKEN_FILE, Rule::Ours),
    // Of a client that nobody serves, what it counts would pile up.
    (STATISTICS_EVERY_MS, Rule::Ours),
];

fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|(of, _)| *of == name).map(|(_, rule)| rule)
}

/// What is given, of which the last of a name counts.
#[derive(Copy, Clone)]
pub(super) struct Given<'a>(pub(super) &'a [(String, String)]);

impl<'a> Given<'a> {
    /// What a property is given as.
    pub(super) fn of(self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A name that begins so.
    pub(super) fn first(self, prefix: &str) -> Option<&'a str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| name.starts_with(prefix))
    }

    /// How connections are made, in small letters.
    pub(super) fn protocol(self) -> String {
        self.of("security.protocol").unwrap_or("plaintext").to_ascii_lowercase()
    }

    /// What a client is made with.
    pub(super) fn for_clients(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let given = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        given.filter(|(name, _)| !matches!(rule(name), Some(Rule::Ours)))
    }
}

/// The properties on which a promise rests, with the values that keep it.
pub(super) fn promised() -> impl Iterator<Item = (&'static str, &'static str)> {
    RULES.iter().filter_map(|(name, rule)| match rule {
        Rule::Promised { value, .. } => Some((*name, *value)),
        Rule::Refused(_) | Rule::Ours => None,
    })
}

/// Whether a promise rests on this property: nobody can give it another value.
pub(super) fn is_promised(name: &str) -> bool {
    matches!(rule(name), Some(Rule::Promised { .. }))
}

/// Refuses a property by itself.
///
/// # Errors
///
/// [`SourceError::Config`]
pub(super) fn check(name: &str, value: &str) -> Result<(), SourceError> {
    let refuse =
        |why: &str| Err(SourceError::Config(format!("Kafka option `{name}` cannot be set: {why}")));
    if name.contains('\0') || value.contains('\0') {
        return Err(SourceError::Config("a Kafka option cannot hold a NUL byte".into()));
    }
    match rule(name) {
        Some(Rule::Refused(why)) => return refuse(why),
        Some(Rule::Promised { value: kept, or }) if !kept.eq_ignore_ascii_case(value) => {
            return refuse(&format!("it has to stay `{kept}`, or {or}"));
        }
        Some(Rule::Promised { .. } | Rule::Ours) | None => {}
    }
    check_number(name, value)?;
    if !cfg!(feature = "tls") && needs_tls(name, value) {
        let what = match name.starts_with("sasl.") {
            true => "OpenSSL, also where the connection has no TLS",
            false => "TLS",
        };
        return Err(SourceError::Config(format!(
            "Kafka option `{name}` needs {what}; this build leaves it out: build it with \
             `--features tls`"
        )));
    }
    Ok(())
}

/// Refuses what the client takes for another number: it reads the one at the beginning of a value,
/// whatever follows. `10MB` would be 10, and `010` would be 8.
///
/// # Errors
///
/// [`SourceError::Config`] for a value that is no number where the property is one.
pub fn check_number(name: &str, value: &str) -> Result<(), SourceError> {
    let value = value.trim();
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    // What begins otherwise, the client refuses, or has a name for.
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(());
    }
    let is_number = match properties().get(name) {
        Some(PropertyType::Integer) => {
            value.parse::<i32>().is_ok() && (digits == "0" || !digits.starts_with('0'))
        }
        Some(PropertyType::Float) => value.parse::<f64>().is_ok_and(f64::is_finite),
        _ => true,
    };
    match is_number {
        true => Ok(()),
        false => Err(SourceError::Config(format!(
            "Kafka option `{name}`: `{value}` is not such a number: write it out in digits, without a \
             unit, such as 10000000 for 10 MB"
        ))),
    }
}

/// Whether there is a property of this name.
pub fn is_property(name: &str) -> bool {
    properties().contains_key(name) || matches!(rule(name), Some(Rule::Ours))
}

/// Whether the client can do this only with OpenSSL compiled in.
pub(super) fn needs_tls(name: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match name {
        "security.protocol" => value.contains("ssl"),
        "sasl.mechanism" | "sasl.mechanisms" => {
            value.starts_with("scram") || value == "oauthbearer"
        }
        "enable.ssl.certificate.verification" => true,
        _ => name.starts_with("ssl."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(name: &str, value: &str) {
        check(name, value).unwrap();
    }

    fn refusal(name: &str, value: &str) -> String {
        check(name, value).expect_err("should be refused").to_string()
    }

    /// The client takes the digits at the beginning for the number.
    #[test]
    fn a_number_with_something_behind_it_is_refused() {
        for (name, value) in [
            ("fetch.message.max.bytes", "10MB"),
            ("max.partition.fetch.bytes", "20xyz"),
            ("fetch.wait.max.ms", "1s"),
            ("fetch.wait.max.ms", "0x10"),
            ("fetch.wait.max.ms", "010"),
            ("fetch.min.bytes", "1,client.id=x"),
            ("fetch.min.bytes", "4294967297"),
            ("queue.buffering.max.ms", "5ms"),
        ] {
            let line = refusal(name, value);
            assert!(line.contains(name) && line.contains(&format!("`{value}`")), "{line}");
        }
        for (name, value) in [
            ("fetch.wait.max.ms", "0"),
            ("fetch.message.max.bytes", " 1000000 "),
            ("client.id", "20xyz"),
            ("queue.buffering.max.ms", "0.5"),
            ("acks", "-1"),
            ("acks", "all"),
        ] {
            accept(name, value);
        }
    }

    #[test]
    fn options_that_would_break_a_promise_are_refused_by_name() {
        for (name, value) in [
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_uncommitted"),
            ("enable.partition.eof", "false"),
            ("allow.auto.create.topics", "true"),
            ("enable.auto.commit", "true"),
            ("group.id", "g"),
            ("bootstrap.servers", "elsewhere:9092"),
        ] {
            let line = refusal(name, value);
            assert!(line.contains(name) && !line.contains('\n'), "{line}");
        }
        accept("isolation.level", "read_committed");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_tls_option_without_tls_names_the_feature() {
        for (name, value) in [
            ("security.protocol", "SASL_SSL"),
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
        ] {
            let line = refusal(name, value);
            assert!(line.contains(name) && line.contains("--features tls"), "{line}");
        }
        accept("security.protocol", "plaintext");
    }

    #[test]
    fn what_is_ours_is_a_property_and_goes_into_no_client() {
        assert!(is_property(TOKEN_FILE) && is_property(STATISTICS_EVERY_MS));
        let options = [(TOKEN_FILE, "/token"), ("client.id", "a"), ("client.id", "b")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let given = Given(&options);
        assert!(given.for_clients().eq([("client.id", "a"), ("client.id", "b")]));
        assert_eq!((given.of("client.id"), given.of(TOKEN_FILE)), (Some("b"), Some("/token")));
    }

    #[test]
    fn each_property_has_one_rule() {
        let mut names: Vec<_> = RULES.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
