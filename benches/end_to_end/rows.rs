//! Counts the rows in the Parquet files of the main job, as `peers/count_rows.py` counts those that
//! a peer wrote: by what is in the files, not by what the program says.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use crate::counts::{Counted, Window};

/// The columns that are read.
const COLUMNS: [&str; 3] = ["device_id", "window_start", "count"];

/// What the final rows below `out` come to. A device and window that has several rows counts as
/// one in its window, and as several in the sum.
pub(crate) fn count(out: &Path) -> anyhow::Result<Counted> {
    let mut found = Found::default();
    for file in files(&out.join("parquet"))? {
        found.read(&file).with_context(|| format!("counting the rows of {}", file.display()))?;
    }
    Ok(found.counted())
}

/// The visible files below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder)
        .with_context(|| format!("the job has left no rows in {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue; // not visible: the job's own business
        }
        if entry.file_type()?.is_dir() {
            files.append(&mut self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// The rows that were read.
#[derive(Default)]
struct Found {
    rows: u64,
    /// Records by the start of the window and the device.
    records: BTreeMap<i64, HashMap<String, u64>>,
}

impl Found {
    fn read(&mut self, file: &Path) -> anyhow::Result<()> {
        let reader = SerializedFileReader::new(File::open(file)?)?;
        let schema = reader.metadata().file_metadata().schema();
        let fields = schema.get_fields().iter().filter(|field| COLUMNS.contains(&field.name()));
        // A projection has the name of the whole.
        let columns =
            Type::group_type_builder(schema.name()).with_fields(fields.cloned().collect());
        for row in reader.get_row_iter(Some(columns.build()?))? {
            self.add(&row?)?;
        }
        Ok(())
    }

    fn add(&mut self, row: &Row) -> anyhow::Result<()> {
        let [mut device, mut start, mut count] = [None; 3];
        for (name, field) in row.get_column_iter() {
            match &**name {
                "device_id" => device = Some(field),
                "window_start" => start = Some(field),
                _ => count = Some(field),
            }
        }
        let (
            Some(Field::Str(device)),
            Some(Field::TimestampMillis(start_ms)),
            Some(Field::Long(count)),
        ) = (device, start, count)
        else {
            bail!("a row is not as the job writes them: {row}");
        };
        self.rows += 1;
        let of_window = self.records.entry(*start_ms).or_default();
        *of_window.entry(device.clone()).or_default() += u64::try_from(*count)?;
        Ok(())
    }

    fn counted(&self) -> Counted {
        let window = |of_window: &HashMap<String, u64>| Window {
            rows: of_window.len() as u64,
            records: of_window.values().sum(),
        };
        let windows: Vec<Window> = self.records.values().map(window).collect();
        let records = windows.iter().map(|window| window.records).sum();
        Counted { records, rows: self.rows, windows: Some(windows) }
    }
}

#[cfg(test)]
mod tests {
    use strandline::engine::clock::Clock;
    use strandline::engine::outputs::{Output as _, Visibility};
    use strandline::engine::report::Report;
    use strandline::engine::sink::{FinalRowsFiles, ParquetCodec, Roll, RunId, SinkOptions};
    use strandline::engine::store::Directory;
    use strandline::operators::time::EventTime;
    use strandline::operators::window::Row;
    use strandline_benches::workload::windows;
    use strandline_benches::{MainRow, main_table};

    use super::*;

    fn row(device: &str, start_ms: i64, count: u64) -> Row<MainRow> {
        let window = windows().window_at(EventTime::from_millis(start_ms));
        let key = device.into();
        let output = (count, Some(20.5), None, Some(80.0), Some(81.0));
        Row { key, window, output, spans: [].into_iter().collect() }
    }

    #[test]
    fn rows_are_counted_from_files_also_those_that_are_there_twice() {
        let there = tempfile::tempdir().unwrap();
        let options = SinkOptions {
            out: Directory::local(there.path()),
            run: RunId::fresh(&Clock::system()),
            process: 0,
            visibility: Visibility::AsTheyCome,
            roll: Roll::default(),
            codec: ParquetCodec::default(),
            clock: Clock::system(),
            report: Report::to_stderr(),
        };
        let mut output = FinalRowsFiles::open(&options, &main_table());
        // The second window is of another day, and so in another folder.
        let day_ms = 86_400_000;
        let rows = [row("a", 0, 3), row("b", 0, 4), row("a", day_ms, 5), row("a", day_ms, 1)];
        output.write(&rows).unwrap();
        output.finish().unwrap();

        let counted = count(there.path()).unwrap();
        assert_eq!((counted.rows, counted.records), (4, 13));
        let window = |rows, records| Window { rows, records };
        assert_eq!(counted.windows.unwrap(), [window(2, 7), window(1, 6)]);
    }

    #[test]
    fn a_job_that_left_no_rows_is_no_job_that_made_none() {
        let there = tempfile::tempdir().unwrap();
        assert!(count(there.path()).unwrap_err().to_string().contains("has left no rows"));
    }
}
