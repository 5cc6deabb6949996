//! Keys: the columns that rows are grouped by, as bytes; which group of keys they are of; and a table
//! that numbers those for which something is kept.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_row::Rows;
use hashbrown::HashTable;
use strandline_plan::expr::TypedExpr;
use xxhash_rust::xxh3::xxh3_64;

use crate::batch::Batch;
use crate::expr::{EvaluateError, Evaluator, Failed};
use crate::row_format::{RowFormat, equal_floats_alike};
use crate::window::KeyGroup;

/// The columns of a key, as expressions over the rows of a flow.
///
/// ```
/// use std::sync::Arc;
///
/// use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
/// use strandline_operators::key::Key;
/// use strandline_plan::expr::col;
///
/// let device: Arc<dyn Array> = Arc::new(StringArray::from(vec!["a", "b", "a"]));
/// let batch = RecordBatch::try_from_iter([("device", device)])?;
/// let key = Key::new([&col("device").bind(&batch.schema())?])?;
/// let keys = key.of(&batch)?;
/// assert_eq!(keys.group(0), keys.group(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Key {
    columns: Vec<Evaluator>,
    format: RowFormat,
}

/// The keys of the rows of a batch.
#[derive(Debug)]
pub struct Keys {
    /// None without columns: all rows have one key.
    rows: Option<Rows>,
    columns: Vec<ArrayRef>,
    /// The rows whose key could not be computed.
    pub failed: Failed,
}

impl Key {
    /// Of these columns; of none, all rows are one group.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::new`], and if a column's type has no equality.
    pub fn new<'a>(
        columns: impl IntoIterator<Item = &'a TypedExpr>,
    ) -> Result<Self, EvaluateError> {
        let columns: Vec<Evaluator> =
            columns.into_iter().map(Evaluator::new).collect::<Result<_, _>>()?;
        let format = RowFormat::new(columns.iter().map(Evaluator::data_type))?;
        Ok(Self { columns, format })
    }

    /// The key of each row.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::evaluate`].
    pub fn of(&self, batch: &RecordBatch) -> Result<Keys, EvaluateError> {
        let mut failed = Failed::default();
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let evaluated = column.evaluate(batch)?;
            failed.add_all(evaluated.failed, |row| row);
            columns.push(equal_floats_alike(&evaluated.column));
        }
        let rows = match columns.is_empty() {
            true => None,
            false => Some(self.format.encode(&columns)?),
        };
        Ok(Keys { rows, columns, failed: failed.in_order() })
    }

    /// The rows of a batch for each of so many workers: those whose keys' groups it has. Workers
    /// without rows are left out.
    ///
    /// # Errors
    ///
    /// As [`Evaluator::evaluate`].
    pub fn split(&self, batch: &Batch, workers: usize) -> Result<Vec<(u64, Batch)>, EvaluateError> {
        let keys = self.of(batch.rows())?;
        let mut of_worker: Vec<Vec<u32>> = vec![Vec::new(); workers];
        for row in 0..batch.len() {
            of_worker[keys.group(row).worker(workers)].push(row as u32);
        }
        let parts = of_worker.into_iter().zip(0..).filter(|(rows, _)| !rows.is_empty());
        Ok(parts
            .map(|(rows, worker)| match rows.len() == batch.len() {
                true => (worker, batch.clone()),
                false => (worker, batch.take(&rows)),
            })
            .collect())
    }

    /// The columns of keys, of as many rows.
    ///
    /// # Errors
    ///
    /// If the bytes are not those of keys.
    pub(crate) fn columns<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>, EvaluateError> {
        match self.columns.is_empty() {
            true => Ok(Vec::new()),
            false => Ok(self.format.decode(keys)?),
        }
    }
}

impl Keys {
    /// The bytes of a row's key. Equal keys have equal bytes, and bytes compare as keys do.
    #[inline]
    pub fn bytes(&self, row: usize) -> &[u8] {
        self.rows.as_ref().map_or(&[], |rows| rows.row(row).data())
    }

    /// The group of a row's key: the same in every process, build and version.
    #[inline]
    pub fn group(&self, row: usize) -> KeyGroup {
        group(self.bytes(row))
    }

    /// Whether a column of a row's key is null: then it is equal to no other in a join.
    pub fn has_null(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column.is_null(row))
    }

    /// The key's columns.
    pub(crate) fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }
}

