//! How the hand-written programs read a topic: in either of the ways that the job has, by its
//! settings, a thread for some of the partitions.
//!
//! This is the engine's own reader, so that a program by hand is denied nothing that the job has. By
//! the client: one call for a thousand messages of its queues, payloads where the client put them;
//! a loop over the bare client differs by one comparison of offsets a message. Directly: payloads
//! where the socket put them, which nobody gets who has only the client library.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use strandline::engine::source::kafka::{Fetch, KafkaSettings, KafkaSource};
use strandline::engine::source::{PartitionStart, Reader, Source, Wake};
use strandline::operators::record::Message;

/// How long a thread waits for messages before it looks again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Messages of one partition that are read before the others have their turn.
const MESSAGES_PER_READ: usize = 1_024;

/// What is read, and how.
pub(crate) struct Reading<'a> {
    pub(crate) bootstrap: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) threads: usize,
    pub(crate) fetch: Fetch,
}

/// Reads a topic to its present ends. Each thread makes a state, folds its messages into it and
/// gives it back.
pub(crate) fn consume<T: Send>(
    reading: &Reading<'_>,
    begin: impl Fn() -> T + Sync,
    fold: impl Fn(&mut T, Message<'_>) + Sync,
) -> anyhow::Result<Vec<T>> {
    let Reading { bootstrap, topic, threads, fetch } = *reading;
    let mut settings = KafkaSettings::new(bootstrap, topic);
    settings.bounded = true;
    settings.fetch = fetch;
    // A program sets that for its process.
    strandline::engine::source::kafka::keep_freed_memory();
    let source = KafkaSource::new(settings)?;
    let partitions = source.plan(&[], &|| false)?.partitions;
    let (begin, fold) = (&begin, &fold);
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|thread| {
                let mine = partitions.iter().filter(|p| p.partition.0 as usize % threads == thread);
                let (mine, source) = (mine.copied().collect(), source.clone());
                scope.spawn(move || {
                    let mut state = begin();
                    read(&source, mine, |message| fold(&mut state, message))?;
                    anyhow::Ok(state)
                })
            })
            .collect();
        let joined = started.into_iter().map(|thread| thread.join().expect("no thread panics"));
        joined.collect()
    })
}

fn read(
    source: &KafkaSource,
    mut open: Vec<PartitionStart>,
    mut visit: impl FnMut(Message<'_>),
) -> anyhow::Result<()> {
    let (wake, woken) = channel();
    let mut reader = source.reader(Wake::new(move || {
        // A reader that is gone needs no waking.
        let _ = wake.send(());
    }))?;
    for start in &open {
        reader.assign(*start)?;
    }
    while !open.is_empty() {
        let mut is_dry = true;
        let mut failure = None;
        open.retain(|start| match reader.read(start.partition, MESSAGES_PER_READ, &mut visit) {
            Ok(progress) => {
                is_dry &= progress.messages == 0;
                !progress.finished
            }
            Err(error) => {
                failure = Some(error);
                false
            }
        });
        if let Some(error) = failure {
            return Err(error).context("reading the topic");
        }
        if is_dry && !open.is_empty() {
            // A wake-up that came before is taken too; whichever it is, there is another look.
            let _ = woken.recv_timeout(LOOK_EVERY);
            while woken.try_recv().is_ok() {}
        }
    }
    Ok(())
}
