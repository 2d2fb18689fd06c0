//! Token buckets of accounts: cursor state, so that a refused command may count (protocol P1.1.3).

use crate::codec::{Reader, Writer};

/// Cursor state of rate limits.
#[derive(Clone, Debug, Default)]
pub struct Rates {}

impl Rates {
    pub fn encode(&self, _writer: &mut Writer) {}

    pub fn decode(_reader: &mut Reader<'_>) -> Result<Self, String> {
        Ok(Self::default())
    }
}
