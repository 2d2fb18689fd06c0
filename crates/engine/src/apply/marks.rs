//! Marks and funding of leveraged markets over time (protocol P4.7, P4.8).

use crate::book::Book;
use crate::engine::Engine;
use crate::keeper::action;
use crate::ledger::{line, post_system};
use crate::limits::{HOUR_NS, IMPACT_LEVELS, MARKS_PER_TICK, SECOND_NS};
use crate::market::status;
use crate::oracle::state as feed_state;
use crate::output::{Output, Subject};
use crate::perp::margin::inverse_ppm;
use crate::perp::mark::{credit_ns, fair, limited, premium_e6, PREMIUM_SCALE};
use crate::perp::{funding, PerpMarket};
use crate::state::due;
use crate::wire::command::{side, Command};
use crate::wire::event::{funding_skip, EventKind, FundingBody, MarkBody, StatusBody};

const MINUTE_NS: i64 = 60 * SECOND_NS;
/// A keeper has this long to charge an hour before the engine does it itself (P13.1).
const KEEPER_GRACE_NS: i64 = 2 * SECOND_NS;
/// A market becomes active when its feed was valid for this long (P2.3.1).
const ACTIVATION_NS: i64 = MINUTE_NS;

impl<B: Book> Engine<B> {
    /// Recomputes the mark of a leveraged market; false when neither mark nor index changed.
    pub(crate) fn refresh_mark(&mut self, command: &Command, market: u32, output: &mut Output) -> bool {
        let book = &self.state.books[market as usize];
        // A book that is collected for an auction may be crossed and says nothing about the price.
        let (bid, ask) = match self.collects(market) {
            true => (None, None),
            false => (book.best(side::BUY), book.best(side::SELL)),
        };
        let last = Some(self.state.markets.list[market as usize].last_price).filter(|&price| price != 0);
        let tick_size = self.state.markets.list[market as usize].tick_size;
        let Some(feed) = self.state.perps.of_market(market).map(|perp| perp.feed) else { return false };
        let quote = self.quote_of(feed);
        let now = command.time_ns;
        let perp = self.state.perps.of_market_mut(market).expect("found above");
        let (old_mark, old_index) = (perp.mark, perp.index);
        // A last good index is for display only (P6.1.6): a stale feed is a missing term.
        let fresh = quote.filter(|quote| quote.state < feed_state::STALE);
        perp.index = fresh.map_or(0, |quote| index_ticks(quote.price, tick_size));
        let index = Some(perp.index).filter(|&index| index != 0);
        // What stood until now counts for as long as it stood: a price of one moment moves no average.
        if let Some(sample_e6) = perp.sample_e6 {
            perp.premium_e6 = premium_e6(perp.premium_e6, sample_e6, now.saturating_sub(perp.premium_ns));
        }
        perp.sample_e6 = match (index, bid, ask) {
            (Some(index), Some(bid), Some(ask)) => {
                Some((bid + ask) * (PREMIUM_SCALE / 2) - index * PREMIUM_SCALE)
            }
            _ => None,
        };
        perp.premium_ns = now;
        // Without any term the mark stays what it was.
        let target = fair(index, perp.premium_e6, bid, ask, last).unwrap_or(perp.mark);
        let credit_ns = credit_ns(perp.held_back, now.saturating_sub(perp.mark_ns));
        let (mark, held_back) = limited(perp.mark, target, credit_ns);
        // A step below one tick waits until enough time has passed for one.
        if !held_back || mark != perp.mark {
            perp.mark_ns = now;
        }
        perp.held_back = held_back;
        perp.mark = mark;
        let changed = (mark, perp.index) != (old_mark, old_index);
        let body = MarkBody {
            mark,
            index: perp.index,
            unclamped: target,
            premium_e6: perp.premium_e6,
            open_interest_lots: perp.open_interest,
            clamped: u8::from(held_back),
            feed_state: quote.map_or(u8::MAX, |quote| quote.state),
            reserved: 0,
            reserved2: 0,
        };
        let entry = &mut self.state.markets.list[market as usize];
        entry.reference = if body.index != 0 { body.index } else { mark };
        // A market that has closed has no mark that could disagree with its feed (P6.1.4).
        let mark_value = if entry.status < status::CLOSED { mark.saturating_mul(tick_size) } else { 0 };
        self.state.feeds.note_mark(&mut self.state.due, feed, market, mark_value, now);
        if changed {
            output.emit(command, EventKind::MarkUpdated, Subject::market(market), &body);
        }
        if held_back {
            // It goes on with the next Tick, whether or not anything else happens.
            self.state.perps.set_stale(market);
        }
        if mark != old_mark {
            self.after_mark(command, market, output);
        }
        changed
    }

