//! A tenth of the fees buys the token from the market and burns it (protocol P8.8, P11.1). Only the token is ever burnt.

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::fees::burn::{Burn, INTERVAL_NS, NONE};
use crate::gate::{Action, Cell};
use crate::id::{account_id, derive};
use crate::ledger::{line, post_system, post_user};
use crate::limits::{BUYBACK_LEAST, MAX_ACCOUNTS};
use crate::market::{kind, status};
use crate::math::fee_ceil;
use crate::output::{Output, Subject};
use crate::perp::margin::product;
use crate::wire::command::{order_type, side, stp, time_in_force, Command, PlaceOrder};
use crate::wire::event::{AccountBody, BurnBody, BuybackBody, EventKind};
use crate::wire::Record;

/// The whole of an amount as a rate in 1e-6 bp.
const RATE_E6BP: i128 = 10_000_000_000;

/// What a purchase asks for: lots, their price in ticks, and the micro-units that secure them with the worst fee.
#[derive(Clone, Copy, Debug)]
struct Purchase {
    lots: i64,
    price: i64,
    money: i64,
}

impl<B: Book> Engine<B> {
    /// A new market sells the token for the settlement asset, and none that is open does so yet.
    pub(crate) fn note_token_market(&mut self, market: u32) {
        let entry = &self.state.markets.list[market as usize];
        let sells = entry.kind == kind::SPOT
            && self.state.token.asset() == Some(entry.base)
            && self.settlement_asset() == Some(entry.quote);
        let known = self.state.markets.list.get(self.state.fees.burn.market as usize);
        if sells && known.is_none_or(|known| known.status >= status::CLOSED) {
            self.state.fees.burn.market = market;
        }
    }

    /// Where the buy-back part of a fee goes: insurance, unless there is a market to buy the token from.
    #[inline]
    pub(crate) fn buyback_line(&self, quote: u16) -> u8 {
        match self.state.fees.burn.market {
            NONE => line::INSURANCE,
            market => {
                let market = &self.state.markets.list[market as usize];
                if market.status == status::ACTIVE && market.quote == quote {
                    line::BUYBACK
                } else {
                    line::INSURANCE
                }
            }
        }
    }

    /// Every Tick: one purchase at most in a minute.
    #[inline]
    pub(crate) fn burn_on_tick(&mut self, command: &Command, output: &mut Output) {
        let burn = &self.state.fees.burn;
        if burn.market != NONE && command.time_ns >= burn.next_ns {
            self.buy_and_burn(command, output);
        }
    }

    #[inline(never)]
    fn buy_and_burn(&mut self, command: &Command, output: &mut Output) {
        self.state.fees.burn.next_ns = command.time_ns.saturating_add(INTERVAL_NS);
        let market = self.state.fees.burn.market;
        let Some(purchase) = self.purchase(market, command.time_ns) else { return };
        let Some(account) = self.burner(command, output) else { return };
        self.fund_purchase(command, (account, market), &purchase, output);
        let request = PlaceOrder {
            market,
            side: side::BUY,
            order_type: order_type::LIMIT,
            time_in_force: time_in_force::IOC,
            self_trade_prevention: stp::CANCEL_NEWEST,
            price: purchase.price,
            lots: purchase.lots,
            ..PlaceOrder::zero()
        };
        let order = Command { sub: 0, client_key: [0; 16], ..*command }.with(&request);
        // A refusal is no harm: the money returns with the same command.
        let _ = self.place_order(&order, Context { account, system: false }, output);
        self.burn(command, (account, market), output);
    }

