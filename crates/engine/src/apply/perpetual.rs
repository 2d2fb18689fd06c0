//! Commands of leveraged markets: parameters, positions, margin, funding, settlement (protocol P4, rows 0102–0106,
//! 0401, 0403, 0901, 0D03).

use super::margin::narrow;
use super::markets::{asset_body, check_weights};
use super::marks::index_ticks;
use super::work::{Settle, Work};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::gate::Action;
use crate::governance::parameters::Parameter;
use crate::ledger::{line, post_margin, post_system};
use crate::limits::*;
use crate::market::{kind, status};
use crate::math::MAX_BALANCE;
use crate::output::{Output, Subject};
use crate::perp::Risk;
use crate::state::NO_FEED;
use crate::wire::command::{
    asset_flag, order_flag, order_type, side, time_in_force, AdjustMargin, ClosePosition, Command,
    FundInsurance, OneMarket, PlaceOrder, UpdateAsset, UpdateMarketRisk,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{position_cause, AmountBody, EventKind, MarketRiskBody, StatusBody};

/// Fields that UpdateMarketRisk can select.
const UPDATABLE: u32 = 0xFF;

impl<B: Book> Engine<B> {
    /// New risk parameters of a leveraged market.
    pub(crate) fn update_market_risk(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: UpdateMarketRisk = command.payload_as();
        let risk = self.check_market_risk(&request, command.time_ns)?;
        if command.is_trial() {
            return Ok(0);
        }
        let market = &mut self.state.markets.list[request.market as usize];
        market.config_version += 1;
        market.last_update_ns = command.time_ns;
        let version = u64::from(market.config_version);
        self.state.perps.of_market_mut(request.market).expect("checked to be leveraged").set_risk(risk);
        self.emit_market_risk(command, request.market, output);
        self.sweep_all();
        Ok(version)
    }

    /// What the parameters would become, or why they may not.
    pub(crate) fn check_market_risk(&self, request: &UpdateMarketRisk, now_ns: i64) -> Result<Risk, Reject> {
        let Some(market) = self.state.markets.list.get(request.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        };
        let Some(perp) = self.state.perps.of_market(request.market) else {
            return reject(Code::INVALID_MARKET_KIND, i64::from(kind::PERPETUAL), i64::from(market.kind));
        };
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        if request.config_version != market.config_version {
            let (version, given) = (i64::from(market.config_version), i64::from(request.config_version));
            return reject(Code::CONFIG_VERSION_MISMATCH, version, given);
        }
        if market.status >= status::CLOSE_ONLY {
            return reject(Code::INVALID_TRANSITION, 0, i64::from(market.status));
        }
        let mask = request.field_mask;
        if mask & !UPDATABLE != 0 {
            return reject(Code::IMMUTABLE_PARAMETER, i64::from(UPDATABLE), i64::from(mask));
        }
        if mask == 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        let risk = merged(&perp.risk, request);
        check_risk(&risk)?;
        let ready_ns = market.last_update_ns.saturating_add(PARAMETER_COOLDOWN_NS);
        if market.last_update_ns != i64::MIN && now_ns < ready_ns && market.status != status::CREATED {
            return reject(Code::PARAMETER_COOLDOWN, ready_ns, now_ns);
        }
        Ok(risk)
    }

    pub(crate) fn emit_market_risk(&self, command: &Command, market: u32, output: &mut Output) {
        let perp = self.state.perps.of_market(market).expect("a leveraged market");
        let risk = perp.risk;
        let body = MarketRiskBody {
            config_version: self.state.markets.list[market as usize].config_version,
            max_leverage_e2: risk.max_leverage_e2,
            size_k_ppm: risk.size_k_ppm,
            floor_mmf_ppm: risk.floor_mmf_ppm,
            liquidation_fee_e6bp: risk.liquidation_fee_e6bp,
            feed: perp.feed,
            position_limit: risk.position_limit,
            open_interest_cap: risk.open_interest_cap,
            impact_notional: risk.impact_notional,
            insurance_limit: risk.insurance_limit,
            open_interest_lots: perp.open_interest,
        };
        output.emit(command, EventKind::MarketRiskSet, Subject::market(market), &body);
    }

    /// New weights, feed and caps of an asset.
    pub(crate) fn update_asset(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: UpdateAsset = command.payload_as();
        self.check_asset_update(&request)?;
        if command.is_trial() {
            return Ok(0);
        }
        let asset = &mut self.state.assets[request.asset as usize];
        asset.weights_bp = weights_of(&request);
        asset.feed = request.feed;
        asset.deposit_cap = request.deposit_cap;
        asset.collateral_cap = request.collateral_cap;
        let body = asset_body(request.asset, asset);
        output.emit(command, EventKind::AssetUpdated, Subject::NONE, &body);
        self.sweep_all();
        Ok(u64::from(request.asset))
    }

    pub(crate) fn check_asset_update(&self, request: &UpdateAsset) -> Result<(), Reject> {
        let Some(asset) = self.state.assets.get(request.asset as usize) else {
            return reject(Code::ASSET_NOT_FOUND, self.state.assets.len() as i64, i64::from(request.asset));
        };
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        check_weights(weights_of(request))?;
        let settles = asset.flags & asset_flag::SETTLEMENT != 0;
        if request.feed != NO_FEED && (settles || !self.has_feed(request.feed)) {
            return reject(Code::FEED_NOT_FOUND, i64::from(NO_FEED), i64::from(request.feed));
        }
        for cap in [request.deposit_cap, request.collateral_cap] {
            if !(0..=MAX_BALANCE).contains(&cap) {
                return reject(Code::PARAMETER_OUT_OF_BOUNDS, MAX_BALANCE, cap);
            }
        }
        Ok(())
    }

    /// Closes a position, or a part of it, by a reduce-only order that does not rest.
    pub(crate) fn close_position(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ClosePosition = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        if request.market as usize >= self.state.markets.list.len() {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        }
        let position = self.state.perps.position(context.account, command.sub, request.market);
        let Some(position) = position.filter(|position| position.lots != 0) else {
            return reject(Code::POSITION_NOT_FOUND, 0, i64::from(request.market));
        };
        let held = position.lots.abs();
        if request.lots < 0 || request.lots > held {
            return reject(Code::INVALID_SIZE, held, request.lots);
        }
        let order = PlaceOrder {
            market: request.market,
            side: if position.lots > 0 { side::SELL } else { side::BUY },
            order_type: if request.limit == 0 { order_type::MARKET } else { order_type::LIMIT },
            time_in_force: time_in_force::IOC,
            price: request.limit,
            lots: if request.lots == 0 { held } else { request.lots },
            order_flags: order_flag::REDUCE_ONLY,
            ..bytemuck::Zeroable::zeroed()
        };
        self.place_order(&command.with(&order), context, output)
    }

    /// Moves settlement money between sub-account 0 and an isolated sub-account with a position.
    pub(crate) fn adjust_margin(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: AdjustMargin = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        if self.state.perps.position(context.account, command.sub, request.market).is_none() {
            return reject(Code::POSITION_NOT_FOUND, 0, i64::from(request.market));
        }
        let isolated = self.state.accounts.list[context.account as usize]
            .sub(command.sub)
            .is_some_and(|sub| sub.margin_mode == 1 && sub.index != 0);
        if !isolated {
            return reject(Code::INVALID_TRANSITION, 1, 0);
        }
        if request.amount == 0 || request.amount.unsigned_abs() > MAX_BALANCE as u64 {
            return reject(Code::INVALID_AMOUNT, 1, request.amount);
        }
        let asset = self.state.markets.list[request.market as usize].quote;
        let account = context.account;
        let (from, to) = if request.amount > 0 { (0, command.sub) } else { (command.sub, 0) };
        let amount = request.amount.abs();
        let free = self.state.accounts.balance(account, from, asset, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        self.check_removal(account, from, asset, amount)?;
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_margin(accounts, postings, (account, from), asset, -amount);
        post_margin(accounts, postings, (account, to), asset, amount);
        let body = AmountBody { asset, other_sub: to, reserved: 0, reserved2: 0, amount };
        let subject = Subject { market: request.market, ..Subject::account(account, from) };
        output.emit(command, EventKind::MarginAdjusted, subject, &body);
        self.after_collateral(command, account, from, output);
        self.after_collateral(command, account, to, output);
        Ok(amount as u64)
    }

    /// Ends the hour's funding, by anyone, once it is due (P4.8.3).
    pub(crate) fn crank_funding(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let market = self.leveraged_market(command)?;
        let perp = self.state.perps.of_market(market).expect("checked to be leveraged");
        let open = matches!(
            self.state.markets.list[market as usize].status,
            status::ACTIVE | status::PAUSED | status::CLOSE_ONLY
        );
        if !open || perp.hour_end_ns == 0 || command.time_ns < perp.hour_end_ns {
            return reject(Code::FUNDING_NOT_DUE, perp.hour_end_ns, command.time_ns);
        }
        self.charge_funding(command, market, output);
        self.schedule_market(market, (command.time_ns.div_euclid(60 * SECOND_NS) + 1) * 60 * SECOND_NS);
        Ok(u64::from(market))
    }

    fn leveraged_market(&self, command: &Command) -> Result<u32, Reject> {
        let request: OneMarket = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let Some(market) = self.state.markets.list.get(request.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        };
        if market.kind != kind::PERPETUAL {
            return reject(Code::INVALID_MARKET_KIND, i64::from(kind::PERPETUAL), i64::from(market.kind));
        }
        Ok(request.market)
    }

    /// Money for the insurance fund; there is no claim back (row 0D03).
    pub(crate) fn fund_insurance(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let FundInsurance { asset, reserved, reserved2, amount } = command.payload_as();
        if reserved != 0 || reserved2 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved2));
        }
        if !(1..=MAX_BALANCE).contains(&amount) {
            return reject(Code::INVALID_AMOUNT, 1, amount);
        }
        if Some(asset) != self.settlement_asset() {
            return reject(
                Code::ASSET_NOT_FOUND,
                self.settlement_asset().map_or(-1, i64::from),
                i64::from(asset),
            );
        }
        let free = self.state.accounts.balance(context.account, command.sub, asset, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        self.check_removal(context.account, command.sub, asset, amount)?;
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_margin(accounts, postings, (context.account, command.sub), asset, -amount);
        post_system(&mut self.state.system, postings, line::INSURANCE, 0, asset, amount);
        let body = AmountBody { asset, other_sub: command.sub, reserved: 0, reserved2: 0, amount };
        let subject = Subject::account(context.account, command.sub);
        output.emit(command, EventKind::InsuranceFunded, subject, &body);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(amount as u64)
    }

    /// Settles a closed market at its delisting price (P2.3.1).
    pub(crate) fn settle_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let market = self.leveraged_market(command)?;
        let entry = &self.state.markets.list[market as usize];
        if entry.status != status::CLOSED {
            return reject(Code::INVALID_TRANSITION, i64::from(status::CLOSED), i64::from(entry.status));
        }
        let perp = self.state.perps.of_market(market).expect("checked to be leveraged");
        let Some(price) = self.delisting_price(perp.feed, entry.tick_size, command.time_ns) else {
            return reject(Code::SETTLEMENT_NOT_FINAL, perp.closed_ns, command.time_ns);
        };
        self.state.feeds.check(perp.feed, Action::SettleAtIndex, command.time_ns)?;
        self.state.perps.of_market_mut(market).expect("checked to be leveraged").delisting_price = price;
        self.do_work(command, command.seq, Work::Settle(Settle { market, ..Settle::default() }), output);
        Ok(price as u64)
    }

    /// Settles a bounded number of positions; what is left for the next command, if any.
    #[inline(never)]
    pub(crate) fn settle_positions(
        &mut self,
        command: &Command,
        mut job: Settle,
        output: &mut Output,
    ) -> Option<Settle> {
        let market = job.market;
        let price = self.state.perps.of_market(market)?.delisting_price;
        let mut done = 0;
        // By account, not by slot: slots differ between an engine and its restored twin.
        for _ in 0..SETTLEMENT_LOOKS {
            if job.next as usize >= self.state.accounts.list.len() {
                if job.winners {
                    return self.finish_settlement(command, market, output);
                }
                (job.winners, job.next) = (true, 0);
            }
            let slots: Vec<u32> = self.state.accounts.list[job.next as usize]
                .subs()
                .flat_map(|sub| &sub.positions)
                .copied()
                .filter(|&slot| self.state.perps.at(slot).market == market)
                .collect();
            job.next += 1;
            for slot in slots {
                let position = self.state.perps.at(slot);
                let profit = position.unrealised(price, self.state.markets.list[market as usize].unit);
                if job.winners || profit <= 0 {
                    done += 1;
                    self.settle_position(command, slot, (price, profit), &mut job, output);
                } else {
                    job.profits += profit;
                }
            }
            if done >= SETTLEMENTS_PER_COMMAND {
                break;
            }
        }
        Some(job)
    }

    /// Closes one position against the market's own line; over all positions that line ends where it began.
    fn settle_position(
        &mut self,
        command: &Command,
        slot: u32,
        (price, profit): (i64, i128),
        job: &mut Settle,
        output: &mut Output,
    ) {
        let position = *self.state.perps.at(slot);
        let market = &self.state.markets.list[position.market as usize];
        let (asset, unit) = (market.quote, market.unit);
        let side = self.change_position(slot, -position.lots, price, asset, &mut output.postings);
        let value = position.lots * price * unit;
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::FUNDING, position.market, asset, -value);
        self.emit_settled(command, &side, position_cause::SETTLEMENT, output);
        self.after_position(command, slot, side.before_lots, output);
        let key = (position.account, position.sub, position.market);
        self.state.perps.drop_if_empty(&mut self.state.accounts, key);
        self.settle_loss(command, (position.account, position.sub), profit, job, output);
    }

    fn finish_settlement(&mut self, command: &Command, market: u32, output: &mut Output) -> Option<Settle> {
        let entry = &mut self.state.markets.list[market as usize];
        let previous = std::mem::replace(&mut entry.status, status::SETTLED);
        let asset = entry.quote;
        // Funding that no position can claim any more.
        self.owe_to_market(command, market, output);
        let left = self.state.system.get(line::FUNDING, market, asset);
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::FUNDING, market, asset, -left);
        post_system(system, postings, line::INSURANCE, 0, asset, left);
        let body = StatusBody { status: status::SETTLED, previous, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketSettled, Subject::market(market), &body);
        self.settled_in_verse(command, market, output);
        None
    }
}

