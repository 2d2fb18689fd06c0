//! Events of markets, assets, accounts, collateral and roles: I02, I20 and the single facts of I26.

use super::fault::{ensure, Check};
use super::ledger::{FREE, HELD, PENDING_WITHDRAWAL, WORLD};
use super::outcome::{DISTRIBUTION, OUTCOME, PAYOUT};
use super::{Auditor, Market};
use crate::hash::{id32, Id, Map, Set};
use crate::id;
use crate::wire::event::{
    AccountBody, AddressBody, AssetBody, CollateralBody, Event, EventKind, IdentityBody, MarketBody, Posting,
    RoleBody, StatusBody, SubAccountBody,
};

const ACCOUNTS: usize = 1_000_000;
const SUB_ACCOUNTS: u8 = 128;
const ASSETS: usize = 4_096;
const MARKETS: usize = 65_536;
const ADDRESSES_PER_ACCOUNT: u8 = 16;
const PRINCIPALS_PER_ROLE: u32 = 1_000;
const ROLES: usize = 32;
const WITHDRAWALS: usize = 1_000_000;

const CREATED: u8 = 0;
const ACTIVE: u8 = 1;
const PAUSED: u8 = 2;
const CLOSE_ONLY: u8 = 3;
const CLOSED: u8 = 4;

/// Bit of a market's flags: takers pay the elastic fee.
pub const ELASTIC_FEE: u16 = 1 << 8;

/// A movement that an event must post: owner, sub-account, asset, line, micro-units.
pub type Movement = (u32, u8, u16, u8, i64);

#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// One bit a sub-account, and one for each that holds a single position.
    pub subs: u128,
    pub isolated: u128,
    pub addresses: u8,
}

/// A withdrawal that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    pub account: u32,
    pub sub: u8,
    pub asset: u16,
    pub amount: i64,
    pub released: bool,
}

/// Everything that exists once.
#[derive(Clone, Debug, Default)]
pub struct Records {
    grants: Set<(Id, u8)>,
    holders: [u32; ROLES],
    pub assets: usize,
    pub accounts: Vec<Account>,
    pub account_ids: Set<Id>,
    pub market_ids: Set<Id>,
    pub deposits: Set<Id>,
    pub withdrawals: Map<u64, Withdrawal>,
    pub last_ticket: u64,
    /// Stakes of keepers and of those that were.
    pub bonds: std::collections::BTreeMap<u32, super::bonds::Bond>,
}

impl Records {
    pub fn new(grants: impl Iterator<Item = ([u8; 32], u8)>) -> Self {
        let mut records = Records::default();
        grants.for_each(|(principal, role)| records.grant(&principal, role));
        records
    }

    #[inline]
    pub fn holds(&self, principal: &[u8; 32], role: u8) -> bool {
        self.grants.contains(&(id32(principal), role))
    }

    /// Whether a sub-account holds a single position (P1.5.1).
    pub fn is_isolated(&self, account: u32, sub: u8) -> bool {
        self.accounts.get(account as usize).is_some_and(|entry| entry.isolated >> (sub & 127) & 1 == 1)
    }

    pub fn grant(&mut self, principal: &[u8; 32], role: u8) {
        if self.grants.insert((id32(principal), role)) {
            self.holders[role as usize % ROLES] += 1;
        }
    }

    fn revoke(&mut self, principal: &[u8; 32], role: u8) {
        if self.grants.remove(&(id32(principal), role)) {
            self.holders[role as usize % ROLES] -= 1;
        }
    }
}

/// The edges of P2.3.1.
const fn is_edge(from: u8, to: u8) -> bool {
    matches!(
        (from, to),
        (CREATED, ACTIVE)
            | (ACTIVE, PAUSED)
            | (PAUSED, ACTIVE)
            | (ACTIVE | PAUSED, CLOSE_ONLY)
            | (CLOSE_ONLY, CLOSED)
    )
}

