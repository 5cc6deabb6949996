//! A token that somebody else keeps new in a file: an identity provider's side-car, or Kubernetes.
//!
//! It is read whenever the client wants one: at a connection, and before the one that it has expires.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::client::OAuthToken;
use serde::Deserialize;
use strandline_operators::time::EventTime;

use crate::source::kafka::options::{Given, TOKEN_FILE};
use crate::text_file::{self, TextFileError};

/// How long a token counts that does not say so itself.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long a token counts at most: it is read again then. The client computes with a fraction of it, in
/// units of which longer times do not fit.
const LIFETIME_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Whose token it is, where it does not say so itself: brokers go by the token.
const NOBODY: &str = "strandline";

/// Where tokens come from.
#[derive(Clone, Debug)]
pub(super) struct TokenFile(PathBuf);

/// What a token says of itself, if it is a JSON web token.
#[derive(Deserialize)]
struct Claims {
    /// When it expires, in seconds since 1970.
    exp: Option<f64>,
    sub: Option<String>,
}

impl TokenFile {
    /// The file that the options name.
    pub(super) fn of(options: &[(String, String)]) -> Option<TokenFile> {
        Given(options).of(TOKEN_FILE).map(|path| TokenFile(PathBuf::from(path)))
    }

    /// The token that is there now.
    ///
    /// # Errors
    ///
    /// A line that says why there is none; nothing of the token is in it.
    pub(super) fn read(&self, now: EventTime) -> Result<OAuthToken, String> {
        let path = &self.0;
        let text = match text_file::read(path) {
            // It is none, either.
            Err(TextFileError::NotText) => Ok(String::new()),
            read => read.map_err(|error| format!("{TOKEN_FILE}: {}: {error}", path.display())),
        };
        let text = text?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{TOKEN_FILE}: there is no token in {}", path.display()));
        }
        let claims = claims(token).unwrap_or(Claims { exp: None, sub: None });
        let lifetime_ms = match claims.exp {
            Some(seconds) => ((seconds * 1000.0) as i64).min((now + LIFETIME_MAX).as_millis()),
            None => (now + LIFETIME).as_millis(),
        };
        if lifetime_ms <= now.as_millis() {
            return Err(format!("{TOKEN_FILE}: the token in {} has expired", path.display()));
        }
        let principal_name = claims.sub.unwrap_or_else(|| NOBODY.to_owned());
        Ok(OAuthToken { token: token.to_owned(), principal_name, lifetime_ms })
    }
}

/// The claims of a JSON web token: the middle one of its three parts.
fn claims(token: &str) -> Option<Claims> {
    let (_, rest) = token.split_once('.')?;
    let (middle, _) = rest.split_once('.')?;
    serde_json::from_slice(&from_base64(middle)?).ok()
}

/// The bytes that are written in base 64, in the alphabet for URLs and without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        held = ((held << 6) | u32::from(value)) & 0xffff;
        bits += 6;
        if 8 <= bits {
            bits -= 8;
            bytes.push(((held >> bits) & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Directory;
    use crate::text_file::TEXT_FILE_BYTES_MAX;

    const NOW: EventTime = EventTime::from_millis(1_769_860_800_000);

    /// What a file with this text gives.
    fn read(text: &str) -> Result<(String, String, i64), String> {
        let there = tempfile::tempdir().unwrap();
        Directory::local(there.path()).replace("token", text.as_bytes()).unwrap();
        let path = there.path().join("token").display().to_string();
        let file = TokenFile::of(&[(TOKEN_FILE.to_owned(), path)]).unwrap();
        file.read(NOW).map(|token| (token.token, token.principal_name, token.lifetime_ms))
    }

    #[test]
    fn a_token_says_whose_it_is_and_how_long_it_counts() {
        // {"sub":"reader","exp":1769861400,"iat":1}
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkZXIiLCJleHAiOjE3Njk4NjE0MDAsImlhdCI6MX0.";
        let expected = (token.to_owned(), "reader".to_owned(), 1_769_861_400_000);
        assert_eq!(read(&format!("{token}\n")), Ok(expected));
    }

    #[test]
    fn a_token_that_counts_for_ever_is_read_again_after_a_year() {
        // {"exp":1e300} and {"exp":9223372036854775}
        for token in ["e30.eyJleHAiOjFlMzAwfQ.", "e30.eyJleHAiOjkyMjMzNzIwMzY4NTQ3NzV9."] {
            let lifetime_ms = (NOW + LIFETIME_MAX).as_millis();
            assert_eq!(read(token).map(|(_, _, until)| until), Ok(lifetime_ms), "{token}");
        }
    }

    #[test]
    fn a_token_of_another_kind_is_read_again_after_a_while() {
        for token in ["opaque", "a.b.c", "..", "a.e30.c"] {
            let lifetime_ms = (NOW + LIFETIME).as_millis();
            let expected = (token.to_owned(), NOBODY.to_owned(), lifetime_ms);
            assert_eq!(read(token), Ok(expected), "{token}");
        }
    }

    #[test]
    fn what_is_no_token_is_said_without_showing_it() {
        // {"exp":1769860800}
        let expired = "e30.eyJleHAiOjE3Njk4NjA4MDB9.hunter2";
        for (text, words) in
            [("", "no token in"), ("hunter2 hunter2", "no token in"), (expired, "has expired")]
        {
            let said = read(text).unwrap_err();
            assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
        }
        let absent = TokenFile(PathBuf::from("/no/such/token"));
        assert!(absent.read(NOW).err().unwrap().contains("/no/such/token"));
        // What comes to stand there later may have no end.
        let long = read(&"a".repeat(TEXT_FILE_BYTES_MAX + 1)).unwrap_err();
        assert!(long.contains("has more than 1 MiB"), "{long}");
    }
}
