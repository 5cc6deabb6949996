//! Who finds out in what condition a job is.
//!
//! | module | what it is |
//! |---|---|
//! | [`observer`] | what only shows over time: a partition that holds the others back, a backlog |
//! | [`others`] | conditions of other processes |
//! | [`watchdog`] | that a worker or a process is stuck |
//! | [`watched_time`] | time that counts only while somebody looks |

pub(crate) mod observer;
pub(crate) mod others;
pub(crate) mod watchdog;
pub(crate) mod watched_time;
