//! One market under watch: a trade adds to the open second, and a second that is over is judged later, by a due
//! item, so that trading pays little for it (protocol P12.1).

use std::collections::VecDeque;

use bytemuck::{Pod, Zeroable};

use super::participants::{column, Participants, Pump, Told, MINUTES, PERIODS};
use super::rules::*;
use super::statistics::{ln_ppm, Baseline, Returns};
use crate::codec::{Reader, Writer};
use crate::limits::{DETECTION_RAISED, SECOND_NS};

/// A fill as detection sees it.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    pub price: i64,
    pub lots: i64,
    /// Micro-quote.
    pub notional: i64,
    pub taker: u32,
    pub maker: u32,
    pub taker_side: u8,
    /// The two are declared as linked owners.
    pub linked: bool,
}

/// What happened within one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Second {
    number: i64,
    /// Micro-quote.
    volume: i64,
    low: i64,
    high: i64,
    close: i64,
    trades: u64,
}

/// Lowest and highest price of ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Bar {
    number: i64,
    low: i64,
    high: i64,
}

const BAR_S: i64 = 10;
/// Bars that reach back over [`PUMP_WINDOW_S`], the one in progress included.
const BARS: usize = (PUMP_WINDOW_S / BAR_S) as usize + 1;
const PERIOD_S: i64 = 600;
const MINUTE_S: i64 = 60;

/// The part of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Fixed {
    open: Second,
    /// First moment behind the open second.
    open_until_ns: i64,
    /// A second that is over and not yet judged.
    past: Second,
    /// Newest second with trades that was judged.
    judged: Second,
    volumes: [i64; VOLUME_WINDOW_S as usize],
    /// First and newest second of `volumes`.
    first_second: i64,
    newest_second: i64,
    baseline: Baseline,
    prices: [i64; VELOCITY_TRADES],
    price_count: u64,
    last_price: i64,
    outlier_ns: i64,
    velocity_ns: i64,
    /// 1 when the newest return could not be judged.
    returns_insufficient: u64,
    period: i64,
    /// Period in which idle participants were forgotten last.
    pruned_period: i64,
    period_lots: [i64; PERIODS],
    lots_hour: i64,
    minute: i64,
    /// Lots and micro-quote of each minute.
    minute_lots: [i64; MINUTES],
    minute_volume: [i64; MINUTES],
    told: Told,
}

/// A move within the newest trades that is a signal, in per cent.
const VELOCITY_PERCENT: i64 = 10;

impl Fixed {
    /// Looks at the newest trades one by one, and returns the range of their prices.
    #[cold]
    fn note_velocity(&mut self, price: i64, now_ns: i64) -> (i64, i64) {
        // Among them is this one, from which nothing has moved; empty places hold zero.
        let newest = || self.prices.iter().copied().filter(|&old| old != 0);
        let range = newest().fold(NO_PRICES, |(low, high), old| (low.min(old), high.max(old)));
        if newest().any(|old| moved(price, old, VELOCITY_PERCENT)) {
            self.velocity_ns = now_ns;
        }
        range
    }
}

/// A market or one of its accounts that reached a step of P12.2 and was not told of it lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    /// None = the market itself.
    pub account: Option<u32>,
    pub signals: u16,
    /// Signals that could not be judged.
    pub insufficient: u16,
    pub score: u8,
    pub step: u8,
    pub last_price: i64,
    /// 10 s volume and what was expected, in micro-quote.
    pub volume: i64,
    pub expected: i64,
}

/// State of one market.
#[derive(Clone, Debug)]
pub struct Watch {
    fixed: Fixed,
    returns: Returns,
    bars: VecDeque<Bar>,
    participants: Participants,
    /// Waits for its next judgement.
    pub touched: bool,
    /// The newest prices lie within these; derived, wider than they must be for a while.
    velocity_range: (i64, i64),
    /// Columns of the present period and minute; derived.
    columns: (usize, usize),
}

/// The range of no price.
const NO_PRICES: (i64, i64) = (i64::MAX, i64::MIN);

fn columns(fixed: &Fixed) -> (usize, usize) {
    (column(fixed.period, PERIODS), column(fixed.minute, MINUTES))
}

