//! Pools of market makers from events alone: money, sets and claims of each step, who owns what part, and I17: an LMSR
//! pool can still pay every outcome, a pm-AMM holds what its curve asks for.

use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, POOL_CASH, SET_ESCROW};
use super::outcome::ClaimsMove;
use super::records::check_movements;
use super::{Auditor, Market};
use std::collections::BTreeMap;

use crate::hash::Map;
use crate::wire::event::{Event, EventKind, LiquidityBody, PoolBody, Posting, RescaleBody, SwapBody};

const LMSR: u8 = 1;
const PM_STATIC: u8 = 2;
const PM_DYNAMIC: u8 = 3;
const POOL_ACCOUNT: u32 = u32::MAX;
const ACTIVE: u8 = 1;
const SETTLED: u8 = 6;
const SELL: u8 = 1;
const LOCK_NS: i64 = 86_400_000_000_000;
const SMALLEST_SWAP: i64 = 1_000;
const LARGEST_SWAP: i64 = 1_000_000_000_000;
const LARGEST_IMPACT_PPB: i64 = 200_000_000;
/// What the independent f64 formulas may be wrong by: a part of the liquidity, and of a micro.
const RELATIVE_ROOM: f64 = 1e-12;
const ABSOLUTE_ROOM: f64 = 1e-3;

