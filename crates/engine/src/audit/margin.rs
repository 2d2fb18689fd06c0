//! What a sub-account is worth and what its positions need, from events alone (P1.4.5, P4.1–P4.3, P4.5): I09 and the
//! equity rule of I03.

use super::book::{Open, Order, NONE};
use super::fault::{ensure, Check};
use super::ledger::{Balance, FREE, HELD};
use super::orders::fee_ceil;
use super::perpetual::PERPETUAL;
use super::position::{Perp, Position};
use super::Auditor;
use crate::hash::Map;
use crate::wire::event::AssetBody;

const ONE: i128 = 1_000_000;
const PPM: i128 = 1_000_000;
const BP: i128 = 10_000;
const SETTLEMENT: u32 = 1;
const STABLE: u32 = 2;
/// Leverage of a market with one outcome, and of an account without a suitability flag, in hundredths (P4.5).
const TIER_E2: u32 = 10_000;
const UNPROVEN_E2: u32 = 1_000;
/// From this state on a feed's price is in doubt (P6.5).
pub const UNCERTAIN: u8 = 3;
const INVALID: u8 = 7;
const FEEDS: usize = 65_536;

/// Why a sub-account is valued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    NewRisk,
    /// Money leaves: as new risk, without unrealised profit.
    Leaving,
    /// Positions are kept.
    Keeping,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asset {
    /// Initial asset, maintenance asset, initial liability, maintenance liability, in bp.
    weights_bp: [u16; 4],
    flags: u32,
    feed: u32,
    collateral_cap: i64,
}

/// A price feed as its events show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feed {
    /// Micro-settlement per whole unit; 0 = never.
    pub index: i64,
    pub confidence: i64,
    pub state: u8,
    /// The feed that is used instead.
    pub switched_to: Option<u32>,
}

/// Equity and margin in micro-units of the settlement asset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Health {
    pub equity: i128,
    pub margin: i128,
    /// Something that counts has no price.
    pub unpriced: bool,
}

/// Assets, feeds and suitability: what valuation needs beside balances and positions.
#[derive(Clone, Debug, Default)]
pub struct Values {
    assets: Vec<Asset>,
    feeds: Vec<Feed>,
    /// Bound of coverage and stage on new risk, in hundredths; None = they set none.
    pub cover_e2: Option<u32>,
    /// Until when an account may use more than tenfold leverage, ns.
    suitable_until_ns: Map<u32, i64>,
}

fn div_ceil(numerator: i128, denominator: i128) -> i128 {
    -(-numerator).div_euclid(denominator)
}

/// The smallest integer whose square is not below the value.
fn root_up(value: i128) -> i128 {
    let value = value.unsigned_abs();
    let root = match u64::try_from(value) {
        Ok(small) => u128::from(small.isqrt()),
        Err(_) => value.isqrt(),
    };
    (root + u128::from(root * root != value)) as i128
}

impl Perp {
    /// Largest leverage that new risk may have, in hundredths.
    pub fn leverage_cap_e2(&self) -> u32 {
        self.max_leverage_e2.clamp(1, TIER_E2)
    }

    pub fn worth(&self, lots: i128, unit: i64) -> i128 {
        lots.abs() * i128::from(self.mark) * i128::from(unit)
    }

    fn size_ppm(&self, notional: i128) -> i128 {
        div_ceil(i128::from(self.size_k_ppm) * root_up(notional), 1_000)
    }

    fn margin_at(&self, notional: i128, leverage_e2: u32) -> i128 {
        let fraction = div_ceil(100 * PPM, i128::from(leverage_e2)).max(self.size_ppm(notional));
        div_ceil(notional * fraction, PPM)
    }

    /// Maintenance margin of a position (P4.2).
    pub fn maintenance(&self, position: &Position, unit: i64) -> i128 {
        let notional = self.worth(i128::from(position.lots), unit);
        let entry = div_ceil(100 * PPM, i128::from(self.leverage_cap_e2())).max(self.size_ppm(notional));
        let fraction = div_ceil(entry, 2).max(i128::from(self.floor_mmf_ppm));
        div_ceil(notional * fraction, PPM)
    }