impl<B: Book> Engine<B> {
    /// An item of leveraged markets has fallen due: `id` is the market.
    pub(crate) fn perp_due(&mut self, command: &Command, _kind: u8, id: u64, output: &mut Output) {
        // The item is out of the queue already; what follows is scheduled anew.
        if let Some(perp) = self.state.perps.of_market_mut(id as u32) {
            perp.next_sample_ns = 0;
        }
        self.market_due(command, id as u32, output);
    }

    /// Whether a feed is registered.
    pub(crate) fn has_feed(&self, feed: u32) -> bool {
        self.state.feeds.get(feed).is_some()
    }

    /// The price in ticks at which a closed market settles: the index average of the last hour (P2.3.1).
    fn delisting_price(&self, feed: u32, tick_size: i64, now_ns: i64) -> Option<i64> {
        let used = self.state.feeds.effective(feed)?;
        let (mean, _) = self.state.feeds.twap(used.feed, HOUR_NS, now_ns)?;
        Some(index_ticks(mean, tick_size))
    }
}

pub(super) fn weights_of(request: &UpdateAsset) -> [u16; 4] {
    [
        request.initial_asset_bp,
        request.maintenance_asset_bp,
        request.initial_liability_bp,
        request.maintenance_liability_bp,
    ]
}

