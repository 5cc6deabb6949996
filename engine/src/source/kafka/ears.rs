//! What a client of the library says about itself: errors and log lines.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock::Clock;
use crate::report::Report;
use crate::source::kafka::in_flight::InFlight;
use crate::source::kafka::not_kafka;
use crate::source::kafka::security;
use crate::source::kafka::settings::{Fetch, KafkaSettings};
use crate::source::kafka::statistics;
use crate::source::kafka::token::TokenFile;
use crate::telemetry::Telemetry;

/// What it comes down to where the other side closes the connection, which the client does not
/// mention without TLS.
const CLOSES: &str =
    "it closes the connection: if this port wants TLS or a login, set security.protocol";
/// The same where messages are fetched directly.
const CLOSES_TO_DIRECT: &str = "it closes the connection: if this port wants TLS or a login, use --fetch \
     client, and set security.protocol";
/// The same with TLS.
const CLOSES_WITH_TLS: &str = "it closes the connection: if this port has no TLS, change \
     security.protocol; if it wants a certificate of this program, name it by \
     ssl.certificate.location and ssl.key.location";

/// Hears one client. Nothing of it is shown as it comes: the client repeats itself, and reports
/// what is over in a second.
pub(super) struct Ears {
    /// Where log lines go, if the user asked for them.
    log: Option<Report>,
    /// What is said where the other side closes the connection.
    closes: &'static str,
    token: Option<TokenFile>,
    telemetry: Telemetry,
    in_flight: InFlight,
    uneasy: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Clone, Default)]
struct Heard {
    /// Why the broker cannot be reached, as last said.
    reason: Option<String>,
    /// Why the broker refused us, as last said.
    refused: Option<String>,
    /// An answer is greater than is allowed: the client asks for it again, and will for ever.
    oversized: Option<String>,
}

impl Ears {
    pub(super) fn new(settings: &KafkaSettings) -> Ears {
        Ears {
            log: settings.shows_log().then(|| settings.report.clone()),
            closes: match settings.fetch {
                Fetch::Direct => CLOSES_TO_DIRECT,
                Fetch::Client if security::uses_tls(&settings.options) => CLOSES_WITH_TLS,
                Fetch::Client => CLOSES,
            },
            token: TokenFile::of(&settings.options),
            telemetry: settings.telemetry.clone(),
            in_flight: InFlight::new(&settings.telemetry),
            uneasy: AtomicBool::new(false),
            heard: Mutex::default(),
        }
    }

    /// Whether there was an error since this was asked last.
    pub(super) fn take_uneasy(&self) -> bool {
        self.uneasy.load(Ordering::Relaxed) && self.uneasy.swap(false, Ordering::Relaxed)
    }

    /// Forgets what was heard: the broker has answered.
    pub(super) fn forget(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Heard::default();
    }

    /// What was said of an answer that is greater than is allowed.
    pub(super) fn oversized(&self) -> Option<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).oversized.clone()
    }

    /// Why the broker cannot be reached, if that was said.
    pub(super) fn reason(&self) -> Option<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).reason.clone()
    }

    /// Why the broker refused us, if it did.
    pub(super) fn refused(&self) -> Option<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }
}

impl ClientContext for Ears {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if let Some(log) = &self.log {
            log.say(&format!("librdkafka: {facility}: {line}"));
        }
        if (level as i32) <= (RDKafkaLogLevel::Error as i32) {
            // A topic that is deleted is told in this way only.
            self.uneasy.store(true, Ordering::Relaxed);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.uneasy.store(true, Ordering::Relaxed);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::SSL,
            ) => heard.refused = Some(without_prefix(reason)),
            // Another try may meet Kafka.
            _ if let Some(stranger) = not_kafka::of_client(reason) => heard.reason = Some(stranger),
            // The only word about it; no message or error of a partition comes.
            Some(RDKafkaErrorCode::BadMessage) if reason.contains("receive.message.max.bytes") => {
                heard.oversized = Some(without_prefix(reason));
            }
            // "1/1 brokers are down" says less than what came before it.
            Some(RDKafkaErrorCode::AllBrokersDown) if heard.reason.is_some() => {}
            Some(RDKafkaErrorCode::AllBrokersDown) => heard.reason = Some(self.closes.to_owned()),
            // The second is how a broker asks for a certificate after the handshake.
            _ if reason.contains("SSL connection closed by peer")
                || (reason.contains("SSL") && reason.contains("alert")) =>
            {
                heard.reason = Some(self.closes.to_owned());
            }
            _ => heard.reason = Some(without_prefix(reason)),
        }
    }

    fn stats_raw(&self, document: &[u8]) {
        let Some(counted) = statistics::counted(document) else { return };
        self.in_flight.set(counted.queued_bytes);
        if !counted.throttled.is_zero() {
            self.telemetry.measure(|measures| measures.kafka.throttled += counted.throttled);
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        match &self.token {
            Some(token) => Ok(token.read(Clock::system().wall())?),
            None => Err("no file of tokens is named".into()),
        }
    }
}

impl ConsumerContext for Ears {}

/// What the client says, without its names for a connection and for how long it was in a state.
fn without_prefix(reason: &str) -> String {
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    let reason = reason.split_once("/bootstrap: ").map_or(reason, |(_, reason)| reason);
    reason.trim().replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_a_person_wants_to_know() {
        for (said, wanted) in [
            (
                "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection \
                 refused (after 0ms in state CONNECT)",
                "Connect to ipv4#127.0.0.1:9092 failed: Connection refused",
            ),
            (
                "kafka:9092/1: Failed to resolve 'kafka:9092': Name or service not known (after \
                 5ms in state CONNECT)",
                "kafka:9092/1: Failed to resolve 'kafka:9092': Name or service not known",
            ),
        ] {
            assert_eq!(without_prefix(said), wanted);
        }
    }

    #[test]
    fn the_first_reason_of_an_outage_is_kept() {
        let ears = Ears::new(&KafkaSettings::new("b", "t"));
        assert!(!ears.take_uneasy());
        ears.error(KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "refused");
        ears.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert_eq!(ears.reason().as_deref(), Some("refused"));
        assert!(ears.take_uneasy() && !ears.take_uneasy());
        ears.forget();
        assert_eq!(ears.reason(), None);
    }
}
