//! The usual sub-account: one position at most, money in the settlement asset, every number within 64 bits.
//!
//! What is asked of it with every fill has a short answer here. The short answer is a yes that the full computation
//! would give too, or none at all: then the full computation answers. Tests run with both beside each other.

use crate::account::SubAccount;
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::line;
use crate::limits::MAX_LEVERAGE_WITHOUT_SUITABILITY_E2;
use crate::liquidation::watch::{owner, Bounds, Exposure, NO_HIGH, NO_LOW};
use crate::math::{fee_ceil, MAX_BALANCE};
use crate::order::Order;
use crate::perp::margin::{inverse_ppm, part_narrow};
use crate::perp::{PerpMarket, Position};
use crate::wire::command::{asset_flag, side};

/// Beyond this many micro-quote or ticks the sums below could leave 64 bits.
const NARROW: i64 = 1 << 61;
const WHOLE_BP: u16 = 10_000;

impl<B: Book> Engine<B> {
    /// Whether a look at the sub-account of this position would find it above the first warning, as before, and its
    /// prices of the next look near enough: it would change nothing.
    #[inline(always)]
    pub(super) fn stays_watched(&self, slot: u32) -> bool {
        let stays = self.find_stays_watched(slot).unwrap_or(false);
        #[cfg(debug_assertions)]
        if stays {
            self.assert_unchanged(slot);
        }
        stays
    }

    #[inline(always)]
    fn find_stays_watched(&self, slot: u32) -> Option<bool> {
        let position = self.state.perps.at(slot);
        let watched = &self.state.liquidations;
        let owner = owner(position.account, position.sub);
        if position.account == watched.fund
            || watched.busy == Some(owner)
            || watched.watches_collateral_of(owner)
        {
            return None;
        }
        let held = self.only_position(slot, position)?;
        let place = self.state.perps.place(position.market)?;
        let perp = &self.state.perps.markets[place];
        let lots = position.lots;
        if lots == 0 || held.level != 0 || perp.mark == 0 || perp.funding_index != position.funding_entry {
            return None;
        }
        let size = lots.checked_abs()?.checked_mul(perp.unit)?;
        let notional = size.checked_mul(perp.mark)?;
        let signed = if lots > 0 { notional } else { -notional };
        let equity = self.plain_money(held, true)?.checked_add(signed)?.checked_sub(position.cost)?;
        let (mmf_ppm, mmf_twice_ppm) = perp.maintenance_twice_narrow(notional)?;
        let margin = part_narrow(notional as u64, mmf_ppm as u64)?;
        // At least one and a half times the maintenance margin: no warning, and the first is the next one.
        let buffer = equity.checked_sub(margin.checked_add(margin / 2 + margin % 2)?)?;
        let [long, short] = watched.market(place)?.funding_ticks;
        if !(0..NARROW).contains(&buffer) || long >= NARROW || short >= NARROW {
            return None;
        }
        let Bounds { low, high } = position.watch;
        let watch = Bounds {
            low: if low == NO_LOW { NO_LOW } else { low.checked_add(long)? },
            high: if high == NO_HIGH { NO_HIGH } else { high.checked_sub(short)? },
        };
        let (unit, mark) = (perp.unit, perp.mark);
        Some(Exposure { lots, unit, mark, notional, mmf_ppm, mmf_twice_ppm }.surely_within(watch, buffer))
    }

    /// The sub-account, if it has no other position than this one.
    #[inline(always)]
    fn only_position(&self, slot: u32, position: &Position) -> Option<&SubAccount> {
        let held = self.state.accounts.list[position.account as usize].sub(position.sub)?;
        (held.positions.as_slice() == [slot]).then_some(held)
    }

