//! Equity and margin of a sub-account (protocol P4.1–P4.3): what secures new risk, what keeps a position, what may leave.

use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::line;
use crate::limits::{MAX_LEVERAGE_WITHOUT_SUITABILITY_E2, MAX_POSITIONS};
use crate::math::{fee_ceil, notional};
use crate::oracle::state as feed_state;
use crate::order::{Order, NONE};
use crate::perp::margin::{div_ceil, div_floor, inverse_ppm};
use crate::perp::{PerpMarket, Position};
use crate::state::Asset;
use crate::wire::command::{asset_flag, order_flag, side};
use crate::wire::error::{reject, Code, Reject};

/// Micro-units of one whole unit of the settlement asset.
const ONE: i64 = 1_000_000;

/// Which weights and prices value the collateral (P1.4.5, P6.5 note 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// New risk: initial weights, prices of an uncertain feed at their worse end, `held` not counted.
    Initial,
    /// Keeping a position: maintenance weights, `held` counted.
    Maintenance,
    /// Money leaving: as `Initial`, and unrealised profit is not counted.
    Withdrawal,
}

/// The state of a sub-account in micro-units of the settlement asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub equity: i128,
    pub initial_margin: i128,
    pub maintenance_margin: i128,
    /// Worst state of the feeds that the numbers depend on.
    pub feed_state: u8,
    /// False when a position's mark or a collateral's price is unknown.
    pub valued: bool,
}

/// The price of a feed as margin sees it, micro-settlement per whole unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    pub price: i64,
    pub confidence: i64,
    pub state: u8,
}

impl<B: Book> Engine<B> {
    /// The asset in which leveraged markets account.
    pub(crate) fn settlement_asset(&self) -> Option<u16> {
        self.state
            .assets
            .iter()
            .position(|asset| asset.flags & asset_flag::SETTLEMENT != 0)
            .map(|at| at as u16)
    }

    /// Equity and margins of a sub-account with these weights (P4.1).
    pub fn health(&self, account: u32, sub: u8, weights: Weights) -> Health {
        self.health_with(account, sub, weights, None)
    }

    /// [`Engine::health`] with one position replaced by what it would be.
    pub(crate) fn health_with(
        &self,
        account: u32,
        sub: u8,
        weights: Weights,
        instead: Option<&Position>,
    ) -> Health {
        let mut health = self.collateral(account, sub, weights);
        let mut replaced = false;
        for &slot in self.state.accounts.positions(account, sub) {
            let mut position = self.state.perps.at(slot);
            if let Some(instead) = instead.filter(|instead| instead.market == position.market) {
                (position, replaced) = (instead, true);
            }
            self.add_position(position, weights, &mut health);
        }
        if let Some(instead) = instead.filter(|_| !replaced) {
            self.add_position(instead, weights, &mut health);
        }
        health
    }

    /// What the balances of a sub-account are worth.
    pub(crate) fn collateral(&self, account: u32, sub: u8, weights: Weights) -> Health {
        let mut health = Health { valued: true, ..Health::default() };
        let entry =
            self.state.accounts.list[account as usize].sub(sub).expect("sub-account was checked to exist");
        for balance in &entry.balances {
            let asset = &self.state.assets[balance.asset as usize];
            let mut amount = balance.lines[line::FREE as usize];
            if weights == Weights::Maintenance {
                amount += balance.lines[line::HELD as usize];
            }
            if amount != 0 {
                self.add_collateral(asset, amount, weights, &mut health);
            }
        }
        health
    }

    #[inline]
    fn add_position(&self, position: &Position, weights: Weights, health: &mut Health) {
        let perp = self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
        if weights == Weights::Maintenance {
            return self.keep_position(perp, position, perp.maintenance_margin(position), health);
        }
        if perp.mark == 0 {
            health.valued &= position.lots == 0;
            return;
        }
        let profit = perp.profit(position);
        health.equity += if weights == Weights::Withdrawal { profit.min(0) } else { profit };
        health.initial_margin += self.initial_margin(perp, position);
        if position.lots != 0 {
            health.feed_state = health.feed_state.max(self.feed_state_of(perp.feed));
        }
    }

    /// A position as it counts for keeping it, its maintenance margin known.
    #[inline]
    pub(crate) fn keep_position(
        &self,
        perp: &PerpMarket,
        position: &Position,
        margin: i128,
        health: &mut Health,
    ) {
        if perp.mark == 0 {
            health.valued &= position.lots == 0;
            return;
        }
        health.equity += perp.profit(position);
        health.maintenance_margin += margin;
        if position.lots != 0 {
            health.feed_state = health.feed_state.max(self.feed_state_of(perp.feed));
        }
    }