    /// Recomputes marks that the book has moved since the last Tick, a bounded number of them.
    pub(crate) fn refresh_stale_marks(&mut self, command: &Command, output: &mut Output) {
        for _ in 0..self.state.perps.stale.len().min(MARKS_PER_TICK) {
            let Some(market) = self.state.perps.stale.pop_front() else { return };
            if let Some(perp) = self.state.perps.of_market_mut(market) {
                perp.stale = false;
            }
            self.refresh_mark(command, market, output);
        }
    }

    /// The market's next moment: activation, a premium sample, or the end of an hour.
    pub(crate) fn market_due(&mut self, command: &Command, market: u32, output: &mut Output) {
        let now = command.time_ns;
        let Some(perp) = self.state.perps.of_market(market) else { return };
        let next = match self.state.markets.list[market as usize].status {
            status::CREATED => {
                self.try_activate(command, market, output);
                now.saturating_add(SECOND_NS)
            }
            status::CLOSED.. => 0,
            _ if perp.hour_end_ns != 0 && now >= perp.hour_end_ns.saturating_add(KEEPER_GRACE_NS) => {
                let since_ns = perp.hour_end_ns;
                self.charge_funding(command, market, output);
                self.keeper_missed(command, action::CRANK, market, since_ns, output);
                next_minute(now)
            }
            _ => {
                self.sample_premium(market);
                let end = self.state.perps.of_market(market).map_or(0, |perp| perp.hour_end_ns);
                if now >= end {
                    end.saturating_add(KEEPER_GRACE_NS)
                } else {
                    next_minute(now)
                }
            }
        };
        self.schedule_market(market, next);
    }

    /// Moves the market's next moment; 0 = none.
    pub(crate) fn schedule_market(&mut self, market: u32, next_ns: i64) {
        let Some(perp) = self.state.perps.of_market_mut(market) else { return };
        let id = u64::from(market);
        if perp.next_sample_ns != 0 {
            self.state.due.remove(&(perp.next_sample_ns, due::FUNDING, id));
        }
        perp.next_sample_ns = next_ns;
        if next_ns != 0 {
            self.state.due.insert((next_ns, due::FUNDING, id));
        }
    }

    /// CREATED → ACTIVE when the feed has been valid for a minute and a mark exists (P2.3.1).
    fn try_activate(&mut self, command: &Command, market: u32, output: &mut Output) {
        let Some(feed) = self.state.perps.of_market(market).map(|perp| perp.feed) else { return };
        let halted = self.verse_halt_over(market, command.time_ns).is_some();
        if halted || !self.feed_valid_for(feed, ACTIVATION_NS, command.time_ns) {
            return;
        }
        self.refresh_mark(command, market, output);
        let Some(perp) = self.state.perps.of_market_mut(market).filter(|perp| perp.mark != 0) else { return };
        perp.hour_end_ns = next_hour(command.time_ns);
        self.state.markets.list[market as usize].status = status::ACTIVE;
        let body =
            StatusBody { status: status::ACTIVE, previous: status::CREATED, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketActivated, Subject::market(market), &body);
    }

    /// Whether a feed has been VALID for `window_ns`.
    pub(crate) fn feed_valid_for(&self, feed: u32, window_ns: i64, now_ns: i64) -> bool {
        self.state.feeds.effective(feed).is_some_and(|used| {
            used.state == feed_state::VALID && now_ns.saturating_sub(used.since_ns) >= window_ns
        })
    }

    /// One premium sample, or a note that a halt, the feed or an empty side prevented it.
    fn sample_premium(&mut self, market: u32) {
        let paused = self.is_funding_halted(market);
        let Some(perp) = self.state.perps.of_market(market) else { return };
        let (feed, impact, unit, index) = (perp.feed, perp.risk.impact_notional, perp.unit, perp.index);
        let sampled =
            self.quote_of(feed).is_some_and(|quote| quote.state <= feed_state::DEGRADED) && index > 0;
        let prices = (!paused && sampled).then(|| {
            (
                self.impact_price(market, side::BUY, impact, unit),
                self.impact_price(market, side::SELL, impact, unit),
            )
        });
        let perp = self.state.perps.of_market_mut(market).expect("found above");
        match prices {
            None => perp.blocked_samples += 1,
            Some((Some(bid), Some(ask))) => {
                let index = i128::from(index) * IMPACT_SCALE;
                perp.sample_sum_ppb += funding::premium_sample_ppb(bid, ask, index);
                perp.samples += 1;
            }
            Some(_) => {}
        }
    }

