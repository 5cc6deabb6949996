//! Jobs over a log in memory: exact for every number of workers, and alive.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checkpoints;
mod conditions;
mod cuts;
mod exact;
mod extremes;
mod follow;
mod live;
mod many_dates;
mod own_program;
mod places;
mod processes;
mod readers;
mod slow_worker;
mod toy;
mod unreadable;
mod wrong_clocks;