    /// Initial margin of a position with its open orders (P4.3): the worse of all buys and all sells filled, each with
    /// what its limits lose against the mark.
    fn initial(&self, position: &Position, open: &Open, unit: i64, leverage_e2: u32) -> i128 {
        let lots = i128::from(position.lots);
        let case = |side: usize, sign: i128| {
            let opened = i128::from(open.lots[side]);
            let margin = self.margin_at(self.worth(lots + sign * opened, unit), leverage_e2);
            let beyond_mark = sign * (open.ticks[side] - opened * i128::from(self.mark));
            margin + (beyond_mark * i128::from(unit)).max(0)
        };
        case(0, 1).max(case(1, -1))
    }

    /// Notional of the larger worst case, at the mark.
    pub fn worst_notional(&self, position: &Position, open: &Open, unit: i64) -> i128 {
        let lots = i128::from(position.lots);
        let (bought, sold) = (lots + i128::from(open.lots[0]), lots - i128::from(open.lots[1]));
        self.worth(bought, unit).max(self.worth(sold, unit))
    }
}

impl Values {
    pub fn set_asset(&mut self, body: &AssetBody) -> Check {
        let asset = Asset {
            weights_bp: [
                body.initial_asset_bp,
                body.maintenance_asset_bp,
                body.initial_liability_bp,
                body.maintenance_liability_bp,
            ],
            flags: body.asset_flags,
            feed: body.feed,
            collateral_cap: body.collateral_cap,
        };
        let [initial, maintenance, owed, owed_kept] = asset.weights_bp;
        ensure!(
            initial <= maintenance && maintenance <= 10_000 && 10_000 <= owed_kept && owed_kept <= owed,
            "I26",
            "asset {} has the weights {:?}",
            body.asset,
            asset.weights_bp
        );
        let index = body.asset as usize;
        if index >= self.assets.len() {
            self.assets.resize(index + 1, Asset::default());
        }
        self.assets[index] = asset;
        Ok(())
    }

    pub fn feed_mut(&mut self, feed: u32) -> Check<&mut Feed> {
        let index = feed as usize;
        ensure!(index < FEEDS, "I20", "feed {feed} is beyond {FEEDS} feeds");
        if index >= self.feeds.len() {
            self.feeds.resize(index + 1, Feed::default());
        }
        Ok(&mut self.feeds[index])
    }

    /// A feed itself, whatever it is switched to.
    pub fn own_feed(&self, feed: u32) -> Option<&Feed> {
        self.feeds.get(feed as usize)
    }

    /// A feed as its users see it.
    pub fn feed(&self, feed: u32) -> Option<&Feed> {
        let own = self.feeds.get(feed as usize)?;
        match own.switched_to {
            Some(target) => self.feeds.get(target as usize),
            None => Some(own),
        }
    }

    /// The feed of an asset that is not the unit of account.
    pub fn feed_of(&self, asset: u16) -> Option<u32> {
        let entry = self.assets.get(asset as usize)?;
        (entry.flags & SETTLEMENT == 0).then_some(entry.feed)
    }

    /// The asset in which leveraged markets account.
    pub fn settlement(&self) -> Option<u16> {
        let place = self.assets.iter().position(|asset| asset.flags & SETTLEMENT != 0);
        place.map(|asset| asset as u16)
    }

    pub fn set_suitable(&mut self, account: u32, until_ns: i64) {
        match until_ns {
            0 => self.suitable_until_ns.remove(&account),
            _ => self.suitable_until_ns.insert(account, until_ns),
        };
    }

    /// Whether an account has a suitability flag that has not run out.
    pub fn is_suitable(&self, account: u32, now_ns: i64) -> bool {
        self.suitable_until_ns.get(&account).is_some_and(|&until_ns| until_ns > now_ns)
    }

    /// Largest leverage of an account's new risk in a market, in hundredths.
    pub fn allowed_e2(&self, account: u32, perp: &Perp, now_ns: i64) -> u32 {
        let cover = self.cover_e2.unwrap_or(u32::MAX).max(100);
        let cap = perp.leverage_cap_e2().min(cover);
        if cap <= UNPROVEN_E2 {
            return cap;
        }
        match self.suitable_until_ns.get(&account) {
            Some(&until) if until > now_ns => cap,
            _ => UNPROVEN_E2,
        }
    }

