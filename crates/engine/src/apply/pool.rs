//! Pools of market makers (rows 0109, 0501, 0502; P10): every token comes from a complete set that the pool has paid for.

use crate::amm::pool::{lmsr_liquidity, pm_liquidity, share, Ask, Pool, Priced, Provider, Reserves};
use crate::amm::{micro::MAX_B_MICRO, micro::MIN_B_MICRO, MAX_OUTCOMES};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_system, post_user};
use crate::limits::{
    CLAIMS_ROOM, DAY_NS, DEFAULT_IMPACT_BP, LIQUIDITY_LOCK_NS, MAX_IMPACT_BP, MAX_POOL_PROVIDERS, MAX_SWAP,
    MIN_LMSR_FUNDING, MIN_PM_FUNDING, MIN_SWAP, RESOLUTION_BUFFER_NS,
};
use crate::market::{kind, status, Market};
use crate::math::{fee_ceil, MAX_BALANCE};
use crate::outcome::POOL;
use crate::output::{Output, Subject};
use crate::roles::permission;
use crate::wire::command::{side, Command, CreatePool, PoolLiquidity, SwapAmm};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{claims_cause, EventKind, LiquidityBody, PoolBody, SwapBody};
use crate::wire::pool::amm_kind;

const PPB_PER_BP: i64 = 100_000;

/// The kind of P10.1 for an outcome market.
fn selected(market: &Market) -> u8 {
    if market.outcome_count == 2 {
        amm_kind::PM_DYNAMIC
    } else {
        amm_kind::LMSR
    }
}

