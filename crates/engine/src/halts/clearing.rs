//! The one price of a call auction (P3.7), as pure arithmetic over levels.
//!
//! Bids above the band count as at its top, asks below it as at its bottom: they still trade at any price within.

use crate::limits::{AUCTION_BAND_BP, MAX_PRICE};

/// The two sides of a book while they are paired, best with best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Band of the price in ticks.
    pub low: i64,
    pub high: i64,
    /// Price of the level in work and its unpaired lots; 0 lots = the next level is to be looked up.
    pub bid: Option<i64>,
    pub bid_left: i64,
    pub ask: Option<i64>,
    pub ask_left: i64,
    /// Lots that pair so far, and the prices of the last pair.
    pub lots: i64,
    pub last_bid: i64,
    pub last_ask: i64,
}

/// A price and what it would trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clearing {
    pub price: i64,
    pub lots: i64,
    /// Buyers' minus sellers' lots at the price, of the marginal level.
    pub imbalance: i64,
}

/// A run of prices with one imbalance.
#[derive(Clone, Copy, Debug)]
struct Segment {
    low: i64,
    high: i64,
    imbalance: i64,
}

impl Scan {
    pub fn new((low, high): (i64, i64)) -> Self {
        Scan { low, high, ..Scan::default() }
    }

    /// The bid in work as the auction sees it; None behind the last that can trade.
    fn bid_price(&self) -> Option<i64> {
        self.bid.filter(|&price| self.bid_left > 0 && price >= self.low).map(|price| price.min(self.high))
    }

    fn ask_price(&self) -> Option<i64> {
        self.ask.filter(|&price| self.ask_left > 0 && price <= self.high).map(|price| price.max(self.low))
    }

    /// Pairs the two levels in work; false when they do not cross or one side has ended.
    pub fn pair(&mut self) -> bool {
        let (Some(bid), Some(ask)) = (self.bid_price(), self.ask_price()) else { return false };
        if bid < ask {
            return false;
        }
        let lots = self.bid_left.min(self.ask_left);
        self.bid_left -= lots;
        self.ask_left -= lots;
        self.lots += lots;
        (self.last_bid, self.last_ask) = (bid, ask);
        true
    }

    /// The price behind which the levels after the marginal ones are looked up.
    pub fn behind(&self) -> (Option<i64>, Option<i64>) {
        (self.bid_price(), self.ask_price())
    }

    /// The clearing price once nothing pairs any more; None when nothing did. `next_bid` and `next_ask` are the prices
    /// of the levels behind the marginal ones.
    ///
    /// Every price between the last ask and the last bid trades the most lots. Of them the least imbalance counts,
    /// then the nearest to the reference (0 = none), then the lower price.
    pub fn clear(&self, next_bid: Option<i64>, next_ask: Option<i64>, reference: i64) -> Option<Clearing> {
        if self.lots == 0 {
            return None;
        }
        let (from, to) = (self.last_ask, self.last_bid);
        let (bid, ask) = (self.bid_price(), self.ask_price());
        let balanced = Segment {
            low: bid.map_or(from, |bid| from.max(bid + 1)),
            high: ask.map_or(to, |ask| to.min(ask - 1)),
            imbalance: 0,
        };
        let buyers = bid.map(|bid| Segment {
            low: next_bid.map_or(from, |next| from.max(next + 1)),
            high: to.min(bid),
            imbalance: self.bid_left,
        });
        let sellers = ask.map(|ask| Segment {
            low: from.max(ask),
            high: next_ask.map_or(to, |next| to.min(next - 1)),
            imbalance: -self.ask_left,
        });
        let segments = [Some(balanced), buyers, sellers].into_iter().flatten();
        let best = segments
            .filter(|segment| segment.low <= segment.high)
            .map(|segment| {
                let price =
                    if reference == 0 { segment.low } else { reference.clamp(segment.low, segment.high) };
                (segment.imbalance.abs(), (price - reference).abs(), price, segment.imbalance)
            })
            .min()?;
        let (_, _, price, imbalance) = best;
        Some(Clearing { price, lots: self.lots, imbalance })
    }
}