impl Watch {
    pub fn new(now_ns: i64) -> Self {
        let never = i64::MIN / 2;
        let second = now_ns.div_euclid(SECOND_NS);
        let mut fixed = Fixed {
            first_second: second,
            newest_second: second,
            outlier_ns: never,
            velocity_ns: never,
            period: second.div_euclid(PERIOD_S),
            minute: second.div_euclid(MINUTE_S),
            open_until_ns: i64::MIN,
            ..Zeroable::zeroed()
        };
        fixed.told.at_ns = never;
        Watch {
            fixed,
            returns: Returns::default(),
            bars: VecDeque::with_capacity(BARS + 1),
            participants: Participants::default(),
            touched: false,
            velocity_range: NO_PRICES,
            columns: columns(&fixed),
        }
    }

    /// Adds a fill.
    #[inline(always)]
    pub fn fill(&mut self, fill: &Fill, now_ns: i64) {
        if now_ns >= self.fixed.open_until_ns {
            self.open_second(now_ns);
        }
        let fixed = &mut self.fixed;
        let Fill { price, lots, .. } = *fill;
        let open = &mut fixed.open;
        if open.trades == 0 {
            (open.low, open.high) = (price, price);
        }
        open.trades += 1;
        open.volume = open.volume.saturating_add(fill.notional);
        open.low = open.low.min(price);
        open.high = open.high.max(price);
        open.close = price;
        let (period, minute) = self.columns;
        fixed.period_lots[period] += lots;
        fixed.lots_hour += lots;
        fixed.minute_lots[minute] += lots;
        fixed.minute_volume[minute] = fixed.minute_volume[minute].saturating_add(fill.notional);
        fixed.prices[(fixed.price_count % VELOCITY_TRADES as u64) as usize] = price;
        fixed.price_count += 1;
        // Who has not moved that far from the lowest and the highest has from none.
        let (low, high) = self.velocity_range;
        let (low, high) = (low.min(price), high.max(price));
        self.velocity_range = (low, high);
        if moved(price, low, VELOCITY_PERCENT) || moved(price, high, VELOCITY_PERCENT) {
            self.velocity_range = fixed.note_velocity(price, now_ns);
        }
        let before = if fixed.last_price == 0 { price } else { fixed.last_price };
        fixed.last_price = price;
        if let Some(taker) = self.participants.find_or_add(fill.taker) {
            taker.fill(fill.taker_side, lots, period, minute, now_ns);
            taker.take(price, before, now_ns);
            if fill.linked {
                taker.meet_linked(now_ns);
            }
        }
        if let Some(maker) = self.participants.find_or_add(fill.maker) {
            maker.fill(1 - fill.taker_side, lots, period, minute, now_ns);
            if fill.linked {
                maker.meet_linked(now_ns);
            }
        }
    }

    /// An account placed an order; counted for those who trade here.
    #[inline(always)]
    pub fn order(&mut self, account: u32) {
        let period = self.columns.0;
        if let Some(one) = self.participants.find(account) {
            one.order(period);
        }
    }

    /// Whether a cancel of this account is evidence, and the side's depth is to be told with it.
    #[inline]
    pub fn wants_cancel(&mut self, account: u32, side: u8, now_ns: i64) -> Option<bool> {
        self.participants.find(account)?.follows_fill(side, now_ns)
    }

    pub fn cancel(&mut self, account: u32, side: u8, price: i64, lots: i64, depth: Option<i64>, now_ns: i64) {
        if let Some(one) = self.participants.find(account) {
            one.cancel(side, price, lots, depth, now_ns);
        }
    }

    /// Whether the second of this moment has trades: they are judged when it is over.
    pub fn is_in_progress(&self, now_ns: i64) -> bool {
        self.fixed.open.trades > 0 && now_ns < self.fixed.open_until_ns
    }

