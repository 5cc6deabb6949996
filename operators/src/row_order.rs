//! The order of rows by event time, which first, last, top and as-of joins go by.

use std::sync::Arc;

use arrow_row::Rows;
use arrow_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Origin, Times};
use crate::expr::EvaluateError;
use crate::row_format::RowFormat;

/// Where a row is in the order of all rows: by event time, then by where it comes from; behind
/// operators with state, where rows come from nowhere, by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Event time as its flow counts it.
    pub(crate) time: i64,
    tie: Tie,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Tie {
    /// Source, partition, offset, number within the message.
    Record(u32, u32, u64, u32),
    Row(Arc<[u8]>),
}

impl Place {
    /// Before all rows of a time, and after all that are earlier.
    pub(crate) fn before_all_at(time: i64) -> Self {
        Self { time, tie: Tie::Record(0, 0, 0, 0) }
    }
}

/// What orders rows of a flow.
#[derive(Debug)]
pub(crate) struct RowOrder(RowFormat);

/// The rows of a batch, in order.
pub(crate) struct Ordered {
    times: Option<Times>,
    ties: Ties,
}

enum Ties {
    Origin(Origin),
    Rows(Rows),
}

impl RowOrder {
    pub(crate) fn new(schema: &Schema) -> Result<Self, EvaluateError> {
        Ok(Self(RowFormat::new(schema.fields().iter().map(|field| field.data_type()))?))
    }

    pub(crate) fn of(&self, batch: &Batch) -> Result<Ordered, EvaluateError> {
        let ties = match batch.origin() {
            Some(origin) => Ties::Origin(origin.clone()),
            None => Ties::Rows(self.0.encode(batch.rows().columns())?),
        };
        Ok(Ordered { times: batch.times().cloned(), ties })
    }
}

impl Ordered {
    /// The event time of a row.
    #[inline]
    pub(crate) fn time(&self, row: usize) -> i64 {
        self.times.as_ref().map_or(0, |times| times.exact()[row])
    }

    /// The place of a row.
    pub(crate) fn place(&self, row: usize) -> Place {
        let tie = match &self.ties {
            Ties::Origin(origin) => {
                let (source, partition) = origin.partitions.get(row);
                let (offset, index) = (origin.offsets[row], origin.indices.get(row));
                Tie::Record(source, partition.0, offset.0, index)
            }
            Ties::Rows(rows) => Tie::Row(rows.row(row).data().into()),
        };
        Place { time: self.time(row), tie }
    }
}
