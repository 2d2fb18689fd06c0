//! Distribution markets from events alone (P10.5): the claim never stands above its backing, every trade posts what it
//! could lose, every payment is what its claims are worth at the final number, and the last one empties the pool (I17).

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, INSURANCE, POOL_CASH};
use super::outcome::DISTRIBUTION;
use super::records::check_movements;
use super::Auditor;
use crate::wire::event::{
    DistributionBody, DistributionMoveBody, DistributionPaidBody, Event, EventKind, Posting,
};

const ACTIVE: u8 = 1;
const WHOLE_PPM: i64 = 1_000_000;
const SMALLEST_FUNDING: i64 = 200_000_000;
const MOST_CLAIMS: usize = 32;
/// Widths on each side of a centre, and points in them, at which a trade's claim is looked at.
const REACH: f64 = 8.0;
const POINTS: i32 = 48;
/// Between two such points the least value lies at most this part of the peak deeper.
const BETWEEN: f64 = 0.02;
/// What the independent formulas may be wrong by: a part of the norm, and of a micro.
const RELATIVE_ROOM: f64 = 1e-9;
const ABSOLUTE_ROOM: f64 = 2.0;

/// Mean and width in the question's unit times 10⁶.
type Claim = (i64, i64);

#[derive(Clone, Copy, Debug)]
struct Question {
    norm: i64,
    backing: i64,
    lower: i64,
    upper: i64,
    claim: Claim,
    creator: (u32, u8),
    fees: i64,
    rest_paid: bool,
}

#[derive(Clone, Copy, Debug)]
struct Trade {
    from: Option<Claim>,
    to: Claim,
    collateral: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Questions {
    pools: BTreeMap<u32, Question>,
    trades: BTreeMap<(u32, u32, u8), Vec<Trade>>,
}

impl Questions {
    pub fn has(&self, market: u32) -> bool {
        self.pools.contains_key(&market)
    }

    /// Whether an account has claims in a market, or what is left of its backing.
    pub fn has_part(&self, market: u32, account: u32) -> bool {
        let trades = self.trades.range((market, account, 0)..=(market, account, u8::MAX)).next().is_some();
        trades || self.pools.get(&market).is_some_and(|pool| pool.creator.0 == account && !pool.rest_paid)
    }

    /// Takes the distribution markets of a restored state over.
    pub fn load(&mut self, questions: &crate::amm::question::Questions) {
        let claim = |shape: crate::amm::question::Shape| (shape.mean, shape.sigma);
        for (&market, pool) in &questions.pools {
            let &crate::amm::question::Question {
                norm, backing, lower, upper, creator, fees, rest_paid, ..
            } = pool;
            let claim = claim(pool.shape);
            let question = Question { norm, backing, lower, upper, claim, creator, fees, rest_paid };
            self.pools.insert(market, question);
        }
        for (&place, trades) in &questions.trades {
            let trades = trades.iter().map(|trade| Trade {
                from: trade.from.map(claim),
                to: claim(trade.to),
                collateral: trade.collateral,
            });
            self.trades.insert(place, trades.collect());
        }
    }
}

impl Question {
    /// λ·N(μ, σ²) at a number: its peak is k/√(σ√π).
    fn height(&self, (mean, sigma): Claim, at: f64) -> f64 {
        let z = (at - mean as f64) / sigma as f64;
        self.peak(sigma) * libm::exp(-0.5 * z * z)
    }

    fn peak(&self, sigma: i64) -> f64 {
        let width = sigma as f64 / 1e6;
        self.norm as f64 / (width * core::f64::consts::PI.sqrt()).sqrt()
    }

    fn room(&self) -> f64 {
        self.norm as f64 * RELATIVE_ROOM + ABSOLUTE_ROOM
    }

    fn check_claim(&self, claim: Claim) -> Check {
        let (mean, sigma) = claim;
        ensure!(
            (self.lower..=self.upper).contains(&mean)
                && sigma > 0
                && sigma <= self.upper - self.lower
                && self.peak(sigma) <= self.backing as f64 + self.room(),
            "I17",
            "a claim of {claim:?} on {self:?}"
        );
        Ok(())
    }

