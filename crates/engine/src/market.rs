//! Markets and the rules that differ by kind (protocol P1.4.2, P2.3.1).

use std::collections::BTreeMap;

use crate::codec::{Reader, Writer};
use crate::fees::{amount, worst_e8};
use crate::hash::id_hash;
use crate::index::Index;
use crate::ledger::line;
use crate::limits::OUTCOMES;
use crate::math::{fee_ceil, notional, plus_bp};
use crate::outcome::PAYOUT;
use crate::wire::command::side;
use crate::wire::error::{reject, Code, Reject};

/// Bits of `market_flags`.
pub mod market_flag {
    /// Takers pay the elastic fee (P8.2), at most the market's taker fee; makers receive their rebate (P8.6).
    pub const ELASTIC_FEE: u16 = 1 << 8;
}

/// Market kinds.
pub mod kind {
    pub const SPOT: u8 = 0;
    pub const PERPETUAL: u8 = 1;
    pub const OUTCOME: u8 = 2;
    pub const DISTRIBUTION: u8 = 3;
}

/// Whether markets of a kind have complete sets.
pub const fn has_outcomes(market_kind: u8) -> bool {
    matches!(market_kind, kind::OUTCOME | kind::DISTRIBUTION)
}

/// Fewest and most outcomes of a market: those of a number are its two sides, "high" and "low".
pub const fn outcomes_of(market_kind: u8) -> (u8, u8) {
    match market_kind {
        kind::OUTCOME => OUTCOMES,
        kind::DISTRIBUTION => (2, 2),
        _ => (1, 1),
    }
}

/// Status bytes of P2.3.1.
pub mod status {
    pub const CREATED: u8 = 0;
    pub const ACTIVE: u8 = 1;
    pub const PAUSED: u8 = 2;
    pub const CLOSE_ONLY: u8 = 3;
    pub const CLOSED: u8 = 4;
    pub const RESOLVING: u8 = 5;
    pub const SETTLED: u8 = 6;
    pub const PRUNED: u8 = 7;
    pub const NAMES: [&str; 8] =
        ["CREATED", "ACTIVE", "PAUSED", "CLOSE_ONLY", "CLOSED", "RESOLVING", "SETTLED", "PRUNED"];
}

/// In the place of the creator: a pruned market. No account has this handle.
const TOMBSTONE: u32 = u32::MAX;
/// Tick and lot of a tombstone: nothing is priced by them, and nothing is divided by zero.
const TOMBSTONE_TICK: i64 = 1_000;

/// A pause of one market or of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    pub id: u32,
    /// As in [`level`].
    pub level: u8,
    /// Bits of [`halts::matrix::category`](crate::halts::matrix::category) that are stopped beside the level's row.
    pub categories: u8,
    pub until_ns: i64,
    pub by: [u8; 32],
    /// First of the two approvals to resume: principal and deadline; zero key = none.
    pub pending_by: [u8; 32],
    pub pending_until_ns: i64,
}

/// Levels of a pause (P7.6). NONE stops only what its mask names.
pub mod level {
    pub const NONE: u8 = 0;
    pub const PARTIAL: u8 = 1;
    pub const FULL: u8 = 2;
    pub const FREEZE: u8 = 3;
}

impl Pause {
    /// When time alone changes it: PARTIAL ends, FREEZE falls back to FULL.
    pub fn ends_ns(&self) -> Option<i64> {
        matches!(self.level, level::PARTIAL | level::FREEZE).then_some(self.until_ns)
    }
}

/// Parameters that governance may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub band_bp: u16,
    pub slippage_bp: u16,
    pub taker_fee_e6bp: u32,
    pub maker_fee_e6bp: u32,
    pub min_notional: i64,
    pub max_notional: i64,
}

/// One market. Aligned, so that its place in the table is found by shifting.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Market {
    pub id: [u8; 32],
    pub creator: u32,
    pub nonce: u64,
    pub kind: u8,
    pub status: u8,
    pub outcome_count: u8,
    pub base: u16,
    pub quote: u16,
    pub flags: u16,
    pub feed: u32,
    pub tick_size: i64,
    pub lot_size: i64,
    /// Micro-quote per tick and lot.
    pub unit: i64,
    pub settle_time_ns: i64,
    pub parameters: Parameters,
    pub config_version: u32,
    pub last_update_ns: i64,
    pub pause: Option<Pause>,
    /// Last trade price in ticks; 0 = none yet.
    pub last_price: i64,
    /// Reference of the price band in ticks; 0 = none.
    pub reference: i64,
}

