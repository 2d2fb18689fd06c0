//! Business state (protocol P1.1.2).

use std::collections::{BTreeMap, BTreeSet};

use crate::account::Accounts;
use crate::book::{Book, Shelf};
use crate::codec::{Reader, Writer};
use crate::genesis::Genesis;
use crate::hash::{Id, Set};
use crate::ledger::{line, SystemLines};
use crate::market::{decode_pause, encode_pause, kind, status, Archives, Market, Markets, Pause};
use crate::order::{decode_order, OrderStore};
use crate::resolution::closing_due;
use crate::roles::Roles;
use crate::wire::command::asset_flag;

/// A registered asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    pub symbol: [u8; 16],
    /// Initial asset, maintenance asset, initial liability, maintenance liability, in bp (P1.4.5).
    pub weights_bp: [u16; 4],
    /// Micro-units; 0 = none.
    pub deposit_cap: i64,
    /// Bits of `asset_flag`.
    pub flags: u32,
    /// Feed of its price; [`NO_FEED`] = none, worth nothing as collateral.
    pub feed: u32,
    /// Micro-units that one sub-account may count as collateral; 0 = no cap.
    pub collateral_cap: i64,
}

impl Asset {
    /// Whether for keeping positions an amount of this asset counts as itself, owned or owed (P1.4.5).
    #[inline]
    pub fn is_money(&self) -> bool {
        let [_, owned, _, owed] = self.weights_bp;
        let whole = owned == 10_000 && owed == 10_000 && self.collateral_cap == 0;
        whole && self.flags & asset_flag::SETTLEMENT != 0
    }
}

/// "No feed".
pub const NO_FEED: u32 = u32::MAX;

/// States of a withdrawal that is kept; SETTLED, RETURNED and CANCELLED ones leave the table (P2.3.3).
pub mod withdrawal_state {
    pub const QUEUED: u8 = 0;
    pub const RELEASED: u8 = 1;
}

/// A withdrawal that is not over yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    pub account: u32,
    pub sub: u8,
    pub state: u8,
    pub asset: u16,
    pub amount: i64,
    pub requested_ns: i64,
    /// When it left, or is expected to.
    pub eta_ns: i64,
    pub address_hash: [u8; 32],
}

/// What falls due: (moment, kind, id), handled in this order (P2.1.5).
pub type Due = (i64, u8, u64);

/// Kinds of due items.
pub mod due {
    pub const ORDER_EXPIRY: u8 = 1;
    pub const SWITCH: u8 = 2;
    pub const PAUSE_END: u8 = 3;
    pub const WITHDRAWAL: u8 = 4;
    pub const ORACLE: u8 = 5;
    pub const BREAKER: u8 = 6;
    /// Slices and other moments of orders.
    pub const ORDER: u8 = 7;
    pub const FUNDING: u8 = 8;
    pub const LIQUIDATION: u8 = 9;
    pub const KEEPER: u8 = 10;
    pub const GOVERNANCE: u8 = 11;
    pub const FLOW: u8 = 12;
    pub const DETECTION: u8 = 13;
    pub const VENUE: u8 = 18;
    pub const RESOLUTION: u8 = 14;
    pub const VAULT: u8 = 20;
    pub const LOAN: u8 = 21;
    /// Crosses and prints of the dark book.
    pub const DARK: u8 = 22;
    pub const TOKEN: u8 = 30;
}

/// `id` of the platform's pause in the due queue; markets use their handle.
pub const PLATFORM: u64 = u32::MAX as u64;
/// In the `id` of the end of a verse's halt; the rest is the verse.
pub const VERSE_PAUSE: u64 = 1 << 32;