    /// Whether all checks of margin surely allow an order without a choice of leverage of the owner of this position,
    /// which is its only one: it only reduces, or stays within the sizes and the equity covers the initial margin of
    /// what would be and the fee. None says nothing.
    #[inline]
    pub(super) fn surely_allowed(&self, perp: &PerpMarket, slot: u32, order: &Order) -> Option<()> {
        let position = self.state.perps.at(slot);
        let held = self.only_position(slot, position)?;
        let cap_e2 = perp.leverage_cap_e2();
        if cap_e2 > MAX_LEVERAGE_WITHOUT_SUITABILITY_E2
            || self.state.detector.is_slowed(order.account, self.cursor.time_ns)
            || perp.funding_index != position.funding_entry
        {
            return None;
        }
        let value = order.price.checked_mul(order.remaining)?.checked_mul(perp.unit)?;
        let (mut buys, mut buy_value) = (position.open_buy_lots, position.open_buy_value);
        let (mut sells, mut sell_value) = (position.open_sell_lots, position.open_sell_value);
        let reduces = if order.side == side::BUY {
            (buys, buy_value) = (buys.checked_add(order.remaining)?, buy_value.checked_add(value)?);
            position.lots < 0 && buys <= -position.lots
        } else {
            (sells, sell_value) = (sells.checked_add(order.remaining)?, sell_value.checked_add(value)?);
            position.lots > 0 && sells <= position.lots
        };
        if !(0..=MAX_BALANCE).contains(&value) {
            return None;
        }
        if reduces {
            return Some(());
        }
        if self.state.perps.cover_cap_e2 < 100 || self.in_cascade(order.market).is_some() {
            return None;
        }
        // Micro-quote of a lot at the mark.
        let price = perp.unit.checked_mul(perp.mark)?;
        let bought = position.lots.checked_add(buys)?.checked_abs()?;
        let sold = position.lots.checked_sub(sells)?.checked_abs()?;
        let worst = bought.max(sold).checked_mul(price)?;
        let interest = perp.open_interest.checked_add(order.remaining)?.checked_mul(price)?;
        if worst > perp.risk.position_limit || interest > perp.risk.open_interest_cap {
            return None;
        }
        let chosen_e2 = position.leverage_e2;
        let fractions = perp.fractions(if chosen_e2 == 0 { cap_e2 } else { chosen_e2.min(cap_e2) });
        if chosen_e2 != 0 && perp.maintenance_ppm(i128::from(worst)) >= inverse_ppm(chosen_e2) {
            return None;
        }
        let profit = position.lots.checked_mul(price)?.checked_sub(position.cost)?;
        let fee = fee_ceil(value, order.fee_cap_e6bp);
        let equity = self.plain_money(held, false)?.checked_add(profit)?.checked_sub(fee)?;
        let buy_loss = buy_value.checked_sub(buys.checked_mul(price)?)?.max(0);
        let sell_loss = sells.checked_mul(price)?.checked_sub(sell_value)?.max(0);
        // Margin grows with the lots: the margin of the larger side and the larger loss are never too little.
        let margin = fractions.initial_narrow(worst as u64)?;
        let needed = if (sold >= bought) == (sell_loss >= buy_loss) || buy_loss == sell_loss {
            margin.checked_add(buy_loss.max(sell_loss))?
        } else {
            let margin = |lots: i64| fractions.initial_narrow(lots.checked_mul(price)? as u64);
            let bought = margin(bought)?.checked_add(buy_loss)?;
            bought.max(margin(sold)?.checked_add(sell_loss)?)
        };
        (equity >= needed).then_some(())
    }

    /// Micro-units of the settlement asset, if the sub-account owns and owes nothing else and they count in full.
    #[inline(always)]
    fn plain_money(&self, held: &SubAccount, keeping: bool) -> Option<i64> {
        let mut money = 0_i64;
        for balance in &held.balances {
            let mut amount = balance.lines[line::FREE as usize];
            if keeping {
                amount += balance.lines[line::HELD as usize];
            }
            if amount == 0 {
                continue;
            }
            let asset = &self.state.assets[usize::from(balance.asset)];
            let [initial_asset, maintenance_asset, initial_owed, maintenance_owed] = asset.weights_bp;
            let weight_bp = match (amount > 0, keeping) {
                (true, false) => initial_asset,
                (true, true) => maintenance_asset,
                (false, false) => initial_owed,
                (false, true) => maintenance_owed,
            };
            let plain = asset.flags & asset_flag::SETTLEMENT != 0
                && asset.collateral_cap == 0
                && weight_bp == WHOLE_BP;
            if !plain {
                return None;
            }
            money = money.checked_add(amount)?;
        }
        Some(money)
    }
}
