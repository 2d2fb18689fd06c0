//! Distribution markets (P10.5; rows 0109, 0503): a claim of fixed norm that traders move, each paying for the largest
//! loss of what it receives.

use super::elastic::{tell_fee, Charge};
use super::pool::subject_of;
use crate::amm::question::{Question, Shape, Trade};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::fees::amount;
use crate::ledger::{line, post_system, post_user};
use crate::limits::{
    MAX_DISTRIBUTION_CLAIMS, MAX_POOL_PROVIDERS, MIN_DISTRIBUTION_FUNDING, RESOLUTION_BUFFER_NS,
};
use crate::market::{kind, status};
use crate::math::MAX_BALANCE;
use crate::output::Output;
use crate::wire::command::{Command, CreatePool, TradeDistribution};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{DistributionBody, DistributionMoveBody, DistributionPaidBody, EventKind};
use crate::wire::pool::amm_kind;

/// Bounds, means and widths lie within this of 0, so that their differences are exact.
const MAX_NUMBER: i64 = 1 << 52;

/// What a sub-account receives for its claims in micro-quote; `residual` of it is the creator's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub paid: i64,
    residual: i64,
    claims: u32,
    /// The final number in the question's unit times 10⁶; None = INVALID.
    value: Option<i64>,
}

fn refused((code, bound, given): (Code, i64, i64)) -> Reject {
    Reject::new(code, bound, given)
}

