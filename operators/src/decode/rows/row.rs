//! The columns of a batch while one row after the other is read into them.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, TimeUnit as Unit};

use super::column::Column;
use super::format::JsonFormat;
use super::kind::{Kind, Value};
use super::number::Unfit;
use super::reason::RowReason;
use crate::decode::cursor::Cursor;
use crate::decode::name::Name;
use crate::decode::scan::{Fields, Values};
use crate::decode::{KEY_BYTES_MAX, strict};
use crate::time::EventTime;

/// Columns with their names, and the row that is being read.
#[derive(Clone, Debug)]
pub(super) struct RowColumns {
    names: Names,
    members: Vec<Member>,
    /// In which order reasons are looked for: the key, the time, the others.
    order: Vec<usize>,
    time: usize,
    time_unit: Unit,
    row: usize,
}

/// A column and how it is read.
#[derive(Clone, Debug)]
struct Member {
    column: Column,
    kind: Kind,
    role: Role,
    /// Bytes that a payload does not hold as they are: unescaped, or decoded.
    scratch: Vec<u8>,
}

/// What becomes of a row without a value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Role {
    Key,
    Time,
    Required,
    Nullable,
}

/// The names of the columns.
#[derive(Clone, Debug)]
pub(super) struct Names(Vec<Name>);

impl Fields for Names {
    /// The number of a column; None if the field is ignored.
    type Field = Option<usize>;

    /// Linear in the number of columns.
    fn field(&self, name: &[u8]) -> Option<usize> {
        self.0.iter().position(|wanted| wanted.is(name))
    }

    #[inline]
    fn recognise(&self, block: u128) -> Option<(Option<usize>, usize)> {
        let mut found = None;
        for (index, name) in self.0.iter().enumerate() {
            if let Some(bytes) = name.begins(block) {
                found = Some((Some(index), bytes));
            }
        }
        found
    }
}

/// Where the fast path puts the values of a row.
pub(super) struct RowValues<'c> {
    members: &'c mut [Member],
    row: usize,
}

impl<'a> Values<'a> for RowValues<'_> {
    type Field = Option<usize>;
    type Record = ();

    #[inline]
    fn read(&mut self, field: Option<usize>, cursor: &mut Cursor<'a>) -> Option<()> {
        let Some(index) = field else { return cursor.skip_value() };
        let Member { column, kind, scratch, .. } = self.members.get_mut(index)?;
        column.put(self.row, kind.read(cursor, scratch)?);
        Some(())
    }

    #[inline]
    fn moved(self) -> Self {
        let RowValues { members, row } = self;
        RowValues { members, row }
    }

    #[inline]
    fn finish(self) -> Option<()> {
        Some(())
    }
}

impl RowColumns {
    pub(super) fn new(format: &JsonFormat, rows: usize) -> RowColumns {
        let (time, keys) = (format.time(), format.keys());
        let fields = format.schema().fields();
        let members = fields.iter().enumerate().map(|(index, field)| Member {
            column: Column::new(field.data_type(), rows),
            kind: format.kind(index),
            role: match () {
                () if index == time => Role::Time,
                () if keys.contains(&index) => Role::Key,
                () if field.is_nullable() => Role::Nullable,
                () => Role::Required,
            },
            scratch: Vec::new(),
        });
        let members: Vec<Member> = members.collect();
        let first = keys.iter().copied().filter(|key| *key != time).chain([time]);
        let others = (0..fields.len()).filter(|index| *index != time && !keys.contains(index));
        let time_unit = match fields[time].data_type() {
            DataType::Timestamp(unit, _) => *unit,
            other => unreachable!("a format's time column is a timestamp, not {other}"),
        };
        RowColumns {
            names: Names(fields.iter().map(|field| Name::from(field.name().as_str())).collect()),
            order: first.chain(others).collect(),
            members,
            time,
            time_unit,
            row: 0,
        }
    }

