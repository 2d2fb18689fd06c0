//! The account that holds what insurance took over, and cascades (protocol P5.6, P5.9).

use crate::apply::margin::{narrow, Weights};
use crate::apply::work::Budget;
use crate::book::Book;
use crate::engine::Engine;
use crate::id::{account_id, derive};
use crate::ledger::{line, post_margin, post_system};
use crate::limits::*;
use crate::liquidation::NOBODY;
use crate::output::{Output, Subject};
use crate::perp::margin::PPM;
use crate::wire::command::{side, Command};
use crate::wire::event::{AccountBody, CascadeBody, EventKind, FundBody};

/// How often the fund looks at its positions.
const FUND_PERIOD_NS: i64 = 10 * SECOND_NS;
/// A cascade: pending notional above this share of the depth within [`DEPTH_PPM`], or of open interest (P5.9).
const OF_DEPTH_PPM: i128 = 200_000;
const OF_INTEREST_PPM: i128 = 330_000;
const DEPTH_PPM: i64 = 20_000;

impl<B: Book> Engine<B> {
    /// The fund's account, opened at its first use. Its key is derived: nobody can sign for it.
    pub(super) fn fund_account(&mut self, command: &Command, output: &mut Output) -> Option<u32> {
        if self.state.liquidations.fund != NOBODY {
            return Some(self.state.liquidations.fund);
        }
        let owner_key = derive("system", b"insurance fund");
        let id = account_id(&owner_key);
        let handle = match self.state.accounts.find(&id) {
            Some(known) => known,
            None if self.state.accounts.list.len() >= MAX_ACCOUNTS => return None,
            None => {
                let handle = self.state.accounts.open(id, owner_key);
                let body = AccountBody { account_id: id, owner_key };
                output.emit(command, EventKind::AccountOpened, Subject::account(handle, 0), &body);
                handle
            }
        };
        self.state.liquidations.fund = handle;
        Some(handle)
    }

    /// The fund has something to work off.
    pub(super) fn fund_holds(&mut self, command: &Command) {
        if self.state.liquidations.fund_ns == 0 {
            let next_ns = command.time_ns.saturating_add(FUND_PERIOD_NS);
            self.state.liquidations.arm_fund(next_ns, &mut self.state.due);
        }
    }

    /// Balances the fund's account with insurance and offers what it holds; goes on while it holds or owes something.
    pub(super) fn work_off_fund(&mut self, command: &Command, budget: &mut Budget, output: &mut Output) {
        let fund = self.state.liquidations.fund;
        let Some(asset) = self.settlement_asset().filter(|_| fund != NOBODY) else { return };
        self.balance_fund(command, fund, asset, output);
        let whole = self.offer_holdings(command, fund, budget, output);
        let holds = !self.state.accounts.positions(fund, 0).is_empty();
        let owes = self.state.accounts.balance(fund, 0, asset, line::FREE) < 0;
        if holds || owes {
            let period_ns = if whole { FUND_PERIOD_NS } else { SECOND_NS };
            let next_ns = command.time_ns.saturating_add(period_ns);
            self.state.liquidations.arm_fund(next_ns, &mut self.state.due);
        }
    }

    /// What the fund's account is worth beyond nothing returns to insurance, as far as it is cash; what it lacks,
    /// insurance gives, but for its last micro.
    fn balance_fund(&mut self, command: &Command, fund: u32, asset: u16, output: &mut Output) {
        let health = self.health(fund, 0, Weights::Maintenance);
        let free = i128::from(self.state.accounts.balance(fund, 0, asset, line::FREE));
        let insured = self.state.system.get(line::INSURANCE, 0, asset);
        let amount = if health.equity >= 0 {
            health.equity.min(free).max(0)
        } else {
            -((-health.equity).min(i128::from((insured - 1).max(0))))
        };
        if amount == 0 || !health.valued {
            return;
        }
        let amount = narrow(amount);
        post_margin(&mut self.state.accounts, &mut output.postings, (fund, 0), asset, -amount);
        self.touch((fund, 0));
        post_system(&mut self.state.system, &mut output.postings, line::INSURANCE, 0, asset, amount);
        let body = FundBody {
            fund,
            reserved: 0,
            amount,
            insurance_left: self.state.system.get(line::INSURANCE, 0, asset),
            equity: narrow(health.equity - i128::from(amount)),
        };
        output.emit(command, EventKind::FundSettled, Subject::account(fund, 0), &body);
    }

    /// Whether a market is in a cascade: no new risk (P5.9).
    pub(crate) fn in_cascade(&self, market: u32) -> Option<i64> {
        let place = self.state.perps.place(market)?;
        let since_ns = self.state.liquidations.market(place)?.cascade_ns;
        (since_ns != 0).then_some(since_ns)
    }

    /// Compares pending liquidations with the book and with open interest, in markets that have some, one after the
    /// other.
    pub(super) fn measure_cascades(&mut self, command: &Command, output: &mut Output) {
        let count = self.state.perps.markets.len();
        let (first, mut measured) = (self.state.liquidations.cascade_next as usize, 0);
        for step in 0..count.min(CASCADE_RECORDS) {
            let place = (first + step) % count;
            self.state.liquidations.cascade_next = ((place + 1) % count) as u32;
            let kept = self.state.liquidations.market(place);
            if kept.is_none_or(|kept| kept.pending_lots == 0 && kept.cascade_ns == 0) {
                continue;
            }
            self.measure_cascade(command, place, output);
            measured += 1;
            if measured == CASCADES_PER_TICK {
                break;
            }
        }
    }

    fn measure_cascade(&mut self, command: &Command, place: usize, output: &mut Output) {
        let perp = &self.state.perps.markets[place];
        let market = perp.market;
        let kept = self.state.liquidations.market(place).expect("the caller found it");
        let pending = perp.value(kept.pending_lots);
        let interest = perp.value(perp.open_interest);
        let (mark, unit) = (perp.mark, perp.unit);
        let depth = self.depth_within(market, mark) * i128::from(unit);
        let active = pending * PPM > depth * OF_DEPTH_PPM || pending * PPM > interest * OF_INTEREST_PPM;
        let active = active && pending > 0;
        if active == (kept.cascade_ns != 0) {
            return;
        }
        let since_ns = if active { command.time_ns } else { 0 };
        let body = CascadeBody {
            active: u8::from(active),
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            pending_notional: narrow(pending),
            depth: narrow(depth),
            open_interest: narrow(interest),
            since_ns: command.time_ns,
        };
        self.state.liquidations.market_mut(place).cascade_ns = since_ns;
        output.emit(command, EventKind::CascadeChanged, Subject::market(market), &body);
    }

    /// Price times lots of both sides within ±2 % of the mark, the first levels of each.
    fn depth_within(&self, market: u32, mark: i64) -> i128 {
        let reach = (i128::from(mark) * i128::from(DEPTH_PPM) / PPM) as i64;
        let mut depth = 0_i128;
        for book_side in [side::BUY, side::SELL] {
            let mut levels = 0;
            self.state.books[market as usize].levels(book_side, &mut |level| {
                levels += 1;
                let away = level.price - mark;
                if away.abs() <= reach {
                    depth += i128::from(level.price) * i128::from(level.lots);
                } else if (away > 0) == (book_side == side::SELL) {
                    return false;
                }
                // What the mark has left behind on the near side hides nothing that lies within.
                levels < CASCADE_LEVELS
            });
        }
        depth
    }
}
