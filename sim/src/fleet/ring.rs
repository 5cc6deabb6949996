//! Who is next, among devices that all send at the same rate.
//!
//! Each of them sends once a period, at a phase of its own, so they take turns in an order that
//! never changes: a ring. Going around it costs the same for eight devices and for a million, and
//! walks through memory in order, which a priority queue does not.

/// Takes turns.
#[derive(Debug)]
pub(super) struct Ring<T> {
    period_ns: u64,
    /// With their phases, in the order of the phases.
    members: Vec<(u64, T)>,
    next: usize,
    /// When the current round began.
    round_ns: u64,
}

impl<T> Ring<T> {
    /// The ring of these members with their phases, each less than the period. Members of equal
    /// phase keep their order.
    pub(super) fn new(period_ns: u64, mut members: Vec<(u64, T)>) -> Ring<T> {
        members.sort_by_key(|(phase_ns, _)| *phase_ns);
        Ring { period_ns, members, next: 0, round_ns: 0 }
    }

    /// When the next turn is; `None` if there is nobody.
    #[inline]
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.members.get(self.next).map(|(phase_ns, _)| self.round_ns.saturating_add(*phase_ns))
    }

    /// The member whose turn it is; the turn then goes to the next one.
    #[inline]
    pub(super) fn turn(&mut self) -> Option<&mut T> {
        let turn = self.next;
        self.next += 1;
        if self.members.len() <= self.next {
            self.next = 0;
            self.round_ns = self.round_ns.saturating_add(self.period_ns);
        }
        self.members.get_mut(turn).map(|(_, member)| member)
    }

    /// Removes members; the others' turns stay when they were.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let had_turn = self.members.drain(..self.next).filter(|(_, member)| keep(member));
        let mut members: Vec<(u64, T)> = had_turn.collect();
        self.next = members.len();
        members.extend(self.members.drain(..).filter(|(_, member)| keep(member)));
        self.members = members;
        if self.members.len() <= self.next {
            self.next = 0;
            self.round_ns = self.round_ns.saturating_add(self.period_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(ring: &mut Ring<char>, count: usize) -> Vec<(u64, char)> {
        (0..count).map(|_| (ring.next_ns().unwrap(), *ring.turn().unwrap())).collect()
    }

    #[test]
    fn members_take_turns_by_phase_once_a_period() {
        let mut ring = Ring::new(10, vec![(7, 'a'), (0, 'b'), (7, 'c')]);
        assert_eq!(
            turns(&mut ring, 7),
            [(0, 'b'), (7, 'a'), (7, 'c'), (10, 'b'), (17, 'a'), (17, 'c'), (20, 'b')]
        );
    }

    /// Whoever leaves, at whatever place in the round: the others send when they would have.
    #[test]
    fn those_who_stay_keep_their_turns() {
        let members = vec![(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')];
        let mut undisturbed = Ring::new(10, members.clone());
        let all = turns(&mut undisturbed, 40);
        for before in 0..9 {
            for leaves in ["a", "d", "ab", "bd", "cd", "abc"] {
                let mut ring = Ring::new(10, members.clone());
                turns(&mut ring, before);
                ring.retain(|member| !leaves.contains(*member));
                let expected: Vec<(u64, char)> = all[before..]
                    .iter()
                    .copied()
                    .filter(|(_, member)| !leaves.contains(*member))
                    .take(6)
                    .collect();
                assert_eq!(turns(&mut ring, 6), expected, "{before} {leaves}");
            }
        }
    }

    #[test]
    fn a_ring_of_nobody_is_over() {
        let mut ring = Ring::new(10, vec![(1, 'a')]);
        ring.retain(|_| false);
        assert_eq!((ring.next_ns(), ring.turn()), (None, None));
    }
}
