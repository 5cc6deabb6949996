//! What options can be, and how it is written.

use std::net::SocketAddr;

use chrono::{DateTime, SecondsFormat, Utc};
use strandline_engine::source::kafka::{Fetch, Start};
use strandline_operators::time::EventTime;

/// Bare numbers of `--from` between 0 and this are refused: in milliseconds they are in 1970 to 1973, and
/// in seconds up to the year 5138.
const FROM_MILLIS_MIN: i64 = 100_000_000_000;
/// The end of the year 9999.
const FROM_MILLIS_MAX: i64 = 253_402_300_799_999;

/// With what `--max-future` is compared.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FutureBy {
    /// With the timestamp that the log keeps with a record.
    Log,
    /// With the clock, too, where the sender has set that timestamp.
    Clock,
}

/// Where the page is served.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// There.
    At(SocketAddr),
    /// Nowhere.
    Nowhere,
}

/// Where checkpoints go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// To this directory or URL.
    At(String),
    /// Nowhere.
    Nowhere,
}

pub(super) fn fetch(text: &str) -> Result<Fetch, String> {
    match text {
        "client" => Ok(Fetch::Client),
        "direct" => Ok(Fetch::Direct),
        _ => Err("client or direct".into()),
    }
}

pub(super) fn start(text: &str) -> Result<Start, String> {
    match text {
        "earliest" => return Ok(Start::Earliest),
        "latest" => return Ok(Start::Latest),
        _ => {}
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return epoch_millis(text).map(|millis| Start::Timestamp(EventTime::from_millis(millis)));
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| {
        "earliest, latest, a time such as 2026-01-31T12:00:00Z, or epoch milliseconds".to_owned()
    })?;
    Ok(Start::Timestamp(EventTime::from_millis(time.timestamp_millis())))
}

/// A partition and a time, as in `3=2026-11-30T09:00:00Z`.
pub(super) fn lowered(text: &str) -> Result<(u32, EventTime), String> {
    let usage = || "a partition and a time, such as 3=2026-01-31T12:00:00Z".to_owned();
    let (partition, time) = text.split_once('=').ok_or_else(usage)?;
    let partition = partition.parse().map_err(|_| usage())?;
    match start(time) {
        Ok(Start::Timestamp(time)) => Ok((partition, time)),
        _ => Err(usage()),
    }
}

/// A bare number is in milliseconds. One that was meant in another unit would begin decades away, and
/// nobody would see why, so it is refused.
fn epoch_millis(text: &str) -> Result<i64, String> {
    let refused = |what: &str| {
        format!("{what}: give milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z")
    };
    let number: i64 = text.parse().map_err(|_| refused("the number is too large"))?;
    let date = |time: Option<DateTime<Utc>>| {
        time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
    };
    match number {
        0 | FROM_MILLIS_MIN..=FROM_MILLIS_MAX => Ok(number),
        ..FROM_MILLIS_MIN => Err(refused(&format!(
            "in milliseconds that is {}; if it is meant in seconds, that is {}, which is \
             {number}000",
            date(DateTime::from_timestamp_millis(number)),
            date(DateTime::from_timestamp(number, 0)),
        ))),
        _ => Err(refused("in milliseconds that is after the year 9999; is it in microseconds?")),
    }
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen::Nowhere);
    }
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse()
        .map(Listen::At)
        .map_err(|_| "an address and a port such as 127.0.0.1:5000, or none".into())
}

pub(super) fn host_name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_name) {
        true => Ok(text.trim_end_matches('.').to_owned()),
        false => Err("a name of a host without a port, such as job.example.com".into()),
    }
}

pub(super) fn checkpoint(text: &str) -> Result<Checkpoint, String> {
    match text {
        "none" => Ok(Checkpoint::Nowhere),
        "" => Err("a directory, a URL such as s3://bucket/prefix, or none".into()),
        place => Ok(Checkpoint::At(place.to_owned())),
    }
}