    /// As much as the money, its bound and the first resting order allow, unless the price is beyond what a market order
    /// would accept (P2.4.4), or trading is restricted. One fill: the order behind it waits for the next minute.
    fn purchase(&self, market: u32, now_ns: i64) -> Option<Purchase> {
        let entry = &self.state.markets.list[market as usize];
        let kept = self.state.system.get(line::BUYBACK, 0, entry.quote);
        let trades = entry.status == status::ACTIVE
            && !self.collects(market)
            && self.halt_cell(Action::NewCollateralised, Some(market)) == Cell::Allowed;
        if kept < BUYBACK_LEAST || !trades {
            return None;
        }
        let slot = self.state.books.at(market, 0).first(side::SELL)?;
        let maker = &self.state.orders[slot];
        let most = entry.protective_limit(side::BUY, u32::from(entry.parameters.slippage_bp))?;
        let live = maker.expiry_ns == 0 || maker.expiry_ns > now_ns;
        if maker.price > most || !live || Some(maker.account) == self.burner_account() {
            return None;
        }
        let purse = Burn::purse(kept).min(entry.parameters.max_notional);
        let fee_cap = entry.parameters.fee_cap_e6bp();
        let cost = |lots: i64| -> i128 {
            let value = product(lots, maker.price, entry.unit);
            value + i128::from(fee_ceil(value.min(i128::from(purse)) as i64, fee_cap))
        };
        let each = product(1, maker.price, entry.unit);
        let mut lots = (i128::from(purse) / each).min(i128::from(maker.remaining)) as i64;
        if cost(lots) > i128::from(purse) {
            // The worst fee must fit, too, rounded up.
            let whole = RATE_E6BP + i128::from(fee_cap);
            lots = ((i128::from(purse) - 1) * RATE_E6BP / (each * whole)) as i64;
        }
        let (money, value) = (cost(lots), product(lots, maker.price, entry.unit));
        let fits =
            lots > 0 && money <= i128::from(purse) && value >= i128::from(entry.parameters.min_notional);
        fits.then_some(Purchase { lots, price: maker.price, money: money as i64 })
    }

    fn burner_account(&self) -> Option<u32> {
        Some(self.state.fees.burn.account).filter(|&account| account != NONE)
    }

    /// The account that buys, opened at its first purchase.
    fn burner(&mut self, command: &Command, output: &mut Output) -> Option<u32> {
        if let Some(known) = self.burner_account() {
            return Some(known);
        }
        let owner_key = derive("system", b"token buyback");
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
        self.state.fees.burn.account = handle;
        Some(handle)
    }

    fn fund_purchase(
        &mut self,
        command: &Command,
        (account, market): (u32, u32),
        purchase: &Purchase,
        output: &mut Output,
    ) {
        let asset = self.state.markets.list[market as usize].quote;
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::BUYBACK, 0, asset, -purchase.money);
        post_user(&mut self.state.accounts, postings, account, 0, asset, line::FREE, purchase.money);
        let body = BuybackBody {
            asset,
            reserved: 0,
            reserved2: 0,
            amount: purchase.money,
            price: purchase.price,
            lots: purchase.lots,
        };
        let subject = Subject { account, ..Subject::market(market) };
        output.emit(command, EventKind::BuybackFunded, subject, &body);
    }

    /// What the account has of the token is burnt, what it has of the settlement asset returns.
    fn burn(&mut self, command: &Command, (account, market): (u32, u32), output: &mut Output) {
        let entry = &self.state.markets.list[market as usize];
        let (asset, quote) = (entry.base, entry.quote);
        let free = |asset| self.state.accounts.balance(account, 0, asset, line::FREE);
        let (burnt, returned) = (free(asset), free(quote));
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_user(accounts, postings, account, 0, asset, line::FREE, -burnt);
        post_user(accounts, postings, account, 0, quote, line::FREE, -returned);
        post_system(&mut self.state.system, postings, line::ISSUANCE, 0, asset, burnt);
        post_system(&mut self.state.system, postings, line::BUYBACK, 0, quote, returned);
        let total = crate::token::SUPPLY + self.state.system.get(line::ISSUANCE, 0, asset);
        let body = BurnBody { asset, quote, reserved: 0, burnt, returned, total };
        let subject = Subject { account, ..Subject::market(market) };
        output.emit(command, EventKind::TokensBurned, subject, &body);
    }
}