    /// Ends the open second and begins the one of this moment.
    #[cold]
    fn open_second(&mut self, now_ns: i64) {
        if self.fixed.past.trades > 0 {
            self.judge_past();
        }
        let second = now_ns.div_euclid(SECOND_NS);
        let fresh = Second { number: second, ..Second::default() };
        self.fixed.past = std::mem::replace(&mut self.fixed.open, fresh);
        self.fixed.open_until_ns = second.saturating_add(1).saturating_mul(SECOND_NS);
        self.move_clock(second);
    }

    /// Begins minutes and periods up to the one of this second.
    fn move_clock(&mut self, second: i64) {
        let minute = second.div_euclid(MINUTE_S);
        if minute - self.fixed.minute >= MINUTES as i64 {
            (self.fixed.minute_lots, self.fixed.minute_volume) = ([0; MINUTES], [0; MINUTES]);
            self.participants.forget_minutes();
        } else {
            for number in self.fixed.minute + 1..=minute {
                let column = column(number, MINUTES);
                self.fixed.minute_lots[column] = 0;
                self.fixed.minute_volume[column] = 0;
                self.participants.begin_minute(column);
            }
        }
        self.fixed.minute = self.fixed.minute.max(minute);
        let period = second.div_euclid(PERIOD_S);
        let first = (self.fixed.period + 1).max(period - PERIODS as i64 + 1);
        for number in first..=period {
            let column = column(number, PERIODS);
            self.fixed.lots_hour -= std::mem::take(&mut self.fixed.period_lots[column]);
            self.participants.begin_period(column);
        }
        if period - self.fixed.period >= PERIODS as i64 {
            self.participants.clear();
        }
        self.fixed.period = self.fixed.period.max(period);
        self.columns = columns(&self.fixed);
    }

    /// Moves the window of ten seconds: what leaves it feeds the baseline, which so never holds what it judges.
    fn move_window(&mut self, second: i64) {
        let fixed = &mut self.fixed;
        let gap = second - fixed.newest_second;
        for number in fixed.newest_second + 1..=fixed.newest_second + gap.min(VOLUME_WINDOW_S) {
            let left = std::mem::take(&mut fixed.volumes[column(number, VOLUME_WINDOW_S as usize)]);
            if number - VOLUME_WINDOW_S >= fixed.first_second {
                fixed.baseline.feed(left);
            }
        }
        if gap > VOLUME_WINDOW_S {
            fixed.baseline.skip(gap - VOLUME_WINDOW_S);
        }
        fixed.newest_second = fixed.newest_second.max(second);
    }

    /// Takes the second that is over into volumes, bars and returns.
    fn judge_past(&mut self) {
        let past = std::mem::take(&mut self.fixed.past);
        self.move_window(past.number);
        let column = column(past.number, VOLUME_WINDOW_S as usize);
        if self.fixed.newest_second - past.number < VOLUME_WINDOW_S {
            self.fixed.volumes[column] = self.fixed.volumes[column].saturating_add(past.volume);
        }
        self.add_bar(&past);
        let before = std::mem::replace(&mut self.fixed.judged, past);
        if before.trades > 0 && past.number - before.number <= RETURN_GAP_S {
            let change = ln_ppm(past.close, before.close);
            let outlier = self.returns.is_outlier(change, FEWEST_RETURNS);
            self.fixed.returns_insufficient = u64::from(outlier.is_none());
            if outlier == Some(true) {
                self.fixed.outlier_ns = past.number.saturating_add(1).saturating_mul(SECOND_NS);
            }
            self.returns.push(change);
        } else {
            self.fixed.returns_insufficient = 1;
        }
    }

    fn add_bar(&mut self, past: &Second) {
        let number = past.number.div_euclid(BAR_S);
        match self.bars.back_mut() {
            Some(bar) if bar.number == number => {
                bar.low = bar.low.min(past.low);
                bar.high = bar.high.max(past.high);
            }
            _ => self.bars.push_back(Bar { number, low: past.low, high: past.high }),
        }
        while self.bars.front().is_some_and(|bar| bar.number + BARS as i64 <= number) {
            self.bars.pop_front();
        }
    }

