//! Scores of makers: what they show near the middle of rewarded books, second by second, and what they trade with others
//! (protocol P11.4). Money in micro-quote.

use std::collections::{BTreeMap, BTreeSet};

use super::due_item;
use crate::limits::{
    HOUR_NS, MAX_MAKERS_PER_BOOK, MAX_REWARD_PAIRS, REWARD_BAND_BP, REWARD_LEAST, REWARD_PAUSE_NS, SECOND_NS,
};
use crate::state::{due, Due};

/// Market and outcome of a rewarded book.
pub type BookKey = (u32, u8);

/// Most that one side of one account counts in a sample: with it a day of every score fits into 128 bits.
pub const MOST_DEPTH: i64 = 1_000_000_000_000_000;

/// What one account did in one book within the hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Over all samples, the smaller side of each.
    pub depth: i64,
    /// Samples that found both sides.
    pub seen: u32,
    /// Of rewarded fills, less what went round and came back; and the taker fees in it.
    pub volume: i64,
    pub fees: i64,
}

impl Score {
    /// Depth × uptime, in 1/3,600: quoting for a moment counts with the square of it.
    pub fn points(&self) -> u128 {
        self.depth as u128 * u128::from(self.seen)
    }
}

/// What two accounts traded with each other within the hour: of a round trip nothing counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Lots that the first (lower) account has bought on balance, and all lots.
    pub net: i64,
    pub gross: i64,
    /// Rewarded value and taker fees of which the first, or the second, was the maker.
    pub value: [i64; 2],
    pub fees: [i64; 2],
}

impl Pair {
    /// What of an amount counts: the part of the lots that did not come back, rounded down.
    fn counted(&self, amount: i64) -> i64 {
        match self.gross {
            0 => 0,
            gross => (i128::from(amount) * i128::from(self.net.abs()) / i128::from(gross)) as i64,
        }
    }

    fn counts(&self, side: usize) -> (i64, i64) {
        (self.counted(self.value[side]), self.counted(self.fees[side]))
    }
}

/// A fill of a rewarded book between accounts that are not linked.
#[derive(Clone, Copy, Debug)]
pub struct MadeFill {
    pub maker: u32,
    pub taker: u32,
    pub taker_buys: bool,
    pub lots: i64,
    pub value: i64,
    pub fee: i64,
    /// The maker may be rewarded for it.
    pub rewarded: bool,
}

/// A sample that one command did not finish. Its continuation is the next command, so that it is in no snapshot.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Sum of best bid and best ask in ticks.
    pub doubled_mid: i64,
    /// Side that is walked, the next order of it, and orders walked on it.
    pub side: u8,
    pub next: Option<u64>,
    pub walked: usize,
    /// Lots shown by account: bids, asks.
    pub shown: BTreeMap<u32, [i64; 2]>,
}

/// A rewarded book.
#[derive(Clone, Debug, Default)]
pub struct Quoted {
    /// The next sample.
    pub next_ns: i64,
    pub scores: BTreeMap<u32, Score>,
    pub pairs: BTreeMap<(u32, u32), Pair>,
    /// When an account's last rewarded fill was.
    pub clocks: BTreeMap<u32, i64>,
    /// Left the list: it is not sampled any more and goes at the end of the hour.
    pub ends: bool,
    pub walk: Option<Box<Walk>>,
}

impl Quoted {
    /// Whether an account may be rewarded again, and if so notes the moment.
    pub fn passes_clock(&mut self, account: u32, now_ns: i64) -> bool {
        let fresh = |&at_ns: &i64| now_ns.saturating_sub(at_ns) < REWARD_PAUSE_NS;
        if self.clocks.get(&account).is_some_and(fresh) {
            return false;
        }
        if self.clocks.len() >= MAX_MAKERS_PER_BOOK {
            self.clocks.retain(|_, at_ns| fresh(at_ns));
        }
        if self.clocks.len() >= MAX_MAKERS_PER_BOOK {
            return false;
        }
        self.clocks.insert(account, now_ns);
        true
    }

