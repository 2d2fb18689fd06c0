//! How far a liquidation's sale may go: around the mark, and in a halt around the index too (protocol P5.5, P5.9, P7.5).

use crate::apply::work::Taker;
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::limits::MAX_PRICE;
use crate::liquidation::step::{Case, BAND_PPM, WIDE_AFTER_NS, WIDE_BAND_PPM};
use crate::perp::margin::PPM;
use crate::wire::command::side;

impl<B: Book> Engine<B> {
    /// The widest distance from the reference, in ppm: wider ten seconds into a cascade.
    fn sale_band_ppm(&self, now_ns: i64, market: u32) -> i64 {
        match self.in_cascade(market) {
            Some(since_ns) if now_ns >= since_ns.saturating_add(WIDE_AFTER_NS) => WIDE_BAND_PPM,
            _ => BAND_PPM,
        }
    }

    /// Worst price of a sale of `lots`, `after` the maintenance margin behind it.
    pub(super) fn sale_limit(
        &self,
        now_ns: i64,
        market: u32,
        case: &Case,
        (lots, after): (i64, i128),
    ) -> i64 {
        let limit = case.limit(lots, after, self.sale_band_ppm(now_ns, market));
        let sells = if case.lots > 0 { side::SELL } else { side::BUY };
        match self.halt_cell(Action::Liquidate, Some(market)) {
            Cell::SaferSide => {
                let (low, high) = self.index_band(now_ns, market, sells);
                limit.clamp(low, high)
            }
            _ => limit,
        }
    }

    /// Prices that a liquidation's order of this side may have in a halt: the band around the index (P7.5).
    fn index_band(&self, now_ns: i64, market: u32, order_side: u8) -> (i64, i64) {
        let index = self.state.perps.of_market(market).map_or(0, |perp| perp.index);
        if index == 0 {
            return (1, MAX_PRICE);
        }
        let band = (i128::from(index) * i128::from(self.sale_band_ppm(now_ns, market)) / PPM) as i64;
        match order_side {
            side::BUY => (1, (index + band).min(MAX_PRICE)),
            _ => ((index - band).max(1), MAX_PRICE),
        }
    }

    /// A halt began under a liquidation's sale: what is left of it stays within the band around the index.
    #[cold]
    pub(crate) fn hold_to_index(&self, now_ns: i64, taker: &mut Taker) {
        let (low, high) = self.index_band(now_ns, taker.order.market, taker.order.side);
        (taker.low, taker.high) = (taker.low.max(low), taker.high.min(high));
    }
}
