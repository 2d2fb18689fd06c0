//! Deficits in cash and who bears them (protocol P5.6): the owner's other collateral, the pool of liquidation fees,
//! insurance, at last the winners of the market.

use crate::apply::margin::narrow;
use crate::apply::work::{Budget, Settle};
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_margin, post_system, post_user};
use crate::limits::*;
use crate::liquidation::watch::{account_of, owner, Owner};
use crate::output::{Output, Subject};
use crate::perp::margin::div_ceil;
use crate::wire::command::{asset_flag, Command};
use crate::wire::event::{loss_stage, EventKind, LossCoveredBody, LossSocialisedBody, NO_ACCOUNT};

/// A loss that the winners of a market share: first their profits are added up, then each bears its part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Socialised {
    loss: i64,
    profits: i128,
    charging: bool,
    /// Profits and shares of those who were charged.
    seen: i128,
    charged: i64,
    /// The place in the ranking behind which it goes on.
    after: Option<(u8, i64, Owner)>,
}

impl<B: Book> Engine<B> {
    /// The pool of liquidation fees covers up to `deficit` of a sub-account; micro-quote covered.
    pub(super) fn cover_from_fees(
        &mut self,
        command: &Command,
        who: (u32, u8),
        market: u32,
        deficit: i64,
        output: &mut Output,
    ) -> i64 {
        let asset = self.state.markets.list[market as usize].quote;
        let pool = self.state.system.get(line::LIQUIDATION_FEES, 0, asset);
        self.cover(command, who, market, (line::LIQUIDATION_FEES, deficit.min(pool), deficit), output)
    }

    fn cover(
        &mut self,
        command: &Command,
        who: (u32, u8),
        market: u32,
        (source, covered, deficit): (u8, i64, i64),
        output: &mut Output,
    ) -> i64 {
        if covered <= 0 {
            return 0;
        }
        let asset = self.state.markets.list[market as usize].quote;
        post_system(&mut self.state.system, &mut output.postings, source, 0, asset, -covered);
        post_margin(&mut self.state.accounts, &mut output.postings, who, asset, covered);
        self.touch(who);
        let stage = if source == line::INSURANCE { loss_stage::INSURANCE } else { loss_stage::FEES };
        let source_left = self.state.system.get(source, 0, asset);
        let body = LossCoveredBody {
            stage,
            reserved: 0,
            asset,
            reserved2: 0,
            covered,
            deficit_left: deficit - covered,
            amount: covered,
            source_left,
        };
        let subject = Subject { market, ..Subject::account(who.0, who.1) };
        output.emit(command, EventKind::LossCovered, subject, &body);
        covered
    }

    /// Brings a sub-account without positions back to nothing owed; false when winners are still to be charged.
    pub(super) fn cover_deficit(
        &mut self,
        command: &Command,
        who: (u32, u8),
        market: u32,
        socialised: &mut Option<Socialised>,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        let asset = self.state.markets.list[market as usize].quote;
        let owes = |engine: &Self| -engine.state.accounts.balance(who.0, who.1, asset, line::FREE).min(0);
        if socialised.is_none() {
            if owes(self) == 0 {
                return true;
            }
            if !budget.admits(DEFICIT_EFFORT) {
                return false;
            }
            budget.spend(DEFICIT_EFFORT);
            if owes(self) > 0 {
                self.seize_collateral(command, who, market, output);
            }
            let deficit = owes(self);
            if deficit > 0 {
                self.cover_from_fees(command, who, market, deficit, output);
            }
            let deficit = owes(self);
            if deficit > 0 {
                let fund = self.state.system.get(line::INSURANCE, 0, asset);
                let covered = deficit.min((fund - 1).max(0));
                self.cover(command, who, market, (line::INSURANCE, covered, deficit), output);
            }
            if owes(self) > 0 {
                *socialised = Some(Socialised { loss: owes(self), ..Socialised::default() });
            }
        }
        let Some(state) = socialised else { return true };
        if !self.share_loss(command, who, market, state, budget, output) {
            return false;
        }
        let left = owes(self);
        if left > 0 {
            self.owe(command, who, market, left, output);
        }
        true
    }

