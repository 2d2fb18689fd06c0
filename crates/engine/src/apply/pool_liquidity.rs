//! Liquidity of pools (row 0502): a part of everything that a pool has comes, or goes.

use super::pool::{subject_of, Touched};
use crate::amm::dynamic::{Decay, SIDES};
use crate::amm::micro::{MAX_B_MICRO, MIN_B_MICRO};
use crate::amm::pool::{share, Pool, Provider, Reserves};
use crate::amm::MAX_OUTCOMES;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::line;
use crate::limits::{LIQUIDITY_LOCK_NS, MAX_POOL_PROVIDERS, MIN_LMSR_FUNDING, MIN_PM_FUNDING};
use crate::market::status;
use crate::math::MAX_BALANCE;
use crate::output::Output;
use crate::wire::command::{Command, PoolLiquidity};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{claims_cause, EventKind, LiquidityBody};
use crate::wire::pool::amm_kind;

impl<B: Book> Engine<B> {
    /// 0502, op 0: pays in the same part of everything that the pool has.
    ///
    /// # Errors
    /// `POOL_NOT_FOUND`, `MARKET_NOT_ACTIVE`, `BELOW_MINIMUM`, `ABOVE_MAXIMUM`, `SHARES_ZERO`,
    /// `PARAMETER_OUT_OF_BOUNDS`, `SLIPPAGE_EXCEEDED`, `CAPACITY_EXCEEDED`, `INSUFFICIENT_BALANCE`.
    pub(crate) fn add_liquidity(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: PoolLiquidity = command.payload_as();
        if request.reserved != 0 {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        let mut reserves = [0; MAX_OUTCOMES];
        let touched = self.touched(request.market, command.time_ns, &mut reserves)?;
        let pool = touched.pool;
        let market = &self.state.markets.list[request.market as usize];
        let (quote, outcomes) = (market.quote, usize::from(pool.outcome_count));
        if market.status != status::ACTIVE {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        let least = if pool.kind == amm_kind::LMSR { MIN_LMSR_FUNDING } else { MIN_PM_FUNDING };
        if request.amount < least {
            return reject(Code::BELOW_MINIMUM, least, request.amount);
        }
        if request.amount > MAX_BALANCE / 4 {
            return reject(Code::ABOVE_MAXIMUM, MAX_BALANCE / 4, request.amount);
        }
        let cash = self.state.system.get(line::POOL_CASH, request.market + 1, quote);
        let most = reserves[..outcomes].iter().copied().max().unwrap_or(0);
        // Two parts are rounded up: the amount must hold both.
        let shares = match cash.checked_add(most) {
            Some(capital) if capital > 0 => share(request.amount - 2, pool.shares, capital, false),
            _ => 0,
        };
        if shares < 1 {
            return reject(Code::SHARES_ZERO, 1, shares);
        }
        let liquidity = pool.liquidity.saturating_add(share(pool.liquidity, shares, pool.shares, false));
        let base = pool.decay.base.saturating_add(share(pool.decay.base, shares, pool.shares, false));
        // A dynamic pool has no liquidity left once its market ends.
        if pool.shares > MAX_BALANCE - shares || liquidity.max(base) > MAX_B_MICRO || liquidity < 1 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, MAX_B_MICRO, liquidity);
        }
        if shares < request.min_out {
            return reject(Code::SLIPPAGE_EXCEEDED, request.min_out, shares);
        }
        let part = |amount: i64| share(amount, shares, pool.shares, true);
        let (into_cash, minted) = (part(cash), part(most));
        let money = into_cash + minted;
        self.check_money(context.account, command.sub, quote, money)?;
        self.check_claims_room()?;
        let place = (request.market, context.account, command.sub);
        if !self.state.pools.providers.contains_key(&place)
            && self.state.pools.providers.len() >= MAX_POOL_PROVIDERS
        {
            let full = MAX_POOL_PROVIDERS as i64;
            return reject(Code::CAPACITY_EXCEEDED, full, full);
        }
        let owner = (context.account, command.sub);
        self.keep_touch(command, request.market, &touched, output);
        let decay = Decay { base, ..pool.decay };
        let new = Pool { liquidity, shares: pool.shares + shares, decay, ..pool };
        self.state.pools.pools.insert(request.market, new);
        let provider = self.state.pools.providers.entry(place).or_default();
        provider.settle(&pool);
        provider.shares += shares;
        provider.unlock_ns = command.time_ns.saturating_add(LIQUIDITY_LOCK_NS);
        let provider = *provider;
        self.post_pool(owner, (request.market, quote), -money, (money, minted), output);
        let subject = subject_of(owner, request.market);
        let body = liquidity_body(shares, money, minted, &provider, &new);
        output.emit(command, EventKind::LiquidityAdded, subject, &body);
        for outcome in 0..pool.outcome_count {
            // Sets come whole; what the pool does not take of one is the provider's.
            let rest = minted - part(reserves[usize::from(outcome)]);
            if rest != 0 {
                self.move_claims(command, &subject, outcome, (rest, 0), claims_cause::POOL, output);
            }
        }
        let change = |outcome: u8| part(reserves[usize::from(outcome)]);
        self.move_pool(command, request.market, pool.outcome_count, change, output);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(shares as u64)
    }

