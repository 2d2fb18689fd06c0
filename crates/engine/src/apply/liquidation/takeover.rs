//! What the book did not take: insurance takes it over, opposing positions are closed against it (protocol P5.6, P5.8).

use std::cmp::Reverse;
use std::ops::Bound;

use super::losses::Socialised;
use super::step::Liquidation;
use crate::apply::margin::narrow;
use crate::apply::perpetual_fill::Side;
use crate::apply::work::Budget;
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_margin, post_system};
use crate::limits::*;
use crate::liquidation::step::{adl_score_ppm, insurance_limit, mul_div, part};
use crate::liquidation::watch::{account_of, owner, Owner};
use crate::liquidation::NOBODY;
use crate::output::{Output, Subject};
use crate::wire::command::Command;
use crate::wire::event::{position_cause, AdlBody, BackstopBody, EventKind};

/// The takeover of a sub-account under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Takeover {
    /// The position that is ended now.
    part: Option<Part>,
    /// Market whose winners bear what is left at the end.
    market: Option<u32>,
    socialised: Option<Socialised>,
}

/// A position on its way out at its bankruptcy price.
#[derive(Clone, Copy, Debug)]
struct Part {
    market: u32,
    /// Signed lots at the beginning and the signed value of all of them at the bankruptcy price.
    lots: i64,
    value: i128,
    /// Lots (absolute) that are gone.
    gone: i64,
    equity: i128,
    asked_insurance: bool,
    /// Next place in the ranking.
    rank: u16,
    search: Search,
}

/// The search for the next opponent, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    /// Place of the ranking behind which it goes on.
    after: Option<(u8, i64, Owner)>,
    compared: usize,
    best: Option<Opponent>,
    done: bool,
}

/// One who may be deleveraged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opponent {
    pub owner: Owner,
    score_ppm: i64,
    notional: i128,
    lots: i64,
    profit: i128,
}

impl Opponent {
    /// Its place among those who are compared, first ones lower: by score, then larger notional, then lower id (P5.8).
    pub fn place(&self) -> (Reverse<i64>, Reverse<i128>, Owner) {
        (Reverse(self.score_ppm), Reverse(self.notional), self.owner)
    }
}

impl<B: Book> Engine<B> {
    /// Ends every position of a sub-account; true when nothing is left to do.
    pub(super) fn take_over(
        &mut self,
        command: &Command,
        job: &Liquidation,
        state: &mut Takeover,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        let who = (job.account, job.sub);
        self.state.liquidations.busy = Some(owner(who.0, who.1));
        loop {
            if budget.liquidations == 0 {
                return false;
            }
            if state.part.is_none() {
                let effort = PART_EFFORT + 2 * self.survey_effort(who);
                if !budget.admits(effort) {
                    return false;
                }
                budget.spend(effort);
                state.part = self.next_part(command, who, output);
            }
            let Some(present) = state.part.as_mut() else { break };
            state.market = Some(present.market);
            if !self.end_part(command, who, present, budget, output) {
                return false;
            }
            state.part = None;
        }
        let market = state.market.unwrap_or(job.market);
        if !self.cover_deficit(command, who, market, &mut state.socialised, budget, output) {
            return false;
        }
        self.state.liquidations.busy = None;
        self.look_at(command, who, true, output);
        if let Some(slot) = self.candidate_slot(who) {
            // Whatever left it one: its turn is not over.
            self.state.liquidations.candidates.enter(slot);
        }
        true
    }

