//! How records are laid out: a memory that saves reading the names of fields.
//!
//! Devices of one kind write their fields in one order and with one style of white space. The
//! [`Layout`] remembers the text between two values (`,"temperature":`) as it stood in an earlier
//! record, with what the field is: comparing a word replaces reading the name, looking for it, and
//! guessing what comes next. What stands in the memory was itself read in full at that place of a
//! record, so it cannot change a result, only the time that it takes. The idea is that of Mison's
//! speculation on the order of fields (Li and others, "Mison: A Fast JSON Parser for Data
//! Analytics", VLDB 2017).
//!
//! Where layouts change from record to record, learning each would cost more than it saves. So a
//! new one is learned after two misses in a row, then after 4, 8 and so on; in between, records are
//! read in full.

use crate::decode::cursor::Cursor;
use crate::decode::word::Block;

/// Fields of a record whose layout is remembered; a record of more is always read in full.
const MEMBERS_MAX: usize = 64;

/// Bytes of the text before a value that is remembered; a record with a longer one is always read
/// in full.
const INTRODUCTION_BYTES_MAX: usize = 256;

/// Records after which a layout is learned at the latest, where none has lasted.
const MISSES_MAX: u32 = 1024;

/// The layout of records, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Layout<F> {
    members: Vec<Introduction<F>>,
    /// Records in a row that were not laid out as remembered.
    misses: u32,
    /// Whether it was just learned, and has not been tried.
    untried: bool,
}

/// What to do with the next record.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Expect the remembered layout.
    Follow,
    /// Read it in full and remember its layout.
    Learn,
    /// Read it in full.
    Ignore,
}

/// The text before a value and what the field is.
#[derive(Clone, Debug)]
pub(super) struct Introduction<F> {
    text: Vec<u8>,
    start: Block,
    field: F,
}

impl<F: Copy> Introduction<F> {
    /// If it is the text at the cursor: moves to the value.
    #[inline(always)]
    pub(super) fn recognise(&self, cursor: &mut Cursor<'_>) -> Option<F> {
        let bytes = self.text.len();
        let same = if bytes <= Block::BYTES {
            self.start.begins(cursor.block())
        } else {
            cursor.rest().starts_with(&self.text)
        };
        // White space after what is remembered makes it another text: a longer one.
        if !same || cursor.rest().get(bytes).is_none_or(|&next| next <= b' ') {
            return None;
        }
        cursor.advance(bytes)?;
        Some(self.field)
    }
}

impl<F> Default for Layout<F> {
    /// Nothing is known; the first record will be learned.
    fn default() -> Layout<F> {
        Layout { members: Vec::new(), misses: 2, untried: false }
    }
}

impl<F: Copy> Layout<F> {
    #[inline]
    pub(super) fn plan(&self) -> Plan {
        if self.misses < 2 || self.untried {
            Plan::Follow
        } else if self.misses.is_power_of_two() || self.misses.is_multiple_of(MISSES_MAX) {
            Plan::Learn
        } else {
            Plan::Ignore
        }
    }

    /// Takes note of a record that was read by `plan`; `as_before` if all its members were
    /// recognised.
    #[inline]
    pub(super) fn record_read(&mut self, plan: Plan, as_before: bool) {
        self.untried = plan == Plan::Learn;
        if as_before {
            self.misses = 0;
        } else if plan != Plan::Learn {
            self.misses = self.misses.wrapping_add(1).max(1);
        }
    }

    /// What is remembered of each member, in their order.
    #[inline(always)]
    pub(super) fn members(&self) -> &[Introduction<F>] {
        &self.members
    }

    #[inline(never)]
    pub(super) fn learn(&mut self, member: usize, text: &[u8], field: F) {
        self.members.truncate(member);
        if member == self.members.len()
            && member < MEMBERS_MAX
            && text.len() <= INTRODUCTION_BYTES_MAX
        {
            self.members.push(Introduction { text: text.to_vec(), start: Block::new(text), field });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plans for so many records, of which those are laid out as remembered that `follows`.
    fn plans(records: usize, follows: impl Fn(usize) -> bool) -> Vec<Plan> {
        let mut layout = Layout::<()>::default();
        let plans = (0..records).map(|record| {
            let plan = layout.plan();
            layout.record_read(plan, plan == Plan::Follow && follows(record));
            plan
        });
        plans.collect()
    }

    #[test]
    fn the_first_record_is_learned_and_the_others_follow() {
        assert_eq!(plans(4, |_| true), [Plan::Learn, Plan::Follow, Plan::Follow, Plan::Follow]);
    }

    #[test]
    fn a_single_other_record_does_not_change_what_is_remembered() {
        let plans = plans(1000, |record| record % 3 != 0);
        assert!(plans[1..].iter().all(|plan| *plan == Plan::Follow));
    }

    #[test]
    fn a_lasting_other_layout_is_learned_after_two_records() {
        let plans = plans(8, |record| record != 4 && record != 5);
        assert_eq!(plans[4..], [Plan::Follow, Plan::Follow, Plan::Learn, Plan::Follow]);
    }

    #[test]
    fn where_no_layout_lasts_few_records_are_learned_but_never_none() {
        let plans = plans(100_000, |_| false);
        let learned = plans.iter().filter(|plan| **plan == Plan::Learn).count();
        assert!(learned < 120, "{learned}");
        assert!(plans[90_000..].contains(&Plan::Learn));
    }
}
