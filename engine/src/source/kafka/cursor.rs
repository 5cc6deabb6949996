//! How far a partition has been read, and whether something was lost on the way.
//!
//! Offsets do not have to be without gaps: a transaction's marker and what compaction removed take
//! an offset, and no message is there. Data that was removed before it was fetched makes no gap: a
//! broker does not give what comes after it, but says that the offset is out of range. The embedded
//! broker gives it all the same. So a gap is held against where the log began *when the answer was
//! made*, where that is known: if that is after the offset that was expected, data is gone. Where the
//! log begins later says nothing: what has been fetched may wait for long, and be removed meanwhile.

use strandline_operators::record::Offset;

/// The position in one partition.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Everything before it was handed over or holds no message.
    position: Offset,
    /// Where reading ends.
    end: Option<Offset>,
    /// Where the log last said that there is nothing yet.
    nothing_at: Option<Offset>,
    /// How many offsets without a message were passed.
    skipped: u64,
}

/// What to do with a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Hand it over.
    Deliver,
    /// Not this one: it was handed over already, or is at or after the end.
    Leave,
}

/// The messages from `expected` up to `low`, where the log begins, are gone.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) expected: Offset,
    pub(super) low: Offset,
}

impl Cursor {
    pub(super) fn new(position: Offset, end: Option<Offset>) -> Cursor {
        Cursor { position, end, nothing_at: None, skipped: 0 }
    }

    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// Whether nothing more is to be read.
    pub(super) fn finished(&self) -> bool {
        self.end.is_some_and(|end| end <= self.position)
    }

    /// Whether the log has said that there is nothing at the position, and has not said since
    /// that its end is further on. (With an open transaction the end is further on: what is in it
    /// may still become readable.)
    pub(super) fn at_end(&self, high: Option<Offset>) -> bool {
        self.nothing_at == Some(self.position) && high.is_none_or(|high| high <= self.position)
    }

    /// Whether the log has said that there is nothing to be read at the position, and that its end is
    /// further on: what is there is not committed.
    pub(super) fn waits_before(&self, high: Option<Offset>) -> bool {
        self.nothing_at == Some(self.position) && high.is_some_and(|high| self.position < high)
    }

    /// How many offsets without a message were passed since this was asked last.
    pub(super) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    /// There is a message at `offset`. `low` says where the log began when it was fetched, if that is
    /// known; it is asked only if there is a gap before the message.
    pub(super) fn message(
        &mut self,
        offset: Offset,
        low: impl FnOnce() -> Option<Offset>,
    ) -> Result<Step, Loss> {
        if offset < self.position {
            return Ok(Step::Leave);
        }
        self.pass(offset, low)?;
        if self.finished() {
            return Ok(Step::Leave);
        }
        self.position = offset.next();
        Ok(Step::Deliver)
    }

    /// There is nothing at `offset` yet, and no message between the position and it.
    pub(super) fn end_of_partition(
        &mut self,
        offset: Offset,
        low: impl FnOnce() -> Option<Offset>,
    ) -> Result<(), Loss> {
        self.pass(offset, low)?;
        self.nothing_at = Some(offset);
        Ok(())
    }