    /// Insurance buys the owner's other collateral at its weighted price until nothing is owed.
    fn seize_collateral(&mut self, command: &Command, who: (u32, u8), market: u32, output: &mut Output) {
        let settlement = self.state.markets.list[market as usize].quote;
        let held: Vec<u16> = self.state.accounts.assets(who.0, who.1).collect();
        for number in held {
            let owed = -self.state.accounts.balance(who.0, who.1, settlement, line::FREE).min(0);
            let held = self.state.accounts.balance(who.0, who.1, number, line::FREE);
            let asset = self.state.assets[number as usize];
            if owed == 0 || held <= 0 || asset.flags & asset_flag::SETTLEMENT != 0 {
                continue;
            }
            let Some((price, _)) = self.collateral_price(&asset, true, false) else { continue };
            let per_unit = i128::from(price) * i128::from(asset.weights_bp[1]);
            if per_unit == 0 {
                continue;
            }
            let fund = self.state.system.get(line::INSURANCE, 0, settlement);
            let payable = i128::from(owed.min((fund - 1).max(0)));
            let needed = div_ceil(payable * SCALE, per_unit);
            let amount = needed.min(i128::from(held)) as i64;
            let paid = (i128::from(amount) * per_unit / SCALE).min(payable) as i64;
            if amount == 0 {
                continue;
            }
            let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
            post_user(accounts, postings, who.0, who.1, number, line::FREE, -amount);
            post_margin(accounts, postings, who, settlement, paid);
            self.touch(who);
            let system = &mut self.state.system;
            post_system(system, postings, line::INSURANCE, 0, number, amount);
            post_system(system, postings, line::INSURANCE, 0, settlement, -paid);
            let body = LossCoveredBody {
                stage: loss_stage::COLLATERAL,
                reserved: 0,
                asset: number,
                reserved2: 0,
                covered: paid,
                deficit_left: owed - paid,
                amount,
                source_left: self.state.system.get(line::INSURANCE, 0, settlement),
            };
            let subject = Subject { market, ..Subject::account(who.0, who.1) };
            output.emit(command, EventKind::LossCovered, subject, &body);
        }
    }

    /// Charges the winners of a market pro rata to their unrealised profit, at most that profit; true when done.
    fn share_loss(
        &mut self,
        command: &Command,
        who: (u32, u8),
        market: u32,
        state: &mut Socialised,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        loop {
            let Some((key, profit)) = self.next_ranked(market, state.after) else {
                if state.charging || state.profits == 0 {
                    return true;
                }
                (state.charging, state.after) = (true, None);
                continue;
            };
            let pays = profit > 0 && key.2 != owner(who.0, who.1);
            let effort = match pays && state.charging {
                true => SHARE_EFFORT + self.look_effort(account_of(key.2)),
                false => PROFIT_EFFORT,
            };
            if !budget.admits(effort) {
                return false;
            }
            budget.spend(effort);
            state.after = Some(key);
            if !pays {
                continue;
            }
            if state.charging {
                self.charge_winner(command, who, market, state, (key.2, profit), output);
            } else {
                state.profits += i128::from(profit);
            }
        }
    }

