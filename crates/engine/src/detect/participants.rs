//! Who trades in one market: what the signals of accounts need (protocol P12.1 ᴬ), for the accounts that matter.

use bytemuck::{Pod, Zeroable};

use super::rules::*;
use crate::codec::{Reader, Writer};
use crate::limits::DETECTION_ACCOUNTS;

/// Ten-minute periods of the hour and one-minute columns of the ten minutes, with one in progress.
pub const PERIODS: usize = 7;
pub const MINUTES: usize = 12;

/// Ten minutes of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Period {
    /// Bought less sold lots.
    pub net: i64,
    pub gross: i64,
    pub orders: u64,
    pub fills: u64,
}

impl Period {
    #[inline(always)]
    fn fill(&mut self, signed: i64, lots: i64) {
        self.net = self.net.wrapping_add(signed);
        self.gross = self.gross.wrapping_add(lots);
        self.fills += 1;
    }
}

/// Trades that an account took within a minute, from the first of them on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Burst {
    start_ns: i64,
    low: i64,
    high: i64,
    trades: u64,
    fired_ns: i64,
}

/// Cancels after a fill on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Spoof {
    /// Fill that the present episode belongs to.
    fill_ns: i64,
    /// Lots of the side before the first cancel, and what was cancelled since.
    depth: i64,
    cancelled: i64,
    prices: [i64; SPOOF_LEVELS],
    levels: u64,
    /// The latest episodes that were whole, newest first.
    times_ns: [i64; SPOOF_TIMES],
}

/// The last step that was told of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Told {
    pub step: i64,
    pub at_ns: i64,
}

impl Told {
    /// Whether a step is news: higher than the last one told, or that was a while ago. Remembers it then.
    pub fn is_news(&mut self, step: u8, now_ns: i64) -> bool {
        let over = now_ns.saturating_sub(self.at_ns) >= STEP_NS;
        if step == step::NONE || !over && i64::from(step) <= self.step {
            return false;
        }
        *self = Told { step: i64::from(step), at_ns: now_ns };
        true
    }
}

/// One account in one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Participant {
    pub account: u64,
    pub hour: Period,
    periods: [Period; PERIODS],
    /// Bought and sold lots of each minute.
    minutes: [[i64; 2]; MINUTES],
    /// Time of the last fill of its buys and of its sells.
    last_fill_ns: [i64; 2],
    pub last_take_ns: i64,
    /// Last trade with a linked owner.
    linked_ns: i64,
    burst: Burst,
    spoof: Spoof,
    pub told: Told,
}

/// A time that is long past.
const NEVER: i64 = i64::MIN / 2;

impl Participant {
    fn new(account: u32) -> Self {
        let mut fresh = Participant { account: u64::from(account), ..Zeroable::zeroed() };
        fresh.last_fill_ns = [NEVER; 2];
        fresh.last_take_ns = NEVER;
        fresh.linked_ns = NEVER;
        fresh.burst.start_ns = NEVER;
        fresh.burst.fired_ns = NEVER;
        fresh.spoof.fill_ns = NEVER;
        fresh.spoof.times_ns = [NEVER; SPOOF_TIMES];
        fresh.told.at_ns = NEVER;
        fresh
    }

    /// A fill of this account on one side.
    #[inline]
    pub fn fill(&mut self, side: u8, lots: i64, period: usize, minute: usize, now_ns: i64) {
        let signed = if side == 0 { lots } else { -lots };
        self.hour.fill(signed, lots);
        self.periods[period].fill(signed, lots);
        self.minutes[minute][side as usize] = self.minutes[minute][side as usize].wrapping_add(lots);
        self.last_fill_ns[side as usize] = now_ns;
    }

    /// It took liquidity at this price; `before` is the price before its trade.
    #[inline(always)]
    pub fn take(&mut self, price: i64, before: i64, now_ns: i64) {
        self.last_take_ns = now_ns;
        let burst = &mut self.burst;
        if now_ns.saturating_sub(burst.start_ns) > BURST_WINDOW_NS {
            *burst = Burst { start_ns: now_ns, low: before, high: before, trades: 0, ..*burst };
        }
        burst.trades += 1;
        burst.low = burst.low.min(price);
        burst.high = burst.high.max(price);
        if burst.trades > u64::from(BURST_TRADES)
            && (moved(price, burst.low, 5) || moved(price, burst.high, 5))
        {
            burst.fired_ns = now_ns;
        }
    }

    pub fn meet_linked(&mut self, now_ns: i64) {
        self.linked_ns = now_ns;
    }

    pub fn order(&mut self, period: usize) {
        self.hour.orders += 1;
        self.periods[period].orders += 1;
    }

