//! What the reasons for dead letters mean for the decoder of a job, in words.

use std::sync::Arc;

use strandline_operators::decode::{DeadReason, Decode};

/// The words for each reason, where reasons are shown to a person. Cheap to clone.
///
/// ```
/// use strandline_engine::reason_words::ReasonWords;
/// use strandline_operators::decode::{DeadReason, JsonFields};
///
/// let words = ReasonWords::of(&JsonFields::new("device_id", "ts", []));
/// let said = words.code_and_words(DeadReason::MissingKey);
/// assert_eq!(said, "missing_key (no field `device_id`)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonWords(Arc<[String]>);

impl ReasonWords {
    /// The words of a decoder.
    pub fn of(decoder: &impl Decode) -> ReasonWords {
        ReasonWords(DeadReason::ALL.map(|reason| decoder.explain(reason)).into())
    }

    /// The words for a reason.
    pub fn words(&self, reason: DeadReason) -> &str {
        let index = DeadReason::ALL.iter().position(|known| *known == reason);
        index.and_then(|index| self.0.get(index)).map_or(reason.words(), String::as_str)
    }

    /// The code that outputs and metrics carry, and the words: ``missing_key (no field `device_id`)``.
    pub fn code_and_words(&self, reason: DeadReason) -> String {
        format!("{} ({})", reason.code(), self.words(reason))
    }
}

/// Words that fit any decoder.
impl Default for ReasonWords {
    fn default() -> ReasonWords {
        ReasonWords(DeadReason::ALL.map(|reason| reason.words().to_owned()).into())
    }
}
