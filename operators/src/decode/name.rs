//! The name of a field, and how it is found at the beginning of some bytes.

use crate::decode::word::Block;

/// The name of a field that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Name {
    text: Box<str>,
    /// The name in quotation marks, if it is short enough and is written without escapes.
    quoted: Block,
}

impl Name {
    /// The name, unescaped.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is this (unescaped) name.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        name == self.text.as_bytes()
    }

    /// How long it is with its quotation marks, if a block begins with them.
    #[inline(always)]
    pub(super) fn begins(&self, block: u128) -> Option<usize> {
        self.quoted.begins(block).then_some(self.text.len() + 2)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        let needs_escape = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        let quoted = format!("\"{text}\"");
        let is_short = quoted.len() <= Block::BYTES && !text.bytes().any(needs_escape);
        let quoted = if is_short { Block::new(quoted.as_bytes()) } else { Block::NEVER };
        Name { text: text.into(), quoted }
    }
}
