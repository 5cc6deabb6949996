//! Batches as bytes: between processes, and in checkpoints. Columns are in Arrow's IPC format.

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Batch, Origin, Times};

#[derive(Serialize)]
struct Written<'a> {
    rows: Vec<u8>,
    times: &'a Option<Times>,
    origin: &'a Option<Origin>,
}

#[derive(Deserialize)]
struct Read {
    rows: Vec<u8>,
    times: Option<Times>,
    origin: Option<Origin>,
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = Vec::new();
        let written =
            StreamWriter::try_new(&mut rows, self.rows.schema_ref()).and_then(|mut writer| {
                writer.write(&self.rows)?;
                writer.finish()
            });
        written.map_err(S::Error::custom)?;
        Written { rows, times: &self.times, origin: &self.origin }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read { rows, times, origin } = Read::deserialize(deserializer)?;
        let mut batches = StreamReader::try_new(&*rows, None).map_err(D::Error::custom)?;
        let rows = match batches.next() {
            Some(batch) => batch.map_err(D::Error::custom)?,
            None => RecordBatch::new_empty(batches.schema()),
        };
        let same = |len: Option<usize>| len.is_none_or(|len| len == rows.num_rows());
        let times_len = times.as_ref().map(|times| times.exact().len());
        if !same(times_len) || !same(origin.as_ref().map(Origin::len)) {
            return Err(D::Error::custom(
                "a batch whose times or origins are of another number of rows",
            ));
        }
        Ok(Self { rows, times, origin })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{Array, ListArray, StringArray};
    use arrow_schema::TimeUnit;

    use super::*;

    #[test]
    fn a_batch_comes_back_as_it_left() {
        let lists =
            ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let columns = [
            ("s", Arc::new(StringArray::from(vec![Some("ä"), None])) as Arc<dyn Array>),
            ("l", Arc::new(lists)),
        ];
        let rows = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        let batch = Batch::new(rows, Some(Times::new([1, 2], TimeUnit::Millisecond)), None);
        for batch in [batch.clone(), batch.take(&[])] {
            let bytes = postcard::to_stdvec(&batch).unwrap();
            assert_eq!(postcard::from_bytes::<Batch>(&bytes).unwrap(), batch);
        }
    }
}
