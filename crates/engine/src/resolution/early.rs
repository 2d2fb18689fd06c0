//! Early triggers (protocol P15.5): an outcome whose price falls or rises by more than 0.20 within 60 s to less than
//! 0.05 or more than 0.95 has perhaps been decided.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::codec::{Reader, Writer};
use crate::limits::{EARLY_WINDOW_S, MAX_EARLY_WINDOWS, SECOND_NS};

/// Percent of the contract: how far a price moves, and how near it comes to either end.
const JUMP_PCT: i64 = 20;
const EDGE_PCT: i64 = 5;

/// Lowest and highest price in ticks that stood in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Second {
    second: i64,
    low: i64,
    high: i64,
}

/// Prices of one book within the last minute, in whole seconds; begins with the first move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Window {
    seconds: VecDeque<Second>,
    /// The price that stands.
    last: i64,
}

impl Window {
    /// The price changes: the lowest and highest one of the window, the new one included. A price counts until the
    /// second of the next one.
    fn note(&mut self, second: i64, price: i64) -> (i64, i64) {
        while self.seconds.front().is_some_and(|first| first.second < second - EARLY_WINDOW_S) {
            self.seconds.pop_front();
        }
        if self.seconds.back().is_none_or(|last| last.second != second) {
            self.seconds.push_back(Second { second, low: self.last, high: self.last });
        }
        let present = self.seconds.back_mut().expect("pushed just now");
        (present.low, present.high) = (present.low.min(price), present.high.max(price));
        self.last = price;
        let ends = self.seconds.iter().map(|one| (one.low, one.high));
        ends.fold((price, price), |(low, high), (least, most)| (low.min(least), high.max(most)))
    }
}

/// Windows of books whose price has moved, by market and book, and markets that a jump has paused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {
    windows: BTreeMap<(u32, u8), Window>,
    /// Second of each window's last move: derived.
    order: BTreeSet<(i64, u32, u8)>,
    triggered: BTreeSet<u32>,
}

impl Early {
    /// A price has changed. The price that it has jumped from, if this was a jump: more than 0.20 within 60 s, to less
    /// than 0.05 or more than 0.95. When too many books move, the one that moved least lately is forgotten.
    pub fn note(
        &mut self,
        (market, book): (u32, u8),
        (previous, price): (i64, i64),
        payout_ticks: i64,
        now_ns: i64,
    ) -> Option<i64> {
        let second = now_ns.div_euclid(SECOND_NS);
        if !self.windows.contains_key(&(market, book)) {
            if let Some(oldest) =
                self.order.first().copied().filter(|_| self.windows.len() >= MAX_EARLY_WINDOWS)
            {
                self.order.remove(&oldest);
                self.windows.remove(&(oldest.1, oldest.2));
            }
            let fresh = Window { seconds: VecDeque::new(), last: previous };
            self.windows.insert((market, book), fresh);
        }
        let window = self.windows.get_mut(&(market, book)).expect("there since just now");
        if let Some(last) = window.seconds.back() {
            self.order.remove(&(last.second, market, book));
        }
        self.order.insert((second, market, book));
        let (low, high) = window.note(second, price);
        let from = match () {
            () if price * 100 < EDGE_PCT * payout_ticks => high,
            () if price * 100 > (100 - EDGE_PCT) * payout_ticks => low,
            () => return None,
        };
        ((from - price).abs() * 100 > JUMP_PCT * payout_ticks).then_some(from)
    }

    /// Whether a jump has paused this market, and nobody has ended the pause.
    pub fn is_triggered(&self, market: u32) -> bool {
        self.triggered.contains(&market)
    }

    pub fn trigger(&mut self, market: u32) {
        self.triggered.insert(market);
    }

    /// Its pause is over.
    pub fn release(&mut self, market: u32) {
        self.triggered.remove(&market);
    }

    /// A market that trades no more needs no windows.
    pub fn forget(&mut self, market: u32) {
        self.triggered.remove(&market);
        while let Some((&place, window)) = self.windows.range((market, 0)..=(market, u8::MAX)).next() {
            let last = window.seconds.back().map_or(i64::MIN, |last| last.second);
            self.order.remove(&(last, market, place.1));
            self.windows.remove(&place);
        }
    }