    /// The next position that may have a profit at the mark, by rank, with that profit (not above 0: none): within a side
    /// profits end where losses begin.
    fn next_ranked(&self, market: u32, after: Option<(u8, i64, Owner)>) -> Option<((u8, i64, Owner), i64)> {
        let place = self.state.perps.place(market)?;
        let perp = &self.state.perps.markets[place];
        let ranks = &self.state.liquidations.market(place)?.ranks;
        let mut from = after.unwrap_or((0, i64::MIN, 0));
        loop {
            let behind = (std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded);
            let &key = ranks.range(behind).next()?;
            let entry = if key.0 == 0 { key.1 } else { -key.1 };
            match (key.0, if key.0 == 0 { entry > perp.mark } else { entry < perp.mark }) {
                (0, true) => from = (1, i64::MIN, 0),
                (_, true) => return None,
                // On the very tick of the mark the entry's fraction decides.
                _ => {
                    let (account, sub) = account_of(key.2);
                    let position =
                        self.state.perps.position(account, sub, market).expect("ranked positions exist");
                    return Some((key, narrow(position.unrealised(perp.mark, perp.unit))));
                }
            }
        }
    }

    fn charge_winner(
        &mut self,
        command: &Command,
        who: (u32, u8),
        market: u32,
        state: &mut Socialised,
        (winner, profit): (Owner, i64),
        output: &mut Output,
    ) {
        let taken = i128::from(state.loss).min(state.profits);
        state.seen += i128::from(profit);
        // Prefixes are rounded down once, so that the shares sum to the loss.
        let upto = (taken * state.seen / state.profits) as i64;
        let share = (upto - state.charged).min(profit);
        state.charged = upto;
        if share == 0 {
            return;
        }
        let asset = self.state.markets.list[market as usize].quote;
        let (account, sub) = account_of(winner);
        post_margin(&mut self.state.accounts, &mut output.postings, (account, sub), asset, -share);
        post_margin(&mut self.state.accounts, &mut output.postings, who, asset, share);
        self.touch((account, sub));
        self.touch(who);
        let body = LossSocialisedBody {
            bankrupt_account: who.0,
            bankrupt_sub: who.1,
            reserved: 0,
            reserved2: 0,
            share,
            profit,
            loss_total: state.loss,
            profit_total: narrow(state.profits),
            reserved3: 0,
        };
        let subject = Subject { market, ..Subject::account(account, sub) };
        output.emit(command, EventKind::LossSocialised, subject, &body);
        self.look_at(command, (account, sub), true, output);
    }

    /// What nobody's profit covers is the fund's debt, paid from what insurance earns next.
    fn owe(&mut self, command: &Command, who: (u32, u8), market: u32, left: i64, output: &mut Output) {
        let Some(fund) = self.fund_account(command, output) else {
            panic!("P18.4: no account is left for the insurance fund");
        };
        let asset = self.state.markets.list[market as usize].quote;
        post_margin(&mut self.state.accounts, &mut output.postings, (fund, 0), asset, -left);
        post_margin(&mut self.state.accounts, &mut output.postings, who, asset, left);
        self.touch((fund, 0));
        self.touch(who);
        let body = LossCoveredBody {
            stage: loss_stage::OWED,
            reserved: 0,
            asset,
            reserved2: 0,
            covered: left,
            deficit_left: 0,
            amount: left,
            source_left: self.state.accounts.balance(fund, 0, asset, line::FREE),
        };
        let subject = Subject { market, ..Subject::account(who.0, who.1) };
        output.emit(command, EventKind::LossCovered, subject, &body);
        self.fund_holds(command);
    }