    /// Whether a cancel of this side now follows a fill on the other side closely, and the depth of the side is
    /// still to be told for it.
    #[inline]
    pub fn follows_fill(&self, side: u8, now_ns: i64) -> Option<bool> {
        let fill_ns = self.last_fill_ns[1 - side as usize];
        (now_ns.saturating_sub(fill_ns) <= SPOOF_WINDOW_NS).then_some(self.spoof.fill_ns != fill_ns)
    }

    /// A cancel for which [`Participant::follows_fill`] was so; `depth` = lots of the side before the first of them.
    pub fn cancel(&mut self, side: u8, price: i64, lots: i64, depth: Option<i64>, now_ns: i64) {
        let fill_ns = self.last_fill_ns[1 - side as usize];
        let spoof = &mut self.spoof;
        if let Some(depth) = depth {
            *spoof = Spoof { fill_ns, depth, times_ns: spoof.times_ns, ..Zeroable::zeroed() };
        }
        let was_whole = spoof.is_whole();
        spoof.cancelled = spoof.cancelled.saturating_add(lots);
        let known = spoof.levels as usize;
        if known < SPOOF_LEVELS && !spoof.prices[..known].contains(&price) {
            spoof.prices[known] = price;
            spoof.levels += 1;
        }
        if spoof.is_whole() && !was_whole {
            spoof.times_ns.rotate_right(1);
            spoof.times_ns[0] = now_ns;
        }
    }

    /// The ten minutes that begin in this column push the oldest ones out of the hour.
    fn forget_period(&mut self, column: usize) {
        let old = std::mem::take(&mut self.periods[column]);
        self.hour.net = self.hour.net.wrapping_sub(old.net);
        self.hour.gross = self.hour.gross.wrapping_sub(old.gross);
        self.hour.orders -= old.orders;
        self.hour.fills -= old.fills;
    }

    /// Bought or sold lots over minutes `from..=to`.
    fn leg(&self, side: usize, from: i64, to: i64) -> i128 {
        (from..=to).map(|minute| i128::from(self.minutes[column(minute, MINUTES)][side])).sum()
    }

    /// Signals of this account but pump and dump.
    pub fn signals(&self, lots_hour: i64, now_ns: i64) -> u16 {
        let mut signals = 0;
        let within = |at_ns: i64, window_ns: i64| now_ns.saturating_sub(at_ns) <= window_ns;
        let Period { net, gross, orders, fills } = self.hour;
        let round_trip = i128::from(net.abs()) * WASH_NET_SHARE < i128::from(gross)
            && i128::from(gross) * WASH_VOLUME_SHARE > i128::from(lots_hour);
        if round_trip || within(self.linked_ns, HOUR_NS) {
            signals |= signal::WASH;
        }
        if orders > SPOOF_ORDERS_PER_TRADE * fills && within(self.spoof.times_ns[SPOOF_TIMES - 1], HOUR_NS) {
            signals |= signal::SPOOF;
        }
        if within(self.burst.fired_ns, BURST_WINDOW_NS) {
            signals |= signal::BURST;
        }
        signals
    }

    /// More than 30 % of what was bought on the way up and of what was sold on the way down.
    pub fn carried(&self, pump: &Pump) -> bool {
        let over = |side: usize, from: i64, to: i64, all: [i128; 2]| {
            let starts = [from, from + 1].into_iter().zip(all);
            starts.into_iter().any(|(from, all)| self.leg(side, from, to) * 10 > all * 3)
        };
        over(0, pump.low_minute, pump.peak_minute, pump.up_lots)
            && over(1, pump.peak_minute, pump.now_minute, pump.down_lots)
    }
}

impl Spoof {
    fn is_whole(&self) -> bool {
        self.levels as usize >= SPOOF_LEVELS && i128::from(self.cancelled) * 100 > i128::from(self.depth) * 30
    }
}

/// A rise and fall of the market, by minutes, and the lots of both legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pump {
    pub low_minute: i64,
    pub peak_minute: i64,
    pub now_minute: i64,
    /// Each with and without the minute in which the leg began, which the other trades of that minute dilute.
    pub up_lots: [i128; 2],
    pub down_lots: [i128; 2],
}

/// The column of a period or minute.
#[inline]
pub fn column(number: i64, columns: usize) -> usize {
    number.rem_euclid(columns as i64) as usize
}

/// No participant.
const EMPTY: u8 = u8::MAX;

/// The accounts that trade in one market, found by handle.
#[derive(Clone, Debug, Default)]
pub struct Participants {
    /// Boxed: a table that grows moves pointers, not the kilobyte behind each, which would be most of a command.
    #[allow(clippy::vec_box)]
    list: Vec<Box<Participant>>,
    /// Positions in `list` by hashed account, at most half full; derived.
    index: Vec<u8>,
}

