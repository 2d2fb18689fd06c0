//! Orders that wait: triggers, slices, links (protocol P2.5).

use std::collections::BTreeSet;

use crate::codec::{Reader, Writer};
use crate::state::Due;

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Triggers {}

impl Triggers {
    pub fn encode(&self, _writer: &mut Writer) {}

    pub fn decode(_reader: &mut Reader<'_>) -> Result<Self, String> {
        Ok(Self::default())
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, _due: &mut BTreeSet<Due>) {}
}
