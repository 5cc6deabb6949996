//! Who finds out in what condition a job is.
//!
//! | module | what it is |
//! |---|---|
//! | [`observer`] | what only shows over time: a partition that holds the others back, a backlog |
//! | [`others`] | conditions of other processes |
//! | [`watchdog`] | that a worker or a process is stuck |

pub(crate) mod observer;
pub(crate) mod others;
pub(crate) mod watchdog;