impl<B: Book> Engine<B> {
    /// 0109 for kind 4: the funding backs the claims, the creator receives the first one.
    ///
    /// # Errors
    /// `INVALID_AMM_KIND`, `ALREADY_EXISTS`, `BELOW_MINIMUM`, `PARAMETER_OUT_OF_BOUNDS` for the norm, `INVALID_BOUNDS`,
    /// `SIGMA_BELOW_MINIMUM`, `INSUFFICIENT_BALANCE`.
    pub(super) fn create_distribution(
        &mut self,
        command: &Command,
        context: Context,
        request: &CreatePool,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let market = &self.state.markets.list[request.market as usize];
        let wanted = i64::from(request.amm_kind);
        if market.kind != kind::DISTRIBUTION || wanted % i64::from(amm_kind::DISTRIBUTION) != 0 {
            let fits =
                if market.kind == kind::DISTRIBUTION { amm_kind::DISTRIBUTION } else { amm_kind::NONE };
            return reject(Code::INVALID_AMM_KIND, i64::from(fits), wanted);
        }
        let quote = market.quote;
        if self.state.questions.pools.contains_key(&request.market) {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(request.market));
        }
        if request.funding < MIN_DISTRIBUTION_FUNDING {
            return reject(Code::BELOW_MINIMUM, MIN_DISTRIBUTION_FUNDING, request.funding);
        }
        if !(1..=MAX_BALANCE >> 10).contains(&request.norm) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, MAX_BALANCE >> 10, request.norm);
        }
        let range = -MAX_NUMBER..=MAX_NUMBER;
        if request.lower >= request.upper
            || !range.contains(&request.lower)
            || !range.contains(&request.upper)
        {
            return reject(Code::INVALID_BOUNDS, request.upper, request.lower);
        }
        let shape = Shape { mean: request.mean, sigma: request.sigma };
        let owner = (context.account, command.sub);
        let question = Question {
            norm: request.norm,
            backing: request.funding,
            lower: request.lower,
            upper: request.upper,
            shape,
            creator: owner,
            fees: 0,
            rest_paid: false,
        };
        question.check(shape).map_err(refused)?;
        self.check_money(owner.0, owner.1, quote, request.funding)?;
        self.state.questions.pools.insert(request.market, question);
        let first = Trade { from: None, to: shape, collateral: 0 };
        self.state.questions.trades.insert((request.market, owner.0, owner.1), vec![first]);
        self.post_pool(owner, (request.market, quote), -request.funding, (request.funding, 0), output);
        let body = DistributionBody {
            norm: request.norm,
            backing: request.funding,
            lower: request.lower,
            upper: request.upper,
            mean: request.mean,
            sigma: request.sigma,
        };
        output.emit(command, EventKind::DistributionCreated, subject_of(owner, request.market), &body);
        self.after_collateral(command, owner.0, owner.1, output);
        Ok(u64::from(request.market))
    }

    /// 0503: moves the claim; the trader receives new − old and posts the largest loss of it.
    ///
    /// # Errors
    /// In this order: `POOL_NOT_FOUND`, `MARKET_NOT_ACTIVE`, `COMMAND_EXPIRED`, `IN_RESOLUTION_BUFFER`, `INVALID_BOUNDS`,
    /// `SIGMA_BELOW_MINIMUM`, `INVALID_AMOUNT` when nothing moves, those of the kernel, `SLIPPAGE_EXCEEDED`,
    /// `TOO_MANY_CLAIMS`, `CAPACITY_EXCEEDED`, `INSUFFICIENT_BALANCE`.
    pub(crate) fn trade_distribution(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: TradeDistribution = command.payload_as();
        if request.reserved != 0 {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        let (question, quote) = self.question_for_trade(&request, command.time_ns)?;
        let to = Shape { mean: request.mean, sigma: request.sigma };
        question.check(to).map_err(refused)?;
        let collateral =
            question.collateral(to).map_err(|code| Reject::new(code, question.shape.mean, request.mean))?;
        if collateral > request.max_collateral {
            return reject(Code::SLIPPAGE_EXCEEDED, request.max_collateral, collateral);
        }
        let owner = (context.account, command.sub);
        let place = (request.market, owner.0, owner.1);
        let held = self.state.questions.trades.get(&place).map_or(0, Vec::len);
        if held >= MAX_DISTRIBUTION_CLAIMS {
            return reject(Code::TOO_MANY_CLAIMS, MAX_DISTRIBUTION_CLAIMS as i64, held as i64);
        }
        if held == 0 && self.state.questions.trades.len() >= MAX_POOL_PROVIDERS {
            let full = MAX_POOL_PROVIDERS as i64;
            return reject(Code::CAPACITY_EXCEEDED, full, full);
        }
        // P8.1: the fee of a distribution trade is taken on its collateral.
        let most_e6bp = self.state.markets.list[request.market as usize].parameters.taker_fee_e6bp;
        let elastic =
            self.elastic_now(most_e6bp, self.state.fees.adjust.load_bp(), (owner.0, command.time_ns));
        let fee = amount(collateral, elastic.rate_e8);
        self.check_money(owner.0, owner.1, quote, collateral + fee)?;
        let parts = self.split_fee(fee);
        let provider_fee = parts.providers();
        let subject = subject_of(owner, request.market);
        let charge = Charge { base: collateral, fee, rebate: 0, rebate_pct: 0, counts: false };
        tell_fee(command, subject, elastic, &charge, output);
        let from = question.shape;
        let new = Question { shape: to, fees: question.fees + provider_fee, ..question };
        self.state.questions.pools.insert(request.market, new);
        let trades = self.state.questions.trades.entry(place).or_default();
        trades.push(Trade { from: Some(from), to, collateral });
        let claims = trades.len() as u32;
        let paid_in = (collateral + provider_fee, 0);
        self.post_pool(owner, (request.market, quote), -(collateral + fee), paid_in, output);
        self.post_split(&parts, provider_fee, quote, &mut output.postings);
        let body = DistributionMoveBody {
            from_mean: from.mean,
            from_sigma: from.sigma,
            mean: to.mean,
            sigma: to.sigma,
            collateral,
            fee,
            provider_fee,
            claims,
            reserved: 0,
            cash: self.state.system.get(line::POOL_CASH, request.market + 1, quote),
        };
        output.emit(command, EventKind::DistributionMoved, subject, &body);
        self.after_collateral(command, owner.0, owner.1, output);
        Ok(collateral as u64)
    }

    fn question_for_trade(
        &self,
        request: &TradeDistribution,
        now_ns: i64,
    ) -> Result<(Question, u16), Reject> {
        let Some(question) = self.state.questions.pools.get(&request.market).copied() else {
            return reject(Code::POOL_NOT_FOUND, 0, i64::from(request.market));
        };
        let market = &self.state.markets.list[request.market as usize];
        if market.status != status::ACTIVE {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        if request.deadline_ns != 0 && now_ns > request.deadline_ns {
            return reject(Code::COMMAND_EXPIRED, request.deadline_ns, now_ns);
        }
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if now_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, now_ns);
        }
        Ok((question, market.quote))
    }

    /// The pool of a distribution market.
    pub fn question(&self, market: u32) -> Option<Question> {
        self.state.questions.pools.get(&market).copied()
    }

    /// What a sub-account's claims in a distribution market pay once its number is final; None when it has none there.
    pub(super) fn distribution_due(&self, owner: (u32, u8), market: u32) -> Result<Option<Due>, Reject> {
        let Some(question) = self.state.questions.pools.get(&market) else { return Ok(None) };
        let Some(payout) = self.state.resolutions.payout(market) else { return Ok(None) };
        let value = question.value_of(payout);
        let trades = self.state.questions.trades.get(&(market, owner.0, owner.1));
        let trades = trades.map_or(&[][..], Vec::as_slice);
        let has_rest = question.creator == owner && !question.rest_paid;
        if trades.is_empty() && !has_rest {
            return Ok(None);
        }
        let mut paid = 0;
        for trade in trades {
            paid += trade.pays(question.norm, value)?;
        }
        let residual = if has_rest { question.rest(value)? + question.fees } else { 0 };
        Ok(Some(Due { paid: paid + residual, residual, claims: trades.len() as u32, value }))
    }

    /// Pays what [`Engine::distribution_due`] found. Who is last leaves what rounding kept to insurance.
    pub(super) fn pay_distribution(
        &mut self,
        command: &Command,
        (owner, market, quote): ((u32, u8), u32, u16),
        due: Due,
        output: &mut Output,
    ) {
        let questions = &mut self.state.questions;
        questions.trades.remove(&(market, owner.0, owner.1));
        let question = questions.pools.get_mut(&market).expect("its payment is due");
        question.rest_paid |= question.creator == owner;
        let is_last = question.rest_paid && !questions.has_claims(market);
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::POOL_CASH, market + 1, quote, -due.paid);
        post_user(&mut self.state.accounts, postings, owner.0, owner.1, quote, line::FREE, due.paid);
        let left = self.state.system.get(line::POOL_CASH, market + 1, quote);
        let swept = if is_last { left } else { 0 };
        if is_last {
            self.state.questions.end(market);
        }
        if swept > 0 {
            post_system(&mut self.state.system, postings, line::POOL_CASH, market + 1, quote, -swept);
            post_system(&mut self.state.system, postings, line::INSURANCE, 0, quote, swept);
        }
        let body = DistributionPaidBody {
            value: due.value.unwrap_or(0),
            paid: due.paid,
            residual: due.residual,
            swept,
            cash: left - swept,
            claims: due.claims,
            invalid: u32::from(due.value.is_none()),
        };
        output.emit(command, EventKind::DistributionPaid, subject_of(owner, market), &body);
    }
}