    /// The most that the claim `to` − `from` loses at any of the points, in micro-quote.
    fn largest_loss(&self, from: Claim, to: Claim) -> f64 {
        let mut largest: f64 = 0.0;
        for (mean, sigma) in [from, to] {
            for point in -POINTS..=POINTS {
                let at = mean as f64 + sigma as f64 * REACH * f64::from(point) / f64::from(POINTS);
                largest = largest.max(self.height(from, at) - self.height(to, at));
            }
        }
        largest
    }
}

impl Auditor {
    pub(super) fn check_question(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let market = *self.market(event.market)?;
        ensure!(market.kind == DISTRIBUTION, "I17", "market {} asks for no number", event.market);
        match kind {
            EventKind::DistributionCreated => self.question_created(event, postings),
            EventKind::DistributionMoved => self.question_moved(event, postings),
            _ => self.question_paid(event, postings),
        }
    }

    fn question_created(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: DistributionBody = event.body_as();
        let quote = self.market(event.market)?.quote;
        let claim = (body.mean, body.sigma);
        let question = Question {
            norm: body.norm,
            backing: body.backing,
            lower: body.lower,
            upper: body.upper,
            claim,
            creator: (event.account, event.sub),
            fees: 0,
            rest_paid: false,
        };
        ensure!(
            body.norm > 0 && body.backing >= SMALLEST_FUNDING && body.lower < body.upper,
            "I17",
            "a distribution market is {question:?}"
        );
        question.check_claim(claim)?;
        let is_new = self.questions.pools.insert(event.market, question).is_none();
        ensure!(is_new, "I17", "market {} has two pools", event.market);
        let first = Trade { from: None, to: claim, collateral: 0 };
        self.questions.trades.insert((event.market, event.account, event.sub), vec![first]);
        let movements = [
            (event.account, event.sub, quote, FREE, -body.backing),
            (event.market + 1, 0, quote, POOL_CASH, body.backing),
        ];
        check_movements("I17", movements, postings)
    }

    fn question_moved(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: DistributionMoveBody = event.body_as();
        let market = *self.market(event.market)?;
        let question = self.question(event.market)?;
        let (from, to) = ((body.from_mean, body.from_sigma), (body.mean, body.sigma));
        ensure!(
            market.status == ACTIVE && from == question.claim && to != from,
            "I17",
            "market {} of status {} moves from {from:?}",
            event.market,
            market.status
        );
        question.check_claim(to)?;
        let loss = question.largest_loss(from, to);
        let depth = BETWEEN * question.peak(from.1).max(question.peak(to.1));
        let (posted, room) = (body.collateral as f64, question.room());
        ensure!(
            body.collateral > 0 && posted >= loss - room && posted <= loss + depth + room,
            "I17",
            "a trade from {from:?} to {to:?} may lose {loss} and posts {}",
            body.collateral
        );
        let told = self.told_fee()?;
        let product = i128::from(body.collateral) * i128::from(told.rate_e8);
        let fee = ((product + 999_999_999_999) / 1_000_000_000_000) as i64;
        let [mut vault, stakers, maker_fund, insurance, treasury] = self.fee_movements(market.quote, fee);
        self.check_load_alone(&told)?;
        let provider_fee = vault.4 / 2;
        ensure!(
            (told.base, told.fee, told.rebate, told.counts) == (body.collateral, fee, 0, 0)
                && (body.fee, body.provider_fee) == (fee, provider_fee),
            "I11",
            "a trade with a collateral of {} pays {}, not {fee}",
            body.collateral,
            body.fee
        );
        vault.4 -= provider_fee;
        let paid_in = body.collateral + provider_fee;
        let movements = [
            (event.account, event.sub, market.quote, FREE, -(body.collateral + fee)),
            (event.market + 1, 0, market.quote, POOL_CASH, paid_in),
            vault,
            stakers,
            maker_fund,
            insurance,
            treasury,
        ];
        check_movements("I17", movements, postings)?;
        self.collect_charged(market.quote, fee, provider_fee);
        let place = (event.market, event.account, event.sub);
        let trades = self.questions.trades.entry(place).or_default();
        trades.push(Trade { from: Some(from), to, collateral: body.collateral });
        ensure!(
            trades.len() == body.claims as usize && trades.len() <= MOST_CLAIMS,
            "I20",
            "a trader has {} claims in market {}",
            trades.len(),
            event.market
        );
        let moved = Question { claim: to, fees: question.fees + provider_fee, ..question };
        self.questions.pools.insert(event.market, moved);
        self.check_question_cash(event.market, body.cash)
    }