/// The band of a call auction around its reference in ticks: ± 10 %, of an outcome market ± 0.10 of its range.
pub fn band(reference: i64, range_ticks: Option<i64>) -> (i64, i64) {
    let highest = range_ticks.map_or(MAX_PRICE, |range| range - 1);
    if reference == 0 {
        return (1, highest);
    }
    let base = i128::from(range_ticks.unwrap_or(reference));
    let width = (base * i128::from(AUCTION_BAND_BP) / 10_000) as i64;
    ((reference - width).max(1), (reference + width).min(highest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Pairs whole curves and asks for the price, as the engine does level by level.
    fn scanned(bids: &BTreeMap<i64, i64>, asks: &BTreeMap<i64, i64>, reference: i64) -> Option<Clearing> {
        let mut scan = Scan::new(band(reference, None));
        let below = |than: Option<i64>| bids.range(..than.unwrap_or(i64::MAX)).next_back();
        let above = |than: Option<i64>| asks.range(than.map_or(0, |than| than + 1)..).next();
        loop {
            if scan.bid_left == 0 {
                let level = below(scan.bid);
                (scan.bid, scan.bid_left) = (level.map(|l| *l.0), level.map_or(0, |l| *l.1));
            }
            if scan.ask_left == 0 {
                let level = above(scan.ask);
                (scan.ask, scan.ask_left) = (level.map(|l| *l.0), level.map_or(0, |l| *l.1));
            }
            if !scan.pair() {
                break;
            }
        }
        let (bid, ask) = scan.behind();
        let next_bid = bid.and_then(|bid| below(Some(bid))).map(|level| *level.0);
        let next_ask = ask.and_then(|ask| above(Some(ask))).map(|level| *level.0);
        scan.clear(next_bid, next_ask, reference)
    }

    /// The rule of P3.7 tried at every price of the band.
    fn tried(bids: &BTreeMap<i64, i64>, asks: &BTreeMap<i64, i64>, reference: i64) -> Option<(i64, i64)> {
        let (low, high) = band(reference, None);
        let at = |price: i64| {
            let demand: i64 = bids.range(price..).map(|(_, lots)| lots).sum();
            let supply: i64 = asks.range(..=price).map(|(_, lots)| lots).sum();
            (-demand.min(supply), (demand - supply).abs(), (price - reference).abs(), price)
        };
        let best = (low..=high).map(at).min()?;
        (best.0 < 0).then_some((best.3, -best.0))
    }

    #[test]
    fn p3_7_the_price_is_that_of_trying_every_price() {
        let mut state = 11_u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x9E37_79B9);
            (state >> 33) % bound
        };
        let mut crossed = 0;
        for round in 0..20_000 {
            let mut book = || {
                let mut side = BTreeMap::new();
                for _ in 0..1 + next(6) {
                    *side.entry(80 + next(41) as i64).or_insert(0) += 1 + next(9) as i64;
                }
                side
            };
            let (bids, asks) = (book(), book());
            let reference = 90 + (round % 21);
            let found = scanned(&bids, &asks, reference);
            assert_eq!(
                found.map(|clearing| (clearing.price, clearing.lots)),
                tried(&bids, &asks, reference),
                "bids {bids:?}, asks {asks:?}, reference {reference}"
            );
            crossed += usize::from(found.is_some());
        }
        assert!(crossed > 10_000, "{crossed}");
    }

    #[test]
    fn p3_7_ties_least_imbalance_then_nearest_reference_then_lower_price() {
        let side = |rows: &[(i64, i64)]| rows.iter().copied().collect::<BTreeMap<_, _>>();
        let price = |bids: &[(i64, i64)], asks: &[(i64, i64)], reference| {
            scanned(&side(bids), &side(asks), reference).map(|clearing| clearing.price)
        };
        assert_eq!(price(&[(105, 5)], &[(95, 5)], 100), Some(100), "nearest to the reference");
        assert_eq!(price(&[(105, 5)], &[(95, 5)], 110), Some(105));
        assert_eq!(
            price(&[(105, 5), (100, 3)], &[(95, 5), (101, 1)], 96),
            Some(101),
            "least imbalance first"
        );
        assert_eq!(price(&[(99, 5)], &[(101, 5)], 100), None, "no overlap");
        assert_eq!(
            price(&[(130, 5)], &[(80, 5)], 100),
            Some(100),
            "priced beyond the band, printed within it"
        );
        assert_eq!(price(&[(130, 5)], &[(112, 5)], 100), None, "the asks cannot trade within the band");
    }

    #[test]
    fn the_band_of_an_outcome_market_is_absolute() {
        assert_eq!(band(1_000, None), (900, 1_100));
        assert_eq!(band(30, Some(1_000)), (1, 130));
        assert_eq!(band(950, Some(1_000)), (850, 999));
        assert_eq!(band(0, None), (1, MAX_PRICE));
    }
}
