//! Pools of market makers (row 0109; P10) and what their commands share: every token comes from a complete set that the pool has paid for.

use crate::amm::dynamic::{Decay, SIDES};
use crate::amm::micro::MAX_B_MICRO;
use crate::amm::pool::{lmsr_liquidity, pm_liquidity, Pool, Provider, Reserves};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_system, post_user};
use crate::limits::{CLAIMS_ROOM, DAY_NS, LIQUIDITY_LOCK_NS, MIN_LMSR_FUNDING, MIN_PM_FUNDING};
use crate::market::{kind, status, Market};
use crate::outcome::POOL;
use crate::output::{Output, Subject};
use crate::roles::permission;
use crate::wire::command::{Command, CreatePool};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{claims_cause, EventKind, PoolBody, RescaleBody};
use crate::wire::pool::amm_kind;

/// A pool at the moment of a command.
pub(super) struct Touched {
    pub pool: Pool,
    /// Liquidity before and claims set free, when time has changed it.
    pub rescaled: Option<(i64, [i64; SIDES])>,
}

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
    /// `MARKET_NOT_FOUND`, `PERMISSION_DENIED`, `MARKET_NOT_ACTIVE`, `ALREADY_EXISTS`, `INVALID_AMM_KIND`,
    /// `BELOW_MINIMUM`, `PARAMETER_OUT_OF_BOUNDS`,
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
        if market.kind == kind::DISTRIBUTION || request.amm_kind == amm_kind::DISTRIBUTION {
            return self.create_distribution(command, context, &request, output);
        }
        let own = [request.norm, request.lower, request.upper, request.mean, request.sigma];
        if let Some(&given) = own.iter().find(|&&given| given != 0) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, given);
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
        let decay = if amm == amm_kind::PM_DYNAMIC {
            Decay { base: liquidity, created_ns: command.time_ns, ..Decay::default() }
        } else {
            Decay::default()
        };
        let pool = Pool { kind: amm, outcome_count, liquidity, shares: request.funding, decay };
        self.state.pools.pools.insert(request.market, pool);
        let provider = Provider {
            shares: request.funding,
            unlock_ns: command.time_ns.saturating_add(LIQUIDITY_LOCK_NS),
            ..Provider::default()
        };
        self.state.pools.providers.insert((request.market, context.account, command.sub), provider);
        let owner = (context.account, command.sub);
        let flow = (request.funding, minted);
        self.post_pool(owner, (request.market, quote), -request.funding, flow, output);
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

    /// The pool of a market and the shares of a provider in it.
    pub fn pool(&self, market: u32) -> Option<Pool> {
        self.state.pools.pools.get(&market).copied()
    }

    pub(super) fn pool_of(&self, market: u32) -> Result<Pool, Reject> {
        self.pool(market).ok_or(Reject::new(Code::POOL_NOT_FOUND, 0, i64::from(market)))
    }

    /// A pool and its reserves (beyond its outcomes 0) as they are at this moment (P10.4.4), changing nothing yet.
    pub(super) fn touched(
        &self,
        market: u32,
        now_ns: i64,
        reserves: &mut Reserves,
    ) -> Result<Touched, Reject> {
        let pool = self.pool_of(market)?;
        for (outcome, reserve) in (0..pool.outcome_count).zip(reserves.iter_mut()) {
            *reserve = self.state.claims.pool(market, outcome);
        }
        for (reserve, released) in reserves.iter_mut().zip(pool.decay.released) {
            *reserve -= released;
        }
        let settle_ns = self.state.markets.list[market as usize].settle_time_ns;
        Ok(match pool.rescaled(reserves, settle_ns, now_ns) {
            Some((new, freed)) => Touched { pool: new, rescaled: Some((pool.liquidity, freed)) },
            None => Touched { pool, rescaled: None },
        })
    }

    /// Keeps what [`Engine::touched`] found and says so.
    pub(super) fn keep_touch(
        &mut self,
        command: &Command,
        market: u32,
        touched: &Touched,
        output: &mut Output,
    ) {
        let Some((liquidity_before, freed)) = touched.rescaled else { return };
        let pool = touched.pool;
        self.state.pools.pools.insert(market, pool);
        let body = RescaleBody {
            liquidity_before,
            liquidity: pool.liquidity,
            freed_first: freed[0],
            freed_second: freed[1],
            released_first: pool.decay.released[0],
            released_second: pool.decay.released[1],
            base: pool.decay.base,
        };
        output.emit(command, EventKind::PoolRescaled, Subject::market(market), &body);
    }

    pub(super) fn check_money(&self, account: u32, sub: u8, quote: u16, amount: i64) -> Result<(), Reject> {
        let free = self.state.accounts.balance(account, sub, quote, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        Ok(())
    }

    pub(super) fn check_claims_room(&self) -> Result<(), Reject> {
        let holdings = self.state.claims.len();
        if holdings >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, holdings as i64);
        }
        Ok(())
    }

    /// `to_user` for the owner, `to_pool` for the pool of which `minted` goes into the escrow of the sets.
    pub(super) fn post_pool(
        &mut self,
        owner: (u32, u8),
        (market, quote): (u32, u16),
        to_user: i64,
        (to_pool, minted): (i64, i64),
        output: &mut Output,
    ) {
        let postings = &mut output.postings;
        post_user(&mut self.state.accounts, postings, owner.0, owner.1, quote, line::FREE, to_user);
        post_system(&mut self.state.system, postings, line::POOL_CASH, market + 1, quote, to_pool - minted);
        post_system(&mut self.state.system, postings, line::SET_ESCROW, market + 1, quote, minted);
    }

    /// Changes the pool's claims outcome by outcome.
    pub(super) fn move_pool(
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

pub(super) fn subject_of((account, sub): (u32, u8), market: u32) -> Subject {
    Subject { account, sub, ..Subject::market(market) }
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
        amm_kind::PM_DYNAMIC => market.outcome_count == 2 && market.settle_time_ns > now_ns,
        _ => false,
    };
    if fits {
        Ok(amm)
    } else {
        reject(Code::INVALID_AMM_KIND, i64::from(table), i64::from(amm))
    }
}
