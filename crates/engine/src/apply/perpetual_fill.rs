//! A fill of a leveraged market: cost, realised profit, funding and fees of both sides (protocol P1.5.6, P4.8.2).

use super::elastic::Fill;
use super::hooks::Print;
use super::orders::subject;
use super::work::Taker;
use crate::book::Book;
use crate::engine::Engine;
use crate::fees::{amount, worst_e8};
use crate::ledger::{line, post_line, post_margin, post_margin_in, post_system};
use crate::math::fee_ceil;
use crate::order::{flag, Order, NONE};
use crate::output::{Output, Subject};
use crate::perp::{Change, Position};
use crate::wire::command::{side, Command};
use crate::wire::event::{position_cause, trade_kind, EventKind, PositionBody, Posting, TradeBody};

/// What one side of a fill became.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub slot: u32,
    pub before_lots: i64,
    pub realised: i64,
    pub funding_paid: i64,
    /// Resting lots, buys and sells, that leave the book right behind the event: an auction's taker rests, too.
    pub leaving: [i64; 2],
}

impl<B: Book> Engine<B> {
    /// One trade at the maker's price.
    pub(crate) fn fill_perpetual(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        slot: u32,
        maker: &Order,
        lots: i64,
        output: &mut Output,
    ) {
        let elastic = self.elastic_of(maker, taker.order.account, command.time_ns);
        let unseen = self.state.triggers.hidden(maker);
        let later = self.state.triggers.hidden(&taker.order);
        let market = &mut self.state.markets.list[maker.market as usize];
        let price = taker.price_with(maker);
        let offered = maker.flags & flag::OFFER != 0 && maker.account != self.state.liquidations.fund;
        if !taker.liquidates && !offered {
            // Liquidation prints never enter the mark (P4.7).
            market.last_price = price;
        }
        let (unit, quote, parameters) = (market.unit, market.quote, market.parameters);
        let value = lots * price * unit;
        let most_e6bp = taker.order.fee_cap_e6bp;
        let (taker_fee, maker_fee) = match elastic {
            Some(elastic) => {
                let fee = amount(value, elastic.rate_e8.min(worst_e8(most_e6bp)));
                // The maker's fee is its rebate, negative.
                let pair = (&taker.order, maker);
                (fee, -self.charge_elastic(command, pair, elastic, Fill { base: value, fee, price }, output))
            }
            None => {
                let maker_fee = fee_ceil(value, parameters.maker_fee_e6bp.min(maker.fee_cap_e6bp));
                (fee_ceil(value, parameters.taker_fee_e6bp.min(most_e6bp)), maker_fee)
            }
        };
        let postings = &mut output.postings;
        let taken_at = match taker.position {
            NONE => self.open_position(&taker.order),
            slot => slot,
        };
        let made_at = self.open_position(maker);
        let mut taking = self.fill_side(taken_at, &taker.order, (lots, value), quote, taker_fee, postings);
        let making = self.fill_side(made_at, maker, (lots, value), quote, maker_fee, postings);
        self.post_fees(taker_fee + maker_fee, quote, postings);
        taker.order.remaining -= lots;
        taker.taken_value += value;
        let kind = if taker.liquidates || offered { trade_kind::LIQUIDATION } else { trade_kind::PERP };
        let body = TradeBody {
            maker_order: maker.id,
            maker_account: maker.account,
            maker_sub: maker.sub,
            taker_side: taker.order.side,
            trade_kind: kind,
            outcome: maker.outcome,
            price,
            lots,
            notional: value,
            taker_fee,
            maker_fee,
            maker_remaining: maker.remaining - lots + unseen,
            taker_remaining: taker.order.remaining + later,
        };
        output.emit(command, EventKind::Trade, subject(&taker.order), &body);
        // The maker's record stays until the other concerns have seen its last move.
        let perps = &mut self.state.perps;
        perps.at_mut(made_at).taking = true;
        perps.track_at(made_at, maker, -lots);
        self.take_from(command, (slot, maker), lots, 0, output);
        let cause = if taker.liquidates { position_cause::LIQUIDATION } else { position_cause::TRADE };
        if taker.print_price != 0 {
            taking.leaving[usize::from(taker.order.side)] = lots;
        }
        self.emit_position(command, &taking, cause, output);
        let cause = if offered { position_cause::LIQUIDATION } else { position_cause::TRADE };
        self.emit_position(command, &making, cause, output);
        self.state.perps.at_mut(making.slot).taking = false;
        self.after_moves(command, [taking, making], output);
        let print = Print {
            market: maker.market,
            price,
            lots,
            notional: value,
            taker: taker.order.account,
            maker: maker.account,
            taker_side: taker.order.side,
            taker_fee,
        };
        self.after_trade(command, &print, output);
    }

    fn open_position(&mut self, order: &Order) -> u32 {
        self.state.perps.open(&mut self.state.accounts, order.account, order.sub, order.market)
    }

    /// Postings and position of one side: `lots` for a value in micro-quote.
    #[inline(always)]
    fn fill_side(
        &mut self,
        slot: u32,
        order: &Order,
        (lots, value): (i64, i64),
        asset: u16,
        fee: i64,
        postings: &mut Vec<Posting>,
    ) -> Side {
        let delta = if order.side == side::BUY { lots } else { -lots };
        self.change_with_fee(slot, (delta, value), |part| value / lots * part, asset, fee, postings)
    }

