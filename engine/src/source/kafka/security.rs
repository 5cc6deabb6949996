//! Logging in to a broker: which options fit together, what is a secret, and what a refusal means.
//!
//! Everything a user sees about TLS and SASL is one line that says what is wrong and what to do. A
//! secret is in none of them.

use std::path::Path;

use rdkafka::config::ClientConfig;

use crate::source::SourceError;
use crate::source::kafka::options::{Given, TOKEN_FILE};
use crate::text_file::{TEXT_FILE_BYTES_MAX, TextFileError};

/// What stands in a line instead of a secret.
const HIDDEN: &str = "***";

/// Endings of the names of options whose value is a secret.
const SECRET_ENDINGS: &[&str] =
    &["password", "secret", "passphrase", "private.key.pem", "ssl.key.pem", "jaas.config"];

/// Whether the value of the client's option `name` is a secret, which must not be shown.
///
/// ```
/// use strandline_engine::source::kafka::is_secret;
///
/// assert!(is_secret("sasl.password") && is_secret("ssl.key.pem"));
/// assert!(!is_secret("sasl.username"));
/// ```
pub fn is_secret(name: &str) -> bool {
    SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || name.starts_with("sasl.oauthbearer.config")
}

/// `line` without any secret of `options` in it.
pub(super) fn without_secrets(line: &str, options: &[(String, String)]) -> String {
    let secrets = options.iter().filter(|(name, value)| is_secret(name) && !value.is_empty());
    let mut line = line.to_owned();
    for (_, secret) in secrets {
        line = line.replace(secret.as_str(), HIDDEN);
    }
    line
}

/// Refuses options that do not fit together, which the client accepts and then does not use.
///
/// # Errors
///
/// [`SourceError::Config`]
pub(super) fn check(options: &[(String, String)]) -> Result<(), SourceError> {
    let refuse = |what: String| Err(SourceError::Config(what));
    let given = Given(options);
    let protocol = given.protocol();
    let (tls, sasl) = (protocol.ends_with("ssl"), protocol.starts_with("sasl"));
    if !sasl && let Some(name) = given.first("sasl.") {
        let wanted = if tls { "SASL_SSL" } else { "SASL_SSL (or SASL_PLAINTEXT)" };
        return refuse(format!(
            "Kafka option `{name}` has no effect without a login: add security.protocol={wanted}"
        ));
    }
    if !tls && let Some(name) = given.first("ssl.") {
        let wanted = if sasl { "SASL_SSL" } else { "SSL, or SASL_SSL with a login" };
        return refuse(format!(
            "Kafka option `{name}` has no effect without TLS: add security.protocol={wanted}"
        ));
    }
    for (name, path) in options {
        let is_file = name.starts_with("ssl.") && name.ends_with(".location") || name == TOKEN_FILE;
        // `probe` is the client's word for the usual places.
        if is_file && path != "probe" {
            check_file(name, Path::new(path))?;
        }
    }
    if sasl { check_login(given) } else { Ok(()) }
}

/// The client reads it, however long that takes and however much there is.
fn check_file(name: &str, path: &Path) -> Result<(), SourceError> {
    let refuse = |what: String| Err(SourceError::Config(format!("Kafka option `{name}`: {what}")));
    match path.metadata() {
        // What stands there may be a token, which is not for a log.
        Err(_) if name == TOKEN_FILE => refuse(
            "there is no such file; it takes the path of a file with a token in it, by --kafka-option \
             (not the token, nor by --kafka-option-file)"
                .to_owned(),
        ),
        Err(_) => refuse(format!("there is no file {}", path.display())),
        Ok(found) if !found.is_file() && !found.is_dir() => {
            refuse("what it names is a device or a pipe; name a file".to_owned())
        }
        // A program of OpenSSL's is no text.
        Ok(found) if found.len() > TEXT_FILE_BYTES_MAX as u64 && name != "ssl.engine.location" => {
            refuse(TextFileError::TooLong.to_string())
        }
        Ok(_) => Ok(()),
    }
}