    /// Value of an amount of an asset: rounded down, so that less is owned and more is owed.
    fn value(&self, asset: u16, amount: i64, purpose: Purpose) -> Option<i128> {
        let entry = self.assets.get(asset as usize)?;
        let (owned, careful) = (amount > 0, purpose != Purpose::Keeping);
        let weight = entry.weights_bp[2 * usize::from(!owned) + usize::from(!careful)];
        let price = if entry.flags & SETTLEMENT != 0 {
            ONE
        } else {
            let feed = self.feed(entry.feed).filter(|feed| feed.state < INVALID && feed.index > 0)?;
            let doubt = if careful && feed.state >= UNCERTAIN { i128::from(feed.confidence) } else { 0 };
            let price = i128::from(feed.index) + if owned { -doubt } else { doubt };
            let price = if owned && entry.flags & STABLE != 0 { price.min(ONE) } else { price };
            Some(price).filter(|&price| price > 0)?
        };
        let counted = if entry.collateral_cap > 0 { amount.min(entry.collateral_cap) } else { amount };
        Some((i128::from(counted) * price * i128::from(weight)).div_euclid(ONE * BP))
    }

    /// What collateral is worth to insurance that buys it, rounded down; None without a price.
    pub fn seized_worth(&self, asset: u16, amount: i64) -> Option<i128> {
        let entry = self.assets.get(asset as usize)?;
        let feed = self.feed(entry.feed).filter(|feed| feed.state < INVALID && feed.index > 0)?;
        let index = i128::from(feed.index);
        let price = if entry.flags & STABLE != 0 { index.min(ONE) } else { index };
        Some((i128::from(amount) * price * i128::from(entry.weights_bp[1])).div_euclid(ONE * BP))
    }

    /// What a balance counts for.
    pub fn add_balance(&self, health: &mut Health, balance: &Balance, purpose: Purpose) {
        let held = if purpose == Purpose::Keeping { balance.lines[HELD as usize] } else { 0 };
        let amount = balance.lines[FREE as usize].saturating_add(held);
        match self.value(balance.asset, amount, purpose) {
            Some(value) => health.equity += value,
            None => health.unpriced |= amount < 0,
        }
    }

    /// What a position counts for and needs.
    pub fn add_position(
        &self,
        health: &mut Health,
        position: &Position,
        (perp, open, unit): (&Perp, &Open, i64),
        purpose: Purpose,
        now_ns: i64,
    ) {
        if perp.mark == 0 {
            health.unpriced |= position.lots != 0;
            return;
        }
        let lots = i128::from(position.lots);
        let owed = div_ceil(lots * (perp.funding_index - position.funding_entry), 1_000_000_000);
        let profit = lots * i128::from(perp.mark) * i128::from(unit) - i128::from(position.cost) - owed;
        health.equity += if purpose == Purpose::Leaving { profit.min(0) } else { profit };
        health.margin += match purpose {
            Purpose::Keeping => perp.maintenance(position, unit),
            _ => {
                let allowed = self.allowed_e2(position.account, perp, now_ns);
                let chosen = if position.leverage_e2 == 0 { allowed } else { position.leverage_e2 };
                perp.initial(position, open, unit, chosen.min(allowed))
            }
        };
    }
}

impl Auditor {
    fn unit_of(&self, market: u32) -> i64 {
        self.markets[market as usize].unit
    }

    /// Equity and margin of a sub-account.
    pub(super) fn health(&self, account: u32, sub: u8, purpose: Purpose) -> Health {
        self.health_with(account, sub, purpose, None)
    }

    /// [`Auditor::health`] with other open orders for one position.
    fn health_with(&self, account: u32, sub: u8, purpose: Purpose, instead: Option<(u32, Open)>) -> Health {
        let mut health = Health::default();
        for balance in self.ledger.of_sub(account, sub) {
            self.values.add_balance(&mut health, balance, purpose);
        }
        for (slot, position) in self.positions.of_sub(account, sub) {
            let open = match instead {
                Some((other, open)) if other == slot => open,
                _ => self.books.open_of(slot),
            };
            let perp = &self.positions.markets[position.market as usize];
            let market = (perp, &open, self.unit_of(position.market));
            self.values.add_position(&mut health, position, market, purpose, self.time_ns);
        }
        health
    }