/// The risk parameters with the selected fields replaced.
pub(crate) fn merged(risk: &Risk, request: &UpdateMarketRisk) -> Risk {
    let mut new = *risk;
    let selected = |bit: u32| request.field_mask & (1 << bit) != 0;
    macro_rules! take {
        ($($bit:literal $field:ident),*) => { $(if selected($bit) { new.$field = request.$field; })* };
    }
    take!(0 max_leverage_e2, 1 size_k_ppm, 2 floor_mmf_ppm, 3 liquidation_fee_e6bp, 4 position_limit,
        5 open_interest_cap, 6 impact_notional, 7 insurance_limit);
    new
}

/// Every risk parameter by its row in the table.
pub(super) fn rows(risk: &Risk) -> [(Parameter, i64); 8] {
    [
        (Parameter::MaxLeverageE2, i64::from(risk.max_leverage_e2)),
        (Parameter::SizeKPpm, i64::from(risk.size_k_ppm)),
        (Parameter::FloorMmfPpm, i64::from(risk.floor_mmf_ppm)),
        (Parameter::LiquidationFeeE6bp, i64::from(risk.liquidation_fee_e6bp)),
        (Parameter::PositionLimit, risk.position_limit),
        (Parameter::OpenInterestCap, risk.open_interest_cap),
        (Parameter::ImpactNotional, risk.impact_notional),
        (Parameter::InsuranceLimit, risk.insurance_limit),
    ]
}

/// Bounds of the risk parameters; maintenance always stays below entry (P4.2).
pub(crate) fn check_risk(risk: &Risk) -> Result<(), Reject> {
    rows(risk).into_iter().try_for_each(|(parameter, value)| parameter.check(value))?;
    let entry = crate::perp::margin::inverse_ppm(risk.max_leverage_e2);
    if i128::from(risk.floor_mmf_ppm) >= entry {
        return reject(Code::MAINTENANCE_ABOVE_ENTRY_MARGIN, narrow(entry), i64::from(risk.floor_mmf_ppm));
    }
    Ok(())
}