fn check_login(given: Given<'_>) -> Result<(), SourceError> {
    let refuse = |what: &str| Err(SourceError::Config(what.to_owned()));
    let mechanism = mechanism(given).to_ascii_uppercase();
    let has = |name| given.of(name).is_some_and(|value| !value.is_empty());
    match mechanism.as_str() {
        "" => refuse(
            "security.protocol asks for a login: add sasl.mechanism=PLAIN, SCRAM-SHA-256, \
             or SCRAM-SHA-512",
        ),
        "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" => {
            match ["sasl.username", "sasl.password"].into_iter().find(|name| !has(name)) {
                Some(name) => Err(SourceError::Config(format!(
                    "sasl.mechanism={mechanism} needs `{name}`{}",
                    if is_secret(name) { ": put it into a file, --kafka-option-file" } else { "" }
                ))),
                None => Ok(()),
            }
        }
        "OAUTHBEARER" if has(TOKEN_FILE) => Ok(()),
        "OAUTHBEARER" if given.of("enable.sasl.oauthbearer.unsecure.jwt") == Some("true") => Ok(()),
        // The client asks an endpoint for tokens by libcurl, which is not in this program.
        "OAUTHBEARER" => refuse(
            "sasl.mechanism=OAUTHBEARER: this program cannot ask an endpoint for tokens: name a file that \
             another program keeps a valid one in, by sasl.oauthbearer.token.file; or log in by \
             SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN (or by a client certificate), which managed Kafkas \
             offer too",
        ),
        "GSSAPI" => refuse(
            "sasl.mechanism=GSSAPI: there is no Kerberos in this program; use SCRAM-SHA-512, \
             PLAIN or a client certificate",
        ),
        _ => refuse("sasl.mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    }
}

/// What a person should know though it works.
pub(super) fn warning(options: &[(String, String)]) -> Option<String> {
    let given = Given(options);
    let plain = mechanism(given).eq_ignore_ascii_case("PLAIN");
    if plain && given.protocol() == "sasl_plaintext" {
        return Some(
            "warning: the Kafka password crosses the network in the clear: use \
             security.protocol=SASL_SSL"
                .into(),
        );
    }
    let verifies = given.of("enable.ssl.certificate.verification").unwrap_or("true");
    (verifies == "false").then(|| {
        "warning: certificates of brokers are not verified (enable.ssl.certificate.verification): \
         anybody in between can read along; name the authority by ssl.ca.location instead"
            .into()
    })
}

/// Where the client looks for the certificates of authorities, unless the user says it. Without this word a
/// client that has OpenSSL compiled in looks where that was compiled.
pub(super) const USUAL_PLACES: (&str, &str) = ("ssl.ca.location", "probe");

/// Whether the client is to look for authorities in the usual places.
pub(super) fn looks_in_usual_places(options: &[(String, String)]) -> bool {
    cfg!(feature = "tls") && uses_tls(options) && Given(options).first("ssl.ca.").is_none()
}

/// Whether connections are encrypted.
pub(super) fn uses_tls(options: &[(String, String)]) -> bool {
    Given(options).protocol().ends_with("ssl")
}

fn mechanism(given: Given<'_>) -> &str {
    let (one, other) = (given.of("sasl.mechanism"), given.of("sasl.mechanisms"));
    one.or(other).unwrap_or_default()
}

/// What is wrong where the client says that a broker refuses us, and what to do about it. `config` is
/// what the client was made with.
pub(super) fn explain(said: &str, config: &ClientConfig) -> String {
    let user = config.get("sasl.username").unwrap_or("this user");
    let mechanism = config.get("sasl.mechanism").or(config.get("sasl.mechanisms"));
    let mechanism = mechanism.unwrap_or("GSSAPI");
    if is_bad_certificate(said) {
        return why_not_trusted(config).unwrap_or_else(|| {
            "its certificate cannot be verified: name the file of the authority that signed it by \
             ssl.ca.location"
                .into()
        });
    }
    if said.contains("mechanism handshake failed") || said.contains("nsupported SASL mechanism") {
        let takes = said.split_once("supported mechanisms:").map(|(_, list)| list.trim());
        return match takes {
            Some(list) if !list.is_empty() => {
                format!("it does not take sasl.mechanism={mechanism}: it takes {list}")
            }
            _ => format!(
                "it does not take sasl.mechanism={mechanism}: use one that it is set up for"
            ),
        };
    }
    if let Some((_, why)) = said.split_once("acquire SASL OAUTHBEARER token: ") {
        return format!("there is no token for it: {why}");
    }
    if mechanism.eq_ignore_ascii_case("oauthbearer") && said.contains("SASL") {
        return format!(
            "it does not accept the token ({said}): check sasl.oauthbearer.* and the broker's \
             audience and scope"
        );
    }
    if said.contains("SASL") {
        return format!(
            "wrong name or password of `{user}` ({said}): check sasl.username, sasl.password and \
             sasl.mechanism={mechanism}"
        );
    }
    if said.contains("wrong version number") || said.contains("packet length too long") {
        return "this port does not speak TLS: name the port of its TLS listener, or use \
                security.protocol=PLAINTEXT or SASL_PLAINTEXT"
            .into();
    }
    if said.contains("alert") || said.contains("client SSL authentication might be required") {
        return format!(
            "it does not accept our certificate ({said}): name one that it trusts by \
             ssl.certificate.location and ssl.key.location"
        );
    }
    format!("{said}; check the options security.protocol, sasl.* and ssl.*")
}

/// What to do where a broker does not let this user read a topic.
pub(super) fn no_right(config: &ClientConfig) -> String {
    let user = match config.get("sasl.username") {
        Some(user) => format!("the user `{user}`"),
        None => "this user".into(),
    };
    format!(
        "the broker does not allow {user} to read it: give that user the rights Read and Describe \
         on the topic (kafka-acls --add --allow-principal User:… --operation Read --topic …)"
    )
}

/// Whether the client did not trust a broker's certificate.
fn is_bad_certificate(said: &str) -> bool {
    said.contains("certificate verify failed") || said.contains("verify broker certificate")
}

#[cfg(feature = "tls")]
fn why_not_trusted(config: &ClientConfig) -> Option<String> {
    super::native::certificate::why_not_trusted(config)
}

#[cfg(not(feature = "tls"))]
fn why_not_trusted(_: &ClientConfig) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Directory;

    fn given(options: &[(&str, &str)]) -> Vec<(String, String)> {
        options.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    fn refusal(options: &[(&str, &str)]) -> String {
        check(&given(options)).expect_err("should be refused").to_string()
    }

    #[test]
    fn a_file_of_certificates_is_not_longer_than_what_an_option_may_name() {
        let there = tempfile::tempdir().unwrap();
        let file = Directory::local(there.path());
        let path = there.path().join("ca.pem").display().to_string();
        let options = [("security.protocol", "SSL"), ("ssl.ca.location", &*path)];
        file.replace("ca.pem", &vec![b'a'; TEXT_FILE_BYTES_MAX]).unwrap();
        check(&given(&options)).unwrap();
        file.replace("ca.pem", &vec![b'a'; TEXT_FILE_BYTES_MAX + 1]).unwrap();
        assert!(refusal(&options).contains("`ssl.ca.location`: has more than 1 MiB"));
    }

    #[test]
    fn options_of_a_login_that_would_have_no_effect_are_refused() {
        for (options, hint) in [
            (&[("sasl.username", "u")][..], "security.protocol=SASL_SSL"),
            (&[("security.protocol", "SSL"), ("sasl.password", "p")], "security.protocol=SASL_SSL"),
            (&[("ssl.ca.location", "/")], "security.protocol=SSL"),
            (&[("security.protocol", "SASL_PLAINTEXT"), ("ssl.ca.location", "/")], "SASL_SSL"),
            (&[("security.protocol", "SASL_SSL")], "sasl.mechanism=PLAIN"),
            (
                &[("security.protocol", "SSL"), ("ssl.ca.location", "/dev/zero")],
                "is a device or a pipe",
            ),
            (&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "GSSAPI")], "Kerberos"),
            (&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "MD5")], "SCRAM-SHA-512"),
            (
                &[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")],
                "by sasl.oauthbearer.token.file",
            ),
            (
                &[
                    ("security.protocol", "SASL_SSL"),
                    ("sasl.mechanism", "OAUTHBEARER"),
                    ("sasl.oauthbearer.token.file", "/no/such/token"),
                ],
                "there is no such file; it takes the path of a file with a token in it",
            ),
            (&[("security.protocol", "SASL_SSL"), ("sasl.mechanisms", "PLAIN")], "`sasl.username`"),
            (
                &[
                    ("security.protocol", "SASL_SSL"),
                    ("sasl.mechanism", "PLAIN"),
                    ("sasl.username", "u"),
                ],
                "`sasl.password`: put it into a file",
            ),
            (
                &[("security.protocol", "SSL"), ("ssl.ca.location", "/no/such/ca.pem")],
                "there is no file /no/such/ca.pem",
            ),
        ] {
            let line = refusal(options);
            assert!(line.contains(hint) && !line.contains('\n'), "{options:?}: {line}");
        }
        check(&given(&[("security.protocol", "ssl"), ("ssl.ca.location", "/")])).unwrap();
    }

    #[test]
    fn no_secret_is_in_a_line() {
        let options = given(&[
            ("sasl.password", "hunter2"),
            ("sasl.oauthbearer.client.secret", "s3cr3t"),
            ("ssl.key.password", ""),
            ("sasl.username", "reader"),
        ]);
        let line = without_secrets("reader said hunter2 and s3cr3t", &options);
        assert_eq!(line, "reader said *** and ***");
    }

    #[test]
    fn a_password_in_the_clear_is_worth_a_warning() {
        let clear = given(&[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN")]);
        assert!(warning(&clear).unwrap().contains("SASL_SSL"));
        let scram =
            given(&[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "SCRAM-SHA-512")]);
        assert_eq!(warning(&scram), None);
    }
}