    /// Begins the row of this number: values of it that are there already are forgotten.
    pub(super) fn begin(&mut self, row: usize) {
        self.row = row;
        for member in &mut self.members {
            member.column.truncate(row);
        }
    }

    /// What the fast path needs.
    pub(super) fn parts(&mut self) -> (&Names, RowValues<'_>) {
        (&self.names, RowValues { members: &mut self.members, row: self.row })
    }

    /// Reads the values of a row, by what defines them.
    pub(super) fn decode_strict(&mut self, payload: &[u8]) -> Result<EventTime, RowReason> {
        let mut found = vec![None; self.members.len()];
        let put = |field: Option<usize>, raw| {
            if let Some(index) = field {
                found[index] = raw;
            }
        };
        strict::members(&self.names, payload, put).map_err(RowReason::Payload)?;
        for &index in &self.order {
            let member = &mut self.members[index];
            let value = match found[index] {
                None => Ok(Value::Null),
                Some(raw) => member.kind.value(raw, &mut member.scratch),
            };
            let value = value.map_err(|unfit| member.role.reason(unfit, index))?;
            member.column.put(self.row, value);
            member.check(self.row, index)?;
        }
        Ok(self.event_time())
    }

    /// Completes a row with nulls, and looks whether it may be kept.
    pub(super) fn complete(&mut self) -> Result<EventTime, RowReason> {
        for (index, member) in self.members.iter_mut().enumerate() {
            member.check(self.row, index)?;
        }
        Ok(self.event_time())
    }

    fn event_time(&self) -> EventTime {
        let exact = self.members[self.time].column.last_word().unwrap_or(0);
        EventTime::from_millis(match self.time_unit {
            Unit::Second => exact.saturating_mul(1000),
            Unit::Millisecond => exact,
            Unit::Microsecond => exact.div_euclid(1000),
            Unit::Nanosecond => exact.div_euclid(1_000_000),
        })
    }

    /// The values of a column of words.
    pub(super) fn words(&self, column: usize) -> &[i64] {
        self.members[column].column.words()
    }

    /// All complete rows as columns; none are left.
    pub(super) fn take(&mut self, format: &JsonFormat, rows: usize) -> Vec<ArrayRef> {
        let fields = format.schema().fields().iter();
        let taken = fields.zip(&mut self.members).map(|(field, member)| {
            let next = Column::new(field.data_type(), rows);
            std::mem::replace(&mut member.column, next).finish(field.data_type())
        });
        taken.collect()
    }
}

impl Member {
    /// Completes the row with null, and looks whether the column may hold what is there.
    #[inline]
    fn check(&mut self, row: usize, index: usize) -> Result<(), RowReason> {
        let is_null = self.column.complete(row);
        match self.role {
            Role::Nullable => Ok(()),
            Role::Required if is_null => Err(RowReason::MissingValue(index)),
            Role::Required => Ok(()),
            Role::Key if is_null => Err(RowReason::MissingKey(index)),
            Role::Key => match self.column.last_bytes() {
                Some(bytes) if !(1..=KEY_BYTES_MAX).contains(&bytes) => {
                    Err(RowReason::BadKey(index))
                }
                _ => Ok(()),
            },
            Role::Time if is_null => Err(RowReason::MissingTime),
            Role::Time if self.column.last_word().is_some_and(|time| time < 0) => {
                Err(RowReason::BadTime)
            }
            Role::Time => Ok(()),
        }
    }
}

impl Role {
    fn reason(self, unfit: Unfit, index: usize) -> RowReason {
        match (self, unfit) {
            (Role::Key, _) => RowReason::BadKey(index),
            (Role::Time, Unfit::Type | Unfit::Below) => RowReason::BadTime,
            (Role::Time, Unfit::Above) => RowReason::Future,
            (_, Unfit::Type) => RowReason::BadValue(index),
            (_, Unfit::Below | Unfit::Above) => RowReason::OutOfRange(index),
        }
    }
}
