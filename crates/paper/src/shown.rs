//! One side of a book as the venue displays it.

use tradewind_feeds::ladder::Ladder;

use crate::Side;

/// Displayed levels in whole lots of the engine. A level with less than one of them is there all the same.
#[derive(Clone, Debug)]
pub struct Shown {
    side: Side,
    ladder: Ladder,
}

impl Shown {
    pub fn new(side: Side) -> Self {
        Shown { side, ladder: Ladder::default() }
    }

    pub fn clear(&mut self) {
        self.ladder.clear();
    }

    /// The level is displayed with these lots, None: it is gone. What was displayed there before, in lots.
    #[inline]
    pub fn set(&mut self, price_ticks: i64, lots: Option<i64>) -> i64 {
        let key = self.side.rank(price_ticks);
        let place = self.ladder.find(key);
        let Some(known) = self.ladder.lots_mut(place).filter(|_| place.exists) else {
            if let Some(lots) = lots {
                self.ladder.insert(place, key, i128::from(lots));
            }
            return 0;
        };
        // nothing wider is ever put in
        let before = *known as i64;
        match lots {
            Some(lots) => *known = i128::from(lots),
            None => self.ladder.remove(place),
        }
        before
    }

    /// Displayed lots, 0 where nothing is.
    #[inline]
    pub fn lots(&self, price_ticks: i64) -> i64 {
        self.ladder.lots(self.side.rank(price_ticks)).unwrap_or(0) as i64
    }

    #[inline]
    pub fn best(&self) -> Option<i64> {
        self.ladder.last().map(|(key, _)| self.side.rank(key))
    }

    /// (price in ticks, lots), best first.
    pub fn levels(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.ladder.descending().map(|(key, lots)| (self.side.rank(key), lots as i64))
    }

    /// Levels at `limit_ticks` or better for somebody who takes from this side, best first.
    pub fn through(&self, limit_ticks: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        let worst = self.side.rank(limit_ticks);
        self.levels().take_while(move |&(price, _)| self.side.rank(price) >= worst)
    }
}