/// The postings are exactly the movements, in any order and split.
pub fn check_movements<const N: usize>(
    invariant: &'static str,
    mut movements: [Movement; N],
    postings: &[Posting],
) -> Check {
    let unexpected = |amount: i64, line: u8| {
        Err(super::fault(
            invariant,
            format_args!("{amount} on line {line:#x} was not to move, or not so far"),
        ))
    };
    let mut at = 0;
    for posting in postings {
        let mut tried = 0;
        loop {
            let (owner, sub, asset, line, left) = &mut movements[at];
            if (*owner, *sub, *asset, *line) == (posting.owner, posting.sub, posting.asset, posting.line) {
                *left -= posting.amount;
                break;
            }
            tried += 1;
            if tried == N {
                return unexpected(posting.amount, posting.line);
            }
            at = (at + 1) % N;
        }
    }
    match movements.iter().find(|movement| movement.4 != 0) {
        Some(&(_, _, _, line, left)) => unexpected(-left, line),
        None => Ok(()),
    }
}

/// An event about one account moves nothing but that account's own `free` and `held`.
pub fn check_own_lines(event: &Event, postings: &[Posting]) -> Check {
    for posting in postings {
        ensure!(
            posting.owner == event.account && posting.line <= HELD,
            "I07",
            "an event of account {} moves line {:#x} of {}",
            event.account,
            posting.line,
            posting.owner
        );
    }
    Ok(())
}

