//! Final rows, pushed to whoever follows them in the moment in which they become final.
//!
//! A [`Snapshot`](crate::view::Snapshot) is a picture: of one window, taken now and then. Who needs
//! every final row, and soon, follows the feed ([`View::follow`](crate::view::View::follow)): the
//! operator that collects them for the view pushes them, and nothing has to be due for that.
//!
//! All followers share one ring. What a job keeps for them grows neither with their number nor with
//! their slowness, and no worker ever waits for one: a follower that is too slow is told how many
//! rows it missed. While nobody follows, nothing is kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_operators::time::EventTime;
use strandline_operators::window::Window;

use crate::table::CellRow;

/// Final rows that are kept for followers that have not seen them yet, a number of rows.
pub const FEED_ROWS_MAX: usize = 1 << 17;

/// A final row.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalRow {
    /// Its window.
    pub window: Window,
    /// Its key and cells.
    pub row: CellRow,
}

/// What a follower hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Rows that have become final, at least one, in no particular order.
    Rows(Arc<[FinalRow]>),
    /// All rows of the windows that end at or before this have been pushed.
    Complete(EventTime),
    /// The follower was too slow: so many rows are gone that it has not heard of.
    Missed(u64),
    /// There is no news within the limit.
    Nothing,
    /// The job has ended, and everything of it has been heard.
    Ended,
}

/// Follows the final rows of a job, from the moment on at which it was made.
///
/// Every row that becomes final is heard once, or counted in a [`Heard::Missed`]. A job that
/// continues an earlier run pushes again what that run had pushed after its last checkpoint, with
/// the same values. Of a job with several processes, the one that leads has the feed.
#[derive(Debug)]
pub struct Follower {
    feed: Feed,
    /// The number of the next piece of news.
    next: u64,
    /// Rows that had been pushed before it.
    rows_before: u64,
}

impl Follower {
    /// Waits for the next piece of news, for at most `limit`.
    pub fn next(&mut self, limit: Duration) -> Heard {
        let ring = self.feed.lock();
        let waits = |ring: &mut Ring| ring.end() == self.next && !ring.ended;
        let (ring, _) = self
            .feed
            .0
            .news
            .wait_timeout_while(ring, limit, waits)
            .unwrap_or_else(PoisonError::into_inner);
        if self.next < ring.first {
            let missed = ring.rows_before - self.rows_before;
            (self.next, self.rows_before) = (ring.first, ring.rows_before);
            if 0 < missed {
                return Heard::Missed(missed);
            }
        }
        let Some(news) = ring.news.get((self.next - ring.first) as usize) else {
            return if ring.ended { Heard::Ended } else { Heard::Nothing };
        };
        self.next += 1;
        match news {
            News::Rows(rows) => {
                self.rows_before += rows.len() as u64;
                Heard::Rows(Arc::clone(rows))
            }
            News::Complete(before) => Heard::Complete(*before),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut ring = self.feed.lock();
        if self.feed.0.followers.fetch_sub(1, Ordering::Relaxed) == 1 {
            ring.drop_down_to(0);
        }
    }
}

/// The side of the job; all clones are the same feed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many there are. Changed under the ring's lock; looked at without.
    followers: AtomicUsize,
    ring: Mutex<Ring>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Ring {
    news: VecDeque<News>,
    /// The number of the first piece of news that is there.
    first: u64,
    /// Rows that were pushed before it.
    rows_before: u64,
    /// Rows that were ever pushed.
    rows_pushed: u64,
    /// What the news weigh, in rows.
    weight: usize,
    ended: bool,
}

#[derive(Debug)]
enum News {
    Rows(Arc<[FinalRow]>),
    Complete(EventTime),
}

impl News {
    fn rows(&self) -> usize {
        match self {
            News::Rows(rows) => rows.len(),
            News::Complete(_) => 0,
        }
    }

    /// What it counts for, in rows: it takes room even without any.
    fn weight(&self) -> usize {
        self.rows().max(1)
    }
}

impl Ring {
    /// The number of the next piece of news to be pushed.
    fn end(&self) -> u64 {
        self.first + self.news.len() as u64
    }

    fn push(&mut self, news: News) {
        self.weight += news.weight();
        self.rows_pushed += news.rows() as u64;
        self.news.push_back(news);
        // The newest stays, however heavy: it is bounded by whoever pushes.
        if FEED_ROWS_MAX < self.weight {
            self.drop_down_to(FEED_ROWS_MAX);
        }
    }

