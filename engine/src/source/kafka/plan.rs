//! Where reading begins and ends.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use strandline_operators::record::{Offset, Partition};

use crate::source::kafka::connection::{Cancelled, Connection};
use crate::source::kafka::left_out::LeftOut;
use crate::source::kafka::lookup::{At, Lookup};
use crate::source::kafka::settings::Start;
use crate::source::{PartitionStart, Plan, SourceError};

/// How often a job that waits for its broker looks whether it should stop.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// Asks for partitions and offsets until it has them all. The questions are asked by a thread,
/// because one may take seconds, and the job may be stopped meanwhile.
pub(super) fn plan(
    connection: &Arc<Connection>,
    kept: &[PartitionStart],
    stopped: &dyn Fn() -> bool,
) -> Result<Plan, SourceError> {
    let (answer, answers) = channel();
    let (_cancel, cancelled) = channel();
    let (asked, kept) = (Arc::clone(connection), kept.to_vec());
    thread::Builder::new()
        .name("kafka-plan".into())
        .spawn(move || drop(answer.send(starts(&asked, &kept, &cancelled))))
        .map_err(|error| connection.failed(format!("no thread to ask the broker: {error}")))?;
    loop {
        match answers.recv_timeout(STOP_CHECK) {
            Ok(plan) => return plan,
            Err(RecvTimeoutError::Timeout) if stopped() => return Err(SourceError::Stopped),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(connection.failed("the thread that asks the broker ended"));
            }
        }
    }
}

fn starts(
    connection: &Connection,
    kept: &[PartitionStart],
    cancelled: &Cancelled,
) -> Result<Plan, SourceError> {
    let count = connection.until_answered(cancelled, Lookup::partitions)?;
    connection.note_partitions(count);
    let topic = connection.until_answered(cancelled, Lookup::identity)?;
    connection.note_topic(topic.clone());
    let offsets = |at| {
        connection.until_answered(cancelled, |lookup, within| lookup.offsets(0..count, at, within))
    };
    // The ends are asked for after the beginnings, or one might lie before its beginning.
    let begins = match connection.settings.start {
        Start::Timestamp(time) if kept.is_empty() => Some(offsets(At::Timestamp(time))?),
        Start::Latest if kept.is_empty() => None,
        _ => Some(offsets(At::Low)?),
    };
    let ends = offsets(At::End)?;
    if connection.settings.bounded {
        let highs = connection.until_answered(cancelled, |lookup, within| {
            lookup.high_watermarks(0..count, within)?.into_iter().collect::<Result<Vec<_>, _>>()
        })?;
        connection.note_left_out(left_out(&ends, &highs));
    }
    let start = |partition| {
        let index = partition as usize;
        let end = ends[index].unwrap_or_default();
        let begin = begins.as_ref().and_then(|begins| begins[index]).unwrap_or(end);
        let kept = kept.iter().find(|kept| kept.partition == Partition(partition));
        PartitionStart {
            partition: Partition(partition),
            next_offset: kept.map_or(begin, |kept| kept.next_offset),
            end: connection.settings.bounded.then_some(end),
        }
    };
    Ok(Plan { topic, partitions: (0..count).map(start).collect() })
}

/// What lies between the end of what is committed and the end.
fn left_out(ends: &[Option<Offset>], highs: &[Offset]) -> Vec<LeftOut> {
    let open = |(number, (end, high)): (u32, (&Option<Offset>, &Offset))| {
        let from = end.filter(|end| end < high)?;
        Some(LeftOut { partition: Partition(number), from, to: *high })
    };
    (0..).zip(ends.iter().zip(highs)).filter_map(open).collect()
}

/// Partitions beyond the first `known`, from their beginning. A bounded run has none: it reads
/// what there was when it started.
pub(super) fn discover(
    connection: &Connection,
    known: u32,
) -> Result<Vec<PartitionStart>, SourceError> {
    if connection.settings.bounded {
        return Ok(Vec::new());
    }
    let count = connection.ask(Lookup::partitions)?;
    if count <= known {
        return Ok(Vec::new());
    }
    let lows = connection.ask(|lookup, within| lookup.offsets(known..count, At::Low, within))?;
    connection.note_partitions(count);
    Ok((known..count)
        .zip(lows)
        .map(|(partition, low)| PartitionStart {
            partition: Partition(partition),
            next_offset: low.unwrap_or(Offset(0)),
            end: None,
        })
        .collect())
}