    fn has_room(&self, account: u32) -> bool {
        self.scores.len() < MAX_MAKERS_PER_BOOK || self.scores.contains_key(&account)
    }
}

/// A book, its scores, and the pairs that they came from.
pub type ClosingBook = (BookKey, BTreeMap<u32, Score>, BTreeMap<(u32, u32), Pair>);

/// An hour that is being paid: it ends before any other command, so that it is in no snapshot.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    pub token_pot: i64,
    pub fund_pot: i64,
    pub total_points: u128,
    pub total_volume: i64,
    pub volume_pct: i64,
    /// Micro-quote of a token; 0 = unknown.
    pub token_price: i64,
    pub books: Vec<ClosingBook>,
}

/// What one score earns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earned {
    pub by_score: i64,
    pub by_volume: i64,
    pub fund: i64,
}

impl Closing {
    /// Shares of the pots, each rounded down; the volume's at most a fifth of its taker fees at the token's index (P8.7).
    pub fn earned(&self, score: &Score) -> Earned {
        let by_points = |pot: i64| match self.total_points {
            0 => 0,
            total => (pot as u128 * score.points() / total) as i64,
        };
        let volume_pot = crate::math::mul_div_floor(self.token_pot, self.volume_pct as u32, 100);
        let by_volume = match (self.total_volume, self.token_price) {
            (0, _) | (_, 0) => 0,
            (total, price) => {
                let share = i128::from(volume_pot) * i128::from(score.volume) / i128::from(total);
                let most = i128::from(score.fees) * i128::from(crate::fees::MAX_REWARD_PCT) * 10_000
                    / i128::from(price);
                share.min(most) as i64
            }
        };
        let by_score = by_points(self.token_pot - volume_pot);
        Earned { by_score, by_volume, fund: by_points(self.fund_pot) }
    }
}

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Makers {
    pub books: BTreeMap<BookKey, Quoted>,
    /// The one quote asset of all rewarded books: their scores are compared.
    pub quote: u16,
    /// End of the present hour; 0 without books.
    pub hour_ns: i64,
    /// Sums over all books.
    pub total_points: u128,
    pub total_volume: i64,
    pub closing: Option<Box<Closing>>,
    /// What may be claimed, by account and asset; none of it zero.
    pub accrued: BTreeMap<(u32, u16), i64>,
}

/// Id of a book's sample in the due queue.
fn sample_id((market, outcome): BookKey) -> u64 {
    due_item::MAKER_SAMPLE | u64::from(market) << 8 | u64::from(outcome)
}

/// The book of a sample's id.
pub fn sampled_book(id: u64) -> BookKey {
    ((id >> 8) as u32, id as u8)
}

/// The whole second, or hour, behind a moment.
pub fn next_second(now_ns: i64) -> i64 {
    (now_ns.div_euclid(SECOND_NS) + 1).saturating_mul(SECOND_NS)
}

pub fn next_hour(now_ns: i64) -> i64 {
    (now_ns.div_euclid(HOUR_NS) + 1).saturating_mul(HOUR_NS)
}

/// Whether a price lies within 50 bp of the middle: of the price, or absolute where prices are probabilities of
/// `payout_ticks`.
pub fn is_near(price: i64, doubled_mid: i64, payout_ticks: Option<i64>) -> bool {
    let away = (i128::from(price) * 2 - i128::from(doubled_mid)).abs() * 10_000;
    let width = payout_ticks.map_or(i128::from(doubled_mid), |ticks| i128::from(ticks) * 2);
    away <= width * i128::from(REWARD_BAND_BP)
}

