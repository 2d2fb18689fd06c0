//! Rewards of makers (I15): each has an hour, a book and a score, no hour gives more than its pots, nobody claims more.

use std::collections::BTreeSet;

use super::*;
use crate::audit::ledger::MAKER_FUND;
use crate::governance::parameters::Parameter;
use crate::wire::event::{MakerRewardedBody, ParameterBody, RewardHourBody, RewardedBody, TradeBody};

const HOUR_NS: i64 = 3_600_000_000_000;
const SAMPLES: u32 = 3_600;
const BOOKS: usize = 64;
/// Least value of a fill that is rewarded, in micro-quote.
const LEAST: i64 = 100_000_000;
/// Key of what may be claimed on the lines of the season and the maker fund.
const CLAIMABLE: u32 = 1;
/// Parameter of the volume's share, its default in per cent.
const VOLUME_PCT: (u32, i64) = (120, 20);
/// Of the taker fee, to its maker as a reward for volume (P8.7), in per cent.
const FEE_PCT: i64 = 20;

/// Fills of one maker in one market with others: value and taker fees.
type Made = BTreeMap<(u32, u32), (i64, i64)>;

/// An hour that is being paid.
#[derive(Clone, Debug)]
struct Hour {
    body: RewardHourBody,
    points: u128,
    volume: i64,
    paid: BTreeSet<(u32, u8, u32)>,
    token: i64,
    fund: i64,
    made: Made,
    left: BTreeSet<(u32, u8)>,
}

#[derive(Clone, Debug, Default)]
pub struct Makers {
    /// Books on the list, and those that left it within the hour.
    books: BTreeSet<(u32, u8)>,
    leaving: BTreeSet<(u32, u8)>,
    made: Made,
    hour: Option<Hour>,
    last_hour_ns: i64,
    volume_pct: Option<i64>,
    owed: BTreeMap<(u32, u16), i64>,
}

impl Hour {
    fn score_total(&self) -> u128 {
        u128::from(self.body.score_low) | u128::from(self.body.score_high) << 64
    }

    /// `floor(pot × points / total)`; the shares of the volume are bounded by its fees.
    fn expected(&self, body: &MakerRewardedBody) -> (i64, i64, i64) {
        let points = body.depth as u128 * u128::from(body.seen);
        let share = |pot: i64| match self.score_total() {
            0 => 0,
            total => (pot as u128 * points / total) as i64,
        };
        let pot = i128::from(self.body.token_pot);
        let volume_pot = pot * i128::from(self.body.volume_pct) / 100;
        let by_volume = match self.body.volume > 0 && self.body.token_price > 0 {
            true => {
                let even = volume_pot * i128::from(body.volume) / i128::from(self.body.volume);
                let most = i128::from(body.fees) * i128::from(FEE_PCT) * 10_000;
                even.min(most / i128::from(self.body.token_price)) as i64
            }
            false => 0,
        };
        (share((pot - volume_pot) as i64), by_volume, share(self.body.fund_pot))
    }
}

impl Token {
    /// Micro-tokens that a season has emitted by a moment.
    fn emitted(&self, now_ns: i64) -> i64 {
        let Some(season) = self.season else { return 0 };
        let elapsed_ns = now_ns.saturating_sub(season.start_ns).clamp(0, SEASON_NS);
        (i128::from(season.budget) * i128::from(elapsed_ns) / i128::from(SEASON_NS)) as i64
    }
}

impl Auditor {
    pub(in crate::audit) fn reward_parameter_set(&mut self, body: &ParameterBody) {
        if body.parameter == VOLUME_PCT.0 {
            self.token.makers.volume_pct = Some(body.value);
        }
    }

    /// A trade that may be rewarded: with somebody else, and not small.
    pub(in crate::audit) fn note_made(&mut self, event: &Event, body: &TradeBody) {
        let linked = self.tiers.is_linked(event.account, body.maker_account);
        let makers = &mut self.token.makers;
        let key = (event.market, body.maker_account);
        if makers.books.is_empty() || linked || body.notional < LEAST {
            return;
        }
        let (value, fees) = makers.made.entry(key).or_default();
        (*value, *fees) = (*value + body.notional, *fees + body.taker_fee.max(0));
    }

