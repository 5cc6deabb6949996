//! Where a row's file is, and what it is called.
//!
//! Folders are Hive-style (`date=2024-11-03`), so that readers of Parquet folders can skip days.
//! A file's name is never used twice, by whatever run or worker, so runs can append to one another
//! without looking; and it is recognised when read back, so that nothing else is ever removed.

use std::fmt;
use std::str::FromStr;

use chrono::DateTime;
use strandline_operators::time::EventTime;

use crate::run_id::RunId;

/// The folder of rows without a date in outputs of earlier versions: Hive-style readers take the value
/// for null. pandas cannot read it beside dates, so nothing is put there any more.
const FORMER_NO_DATE: &str = "date=__HIVE_DEFAULT_PARTITION__";
const DATE: &str = "date=";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The folder of a date, in UTC, as `date=YYYY-MM-DD`. Rows without a date, or with one that not every
/// reader knows (before 1970, after 9999), are in that of 1970-01-01: a folder must have a date that
/// every reader can parse, and all folders must have one.
///
/// ```
/// use strandline_engine::sink::DateFolder;
/// use strandline_operators::time::EventTime;
///
/// let folder = DateFolder::of(EventTime::from_millis(1_730_638_574_123));
/// assert_eq!(folder.to_string(), "date=2024-11-03");
/// assert_eq!("date=2024-11-03".parse(), Ok(folder));
/// assert_eq!(DateFolder::of(EventTime::MAX).to_string(), "date=1970-01-01");
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateFolder {
    /// Days since 1970-01-01.
    day: u32,
}

impl DateFolder {
    /// The folder of the day that `time` is in.
    pub fn of(time: EventTime) -> DateFolder {
        let millis = readable_millis(time).unwrap_or(0);
        DateFolder { day: u32::try_from(millis / DAY_MS).unwrap_or(0) }
    }
}

/// The last date with a folder.
const LAST_DATE: chrono::NaiveDate = chrono::NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
/// The last millisecond of the year 9999. Calendars of readers end there: Python's has no later date.
const READABLE_MS_MAX: i64 = 253_402_300_799_999;

/// The milliseconds of a time that every reader of Parquet files can show: of the years 1970 to 9999.
pub(super) fn readable_millis(time: EventTime) -> Option<i64> {
    Some(time.as_millis()).filter(|millis| (0..=READABLE_MS_MAX).contains(millis))
}

/// As [`readable_millis`]; a time that is later is the last one.
pub(super) fn readable_millis_at_most(time: EventTime) -> i64 {
    time.as_millis().min(READABLE_MS_MAX)
}

impl fmt::Display for DateFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let midnight = DateTime::from_timestamp_millis(i64::from(self.day) * DAY_MS);
        write!(f, "{DATE}{}", midnight.unwrap_or_default().date_naive())
    }
}

/// It is not a name that a sink gives.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a name that a sink gives")]
pub struct NotOurs;

impl FromStr for DateFolder {
    type Err = NotOurs;

    /// The names of earlier versions are recognised too: what has one of them belongs to 1970-01-01
    /// now.
    fn from_str(name: &str) -> Result<DateFolder, NotOurs> {
        let date = name.strip_prefix(DATE).ok_or(NotOurs)?;
        if name == FORMER_NO_DATE {
            return Ok(DateFolder::default());
        }
        let date: chrono::NaiveDate = date.parse().map_err(|_| NotOurs)?;
        // One spelling only.
        if format!("{DATE}{date}") != name || date > LAST_DATE {
            return Err(NotOurs);
        }
        let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
        Ok(DateFolder::of(EventTime::from_millis(midnight)))
    }
}

/// The name of a file of rows: `strandline-START-RANDOM-PROCESS-EPOCH-SEQUENCE.parquet`, so that
/// names sort by the start of the job, then by process and age. The epoch is the one in which the
/// file was completed: it belongs to the first checkpoint of that epoch or a later one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileName {
    pub(super) run: RunId,
    pub(super) process: usize,
    pub(super) epoch: u64,
    pub(super) sequence: u64,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileName { run, process, epoch, sequence } = self;
        write!(f, "strandline-{run}-{process:03}-{epoch:010}-{sequence:06}.parquet")
    }
}

impl FromStr for FileName {
    type Err = NotOurs;

