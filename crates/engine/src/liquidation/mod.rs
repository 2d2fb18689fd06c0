//! Candidates, tranches, rate limits and takeovers (protocol P5).

pub mod candidates;
pub mod ladder;
mod pending;
pub mod rank;
pub mod step;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::account::{Accounts, SubAccount};
use crate::codec::{Reader, Writer};
use crate::limits::SECOND_NS;
use crate::order::NONE;
use crate::perp::margin::{div_floor, product};
use crate::perp::{PerpMarket, Perps, Position};
use crate::state::{due, Due};
use candidates::{Candidate, Candidates};
use ladder::Ladder;
pub use pending::{BoundsLeft, Look, PendingLooks};
use step::{rate_limit, Deviation};
use watch::{account_of, owner, Owner};

/// "No account": a step that the engine itself takes, a fund that is not open yet.
pub const NOBODY: u32 = u32::MAX;

/// Ids of due items of this concern.
pub mod due_id {
    /// Sub-accounts that SYSTEM liquidates now.
    pub const QUEUE: u64 = 0;
    /// The fund's positions.
    pub const FUND: u64 = 2;
}

/// Place of a position in the ranking for auto-deleveraging; the first of a side has the most profitable entry.
pub type Rank = (u8, i64);
/// No place.
pub const UNRANKED: Rank = (u8::MAX, 0);

/// The place that a position's entry gives it (P5.8): at every mark the order of entries is the order of profit
/// shares, so that no mark moves anybody.
#[inline]
pub fn rank_of(position: &Position, unit: i64) -> Rank {
    if position.lots == 0 {
        return UNRANKED;
    }
    if let Some(size) = position.lots.checked_abs().and_then(|lots| lots.checked_mul(unit)) {
        let floor = |cost: i64| cost / size - i64::from(cost % size < 0);
        return match position.lots > 0 {
            true => (0, floor(position.cost)),
            false => (1, -floor(-position.cost)),
        };
    }
    let size = product(position.lots, unit, 1).abs();
    let cost = i128::from(if position.lots > 0 { position.cost } else { -position.cost });
    let entry = div_floor(cost, size) as i64;
    if position.lots > 0 {
        (0, entry)
    } else {
        (1, -entry)
    }
}

/// What this concern keeps of one leveraged market.
#[derive(Clone, Debug, Default)]
pub struct MarketState {
    pub ladder: Ladder,
    /// (side, key, owner): 0 long, 1 short; best candidates for auto-deleveraging first within a side.
    pub ranks: BTreeSet<(u8, i64, Owner)>,
    /// Ticks that funding has taken from long and from short positions since the market began, rounded up.
    pub funding_ticks: [i64; 2],
    pub deviation: Deviation,
    /// Token bucket of P5.4: micro-quote that may be sold now, and when that was.
    pub tokens: i64,
    pub tokens_ns: i64,
    /// Lots of flagged sub-accounts in the market that is their largest.
    pub pending_lots: i64,
    /// Since when a cascade is on (P5.9); 0 = none.
    pub cascade_ns: i64,
    /// Last second whose duty no keeper did.
    pub missed_s: i64,
    /// The run of the queue in which the market's rate was found used up; of no meaning between commands.
    limited_run: u64,
    /// Passive orders of liquidations and when they expire, oldest first; some may be over already (P5.9).
    pub offers: VecDeque<(i64, u64)>,
}

impl MarketState {
    /// Fills the bucket up to now and returns (micro-quote left, its size).
    pub fn refilled(&self, perp: &PerpMarket, now_ns: i64) -> (i64, i64) {
        let size = rate_limit(self.deviation.ppm(), perp.value(perp.open_interest));
        let elapsed = now_ns.saturating_sub(self.tokens_ns).clamp(0, SECOND_NS);
        let gained = match elapsed {
            0 => 0,
            SECOND_NS => i128::from(size),
            part => i128::from(size) * i128::from(part) / i128::from(SECOND_NS),
        };
        let filled = i128::from(self.tokens) + gained;
        (filled.min(i128::from(size)) as i64, size)
    }
}

/// Moments of the steps that reduced one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepTimes {
    /// When the last tranche was sold; i64::MIN = none.
    pub last_ns: i64,
    /// Since when an unfilled rest waits; 0 = none does.
    pub begun_ns: i64,
    /// The passive order that precedes the next sale (P5.9), until when that waits for it, and the lots of the step
    /// that are left; 0 = none precedes it.
    pub offer: u64,
    pub offer_ns: i64,
    pub offer_lots: i64,
    /// Account of the keeper whose step placed that order and who earns with its fills (P5.7); [`NOBODY`] = none.
    pub offer_keeper: u32,
}