    /// Moves over offsets that hold no message, not beyond the end.
    pub(super) fn pass(
        &mut self,
        offset: Offset,
        low: impl FnOnce() -> Option<Offset>,
    ) -> Result<(), Loss> {
        let offset = self.end.map_or(offset, |end| offset.min(end));
        if self.position < offset {
            if let Some(low) = low().filter(|&low| self.position < low) {
                return Err(Loss { expected: self.position, low });
            }
            self.skipped += offset.0 - self.position.0;
            self.position = offset;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins_at(low: u64) -> impl FnOnce() -> Option<Offset> {
        move || Some(Offset(low))
    }

    fn not_asked() -> Option<Offset> {
        panic!("asked where the log began though there was no gap")
    }

    #[test]
    fn without_a_gap_nobody_asks_where_the_log_began() {
        let mut cursor = Cursor::new(Offset(5), None);
        assert_eq!(cursor.message(Offset(5), not_asked), Ok(Step::Deliver));
        assert_eq!(cursor.message(Offset(6), not_asked), Ok(Step::Deliver));
        assert_eq!(cursor.position(), Offset(7));
        assert_eq!(cursor.take_skipped(), 0);
    }

    #[test]
    fn a_gap_in_the_middle_of_the_log_is_counted() {
        let mut cursor = Cursor::new(Offset(5), None);
        assert_eq!(cursor.message(Offset(9), begins_at(5)), Ok(Step::Deliver));
        assert_eq!(cursor.take_skipped(), 4);
        assert_eq!(cursor.take_skipped(), 0);
    }

    #[test]
    fn a_gap_over_which_the_log_no_longer_reaches_is_data_gone() {
        let mut cursor = Cursor::new(Offset(5), None);
        let gone = Loss { expected: Offset(5), low: Offset(6) };
        assert_eq!(cursor.message(Offset(9), begins_at(6)), Err(gone));
        assert_eq!(cursor.end_of_partition(Offset(9), begins_at(6)), Err(gone));
        assert_eq!(cursor.position(), Offset(5), "nothing was passed");
    }

    /// A broker that no longer has an offset says that it is out of range: what it gives behind a
    /// gap, it gives because nothing is in the gap.
    #[test]
    fn a_gap_in_what_a_broker_gave_is_counted_where_it_did_not_say_where_its_log_began() {
        let mut cursor = Cursor::new(Offset(5), None);
        assert_eq!(cursor.message(Offset(9), || None), Ok(Step::Deliver));
        assert_eq!(cursor.end_of_partition(Offset(12), || None), Ok(()));
        assert_eq!((cursor.position(), cursor.take_skipped()), (Offset(12), 6));
    }

    #[test]
    fn a_message_is_not_delivered_twice() {
        let mut cursor = Cursor::new(Offset(5), None);
        assert_eq!(cursor.message(Offset(4), not_asked), Ok(Step::Leave));
        assert_eq!(cursor.message(Offset(5), not_asked), Ok(Step::Deliver));
        assert_eq!(cursor.message(Offset(5), not_asked), Ok(Step::Leave));
        assert_eq!(cursor.position(), Offset(6));
    }

    #[test]
    fn nothing_is_delivered_at_or_after_the_end() {
        let mut cursor = Cursor::new(Offset(5), Some(Offset(7)));
        assert!(!cursor.finished());
        assert_eq!(cursor.message(Offset(5), not_asked), Ok(Step::Deliver));
        // Offset 6 is a marker: the message after the end shows that it holds nothing.
        assert_eq!(cursor.message(Offset(8), begins_at(0)), Ok(Step::Leave));
        assert!(cursor.finished());
        assert_eq!((cursor.position(), cursor.take_skipped()), (Offset(7), 1));
        assert_eq!(cursor.message(Offset(9), not_asked), Ok(Step::Leave));
    }

    #[test]
    fn a_bounded_read_ends_at_a_trailing_marker() {
        let mut cursor = Cursor::new(Offset(0), Some(Offset(2)));
        assert_eq!(cursor.message(Offset(0), not_asked), Ok(Step::Deliver));
        assert!(!cursor.finished());
        assert_eq!(cursor.end_of_partition(Offset(2), begins_at(0)), Ok(()));
        assert!(cursor.finished());
        assert_eq!(cursor.take_skipped(), 1);
    }

    #[test]
    fn a_partition_that_ends_where_it_begins_is_finished_at_once() {
        assert!(Cursor::new(Offset(0), Some(Offset(0))).finished());
        assert!(!Cursor::new(Offset(0), None).finished());
    }

    #[test]
    fn at_end_is_what_the_log_said_until_it_says_more() {
        let mut cursor = Cursor::new(Offset(3), None);
        assert!(!cursor.at_end(Some(Offset(3))), "nobody said so yet");
        cursor.end_of_partition(Offset(3), not_asked).unwrap();
        assert!(cursor.at_end(Some(Offset(3))));
        assert!(cursor.at_end(None));
        assert!(!cursor.at_end(Some(Offset(4))), "the log has grown");
        cursor.message(Offset(3), not_asked).unwrap();
        assert!(!cursor.at_end(Some(Offset(4))), "not said of this offset");
    }

    #[test]
    fn an_old_end_does_not_move_back() {
        let mut cursor = Cursor::new(Offset(3), None);
        cursor.message(Offset(3), not_asked).unwrap();
        cursor.end_of_partition(Offset(2), not_asked).unwrap();
        assert_eq!(cursor.position(), Offset(4));
        assert!(!cursor.at_end(None));
    }
}