    fn from_str(name: &str) -> Result<FileName, NotOurs> {
        let fields =
            name.strip_prefix("strandline-").and_then(|rest| rest.strip_suffix(".parquet"));
        let mut fields = fields.ok_or(NotOurs)?.rsplitn(4, '-');
        let mut field = || fields.next().ok_or(NotOurs);
        let (sequence, epoch, process, run) = (field()?, field()?, field()?, field()?);
        let not_ours = |_: std::num::ParseIntError| NotOurs;
        let parsed = FileName {
            run: run.parse().map_err(|_| NotOurs)?,
            process: process.parse().map_err(not_ours)?,
            epoch: epoch.parse().map_err(not_ours)?,
            sequence: sequence.parse().map_err(not_ours)?,
        };
        // One spelling only.
        if parsed.to_string() == name { Ok(parsed) } else { Err(NotOurs) }
    }
}

/// The name of a file of rows while it is hidden: the name that it gets, behind the *claim* of the
/// start that wrote it, which is the number of that start's first manifest. Zero: of a run without
/// checkpoints. So the name says who needs the file, and whether anybody still can.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HiddenName {
    pub(super) claim: u64,
    pub(super) name: FileName,
}

/// What a hidden name ends with, so that no pattern for Parquet files matches it.
const HIDDEN_SUFFIX: &str = ".staged";

impl fmt::Display for HiddenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}-{}{HIDDEN_SUFFIX}", self.claim, self.name)
    }
}

impl FromStr for HiddenName {
    type Err = NotOurs;

    fn from_str(name: &str) -> Result<HiddenName, NotOurs> {
        let fields = name.strip_suffix(HIDDEN_SUFFIX).and_then(|rest| rest.split_once('-'));
        let (claim, visible) = fields.ok_or(NotOurs)?;
        let claim = claim.parse().map_err(|_| NotOurs)?;
        let parsed = HiddenName { claim, name: visible.parse()? };
        // One spelling only.
        if parsed.to_string() == name { Ok(parsed) } else { Err(NotOurs) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folder(millis: i64) -> String {
        DateFolder::of(EventTime::from_millis(millis)).to_string()
    }

    #[test]
    fn a_date_is_the_day_in_utc() {
        assert_eq!(folder(0), "date=1970-01-01");
        assert_eq!(folder(86_399_999), "date=1970-01-01");
        assert_eq!(folder(86_400_000), "date=1970-01-02");
        assert_eq!(folder(1_709_208_000_000), "date=2024-02-29");
    }

    #[test]
    fn dates_that_some_reader_does_not_know_have_the_folder_of_1970() {
        assert_eq!(folder(253_402_300_799_999), "date=9999-12-31");
        for millis in [253_402_300_800_000, -1, -62_167_219_200_000, i64::MIN, i64::MAX] {
            assert_eq!(folder(millis), "date=1970-01-01");
        }
        for former in [FORMER_NO_DATE, "date=1969-12-31", "date=0000-01-01"] {
            assert_eq!(former.parse(), Ok(DateFolder::default()));
        }
    }

    #[test]
    fn names_of_others_are_not_ours() {
        for name in [
            "",
            "strandline-.parquet",
            "strandline-backup.parquet",
            "part-00000-c000.snappy.parquet",
            "strandline-1700000000000-0000000a-000-0000000000-000000.parquet.bak",
            "strandline-1700000000000-0000000A-000-0000000000-000000.parquet",
            "strandline-1700000000000-0000000a-0-0000000000-000000.parquet",
            "strandline-1700000000000-0000000a-000-0000000000-000000-0.parquet",
            "strandline-1700000000000-0000000a-000-0000000000-+00000.parquet",
            ".strandline-1700000000000-0000000a-000-0000000000-000000.parquet",
        ] {
            assert_eq!(name.parse::<FileName>(), Err(NotOurs), "{name}");
        }
        for name in ["date=", "date=2024-1-1", "date=2024-02-30", "date=+2024-01-01", "day=1"] {
            assert_eq!(name.parse::<DateFolder>(), Err(NotOurs), "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_are_recognised(
            started in any::<i64>(),
            random: u32,
            process: usize,
            epoch: u64,
            sequence: u64,
        ) {
            let run = RunId::new(EventTime::from_millis(started), random);
            let name = FileName { run, process, epoch, sequence };
            prop_assert_eq!(name.to_string().parse(), Ok(name));
            let hidden = HiddenName { claim: epoch, name };
            prop_assert_eq!(hidden.to_string().parse(), Ok(hidden));
            prop_assert!(hidden.to_string().parse::<FileName>().is_err());
        }

        #[test]
        fn folders_are_recognised(millis: i64, days in -800_000..3_000_000_i64) {
            for millis in [millis, days * DAY_MS] {
                let folder = DateFolder::of(EventTime::from_millis(millis));
                prop_assert_eq!(folder.to_string().parse(), Ok(folder));
            }
        }
    }
}
