//! Swaps against pools (row 0501; P8.11, P10.2).

use super::elastic::{tell_fee, Charge, Elastic};
use super::pool::subject_of;
use crate::amm::pool::{thin_bp, Ask, Pool, Priced, Reserves};
use crate::amm::MAX_OUTCOMES;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::fees::amount;
use crate::ledger::line;
use crate::limits::{DEFAULT_IMPACT_BP, MAX_IMPACT_BP, MAX_SWAP, MIN_SWAP, RESOLUTION_BUFFER_NS};
use crate::market::status;
use crate::math::MAX_BALANCE;
use crate::outcome::loans::FIRST_PLEDGE;
use crate::output::Output;
use crate::wire::command::{side, Command, SwapAmm};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{claims_cause, EventKind, SwapBody};

const PPB_PER_BP: i64 = 100_000;

impl<B: Book> Engine<B> {
    /// 0501.
    ///
    /// # Errors
    /// In this order: `POOL_NOT_FOUND`, `MARKET_NOT_ACTIVE`, `INVALID_OUTCOME`, `INVALID_ORDER_TYPE`,
    /// `INVALID_AMOUNT`, `PARAMETER_OUT_OF_BOUNDS` (impact), `COMMAND_EXPIRED`, `IN_RESOLUTION_BUFFER`, those of the
    /// kernels, `BELOW_MINIMUM`, `ABOVE_MAXIMUM`, `INSUFFICIENT_SHARES`, `INSUFFICIENT_LIQUIDITY`,
    /// `PRICE_IMPACT_TOO_HIGH`, `SLIPPAGE_EXCEEDED`, `INSUFFICIENT_BALANCE`.
    pub(crate) fn swap_amm(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: SwapAmm = command.payload_as();
        if request.reserved != 0 || request.reserved2 != 0 || request.reserved3 != 0 {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        let ask = self.check_swap(&request, &self.pool_of(request.market)?, command.time_ns)?;
        let mut reserves = [0; MAX_OUTCOMES];
        let touched = self.touched(request.market, command.time_ns, &mut reserves)?;
        let owner = (context.account, command.sub);
        let swap = self.price_swap((owner, command.time_ns), &request, &touched.pool, &reserves, ask)?;
        if ask.buys() {
            self.check_money(owner.0, owner.1, swap.quote, swap.money)?;
        }
        self.check_claims_room()?;
        self.keep_touch(command, request.market, &touched, output);
        self.settle_swap(command, (owner, &request), (&touched.pool, ask), &swap, output);
        Ok(if matches!(ask, Ask::Earn(_)) { swap.money } else { swap.priced.shares } as u64)
    }

    /// What a swap gives and costs, after every check but that of the buyer's money.
    #[inline(never)]
    pub(super) fn price_swap(
        &self,
        (owner, now_ns): ((u32, u8), i64),
        request: &SwapAmm,
        pool: &Pool,
        reserves: &Reserves,
        ask: Ask,
    ) -> Result<Swap, Reject> {
        let market = &self.state.markets.list[request.market as usize];
        let (quote, most_e6bp) = (market.quote, market.parameters.taker_fee_e6bp);
        let cash = self.state.system.get(line::POOL_CASH, request.market + 1, quote);
        let as_reject = |code: Code| Reject::new(code, 0, request.amount);
        let priced = pool.price(reserves, cash, request.outcome, ask).map_err(as_reject)?;
        self.check_priced(owner, request, (cash, reserves, pool.outcome_count), &priced, ask.buys())?;
        check_impact(request, &priced)?;
        let thin_bp = thin_bp(cash, &reserves[..usize::from(pool.outcome_count)]);
        let moving_bp = self.state.fees.adjust.of_pool(request.market, now_ns);
        let elastic = self.elastic_now(most_e6bp, thin_bp + moving_bp, (owner.0, now_ns));
        let base = priced.fee_base();
        let whole = amount(base, elastic.rate_e8);
        let fee = if ask.buys() { whole } else { whole.min(priced.cost) };
        let money = if ask.buys() { priced.cost + fee } else { priced.cost - fee };
        check_limit(request.limit, ask, priced.shares, money)?;
        Ok(Swap { quote, priced, base, fee, money, elastic })
    }

    #[inline(never)]
    pub(super) fn settle_swap(
        &mut self,
        command: &Command,
        (owner, request): ((u32, u8), &SwapAmm),
        (pool, ask): (&Pool, Ask),
        swap: &Swap,
        output: &mut Output,
    ) {
        let (priced, fee, quote) = (&swap.priced, swap.fee, swap.quote);
        let subject = subject_of(owner, request.market);
        let counts = self.count_swap(request.market, owner.0, swap.base, fee, command.time_ns);
        let by = priced.after_ppb - priced.before_ppb;
        // Of two outcomes the second is the complement of the first.
        let by = if pool.outcome_count == 2 && request.outcome == 1 { -by } else { by };
        self.state.fees.adjust.note_swap(request.market, command.time_ns, by);
        let charge = Charge { base: swap.base, fee, rebate: 0, rebate_pct: 0, counts };
        tell_fee(command, subject, swap.elastic, &charge, output);
        let parts = self.split_fee(fee);
        let provider_fee = parts.providers();
        let (to_user, to_pool) =
            if ask.buys() { (-swap.money, priced.cost) } else { (swap.money, -priced.cost) };
        self.post_pool(
            owner,
            (request.market, quote),
            to_user,
            (to_pool + provider_fee, priced.minted),
            output,
        );
        self.post_split(&parts, provider_fee, quote, &mut output.postings);
        let body = SwapBody {
            outcome: request.outcome,
            side: request.side,
            reserved: 0,
            reserved2: 0,
            shares: priced.shares,
            cost: priced.cost,
            fee,
            minted: priced.minted,
            price_before_ppb: priced.before_ppb,
            price_after_ppb: priced.after_ppb,
            liquidity: pool.liquidity,
            provider_fee,
        };
        output.emit(command, EventKind::AmmSwapped, subject, &body);
        let bought = if ask.buys() { priced.shares } else { -priced.shares };
        self.move_claims(command, &subject, request.outcome, (bought, 0), claims_cause::POOL, output);
        let change = |outcome| priced.minted - if outcome == request.outcome { bought } else { 0 };
        self.move_pool(command, request.market, pool.outcome_count, change, output);
        self.after_collateral(command, owner.0, owner.1, output);
    }

    pub(super) fn check_swap(&self, request: &SwapAmm, pool: &Pool, now_ns: i64) -> Result<Ask, Reject> {
        let market = &self.state.markets.list[request.market as usize];
        if market.status != status::ACTIVE {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        if request.outcome >= pool.outcome_count {
            return reject(Code::INVALID_OUTCOME, i64::from(pool.outcome_count), i64::from(request.outcome));
        }
        let ask = match (request.side, request.exact_out) {
            (side::BUY, 0) => Ask::Spend(request.amount),
            (side::BUY, 1) => Ask::Buy(request.amount),
            (side::SELL, 0) => Ask::Sell(request.amount),
            (side::SELL, 1) => Ask::Earn(request.amount),
            _ => return reject(Code::INVALID_ORDER_TYPE, 0, i64::from(request.exact_out)),
        };
        if request.amount < 1 || request.limit < 1 {
            return reject(Code::INVALID_AMOUNT, 1, request.amount.min(request.limit));
        }
        if request.amount > MAX_BALANCE {
            return reject(Code::ABOVE_MAXIMUM, MAX_BALANCE, request.amount);
        }
        if request.max_impact_bp > MAX_IMPACT_BP {
            let (bound, given) = (i64::from(MAX_IMPACT_BP), i64::from(request.max_impact_bp));
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, given);
        }
        if request.deadline_ns != 0 && now_ns > request.deadline_ns {
            return reject(Code::COMMAND_EXPIRED, request.deadline_ns, now_ns);
        }
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if now_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, now_ns);
        }
        Ok(ask)
    }

    /// Bounds of the money, shares of the seller, and the pool's cash and claims after it (P10.2.3, P10.2.4).
    fn check_priced(
        &self,
        owner: (u32, u8),
        request: &SwapAmm,
        (cash, reserves, outcome_count): (i64, &Reserves, u8),
        priced: &Priced,
        buys: bool,
    ) -> Result<(), Reject> {
        if priced.cost < MIN_SWAP {
            return reject(Code::BELOW_MINIMUM, MIN_SWAP, priced.cost);
        }
        if priced.cost > MAX_SWAP {
            return reject(Code::ABOVE_MAXIMUM, MAX_SWAP, priced.cost);
        }
        // A pledge has what it sells, or makes it first.
        if !buys && owner.1 < FIRST_PLEDGE {
            let owned = self.state.claims.free(owner.0, owner.1, request.market, request.outcome);
            if priced.shares > owned {
                return reject(Code::INSUFFICIENT_SHARES, owned, priced.shares);
            }
        }
        let after = cash + if buys { priced.cost } else { -priced.cost } - priced.minted;
        let sold = if buys { priced.shares } else { -priced.shares };
        let mut least = after.min(reserves[usize::from(request.outcome)] + priced.minted - sold);
        if priced.minted < 0 {
            let others = (0..outcome_count).filter(|&outcome| outcome != request.outcome);
            let claims = others.map(|outcome| reserves[usize::from(outcome)] + priced.minted);
            least = claims.min().unwrap_or(0).min(least);
        }
        if least < 0 {
            return reject(Code::INSUFFICIENT_LIQUIDITY, 0, least);
        }
        Ok(())
    }
}