    /// Judges what is over at this moment. `in_dollars`: volumes of this market can be compared with dollars.
    pub fn judge(&mut self, in_dollars: bool, now_ns: i64, raised: &mut Vec<Raised>) {
        let second = now_ns.div_euclid(SECOND_NS);
        if self.fixed.open.trades > 0 && now_ns >= self.fixed.open_until_ns {
            self.open_second(now_ns);
        }
        if self.fixed.past.trades > 0 {
            self.judge_past();
        }
        self.move_clock(second);
        // The second in progress is not over: the window ends with the one before it.
        self.move_window(second - 1);
        if self.participants.is_crowded() || self.fixed.pruned_period != self.fixed.period {
            self.fixed.pruned_period = self.fixed.period;
            self.participants.prune(self.fixed.lots_hour);
        }
        let volume = self.volume();
        let (market, mut insufficient) = self.market_signals(in_dollars, now_ns);
        let pump = self.pump(second);
        if self.fixed.baseline.seconds < FEWEST_SECONDS_OF_PUMP {
            insufficient |= signal::PUMP;
        }
        let expected = self.fixed.baseline.expected(VOLUME_WINDOW_S as u64);
        let found = |account: Option<u32>, signals: u16| {
            let score = score(signals);
            let last_price = self.fixed.last_price;
            let step = step_of(score);
            Raised { account, signals, insufficient, score, step, last_price, volume, expected }
        };
        let of_market = found(None, market);
        if self.fixed.told.is_news(of_market.step, now_ns) {
            raised.push(of_market);
        }
        for one in self.participants.iter_mut() {
            let mut signals = one.signals(self.fixed.lots_hour, now_ns);
            if pump.is_some_and(|pump| one.carried(&pump)) {
                signals |= signal::PUMP;
            }
            // What the market did counts for those who took part in doing it, and not for who was resting.
            if signals != 0 && now_ns.saturating_sub(one.last_take_ns) <= MARKET_SIGNAL_NS {
                signals |= market;
            }
            if step_of(score(signals)) == step::NONE || raised.len() >= DETECTION_RAISED {
                continue;
            }
            let of_account = found(Some(one.account as u32), signals);
            if one.told.is_news(of_account.step, now_ns) {
                raised.push(of_account);
            }
        }
    }

    /// Price of the last fill in ticks; 0 = none yet.
    pub fn last_price(&self) -> i64 {
        self.fixed.last_price
    }

    /// Whether an account carried a rise and fall that has just happened.
    pub fn pumped(&mut self, account: u32, second: i64) -> bool {
        let pump = self.pump(second);
        let one = self.participants.find(account);
        one.zip(pump).is_some_and(|(one, pump)| one.carried(&pump))
    }

    /// Micro-quote of the last ten seconds that are over.
    fn volume(&self) -> i64 {
        self.fixed.volumes.iter().fold(0, |sum, &one| sum.saturating_add(one))
    }

    /// Signals of the market at this moment, and those that cannot be judged.
    pub fn market_signals(&self, in_dollars: bool, now_ns: i64) -> (u16, u16) {
        let (fixed, volume) = (&self.fixed, self.volume());
        let (mut signals, mut insufficient) = (0, 0);
        let recent = |at_ns: i64| now_ns.saturating_sub(at_ns) <= MARKET_SIGNAL_NS;
        if recent(fixed.outlier_ns) {
            signals |= signal::OUTLIER;
        } else if fixed.returns_insufficient == 1 {
            insufficient |= signal::OUTLIER;
        }
        if !in_dollars || fixed.baseline.seconds < FEWEST_SECONDS {
            insufficient |= signal::VOLUME;
        } else if volume >= LEAST_VOLUME
            && fixed.baseline.exceeded(volume, VOLUME_WINDOW_S as u64, VOLUME_FACTOR)
        {
            signals |= signal::VOLUME;
        }
        if recent(fixed.velocity_ns) {
            signals |= signal::VELOCITY;
        } else if fixed.price_count < VELOCITY_TRADES as u64 {
            insufficient |= signal::VELOCITY;
        }
        (signals, insufficient)
    }