    pub(super) fn makers_moved(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::MarketRewarded => self.market_rewarded(event, postings),
            EventKind::RewardHourClosed => self.reward_hour(event, postings),
            EventKind::MakerRewarded => self.maker_rewarded(event, postings),
            _ => self.maker_claimed(event, postings),
        }
    }

    fn market_rewarded(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RewardedBody = event.body_as();
        let quote = self.market(event.market)?.quote;
        ensure!(postings.is_empty() && quote == body.quote, "I15", "a list of books moves money");
        let makers = &mut self.token.makers;
        let key = (event.market, body.outcome);
        let moved = match body.rewarded {
            1 => makers.books.insert(key),
            _ => {
                makers.leaving.insert(key);
                makers.books.remove(&key)
            }
        };
        ensure!(
            moved && makers.books.len() <= BOOKS,
            "I15",
            "book {key:?} enters or leaves the list a second time, {} are on it",
            makers.books.len()
        );
        Ok(())
    }

    fn reward_hour(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RewardHourBody = event.body_as();
        let token = &self.token;
        let emitted = token.emitted(body.hour_ns) - token.emitted(body.hour_ns.saturating_sub(HOUR_NS));
        let fund = self.ledger.line(0, 0, body.quote, MAKER_FUND);
        let volume_pct = token.makers.volume_pct.unwrap_or(VOLUME_PCT.1);
        ensure!(
            body.hour_ns % HOUR_NS == 0
                && (token.makers.last_hour_ns + 1..=event.time_ns).contains(&body.hour_ns)
                && postings.is_empty(),
            "I15",
            "an hour of rewards ends at {} after {}",
            body.hour_ns,
            token.makers.last_hour_ns
        );
        ensure!(
            (body.token_pot, body.fund_pot, i64::from(body.volume_pct)) == (emitted, fund, volume_pct),
            "I15",
            "an hour gives {} of {emitted} emitted and {} of {fund} in the fund, {} % by volume",
            body.token_pot,
            body.fund_pot,
            body.volume_pct
        );
        let makers = &mut self.token.makers;
        let made = std::mem::take(&mut makers.made);
        makers.last_hour_ns = body.hour_ns;
        let left = std::mem::take(&mut makers.leaving);
        makers.hour =
            Some(Hour { body, points: 0, volume: 0, paid: BTreeSet::new(), token: 0, fund: 0, made, left });
        Ok(())
    }

    fn maker_rewarded(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: MakerRewardedBody = event.body_as();
        let (market, account) = (event.market, event.account);
        let makers = &mut self.token.makers;
        let book = (market, body.outcome);
        let listed = makers.books.contains(&book);
        let Some(hour) = makers.hour.as_mut().filter(|hour| listed || hour.left.contains(&book)) else {
            return Err(fault("I15", format_args!("account {account} is rewarded outside of the list")));
        };
        let expected = hour.expected(&body);
        ensure!(
            (body.by_score, body.by_volume, body.fund) == expected,
            "I15",
            "account {account} is given {}, {} and {} for its score, not {expected:?}",
            body.by_score,
            body.by_volume,
            body.fund
        );
        let (value, fees) = hour.made.get(&(market, account)).copied().unwrap_or_default();
        ensure!(
            body.depth >= 0
                && body.seen <= SAMPLES
                && (0..=value).contains(&body.volume)
                && (0..=fees).contains(&body.fees),
            "I15",
            "account {account} made {} with fees of {}; of {value} with others and {fees}",
            body.volume,
            body.fees
        );
        let token = body.by_score + body.by_volume;
        hour.points += body.depth as u128 * u128::from(body.seen);
        hour.volume += body.volume;
        hour.token += token;
        hour.fund += body.fund;
        ensure!(
            hour.paid.insert((market, body.outcome, account))
                && hour.points <= hour.score_total()
                && hour.volume <= hour.body.volume
                && hour.token <= hour.body.token_pot
                && hour.fund <= hour.body.fund_pot,
            "I15",
            "account {account} is paid twice, or the hour gives more than it has: {} and {}",
            hour.token,
            hour.fund
        );
        for (asset, amount) in [(body.token, token), (body.quote, body.fund)] {
            if amount > 0 {
                *makers.owed.entry((account, asset)).or_insert(0) += amount;
            }
        }
        if let Some(season) = &mut self.token.season {
            season.paid += token;
        }
        let movements = [
            (0, 0, body.token, SEASON, -token),
            (CLAIMABLE, 0, body.token, SEASON, token),
            (0, 0, body.quote, MAKER_FUND, -body.fund),
            (CLAIMABLE, 0, body.quote, MAKER_FUND, body.fund),
        ];
        check_movements("I15", movements, postings)?;
        self.collect_fees(body.quote, -body.fund);
        Ok(())
    }

    fn maker_claimed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RewardsBody = event.body_as();
        let account = event.account;
        let owed = self.token.makers.owed.remove(&(account, body.asset)).unwrap_or(0);
        let source = if self.token.asset == Some(body.asset) { SEASON } else { MAKER_FUND };
        ensure!(
            body.amount > 0 && body.amount == owed && body.source == source,
            "I15",
            "account {account} claims {} of asset {}, {owed} was set aside",
            body.amount,
            body.asset
        );
        let movements =
            [(CLAIMABLE, 0, body.asset, source, -body.amount), (account, 0, body.asset, FREE, body.amount)];
        check_movements("I15", movements, postings)
    }

    /// What may be claimed lies on the lines, to the micro-unit.
    pub(super) fn verify_makers(&self) -> Check {
        let mut sums = BTreeMap::<u16, i64>::new();
        for (&(_, asset), amount) in &self.token.makers.owed {
            *sums.entry(asset).or_insert(0) += amount;
        }
        for asset in 0..self.records.assets as u16 {
            let line = if self.token.asset == Some(asset) { SEASON } else { MAKER_FUND };
            let (lies, owed) =
                (self.ledger.line(CLAIMABLE, 0, asset, line), sums.get(&asset).copied().unwrap_or(0));
            ensure!(lies == owed, "I15", "{lies} of asset {asset} are set aside for makers, {owed} are owed");
        }
        Ok(())
    }

    /// Micro-tokens set aside for makers.
    pub(super) fn token_claimable(&self, asset: u16) -> i64 {
        self.ledger.line(CLAIMABLE, 0, asset, SEASON)
    }

    pub(super) fn take_over_makers<B: Book>(&mut self, engine: &Engine<B>) {
        let state = &engine.state.token.makers;
        let makers = &mut self.token.makers;
        for (&key, book) in &state.books {
            if book.ends {
                makers.leaving.insert(key);
            } else {
                makers.books.insert(key);
            }
            for (&(first, second), pair) in &book.pairs {
                for (side, account) in [first, second].into_iter().enumerate() {
                    let (value, fees) = makers.made.entry((key.0, account)).or_default();
                    (*value, *fees) = (*value + pair.value[side], *fees + pair.fees[side]);
                }
            }
        }
        makers.owed = state.accrued.clone();
        makers.volume_pct = Some(engine.state.governance.value(Parameter::RewardVolumePct));
    }
}
