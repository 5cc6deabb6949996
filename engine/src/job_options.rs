//! How a job treats time, and how often it does what.

use std::time::Duration;

use strandline_operators::window::Tumbling;

/// How a job treats time. [`JobOptions::new`] gives the defaults.
#[derive(Copy, Clone, Debug)]
pub struct JobOptions {
    /// The windows.
    pub windows: Tumbling,
    /// How far a partition's watermark is behind its greatest event time: a minute.
    pub watermark: Duration,
    /// How far an event time may be after the log's timestamp: an hour.
    pub max_future: Duration,
    /// How far an event time may be before the log's timestamp; without a bound: any.
    pub max_past: Option<Duration>,
    /// Whether `max_future` is also compared with the clock at reading, where the sender has set the
    /// log's timestamp: no. What is refused by it is not the same in a replay. Bounded runs never do.
    pub future_by_clock: bool,
    /// How long a partition at its end is silent before it stops holding the others back: 5 s.
    pub idle_after: Duration,
    /// How far, in event time, a partition may run ahead of the frontier: a minute, or two windows
    /// if that is more. It bounds the windows that are open while a backlog is read.
    pub max_drift: Duration,
    /// Bytes of partial results that the workers of a process have sent and that are not merged yet,
    /// beyond which it reads nothing: 256 MiB. With several processes, what was sent in an epoch counts
    /// as not merged until that is complete. So do rejected records with any number of processes.
    pub unmerged_bytes_max: u64,
    /// How often a new epoch begins: a second.
    pub epoch_every: Duration,
    /// How often what is live is published, at most: 250 ms.
    pub publish_every: Duration,
    /// How often the source is asked for new partitions: a second. Together with an epoch, that is how
    /// far behind a new partition begins, which its records are late by where the watermark's delay is less.
    pub discover_every: Duration,
}

/// See [`JobOptions::unmerged_bytes_max`].
const UNMERGED_BYTES_MAX: u64 = 256 << 20;

impl JobOptions {
    /// The defaults for `windows`.
    pub fn new(windows: Tumbling) -> JobOptions {
        JobOptions {
            windows,
            watermark: Duration::from_secs(60),
            max_future: Duration::from_secs(3600),
            max_past: None,
            future_by_clock: false,
            idle_after: Duration::from_secs(5),
            max_drift: Duration::from_secs(60).max(windows.size().saturating_mul(2)),
            unmerged_bytes_max: UNMERGED_BYTES_MAX,
            epoch_every: Duration::from_secs(1),
            publish_every: Duration::from_millis(250),
            discover_every: Duration::from_secs(1),
        }
    }
}