/// What a fill moves, before the ledger moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub notional: i64,
    pub buyer_fee: i64,
    pub seller_fee: i64,
    /// New reserve of the buyer's rest; what is left of the old one returns to `free`.
    pub buyer_reserve: i64,
    pub seller_reserve: i64,
}

/// One side of a fill: present reserve, lots left after it, limit price and fee rate.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    pub reserve: i64,
    pub remaining_after: i64,
    pub limit: i64,
    /// Rate of this fill.
    pub fee_e6bp: u32,
    /// Elastic rate of this fill in 1e-8 bp, in place of the fixed one; 0 = none.
    pub elastic_e8: u64,
    /// Worst rate the order accepted; its reserve is computed with it, and it is never charged more.
    pub fee_cap_e6bp: u32,
}

impl Leg {
    /// Fee on a value at this fill's rate, never above the rate that the order accepted.
    #[inline]
    pub fn fee(&self, value: i64) -> i64 {
        match self.elastic_e8 {
            0 => fee_ceil(value, self.fee_e6bp.min(self.fee_cap_e6bp)),
            rate_e8 => amount(value, rate_e8.min(worst_e8(self.fee_cap_e6bp))),
        }
    }
}

/// The rules that depend on the market kind: what secures an order and what a fill moves.
/// Spot is the first; perpetual and outcome markets add implementations, not branches elsewhere.
pub trait MarketRules {
    /// Asset and micro-units of `held` that secure `lots` at `price` with fees up to `fee_cap_e6bp`.
    fn reserve(
        &self,
        market: &Market,
        order_side: u8,
        price: i64,
        lots: i64,
        fee_cap_e6bp: u32,
    ) -> Result<(u16, i64), Reject>;
    /// The amounts of a fill of `lots` at `price`.
    fn settle(&self, market: &Market, price: i64, lots: i64, buyer: Leg, seller: Leg) -> Settlement;
    /// Balance line that pays for a purchase of the base.
    fn paying_line(&self) -> u8;
}

/// Spot: a buy is secured by quote including the fee, a sell by base; fees are paid in quote.
pub struct SpotRules;

impl MarketRules for SpotRules {
    #[inline(always)]
    fn reserve(
        &self,
        market: &Market,
        order_side: u8,
        price: i64,
        lots: i64,
        fee_cap_e6bp: u32,
    ) -> Result<(u16, i64), Reject> {
        if order_side == side::SELL {
            let base = lots.checked_mul(market.lot_size).ok_or(Reject::from(Code::MATH_OVERFLOW))?;
            return Ok((market.base, base));
        }
        let value = notional(price, lots, market.unit)?;
        Ok((market.quote, value + fee_ceil(value, fee_cap_e6bp)))
    }

    #[inline(always)]
    fn settle(&self, market: &Market, price: i64, lots: i64, buyer: Leg, seller: Leg) -> Settlement {
        let value = notional(price, lots, market.unit).expect("a fill is not larger than its accepted order");
        let buyer_reserve = match buyer.remaining_after {
            0 => 0,
            rest => {
                let needed = self.reserve(market, side::BUY, buyer.limit, rest, buyer.fee_cap_e6bp);
                needed.expect("a rest is not larger than its accepted order").1
            }
        };
        // Rounding up at every fill could add up to more than the reserve, which was rounded up once; the
        // buyer then pays the smaller amount: over the whole order never more than ceil of the total.
        let buyer_fee = buyer.fee(value).min(buyer.reserve - value - buyer_reserve);
        Settlement {
            notional: value,
            buyer_fee,
            seller_fee: seller.fee(value),
            buyer_reserve,
            seller_reserve: seller.remaining_after * market.lot_size,
        }
    }

    fn paying_line(&self) -> u8 {
        line::HELD
    }
}

impl Parameters {
    /// The worst rate an order placed now may be charged.
    #[inline]
    pub fn fee_cap_e6bp(&self) -> u32 {
        self.taker_fee_e6bp.max(self.maker_fee_e6bp)
    }
}

