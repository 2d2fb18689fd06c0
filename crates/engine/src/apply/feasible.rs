//! What a fill-or-kill order can fill: level totals within its limit, before anything changes (protocol P2.5.1).

use crate::book::{crosses, Book};
use crate::engine::Engine;
use crate::limits::MAX_PRICE;
use crate::order::{flag, Order};
use crate::state::due;
use crate::wire::command::{side, stp};

impl<B: Book> Engine<B> {
    /// Lots that a fill-or-kill order can fill: level totals within its limit, without expired and own orders.
    #[inline(never)]
    pub(super) fn feasible_lots(&self, order: &Order, now_ns: i64) -> i64 {
        let (limit, opposite) = (order.price, 1 - order.side);
        let (low, high) = self.band_of(order).unwrap_or((1, MAX_PRICE));
        let within = |price: i64| crosses(order.side, limit, price) && (low..=high).contains(&price);
        let orders = &self.state.orders;
        let mut own = orders
            .of_account(&self.state.accounts, order.account)
            .map(|slot| &orders[slot])
            .filter(|own| {
                own.market == order.market
                    && own.line() == order.line()
                    && own.side == opposite
                    && own.id != order.id
            })
            .filter(|own| own.flags & flag::WAITING == 0)
            .filter(|own| within(own.price) && (own.expiry_ns == 0 || own.expiry_ns > now_ns));
        let mut gone = self.expired_within(order, &within, now_ns);
        // A liquidation's passive order may leave instead of trading.
        let offers = self.offers_of(order.market);
        gone.extend(
            offers
                .filter(|offer| offer.side == opposite && within(offer.price))
                .filter(|offer| offer.expiry_ns == 0 || offer.expiry_ns > now_ns)
                .filter(|offer| offer.account != order.account)
                .map(|offer| (offer.price, offer.remaining)),
        );
        if order.self_trade_prevention == stp::CANCEL_OLDEST {
            gone.extend(own.map(|own| (own.price, own.remaining)));
            return self.total_within(order, &within, &gone);
        }
        // The other modes stop or shrink the order at the own one, so only what ranks before it counts.
        let better = |a: i64, b: i64| if opposite == side::SELL { a < b } else { a > b };
        let first_own = own.by_ref().fold(None::<&Order>, |best, own| match best {
            Some(best) if better(best.price, own.price) => Some(best),
            Some(best) if best.price == own.price && best.priority < own.priority => Some(best),
            _ => Some(own),
        });
        let Some(first_own) = first_own else {
            return self.total_within(order, &within, &gone);
        };
        self.lots_before(order, first_own, &within, now_ns)
    }

    /// Level totals from the best on, without the lots that are `gone` (price, lots), until they suffice.
    fn total_within(&self, order: &Order, within: &dyn Fn(i64) -> bool, gone: &[(i64, i64)]) -> i64 {
        let mut total = 0_i64;
        self.state.books.of(order).levels(1 - order.side, &mut |level| {
            if within(level.price) {
                let absent: i64 =
                    gone.iter().filter(|(price, _)| *price == level.price).map(|(_, lots)| lots).sum();
                total = total.saturating_add(level.lots - absent);
            }
            within(level.price) && total < order.remaining
        });
        total
    }

    /// Price and lots of expired orders that no Tick has removed yet; the due queue names them.
    fn expired_within(&self, order: &Order, within: &dyn Fn(i64) -> bool, now_ns: i64) -> Vec<(i64, i64)> {
        self.state
            .due
            .range(..=(now_ns, due::ORDER_EXPIRY, u64::MAX))
            .filter(|item| item.1 == due::ORDER_EXPIRY)
            .filter_map(|item| self.state.orders.find(item.2))
            .map(|slot| &self.state.orders[slot])
            .filter(|resting| {
                resting.market == order.market
                    && resting.line() == order.line()
                    && resting.side != order.side
                    && within(resting.price)
            })
            .filter(|resting| resting.flags & flag::WAITING == 0)
            .map(|resting| (resting.price, resting.remaining))
            .collect()
    }

    fn lots_before(&self, order: &Order, stop: &Order, within: &dyn Fn(i64) -> bool, now_ns: i64) -> i64 {
        let book = self.state.books.of(order);
        let (mut total, mut slot) = (0_i64, book.first(1 - order.side));
        while let Some(present) = slot {
            let resting = &self.state.orders[present];
            if resting.id == stop.id || !within(resting.price) || total >= order.remaining {
                break;
            }
            let lasts = resting.expiry_ns == 0 || resting.expiry_ns > now_ns;
            if lasts && resting.flags & flag::OFFER == 0 {
                total += resting.remaining;
            }
            slot = book.following(&self.state.orders, present);
        }
        total
    }
}