/// Business state: a reject leaves every bit of it alone.
#[derive(Clone, Default)]
pub struct State<B: Book> {
    pub assets: Vec<Asset>,
    pub accounts: Accounts,
    pub markets: Markets,
    /// One book a market, same handle.
    pub books: Shelf<B>,
    pub orders: OrderStore,
    pub system: SystemLines,
    pub roles: Roles,
    pub deposits: Set<Id>,
    pub withdrawals: BTreeMap<u64, Withdrawal>,
    pub platform_pause: Option<Pause>,
    pub due: BTreeSet<Due>,
    pub next_order: u64,
    pub next_priority: u64,
    pub next_ticket: u64,
    pub next_pause: u32,
    pub feeds: crate::oracle::Feeds,
    pub halts: crate::halts::Halts,
    pub flow: crate::flow::Flow,
    pub detector: crate::detect::Detector,
    pub keepers: crate::keeper::Keepers,
    /// Boxed: decisions of days, in the middle of what every command reads.
    pub governance: Box<crate::governance::Governance>,
    pub liquidations: crate::liquidation::Liquidations,
    pub triggers: crate::trigger::Triggers,
    pub perps: crate::perp::Perps,
    pub claims: Box<crate::outcome::Claims>,
    pub pools: Box<crate::amm::pool::Pools>,
    pub questions: Box<crate::amm::question::Questions>,
    pub token: Box<crate::token::Token>,
    pub resolutions: Box<crate::resolution::Resolutions>,
    pub verses: Box<crate::verse::Verses>,
    pub vault: Box<crate::vault::Vault>,
    pub venues: Box<crate::venue::Venues>,
    pub fees: Box<crate::fees::Fees>,
    pub chains: Box<crate::chains::Chains>,
    pub credits: Box<crate::outcome::Credits>,
    pub dark: Box<crate::dark::Dark>,
}