    /// The state of the feed that prices a market; the worst without an index.
    #[inline]
    pub(super) fn feed_state_of(&self, feed: u32) -> u8 {
        self.quote_of(feed).map_or(u8::MAX, |quote| quote.state)
    }

    /// Initial margin with the cap that the account's suitability leaves (P4.5), half as much again while detection
    /// slows the account (P12.2).
    fn initial_margin(&self, perp: &PerpMarket, position: &Position) -> i128 {
        let allowed = self.leverage_allowed_e2(position.account, perp);
        let chosen = match position.leverage_e2 {
            0 => allowed,
            chosen => chosen.min(allowed),
        };
        let margin = perp.initial_margin(position, chosen);
        match self.state.detector.margin_factor(position.account, self.cursor.time_ns) {
            100 => margin,
            factor_e2 => div_ceil(margin * i128::from(factor_e2), 100),
        }
    }

    /// Largest leverage for new risk of an account, in hundredths.
    pub(crate) fn leverage_allowed_e2(&self, account: u32, perp: &PerpMarket) -> u32 {
        let cap = perp.leverage_cap_e2();
        if cap > MAX_LEVERAGE_WITHOUT_SUITABILITY_E2 && !self.is_suitable(account) {
            return MAX_LEVERAGE_WITHOUT_SUITABILITY_E2;
        }
        cap
    }

    /// What binds a market's cap: a `coverage::leverage::Term`.
    fn binding_term(&self, perp: &PerpMarket) -> u8 {
        match perp.cover_cap_e2 < perp.leverage_base_e2() {
            true => self.state.perps.cover_term,
            // The market's own maximum lies within its tier's.
            false => crate::coverage::leverage::Term::Market as u8,
        }
    }

    /// Whether a valid suitability flag lets the account use more than tenfold leverage.
    pub(crate) fn is_suitable(&self, account: u32) -> bool {
        self.state.governance.suitable(account, self.cursor.time_ns)
    }

    pub(super) fn add_collateral(&self, asset: &Asset, amount: i64, weights: Weights, health: &mut Health) {
        let careful = weights != Weights::Maintenance;
        let [initial_asset, maintenance_asset, initial_owed, maintenance_owed] = asset.weights_bp;
        let weight = match (amount > 0, careful) {
            (true, true) => initial_asset,
            (true, false) => maintenance_asset,
            (false, true) => initial_owed,
            (false, false) => maintenance_owed,
        };
        if asset.flags & asset_flag::SETTLEMENT != 0 && weight == 10_000 && asset.collateral_cap == 0 {
            // The usual case: money is money.
            health.equity += i128::from(amount);
            return;
        }
        let Some((price, state)) = self.collateral_price(asset, amount > 0, careful) else {
            // Without a price collateral is worth nothing, and what is owed cannot be valued.
            health.valued &= amount > 0;
            return;
        };
        health.feed_state = health.feed_state.max(state);
        let counted = match asset.collateral_cap {
            0 => amount,
            cap => amount.min(cap),
        };
        let product = i128::from(counted) * i128::from(price) * i128::from(weight);
        // Rounded down: less for the owner, more owed.
        health.equity += div_floor(product, i128::from(ONE) * 10_000);
    }

    /// Whether for keeping positions an amount of this asset counts as itself, owned or owed.
    pub(crate) fn is_money(&self, asset: u16) -> bool {
        self.state.assets[asset as usize].is_money()
    }

    /// Price of an asset in micro-settlement per whole unit and its feed's state; None when it has none.
    pub(crate) fn collateral_price(&self, asset: &Asset, owned: bool, careful: bool) -> Option<(i64, u8)> {
        if asset.flags & asset_flag::SETTLEMENT != 0 {
            return Some((ONE, 0));
        }
        let quote = self.quote_of(asset.feed)?;
        let doubt = if careful && quote.state >= feed_state::UNCERTAIN { quote.confidence } else { 0 };
        let price = if owned { quote.price.saturating_sub(doubt) } else { quote.price.saturating_add(doubt) };
        let price = if asset.flags & asset_flag::STABLE != 0 && owned { price.min(ONE) } else { price };
        (quote.state < feed_state::INVALID && price > 0).then_some((price, quote.state))
    }