impl StepTimes {
    /// Before the first step.
    pub const NONE: StepTimes = StepTimes {
        last_ns: i64::MIN,
        begun_ns: 0,
        offer: 0,
        offer_ns: 0,
        offer_lots: 0,
        offer_keeper: NOBODY,
    };

    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.offer);
        let moments = [self.last_ns, self.begun_ns, self.offer_ns, self.offer_lots];
        moments.into_iter().for_each(|value| writer.i64(value));
        writer.u32(self.offer_keeper);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let offer = reader.u64()?;
        let (last_ns, begun_ns) = (reader.i64()?, reader.i64()?);
        let (offer_ns, offer_lots) = (reader.i64()?, reader.i64()?);
        let offer_keeper = reader.u32()?;
        Ok(StepTimes { last_ns, begun_ns, offer, offer_ns, offer_lots, offer_keeper })
    }
}

/// Business state of this concern.
#[derive(Clone, Debug)]
pub struct Liquidations {
    /// By place in `perps.markets`.
    markets: Vec<MarketState>,
    pub candidates: Candidates,
    /// Levels of a snapshot, until the accounts are known that keep them.
    decoded_levels: Vec<(Owner, u8)>,
    /// Moments of steps in markets other than the first that a candidate's steps reduced.
    steps: BTreeMap<(Owner, u32), StepTimes>,
    /// Who must be looked at before the command after this one; nothing between commands.
    pub pending: PendingLooks,
    /// Prices of collateral behind which an owner is looked at again.
    collateral_of: BTreeMap<(Owner, u16), i64>,
    collateral: BTreeSet<(u16, i64, Owner)>,
    /// Next account that a change of risk parameters makes look at; [`NOBODY`] = none.
    pub sweep: u32,
    /// Account that holds what insurance took over.
    pub fund: u32,
    pub fund_ns: i64,
    /// Place of the market whose cascade is measured next.
    pub cascade_next: u32,
    /// Runs of the queue so far, of no meaning between commands.
    run: u64,
    /// The market from which on the fund looks at its orders next.
    pub fund_next: u32,
    /// The sub-account in the middle of a step; its fills do not need a look each.
    pub busy: Option<Owner>,
    armed_ns: i64,
}

impl Default for Liquidations {
    fn default() -> Self {
        Liquidations {
            markets: Vec::new(),
            candidates: Candidates::default(),
            decoded_levels: Vec::new(),
            steps: BTreeMap::new(),
            pending: PendingLooks::default(),
            collateral_of: BTreeMap::new(),
            collateral: BTreeSet::new(),
            sweep: NOBODY,
            fund: NOBODY,
            fund_ns: 0,
            cascade_next: 0,
            run: 0,
            fund_next: 0,
            busy: None,
            armed_ns: 0,
        }
    }
}

impl Liquidations {
    /// What is kept of the market at a place of `perps.markets`, if anything is yet.
    #[inline]
    pub fn market(&self, place: usize) -> Option<&MarketState> {
        self.markets.get(place)
    }

    #[inline]
    pub fn market_mut(&mut self, place: usize) -> &mut MarketState {
        if place >= self.markets.len() {
            self.markets.resize_with(place + 1, MarketState::default);
        }
        &mut self.markets[place]
    }

    /// Number of flagged sub-accounts.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Flags an owner that is not flagged.
    pub fn flag(&mut self, accounts: &mut Accounts, perps: &Perps, seen: Candidate) {
        self.count_pending(perps, seen.market, seen.lots.abs());
        let slot = self.candidates.add(seen);
        sub_of(accounts, seen.owner).candidate = slot;
    }

    /// Refreshes what is known of a candidate.
    #[inline]
    pub fn refresh(&mut self, perps: &Perps, slot: u32, seen: &Candidate) {
        let &Candidate { market, lots, .. } = self.candidates.at(slot);
        if (market, lots) != (seen.market, seen.lots) {
            self.count_pending(perps, market, -lots.abs());
            self.count_pending(perps, seen.market, seen.lots.abs());
        }
        self.candidates.refresh(slot, seen);
    }

