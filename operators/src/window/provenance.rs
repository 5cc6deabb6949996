//! Which records a pane covers, in few bytes: provenance is the largest part of a pane after what
//! is computed.

use super::{Span, Spans};
use crate::record::{Offset, Partition};

/// The records that a pane covers: 24 bytes, and more only where they are of several partitions,
/// or more than four billions lie between the first and the last.
#[derive(Clone, Debug)]
pub(super) enum Provenance {
    /// Records of one partition.
    One {
        first: Offset,
        partition: Partition,
        /// How far the last offset is after the first.
        reach: u32,
        records: u32,
    },
    /// All others, sorted by partition.
    Many(Box<Spans>),
}

impl Provenance {
    /// Adds what one partial result covers.
    #[inline]
    pub(super) fn add(&mut self, span: Span) {
        if let Provenance::One { partition, .. } = self
            && *partition == span.partition
            && let Some(mut known) = self.one()
        {
            join(&mut known, span);
            *self = Provenance::from(known);
        } else {
            self.add_to_many(span);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_to_many(&mut self, span: Span) {
        if let Some(known) = self.one() {
            *self = Provenance::Many(Box::new([known].into_iter().collect()));
        }
        let Provenance::Many(spans) = self else { return };
        match spans.binary_search_by_key(&span.partition, |span| span.partition) {
            Ok(index) => join(&mut spans[index], span),
            Err(index) => spans.insert(index, span),
        }
    }

    /// The span of records of one partition.
    #[inline]
    fn one(&self) -> Option<Span> {
        match *self {
            Provenance::One { first, partition, reach, records } => {
                let last = Offset(first.0 + u64::from(reach));
                Some(Span { partition, first, last, records: u64::from(records) })
            }
            Provenance::Many(_) => None,
        }
    }

    /// As rows carry it.
    pub(super) fn spans(&self) -> Spans {
        match self {
            Provenance::Many(spans) => (**spans).clone(),
            Provenance::One { .. } => self.one().into_iter().collect(),
        }
    }
}

impl From<Span> for Provenance {
    #[inline]
    fn from(span: Span) -> Provenance {
        let Span { partition, first, last, records } = span;
        let reach = last.0.checked_sub(first.0).and_then(|reach| u32::try_from(reach).ok());
        match (reach, u32::try_from(records)) {
            (Some(reach), Ok(records)) => Provenance::One { first, partition, reach, records },
            _ => Provenance::Many(Box::new([span].into_iter().collect())),
        }
    }
}

impl From<Spans> for Provenance {
    fn from(spans: Spans) -> Provenance {
        match spans[..] {
            [span] => Provenance::from(span),
            _ => Provenance::Many(Box::new(spans)),
        }
    }
}

fn join(known: &mut Span, span: Span) {
    known.first = known.first.min(span.first);
    known.last = known.last.max(span.last);
    known.records += span.records;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(partition: u32, first: u64, last: u64, records: u64) -> Span {
        let (first, last) = (Offset(first), Offset(last));
        Span { partition: Partition(partition), first, last, records }
    }

    #[test]
    fn spans_of_a_partition_join_and_others_stand_beside_in_order() {
        let mut provenance = Provenance::from(span(3, 50, 60, 2));
        provenance.add(span(3, 40, 45, 3));
        assert!(matches!(provenance, Provenance::One { .. }));
        assert_eq!(provenance.spans()[..], [span(3, 40, 60, 5)]);
        provenance.add(span(1, 7, 7, 1));
        provenance.add(span(3, 61, 61, 1));
        assert_eq!(provenance.spans()[..], [span(1, 7, 7, 1), span(3, 40, 61, 6)]);
        assert_eq!(Provenance::from(provenance.spans()).spans(), provenance.spans());
    }

    #[test]
    fn offsets_and_counts_beyond_32_bits_are_kept() {
        let mut provenance = Provenance::from(span(0, 5, 5, 1));
        provenance.add(span(0, 6 << 32, 6 << 32, u64::from(u32::MAX)));
        assert_eq!(provenance.spans()[..], [span(0, 5, 6 << 32, 1 << 32)]);
        provenance.add(span(0, 7, 7, 1));
        assert_eq!(provenance.spans()[..], [span(0, 5, 6 << 32, (1 << 32) + 1)]);
    }

    #[test]
    fn spans_of_several_partitions_change_in_place() {
        let mut provenance = Provenance::from(span(3, 50, 60, 2));
        provenance.add(span(1, 7, 7, 1));
        let place = |provenance: &Provenance| match provenance {
            Provenance::Many(spans) => std::ptr::from_ref(&**spans),
            Provenance::One { .. } => panic!("of two partitions"),
        };
        // No other allocation may take the place of one that was freed.
        let (before, _others) = (place(&provenance), [(); 8].map(|()| provenance.clone()));
        for offset in 61..70 {
            provenance.add(span(3, offset, offset, 1));
        }
        assert_eq!(place(&provenance), before);
    }

    #[test]
    fn it_takes_24_bytes() {
        assert_eq!(size_of::<Provenance>(), 24);
    }
}