    /// What a feed says now; None without a feed or an index.
    pub(crate) fn quote_of(&self, feed: u32) -> Option<Quote> {
        let used = self.state.feeds.effective(feed)?;
        let known = used.index != 0;
        known.then_some(Quote { price: used.index, confidence: used.confidence, state: used.state })
    }

    /// Risk checks of an order in a leveraged market (P2.4.7, P4.3, P4.5); `replaced` leaves as it enters. Returns the
    /// slot of its owner's position, or [`NONE`].
    ///
    /// # Errors
    /// `INVALID_LEVERAGE`, `LEVERAGE_TOO_HIGH`, `SUITABILITY_REQUIRED`, `TOO_MANY_POSITIONS`, `OPEN_INTEREST_CAP`,
    /// `POSITION_TOO_LARGE`, `MAINTENANCE_ABOVE_ENTRY_MARGIN`, `INSUFFICIENT_MARGIN`; `STALE_PRICE` without a mark.
    #[inline]
    pub(crate) fn check_margin(
        &self,
        order: &Order,
        leverage_e2: u32,
        replaced: Option<&Order>,
    ) -> Result<u32, Reject> {
        let perp = self.state.perps.of_market(order.market).expect("a leveraged market");
        if perp.mark == 0 {
            return Err(Code::STALE_PRICE.into());
        }
        let known = self.state.perps.find(order.account, order.sub, order.market);
        if let (Some(slot), 0, None) = (known, leverage_e2, replaced) {
            if self.surely_allowed(perp, slot, order).is_some() {
                debug_assert_eq!(self.check_margin_fully(order, 0, None, known), Ok(()));
                return Ok(slot);
            }
        }
        self.check_margin_fully(order, leverage_e2, replaced, known)?;
        Ok(known.unwrap_or(NONE))
    }

    /// [`Engine::check_margin`] where there is a mark, of any sub-account; `known`: the slot of its position.
    #[inline(never)]
    fn check_margin_fully(
        &self,
        order: &Order,
        leverage_e2: u32,
        replaced: Option<&Order>,
        known: Option<u32>,
    ) -> Result<(), Reject> {
        let perp = self.state.perps.of_market(order.market).expect("a leveraged market");
        let known = known.map(|slot| self.state.perps.at(slot));
        if known.is_none() {
            self.check_position_count(order.account, order.sub)?;
        }
        let mut after = known
            .copied()
            .unwrap_or_else(|| Position::new(order.account, order.sub, order.market, perp.funding_index));
        let value = notional(order.price, order.remaining, perp.unit)?;
        if let Some(old) = replaced {
            add_open(&mut after, old, -old.remaining, perp.unit)?;
        }
        add_open(&mut after, order, order.remaining, perp.unit)?;
        let reduces = order.flags & order_flag::REDUCE_ONLY != 0 || only_reduces(&after, order.side);
        if !reduces && self.state.detector.is_slowed(order.account, self.cursor.time_ns) {
            return reject(Code::REDUCE_ONLY_WOULD_INCREASE, after.lots, order.remaining);
        }
        if leverage_e2 != 0 {
            self.check_leverage(perp, order.account, leverage_e2)?;
            after.leverage_e2 = leverage_e2;
        }
        if reduces && (leverage_e2 == 0 || known.is_some_and(|known| known.leverage_e2 == leverage_e2)) {
            return Ok(());
        }
        if let Some(since_ns) = self.in_cascade(order.market) {
            // Cascade prevention (P5.9): what is pending is to be sold first.
            return reject(Code::BREAKER_ACTIVE, since_ns, i64::from(order.market));
        }
        self.check_cover()?;
        let worst = perp.value(after.worst_lots());
        check_sizes(perp, worst, order)?;
        if after.leverage_e2 != 0 {
            let (mmf, entry) = (perp.maintenance_ppm(worst), inverse_ppm(after.leverage_e2));
            if mmf >= entry {
                return reject(Code::MAINTENANCE_ABOVE_ENTRY_MARGIN, entry as i64, mmf as i64);
            }
        }
        let fee = fee_ceil(value, order.fee_cap_e6bp);
        let health = self.health_with(order.account, order.sub, Weights::Initial, Some(&after));
        let equity = health.equity - i128::from(fee);
        if !health.valued || equity < health.initial_margin {
            return reject(Code::INSUFFICIENT_MARGIN, narrow(equity), narrow(health.initial_margin));
        }
        Ok(())
    }

