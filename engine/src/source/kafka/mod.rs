//! A Kafka topic as a source, exactly once.
//!
//! What the job is promised, and how it is kept:
//!
//! * **Nothing is skipped in silence.** An offset that the log no longer has is an error
//!   ([`SourceError::DataGone`]). A gap in what a broker gives is a transaction's marker or
//!   compaction, and is counted ([`Progress::skipped`](super::Progress::skipped)). There is
//!   no automatic reset of offsets. A batch that fails its checksum or cannot be decompressed is
//!   an error too: the client would go on behind it.
//! * **Only committed messages** are read, so that what was read once does not change.
//! * **A bounded read ends** at the position, not at the last message's offset: the last offset
//!   may be a marker.
//! * **No consumer group.** Offsets are kept with the results; `group` only tells Kafka of them,
//!   for monitoring.
//! * **Looking at a topic does not create it.**
//! * **A broker that cannot be reached** is no error: it is said once, and once when it is back.
//! * **A partition that is not read is not fetched** either, beyond what its queue holds (see
//!   [`client_config`] for how much that is).
//!
//! There are two ways to fetch messages ([`Fetch`]), behind one [`KafkaReader`]: by
//! the client library, which also does TLS and SASL; and directly, by Kafka's protocol, which costs
//! less for each message.
//!
//! The modules: [`settings`], `options` (what a user may give), [`client_config`] (what a client is made
//! with), and `bootstrap`, the brokers to ask first; `budget`, the bytes that may be
//! in flight; `lookup` asks the cluster questions, and `connection` repeats them
//! and says when nobody answers; `watch` asks again and again while a topic is read; `plan` decides where reading begins. `client_reader` reads through
//! `native`, the only place with `unsafe`, and `direct` without the client. Both go by a `cursor` for
//! each partition, and by `out_of_range` where a broker does not have an offset.

pub mod bootstrap;
mod budget;
pub mod client_config;
mod client_reader;
mod config_error;
mod connection;
mod cursor;
mod direct;
mod ears;
mod group;
mod in_flight;
mod inquiry;
mod left_out;
mod lookup;
mod native;
mod not_kafka;
mod options;
mod out_of_range;
mod partitions;
mod plan;
mod reader;
mod said;
mod security;
pub mod settings;
mod statistics;
mod token;
mod watch;
mod watching;

use std::sync::Arc;

use strandline_operators::record::{Offset, Partition};

use crate::source::kafka::connection::Connection;
use crate::source::kafka::group::Group;
use crate::source::kafka::lookup::Lookup;
use crate::source::{PartitionStart, Plan, Source, SourceError, Wake};

pub use self::budget::{MEMORY_IN_FLIGHT, MEMORY_IN_FLIGHT_MIN};
pub use self::left_out::LeftOut;
pub use self::native::memory::keep_freed_memory;
pub use self::options::{check_number, is_property};
pub use self::reader::KafkaReader;
pub use self::security::is_secret;
pub use self::settings::{Fetch, KafkaSettings, Start};

/// One topic of a Kafka cluster.
///
/// Clones share one connection for questions; each [`reader`](Source::reader) has a connection of
/// its own for messages.
#[derive(Clone)]
pub struct KafkaSource {
    connection: Arc<Connection>,
    group: Option<Arc<Group>>,
}

impl KafkaSource {
    /// Does not wait for the broker.
    ///
    /// # Errors
    ///
    /// [`SourceError::Config`] for options that the client does not know or take, or that would
    /// break a promise.
    pub fn new(settings: KafkaSettings) -> Result<KafkaSource, SourceError> {
        let group = settings.group.as_ref().map(|group| Group::new(&settings, group));
        let group = group.transpose()?.map(Arc::new);
        Ok(KafkaSource { connection: Connection::new(settings)?, group })
    }

    /// What a bounded run leaves out because transactions were open when it was planned; nothing
    /// before that.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.connection.left_out()
    }
}

impl KafkaSource {
    /// The brokers of the cluster, number and `host:port`, as they say themselves where they are: whether
    /// that is of use from here, a connection shows. Blocks until one answers, for some seconds at most.
    ///
    /// # Errors
    ///
    /// What is in the way of an answer.
    pub fn brokers(&self) -> Result<Vec<(i32, String)>, SourceError> {
        self.connection.ask(Lookup::brokers)
    }
}

impl Source for KafkaSource {
    type Reader = KafkaReader;

    fn topic(&self) -> &str {
        &self.connection.settings.topic
    }

    fn plan(
        &self,
        kept: &[PartitionStart],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Plan, SourceError> {
        plan::plan(&self.connection, kept, stopped)
    }

    fn is_bounded(&self) -> bool {
        self.connection.settings.bounded
    }

    fn discover(&self, known: u32) -> Result<Vec<PartitionStart>, SourceError> {
        plan::discover(&self.connection, known)
    }

    fn committed(&self, positions: &[(Partition, Offset)]) {
        if let Some(group) = &self.group {
            group.commit(positions);
        }
    }

    fn reader(&self, wake: Wake) -> Result<KafkaReader, SourceError> {
        Ok(KafkaReader::new(Arc::clone(&self.connection), wake))
    }
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KafkaSource").field(&self.connection.settings).finish()
    }
}
