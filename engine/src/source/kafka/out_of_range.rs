//! A broker says that an offset is not in its log. Is it gone, was it never there, or did the broker
//! err? It is asked for its range, by a thread, while other partitions are read.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use strandline_operators::record::{Offset, Partition};

use crate::source::kafka::connection::Connection;
use crate::source::kafka::cursor::Loss;
use crate::source::{START_OVER, SourceError, Wake};

/// How many times in a row the broker may say of an offset that it is out of range, and then that
/// it is not.
const RESTARTS_MAX: u32 = 3;

/// What is being found out about one partition.
#[derive(Default)]
pub(super) struct OutOfRange {
    answer: Option<Receiver<(Offset, Offset)>>,
    restarts: u32,
}

impl OutOfRange {
    /// The broker has said so: asks for its range.
    pub(super) fn heard(&mut self, connection: &Arc<Connection>, of: Partition, wake: &Wake) {
        self.answer = Some(connection.ask_range(of, wake));
    }

    /// Messages came.
    pub(super) fn is_over(&mut self) {
        self.restarts = 0;
    }

    /// Whether the broker has said that `position` is in its range after all, and reading is to
    /// begin there anew.
    ///
    /// # Errors
    ///
    /// It is not, or the broker goes on to say both.
    pub(super) fn settle(
        &mut self,
        connection: &Arc<Connection>,
        partition: Partition,
        position: Offset,
        wake: &Wake,
    ) -> Result<bool, SourceError> {
        let Some(answer) = &self.answer else { return Ok(false) };
        let (low, end) = match answer.try_recv() {
            Ok(range) => range,
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => {
                self.heard(connection, partition, wake);
                return Ok(false);
            }
        };
        self.answer = None;
        let number = partition.0;
        if position < low {
            return Err(connection.lost(partition, Loss { expected: position, low }));
        }
        if end < position {
            return Err(connection.failed(format!(
                "offset {} of partition {number} is after the end of the log, {}: the topic was \
                 cut back or created anew; {START_OVER}",
                position.0, end.0
            )));
        }
        self.restarts += 1;
        if RESTARTS_MAX < self.restarts {
            return Err(connection.failed(format!(
                "partition {number}: the broker does not give offset {}, though its log goes from \
                 {} to {}",
                position.0, low.0, end.0
            )));
        }
        Ok(true)
    }
}