    fn count_pending(&mut self, perps: &Perps, market: u32, lots: i64) {
        if let Some(place) = perps.place(market) {
            self.market_mut(place).pending_lots += lots;
        }
    }

    /// A run of the queue begins: rates may have room again.
    pub fn begin_run(&mut self) {
        self.run += 1;
    }

    /// Whether this run has found the rate of a market used up. It stays so until the run ends: sales only ever take
    /// from it.
    #[inline]
    pub fn is_limited(&self, place: usize) -> bool {
        self.market(place).is_some_and(|market| market.limited_run == self.run)
    }

    pub fn note_limited(&mut self, place: usize) {
        self.market_mut(place).limited_run = self.run;
    }

    /// Forgets a candidate; what was known of it, None when it was none.
    pub fn unflag(&mut self, accounts: &mut Accounts, perps: &Perps, owner: Owner) -> Option<Candidate> {
        let sub = sub_of(accounts, owner);
        if sub.candidate == NONE {
            return None;
        }
        let old = self.candidates.remove(std::mem::replace(&mut sub.candidate, NONE));
        self.count_pending(perps, old.market, -old.lots.abs());
        if old.stepped_elsewhere {
            self.forget_steps(owner);
        }
        Some(old)
    }

    /// Moments of a candidate's steps in a market.
    #[inline]
    pub fn step_times(&self, slot: u32, market: u32) -> StepTimes {
        let candidate = self.candidates.at(slot);
        if candidate.step_market == market {
            return candidate.step;
        }
        match candidate.stepped_elsewhere {
            true => self.steps.get(&(candidate.owner, market)).copied().unwrap_or(StepTimes::NONE),
            false => StepTimes::NONE,
        }
    }

    pub fn set_step_times(&mut self, slot: u32, market: u32, times: StepTimes) {
        let candidate = self.candidates.at_mut(slot);
        if candidate.step_market == market || candidate.step_market == NONE {
            (candidate.step_market, candidate.step) = (market, times);
            return;
        }
        candidate.stepped_elsewhere = true;
        self.steps.insert((candidate.owner, market), times);
    }

    /// The moments of an owner's steps mean nothing once it is no candidate.
    fn forget_steps(&mut self, owner: Owner) {
        while let Some((&key, _)) = self.steps.range((owner, 0)..=(owner, u32::MAX)).next() {
            self.steps.remove(&key);
        }
    }

    /// Keeps the due queue's item at the first moment at which somebody is ripe.
    pub fn arm(&mut self, queue: &mut BTreeSet<Due>) {
        let next = self.candidates.first_ns().unwrap_or(0);
        if next != self.armed_ns {
            if self.armed_ns != 0 {
                queue.remove(&(self.armed_ns, due::LIQUIDATION, due_id::QUEUE));
            }
            if next != 0 {
                queue.insert((next, due::LIQUIDATION, due_id::QUEUE));
            }
            self.armed_ns = next;
        }
    }

    /// The due item of the queue was taken out.
    pub fn disarmed(&mut self) {
        self.armed_ns = 0;
    }

