//! Manipulation detection: robust statistics over trades and orders (protocol P12).

pub mod links;

use std::collections::BTreeSet;

use crate::codec::{Reader, Writer};
use crate::state::Due;
use links::Links;

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    pub links: Links,
}

impl Detector {
    pub fn encode(&self, writer: &mut Writer) {
        self.links.encode(writer);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        Ok(Detector { links: Links::decode(reader)? })
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, _due: &mut BTreeSet<Due>) {}
}