    fn check_leverage(&self, perp: &PerpMarket, account: u32, leverage_e2: u32) -> Result<(), Reject> {
        if leverage_e2 < 100 {
            return reject(Code::INVALID_LEVERAGE, 100, i64::from(leverage_e2));
        }
        let cap = perp.leverage_cap_e2();
        if leverage_e2 > cap {
            let bound = i64::from(self.binding_term(perp)) << 32 | i64::from(cap);
            return reject(Code::LEVERAGE_TOO_HIGH, bound, i64::from(leverage_e2));
        }
        let allowed = self.leverage_allowed_e2(account, perp);
        if leverage_e2 > allowed {
            return reject(Code::SUITABILITY_REQUIRED, i64::from(allowed), i64::from(leverage_e2));
        }
        Ok(())
    }

    /// A cross sub-account holds up to [`MAX_POSITIONS`], an isolated one a single one.
    fn check_position_count(&self, account: u32, sub: u8) -> Result<(), Reject> {
        let entry =
            self.state.accounts.list[account as usize].sub(sub).expect("sub-account was checked to exist");
        let most = if entry.margin_mode == 1 { 1 } else { MAX_POSITIONS };
        if entry.positions.len() >= most {
            return reject(Code::TOO_MANY_POSITIONS, most as i64, entry.positions.len() as i64);
        }
        Ok(())
    }

    /// Whether an amount may leave a sub-account with positions or open leveraged orders (P4.3, row 0204).
    ///
    /// # Errors
    /// `WITHDRAWAL_LOCKED` when a feed does not let the positions be valued, `INSUFFICIENT_FREE_COLLATERAL`,
    /// `COVERAGE_TOO_LOW`.
    pub(crate) fn check_removal(&self, account: u32, sub: u8, asset: u16, amount: i64) -> Result<(), Reject> {
        if self.state.accounts.positions(account, sub).is_empty() {
            return Ok(());
        }
        let health = self.health(account, sub, Weights::Withdrawal);
        if !health.valued || health.feed_state >= feed_state::STALE {
            return reject(
                Code::WITHDRAWAL_LOCKED,
                i64::from(feed_state::STALE),
                i64::from(health.feed_state),
            );
        }
        let entry = &self.state.assets[asset as usize];
        let mut leaving = Health { valued: true, ..Health::default() };
        // What leaves no longer counts; with a cap on the asset this is the careful side.
        self.add_collateral(
            &Asset { collateral_cap: 0, ..*entry },
            amount,
            Weights::Withdrawal,
            &mut leaving,
        );
        let left = health.equity - leaving.equity - 1;
        if left < health.initial_margin {
            return reject(
                Code::INSUFFICIENT_FREE_COLLATERAL,
                narrow(health.equity - health.initial_margin),
                amount,
            );
        }
        self.check_cover_left(account, sub, asset, amount)
    }
}

/// Counts lots of an order in (negative: out); the order's value is known to fit, the sum of many may not.
fn add_open(position: &mut Position, order: &Order, lots: i64, unit: i64) -> Result<(), Reject> {
    let value = lots * order.price * unit;
    let (open_lots, open_value) = if order.side == side::BUY {
        (&mut position.open_buy_lots, &mut position.open_buy_value)
    } else {
        (&mut position.open_sell_lots, &mut position.open_sell_value)
    };
    let sums = open_lots.checked_add(lots).zip(open_value.checked_add(value));
    let Some((lots, value)) = sums else {
        return reject(Code::MATH_OVERFLOW, i64::MAX, *open_value);
    };
    (*open_lots, *open_value) = (lots, value);
    Ok(())
}

/// Whether all orders of this side together can do no more than close the position.
fn only_reduces(after: &Position, order_side: u8) -> bool {
    if order_side == side::BUY {
        after.lots < 0 && after.open_buy_lots <= -after.lots
    } else {
        after.lots > 0 && after.open_sell_lots <= after.lots
    }
}

/// The bounds of a position and of open interest; `worst` = the position's notional if all orders of a side fill.
fn check_sizes(perp: &PerpMarket, worst: i128, order: &Order) -> Result<(), Reject> {
    if worst > i128::from(perp.risk.position_limit) {
        return reject(Code::POSITION_TOO_LARGE, perp.risk.position_limit, narrow(worst));
    }
    let open_interest = perp.value(perp.open_interest.saturating_add(order.remaining));
    if open_interest > i128::from(perp.risk.open_interest_cap) {
        return reject(Code::OPEN_INTEREST_CAP, perp.risk.open_interest_cap, narrow(open_interest));
    }
    Ok(())
}

/// A number for a reject's message, held within i64.
pub(crate) fn narrow(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
