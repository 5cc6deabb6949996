//! Both sides of an operator.

use super::column::Column;

/// See the module.
pub(super) struct Operands<'a> {
    pub(super) left: &'a Column,
    pub(super) right: &'a Column,
    pub(super) rows: usize,
}