/// The group of a key.
#[inline]
pub(crate) fn group(key: &[u8]) -> KeyGroup {
    KeyGroup::of_route(xxh3_64(key))
}

/// Numbers for the keys for which something is kept. A number is given again when nothing is kept for
/// its key any more.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    table: HashTable<u32>,
    keys: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    uses: u32,
    bytes: Arc<[u8]>,
}

impl KeyTable {
    /// The number of a key, which has one more use now.
    pub(crate) fn hold(&mut self, key: &[u8]) -> u32 {
        let hash = xxh3_64(key);
        let same = |id: &u32| {
            let entry = &self.keys[*id as usize];
            entry.hash == hash && *entry.bytes == *key
        };
        if let Some(id) = self.table.find(hash, same) {
            self.keys[*id as usize].uses += 1;
            return *id;
        }
        let entry = Entry { hash, uses: 1, bytes: key.into() };
        let id = match self.free.pop() {
            Some(id) => {
                self.keys[id as usize] = entry;
                id
            }
            None => {
                self.keys.push(entry);
                u32::try_from(self.keys.len() - 1).expect("fewer than 2^32 keys fit in memory")
            }
        };
        self.table.insert_unique(hash, id, |id| self.keys[*id as usize].hash);
        id
    }

    /// The number of a key, if it has one.
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = xxh3_64(key);
        let same = |id: &u32| *self.keys[*id as usize].bytes == *key;
        self.table.find(hash, same).copied()
    }

    /// The key has one use less; without any, it is forgotten.
    pub(crate) fn release(&mut self, id: u32) {
        let entry = &mut self.keys[id as usize];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        entry.bytes = Arc::new([]);
        if let Ok(found) = self.table.find_entry(entry.hash, |other| *other == id) {
            found.remove();
        }
        self.free.push(id);
    }

    /// The bytes of a key.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        &self.keys[id as usize].bytes
    }

    /// The group of a key.
    pub(crate) fn group(&self, id: u32) -> KeyGroup {
        KeyGroup::of_route(self.keys[id as usize].hash)
    }

    /// About how much memory it takes, bytes.
    pub(crate) fn size(&self) -> usize {
        let keys = self.keys.iter().map(|entry| entry.bytes.len() + size_of::<Entry>());
        keys.sum::<usize>() + self.table.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use strandline_plan::expr::col;

    use super::*;

    /// So many that a table of this size has keys whose hashes meet in it.
    #[test]
    fn keys_of_one_length_are_told_apart() {
        let mut keys = KeyTable::default();
        let bytes = |n: u32| n.to_be_bytes();
        let numbers: Vec<u32> = (0..50_000).map(|n| keys.hold(&bytes(n))).collect();
        assert_eq!(numbers, (0..50_000).collect::<Vec<_>>());
        assert!((0..50_000).all(|n| keys.find(&bytes(n)) == Some(n)));
    }

    #[test]
    fn a_number_is_given_again_when_nothing_uses_its_key() {
        let mut keys = KeyTable::default();
        let (a, b) = (keys.hold(b"a"), keys.hold(b"b"));
        assert_eq!(keys.hold(b"a"), a);
        keys.release(a);
        assert_eq!(keys.find(b"a"), Some(a));
        keys.release(a);
        assert_eq!(keys.find(b"a"), None);
        assert_eq!(keys.hold(b"c"), a);
        assert_eq!((keys.bytes(a), keys.bytes(b)), (&b"c"[..], &b"b"[..]));
        assert_eq!(keys.group(b), group(b"b"));
    }

    /// What is kept of a group is with the worker that restores it: both have to use one rule.
    #[test]
    fn rows_go_to_the_worker_that_has_the_group_of_their_key() {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..1000).map(|n| n % 300)));
        let rows = RecordBatch::try_from_iter([("n", values)]).unwrap();
        let key = Key::new([&col("n").bind(&rows.schema()).unwrap()]).unwrap();
        let batch = Batch::new(rows, None, None);
        for workers in [1, 2, 3, 7] {
            let parts = key.split(&batch, workers).unwrap();
            assert_eq!(parts.iter().map(|(_, part)| part.len()).sum::<usize>(), batch.len());
            assert_eq!(parts.len(), workers);
            for (worker, part) in parts {
                let keys = key.of(part.rows()).unwrap();
                for row in 0..part.len() {
                    assert_eq!(u64::from(keys.group(row).0) % workers as u64, worker);
                }
            }
        }
    }
}
