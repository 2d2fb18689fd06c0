//! Buy-and-burn (protocol P8.8): which market sells the token for the settlement asset, and when it was last looked at.

use crate::codec::{Reader, Writer};
use crate::limits::{BUYBACK_MOST, SECOND_NS};

/// "No market", "no account".
pub const NONE: u32 = u32::MAX;
/// One purchase at most in this time.
pub const INTERVAL_NS: i64 = 60 * SECOND_NS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burn {
    /// The spot market of the token in the settlement asset, the first that was not closed when it was made.
    pub market: u32,
    /// The account that buys, opened at its first purchase. Nobody can sign for it.
    pub account: u32,
    /// The next look.
    pub next_ns: i64,
}

impl Default for Burn {
    fn default() -> Self {
        Burn { market: NONE, account: NONE, next_ns: 0 }
    }
}

impl Burn {
    /// What one purchase may spend of `kept` micro-units.
    pub fn purse(kept: i64) -> i64 {
        kept.min(BUYBACK_MOST)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.u32(self.market);
        writer.u32(self.account);
        writer.i64(self.next_ns);
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        Ok(Burn { market: reader.u32()?, account: reader.u32()?, next_ns: reader.i64()? })
    }
}