    /// The position with the largest maintenance margin, with its part of the equity: the fees' pool first covers
    /// what is below zero.
    fn next_part(&mut self, command: &Command, who: (u32, u8), output: &mut Output) -> Option<Part> {
        let (health, held) = self.survey(who.0, who.1);
        if held.exposures == 0 {
            return None;
        }
        let position = *self.state.perps.position(who.0, who.1, held.market).expect("it was found");
        let (total, mut equity) = (held.notional, health.equity);
        if equity < 0 {
            equity +=
                i128::from(self.cover_from_fees(command, who, position.market, narrow(-equity), output));
        }
        let perp = self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
        let notional = perp.value(position.lots);
        // Of several positions each leaves with its share of what is left, by notional.
        let share = match equity.signum() {
            _ if notional == total => equity,
            -1 => -mul_div(-equity, notional, total) - 1,
            _ => mul_div(equity, notional, total),
        };
        let least = i128::from(position.lots.unsigned_abs()) * i128::from(perp.unit);
        let at_mark = notional * i128::from(position.lots.signum());
        // No price is below one tick.
        let value =
            if position.lots > 0 { (at_mark - share).max(least) } else { (at_mark - share).min(-least) };
        Some(Part {
            market: position.market,
            lots: position.lots,
            value,
            gone: 0,
            equity: share,
            asked_insurance: false,
            rank: 0,
            search: Search::default(),
        })
    }

    /// Insurance, then auto-deleveraging, then the mark; false when the budget ended before.
    fn end_part(
        &mut self,
        command: &Command,
        who: (u32, u8),
        part: &mut Part,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        if !part.asked_insurance {
            if !budget.admits(2 * TAKEOVER_EFFORT) {
                return false;
            }
            part.asked_insurance = true;
            self.hand_to_insurance(command, who, part, budget, output);
        }
        while part.gone < part.lots.abs() {
            if budget.liquidations == 0 || !self.search_opponent(part, budget) {
                return false;
            }
            let Some(opponent) = part.search.best else { break };
            let effort = TAKEOVER_EFFORT + LOOK_EFFORT;
            if !budget.admits(effort) {
                return false;
            }
            budget.liquidations -= 1;
            budget.spend(effort);
            part.search = Search::default();
            self.deleverage(command, who, part, &opponent, output);
        }
        let left = part.lots.abs() - part.gone;
        if left > 0 {
            // Nobody stands against it any more who has anything: it goes to the fund at the mark, its loss to all.
            if !budget.admits(2 * TAKEOVER_EFFORT) {
                return false;
            }
            budget.liquidations = budget.liquidations.saturating_sub(1);
            budget.spend(2 * TAKEOVER_EFFORT);
            let perp = self.state.perps.of_market(part.market).expect("a leveraged market");
            let value = perp.value(left) * i128::from(part.lots.signum());
            self.hand_to_fund(command, who, part, (left, value), output);
        }
        true
    }

    fn hand_to_insurance(
        &mut self,
        command: &Command,
        who: (u32, u8),
        part: &mut Part,
        budget: &mut Budget,
        output: &mut Output,
    ) {
        let lots = self.insurable_lots(part);
        if lots > 0 && self.fund_account(command, output).is_some() {
            budget.liquidations = budget.liquidations.saturating_sub(1);
            budget.spend(2 * TAKEOVER_EFFORT);
            let value = self::part(part.value, part.lots.abs(), part.gone, lots);
            self.hand_to_fund(command, who, part, (lots, value), output);
        }
    }

    /// Lots that insurance takes: its position in the market stays within the limit, the fund keeps a micro.
    fn insurable_lots(&self, part: &Part) -> i64 {
        let perp = self.state.perps.of_market(part.market).expect("a leveraged market");
        let asset = self.state.markets.list[part.market as usize].quote;
        let fund = self.state.system.get(line::INSURANCE, 0, asset);
        let limit = insurance_limit(perp.risk.insurance_limit, fund);
        let holder = self.state.liquidations.fund;
        let holds = match holder {
            NOBODY => 0,
            holder => self.state.perps.position(holder, 0, part.market).map_or(0, |position| position.lots),
        };
        let per_lot = (perp.mark * perp.unit).max(1);
        // Signed: what it may hold in the direction of this position.
        let most = limit / per_lot - holds * part.lots.signum();
        let loss = (-part.equity).max(0);
        let affordable = match loss {
            0 => part.lots.abs(),
            loss => mul_div(i128::from((fund - 1).max(0)), i128::from(part.lots.unsigned_abs()), loss)
                .min(i128::from(part.lots.unsigned_abs())) as i64,
        };
        most.min(affordable).clamp(0, part.lots.abs())
    }

