//! The fast path of the decoder: one pass, no allocation, the key borrowed from the payload.
//!
//! It answers only where it is sure: `None` means that the strict path has to decide. So it may be
//! narrower than JSON (a key or a name with an escape is left to the strict path), never wider.

use crate::decode::cursor::Cursor;
use crate::decode::json::{Field, Metrics, Names};
use crate::decode::layout::{Layout, Plan};
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
    names: &Names<N>,
    layout: &mut Layout,
    unit: T,
    payload: &'a [u8],
) -> Option<Decoded<'a, Metrics<N>>> {
    let plan = layout.plan();
    let mut record = Record::<N, T>::new(unit, payload);
    let as_before = plan == Plan::Follow && follow(layout, &mut record)?;
    if !as_before {
        // Taken apart and put together: one whose address is given away cannot be in registers.
        let Record { cursor, members, unit, key, time, value } = record;
        let begun = Record { cursor, members, unit, key, time, value };
        record = read_in_full(names, layout, plan, begun)?;
    }
    layout.record_read(plan, as_before);
    Some(Decoded { key: record.key?, time: record.time?, value: record.value })
}

/// What has been read of a record, and where its next member begins.
struct Record<'a, const N: usize, T: ReadTime> {
    cursor: Cursor<'a>,
    members: usize,
    unit: T,
    key: Option<Key<'a>>,
    time: Option<EventTime>,
    value: Metrics<N>,
}

impl<'a, const N: usize, T: ReadTime> Record<'a, N, T> {
    #[inline(always)]
    fn new(unit: T, payload: &'a [u8]) -> Self {
        let cursor = Cursor::new(payload);
        Record { cursor, members: 0, unit, key: None, time: None, value: Metrics::ABSENT }
    }

    /// Reads the value of a member.
    #[inline(always)]
    fn read(&mut self, field: Field) -> Option<()> {
        match field {
            Field::Key => self.key = Some(self.cursor.key()?),
            Field::Time => self.time = Some(self.unit.read(&mut self.cursor)?),
            Field::Metric(index) => self.value.set(index, self.cursor.metric()?),
            Field::Ignored => self.cursor.skip_value()?,
        }
        self.members += 1;
        Some(())
    }
}

/// Reads members while they are laid out as remembered: whether that was all.
#[inline(always)]
fn follow<const N: usize, T: ReadTime>(
    layout: &Layout,
    record: &mut Record<'_, N, T>,
) -> Option<bool> {
    for expected in layout.members() {
        let Some(field) = expected.recognise(&mut record.cursor) else { break };
        record.read(field)?;
        if record.cursor.is_last_brace() {
            return Some(true);
        }
    }
    Some(record.cursor.is_end_of_object())
}

/// Reads the members that are left, whatever they are. It is a function of its own so that what it
/// needs takes no registers from [`follow`].
#[inline(never)]
fn read_in_full<'a, const N: usize, T: ReadTime>(
    names: &Names<N>,
    layout: &mut Layout,
    plan: Plan,
    mut record: Record<'a, N, T>,
) -> Option<Record<'a, N, T>> {
    loop {
        let before = record.cursor;
        let Some(field) = introduction(names, record.members, &mut record.cursor)? else { break };
        if plan == Plan::Learn {
            layout.learn(record.members, before.until(&record.cursor), field);
        }
        record.read(field)?;
        if record.cursor.is_last_brace() {
            break;
        }
    }
    Some(record)
}

/// Reads what stands before the value of a member, from the end of the one before it: what the
/// field is. `Some(None)` at the end of the object.
#[inline(always)]
fn introduction<const N: usize>(
    names: &Names<N>,
    member: usize,
    cursor: &mut Cursor<'_>,
) -> Option<Option<Field>> {
    let start = *cursor;
    cursor.skip_white_space();
    match (cursor.next_byte()?, member) {
        (b',', 1..) | (b'{', 0) => {}
        (b'}', 1..) => return start.is_end_of_object().then_some(None),
        _ => return None,
    }
    cursor.skip_white_space();
    let field = match names.recognise(cursor.block()) {
        Some((field, quoted_bytes)) => {
            cursor.advance(quoted_bytes)?;
            field
        }
        None => names.field(cursor.string()?),
    };
    cursor.colon()?;
    Some(Some(field))
}
