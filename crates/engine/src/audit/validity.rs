//! What feeds mean for leveraged markets: I08, marks and settlements stand on the index; I25, nothing is accepted that
//! the state of a feed refuses (P6.5).

use super::book::BUY;
use super::fault::{ensure, fault, Check};
use super::index::{DEGRADED, DIVERGENT, NO_QUORUM, STALE, VALID, WARN};
use super::Auditor;
use crate::wire::command::order_flag;
use crate::wire::event::{Event, MarkBody};

const LARGEST_PRICE: i64 = i32::MAX as i64;

/// Worst states in which something is allowed (P6.5).
pub const NEW_RISK: u8 = WARN;
pub const REDUCING: u8 = DIVERGENT;
pub const LIQUIDATING: u8 = DIVERGENT;
pub const TRIGGERING: u8 = DEGRADED;
pub const TRADING: u8 = DIVERGENT;
pub const RELEASING: u8 = WARN;
pub const QUEUEING: u8 = DIVERGENT;

impl Auditor {
    /// A mark stands on the index of its feed, and on none that is too old to trade on (P6.1.6).
    pub(super) fn check_mark_index(&self, market: u32, feed: u32, body: &MarkBody) -> Check {
        let used = self.values.feed(feed).copied().unwrap_or_default();
        let known = used.index != 0;
        let index = match known && used.state < STALE {
            true => self.in_ticks(market, used.index)?,
            false => 0,
        };
        let state = if known { used.state } else { u8::MAX };
        ensure!(
            (body.index, body.feed_state) == (index, state),
            "I08",
            "market {market} shows the index {} in state {}, its feed gives {index} in state {state}",
            body.index,
            body.feed_state
        );
        Ok(())
    }

    /// A value in ticks of a market, rounded to the nearest, at least one.
    fn in_ticks(&self, market: u32, value: i64) -> Check<i64> {
        let tick = i128::from(self.market(market)?.tick_size);
        let ticks = (i128::from(value) + tick / 2).div_euclid(tick);
        Ok(ticks.clamp(1, i128::from(LARGEST_PRICE)) as i64)
    }

    /// The price at which a closed market settles: the mean of its feed's last hour, of a VALID feed (P2.3.1, P6.5).
    pub(super) fn settlement_due(&self, market: u32) -> Check<i64> {
        let feed = self.positions.perp(market)?.feed;
        let state = self.values.feed(feed).map_or(u8::MAX, |used| used.state);
        ensure!(state == VALID, "I25", "market {market} settles while its feed has state {state}");
        match self.feeds.hour_mean(feed, self.began_ns) {
            Some(mean) => self.in_ticks(market, mean),
            None => Err(fault("I08", format_args!("market {market} settles before an hour of prices"))),
        }
    }

    /// I25: what happens in a leveraged market is allowed in its feed's state (P6.5); `second` is footnote 1.
    #[inline]
    pub(super) fn check_feed_allows(&self, market: u32, worst: u8, second: bool) -> Check {
        let feed = self.positions.perp(market)?.feed;
        let state = self.values.feed(feed).map_or(u8::MAX, |used| used.state);
        if state <= worst || (second && self.has_second_price(feed, state)) {
            return Ok(());
        }
        Err(fault(
            "I25",
            format_args!("market {market}: up to state {worst} of its feed is allowed, it has {state}"),
        ))
    }

    /// An order of a leveraged market that adds lots to what its owner has open on a side: new risk, or less of it.
    #[inline]
    pub(super) fn check_feed_takes(
        &self,
        owner: (u32, u8, u32),
        flags: u16,
        (side, more): (u8, i64),
    ) -> Check {
        if flags & order_flag::REDUCE_ONLY != 0 {
            return self.check_feed_allows(owner.2, REDUCING, true);
        }
        match self.check_feed_allows(owner.2, NEW_RISK, false) {
            Err(_) if self.only_closes(owner, side, more) => self.check_feed_allows(owner.2, REDUCING, true),
            checked => checked,
        }
    }

    /// Whether all orders of a side together, with so many lots more, can do no more than close the position.
    pub(super) fn only_closes(&self, (account, sub, market): (u32, u8, u32), side: u8, more: i64) -> bool {
        let Some(slot) = self.positions.find(account, sub, market) else { return false };
        let lots = self.positions.list[slot as usize].lots;
        let opposite = if side == BUY { lots < 0 } else { lots > 0 };
        let open = self.books.open_of(slot).lots;
        opposite && side <= 1 && open[usize::from(side)].saturating_add(more) <= lots.abs()
    }

    /// Money that leaves a sub-account with positions: at once only when every feed that it depends on is beyond doubt.
    pub(super) fn check_feeds_release(&self, released: bool, event: &Event) -> Check {
        let worst = if released { RELEASING } else { QUEUEING };
        for (_, position) in self.positions.of_sub(event.account, event.sub) {
            if position.lots != 0 {
                self.check_feed_allows(position.market, worst, false)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn has_second_price(&self, feed: u32, state: u8) -> bool {
        let second = self.feeds.used(feed).and_then(|(_, used)| self.values.own_feed(used.terms.fallback));
        matches!(state, STALE | NO_QUORUM) && second.is_some_and(|second| second.state == VALID)
    }
}