    /// Behind a settled position: a winner bears its share of what others could not pay, a sub-account that holds
    /// nothing any more is brought back to nothing owed. What is left of a loss, the market's line pays until the
    /// winners are charged.
    pub(crate) fn settle_loss(
        &mut self,
        command: &Command,
        who: (u32, u8),
        profit: i128,
        job: &mut Settle,
        output: &mut Output,
    ) {
        if job.winners && job.shortfall > 0 && profit > 0 {
            self.charge_settled(command, who, profit, job, output);
        }
        let asset = self.state.markets.list[job.market as usize].quote;
        let owes = |engine: &Self| -engine.state.accounts.balance(who.0, who.1, asset, line::FREE).min(0);
        let holds = |engine: &Self| {
            engine
                .state
                .accounts
                .positions(who.0, who.1)
                .iter()
                .any(|&slot| engine.state.perps.at(slot).lots != 0)
        };
        if who.0 == self.state.liquidations.fund || owes(self) == 0 || holds(self) {
            return;
        }
        self.seize_collateral(command, who, job.market, output);
        self.cover_from_fees(command, who, job.market, owes(self), output);
        let fund = self.state.system.get(line::INSURANCE, 0, asset);
        let deficit = owes(self);
        let covered = deficit.min((fund - 1).max(0));
        self.cover(command, who, job.market, (line::INSURANCE, covered, deficit), output);
        let left = owes(self);
        if left == 0 {
            return;
        }
        if job.winners {
            return self.owe(command, who, job.market, left, output);
        }
        job.shortfall += left;
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::FUNDING, job.market, asset, -left);
        post_margin(&mut self.state.accounts, postings, who, asset, left);
        self.touch(who);
        let body = LossCoveredBody {
            stage: loss_stage::SOCIALISED,
            reserved: 0,
            asset,
            reserved2: 0,
            covered: left,
            deficit_left: 0,
            amount: left,
            source_left: self.state.system.get(line::FUNDING, job.market, asset),
        };
        let subject = Subject { market: job.market, ..Subject::account(who.0, who.1) };
        output.emit(command, EventKind::LossCovered, subject, &body);
    }

    fn charge_settled(
        &mut self,
        command: &Command,
        who: (u32, u8),
        profit: i128,
        job: &mut Settle,
        output: &mut Output,
    ) {
        let taken = i128::from(job.shortfall).min(job.profits);
        job.seen += profit;
        let upto = (taken * job.seen / job.profits) as i64;
        let share = upto - job.charged;
        job.charged = upto;
        if share == 0 {
            return;
        }
        let asset = self.state.markets.list[job.market as usize].quote;
        post_margin(&mut self.state.accounts, &mut output.postings, who, asset, -share);
        self.touch(who);
        post_system(&mut self.state.system, &mut output.postings, line::FUNDING, job.market, asset, share);
        let body = LossSocialisedBody {
            bankrupt_account: NO_ACCOUNT,
            bankrupt_sub: 0,
            reserved: 0,
            reserved2: 0,
            share,
            profit: narrow(profit),
            loss_total: job.shortfall,
            profit_total: narrow(job.profits),
            reserved3: 0,
        };
        let subject = Subject { market: job.market, ..Subject::account(who.0, who.1) };
        output.emit(command, EventKind::LossSocialised, subject, &body);
    }

    /// What neither losers nor winners of a settled market could pay is the fund's debt.
    pub(crate) fn owe_to_market(&mut self, command: &Command, market: u32, output: &mut Output) {
        let asset = self.state.markets.list[market as usize].quote;
        let left = -self.state.system.get(line::FUNDING, market, asset).min(0);
        if left == 0 {
            return;
        }
        let Some(fund) = self.fund_account(command, output) else {
            panic!("P18.4: no account is left for the insurance fund");
        };
        post_margin(&mut self.state.accounts, &mut output.postings, (fund, 0), asset, -left);
        self.touch((fund, 0));
        post_system(&mut self.state.system, &mut output.postings, line::FUNDING, market, asset, left);
        let body = LossCoveredBody {
            stage: loss_stage::OWED,
            reserved: 0,
            asset,
            reserved2: 0,
            covered: left,
            deficit_left: 0,
            amount: left,
            source_left: self.state.accounts.balance(fund, 0, asset, line::FREE),
        };
        let subject = Subject { market, ..Subject::account(fund, 0) };
        output.emit(command, EventKind::LossCovered, subject, &body);
        self.fund_holds(command);
    }
}

/// Weights are in bp, prices per 10^6 micro-units.
const SCALE: i128 = 10_000_000_000;