    /// Whether somebody must be looked at before anything else happens.
    #[inline]
    pub fn has_looks(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Moves the moment at which the fund works its positions off; 0 = none.
    pub fn arm_fund(&mut self, next_ns: i64, queue: &mut BTreeSet<Due>) {
        if self.fund_ns != 0 {
            queue.remove(&(self.fund_ns, due::LIQUIDATION, due_id::FUND));
        }
        self.fund_ns = next_ns;
        if next_ns != 0 {
            queue.insert((next_ns, due::LIQUIDATION, due_id::FUND));
        }
    }

    /// The price of an asset behind which an owner is looked at again; None = not watched.
    pub fn collateral_bound(&self, owner: Owner, asset: u16) -> Option<i64> {
        self.collateral_of.get(&(owner, asset)).copied()
    }

    pub fn watch_collateral(&mut self, owner: Owner, asset: u16, bound: Option<i64>) {
        let old = match bound {
            Some(bound) => self.collateral_of.insert((owner, asset), bound),
            None => self.collateral_of.remove(&(owner, asset)),
        };
        if old == bound {
            return;
        }
        if let Some(old) = old {
            self.collateral.remove(&(asset, old, owner));
        }
        if let Some(bound) = bound {
            self.collateral.insert((asset, bound, owner));
        }
    }

    /// Whether collateral of this owner is watched.
    #[inline]
    pub fn watches_collateral_of(&self, owner: Owner) -> bool {
        !self.collateral_of.is_empty()
            && self.collateral_of.range((owner, 0)..=(owner, u16::MAX)).next().is_some()
    }

    /// Whether nobody is watched for the price of collateral.
    #[inline]
    pub fn has_no_collateral_watch(&self) -> bool {
        self.collateral_of.is_empty()
    }

    /// Assets that an owner's margin is watched for.
    pub fn watched_assets(&self, owner: Owner) -> Vec<u16> {
        self.collateral_of.range((owner, 0)..=(owner, u16::MAX)).map(|(&(_, asset), _)| asset).collect()
    }

    /// An owner whose collateral of this asset has fallen to its bound: the furthest behind first.
    pub fn crossed_collateral(&self, asset: u16, price: i64) -> Option<Owner> {
        let of_asset = self.collateral.range((asset, i64::MIN, 0)..=(asset, i64::MAX, Owner::MAX));
        of_asset.last().filter(|entry| entry.1 >= price).map(|entry| entry.2)
    }

    pub fn encode(&self, accounts: &Accounts, perps: &Perps, writer: &mut Writer) {
        writer.len(self.markets.len());
        for market in &self.markets {
            let Deviation { mean_e6, variance, time_ns } = market.deviation;
            let [long, short] = market.funding_ticks;
            let fields = [
                long,
                short,
                mean_e6,
                variance,
                time_ns,
                market.tokens,
                market.tokens_ns,
                market.cascade_ns,
                market.missed_s,
            ];
            fields.into_iter().for_each(|value| writer.i64(value));
            writer.len(market.offers.len());
            for &(expiry_ns, order) in &market.offers {
                writer.i64(expiry_ns);
                writer.u64(order);
            }
            market.ladder.encode(perps, writer);
        }
        writer.len(self.candidates.len());
        for (_, candidate) in self.candidates.waiting() {
            let &Candidate { owner, market, ratio_ppm, notional, flagged_ns, ready_ns, lots, .. } = candidate;
            writer.u32(owner);
            writer.u32(market);
            [ratio_ppm, notional, flagged_ns, ready_ns, lots].into_iter().for_each(|value| writer.i64(value));
            writer.u32(candidate.step_market);
            candidate.step.encode(writer);
        }
        writer.len(levels(accounts).count());
        for (owner, level) in levels(accounts) {
            writer.u32(owner);
            writer.u8(level);
        }
        writer.len(self.steps.len());
        for (&(owner, market), times) in &self.steps {
            writer.u32(owner);
            writer.u32(market);
            times.encode(writer);
        }
        writer.len(self.collateral_of.len());
        for (&(owner, asset), &bound) in &self.collateral_of {
            writer.u32(owner);
            writer.u16(asset);
            writer.i64(bound);
        }
        writer.u32(self.sweep);
        writer.u32(self.fund);
        writer.i64(self.fund_ns);
        writer.u32(self.fund_next);
        writer.u32(self.cascade_next);
    }

    /// Sets of positions come back by [`Liquidations::attach`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut all = Liquidations::default();
        for _ in 0..reader.len(80)? {
            let mut fields = [0; 9];
            for field in &mut fields {
                *field = reader.i64()?;
            }
            let [long, short, mean_e6, variance, time_ns, tokens, tokens_ns, cascade_ns, missed_s] = fields;
            let mut offers = VecDeque::new();
            for _ in 0..reader.len(16)? {
                offers.push_back((reader.i64()?, reader.u64()?));
            }
            all.markets.push(MarketState {
                funding_ticks: [long, short],
                deviation: Deviation { mean_e6, variance, time_ns },
                tokens,
                tokens_ns,
                cascade_ns,
                missed_s,
                offers,
                ladder: Ladder::decode(reader)?,
                ..MarketState::default()
            });
        }
        for _ in 0..reader.len(88)? {
            let (owner, market) = (reader.u32()?, reader.u32()?);
            let (ratio_ppm, notional) = (reader.i64()?, i128::from(reader.i64()?));
            let moments = (reader.i64()?, reader.i64()?);
            let largest = (market, reader.i64()?);
            let step_market = reader.u32()?;
            let step = StepTimes::decode(reader)?;
            let slot = all.candidates.add(Candidate::seen(owner, largest, ratio_ppm, notional, moments));
            let known = all.candidates.at_mut(slot);
            (known.step_market, known.step) = (step_market, step);
        }
        for _ in 0..reader.len(5)? {
            all.decoded_levels.push((reader.u32()?, reader.u8()?));
        }
        for _ in 0..reader.len(52)? {
            let key = (reader.u32()?, reader.u32()?);
            all.steps.insert(key, StepTimes::decode(reader)?);
        }
        for _ in 0..reader.len(14)? {
            let (owner, asset, bound) = (reader.u32()?, reader.u16()?, reader.i64()?);
            all.watch_collateral(owner, asset, Some(bound));
        }
        all.sweep = reader.u32()?;
        all.fund = reader.u32()?;
        all.fund_ns = reader.i64()?;
        all.fund_next = reader.u32()?;
        all.cascade_next = reader.u32()?;
        Ok(all)
    }

