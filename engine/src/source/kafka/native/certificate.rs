//! Why a broker's certificate is not trusted. The client says only that it is not: the reason is
//! told to a callback alone, which the safe interface does not offer. So a client of its own asks
//! once more, after a refusal.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka_sys as sys;

use crate::clock::Clock;

/// How long the second try may take.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// How long each of its questions waits, ms.
const QUESTION_MS: c_int = 200;
/// Room for what the library says of settings.
const ERROR_BYTES: usize = 256;

/// What the verification of a certificate found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    /// `host:port`
    broker: String,
    /// OpenSSL's number (`X509_V_ERR_…`).
    code: c_int,
}

/// What is wrong with the certificate of a broker that `config` names, and what to do; `None` if nothing is
/// found to be wrong within [`ASK_WITHIN`].
pub(in crate::source::kafka) fn why_not_trusted(config: &ClientConfig) -> Option<String> {
    let native = config.create_native_config().ok()?;
    let found: Mutex<Option<Fault>> = Mutex::new(None);
    // SAFETY: the configuration is live, and copied. The callback has the type that the library
    // asks for, and `found`, which it is given, outlives the client: `rd_kafka_destroy` below ends the
    // client's threads before it returns. `rd_kafka_new` owns the copy if it succeeds, and leaves it
    // to us if it does not.
    unsafe {
        let copy = sys::rd_kafka_conf_dup(native.ptr());
        sys::rd_kafka_conf_set_opaque(copy, ptr::from_ref(&found).cast_mut().cast::<c_void>());
        sys::rd_kafka_conf_set_ssl_cert_verify_cb(copy, Some(verified));
        sys::rd_kafka_conf_set_log_cb(copy, None); // It would write to the standard error stream.
        let mut error = [0 as c_char; ERROR_BYTES];
        let kind = sys::rd_kafka_type_t::RD_KAFKA_CONSUMER;
        let client = sys::rd_kafka_new(kind, copy, error.as_mut_ptr(), ERROR_BYTES);
        if client.is_null() {
            sys::rd_kafka_conf_destroy(copy);
            return None;
        }
        let clock = Clock::system();
        while clock.elapsed() < ASK_WITHIN && lock(&found).is_none() {
            let mut metadata = ptr::null();
            // What it answers is of no interest: a question makes the client connect.
            sys::rd_kafka_metadata(client, 0, ptr::null_mut(), &raw mut metadata, QUESTION_MS);
            if !metadata.is_null() {
                sys::rd_kafka_metadata_destroy(metadata);
                break; // It is trusted now.
            }
        }
        sys::rd_kafka_destroy(client);
    }
    let fault = lock(&found).take()?;
    Some(in_words(&fault))
}

fn lock(found: &Mutex<Option<Fault>>) -> std::sync::MutexGuard<'_, Option<Fault>> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what the library found; agrees with it.
unsafe extern "C" fn verified(
    _client: *mut sys::rd_kafka_t,
    broker: *const c_char,
    _broker_id: i32,
    x509_error: *mut c_int,
    _depth: c_int,
    _certificate: *const c_char,
    _certificate_bytes: usize,
    _error: *mut c_char,
    _error_bytes: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: the library calls this with a number, a C string and the pointer that it was given,
    // which are all live during the call.
    let (code, broker, found) = unsafe {
        let broker = std::ffi::CStr::from_ptr(broker).to_string_lossy().into_owned();
        (*x509_error, broker, &*opaque.cast::<Mutex<Option<Fault>>>())
    };
    if code != 0 {
        lock(found).get_or_insert(Fault { broker, code });
    }
    c_int::from(code == 0)
}

/// The numbers are those of OpenSSL's `x509_vfy.h`, which do not change.
fn in_words(fault: &Fault) -> String {
    let Fault { broker, code } = fault;
    match code {
        10 => format!(
            "the certificate of {broker} has expired: renew it there, or put the clock of this \
             computer right"
        ),
        9 => format!(
            "the certificate of {broker} is not valid yet: put the clock of this computer right"
        ),
        62 | 64 => format!(
            "the certificate of {broker} is for another host name: use a name that is in it, in \
             --bootstrap and in the broker's advertised.listeners"
        ),
        2 | 18 | 19 | 20 | 21 => format!(
            "the certificate of {broker} is signed by an authority that is not known here: name \
             the file of the authority's certificate by ssl.ca.location"
        ),
        23 => format!("the certificate of {broker} was revoked: renew it there"),
        _ => format!(
            "the certificate of {broker} is not accepted (OpenSSL's verification error {code}): \
             check it with `openssl verify`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_what_to_do() {
        for (code, hint) in [
            (10, "has expired: renew it"),
            (9, "not valid yet: put the clock"),
            (62, "another host name"),
            (20, "ssl.ca.location"),
            (66, "verification error 66"),
        ] {
            let line = in_words(&Fault { broker: "kafka:9093".into(), code });
            assert!(line.contains(hint) && line.contains("kafka:9093"), "{line}");
        }
    }

    #[test]
    fn without_a_broker_nothing_is_found() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("security.protocol", "ssl");
        assert_eq!(why_not_trusted(&config), None);
    }
}