    /// `lots` of an order begin to act, or act at another price: in a leveraged market its owner must afford them.
    #[inline]
    pub(super) fn check_acting(&mut self, slot: u32, lots: i64) -> Check {
        let order = self.books.orders[slot as usize];
        let market = *self.market(order.market)?;
        if market.kind != PERPETUAL {
            return Ok(());
        }
        self.positions.perp(order.market)?;
        if order.position == NONE {
            let position = self.positions.slot(order.account, order.sub, order.market);
            self.books.attach(slot, position);
        }
        let isolated = self.records.is_isolated(order.account, order.sub);
        self.positions.check_count(order.account, order.sub, isolated)?;
        let fee = fee_ceil(market.value(order.price, lots)?, order.fee_cap_e6bp);
        self.check_new_risk(&self.books.orders[slot as usize], lots, fee)
    }

    /// I09 and the size limits of an order that is accepted and in no level yet: with it counted as open, the
    /// sub-account must afford its initial margin, unless all orders of its side can only close the position.
    fn check_new_risk(&self, order: &Order, lots: i64, fee: i64) -> Check {
        let (market, unit) = (order.market, self.unit_of(order.market));
        let perp = self.positions.perp(market)?;
        let position = &self.positions.list[order.position as usize];
        let side = order.side as usize;
        let mut open = self.books.open_of(order.position);
        open.lots[side] += lots;
        open.ticks[side] += i128::from(lots) * i128::from(order.price);
        let closing = i128::from(position.lots) * if side == 0 { -1 } else { 1 };
        if order.reduces() || (closing > 0 && i128::from(open.lots[side]) <= closing) {
            return Ok(());
        }
        let worst = perp.worst_notional(position, &open, unit);
        ensure!(
            worst <= i128::from(perp.position_limit),
            "I20",
            "account {} may reach a position of {worst} in market {market}",
            order.account
        );
        let interest = perp.worth(perp.long + i128::from(lots), unit);
        ensure!(
            interest <= i128::from(perp.open_interest_cap),
            "I20",
            "order {} may bring the open interest of market {market} to {interest}",
            order.id
        );
        let purpose = Purpose::NewRisk;
        let health = self.health_with(order.account, order.sub, purpose, Some((order.position, open)));
        let equity = health.equity - i128::from(fee);
        ensure!(
            perp.mark > 0 && !health.unpriced && equity >= health.margin,
            "I09",
            "order {} takes risk with {equity} against an initial margin of {} (unpriced: {})",
            order.id,
            health.margin,
            health.unpriced
        );
        Ok(())
    }

    /// P4.3 for money that has left a sub-account: without unrealised profit it still affords its initial margin.
    pub(super) fn check_left_enough(&self, account: u32, sub: u8) -> Check {
        if self.positions.of_sub(account, sub).next().is_none() {
            return Ok(());
        }
        let health = self.health(account, sub, Purpose::Leaving);
        ensure!(
            !health.unpriced && health.equity >= health.margin,
            "I09",
            "account {account} sub {sub} keeps {} for an initial margin of {}",
            health.equity,
            health.margin
        );
        Ok(())
    }

    /// I03 for `free` below zero: positions, or other collateral, must stand for it.
    pub(super) fn check_debt(&self, balance: &Balance) -> Check {
        let &Balance { account, sub, asset, lines, .. } = balance;
        let owed_by_fund = Some(account) == self.liquidations.fund;
        if lines[FREE as usize] >= 0 || owed_by_fund || self.positions.holds_lots(account, sub) {
            return Ok(());
        }
        let health = self.health(account, sub, Purpose::Keeping);
        ensure!(
            !health.unpriced && health.equity >= 0,
            "I03",
            "account {account} sub {sub} owes {} of asset {asset}, holds no position and is worth {}",
            lines[FREE as usize],
            health.equity
        );
        Ok(())
    }
}