    /// The fund receives lots at a value; insurance lends it what makes it worth nothing at the mark.
    fn hand_to_fund(
        &mut self,
        command: &Command,
        who: (u32, u8),
        part: &mut Part,
        (lots, value): (i64, i128),
        output: &mut Output,
    ) {
        let Some(fund) = self.fund_account(command, output) else {
            panic!("P18.4: no account is left for the insurance fund");
        };
        let sign = part.lots.signum();
        let asset = self.state.markets.list[part.market as usize].quote;
        let perp = self.state.perps.of_market(part.market).expect("a leveraged market");
        let (mark, unit) = (perp.mark, perp.unit);
        let worth = i128::from(lots) * i128::from(mark) * i128::from(unit) * i128::from(sign);
        let loss = (value - worth).clamp(0, i128::from(i64::MAX)) as i64;
        let insured = self.state.system.get(line::INSURANCE, 0, asset);
        let draw = loss.min((insured - 1).max(0));
        // A position that the fund holds the other way is closed first.
        let held = self.state.perps.position(fund, 0, part.market).map_or(0, |position| position.lots);
        let closing = if held.signum() == -sign { held.abs().min(lots) } else { 0 };
        let mut moved = 0;
        for piece in [closing, lots - closing] {
            if piece == 0 {
                continue;
            }
            let worth = self::part(value, lots, moved, piece);
            moved += piece;
            let last = moved == lots;
            let sides = self.exchange(who, (fund, 0), part.market, (piece * sign, worth), output);
            let drawn = if last { draw } else { 0 };
            post_margin(&mut self.state.accounts, &mut output.postings, (fund, 0), asset, drawn);
            post_system(&mut self.state.system, &mut output.postings, line::INSURANCE, 0, asset, -drawn);
            let holds = self.state.perps.position(fund, 0, part.market).map_or(0, |position| position.lots);
            let body = BackstopBody {
                lots: piece * sign,
                value: narrow(worth),
                mark,
                realised: sides[0].realised,
                draw: drawn,
                insurance_left: self.state.system.get(line::INSURANCE, 0, asset),
                fund,
                reserved: 0,
                notional: narrow(i128::from(holds.unsigned_abs()) * i128::from(mark) * i128::from(unit)),
            };
            let subject = Subject { market: part.market, ..Subject::account(who.0, who.1) };
            output.emit(command, EventKind::BackstopTaken, subject, &body);
            self.show_sides(command, sides, position_cause::TAKEOVER, output);
        }
        part.gone += lots;
        self.fund_holds(command);
    }

    /// Moves signed lots from one position to another at a signed value; postings for the event that follows.
    fn exchange(
        &mut self,
        from: (u32, u8),
        to: (u32, u8),
        market: u32,
        (lots, value): (i64, i128),
        output: &mut Output,
    ) -> [Side; 2] {
        let asset = self.state.markets.list[market as usize].quote;
        let worth = i64::try_from(value.unsigned_abs()).expect("the value of a position fits the ledger");
        let source = self.state.perps.open(&mut self.state.accounts, from.0, from.1, market);
        let gives = self.change_position_by(source, -lots, |_| worth, asset, &mut output.postings);
        let target = self.state.perps.open(&mut self.state.accounts, to.0, to.1, market);
        let takes = self.change_position_by(target, lots, |_| worth, asset, &mut output.postings);
        [gives, takes]
    }

    fn show_sides(&mut self, command: &Command, sides: [Side; 2], cause: u8, output: &mut Output) {
        for side in &sides {
            self.emit_position(command, side, cause, output);
        }
        self.after_moves(command, sides, output);
    }