    /// A rise by 20 % and a fall by 15 % from its peak to the last price within ten minutes of twice the volume.
    fn pump(&self, second: i64) -> Option<Pump> {
        let fixed = &self.fixed;
        let oldest = (second - PUMP_WINDOW_S).div_euclid(BAR_S) + 1;
        let (mut low, mut rise) = (None::<Bar>, None::<(Bar, Bar)>);
        for bar in self.bars.iter().filter(|bar| bar.number >= oldest) {
            if let Some(low) = low {
                let risen = bar.high * 10 >= low.low * 12;
                if risen && rise.is_none_or(|(_, peak)| bar.high > peak.high) {
                    rise = Some((low, *bar));
                }
            }
            if low.is_none_or(|low| bar.low <= low.low) {
                low = Some(*bar);
            }
        }
        let (low, peak) = rise?;
        let fallen = fixed.last_price * 100 <= peak.high * 85;
        if !fallen || fixed.baseline.seconds < FEWEST_SECONDS_OF_PUMP {
            return None;
        }
        let minutes = |from: i64, to: i64| (from..=to).map(|number| column(number, MINUTES));
        let (now_minute, bars) = (fixed.minute, MINUTE_S / BAR_S);
        let (low_minute, peak_minute) = (low.number.div_euclid(bars), peak.number.div_euclid(bars));
        let volume = minutes(low_minute, now_minute)
            .fold(0_i64, |sum, column| sum.saturating_add(fixed.minute_volume[column]));
        let seconds = ((now_minute - low_minute + 1) * MINUTE_S) as u64;
        if !fixed.baseline.exceeded(volume, seconds, PUMP_VOLUME_FACTOR) {
            return None;
        }
        let lots = |from, to| minutes(from, to).map(|column| i128::from(fixed.minute_lots[column])).sum();
        Some(Pump {
            low_minute,
            peak_minute,
            now_minute,
            up_lots: [lots(low_minute, peak_minute), lots(low_minute + 1, peak_minute)],
            down_lots: [lots(peak_minute, now_minute), lots(peak_minute + 1, now_minute)],
        })
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(bytemuck::bytes_of(&self.fixed));
        self.returns.encode(writer);
        writer.len(self.bars.len());
        self.bars.iter().for_each(|bar| writer.raw(bytemuck::bytes_of(bar)));
        self.participants.encode(writer);
        writer.u8(u8::from(self.touched));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        const BAR: usize = size_of::<Bar>();
        let mut watch = Watch::new(0);
        watch.fixed = bytemuck::pod_read_unaligned(&reader.array::<{ size_of::<Fixed>() }>()?);
        watch.returns = Returns::decode(reader)?;
        for _ in 0..reader.len(BAR)? {
            watch.bars.push_back(bytemuck::pod_read_unaligned(&reader.array::<BAR>()?));
        }
        if watch.bars.len() > BARS {
            return Err(format!("{} bars of a market", watch.bars.len()));
        }
        watch.participants = Participants::decode(reader)?;
        watch.touched = reader.u8()? != 0;
        watch.columns = columns(&watch.fixed);
        watch.velocity_range = watch.fixed.note_velocity(watch.fixed.last_price, watch.fixed.velocity_ns);
        Ok(watch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_wider_than_the_newest_prices_changes_no_state() {
        let (mut watch, mut state, mut fast) = (Watch::new(0), 3_u64, 0);
        for step in 0..20_000_i64 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let random = (state >> 33) as i64;
            let price = 1_000 + random % 60 + i64::from(random % 211 == 0) * 90;
            let fill = Fill {
                price,
                lots: 1 + random % 9,
                notional: price,
                taker: (random % 7) as u32,
                maker: 7 + (random % 5) as u32,
                taker_side: (random % 2) as u8,
                linked: false,
            };
            // One price below all others: every price is looked at.
            let mut plain = Watch { velocity_range: (1, price), ..watch.clone() };
            watch.fill(&fill, step * 1_000_000);
            plain.fill(&fill, step * 1_000_000);
            assert!(watch.fixed == plain.fixed, "step {step}");
            fast += u32::from(watch.fixed.velocity_ns == step * 1_000_000);
        }
        assert!((50..10_000).contains(&fast), "{fast} fills moved the price fast");
    }
}