impl Participants {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Participant> {
        self.list.iter_mut().map(Box::as_mut)
    }

    #[inline]
    fn cell(&self, account: u32) -> usize {
        let mask = self.index.len() - 1;
        let mut cell = (account.wrapping_mul(0x9E37_79B1) >> 16) as usize & mask;
        while self.index[cell] != EMPTY && self.list[self.index[cell] as usize].account != u64::from(account)
        {
            cell = (cell + 1) & mask;
        }
        cell
    }

    #[inline(always)]
    pub fn find(&mut self, account: u32) -> Option<&mut Participant> {
        if self.index.is_empty() {
            return None;
        }
        match self.index[self.cell(account)] {
            EMPTY => None,
            place => Some(&mut self.list[place as usize]),
        }
    }

    /// The account's entry; None when the table is full and it is new.
    #[inline(always)]
    pub fn find_or_add(&mut self, account: u32) -> Option<&mut Participant> {
        if !self.index.is_empty() {
            let place = self.index[self.cell(account)];
            if place != EMPTY {
                return Some(&mut self.list[place as usize]);
            }
        }
        if self.list.len() >= DETECTION_ACCOUNTS {
            return None;
        }
        self.add(account)
    }

    #[cold]
    fn add(&mut self, account: u32) -> Option<&mut Participant> {
        self.list.push(Box::new(Participant::new(account)));
        if self.list.len() * 2 > self.index.len() {
            self.rebuild();
        } else {
            let cell = self.cell(account);
            self.index[cell] = (self.list.len() - 1) as u8;
        }
        self.list.last_mut().map(Box::as_mut)
    }

    fn rebuild(&mut self) {
        let cells = (self.list.len() * 2).next_power_of_two().max(8);
        self.index.clear();
        self.index.resize(cells, EMPTY);
        for place in 0..self.list.len() {
            let cell = self.cell(self.list[place].account as u32);
            self.index[cell] = place as u8;
        }
    }

    /// Begins the period of this column.
    pub fn begin_period(&mut self, column: usize) {
        self.list.iter_mut().for_each(|one| one.forget_period(column));
    }

    /// Begins the minute of this column.
    pub fn begin_minute(&mut self, column: usize) {
        self.list.iter_mut().for_each(|one| one.minutes[column] = [0; 2]);
    }

    /// All minutes are over.
    pub fn forget_minutes(&mut self) {
        self.list.iter_mut().for_each(|one| one.minutes = [[0; 2]; MINUTES]);
    }

    /// Forgets who did nothing for an hour; when the table is nearly full, also who has less than 2 % of the hour's
    /// volume. Sides share 200 %, so at most a hundred stay.
    pub fn prune(&mut self, lots_hour: i64) {
        let crowded = self.list.len() * 8 > DETECTION_ACCOUNTS * 7;
        let least = if crowded { lots_hour / 50 } else { 0 };
        let before = self.list.len();
        self.list.retain(|one| one.hour.gross > least || (!crowded && one.hour.orders > 0));
        if self.list.len() < before {
            self.rebuild();
        }
    }

    pub fn is_crowded(&self) -> bool {
        self.list.len() * 8 > DETECTION_ACCOUNTS * 7
    }