    /// Rebuilds the sets over positions that were decoded, and what the accounts keep of this.
    ///
    /// # Errors
    /// A sentence when an owner has no account.
    pub fn attach(&mut self, accounts: &mut Accounts, perps: &mut Perps) -> Result<(), String> {
        let fund = self.fund;
        perps.each_mut(|place, unit, position| {
            position.rank = UNRANKED;
            if position.account == fund {
                return;
            }
            let owner = owner(position.account, position.sub);
            let market = self.market_mut(place);
            position.rank = rank_of(position, unit);
            if position.rank != UNRANKED {
                market.ranks.insert((position.rank.0, position.rank.1, owner));
            }
        });
        for place in 0..self.markets.len().min(perps.markets.len()) {
            let market = perps.markets[place].market;
            self.markets[place].ladder.attach(perps, market)?;
        }
        for (owner, level) in std::mem::take(&mut self.decoded_levels) {
            known_sub(accounts, owner)?.level = level;
        }
        let waiting: Vec<(u32, Candidate)> =
            self.candidates.waiting().map(|(slot, candidate)| (slot, *candidate)).collect();
        for (slot, candidate) in waiting {
            let sub = known_sub(accounts, candidate.owner)?;
            if std::mem::replace(&mut sub.candidate, slot) != NONE {
                return Err(format!("sub-account {:#x} is a candidate twice", candidate.owner));
            }
            self.count_pending(perps, candidate.market, candidate.lots.abs());
        }
        for &(owner, _) in self.steps.keys() {
            let slot = known_sub(accounts, owner)?.candidate;
            if slot != NONE {
                self.candidates.at_mut(slot).stepped_elsewhere = true;
            }
        }
        self.armed_ns = self.candidates.first_ns().unwrap_or(0);
        Ok(())
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        let items = [(self.candidates.first_ns().unwrap_or(0), due_id::QUEUE), (self.fund_ns, due_id::FUND)];
        for (due_ns, id) in items.into_iter().filter(|item| item.0 != 0) {
            due.insert((due_ns, due::LIQUIDATION, id));
        }
    }
}

/// The sub-account of an owner that exists.
#[inline]
pub fn sub_of(accounts: &mut Accounts, owner: Owner) -> &mut SubAccount {
    let (account, sub) = account_of(owner);
    accounts.list[account as usize].sub_mut(sub).expect("an owner is a sub-account")
}

fn known_sub(accounts: &mut Accounts, owner: Owner) -> Result<&mut SubAccount, String> {
    let (account, sub) = account_of(owner);
    let known = accounts.list.get_mut(account as usize).and_then(|account| account.sub_mut(sub));
    known.ok_or_else(|| format!("sub-account {sub} of account {account} is watched and does not exist"))
}

/// Levels that were published, without those at 0, ascending by owner.
fn levels(accounts: &Accounts) -> impl Iterator<Item = (Owner, u8)> + '_ {
    accounts.list.iter().enumerate().flat_map(|(account, entry)| {
        let published = entry.subs().filter(|sub| sub.level != 0);
        published.map(move |sub| (owner(account as u32, sub.index), sub.level))
    })
}

/// The place of a position among its opponents after it has moved.
pub fn rerank(market: &mut MarketState, position: &mut Position, rank: Rank) {
    if rank == position.rank {
        return;
    }
    let owner = owner(position.account, position.sub);
    if position.rank != UNRANKED {
        market.ranks.remove(&(position.rank.0, position.rank.1, owner));
    }
    if rank != UNRANKED {
        market.ranks.insert((rank.0, rank.1, owner));
    }
    position.rank = rank;
}