impl Market {
    /// Whether complete sets of claims trade here: an outcome market, or the two sides of a number.
    #[inline]
    pub fn has_outcomes(&self) -> bool {
        has_outcomes(self.kind)
    }

    /// Whether takers pay the elastic fee.
    #[inline]
    pub fn is_elastic(&self) -> bool {
        self.flags & market_flag::ELASTIC_FEE != 0
    }

    /// The rules of this market's kind.
    #[inline]
    pub fn rules(&self) -> &'static impl MarketRules {
        debug_assert_eq!(self.kind, kind::SPOT);
        &SpotRules
    }

    /// The band for an order of this side: lowest and highest price in ticks; None without a reference.
    /// The aggressive bound is rounded inward; the passive one is [`FAR_BAND_BP`](crate::limits::FAR_BAND_BP) away.
    #[inline]
    pub fn band(&self, order_side: u8) -> Option<(i64, i64)> {
        if self.reference == 0 {
            return None;
        }
        let (below, above) = self.band_bp(order_side);
        Some((less_bp_ceil(self.reference, below).max(1), plus_bp(self.reference, above)))
    }

    /// Width of the band below and above the reference for an order of this side.
    #[inline]
    fn band_bp(&self, order_side: u8) -> (u32, u32) {
        let (near, far) = (u32::from(self.parameters.band_bp), crate::limits::FAR_BAND_BP);
        if order_side == side::BUY {
            (far, near)
        } else {
            (near, far)
        }
    }

    /// # Errors
    /// `PRICE_TOO_HIGH`, `PRICE_TOO_LOW` with the bound.
    #[inline(always)]
    pub fn check_band(&self, order_side: u8, price: i64) -> Result<(), Reject> {
        if self.reference == 0 {
            return Ok(());
        }
        // The reference lies within the band, so that only the bound on the price's side of it can be crossed.
        let (below, above) = self.band_bp(order_side);
        if price <= self.reference {
            let low = less_bp_ceil(self.reference, below).max(1);
            if price < low {
                return reject(Code::PRICE_TOO_LOW, low, price);
            }
        } else {
            let high = plus_bp(self.reference, above);
            if price > high {
                return reject(Code::PRICE_TOO_HIGH, high, price);
            }
        }
        Ok(())
    }

    /// The protective limit of a market order: the reference and the slippage, rounded inward to the tick.
    pub fn protective_limit(&self, order_side: u8, slippage_bp: u32) -> Option<i64> {
        match self.reference {
            0 => None,
            reference => Some(slipped(order_side, reference, slippage_bp)),
        }
    }

    /// Sets the reference to the median of best bid, best ask and last trade; it needs a trade or both sides.
    #[inline]
    pub fn update_reference(&mut self, best_bid: Option<i64>, best_ask: Option<i64>) {
        self.reference = median(best_bid, best_ask, self.last_price);
    }

    /// Ticks of a whole contract of an outcome market (T of P1.4.3).
    #[inline]
    pub fn payout_ticks(&self) -> i64 {
        PAYOUT / self.tick_size
    }

    /// The share of a whole contract that `bp` are, in ticks.
    #[inline]
    pub fn ticks_of_bp(&self, bp: u16) -> i64 {
        self.payout_ticks() * i64::from(bp) / 10_000
    }

    /// An absolute `bp` of a whole contract worse than a price of a claim, for an order of this side of its book (P2.4.4);
    /// within the contract.
    pub fn slipped_claim(&self, book_side: u8, price: i64, bp: u16) -> i64 {
        match book_side {
            side::BUY => (price + self.ticks_of_bp(bp)).min(self.payout_ticks() - 1),
            _ => (price - self.ticks_of_bp(bp)).max(1),
        }
    }

    /// What the fee of a fill of an outcome market is charged on, in micro-quote: the cheaper side of the contract
    /// (P8.1).
    ///
    /// # Errors
    /// `MATH_OVERFLOW`.
    #[inline]
    pub fn outcome_fee_base(&self, price: i64, lots: i64) -> Result<i64, Reject> {
        notional(price.min(self.payout_ticks() - price), lots, self.unit)
    }

    /// What secures a purchase of `lots` of an outcome at `price` of that outcome: micro-quote with the worst fee
    /// (P2.4.7). Filling at a better price never costs more: the fee's base grows by less than the price falls.
    ///
    /// # Errors
    /// `MATH_OVERFLOW`.
    #[inline]
    pub fn outcome_reserve(&self, price: i64, lots: i64, fee_cap_e6bp: u32) -> Result<i64, Reject> {
        let fee = fee_ceil(self.outcome_fee_base(price, lots)?, fee_cap_e6bp);
        Ok(notional(price, lots, self.unit)? + fee)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.id);
        writer.u32(self.creator);
        writer.u64(self.nonce);
        writer.raw(&[self.kind, self.status, self.outcome_count]);
        writer.u16(self.base);
        writer.u16(self.quote);
        writer.u16(self.flags);
        writer.u32(self.feed);
        [self.tick_size, self.lot_size, self.settle_time_ns].into_iter().for_each(|value| writer.i64(value));
        let parameters = &self.parameters;
        writer.u16(parameters.band_bp);
        writer.u16(parameters.slippage_bp);
        writer.u32(parameters.taker_fee_e6bp);
        writer.u32(parameters.maker_fee_e6bp);
        writer.i64(parameters.min_notional);
        writer.i64(parameters.max_notional);
        writer.u32(self.config_version);
        writer.i64(self.last_update_ns);
        encode_pause(self.pause.as_ref(), writer);
        writer.i64(self.last_price);
        writer.i64(self.reference);
    }

    /// What stays of a pruned market beside its id: a settled market that holds nothing.
    fn tombstone(id: [u8; 32]) -> Self {
        let parameters = Parameters {
            band_bp: 0,
            slippage_bp: 0,
            taker_fee_e6bp: 0,
            maker_fee_e6bp: 0,
            min_notional: 0,
            max_notional: 0,
        };
        Market {
            id,
            creator: 0,
            nonce: 0,
            kind: kind::OUTCOME,
            status: status::PRUNED,
            outcome_count: OUTCOMES.0,
            base: 0,
            quote: 0,
            flags: 0,
            feed: 0,
            tick_size: TOMBSTONE_TICK,
            lot_size: TOMBSTONE_TICK,
            unit: 1,
            settle_time_ns: 0,
            parameters,
            config_version: 0,
            last_update_ns: i64::MIN,
            pause: None,
            last_price: 0,
            reference: 0,
        }
    }

    /// Reads what [`Market::encode`] wrote behind id and creator.
    fn decode(id: [u8; 32], creator: u32, reader: &mut Reader<'_>) -> Result<Self, String> {
        let nonce = reader.u64()?;
        let [kind, status, outcome_count] = reader.array()?;
        if kind > kind::DISTRIBUTION || status >= status::PRUNED {
            return Err(format!("market kind {kind}, status {status}"));
        }
        let outcomes = outcomes_of(kind);
        if !(outcomes.0..=outcomes.1).contains(&outcome_count) {
            return Err(format!("a market of kind {kind} with {outcome_count} outcomes"));
        }
        let (base, quote, flags, feed) = (reader.u16()?, reader.u16()?, reader.u16()?, reader.u32()?);
        let (tick_size, lot_size, settle_time_ns) = (reader.i64()?, reader.i64()?, reader.i64()?);
        let parameters = Parameters {
            band_bp: reader.u16()?,
            slippage_bp: reader.u16()?,
            taker_fee_e6bp: reader.u32()?,
            maker_fee_e6bp: reader.u32()?,
            min_notional: reader.i64()?,
            max_notional: reader.i64()?,
        };
        let unit = unit(tick_size, lot_size).ok_or("tick and lot do not fit")?;
        Ok(Market {
            id,
            creator,
            nonce,
            kind,
            status,
            outcome_count,
            base,
            quote,
            flags,
            feed,
            tick_size,
            lot_size,
            unit,
            settle_time_ns,
            parameters,
            config_version: reader.u32()?,
            last_update_ns: reader.i64()?,
            pause: decode_pause(reader)?,
            last_price: reader.i64()?,
            reference: reader.i64()?,
        })
    }
}

