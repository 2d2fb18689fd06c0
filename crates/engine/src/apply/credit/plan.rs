//! What legs would cost, from the books as they are and before anything changes.

use super::locking::WantedOrder;
use crate::book::{crosses, Book};
use crate::engine::Engine;
use crate::limits::{CREDIT_FILLS, MAX_CREDIT_VISITS};
use crate::math::{fee_ceil, notional};
use crate::order::{flag, Order};
use crate::wire::command::side;
use crate::wire::error::{reject, Code, Reject};

/// How much of an order its book can fill now, at which cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planned {
    pub lots: i64,
    /// Micro-quote that is paid (a purchase) or received (a sale, negative), with the largest possible fee.
    pub cost: i64,
}

impl<B: Book> Engine<B> {
    /// Walks the book as matching will: orders that have expired are passed over, the first one beyond limit or band
    /// ends it, and so does an own one. `fills` counts down what all legs of the command may still fill.
    ///
    /// # Errors
    /// `CAPACITY_EXCEEDED` beyond the fills of one command, `MATH_OVERFLOW`.
    pub(super) fn plan_order(
        &self,
        wanted: &WantedOrder,
        order: &Order,
        now_ns: i64,
        fills: &mut u32,
    ) -> Result<Planned, Reject> {
        let market = self.market_of_credit(order.market);
        let (low, high) = self.band_of(order).unwrap_or((1, market.payout_ticks() - 1));
        let book = self.state.books.of(order);
        let (mut planned, mut visits) = (Planned::default(), 0);
        let mut slot = book.first(1 - order.side);
        while let Some(present) = slot.filter(|_| planned.lots < wanted.lots) {
            let maker = &self.state.orders[present];
            let price = maker.price;
            visits += 1;
            if !crosses(order.side, order.price, price) || visits > MAX_CREDIT_VISITS {
                break;
            }
            slot = book.following(&self.state.orders, present);
            if maker.expiry_ns != 0 && maker.expiry_ns <= now_ns {
                continue;
            }
            if price < low || price > high || maker.account == order.account {
                break;
            }
            if *fills == 0 {
                return reject(Code::CAPACITY_EXCEEDED, i64::from(CREDIT_FILLS), i64::from(CREDIT_FILLS) + 1);
            }
            *fills -= 1;
            let lots = maker.remaining.min(wanted.lots - planned.lots);
            let own = if order.flags & flag::FLIPPED != 0 { market.payout_ticks() - price } else { price };
            let value = notional(own, lots, market.unit)?;
            let fee = fee_ceil(market.outcome_fee_base(price, lots)?, order.fee_cap_e6bp);
            let cost = if wanted.side == side::BUY { value + fee } else { fee - value };
            planned.cost = planned.cost.checked_add(cost).ok_or(Reject::from(Code::MATH_OVERFLOW))?;
            planned.lots += lots;
        }
        Ok(planned)
    }
}
