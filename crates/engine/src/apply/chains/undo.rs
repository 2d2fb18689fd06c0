//! Taking steps back: what a refused chain, or one that cannot be closed, leaves is the state before it, bit for bit.
//!
//! Balances and claims are undone from what was told of them: every posting and every `ClaimsMoved` behind the mark, the
//! last one first. The few records that steps change beside them are kept before the first step. That this list is
//! complete is a property of the tests: a refused chain leaves the state's hash as it was.

use crate::amm::pool::{Pool, Provider};
use crate::book::Book;
use crate::engine::Engine;
use crate::fees::adjust::Volatility;
use crate::fees::volume::Kept;
use crate::output::Output;
use crate::state::due;
use crate::token::launch::Depositor;
use crate::token::staking::{Fund, Staker};
use crate::vault::exit::{cutoff_ns, Cohort, Ticket};
use crate::vault::terms::InsuredWeek;
use crate::wire::event::{ClaimsBody, EventKind};

/// A market's pool and the owner's part of it.
struct PoolPart {
    market: u32,
    pool: Option<Pool>,
    provider: Option<Provider>,
    series: Option<Volatility>,
}

/// What deposits and exits change of the vault.
struct VaultPart {
    supply: i64,
    held: i64,
    epoch: (i64, i64, i64),
    high_water_e12: i128,
    insured: InsuredWeek,
    next_look_ns: i64,
    next_ticket: u64,
    cutoff_ns: i64,
    cohort: Option<Cohort>,
    ticket: Option<(u64, Ticket)>,
}

/// What stakes and deposits of the vault change of the token.
struct TokenPart {
    total: i64,
    funds: Vec<Fund>,
    staker: Option<Staker>,
    /// Of the bootstrap reward: its beginning, everybody, the owner.
    bootstrap: (i64, Depositor, Option<Depositor>),
}

/// The moment before the first step.
pub(super) struct Savepoint {
    owner: (u32, u8),
    /// Numbers of events and postings.
    marks: (usize, usize),
    /// Number of holdings that had become zero.
    left: usize,
    pools: Vec<PoolPart>,
    vault: VaultPart,
    token: TokenPart,
    volume: Kept,
}

impl<B: Book> Engine<B> {
    /// Keeps what steps of this owner in these markets may change. No posting waits for its event.
    pub(super) fn savepoint(
        &self,
        owner: (u32, u8),
        now_ns: i64,
        markets: &[u32],
        output: &Output,
    ) -> Savepoint {
        let pools = markets.iter().map(|&market| PoolPart {
            market,
            pool: self.state.pools.pools.get(&market).copied(),
            provider: self.state.pools.providers.get(&(market, owner.0, owner.1)).copied(),
            series: self.state.fees.adjust.pool(market),
        });
        let vault = &self.state.vault;
        let cutoff_ns = cutoff_ns(now_ns);
        let number = vault.by_owner.get(&(owner.0, cutoff_ns)).copied();
        let staking = &self.state.token.staking;
        let bootstrap = &self.state.token.bootstrap;
        Savepoint {
            owner,
            marks: (output.events.len(), output.postings.len()),
            left: self.state.claims.left.len(),
            pools: pools.collect(),
            vault: VaultPart {
                supply: vault.supply,
                held: vault.shares_of(owner.0),
                epoch: (vault.epoch_ns, vault.epoch_nav, vault.epoch_in),
                high_water_e12: vault.high_water_e12,
                insured: vault.insured,
                next_look_ns: vault.next_look_ns,
                next_ticket: vault.next_ticket,
                cutoff_ns,
                cohort: vault.cohorts.get(&cutoff_ns).copied(),
                ticket: number.map(|number| (number, vault.tickets[&number])),
            },
            volume: self.state.fees.volumes.keep(owner.0, now_ns),
            token: TokenPart {
                total: staking.total,
                funds: staking.funds.clone(),
                staker: staking.stakers.get(&owner.0).cloned(),
                bootstrap: (bootstrap.start_s, bootstrap.all, bootstrap.depositors.get(&owner.0).copied()),
            },
        }
    }

    /// Puts everything back and forgets what was told since.
    pub(super) fn roll_back(&mut self, savepoint: Savepoint, output: &mut Output) {
        let Savepoint { owner, marks, left, pools, vault, token, volume } = savepoint;
        self.state.fees.volumes.put_back(&volume);
        for event in output.events[marks.0..].iter().rev() {
            if event.kind == EventKind::ClaimsMoved as u16 {
                let body: ClaimsBody = event.body_as();
                let back = (-body.delta_free, -body.delta_held);
                self.state.claims.shift((event.account, event.sub), event.market, body.outcome, back);
            }
        }
        self.state.claims.left.truncate(left);
        for posting in output.postings[marks.1..].iter().rev() {
            crate::ledger::take_back(&mut self.state.accounts, &mut self.state.system, posting);
        }
        for PoolPart { market, pool, provider, series } in pools {
            self.state.fees.adjust.put_pool(market, series);
            let held = &mut self.state.pools;
            put_back(&mut held.pools, market, pool);
            put_back(&mut held.providers, (market, owner.0, owner.1), provider);
        }
        self.take_back_vault(owner.0, vault);
        let staking = &mut self.state.token.staking;
        (staking.total, staking.funds) = (token.total, token.funds);
        put_back(&mut staking.stakers, owner.0, token.staker);
        let bootstrap = &mut self.state.token.bootstrap;
        (bootstrap.start_s, bootstrap.all) = (token.bootstrap.0, token.bootstrap.1);
        put_back(&mut bootstrap.depositors, owner.0, token.bootstrap.2);
        let earned = crate::token::rate_class(self.state.token.staked(owner.0));
        self.state.flow.set_earned(owner.0, earned);
        output.take_back(marks);
    }

    fn take_back_vault(&mut self, account: u32, part: VaultPart) {
        let vault = &mut self.state.vault;
        if vault.next_look_ns != part.next_look_ns {
            self.state.due.remove(&(vault.next_look_ns, due::VAULT, 0));
        }
        let held = vault.shares_of(account);
        vault.move_shares(account, part.held - held);
        vault.supply = part.supply;
        vault.insured = part.insured;
        (vault.epoch_ns, vault.epoch_nav, vault.epoch_in) = part.epoch;
        (vault.high_water_e12, vault.next_look_ns) = (part.high_water_e12, part.next_look_ns);
        put_back(&mut vault.cohorts, part.cutoff_ns, part.cohort);
        let place = (account, part.cutoff_ns);
        if let Some(number) = vault.by_owner.get(&place).copied() {
            put_back(&mut vault.tickets, number, part.ticket.map(|(_, ticket)| ticket));
        }
        put_back(&mut vault.by_owner, place, part.ticket.map(|(number, _)| number));
        vault.next_ticket = part.next_ticket;
    }
}

fn put_back<K: Ord, V>(map: &mut std::collections::BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