/// Median of best bid, best ask and last trade; 0 without a trade or both sides.
#[inline]
pub fn median(best_bid: Option<i64>, best_ask: Option<i64>, last: i64) -> i64 {
    match (best_bid, best_ask) {
        // The mean of two is rounded to the nearest tick, ties down (P4.7).
        (Some(bid), Some(ask)) if last == 0 => (bid + ask) / 2,
        (Some(bid), Some(ask)) => last.clamp(bid, ask),
        (Some(price), None) | (None, Some(price)) if last != 0 => (price + last) / 2,
        _ => last,
    }
}

/// A price `bp` worse for an order of this side, rounded inward to the tick.
#[inline]
pub fn slipped(order_side: u8, price: i64, bp: u32) -> i64 {
    match order_side {
        side::BUY => plus_bp(price, bp),
        _ => less_bp_ceil(price, bp).max(1),
    }
}

/// `ceil(reference × (10,000 − bp) / 10,000)`.
#[inline(always)]
fn less_bp_ceil(reference: i64, bp: u32) -> i64 {
    (reference * (10_000 - i64::from(bp)) + 9_999) / 10_000
}

/// Micro-quote per tick and lot; None when tick × lot is no positive multiple of 10^6.
pub fn unit(tick_size: i64, lot_size: i64) -> Option<i64> {
    if tick_size < 1 || lot_size < 1 {
        return None;
    }
    let product = tick_size as i128 * lot_size as i128;
    (product % 1_000_000 == 0).then(|| i64::try_from(product / 1_000_000).ok()).flatten()
}