    /// Looks for the opposing position that goes first (P5.8) among the [`ADL_LOOKS`] with the most profitable entries;
    /// false when the budget ended before. What was seen stays true: nothing else happens until the takeover is over.
    fn search_opponent(&self, part: &mut Part, budget: &mut Budget) -> bool {
        let search = &mut part.search;
        if search.done {
            return true;
        }
        for key in self.ranked(part.market, u8::from(part.lots > 0), search.after) {
            let effort = RANK_EFFORT + self.survey_effort(account_of(key.2));
            if !budget.admits(effort) {
                return false;
            }
            budget.spend(effort);
            search.after = Some(key);
            // Who has nothing left cannot give way; the next ones can.
            let Some(opponent) = self.opponent(part.market, key.2) else { continue };
            search.compared += 1;
            if search.best.as_ref().is_none_or(|best| opponent.place() < best.place()) {
                search.best = Some(opponent);
            }
            if search.compared == ADL_LOOKS {
                break;
            }
        }
        search.done = true;
        true
    }

    /// The positions of a side (0 long, 1 short) that can give way, the most profitable entries first. Who has nothing
    /// left cannot; the next ones can.
    pub(super) fn opponents(&self, market: u32, side: u8) -> impl Iterator<Item = Opponent> + '_ {
        self.ranked(market, side, None).filter_map(move |(_, _, owner)| self.opponent(market, owner))
    }

    /// Places of a side's ranking behind one of them.
    fn ranked(
        &self,
        market: u32,
        side: u8,
        after: Option<(u8, i64, Owner)>,
    ) -> impl Iterator<Item = (u8, i64, Owner)> + '_ {
        let place = self.state.perps.place(market);
        let kept = place.and_then(|place| self.state.liquidations.market(place));
        let from = after.unwrap_or((side, i64::MIN, 0));
        // One bound alone is the cheaper search.
        let behind = (Bound::Excluded(from), Bound::Unbounded);
        let ranks = kept.into_iter().flat_map(move |kept| kept.ranks.range(behind).copied());
        ranks.take_while(move |key| key.0 == side)
    }

    /// A ranked position as one that may be deleveraged; None when its owner has nothing left.
    fn opponent(&self, market: u32, owner: Owner) -> Option<Opponent> {
        let (account, sub) = account_of(owner);
        let perp = self.state.perps.of_market(market).expect("a leveraged market");
        let position = self.state.perps.position(account, sub, market).expect("ranked positions exist");
        let equity = self.survey(account, sub).0.equity;
        let profit = position.unrealised(perp.mark, perp.unit);
        let notional = perp.value(position.lots);
        let score_ppm = adl_score_ppm(profit, position.cost, notional, equity)?;
        Some(Opponent { owner, score_ppm, notional, lots: position.lots, profit })
    }

    /// Closes lots of an opposing position at the bankruptcy price, without a fee.
    fn deleverage(
        &mut self,
        command: &Command,
        who: (u32, u8),
        part: &mut Part,
        opponent: &Opponent,
        output: &mut Output,
    ) {
        let left = part.lots.abs() - part.gone;
        let lots = left.min(opponent.lots.abs());
        let value = self::part(part.value, part.lots.abs(), part.gone, lots);
        let signed = lots * part.lots.signum();
        let (account, sub) = account_of(opponent.owner);
        let unit = self.state.perps.of_market(part.market).expect("a leveraged market").unit;
        let sides = self.exchange(who, (account, sub), part.market, (signed, value), output);
        part.gone += lots;
        part.rank = part.rank.saturating_add(1);
        let body = AdlBody {
            bankrupt_account: who.0,
            bankrupt_sub: who.1,
            reserved: 0,
            rank: part.rank,
            lots: signed,
            value: narrow(value),
            price: narrow(value.abs() / (i128::from(lots) * i128::from(unit))),
            score_ppm: opponent.score_ppm,
            realised: sides[1].realised,
            bankrupt_realised: sides[0].realised,
            unrealised: narrow(opponent.profit),
        };
        let subject = Subject { market: part.market, ..Subject::account(account, sub) };
        output.emit(command, EventKind::AdlExecuted, subject, &body);
        self.show_sides(command, sides, position_cause::ADL, output);
    }
}
