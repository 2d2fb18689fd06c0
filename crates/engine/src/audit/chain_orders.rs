//! Orders in books as steps of chains, from their fills alone: filled whole within the limit, undone where nothing behind
//! them can refuse (I26).

use super::chains::{Step, BOOK_BUY, BOOK_SELL, BUY, MINT};
use super::Market;
use crate::wire::event::TradeBody;

pub(super) const fn is_in_book(kind: u8) -> bool {
    matches!(kind, BOOK_BUY | BOOK_SELL)
}

/// Fills of one order: lots, those that are left, the side in the book, the book, lowest and highest price.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filled {
    lots: i64,
    left: i64,
    side: u8,
    book: u8,
    low: i64,
    high: i64,
}

impl Filled {
    pub(super) fn take(&mut self, body: &TradeBody) {
        let first = self.lots == 0;
        let (low, high) = if first { (body.price, body.price) } else { (self.low, self.high) };
        *self = Filled {
            lots: self.lots + body.lots,
            left: body.taker_remaining,
            side: body.taker_side,
            book: body.outcome,
            low: low.min(body.price),
            high: high.max(body.price),
        };
    }

    /// The lots of a step (`undone`: of its way back) that was filled whole within its limit. A market of two outcomes has
    /// one book, in which outcome 1 is outcome 0 from the other side.
    pub(super) fn whole(&self, step: &Step, limit: i64, undone: bool, market: &Market) -> Option<i64> {
        let buys = (step.0 == BOOK_BUY) != undone;
        let flips = market.outcome_count == 2 && step.1 == 1;
        let book = if market.outcome_count == 2 { 0 } else { step.1 };
        let ticks = market.payout_ticks();
        let (low, high) = if flips { (ticks - self.high, ticks - self.low) } else { (self.low, self.high) };
        let priced = if buys { high <= limit } else { low >= limit };
        let whole = self.left == 0 && self.lots == step.4 && priced;
        (whole && self.book == book && (self.side == BUY) == (buys != flips)).then_some(self.lots)
    }
}

/// The step, counted from 1, that is undone while so many are left: the last one first, but an order in a book, which is
/// the last step, behind all others; only sets of the market that it sold claims of are merged behind it.
pub(super) fn undone_at(steps: &[Step], left: usize) -> usize {
    let last = steps.last().filter(|step| is_in_book(step.0));
    let Some(order) = last else { return left };
    let merged_last = |step: &Step| order.0 == BOOK_SELL && (step.0, step.2) == (MINT, order.2);
    let sets = steps.iter().position(merged_last);
    match (sets, left) {
        (None, 1) | (Some(_), 2) => steps.len(),
        (None, left) => left.saturating_sub(1),
        (Some(at), 1) => at + 1,
        // Of three steps, one is left that is neither.
        (Some(at), _) => (0..steps.len() - 1).find(|&other| other != at).map_or(0, |other| other + 1),
    }
}