impl<B: Book> State<B> {
    /// The canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        [self.next_order, self.next_priority, self.next_ticket]
            .into_iter()
            .for_each(|value| writer.u64(value));
        writer.u32(self.next_pause);
        writer.len(self.assets.len());
        for asset in &self.assets {
            writer.raw(&asset.symbol);
            asset.weights_bp.iter().for_each(|&weight| writer.u16(weight));
            writer.i64(asset.deposit_cap);
            writer.u32(asset.flags);
            writer.u32(asset.feed);
            writer.i64(asset.collateral_cap);
        }
        self.accounts.encode(&mut writer);
        self.system.encode(&mut writer);
        self.markets.encode(&self.resolutions.archives, &mut writer);
        self.orders.encode(&mut writer);
        self.roles.encode(&mut writer);
        let mut deposits: Vec<_> = self.deposits.iter().copied().collect();
        deposits.sort_unstable();
        writer.len(deposits.len());
        deposits.iter().flat_map(|id| id.0).for_each(|word| writer.u64(word));
        writer.len(self.withdrawals.len());
        for (&ticket, entry) in &self.withdrawals {
            writer.u64(ticket);
            writer.u32(entry.account);
            writer.raw(&[entry.sub, entry.state]);
            writer.u16(entry.asset);
            writer.i64(entry.amount);
            writer.i64(entry.requested_ns);
            writer.i64(entry.eta_ns);
            writer.raw(&entry.address_hash);
        }
        encode_pause(self.platform_pause.as_ref(), &mut writer);
        self.feeds.encode(&mut writer);
        self.halts.encode(&mut writer);
        self.flow.encode(&mut writer);
        self.detector.encode(&mut writer);
        self.keepers.encode(&mut writer);
        self.governance.encode(&mut writer);
        self.liquidations.encode(&self.accounts, &self.perps, &mut writer);
        self.triggers.encode(&mut writer);
        self.perps.encode(&mut writer);
        self.claims.encode(&mut writer);
        self.pools.encode(&mut writer);
        self.questions.encode(&mut writer);
        self.books.encode_prices(&mut writer);
        self.token.encode(&mut writer);
        self.resolutions.encode(&mut writer);
        self.verses.encode(&mut writer);
        self.vault.encode(&mut writer);
        self.venues.encode(&mut writer);
        self.vault.loans.encode(&mut writer);
        self.fees.encode(&mut writer);
        self.chains.encode(&mut writer);
        self.credits.encode(&mut writer);
        self.dark.encode(&mut writer);
        writer.bytes
    }

    /// A state that holds nothing, made apart from the engine around it (P20).
    #[inline(never)]
    pub fn blank() -> Self {
        State::default()
    }

    /// What the first command finds: the principals of the genesis, and the first number of everything.
    ///
    /// # Errors
    /// A sentence when the genesis configuration contradicts itself.
    #[inline(never)]
    pub fn begin(&mut self, genesis: &Genesis) -> Result<(), String> {
        self.roles = genesis.roles()?;
        (self.next_order, self.next_priority, self.next_ticket, self.next_pause) = (1, 1, 1, 1);
        Ok(())
    }

    /// Reads a canonical encoding into a state that holds nothing, and rebuilds what derives from it: books, lists,
    /// the due queue.
    ///
    /// Every part is read in a function of its own, so that no stack frame holds more than one (P20).
    ///
    /// # Errors
    /// A sentence that names the defect. The state is then no state: its owner drops it.
    pub fn fill(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.next_order = reader.u64()?;
        self.next_priority = reader.u64()?;
        self.next_ticket = reader.u64()?;
        self.next_pause = reader.u32()?;
        self.decode_assets(reader)?;
        put(&mut self.accounts, reader, Accounts::decode)?;
        put(&mut self.system, reader, SystemLines::decode)?;
        let archives = self.decode_markets(reader)?;
        self.decode_orders(reader)?;
        put(&mut self.roles, reader, Roles::decode)?;
        self.decode_transfers(reader)?;
        put(&mut self.platform_pause, reader, decode_pause)?;
        put(&mut self.feeds, reader, crate::oracle::Feeds::decode)?;
        put(&mut self.halts, reader, crate::halts::Halts::decode)?;
        put(&mut self.flow, reader, crate::flow::Flow::decode)?;
        put(&mut self.detector, reader, crate::detect::Detector::decode)?;
        put(&mut self.keepers, reader, crate::keeper::Keepers::decode)?;
        put(&mut *self.governance, reader, crate::governance::Governance::decode)?;
        put(&mut self.liquidations, reader, crate::liquidation::Liquidations::decode)?;
        put(&mut self.triggers, reader, crate::trigger::Triggers::decode)?;
        self.triggers.rebuild(self.orders.ascending().into_iter())?;
        put(&mut self.perps, reader, crate::perp::Perps::decode)?;
        put(&mut *self.claims, reader, crate::outcome::Claims::decode)?;
        self.claims.attach(&self.markets)?;
        put(&mut *self.pools, reader, crate::amm::pool::Pools::decode)?;
        put(&mut *self.questions, reader, crate::amm::question::Questions::decode)?;
        self.books.decode_prices(reader)?;
        put(&mut *self.token, reader, crate::token::Token::decode)?;
        for (account, class) in self.token.rate_classes() {
            self.flow.set_earned(account, class);
        }
        put(&mut *self.resolutions, reader, crate::resolution::Resolutions::decode)?;
        self.resolutions.archives = archives;
        put(&mut *self.verses, reader, crate::verse::Verses::decode)?;
        self.check_resolutions()?;
        put(&mut *self.vault, reader, crate::vault::Vault::decode)?;
        put(&mut *self.venues, reader, crate::venue::Venues::decode)?;
        put(&mut self.vault.loans, reader, crate::outcome::Loans::decode)?;
        put(&mut *self.fees, reader, crate::fees::Fees::decode)?;
        self.fees.settings = crate::fees::settings::Settings::of(&self.governance);
        self.check_loans()?;
        put(&mut *self.chains, reader, crate::chains::Chains::decode)?;
        self.check_chains()?;
        put(&mut *self.credits, reader, crate::outcome::Credits::decode)?;
        self.check_credits()?;
        put(&mut *self.dark, reader, crate::dark::Dark::decode)?;
        self.dark.check_markets(self.markets.list.len(), self.accounts.list.len())?;
        self.attach_positions()?;
        self.rebuild_due();
        Ok(())
    }

    #[inline(never)]
    fn decode_assets(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        for _ in 0..reader.len(32)? {
            let symbol = reader.array()?;
            let weights_bp = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
            self.assets.push(Asset {
                symbol,
                weights_bp,
                deposit_cap: reader.i64()?,
                flags: reader.u32()?,
                feed: reader.u32()?,
                collateral_cap: reader.i64()?,
            });
        }
        Ok(())
    }

    #[inline(never)]
    fn decode_markets(&mut self, reader: &mut Reader<'_>) -> Result<Archives, String> {
        let mut archives = Archives::new();
        for _ in 0..reader.len(68)? {
            self.markets.read_one(&mut archives, reader)?;
            self.books.push(B::default());
        }
        Ok(archives)
    }

    /// External ids of deposits, and withdrawals that are not over.
    #[inline(never)]
    fn decode_transfers(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        for _ in 0..reader.len(32)? {
            self.deposits.insert(Id([reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?]));
        }
        for _ in 0..reader.len(64)? {
            let (ticket, account) = (reader.u64()?, reader.u32()?);
            let [sub, withdrawal_state] = reader.array()?;
            let entry = Withdrawal {
                account,
                sub,
                state: withdrawal_state,
                asset: reader.u16()?,
                amount: reader.i64()?,
                requested_ns: reader.i64()?,
                eta_ns: reader.i64()?,
                address_hash: reader.array()?,
            };
            self.withdrawals.insert(ticket, entry);
        }
        Ok(())
    }

    /// Counts the lots of working orders for the margin of their owners, and sorts positions by what is due.
    #[inline(never)]
    fn attach_positions(&mut self) -> Result<(), String> {
        let units = |market: u32| self.markets.list.get(market as usize).map(|market| market.unit);
        let in_books = self.orders.ascending().into_iter();
        let in_books = in_books.filter(|order| order.flags & crate::order::flag::WAITING == 0);
        let counted = in_books.map(|order| (order, order.remaining + self.triggers.hidden(order)));
        self.perps.attach(&mut self.accounts, units, counted)?;
        self.liquidations.attach(&mut self.accounts, &mut self.perps)
    }

    #[inline(never)]
    fn decode_orders(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        self.orders = OrderStore::decode_slots(reader)?;
        let mut ranked = Vec::new();
        for _ in 0..reader.len(90)? {
            let order = decode_order(reader)?;
            if order.account as usize >= self.accounts.list.len() || order.market as usize >= self.books.len()
            {
                return Err(format!("order {} names an unknown account or market", order.id));
            }
            let market = &self.markets.list[order.market as usize];
            let flipped = order.flags & crate::order::flag::FLIPPED != 0;
            let takes_no = market.has_outcomes() && market.outcome_count == 2 && order.outcome == 1;
            if order.outcome >= market.outcome_count || flipped != takes_no {
                return Err(format!("order {} names outcome {}", order.id, order.outcome));
            }
            if self.accounts.list[order.account as usize].sub(order.sub).is_none() {
                return Err(format!("order {} names an unknown sub-account", order.id));
            }
            if !self.orders.accepts(order.id) {
                return Err(format!("order {} has no empty slot", order.id));
            }
            let slot = self.orders.insert(&mut self.accounts, &order);
            ranked.push((order.priority, slot));
        }
        ranked.sort_unstable();
        for (_, slot) in ranked {
            if self.orders[slot].flags & crate::order::flag::WAITING != 0 {
                continue;
            }
            let order = self.orders[slot];
            self.books.of_mut(&order).insert(&mut self.orders, slot);
        }
        Ok(())
    }

    /// Resolutions and links name what exists.
    #[inline(never)]
    fn check_resolutions(&mut self) -> Result<(), String> {
        for (handle, resolution) in self.resolutions.iter() {
            let known = self.markets.list.get(handle as usize).is_some_and(|market| {
                market.has_outcomes()
                    && market.outcome_count == resolution.standing().outcomes()
                    && resolution.parties.iter().all(|party| {
                        let account = self.accounts.list.get(party.account as usize);
                        account.is_some_and(|account| account.sub(party.sub).is_some())
                    })
            });
            if !known {
                return Err(format!("resolution {handle} names an unknown market or account"));
            }
        }
        for (handle, listing) in self.resolutions.listings.iter() {
            let account = self.accounts.list.get(listing.account as usize);
            let known = account.is_some_and(|account| account.sub(listing.sub).is_some());
            let open = self.markets.list.get(handle as usize).is_some_and(|market| {
                market.has_outcomes() && market.status < status::SETTLED && market.creator == listing.account
            });
            if !known || !open {
                return Err(format!("the listing of market {handle} names an unknown market or account"));
            }
        }
        for (market, account, _) in self.resolutions.exits.iter() {
            if market as usize >= self.markets.list.len() || account as usize >= self.accounts.list.len() {
                return Err(format!("an exit of account {account} from market {market}, one is unknown"));
            }
        }
        for &handle in self.questions.ended.keys() {
            let kept =
                self.markets.list.get(handle as usize).is_some_and(|market| {
                    market.kind == kind::DISTRIBUTION && market.status < status::PRUNED
                });
            if !kept {
                return Err(format!(
                    "the number of market {handle}, which is unknown, has none or is pruned"
                ));
            }
        }
        for market in self.resolutions.early.triggered() {
            let paused = self.markets.list.get(market as usize).is_some_and(|market| market.pause.is_some());
            if !paused {
                return Err(format!("market {market} is triggered early and not paused"));
            }
        }
        self.verses.attach(&self.markets.list)
    }

    /// Every loan is the debt of a pledge that exists, in a market that has its outcome.
    #[inline(never)]
    fn check_loans(&self) -> Result<(), String> {
        for ((account, pledge), loan) in self.vault.loans.iter() {
            let market = self.markets.list.get(loan.market as usize);
            let known = market.is_some_and(|market| {
                let owes = |account: &crate::account::Account| {
                    account.sub(pledge).is_some() && account.sub(loan.sub).is_some()
                };
                market.kind == crate::market::kind::OUTCOME
                    && loan.outcome < market.outcome_count
                    && (!loan.short || market.outcome_count > 2)
                    && self.accounts.list.get(account as usize).is_some_and(owes)
                    && self.accounts.balance(account, pledge, market.quote, line::LOAN) == -loan.debt
            });
            if !known {
                return Err(format!("loan {loan:?} of pledge {pledge} of account {account} is not backed"));
            }
        }
        Ok(())
    }

    /// Chains name owners and markets that exist.
    #[inline(never)]
    fn check_chains(&self) -> Result<(), String> {
        for (number, chain) in self.chains.iter() {
            let account = self.accounts.list.get(chain.account as usize);
            let known = account.is_some_and(|account| account.sub(chain.sub).is_some())
                && chain
                    .steps
                    .iter()
                    .all(|step| (step.request.market as usize) < self.markets.list.len().max(1));
            if !known {
                return Err(format!("chain {number} names an unknown account or market"));
            }
        }
        Ok(())
    }

    /// Every credit is a sub-account that exists, and what it has available and locks is its total (P15.10).
    #[inline(never)]
    fn check_credits(&self) -> Result<(), String> {
        for ((account, sub), credit) in self.credits.iter() {
            let owner = self.accounts.list.get(account as usize);
            let known = owner.is_some_and(|owner| owner.sub(sub).is_some())
                && usize::from(credit.asset) < self.assets.len()
                && self.verses.get(credit.verse).is_some()
                && credit.outlays().all(|(market, _)| (market as usize) < self.markets.list.len());
            let available =
                if known { self.accounts.balance(account, sub, credit.asset, line::FREE) } else { 0 };
            if !known || available.checked_add(credit.locked()) != Some(credit.total) {
                return Err(format!("credit {sub} of account {account} has not {}", credit.total));
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn rebuild_due(&mut self) {
        for order in self.orders.ascending() {
            if order.expiry_ns != 0 {
                self.due.insert((order.expiry_ns, due::ORDER_EXPIRY, order.id));
            }
        }
        for (handle, account) in self.accounts.list.iter().enumerate() {
            if account.switch_deadline_ns != 0 {
                self.due.insert((account.switch_deadline_ns, due::SWITCH, handle as u64));
            }
        }
        let of_markets =
            self.markets.list.iter().enumerate().map(|(handle, market)| (handle as u64, market.pause));
        for (id, pause) in of_markets.chain([(PLATFORM, self.platform_pause)]) {
            if let Some(end_ns) = pause.and_then(|pause| pause.ends_ns()) {
                self.due.insert((end_ns, due::PAUSE_END, id));
            }
        }
        let pauses = self.markets.list.iter().filter(|market| market.pause.is_some()).count() as u32;
        self.halts.recount(pauses + u32::from(self.platform_pause.is_some()));
        let due = &mut self.due;
        self.feeds.due_items(due);
        self.halts.due_items(due);
        self.flow.due_items(due);
        self.detector.due_items(due);
        self.keepers.due_items(due);
        self.governance.due_items(due);
        self.liquidations.due_items(due);
        self.triggers.due_items(due);
        self.perps.due_items(due);
        self.token.due_items(due);
        self.resolutions.due_items(due);
        self.verses.due_items(due);
        let open = |market: &Market| market.has_outcomes() && market.status < status::CLOSE_ONLY;
        let closing = self.markets.list.iter().enumerate().filter(|(_, market)| open(market));
        due.extend(closing.map(|(handle, market)| closing_due(handle as u32, market.settle_time_ns)));
        self.vault.due_items(due);
        self.venues.due_items(due);
        self.vault.loans.due_items(due);
        self.dark.due_items(due);
    }
}

/// Reads one part into its place. Never inlined: the caller's frame would hold all parts at once (P20).
#[inline(never)]
pub(crate) fn put<'a, T>(
    place: &mut T,
    reader: &mut Reader<'a>,
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, String>,
) -> Result<(), String> {
    *place = apart(reader, decode)?;
    Ok(())
}

/// Keeps what a decoder needs for itself out of the frame that holds its result.
#[inline(never)]
fn apart<'a, T>(
    reader: &mut Reader<'a>,
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, String>,
) -> Result<T, String> {
    decode(reader)
}
