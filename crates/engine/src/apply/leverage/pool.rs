//! Leveraged positions that trade with their market's pool (protocol P4.6, P8.11, P10.2.4): what is bought, sold or
//! liquidated there is a swap of the pledge, with the pool's elastic fee, all or nothing within a limit that includes it.

use super::look::Look;
use super::PledgeOrder;
use crate::amm::pool::Ask;
use crate::amm::MAX_OUTCOMES;
use crate::apply::pool::Touched;
use crate::apply::pool_swap::Swap;
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::Action;
use crate::limits::{DEFAULT_IMPACT_BP, LOAN_POOL_EFFORT, LOAN_POOL_TRIES};
use crate::math::notional;
use crate::outcome::loans::Pledge;
use crate::output::Output;
use crate::wire::command::{side, Command, SwapAmm};
use crate::wire::error::Reject;
use crate::wire::event::{loan_cause, EventKind, LoanSwappedBody};
use crate::wire::Record;

const PPB: i128 = 1_000_000_000;

/// A swap of a pledge that nothing refuses; nothing has changed yet.
pub(super) struct PledgeSwap {
    request: SwapAmm,
    ask: Ask,
    touched: Touched,
    swap: Swap,
    lots: i64,
    /// Ticks of the outcome.
    limit: i64,
}

impl<B: Book> Engine<B> {
    /// Prices a pledge's order as a swap of all its lots. What the pledge pays or has is not asked: the caller has lent
    /// or bridged at least the limit, or counted what is sold.
    ///
    /// # Errors
    /// Those of halts (P7.5) and of the outside book (P6.5) for swaps; those of row 0501 without `INSUFFICIENT_BALANCE`
    /// and `INSUFFICIENT_SHARES`.
    #[inline(never)]
    pub(super) fn price_pledge_swap(
        &self,
        pledge: Pledge,
        wanted: &PledgeOrder,
        impact_bp: u16,
        now_ns: i64,
    ) -> Result<PledgeSwap, Reject> {
        let pool = self.pool_of(wanted.market)?;
        self.check_market_halts(Action::AmmSwap, wanted.market)?;
        self.check_venue(wanted.market, Action::AmmSwap, now_ns)?;
        let market = self.market_of_loan(wanted.market);
        let request = SwapAmm {
            market: wanted.market,
            outcome: wanted.outcome,
            side: wanted.side,
            exact_out: u8::from(wanted.side == side::BUY),
            amount: wanted.lots.saturating_mul(market.lot_size),
            limit: notional(wanted.price, wanted.lots, market.unit)?,
            max_impact_bp: impact_bp,
            ..SwapAmm::zero()
        };
        let ask = self.check_swap(&request, &pool, now_ns)?;
        let mut reserves = [0; MAX_OUTCOMES];
        let touched = self.touched(wanted.market, now_ns, &mut reserves)?;
        let swap = self.price_swap((pledge, now_ns), &request, &touched.pool, &reserves, ask)?;
        Ok(PledgeSwap { request, ask, touched, swap, lots: wanted.lots, limit: wanted.price })
    }

    /// Does what was priced and shares out what it brought or left.
    #[inline(never)]
    pub(super) fn swap_pledged(
        &mut self,
        command: &Command,
        pledge: Pledge,
        priced: &PledgeSwap,
        liquidates: bool,
        output: &mut Output,
    ) {
        let PledgeSwap { request, ask, touched, swap, lots, limit } = priced;
        let loan = self.state.vault.loans.get(pledge).expect("a swap is of a loan");
        let body = LoanSwappedBody {
            outcome: request.outcome,
            owner_sub: loan.sub,
            side: request.side,
            liquidates: u8::from(liquidates),
            impact_bp: request.max_impact_bp,
            reserved: 0,
            lots: *lots,
            limit: *limit,
        };
        output.emit(command, EventKind::LoanSwapped, self.pledge_subject(pledge, request.market), &body);
        self.keep_touch(command, request.market, touched, output);
        self.settle_swap(command, (pledge, request), (&touched.pool, *ask), swap, output);
        self.settle_pledge(command, pledge, loan_cause::ORDER, output);
    }

    /// The most of a liquidation's sale that the pool takes at its limit, of a few sizes that are tried: of what moves
    /// the pool too far a quarter may not. `order` says how a sale of so many lots is asked of the pool.
    pub(super) fn pool_sale(
        &self,
        pledge: Pledge,
        sale: &PledgeOrder,
        order: impl Fn(&PledgeOrder) -> PledgeOrder,
        now_ns: i64,
        look: &mut Look<'_>,
    ) -> Option<PledgeSwap> {
        if !self.pool_may_reach(&order(sale), now_ns, look) {
            return None;
        }
        let mut lots = sale.lots;
        for _ in 0..LOAN_POOL_TRIES.min(look.tries) {
            if lots == 0 {
                return None;
            }
            look.tries -= 1;
            look.budget.spend(LOAN_POOL_EFFORT);
            let wanted = order(&PledgeOrder { lots, ..*sale });
            if let Ok(priced) = self.price_pledge_swap(pledge, &wanted, DEFAULT_IMPACT_BP, now_ns) {
                return Some(priced);
            }
            lots /= 4;
        }
        None
    }

    /// Whether the pool's price lies within the order's limit: a swap and its fee only move away from it. What it cannot
    /// reach takes none of the look's tries, so that a position below its bankruptcy price keeps nobody from theirs.
    fn pool_may_reach(&self, wanted: &PledgeOrder, now_ns: i64, look: &mut Look<'_>) -> bool {
        if look.prices.is_none() {
            look.budget.spend(LOAN_POOL_EFFORT);
            look.prices = Some(self.pool_prices(wanted.market, now_ns).unwrap_or_default());
        }
        let prices = look.prices.as_deref().unwrap_or_default();
        let Some(&price_ppb) = prices.get(usize::from(wanted.outcome)) else { return false };
        let payout = i128::from(self.market_of_loan(wanted.market).payout_ticks());
        let (price, limit) = (i128::from(price_ppb) * payout, i128::from(wanted.price) * PPB);
        match wanted.side {
            side::BUY => price <= limit,
            _ => price >= limit,
        }
    }

    /// Prices of the market's pool in 1e-9 of the payout, as they are now.
    pub(super) fn pool_prices(&self, market: u32, now_ns: i64) -> Option<Vec<i64>> {
        let mut reserves = [0; MAX_OUTCOMES];
        let touched = self.touched(market, now_ns, &mut reserves).ok()?;
        touched.pool.prices_ppb(&reserves).ok()
    }
}

impl PledgeSwap {
    pub(super) const fn lots(&self) -> i64 {
        self.lots
    }
}