    /// Forgets everyone and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.list.len());
        self.list.iter().for_each(|one| writer.raw(bytemuck::bytes_of(&**one)));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        const SIZE: usize = size_of::<Participant>();
        let mut participants = Participants::default();
        for _ in 0..reader.len(SIZE)? {
            let one: Participant = bytemuck::pod_read_unaligned(&reader.array::<SIZE>()?);
            let known = u32::try_from(one.account).ok().map(|account| participants.find(account).is_some());
            if known != Some(false)
                || one.spoof.levels as usize > SPOOF_LEVELS
                || participants.len() >= DETECTION_ACCOUNTS
            {
                return Err(format!("account {} among the participants of a market", one.account));
            }
            participants.list.push(Box::new(one));
            participants.rebuild();
        }
        Ok(participants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    #[test]
    fn everyone_is_found_again_until_the_table_is_full_and_pruning_keeps_the_large() {
        let mut participants = Participants::default();
        for account in 0..DETECTION_ACCOUNTS as u32 {
            let lots = if account % 2 == 0 { 1 } else { 1_000 };
            participants.find_or_add(account * 37).unwrap().fill(0, lots, 0, 0, 5);
        }
        assert!(participants.find_or_add(1).is_none(), "full");
        assert!((0..DETECTION_ACCOUNTS as u32).all(|account| participants.find(account * 37).is_some()));
        participants.prune(5_000);
        assert_eq!(participants.len(), DETECTION_ACCOUNTS / 2);
        assert!(participants.find(37).is_some() && participants.find(0).is_none());
        assert!(participants.find_or_add(1).is_some());
    }

    #[test]
    fn six_trades_within_a_minute_that_move_the_price_by_more_than_five_percent_are_a_burst() {
        let burst = |prices: [i64; 6], step_ns: i64| {
            let mut one = Participant::new(1);
            let mut before = 1_000;
            for (trade, price) in prices.into_iter().enumerate() {
                one.take(price, before, trade as i64 * step_ns);
                before = price;
            }
            one.signals(i64::MAX, 5 * step_ns) & signal::BURST != 0
        };
        assert!(burst([1_010, 1_020, 1_030, 1_040, 1_050, 1_051], SECOND_NS));
        assert!(!burst([1_010, 1_020, 1_030, 1_040, 1_050, 1_050], SECOND_NS), "exactly 5 %");
        assert!(burst([1_010, 1_020, 1_030, 1_040, 1_050, 1_051], 12 * SECOND_NS));
        assert!(!burst([1_010, 1_020, 1_030, 1_040, 1_050, 1_051], 12 * SECOND_NS + 1), "over a minute");
        let mut five = Participant::new(1);
        (0..5).for_each(|trade| five.take(2_000, 1_000, trade));
        assert_eq!(five.signals(i64::MAX, 5) & signal::BURST, 0, "five trades are not more than five");
    }

    #[test]
    fn a_flat_inventory_with_more_than_a_fifth_of_the_volume_is_a_round_trip() {
        let wash = |bought: i64, sold: i64, market: i64| {
            let mut one = Participant::new(1);
            one.fill(0, bought, 0, 0, 0);
            one.fill(1, sold, 0, 0, 0);
            one.signals(market, 0) & signal::WASH != 0
        };
        // Net 10 of gross 210 = 4.76 %.
        assert!(wash(110, 100, 1_049));
        assert!(!wash(110, 100, 1_050), "exactly 20 %");
        assert!(!wash(105, 95, 100), "exactly 5 %");
        let mut linked = Participant::new(1);
        assert_eq!(linked.signals(0, 0), 0);
        linked.meet_linked(7);
        assert_eq!(linked.signals(0, HOUR_NS + 7), signal::WASH);
        assert_eq!(linked.signals(0, HOUR_NS + 8), 0);
    }

    /// Three episodes of cancels of `lots` each on `levels` levels of a depth of 1,000, `gap_ns` after a sale.
    fn spoofer(levels: i64, lots: i64, gap_ns: i64, orders: u32) -> Participant {
        let mut one = Participant::new(1);
        (0..orders).for_each(|_| one.order(0));
        for episode in 0..3 {
            let now_ns = episode * 10 * SECOND_NS;
            one.fill(1, 1, 0, 0, now_ns);
            for level in 0..levels {
                if let Some(first) = one.follows_fill(0, now_ns + gap_ns) {
                    one.cancel(0, 100 - level, lots, first.then_some(1_000), now_ns + gap_ns);
                }
            }
        }
        one
    }

    #[test]
    fn layers_that_vanish_after_an_opposite_fill_three_times_are_spoofing() {
        let fires = |one: Participant, now_ns| one.signals(i64::MAX, now_ns) & signal::SPOOF != 0;
        let half = SPOOF_WINDOW_NS;
        assert!(fires(spoofer(3, 101, half, 151), 30 * SECOND_NS));
        assert!(!fires(spoofer(3, 100, half, 151), 30 * SECOND_NS), "exactly 30 % of the depth");
        assert!(!fires(spoofer(2, 500, half, 151), 30 * SECOND_NS), "two levels");
        assert!(!fires(spoofer(3, 101, half + 1, 151), 30 * SECOND_NS), "too late after the fill");
        assert!(!fires(spoofer(3, 101, half, 150), 30 * SECOND_NS), "50 orders a trade");
        assert!(!fires(spoofer(3, 101, half, 151), HOUR_NS + half + 1), "the first was over an hour ago");
    }

    #[test]
    fn a_step_is_told_when_it_rises_and_again_after_five_minutes() {
        let mut told = Participant::new(1).told;
        assert!(told.is_news(1, 0) && !told.is_news(1, 1) && told.is_news(3, 2) && !told.is_news(2, 3));
        assert!(!told.is_news(3, 1 + STEP_NS) && told.is_news(1, 2 + STEP_NS) && !told.is_news(0, i64::MAX));
    }
}
