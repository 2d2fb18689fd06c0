//! One leveraged market: its risk parameters, mark, index and funding (protocol P4).

use super::margin::{part_ceil, product, Flat, Fractions, TIER_SINGLE_E2};
use super::{funding, Position};
use crate::codec::{Reader, Writer};

/// Risk parameters of a leveraged market (P4.2, P4.3, P4.8, P5.2, P5.6). Money in micro-quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Risk {
    pub max_leverage_e2: u32,
    pub size_k_ppm: u32,
    pub floor_mmf_ppm: u32,
    pub liquidation_fee_e6bp: u32,
    pub position_limit: i64,
    pub open_interest_cap: i64,
    pub impact_notional: i64,
    pub insurance_limit: i64,
}

impl Default for Risk {
    /// The defaults of the protocol; leverage starts at 10.
    fn default() -> Self {
        Risk {
            max_leverage_e2: 1_000,
            size_k_ppm: 50,
            floor_mmf_ppm: 5_000,
            liquidation_fee_e6bp: 50_000_000,
            position_limit: 10_000_000_000_000,
            open_interest_cap: 1_000_000_000_000_000,
            impact_notional: 10_000_000_000,
            insurance_limit: 1_000_000_000_000,
        }
    }
}

/// A leveraged market beside its order book. Prices in ticks; 0 = unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerpMarket {
    pub market: u32,
    pub feed: u32,
    pub unit: i64,
    pub risk: Risk,
    pub mark: i64,
    pub index: i64,
    /// When the mark last moved freely: what its speed is measured from.
    pub mark_ns: i64,
    /// Average of mid minus index in 1e-6 ticks, and when it was last moved.
    pub premium_e6: i64,
    pub premium_ns: i64,
    /// Mid minus index in 1e-6 ticks as it stands since `premium_ns`; None without both.
    pub sample_e6: Option<i64>,
    /// The mark was held back by the limit on its speed and goes on with the next Tick.
    pub held_back: bool,
    pub funding_index: i128,
    /// Premium samples of the present hour, their number, and the samples that a halt or the feed prevented.
    pub sample_sum_ppb: i64,
    pub samples: u32,
    pub blocked_samples: u32,
    /// Next premium sample, and the end of the present hour; 0 = the market never was active.
    pub next_sample_ns: i64,
    pub hour_end_ns: i64,
    /// Sum of long lots, which is the sum of short lots (I04).
    pub open_interest: i64,
    /// Number of positions with lots.
    pub positions: u32,
    /// Sum of lots × funding entry: what open positions can still claim, × 10^9 (I13).
    pub funding_claims: i128,
    /// The best prices or the last trade changed since the mark was computed.
    pub stale: bool,
    /// Price in ticks at which a closed market settles; 0 = none yet.
    pub delisting_price: i64,
    pub closed_ns: i64,
    /// What coverage and stage allow to new risk, in hundredths; the shard's, kept here because every margin reads it.
    pub cover_cap_e2: u32,
    /// Derived from `risk`, which only [`PerpMarket::set_risk`] changes.
    flat: Flat,
}

impl PerpMarket {
    pub fn new(market: u32, feed: u32, unit: i64, risk: Risk) -> Self {
        let mut made = PerpMarket {
            market,
            feed,
            unit,
            risk,
            mark: 0,
            index: 0,
            mark_ns: 0,
            premium_e6: 0,
            premium_ns: 0,
            sample_e6: None,
            held_back: false,
            funding_index: 0,
            sample_sum_ppb: 0,
            samples: 0,
            blocked_samples: 0,
            next_sample_ns: 0,
            hour_end_ns: 0,
            open_interest: 0,
            positions: 0,
            funding_claims: 0,
            stale: false,
            delisting_price: 0,
            closed_ns: 0,
            cover_cap_e2: u32::MAX,
            flat: Flat { upto: 0, ppm: 0 },
        };
        made.set_risk(risk);
        made
    }

    /// Changes the risk parameters.
    pub fn set_risk(&mut self, risk: Risk) {
        self.risk = risk;
        self.flat = self.fractions(0).flat();
    }

    /// Largest leverage that the market and its tier allow, in hundredths: what maintenance follows (P4.2).
    #[inline]
    pub fn leverage_base_e2(&self) -> u32 {
        self.risk.max_leverage_e2.min(TIER_SINGLE_E2)
    }

    /// Largest leverage for new risk, in hundredths (P4.5): the base, and what coverage and stage allow. Below one
    /// nothing is allowed, and formulas use one.
    #[inline]
    pub fn leverage_cap_e2(&self) -> u32 {
        self.leverage_base_e2().min(self.cover_cap_e2).max(100)
    }

    #[inline]
    pub fn fractions(&self, chosen_e2: u32) -> Fractions {
        Fractions {
            leverage_cap_e2: self.leverage_cap_e2(),
            leverage_base_e2: self.leverage_base_e2(),
            chosen_e2,
            size_k_ppm: self.risk.size_k_ppm,
            floor_mmf_ppm: self.risk.floor_mmf_ppm,
        }
    }

    /// Micro-quote of lots at the mark.
    #[inline]
    pub fn value(&self, lots: i64) -> i128 {
        product(lots, self.mark, self.unit).abs()
    }

