//! Arbiters with a stake in the market: now, or in the last seven days (P15.3).

use crate::book::Book;
use crate::engine::Engine;
use crate::market::status;
use crate::wire::error::{reject, Code, Reject};

impl<B: Book> Engine<B> {
    /// Notes who gave something up in the command that was just accepted. Behind a final payout nobody votes any more.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_exits(&mut self, now_ns: i64) {
        let left = std::mem::take(&mut self.state.claims.left);
        for &(market, account) in &left {
            if self.state.markets.list[market as usize].status < status::SETTLED {
                self.state.resolutions.exits.note(market, account, now_ns);
            }
        }
        // Its room is used again.
        self.state.claims.left = left;
        self.state.claims.left.clear();
    }

    /// Whether an arbiter's account keeps him from voting: claims in any sub-account, pledge or credit, a part of the
    /// pool, or either within the last seven days.
    ///
    /// # Errors
    /// `CONFLICT_OF_INTEREST` (given: what he holds in micro-shares or pool shares; or bound: when he may vote, given: now).
    pub(super) fn check_arbiter(
        &self,
        account: u32,
        (market, outcomes): (u32, u8),
        now_ns: i64,
    ) -> Result<(), Reject> {
        let provided = self.state.pools.providers.range((market, account, 0)..=(market, account, u8::MAX));
        let provided = provided.map(|(_, provider)| provider.shares).fold(0, i64::saturating_add);
        let held = self.exposure(account, market, outcomes).1.saturating_add(provided);
        if held > 0 {
            return reject(Code::CONFLICT_OF_INTEREST, 0, held);
        }
        match self.state.resolutions.exits.barred_until(market, account, now_ns) {
            Some(until_ns) => reject(Code::CONFLICT_OF_INTEREST, until_ns, now_ns),
            None => Ok(()),
        }
    }
}
