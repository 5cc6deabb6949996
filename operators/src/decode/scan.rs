//! The fast path of the decoder: one pass, no allocation, the key borrowed from the payload.
//!
//! It answers only where it is sure: `None` means that the strict path has to decide. So it may be
//! narrower than JSON (a key or a name with an escape is left to the strict path), never wider.

use crate::decode::Decoded;
use crate::decode::cursor::Cursor;
use crate::decode::json::{Field, Metrics, Names};
use crate::decode::layout::{Layout, Plan};

/// Reads one payload, if it is of the usual kind.
#[inline]
pub(super) fn decode<'a, const N: usize>(
    names: &Names<N>,
    layout: &mut Layout,
    payload: &'a [u8],
) -> Option<Decoded<'a, Metrics<N>>> {
    let mut cursor = Cursor::new(payload);
    let mut key = None;
    let mut time = None;
    let mut value = Metrics::ABSENT;
    let plan = layout.plan();
    let mut as_before = plan == Plan::Follow;
    let mut member = 0;
    loop {
        let recognised = if as_before { layout.recognise(member, &mut cursor) } else { None };
        let field = match recognised {
            Some(field) => field,
            None => {
                let before = cursor;
                let Some(field) = introduction(names, member, &mut cursor)? else { break };
                as_before = false;
                if plan == Plan::Learn {
                    layout.learn(member, before.until(&cursor), field);
                }
                field
            }
        };
        match field {
            Field::Key => key = Some(cursor.key()?),
            Field::Time => time = Some(cursor.time()?),
            Field::Metric(index) => value.set(index, cursor.metric()?),
            Field::Ignored => cursor.skip_value()?,
        }
        member += 1;
        if cursor.is_last_brace() {
            break;
        }
    }
    layout.record_read(plan, as_before);
    Some(Decoded { key: key?, time: time?, value })
}

/// Reads what stands before the value of a member, from the end of the one before it: what the
/// field is. `Some(None)` at the end of the object.
#[inline(always)]
fn introduction<const N: usize>(
    names: &Names<N>,
    member: usize,
    cursor: &mut Cursor<'_>,
) -> Option<Option<Field>> {
    cursor.skip_white_space();
    match (cursor.next_byte()?, member) {
        (b',', 1..) | (b'{', 0) => {}
        (b'}', 1..) => {
            cursor.skip_white_space();
            return cursor.is_at_end().then_some(None);
        }
        _ => return None,
    }
    cursor.skip_white_space();
    let field = match names.recognise(cursor.block()) {
        Some((field, quoted_bytes)) => {
            cursor.advance(quoted_bytes);
            field
        }
        None => names.field(cursor.string()?),
    };
    cursor.colon()?;
    Some(Some(field))
}