    /// Buys or sells for a position at a price: settles its funding, moves its cost, realises what it reduces.
    /// The other side must be posted in the same event.
    pub(crate) fn change_position(
        &mut self,
        slot: u32,
        delta: i64,
        price: i64,
        asset: u16,
        postings: &mut Vec<Posting>,
    ) -> Side {
        let market = self.state.perps.at(slot).market;
        let unit = self.state.perps.of_market(market).expect("a position is in a leveraged market").unit;
        self.change_position_by(slot, delta, |lots| lots * price * unit, asset, postings)
    }

    /// [`Engine::change_position`] at a value: `value_of(lots)` for parts of the change.
    pub(crate) fn change_position_by(
        &mut self,
        slot: u32,
        delta: i64,
        value_of: impl Fn(i64) -> i64,
        asset: u16,
        postings: &mut Vec<Posting>,
    ) -> Side {
        let value = value_of(delta.abs());
        self.change_with_fee(slot, (delta, value), value_of, asset, 0, postings)
    }

    /// [`Engine::change_position_by`], the value of the whole change known, and a fee (negative: a rebate) of the same
    /// owner.
    #[inline(always)]
    fn change_with_fee(
        &mut self,
        slot: u32,
        (delta, value): (i64, i64),
        value_of: impl Fn(i64) -> i64,
        asset: u16,
        fee: i64,
        postings: &mut Vec<Posting>,
    ) -> Side {
        let mut funding_paid = 0;
        let (mut position, mut perp) = self.state.perps.parts_mut(slot);
        if perp.funding_index != position.funding_entry {
            funding_paid = self.pay_funding(slot, asset, postings);
            (position, perp) = self.state.perps.parts_mut(slot);
        }
        let Position { account, sub, lots: before, funding_entry, .. } = *position;
        let Change { lots, cost, realised } = position.after_by((delta, value), &value_of);
        (position.lots, position.cost) = (lots, cost);
        perp.open_interest += lots.max(0) - before.max(0);
        if (lots != 0) != (before != 0) {
            perp.positions = perp.positions + u32::from(lots != 0) - u32::from(before != 0);
        }
        if funding_entry != 0 {
            perp.funding_claims += i128::from(lots - before) * funding_entry;
        }
        let paid = match delta {
            0 => 0,
            bought if bought > 0 => value,
            _ => -value,
        };
        let (owner, spent) = ((account, sub), -paid - realised);
        if spent | realised | fee != 0 {
            let balance = self.state.accounts.balance_mut(account, sub, asset);
            post_line(balance, postings, owner, line::COST, spent);
            post_margin_in(balance, postings, owner, realised);
            post_margin_in(balance, postings, owner, -fee);
        }
        Side { slot, before_lots: before, realised, funding_paid, leaving: [0; 2] }
    }

    /// Pays or receives what a position owes since it was last touched (P4.8.2); micro-quote paid.
    #[inline(never)]
    fn pay_funding(&mut self, slot: u32, asset: u16, postings: &mut Vec<Posting>) -> i64 {
        let position = *self.state.perps.at(slot);
        let perp =
            self.state.perps.of_market_mut(position.market).expect("a position is in a leveraged market");
        let paid = perp.funding_owed(&position);
        let index = perp.funding_index;
        perp.funding_claims += i128::from(position.lots) * (index - position.funding_entry);
        self.state.perps.at_mut(slot).funding_entry = index;
        post_margin(&mut self.state.accounts, postings, (position.account, position.sub), asset, -paid);
        post_system(&mut self.state.system, postings, line::FUNDING, position.market, asset, paid);
        paid
    }

    /// Shows a position that an event has moved without a fill: the event carries the postings.
    pub(crate) fn emit_settled(&self, command: &Command, side: &Side, cause: u8, output: &mut Output) {
        self.show_position(command, EventKind::PositionSettled, side, cause, output);
    }

    /// Shows a position after a fill that touched it.
    pub(crate) fn emit_position(&self, command: &Command, side: &Side, cause: u8, output: &mut Output) {
        self.show_position(command, EventKind::PositionChanged, side, cause, output);
    }

    #[inline]
    fn show_position(&self, command: &Command, kind: EventKind, side: &Side, cause: u8, output: &mut Output) {
        let position = self.state.perps.at(side.slot);
        let body = PositionBody {
            lots: position.lots,
            cost: position.cost,
            realised: side.realised,
            funding_paid: side.funding_paid,
            open_buy_lots: position.open_buy_lots - side.leaving[0],
            open_sell_lots: position.open_sell_lots - side.leaving[1],
            funding_index_low: position.funding_entry as u64,
            funding_index_high: (position.funding_entry >> 64) as i64,
            leverage_e2: position.leverage_e2,
            cause,
            reserved: 0,
            reserved2: 0,
        };
        let subject =
            Subject { market: position.market, account: position.account, sub: position.sub, order: 0 };
        output.emit(command, kind, subject, &body);
    }

    /// Tells the other concerns what moved, then forgets records that hold nothing.
    #[inline(always)]
    pub(crate) fn after_moves<const N: usize>(
        &mut self,
        command: &Command,
        sides: [Side; N],
        output: &mut Output,
    ) {
        self.after_moves_of(command, &sides, output);
    }

    #[inline(never)]
    fn after_moves_of(&mut self, command: &Command, sides: &[Side], output: &mut Output) {
        for side in sides {
            self.after_position(command, side.slot, side.before_lots, output);
        }
        for side in sides {
            // What a look does frees no record.
            let position = self.state.perps.at(side.slot);
            if position.is_empty() {
                let key = (position.account, position.sub, position.market);
                self.state.perps.drop_if_empty(&mut self.state.accounts, key);
            }
        }
    }
}
