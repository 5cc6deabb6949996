//! Where windows of a fixed length begin and end, and the panes that they are made of.
//!
//! A *pane* is the longest stretch of time that no window's edge divides: all rows in it are in the
//! same windows. Windows that overlap share panes, so a row is added up once.

use std::time::Duration;

use strandline_plan::window::Window;

/// The edges of tumbling, sliding and cumulative windows, in milliseconds. Edges beyond what an `i64`
/// counts are its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    pane: i64,
    size: i64,
    /// From one end to the next.
    step: i64,
    offset: i64,
    /// Windows that begin together, not one step after the other.
    cumulative: bool,
}

/// The ends of the windows that a pane is in: from the first to the last, by a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) first: i64,
    pub(crate) last: i64,
    step: i64,
}

/// A pane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pane {
    pub(crate) start: i64,
    /// The first time after it.
    end: i64,
    /// None if it is in no window.
    pub(crate) ends: Option<Ends>,
}

impl Pane {
    pub(crate) fn contains(&self, time: i64) -> bool {
        self.start <= time && time < self.end
    }
}

impl Ends {
    /// The first that is after a time.
    pub(crate) fn first_after(&self, time: i64) -> Option<i64> {
        if time < self.first {
            return Some(self.first);
        }
        let steps = time.saturating_sub(self.first) / self.step + 1;
        let end = self.first.saturating_add(steps.saturating_mul(self.step));
        (time < end && end <= self.last).then_some(end)
    }

    /// The last that is not after a time.
    pub(crate) fn last_until(&self, time: i64) -> Option<i64> {
        if time < self.first {
            return None;
        }
        let steps = time.min(self.last).saturating_sub(self.first) / self.step;
        Some(self.first + steps * self.step)
    }

    /// Those that are after a time.
    pub(crate) fn after(self, time: i64) -> impl Iterator<Item = i64> {
        std::iter::successors(self.first_after(time), move |end| self.first_after(*end))
    }
}

impl Edges {
    /// Those of a window that was checked; None for sessions, which have none beforehand.
    pub(crate) fn of(window: &Window) -> Option<Self> {
        let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Some(match *window {
            Window::Tumbling { size, offset } => {
                let (size, offset) = (millis(size), millis(offset));
                Self { pane: size, size, step: size, offset, cumulative: false }
            }
            Window::Sliding { size, slide, offset } => {
                let (size, step, offset) = (millis(size), millis(slide), millis(offset));
                let pane = greatest_common_divisor(size, step);
                Self { pane, size, step, offset, cumulative: false }
            }
            Window::Cumulative { size, step, offset } => {
                let (size, step, offset) = (millis(size), millis(step), millis(offset));
                Self { pane: step, size, step, offset, cumulative: true }
            }
            Window::Session { .. } => return None,
        })
    }

    /// The pane that a time is in.
    pub(crate) fn pane(&self, time: i64) -> Pane {
        let start = self.floor(time, self.pane);
        Pane { start, end: start.saturating_add(self.pane), ends: self.ends(start) }
    }

    /// The ends of the windows that a pane is in, by where it starts.
    pub(crate) fn ends(&self, pane: i64) -> Option<Ends> {
        let step = self.step;
        let (first, last) = if self.cumulative {
            (pane.saturating_add(step), self.floor(pane, self.size).saturating_add(self.size))
        } else {
            let before = self.floor(pane.saturating_sub(self.size), step);
            let first_start = before.saturating_add(step);
            let last_start = self.floor(pane, step);
            (first_start.saturating_add(self.size), last_start.saturating_add(self.size))
        };
        (first <= last).then_some(Ends { first, last, step })
    }

    /// Where the window with this end begins.
    pub(crate) fn start(&self, end: i64) -> i64 {
        if self.cumulative {
            self.floor(end.saturating_sub(1), self.size)
        } else {
            end.saturating_sub(self.size)
        }
    }

    /// The greatest `k·length + offset` that is not after a time.
    fn floor(&self, time: i64, length: i64) -> i64 {
        let rest = time.wrapping_sub(self.offset).rem_euclid(length);
        time.saturating_sub(rest)
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn windows() -> impl Strategy<Value = Window> {
        let millis = Duration::from_millis;
        let sliding = (1_u64..30, 1_u64..30, 0_u64..30).prop_map(move |(size, slide, offset)| {
            Window::sliding(millis(size), millis(slide)).with_offset(millis(offset % size))
        });
        let cumulative = (1_u64..6, 1_u64..6, 0_u64..30).prop_map(move |(steps, step, offset)| {
            let size = steps * step;
            Window::cumulative(millis(size), millis(step)).with_offset(millis(offset % size))
        });
        let tumbling = (1_u64..30, 0_u64..30).prop_map(move |(size, offset)| {
            Window::tumbling(millis(size)).with_offset(millis(offset % size))
        });
        prop_oneof![sliding, cumulative, tumbling]
    }

    /// All windows near zero, as they are defined.
    pub(crate) fn all(window: &Window) -> Vec<(i64, i64)> {
        let ms = |length: Duration| i64::try_from(length.as_millis()).unwrap();
        let k = -100..100_i64;
        match *window {
            Window::Tumbling { size, offset } => {
                k.map(|k| (k * ms(size) + ms(offset), (k + 1) * ms(size) + ms(offset))).collect()
            }
            Window::Sliding { size, slide, offset } => k
                .map(|k| (k * ms(slide) + ms(offset), k * ms(slide) + ms(size) + ms(offset)))
                .collect(),
            Window::Cumulative { size, step, offset } => k
                .flat_map(|k| {
                    let start = k * ms(size) + ms(offset);
                    (1..=ms(size) / ms(step)).map(move |j| (start, start + j * ms(step)))
                })
                .collect(),
            Window::Session { .. } => Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn a_time_is_in_the_windows_of_its_pane(window in windows(), time in -40_i64..40, after in -40_i64..80) {
            let edges = Edges::of(&window).unwrap();
            let pane = edges.pane(time);
            prop_assert!(pane.contains(time));
            let mut wanted: Vec<(i64, i64)> =
                all(&window).into_iter().filter(|(start, end)| *start <= time && time < *end).collect();
            wanted.sort_by_key(|(_, end)| *end);
            let found: Vec<(i64, i64)> = pane.ends.into_iter()
                .flat_map(|ends| ends.after(i64::MIN)).map(|end| (edges.start(end), end)).collect();
            prop_assert_eq!(&found, &wanted);
            if let Some(ends) = pane.ends {
                prop_assert_eq!(ends.last, wanted.last().unwrap().1);
                let next = wanted.iter().map(|w| w.1).find(|end| *end > after);
                prop_assert_eq!(ends.first_after(after), next);
                let before = wanted.iter().map(|w| w.1).rfind(|end| *end <= after);
                prop_assert_eq!(ends.last_until(after), before);
            }
        }
    }

    #[test]
    fn at_the_ends_of_time_edges_stay_there() {
        let edges = Edges::of(&Window::tumbling(Duration::from_secs(10))).unwrap();
        let last = edges.pane(i64::MAX);
        assert_eq!(last.ends.unwrap().first_after(0), Some(i64::MAX));
        // A window that began before all times is none.
        assert_eq!(edges.pane(i64::MIN).ends, None);
    }
}