pub fn encode_pause(pause: Option<&Pause>, writer: &mut Writer) {
    let Some(pause) = pause else {
        return writer.u8(0);
    };
    writer.u8(1 + pause.level);
    writer.u8(pause.categories);
    writer.u32(pause.id);
    writer.i64(pause.until_ns);
    writer.raw(&pause.by);
    writer.raw(&pause.pending_by);
    writer.i64(pause.pending_until_ns);
}

pub fn decode_pause(reader: &mut Reader<'_>) -> Result<Option<Pause>, String> {
    let level = match reader.u8()? {
        0 => return Ok(None),
        tag if tag > 1 + level::FREEZE => return Err(format!("pause level {}", tag - 1)),
        tag => tag - 1,
    };
    let categories = reader.u8()?;
    let (id, until_ns) = (reader.u32()?, reader.i64()?);
    Ok(Some(Pause {
        id,
        level,
        categories,
        until_ns,
        by: reader.array()?,
        pending_by: reader.array()?,
        pending_until_ns: reader.i64()?,
    }))
}

/// All markets of the shard.
#[derive(Clone, Debug, Default)]
pub struct Markets {
    pub list: Vec<Market>,
    by_id: Index,
}

/// BLAKE3 of the archives of pruned markets, by handle.
pub type Archives = BTreeMap<u32, [u8; 32]>;

impl Markets {
    pub fn find(&self, id: &[u8; 32]) -> Option<u32> {
        self.by_id.find(id_hash(id), |handle| self.list[handle as usize].id == *id)
    }

    pub fn push(&mut self, market: Market) -> u32 {
        let handle = self.list.len() as u32;
        self.by_id.insert(id_hash(&market.id), handle);
        self.list.push(market);
        handle
    }

    /// Leaves a market's tombstone; its status before.
    pub fn prune(&mut self, market: u32) -> u8 {
        let entry = &mut self.list[market as usize];
        let tombstone = Market::tombstone(entry.id);
        std::mem::replace(entry, tombstone).status
    }

    /// Every market in the order of its handle; a pruned one is 64 bytes (P1.6.5) behind a mark.
    pub fn encode(&self, archives: &Archives, writer: &mut Writer) {
        writer.len(self.list.len());
        for (handle, market) in self.list.iter().enumerate() {
            match archives.get(&(handle as u32)) {
                None => market.encode(writer),
                Some(archive_hash) => {
                    writer.raw(&market.id);
                    writer.u32(TOMBSTONE);
                    writer.raw(archive_hash);
                }
            }
        }
    }

    /// Reads one market that [`Markets::encode`] wrote behind those which are here, or its tombstone.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn read_one(&mut self, archives: &mut Archives, reader: &mut Reader<'_>) -> Result<(), String> {
        let (id, creator) = (reader.array()?, reader.u32()?);
        if creator != TOMBSTONE {
            let market = Market::decode(id, creator, reader)?;
            self.push(market);
            return Ok(());
        }
        let archive_hash = reader.array()?;
        let handle = self.push(Market::tombstone(id));
        archives.insert(handle, archive_hash);
        Ok(())
    }
}
