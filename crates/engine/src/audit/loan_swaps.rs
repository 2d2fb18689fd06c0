//! Swaps of leveraged positions with pools, from events alone (P4.6, P10.2.4): each is told before it is done, and keeps
//! to what the loan or the liquidation before it asked for, or else to the price that pays the debt (I24, I10).

use super::fault::{ensure, Check};
use super::loans::FIRST_PLEDGE;
use super::Auditor;
use crate::wire::event::{Event, LoanSwappedBody, Posting, SwapBody};

const BUY: u8 = 0;
const SELL: u8 = 1;
const LARGEST_IMPACT_BP: u16 = 2_000;
/// Of a swap that a liquidation does, which has no caller who could raise it.
const USUAL_IMPACT_BP: u16 = 500;
const PPB_PER_BP: i64 = 100_000;

type Place = (u32, u8);

/// What swaps of pledges have to keep to.
#[derive(Clone, Debug, Default)]
pub(super) struct PledgeSwaps {
    /// Lots and price that the last loan or liquidation of a pledge told, until its money is shared out.
    asked: Option<(Place, i64, i64)>,
    /// Told, and not done yet.
    told: Option<(Place, u32, LoanSwappedBody)>,
}

impl PledgeSwaps {
    pub(super) fn ask(&mut self, place: Place, lots: i64, price: i64) {
        self.asked = Some((place, lots, price));
    }

    /// The money of a pledge is shared out: nothing that was told is left to do.
    pub(super) fn end(&mut self, place: Place) -> Check {
        ensure!(self.told.is_none(), "I24", "a swap was told and not done: {:?}", self.told);
        self.asked.take_if(|asked| asked.0 == place);
        Ok(())
    }
}

impl Auditor {
    pub(super) fn loan_swapped(&mut self, event: &Event, postings: &[Posting]) -> Check {
        ensure!(postings.is_empty(), "I01", "what a position asks of a pool moves money");
        let body: LoanSwappedBody = event.body_as();
        let loan = self.loan_at(event)?;
        let market = *self.market(event.market)?;
        let place = (event.account, event.sub);
        let liquidates = self.loans.begins_pool_sale(place);
        ensure!(
            body.side <= SELL
                && (body.outcome, body.owner_sub) == (loan.outcome, loan.sub)
                && !loan.taken
                && body.liquidates == u8::from(liquidates)
                && (1..=if liquidates { USUAL_IMPACT_BP } else { LARGEST_IMPACT_BP })
                    .contains(&body.impact_bp)
                && body.lots > 0
                && (1..market.payout_ticks()).contains(&body.limit)
                && self.loans.swaps.told.is_none(),
            "I24",
            "pledge {} of account {} swaps as {body:?}",
            event.sub,
            event.account
        );
        // What all the others cost together is what the outcome does not.
        let price = if loan.short { market.payout_ticks() - body.limit } else { body.limit };
        let asked = self.loans.swaps.asked.filter(|asked| asked.0 == place);
        let opens = (body.side == BUY) != loan.short;
        let bridged = loan.bridge.map(|bridge| bridge.0);
        ensure!(
            bridged == loan.short.then_some(body.lots)
                && (asked.is_some() || !opens)
                && asked.is_none_or(|(_, lots, limit)| (lots, limit) == (body.lots, price))
                && opens != (liquidates || asked.is_none()),
            "I24",
            "pledge {} swaps {} lots at {price} where {asked:?} was asked, bridged {bridged:?}",
            event.sub,
            body.lots
        );
        if !opens {
            let debt = loan.bridge.map_or(loan.debt, |bridge| bridge.1);
            let held = self.pledged(event, &loan)? / market.lot_size;
            let brings = i128::from(market.value(price, body.lots)?) * i128::from(held);
            ensure!(
                body.lots <= held && brings >= i128::from(debt) * i128::from(body.lots),
                "I10",
                "{} of {held} lots go to the pool at {price} with {debt} owed",
                body.lots
            );
        }
        self.loans.swaps.told = Some((place, event.market, body));
        Ok(())
    }

    /// A pledge swaps what it told, within the limit with the fee, and nobody else does in between.
    pub(super) fn check_pledge_swap(&mut self, event: &Event, swap: &SwapBody) -> Check {
        let told = self.loans.swaps.told.take();
        if told.is_none() && event.sub < FIRST_PLEDGE {
            return Ok(());
        }
        let market = *self.market(event.market)?;
        let kept = match &told {
            None => false,
            Some((place, number, body)) => {
                let whole = market.value(body.limit, body.lots)?;
                let impact = (swap.price_after_ppb - swap.price_before_ppb).abs();
                let within = match body.side {
                    BUY => swap.cost + swap.fee <= whole,
                    _ => swap.cost - swap.fee >= whole,
                };
                (*place, *number) == ((event.account, event.sub), event.market)
                    && (body.outcome, body.side) == (swap.outcome, swap.side)
                    && Some(swap.shares) == body.lots.checked_mul(market.lot_size)
                    && impact <= i64::from(body.impact_bp) * PPB_PER_BP
                    && within
            }
        };
        ensure!(kept, "I24", "account {} swaps {swap:?} where {told:?} was told", event.account);
        Ok(())
    }
}