impl<B: Book> Engine<B> {
    /// 0109.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `PERMISSION_DENIED`, `MARKET_NOT_ACTIVE`, `ALREADY_EXISTS`, `INVALID_AMM_KIND` (also for the
    /// dynamic pm-AMM, which this build does not have), `BELOW_MINIMUM`, `PARAMETER_OUT_OF_BOUNDS`,
    /// `INSUFFICIENT_BALANCE`.
    pub(crate) fn create_pool(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CreatePool = command.payload_as();
        if request.reserved != 0 || request.reserved2 != 0 {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        let Some(market) = self.state.markets.list.get(request.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        };
        if market.creator != context.account {
            self.state.roles.require(&command.principal, permission::CREATE_MARKET, command.time_ns)?;
        }
        if !matches!(market.status, status::CREATED | status::ACTIVE) {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        if self.state.pools.pools.contains_key(&request.market) {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(request.market));
        }
        let amm = check_kind(market, request.amm_kind, command.time_ns)?;
        let (quote, outcome_count) = (market.quote, market.outcome_count);
        let chosen = u8::from(amm != selected(market));
        let least = if amm == amm_kind::LMSR { MIN_LMSR_FUNDING } else { MIN_PM_FUNDING };
        if request.funding < least {
            return reject(Code::BELOW_MINIMUM, least, request.funding);
        }
        let liquidity = match amm {
            amm_kind::LMSR => lmsr_liquidity(request.funding, usize::from(outcome_count)),
            _ => pm_liquidity(request.funding),
        }
        .map_err(|code| Reject::new(code, MAX_B_MICRO, request.funding))?;
        self.check_money(context.account, command.sub, quote, request.funding)?;
        self.check_claims_room()?;
        // A pm-AMM turns all of its funding into sets, an LMSR mints when it sells.
        let minted = if amm == amm_kind::LMSR { 0 } else { request.funding };
        let pool = Pool { kind: amm, outcome_count, liquidity, shares: request.funding };
        self.state.pools.pools.insert(request.market, pool);
        let provider = Provider {
            shares: request.funding,
            unlock_ns: command.time_ns.saturating_add(LIQUIDITY_LOCK_NS),
        };
        self.state.pools.providers.insert((request.market, context.account, command.sub), provider);
        let owner = (context.account, command.sub);
        self.post_pool(owner, request.market, quote, -request.funding, (request.funding, minted), 0, output);
        let subject = subject_of(owner, request.market);
        let body = PoolBody {
            amm_kind: amm,
            chosen,
            reserved: 0,
            reserved2: 0,
            liquidity,
            funding: request.funding,
            minted,
            shares: request.funding,
        };
        output.emit(command, EventKind::PoolCreated, subject, &body);
        self.move_pool(command, request.market, outcome_count, |_| minted, output);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(u64::from(request.market))
    }

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
        let pool = self.pool_of(request.market)?;
        let ask = self.check_swap(&request, &pool, command.time_ns)?;
        let reserves = self.pool_reserves(request.market, &pool);
        let as_reject = |code: Code| Reject::new(code, 0, request.amount);
        let before = pool.price_ppb(&reserves, request.outcome).map_err(as_reject)?;
        let priced = pool.price(&reserves, request.outcome, ask).map_err(as_reject)?;
        let buys = request.side == side::BUY;
        self.check_priced((context.account, command.sub), &request, &pool, &reserves, &priced)?;
        let after = self.check_impact(&request, &pool, &reserves, &priced, before)?;
        let market = &self.state.markets.list[request.market as usize];
        let (quote, rate) = (market.quote, market.parameters.taker_fee_e6bp);
        // P8.1: shares × min(p, 1 − p) at the average price.
        let fee = fee_ceil(priced.cost.min((priced.shares - priced.cost).max(0)), rate);
        let money = if buys { priced.cost + fee } else { (priced.cost - fee).max(0) };
        let (bound, given) = match (buys, request.exact_out == 1) {
            (true, false) => (request.limit, priced.shares),
            (true, true) => (-request.limit, -money),
            (false, _) => (request.limit, money),
        };
        if given < bound {
            return reject(Code::SLIPPAGE_EXCEEDED, bound.abs(), given.abs());
        }
        if buys {
            self.check_money(context.account, command.sub, quote, money)?;
        }
        self.check_claims_room()?;
        let fee = if buys { fee } else { priced.cost - money };
        let owner = (context.account, command.sub);
        let (to_user, to_pool) = if buys { (-money, priced.cost) } else { (money, -priced.cost) };
        self.post_pool(owner, request.market, quote, to_user, (to_pool, priced.minted), fee, output);
        let body = SwapBody {
            outcome: request.outcome,
            side: request.side,
            reserved: 0,
            reserved2: 0,
            shares: priced.shares,
            cost: priced.cost,
            fee,
            minted: priced.minted,
            price_before_ppb: before,
            price_after_ppb: after,
            liquidity: pool.liquidity,
        };
        let subject = subject_of(owner, request.market);
        output.emit(command, EventKind::AmmSwapped, subject, &body);
        let bought = if buys { priced.shares } else { -priced.shares };
        self.move_claims(command, &subject, request.outcome, (bought, 0), claims_cause::POOL, output);
        let change = |outcome| priced.minted - if outcome == request.outcome { bought } else { 0 };
        self.move_pool(command, request.market, pool.outcome_count, change, output);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(priced.shares as u64)
    }

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
        let pool = self.pool_of(request.market)?;
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
        let reserves = self.pool_reserves(request.market, &pool);
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
        if pool.shares > MAX_BALANCE - shares || liquidity > MAX_B_MICRO {
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
        let new = Pool { liquidity, shares: pool.shares + shares, ..pool };
        self.state.pools.pools.insert(request.market, new);
        let provider = self.state.pools.providers.entry(place).or_default();
        provider.shares += shares;
        provider.unlock_ns = command.time_ns.saturating_add(LIQUIDITY_LOCK_NS);
        let provider = *provider;
        self.post_pool(owner, request.market, quote, -money, (money, minted), 0, output);
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
        let pool = self.pool_of(request.market)?;
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
        let liquidity = pool.liquidity - share(pool.liquidity, shares, pool.shares, true);
        if shares < pool.shares && liquidity < MIN_B_MICRO {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, MIN_B_MICRO, liquidity);
        }
        let market = &self.state.markets.list[request.market as usize];
        let (quote, settled) = (market.quote, market.status >= status::SETTLED);
        let reserves = self.pool_reserves(request.market, &pool);
        let cash = self.state.system.get(line::POOL_CASH, request.market + 1, quote);
        let part = |amount: i64| share(amount, shares, pool.shares, false);
        let parts = reserves[..usize::from(pool.outcome_count)].iter().map(|&claims| part(claims));
        // The claims of a settled market are redeemed, not merged.
        let complete = if settled { 0 } else { parts.min().unwrap_or(0) };
        let money = part(cash) + complete;
        if money < request.min_out {
            return reject(Code::SLIPPAGE_EXCEEDED, request.min_out, money);
        }
        self.check_claims_room()?;
        let owner = (context.account, command.sub);
        let rest = Provider { shares: provider.shares - shares, ..provider };
        if rest.shares == 0 {
            self.state.pools.providers.remove(&place);
        } else {
            self.state.pools.providers.insert(place, rest);
        }
        let new = Pool { liquidity, shares: pool.shares - shares, ..pool };
        if new.shares == 0 {
            self.state.pools.pools.remove(&request.market);
        } else {
            self.state.pools.pools.insert(request.market, new);
        }
        self.post_pool(owner, request.market, quote, money, (-money, -complete), 0, output);
        let subject = subject_of(owner, request.market);
        let body = liquidity_body(shares, money, -complete, &rest, &new);
        output.emit(command, EventKind::LiquidityRemoved, subject, &body);
        for outcome in 0..pool.outcome_count {
            let claims = part(reserves[usize::from(outcome)]) - complete;
            if claims != 0 {
                self.move_claims(command, &subject, outcome, (claims, 0), claims_cause::POOL, output);
            }
        }
        let change = |outcome: u8| -part(reserves[usize::from(outcome)]);
        self.move_pool(command, request.market, pool.outcome_count, change, output);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(money as u64)
    }

    /// The pool of a market and the shares of a provider in it.
    pub fn pool(&self, market: u32) -> Option<Pool> {
        self.state.pools.pools.get(&market).copied()
    }

    fn pool_of(&self, market: u32) -> Result<Pool, Reject> {
        self.pool(market).ok_or(Reject::new(Code::POOL_NOT_FOUND, 0, i64::from(market)))
    }

    fn pool_reserves(&self, market: u32, pool: &Pool) -> Reserves {
        let mut reserves = [0; MAX_OUTCOMES];
        for outcome in 0..pool.outcome_count {
            reserves[usize::from(outcome)] = self.state.claims.pool(market, outcome);
        }
        reserves
    }

    fn check_swap(&self, request: &SwapAmm, pool: &Pool, now_ns: i64) -> Result<Ask, Reject> {
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
        pool: &Pool,
        reserves: &Reserves,
        priced: &Priced,
    ) -> Result<(), Reject> {
        if priced.cost < MIN_SWAP {
            return reject(Code::BELOW_MINIMUM, MIN_SWAP, priced.cost);
        }
        if priced.cost > MAX_SWAP {
            return reject(Code::ABOVE_MAXIMUM, MAX_SWAP, priced.cost);
        }
        let buys = request.side == side::BUY;
        if !buys {
            let owned = self.state.claims.free(owner.0, owner.1, request.market, request.outcome);
            if priced.shares > owned {
                return reject(Code::INSUFFICIENT_SHARES, owned, priced.shares);
            }
        }
        let quote = self.state.markets.list[request.market as usize].quote;
        let cash = self.state.system.get(line::POOL_CASH, request.market + 1, quote);
        let after = cash + if buys { priced.cost } else { -priced.cost } - priced.minted;
        let sold = if buys { priced.shares } else { -priced.shares };
        let claims = (0..pool.outcome_count).map(|outcome| {
            let own = if outcome == request.outcome { sold } else { 0 };
            reserves[usize::from(outcome)] + priced.minted - own
        });
        let least = claims.min().unwrap_or(0).min(after);
        if least < 0 {
            return reject(Code::INSUFFICIENT_LIQUIDITY, 0, least);
        }
        Ok(())
    }

    /// Price after the swap, if it does not move further than the caller allows.
    fn check_impact(
        &self,
        request: &SwapAmm,
        pool: &Pool,
        reserves: &Reserves,
        priced: &Priced,
        before: i64,
    ) -> Result<i64, Reject> {
        let mut after = *reserves;
        for claims in &mut after[..usize::from(pool.outcome_count)] {
            *claims += priced.minted;
        }
        let sold = if request.side == side::BUY { priced.shares } else { -priced.shares };
        after[usize::from(request.outcome)] -= sold;
        let price = pool.price_ppb(&after, request.outcome).map_err(|code| Reject::new(code, 0, sold))?;
        let allowed = if request.max_impact_bp == 0 { DEFAULT_IMPACT_BP } else { request.max_impact_bp };
        let bound = i64::from(allowed) * PPB_PER_BP;
        let impact = (price - before).abs();
        if impact > bound {
            return reject(Code::PRICE_IMPACT_TOO_HIGH, bound, impact);
        }
        Ok(price)
    }

    fn check_money(&self, account: u32, sub: u8, quote: u16, amount: i64) -> Result<(), Reject> {
        let free = self.state.accounts.balance(account, sub, quote, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        Ok(())
    }

    fn check_claims_room(&self) -> Result<(), Reject> {
        let holdings = self.state.claims.len();
        if holdings >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, holdings as i64);
        }
        Ok(())
    }

    /// `to_user` for the owner, `to_pool` for the pool of which `minted` goes into the escrow of the sets, and the fee.
    #[allow(clippy::too_many_arguments)]
    fn post_pool(
        &mut self,
        owner: (u32, u8),
        market: u32,
        quote: u16,
        to_user: i64,
        (to_pool, minted): (i64, i64),
        fee: i64,
        output: &mut Output,
    ) {
        let postings = &mut output.postings;
        post_user(&mut self.state.accounts, postings, owner.0, owner.1, quote, line::FREE, to_user);
        post_system(&mut self.state.system, postings, line::POOL_CASH, market + 1, quote, to_pool - minted);
        post_system(&mut self.state.system, postings, line::SET_ESCROW, market + 1, quote, minted);
        self.post_fees(fee, quote, &mut output.postings);
    }

    /// Changes the pool's claims outcome by outcome.
    fn move_pool(
        &mut self,
        command: &Command,
        market: u32,
        outcome_count: u8,
        change: impl Fn(u8) -> i64,
        output: &mut Output,
    ) {
        let subject = subject_of((POOL, 0), market);
        for outcome in 0..outcome_count {
            let delta = change(outcome);
            if delta != 0 {
                self.move_claims(command, &subject, outcome, (delta, 0), claims_cause::POOL, output);
            }
        }
    }
}

fn subject_of((account, sub): (u32, u8), market: u32) -> Subject {
    Subject { account, sub, ..Subject::market(market) }
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

/// The maker that P10.1 permits.
fn check_kind(market: &Market, wanted: u8, now_ns: i64) -> Result<u8, Reject> {
    let table = selected(market);
    if market.kind != kind::OUTCOME {
        return reject(Code::INVALID_AMM_KIND, i64::from(amm_kind::NONE), i64::from(wanted));
    }
    let amm = if wanted == amm_kind::NONE { table } else { wanted };
    let near = market.settle_time_ns.saturating_sub(now_ns) < DAY_NS;
    let fits = match amm {
        amm_kind::LMSR => market.outcome_count > 2 || !near,
        amm_kind::PM_STATIC => market.outcome_count == 2 && !near,
        _ => false,
    };
    if fits {
        Ok(amm)
    } else {
        reject(Code::INVALID_AMM_KIND, i64::from(table), i64::from(amm))
    }
}
