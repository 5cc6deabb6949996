//! The fast path of the decoders: one pass over a payload, value by value, without an allocation.
//!
//! It answers only where it is sure: `None` means that the strict path has to decide. So it may be
//! narrower than JSON (a key or a name with an escape is left to the strict path), never wider.
//!
//! Which fields there are and where their values go is said by [`Fields`] and [`Values`]: what is
//! read here is the same for decoders whose fields are known when they are compiled ([`super::fixed`])
//! and for those that have them from a schema.

use crate::decode::cursor::Cursor;
use crate::decode::layout::{Layout, Plan};

/// Which fields are asked for.
pub(super) trait Fields {
    /// One of them, or one that is ignored.
    type Field: Copy;

    /// What the field of this (unescaped) name is.
    fn field(&self, name: &[u8]) -> Self::Field;

    /// What the field is whose name in quotation marks begins a [`Block`](super::word::Block), and
    /// how long the name is with them; `None` where that cannot be said.
    fn recognise(&self, block: u128) -> Option<(Self::Field, usize)>;
}

/// Where values are put.
pub(super) trait Values<'a>: Sized {
    /// One of the fields, or one that is ignored.
    type Field: Copy;

    /// Reads the value at the cursor. Of a repeated field, the last counts.
    fn read(&mut self, field: Self::Field, cursor: &mut Cursor<'a>) -> Option<()>;

    /// What they are together.
    type Record;

    /// The same, taken apart and put together: values whose address is given away cannot be in
    /// registers.
    fn moved(self) -> Self;

    /// What was read, at the end of the payload; `None` where it is left to the strict path.
    fn finish(self) -> Option<Self::Record>;
}

/// Reads one payload, if it is of the usual kind.
#[inline(always)]
pub(super) fn read<'a, F: Fields, V: Values<'a, Field = F::Field>>(
    fields: &F,
    layout: &mut Layout<F::Field>,
    values: V,
    payload: &'a [u8],
) -> Option<V::Record> {
    let plan = layout.plan();
    let mut record = Record { cursor: Cursor::new(payload), members: 0, values };
    let as_before = plan == Plan::Follow && follow(layout, &mut record)?;
    if !as_before {
        let Record { cursor, members, values } = record;
        record =
            read_in_full(fields, layout, plan, Record { cursor, members, values: values.moved() })?;
    }
    layout.record_read(plan, as_before);
    record.values.finish()
}

/// What has been read of a record, and where its next member begins.
struct Record<'a, V> {
    cursor: Cursor<'a>,
    members: usize,
    values: V,
}

impl<'a, V: Values<'a>> Record<'a, V> {
    /// Reads the value of a member.
    #[inline(always)]
    fn read(&mut self, field: V::Field) -> Option<()> {
        self.values.read(field, &mut self.cursor)?;
        self.members += 1;
        Some(())
    }
}

/// Reads members while they are laid out as remembered: whether that was all.
#[inline(always)]
fn follow<'a, V: Values<'a>>(
    layout: &Layout<V::Field>,
    record: &mut Record<'a, V>,
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
fn read_in_full<'a, F: Fields, V: Values<'a, Field = F::Field>>(
    fields: &F,
    layout: &mut Layout<F::Field>,
    plan: Plan,
    mut record: Record<'a, V>,
) -> Option<Record<'a, V>> {
    loop {
        let before = record.cursor;
        let Some(field) = introduction(fields, record.members, &mut record.cursor)? else { break };
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
fn introduction<F: Fields>(
    fields: &F,
    member: usize,
    cursor: &mut Cursor<'_>,
) -> Option<Option<F::Field>> {
    let start = *cursor;
    cursor.skip_white_space();
    match (cursor.next_byte()?, member) {
        (b',', 1..) | (b'{', 0) => {}
        (b'}', 1..) => return start.is_end_of_object().then_some(None),
        _ => return None,
    }
    cursor.skip_white_space();
    let field = match fields.recognise(cursor.block()) {
        Some((field, quoted_bytes)) => {
            cursor.advance(quoted_bytes)?;
            field
        }
        None => fields.field(cursor.string()?),
    };
    cursor.colon()?;
    Some(Some(field))
}