/// Lots at the middle in micro-quote, of probabilities at the cheaper side (P8.1), rounded down.
pub fn depth_of(lots: i64, doubled_mid: i64, unit: i64, payout_ticks: Option<i64>) -> i64 {
    let doubled = payout_ticks.map_or(doubled_mid, |ticks| doubled_mid.min(2 * ticks - doubled_mid));
    let value = i128::from(lots) * i128::from(unit) * i128::from(doubled) / 2;
    value.clamp(0, i128::from(MOST_DEPTH)) as i64
}

impl Makers {
    /// Whether any book is rewarded.
    #[inline]
    pub fn is_open(&self) -> bool {
        !self.books.is_empty()
    }

    /// Micro-units that an account may claim, by asset.
    pub fn of_account(&self, account: u32) -> Vec<(u16, i64)> {
        let all = self.accrued.range((account, 0)..=(account, u16::MAX));
        all.map(|(&(_, asset), &amount)| (asset, amount)).collect()
    }

    pub fn accrue(&mut self, account: u32, asset: u16, amount: i64) {
        if amount > 0 {
            *self.accrued.entry((account, asset)).or_insert(0) += amount;
        }
    }

    /// A sample found `depth` on the smaller side of an account.
    pub fn count_sample(&mut self, key: BookKey, account: u32, depth: i64) {
        let Some(book) = self.books.get_mut(&key) else { return };
        if depth < REWARD_LEAST || !book.has_room(account) {
            return;
        }
        let score = book.scores.entry(account).or_default();
        let before = score.points();
        score.depth = score.depth.saturating_add(depth);
        score.seen += 1;
        self.total_points += score.points() - before;
    }

    /// A fill counts for its maker, and against what the two traded the other way.
    pub fn count_fill(&mut self, key: BookKey, fill: &MadeFill) {
        let Some(book) = self.books.get_mut(&key).filter(|book| !book.ends) else { return };
        let pair_key = (fill.maker.min(fill.taker), fill.maker.max(fill.taker));
        if !book.pairs.contains_key(&pair_key) && book.pairs.len() >= MAX_REWARD_PAIRS {
            return;
        }
        let rewarded = fill.rewarded && book.has_room(fill.maker);
        let pair = book.pairs.entry(pair_key).or_default();
        let before = *pair;
        let first_buys = (fill.taker == pair_key.0) == fill.taker_buys;
        pair.net += if first_buys { fill.lots } else { -fill.lots };
        pair.gross += fill.lots;
        if rewarded {
            let side = usize::from(fill.maker == pair_key.1);
            pair.value[side] += fill.value;
            pair.fees[side] += fill.fee;
        }
        let after = *pair;
        for (side, account) in [pair_key.0, pair_key.1].into_iter().enumerate() {
            let ((old_value, old_fees), (value, fees)) = (before.counts(side), after.counts(side));
            if (old_value, old_fees) == (value, fees) {
                continue;
            }
            let score = book.scores.entry(account).or_default();
            score.volume += value - old_value;
            score.fees += fees - old_fees;
            self.total_volume += value - old_value;
        }
    }

    /// Takes the hour's scores away to be paid; the next hour begins with none.
    pub fn take_scores(&mut self) -> Closing {
        let books = self
            .books
            .iter_mut()
            .map(|(&key, book)| (key, std::mem::take(&mut book.scores), std::mem::take(&mut book.pairs)));
        let books = books.collect();
        let closing = Closing {
            total_points: self.total_points,
            total_volume: self.total_volume,
            books,
            ..Closing::default()
        };
        (self.total_points, self.total_volume) = (0, 0);
        closing
    }

    pub fn sample_due(&self, key: BookKey) -> Option<Due> {
        let book = self.books.get(&key).filter(|book| !book.ends)?;
        Some((book.next_ns, due::TOKEN, sample_id(key)))
    }

    pub fn hour_due(&self) -> Option<Due> {
        self.is_open().then_some((self.hour_ns, due::TOKEN, due_item::MAKER_HOUR))
    }

    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        due.extend(self.books.keys().filter_map(|&key| self.sample_due(key)));
        due.extend(self.hour_due());
    }
}
