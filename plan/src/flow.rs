//! What is known of the rows between two nodes, before any has been read.

use std::fmt;
use std::time::Duration;

use arrow_schema::{SchemaRef, TimeUnit};

/// What a node gives: the type of everything that travels along an edge.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowType {
    /// The columns of a row.
    pub schema: SchemaRef,
    /// Whether rows are final, or changes of earlier ones.
    pub mode: Mode,
    /// The event time of the rows, if they have one.
    pub time: Option<TimeColumn>,
    /// Whether each row is still a single record of a log, which has a place there and a partition
    /// whose watermark decides whether it is late. Behind a node with state it is not: what leaves
    /// there is never late.
    pub of_log: bool,
    /// Whether the rows are a function of the records alone: the same for any timing, number of
    /// workers and restarts.
    pub reproducible: bool,
    /// Whether all that it is computed from has an end.
    pub bounded: bool,
}

/// The event time of rows.
///
/// It travels with a row whether or not it is one of the columns, so a projection does not lose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeColumn {
    /// The column that holds it, as long as there is one.
    pub column: Option<String>,
    /// How finely it is counted. What becomes progress is rounded down to milliseconds.
    pub unit: TimeUnit,
}

/// What a row means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is final.
    Append,
    /// It is inserted or taken back; the newest one of a key holds.
    Changes {
        /// The columns of the key.
        key: Vec<String>,
    },
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append => f.write_str("append"),
            Self::Changes { key } => write!(f, "changes by {}", key.join(", ")),
        }
    }
}

/// What bounds the rows that a node keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateBound {
    /// It keeps none.
    None,
    /// For each key, a number of windows that are open at a time.
    Windows {
        /// The columns of the key; empty if there is one group of all rows.
        key: Vec<String>,
        /// How many windows a key has at a time, while time advances; None if that depends on the
        /// data (sessions).
        windows: Option<u64>,
    },
    /// What the other input can still match, as far as its event time has advanced.
    UntilOtherSide {
        /// How much event time that is, if it is bounded by a constant.
        span: Option<Duration>,
    },
    /// One row for each key.
    Keys {
        /// The columns of the key.
        key: Vec<String>,
    },
    /// Everything for so long.
    TimeToLive(Duration),
    /// Nothing does.
    Unbounded,
}

impl fmt::Display for StateBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |key: &[String]| match key {
            [] => "one group".to_owned(),
            key => format!("keys ({})", key.join(", ")),
        };
        match self {
            Self::None => f.write_str("none"),
            Self::Windows { key, windows: Some(1) } => write!(f, "{} × 1 window", keys(key)),
            Self::Windows { key, windows: Some(n) } => write!(f, "{} × {n} windows", keys(key)),
            Self::Windows { key, windows: None } => write!(f, "{} × open sessions", keys(key)),
            Self::UntilOtherSide { span: Some(span) } => {
                write!(f, "until the other side has passed, {span:?}")
            }
            Self::UntilOtherSide { span: None } => f.write_str("until the other side has passed"),
            Self::Keys { key } => write!(f, "{} × 1 row", keys(key)),
            Self::TimeToLive(ttl) => write!(f, "{ttl:?} of everything"),
            Self::Unbounded => f.write_str("unbounded"),
        }
    }
}