    /// Average price of selling into (BUY side) or buying from a side for the impact notional, in 1e-6 ticks; None
    /// when the first [`IMPACT_LEVELS`] levels hold less.
    fn impact_price(&self, market: u32, book_side: u8, notional: i64, unit: i64) -> Option<i128> {
        let (mut left, mut lots, mut levels) = (i128::from(notional), 0_i128, 0);
        let mut spent = 0_i128;
        self.state.books[market as usize].levels(book_side, &mut |level| {
            let price = i128::from(level.price) * i128::from(unit);
            let take = i128::from(level.lots).min((left + price - 1) / price);
            spent += take * i128::from(level.price);
            lots += take;
            left -= take * price;
            levels += 1;
            left > 0 && levels < IMPACT_LEVELS
        });
        (left <= 0 && lots > 0).then(|| spent * IMPACT_SCALE / lots)
    }

    /// Ends the hour: moves the funding index, gives the dust to insurance, begins the next hour (P4.8).
    pub(crate) fn charge_funding(&mut self, command: &Command, market: u32, output: &mut Output) {
        let quote_asset = self.state.markets.list[market as usize].quote;
        let halted = self.is_funding_halted(market);
        let perp = self.state.perps.of_market_mut(market).expect("a leveraged market");
        let skipped = if perp.blocked_samples > funding::SAMPLES_PER_HOUR / 2 {
            if halted {
                funding_skip::HALTED
            } else {
                funding_skip::FEED
            }
        } else if perp.samples < funding::MIN_SAMPLES {
            funding_skip::FEW_SAMPLES
        } else {
            0
        };
        let rate_ppb = if skipped == 0 { hourly_rate(perp) } else { 0 };
        let delta = funding::index_delta(rate_ppb, perp.index, perp.unit);
        perp.funding_index += delta;
        let (samples, sample_sum_ppb) = (perp.samples, perp.sample_sum_ppb);
        (perp.samples, perp.blocked_samples, perp.sample_sum_ppb) = (0, 0, 0);
        perp.hour_end_ns = next_hour(command.time_ns);
        let (claims, index_ticks, next_due_ns) = (perp.funding_claims, perp.index, perp.hour_end_ns);
        let index = perp.funding_index;
        let held = self.state.system.get(line::FUNDING, market, quote_asset);
        let dust = funding::dust(held, claims);
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::FUNDING, market, quote_asset, -dust);
        post_system(system, postings, line::INSURANCE, 0, quote_asset, dust);
        let body = FundingBody {
            rate_ppb,
            index_low: index as u64,
            index_high: (index >> 64) as i64,
            delta_low: delta as u64,
            delta_high: (delta >> 64) as i64,
            index_ticks,
            samples,
            skipped,
            next_due_ns,
            sample_sum_ppb,
        };
        output.emit(command, EventKind::FundingIndexUpdated, Subject::market(market), &body);
        self.after_funding(market, delta);
    }
}

/// Impact prices are computed in 1e-6 ticks.
const IMPACT_SCALE: i128 = 1_000_000;

fn hourly_rate(perp: &PerpMarket) -> i64 {
    let mean = perp.sample_sum_ppb / i64::from(perp.samples.max(1));
    // The static cap of P4.2: falling coverage widens neither the rate nor its bound.
    let entry_ppm = inverse_ppm(perp.leverage_base_e2());
    funding::hourly_rate_ppb(mean, entry_ppm, perp.fractions(0).maintenance_ppm(0))
}

/// The index in ticks, rounded to the nearest, at least 1.
pub(super) fn index_ticks(price: i64, tick_size: i64) -> i64 {
    ((price + tick_size / 2) / tick_size).clamp(1, crate::limits::MAX_PRICE)
}

fn next_minute(now_ns: i64) -> i64 {
    (now_ns.div_euclid(MINUTE_NS) + 1).saturating_mul(MINUTE_NS)
}

fn next_hour(now_ns: i64) -> i64 {
    (now_ns.div_euclid(HOUR_NS) + 1).saturating_mul(HOUR_NS)
}
