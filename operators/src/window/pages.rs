//! A list that grows page by page.
//!
//! A vector that grows asks for twice its memory and moves what it holds: of a million names that
//! is tens of megabytes of free room, and a pause. Here nothing moves, and at most a page is free.

/// Elements of a page.
pub(super) const PAGE: usize = 1 << 10;

/// Elements by their index, in pages. The first page grows as a vector does, so that a short list is
/// small.
#[derive(Debug)]
pub(super) struct Pages<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Pages { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    pub(super) fn len(&self) -> usize {
        let last = self.pages.last().map_or(0, Vec::len);
        self.pages.len().saturating_sub(1) * PAGE + last
    }

    /// Appends an element, and gives its index.
    ///
    /// # Panics
    ///
    /// If there are 2^32 of them.
    pub(super) fn push(&mut self, element: T) -> u32 {
        let index = u32::try_from(self.len()).expect("fewer than 2^32 elements");
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(element),
            Some(_) => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(element);
                self.pages.push(page);
            }
            None => self.pages.push(vec![element]),
        }
        index
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> &T {
        let index = index as usize;
        &self.pages[index / PAGE][index % PAGE]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> &mut T {
        let index = index as usize;
        &mut self.pages[index / PAGE][index % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_are_and_keep_their_order() {
        let count = 3 * PAGE + 7;
        let mut pages = Pages::default();
        for number in 0..count {
            assert_eq!(pages.len(), number);
            assert_eq!(pages.push(number) as usize, number);
        }
        *pages.get_mut(PAGE as u32) = 0;
        let numbers = (0..count).map(|number| *pages.get(number as u32));
        assert!(numbers.eq((0..count).map(|number| if number == PAGE { 0 } else { number })));
    }

    #[test]
    fn a_long_list_has_at_most_a_page_of_free_room() {
        let mut pages = Pages::default();
        for number in 0..=4 * PAGE {
            pages.push(number);
        }
        let room: usize = pages.pages.iter().map(Vec::capacity).sum();
        assert_eq!(room, 5 * PAGE);
    }
}