    pub fn triggered(&self) -> impl Iterator<Item = u32> + '_ {
        self.triggered.iter().copied()
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.windows.len());
        for (&(market, book), window) in &self.windows {
            writer.u32(market);
            writer.u8(book);
            writer.i64(window.last);
            writer.len(window.seconds.len());
            for one in &window.seconds {
                [one.second, one.low, one.high].into_iter().for_each(|value| writer.i64(value));
            }
        }
        writer.len(self.triggered.len());
        self.triggered.iter().for_each(|&market| writer.u32(market));
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut early = Early::default();
        for _ in 0..reader.len(21)? {
            let (market, book, last) = (reader.u32()?, reader.u8()?, reader.i64()?);
            let mut window = Window { seconds: VecDeque::new(), last };
            for _ in 0..reader.len(24)? {
                let second = Second { second: reader.i64()?, low: reader.i64()?, high: reader.i64()? };
                window.seconds.push_back(second);
            }
            let Some(newest) = window.seconds.back().map(|one| one.second) else {
                return Err(format!("the window of market {market} is empty"));
            };
            early.order.insert((newest, market, book));
            early.windows.insert((market, book), window);
        }
        for _ in 0..reader.len(4)? {
            early.triggered.insert(reader.u32()?);
        }
        Ok(early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each price at its second says, of a contract of 1,000 ticks that stood at the first one.
    fn told(first: i64, prices: &[(i64, i64)]) -> Vec<Option<i64>> {
        let (mut early, mut last) = (Early::default(), first);
        let mut note = |&(second, price): &(i64, i64)| {
            let found = early.note((0, 0), (last, price), 1_000, second * SECOND_NS);
            last = price;
            found
        };
        prices.iter().map(&mut note).collect()
    }

    #[test]
    fn p15_5_both_bounds_are_strict() {
        assert_eq!(told(250, &[(0, 49)]), [Some(250)]);
        assert_eq!(told(250, &[(0, 50)]), [None], "0.05 is not below 0.05");
        assert_eq!(told(249, &[(0, 49)]), [None], "0.20 is not more than 0.20");
        assert_eq!(told(750, &[(0, 951)]), [Some(750)]);
        assert_eq!(told(750, &[(0, 950)]), [None]);
        assert_eq!(told(751, &[(0, 951)]), [None]);
        assert_eq!(told(300, &[(0, 600)]), [None], "a jump to the middle decides nothing");
    }

    #[test]
    fn p15_5_a_price_counts_for_60_s_after_it_was_left() {
        assert_eq!(told(500, &[(1_000, 700), (1_060, 960)]), [None, Some(500)]);
        assert_eq!(told(500, &[(1_000, 700), (1_061, 960)]), [None, Some(700)], "0.70 stood until now");
        assert_eq!(told(500, &[(1_000, 800), (1_061, 960)]), [None, None]);
        assert_eq!(told(500, &[(0, 400), (30, 300), (59, 200), (60, 40)])[3], Some(500));
        assert_eq!(told(500, &[(0, 400), (30, 300), (59, 200), (61, 40)])[3], Some(400));
    }

    #[test]
    fn the_window_of_one_book_is_bounded_and_so_are_all_windows() {
        let mut early = Early::default();
        for step in 0..10_000 {
            early.note((1, 0), (500, 500 + step % 7), 1_000, step * SECOND_NS / 2);
        }
        assert!(early.windows[&(1, 0)].seconds.len() <= EARLY_WINDOW_S as usize + 1);
        for market in 0..MAX_EARLY_WINDOWS as u32 + 10 {
            early.note((market, 3), (500, 501), 1_000, 6_000 * SECOND_NS + i64::from(market));
        }
        assert_eq!((early.windows.len(), early.order.len()), (MAX_EARLY_WINDOWS, MAX_EARLY_WINDOWS));
        assert!(!early.windows.contains_key(&(1, 0)), "the one that moved least lately made room");
        early.forget(20);
        assert_eq!(early.windows.len(), MAX_EARLY_WINDOWS - 1);
        assert_eq!(early.order.len(), MAX_EARLY_WINDOWS - 1);
    }
}
