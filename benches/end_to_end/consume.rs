//! How the hand-written programs read a topic: the batches of the client's queues, by the settings
//! that the job has, a thread for some of the partitions.
//!
//! This is the engine's own reader: one call of the client for a thousand messages, payloads where
//! the client put them. A loop over the bare client differs by one comparison of offsets a message.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use strandline::engine::source::kafka::{KafkaSettings, KafkaSource};
use strandline::engine::source::{PartitionStart, Reader, Source, Wake};
use strandline::operators::record::Message;

/// How long a thread waits for the client before it looks again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Messages of one partition that are read before the others have their turn.
const MESSAGES_PER_READ: usize = 1_024;

/// Reads a topic to its present ends on so many threads. Each thread makes a state, folds its
/// messages into it and gives it back.
pub(crate) fn consume<T: Send>(
    bootstrap: &str,
    topic: &str,
    threads: usize,
    begin: impl Fn() -> T + Sync,
    fold: impl Fn(&mut T, Message<'_>) + Sync,
) -> anyhow::Result<Vec<T>> {
    let mut settings = KafkaSettings::new(bootstrap, topic);
    settings.bounded = true;
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