impl Auditor {
    /// Events that are not about orders.
    pub(super) fn check_record(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        use EventKind as Kind;
        self.check_paused_record(kind, event)?;
        if matches!(
            kind,
            Kind::VerseCreated
                | Kind::VerseMoved
                | Kind::MarketLinked
                | Kind::RiskUpdated
                | Kind::ParameterSet
        ) {
            self.chains.note(kind, event);
        }
        match kind {
            Kind::Deposited => return self.deposited(event, postings),
            Kind::WithdrawalQueued | Kind::WithdrawalReleased => {
                return self.withdrawal_opened(kind, event, postings)
            }
            Kind::WithdrawalCancelled | Kind::WithdrawalSettled | Kind::WithdrawalReturned => {
                return self.withdrawal_closed(kind, event, postings)
            }
            Kind::Transferred => {
                transferred(event, postings)?;
                return self.check_left_enough(event.account, event.sub);
            }
            Kind::KeeperRegistered
            | Kind::KeeperRemoved
            | Kind::KeeperStakeChanged
            | Kind::KeeperSlashed
            | Kind::KeeperRewarded => return self.keeper_money(kind, event, postings),
            Kind::TokenIssued
            | Kind::Staked
            | Kind::Unstaked
            | Kind::StakeReweighed
            | Kind::RewardsShared
            | Kind::RewardsClaimed
            | Kind::VestingAllocated
            | Kind::VestedClaimed
            | Kind::VestingRevoked
            | Kind::SeasonOpened
            | Kind::SeasonSettled
            | Kind::MarketRewarded
            | Kind::LaunchGranted
            | Kind::BootstrapClaimed
            | Kind::RewardHourClosed
            | Kind::MakerRewarded
            | Kind::MakerRewardsClaimed => return self.check_token(kind, event, postings),
            Kind::VaultDeposited
            | Kind::VaultCohortServed
            | Kind::VaultExitServed
            | Kind::ManagementFeeTaken
            | Kind::InsuranceWeekEnded
            | Kind::VaultEpochStarted => return self.vault_money(kind, event, postings),
            Kind::BuybackFunded => return self.buyback_funded(event, postings),
            Kind::TokensBurned => return self.tokens_burned(event, postings),
            _ => {}
        }
        ensure!(postings.is_empty(), "I01", "a {} event moves money", kind.name());
        match kind {
            Kind::MarketCreated => self.market_created(event),
            Kind::MarketUpdated => self.market_updated(event),
            Kind::MarketIdentified => {
                let body: IdentityBody = event.body_as();
                let fresh = self.records.market_ids.insert(id32(&body.id));
                ensure!(fresh, "I26", "a market id exists twice");
                self.outcomes_identified(event.market, body.outcome_count)
            }
            Kind::MarketActivated | Kind::MarketClosing | Kind::MarketClosed => {
                self.market_moved(kind, event)
            }
            Kind::PauseSet => self.paused(kind, event),
            Kind::Resumed => {
                self.paused(kind, event)?;
                self.check_verse_above(event)
            }
            Kind::VerseCreated
            | Kind::VerseMoved
            | Kind::MarketLinked
            | Kind::VerseHalted
            | Kind::VerseResumePending
            | Kind::VerseResumed
            | Kind::VerseResolved => self.check_verse(kind, event),
            Kind::BreakerTripped | Kind::BreakerExtended | Kind::BreakerHalfOpen | Kind::BreakerClosed => {
                self.breaker_moved(kind, event)
            }
            Kind::AuctionStarted | Kind::AuctionUncrossed | Kind::AuctionEnded => {
                self.auction_moved(kind, event)
            }
            Kind::AssetRegistered => self.asset_registered(event),
            Kind::AssetUpdated => self.asset_updated(event),
            Kind::SourceUpdated
            | Kind::IndexUpdated
            | Kind::FeedStateChanged
            | Kind::FeedChanged
            | Kind::FeedSourceSet
            | Kind::FeedOverridePending
            | Kind::FeedOverridden
            | Kind::FeedOverrideEnded => self.feed_moved(kind, event),
            Kind::VenueLinked
            | Kind::VenueQuoted
            | Kind::VenueRefreshed
            | Kind::VenueBatchApplied
            | Kind::VenueOutage => self.check_venue(kind, event),
            Kind::SlashSigned
            | Kind::SlashLapsed
            | Kind::SlashOpened
            | Kind::SlashAppealed
            | Kind::SlashReversed
            | Kind::SlashConfirmed => self.slash_moved(kind, event),
            Kind::FeeCharged => self.fee_charged(event),
            Kind::FeeDepthChanged => self.fee_depth_changed(event),
            Kind::FeeLoadChanged => self.fee_load_changed(event),
            Kind::OwnersLinked => self.owners_linked(event),
            Kind::VaultExitQueued
            | Kind::WorstCaseChanged
            | Kind::RiskUpdated
            | Kind::CoverageStateChanged
            | Kind::StageChanged
            | Kind::LeverageCapChanged
            | Kind::ParameterSet => self.coverage_moved(kind, event),
            Kind::AccountOpened => self.account_opened(event),
            Kind::SubAccountOpened => self.sub_account_opened(event),
            Kind::AddressListed | Kind::AddressUnlisted => self.address_edited(kind, event),
            Kind::RoleGranted => {
                let body: RoleBody = event.body_as();
                self.records.grant(&body.principal, body.role);
                let holders = self.records.holders[body.role as usize % ROLES];
                ensure!(
                    holders <= PRINCIPALS_PER_ROLE,
                    "I20",
                    "{holders} principals hold role {}",
                    body.role
                );
                Ok(())
            }
            Kind::RoleRevoked => {
                let body: RoleBody = event.body_as();
                self.records.revoke(&body.principal, body.role);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn market_created(&mut self, event: &Event) -> Check {
        let body: MarketBody = event.body_as();
        let handle = self.markets.len();
        ensure!(event.market as usize == handle, "I26", "market {} follows {handle} markets", event.market);
        ensure!(handle < MARKETS, "I20", "{handle} markets exist already");
        let product = body.tick_size as i128 * body.lot_size as i128;
        ensure!(
            body.unit >= 1 && product == body.unit as i128 * 1_000_000,
            "I26",
            "market {handle} has unit {} for tick {} and lot {}",
            body.unit,
            body.tick_size,
            body.lot_size
        );
        let known = (body.base as usize) < self.records.assets && (body.quote as usize) < self.records.assets;
        let trades = if matches!(body.market_kind, OUTCOME | DISTRIBUTION) {
            body.base == body.quote && body.tick_size < PAYOUT && PAYOUT % body.tick_size == 0
        } else {
            body.base != body.quote
        };
        ensure!(known && trades, "I26", "market {handle} trades {} for {}", body.base, body.quote);
        ensure!(body.status <= ACTIVE, "I26", "market {handle} starts with status {}", body.status);
        self.markets.push(market_of(&body));
        self.note_market_maker(event.market);
        self.books.open_market();
        self.positions.open_market();
        self.note_token_market(event.market)
    }

    fn market_updated(&mut self, event: &Event) -> Check {
        let body: MarketBody = event.body_as();
        let old = *self.market(event.market)?;
        let new = Market { outcome_count: old.outcome_count, ..market_of(&body) };
        let fixed =
            |market: &Market| (market.base, market.quote, market.kind, market.tick_size, market.lot_size);
        ensure!(fixed(&old) == fixed(&new) && old.unit == new.unit, "I26", "an immutable parameter changed");
        ensure!(
            old.status == new.status,
            "I26",
            "an update moves market {} to status {}",
            event.market,
            new.status
        );
        ensure!(
            new.config_version == old.config_version + 1,
            "I26",
            "configuration {} follows {}",
            new.config_version,
            old.config_version
        );
        self.markets[event.market as usize] = new;
        Ok(())
    }

    fn market_moved(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: StatusBody = event.body_as();
        let status = self.market(event.market)?.status;
        ensure!(
            body.previous == status && is_edge(status, body.status),
            "I26",
            "market {} goes from {} to {}, it was {status}",
            event.market,
            body.previous,
            body.status
        );
        let orders = self.books.orders_of_market(event.market);
        ensure!(
            kind != EventKind::MarketClosed || orders == 0,
            "I26",
            "market {} closes with {orders} open orders",
            event.market
        );
        self.markets[event.market as usize].status = body.status;
        Ok(())
    }

    fn asset_registered(&mut self, event: &Event) -> Check {
        let body: AssetBody = event.body_as();
        let assets = self.records.assets;
        ensure!(body.asset as usize == assets, "I26", "asset {} follows {assets} assets", body.asset);
        ensure!(assets < ASSETS, "I20", "{assets} assets exist already");
        self.records.assets += 1;
        self.token.registered(&body)?;
        self.values.set_asset(&body)
    }

    fn asset_updated(&mut self, event: &Event) -> Check {
        let body: AssetBody = event.body_as();
        ensure!((body.asset as usize) < self.records.assets, "I26", "asset {} is unknown", body.asset);
        self.values.set_asset(&body)
    }

    fn account_opened(&mut self, event: &Event) -> Check {
        let body: AccountBody = event.body_as();
        let accounts = self.records.accounts.len();
        ensure!(event.account as usize == accounts, "I26", "account {} follows {accounts}", event.account);
        ensure!(accounts < ACCOUNTS, "I20", "{accounts} accounts exist already");
        ensure!(body.account_id == id::account_id(&body.owner_key), "I26", "an account id has another key");
        ensure!(self.records.account_ids.insert(id32(&body.account_id)), "I26", "an account exists twice");
        if body.owner_key == super::liquidation::fund_key() {
            self.liquidations.fund = Some(event.account);
        }
        if body.owner_key == super::fees::burner_key() {
            self.tiers.burn.account = Some(event.account);
        }
        self.stakes.open_account(&body.account_id, event.account);
        self.records.accounts.push(Account { subs: 1, isolated: 0, addresses: 0 });
        Ok(())
    }

    fn account_mut(&mut self, handle: u32) -> Check<&mut Account> {
        match self.records.accounts.get_mut(handle as usize) {
            Some(account) => Ok(account),
            None => Err(super::fault("I26", format_args!("account {handle} is unknown"))),
        }
    }

    fn sub_account_opened(&mut self, event: &Event) -> Check {
        let body: SubAccountBody = event.body_as();
        ensure!(body.index < SUB_ACCOUNTS, "I20", "sub-account {} is opened", body.index);
        let account = self.account_mut(event.account)?;
        let bit = 1_u128 << body.index;
        ensure!(account.subs & bit == 0, "I26", "sub-account {} is opened twice", body.index);
        account.subs |= bit;
        if body.margin_mode == 1 {
            account.isolated |= bit;
        }
        Ok(())
    }

    fn address_edited(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: AddressBody = event.body_as();
        let account = self.account_mut(event.account)?;
        if kind == EventKind::AddressUnlisted {
            ensure!(account.addresses > 0, "I26", "an address of asset {} was never listed", body.asset);
            account.addresses -= 1;
            return Ok(());
        }
        account.addresses += 1;
        ensure!(
            account.addresses <= ADDRESSES_PER_ACCOUNT,
            "I20",
            "account {} lists {} addresses",
            event.account,
            account.addresses
        );
        Ok(())
    }

    fn deposited(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let CollateralBody { asset, amount, reference, .. } = event.body_as();
        ensure!((asset as usize) < self.records.assets, "I26", "asset {asset} is unknown");
        ensure!(amount > 0, "I02", "a deposit of {amount}");
        ensure!(self.records.deposits.insert(id32(&reference)), "I26", "a deposit is credited twice");
        let movements = [(event.account, event.sub, asset, FREE, amount), (0, 0, asset, WORLD, -amount)];
        check_movements("I02", movements, postings)?;
        self.check_no_mint(asset)?;
        self.ledger.cross_border(asset, amount)
    }

    /// Queued takes the amount out of `free`; released does too when nothing was queued before.
    fn withdrawal_opened(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let CollateralBody { asset, amount, ticket, .. } = event.body_as();
        let released = kind == EventKind::WithdrawalReleased;
        self.check_feeds_release(released, event)?;
        if let Some(entry) = self.records.withdrawals.get_mut(&ticket) {
            ensure!(released && !entry.released, "I26", "withdrawal {ticket} is opened twice");
            ensure!((entry.asset, entry.amount) == (asset, amount), "I26", "withdrawal {ticket} changed");
            ensure!(postings.is_empty(), "I02", "the release of withdrawal {ticket} moves money");
            entry.released = true;
            return Ok(());
        }
        ensure!(
            ticket > self.records.last_ticket,
            "I26",
            "ticket {ticket} follows {}",
            self.records.last_ticket
        );
        self.records.last_ticket = ticket;
        ensure!(amount > 0, "I02", "a withdrawal of {amount}");
        let (account, sub) = (event.account, event.sub);
        let movements =
            [(account, sub, asset, FREE, -amount), (account, sub, asset, PENDING_WITHDRAWAL, amount)];
        check_movements("I02", movements, postings)?;
        self.ledger.withdraw(account, sub, asset, amount);
        self.records.withdrawals.insert(ticket, Withdrawal { account, sub, asset, amount, released });
        let open = self.records.withdrawals.len();
        ensure!(open <= WITHDRAWALS, "I20", "{open} withdrawals are open");
        self.check_left_enough(account, sub)
    }

    fn withdrawal_closed(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let CollateralBody { ticket, .. } = event.body_as();
        let Some(entry) = self.records.withdrawals.remove(&ticket) else {
            return Err(super::fault("I26", format_args!("withdrawal {ticket} is not open")));
        };
        let Withdrawal { account, sub, asset, amount, released } = entry;
        let cancelled = kind == EventKind::WithdrawalCancelled;
        ensure!(cancelled != released, "I26", "withdrawal {ticket} ends by {}", kind.name());
        ensure!((event.account, event.sub) == (account, sub), "I26", "withdrawal {ticket} has another owner");
        self.ledger.withdraw(account, sub, asset, -amount);
        let target = if kind == EventKind::WithdrawalSettled {
            (0, 0, asset, WORLD, amount)
        } else {
            (account, sub, asset, FREE, amount)
        };
        check_movements("I02", [(account, sub, asset, PENDING_WITHDRAWAL, -amount), target], postings)?;
        match kind {
            EventKind::WithdrawalSettled => self.ledger.cross_border(asset, -amount),
            _ => Ok(()),
        }
    }
}

fn transferred(event: &Event, postings: &[Posting]) -> Check {
    let CollateralBody { asset, amount, to_sub, .. } = event.body_as();
    ensure!(amount > 0 && to_sub != event.sub, "I02", "a transfer of {amount} to sub-account {to_sub}");
    let account = event.account;
    let movements = [(account, event.sub, asset, FREE, -amount), (account, to_sub, asset, FREE, amount)];
    check_movements("I02", movements, postings)
}

pub fn market_of(body: &MarketBody) -> Market {
    Market {
        base: body.base,
        quote: body.quote,
        status: body.status,
        kind: body.market_kind,
        outcome_count: 0,
        config_version: body.config_version,
        tick_size: body.tick_size,
        lot_size: body.lot_size,
        unit: body.unit,
        taker_fee_e6bp: body.taker_fee_e6bp,
        maker_fee_e6bp: body.maker_fee_e6bp,
        elastic: body.market_flags & ELASTIC_FEE != 0,
        settle_time_ns: body.settle_time_ns,
    }
}