/// A priced swap.
pub(super) struct Swap {
    quote: u16,
    priced: Priced,
    /// Micro-quote on which the fee is taken.
    base: i64,
    fee: i64,
    /// What the trader pays or receives.
    money: i64,
    elastic: Elastic,
}

/// The price does not move further than the caller allows.
fn check_impact(request: &SwapAmm, priced: &Priced) -> Result<(), Reject> {
    let allowed = if request.max_impact_bp == 0 { DEFAULT_IMPACT_BP } else { request.max_impact_bp };
    let bound = i64::from(allowed) * PPB_PER_BP;
    let impact = (priced.after_ppb - priced.before_ppb).abs();
    if impact > bound {
        return reject(Code::PRICE_IMPACT_TOO_HIGH, bound, impact);
    }
    Ok(())
}

/// The caller's limit: least to receive when the amount is what it gives, most to give when it is what it receives.
fn check_limit(limit: i64, ask: Ask, shares: i64, money: i64) -> Result<(), Reject> {
    let (kept, given) = match ask {
        Ask::Spend(_) => (shares >= limit, shares),
        Ask::Sell(_) => (money >= limit, money),
        Ask::Buy(_) => (money <= limit, money),
        Ask::Earn(_) => (shares <= limit, shares),
    };
    if kept {
        Ok(())
    } else {
        reject(Code::SLIPPAGE_EXCEEDED, limit, given)
    }
}