    /// Initial margin of a position with its open orders (P4.3): the worse of all buys or all sells filled, at the
    /// mark, plus what filling them at their limits instead loses.
    /// `leverage_e2`: the chosen leverage in hundredths, 0 = none.
    pub fn initial_margin(&self, position: &Position, leverage_e2: u32) -> i128 {
        let fractions = self.fractions(leverage_e2);
        let at_mark = |lots: i64| product(lots, self.mark, self.unit);
        let (buys, sells) = (position.open_buy_lots, position.open_sell_lots);
        let bought = fractions.initial_margin(self.value(position.lots + buys));
        if buys | sells == 0 {
            return bought;
        }
        let buy_loss = (i128::from(position.open_buy_value) - at_mark(buys)).max(0);
        let sold = fractions.initial_margin(self.value(position.lots - sells));
        let sell_loss = (at_mark(sells) - i128::from(position.open_sell_value)).max(0);
        (bought + buy_loss).max(sold + sell_loss)
    }

    #[inline]
    pub fn maintenance_margin(&self, position: &Position) -> i128 {
        self.maintenance_at(self.value(position.lots))
    }

    /// Maintenance margin fraction at a notional, ppm (P4.2).
    #[inline]
    pub fn maintenance_ppm(&self, notional: i128) -> i128 {
        if notional <= i128::from(self.flat.upto) {
            return i128::from(self.flat.ppm);
        }
        self.fractions(0).maintenance_ppm(notional)
    }

    /// Maintenance margin of a notional, micro-quote (P4.2).
    #[inline]
    pub fn maintenance_at(&self, notional: i128) -> i128 {
        part_ceil(notional, self.maintenance_ppm(notional))
    }

    /// Maintenance fractions of a notional of at least 0 and of twice of it, in ppm; None when that leaves 64 bits.
    #[inline(always)]
    pub fn maintenance_twice_narrow(&self, notional: i64) -> Option<(i64, i64)> {
        let twice = notional.checked_mul(2)?;
        if twice <= self.flat.upto {
            let ppm = i64::from(self.flat.ppm);
            return Some((ppm, ppm));
        }
        let exact = |notional: i64| self.fractions(0).maintenance_narrow_ppm(notional as u64);
        Some((exact(notional), exact(twice)))
    }

    /// Unrealised profit at the mark less the funding that is owed, micro-quote.
    #[inline]
    pub fn profit(&self, position: &Position) -> i128 {
        position.unrealised(self.mark, self.unit) - i128::from(self.funding_owed(position))
    }

    /// Funding that a position owes (negative: is owed), not settled yet.
    #[inline]
    pub fn funding_owed(&self, position: &Position) -> i64 {
        funding::payment(position.lots, self.funding_index, position.funding_entry)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.market);
        writer.u32(self.feed);
        let Risk {
            max_leverage_e2,
            size_k_ppm,
            floor_mmf_ppm,
            liquidation_fee_e6bp,
            position_limit,
            open_interest_cap,
            impact_notional,
            insurance_limit,
        } = self.risk;
        [max_leverage_e2, size_k_ppm, floor_mmf_ppm, liquidation_fee_e6bp]
            .into_iter()
            .for_each(|value| writer.u32(value));
        [
            position_limit,
            open_interest_cap,
            impact_notional,
            insurance_limit,
            self.mark,
            self.index,
            self.mark_ns,
            self.premium_e6,
            self.premium_ns,
            self.sample_sum_ppb,
            self.next_sample_ns,
            self.hour_end_ns,
            self.delisting_price,
            self.closed_ns,
        ]
        .into_iter()
        .for_each(|value| writer.i64(value));
        writer.raw(&self.funding_index.to_le_bytes());
        writer.u32(self.samples);
        writer.u32(self.blocked_samples);
        writer.u8(u8::from(self.stale));
        writer.u8(u8::from(self.held_back));
        writer.u8(u8::from(self.sample_e6.is_some()));
        writer.i64(self.sample_e6.unwrap_or(0));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let (market, feed) = (reader.u32()?, reader.u32()?);
        let small = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
        let mut wide = [0; 14];
        for value in &mut wide {
            *value = reader.i64()?;
        }
        let risk = Risk {
            max_leverage_e2: small[0],
            size_k_ppm: small[1],
            floor_mmf_ppm: small[2],
            liquidation_fee_e6bp: small[3],
            position_limit: wide[0],
            open_interest_cap: wide[1],
            impact_notional: wide[2],
            insurance_limit: wide[3],
        };
        Ok(PerpMarket {
            mark: wide[4],
            index: wide[5],
            mark_ns: wide[6],
            premium_e6: wide[7],
            premium_ns: wide[8],
            sample_sum_ppb: wide[9],
            next_sample_ns: wide[10],
            hour_end_ns: wide[11],
            delisting_price: wide[12],
            closed_ns: wide[13],
            funding_index: i128::from_le_bytes(reader.array()?),
            samples: reader.u32()?,
            blocked_samples: reader.u32()?,
            stale: reader.u8()? == 1,
            held_back: reader.u8()? == 1,
            sample_e6: match (reader.u8()?, reader.i64()?) {
                (0, _) => None,
                (_, sample_e6) => Some(sample_e6),
            },
            ..PerpMarket::new(market, feed, 1, risk)
        })
    }
}