#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    kind: u8,
    liquidity: i64,
    shares: i64,
    /// Of a dynamic pm-AMM: L₀, t₀, claims set free and not collected, claims set free per share in 2⁻⁶⁴.
    base: i64,
    created_ns: i64,
    released: [i64; 2],
    growth: [u128; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Provider {
    shares: i64,
    unlock_ns: i64,
    entry: [u128; 2],
    owed: [i64; 2],
}

impl Provider {
    /// Takes what was set free since the last time.
    fn credit(&mut self, pool: &Pool) {
        for side in 0..2 {
            let product = self.shares as u128 * (pool.growth[side] - self.entry[side]);
            self.owed[side] += (product / (1 << 64)) as i64;
        }
        self.entry = pool.growth;
    }
}

#[derive(Clone, Debug, Default)]
pub struct Pools {
    pools: Map<u32, Pool>,
    providers: BTreeMap<(u32, u32, u8), Provider>,
}

impl Pools {
    /// Takes a pool of a restored state over.
    pub fn load(&mut self, market: u32, pool: &crate::amm::pool::Pool) {
        let &crate::amm::pool::Pool { kind, liquidity, shares, decay, .. } = pool;
        let (base, created_ns) = (decay.base, decay.created_ns);
        let (released, growth) = (decay.released, decay.growth);
        self.pools.insert(market, Pool { kind, liquidity, shares, base, created_ns, released, growth });
    }

    /// Whether an account has shares in a pool.
    pub fn has_provider(&self, market: u32, account: u32) -> bool {
        self.providers.range((market, account, 0)..=(market, account, u8::MAX)).next().is_some()
    }

    pub fn load_provider(&mut self, place: (u32, u32, u8), provider: &crate::amm::pool::Provider) {
        let &crate::amm::pool::Provider { shares, unlock_ns, owed } = provider;
        self.providers.insert(place, Provider { shares, unlock_ns, entry: owed.entry, owed: owed.claims });
    }
}

/// `amount × part / whole`, toward zero or up.
fn part_of(amount: i64, part: i64, whole: i64, up: bool) -> i64 {
    let product = i128::from(amount) * i128::from(part);
    let rest = if up { i128::from(whole) - 1 } else { 0 };
    ((product + rest) / i128::from(whole)) as i64
}

/// L_t of a dynamic pool by its L₀ and the times.
fn liquidity_now(pool: &Pool, market: &Market, now_ns: i64) -> i64 {
    let (left, whole) = (market.settle_time_ns - now_ns, market.settle_time_ns - pool.created_ns);
    if left <= 0 {
        return 0;
    }
    libm::floor(pool.base as f64 * libm::sqrt(left as f64 / whole as f64)) as i64
}

/// False also when the need is not a number.
fn holds(amount: i64, needed: f64) -> bool {
    needed.is_finite() && (amount as f64).total_cmp(&needed).is_ge()
}

impl Auditor {
    pub(super) fn check_pool(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let market = *self.market(event.market)?;
        ensure!(market.has_outcomes(), "I17", "market {} has no outcomes, but a pool", event.market);
        match kind {
            EventKind::PoolCreated => self.pool_created(event, postings),
            EventKind::AmmSwapped => self.swapped(event, postings),
            EventKind::LiquidityAdded => self.liquidity_added(event, postings),
            EventKind::PoolRescaled => self.rescaled(event, postings),
            _ => self.liquidity_removed(event, postings),
        }
    }

    fn pool_created(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: PoolBody = event.body_as();
        let market = *self.market(event.market)?;
        let dynamic = body.amm_kind == PM_DYNAMIC;
        let pm = dynamic || body.amm_kind == PM_STATIC;
        ensure!(
            body.amm_kind == LMSR || (pm && market.outcome_count == 2),
            "I17",
            "a pool of kind {} for {} outcomes",
            body.amm_kind,
            market.outcome_count
        );
        ensure!(
            body.funding > 0
                && body.shares == body.funding
                && body.minted == if pm { body.funding } else { 0 },
            "I17",
            "a pool of {} with {} shares and {} sets",
            body.funding,
            body.shares,
            body.minted
        );
        let mut pool = Pool { kind: body.amm_kind, liquidity: body.liquidity, ..Pool::default() };
        pool.shares = body.shares;
        if dynamic {
            (pool.base, pool.created_ns) = (body.liquidity, event.time_ns);
        }
        ensure!(
            self.pools.pools.insert(event.market, pool).is_none(),
            "I17",
            "market {} has two pools",
            event.market
        );
        let place = (event.market, event.account, event.sub);
        let provider =
            Provider { shares: body.shares, unlock_ns: event.time_ns + LOCK_NS, ..Provider::default() };
        self.pools.providers.insert(place, provider);
        self.stakes.change(event.market, event.account, (false, true), event.time_ns);
        self.check_pool_money(event, postings, -body.funding, (body.funding, body.minted), (0, 0))?;
        for outcome in 0..market.outcome_count {
            self.expect_claims(event.market, (POOL_ACCOUNT, 0), outcome, body.minted);
        }
        self.check_backing(event.market, |_| body.minted)
    }

    fn swapped(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: SwapBody = event.body_as();
        let market = *self.market(event.market)?;
        let pool = self.pool(event.market)?;
        ensure!(
            market.status == ACTIVE,
            "I25",
            "a swap in market {} of status {}",
            event.market,
            market.status
        );
        ensure!(
            body.outcome < market.outcome_count && body.side <= SELL && body.shares > 0,
            "I17",
            "a swap of {} shares of outcome {}",
            body.shares,
            body.outcome
        );
        ensure!((SMALLEST_SWAP..=LARGEST_SWAP).contains(&body.cost), "I17", "a swap of {} micro", body.cost);
        let impact = body.price_after_ppb - body.price_before_ppb;
        ensure!(impact.abs() <= LARGEST_IMPACT_PPB, "I17", "a swap moves the price by {impact} ppb");
        ensure!(body.liquidity == pool.liquidity, "I17", "liquidity is {}", pool.liquidity);
        ensure!(
            pool.kind != PM_DYNAMIC || pool.liquidity <= liquidity_now(&pool, &market, event.time_ns),
            "I17",
            "a swap at liquidity {} that time has reduced",
            pool.liquidity
        );
        let buys = body.side != SELL;
        let fee = self.swap_fee(event, &body, buys)?;
        let provider_fee = self.fee_movements(market.quote, fee)[0].4 / 2;
        ensure!(
            (body.fee, body.provider_fee) == (fee, provider_fee),
            "I11",
            "a swap's fee is {}, of which {} to providers, not {fee} and {provider_fee}",
            body.fee,
            body.provider_fee
        );
        let (to_user, to_pool, bought) = if buys {
            (-(body.cost + fee), body.cost, body.shares)
        } else {
            (body.cost - fee, -body.cost, -body.shares)
        };
        self.check_pool_money(event, postings, to_user, (to_pool, body.minted), (fee, provider_fee))?;
        self.collect_charged(market.quote, fee, provider_fee);
        self.check_pledge_swap(event, &body)?;
        self.expect_claims(event.market, (event.account, event.sub), body.outcome, bought);
        let change = |outcome| body.minted - if outcome == body.outcome { bought } else { 0 };
        for outcome in 0..market.outcome_count {
            self.expect_claims(event.market, (POOL_ACCOUNT, 0), outcome, change(outcome));
        }
        self.check_backing(event.market, change)
    }

    /// The fee of a swap from what was told before it, with the adjustment for the depth that the pool had (P8).
    fn swap_fee(&mut self, event: &Event, body: &SwapBody, buys: bool) -> Check<i64> {
        let (told, market) = (self.told_fee()?, event.market);
        let quote = self.market(market)?.quote;
        let paid_in = if buys { body.cost } else { -body.cost };
        // The postings are applied already, the claims have not moved.
        let cash = self.pool_cash(market, quote) - (paid_in + body.provider_fee - body.minted);
        let depth = cash + self.pool_claims(market).iter().copied().min().unwrap_or(0);
        let thin_bp = u16::from(depth < 10_000_000_000) + u16::from(depth < 1_000_000_000);
        let base = body.cost.min((body.shares - body.cost).max(0));
        let product = i128::from(base) * i128::from(told.rate_e8);
        let whole = ((product + 999_999_999_999) / 1_000_000_000_000) as i64;
        let fee = if buys { whole } else { whole.min(body.cost) };
        ensure!(
            (told.base, told.fee, told.rebate) == (base, fee, 0),
            "I11",
            "a fee of {} on {base} was told for a pool of {depth}",
            told.fee
        );
        let moved = body.price_after_ppb - body.price_before_ppb;
        let second_of_two = body.outcome == 1 && self.market(market)?.outcome_count == 2;
        self.check_pool_adjustment(&told, market, thin_bp, if second_of_two { -moved } else { moved })?;
        self.count_swap(&told, market, event.account, quote)?;
        Ok(fee)
    }

    fn liquidity_added(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LiquidityBody = event.body_as();
        let market = *self.market(event.market)?;
        let pool = self.pool(event.market)?;
        ensure!(body.shares > 0 && market.status == ACTIVE, "I17", "{} shares are added", body.shares);
        let part = |amount| part_of(amount, body.shares, pool.shares, true);
        let claims = self.pool_claims(event.market);
        // The postings are applied already.
        let cash = self.pool_cash(event.market, market.quote) - (body.money - body.minted);
        let most = claims.iter().copied().max().unwrap_or(0);
        ensure!(
            body.minted == part(most) && body.money == part(cash) + part(most),
            "I17",
            "{} shares cost {} with {} sets",
            body.shares,
            body.money,
            body.minted
        );
        let liquidity = pool.liquidity + part_of(pool.liquidity, body.shares, pool.shares, false);
        let base = pool.base + part_of(pool.base, body.shares, pool.shares, false);
        let provider = self.pools.providers.entry((event.market, event.account, event.sub)).or_default();
        provider.credit(&pool);
        provider.shares += body.shares;
        provider.unlock_ns = event.time_ns + LOCK_NS;
        let held = *provider;
        let before = held.shares != body.shares;
        self.stakes.change(event.market, event.account, (before, true), event.time_ns);
        let new = Pool { liquidity, base, shares: pool.shares + body.shares, ..pool };
        self.set_pool(event.market, &body, new, &held)?;
        self.check_pool_money(event, postings, -body.money, (body.money, body.minted), (0, 0))?;
        for (outcome, &owned) in claims.iter().enumerate() {
            let outcome = outcome as u8;
            self.expect_claims(event.market, (event.account, event.sub), outcome, body.minted - part(owned));
            self.expect_claims(event.market, (POOL_ACCOUNT, 0), outcome, part(owned));
        }
        self.check_backing(event.market, |outcome| part(claims[usize::from(outcome)]))
    }

    fn liquidity_removed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LiquidityBody = event.body_as();
        let market = *self.market(event.market)?;
        let pool = self.pool(event.market)?;
        let place = (event.market, event.account, event.sub);
        let mut held = self.pools.providers.get(&place).copied().unwrap_or_default();
        let collects = event.kind == EventKind::LiquidityCollected as u16;
        ensure!(
            if collects { body.shares == 0 } else { body.shares > 0 && event.time_ns >= held.unlock_ns }
                && body.shares <= held.shares,
            "I17",
            "{} of {} shares leave, locked until {}",
            body.shares,
            held.shares,
            held.unlock_ns
        );
        let part = |amount| part_of(amount, body.shares, pool.shares, false);
        held.credit(&pool);
        let all = body.shares == pool.shares;
        let owed = if all { pool.released } else { held.owed };
        let mut given: Vec<i64> = self.pool_claims(event.market).iter().map(|&claims| part(claims)).collect();
        given.iter_mut().zip(owed).for_each(|(given, owed)| *given += owed);
        let cash = self.pool_cash(event.market, market.quote) + body.money + body.minted;
        let complete = given.iter().copied().min().unwrap_or(0);
        let complete = if market.status >= SETTLED { 0 } else { complete };
        ensure!(
            body.minted == -complete && body.money == part(cash) + complete,
            "I17",
            "{} shares bring {} with {} sets",
            body.shares,
            body.money,
            body.minted
        );
        held.shares -= body.shares;
        held.owed = [0, 0];
        self.pools.providers.insert(place, held);
        if held.shares == 0 {
            self.pools.providers.remove(&place);
            self.stakes.change(event.market, event.account, (true, false), event.time_ns);
        }
        let mut new = Pool { shares: pool.shares - body.shares, ..pool };
        new.liquidity -= part_of(pool.liquidity, body.shares, pool.shares, true);
        new.base -= part_of(pool.base, body.shares, pool.shares, true);
        new.released = [pool.released[0] - owed[0], pool.released[1] - owed[1]];
        ensure!(new.released.iter().all(|&released| released >= 0), "I17", "released claims of {new:?}");
        self.set_pool(event.market, &body, new, &held)?;
        self.check_pool_money(event, postings, body.money, (-body.money, body.minted), (0, 0))?;
        for (outcome, &given) in given.iter().enumerate() {
            let outcome = outcome as u8;
            self.expect_claims(event.market, (event.account, event.sub), outcome, given - complete);
            self.expect_claims(event.market, (POOL_ACCOUNT, 0), outcome, -given);
        }
        if body.total_shares == 0 {
            self.pools.pools.remove(&event.market);
            return Ok(());
        }
        self.check_backing(event.market, |outcome| -given[usize::from(outcome)])
    }

    /// P10.4.4: liquidity by the time that is left, claims set free in proportion.
    fn rescaled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RescaleBody = event.body_as();
        let market = *self.market(event.market)?;
        let mut pool = self.pool(event.market)?;
        let liquidity = liquidity_now(&pool, &market, event.time_ns);
        ensure!(
            pool.kind == PM_DYNAMIC && postings.is_empty() && liquidity < pool.liquidity,
            "I17",
            "a pool of kind {} falls from {} to {liquidity}",
            pool.kind,
            pool.liquidity
        );
        let claims = self.pool_claims(event.market);
        let free = [0, 1].map(|side| {
            let kept = part_of(claims[side], liquidity, pool.liquidity, true);
            claims[side] - kept
        });
        for (side, &free) in free.iter().enumerate() {
            pool.released[side] += free;
            pool.growth[side] += free as u128 * (1 << 64) / pool.shares as u128;
        }
        let told = (body.liquidity_before, body.liquidity, body.base);
        ensure!(
            told == (pool.liquidity, liquidity, pool.base)
                && [body.freed_first, body.freed_second] == free
                && [body.released_first, body.released_second] == pool.released,
            "I17",
            "a pool falls from {} to {liquidity} and frees {free:?}, not {body:?}",
            pool.liquidity
        );
        pool.liquidity = liquidity;
        self.pools.pools.insert(event.market, pool);
        if liquidity == 0 {
            return Ok(());
        }
        self.check_backing(event.market, |_| 0)
    }

    pub(super) fn has_pool(&self, market: u32) -> bool {
        self.pools.pools.contains_key(&market) || self.questions.has(market)
    }

    fn pool(&self, market: u32) -> Check<Pool> {
        self.pools
            .pools
            .get(&market)
            .copied()
            .ok_or_else(|| fault("I17", format_args!("market {market} has no pool")))
    }

    fn set_pool(&mut self, market: u32, body: &LiquidityBody, pool: Pool, held: &Provider) -> Check {
        ensure!(
            (body.provider_shares, body.unlock_ns) == (held.shares, held.unlock_ns)
                && (body.total_shares, body.liquidity) == (pool.shares, pool.liquidity),
            "I17",
            "provider and pool have {held:?} and {pool:?}, not {body:?}"
        );
        self.pools.pools.insert(market, pool);
        Ok(())
    }

    fn pool_cash(&self, market: u32, quote: u16) -> i64 {
        self.ledger.line(market + 1, 0, quote, POOL_CASH)
    }

    /// Reserves of a pool: its claims less those set free.
    fn pool_claims(&self, market: u32) -> Vec<i64> {
        let outcomes = self.markets[market as usize].outcome_count;
        let mut claims: Vec<i64> =
            (0..outcomes).map(|outcome| self.claim(POOL_ACCOUNT, 0, market, outcome).0).collect();
        let released = self.pools.pools.get(&market).map_or([0, 0], |pool| pool.released);
        claims.iter_mut().zip(released).for_each(|(claims, released)| *claims -= released);
        claims
    }

    fn expect_claims(&mut self, market: u32, (account, sub): (u32, u8), outcome: u8, free: i64) {
        self.outcomes.expect(ClaimsMove { market, account, sub, outcome, free, held: 0 });
    }

    /// Money of the owner, the pool and the sets' escrow, and where the fee goes.
    fn check_pool_money(
        &mut self,
        event: &Event,
        postings: &[Posting],
        to_user: i64,
        (to_pool, minted): (i64, i64),
        (fee, provider_fee): (i64, i64),
    ) -> Check {
        let quote = self.market(event.market)?.quote;
        let [mut vault, stakers, maker_fund, insurance, treasury] = self.fee_movements(quote, fee);
        vault.4 -= provider_fee;
        let key = event.market + 1;
        let movements = [
            (event.account, event.sub, quote, FREE, to_user),
            (key, 0, quote, POOL_CASH, to_pool + provider_fee - minted),
            (key, 0, quote, SET_ESCROW, minted),
            vault,
            stakers,
            maker_fund,
            insurance,
            treasury,
        ];
        check_movements("I17", movements, postings)?;
        self.outcomes.count_sets(event.market, minted)?;
        Ok(())
    }

    /// I17 on the claims that the pool has once the announced ones have moved.
    fn check_backing(&self, market: u32, change: impl Fn(u8) -> i64) -> Check {
        let Pool { kind, liquidity, .. } = self.pool(market)?;
        let cash = self.pool_cash(market, self.market(market)?.quote);
        ensure!(cash >= 0, "I17", "the pool of market {market} has {cash}");
        let mut claims = self.pool_claims(market);
        for (outcome, claims) in claims.iter_mut().enumerate() {
            *claims += change(outcome as u8);
            ensure!(*claims >= 0, "I17", "the pool of market {market} has {claims} of outcome {outcome}");
        }
        if liquidity == 0 {
            return Ok(());
        }
        let scale = liquidity as f64;
        let room = scale * RELATIVE_ROOM + ABSOLUTE_ROOM;
        if kind == LMSR {
            // What the pool must still be able to lose: b·ln Σ exp(−T/b).
            let terms = claims.iter().map(|&claims| libm::exp(-(claims as f64) / scale));
            let needed = scale * libm::log(terms.sum::<f64>());
            ensure!(
                holds(cash, needed - room),
                "I17",
                "the pool of market {market} has {cash} and may lose {needed}"
            );
            return Ok(());
        }
        let score = (claims[1] - claims[0]) as f64 / scale;
        let below = 0.5 * libm::erfc(-score * core::f64::consts::FRAC_1_SQRT_2);
        let density = libm::exp(-0.5 * score * score) / (2.0 * core::f64::consts::PI).sqrt();
        let needed = scale * (density + score * below);
        ensure!(
            holds(claims[1], needed - room),
            "I17",
            "the pool of market {market} has {} of outcome 1, its curve asks for {needed}",
            claims[1]
        );
        Ok(())
    }
}
