//! Price feeds: sources, aggregation, states and the validity matrix (protocol P6).

use std::collections::BTreeSet;

use crate::codec::{Reader, Writer};
use crate::state::Due;

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Feeds {}

impl Feeds {
    pub fn encode(&self, _writer: &mut Writer) {}

    pub fn decode(_reader: &mut Reader<'_>) -> Result<Self, String> {
        Ok(Self::default())
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, _due: &mut BTreeSet<Due>) {}
}
