//! The fast path of [`JsonFields`](super::JsonFields): values of fields that are known when it is
//! compiled, the key borrowed from the payload.

use crate::decode::cursor::Cursor;
use crate::decode::field::{Field, FieldNames};
use crate::decode::layout::Layout;
use crate::decode::metrics::Metrics;
use crate::decode::scan::{self, Values};
use crate::decode::{Decoded, TimeUnit};
use crate::record::Key;
use crate::time::EventTime;

/// How the value of a time is read.
pub(super) trait ReadTime: Copy {
    fn read(self, cursor: &mut Cursor<'_>) -> Option<EventTime>;
}

/// Milliseconds: nothing that would have to be carried along.
#[derive(Copy, Clone)]
pub(super) struct InMilliseconds;

impl ReadTime for InMilliseconds {
    #[inline(always)]
    fn read(self, cursor: &mut Cursor<'_>) -> Option<EventTime> {
        cursor.time()
    }
}

impl ReadTime for TimeUnit {
    #[inline(always)]
    fn read(self, cursor: &mut Cursor<'_>) -> Option<EventTime> {
        cursor.time_in(self)
    }
}

/// Reads one payload, if it is of the usual kind.
#[inline]
pub(super) fn decode<'a, const N: usize, T: ReadTime>(
    names: &FieldNames<N>,
    layout: &mut Layout<Field>,
    unit: T,
    payload: &'a [u8],
) -> Option<Decoded<'a, Metrics<N>>> {
    let values = Fixed { unit, key: None, time: None, value: Metrics::ABSENT };
    scan::read(names, layout, values, payload)
}

/// The values of one record, as far as they were read.
struct Fixed<'a, const N: usize, T: ReadTime> {
    unit: T,
    key: Option<Key<'a>>,
    time: Option<EventTime>,
    value: Metrics<N>,
}

impl<'a, const N: usize, T: ReadTime> Values<'a> for Fixed<'a, N, T> {
    type Field = Field;
    type Record = Decoded<'a, Metrics<N>>;

    #[inline(always)]
    fn read(&mut self, field: Field, cursor: &mut Cursor<'a>) -> Option<()> {
        match field {
            Field::Key => self.key = Some(cursor.key()?),
            Field::Time => self.time = Some(self.unit.read(cursor)?),
            Field::Metric(index) => self.value.set(index, cursor.metric()?),
            Field::Ignored => cursor.skip_value()?,
        }
        Some(())
    }

    #[inline(always)]
    fn moved(self) -> Self {
        let Fixed { unit, key, time, value } = self;
        Fixed { unit, key, time, value }
    }

    #[inline(always)]
    fn finish(self) -> Option<Self::Record> {
        Some(Decoded { key: self.key?, time: self.time?, value: self.value })
    }
}