    /// Drops the oldest news beyond a weight; all but the newest at most, unless that is 0.
    fn drop_down_to(&mut self, weight: usize) {
        while weight < self.weight && (1 < self.news.len() || weight == 0) {
            let Some(oldest) = self.news.pop_front() else { break };
            self.weight -= oldest.weight();
            self.rows_before += oldest.rows() as u64;
            self.first += 1;
        }
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody who hears of what is pushed from now on.
    pub(crate) fn follow(&self) -> Follower {
        let ring = self.lock();
        self.0.followers.fetch_add(1, Ordering::Relaxed);
        let (next, rows_before) = (ring.end(), ring.rows_pushed);
        drop(ring);
        Follower { feed: self.clone(), next, rows_before }
    }

    /// Whether anybody follows: otherwise there is no need to push.
    pub(crate) fn is_followed(&self) -> bool {
        0 < self.0.followers.load(Ordering::Relaxed)
    }

    /// Pushes rows. Never waits.
    pub(crate) fn push_rows(&self, rows: Vec<FinalRow>) {
        self.push(News::Rows(rows.into()));
    }

    /// Says that all rows of windows that end at or before this have been pushed.
    pub(crate) fn push_complete(&self, before: EventTime) {
        self.push(News::Complete(before));
    }

    fn push(&self, news: News) {
        if !self.is_followed() {
            return;
        }
        self.lock().push(news);
        self.0.news.notify_all();
    }

    /// Says that nothing more comes.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.0.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    fn rows(count: usize, start_ms: i64) -> Vec<FinalRow> {
        let start = EventTime::from_millis(start_ms);
        let window = Window { start, end: start + Duration::from_secs(1) };
        (0..count)
            .map(|n| FinalRow {
                window,
                row: CellRow { key: n.to_string().into(), cells: Vec::new() },
            })
            .collect()
    }

    fn heard(follower: &mut Follower) -> Vec<Heard> {
        let news = std::iter::from_fn(|| Some(follower.next(AT_ONCE)));
        news.take_while(|news| *news != Heard::Nothing).collect()
    }

    #[test]
    fn every_follower_hears_what_is_pushed_after_it_came() {
        let feed = Feed::default();
        let mut first = feed.follow();
        feed.push_rows(rows(2, 0));
        let mut second = feed.follow();
        let before = EventTime::from_millis(1_000);
        feed.push_complete(before);
        let [two, complete] = [Heard::Rows(rows(2, 0).into()), Heard::Complete(before)];
        assert_eq!(heard(&mut first), [two, complete.clone()]);
        assert_eq!(heard(&mut second), [complete]);
    }

    #[test]
    fn a_follower_that_is_too_slow_is_told_how_many_rows_it_missed() {
        let feed = Feed::default();
        let (mut slow, mut quick) = (feed.follow(), feed.follow());
        let (batch, batches) = (FEED_ROWS_MAX / 8, 20);
        let mut quick_rows = 0;
        for start in 0..batches {
            feed.push_rows(rows(batch, start));
            let Heard::Rows(rows) = quick.next(AT_ONCE) else { panic!("missed") };
            quick_rows += rows.len();
        }
        assert_eq!(quick_rows, batch * batches as usize);
        let news = heard(&mut slow);
        assert_eq!(news[0], Heard::Missed((batch * 12) as u64));
        let kept: Vec<_> =
            (12..batches).map(|start| Heard::Rows(rows(batch, start).into())).collect();
        assert_eq!(news[1..], kept);
        feed.push_rows(rows(1, 99));
        assert_eq!(heard(&mut slow), [Heard::Rows(rows(1, 99).into())]);
    }

    #[test]
    fn news_without_rows_take_room_too() {
        let feed = Feed::default();
        let mut follower = feed.follow();
        feed.push_rows(rows(3, 0));
        for time in 0..2 * FEED_ROWS_MAX as i64 {
            feed.push_complete(EventTime::from_millis(time));
        }
        assert_eq!(follower.next(AT_ONCE), Heard::Missed(3));
        assert_eq!(feed.lock().news.len(), FEED_ROWS_MAX);
    }

    #[test]
    fn nothing_is_kept_while_nobody_follows() {
        let feed = Feed::default();
        feed.push_rows(rows(3, 0));
        assert_eq!(feed.lock().news.len(), 0);
        let (mut first, second) = (feed.follow(), feed.follow());
        feed.push_rows(rows(4, 0));
        drop(second);
        assert_eq!(heard(&mut first), [Heard::Rows(rows(4, 0).into())]);
        drop(first);
        let kept = feed.lock();
        assert_eq!((kept.news.len(), kept.weight), (0, 0));
        drop(kept);
        // What was dropped was before its time: it has missed nothing.
        assert_eq!(heard(&mut feed.follow()), []);
    }

    #[test]
    fn the_end_comes_after_all_news() {
        let feed = Feed::default();
        let mut follower = feed.follow();
        feed.push_rows(rows(1, 0));
        feed.end();
        let long = Duration::from_secs(3600);
        assert_eq!(follower.next(long), Heard::Rows(rows(1, 0).into()));
        assert_eq!((follower.next(long), follower.next(long)), (Heard::Ended, Heard::Ended));
    }
}