    /// 0502, op 1: takes out the same part of everything; complete sets among it as money.
    ///
    /// # Errors
    /// `POOL_NOT_FOUND`, `SHARES_ZERO`, `INSUFFICIENT_SHARES`, `LIQUIDITY_LOCKED`, `PARAMETER_OUT_OF_BOUNDS` when what
    /// stays would be no pool, `SLIPPAGE_EXCEEDED`.
    pub(crate) fn remove_liquidity(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: PoolLiquidity = command.payload_as();
        if request.reserved != 0 {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        let mut reserves = [0; MAX_OUTCOMES];
        let touched = self.touched(request.market, command.time_ns, &mut reserves)?;
        let pool = touched.pool;
        let place = (request.market, context.account, command.sub);
        let provider = self.state.pools.providers.get(&place).copied().unwrap_or_default();
        let shares = request.amount;
        if shares < 1 {
            return reject(Code::SHARES_ZERO, 1, shares);
        }
        if shares > provider.shares {
            return reject(Code::INSUFFICIENT_SHARES, provider.shares, shares);
        }
        if command.time_ns < provider.unlock_ns {
            return reject(Code::LIQUIDITY_LOCKED, provider.unlock_ns, command.time_ns);
        }
        // The lasting measure of a dynamic pool is L₀.
        let measure = if pool.kind == amm_kind::PM_DYNAMIC { pool.decay.base } else { pool.liquidity };
        let left = measure - share(measure, shares, pool.shares, true);
        if shares < pool.shares && left < MIN_B_MICRO {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, MIN_B_MICRO, left);
        }
        self.take_out(command, (place, provider), (&touched, &reserves, shares), request.min_out, output)
    }

    /// 0502, op 2: what a dynamic pool has set free for the provider; complete sets among it as money.
    ///
    /// # Errors
    /// `POOL_NOT_FOUND`, `PARAMETER_OUT_OF_BOUNDS` for an amount, `NOTHING_TO_CLAIM`, `SLIPPAGE_EXCEEDED`.
    pub(crate) fn collect_liquidity(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: PoolLiquidity = command.payload_as();
        if request.reserved != 0 {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        if request.amount != 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, request.amount);
        }
        let mut reserves = [0; MAX_OUTCOMES];
        let touched = self.touched(request.market, command.time_ns, &mut reserves)?;
        let place = (request.market, context.account, command.sub);
        let provider = self.state.pools.providers.get(&place).copied().unwrap_or_default();
        let mut settled = provider;
        settled.settle(&touched.pool);
        if settled.owed.claims == [0; SIDES] {
            return reject(Code::NOTHING_TO_CLAIM, 1, 0);
        }
        self.take_out(command, (place, provider), (&touched, &reserves, 0), request.min_out, output)
    }

    /// Gives a provider the part of `shares` of everything, and what has been set free for it.
    #[inline(never)]
    fn take_out(
        &mut self,
        command: &Command,
        (place, mut provider): ((u32, u32, u8), Provider),
        (touched, reserves, shares): (&Touched, &Reserves, i64),
        min_out: i64,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let (market, account, sub) = place;
        let pool = &touched.pool;
        let outcomes = usize::from(pool.outcome_count);
        let entry = &self.state.markets.list[market as usize];
        let (quote, settled) = (entry.quote, entry.status >= status::SETTLED);
        let cash = self.state.system.get(line::POOL_CASH, market + 1, quote);
        let part = |amount: i64| share(amount, shares, pool.shares, false);
        let mut new = Pool { shares: pool.shares - shares, ..*pool };
        new.liquidity -= share(pool.liquidity, shares, pool.shares, true);
        new.decay.base -= share(pool.decay.base, shares, pool.shares, true);
        provider.settle(pool);
        let mut given = [0; MAX_OUTCOMES];
        for (outcome, given) in given[..outcomes].iter_mut().enumerate() {
            *given = part(reserves[outcome]);
        }
        // The last provider also takes what the division of the released claims has left.
        let owed = if new.shares == 0 { new.decay.released } else { provider.owed.claims };
        for (given, owed) in given.iter_mut().zip(owed) {
            *given += owed;
        }
        for (released, owed) in new.decay.released.iter_mut().zip(owed) {
            *released -= owed;
        }
        let given = &given[..outcomes];
        // The claims of a settled market are redeemed, not merged.
        let complete = if settled { 0 } else { given.iter().copied().min().unwrap_or(0) };
        let money = part(cash) + complete;
        if money < min_out {
            return reject(Code::SLIPPAGE_EXCEEDED, min_out, money);
        }
        self.check_claims_room()?;
        self.keep_touch(command, market, touched, output);
        provider.shares -= shares;
        provider.owed.claims = [0; SIDES];
        if provider.shares == 0 {
            self.state.pools.providers.remove(&place);
            self.state.claims.left.push((market, account));
        } else {
            self.state.pools.providers.insert(place, provider);
        }
        if new.shares == 0 {
            self.state.pools.pools.remove(&market);
        } else {
            self.state.pools.pools.insert(market, new);
        }
        self.post_pool((account, sub), (market, quote), money, (-money, -complete), output);
        let subject = subject_of((account, sub), market);
        let body = liquidity_body(shares, money, -complete, &provider, &new);
        let kind = if shares > 0 { EventKind::LiquidityRemoved } else { EventKind::LiquidityCollected };
        output.emit(command, kind, subject, &body);
        for (outcome, &claims) in given.iter().enumerate().filter(|(_, &claims)| claims != complete) {
            let moved = (claims - complete, 0);
            self.move_claims(command, &subject, outcome as u8, moved, claims_cause::POOL, output);
        }
        self.move_pool(command, market, pool.outcome_count, |outcome| -given[usize::from(outcome)], output);
        self.after_collateral(command, account, sub, output);
        Ok(money as u64)
    }
}

fn liquidity_body(shares: i64, money: i64, minted: i64, provider: &Provider, pool: &Pool) -> LiquidityBody {
    LiquidityBody {
        shares,
        money,
        minted,
        provider_shares: provider.shares,
        total_shares: pool.shares,
        liquidity: pool.liquidity,
        unlock_ns: provider.unlock_ns,
    }
}
