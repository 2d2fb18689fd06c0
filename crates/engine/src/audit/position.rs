//! Positions and leveraged markets rebuilt from events: what a fill makes of a position (P1.5.6, P4.1, P4.8.2), and
//! I04 and I13 from running sums.

use super::fault::{ensure, fault, Check};
use crate::hash::Map;

pub const NONE: u32 = u32::MAX;
/// The funding index counts micro-quote per lot × 10^9.
const PPB: i128 = 1_000_000_000;
const POSITIONS_PER_SUB: u32 = 50;

/// One position, or the open orders of one; it exists once per (account, sub-account, market).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub account: u32,
    pub market: u32,
    pub sub: u8,
    pub leverage_e2: u32,
    /// Signed lots, and what they cost in micro-quote with the same sign.
    pub lots: i64,
    pub cost: i64,
    pub funding_entry: i128,
    /// Next position of the sub-account.
    pub next: u32,
}

impl Position {
    pub const fn new(account: u32, sub: u8, market: u32) -> Self {
        Position { account, market, sub, leverage_e2: 0, lots: 0, cost: 0, funding_entry: 0, next: NONE }
    }
}

/// What a fill or settlement does to a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    pub lots: i64,
    pub cost: i64,
    /// Micro-quote of profit, rounded down.
    pub realised: i64,
    /// Micro-quote of funding paid, rounded up.
    pub funding: i64,
    /// Micro-quote that the cost line moves by.
    pub cost_line: i64,
}

/// A leveraged market as events describe it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Perp {
    pub exists: bool,
    pub feed: u32,
    pub max_leverage_e2: u32,
    pub size_k_ppm: u32,
    pub floor_mmf_ppm: u32,
    pub liquidation_fee_e6bp: u32,
    pub position_limit: i64,
    pub open_interest_cap: i64,
    pub mark: i64,
    pub index: i64,
    pub mark_ns: i64,
    /// Price of the last print that counts for the mark; 0 = none.
    pub last_price: i64,
    pub long: i128,
    pub short: i128,
    pub positions: u32,
    pub funding_index: i128,
    /// Earliest end of the present hour; 0 = not known yet.
    pub funding_due_ns: i64,
    /// Sum of lots × funding entry.
    pub claims: i128,
    /// Roundings since the funding line gave up its dust.
    pub settlements: i128,
    /// Price in ticks at which the market settles its positions; 0 = it does not.
    pub settling_at: i64,
}

/// All positions and leveraged markets of the shard.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    pub list: Vec<Position>,
    free: Vec<u32>,
    index: Map<u64, u32>,
    /// First position of a sub-account.
    first: Map<u64, u32>,
    /// By market handle; markets without leverage do not `exists`.
    pub markets: Vec<Perp>,
    /// Markets that the present command has traded in.
    pub touched: Vec<u32>,
}

const fn key(account: u32, sub: u8, market: u32) -> u64 {
    ((account as u64) << 32) | ((sub as u64) << 24) | market as u64
}

pub const fn sub_key(account: u32, sub: u8) -> u64 {
    ((account as u64) << 8) | sub as u64
}

fn div_ceil(numerator: i128, denominator: i128) -> i128 {
    -(-numerator).div_euclid(denominator)
}

fn fits(value: i128, what: &str) -> Check<i64> {
    i64::try_from(value).map_err(|_| fault("I20", format_args!("{what} of {value} is out of range")))
}

impl Positions {
    pub fn open_market(&mut self) {
        self.markets.push(Perp::default());
    }

    #[inline]
    pub fn perp(&self, market: u32) -> Check<&Perp> {
        match self.markets.get(market as usize) {
            Some(perp) if perp.exists => Ok(perp),
            _ => Err(fault("I26", format_args!("market {market} has no leverage"))),
        }
    }

    #[inline]
    pub fn perp_mut(&mut self, market: u32) -> Check<&mut Perp> {
        match self.markets.get_mut(market as usize) {
            Some(perp) if perp.exists => Ok(perp),
            _ => Err(fault("I26", format_args!("market {market} has no leverage"))),
        }
    }