    fn question_paid(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: DistributionPaidBody = event.body_as();
        let quote = self.market(event.market)?.quote;
        let mut question = self.question(event.market)?;
        let vector = self.final_vector(event.market)?;
        let high = i64::from(vector[0]);
        let is_invalid = 2 * high == WHOLE_PPM;
        let part = i128::from(question.upper - question.lower) * i128::from(high) / i128::from(WHOLE_PPM);
        let value = if is_invalid { 0 } else { question.lower + part as i64 };
        ensure!(
            body.value == value && body.invalid == u32::from(is_invalid),
            "I22",
            "market {} pays at {}, not at {value}",
            event.market,
            body.value
        );
        let owner = (event.account, event.sub);
        let trades = self.questions.trades.remove(&(event.market, owner.0, owner.1)).unwrap_or_default();
        let at = value as f64;
        let worth = |trade: &Trade| {
            let from = trade.from.map_or(0.0, |from| question.height(from, at));
            let change = if is_invalid { 0.0 } else { question.height(trade.to, at) - from };
            change + trade.collateral as f64
        };
        let of_trades: f64 = trades.iter().map(worth).sum();
        let mut of_creator = 0.0;
        if question.creator == owner && !question.rest_paid {
            let taken = if is_invalid { 0.0 } else { question.height(question.claim, at) };
            of_creator = question.backing as f64 - taken + question.fees as f64;
            question.rest_paid = true;
        }
        let (paid, room) = (body.paid as f64, question.room() * (1 + trades.len()) as f64);
        ensure!(
            trades.len() == body.claims as usize
                && (paid - of_trades - of_creator).abs() <= room
                && (body.residual as f64 - of_creator).abs() <= room,
            "I22",
            "account {} is paid {} for claims worth {of_trades} and a rest of {of_creator}",
            event.account,
            body.paid
        );
        self.questions.pools.insert(event.market, question);
        let held_in = self.questions.trades.range((event.market, 0, 0)..).next().map(|(place, _)| place.0);
        let is_last = question.rest_paid && held_in != Some(event.market);
        if is_last {
            self.questions.pools.remove(&event.market);
        }
        ensure!(
            body.swept >= 0 && (body.swept == 0 || is_last) && (body.cash == 0 || !is_last),
            "I17",
            "{} are swept from market {}, {} stay",
            body.swept,
            event.market,
            body.cash
        );
        let movements = [
            (event.market + 1, 0, quote, POOL_CASH, -(body.paid + body.swept)),
            (event.account, event.sub, quote, FREE, body.paid),
            (0, 0, quote, INSURANCE, body.swept),
        ];
        self.collect_fees(quote, body.swept);
        check_movements("I17", movements, postings)?;
        self.check_question_cash(event.market, body.cash)
    }

    fn question(&self, market: u32) -> Check<Question> {
        let found = self.questions.pools.get(&market).copied();
        found.ok_or_else(|| fault("I17", format_args!("market {market} has no distribution")))
    }

    fn check_question_cash(&self, market: u32, told: i64) -> Check {
        let cash = self.ledger.line(market + 1, 0, self.market(market)?.quote, POOL_CASH);
        ensure!(cash == told && cash >= 0, "I17", "the pool of market {market} has {cash}, told {told}");
        Ok(())
    }
}