    #[inline]
    pub fn find(&self, account: u32, sub: u8, market: u32) -> Option<u32> {
        self.index.get(&key(account, sub, market)).copied()
    }

    /// The slot of a position, made when it is new.
    pub fn slot(&mut self, account: u32, sub: u8, market: u32) -> u32 {
        if let Some(slot) = self.find(account, sub, market) {
            return slot;
        }
        let head = self.first.entry(sub_key(account, sub)).or_insert(NONE);
        let funding_entry = self.markets[market as usize].funding_index;
        let position = Position { funding_entry, next: *head, ..Position::new(account, sub, market) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.list[slot as usize] = position;
                slot
            }
            None => {
                self.list.push(position);
                (self.list.len() - 1) as u32
            }
        };
        *head = slot;
        self.index.insert(key(account, sub, market), slot);
        slot
    }

    /// Forgets a position that holds neither lots nor orders.
    pub fn drop_if_empty(&mut self, slot: u32, orders: u32) {
        let Position { account, sub, market, lots, next, .. } = self.list[slot as usize];
        if lots != 0 || orders != 0 || self.find(account, sub, market) != Some(slot) {
            return;
        }
        self.index.remove(&key(account, sub, market));
        let Some(head) = self.first.get_mut(&sub_key(account, sub)) else { return };
        if *head != slot {
            let mut at = *head;
            while self.list[at as usize].next != slot {
                at = self.list[at as usize].next;
            }
            self.list[at as usize].next = next;
        } else if next != NONE {
            *head = next;
        } else {
            self.first.remove(&sub_key(account, sub));
        }
        self.free.push(slot);
    }

    /// Slots and positions of a sub-account.
    pub fn of_sub(&self, account: u32, sub: u8) -> impl Iterator<Item = (u32, &Position)> {
        let mut at = self.first.get(&sub_key(account, sub)).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let (slot, position) = (at, self.list.get(at as usize)?);
            at = position.next;
            Some((slot, position))
        })
    }

    pub fn holds_lots(&self, account: u32, sub: u8) -> bool {
        self.of_sub(account, sub).any(|(_, position)| position.lots != 0)
    }

    /// I20: a sub-account in mode CROSS holds up to 50 positions, an isolated one a single one.
    pub fn check_count(&self, account: u32, sub: u8, isolated: bool) -> Check {
        let count = self.of_sub(account, sub).count() as u32;
        let most = if isolated { 1 } else { POSITIONS_PER_SUB };
        ensure!(count <= most, "I20", "account {account} sub {sub} has {count} positions");
        Ok(())
    }

    /// What buying `delta` lots (negative: selling) at a price makes of a position, by P1.5.6: the part that is
    /// reduced takes its share of the cost along, rounded so that the profit is rounded down.
    pub fn effect(&self, slot: u32, delta: i64, price: i64, unit: i64) -> Check<Effect> {
        let worth = i128::from(price) * i128::from(unit);
        self.effect_of(slot, delta, |lots| lots * worth)
    }

    /// [`Positions::effect`] at a value: `value_of` a part of the lots.
    pub fn effect_of(&self, slot: u32, delta: i64, value_of: impl Fn(i128) -> i128) -> Check<Effect> {
        let position = &self.list[slot as usize];
        let perp = self.perp(position.market)?;
        let (held, moved) = (i128::from(position.lots), i128::from(delta));
        let cost = i128::from(position.cost);
        let reduced = if held.signum() * moved.signum() < 0 { held.abs().min(moved.abs()) } else { 0 };
        let (share, realised) = match reduced {
            0 => (0, 0),
            _ => {
                let share = div_ceil(cost * reduced, held.abs());
                (share, held.signum() * value_of(reduced) - share)
            }
        };
        let opened = moved + held.signum() * reduced;
        let opened_value = if opened == 0 { 0 } else { opened.signum() * value_of(opened.abs()) };
        let owed = i128::from(position.lots) * (perp.funding_index - position.funding_entry);
        Ok(Effect {
            lots: fits(held + moved, "a position")?,
            cost: fits(cost - share + opened_value, "a cost")?,
            realised: fits(realised, "a profit")?,
            funding: fits(div_ceil(owed, PPB), "a payment of funding")?,
            cost_line: fits(share - opened_value, "a cost")?,
        })
    }

    /// Makes the position what the effect says and moves the market's sums.
    pub fn apply(&mut self, slot: u32, effect: &Effect) {
        let position = &mut self.list[slot as usize];
        let perp = &mut self.markets[position.market as usize];
        let (before, after) = (position.lots, effect.lots);
        perp.settlements += i128::from(before != 0 && position.funding_entry != perp.funding_index);
        perp.long += i128::from(after.max(0)) - i128::from(before.max(0));
        perp.short += i128::from((-after).max(0)) - i128::from((-before).max(0));
        perp.positions += u32::from(after != 0);
        perp.positions -= u32::from(before != 0);
        perp.claims += i128::from(after) * perp.funding_index - i128::from(before) * position.funding_entry;
        (position.lots, position.cost) = (after, effect.cost);
        position.funding_entry = perp.funding_index;
        if self.touched.last() != Some(&position.market) {
            self.touched.push(position.market);
        }
    }

    /// I04 of a market: what is long is what is short. Meanwhile a settlement closes one side after the other.
    pub fn check_open_interest(&self, market: u32) -> Check {
        let perp = self.perp(market)?;
        ensure!(
            perp.long == perp.short || perp.settling_at != 0,
            "I04",
            "market {market}: {} lots are long, {} short",
            perp.long,
            perp.short
        );
        Ok(())
    }

    /// I13: the funding line holds what open positions can claim, and one rounding more per settlement since the
    /// last sweep.
    pub fn check_funding(&self, market: u32, line: i64) -> Check {
        let perp = self.perp(market)?;
        if perp.settling_at != 0 {
            return Ok(());
        }
        let over = i128::from(line) * PPB - perp.claims;
        ensure!(
            over >= 0 && over < (perp.settlements + 1) * PPB,
            "I13",
            "market {market}: the funding line holds {line}, positions can claim {} / 10^9, {} roundings",
            perp.claims,
            perp.settlements
        );
        Ok(())
    }

    /// What the funding line holds beyond the claims.
    pub fn dust(&self, market: u32, line: i64) -> Check<i64> {
        let perp = self.perp(market)?;
        fits((i128::from(line) - div_ceil(perp.claims, PPB)).max(0), "dust")
    }

    /// All sums from scratch.
    pub fn verify(&self) -> Check {
        let mut sums = vec![(0_i128, 0_i128, 0_u32, 0_i128); self.markets.len()];
        for &slot in self.index.values() {
            let position = &self.list[slot as usize];
            let (long, short, count, claims) = &mut sums[position.market as usize];
            *long += i128::from(position.lots.max(0));
            *short += i128::from((-position.lots).max(0));
            *count += u32::from(position.lots != 0);
            *claims += i128::from(position.lots) * position.funding_entry;
        }
        for (market, (perp, (long, short, count, claims))) in self.markets.iter().zip(sums).enumerate() {
            ensure!(
                (perp.long, perp.short, perp.positions, perp.claims) == (long, short, count, claims),
                "I04",
                "market {market}: positions sum to {long} long and {short} short lots, not {} and {}",
                perp.long,
                perp.short
            );
            if perp.exists {
                self.check_open_interest(market as u32)?;
            }
        }
        Ok(())
    }

    /// Every record.
    pub fn iter(&self) -> impl Iterator<Item = &Position> {
        self.index.values().map(|&slot| &self.list[slot as usize])
    }

    /// Takes a position over as it stands; open orders follow with the orders.
    pub fn load(&mut self, position: &Position) {
        let slot = self.slot(position.account, position.sub, position.market);
        let entry = &mut self.list[slot as usize];
        (entry.lots, entry.cost, entry.leverage_e2) = (position.lots, position.cost, position.leverage_e2);
        entry.funding_entry = position.funding_entry;
        let perp = &mut self.markets[position.market as usize];
        perp.long += i128::from(position.lots.max(0));
        perp.short += i128::from((-position.lots).max(0));
        perp.positions += u32::from(position.lots != 0);
        perp.claims += i128::from(position.lots) * position.funding_entry;
    }
}
